//! SIGKILL of the real binary at each step of a rekey, and of the first command after it, which
//! writes the state with the new key. Whatever the step: the manifest and the state that a reader
//! finds belong together, nothing is called in sync that is not, and both a plan and apply and
//! another rekey lead on.

use std::collections::BTreeMap;
use std::fs;

use drspass::sim::{EndPointType, Fault, FaultKind};

use crate::looped::refuse;
use crate::rekey::{MANIFEST, STATE, add_somebody, contents, key_id, own, planned};
use crate::support::{J1, J2, Lab};

const PLACES: [&str; 3] = [
    "manifest.before_replace",
    "manifest.after_replace",
    "index.before_replace",
];
/// The steps of a command that backs the former state up, then replaces it.
const GOING_OVER: [(&str, usize); 4] = [
    ("replace.before_rename", 1),
    ("replace.after_rename", 1),
    ("replace.before_rename", 2),
    ("replace.after_rename", 2),
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

#[test]
fn at_every_step_all_is_old_or_all_is_new_and_both_ways_lead_on() {
    let lab = lab();
    let files = contents(&lab);
    let (before, old_key) = (planned(&lab), key_id(&lab));
    let mut outcomes = Vec::new();
    for place in PLACES {
        restore(&lab, &files);
        lab.killed_at(place, 1, &["rekey", "--yes"]);
        let killed = contents(&lab);
        stands(&lab, &before, &old_key, place);
        assert_eq!(killed[STATE], files[STATE], "{place}");
        outcomes.push(key_id(&lab) == old_key);
        // The way on by another rekey.
        lab.run(&["rekey", "--yes"]).exits(0);
        stands(&lab, &before, &old_key, place);
        assert!(!opens_file(&lab, "other.txt"), "{place}");
        // The way on by an apply, and a rekey after it.
        restore(&lab, &killed);
        lab.run(&["index", "--write"]).exits(0);
        lab.apply(&[]).exits(0);
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
        lab.run(&["rekey", "--yes"]).exits(0);
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
        for (job, endpoint, password) in [
            (J1, "source", "canary-same"),
            (J1, "destination", "canary-new"),
            (J2, "source", "canary-doubt"),
            (J2, "destination", "canary-refused"),
        ] {
            assert!(lab.sim.holds(job, endpoint, password), "{place}");
        }
    }
    // The manifest decides: before it is replaced all is old, from then on all is new.
    assert_eq!(outcomes, [true, false, false]);
}

#[test]
fn a_kill_while_the_state_goes_over_loses_nothing() {
    let lab = lab();
    let (before, old_key) = (planned(&lab), key_id(&lab));
    lab.run(&["rekey", "--yes"]).exits(0);
    let files = contents(&lab);
    for (place, pass) in GOING_OVER {
        for command in [
            &["apply", "--auto-approve"][..],
            &["state", "rm", J2],
            &["state", "adopt", J1, "--yes"],
        ] {
            let name = format!("{place} {pass} of {command:?}");
            restore(&lab, &files);
            lab.killed_at(place, pass, command);
            lab.assert_files_clean();
            assert!(!opens_file(&lab, "other.txt") && key_id(&lab) != old_key);
            let now = planned(&lab);
            if (place, pass) != ("replace.after_rename", 2) {
                assert_eq!(now, before, "{name}");
            }
            lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
            assert_eq!(planned(&lab), now, "{name}");
            lab.apply(&[]).exits(0);
            lab.run(&["plan", "--detailed-exitcode"]).exits(0);
        }
    }
}

#[test]
fn a_manifest_put_back_from_git_in_between_claims_nothing_false() {
    let lab = lab();
    let (before, old_key) = (planned(&lab), key_id(&lab));
    let old = fs::read(lab.path(MANIFEST)).unwrap();
    lab.run(&["rekey", "--yes"]).exits(0);
    let new = fs::read(lab.path(MANIFEST)).unwrap();
    // With the old manifest all is old, and its holder goes on.
    lab.put_manifest(&old);
    stands(&lab, &before, &old_key, "the old manifest");
    lab.apply(&[]).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    // With the new one, the state is not that of the rekey any more.
    lab.put_manifest(&new);
    let state = lab.read(STATE);
    for command in [&["plan"][..], &["apply", "--auto-approve"]] {
        lab.run(command)
            .exits(1)
            .says("the state moved after this rekey");
    }
    assert_eq!(lab.read(STATE), state);
    lab.run(&["rekey", "--again", "--yes"]).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    // And the old one is of no use any more.
    lab.put_manifest(&old);
    lab.apply(&[])
        .exits(1)
        .says("the state was made with the key");
}

#[test]
fn a_rekey_that_keeps_the_key_leaves_the_state_alone_wherever_it_is_killed() {
    let lab = lab();
    let other = lab.recipient_of("other.txt");
    lab.list_recipients(&[&own(&lab), &other]);
    let (before, state, id) = (planned(&lab), lab.read(STATE), key_id(&lab));
    for place in PLACES {
        lab.killed_at(place, 1, &["rekey", "--yes"]);
        assert_eq!(
            (planned(&lab), lab.read(STATE), key_id(&lab)),
            (before.clone(), state.clone(), id.clone())
        );
        lab.run(&["index", "--write"]).exits(0);
        assert!(opens_file(&lab, "key.txt") && opens_file(&lab, "other.txt"));
    }
}

#[test]
fn a_move_to_another_project_is_refused_or_done_wherever_it_is_killed() {
    let lab = lab();
    let config = lab.read("drspass.yaml");
    let other = "ffffba152d480d55b2f5dc0069e7ddef";
    lab.write("drspass.yaml", config.replace(lab.sim.project_id(), other));
    let files = contents(&lab);
    for place in PLACES {
        restore(&lab, &files);
        lab.killed_at(place, 1, &["rekey", "--yes"]);
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
        assert_eq!(lab.read(STATE).as_bytes(), files[STATE], "{place}");
    }
}
