//! SIGKILL of the real binary at each step of an apply. Whatever the step: the
//! next plan calls nothing in sync that was not confirmed, loses nothing that
//! was, and a rerun without faults converges.

use std::process::Child;

use drspass::sim::{Fault, FaultKind};

use crate::support::{J1, J2, J3, Lab};

/// Places that a debug build can be stopped at, and on which pass.
const BEFORE_FIRST_SEND: (&str, usize) = ("apply.before_first_send", 1);
const BETWEEN_ANSWER_AND_JOURNAL: (&str, usize) = ("journal.before_append", 1);
const AFTER_FIRST_JOURNAL_LINE: (&str, usize) = ("journal.after_append", 1);
const BETWEEN_JOURNAL_AND_FOLD: (&str, usize) = ("apply.before_fold", 1);
/// The first replacement is the backup, the second marks what is to be sent.
const DURING_INTENT: (&str, usize) = ("replace.before_rename", 2);
const DURING_FINAL_RENAME: (&str, usize) = ("replace.before_rename", 3);
const AFTER_FINAL_RENAME: (&str, usize) = ("replace.after_rename", 3);
const BEFORE_JOURNAL_REMOVAL: (&str, usize) = ("journal.before_removal", 1);

const ENTRIES: [(&str, &str, &str); 4] = [
    (J1, "source", "canary-new-1"),
    (J1, "destination", "canary-new-2"),
    (J2, "source", "canary-new-3"),
    (J3, "source", "canary-new-4"),
];

/// Everything was applied once with other passwords; requests hold one job each
/// and go one after the other.
fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 2, parallelism: 1 }");
    lab.apply_former(&ENTRIES);
    lab.passwords(&ENTRIES);
    lab
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Starts an apply and kills it at a place inside it.
fn killed_at(lab: &Lab, (place, pass): (&str, usize)) {
    lab.killed_at(place, pass, &["apply", "--auto-approve"]);
}

/// Checks what the next plan says against what the service was told, then
/// reruns without faults.
#[track_caller]
fn recovers(lab: &Lab, confirmed: &[&str]) {
    lab.assert_files_clean();
    let plan = lab.plan();
    for (job, endpoint, password) in ENTRIES {
        let is_listed = plan.contains(&format!("{job}/{endpoint} "));
        if !is_listed {
            assert!(
                lab.sim.holds(job, endpoint, password),
                "{job}/{endpoint} is called in sync and is not\n{plan}"
            );
        }
        assert_eq!(
            !is_listed,
            confirmed.contains(&password),
            "{job}/{endpoint}: exactly what was confirmed is in sync\n{plan}"
        );
    }
    let before = lab.sent().len();
    lab.apply(&[]).exits(0);
    let resent = lab.sent()[before..].concat();
    assert_eq!(resent.len(), ENTRIES.len() - confirmed.len());
    for (job, endpoint, password) in ENTRIES {
        assert!(lab.sim.holds(job, endpoint, password));
    }
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    for name in ["drspass.state.json.journal", "drspass.state.json.tmp"] {
        assert!(!lab.exists(name), "{name} is left over");
    }
}

#[test]
fn before_the_marks_nothing_changed() {
    let lab = lab();
    let state = lab.read("drspass.state.json");
    killed_at(&lab, DURING_INTENT);
    assert_eq!(lab.read("drspass.state.json"), state);
    recovers(&lab, &[]);
}

#[test]
fn before_the_first_send_everything_is_in_doubt() {
    let lab = lab();
    killed_at(&lab, BEFORE_FIRST_SEND);
    assert_eq!(lab.plan().matches("  ? ").count(), 4);
    recovers(&lab, &[]);
}

#[test]
fn between_send_and_answer_everything_is_in_doubt() {
    for act_first in [false, true] {
        let lab = lab();
        lab.sim.inject(Fault::next(FaultKind::Hold { act_first }));
        let sent = lab.sent().len();
        let child = lab.command(&["apply", "--auto-approve"]).spawn().unwrap();
        lab.await_puts(sent + 1);
        kill(child);
        assert_eq!(lab.plan().matches("  ? ").count(), 4);
        lab.sim.release();
        recovers(&lab, &[]);
    }
}

#[test]
fn between_answer_and_journal_everything_is_in_doubt() {
    let lab = lab();
    killed_at(&lab, BETWEEN_ANSWER_AND_JOURNAL);
    recovers(&lab, &[]);
}

#[test]
fn after_a_journal_line_its_entries_are_confirmed() {
    let lab = lab();
    // The stop is in the thread of the journal, so later answers may have come;
    // they are not recorded and stay in doubt.
    killed_at(&lab, AFTER_FIRST_JOURNAL_LINE);
    let confirmed: Vec<&str> = journalled(&lab);
    assert!(confirmed.len() >= 2);
    lab.run(&["plan"]).exits(0).says("an apply was cut off");
    recovers(&lab, &confirmed);
}

/// The passwords of all entries that the journal calls applied.
fn journalled(lab: &Lab) -> Vec<&'static str> {
    let journal = lab.read("drspass.state.json.journal");
    ENTRIES
        .into_iter()
        .filter(|(job, endpoint, _)| journal.contains(&format!("\"{job}/{endpoint}\"")))
        .map(|(_, _, password)| password)
        .collect()
}

#[test]
fn between_journal_and_fold_everything_is_confirmed() {
    for place in [
        BETWEEN_JOURNAL_AND_FOLD,
        DURING_FINAL_RENAME,
        AFTER_FINAL_RENAME,
        BEFORE_JOURNAL_REMOVAL,
    ] {
        let lab = lab();
        killed_at(&lab, place);
        recovers(&lab, &ENTRIES.map(|(_, _, password)| password));
    }
}

#[test]
fn a_second_kill_while_the_journal_is_taken_over_loses_nothing() {
    // The takeover replaces the state first, then removes the journal.
    for place in [
        ("replace.before_rename", 1),
        ("replace.after_rename", 1),
        BEFORE_JOURNAL_REMOVAL,
    ] {
        let lab = lab();
        killed_at(&lab, AFTER_FIRST_JOURNAL_LINE);
        let confirmed = journalled(&lab);
        killed_at(&lab, place);
        recovers(&lab, &confirmed);
    }
}

#[test]
fn two_kills_at_the_removal_of_a_journal_that_is_in_the_state_lose_nothing() {
    let lab = lab();
    for _ in 0..3 {
        killed_at(&lab, BEFORE_JOURNAL_REMOVAL);
    }
    recovers(&lab, &ENTRIES.map(|(_, _, password)| password));
}

#[test]
fn a_first_apply_that_is_killed_leaves_doubt_too() {
    let mut lab = Lab::new();
    lab.passwords(&ENTRIES);
    killed_at(&lab, BEFORE_FIRST_SEND);
    recovers(&lab, &[]);
}

#[test]
fn a_journal_line_that_a_crash_cut_short_is_dropped() {
    let lab = lab();
    killed_at(&lab, BETWEEN_JOURNAL_AND_FOLD);
    let journal = lab.read("drspass.state.json.journal");
    let lines: Vec<&str> = journal.lines().collect();
    let last = lines.last().unwrap();
    for cut in [0, 1, last.len() / 2, last.len()] {
        let torn = format!("{}\n{}", lines[..lines.len() - 1].join("\n"), &last[..cut]);
        lab.write("drspass.state.json.journal", &torn);
        let confirmed = journalled_in(&lines[..lines.len() - 1].join("\n"));
        let plan = lab.plan();
        assert_eq!(plan.matches("  ? ").count(), ENTRIES.len() - confirmed);
    }
    // Even a journal whose first line was cut short is no obstacle.
    lab.write("drspass.state.json.journal", &lines[0][..20]);
    recovers(&lab, &[]);
}

fn journalled_in(journal: &str) -> usize {
    journal.matches("\"settled\":\"applied\"").count()
}
