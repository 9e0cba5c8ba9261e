//! Who may work when.

use drspass::sim::{Fault, FaultKind};

use rustix::process::Signal;

use crate::support::around::Watched;
use crate::support::terminal::{APPROVAL, Terminal};
use crate::support::{J1, J2, LOCKED, LOCKED_PUBLIC, Lab, PASSPHRASE, send_signal, wait_until};

#[test]
fn the_second_of_two_applies_is_turned_away_and_nothing_is_sent_twice() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.sim
        .inject(Fault::next(FaultKind::Hold { act_first: false }));
    let first = lab.command(&["apply", "--auto-approve"]).spawn().unwrap();
    lab.await_puts(1);

    lab.apply(&[]).exits(6).says("is held by process");
    lab.run(&["plan"])
        .exits(0)
        .says("the lock is held by process");
    lab.run(&["lock", "show"]).exits(0).says("apply");
    for args in [&["state", "list"][..], &["state", "show"]] {
        let run = lab.run(args).exits(0).says("the lock is held by process");
        assert!(!run.all().contains("cut off"), "{}", run.all());
    }

    let without_key = |args: &[&str]| {
        let mut command = lab.command(args);
        command.env_remove("DRSPASS_IDENTITY");
        lab.run_command(command).exits(0).says("not authenticated")
    };
    without_key(&["state", "list"])
        .says("outcome unknown")
        .says("with ids in place of names;");
    without_key(&["lock", "show"])
        .says("is held by process")
        .says(" UTC (not authenticated)");

    lab.sim.release();
    lab.wait(first).exits(0);
    assert_eq!(lab.sent().concat().len(), 2, "each entry once");
    lab.run(&["lock", "show"])
        .exits(0)
        .says("The lock is free.");
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn two_applies_started_together_act_as_one() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.sim
        .inject(Fault::next(FaultKind::Hold { act_first: false }));
    let mut running: Vec<_> = (0..2)
        .map(|_| lab.command(&["apply", "--auto-approve"]).spawn().unwrap())
        .collect();
    // The request of one is held, so the other is the first to end.
    let mut first = None;
    wait_until("one of them to be turned away", || {
        first = running
            .iter_mut()
            .position(|child| child.try_wait().unwrap().is_some());
        first.is_some()
    });
    let turned_away = running.remove(first.unwrap());
    lab.wait(turned_away)
        .exits(6)
        .says("is held by process")
        .says("since 20");
    lab.await_puts(1);
    lab.sim.release();
    lab.wait(running.remove(0)).exits(0);
    assert_eq!(lab.sent().concat().len(), 2, "each entry once");
    // As after one run: one commit of the marks and one of the outcomes.
    assert_eq!(lab.state()["body"]["serial"], 2);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn an_apply_waits_for_the_lock_of_its_directory_as_long_as_it_is_meant_to() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.sim
        .inject(Fault::next(FaultKind::Hold { act_first: false }));
    let first = lab.command(&["apply", "--auto-approve"]).spawn().unwrap();
    lab.await_puts(1);
    lab.apply(&["--lock-timeout", "1s"])
        .exits(6)
        .says("waiting at most 1s: the state is held by process")
        .says("drspass.state.json.lock is held by process");
    let waiting = || {
        let wait = ["apply", "--auto-approve", "--lock-timeout", "10m"];
        let waiting = Watched::start(lab.command(&wait));
        waiting.says("waiting at most 10m");
        waiting
    };
    let ended = waiting();
    send_signal(ended.id(), Signal::INT);
    ended
        .ended(&lab)
        .exits(130)
        .says("interrupted while waiting for the lock on the state");
    let second = waiting();
    lab.sim.release();
    lab.wait(first).exits(0);
    second.ended(&lab).exits(0);
    assert_eq!(lab.sent().concat().len(), 1, "once");
}

#[test]
fn the_lock_of_a_file_is_not_released() {
    let lab = Lab::new();
    lab.run(&["lock", "release", "x"])
        .exits(1)
        .says("ends with its process; there is nothing to release");
}

#[test]
fn a_lock_ends_with_its_process() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.sim
        .inject(Fault::next(FaultKind::Hold { act_first: false }));
    let mut child = lab.command(&["apply", "--auto-approve"]).spawn().unwrap();
    lab.await_puts(1);
    lab.run(&["lock", "show"])
        .exits(0)
        .says("is held by process");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        lab.read("drspass.state.json.lock").contains("\"pid\""),
        "what it wrote is still there"
    );
    lab.run(&["lock", "show"])
        .exits(0)
        .says("The lock is free.");
    lab.apply(&[]).exits(0);
}

#[test]
fn a_left_over_lock_file_is_no_lock() {
    for content in ["", "garbage", "{\"pid\":1}"] {
        let mut lab = Lab::new();
        lab.passwords(&[(J1, "source", "canary-1")]);
        lab.write("drspass.state.json.lock", content);
        lab.apply(&[]).exits(0);
    }
}

#[test]
fn a_held_lock_without_readable_owner_is_told_as_such() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    for content in ["", "{", "\u{1b}[31mred", "{\"pid\":1}"] {
        lab.write("drspass.state.json.lock", content);
        let file = std::fs::File::open(lab.path("drspass.state.json.lock")).unwrap();
        file.lock().unwrap();
        lab.apply(&[]).exits(6).says("an unknown process");
        lab.run(&["lock", "show"])
            .exits(0)
            .says("an unknown process");
        lab.run(&["plan"])
            .exits(0)
            .says("note: the lock is held by an unknown process");
    }
    assert_eq!(lab.sent().len(), 0);
}

#[test]
fn a_lock_or_state_that_is_a_link_is_not_followed() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.write("precious", "precious");
    for name in [
        "drspass.state.json.lock",
        "drspass.state.json",
        "drspass.state.json.journal",
    ] {
        let _ = std::fs::remove_file(lab.path(name));
        std::os::unix::fs::symlink("precious", lab.path(name)).unwrap();
        lab.apply(&[]).exits(1);
        std::fs::remove_file(lab.path(name)).unwrap();
    }
    assert_eq!(lab.read("precious"), "precious");
    assert_eq!(lab.sent().len(), 0);
}

#[test]
fn a_lock_file_that_vanishes_does_not_let_a_second_apply_in() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.sim
        .inject(Fault::next(FaultKind::Hold { act_first: false }));
    let first = lab.command(&["apply", "--auto-approve"]).spawn().unwrap();
    lab.await_puts(1);
    std::fs::remove_file(lab.path("drspass.state.json.lock")).unwrap();
    lab.run(&["lock", "show"])
        .exits(0)
        .says("is held by an unknown process");
    lab.apply(&[]).exits(6);
    lab.run(&["lock", "show"])
        .exits(0)
        .says("is held by an unknown process");
    lab.sim.release();
    lab.wait(first).exits(0);
    assert_eq!(lab.sent().len(), 1);
}

#[test]
fn a_manifest_that_was_replaced_before_the_lock_is_not_used() {
    let commands: [&[&str]; 4] = [
        &["apply", "--auto-approve"],
        &["state", "adopt", "*", "--yes"],
        &["state", "distrust"],
        &["rekey", "--yes", "--new-key"],
    ];
    for args in commands {
        let mut lab = Lab::new();
        lab.passwords(&[(J1, "source", "canary-1")]);
        lab.plant(&[PASSPHRASE]);
        lab.write("locked", LOCKED);
        let own = lab.recipient_of("key.txt");
        lab.list_recipients(&[&own, LOCKED_PUBLIC.trim()]);
        lab.run(&["rekey", "--yes"]).exits(0);
        // While a first run waits for its passphrase, there is another key.
        let mut terminal = Terminal::start(lab.command(&[&["-i", "locked"], args].concat()));
        terminal.sees("Passphrase for locked: ");
        lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
        terminal.types(&format!("{PASSPHRASE}\n"));
        lab.ended(terminal)
            .exits(6)
            .says("was changed by another process")
            .says("Nothing was sent");
        assert!(lab.sent().is_empty());
        assert!(!lab.exists("drspass.state.json"));
        lab.apply(&[]).exits(0);
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    }
}

#[test]
fn a_state_that_was_replaced_before_the_marks_is_not_written_over() {
    let lab = Lab::with_a_change();
    let before = lab.read("drspass.state.json");
    lab.run(&["state", "adopt", J1, "--yes"]).exits(0);
    let later = lab.read("drspass.state.json");
    assert_ne!(before, later);
    lab.write("drspass.state.json", before);
    let sent = lab.sent().len();
    let mut terminal = Terminal::start(lab.command(&["apply"]));
    terminal.sees(APPROVAL);
    lab.write("drspass.state.json", &later);
    terminal.types("yes\n");
    lab.ended(terminal)
        .exits(6)
        .says("another process changed")
        .says("Nothing was sent.");
    assert_eq!(lab.sent().len(), sent);
    assert_eq!(lab.read("drspass.state.json"), later);
    assert!(!lab.exists("drspass.state.json.journal"));
    lab.apply(&[]).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}
