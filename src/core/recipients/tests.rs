use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const ED: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN alice@example.com";
const AGE: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn comments_make_no_difference_and_are_shown() {
    let bare = ED.rsplit_once(' ').expect("a comment").0;
    assert!(Difference::between(&texts(&[ED, AGE]), &texts(&[AGE, bare])).is_none());
    let shown = |text: &str| identified(text).0;
    assert_eq!(
        shown(ED),
        "ssh-ed25519 SHA256:PYX4o9UfGwCwG76hFcLAEkmMS0PtIBtV9MNmVgW16Oc"
    );
    assert_eq!(comment(ED).as_deref(), Some("alice@example.com"));
    assert_eq!(shown(AGE), AGE);
    assert_eq!(comment("ssh-rsa AAAA a\u{202e}b").as_deref(), Some("a?b"));
    assert_eq!(shown("age1\u{202e}\u{1b}x"), "age1??x");
    assert_eq!(shown("ssh-rsa A a"), "ssh-rsa A");
    let change = Difference::between(&texts(&[ED]), &texts(&[AGE]));
    assert_eq!(
        change.in_line(),
        "+ age1ql3z…mcac8p - ssh-ed25519 AAAAC3Nz…Z6isGN"
    );
}

#[test]
fn keys_that_begin_and_end_alike_do_not_look_alike() {
    let long = |middle: char| {
        let middle = String::from(middle).repeat(300);
        format!("age1tagpq1qqqqqq{middle}zzzzzz")
    };
    let rsa = |middle: u8| {
        let key = [&[0, 0, 0, 7][..], b"ssh-rsa", &[middle; 256], &[1; 6]].concat();
        format!("ssh-rsa {} alice", STANDARD.encode(key))
    };
    for (one, other) in [(long('q'), long('p')), (rsa(1), rsa(2))] {
        assert_eq!(
            shortened(&recipient_key(&one)),
            shortened(&recipient_key(&other))
        );
        let (one, other) = (identified(&one), identified(&other));
        assert_ne!(one.0, other.0);
        assert_eq!(one.1, other.1);
        assert!(one.0.chars().count() <= 76, "{}", one.0);
    }
}

#[test]
fn an_ssh_key_is_recognised_by_its_tag_and_nobody_else_is() {
    let key = recipient_key(ED);
    let tag = tag_of(&key);
    assert!(tag.as_ref().is_some_and(|tag| tag.len() == 6));
    let stanza = |kind: &str, tag: Option<&str>| Stanza {
        kind: kind.to_owned(),
        tag: tag.map(str::to_owned),
    };
    let header = [
        stanza("X25519", None),
        stanza("ssh-ed25519", tag.as_deref()),
        stanza("ssh-ed25519", Some("AAAAAA")),
    ];
    let report = compare(
        "m".to_owned(),
        &texts(&[AGE, ED, "age1plug1qqqq", "ssh-rsa AAAA"]),
        Err("no key"),
        &header,
    );
    let found: Vec<InFile> = report.recipients.iter().map(|r| r.in_file).collect();
    use InFile::{No, Unknown, Yes};
    assert_eq!(found, [Unknown, Yes, Unknown, No]);
    assert_eq!(report.strangers, 1);
    assert!(report.recipients.iter().all(|r| r.is_sealed.is_none()));
    let counts = [("X25519".to_owned(), 1), ("ssh-ed25519".to_owned(), 2)];
    assert_eq!(report.stanzas, counts);
}

#[test]
fn only_a_plugin_may_make_more_stanzas_than_recipients() {
    let stanza = |kind: &str| Stanza {
        kind: kind.to_owned(),
        tag: None,
    };
    let stanzas = [stanza("X25519"), stanza("stub"), stanza("stub")];
    let accused = |sealed: &[&str], stanzas: &[Stanza]| {
        let sealed = texts(sealed);
        let report = compare("m".to_owned(), &sealed, Ok(&sealed), stanzas);
        report
            .notes
            .iter()
            .any(|note| note.contains("without drspass"))
    };
    let plugin = "age1stub1d4skgefdw4cqphmwgx";
    assert!(!accused(&[AGE, plugin], &stanzas));
    assert!(accused(&[AGE, plugin], &stanzas[..1]));
    assert!(accused(&[AGE], &[stanza("X25519"), stanza("X25519")]));
}
