use proptest::prelude::*;

use super::*;
use crate::core::manifest::tests::sealing;
use crate::core::manifest::{self, Sealing};
use crate::core::place::{SealedPlace, state_path};

const EU: &str = "https://drs.eu-de.otc.t-systems.com";

fn sealed() -> Sealed {
    Sealed {
        recipients: vec!["age1abc".to_owned(), "ssh-ed25519 AAAA jürgen".to_owned()],
        revision: 8,
        written: "2026-11-29T14:03:22.75Z".parse().unwrap(),
        ..sealing::sealed()
    }
}

fn of(text: &str, sealed: &Sealed) -> String {
    let manifest = manifest::parse(text, Sealing::Optional).value.expect(text);
    render(&manifest, sealed, &ManifestDigest::new(&[0xab; 32]))
}

const MANIFEST: &str = r#"
version: 1
# canary-comment
credentials:
  orders-db: { password: "canary-1" }
jobs:
  25df459d-a37c-41b9-bc2b-8c00ba32jb52:
    name: orders-cdc
    source: { credential: orders-db }
    destination:
      kerberos: { key_tab_file: "BQIA AAA=" }
      password: "canary-2"
  "0017":
    destination: { password: 'canary-1' }
    source: { password: 'canary-1' }
  "-": {}
"#;

/// The tags and the key id were computed with the hmac module of Python.
const INDEX: &str = r#"# Written by drspass whenever it writes the manifest, whose names it lists without passwords.
# A tag shows only that a password changed, or that a former one came back. Do not edit.
format: drspass.index/1
manifest: { sha256: "abababababababababababababababababababababababababababababababab", revision: 8, written: "2026-11-29T14:03:22Z", key_id: "33ac4d7bbe37b7f408cd24566880a8fb" }
target:
  endpoint: https://drs.eu-de.otc.t-systems.com
  project_id: "054ba152d480d55b2f5dc0069e7ddef0"
  auth_url: https://iam.eu-de.otc.t-systems.com/v3
  state: drspass.state.json
recipients:
  - "age1abc"
  - "ssh-ed25519 AAAA j\U000000fcrgen"
credentials:
  orders-db: { password: "3cc3ca7794f797a0" }
jobs:
  25df459d-a37c-41b9-bc2b-8c00ba32jb52:
    name: orders-cdc
    source: { credential: orders-db }
    destination:
      password: "14d3157f81181fcf"
      kerberos.key_tab_file: "896199ba3cc7f404"
  "0017":
    source: { password: "293831f9e548e362" }
    destination: { password: "6c20dbcd836908c8" }
  "-": {}
"#;

#[test]
fn an_index_is_the_manifest_with_a_tag_for_each_secret() {
    assert_eq!(of(MANIFEST, &sealed()), INDEX);
    let empty = of("version: 1\njobs: {}\n", &sealed());
    assert!(empty.ends_with("rgen\"\njobs: {}\n"), "{empty}");
}

#[test]
fn an_index_starts_with_the_lines_that_name_its_manifest() {
    let head = IndexHead::of(&sealed(), &ManifestDigest::new(&[0xab; 32]));
    assert!(INDEX.starts_with(&head.start()));
    assert_eq!(parse(INDEX.as_bytes()), Ok(head));
}

#[test]
fn only_the_form_that_drspass_writes_is_an_index() {
    let after = |line: &str, more: &str| INDEX.replace(line, &format!("{line}{more}"));
    for (text, line) in [
        (String::new(), 1),
        ("jobs: {}\n".to_owned(), 1),
        (INDEX.replace('\n', "\r\n"), 1),
        (format!("\u{feff}{INDEX}"), 1),
        (format!("# A note.\n{INDEX}"), 1),
        (INDEX.replacen("# Written", "# Edited", 1), 1),
        (INDEX.replace("index/1", "index/2"), 3),
        (INDEX.replace("revision: 8", "revision: 08"), 4),
        (INDEX.replace("22Z", "22.0Z"), 4),
        (INDEX.replace("22Z", "22+00:00"), 4),
        (INDEX.replace("\"33ac", "\"33AC"), 4),
        (INDEX.replace(EU, "https://drs.eu-de.otc.t-systems.com "), 6),
        (INDEX.replace("drs.eu", "drs.\u{435}u"), 6),
        (INDEX.replace("\"054", "\"\\x3054"), 7),
        (INDEX.replace("\\U000000fc", "ü"), 12),
        (after("orders-db:", "  "), 14),
        (INDEX.replace("orders-db:", "\"orders-db\":"), 14),
        (after("jobs:\n", "  # reviewed\n"), 16),
        (after("jobs:\n", "\n"), 16),
        (
            INDEX.replace("name: orders-cdc", "name: orders-cdc # ok"),
            17,
        ),
        (
            INDEX.replace("name: orders-cdc", "name: \"orders\u{202e}cdc\""),
            17,
        ),
        (INDEX.replace("name: orders-cdc", "name: a b"), 17),
        (after("    name: orders-cdc\n", "    name: other\n"), 18),
        (
            INDEX.replace(
                "{ credential: orders-db }",
                "{ credential: orders-db, password: \"14d3157f81181fcf\" }",
            ),
            18,
        ),
        (INDEX.replace("14d3157f81181fcf", "14d3157f81181fc"), 20),
        (
            INDEX.replace("\"14d3157f81181fcf\"", "\"canary-password\""),
            20,
        ),
        (
            INDEX.replace("  \"0017\":\n", "  25df459d-a37c-41b9-bc2b-8c00ba32jb52:\n"),
            22,
        ),
        (INDEX.replace("\"0017\"", "0017"), 22),
        (INDEX.trim_end().to_owned(), 26),
        (format!("{INDEX}\n"), 27),
        (format!("{INDEX}---\n"), 26),
        (format!("{INDEX}extra: 1\n"), 26),
    ] {
        assert_eq!(parse(text.as_bytes()), Err(line), "{text}");
    }
    // The target after the recipients.
    let (before, rest) = INDEX.split_once("target:\n").unwrap();
    let (target, rest) = rest.split_once("recipients:\n").unwrap();
    let (recipients, rest) = rest.split_once("credentials:\n").unwrap();
    let moved = format!("{before}recipients:\n{recipients}target:\n{target}credentials:\n{rest}");
    assert!(parse(moved.as_bytes()).is_err());
    let long = INDEX.replace("orders-cdc", &"x".repeat(10 << 20));
    assert_eq!(parse(long.as_bytes()), Err(17));
}

fn written(text: &str) -> String {
    let mut out = String::new();
    quote(text, &mut out);
    out
}

proptest! {
    #[test]
    fn every_manifest_has_an_index_that_parses_and_does_not_contain_its_passwords(
        names in prop::collection::btree_set("[A-Za-z0-9][A-Za-z0-9._-]{0,9}", 0..4),
        ids in prop::collection::btree_set("[A-Za-z0-9-]{1,12}", 0..5),
        password in "canary-[!-~]{3,20}",
        comment in "\\PC{0,12}",
        state in "[a-zé ._-]{0,8}[a-z]\\.json",
    ) {
        let mut text = "version: 1\ncredentials:\n".to_owned();
        if names.is_empty() {
            text = "version: 1\n".to_owned();
        }
        for name in &names {
            text.push_str(&format!("  {}: {{ password: {} }}\n", written(name), written(&password)));
        }
        text.push_str(if ids.is_empty() { "jobs: {}\n" } else { "jobs:\n" });
        for (id, name) in ids.iter().zip(names.iter().cycle().map(Some).chain(std::iter::repeat(None))) {
            let source = match name {
                Some(name) => format!("credential: {}", written(name)),
                None => format!("password: {}", written(&password)),
            };
            text.push_str(&format!("  {}:\n    source: {{ {source} }}\n", written(id)));
        }
        let sealed = Sealed {
            recipients: vec![format!("ssh-ed25519 AAAA {comment}")],
            state: SealedPlace::File(state),
            ..sealed()
        };
        prop_assume!(state_path(&sealed.state.name()).is_ok());
        prop_assume!(manifest::parse(&text, Sealing::Optional).value.is_some());
        let index = of(&text, &sealed);
        prop_assert!(!index.contains(&password));
        prop_assert!(index.is_ascii());
        let head = IndexHead::of(&sealed, &ManifestDigest::new(&[0xab; 32]));
        prop_assert_eq!(parse(index.as_bytes()), Ok(head));
    }
}
