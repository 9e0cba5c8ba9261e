//! Who may send: one run at a time, whatever happens to the other.

use std::process::Child;

use rustix::process::Signal;

use crate::support::around::{Stands, Watched, started_up_to};
use crate::support::backend::{PROGRAMS, put_program};
use crate::support::branch::NAME;
use crate::support::terminal::{APPROVAL, Terminal};
use crate::support::{J1, J2, Lab, Run, send_signal, wait_until};

fn lab() -> Lab {
    let mut lab = Lab::on_branch();
    lab.configure("apply: { batch_size: 2, parallelism: 1 }");
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.push();
    lab
}

const APPLY: [&str; 2] = ["apply", "--auto-approve"];

/// An apply that has marked its entries and waits before its first request.
fn stopped(lab: &Lab, more: &[(&str, &str)]) -> Child {
    let mut command = lab.command(&APPLY);
    command.envs(more.iter().copied());
    let reached = lab.path("reached");
    started_up_to(command, "apply.before_first_send", 1, &reached).0
}

fn goes_on(lab: &Lab, child: Child) -> Run {
    lab.write("reached.go", "");
    lab.wait(child)
}

#[test]
fn a_run_that_was_taken_over_sends_nothing_when_it_wakes() {
    let lab = lab();
    let slept = lab.path("slept");
    std::fs::write(&slept, "0").unwrap();
    let first = stopped(&lab, &[("DRSPASS_TEST_SLEPT", slept.to_str().unwrap())]);
    let clone = lab.cloned();
    lab.run_in(&clone, &APPLY)
        .exits(6)
        .says("is held by run")
        .says("Nothing was sent");
    let mut second = lab.command(&[&APPLY[..], &["--lock-timeout", "60s"]].concat());
    second
        .current_dir(clone.path())
        .env("DRSPASS_TEST_LEASE", "2");
    lab.run_command(second).exits(0).says("2 applied");
    let sent = lab.sent().len();
    // It slept for ten minutes, which a clock that stands still in sleep would not tell.
    std::fs::write(&slept, "600").unwrap();
    let first = goes_on(&lab, first);
    first
        .exits(8)
        .says("2 not sent")
        .says("the lock on the state was lost");
    assert_eq!(lab.sent().len(), sent, "nothing after the takeover");
    lab.run_in(&clone, &["plan"]).exits(0).says("2 in sync");
}

#[test]
fn a_run_whose_state_was_changed_by_another_ends_with_a_recovery_file() {
    let lab = lab();
    let first = stopped(&lab, &[]);
    let id = lab.state()["body"]["holder"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let clone = lab.cloned();
    lab.run_in(&clone, &["lock", "release", "another"])
        .exits(1)
        .says("that run does not hold the state; it is held by run");
    lab.run_in(&clone, &["lock", "release", &id])
        .exits(0)
        .says("Next: 'drspass plan', then 'drspass apply'; 2 outcomes are unknown: ");
    let first = goes_on(&lab, first);
    let first = first.exits(8).says("2 applied").says(".recovery-");
    first.says("the next 'drspass apply' in this clone saves them");
    // Its journal is here, so here nothing is lost; nothing of it is anywhere else.
    lab.run_in(&clone, &["plan"])
        .exits(0)
        .says("2 to send again");
    lab.run(&["plan"]).exits(0).says("2 in sync");
    lab.apply(&[]).exits(0);
    lab.run_in(&clone, &["plan"]).exits(0).says("2 in sync");
}

#[test]
fn a_recovery_file_is_refused_where_the_state_was_moved_to_another_place() {
    let lab = lab();
    let first = stopped(&lab, &[]);
    let clone = lab.cloned();
    let held = lab.state()["body"]["holder"]["id"].clone();
    lab.run_in(&clone, &["lock", "release", held.as_str().unwrap()])
        .exits(0);
    let first = goes_on(&lab, first).exits(8);
    let said = first.all();
    let words = said.split_whitespace();
    let file = words
        .map(|word| word.trim_matches(|c| "',.;:".contains(c)))
        .find(|word| word.contains(".recovery-"))
        .unwrap();
    for args in [&["git:origin/drspass-state/new"][..], &["--done"]] {
        lab.run_in(&clone, &[&["state", "move"], args].concat())
            .exits(0);
    }
    lab.run(&["state", "recover", file])
        .exits(1)
        .says("the state was moved from git:");
}

#[test]
fn a_wait_for_the_lock_that_a_signal_ends_says_that_nothing_was_sent() {
    let lab = lab();
    let first = stopped(&lab, &[]);
    let clone = lab.cloned();
    for (signal, code, word) in [
        (Signal::INT, 130, "interrupted"),
        (Signal::TERM, 143, "terminated by a signal"),
    ] {
        let mut command = lab.command(&[&APPLY[..], &["--lock-timeout", "10m"]].concat());
        command.current_dir(clone.path());
        let waiting = Watched::start(command);
        waiting.says("waiting at most 10m");
        lab.run_in(&clone, &["lock", "release", "any"])
            .exits(6)
            .says(
                "ends with that process: wait for it, or stop it. An apply that waits for a lost",
            );
        send_signal(waiting.id(), signal);
        waiting
            .ended(&lab)
            .exits(code)
            .says(&format!("{word} while waiting for the lock on the state"))
            .says("Nothing was sent or changed.");
    }
    goes_on(&lab, first).exits(0).says("2 applied");
}

#[test]
fn a_wait_for_the_lock_shows_on_a_terminal_that_it_watches_the_other_run() {
    let lab = lab();
    let first = stopped(&lab, &[]);
    let clone = lab.cloned();
    let mut command = lab.command(&[&APPLY[..], &["--lock-timeout", "10m"]].concat());
    command
        .current_dir(clone.path())
        .envs([("DRSPASS_TEST_SECOND", "1"), ("TERM", "xterm")]);
    let mut terminal = Terminal::start(command);
    terminal.sees("watching the run that holds the state; ");
    goes_on(&lab, first).exits(0).says("2 applied");
    lab.ended(terminal).exits(0);
}

#[test]
fn a_signal_ends_the_write_after_a_wait_for_the_lock() {
    let mut lab = lab();
    lab.apply(&[]).exits(0);
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    lab.push();
    let mut first = stopped(&lab, &[]);
    first.kill().unwrap();
    first.wait().unwrap();
    let clone = lab.cloned();
    // It has nothing to send, but the lock of the lost run is to be removed.
    let wait = ["--lock-timeout", "60s", "--only", J2];
    let mut command = lab.command(&[&APPLY[..], &wait].concat());
    command
        .current_dir(clone.path())
        .env("DRSPASS_TEST_LEASE", "2");
    let reached = lab.path("reached");
    let (child, stands) = started_up_to(command, "place.before_push", 1, &reached);
    assert_eq!(stands, Stands::There);
    send_signal(child.id(), Signal::TERM);
    lab.wait(child).exits(143);
    assert!(!lab.state()["body"]["holder"].is_null());
}

#[test]
fn ending_a_lock_on_a_terminal_shows_the_run_and_asks() {
    let lab = lab();
    let mut first = stopped(&lab, &[]);
    first.kill().unwrap();
    first.wait().unwrap();
    let held = lab.state()["body"]["holder"].clone();
    let id = held["id"].as_str().unwrap();
    lab.run(&["lock", "show"])
        .exits(0)
        .says("Next: 'drspass apply' goes on at once: that run was started in this clone, and has");
    lab.run_in(&lab.cloned(), &["lock", "show"])
        .exits(0)
        .says("Next: wait until that run has ended. If it was lost, 'drspass apply --lock-timeout")
        .says(&format!("'drspass lock release {id}' ends its lock"));
    let release = |more: &[&str]| lab.command(&[&["lock", "release", id], more].concat());
    for (answer, code, word) in [
        ("no\n", 7, "not 'yes'"),
        ("\u{3}", 130, "Nothing was changed"),
    ] {
        let mut terminal = Terminal::start(release(&[]));
        let shown = terminal.sees("If this run has not ended, two runs");
        assert!(shown.contains(held["id"].as_str().unwrap()), "{shown}");
        assert!(shown.contains(" UTC, last sign "), "{shown}");
        terminal.sees(APPROVAL);
        terminal.types(answer);
        lab.ended(terminal).exits(code).says(word);
        assert_eq!(lab.state()["body"]["holder"], held);
    }
    let terminal = Terminal::start(release(&["--yes"]));
    let run = lab.ended(terminal).exits(0);
    run.says("The lock is free.").says("2 outcomes are unknown");
    assert!(lab.state()["body"]["holder"].is_null());
}

#[test]
fn a_deleted_branch_during_an_apply_is_a_lost_lock() {
    let lab = lab();
    let first = stopped(&lab, &[]);
    let tip = lab.tip();
    lab.in_origin(&["update-ref", "-d", &format!("refs/heads/{NAME}")]);
    goes_on(&lab, first).exits(8).says("2 applied");
    // Put back as it was when the run began to send: what was sent is unknown, and its own run
    // holds it.
    lab.in_origin(&["update-ref", &format!("refs/heads/{NAME}"), &tip]);
    let own = lab.own_folder();
    let names = std::fs::read_dir(own)
        .unwrap()
        .map(|it| it.unwrap().file_name());
    let file = names
        .map(|name| name.into_string().unwrap())
        .find(|name| name.contains(".recovery-"))
        .unwrap();
    let file = lab.own_folder().join(file);
    lab.run(&["state", "recover", file.to_str().unwrap()])
        .exits(0)
        .says("recovered");
    lab.run(&["plan"]).exits(0).says("2 in sync");
    assert!(lab.state()["body"]["holder"].is_null());
}

#[test]
fn a_foreign_file_pushed_during_an_apply_is_kept() {
    let lab = lab();
    let first = stopped(&lab, &[]);
    let blob = lab.in_origin(&["hash-object", "-w", "HEAD"]);
    let tip = lab.tip();
    let state = lab.in_origin(&["rev-parse", &format!("{NAME}:drspass.state.json")]);
    let tree = format!(
        "100644 blob {}\tdrspass.state.json\n100644 blob {}\tnote",
        state.trim(),
        blob.trim()
    );
    let tree = lab.in_origin_with(&["mktree"], &tree);
    let commit = lab.in_origin(&["commit-tree", "-p", &tip, "-m", "note", tree.trim()]);
    lab.in_origin(&["update-ref", &format!("refs/heads/{NAME}"), commit.trim()]);
    goes_on(&lab, first).exits(0).says("2 applied");
    let files = lab.in_origin(&["ls-tree", "--name-only", NAME]);
    assert_eq!(files, "drspass.state.json\nnote\n");
    lab.run(&["plan"]).exits(1).says("is not a state branch");
}

/// An apply whose first answer is on the branch before the last one came.
fn between_two_answers() -> (Lab, Child) {
    let mut lab = Lab::on_branch();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.push();
    let slow = drspass::sim::FaultKind::Slow { millis: 4000 };
    lab.sim.inject(drspass::sim::Fault::always(slow));
    let mut command = lab.command(&APPLY);
    command.env("DRSPASS_TEST_LEASE", "10");
    let child = command.spawn().unwrap();
    wait_until("a checkpoint", || {
        let body = lab.state()["body"].clone();
        let one = &body["entries"][format!("{J1}/source")]["applied"];
        !one.is_null() && !body["holder"].is_null()
    });
    (lab, child)
}

#[test]
fn what_is_known_is_written_while_the_run_still_sends() {
    let (lab, child) = between_two_answers();
    lab.wait(child).exits(0);
    assert!(lab.state()["body"]["holder"].is_null());
}

#[test]
fn a_run_whose_lock_was_ended_after_a_checkpoint_has_the_rest_in_its_journal() {
    let (lab, child) = between_two_answers();
    let held = lab.state()["body"]["holder"]["id"].clone();
    let clone = lab.cloned();
    lab.run_in(&clone, &["lock", "release", held.as_str().unwrap()])
        .exits(0);
    lab.wait(child)
        .exits(8)
        .says("the next 'drspass apply' in this clone saves them");
    lab.run(&["plan"]).exits(0).says("2 in sync");
}

#[test]
fn an_interrupted_run_clears_its_lock() {
    let lab = lab();
    let slow = drspass::sim::FaultKind::Slow { millis: 800 };
    lab.sim.inject(drspass::sim::Fault::always(slow));
    let child = lab.command(&APPLY).spawn().unwrap();
    lab.await_puts(1);
    send_signal(child.id(), Signal::INT);
    let run = lab.wait(child);
    assert!(matches!(run.code, Some(3 | 4 | 130)), "{}", run.all());
    assert!(lab.state()["body"]["holder"].is_null());
    lab.apply(&[]).exits(0);
}

#[test]
fn a_lease_counts_from_the_start_of_a_push_however_late_its_answer_comes() {
    // The lease lasts 3.5 minutes: by the second of them, 152 seconds after the answer.
    for (slept, is_valid) in [("150", true), ("211", false)] {
        let lab = lab();
        let clock = lab.path("slept");
        std::fs::write(&clock, "0").unwrap();
        let hooks = lab.origin.as_ref().unwrap().path().join("hooks");
        // The branch has the marks, and git is told 59 seconds later.
        let script = format!("printf 59 >'{}'", clock.display());
        put_program(&hooks.join("post-receive"), &script);
        let run = stopped(&lab, &[("DRSPASS_TEST_SLEPT", clock.to_str().unwrap())]);
        assert_eq!(lab.read("slept"), "59");
        std::fs::write(&clock, slept).unwrap();
        let run = goes_on(&lab, run);
        let (code, said) = match is_valid {
            true => (0, "2 applied"),
            false => (1, "2 not sent"),
        };
        run.exits(code).says(said);
        assert_eq!(lab.sent().is_empty(), !is_valid);
        assert!(lab.state()["body"]["holder"].is_null());
    }
}

#[test]
fn a_wall_clock_that_is_set_takes_nothing_over_and_lets_nobody_send_for_longer() {
    let lab = lab();
    let (clock, looks) = (lab.path("clock"), lab.path("looks"));
    let holder = stopped(&lab, &[]);
    let script = format!(
        "echo \"$*\" >>'{}'; PATH={PROGRAMS} exec git \"$@\"",
        looks.display()
    );
    put_program(&lab.path("bin/git"), &script);
    let clone = lab.cloned();
    let waiting = |now: &str| {
        let mut command = lab.command(&APPLY);
        command
            .current_dir(clone.path())
            .env("PATH", format!("{}:{PROGRAMS}", lab.path("bin").display()))
            .env("DRSPASS_TEST_NOW", now)
            .env("DRSPASS_TEST_LEASE", "40")
            .env("DRSPASS_TEST_SLEPT", &clock);
        command
    };
    // By its own clock, this run came before the marks: it has no reason to wait.
    let early = lab.run_command(waiting("2000-01-01T00:00:00Z"));
    early.exits(6).says("is held by run");
    // By this one, the holder has been silent for years.
    std::fs::write(&clock, "0 7200").unwrap();
    let watcher = Watched::start(waiting("2100-01-01T00:00:00Z"));
    watcher.says("waiting");
    let looks = || {
        let text = std::fs::read_to_string(&looks).unwrap();
        text.matches(" ls-remote --quiet --heads ").count()
    };
    for time in ["0 7200", "0 90000", "0 0"] {
        std::fs::write(&clock, time).unwrap();
        let seen = looks();
        wait_until("two looks", || looks() >= seen + 2);
    }
    goes_on(&lab, holder).exits(0).says("2 applied");
    let watcher = watcher.ended(&lab);
    watcher.exits(0).says_not("took over");
    assert_eq!(lab.sent().len(), 1, "nothing was sent again");

    // Who sends goes by the clock that is ahead.
    let mut lab = lab;
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    std::fs::remove_file(lab.path("reached.go")).unwrap();
    for (then, now) in [("0 0", "0 211"), ("0 7200", "211 0")] {
        std::fs::write(lab.path("clock"), then).unwrap();
        let clock = lab.path("clock").display().to_string();
        let run = stopped(&lab, &[("DRSPASS_TEST_SLEPT", &clock)]);
        std::fs::write(lab.path("clock"), now).unwrap();
        let run = goes_on(&lab, run);
        run.exits(1).says("1 not sent");
        std::fs::remove_file(lab.path("reached.go")).unwrap();
        assert_eq!(lab.sent().len(), 1);
    }
}

#[test]
fn a_thread_that_the_machine_refuses_is_found_out_before_anything_is_marked() {
    let lab = lab();
    let tip = lab.tip();
    let mut command = lab.command(&APPLY);
    command.env("DRSPASS_TEST_FAIL_AT", "keeper.start:1");
    lab.run_command(command)
        .exits(1)
        .says("Nothing was sent or changed.");
    assert_eq!(lab.tip(), tip);
    let left = std::fs::read_dir(lab.own_folder()).unwrap();
    let mut names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!names.any(|name| name.ends_with(".journal")));
    lab.run(&["plan"]).exits(0).says("2 to set");
    lab.apply(&[]).exits(0).says("2 applied");
}
