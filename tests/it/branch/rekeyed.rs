//! A rekey and a move while others go on with the manifest of before.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use crate::rekey::{add_somebody, key_id, own};
use crate::support::branch::{NAME, PLACE, git, origin};
use crate::support::{J1, J2, Lab, Run};

const APPLY: [&str; 2] = ["apply", "--auto-approve"];
const NEW: &str = "git:origin/drspass-state/new";
const FILES: [&str; 3] = ["drspass.yaml", "passwords.yaml.age", "passwords.index.yaml"];

/// Two applied passwords, which somebody else can read too; main has the manifest. Returns a clone
/// that stays on main.
fn lab() -> (Lab, TempDir) {
    let mut lab = Lab::on_branch();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    add_somebody(&lab);
    lab.push();
    lab.apply(&[]).exits(0);
    let main = lab.cloned();
    (lab, main)
}

/// Removes somebody, on a branch that nobody has merged.
fn remove_somebody(lab: &Lab) {
    git(lab.dir.path(), &["checkout", "--quiet", "-b", "removal"]);
    lab.list_recipients(&[&own(lab)]);
    lab.run(&["rekey", "--yes"]).exits(0);
}

/// Main gets what this clone has.
fn merge(lab: &Lab, main: &TempDir) {
    for name in FILES {
        fs::copy(lab.path(name), main.path().join(name)).unwrap();
    }
}

#[track_caller]
fn in_sync(run: Run, count: usize) {
    run.exits(0).says(&format!("{count} in sync"));
}

fn set(lab: &Lab, clone: &TempDir, address: &str) -> Run {
    lab.run_in(clone, &["set", address, "--generate"])
}

#[test]
fn main_plans_applies_and_sets_until_a_rekey_is_merged() {
    let (lab, main) = lab();
    let (tip, former) = (lab.tip(), key_id(&lab));
    remove_somebody(&lab);
    assert_ne!(key_id(&lab), former);
    assert_eq!(lab.tip(), tip, "nothing that others read is touched");
    // Both see the same: one with the former key, one with the new one.
    in_sync(lab.run(&["plan"]), 2);
    in_sync(lab.run_in(&main, &["plan"]), 2);
    lab.run_in(&main, &APPLY).exits(0);
    set(&lab, &main, &format!("{J1}/source")).exits(0);
    lab.run_in(&main, &["plan"]).exits(0).says("1 to change");
    assert_eq!(lab.tip(), tip);
    // Merged before main applied: the first write has the new key.
    lab.run_in(&main, &["unset", &format!("{J2}/source")])
        .exits(0);
    lab.run(&["state", "rm", "--unlisted"]).exits(0);
    in_sync(lab.run(&["plan"]), 2);
    lab.run(&["state", "distrust"]).exits(0);
    assert_eq!(lab.state()["body"]["key_id"], key_id(&lab).as_str());
    let refused = lab.run_in(&main, &APPLY).exits(1);
    refused
        .says("the state was made with the key")
        .says("Nothing was sent");
    merge(&lab, &main);
    lab.run_in(&main, &["plan"])
        .exits(0)
        .says("2 to send again");
    lab.run_in(&main, &APPLY).exits(0);
    in_sync(lab.run(&["plan"]), 2);
}

#[test]
fn an_apply_between_rekey_and_merge_is_carried_over_when_it_was_looked_at() {
    let (lab, main) = lab();
    remove_somebody(&lab);
    lab.run(&["rekey", "--again", "--yes"])
        .exits(1)
        .says("Nothing was changed");
    let manifest = lab.read("passwords.index.yaml");
    set(&lab, &main, &format!("{J1}/source")).exits(0);
    lab.run_in(&main, &APPLY).exits(0).says("1 applied");
    in_sync(lab.run_in(&main, &["plan"]), 2);
    let (tip, sent) = (lab.tip(), lab.sent().len());
    for args in [
        &["plan"][..],
        &APPLY,
        &["state", "rm", "--unlisted"],
        &["rekey", "--yes", "--new-key"],
    ] {
        lab.run(args)
            .exits(1)
            .says("the state moved after this rekey: serial 3, now 5");
    }
    assert_eq!((lab.tip(), lab.sent().len()), (tip.clone(), sent));
    lab.run(&["rekey", "--again"]).exits(7);
    assert_eq!(lab.tip(), tip, "it asks first");
    lab.run(&["rekey", "--again", "--yes"]).exits(0);
    assert_ne!(lab.tip(), tip);
    assert_eq!(lab.read("passwords.index.yaml"), manifest);
    assert_eq!(lab.state()["body"]["serial"], 6);
    // What main set is not what this manifest has.
    lab.run(&["plan", "--allow-rollback"])
        .exits(0)
        .says("1 to change");
    let refused = lab.run_in(&main, &APPLY).exits(1);
    refused.says("the state was made with the key");
    lab.run(&[&APPLY[..], &["--allow-rollback"]].concat())
        .exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-1"));
    in_sync(lab.run(&["plan"]), 2);
}

#[test]
fn a_rekey_that_is_dropped_leaves_nothing_behind() {
    let (lab, main) = lab();
    let before = FILES.map(|name| fs::read(lab.path(name)).unwrap());
    remove_somebody(&lab);
    for (name, content) in FILES.iter().zip(&before) {
        lab.write(name, content);
    }
    set(&lab, &main, &format!("{J1}/source")).exits(0);
    lab.run_in(&main, &APPLY).exits(0);
    merge_back(&lab, &main);
    in_sync(lab.run(&["plan"]), 2);
    in_sync(lab.run_in(&main, &["plan"]), 2);
}

/// This clone gets what main has.
fn merge_back(lab: &Lab, main: &TempDir) {
    for name in FILES {
        fs::copy(main.path().join(name), lab.path(name)).unwrap();
    }
}

#[test]
fn a_first_write_after_a_rekey_that_is_killed_is_made_again() {
    for (place, pass) in [
        ("place.before_push", 1),
        ("place.after_push", 1),
        ("apply.before_fold", 1),
        ("place.before_push", 2),
        ("place.after_push", 2),
    ] {
        let (mut lab, _main) = lab();
        remove_somebody(&lab);
        lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
        lab.killed_at(place, pass, &APPLY);
        let plan = lab.run(&["plan"]).exits(0);
        let is_known = plan.stdout.contains("2 in sync");
        assert!(!is_known || lab.sim.holds(J1, "source", "canary-3"));
        lab.run(&APPLY).exits(0);
        in_sync(lab.run(&["plan"]), 2);
        assert!(lab.sim.holds(J1, "source", "canary-3"));
        assert_eq!(lab.state()["body"]["key_id"], key_id(&lab).as_str());
    }
}

/// A state in a file, which was moved to a branch.
fn moved() -> Lab {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    lab.origin = Some(origin());
    lab.make_clone();
    lab.run(&["state", "move", PLACE]).exits(0);
    lab
}

#[test]
fn a_new_branch_that_is_gone_is_never_filled_from_the_file_of_before() {
    for has_own_write in [false, true] {
        let mut lab = moved();
        if has_own_write {
            lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
            lab.apply(&[]).exits(0);
        }
        lab.in_origin(&["update-ref", "-d", &format!("refs/heads/{NAME}")]);
        let (file, sent) = (lab.read("drspass.state.json"), lab.sent().len());
        for args in [
            &["plan"][..],
            &APPLY,
            &["state", "distrust"],
            &["state", "move", "--done"],
            &["state", "move", PLACE],
        ] {
            let run = lab.run(args);
            let text = run.all();
            assert_eq!(run.code, Some(1), "{args:?}\n{text}");
        }
        lab.run(&["plan"])
            .exits(1)
            .says(&format!("there is no state at {PLACE}"));
        assert_eq!(lab.sent().len(), sent);
        assert_eq!(lab.read("drspass.state.json"), file);
        assert_eq!(lab.in_origin(&["branch", "--list", NAME]), "");
        lab.run(&["state", "distrust", "--create"]).exits(0);
        lab.run(&["plan"]).exits(0).says("2 to send again");
        lab.apply(&[]).exits(0);
        in_sync(lab.run(&["plan"]), 2);
        lab.run(&["state", "move", "--done"]).exits(0);
    }
}

#[test]
fn a_state_goes_back_to_a_file() {
    let (mut lab, main) = lab();
    lab.run(&["state", "move", "drspass.state.json"]).exits(0);
    let config = lab.read("drspass.yaml");
    assert!(config.contains("state: \"drspass.state.json\""), "{config}");
    in_sync(lab.run(&["plan"]), 2);
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    let tip = lab.tip();
    lab.apply(&[]).exits(0).says("1 applied");
    assert_eq!(lab.tip(), tip, "the branch stands still");
    assert!(lab.read("drspass.state.json").contains("\"serial\":6"));
    in_sync(lab.run(&["plan"]), 2);
    // Somebody with the former manifest still writes to the branch.
    set(&lab, &main, &format!("{J2}/source")).exits(0);
    lab.run_in(&main, &APPLY).exits(0).says("1 applied");
    for args in [&["plan"][..], &APPLY] {
        lab.run(args).exits(1).says("someone still writes to git:");
    }
    merge(&lab, &main);
    lab.run(&["state", "distrust"]).exits(0);
    lab.run(&["state", "move", "--done"]).exits(0);
    lab.apply(&[]).exits(0);
    assert!(lab.sim.holds(J2, "source", "canary-2"));
    in_sync(lab.run(&["plan"]), 2);
}

#[test]
fn a_former_manifest_is_refused_once_a_move_is_done() {
    let (mut lab, main) = lab();
    lab.run(&["state", "move", NEW]).exits(0);
    in_sync(lab.run_in(&main, &["plan"]), 2);
    lab.run_in(&main, &APPLY).exits(0);
    lab.run(&["state", "move", "--done"]).exits(0);
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    lab.apply(&[]).exits(0).says("1 applied");
    let (tip, sent) = (lab.tip(), lab.sent().len());
    for args in [
        &["plan"][..],
        &["plan", "--out", "p.json"],
        &["rotation"],
        &["state", "show"],
        &["state", "rm", "--unlisted"],
        &["state", "move", "git:origin/drspass-state/third"],
        &APPLY,
    ] {
        lab.run_in(&main, args)
            .exits(1)
            .says("the state was moved from git:")
            .says("drspass-state/new");
    }
    assert_eq!((lab.tip(), lab.sent().len()), (tip, sent));
    in_sync(lab.run(&["plan"]), 2);
    set(&lab, &main, &format!("{J2}/source"))
        .exits(0)
        .says("the state was moved to git:");
    // The new place is lost, and its manifest too.
    lab.run_in(&main, &["state", "distrust"]).exits(0);
    lab.run_in(&main, &["plan"])
        .exits(0)
        .says("2 to send again");
}

#[test]
fn a_former_manifest_is_refused_next_to_the_file_of_before() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.apply(&[]).exits(0);
    lab.origin = Some(origin());
    lab.make_clone();
    let former = FILES.map(|name| lab.read(name));
    lab.run(&["state", "move", PLACE]).exits(0);
    lab.run(&["state", "move", "--done"]).exits(0);
    for (name, text) in FILES.into_iter().zip(former) {
        lab.write(name, text);
    }
    for args in [&["plan"][..], &APPLY] {
        lab.run(args)
            .exits(1)
            .says("the state was moved from drspass.state.json to git:");
    }
}

#[test]
fn a_move_ends_where_the_former_place_cannot_be_marked() {
    let (lab, main) = lab();
    lab.run(&["state", "move", NEW]).exits(0);
    let origin = lab.origin.as_ref().unwrap().path();
    let hook = origin.join("hooks/pre-receive");
    fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    lab.run(&["state", "move", "--done"])
        .exits(0)
        .says("cannot mark the state there as moved")
        .says("drspass-state/test");
    fs::remove_file(hook).unwrap();
    in_sync(lab.run(&["plan"]), 2);
    in_sync(lab.run_in(&main, &["plan"]), 2);
}

#[test]
fn a_manifest_from_before_the_end_of_a_move_goes_on_at_the_new_place() {
    for is_copy in [true, false] {
        let (mut lab, main) = lab();
        lab.run(&["state", "move", NEW]).exits(0);
        merge(&lab, &main);
        if !is_copy {
            lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
            lab.apply(&[]).exits(0);
            merge(&lab, &main);
        }
        lab.run(&["state", "move", "--done"]).exits(0);
        in_sync(lab.run_in(&main, &["plan"]), 2);
        set(&lab, &main, &format!("{J2}/source")).exits(0);
        lab.run_in(&main, &APPLY).exits(0).says("1 applied");
        in_sync(lab.run_in(&main, &["plan"]), 2);
    }
}

#[test]
fn the_end_of_a_move_looks_at_the_sealed_place_alone_and_can_be_killed() {
    let (lab, main) = lab();
    lab.run(&["state", "move", NEW]).exits(0);
    set(&lab, &main, &format!("{J2}/source")).exits(0);
    let mut killed = lab.command(&APPLY);
    killed.current_dir(main.path());
    lab.killed(killed, "apply.before_first_send", 1);
    let held = lab.run(&["state", "move", "--done"]);
    held.exits(6).says("is held by");
    for option in [PLACE, NEW] {
        let done = lab.run(&["--state", option, "state", "move", "--done"]);
        assert_ne!(done.code, Some(0), "{option}");
    }
    // A clone of the same machine ends the lock of a run that was killed there.
    lab.run_in(&main, &APPLY).exits(0);
    lab.run(&["state", "move", "--done"])
        .exits(1)
        .says("went on since the move");
    lab.run(&["set", &format!("{J2}/source"), "--generate"])
        .exits(0);
    lab.run(&APPLY).exits(0).says("1 applied");
    lab.killed_at("move.after_mark", 1, &["state", "move", "--done"]);
    in_sync(lab.run(&["plan"]), 2);
    lab.run(&["state", "move", "--done"]).exits(0);
    lab.run_in(&main, &["plan"])
        .exits(1)
        .says("the state was moved from git:");
}

#[test]
fn of_two_moves_to_different_places_the_one_that_is_done_counts() {
    let (lab, main) = lab();
    lab.run_in(&main, &["state", "move", "git:origin/drspass-state/third"])
        .exits(0);
    for args in [&[NEW][..], &["--done"]] {
        lab.run(&[&["state", "move"], args].concat()).exits(0);
    }
    for args in [&["plan"][..], &APPLY] {
        lab.run_in(&main, args)
            .exits(1)
            .says("the state was moved from git:")
            .says("drspass-state/new");
    }
    in_sync(lab.run(&["plan"]), 2);
}
