//! SIGKILL of an apply at each of its steps, with what the clone keeps and without it: what the
//! service was given is in sync with that password, or unknown, and a rerun converges.

use std::fs;

use drspass::sim::EndPointType;
use tempfile::TempDir;

use crate::looped::refuse;
use crate::support::{J1, J2, J3, Lab, Run};

const APPLY: [&str; 2] = ["apply", "--auto-approve"];

const ENTRIES: [(&str, &str, &str); 4] = [
    (J1, "source", "canary-new-1"),
    (J1, "destination", "canary-new-2"),
    (J2, "source", "canary-new-3"),
    (J3, "source", "canary-new-4"),
];

/// Where a run is killed, on which pass, and whether its marks are on the branch by then.
const STEPS: [(&str, usize, bool); 9] = [
    ("place.before_push", 1, false),
    ("place.after_push", 1, true),
    ("apply.before_first_send", 1, true),
    ("journal.before_append", 1, true),
    ("journal.after_append", 1, true),
    ("apply.before_fold", 1, true),
    ("place.before_push", 2, true),
    ("place.after_push", 2, true),
    ("journal.before_removal", 1, true),
];

/// The manifest of before the change, with its index.
type Files = [Vec<u8>; 2];
const FILES: [&str; 2] = ["passwords.yaml.age", "passwords.index.yaml"];

/// Everything was applied once with other passwords, and is to be changed. Returns the former
/// manifest too.
fn lab() -> (Lab, Files) {
    let mut lab = Lab::on_branch();
    lab.configure("apply: { batch_size: 2, parallelism: 1 }");
    lab.apply_former(&ENTRIES);
    let files = FILES.map(|name| fs::read(lab.path(name)).unwrap());
    lab.passwords(&ENTRIES);
    lab.push();
    (lab, files)
}

/// Checks that a plan calls nothing in sync that the service does not hold; returns the number of
/// entries that it lists.
#[track_caller]
fn is_true(lab: &Lab, plan: &Run, of_manifest: &str, step: &str) -> usize {
    let text = &plan.stdout;
    let mut listed = 0;
    for (job, endpoint, new) in ENTRIES {
        let password = new.replace("new", of_manifest);
        let address = format!("{job}/{endpoint} ");
        let is_listed = text.contains(&address);
        listed += usize::from(is_listed);
        let holds = lab.sim.holds(job, endpoint, &password);
        assert!(
            is_listed || holds,
            "{step}: {address} is not in sync\n{text}"
        );
    }
    listed
}

#[track_caller]
fn converged(lab: &Lab, clone: &TempDir) {
    for (job, endpoint, password) in ENTRIES {
        assert!(lab.sim.holds(job, endpoint, password));
    }
    let body = lab.state()["body"].clone();
    assert!(body["holder"].is_null(), "{body}");
    for entry in body["entries"].as_object().unwrap().values() {
        assert!(entry["pending"].is_null() && !entry["applied"].is_null());
    }
    let plan = lab.run_in(clone, &["plan", "--detailed-exitcode"]);
    plan.exits(0).says("4 in sync");
}

#[test]
fn a_kill_at_any_step_is_settled_where_the_disk_survives() {
    for (place, pass, is_marked) in STEPS {
        let (lab, _) = lab();
        lab.killed_at(place, pass, &APPLY);
        let step = format!("{place}:{pass}");
        let plan = lab.run(&["plan"]).exits(0);
        let listed = is_true(&lab, &plan, "new", &step);
        let expected = match (place, pass) {
            ("place.before_push", 1) | ("place.after_push", 1) => 4,
            ("apply.before_first_send" | "journal.before_append", _) => 4,
            ("journal.after_append", _) => listed,
            _ => 0,
        };
        assert_eq!(listed, expected, "{step}\n{}", plan.stdout);
        assert!(place != "journal.after_append" || listed <= 2);
        let sent = lab.sent().concat().len();
        assert_eq!(is_marked || sent == 4, sent >= 4, "{step}");
        // Its own clone waits for nobody: the run has ended.
        lab.run(&APPLY).exits(0);
        let again = lab.sent().concat().len() - sent;
        assert_eq!(again, listed, "{step}: what is known is not sent again");
        converged(&lab, &lab.cloned());
        // One whose answers were on the branch already goes with the next write.
        lab.apply(&["--resend", &format!("{J1}/source")]).exits(0);
        let left = fs::read_dir(lab.own_folder()).unwrap();
        let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let journals: Vec<String> = names.filter(|name| name.ends_with(".journal")).collect();
        assert!(journals.is_empty(), "{step}: {journals:?}");
    }
}

#[test]
fn a_kill_at_any_step_leaves_marks_where_the_disk_is_lost() {
    for (place, pass, is_marked) in STEPS {
        let (lab, old) = lab();
        lab.killed_at(place, pass, &APPLY);
        let step = format!("{place}:{pass}");
        fs::remove_dir_all(lab.path(".git/drspass")).unwrap();
        let is_done = ["journal.before_removal", "place.after_push"].contains(&place)
            && (place, pass) != ("place.after_push", 1);
        let clone = lab.cloned();
        for run in [lab.run(&["plan"]), lab.run_in(&clone, &["plan"])] {
            let plan = run.exits(0);
            let listed = is_true(&lab, &plan, "new", &step);
            assert_eq!(listed, if is_done { 0 } else { 4 }, "{step}");
        }
        // The change is taken back, too: what may be there is not called in sync.
        for (name, content) in FILES.iter().zip(&old) {
            fs::write(clone.path().join(name), content).unwrap();
        }
        let plan = lab.run_in(&clone, &["plan", "--allow-rollback"]).exits(0);
        let listed = is_true(&lab, &plan, "old", &step);
        assert_eq!(listed, if is_marked { 4 } else { 0 }, "{step}");
        // What may be there is not just to be changed.
        let unknown = plan.stdout.matches("  ? ").count();
        assert_eq!(unknown, if is_marked && !is_done { 4 } else { 0 }, "{step}");

        let sent = lab.sent().len();
        if is_marked && !is_done {
            lab.run(&APPLY)
                .exits(6)
                .says("is held by run")
                .says("Nothing was sent");
            assert_eq!(lab.sent().len(), sent);
        }
        let mut command = lab.command(&[&APPLY[..], &["--lock-timeout", "100s"]].concat());
        command.env("DRSPASS_TEST_LEASE", "2");
        lab.run_command(command).exits(0);
        converged(&lab, &lab.cloned());
    }
}

#[test]
fn a_second_kill_loses_nothing_that_the_first_one_left() {
    for (place, pass) in [
        ("place.before_push", 1),
        ("place.after_push", 1),
        ("apply.before_first_send", 1),
    ] {
        let (lab, _) = lab();
        lab.killed_at("journal.after_append", 1, &APPLY);
        let before = lab.run(&["plan"]).exits(0).stdout;
        // The answers of the first run are in the marks of the second.
        lab.killed_at(place, pass, &APPLY);
        let plan = lab.run(&["plan"]).exits(0);
        let step = format!("{place}:{pass}");
        let listed = is_true(&lab, &plan, "new", &step);
        let count = |text: &str| text.matches("  ? ").count();
        assert_eq!(count(&plan.stdout), count(&before), "{step}");
        if pass == 1 && place != "place.before_push" {
            // They are on the branch, for whoever has no journal.
            let clone = lab.cloned();
            let there = lab.run_in(&clone, &["plan"]).exits(0);
            assert_eq!(is_true(&lab, &there, "new", &step), listed, "{step}");
        }
        lab.run(&APPLY).exits(0);
        converged(&lab, &lab.cloned());
    }
}

#[test]
fn a_wrong_password_of_a_killed_run_is_held_where_the_disk_survives() {
    let (lab, _) = lab();
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.KE0002"));
    lab.killed_at("apply.before_fold", 1, &APPLY);
    let logins = || {
        let sent = lab.sent().concat().into_iter();
        sent.filter(|(job, side)| job == J1 && side == "source")
            .count()
    };
    let before = logins();
    lab.run(&["plan"])
        .exits(0)
        .says("skipped: DRS.KE0002")
        .says("3 in sync");
    // Again and again: each further login would bring the lock of the account closer.
    for _ in 0..2 {
        lab.run(&APPLY).exits(1).says("DRS.KE0002");
    }
    assert_eq!(logins(), before);
    // By now it is on the branch, and held everywhere.
    let clone = lab.cloned();
    lab.run_in(&clone, &APPLY).exits(1).says("DRS.KE0002");
    assert_eq!(logins(), before);
    lab.run_in(
        &clone,
        &[&APPLY[..], &["--resend", &format!("{J1}/source")]].concat(),
    )
    .exits(0);
    assert_eq!(logins(), before + 1);
}
