//! Copies of one root folder, each with a state of its own.

use std::path::{Path, PathBuf};

use drspass::sim::EndPointType;

use super::{JOURNAL, PLAN, STATE, planned, planned_first};
use crate::looped::refuse;
use crate::support::{J1, J2, Lab, Run};

/// A copy of the root folder, state and plan included.
struct Clone<'a> {
    lab: &'a Lab,
    folder: PathBuf,
}

impl<'a> Clone<'a> {
    fn of(lab: &'a Lab, name: &str) -> Self {
        let folder = lab.path(name);
        std::fs::create_dir(&folder).unwrap();
        for entry in std::fs::read_dir(lab.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
            }
        }
        Self { lab, folder }
    }

    fn name(&self) -> &str {
        self.folder
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap()
    }

    fn run(&self, args: &[&str]) -> Run {
        let place = ["-C", self.name(), "-i", "key.txt"];
        self.lab.run(&[&place, args].concat())
    }

    fn killed_at(&self, place: &str, args: &[&str]) {
        let here = ["-C", self.name(), "-i", "key.txt"];
        self.lab.killed_at(place, 1, &[&here, args].concat());
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}

#[test]
fn each_clone_applies_the_plan_once_and_neither_disturbs_the_other() {
    for lab in [planned(), planned_first()] {
        let one = Clone::of(&lab, "one");
        let two = Clone::of(&lab, "two");
        let before = lab.sent().concat().len();
        one.run(&["apply", PLAN]).exits(0);
        let each = lab.sent().concat().len() - before;
        two.run(&["apply", PLAN]).exits(0);
        assert_eq!(lab.sent().concat().len(), before + 2 * each);
        for clone in [&one, &two] {
            clone.run(&["apply", PLAN]).exits(5).says("already applied");
            clone.run(&["plan", "--detailed-exitcode"]).exits(0);
        }
    }
}

#[test]
fn the_journal_of_one_clone_is_refused_beside_the_state_of_the_other() {
    for lab in [planned(), planned_first()] {
        let one = Clone::of(&lab, "one");
        let two = Clone::of(&lab, "two");
        // The first copy was told that the value was taken; the second one knows
        // nothing, though both are at the same serial of the same history and marked
        // the very same records.
        one.killed_at("apply.before_fold", &["apply", PLAN]);
        two.killed_at("apply.before_first_send", &["apply", PLAN]);
        let state = std::fs::read(two.file(STATE)).unwrap();
        copy(&one.file(JOURNAL), &two.file(JOURNAL));
        for args in [
            &["apply", PLAN][..],
            &["plan"],
            &["apply", "--auto-approve"],
        ] {
            two.run(args).exits(1).says("does not belong to the state");
        }
        assert_eq!(std::fs::read(two.file(STATE)).unwrap(), state);
        // The other way round, nothing of the second run is taken for an answer.
        one.run(&["apply", PLAN]).exits(5).says("already applied");
    }
}

#[test]
fn the_journal_of_one_clone_is_not_taken_for_folded_by_the_other() {
    for lab in [planned(), planned_first()] {
        let one = Clone::of(&lab, "one");
        let two = Clone::of(&lab, "two");
        one.killed_at("apply.before_fold", &["apply", PLAN]);
        two.run(&["apply", PLAN]).exits(0);
        let state = std::fs::read(two.file(STATE)).unwrap();
        copy(&one.file(JOURNAL), &two.file(JOURNAL));
        two.run(&["apply", PLAN])
            .exits(1)
            .says("does not belong to the state");
        assert_eq!(std::fs::read(two.file(STATE)).unwrap(), state);
        assert!(two.file(JOURNAL).exists());
    }
}

#[test]
fn a_plan_of_one_clone_is_stale_where_the_other_went_on() {
    let lab = planned_first();
    let one = Clone::of(&lab, "one");
    let two = Clone::of(&lab, "two");
    lab.sim
        .inject(refuse(J2, EndPointType::Source, "DRS.M00304"));
    one.run(&["apply", PLAN]).exits(3);
    two.run(&["apply", PLAN]).exits(0);
    // Both states are of one history and of one serial, and differ in J2.
    one.run(&["plan", "--out", "next.json"]).exits(0);
    copy(&one.file("next.json"), &two.file("next.json"));
    let sent = lab.sent().len();
    let run = two
        .run(&["apply", "next.json"])
        .exits(5)
        .says("changed since");
    assert!(!run.all().contains(J1), "{}", run.all());
    assert_eq!(lab.sent().len(), sent);
    one.run(&["apply", "next.json"]).exits(0);
}

#[test]
fn a_state_of_one_clone_lets_the_plan_go_on_in_the_other() {
    // A pipeline that fetches the state where another run left it.
    let lab = planned_first();
    let one = Clone::of(&lab, "one");
    let two = Clone::of(&lab, "two");
    lab.sim
        .inject(refuse(J2, EndPointType::Source, "DRS.M00304"));
    one.run(&["apply", PLAN]).exits(3);
    copy(&one.file(STATE), &two.file(STATE));
    let sent = lab.sent().concat().len();
    two.run(&["apply", PLAN]).exits(0);
    let again = lab.sent().concat()[sent..].to_vec();
    assert_eq!(again, [(J2.to_owned(), "source".to_owned())]);
}
