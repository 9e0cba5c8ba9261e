//! Recovery files: beside the very state that they continue they become it;
//! anywhere else they prove nothing about what came later.

use crate::support::{J1, J2, Lab, Run};

/// An apply of two new values whose state could not be saved.
fn unsaved() -> (Lab, String) {
    let (lab, _) = failed_at("replace:3");
    let name = recovery_file(&lab);
    (lab, name)
}

/// The same where the disk refuses these steps, and what it said.
fn failed_at(steps: &str) -> (Lab, Run) {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-a"), (J2, "source", "canary-a2")]);
    lab.apply(&[]).exits(0);
    lab.passwords(&[(J1, "source", "canary-b"), (J2, "source", "canary-b2")]);
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.env("DRSPASS_TEST_FAIL_AT", steps);
    let run = lab.run_command(command).exits(8);
    (lab, run)
}

pub(crate) fn recovery_file(lab: &Lab) -> String {
    std::fs::read_dir(lab.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|name| name.contains(".recovery-"))
        .expect("a recovery file")
}

#[test]
fn beside_its_own_state_it_becomes_the_state() {
    let (lab, name) = unsaved();
    lab.run(&["state", "recover", &name])
        .exits(0)
        .says("2 entries recovered");
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn refused_and_unsent_entries_come_back_as_they_were() {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[(J1, "source", "canary-a"), (J2, "source", "canary-a2")]);
    lab.sim.inject(crate::looped::refuse(
        J1,
        drspass::sim::EndPointType::Source,
        "DRS.M00304",
    ));
    lab.sim.inject(drspass::sim::Fault::nth(
        2,
        drspass::sim::FaultKind::TokenExpired {
            http: 401,
            code: None,
        },
    ));
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.env("DRSPASS_TEST_FAIL_AT", "replace:2");
    lab.run_command(command).exits(8);
    lab.run(&["state", "recover", &recovery_file(&lab)])
        .exits(0);
    let plan = lab.plan();
    assert!(plan.contains(&format!("! {J1}/source")), "{plan}");
    assert!(plan.contains(&format!("+ {J2}/source")), "{plan}");
}

#[test]
fn beside_a_state_that_went_on_its_entries_are_doubts() {
    let (mut lab, name) = unsaved();
    // The journal carried the run over, and another value was applied since.
    lab.passwords(&[(J1, "source", "canary-c"), (J2, "source", "canary-b2")]);
    lab.apply(&[]).exits(0);
    lab.passwords(&[(J1, "source", "canary-b"), (J2, "source", "canary-b2")]);
    lab.run(&["state", "recover", &name])
        .exits(0)
        .says("2 entries marked to be sent again, as their outcomes are unknown")
        .says("continues serial 3, but the state is at serial 6: another run, or a command");
    assert_eq!(lab.plan().matches("  ? ").count(), 2);
    lab.apply(&[]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-b"));
}

#[test]
fn the_next_apply_saves_what_the_journal_has_and_the_advice_says_so() {
    let (lab, said) = failed_at("replace:3");
    let said = said.says("and in the journal next to the state");
    said.says("the next 'drspass apply' in this root directory saves them. Only if the journal");
    let sent = lab.sent().len();
    lab.apply(&[]).exits(0);
    assert_eq!(lab.sent().len(), sent);
    assert!(!lab.exists("drspass.state.json.journal"));
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_recovery_file_that_alone_has_the_outcomes_comes_first() {
    let (lab, said) = failed_at("journal.append:1,replace:3");
    let name = recovery_file(&lab);
    said.says(&format!("the outcomes are recorded in './{name}' alone"))
        .says("before any other command that writes it: drspass state recover");
    lab.run(&["state", "recover", &name]).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn without_a_state_its_entries_are_doubts() {
    let (mut lab, name) = unsaved();
    lab.run(&["state", "recover", &name]).exits(0);
    lab.passwords(&[(J1, "source", "canary-c"), (J2, "source", "canary-b2")]);
    lab.apply(&[]).exits(0);
    std::fs::remove_file(lab.path("drspass.state.json")).unwrap();
    lab.passwords(&[(J1, "source", "canary-b"), (J2, "source", "canary-b2")]);
    lab.run(&["state", "recover", &name])
        .exits(0)
        .says("marked to be sent again")
        .says("continues serial 3, but the state is missing");
    assert_eq!(lab.plan().matches("  ? ").count(), 2);
}

#[test]
fn a_tampered_state_is_not_signed_by_a_recovery() {
    let (lab, name) = unsaved();
    let state = lab.read("drspass.state.json");
    let tampered = state.replacen("\"serial\":", "\"serial\":1", 1);
    lab.write("drspass.state.json", &tampered);
    lab.run(&["state", "recover", &name])
        .exits(1)
        .says("state was changed outside drspass");
    assert_eq!(lab.read("drspass.state.json"), tampered);
}

#[test]
fn the_printed_name_works_where_the_apply_was_started() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-a")]);
    let folder = lab.dir.path().to_str().unwrap().to_owned();
    let mut command = lab.command(&["-C", &folder, "apply", "--auto-approve"]);
    command
        .current_dir("/")
        .env("DRSPASS_TEST_FAIL_AT", "replace:2");
    let run = lab.run_command(command).exits(8);
    let name = recovery_file(&lab);
    assert!(
        run.stdout
            .contains(&format!("drspass -C {folder} state recover {name}")),
        "{}",
        run.stdout
    );
    let mut command = lab.command(&["-C", &folder, "state", "recover", &name]);
    command.current_dir("/");
    lab.run_command(command).exits(0);
}

#[test]
fn a_distrust_that_cannot_be_saved_changes_nothing() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-a")]);
    lab.apply(&[]).exits(0);
    lab.passwords(&[(J1, "source", "canary-b")]);
    lab.killed_at("apply.before_fold", 1, &["apply", "--auto-approve"]);
    for pass in [1, 2] {
        let mut command = lab.command(&["state", "distrust"]);
        command.env("DRSPASS_TEST_FAIL_AT", format!("replace:{pass}"));
        lab.run_command(command).exits(1);
        lab.run(&["plan", "--detailed-exitcode"])
            .exits(0)
            .says("1 in sync");
    }
}

#[test]
fn beside_an_older_state_everything_it_knows_is_in_doubt() {
    // Run A sets both values and is folded; then the state of before A is put back
    // during run B, which sends the second one only.
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-old"), (J2, "source", "canary-a2")]);
    lab.apply(&[]).exits(0);
    let older = lab.read("drspass.state.json");
    lab.passwords(&[(J1, "source", "canary-new"), (J2, "source", "canary-a2")]);
    lab.apply(&[]).exits(0);
    lab.passwords(&[(J1, "source", "canary-new"), (J2, "source", "canary-b2")]);
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.env("DRSPASS_TEST_FAIL_AT", "replace:3");
    lab.run_command(command).exits(8);
    lab.write("drspass.state.json", older);
    lab.passwords(&[(J1, "source", "canary-old"), (J2, "source", "canary-b2")]);
    lab.run(&["state", "recover", &recovery_file(&lab)])
        .exits(0)
        .says("marked to be sent again")
        .says("an older one was put back");
    assert_eq!(lab.plan().matches("  ? ").count(), 2, "{}", lab.plan());
    assert!(lab.exists("drspass.state.json.journal.backup"));
    lab.apply(&[]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-old"));
}

#[test]
fn a_file_of_another_history_changes_nothing() {
    let (lab, name) = unsaved();
    let foreign = lab.read(&name);
    lab.run(&["state", "recover", &name]).exits(0);
    lab.run(&["state", "distrust"]).exits(0);
    let state = lab.read("drspass.state.json");
    lab.write("foreign", foreign);
    lab.run(&["state", "recover", "foreign"])
        .exits(1)
        .says("does not belong to the history of this state");
    assert_eq!(lab.read("drspass.state.json"), state);
}

#[test]
fn a_file_of_another_kind_is_told_which_kind_is_meant() {
    let (lab, name) = unsaved();
    lab.run(&["plan", "--out", "plan.json"]).exits(0);
    let other = "its format is not drspass.recovery/1";
    for (file, words) in [
        ("drspass.state.json", other),
        ("plan.json", "incomplete or damaged"),
        ("drspass.state.json.journal", "incomplete or damaged"),
        ("drspass.yaml", "incomplete or damaged"),
    ] {
        lab.run(&["state", "recover", file]).exits(1).says(words);
    }
    lab.run(&["state", "recover", &name]).exits(0);
}
