//! The `sealed` part: reading, replacing, inserting.

use proptest::prelude::*;

use super::{FULL, J1, problems, shown};
use crate::core::fingerprint::{FingerprintKey, Scope};
use crate::core::manifest::{Former, Manifest, Sealed, Sealing, parse, seal, skeleton};
use crate::core::place::SealedPlace;
use crate::core::state::Lineage;

pub fn sealed() -> Sealed {
    Sealed {
        fingerprint_key: FingerprintKey::new([7; 32]),
        scope: Scope {
            endpoint: "https://drs.eu-de.otc.t-systems.com".to_owned(),
            project_id: "054ba152d480d55b2f5dc0069e7ddef0".to_owned(),
        },
        auth_url: "https://iam.eu-de.otc.t-systems.com/v3".to_owned(),
        recipients: vec!["age1abc".to_owned(), "ssh-ed25519 AAAA me@host".to_owned()],
        state: SealedPlace::File("drspass.state.json".to_owned()),
        moved_from: None,
        index: true,
        revision: 7,
        written: "2026-11-29T14:03:22Z".parse().unwrap(),
        former: None,
    }
}

fn must_read(text: &str) -> Manifest {
    let checked = parse(text, Sealing::Required);
    let problems: Vec<_> = checked.problems.iter().map(shown).collect();
    checked.value.unwrap_or_else(|| panic!("{problems:?}"))
}

fn assert_is_ours(text: &str) {
    let (ours, read) = (sealed(), must_read(text).sealed.expect("a sealed part"));
    assert_eq!(read.fingerprint_key.id(), ours.fingerprint_key.id());
    assert_eq!(read.scope, ours.scope);
    assert_eq!(read.auth_url, ours.auth_url);
    assert_eq!(read.recipients, ours.recipients);
    assert_eq!(read.state, ours.state);
    assert_eq!(read.index, ours.index);
    assert_eq!(read.revision, ours.revision);
    assert_eq!(read.written, ours.written);
}

#[test]
fn the_former_key_is_read_as_it_was_written() {
    let former = Former {
        fingerprint_key: FingerprintKey::new([6; 32]),
        lineage: Lineage::new("lineage".to_owned()),
        serial: 41,
        state_sha256: "0123456789abcdef".repeat(4),
    };
    let ours = Sealed {
        former: Some(former.clone()),
        ..sealed()
    };
    let out = seal("version: 1\njobs: {}\n", &ours).unwrap();
    let read = must_read(&out).sealed.and_then(|sealed| sealed.former);
    let read = read.expect("the former key");
    assert_eq!(read.fingerprint_key.id(), former.fingerprint_key.id());
    assert_eq!(read.lineage, former.lineage);
    assert_eq!(read.serial, former.serial);
    assert_eq!(read.state_sha256, former.state_sha256);
    for (from, to) in [("41", "-1"), ("lineage: ", "line: ")] {
        let damaged = parse(&out.replacen(from, to, 1), Sealing::Required);
        assert!(damaged.value.is_none(), "{from}");
    }
}

#[test]
fn the_part_goes_after_the_version_and_nothing_else_moves() {
    for text in [
        "version: 1\njobs: {}\n",
        "# head\nversion: 1 # one\n\n# about\njobs: {}\n",
        "version: 1\r\njobs: {}\r\n",
        "jobs: {}\nversion: 1",
        "---\nversion: 1\njobs: {}\n...\n# end\n",
        "%YAML 1.2\n---\n  version: 1\n  jobs: {}\n",
        FULL.trim_start(),
    ] {
        // The last document uses a credential that it does not define.
        let text = text.replace("{ credential: late }", "{ password: \"x\" }");
        let out = seal(&text, &sealed()).unwrap_or_else(|p| panic!("{text}: {p:?}"));
        assert_is_ours(&out);
        let start = out.find("sealed:").expect("the part");
        let start = out[..start].rfind('\n').map_or(0, |at| at + 1);
        let end = start + out[start..].find("written: ").expect("the last line");
        let end = end + out[end..].find('\n').map_or(out.len() - end, |at| at + 1);
        let rest = [&out[..start], &out[end..]].concat();
        assert_eq!(rest.trim_end(), text.trim_end());
        let line_ends = out.matches('\n').count();
        let expected = if text.contains('\r') { line_ends } else { 0 };
        assert_eq!(
            out.matches("\r\n").count(),
            expected,
            "one kind of line ends"
        );
        let again = seal(&out, &sealed()).expect("sealed again");
        assert_eq!(*again, *out, "sealing twice changes nothing");
    }
}

#[test]
fn an_older_part_is_replaced_where_it_stands() {
    let tail = "\n# about the jobs\njobs: {}\n";
    for old in [
        "sealed: { revision: 1 } # old\n",
        "sealed:\n  revision: 1\n  recipients: [a, b]\n",
        "sealed:\n  recipients:\n  - a\n  # comment inside\n  - b\n",
        "sealed:\n",
        "\"sealed\": |\n  text\n",
        "sealed:\r\n  revision: 1\r\n",
    ] {
        let text = format!("version: 1\n# before\n{old}{tail}");
        let out = seal(&text, &sealed()).unwrap_or_else(|p| panic!("{text}: {p:?}"));
        assert_is_ours(&out);
        assert!(out.starts_with("version: 1\n# before\nsealed:"), "{}", *out);
        assert!(out.ends_with(tail), "{}", *out);
    }
}

#[test]
fn what_is_no_manifest_is_not_sealed() {
    for (text, expected) in [
        ("", "error : the file is empty"),
        ("jobs: {}\n", "error version: is missing"),
        (
            "{version: 1, jobs: {}}\n",
            "error : the document is a mapping in braces",
        ),
        (
            "version: 1\njobs: {}\n---\n",
            "error 3:1 : line 3 starts a second document",
        ),
        ("version: 1\n", "error jobs: is missing"),
    ] {
        let found = seal(text, &sealed())
            .map(|out| out.to_string())
            .expect_err(text);
        assert_eq!(
            found.first().map(shown).as_deref(),
            Some(expected),
            "{text}"
        );
    }
}

#[test]
fn the_first_manifest_reads_back_without_a_problem() {
    let text = skeleton(&sealed(), None);
    assert_is_ours(&text);
    assert_eq!(problems(&text), [""; 0]);
    let example = text
        .replace("jobs: {}\n", "")
        .replace("# credentials:", "credentials:")
        .replace("#   ", "   ")
        .replace("# jobs:", "jobs:")
        .replace("\"...\"", "\"canary\"");
    assert_eq!(
        must_read(&example).assignments().len(),
        2,
        "the example is right"
    );
}

#[test]
fn a_decrypted_manifest_must_be_sealed_completely() {
    let checked = parse("version: 1\njobs: {}\n", Sealing::Required);
    assert!(checked.value.is_none());
    assert_eq!(shown(&checked.problems[0]), "error sealed: is missing");
    assert!(checked.problems[0].help.contains("drspass encrypt"));
    let good = skeleton(&sealed(), None);
    for (from, to, expected) in [
        (
            "revision: 7",
            "revision: 0",
            "sealed.revision: must be 1 or more",
        ),
        (
            "revision: 7",
            "revision: \"7\"",
            "sealed.revision: is not a number",
        ),
        (
            "revision: 7",
            "revision: -7",
            "sealed.revision: is not a number",
        ),
        ("  revision: 7\n", "", "sealed.revision: is missing"),
        (
            "key: \"BwcH",
            "key: \"BwcHB",
            "sealed.fingerprint_key: is not 32 bytes in base64",
        ),
        (
            "key: \"BwcH",
            "key: plain # \"",
            "sealed.fingerprint_key: is unquoted and followed by a comment",
        ),
        (
            "com\"\n",
            "com/\"\n",
            "sealed.endpoint: was not written by drspass",
        ),
        (
            "\"054b",
            "\"../054b",
            "sealed.project_id: was not written by drspass",
        ),
        (
            "\"https://iam",
            "\"ftp://iam",
            "sealed.auth_url: was not written by drspass",
        ),
        ("\"age1abc\"", "[]", "sealed.recipients.#1: is not a string"),
        ("\"age1abc\"", "", "sealed.recipients.#1: has no value"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, *good);
        let found: Vec<_> = parse(&text, Sealing::Required)
            .problems
            .iter()
            .map(shown)
            .collect();
        assert!(
            found.iter().any(|f| f.ends_with(expected)),
            "{to}: {found:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sealed_part_reads_back(
        key in any::<[u8; 32]>(),
        recipients in proptest::collection::vec("[^\\x00]{1,20}", 1..4),
        revision in 1_u64..,
        comment in "[^\\x00-\\x1f\\x7f-\\x9f\u{feff}\u{fffe}\u{ffff}]{0,20}",
        password in "[ -~]{1,20}",
        line_end in prop_oneof![Just("\n"), Just("\r\n")],
    ) {
        let mut quoted = String::new();
        crate::core::yaml::quote(&password, &mut quoted);
        let text = format!("# {comment}\nversion: 1\njobs:\n  {J1}: # {comment}\n    source:\n      password: {quoted}\n")
            .replace('\n', line_end);
        prop_assume!(parse(&text, Sealing::Optional).value.is_some());
        let wanted = Sealed { fingerprint_key: FingerprintKey::new(key), recipients, revision, ..sealed() };
        let out = seal(&text, &wanted).expect("a manifest");
        let read = must_read(&out);
        prop_assert_eq!(read.assignments()[0].password.expose(), password);
        let read = read.sealed.expect("a sealed part");
        prop_assert_eq!(read.fingerprint_key.id(), wanted.fingerprint_key.id());
        prop_assert_eq!(read.recipients, wanted.recipients);
        prop_assert_eq!(read.revision, wanted.revision);
    }
}
