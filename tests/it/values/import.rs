//! `import`: many values, all or none.

use std::fmt::Write as _;

use super::Desk;
use crate::support::{J1, J2, J3, J9};

fn document() -> String {
    format!(
        "version: 1\ncredentials:\n  orders-db: {{ password: 'canary-shared' }}\njobs:\n  {J1}:\n    \
         name: orders # kept\n    source: {{ credential: orders-db }}\n    destination: {{ password: \
         'canary-old' }}\n  {J2}:\n    source:\n      password: 'canary-same'\n"
    )
}

const SECRETS: &[&str] = &[
    "canary-shared",
    "canary-old",
    "canary-same",
    "canary-new",
    "canary-fresh",
];

fn desk() -> Desk {
    Desk::new(&document(), SECRETS)
}

#[test]
fn a_file_is_compared_first_and_written_when_asked() {
    let desk = desk();
    let before = desk.sealed();
    let csv = format!(
        "address,password\r\norders/destination,\"canary-new, \"\"x\"\"\"\r\n@orders-db,canary-new\r\n\
         {J2}/source,canary-same\r\n{J2}/destination,canary-fresh\r\n"
    );
    let file = desk.file("list.csv", csv);
    let run = desk.run(&["import", "--add", &file]).exits(0);
    let want = format!(
        "Import: 1 to add, 2 to change, 1 unchanged.\n  \
         ~ orders/destination                                 password\n  \
         ~ @orders-db                                         password, used by 1 endpoint\n  \
         = {J2}/source        password\n  + {J2}/destination   password\n"
    );
    assert_eq!(run.stdout, want);
    assert!(run.stderr.contains("--write"), "{}", run.stderr);
    assert_eq!(desk.sealed(), before);

    let run = desk.run(&["import", "--write", "--add", &file]).exits(0);
    let want = format!("{want}wrote passwords.yaml.age and passwords.index.yaml, revision 3\n");
    assert_eq!(run.stdout, want);
    assert!(run.stderr.contains("plain text"), "{}", run.stderr);
    let want = document()
        .replace("'canary-old'", "\"canary-new, \\\"x\\\"\"")
        .replace("'canary-shared'", "\"canary-new\"");
    let want = format!("{want}    destination:\n      password: \"canary-fresh\"\n");
    assert_eq!(desk.text(), want);

    let before = desk.sealed();
    desk.run(&["import", "--write", &file])
        .exits(0)
        .says("nothing to write");
    assert_eq!(desk.sealed(), before);
}

#[test]
fn json_is_read_too_and_names_fields() {
    let desk = desk();
    let json = format!(
        r#"{{"orders/destination": {{"kerberos.domain_name": "EXAMPLE", "password": "canary-new"}},
            "{J3}/source": {{"kerberos.user_principal": "u", "password": "canary-fresh"}}}}"#
    );
    let args = ["import", "-", "--write"];
    desk.fed(&args, json.as_bytes()).exits(1).says(
        "standard input: entry 2: the address matches no job"
            .replace("standard input: ", "")
            .as_str(),
    );
    desk.fed(&["import", "-", "--write", "--add"], json.as_bytes())
        .exits(0)
        .says("3 to add, 1 to change");
    let want = document().replace(
        "{ password: 'canary-old' }",
        "{ password: \"canary-new\", kerberos: { domain_name: \"EXAMPLE\" } }",
    );
    let want = format!(
        "{want}  {J3}:\n    source:\n      password: \"canary-fresh\"\n      kerberos:\n        \
         user_principal: \"u\"\n"
    );
    assert_eq!(desk.text(), want);
}

#[test]
fn every_problem_is_told_by_its_line_and_nothing_is_written() {
    let desk = desk();
    let before = desk.sealed();
    let csv = format!(
        "address,password,field\ncanary-new,x,\norders/source,canary-new,\norders/destination,canary-new,\n\
         {J1}/destination,canary-new,\n\"{J2}/source\",\"\",\n{J2}/source,x,canary-new\n{J9}/source,x,\n\
         {J2}/destination,X,kerberos.domain_name\n"
    );
    let file = desk.file("list", &csv);
    desk.run(&["import", "--write", &file])
        .exits(1)
        .says("line 7: has an unknown field");
    let csv = csv.replace(&format!("{J2}/source,x,canary-new\n"), "");
    let file = desk.file("list", csv);
    let run = desk.run(&["import", "--write", &file]).exits(1);
    let run = run
        .says("6 problems")
        .says("line 2: the address matches no job")
        .says("line 3: orders/source uses the credential orders-db")
        .says("line 5: is for the same place as line 4")
        .says("line 6: is empty")
        .says("line 7: the address matches no job")
        .says(&format!("line 8: {J2}/destination has no password yet"));
    assert_eq!(run.stdout, "");
    assert_eq!(desk.sealed(), before);
}

#[test]
fn values_of_a_file_are_told_of_without_the_words_of_yaml() {
    let desk = desk();
    let json = r#"{"orders/destination": "canary-new\n", "@fresh": "", "@other": "CHANGEME"}"#;
    let csv = "address,password\norders/destination,\"canary-new\n\"\n@fresh,\n@other,CHANGEME\n";
    for content in [json, csv] {
        let run = desk
            .fed(&["import", "--add", "-"], content.as_bytes())
            .exits(1)
            .says("ends with a line break Remove the line breaks at its end.")
            .says("is empty Provide the value itself.")
            .says("is a placeholder Provide the real value.");
        assert!(!run.stderr.contains("quotes"), "{}", run.stderr);
    }
    let json = r#"{"orders/destination": "'canary-new'"}"#;
    desk.fed(&["import", "-"], json.as_bytes())
        .exits(0)
        .says("entry 1: starts and ends with the same quote");
}

#[test]
fn a_file_of_another_form_is_refused_without_a_word_of_it() {
    let desk = desk();
    for (content, why) in [
        ("", "the file is empty"),
        ("address,password\n", "lists no values"),
        ("{}", "lists no values"),
        (
            "orders/destination,canary-new\n",
            "does not name the columns",
        ),
        (
            "address;password\norders;canary-new\n",
            "does not name the columns",
        ),
        (
            "address,password,canary-new\na,b,c\n",
            "the first line has an unknown or a repeated column",
        ),
        (
            "address,password\norders,canary-new,x\n",
            "line 2: does not have as many fields",
        ),
        (
            "address,password\norders,\"canary-new\norders,x\n",
            "is not closed",
        ),
        (
            "address,password\norders,can\"ary-new\n",
            "a field without quotes contains a quote",
        ),
        (
            "{\"canary-new\": 5}",
            "is not an object of addresses with strings",
        ),
        (
            "[\"canary-new\"]",
            "is not an object of addresses with strings",
        ),
        ("{\"canary-new\": \"x\"", "is not valid JSON"),
        (
            "{\"orders\": {\"canary-new\": \"x\"}}",
            "entry 1: has an unknown field",
        ),
    ] {
        desk.fed(&["import", "-", "--write"], content.as_bytes())
            .exits(1)
            .says(why);
    }
    // Where a value ends tells its length.
    let number = "{\n  \"orders/destination\": 1234567890\n}";
    let refused = desk.fed(&["import", "-"], number.as_bytes()).exits(1);
    let refused = refused.says("line 2: is not an object of addresses with strings");
    assert!(!refused.stderr.contains("column"), "{}", refused.stderr);
    let twice = "{\"orders/destination\": \"canary-new\", \"orders/destination\": \"canary-old\"}";
    desk.fed(&["import", "-"], twice.as_bytes())
        .exits(1)
        .says("entry 2: is for the same place as entry 1");
    let wide: Vec<u8> = "\u{feff}address"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    desk.fed(&["import", "-"], &wide).exits(1).says("UTF-16");
    desk.run(&["import", "missing.csv"])
        .exits(1)
        .says("cannot read missing.csv");
    desk.run(&["import", "a.csv", "canary-new"]).exits(64);
}

#[test]
fn ten_thousand_values_are_one_write() {
    let id = |number: usize| format!("{number:08x}-a37c-41b9-bc2b-8c00ba32jb52");
    let mut document = "version: 1\njobs:\n".to_owned();
    let mut csv = "address,password\n".to_owned();
    for number in 0..9_000 {
        let quotes = ["'canary-a'", "\"canary-a\"", "|-\n        canary-a"][number % 3];
        let _ = write!(
            document,
            "  # Job {number}.\n  {}:\n    name: job-{number}\n    source:\n      password: {quotes}\n",
            id(number)
        );
        let _ = writeln!(csv, "job-{number}/source,canary-b-{number}");
    }
    for number in 9_000..10_000 {
        let _ = writeln!(csv, "{}/destination,canary-b-{number}", id(number));
    }
    let desk = Desk::new(&document, &["canary-a", "canary-b"]);
    let file = desk.file("list.csv", csv);
    desk.run(&["import", "--write", "--add", &file])
        .exits(0)
        .says("1000 to add, 9000 to change, 0 unchanged");
    let text = desk.text();
    assert_eq!(text.matches("canary-a").count(), 0);
    assert_eq!(text.matches("canary-b").count(), 10_000);
    assert_eq!(text.matches("  # Job ").count(), 9_000);
    desk.run(&["import", "--write", &file])
        .exits(0)
        .says("10000 unchanged");
    desk.lab.run(&["validate"]).exits(0).says("10000 entries");
}
