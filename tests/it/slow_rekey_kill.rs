//! SIGKILL of the real binary at each step of a rekey. Whatever the step: the manifest
//! and the state that a reader finds belong together, nothing is called in sync that
//! is not, and both a plan and apply and another rekey lead on.

use std::collections::BTreeMap;
use std::fs;

use drspass::sim::{EndPointType, Fault, FaultKind};

use crate::looped::refuse;
use crate::rekey::{MANIFEST, STATE, add_somebody, contents, key_id, opens, own, planned, told};
use crate::support::{J1, J2, Lab};

/// The first replacement writes the state beside, the second keeps the former one, the
/// third puts the new one in its place.
const PLACES: [(&str, usize); 13] = [
    ("rekey.before_state", 1),
    ("replace.before_rename", 1),
    ("replace.after_rename", 1),
    ("rekey.before_manifest", 1),
    ("manifest.before_replace", 1),
    ("manifest.after_replace", 1),
    ("rekey.after_manifest", 1),
    ("replace.before_rename", 2),
    ("replace.after_rename", 2),
    ("replace.before_rename", 3),
    ("replace.after_rename", 3),
    ("rekey.before_removal", 1),
    ("rekey.finished", 1),
];
/// The steps at which a rekey is finished by whoever comes next.
const FINISHING: [(&str, usize); 5] = [
    ("replace.before_rename", 1),
    ("replace.after_rename", 1),
    ("replace.before_rename", 2),
    ("replace.after_rename", 2),
    ("rekey.before_removal", 1),
];
const LEFTOVERS: [&str; 3] = [
    "drspass.state.json.rekey",
    "drspass.state.json.rekey.tmp",
    "drspass.state.json.tmp",
];

/// One entry in sync, one changed, one in doubt, one refused; somebody is a recipient
/// who is no longer listed.
fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[
        (J1, "source", "canary-same"),
        (J1, "destination", "canary-old"),
    ]);
    lab.apply(&[]).exits(0);
    lab.passwords(&[
        (J1, "source", "canary-same"),
        (J1, "destination", "canary-new"),
        (J2, "source", "canary-doubt"),
        (J2, "destination", "canary-refused"),
    ]);
    lab.sim.inject(Fault::next(FaultKind::NotJson));
    lab.apply(&["--only", &format!("{J2}/source")]).exits(4);
    lab.sim
        .inject(refuse(J2, EndPointType::Destination, "DRS.M00304"));
    lab.apply(&["--only", &format!("{J2}/destination")])
        .exits(1);
    add_somebody(&lab);
    lab.list_recipients(&[&own(&lab)]);
    lab
}

/// Puts every file back as it was.
fn restore(lab: &Lab, files: &BTreeMap<String, Vec<u8>>) {
    for name in contents(lab).keys() {
        fs::remove_file(lab.path(name)).unwrap();
    }
    for (name, content) in files {
        lab.write(name, content);
    }
}

/// What is there after a kill: all old or all new, and nothing claimed falsely.
#[track_caller]
fn stands(lab: &Lab, before: &[String], old_key: &str, place: &str) {
    lab.assert_files_clean();
    assert_eq!(planned(lab), before, "{place}");
    assert!(lab.sim.holds(J1, "source", "canary-same"), "it is in sync");
    let is_old = opens_file(lab, "other.txt");
    assert_eq!(key_id(lab) == old_key, is_old, "{place}");
}

/// Whether an identity opens the file, whatever drspass.yaml lists.
fn opens_file(lab: &Lab, name: &str) -> bool {
    lab.run(&["-i", name, "decrypt"]).code == Some(0)
}

#[track_caller]
fn ended(lab: &Lab, old_key: &str, place: &str) {
    assert!(!opens_file(lab, "other.txt"), "{place}");
    assert_ne!(key_id(lab), old_key, "{place}");
    for name in LEFTOVERS {
        assert!(!lab.exists(name), "{place}: {name} is left over");
    }
}

#[test]
fn at_every_step_all_is_old_or_all_is_new_and_both_ways_lead_on() {
    let lab = lab();
    let files = contents(&lab);
    let (before, old_key) = (planned(&lab), key_id(&lab));
    let mut outcomes = Vec::new();
    for (place, pass) in PLACES {
        let name = format!("{place} {pass}");
        restore(&lab, &files);
        lab.killed_at(place, pass, &["rekey", "--yes"]);
        let killed = contents(&lab);
        stands(&lab, &before, &old_key, &name);
        outcomes.push(key_id(&lab) == old_key);
        // The way on by another rekey.
        lab.run(&["rekey", "--yes"]).exits(0);
        stands(&lab, &before, &old_key, &name);
        ended(&lab, &old_key, &name);
        // The way on by an apply, and a rekey after it.
        restore(&lab, &killed);
        lab.run(&["index", "--write"]).exits(0);
        lab.apply(&[]).exits(0);
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
        lab.run(&["rekey", "--yes"]).exits(0);
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
        ended(&lab, &old_key, &name);
        for (job, endpoint, password) in [
            (J1, "source", "canary-same"),
            (J1, "destination", "canary-new"),
            (J2, "source", "canary-doubt"),
            (J2, "destination", "canary-refused"),
        ] {
            assert!(lab.sim.holds(job, endpoint, password), "{name}");
        }
    }
    // The manifest decides: before it is replaced all is old, from then on all is new.
    let old = outcomes.iter().filter(|is_old| **is_old).count();
    assert_eq!(old, 5, "{outcomes:?}");
    assert!(outcomes.is_sorted_by(|a, b| a >= b), "{outcomes:?}");
}

#[test]
fn a_second_kill_while_it_is_finished_loses_nothing() {
    let lab = lab();
    let (before, old_key) = (planned(&lab), key_id(&lab));
    lab.killed_at("rekey.after_manifest", 1, &["rekey", "--yes"]);
    let files = contents(&lab);
    for (place, pass) in FINISHING {
        for command in [
            &["rekey", "--yes"][..],
            &["apply", "--auto-approve"],
            &["state", "rm", "--unlisted"],
            &["state", "adopt", J1, "--yes"],
        ] {
            let name = format!("{place} {pass} of {command:?}");
            restore(&lab, &files);
            lab.killed_at(place, pass, command);
            stands(&lab, &before, &old_key, &name);
            lab.run(&["rekey", "--yes"]).exits(0);
            stands(&lab, &before, &old_key, &name);
            ended(&lab, &old_key, &name);
        }
    }
}

#[test]
fn a_manifest_put_back_from_git_in_between_claims_nothing_false() {
    let lab = lab();
    let (before, old_key) = (planned(&lab), key_id(&lab));
    let old = fs::read(lab.path(MANIFEST)).unwrap();
    lab.killed_at("rekey.after_manifest", 1, &["rekey", "--yes"]);
    let new = fs::read(lab.path(MANIFEST)).unwrap();
    // With the old manifest all is old, and its holder goes on.
    lab.write(MANIFEST, &old);
    stands(&lab, &before, &old_key, "the old manifest");
    lab.apply(&[]).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    // With the new one, the state beside is not that of this state any more.
    lab.put_manifest(&new);
    let plan = lab.plan();
    assert!(plan.contains("0 in sync"), "{plan}");
    let state = lab.read(STATE);
    lab.apply(&[])
        .exits(1)
        .says("the state was made with the key");
    assert_eq!(lab.read(STATE), state);
    lab.apply(&["--accept-new-key", &old_key]).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_rekey_that_keeps_the_key_leaves_the_state_alone_wherever_it_is_killed() {
    let lab = lab();
    let other = lab.recipient_of("other.txt");
    lab.list_recipients(&[&own(&lab), &other]);
    let (before, state, id) = (planned(&lab), lab.read(STATE), key_id(&lab));
    for place in ["manifest.before_replace", "manifest.after_replace"] {
        lab.killed_at(place, 1, &["rekey", "--yes"]);
        assert_eq!(
            (planned(&lab), lab.read(STATE), key_id(&lab)),
            (before.clone(), state.clone(), id.clone())
        );
        lab.run(&["index", "--write"]).exits(0);
        assert!(opens(&lab, "key.txt") && opens(&lab, "other.txt"));
    }
}

#[test]
fn a_move_to_another_project_is_refused_or_done_wherever_it_is_killed() {
    let lab = lab();
    let config = lab.read("drspass.yaml");
    let other = "ffffba152d480d55b2f5dc0069e7ddef";
    lab.write("drspass.yaml", config.replace(lab.sim.project_id(), other));
    let files = contents(&lab);
    for (place, pass) in PLACES {
        restore(&lab, &files);
        lab.killed_at(place, pass, &["rekey", "--yes"]);
        let plan = lab.run(&["plan"]);
        match plan.code {
            Some(1) => drop(plan.says("the manifest is sealed for")),
            _ => drop(plan.exits(0).says("4 to set").says("0 in sync")),
        }
        lab.run(&["rekey", "--yes"]).exits(0);
        lab.run(&["plan"])
            .exits(0)
            .says("4 to set")
            .says("0 in sync");
        let kept = told(&lab);
        assert_eq!(
            kept["drspass.state.json.before-rekey"], files[STATE],
            "{place} {pass}"
        );
        for name in LEFTOVERS {
            assert!(!lab.exists(name), "{place} {pass}: {name}");
        }
    }
}
