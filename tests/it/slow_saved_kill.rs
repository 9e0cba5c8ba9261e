//! SIGKILL at each step of an apply of a saved plan. Whatever the step: the same plan
//! is applied again and converges, and nothing that was recorded is sent once more.

use std::collections::BTreeSet;

use drspass::sim::{Fault, FaultKind};
use serde_json::Value;

use crate::saved::{JOURNAL, PLAN, STATE, apply, save};
use crate::support::{J1, J2, J3, Lab};

const ENTRIES: [(&str, &str, &str); 4] = [
    (J1, "source", "canary-new-1"),
    (J1, "destination", "canary-new-2"),
    (J2, "source", "canary-new-3"),
    (J3, "source", "canary-new-4"),
];

/// Places at which a run is stopped, and on which pass. The marks and the outcomes are
/// a replacement of the state each, and where there is a state its backup is the first.
const PLACES: [(&str, usize); 12] = [
    ("replace.before_rename", 1),
    ("replace.after_rename", 1),
    ("replace.before_rename", 2),
    ("replace.after_rename", 2),
    ("apply.before_first_send", 1),
    ("journal.before_append", 1),
    ("journal.after_append", 1),
    ("journal.before_append", 2),
    ("journal.after_append", 2),
    ("apply.before_fold", 1),
    ("journal.before_removal", 1),
    ("replace.before_rename", 3),
];

/// Requests hold one job each and go one after the other, three in all: so that the
/// journal is written at least twice however late it is. A plan for all entries
/// is saved: as changes of known values, or of entries that were never set.
fn lab(is_first: bool) -> Lab {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    if !is_first {
        lab.apply_former(&ENTRIES);
    }
    lab.passwords(&ENTRIES);
    save(&lab);
    lab
}

type Entries = BTreeSet<(String, String)>;

/// The entries that state or journal call applied by the saved plan.
pub(crate) fn recorded(lab: &Lab, plan: &str) -> Entries {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    let read = |name: &str| std::fs::read_to_string(lab.path(name)).ok();
    let state = read(STATE).as_deref().and_then(parse).unwrap_or_default();
    let plan = parse(&lab.read(plan)).unwrap();
    let journal: Vec<Value> = read(JOURNAL)
        .iter()
        .flat_map(|text| text.lines().filter_map(parse))
        .flat_map(|line| {
            line["body"]["records"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .collect();
    let mut recorded = Entries::new();
    for entry in plan["body"]["entries"].as_array().unwrap() {
        let key = entry["key"].as_str().unwrap();
        let known = &state["body"]["entries"][key];
        let is_applied = known["applied"]["prints"] == entry["wanted"]
            && known["pending"].is_null()
            && known["last_outcome"].is_null();
        let is_answered = known["pending"]["wanted"] == entry["wanted"]
            && journal
                .iter()
                .any(|record| record["entry"] == key && record["settled"] == "applied");
        if is_applied || is_answered {
            let (job, endpoint) = key.split_once('/').unwrap();
            recorded.insert((job.to_owned(), endpoint.to_owned()));
        }
    }
    recorded
}

/// Applies the plan once more and checks that it sends exactly what is not recorded.
#[track_caller]
fn goes_on(lab: &Lab) {
    lab.assert_files_clean();
    let recorded = recorded(lab, PLAN);
    let before = lab.sent().len();
    let run = apply(lab);
    let all: Entries = ENTRIES
        .iter()
        .map(|(job, endpoint, _)| ((*job).to_owned(), (*endpoint).to_owned()))
        .collect();
    let resent = lab.sent()[before..].concat();
    let expected: Entries = all.difference(&recorded).cloned().collect();
    assert_eq!(resent.len(), expected.len(), "each of them once");
    assert_eq!(resent.into_iter().collect::<Entries>(), expected);
    if expected.is_empty() {
        run.exits(5).says("all of it is already applied");
    } else {
        run.exits(0);
    }
    is_finished(lab);
}

#[track_caller]
fn is_finished(lab: &Lab) {
    for (job, endpoint, password) in ENTRIES {
        assert!(lab.sim.holds(job, endpoint, password));
    }
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    let sent = lab.sent().len();
    apply(lab).exits(5).says("all of it is already applied");
    assert_eq!(lab.sent().len(), sent);
    for name in [JOURNAL, "drspass.state.json.tmp"] {
        assert!(!lab.exists(name), "{name} is left over");
    }
}

#[test]
fn a_plan_that_was_killed_at_any_step_goes_on_where_it_was() {
    for is_first in [false, true] {
        for (place, pass) in PLACES {
            if is_first && place.starts_with("replace") && pass == 3 {
                // There is no backup of a state that is not there.
                continue;
            }
            let lab = lab(is_first);
            lab.killed_at(place, pass, &["apply", PLAN]);
            goes_on(&lab);
        }
    }
}

#[test]
fn a_plan_that_was_killed_between_send_and_answer_goes_on() {
    for act_first in [false, true] {
        let lab = lab(true);
        lab.sim.inject(Fault::next(FaultKind::Hold { act_first }));
        let mut child = lab.command(&["apply", PLAN]).spawn().unwrap();
        lab.await_puts(1);
        child.kill().unwrap();
        child.wait().unwrap();
        lab.sim.release();
        assert_eq!(recorded(&lab, PLAN), Entries::new());
        goes_on(&lab);
    }
}

#[test]
fn a_plan_that_is_killed_again_and_again_never_sends_what_it_recorded() {
    for is_first in [false, true] {
        let lab = lab(is_first);
        for (place, pass) in [
            ("apply.before_first_send", 1),
            ("journal.after_append", 1),
            ("replace.after_rename", 1),
            ("journal.after_append", 1),
            ("journal.before_removal", 1),
            ("apply.before_first_send", 1),
            ("apply.before_fold", 1),
        ] {
            let recorded = recorded(&lab, PLAN);
            if recorded.len() == ENTRIES.len() {
                break;
            }
            let before = lab.sent().len();
            lab.killed_at(place, pass, &["apply", PLAN]);
            let resent = lab.sent()[before..].concat();
            assert!(resent.iter().all(|entry| !recorded.contains(entry)));
        }
        goes_on(&lab);
    }
}

#[test]
fn the_marks_of_a_killed_plan_stop_every_other_plan_of_the_same_entries() {
    let lab = lab(false);
    lab.run(&["plan", "--out", "other.json"]).exits(0);
    lab.killed_at("apply.before_first_send", 1, &["apply", PLAN]);
    let sent = lab.sent().len();
    lab.run(&["apply", "other.json"])
        .exits(5)
        .says("changed since");
    assert_eq!(lab.sent().len(), sent);
    goes_on(&lab);
    lab.run(&["apply", "other.json"])
        .exits(5)
        .says("changed since");
}
