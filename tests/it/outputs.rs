//! Output for machines: every document fits its schema and nothing else does,
//! standard output holds JSON alone, and it says what the text says.

mod apply;
mod plan;

use age::secrecy::ExposeSecret as _;
use drspass::sim::{EndPointType, Fault, FaultKind};
use serde_json::Value;

use crate::looped::refuse;
use crate::support::schema::{assert_closed, assert_fits, schema};
use crate::support::{J1, J2, J3, Lab, Run};

/// The one document on standard output, which fits its schema.
#[track_caller]
pub(crate) fn document(run: &Run, name: &str) -> Value {
    assert!(run.stdout.ends_with('\n'), "{}", run.all());
    assert_eq!(run.stdout.lines().count(), 1, "one document on one line");
    let document = serde_json::from_str(&run.stdout).unwrap();
    let schema = schema(name);
    assert_fits(&schema, &document);
    assert_closed(&schema, &document);
    assert_eq!(document["tool_version"], env!("CARGO_PKG_VERSION"));
    document
}

/// The messages of an apply, which fit their schema: the version first, the
/// result last, whose numbers add up and agree with the entries.
#[track_caller]
pub(crate) fn messages(run: &Run) -> Vec<Value> {
    let schema = schema("apply-output");
    let messages: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(run.stdout.ends_with('\n'));
    for message in &messages {
        assert_fits(&schema, message);
        assert_closed(&schema, message);
    }
    let types: Vec<&str> = messages.iter().map(|m| text(&m["type"])).collect();
    assert_eq!(types[..2], ["version", "plan"]);
    assert_eq!(types.iter().filter(|t| **t == "result").count(), 1);
    let result = messages.last().unwrap();
    assert_eq!(result["type"], "result", "the result comes last");
    assert_eq!(result["exit_code"].as_i64(), run.code.map(i64::from));
    let mut total = 0;
    for outcome in ["applied", "refused", "blocked", "not_sent", "in_doubt"] {
        let told = messages.iter().filter(|m| m["outcome"] == outcome).count();
        assert_eq!(result[outcome], told, "{outcome}\n{}", run.stdout);
        total += told;
    }
    assert_eq!(result["total"], total);
    messages
}

/// The last line of an apply that stopped before it sent anything, all lines checked.
#[track_caller]
pub(crate) fn refusal(run: &Run) -> Value {
    let schema = schema("apply-output");
    let lines = run.stdout.lines();
    let messages: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for message in &messages {
        assert_fits(&schema, message);
        assert_closed(&schema, message);
    }
    let (last, before) = messages.split_last().unwrap();
    assert_eq!(last["type"], "error");
    assert_eq!(last["exit_code"].as_i64(), run.code.map(i64::from));
    let ends = ["error", "result"];
    assert!(before.iter().all(|m| !ends.contains(&text(&m["type"]))));
    last.clone()
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The message about one entry.
#[track_caller]
pub(crate) fn about<'a>(messages: &'a [Value], address: &str) -> &'a Value {
    messages
        .iter()
        .find(|message| message["address"] == address)
        .unwrap()
}

/// A state with every kind of entry: in sync, changed, refused, held, in doubt,
/// unlisted, and one that was never set.
pub(crate) fn lab_with_everything() -> Lab {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.plant(&["canary-domain", "canary-same"]);
    let entries = |password: &str, more: &str| {
        format!(
            "  {J1}:\n    name: orders\n    source: {{ password: 'canary-same' }}\n    destination:\n      \
             password: '{password}-1'\n      kerberos: {{ domain_name: 'canary-domain' }}\n  {J2}:\n    \
             source: {{ password: '{password}-2' }}\n    destination: {{ password: '{password}-3' }}\n{more}"
        )
    };
    lab.plant(&[
        "canary-old-1",
        "canary-old-2",
        "canary-old-3",
        "canary-gone",
    ]);
    lab.manifest(&entries(
        "canary-old",
        &format!("  {J3}:\n    destination: {{ password: 'canary-gone' }}\n"),
    ))
    .exits(0);
    lab.apply(&[]).exits(0);
    lab.plant(&[
        "canary-new-1",
        "canary-new-2",
        "canary-new-3",
        "canary-first",
    ]);
    lab.manifest(&entries(
        "canary-new",
        &format!("  {J3}:\n    source: {{ password: 'canary-first' }}\n"),
    ))
    .exits(0);
    lab.sim
        .inject(refuse(J2, EndPointType::Source, "DRS.KE0002"));
    lab.apply(&["--only", &format!("{J2}/source")]).exits(1);
    lab.sim.inject(Fault::next(FaultKind::NotJson));
    lab.apply(&["--only", &format!("{J2}/destination")])
        .exits(4);
    lab
}

#[test]
fn a_validation_fits_its_schema_whatever_it_finds() {
    let mut lab = Lab::new();
    lab.plant(&["canary-caf\u{e9}", "canary-plain"]);
    let validate = |lab: &Lab, more: &[&str], code: i32| {
        let run = lab
            .run(&[&["validate", "--json"], more].concat())
            .exits(code);
        let found = document(&run, "validate-output");
        assert_eq!(found["valid"], code == 0);
        assert_eq!(run.stderr, "", "all of it is in the document");
        found
    };
    let valid = validate(&lab, &[], 0);
    assert_eq!(valid["problems"], serde_json::json!([]));
    validate(&lab, &["--require-encrypted"], 0);

    lab.manifest(&format!(
        "  {J1}:\n    source: {{ password: 'canary-caf\u{e9}' }}\n"
    ))
    .exits(0);
    let warned = validate(&lab, &[], 0);
    let warning = &warned["problems"][0];
    assert_eq!(warning["severity"], "warning");
    assert_eq!(warning["document"], "passwords.yaml.age");
    assert_eq!(warning["path"], format!("jobs.{J1}.source.password"));
    let shown = lab.run(&["validate"]).exits(0);
    assert!(shown.stderr.contains(text(&warning["what"])));

    let config = lab.read("drspass.yaml");
    lab.configure("apply: { paralelism: 4, batch_size: 0 }");
    let broken = validate(&lab, &[], 1);
    let lines = config.lines().count() as u64 + 2;
    let problems = broken["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2);
    let shown = lab.run(&["validate"]).exits(1).stderr;
    for problem in problems {
        assert_eq!(problem["severity"], "error");
        assert_eq!(problem["document"], "drspass.yaml");
        assert_eq!(problem["line"], lines);
        assert!(problem["column"].as_u64().unwrap() > 1);
        assert!(shown.contains(text(&problem["what"])), "{shown}");
        assert!(shown.contains(text(&problem["help"])), "{shown}");
    }
    lab.write("drspass.yaml", &config);

    let other = age::x25519::Identity::generate().to_string();
    lab.write("other.txt", other.expose_secret());
    let mut command = lab.command(&["validate", "--json"]);
    command.env("DRSPASS_IDENTITY", "other.txt");
    let run = lab.run_command(command).exits(1);
    let failed = document(&run, "validate-output");
    assert_eq!(failed["valid"], false);
    assert!(text(&failed["error"]["code"]).starts_with("drspass::age::"));
    assert!(text(&failed["error"]["message"]).contains("passwords.yaml.age"));
    std::fs::remove_file(lab.path("passwords.yaml.age")).unwrap();
    let failed = validate(&lab, &["--require-encrypted"], 1);
    assert_eq!(failed["error"]["code"], "drspass::file::read");
}

#[test]
fn problems_of_a_sealed_manifest_are_told_by_place_and_never_quoted() {
    let mut lab = Lab::new();
    lab.plant(&["canary-plain"]);
    let plain = lab.run(&["decrypt"]).exits(0).stdout;
    let config = lab.read("drspass.yaml");
    let recipient: age::x25519::Recipient = config
        .split(|c: char| !c.is_ascii_alphanumeric())
        .find_map(|word| word.parse().ok())
        .unwrap();
    for value in [
        "canary-plain",
        "'canary-plain",
        "\"canary-plain",
        "\tcanary-plain",
        "*canary-plain",
        "&canary-plain",
        "!canary-plain x",
    ] {
        // Somebody who can decrypt sealed a text that drspass would not have taken.
        let jobs = format!("jobs:\n  {J1}:\n    source:\n      password: {value}\n");
        let text_of = plain.replace("jobs: {}\n", &jobs);
        let sealed = age::encrypt_and_armor(&recipient, text_of.as_bytes()).unwrap();
        lab.write("passwords.yaml.age", sealed);
        let run = lab.run(&["validate", "--json"]).exits(1);
        let found = document(&run, "validate-output");
        assert_eq!(run.stderr, "");
        let problem = &found["problems"][0];
        assert_eq!(problem["severity"], "error");
        assert_eq!(problem["document"], "passwords.yaml.age");
        let line = usize::try_from(problem["line"].as_u64().unwrap()).unwrap();
        let lines = text_of.lines().count();
        assert!(line == lines || line == lines + 1, "{value}: {problem}");
        let shown = lab.run(&["validate"]).exits(1).stderr;
        assert!(shown.contains(text(&problem["what"])), "{shown}");
        for command in ["plan", "show"] {
            lab.run(&[command]).exits(1);
        }
    }
}

#[test]
fn the_state_of_every_kind_of_entry_fits_its_schema_and_says_what_the_text_says() {
    let lab = Lab::new();
    let empty = document(
        &lab.run(&["state", "show", "--json"]).exits(0),
        "state-output",
    );
    assert_eq!(empty["serial"], 0);
    let lab = lab_with_everything();
    lab.run(&["state", "adopt", "orders/destination", "--yes"])
        .exits(0);
    let run = lab.run(&["state", "show", "--json"]).exits(0);
    let state = document(&run, "state-output");
    let file = lab.state();
    assert_eq!(state["serial"], file["body"]["serial"]);
    assert_eq!(state["revision"], file["body"]["revision"]);
    let stored = file["body"]["entries"].as_object().unwrap();
    let entries = state["entries"].as_array().unwrap();
    assert_eq!(entries.len(), stored.len());
    for entry in entries {
        let name = format!("{}/{}", text(&entry["job_id"]), text(&entry["endpoint"]));
        let kept = &stored[&name];
        for part in ["applied", "pending", "last_outcome"] {
            assert_eq!(entry[part].is_object(), kept[part].is_object(), "{name}");
        }
        for (part, fields) in [
            ("applied", &["at", "origin", "plan_id"][..]),
            ("pending", &["since", "plan_id"]),
            (
                "last_outcome",
                &["class", "code", "request_id", "attempts", "at"],
            ),
        ] {
            for field in fields {
                assert_eq!(entry[part][field], kept[part][field], "{name} {field}");
            }
        }
    }
    assert!(!run.stdout.contains("v1:"), "no fingerprint");
    let shown = lab.run(&["state", "show"]).exits(0).stdout;
    for entry in entries {
        assert!(shown.contains(text(&entry["job_id"])), "{shown}");
    }
    assert!(shown.contains("DRS.KE0002") && shown.contains("adopted"));
    let unlisted: Vec<&Value> = entries.iter().filter(|e| e["address"].is_null()).collect();
    assert_eq!(unlisted.len(), 1);
    assert_eq!(unlisted[0]["job_id"], J3);
}

#[test]
fn logs_never_mix_with_json() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let loud = |args: &[&str]| {
        let mut command = lab.command(&[args, &["-vvv", "--color", "always"]].concat());
        command.env("RUST_LOG", "trace");
        lab.run_command(command).exits(0)
    };
    document(&loud(&["plan", "--json"]), "plan-output");
    document(&loud(&["validate", "--json"]), "validate-output");
    let run = loud(&["apply", "--auto-approve", "--json"]);
    messages(&run);
    assert!(run.stderr.contains("batch-modify-pwd"), "{}", run.stderr);
    document(&loud(&["state", "show", "--json"]), "state-output");
}
