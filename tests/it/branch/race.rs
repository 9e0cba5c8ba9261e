//! Many at once, and a branch that is turned back while somebody works.

use std::path::Path;
use std::process::Child;

use tempfile::TempDir;

use crate::support::around::{Stands, started_up_to};
use crate::support::branch::{NAME, git};
use crate::support::{J1, J2, Lab, Run, wait_until};

const APPLY: [&str; 2] = ["apply", "--auto-approve"];

/// Two passwords on two jobs, each with a request of its own.
fn lab() -> Lab {
    let mut lab = Lab::on_branch();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.push();
    lab
}

/// An apply that stops before its first request, if it comes so far.
fn begun(lab: &Lab, folder: &Path, reached: &Path) -> Child {
    let stop_at = format!("apply.before_first_send:1:{}", reached.display());
    let mut command = lab.command(&APPLY);
    command
        .current_dir(folder)
        .env("DRSPASS_TEST_STOP_AT", stop_at);
    command.spawn().unwrap()
}

#[test]
fn of_many_applies_at_once_one_sends_and_the_others_say_so() {
    const RUNS: usize = 16;
    let lab = lab();
    let clones: Vec<TempDir> = (0..RUNS).map(|_| lab.cloned()).collect();
    let marks = TempDir::new().unwrap();
    let mark = |number: usize, end: &str| marks.path().join(format!("{number}{end}"));
    let start = |(number, clone): (usize, &TempDir)| {
        let stop_at = format!("place.before_push:1:{}", mark(number, "").display());
        let mut command = lab.command(&APPLY);
        command
            .current_dir(clone.path())
            .env("DRSPASS_TEST_STOP_AT", stop_at);
        command.spawn().unwrap()
    };
    let runs: Vec<Child> = clones.iter().enumerate().map(start).collect();
    // All of them have the same state, held by nobody, before the first one marks it.
    wait_until("all to be there", || {
        (0..RUNS).all(|number| mark(number, "").exists())
    });
    for number in 0..RUNS {
        std::fs::write(mark(number, ".go"), "").unwrap();
    }
    let ended = runs.into_iter().map(|run| lab.wait(run));
    let (won, lost): (Vec<Run>, Vec<Run>) = ended.partition(|run| run.code == Some(0));
    assert_eq!((won.len(), lost.len()), (1, RUNS - 1));
    for run in won {
        run.says("2 applied");
    }
    for run in lost {
        run.exits(6)
            .says("another run changed git:origin")
            .says("Nothing was sent");
    }
    assert_eq!(lab.sent().len(), 2);
    for clone in &clones {
        // Whatever a run of it left, nothing of it counts.
        let plan = lab.run_in(clone, &["plan", "--detailed-exitcode"]);
        plan.exits(0).says("2 in sync");
    }
    let serials = lab.in_origin(&["rev-list", "--count", NAME]);
    assert_eq!(
        serials.trim(),
        "3",
        "the first state, the marks, the outcomes"
    );
}

#[test]
fn commands_that_write_the_state_are_refused_while_somebody_sends() {
    let lab = lab();
    let run = begun(&lab, lab.dir.path(), &lab.path("reached"));
    wait_until("the marks", || lab.exists("reached"));
    let tip = lab.tip();
    let clone = lab.cloned();
    let address = format!("{J1}/source");
    for args in [
        &["state", "distrust"][..],
        &["state", "adopt", &address],
        &["state", "rm", &address],
        &["rekey", "--new-key", "--yes"],
        &["state", "move", "other.json"],
        &APPLY,
    ] {
        lab.run_in(&clone, args).exits(6).says("is held by run");
        assert_eq!(lab.tip(), tip, "{args:?}");
    }
    // What writes no state goes on, and says what is unknown.
    lab.run_in(&clone, &["plan"])
        .exits(0)
        .says("2 to send again");
    lab.run_in(&clone, &["state", "list"]).exits(0);
    lab.write("reached.go", "");
    lab.wait(run).exits(0);
}

#[test]
fn a_branch_that_is_turned_back_one_commit_is_a_lost_lock() {
    for has_checkpoints in [false, true] {
        let lab = lab();
        let mut command = lab.command(&APPLY);
        if has_checkpoints {
            command.env("DRSPASS_TEST_LEASE", "20");
        }
        let reached = lab.path("reached");
        let (run, stands) = started_up_to(command, "journal.after_append", 1, &reached);
        assert_eq!(stands, Stands::There);
        let tip = lab.tip();
        let name = format!("refs/heads/{NAME}");
        lab.in_origin(&["update-ref", &name, &format!("{tip}~1")]);
        lab.write("reached.go", "");
        lab.wait(run).exits(8).says(".recovery-");
        let turned_back = lab.tip();
        assert_ne!(turned_back, tip, "nothing was pushed over it");
        // Who has the disk knows that a newer one was there; nobody calls anything in sync.
        lab.run(&["plan"])
            .exits(1)
            .says("is older than the one that");
        lab.run(&APPLY).exits(1).says("Nothing was sent");
        let clone = lab.cloned();
        let plan = lab.run_in(&clone, &["plan"]).exits(0);
        plan.says("2 to set").says_not("in sync, ");
        // The newer one is put back, and the outcomes of the run with it.
        lab.in_origin(&["update-ref", &name, &tip]);
        lab.run(&["state", "recover", &recovery_file(&lab)])
            .exits(0);
        let applied = lab.sent().len();
        let plan = lab.run(&["plan"]).exits(0);
        plan.says(&format!("{applied} in sync"));
        assert!(lab.state()["body"]["holder"].is_null());
        lab.apply(&[]).exits(0);
        assert_eq!(lab.sent().len(), 2);
    }
}

#[test]
fn a_recovery_waits_until_nobody_sends() {
    let lab = lab();
    let first = begun(&lab, lab.dir.path(), &lab.path("first"));
    wait_until("the marks", || lab.exists("first"));
    let id = lab.state()["body"]["holder"]["id"].clone();
    let clone = lab.cloned();
    lab.run_in(&clone, &["lock", "release", id.as_str().unwrap()])
        .exits(0);
    let second = begun(&lab, clone.path(), &lab.path("second"));
    wait_until("the marks", || lab.exists("second"));
    lab.write("first.go", "");
    // It sent, as nobody could tell it; what it knows is in a file.
    let first = lab.wait(first).exits(8).says("2 applied");
    first
        .says("another run changed git:")
        .says("so the outcomes become unknown");
    let file = recovery_file(&lab);
    let (tip, holder) = (lab.tip(), lab.state()["body"]["holder"].clone());
    let recover = ["state", "recover", &file];
    lab.run(&recover).exits(6).says("is held by run");
    assert_eq!(lab.tip(), tip);
    assert!(!holder.is_null() && holder["id"] != id);
    lab.write("second.go", "");
    lab.wait(second).exits(0).says("2 applied");
    // Beside a state that went on, it only raises doubts.
    lab.run(&recover).exits(0).says("marked to be sent again");
    lab.run_in(&clone, &["plan"])
        .exits(0)
        .says("2 to send again");
}

/// The recovery file that the clone has.
fn recovery_file(lab: &Lab) -> String {
    let own = std::fs::read_dir(lab.own_folder()).unwrap();
    let mut paths = own.map(|entry| entry.unwrap().path().display().to_string());
    paths.find(|path| path.contains(".recovery-")).unwrap()
}

#[test]
fn linked_worktrees_of_one_clone_are_one_machine() {
    let lab = lab();
    let linked = TempDir::new().unwrap();
    let path = linked.path().join("tree");
    let path = path.to_str().unwrap();
    let add = ["worktree", "add", "--quiet", "--detach", path];
    git(lab.dir.path(), &add);
    let linked = Path::new(path);
    std::fs::copy(lab.path("key.txt"), linked.join("key.txt")).unwrap();
    let run_linked = |args: &[&str]| {
        let mut command = lab.command(args);
        command.current_dir(linked);
        lab.run_command(command)
    };
    let mut run = begun(&lab, lab.dir.path(), &lab.path("reached"));
    wait_until("the marks", || lab.exists("reached"));
    let tip = lab.tip();
    run_linked(&APPLY)
        .exits(6)
        .says("Nothing was sent or changed");
    run_linked(&["lock", "show"]).exits(0).says("apply");
    assert_eq!(lab.tip(), tip);
    run.kill().unwrap();
    run.wait().unwrap();
    std::fs::remove_file(lab.path("reached")).unwrap();
    // Its lock and its journal are here too: nobody waits for a run that has ended.
    lab.killed_at("apply.before_fold", 1, &APPLY);
    run_linked(&["plan"])
        .exits(0)
        .says("an apply was cut off")
        .says("2 in sync");
    run_linked(&APPLY).exits(0);
    assert_eq!(lab.sent().len(), 2);
    assert!(lab.state()["body"]["holder"].is_null());
    lab.run(&["plan", "--detailed-exitcode"])
        .exits(0)
        .says("2 in sync");
}

#[test]
fn where_the_clone_cannot_be_written_a_plan_goes_on_and_nothing_is_sent() {
    let lab = lab();
    lab.run(&["plan"]).exits(0);
    let tip = lab.tip();
    let refused = |more: &[(&str, &str)]| {
        lab.run(&["plan"]).exits(0).says("2 to set");
        let mut command = lab.command(&APPLY);
        command.envs(more.iter().copied());
        lab.run_command(command).exits(1).says("Nothing was sent");
        assert!(lab.sent().is_empty());
        assert_eq!(lab.tip(), tip, "before the marks");
    };
    // A full disk.
    for place in ["lock:1", "journal.create:1"] {
        refused(&[("DRSPASS_TEST_FAIL_AT", place)]);
    }
    // Without a memory of what was seen, a run is as on a new machine.
    let seen = lab.seen_file();
    std::fs::remove_file(&seen).unwrap();
    std::fs::create_dir(&seen).unwrap();
    lab.run(&["plan"]).exits(0).says("2 to set");
    lab.apply(&[]).exits(0).says("2 applied");
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}
