//! The state that a plan was compared with may not have moved under its entries.

use drspass::sim::EndPointType;

use super::{
    JOURNAL, PLAN, STATE, Untouched, apply, planned, planned_first, refused, save, save_as,
};
use crate::looped::refuse;
use crate::support::{J1, J2, J3, Lab};

#[test]
fn a_held_lock_is_told_and_nothing_is_sent() {
    let lab = planned();
    let file = std::fs::File::create(lab.path("drspass.state.json.lock")).unwrap();
    file.lock().unwrap();
    refused(&lab, &["apply", PLAN], 6, "is held by an unknown process");
    drop(file);
    apply(&lab).exits(0);
}

#[test]
fn a_state_that_was_changed_or_damaged_is_refused_as_such() {
    let lab = planned();
    let state = lab.read(STATE);
    for (content, words) in [
        (
            state.replace("\"sent\"", "\"adopted\""),
            "state was changed outside drspass",
        ),
        (String::new(), "it is empty"),
        (
            state.replace("drspass.state/1", "drspass.state/2"),
            "does not know",
        ),
    ] {
        lab.write(STATE, content);
        refused(&lab, &["apply", PLAN], 1, words);
    }
    lab.write(STATE, state);
    apply(&lab).exits(0);
}

#[test]
fn a_state_of_another_history_or_none_is_refused() {
    let lab = planned();
    let state = lab.read(STATE);
    std::fs::remove_file(lab.path(STATE)).unwrap();
    let run = refused(&lab, &["apply", PLAN], 5, "made with is missing");
    run.says("Fetch or restore the state first");
    // The same entries, adopted anew, are another history.
    lab.run(&["state", "adopt", J1, J2, "--yes"]).exits(0);
    std::fs::remove_file(lab.path("drspass.state.json.lock")).unwrap();
    refused(&lab, &["apply", PLAN], 5, "it was made with another state");
    lab.write(STATE, &state);
    lab.run(&["state", "distrust"]).exits(0);
    refused(&lab, &["apply", PLAN], 5, "it was made with another state");
    lab.write(STATE, state);
    apply(&lab).exits(0);
}

#[test]
fn an_older_state_that_was_put_back_is_refused() {
    let lab = planned();
    let older = lab.read(STATE);
    lab.run(&["state", "adopt", J2, "--yes"]).exits(0);
    save(&lab);
    let newer = lab.read(STATE);
    lab.write(STATE, older);
    refused(
        &lab,
        &["apply", PLAN],
        5,
        "the state was replaced by an older one (serial 3 then, 2 now)",
    )
    .says("Nothing was sent");
    lab.write(STATE, newer);
    apply(&lab).exits(0);
}

#[test]
fn a_state_that_appeared_since_is_refused() {
    let lab = planned_first();
    lab.run(&["state", "adopt", J2, "--yes"]).exits(0);
    refused(
        &lab,
        &["apply", PLAN],
        5,
        "made without a state, and now there is one with serial 1",
    );
    std::fs::remove_file(lab.path(STATE)).unwrap();
    lab.apply(&["--only", J2]).exits(0);
    refused(&lab, &["apply", PLAN], 5, "made without a state");
    // A second plan of the same moment begins another state than the first.
    let lab = planned_first();
    save_as(&lab, "second.json", &[]);
    lab.run(&["apply", "second.json"]).exits(0);
    refused(&lab, &["apply", PLAN], 5, "made without a state");
}

#[test]
fn a_plan_is_applied_once() {
    let lab = planned();
    apply(&lab).exits(0);
    assert_eq!(lab.sent().concat().len(), 3);
    refused(
        &lab,
        &["apply", PLAN],
        5,
        "all of it is already applied (state serial 2 then, 4 now)",
    )
    .says("Nothing of this plan is left to send");
}

#[test]
fn a_plan_that_was_made_without_a_state_is_applied_once_too() {
    let lab = planned_first();
    apply(&lab).exits(0);
    refused(
        &lab,
        &["apply", PLAN],
        5,
        "all of it is already applied (state serial 0 then, 2 now)",
    );
    assert_eq!(lab.sent().concat().len(), 2);
    // Nor once its values are marked to be sent again.
    lab.run(&["state", "distrust"]).exits(0);
    refused(&lab, &["apply", PLAN], 5, "made without a state");
    // Nor where its state is gone and another one is there.
    std::fs::remove_file(lab.path(STATE)).unwrap();
    lab.run(&["state", "adopt", J1, "--yes"]).exits(0);
    refused(&lab, &["apply", PLAN], 5, "made without a state");
}

#[test]
fn an_empty_plan_sends_nothing_however_often_it_is_applied() {
    let lab = planned();
    lab.apply(&[]).exits(0);
    save(&lab);
    for _ in 0..2 {
        refused(&lab, &["apply", PLAN], 0, "Nothing to send");
    }
}

/// What somebody may do to an entry between a plan and its apply.
type Move = (&'static str, fn(&Lab));

#[test]
fn an_entry_that_somebody_moved_makes_the_plan_stale_by_name() {
    let moves: [Move; 6] = [
        ("another apply", |lab| {
            lab.apply(&[]).exits(0);
        }),
        ("another saved plan of the same", |lab| {
            save_as(lab, "second.json", &[]);
            lab.run(&["apply", "second.json"]).exits(0);
        }),
        ("an adoption", |lab| {
            lab.run(&["state", "adopt", J1, "--yes"]).exits(0);
        }),
        ("a removal", |lab| {
            lab.run(&["state", "rm", J1]).exits(0);
        }),
        ("a refused attempt of another plan", |lab| {
            lab.sim
                .inject(refuse(J1, EndPointType::Source, "DRS.M00304"));
            save_as(lab, "second.json", &[]);
            lab.run(&["apply", "second.json"]).exits(1);
        }),
        ("a cut-off apply", |lab| {
            let args = ["apply", "--auto-approve"];
            lab.killed_at("apply.before_first_send", 1, &args);
        }),
    ];
    for (what, somebody_moves) in moves {
        let lab = planned();
        somebody_moves(&lab);
        let before = (lab.sent(), lab.read(STATE), lab.sim.connections());
        let run = apply(&lab).exits(5);
        let words = format!("the state of {J1}/source changed since (serial 2 then, ");
        let run = run.says(&words);
        assert!(!run.all().contains(J2), "{what}: {}", run.all());
        let after = (lab.sent(), lab.read(STATE), lab.sim.connections());
        assert!(before == after, "{what}");
    }
}

#[test]
fn an_entry_that_was_never_set_may_not_have_moved_either() {
    let mut lab = planned();
    lab.apply(&[]).exits(0);
    let known = [(J1, "source", "canary-3"), (J2, "source", "canary-2")];
    lab.passwords(&[&known[..], &[(J3, "source", "canary-4")]].concat());
    save(&lab);
    lab.run(&["state", "adopt", J3, "--yes"]).exits(0);
    let words = format!("the state of {J3}/source changed since");
    refused(&lab, &["apply", PLAN], 5, &words);
    // Forgotten again, it is as it was.
    lab.run(&["state", "rm", J3]).exits(0);
    apply(&lab).exits(0);
    assert!(lab.sim.holds(J3, "source", "canary-4"));
}

#[test]
fn what_others_did_to_other_entries_is_a_note() {
    let mut lab = planned();
    lab.passwords(&[
        (J1, "source", "canary-3"),
        (J2, "source", "canary-5"),
        (J3, "source", "canary-6"),
    ]);
    lab.apply(&["--only", J2, J3]).exits(0);
    lab.run(&["state", "rm", J2]).exits(0);
    let sent = lab.sent().len();
    apply(&lab).exits(0).says("note: ").says("serial 2");
    let again = lab.sent()[sent..].concat();
    assert_eq!(again, [(J1.to_owned(), "source".to_owned())]);
    assert!(lab.sim.holds(J1, "source", "canary-3"));
    assert!(lab.entry(J2, "source").is_null(), "it stays forgotten");
}

#[test]
fn the_journal_of_a_killed_run_of_others_is_counted_in_before_the_plan_is_judged() {
    // The killed run of somebody else settled another entry: the plan goes on.
    let mut lab = planned();
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-5")]);
    let args = ["apply", "--auto-approve", "--only", J2];
    lab.killed_at("apply.before_fold", 1, &args);
    assert!(lab.exists(JOURNAL));
    apply(&lab).exits(0).says("an apply was cut off");
    assert!(!lab.exists(JOURNAL));
    assert!(lab.entry(J2, "source")["pending"].is_null());
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);

    // It settled the plan's own entry: the plan is stale, and nothing is lost.
    let lab = planned();
    lab.killed_at("apply.before_fold", 1, &["apply", "--auto-approve"]);
    let sent = lab.sent().len();
    apply(&lab).exits(5).says("changed since");
    assert_eq!(lab.sent().len(), sent);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_journal_that_is_foreign_or_edited_is_refused_as_such() {
    let lab = planned();
    let state = lab.read(STATE);
    lab.killed_at("apply.before_fold", 1, &["apply", PLAN]);
    let journal = lab.read(JOURNAL);
    lab.write(JOURNAL, journal.replace("\"applied\"", "\"refused\""));
    refused(&lab, &["apply", PLAN], 1, JOURNAL);
    lab.write(JOURNAL, journal);
    lab.write(STATE, state);
    refused(&lab, &["apply", PLAN], 1, "does not belong to the state");
    std::fs::remove_file(lab.path(STATE)).unwrap();
    let before = Untouched::of(&lab);
    apply(&lab).exits(1).says("does not belong to the state");
    before.assert(&lab);
}

#[test]
fn a_plan_that_was_made_beside_a_journal_is_applied() {
    let mut lab = planned();
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-5")]);
    let args = ["apply", "--auto-approve", "--only", J2];
    lab.killed_at("apply.before_fold", 1, &args);
    save(&lab);
    let sent = lab.sent().len();
    apply(&lab).exits(0);
    assert_eq!(lab.sent()[sent..].concat().len(), 1);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}
