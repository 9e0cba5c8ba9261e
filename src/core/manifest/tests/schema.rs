//! The published schema says what the reader does, as far as a schema can.

use super::{FULL, parse, source};
use crate::core::manifest::Sealing;

#[test]
fn the_schema_agrees_with_the_reader() {
    let schema = include_str!("../../../../schemas/manifest.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let check = |text: &str| {
        let value: serde_json::Value = serde_yaml::from_str(text).expect("YAML");
        let is_read = parse(text, Sealing::Optional).value.is_some();
        assert_eq!(schema.is_valid(&value), is_read, "{text}");
    };
    check(&FULL.replace("{ credential: late }", "{ password: \"x\" }"));
    for text in [
        "version: 1\njobs: {}\n",
        "version: 1\njobs: []\n",
        "version: 1\njobs: [a]\n",
        "version: 2\njobs: {}\n",
        "version: \"1\"\njobs: {}\n",
        "version: 1\n",
        "jobs: {}\n",
        "version: 1\njobs: {}\nother: 1\n",
        "version: 1\njobs: {}\nsealed: {}\n",
        "version: 1\njobs: { a/b: {} }\n",
        "version: 1\njobs: { a: {} }\n",
        "version: 1\njobs: { a: { name: -b } }\n",
        "version: 1\njobs: { a: { name: 25df459d-a37c-41b9-bc2b-8c00ba32jb52 } }\n",
        "version: 1\njobs: {}\ncredentials: { a: {} }\n",
        "version: 1\njobs: {}\ncredentials: { a: { password: \"b\" } }\n",
        "version: 1\njobs: {}\ncredentials: { -a: { password: \"b\" } }\n",
    ] {
        check(text);
    }
    for lines in [
        "{}",
        "password: \"a\"",
        "password: \"\"",
        "password: \"***\"",
        "password: \"...\"",
        "password: \"\\u2026\"",
        "password: \"xxx\"",
        "password: \"xx\"",
        "password: \"Change_Me\"",
        "password: \"replace me\"",
        "password: \" TODO \"",
        "password: \"todo1\"",
        "password: \"<db password>\"",
        "password: \"<a1>\"",
        "password: \"[sensitive value]\"",
        "password: \"a\\0\"",
        "password: \"a\\n\"",
        "password: \"a\\nb\"",
        "password: 5",
        "password: \"a\"\ncredential: b",
        "password: \"a\"\nkerberos: {}",
        "password: \"a\"\nkerberos: { domain_name: \"D\" }",
        "password: \"a\"\nkerberos: { domain_name: \"D\\n\" }",
        "password: \"a\"\nkerberos: { krb5_conf_file: \"D\\n\" }",
        "password: \"a\"\nkerberos: { key_tab_file: \"BQIAAP8=\" }",
        "password: \"a\"\nkerberos: { key_tab_file: \"BQIAAP8\" }",
        "password: \"a\"\nkerberos: { key_tab_file: \"\\nBQIA\\nAP8=\\n\" }",
        "password: \"a\"\nkerberos:\n  key_tab_file: |\n    BQIAAP\n    8=",
        "password: \"a\"\nkerberos: { other: \"D\" }",
    ] {
        check(&source(lines));
    }
}
