//! A rekey after something that was cut off, and one that is cut off itself.

use drspass::sim::{Fault, FaultKind};

use super::{MANIFEST, add_somebody, lab_of_every_kind, opens, own, planned, told};
use crate::recover::recovery_file;
use crate::support::around::started_up_to;
use crate::support::{J1, J2, Lab};

const JOURNAL: &str = "drspass.state.json.journal";

#[test]
fn answers_of_a_cut_off_apply_are_counted_in_first() {
    let lab = Lab::with_a_change();
    add_somebody(&lab);
    lab.list_recipients(&[&own(&lab)]);
    lab.killed_at("apply.before_fold", 1, &["apply", "--auto-approve"]);
    // The recipients differ, so nothing but a rekey writes the manifest.
    lab.run(&["rekey", "--yes"]).exits(0);
    assert!(!lab.exists("drspass.state.json.journal"));
    assert!(lab.sim.holds(J1, "source", "canary-2"));
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_full_disk_leaves_all_old_or_all_new() {
    for (failing, code) in [("replace:1", 1), ("replace:2", 1), ("replace:3", 1)] {
        let lab = lab_of_every_kind();
        add_somebody(&lab);
        lab.list_recipients(&[&own(&lab)]);
        let (before, files) = (planned(&lab), told(&lab));
        let mut command = lab.command(&["rekey", "--yes"]);
        command.env("DRSPASS_TEST_FAIL_AT", failing);
        let run = lab.run_command(command).exits(code);
        if failing == "replace:1" {
            assert_eq!(told(&lab), files);
        } else {
            run.says("run 'drspass rekey' again");
            assert!(!opens(&lab, "other.txt"));
            lab.run(&["plan"]).exits(0).says("a rekey was cut off");
        }
        assert_eq!(planned(&lab), before);
        lab.run(&["rekey", "--yes"]).exits(0);
        assert!(!opens(&lab, "other.txt"));
        assert_eq!(planned(&lab), before);
        assert!(!lab.exists("drspass.state.json.rekey"));
    }
}

#[test]
fn distrust_finishes_a_rekey_that_was_cut_off() {
    let lab = Lab::with_a_change();
    lab.killed_at("rekey.after_manifest", 1, &["rekey", "--yes", "--new-key"]);
    lab.run(&["state", "distrust"]).exits(0);
    assert!(!lab.exists("drspass.state.json.rekey"));
    assert!(lab.plan().contains(&format!("? {J1}/source")));
    lab.run(&["index", "--write"]).exits(0);
    lab.apply(&[]).exits(0);
}

#[test]
fn what_was_finished_before_the_question_is_told_before_it() {
    let lab = Lab::with_a_change();
    lab.killed_at("rekey.after_manifest", 1, &["rekey", "--yes", "--new-key"]);
    let before = lab.read(MANIFEST);
    lab.run(&["rekey", "--new-key"])
        .exits(7)
        .says("A rekey that was cut off was finished first.");
    assert_eq!(lab.read(MANIFEST), before);
    assert!(!lab.exists("drspass.state.json.rekey"));
    let run = lab.run(&["rekey", "--new-key"]).exits(7);
    assert!(!run.all().contains("cut off"), "{}", run.all());
}

/// Two changed passwords, of which an apply was killed when it had recorded the first.
fn lab_with_a_journal() -> Lab {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-1")]);
    lab.apply(&[]).exits(0);
    lab.passwords(&[(J1, "source", "canary-2"), (J2, "source", "canary-2")]);
    // The second answer never comes, so that it cannot be recorded with the first.
    let hold = FaultKind::Hold { act_first: true };
    lab.sim.inject(Fault::nth(4, hold));
    let (place, reached) = ("journal.after_append", lab.path("reached"));
    let command = lab.command(&["apply", "--auto-approve"]);
    let (mut child, _) = started_up_to(command, place, 1, &reached);
    // Only what has come in is held: the fault must not wait for a later run.
    lab.await_puts(4);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lab.exists(JOURNAL));
    lab
}

#[test]
fn a_journal_of_a_killed_apply_counts_wherever_the_rekey_after_it_is_killed() {
    for place in [
        "rekey.before_state",
        "rekey.before_manifest",
        "rekey.after_manifest",
        "rekey.finished",
    ] {
        let lab = lab_with_a_journal();
        let before = planned(&lab);
        assert!(before[0].contains("1 in sync"), "{before:?}");
        assert!(before[1].contains(&format!("? {J2}/source")), "{before:?}");
        lab.killed_at(place, 1, &["rekey", "--yes", "--new-key"]);
        assert_eq!(planned(&lab), before, "{place}");
        lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
        assert_eq!(planned(&lab), before, "{place}");
        assert!(!lab.exists(JOURNAL), "{place}");
        let sent = lab.sent().len();
        lab.apply(&[]).exits(0);
        let doubt = (J2.to_owned(), "source".to_owned());
        assert_eq!(lab.sent()[sent..].concat(), [doubt], "{place}");
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
        for job in [J1, J2] {
            assert!(lab.sim.holds(job, "source", "canary-2"));
        }
    }
}

#[test]
fn a_recovery_file_of_before_a_rekey_changes_nothing_after_it() {
    for killed in [None, Some("rekey.after_manifest"), Some("rekey.finished")] {
        let lab = Lab::with_a_change();
        let mut command = lab.command(&["apply", "--auto-approve"]);
        command.env("DRSPASS_TEST_FAIL_AT", "replace:3");
        lab.run_command(command).exits(8);
        let name = recovery_file(&lab);
        assert!(lab.exists(JOURNAL), "it was cut off as well");
        let recovery = lab.read(&name);
        lab.run(&["state", "recover", &name]).exits(0);
        let rekey = ["rekey", "--yes", "--new-key"];
        match killed {
            Some(place) => lab.killed_at(place, 1, &rekey),
            None => drop(lab.run(&rekey).exits(0)),
        }
        let files = told(&lab);
        lab.write("old", &recovery);
        lab.run(&["state", "recover", "old"]).exits(1);
        std::fs::remove_file(lab.path("old")).unwrap();
        assert_eq!(told(&lab), files, "{killed:?}");
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
        lab.run(&rekey).exits(0);
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    }
}
