use super::*;
use crate::core::problem::{Problem, Severity};

mod canary;
mod schema;
pub mod sealing;
mod values;

const J1: &str = "25df459d-a37c-41b9-bc2b-8c00ba32jb52";
const J2: &str = "6513270e-269e-0d37-f2a7-4de452e6jbb4";

fn shown(problem: &Problem) -> String {
    let kind = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let at = match problem.at {
        Some(at) => format!(" {}:{}", at.line, at.column),
        None => String::new(),
    };
    format!("{kind}{at} {}: {}", problem.path, problem.what)
}

fn problems(text: &str) -> Vec<String> {
    let checked = parse(text, Sealing::Optional);
    let is_error = |p: &Problem| p.severity == Severity::Error;
    assert_eq!(
        checked.value.is_none(),
        checked.problems.iter().any(is_error),
        "{text}"
    );
    checked.problems.iter().map(shown).collect()
}

/// A manifest with these lines below the source of its only job.
fn source(lines: &str) -> String {
    let mut text = format!("version: 1\njobs:\n  {J1}:\n    source:\n");
    for line in lines.lines() {
        text.push_str("      ");
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn read(text: &str) -> Manifest {
    let checked = parse(text, Sealing::Optional);
    checked
        .value
        .unwrap_or_else(|| panic!("{:?}", checked.problems))
}

const FULL: &str = r#"
version: 1
credentials:
  orders-db: { password: "orders" }
jobs:
  6513270e-269e-0d37-f2a7-4de452e6jbb4:
    destination:
      kerberos:
        user_principal: "user@REALM"
        krb5_conf_file: |
          [libdefaults]
            default_realm = REALM
        key_tab_file: "BQIAAA=="
      password: 'second'
    source: { credential: orders-db }
    name: orders-cdc
  25df459d-a37c-41b9-bc2b-8c00ba32jb52:
    source: { credential: orders-db }
  "72904e81":
    destination: { credential: late }
"#;

#[test]
fn assignments_follow_the_document_and_a_source_comes_before_its_destination() {
    let late = format!("{FULL}\n").replace(
        "  orders-db: { password: \"orders\" }\n",
        "  orders-db: { password: \"orders\" }\n  late: { password: \"later\" }\n",
    );
    let manifest = read(&late);
    let all: Vec<_> = manifest
        .assignments()
        .iter()
        .map(|a| {
            (
                a.key.to_string(),
                a.label.as_str(),
                a.password.expose(),
                a.credential.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        all,
        [
            (
                format!("{J2}/source"),
                "orders-cdc/source",
                "orders",
                Some("orders-db")
            ),
            (
                format!("{J2}/destination"),
                "orders-cdc/destination",
                "second",
                None
            ),
            (
                format!("{J1}/source"),
                &*format!("{J1}/source"),
                "orders",
                Some("orders-db")
            ),
            (
                "72904e81/destination".to_owned(),
                "72904e81/destination",
                "later",
                Some("late")
            ),
        ]
    );
    let kerberos: Vec<_> = manifest.assignments()[1]
        .kerberos
        .iter()
        .map(|(field, value)| (*field, value.expose()))
        .collect();
    assert_eq!(
        kerberos,
        [
            (
                Field::Krb5ConfFile,
                "[libdefaults]\n  default_realm = REALM\n"
            ),
            (Field::KeyTabFile, "BQIAAA=="),
            (Field::UserPrincipal, "user@REALM"),
        ]
    );
    assert!(manifest.assignments()[0].kerberos.is_empty());
    let shared = |index: usize| Arc::as_ptr(&manifest.assignments()[index].password);
    assert_eq!(shared(0), shared(2), "one credential is one secret");
    assert_eq!(manifest.jobs().len(), 3);
    assert_eq!(manifest.jobs()[0].name.as_deref(), Some("orders-cdc"));
}

#[test]
fn credentials_may_be_defined_after_the_jobs_that_use_them() {
    let text = format!(
        "version: 1\njobs:\n  {J1}:\n    source: {{ credential: late }}\n\
         credentials:\n  late: {{ password: \"later\" }}\n"
    );
    assert_eq!(read(&text).assignments()[0].password.expose(), "later");
}

#[test]
fn the_same_document_with_other_line_ends_or_markers_means_the_same() {
    let text = source("password: \"pine\"\nkerberos:\n  krb5_conf_file: |\n    a\n    b");
    let crlf = text.replace('\n', "\r\n");
    let marked = format!("%YAML 1.2\n---\n{text}...\n# the end\n");
    for text in [text.clone(), crlf, marked, format!("\u{feff}{text}")] {
        let decoded = crate::core::yaml::decode(text.as_bytes()).expect("UTF-8");
        let manifest = read(decoded);
        let assignment = &manifest.assignments()[0];
        assert_eq!(assignment.password.expose(), "pine");
        assert_eq!(assignment.kerberos[0].1.expose(), "a\nb\n");
    }
}

#[test]
fn whole_documents_are_refused_or_warned_of() {
    let job = |line: &str| format!("version: 1\njobs:\n  {J1}:\n    {line}\n");
    for (text, expected) in [
        ("", "error : the file is empty"),
        ("# nothing\n", "error : the file is empty"),
        ("jobs: {}\n", "error version: is missing"),
        ("version: 1\n", "error jobs: is missing"),
        (
            "version: 2\njobs: {}\n",
            "error 1:10 version: unknown version of the format",
        ),
        (
            "version: \"1\"\njobs: {}\n",
            "error 1:10 version: is not a number",
        ),
        (
            "version: 1.0\njobs: {}\n",
            "error 1:10 version: is not a number",
        ),
        (
            "version: 01\njobs: {}\n",
            "error 1:10 version: is not a number",
        ),
        ("version: 1\njobs:\n", "error 2:5 jobs: has no value"),
        (
            "version: 1\njobs: []\n",
            "warning 2:7 jobs: is an empty list",
        ),
        (
            "version: 1\njobs: [a, {b: c}]\n",
            "error 2:7 jobs: is a list",
        ),
        (
            "version: 1\njobs: \"a\"\n",
            "error 2:7 jobs: is not a mapping",
        ),
        ("version: 1\njob: {}\njobs: {}\n", "error 2:1 : unknown key"),
        (
            "version: 1\njobs: {}\njobs: {}\n",
            "error 3:1 jobs: is repeated: line 2 and line 3",
        ),
        (
            "version: 1\ncredentials:\njobs: {}\n",
            "error 2:12 credentials: has no value",
        ),
        (
            "version: 1\nsealed: {}\njobs: {}\n",
            "error 2:1 sealed.fingerprint_key: is missing",
        ),
        (
            &job("source:"),
            "error 4:11 jobs.25df459d-a37c-41b9-bc2b-8c00ba32jb52.source: has no value",
        ),
        (
            &job("{}"),
            "warning 3:3 jobs.25df459d-a37c-41b9-bc2b-8c00ba32jb52: the job has no endpoint",
        ),
        (
            &job(""),
            "error 3:39 jobs.25df459d-a37c-41b9-bc2b-8c00ba32jb52: has no value",
        ),
        (
            &job("name: lonely"),
            "warning 3:3 jobs.25df459d-a37c-41b9-bc2b-8c00ba32jb52: the job has no endpoint",
        ),
        (
            &(job("name: lonely") + "  j2: {}\n"),
            "warning 3:3 jobs: 2 have no endpoint: lonely, jobs.#2",
        ),
    ] {
        let found = problems(text);
        assert_eq!(
            found.first().map(String::as_str),
            Some(expected),
            "{text}: {found:?}"
        );
    }
    assert_eq!(problems("version: 1\njobs: {}\n"), [""; 0]);
}

#[test]
fn ids_of_jobs_are_texts_of_their_usual_shape_or_doubted() {
    let job = |id: &str| format!("version: 1\njobs:\n  {id}:\n    source: {{ password: \"a\" }}\n");
    let number = "error 3:3 jobs.#1: the key can be read as a number, a date or a boolean";
    let unusual = "warning 3:3 jobs.#1: the job id has an unusual format";
    for (id, expected) in [
        (J1, &[][..]),
        ("72904e81", &[number, unusual]),
        ("1e400", &[number, "error 3:3 jobs.#1: invalid job id"][..1]),
        ("\"72904e81\"", &[unusual]),
        (
            "'J1 '",
            &["error 3:3 jobs.#1: a job id starts or ends with whitespace"],
        ),
        ("a/b", &["error 3:3 jobs.#1: invalid job id"]),
        ("\"\"", &["error 3:3 jobs.#1: invalid job id"]),
    ] {
        let found = problems(&job(id));
        for expected in expected {
            assert!(found.iter().any(|f| f == expected), "{id}: {found:?}");
        }
        assert_eq!(found.is_empty(), expected.is_empty(), "{id}: {found:?}");
    }
}

#[test]
fn a_job_listed_twice_is_refused_and_twice_in_other_letters_is_doubted() {
    let two = |first: &str, second: &str| {
        let job = |id: &str| format!("  {id}:\n    source: {{ password: \"a\" }}\n");
        format!("version: 1\njobs:\n{}{}", job(first), job(second))
    };
    assert_eq!(
        problems(&two(J1, J1)),
        [format!(
            "error 5:3 jobs.{J1}: is repeated: line 3 and line 5"
        )]
    );
    let upper = J1.to_uppercase();
    let found = problems(&two(J1, &upper));
    let expected = "warning 5:3 jobs: two job ids differ only in letter case: line 3 and line 5";
    assert!(found.iter().any(|f| f == expected), "{found:?}");
    let mixed = J1.replacen("df", "Df", 1);
    let found = problems(&two(&mixed, &upper));
    assert!(found.iter().any(|f| f == expected), "{found:?}");
}

#[test]
fn names_are_unique_and_cannot_be_taken_for_ids() {
    let two = |first: &str, second: &str| {
        format!(
            "version: 1\njobs:\n  {J1}:\n    name: {first}\n    source: {{ password: \"a\" }}\n  \
             plain-id:\n    name: {second}\n    source: {{ password: \"a\" }}\n"
        )
    };
    let long = "x".repeat(65);
    let not_a_name = format!("error 4:11 jobs.{J1}.name: invalid job name");
    for (first, second, expected) in [
        (
            "a",
            "a",
            "error 7:11 jobs.#2.name: two jobs have this name: line 4 and line 7".to_owned(),
        ),
        (
            J2,
            "b",
            format!("error 4:11 jobs.{J1}.name: the name looks like a job id"),
        ),
        (
            &J2.to_uppercase(),
            "b",
            format!("error 4:11 jobs.{J1}.name: the name looks like a job id"),
        ),
        (
            "plain-id",
            "b",
            "error 4:11 jobs.#1.name: the name is also a job id".to_owned(),
        ),
        ("-a", "b", not_a_name.clone()),
        ("a/b", "b", not_a_name.clone()),
        ("\"a b\"", "b", not_a_name.clone()),
        (&long, "b", not_a_name),
        (
            "1e5",
            "b",
            format!("error 4:11 jobs.{J1}.name: can be read as a number, a date or a boolean"),
        ),
        ("", "b", format!("error 4:9 jobs.{J1}.name: has no value")),
        (
            "[a]",
            "b",
            format!("error 4:11 jobs.{J1}.name: is not a string"),
        ),
    ] {
        let found = problems(&two(first, second));
        assert!(found.contains(&expected), "{first}: {found:?}");
    }
    assert_eq!(
        problems(&two("a", "A.b_c-1")).len(),
        1,
        "only the unusual id"
    );
}

#[test]
fn an_endpoint_has_one_password_from_one_place() {
    let path = format!("jobs.{J1}.source");
    for (lines, expected) in [
        (
            "{}",
            format!("error 4:5 {path}: has neither a password nor a credential"),
        ),
        (
            "password: \"a\"\ncredential: b",
            format!("error 4:5 {path}: has both a password and a credential"),
        ),
        (
            "credential: gone",
            format!("error 5:19 {path}.credential: the credential is not defined"),
        ),
        (
            "credential: \"a b\"",
            format!("error 5:19 {path}.credential: invalid credential name"),
        ),
        (
            "credential:",
            format!("error 5:17 {path}.credential: has no value"),
        ),
        (
            "credential: 1e5",
            format!("error 5:19 {path}.credential: can be read as a number, a date or a boolean"),
        ),
        (
            "password: \"a\"\npassword: \"b\"",
            format!("error 6:7 {path}.password: is repeated: line 5 and line 6"),
        ),
        (
            "<<: {password: \"a\"}",
            format!("error 5:7 {path}: merge keys are not supported"),
        ),
        ("passwort: \"a\"", format!("error 5:7 {path}: unknown key")),
        (
            "password: \"a\"\nkerberos: {}",
            format!("error 6:17 {path}.kerberos: has no fields"),
        ),
        (
            "password: \"a\"\nkerberos:",
            format!("error 6:15 {path}.kerberos: has no value"),
        ),
        (
            "password: \"a\"\nkerberos:\n  principal: \"b\"",
            format!("error 7:9 {path}.kerberos: unknown key"),
        ),
        ("- a", format!("error 5:7 {path}: is not a mapping")),
    ] {
        let found = problems(&source(lines));
        assert!(found.contains(&expected), "{lines}: {found:?}");
    }
    let twice = format!(
        "version: 1\njobs:\n  {J1}:\n    source: {{ password: \"a\" }}\n    source: {{ password: \"b\" }}\n"
    );
    assert_eq!(
        problems(&twice),
        [format!("error 5:5 {path}: is repeated: line 4 and line 5")]
    );
}

#[test]
fn what_was_not_read_causes_no_further_problems() {
    let used = format!("jobs:\n  {J1}:\n    source: {{ credential: b }}\n");
    let a = "credentials:\n  a: { password: \"x\" }\n";
    let b = "credentials:\n  b: { password: \"x\" }\n";
    for (text, expected) in [
        (
            format!("{a}{b}{used}"),
            "error 4:1 credentials: is repeated: line 2 and line 4".to_owned(),
        ),
        (
            format!("{b}{used}{used}"),
            "error 7:1 jobs: is repeated: line 4 and line 7".to_owned(),
        ),
        (
            format!("{}{used}", b.replace("credentials", "credential")),
            "error 2:1 : unknown key".to_owned(),
        ),
        (
            format!("credentials:\n{used}"),
            "error 2:12 credentials: has no value".to_owned(),
        ),
        (
            format!("credentials: [b]\n{used}"),
            "error 2:14 credentials: is not a mapping".to_owned(),
        ),
        (
            format!("{b}{}", used.replace("{ credential", "{ credentail")),
            format!("error 6:15 jobs.{J1}.source: unknown key"),
        ),
        (
            format!("jobs:\n  {J1}:\n    sourc: {{}}\n"),
            format!("error 4:5 jobs.{J1}: unknown key"),
        ),
    ] {
        let found = problems(&format!("version: 1\n{text}"));
        let errors: Vec<_> = found.iter().filter(|it| it.starts_with("error")).collect();
        assert_eq!(errors, [&expected], "{text}: {found:?}");
        assert!(!found.iter().any(|it| it.contains("has no endpoint")));
    }
}

#[test]
fn credentials_with_fields_are_named_and_warned_of_when_unused() {
    for (lines, expected) in [
        (
            "a: { password: \"x\" }",
            "warning 3:3 @a: no endpoint uses this credential",
        ),
        (
            "a: { password: \"x\" }\n  b: { password: \"y\" }\n  c: { password: \"z\" }",
            "warning 3:3 credentials: 3 are used by no endpoint: @a, @b, @c",
        ),
        (
            "a: { password: \"x\" }\n  b#Password: { password: \"y\" }",
            "warning 3:3 credentials: 2 are used by no endpoint: @a, credentials.#2",
        ),
        ("a: {}", "error 3:3 @a/password: is missing"),
        ("a:", "error 3:4 credentials.#1: has no value"),
        (
            "\"a b\": { password: \"x\" }",
            "error 3:3 credentials.#1: invalid credential name",
        ),
        ("a: { password: x }", "error 3:18 @a/password: is unquoted"),
        ("a: x", "error 3:6 credentials.#1: is not a mapping"),
        (
            "a.b: { password: \"x\" }\n  a.b: { password: \"y\" }",
            "error 4:3 @a.b: is repeated: line 3 and line 4",
        ),
    ] {
        let found = problems(&format!(
            "version: 1\ncredentials:\n  {lines}\njobs: {{}}\n"
        ));
        assert!(found.iter().any(|f| f == expected), "{lines}: {found:?}");
    }
}

#[test]
fn the_password_of_a_credential_is_named_as_one_says_it() {
    let text = "version: 1\ncredentials:\n  drs-192.0.2.10: { password: \"x \" }\njobs: {}\n";
    let problems = parse(text, Sealing::Optional).problems;
    let expected = "line 3, column 31: @drs-192.0.2.10: the password ends with a space, which is \
         sent as part of it";
    assert!(
        problems.iter().any(|found| found.to_string() == expected),
        "{problems:?}"
    );
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_text() {
    let text = format!(
        "version: 1\ncredentials:\n  db: {{ password: hunter2 }}\njobs:\n  {J1}:\n    source: {{ password: 0417 }}\n    \
         destination: {{ password: \"\", extra: 1 }}\n"
    );
    assert_eq!(
        problems(&text),
        [
            "warning 3:3 @db: no endpoint uses this credential".to_owned(),
            "error 3:19 @db/password: is unquoted".to_owned(),
            format!(
                "error 6:25 jobs.{J1}.source.password: is an unquoted number, which loses its leading zero"
            ),
            format!("error 7:30 jobs.{J1}.destination.password: is empty"),
            format!("error 7:34 jobs.{J1}.destination: unknown key"),
        ]
    );
}
