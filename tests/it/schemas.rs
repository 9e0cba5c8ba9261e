//! The JSON Schemas of what people write, as an editor uses them: they take what the
//! program takes, refuse what it refuses as far as a schema can say it, and have words
//! for every field.

mod branch;
mod scenario;

use std::fs;
use std::path::Path;

use drspass::core::config;
use drspass::core::manifest::{self, Sealing};
use serde_json::Value;

use crate::support::schema::{assert_closed, assert_fits, schema};
use crate::support::{J1, Lab};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect(name)
}

fn json(yaml: &str) -> Value {
    serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

fn is_config(text: &str) -> bool {
    config::parse(text).value.is_some()
}

fn is_manifest(text: &str) -> bool {
    manifest::parse(text, Sealing::Optional).value.is_some()
}

#[test]
fn every_configuration_and_manifest_of_the_repository_fits() {
    let mut lab = Lab::new();
    lab.plant(&["canary-1"]);
    let mut configs = vec![read("examples/drspass.yaml"), lab.read("drspass.yaml")];
    let mut manifests = vec![
        read("examples/manifest.yaml"),
        lab.run(&["decrypt"]).exits(0).stdout,
    ];
    lab.manifest(&format!(
        "  {J1}:\n    source: {{ password: 'canary-1' }}\n"
    ))
    .exits(0);
    manifests.push(lab.run(&["decrypt"]).exits(0).stdout);
    let repository = root().join("examples/infra-repo/envs");
    for entry in fs::read_dir(repository).unwrap() {
        let folder = entry.unwrap().path();
        configs.push(fs::read_to_string(folder.join("drspass.yaml")).unwrap());
        let mut command = lab.command(&["-i", "../../keys/THROW-AWAY-KEY.txt", "decrypt"]);
        command.current_dir(folder).env_remove("DRSPASS_IDENTITY");
        manifests.push(lab.run_command(command).exits(0).stdout);
    }
    assert_eq!((configs.len(), manifests.len()), (4, 5));
    // A block of the tutorial may be a part of either.
    let mut blocks = 0;
    for block in read("docs/tutorial.md").split("```yaml\n").skip(1) {
        let block = block.split("```").next().unwrap();
        if block.starts_with("jobs:") {
            manifests.push(format!("version: 1\n{block}"));
            blocks += 1;
        }
    }
    assert!(blocks > 0);
    let schema_of_configs = schema("config");
    for text in &configs {
        assert!(is_config(text), "{text}");
        assert_fits(&schema_of_configs, &json(text));
        assert_closed(&schema_of_configs, &json(text));
    }
    let schema_of_manifests = schema("manifest");
    for text in &manifests {
        assert!(is_manifest(text), "{text}");
        assert_fits(&schema_of_manifests, &json(text));
    }
}

const CONFIG: &str =
    "version: 1\nrecipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]\n";
const TARGET: &str = "target: { region: eu-de, project_id: p1 }\n";

#[test]
fn the_schema_of_the_configuration_agrees_with_the_program() {
    let schema = schema("config");
    let check = |text: &str| {
        let expected = is_config(text);
        assert_eq!(schema.is_valid(&json(text)), expected, "{text}");
        expected
    };
    let mut taken = 0;
    for line in [
        "manifest: secrets/a b.age",
        "manifest: ./a.age",
        "manifest: .git/a.age",
        "manifest: a/.GIT/b",
        "manifest: .gitty/a",
        "manifest: \"C:a\"",
        "manifest: \"\\x85a\"",
        "manifest: 'a\\..\\b'",
        "manifest: [a]",
        "state: package.json",
        "state: a/composer.json",
        "state: a/my-package.json",
        "state: a.JSON",
        "credentials_from: rotation",
        "credentials_from: {}",
        "apply: []",
        "apply: { batch_size: 1 }",
        "apply: { batch_size: 101 }",
        "apply: { batch_size: -1 }",
        "apply: { batch_size: 1.5 }",
        "apply: { parallelism: 0 }",
        "apply: { retry: {} }",
        "apply: { retry: { max_elapsed: 1d } }",
        "apply: { request_timeout: 00ms }",
        "limits: { max_changes: 0 }",
        "limits: { max_changes: \"5\" }",
        "limits: { max_changed_share: 0% }",
        "limits: { max_changed_share: 100% }",
        "limits: { max_changed_share: 101% }",
        "limits: { max_changed_share: 000% }",
        "limits: { max_changed_share: 0100% }",
        "limits: { other: 1 }",
        "Version: 1",
        "password: x",
    ] {
        taken += usize::from(check(&format!("{CONFIG}{TARGET}{line}\n")));
    }
    let fields = "version: 1\n".to_owned() + TARGET;
    for recipients in [
        "[age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]",
        "[age1stub1d4skgefdw4cqphmwgx, age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]",
        "[age1pq1abc]",
        "[\"age1é\"]",
        "[\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p me\"]",
        "[\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p \"]",
        "[AGE-SECRET-KEY-1ABC]",
        "[AGE1ABC]",
        "[ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN]",
        "[\"ssh-ed25519  AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN  me@host, at home\"]",
        "[\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN é\"]",
        "[\"ssh-rsa \"]",
        "[ssh-rsa]",
        "[ssh-dss AAAA]",
        "[sk-ssh-ed25519@openssh.com AAAA]",
        "[ecdsa-sha2-nistp256 AAAA]",
        "[\"ssh-rsa A\\nB\"]",
        "[\"\"]",
        "[5]",
        "[age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p, age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]",
        "[]",
        "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
        "{ a: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p }",
    ] {
        taken += usize::from(check(&format!("{fields}recipients: {recipients}\n")));
    }
    for target in [
        "{ region: eu-de, project_id: p1, endpoint: \"https://a:443/b?c\" }",
        "{ region: eu-de, project_id: p1, endpoint: \"https://a:443/\" }",
        "{ region: eu-de, project_id: p1, endpoint: \"https://a/v3\" }",
        "{ region: eu-de, project_id: p1, endpoint: \"https://a/v3/p1/\" }",
        "{ region: eu-de, project_id: p1, endpoint: \"https://a/v33\" }",
        "{ region: eu-de, project_id: p1, auth_url: \"https://a:443/b?c\" }",
        "{ region: eu-de, project_id: p1, endpoint: \"https://a@b\" }",
        "{ region: eu-de, project_id: p1, endpoint: \"https:///b\" }",
        "{ region: eu-de, project_id: p1, endpoint: \"ftp://b\" }",
        "{ region: eu-de, project_id: p1, endpoint: \"https://$HOST\" }",
        "{ region: eu-de, project_id: p1, auth_url: \"https://{{ host }}\" }",
        "{ region: eu-de, project_id: p1, auth_url: \"https://{{host}}\" }",
        "{ region: \"$REGION\", project_id: p1 }",
        "{ region: eu-de, project_id: \"a b\" }",
        "{ region: eu-de }",
        "{ project_id: p1, auth_url: \"https://a/v3\" }",
        "{ project_id: p1, endpoint: \"http://127.0.0.1:1\", auth_url: \"http://127.0.0.1:1/v3\" }",
        "{ region: eu-de, project_id: p1, password: x }",
        "[]",
    ] {
        taken += usize::from(check(&format!("{CONFIG}target: {target}\n")));
    }
    for text in [
        "recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]\n".to_owned() + TARGET,
        "version: 2\nrecipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]\n".to_owned() + TARGET,
        "version: \"1\"\nrecipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]\n".to_owned() + TARGET,
        CONFIG.to_owned(),
        fields,
        "[]\n".to_owned(),
    ] {
        taken += usize::from(check(&text));
    }
    // Neither only good nor only bad ones.
    assert!((15..60).contains(&taken), "{taken} were taken");
}

/// A manifest of one job, with these lines below its source.
fn source(lines: &str) -> String {
    format!("version: 1\njobs:\n  {J1}:\n    source: {{ {lines} }}\n")
}

/// A manifest without jobs, with a change of its sealed part.
fn sealed(change: (&str, &str)) -> String {
    let text = "version: 1\njobs: {}\nsealed:\n  \
        fingerprint_key: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8='\n  \
        endpoint: 'https://a'\n  project_id: 'p'\n  auth_url: 'https://a/v3'\n  \
        recipients: ['age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p']\n  state: { file: a.json }\n  index: true\n  \
        revision: 1\n  written: '2026-11-29T14:03:22Z'\n";
    assert!(text.contains(change.0));
    text.replacen(change.0, change.1, 1)
}

#[test]
fn the_schema_of_the_manifest_agrees_with_the_program() {
    let schema = schema("manifest");
    let check = |text: &str| {
        let expected = is_manifest(text);
        assert_eq!(schema.is_valid(&json(text)), expected, "{text}");
        expected
    };
    let mut taken = 0;
    for value in [
        "'canary'",
        "'*a'",
        "'**'",
        "'ChangeMe'",
        "' CHANGE_ME '",
        "'[REDACTED]'",
        "'<password>'",
        "'(sensitive value)'",
        "'changeme2'",
        "\"a\\nb\"",
        "\"a\\n\"",
        "\"a\\r\"",
        "\"\\0\"",
        "\"\"",
        "\"\\u202e\"",
        "5",
        "[a]",
        "{}",
    ] {
        taken += usize::from(check(&source(&format!("password: {value}"))));
        let domain = format!("password: 'x', kerberos: {{ domain_name: {value} }}");
        taken += usize::from(check(&source(&domain)));
        let text =
            format!("version: 1\njobs: {{}}\ncredentials: {{ a: {{ password: {value} }} }}\n");
        taken += usize::from(check(&text));
    }
    for kerberos in [
        "{ key_tab_file: 'BQIAAAA=' }",
        "{ key_tab_file: 'BQIAAAB=' }",
        "{ key_tab_file: 'BQ==' }",
        "{ key_tab_file: 'BR==' }",
        "{ key_tab_file: 'BQIA' }",
        "{ key_tab_file: 'BQI' }",
        "{ key_tab_file: \"BQIA\\n\" }",
        "{ key_tab_file: 'BQ-_' }",
        "{ krb5_conf_file: \"[a]\\n\", user_principal: 'u' }",
        "{ user_principal: \"u\\n\" }",
        "{ password: 'x' }",
        "{}",
        "[]",
    ] {
        let lines = format!("password: 'x', kerberos: {kerberos}");
        taken += usize::from(check(&source(&lines)));
    }
    for lines in [
        "credential: a",
        "kerberos: { domain_name: 'D' }",
        "Password: 'x'",
        "password: 'x', target: 'y'",
    ] {
        let text = source(lines) + "credentials: { a: { password: 'x' } }\n";
        taken += usize::from(check(&text));
    }
    for name in [
        "orders",
        "o.r_d-1",
        "-orders",
        "'or ders'",
        "\"orders\\n\"",
        "25df459d-a37c-41b9-bc2b-8c00ba32jb52",
        "25DF459D-a37c-41b9-bc2b-8c00ba32jb52",
        "25df459d-a37c-41b9-bc2b-8c00ba32jb5",
        "[]",
    ] {
        let text = format!("version: 1\njobs: {{ {J1}: {{ name: {name} }} }}\n");
        taken += usize::from(check(&text));
    }
    let long = "a".repeat(64);
    for id in [
        J1,
        "a",
        "a-b",
        "'a_b'",
        "a.b",
        "'a b'",
        "a/source",
        &long,
        &format!("{long}a"),
    ] {
        taken += usize::from(check(&format!("version: 1\njobs: {{ {id}: {{}} }}\n")));
        let credentials =
            format!("version: 1\njobs: {{}}\ncredentials: {{ {id}: {{ password: 'x' }} }}\n");
        taken += usize::from(check(&credentials));
    }
    for change in [
        ("", ""),
        ("Hh8=", "Hh9="),
        ("Hh8=", "Hh8"),
        ("'https://a'", "'https://a/'"),
        ("'https://a'", "'https://'"),
        ("'https://a'", "'https://a b'"),
        ("'https://a/v3'", "'https://a@b'"),
        ("'https://a/v3'", "'https://a/'"),
        ("'p'", "'p/q'"),
        (
            "['age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p']",
            "[]",
        ),
        (
            "['age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p']",
            "['']",
        ),
        (
            "['age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p']",
            "['anything']",
        ),
        ("revision: 1", "revision: 0"),
        ("revision: 1", "revision: '1'"),
        ("  revision: 1\n", ""),
        ("a.json", "package.json"),
        ("{ file: a.json }", "a.json"),
        ("{ file: a.json }", "{}"),
        ("index: true", "index: false"),
        ("index: true", "index: 'true'"),
        ("  index: true\n", ""),
        ("22Z", "22+01:00"),
        ("22Z", "22.5Z"),
        ("2026-11-29T", "2026-11-29 "),
        ("  revision: 1", "  other: 1\n  revision: 1"),
    ] {
        taken += usize::from(check(&sealed(change)));
    }
    for text in [
        "version: 1\njobs: []\n",
        "version: 1\njobs: [a]\n",
        "version: 1\njobs: {}\ncredentials: {}\n",
        "version: 1\njobs: {}\ncredentials: []\n",
        "version: 1\n",
        "jobs: {}\n",
        "[]\n",
        "version: 1\njobs: {}\nJobs: {}\n",
        "version: 1\njobs: { a: { source: { password: 'x' }, ziel: {} } }\n",
    ] {
        taken += usize::from(check(text));
    }
    assert!((25..80).contains(&taken), "{taken} were taken");
}

/// What only the program can see, since it is about how a value is written, about two
/// places at once, or about bytes and sums.
#[test]
fn what_a_schema_cannot_say_is_refused_by_the_program_alone() {
    let configs = [
        // How it is written.
        "recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]\nversion: 1.0\n",
        // Twice the same key, with another comment.
        "version: 1\nrecipients: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN a, ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN b]\n",
        // Two fields that name one file.
        "version: 1\nrecipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]\nmanifest: a.json\nstate: a.json\n",
        // More than a day.
        "version: 1\nrecipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]\napply: { request_timeout: 25h }\n",
    ];
    let schema_of_configs = schema("config");
    for text in configs {
        let text = format!("{text}{TARGET}");
        assert!(schema_of_configs.is_valid(&json(&text)), "{text}");
        assert!(!is_config(&text), "{text}");
    }
    let id = "22df459d-a37c-41b9-bc2b-8c00ba32jb52";
    let manifests = [
        // Without quotes.
        source("password: hunter"),
        // A name that is also the id of a job, and one that stands twice.
        format!("version: 1\njobs: {{ {J1}: {{ name: a }}, a: {{}} }}\n"),
        format!("version: 1\njobs: {{ {J1}: {{ name: a }}, {id}: {{ name: a }} }}\n"),
        // A credential that is not defined.
        source("credential: nowhere"),
        // Longer than 128 KiB, in fewer characters.
        source(&format!("password: '{}'", "é".repeat(70_000))),
    ];
    let schema_of_manifests = schema("manifest");
    for text in manifests {
        assert!(schema_of_manifests.is_valid(&json(&text)), "{text}");
        assert!(!is_manifest(&text), "{text}");
    }
    // Documents that no reader of YAML 1.2 hands to a schema in one way.
    for text in [
        "version: 1\njobs: {}\njobs: {}\n",
        "version: 1\njobs: {}\n---\nversion: 1\n",
        "version: 1\njobs: &a {}\ncredentials: *a\n",
    ] {
        assert!(!is_manifest(text), "{text}");
    }
}

/// Visits every schema of a field.
fn fields<'a>(schema: &'a Value, place: &str, visit: &mut dyn FnMut(&str, &'a Value)) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                if key == "properties" || key == "$defs" {
                    let named = value.as_object().expect("fields by name").iter();
                    // `true` names a field that stands elsewhere.
                    for (name, field) in named.filter(|(_, field)| field.is_object()) {
                        visit(&format!("{place}/{name}"), field);
                    }
                }
                fields(value, &format!("{place}/{key}"), visit);
            }
        }
        Value::Array(items) => {
            for item in items {
                fields(item, place, visit);
            }
        }
        _ => {}
    }
}

#[test]
fn an_editor_has_words_for_every_field() {
    let mut lab = Lab::new();
    lab.plant(&["canary"]);
    for name in ["config", "manifest", "scenario"] {
        // From the program, as a user puts it beside his files.
        let text = lab.run(&["schema", name]).exits(0).stdout;
        let schema: Value = serde_json::from_str(&text).unwrap();
        assert!(schema["title"].is_string() && schema["description"].is_string());
        // Nothing is fetched: every reference leads to a place in the file.
        for part in text.split("\"$ref\": \"").skip(1) {
            let place = part.split('"').next().unwrap();
            let found = schema.pointer(place.strip_prefix('#').unwrap());
            assert!(found.is_some(), "{name}: {place}");
        }
        let mut count = 0;
        fields(&schema, "", &mut |place, field| {
            count += 1;
            let words = field["description"].as_str().unwrap_or_default();
            assert!(words.ends_with('.'), "{name}: {place} has no sentence");
        });
        assert!(count > 15, "{name}: {count}");
    }
}

/// Keywords that say something about values of one type, and are passed over for others.
const OF_TYPES: [(&str, &str); 17] = [
    ("pattern", "string"),
    ("minLength", "string"),
    ("maxLength", "string"),
    ("minimum", "integer"),
    ("maximum", "integer"),
    ("items", "array"),
    ("minItems", "array"),
    ("maxItems", "array"),
    ("uniqueItems", "array"),
    ("properties", "object"),
    ("required", "object"),
    ("additionalProperties", "object"),
    ("propertyNames", "object"),
    ("minProperties", "object"),
    ("maxProperties", "object"),
    ("dependentRequired", "object"),
    ("dependentSchemas", "object"),
];

/// Asserts of a schema and all below it that a strict reader takes it: each such keyword
/// stands where the type is named, and what is required is a property there. `types` is
/// what is known of the same value already.
fn assert_strict(place: &str, schema: &Value, types: &[&Value]) {
    let Value::Object(schema) = schema else {
        return;
    };
    let types: Vec<&Value> = types.iter().copied().chain(schema.get("type")).collect();
    for (keyword, wanted) in OF_TYPES {
        let is_of_type = types.iter().any(|named| {
            **named == wanted
                || named
                    .as_array()
                    .is_some_and(|all| all.contains(&wanted.into()))
        });
        assert!(
            is_of_type || !schema.contains_key(keyword),
            "{place}: {keyword} without the type {wanted}"
        );
    }
    for name in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let name = name.as_str().expect("a name");
        let properties = schema.get("properties");
        assert!(
            properties.is_some_and(|fields| fields.get(name).is_some()),
            "{place}: {name} is required and no property there"
        );
    }
    for (keyword, below) in schema {
        let place = format!("{place}/{keyword}");
        match (keyword.as_str(), below) {
            ("properties" | "$defs" | "dependentSchemas", Value::Object(fields)) => {
                for (name, below) in fields {
                    assert_strict(&format!("{place}/{name}"), below, &[]);
                }
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(same)) => {
                same.iter()
                    .for_each(|below| assert_strict(&place, below, &types));
            }
            ("if" | "then" | "else" | "not", below) => assert_strict(&place, below, &types),
            ("propertyNames", below) => assert_strict(&place, below, &[&"string".into()]),
            ("items" | "additionalProperties", below) => assert_strict(&place, below, &[]),
            _ => {}
        }
    }
}

#[test]
fn every_schema_is_taken_by_a_strict_reader() {
    let mut count = 0;
    for entry in fs::read_dir(root().join("schemas")).unwrap() {
        let path = entry.unwrap().path();
        let schema: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_strict(&path.display().to_string(), &schema, &[]);
        count += 1;
    }
    assert!(count >= 12, "{count}");
}
