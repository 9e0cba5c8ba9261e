//! The messages of an apply, against its text.

use drspass::sim::{CannedAnswer, EndPointType, Fault, FaultKind, Which};
use serde_json::Value;

use super::{about, lab_with_everything, messages, refusal, text};
use crate::looped::refuse;
use crate::support::{J1, J2, J3, Lab, Run};

fn apply(lab: &Lab, more: &[&str]) -> Run {
    lab.apply(&[&["--json"], more].concat())
}

fn result(messages: &[Value]) -> &Value {
    messages.last().unwrap()
}

#[test]
fn an_apply_of_every_outcome_fits_its_schema_and_says_what_the_text_says() {
    let lab = lab_with_everything();
    // The job in doubt is refused now, and what follows is lost and not sent.
    lab.sim
        .inject(refuse(J1, EndPointType::Destination, "DRS.M00304"));
    lab.sim.inject(Fault::next(FaultKind::Status(CannedAnswer {
        http: 403,
        code: "DRS.M00100".to_owned(),
        ..CannedAnswer::default()
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
        lab.sim
            .inject(refuse(J1, EndPointType::Source, "DRS.M00304"));
        lab.sim.inject(Fault::nth(
            1,
            FaultKind::DropResults(Which::entry(J2, EndPointType::Source)),
        ));
        lab.apply(more).exits(4)
    };
    let messages = messages(&outcome(&["--json"]));
    let shown = outcome(&[]).stdout;
    let result = result(&messages);
    let line = format!(
        "Result: {} applied, {} refused, {} skipped, {} not sent, {} unknown; {} in all.\n",
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
        let word = match text(&message["outcome"]) {
            "in_doubt" => "outcome unknown".to_owned(),
            outcome => outcome.replace('_', " "),
        };
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
    assert_eq!(result(&messages)["recovery_use"], "without_journal");
    let name = text(&result(&messages)["recovery_file"]).to_owned();
    lab.run(&["state", "recover", &name]).exits(0);
    let alone = self::messages(&fail(&lab, "journal.append:1,replace:3"));
    assert_eq!(result(&alone)["recovery_use"], "first");
    let name = text(&result(&alone)["recovery_file"]).to_owned();
    lab.run(&["state", "recover", &name]).exits(0);
    let run = fail(
        &lab,
        "journal.append:1,replace:3,rescue:1,rescue:2,rescue:3",
    );
    let messages = self::messages(&run);
    assert_eq!(result(&messages)["state_saved"], false);
    assert!(result(&messages)["recovery_file"].is_null());
    assert!(result(&messages)["recovery_use"].is_null());
}

#[test]
fn a_run_that_is_refused_ends_with_its_error() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let run = lab.run(&["apply", "--json"]).exits(7);
    assert_eq!(refusal(&run)["code"], "drspass::not_approved");
    assert!(run.stderr.contains("without a terminal"));
    for args in [&["plan", "--json"][..], &["state", "show", "--json"]] {
        let mut command = lab.command(args);
        command.env_remove("DRSPASS_IDENTITY");
        let run = lab.run_command(command).exits(1);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains("error: "));
    }
}
