use std::path::Path;

use super::*;
use crate::core::problem::{Problem, Severity};
use crate::core::recipients::recipient_key;

const SMALLEST: &str = "version: 1
recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
target: { region: eu-de, project_id: p1 }
";

fn shown(problem: &Problem) -> String {
    assert_eq!(problem.severity, Severity::Error);
    let at = match problem.at {
        Some(at) => format!("{}:{} ", at.line, at.column),
        None => String::new(),
    };
    format!("{at}{}: {}", problem.path, problem.what)
}

fn problems(text: &str) -> Vec<String> {
    let checked = parse(text);
    assert_eq!(
        checked.value.is_none(),
        !checked.problems.is_empty(),
        "{text}"
    );
    checked.problems.iter().map(shown).collect()
}

fn read(text: &str) -> Config {
    let checked = parse(text);
    checked
        .value
        .unwrap_or_else(|| panic!("{:?}", checked.problems))
}

#[test]
fn the_smallest_configuration_has_the_documented_defaults() {
    let config = read(SMALLEST);
    assert_eq!(config.manifest, Path::new("passwords.yaml.age"));
    assert_eq!(config.state, Place::File("drspass.state.json".into()));
    assert_eq!(
        config.recipients,
        ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]
    );
    assert_eq!(config.target.region.as_deref(), Some("eu-de"));
    assert_eq!(config.apply.batch_size, 10);
    assert_eq!(config.apply.parallelism, 4);
    assert_eq!(config.apply.request_timeout, Duration::from_secs(60));
    assert_eq!(config.apply.retry_max_elapsed, Duration::from_secs(300));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.credentials_from, None);
}

#[test]
fn every_field_is_read() {
    let config = read(
        "version: 1
manifest: secrets/passwords.yaml.age
state: ./state/drspass.json
recipients:
  - age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
  - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN me@host # a comment
  - \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG9afqOqvY32A/QonAfTSzqeJ5WGYWKpttdLbHD7EJLT\"
target:
  project_id: \"054ba152d480d55b2f5dc0069e7ddef0\"
  endpoint: https://drs.example.org
  auth_url: https://iam.example.org/v3
credentials_from: otc
apply:
  batch_size: 1
  parallelism: 32
  request_timeout: 500ms
  retry: { max_elapsed: 1h }
limits:
  max_changes: 0
  max_changed_share: 20%
",
    );
    assert_eq!(config.manifest, Path::new("secrets/passwords.yaml.age"));
    assert_eq!(
        config.recipients[1],
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN me@host"
    );
    assert_eq!(
        config.target.endpoint.as_deref(),
        Some("https://drs.example.org")
    );
    assert_eq!(config.credentials_from.as_deref(), Some("otc"));
    assert_eq!(config.apply.batch_size, 1);
    assert_eq!(config.apply.request_timeout, Duration::from_millis(500));
    assert_eq!(config.apply.retry_max_elapsed, Duration::from_secs(3600));
    assert_eq!(config.limits.max_changes, Some(0));
    let share = config.limits.max_changed_share.expect("a share");
    assert_eq!(share.get(), 20);
    assert!(share.covers(1, 5) && !share.covers(2, 9) && share.covers(0, 0));
}

#[test]
fn wrong_values_are_refused_with_their_place() {
    for (line, expected) in [
        (
            "manifest: /etc/passwords",
            "4:11 manifest: is not relative to the directory of drspass.yaml",
        ),
        (
            "manifest: ~/passwords",
            "4:11 manifest: is not relative to the directory of drspass.yaml",
        ),
        (
            "manifest: 'C:\\p'",
            "4:11 manifest: is not relative to the directory of drspass.yaml",
        ),
        (
            "manifest: ../passwords",
            "4:11 manifest: is outside the directory of drspass.yaml",
        ),
        (
            "manifest: a/../../p",
            "4:11 manifest: is outside the directory of drspass.yaml",
        ),
        ("manifest: a/", "4:11 manifest: does not name a file"),
        ("manifest: .", "4:11 manifest: does not name a file"),
        ("manifest: \"\"", "4:11 manifest: is empty"),
        (
            "manifest: \"a\\0b\"",
            "4:11 manifest: contains a control character or an invisible one",
        ),
        ("manifest:", "4:9 manifest: has no value"),
        (
            "manifest: both.json\nstate: both.json",
            "5:1 state: is the path of the manifest",
        ),
        (
            "state: poetry",
            "4:8 state: is not a valid name for the state file",
        ),
        (
            "state: package.json",
            "4:8 state: is not a valid name for the state file",
        ),
        (
            "state: .git/x.json",
            "4:8 state: is inside the .git directory",
        ),
        (
            "credentials_from: [a]",
            "4:19 credentials_from: is not a string",
        ),
        (
            "apply: { batch_size: 0 }",
            "4:22 apply.batch_size: is not between 1 and 100",
        ),
        (
            "apply: { batch_size: 101 }",
            "4:22 apply.batch_size: is not between 1 and 100",
        ),
        (
            "apply: { batch_size: \"10\" }",
            "4:22 apply.batch_size: is not a number",
        ),
        (
            "apply: { parallelism: 33 }",
            "4:23 apply.parallelism: is not between 1 and 32",
        ),
        (
            "apply: { request_timeout: 60 }",
            "4:27 apply.request_timeout: is not a duration",
        ),
        (
            "apply: { request_timeout: 0s }",
            "4:27 apply.request_timeout: is not a duration",
        ),
        (
            "apply: { request_timeout: 25h }",
            "4:27 apply.request_timeout: is not a duration",
        ),
        (
            "apply: { retry: { max_elapsed: -5m } }",
            "4:32 apply.retry.max_elapsed: is not a duration",
        ),
        ("apply: { retry: 5m }", "4:17 apply.retry: is not a mapping"),
        ("apply:", "4:6 apply: is not a mapping"),
        (
            "limits: { max_changes: many }",
            "4:24 limits.max_changes: is not a number",
        ),
        (
            "limits: { max_changed_share: 0.2 }",
            "4:30 limits.max_changed_share: is not a percentage",
        ),
        (
            "limits: { max_changed_share: 101% }",
            "4:30 limits.max_changed_share: is not a percentage",
        ),
        ("aply: {}", "4:1 : unknown key"),
        ("version: 1", "4:1 version: is repeated: line 1 and line 4"),
    ] {
        assert_eq!(
            problems(&format!("{SMALLEST}{line}\n")),
            [expected],
            "{line}"
        );
    }
}

#[test]
fn the_target_is_literal_and_complete() {
    for (target, expected) in [
        ("{ region: eu-de }", "2:1 target.project_id: is missing"),
        ("{ project_id: p1 }", "2:1 target.region: is missing"),
        (
            "{ project_id: p1, endpoint: https://a }",
            "2:1 target.region: is missing",
        ),
        (
            "{ region: eu-de, project_id: \"\" }",
            "2:38 target.project_id: is empty",
        ),
        (
            "{ region: eu-de, project_id: \" \" }",
            "2:38 target.project_id: is not a valid project id",
        ),
        (
            "{ region: eu-de, project_id: a/b }",
            "2:38 target.project_id: is not a valid project id",
        ),
        (
            "{ region: eu-de, project_id: .. }",
            "2:38 target.project_id: is not a valid project id",
        ),
        (
            "{ region: eu-de, project_id: a?b }",
            "2:38 target.project_id: is not a valid project id",
        ),
        (
            "{ region: eu-de, project_id: a#b }",
            "2:38 target.project_id: is not a valid project id",
        ),
        (
            "{ region: eu-de, project_id: \"%41\" }",
            "2:38 target.project_id: is not a valid project id",
        ),
        (
            "{ region: eu-de, project_id: 1e5 }",
            "2:38 target.project_id: can be read as a number, a date or a boolean",
        ),
        (
            "{ region: eu-de, project_id: \"${P}\" }",
            "2:38 target.project_id: is not a literal value",
        ),
        (
            "{ region: $(r), project_id: p1 }",
            "2:19 target.region: is not a literal value",
        ),
        (
            "{ region: eu de, project_id: p1 }",
            "2:19 target.region: is not a valid region",
        ),
        (
            "{ region: r, project_id: p1, endpoint: drs }",
            "2:48 target.endpoint: is not a service address",
        ),
        (
            "{ region: r, project_id: p1, auth_url: \"https://u@h\" }",
            "2:48 target.auth_url: is not a service address",
        ),
        ("eu-de", "2:9 target: is not a mapping"),
    ] {
        let text = format!(
            "version: 1\ntarget: {target}\nrecipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]\n"
        );
        assert_eq!(problems(&text), [expected], "{target}");
    }
}

#[test]
fn recipients_are_keys_that_can_be_encrypted_to_and_stand_once() {
    let head = "version: 1\ntarget: { region: eu-de, project_id: p1 }\nrecipients:";
    for (list, expected) in [
        ("", "3:11 recipients: is not a list"),
        (
            " age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
            "3:13 recipients: is not a list",
        ),
        (" []", "3:13 recipients: is an empty list"),
        (
            "\n- ecdsa-sha2-nistp256 AAAA",
            "4:3 recipients.#1: is an ecdsa key, which age cannot encrypt to",
        ),
        (
            "\n- age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n- sk-ssh-ed25519@openssh.com AAAA",
            "5:3 recipients.#2: is a security key, which age cannot encrypt to",
        ),
        (
            "\n- ssh-dss AAAA",
            "4:3 recipients.#1: is a DSA key, which age cannot encrypt to",
        ),
        (
            "\n- ssh-ed25519",
            "4:3 recipients.#1: is an ssh key type without a key",
        ),
        (
            "\n- AGE-SECRET-KEY-1ABC",
            "4:3 recipients.#1: is a private key, which must not be listed here",
        ),
        (
            "\n- someone",
            "4:3 recipients.#1: is of an unsupported type",
        ),
        (
            "\n- \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p \"",
            "4:3 recipients.#1: starts or ends with whitespace",
        ),
        (
            "\n- age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n- age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
            "5:3 recipients.#2: is listed twice: line 4 and line 5",
        ),
        (
            "\n- ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN one\n- ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN two",
            "5:3 recipients.#2: is listed twice: line 4 and line 5",
        ),
        ("\n- { a: b }", "4:3 recipients.#1: is not a string"),
    ] {
        assert_eq!(problems(&format!("{head}{list}\n")), [expected], "{list}");
    }
    assert_eq!(recipient_key("ssh-rsa  AAAA me@host"), "ssh-rsa AAAA");
    assert_eq!(recipient_key("age1abc"), "age1abc");
}

#[test]
fn all_problems_come_at_once() {
    let found = problems("manifets: a\ntarget: {}\napply: { batch_size: 0, x: 1 }\n");
    assert_eq!(
        found,
        [
            "1:1 : unknown key",
            "2:1 target.project_id: is missing",
            "2:1 target.region: is missing",
            "3:22 apply.batch_size: is not between 1 and 100",
            "3:25 apply: unknown key",
            "version: is missing",
            "recipients: is missing",
        ]
    );
    assert_eq!(problems(""), [": the file is empty"]);
}

#[test]
fn a_new_configuration_reads_back() {
    let recipients = [
        "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p".to_owned(),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN \"me\" # \\".to_owned(),
    ];
    for (region, endpoint, auth_url) in [
        (Some("eu-de"), None, None),
        (
            None,
            Some("https://drs.example.org"),
            Some("https://iam.example.org/v3"),
        ),
    ] {
        let target = TargetConfig {
            region: region.map(str::to_owned),
            project_id: "054ba152d480d55b2f5dc0069e7ddef0".to_owned(),
            endpoint: endpoint.map(str::to_owned),
            auth_url: auth_url.map(str::to_owned),
        };
        let text = template(&target, &recipients, &Place::File(DEFAULT_STATE.into()));
        let config = read(&text);
        assert_eq!(config.target, target);
        assert_eq!(config.recipients, recipients);
        let without_mark = |line: &str| {
            let example = line.strip_prefix("# ").filter(|rest| {
                let key = rest.trim_start().split(':').next().unwrap_or_default();
                rest.contains(':') && key.bytes().all(|b| b == b'_' || b.is_ascii_lowercase())
            });
            format!("{}\n", example.unwrap_or(line))
        };
        let examples: String = text.lines().map(without_mark).collect();
        let config = read(&examples);
        assert_eq!(config.apply, ApplyConfig::default());
        assert_eq!(config.limits.max_changes, Some(100));
    }
}

#[test]
fn the_schema_agrees_with_the_reader() {
    let schema = include_str!("../../../schemas/config.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let is_valid = |text: &str| {
        let value: serde_json::Value = serde_yaml::from_str(text).expect("YAML");
        schema.is_valid(&value)
    };
    for line in [
        "",
        "manifest: a/b",
        "manifest: /a",
        "manifest: a/../b",
        "manifest: a/",
        "manifest: ..a",
        "state: .hidden",
        "state: .hidden.json",
        "apply: {}",
        "apply: { batch_size: 0 }",
        "apply: { batch_size: 100 }",
        "apply: { parallelism: 33 }",
        "apply: { request_timeout: 5m }",
        "apply: { request_timeout: 5 }",
        "apply: { request_timeout: 0s }",
        "apply: { retry: { max_elapsed: 1h } }",
        "apply: { x: 1 }",
        "limits: { max_changes: 5 }",
        "limits: { max_changes: -5 }",
        "limits: { max_changed_share: 20% }",
        "limits: { max_changed_share: 120% }",
        "limits: { max_changed_share: 0.2 }",
        "other: 1",
        "credentials_from: otc",
        "credentials_from: \"\"",
    ] {
        let text = format!("{SMALLEST}{line}\n");
        assert_eq!(is_valid(&text), parse(&text).value.is_some(), "{line}");
    }
    for (recipients, target) in [
        (
            "[age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p, ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN me]",
            "{ region: eu-de, project_id: p1 }",
        ),
        ("[]", "{ region: eu-de, project_id: p1 }"),
        ("[ssh-rsa]", "{ region: eu-de, project_id: p1 }"),
        (
            "[ecdsa-sha2-nistp256 AAAA]",
            "{ region: eu-de, project_id: p1 }",
        ),
        (
            "[age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p, age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]",
            "{ region: eu-de, project_id: p1 }",
        ),
        (
            "[age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]",
            "{ project_id: p1 }",
        ),
        (
            "[age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]",
            "{ project_id: p1, endpoint: https://a }",
        ),
        (
            "[age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]",
            "{ project_id: p1, endpoint: https://a, auth_url: https://b/v3 }",
        ),
        (
            "[age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]",
            "{ region: eu-de, project_id: a/b }",
        ),
        (
            "[age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]",
            "{ region: eu-de, project_id: p1, endpoint: drs }",
        ),
    ] {
        let text = format!("version: 1\nrecipients: {recipients}\ntarget: {target}\n");
        assert_eq!(is_valid(&text), parse(&text).value.is_some(), "{text}");
    }
}
