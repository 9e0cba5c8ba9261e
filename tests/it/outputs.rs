//! Output for machines: every document fits its schema and nothing else does,
//! standard output holds JSON alone, and it says what the text says.

use age::secrecy::ExposeSecret as _;
use drspass::sim::{Answer, Endpoint, Fault, FaultKind, Which};
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

fn apply(lab: &Lab, more: &[&str]) -> Run {
    lab.apply(&[&["--json"], more].concat())
}

fn result(messages: &[Value]) -> &Value {
    messages.last().unwrap()
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
    lab.sim.inject(refuse(J2, Endpoint::Source, "DRS.KE0002"));
    lab.apply(&["--only", &format!("{J2}/source")]).exits(1);
    lab.sim.inject(Fault::next(FaultKind::NotJson));
    lab.apply(&["--only", &format!("{J2}/destination")])
        .exits(4);
    lab
}

#[test]
fn a_plan_of_every_kind_of_entry_fits_its_schema_and_says_what_the_text_says() {
    let lab = lab_with_everything();
    let plan = document(
        &lab.run(&["plan", "--json", "--resend", "orders/source"])
            .exits(0),
        "plan-output",
    );
    let reasons: Vec<(&str, &str, &str)> = plan["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (
                text(&entry["address"]),
                text(&entry["action"]),
                text(&entry["reason"]),
            )
        })
        .collect();
    let (held, doubt, never) = (
        format!("{J2}/source"),
        format!("{J2}/destination"),
        format!("{J3}/source"),
    );
    assert_eq!(
        reasons,
        [
            ("orders/source", "update", "resend"),
            ("orders/destination", "update", "changed"),
            (&held, "hold", "wrong_password"),
            (&doubt, "update", "in_doubt"),
            (&never, "create", "never_set"),
        ]
    );
    assert_eq!(
        plan["entries"][1]["fields"],
        serde_json::json!([
            { "name": "password", "changed": true, "sensitive": true },
            { "name": "kerberos.domain_name", "changed": false, "sensitive": true },
        ])
    );
    assert_eq!(
        plan["unlisted"],
        serde_json::json!([format!("{J3}/destination")])
    );
    assert_eq!(plan["has_changes"], true);

    let shown = lab
        .run(&["plan", "--resend", "orders/source"])
        .exits(0)
        .stdout;
    let counts = &plan["counts"];
    assert!(
        shown.starts_with(&format!(
            "Plan: {} to set, {} to change, {} to send again, {} held; {} in sync, {} no longer listed. {} requests.",
            counts["to_set"],
            counts["to_change"],
            counts["to_send_again"],
            counts["held"],
            counts["in_sync"],
            counts["no_longer_listed"],
            plan["requests"],
        )),
        "{shown}"
    );
    for (address, _, _) in reasons {
        assert!(shown.contains(&format!(" {address} ")), "{shown}");
    }
    assert!(shown.contains("held: DRS.KE0002"));
    assert_eq!(plan["entries"][2]["code"], "DRS.KE0002");
}

#[test]
fn a_plan_tells_what_is_left_out_declared_or_left_behind_and_every_note() {
    let mut lab = Lab::new();
    lab.configure("limits: { max_changes: 1 }");
    lab.plant(&["canary-1", "canary-2", "canary-domain"]);
    lab.manifest(&format!(
        "  {J1}:\n    source: {{ password: 'canary-1', kerberos: {{ domain_name: 'canary-domain' }} }}\n  \
         {J2}:\n    source: {{ password: 'canary-2' }}\n"
    ))
    .exits(0);
    let plan = document(&lab.run(&["plan", "--json"]).exits(0), "plan-output");
    let notes = plan["notes"].to_string();
    assert!(notes.contains("no state at"), "{notes}");
    assert!(notes.contains("apply needs --override-limits 2"), "{notes}");

    lab.run(&["state", "adopt", J1, "--yes"]).exits(0);
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    use std::os::unix::fs::PermissionsExt as _;
    let wide = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(lab.path("drspass.state.json"), wide).unwrap();
    let lock = std::fs::File::open(lab.path("drspass.state.json.lock")).unwrap();
    lock.lock().unwrap();
    let run = lab.run(&["plan", "--json", "--only", J1]).exits(0);
    let plan = document(&run, "plan-output");
    assert_eq!(plan["counts"]["not_selected"], 1);
    assert_eq!(plan["has_changes"], false);
    let entry = &plan["entries"][0];
    assert_eq!(entry["kerberos_left"], true);
    assert_eq!(entry["action"], "no_op");
    assert_eq!(entry["origin"], "adopted");
    let shown = lab.run(&["plan", "--only", J1]).exits(0).stdout;
    for note in plan["notes"].as_array().unwrap() {
        assert!(
            shown.contains(&format!("note: {}\n", text(note))),
            "{shown}"
        );
    }
    assert_eq!(plan["notes"].as_array().unwrap().len(), 2, "{plan}");
    assert!(shown.contains("kerberos left the manifest"));
    drop(lock);

    lab.sim.inject(refuse(J2, Endpoint::Source, "DRS.M00304"));
    lab.apply(&[]).exits(1);
    let plan = document(
        &lab.run(&["plan", "--json", "--detailed-exitcode"]).exits(2),
        "plan-output",
    );
    let refused = &plan["entries"][1];
    assert_eq!(refused["reason"], "last_refused");
    assert_eq!(refused["code"], "DRS.M00304");
}

#[test]
fn an_apply_of_every_outcome_fits_its_schema_and_says_what_the_text_says() {
    let lab = lab_with_everything();
    // The job in doubt is refused now, and what follows is lost and not sent.
    lab.sim
        .inject(refuse(J1, Endpoint::Destination, "DRS.M00304"));
    lab.sim.inject(Fault::next(FaultKind::Status(Answer {
        http: 403,
        code: "DRS.M00100".to_owned(),
        ..Answer::default()
    })));
    let run = apply(&lab, &[]).exits(1);
    let messages = messages(&run);
    let refused = about(&messages, "orders/destination");
    assert_eq!(refused["outcome"], "refused");
    assert_eq!(refused["code"], "DRS.M00304");
    assert_eq!(refused["text"], "not now");
    assert!(refused["advice"].is_string() && refused["request_id"].is_string());
    let blocked = about(&messages, &format!("{J2}/source"));
    assert_eq!(blocked["outcome"], "blocked");
    assert_eq!(blocked["code"], "DRS.KE0002");
    let unsent = about(&messages, &format!("{J3}/source"));
    assert_eq!(unsent["outcome"], "not_sent");
    assert!(text(&unsent["why"]).contains("login was refused"));
    assert!(run.stderr.is_empty(), "{}", run.stderr);

    lab.sim.inject(Fault::next(FaultKind::NotJson));
    lab.sim.inject(Fault::nth(
        u64::try_from(lab.sent().len()).unwrap() + 2,
        FaultKind::AddForeign {
            id: "99df459d-a37c-41b9-bc2b-8c00ba32jb59".to_owned(),
        },
    ));
    let run = apply(&lab, &[]).exits(4);
    let messages = self::messages(&run);
    let doubt = messages
        .iter()
        .find(|m| m["outcome"] == "in_doubt")
        .unwrap();
    assert_eq!(doubt["code"], "unreadable");
    assert!(
        messages.iter().any(|m| m["type"] == "note"),
        "{}",
        run.stdout
    );
    assert_eq!(messages[1]["held"], 1);
    assert_eq!(result(&messages)["state_saved"], true);
}

/// Two root folders in which the same things happen.
#[test]
fn the_numbers_of_an_apply_are_those_of_its_text() {
    let outcome = |more: &[&str]| {
        let mut lab = Lab::new();
        lab.passwords(&[
            (J1, "source", "canary-1"),
            (J1, "destination", "canary-2"),
            (J2, "source", "canary-3"),
        ]);
        lab.sim.inject(refuse(J1, Endpoint::Source, "DRS.M00304"));
        lab.sim.inject(Fault::nth(
            1,
            FaultKind::DropResults(Which::entry(J2, Endpoint::Source)),
        ));
        lab.apply(more).exits(4)
    };
    let messages = messages(&outcome(&["--json"]));
    let shown = outcome(&[]).stdout;
    let result = result(&messages);
    let line = format!(
        "Result: {} applied, {} refused, {} blocked, {} not sent, {} in doubt; {} in all.\n",
        result["applied"],
        result["refused"],
        result["blocked"],
        result["not_sent"],
        result["in_doubt"],
        result["total"],
    );
    assert!(shown.ends_with(&line), "{line}{shown}");
    for message in messages.iter().filter(|m| m["type"] == "entry") {
        let address = text(&message["address"]);
        let entry = shown
            .lines()
            .skip_while(|line| !line.starts_with("Apply:"))
            .find(|line| line.contains(address))
            .unwrap();
        let word = text(&message["outcome"]).replace('_', " ");
        assert!(entry.contains(&word), "{message}\n{entry}");
        for name in ["code", "why"] {
            if let Some(said) = message[name].as_str()
                && (name == "why" || word == "refused")
            {
                assert!(entry.contains(said), "{message}\n{entry}");
            }
        }
    }
}

#[test]
fn an_apply_with_nothing_to_do_or_nothing_but_applied_entries_ends_with_its_result() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let run = apply(&lab, &[]).exits(0);
    assert_eq!(result(&messages(&run))["applied"], 1);
    let run = apply(&lab, &[]).exits(0);
    let messages = messages(&run);
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[1]["in_sync"], 1);
    assert_eq!(result(&messages)["total"], 0);
}

#[test]
fn an_apply_whose_state_cannot_be_saved_names_the_recovery_file() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let fail = |lab: &Lab, places: &str| {
        let mut command = lab.command(&["apply", "--auto-approve", "--json", "--resend", "*"]);
        command.env("DRSPASS_TEST_FAIL_AT", places);
        lab.run_command(command).exits(8)
    };
    lab.apply(&[]).exits(0);
    let messages = messages(&fail(&lab, "replace:3"));
    assert_eq!(result(&messages)["state_saved"], false);
    let name = text(&result(&messages)["recovery_file"]).to_owned();
    lab.run(&["state", "recover", &name]).exits(0);
    let run = fail(&lab, "journal.append:1,replace:3,rescue:1,rescue:2");
    let messages = self::messages(&run);
    assert_eq!(result(&messages)["state_saved"], false);
    assert!(result(&messages)["recovery_file"].is_null());
}

#[test]
fn a_run_that_is_refused_ends_with_its_error() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let run = lab.run(&["apply", "--json"]).exits(7);
    assert_eq!(refusal(&run)["code"], "drspass::not_approved");
    assert!(run.stderr.contains("no terminal"));
    for args in [&["plan", "--json"][..], &["state", "show", "--json"]] {
        let mut command = lab.command(args);
        command.env_remove("DRSPASS_IDENTITY");
        let run = lab.run_command(command).exits(1);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains("error: "));
    }
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
