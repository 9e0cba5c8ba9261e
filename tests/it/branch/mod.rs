//! A state on a branch: the intent is there before the first request, and nothing older than what
//! was seen counts.

mod attacked;
mod forged;
mod killed;
mod lease;
mod left;
mod moving;
mod race;
mod rekeyed;
mod sealed;
mod served;

use crate::support::branch::{NAME, PLACE, snapshot};
use crate::support::{J1, J2, Lab};

/// A clone with two passwords, pushed, none applied.
fn lab() -> Lab {
    let mut lab = Lab::on_branch();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.push();
    lab
}

#[test]
fn an_apply_writes_the_state_to_the_branch_and_another_clone_sees_it() {
    let lab = lab();
    lab.apply(&[]).exits(0).says("2 applied");
    assert!(!lab.exists("drspass.state.json"));
    let clone = lab.cloned();
    lab.run_in(&clone, &["plan", "--detailed-exitcode"])
        .exits(0)
        .says("2 in sync");
    let state = lab.state();
    assert_eq!(
        state["body"]["serial"], 3,
        "the first state, the marks, the outcomes"
    );
    assert!(state["body"]["holder"].is_null());
    let files = lab.in_origin(&["ls-tree", "--name-only", NAME]);
    assert_eq!(files, "drspass.state.json\n");
    lab.run_in(&clone, &["state", "list"])
        .exits(0)
        .says("serial 3");
}

#[test]
fn a_run_leaves_the_clone_as_it_was() {
    let lab = lab();
    let own = lab.path(".git/drspass");
    let others = || {
        let all = snapshot(lab.dir.path()).into_iter();
        all.filter(|(path, _)| !path.starts_with(&own))
            .collect::<Vec<_>>()
    };
    let before = others();
    lab.apply(&[]).exits(0);
    lab.run(&["plan"]).exits(0);
    assert!(before == others());
}

#[test]
fn a_lost_runner_leaves_marks_so_a_reverted_manifest_is_not_in_sync() {
    let mut lab = lab();
    lab.apply(&[]).exits(0);
    let old = (
        lab.read("passwords.yaml.age"),
        lab.read("passwords.index.yaml"),
    );
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    lab.killed_at("journal.before_append", 1, &["apply", "--auto-approve"]);
    assert!(
        lab.sim.holds(J1, "source", "canary-3"),
        "the request arrived"
    );
    // The machine is gone, and so is the change.
    lab.write("passwords.yaml.age", old.0);
    lab.write("passwords.index.yaml", old.1);
    lab.push();
    let clone = lab.cloned();
    lab.run_in(&clone, &["plan"])
        .exits(1)
        .says("revision 3 was applied already");
    let back = ["--allow-rollback"];
    let plan = lab.run_in(&clone, &[&["plan"][..], &back].concat());
    let plan = plan.exits(0).says("outcome of the last attempt unknown");
    plan.says("1 to send again")
        .says("if that run was lost, 'drspass apply --lock-timeout 10m' takes over")
        .says("'drspass lock release ");
    let apply = ["apply", "--auto-approve", "--allow-rollback"];
    lab.run_in(&clone, &apply).exits(6).says("is held by run");
    let mut command = lab.command(&[&apply[..], &["--lock-timeout", "60s"]].concat());
    command
        .current_dir(clone.path())
        .env("DRSPASS_TEST_LEASE", "2");
    lab.run_command(command)
        .exits(0)
        .says("took over from a lost run");
    assert!(lab.sim.holds(J1, "source", "canary-1"));
    lab.run_in(&clone, &["plan"]).exits(0).says("2 in sync");
}

#[test]
fn a_killed_run_is_settled_by_its_journal_where_the_disk_survives() {
    let lab = lab();
    lab.killed_at("apply.before_fold", 1, &["apply", "--auto-approve"]);
    lab.run(&["plan"])
        .exits(0)
        .says("2 in sync")
        .says("an apply was cut off");
    let clone = lab.cloned();
    lab.run_in(&clone, &["plan"])
        .exits(0)
        .says("2 to send again");
    // Its own lock is free, so the run has ended: nothing is waited for.
    lab.apply(&[]).exits(0);
    lab.run_in(&clone, &["plan"]).exits(0).says("2 in sync");
    assert!(lab.state()["body"]["holder"].is_null());
}

#[test]
fn an_older_state_that_is_put_back_is_refused_by_who_saw_the_newer_one() {
    let mut lab = lab();
    lab.apply(&[]).exits(0);
    let older = lab.tip();
    // The manifest now knows serial 3 of the state.
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    lab.push();
    lab.apply(&[]).exits(0);
    lab.in_origin(&["update-ref", &format!("refs/heads/{NAME}"), &older]);
    lab.run(&["plan"])
        .exits(1)
        .says("older than the one that this clone knows: serial 3 now, 5 then");
    lab.in_origin(&[
        "update-ref",
        &format!("refs/heads/{NAME}"),
        &format!("{older}~2"),
    ]);
    let clone = lab.cloned();
    let plan = lab.run_in(&clone, &["plan"]);
    plan.exits(1)
        .says("older than the one that the manifest knows: serial 1 now, 3 then");
    assert_eq!(
        lab.run_in(&clone, &["apply", "--auto-approve"]).code,
        Some(1)
    );
    lab.run_in(&clone, &["state", "distrust"]).exits(0);
    lab.run_in(&clone, &["plan"])
        .exits(0)
        .says("2 to send again");
    // The manifest of the former lineage is admitted.
    lab.run_in(&clone, &["apply", "--auto-approve"]).exits(0);
}

#[test]
fn an_older_state_after_a_rekey_was_put_back_and_has_not_moved() {
    let lab = lab();
    let old = lab.tip();
    lab.apply(&[]).exits(0);
    lab.run(&["rekey", "--new-key", "--yes"]).exits(0);
    lab.in_origin(&["update-ref", &format!("refs/heads/{NAME}"), &old]);
    for args in [&["plan"][..], &["rekey", "--again", "--yes"]] {
        lab.run(args).exits(1).says("is older than the one that");
    }
}

#[test]
fn a_deleted_branch_is_never_taken_for_a_new_one() {
    let lab = lab();
    lab.apply(&[]).exits(0);
    lab.in_origin(&["update-ref", "-d", &format!("refs/heads/{NAME}")]);
    let gone = format!("there is no state at {PLACE}");
    for args in [
        &["plan"][..],
        &["apply", "--auto-approve"],
        &["state", "list"],
        &["state", "distrust"],
    ] {
        lab.run(args).exits(1).says(&gone);
    }
    lab.run(&["state", "distrust", "--create"]).exits(0);
    lab.run(&["plan"]).exits(0).says("2 to send again");
    lab.apply(&[]).exits(0);
    lab.run(&["state", "distrust", "--create"])
        .exits(1)
        .says("there is a state at");
}

#[test]
fn nothing_is_read_before_the_manifest_says_that_the_place_is_meant() {
    let lab = lab();
    lab.apply(&[]).exits(0);
    let config = lab.read("drspass.yaml");
    for other in ["git:origin/drspass-state/other", "other.json"] {
        lab.write("drspass.yaml", config.replace(PLACE, other));
        let plan = lab.run(&["plan"]);
        plan.exits(1)
            .says("state of drspass.yaml is")
            .says("Nothing was sent");
    }
    lab.write("drspass.yaml", &config);
    // Another repository under the same name.
    let clone = lab.cloned();
    crate::support::branch::git(
        clone.path(),
        &["remote", "set-url", "origin", "https://127.0.0.1:1/x"],
    );
    let plan = lab.run_in(&clone, &["plan"]);
    plan.exits(1)
        .says("state of drspass.yaml is git:127.0.0.1:1/x/drspass-state/test");
    // Another place than the sealed one may be looked at, never written.
    let other = ["--state", "other.json"];
    lab.run(&[&["plan"][..], &other].concat())
        .exits(0)
        .says("not with the sealed one");
    for args in [
        &["apply", "--auto-approve"][..],
        &["plan", "--out", "p.json"],
        &["state", "rm", "--unlisted"],
    ] {
        lab.run(&[args, &other].concat())
            .exits(1)
            .says("is sealed for the state at git:");
    }
}

#[test]
fn a_moved_state_follows_what_is_still_written_at_the_former_place() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    lab.origin = Some(crate::support::branch::origin());
    lab.make_clone();
    let moved = lab.run(&["state", "move", PLACE]);
    moved
        .exits(0)
        .says("drspass-state/test, serial 3")
        .says("Next: commit drspass.yaml, the manifest, its index. Until")
        .says("Never give the key to pipelines of a branch that has a state.");
    assert!(
        lab.read("drspass.yaml")
            .contains(&format!("state: \"{PLACE}\""))
    );
    lab.run(&["plan"]).exits(0).says("2 in sync");
    // Somebody with the former manifest goes on there.
    let state = lab.read("drspass.state.json");
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    assert_eq!(lab.state()["body"]["serial"], 5);
    assert_eq!(lab.read("drspass.state.json"), state);
    lab.run(&["rekey", "--new-key", "--yes"])
        .exits(1)
        .says("a move of the state is not done");
    lab.run(&["state", "move", "--done"]).exits(0);
    lab.run(&["plan"]).exits(0).says("2 in sync");
    lab.run(&["state", "move", "--done"])
        .exits(1)
        .says("no move is under way");
}

#[test]
fn a_move_that_was_cut_off_is_run_again() {
    for place in ["move.after_copy", "move.after_manifest"] {
        let mut lab = Lab::new();
        lab.passwords(&[(J1, "source", "canary-1")]);
        lab.apply(&[]).exits(0);
        lab.origin = Some(crate::support::branch::origin());
        lab.make_clone();
        lab.killed_at(place, 1, &["state", "move", PLACE]);
        lab.run(&["state", "move", PLACE]).exits(0);
        lab.run(&["plan", "--detailed-exitcode"])
            .exits(0)
            .says("1 in sync");
        lab.run(&["state", "move", PLACE])
            .exits(1)
            .says("is at git:origin/drspass-state/test already");
    }
}

#[test]
fn a_state_moves_to_another_file_of_the_same_directory() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.apply(&[]).exits(0);
    lab.run(&["state", "move", "moved.json"]).exits(0);
    lab.run(&["plan"]).exits(0).says("1 in sync");
    lab.run(&["state", "move", "--done"]).exits(0);
    std::fs::remove_file(lab.path("drspass.state.json")).unwrap();
    lab.run(&["plan"]).exits(0).says("1 in sync");
}

#[test]
fn a_former_place_that_was_distrusted_is_taken_along_once() {
    let lab = lab();
    lab.apply(&[]).exits(0);
    lab.push();
    let other = lab.cloned();
    lab.run(&["state", "move", "git:origin/drspass-state/new"])
        .exits(0);
    lab.run_in(&other, &["state", "distrust"]).exits(0);
    lab.run(&["plan"]).exits(0).says("2 to send again");
    lab.apply(&[]).exits(0);
    lab.run(&["plan"]).exits(0).says("2 in sync");
}

#[test]
fn a_former_place_is_found_whatever_its_remote_is_called() {
    let lab = lab();
    lab.apply(&[]).exits(0);
    let second = crate::support::branch::origin();
    let git = |args: &[&str]| crate::support::branch::git(lab.dir.path(), args);
    git(&["remote", "add", "other", second.path().to_str().unwrap()]);
    git(&["push", "--quiet", "other", "HEAD:main"]);
    lab.run(&["state", "move", "git:other/state/test"]).exits(0);
    lab.run(&["state", "move", "--done"]).exits(0);
    // Back to the first repository; the state there is of no use any more.
    lab.run(&["state", "move", "git:origin/state/new"]).exits(0);
    lab.run(&["plan"]).exits(0).says("2 in sync");
    git(&["remote", "remove", "other"]);
    lab.run(&["plan"])
        .exits(1)
        .says("no remote of this clone is the former place");
    lab.run(&["state", "distrust"]).exits(0);
    lab.run(&["state", "move", "--done"]).exits(0);
    lab.run(&["plan"]).exits(0).says("2 to send again");
}

#[test]
fn a_state_that_was_left_behind_is_not_moved_onto() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.apply(&[]).exits(0);
    lab.origin = Some(crate::support::branch::origin());
    lab.make_clone();
    lab.run(&["state", "move", PLACE]).exits(0);
    lab.passwords(&[(J1, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    lab.run(&["state", "move", "--done"]).exits(0);
    // The file still says that the job has canary-1.
    lab.run(&["state", "move", "drspass.state.json"])
        .exits(1)
        .says("there is a state at");
    std::fs::remove_file(lab.path("drspass.state.json")).unwrap();
    lab.run(&["state", "move", "drspass.state.json"]).exits(0);
    lab.run(&["plan"]).exits(0).says("1 in sync");
}

#[test]
fn a_copy_that_nobody_wrote_to_gives_way_to_a_former_place_that_went_on() {
    let mut lab = lab();
    lab.apply(&[]).exits(0);
    lab.push();
    let other = lab.cloned();
    lab.run(&["state", "move", "git:origin/drspass-state/new"])
        .exits(0);
    // A colleague without the new manifest applies at the former place.
    lab.plant(&["canary-9"]);
    let json = format!("{{ \"{J1}/source\": \"canary-9\" }}");
    std::fs::write(other.path().join("in.json"), json).unwrap();
    lab.run_in(&other, &["import", "in.json", "--write"])
        .exits(0);
    std::fs::remove_file(other.path().join("in.json")).unwrap();
    lab.run_in(&other, &["apply", "--auto-approve"]).exits(0);
    let plan = lab.run(&["plan", "--allow-rollback"]).exits(0).stdout;
    assert!(plan.contains("1 to change"), "{plan}");
    lab.run(&["state", "move", "--done"])
        .exits(1)
        .says("went on since the move");
    lab.apply(&["--allow-rollback"]).exits(0);
    lab.run(&["plan"]).exits(0).says("2 in sync");
    // From now on the former place must stand still.
    let json = format!("{{ \"{J1}/source\": \"canary-8\" }}");
    lab.plant(&["canary-8"]);
    std::fs::write(other.path().join("in.json"), json).unwrap();
    lab.run_in(&other, &["import", "in.json", "--write"])
        .exits(0);
    std::fs::remove_file(other.path().join("in.json")).unwrap();
    lab.run_in(&other, &["apply", "--auto-approve"]).exits(0);
    for args in [&["plan"][..], &["state", "move", "--done"]] {
        lab.run(args).exits(1).says("someone still writes to");
    }
    lab.run(&["state", "distrust"]).exits(0);
    lab.run(&["state", "move", "--done"]).exits(0);
    lab.run(&["plan"]).exits(0).says("2 to send again");
}
