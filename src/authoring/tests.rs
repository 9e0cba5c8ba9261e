//! Every layout that the reader takes, changed in place.

use super::*;
use crate::core::manifest::{Sealing, parse};

const J1: &str = "11df459d-a37c-41b9-bc2b-8c00ba32jb51";
const J2: &str = "22df459d-a37c-41b9-bc2b-8c00ba32jb52";

/// `text` with J1 and J2 for their short names.
fn long(text: &str) -> String {
    text.replace("J1", J1).replace("J2", J2)
}

fn place(address: &str, field: Field, document: &ManifestText<'_>) -> ValuePlace {
    document
        .find(&long(address), field, Taken::New)
        .unwrap_or_else(|why| panic!("{address}: {why:?}"))
}

#[track_caller]
fn set(before: &str, address: &str, field: Field, value: &str) -> String {
    let before = long(before);
    assert!(
        parse(split_mark(&before).1, Sealing::Optional)
            .value
            .is_some(),
        "{before}"
    );
    let document = ManifestText::new(&before).unwrap();
    let change = Change {
        place: place(address, field, &document),
        value: Secret::new(value.to_owned()),
    };
    let after = document
        .rewrite(&[change])
        .unwrap_or_else(|_| panic!("{address} {value:?}\n{before}"));
    let checked = parse(split_mark(&after).1, Sealing::Optional);
    assert!(
        checked.value.is_some(),
        "{:?}\n{}",
        checked.problems,
        &*after
    );
    after.to_string()
}

/// Sets a password and compares the text.
#[track_caller]
fn check(before: &str, address: &str, value: &str, after: &str) {
    let made = set(before, address, Field::Password, value);
    assert_eq!(made, long(after), "\n{made}");
}

/// Removes what an address names.
#[track_caller]
fn removed(before: &str, address: &str, field: Field) -> String {
    let before = long(before);
    let document = ManifestText::new(&before).unwrap();
    let place = document.find_removable(&long(address), field).unwrap();
    let made = document
        .without(&place)
        .unwrap_or_else(|_| panic!("{before}"));
    let checked = parse(split_mark(&made).1, Sealing::Optional);
    assert!(checked.value.is_some(), "{:?}", checked.problems);
    made.to_string()
}

/// Removes what an address names and compares the text.
#[track_caller]
fn check_removed(before: &str, address: &str, field: Field, after: &str) {
    let made = removed(before, address, field);
    assert_eq!(made, long(after), "\n{made}");
}

#[test]
fn a_value_is_replaced_in_its_place_whatever_its_style() {
    for (old, new) in [
        ("\"old\"", "\"new\""),
        ("'it''s'  # note", "\"new\"  # note"),
        ("|-\n        old", "\"new\""),
        ("|-  # note\n        old\n        older", "\"new\" # note"),
        (">-\n        old\n        older\n", "\"new\"\n"),
        ("\"old \\\n        older\" # x", "\"new\" # x"),
        ("\n        \"old\"", "\n        \"new\""),
    ] {
        let around = |value: &str| {
            format!(
                "# top\nversion: 1\njobs:\n  J1: # one\n    source:\n      # before\n      \
                 password: {value}\n\n  # two\n  J2:\n    source: {{ password: 'x' }}\n"
            )
        };
        check(&around(old), "J1/source", "new", &around(new));
    }
}

#[test]
fn a_value_is_replaced_inside_braces() {
    check(
        "version: 1\njobs: { J1: { source: { \"password\" : 'o}ld' , }, name: x } } # end\n",
        "x/source",
        "n\"ew",
        "version: 1\njobs: { J1: { source: { \"password\" : \"n\\\"ew\" , }, name: x } } # end\n",
    );
}

#[test]
fn line_ends_and_the_byte_order_mark_stay() {
    check(
        "\u{feff}version: 1\r\njobs:\r\n  J1:\r\n    source:\r\n      password: \"old\"\r\n",
        "J1/destination",
        "new",
        "\u{feff}version: 1\r\njobs:\r\n  J1:\r\n    source:\r\n      password: \"old\"\r\n    \
         destination:\r\n      password: \"new\"\r\n",
    );
    check(
        "version: 1\r\njobs: {}\r\n# end\r\n",
        "J1/source",
        "new",
        "version: 1\r\njobs:\r\n  J1:\r\n    source: { password: \"new\" }\r\n# end\r\n",
    );
}

#[test]
fn what_is_new_takes_the_layout_of_what_is_there() {
    // An endpoint beside one in braces, behind its comment.
    check(
        "version: 1\njobs:\n    J1:\n        source: { password: 'x' } # a\n        # b\n",
        "J1/destination",
        "new",
        "version: 1\njobs:\n    J1:\n        source: { password: 'x' } # a\n        \
         destination: { password: \"new\" }\n        # b\n",
    );
    // A job after one on lines of its own, with its steps and quotes.
    check(
        "version: 1\njobs:\n    \"J1\":\n       source:\n         password: 'x'",
        "J2/source",
        "new",
        "version: 1\njobs:\n    \"J1\":\n       source:\n         password: 'x'\n    \"J2\":\n       \
         source:\n          password: \"new\"\n",
    );
    // Inside braces.
    check(
        "version: 1\njobs: { J1: { source: { password: 'x' } } }\n",
        "J2/source",
        "new",
        "version: 1\njobs: { J1: { source: { password: 'x' } }, J2: { source: { password: \
         \"new\" } } }\n",
    );
    check(
        "version: 1\njobs: { J1: {} }\n",
        "J1/source",
        "new",
        "version: 1\njobs: { J1: { source: { password: \"new\" } } }\n",
    );
    // Maps that were empty.
    check(
        "version: 1\njobs: {}   # none yet\n",
        "J1/source",
        "new",
        "version: 1\njobs:   # none yet\n  J1:\n    source: { password: \"new\" }\n",
    );
    check(
        "version: 1\njobs: []",
        "J1/source",
        "new",
        "version: 1\njobs:\n  J1:\n    source: { password: \"new\" }\n",
    );
    check(
        "version: 1\njobs: { # none\n }\n",
        "J1/source",
        "new",
        "version: 1\njobs: { J1: { source: { password: \"new\" } } # none\n }\n",
    );
    // A part that did not exist.
    check(
        "version: 1\n\n# The jobs.\njobs: {}\n",
        "@orders-db",
        "new",
        "version: 1\n\ncredentials:\n  orders-db: { password: \"new\" }\n\n# The jobs.\njobs: {}\n",
    );
    check(
        "version: 1\ncredentials:\n  a:\n    password: 'x'\njobs: {}\n",
        "@7",
        "new",
        "version: 1\ncredentials:\n  a:\n    password: 'x'\n  \"7\":\n    password: \"new\"\njobs: {}\n",
    );
}

#[test]
fn kerberos_fields_come_and_go() {
    let made = set(
        "version: 1\njobs:\n  J1:\n    source: { password: 'x' }\n",
        "J1",
        Field::DomainName,
        "EXAMPLE",
    );
    let want = "version: 1\njobs:\n  J1:\n    source: { password: 'x', kerberos: { domain_name: \
                \"EXAMPLE\" } }\n";
    assert_eq!(made, long(want));
    let made = set(
        "version: 1\njobs:\n  J1:\n    source:\n      password: 'x'\n",
        "J1",
        Field::Krb5ConfFile,
        "a\nb\n",
    );
    let want = "version: 1\njobs:\n  J1:\n    source:\n      password: 'x'\n      kerberos:\n        \
                krb5_conf_file: \"a\\nb\\n\"\n";
    assert_eq!(made, long(want));
    check_removed(
        want,
        "J1/source",
        Field::Krb5ConfFile,
        "version: 1\njobs:\n  J1:\n    source:\n      password: 'x'\n",
    );
}

#[test]
fn a_block_stays_a_block_where_it_can_hold_the_value() {
    let block = "version: 1\njobs:\n  J1:\n    source:\n      password: 'x'\n      kerberos:\n        \
                 krb5_conf_file: | # conf\n            [a]\n             b = 1\n\n            c\n\n        \
                 # next\n        domain_name: 'D'\n";
    let made = set(block, "J1", Field::Krb5ConfFile, "[z]\n\n  y");
    let want = block.replace("| # conf", "|- # conf").replace(
        "[a]\n             b = 1\n\n            c\n",
        "[z]\n\n              y\n",
    );
    assert_eq!(made, long(&want));
    let made = set(&made, "J1", Field::Krb5ConfFile, " [z]\n");
    let start = made.find("krb5").unwrap();
    assert!(made[start..].starts_with("krb5_conf_file: \" [z]\\n\" # conf\n\n        # next"));
}

#[test]
fn an_entry_after_a_block_does_not_change_it() {
    for block in [
        "|\n          a\n",
        "|+\n          a\n\n\n",
        "|-\n          a\n          \n",
    ] {
        let before = format!(
            "version: 1\njobs:\n  J1:\n    source:\n      password: 'x'\n      kerberos:\n        \
             krb5_conf_file: {block}"
        );
        set(&before, "J1/source", Field::DomainName, "D");
        set(&before, "J1/destination", Field::Password, "new");
        let followed = format!("{before}\n# end\n");
        set(&followed, "J2/destination", Field::Password, "new");
    }
}

#[test]
fn removing_takes_whole_lines_and_leaves_a_manifest() {
    check_removed(
        "version: 1\njobs:\n  J1: # a\n    # b\n    source:\n      password: |-\n        x\n    # c\n  \
         J2:\n    name: two\n    source: { password: 'x' } # gone\n    destination: { password: 'y' }\n",
        "J1/source",
        Field::Password,
        "version: 1\njobs:\n  J1: {} # a\n    # b\n    # c\n  \
         J2:\n    name: two\n    source: { password: 'x' } # gone\n    destination: { password: 'y' }\n",
    );
    check_removed(
        "version: 1\njobs:\n  J2:\n    name: two\n    source: { password: 'x' } # gone\n    \
         destination: { password: 'y' } # stays\n",
        "two/source",
        Field::Password,
        "version: 1\njobs:\n  J2:\n    name: two\n    destination: { password: 'y' } # stays\n",
    );
    check_removed(
        "version: 1\njobs: { J1: { source: { password: 'x' }, destination: { password: 'y' } } }\n",
        "J1/source",
        Field::Password,
        "version: 1\njobs: { J1: { destination: { password: 'y' } } }\n",
    );
    check_removed(
        "version: 1\njobs: { J1: { source: { password: 'x' }, destination: { password: 'y' } } }\n",
        "J1/destination",
        Field::Password,
        "version: 1\njobs: { J1: { source: { password: 'x' } } }\n",
    );
    check_removed(
        "version: 1\njobs: { J1: {\n  source: { password: 'x' }, # s\n  destination: { password: 'y' },\n  } }\n",
        "J1/destination",
        Field::Password,
        "version: 1\njobs: { J1: {\n  source: { password: 'x' } # s\n  \n  } }\n",
    );
    check_removed(
        "version: 1\ncredentials:\n  a: { password: 'x' }\njobs: {}\n",
        "@a",
        Field::Password,
        "version: 1\ncredentials: {}\njobs: {}\n",
    );
}

#[test]
fn addresses_name_exactly_one_place() {
    let text = long(
        "version: 1\ncredentials:\n  a: { password: 'x' }\njobs:\n  J1:\n    name: one\n    \
         source: { credential: a }\n    destination: { password: 'y' }\n  72904e81x:\n    \
         destination: { password: 'y' }\n",
    );
    let document = ManifestText::new(&text).unwrap();
    let find = |address: &str| document.find(&long(address), Field::Password, Taken::New);
    for (address, why) in [
        ("one/*", "the address has a wildcard"),
        ("one", "one has a source and a destination"),
        (
            "two",
            "the address matches no job in the manifest, and is not the id of a new one",
        ),
        ("J2", "the job has neither a source nor a destination"),
        (
            "canary-1/source",
            "the address matches no job in the manifest, and is not the id of a new one",
        ),
        ("one/target", "an endpoint is 'source' or 'destination'"),
        ("@", "the address is not a valid credential name"),
        ("@a b", "the address is not a valid credential name"),
    ] {
        assert_eq!(find(address).unwrap_err().what, why, "{address}");
    }
    assert_eq!(
        find("one/source").unwrap_err().what,
        "one/source uses the credential a"
    );
    assert_eq!(find("J1/destination"), find("one/destination"));
    for address in ["72904e81x", "J2/source", "@b", "@a"] {
        assert!(find(address).is_ok(), "{address}");
    }
    let listed = |address: &str| document.find(&long(address), Field::Password, Taken::Listed);
    let unknown = "the address matches no job in the manifest";
    assert_eq!(listed("J2/source").unwrap_err().what, unknown);
    assert_eq!(listed("two").unwrap_err().what, unknown);
    assert_eq!(
        listed("@b").unwrap_err().what,
        "the address matches no credential"
    );
    assert_eq!(listed("two").unwrap_err().help.find("Did you mean"), None);
    let meant = |address: &str| {
        let help = listed(address).unwrap_err().help.to_string();
        help.split('?').next().map(str::to_owned)
    };
    assert_eq!(meant("a/source").as_deref(), Some("Did you mean @a"));
    let near = meant("onee/destination");
    assert_eq!(near.as_deref(), Some("Did you mean one/destination"));
    assert_eq!(
        document
            .find_removable("@a", Field::Password)
            .unwrap_err()
            .what,
        "1 endpoint uses the credential"
    );
    assert!(
        document
            .find_removable("one/source", Field::Password)
            .is_ok()
    );
}

#[test]
fn a_block_is_changed_whole_whatever_blanks_it_ends_with() {
    let mut tails = vec![String::new()];
    for first in [0, 8, 12, 13, 15] {
        tails.push(format!("{}\n", " ".repeat(first)));
        for second in [0, 12, 14] {
            tails.push(format!("{}\n{}\n", " ".repeat(first), " ".repeat(second)));
        }
    }
    for header in ["|", "|-", "|+", ">+", "|2-", "|4 # c"] {
        for tail in &tails {
            for rest in ["", "        domain_name: 'D'\n", "# end\n"] {
                let before = format!(
                    "version: 1\njobs:\n  J1:\n    source:\n      password: 'x'\n      kerberos:\n        \
                     krb5_conf_file: {header}\n            [a]\n              b = 1\n{tail}{rest}"
                );
                let cut = before.strip_suffix('\n').unwrap().to_owned();
                for before in [before.replace('\n', "\r\n"), cut, before] {
                    for value in ["y", "y\n", "[z]\n  y", "[z]\n\n  y\n"] {
                        set(&before, "J1", Field::Krb5ConfFile, value);
                    }
                    set(&before, "J1", Field::UserPrincipal, "new");
                    set(&before, "J1/destination", Field::Password, "new");
                    removed(&before, "J1/source", Field::Krb5ConfFile);
                    removed(&before, "J1/source", Field::Password);
                }
            }
        }
    }
}

#[test]
fn keys_behind_a_question_mark_are_changed_like_others() {
    for (before, address, after) in [
        (
            "  J1:\n    ? source\n    : password: 'x'\n",
            "J1/source",
            "  J1: {}\n",
        ),
        (
            "  ? J1\n  : source: { password: 'x' }\n",
            "J1/source",
            "  ? J1\n  : {}\n",
        ),
        (
            "  ? J1 # one\n  # two\n  : source:\n      password: 'x' # gone\n    # four\n  J2: {}\n",
            "J1/source",
            "  ? J1 # one\n  # two\n  : {}\n    # four\n  J2: {}\n",
        ),
        (
            "  ? J1\n  :\n    source: { password: 'x' }\n",
            "J1/source",
            "  ? J1\n  : {}\n",
        ),
        (
            "  ? J1\n  : source: { password: 'x' }\n    destination: { password: 'y' }\n",
            "J1/source",
            "  ? J1\n  : destination: { password: 'y' }\n",
        ),
        (
            "  ? J1\n  : source: { password: 'x' }\n    destination: { password: 'y' }\n",
            "J1/destination",
            "  ? J1\n  : source: { password: 'x' }\n",
        ),
        (
            "  ? J1\n  : ? source\n    : password: |-\n        x\n    ? destination\n    : { password: 'y' }\n",
            "J1/source",
            "  ? J1\n  : ? destination\n    : { password: 'y' }\n",
        ),
        (
            "  ?\n    J1\n  : { ? source : { password: 'x' }, ? destination : { password: 'y' } }\n",
            "J1/destination",
            "  ?\n    J1\n  : { ? source : { password: 'x' } }\n",
        ),
        (
            "  J1:\n    ?\n      source\n    : { password: 'x' }\n    name: one\n",
            "J1/source",
            "  J1:\n    name: one\n",
        ),
    ] {
        let whole = |jobs: &str| format!("version: 1\njobs:\n{jobs}");
        check_removed(&whole(before), address, Field::Password, &whole(after));
        let before = whole(before);
        set(&before, address, Field::Password, "new");
        set(&before, "J1/destination", Field::Password, "new");
        set(&before, "J2/source", Field::Password, "new");
        set(&before, "@new", Field::Password, "new");
        set(&before, address, Field::DomainName, "new");
    }
    check(
        "? version\n: 1\n? jobs\n: ? J1\n  : source: { password: 'x' }\n",
        "J1/destination",
        "new",
        "? version\n: 1\n? jobs\n: ? J1\n  : source: { password: 'x' }\n    destination: { password: \"new\" }\n",
    );
    check(
        "version: 1\n? jobs\n: {}\n",
        "J1/source",
        "new",
        "version: 1\n? jobs\n: { J1: { source: { password: \"new\" } } }\n",
    );
}

#[test]
fn an_empty_list_of_jobs_is_changed_like_an_empty_map() {
    for jobs in [
        "jobs: []\n",
        "jobs: [] # none\n",
        "jobs: [ # none\n ]\n",
        "jobs:\n  []",
    ] {
        let before = format!("version: 1\n{jobs}");
        let made = set(&before, "@new", Field::Password, "new");
        assert!(made.ends_with(jobs), "{made}");
        let made = set(&before, "J1/source", Field::Password, "new");
        assert!(!made.contains('['), "{made}");
    }
}
