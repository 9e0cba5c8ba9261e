//! Signals: the editor ends with drspass, and nothing is left of either.

use std::process::Child;

use rustix::process::Signal;

use super::Desk;
use crate::support::around::{Stands, started_up_to};
use crate::support::{process_is_there, send_signal, wait_until};

/// What lets an editor stop once it is there.
const STOPS: &str = "kill -STOP $$";

/// An editor that has changed the text, started another program, and stays.
fn lingering(desk: &Desk, more: &str) -> String {
    let (more, last) = if more == STOPS {
        ("", STOPS)
    } else {
        (more, "")
    };
    desk.stub(
        "lingers",
        &format!(
            "{more}\n{}sleep 1000 & echo $$ $! > $here/pids.new; mv $here/pids.new $here/pids\n{last}\nwait; sleep 1000\n",
            desk.change()
        ),
    )
}

/// Starts an edit, and waits until its editor is there. Returns it and the processes
/// of the editor.
fn started(desk: &Desk, more: &str) -> (Child, Vec<u32>) {
    let child = desk.command(&lingering(desk, more)).spawn().unwrap();
    let path = desk.stubs.path().join("pids");
    wait_until("the editor", || path.exists());
    let pids = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    (
        child,
        pids.split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect(),
    )
}

#[test]
fn a_signal_ends_the_editor_and_leaves_nothing() {
    let desk = Desk::new("signals");
    let before = desk.manifest();
    for (signal, code) in [
        (Signal::INT, 130),
        (Signal::TERM, 143),
        (Signal::HUP, 143),
        (Signal::QUIT, 143),
    ] {
        for more in ["", "trap '' TERM INT HUP QUIT", "trap 'exit 0' TERM", STOPS] {
            let (child, pids) = started(&desk, more);
            assert_eq!(desk.folders().len(), 1);
            send_signal(child.id(), signal);
            desk.lab.wait(child).exits(code).says("nothing was saved");
            desk.assert_no_trace();
            assert_eq!(desk.manifest(), before);
            wait_until("the editor's end", || {
                !pids.iter().any(|pid| process_is_there(*pid))
            });
        }
    }
}

#[test]
fn what_a_killed_edit_leaves_is_removed_by_the_next() {
    let desk = Desk::new("killed");
    let before = desk.manifest();
    let (mut child, pids) = started(&desk, "");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(desk.folders().len(), 1);
    // The editor is not drspass, and lives on.
    let run = desk.edit("true").exits(0);
    assert!(
        run.stderr.contains("left by an edit that was killed"),
        "{}",
        run.stderr
    );
    assert_eq!(desk.manifest(), before);
    for pid in pids {
        send_signal(pid, Signal::KILL);
    }
    for place in ["private.empty", "private.created", "private.half_removed"] {
        let reached = desk.stubs.path().join("reached");
        let command = desk.command(&desk.changer());
        let (mut child, stands) = started_up_to(command, place, 1, &reached);
        assert_eq!(stands, Stands::There, "{place}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(desk.folders().len(), 1, "{place}");
        let run = desk.edit("true").exits(0);
        assert!(
            run.stderr.contains("left by an edit that was killed"),
            "{}",
            run.stderr
        );
        assert_eq!(desk.manifest(), before);
    }
}

/// Kills an edit that has written the text to its folder.
fn killed(desk: &Desk) {
    let reached = desk.stubs.path().join("reached");
    let mut command = desk.command(&desk.changer());
    command.env(
        "DRSPASS_TEST_STOP_AT",
        format!("private.created:1:{}", reached.display()),
    );
    let mut child = command.spawn().unwrap();
    wait_until("the text", || reached.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(reached).unwrap();
    assert_eq!(desk.folders().len(), 1);
}

#[test]
fn every_command_that_opens_a_root_folder_removes_what_a_killed_edit_left() {
    let desk = Desk::new("others");
    let run = |args: &[&str]| {
        let mut command = desk.lab.command(args);
        desk.surround(&mut command, "true");
        desk.lab.run_command(command).exits(0)
    };
    for args in [
        &["plan"][..],
        &["validate"],
        &["show"],
        &["recipients"],
        &["state", "list"],
        &["lock", "show"],
        &["rekey", "--yes"],
    ] {
        killed(&desk);
        let run = run(args);
        assert!(
            run.stderr.contains("left by an edit that was killed"),
            "{args:?}\n{}",
            run.stderr
        );
        desk.assert_no_trace();
    }
    // What git and its hooks run says nothing else.
    killed(&desk);
    let run = run(&["validate", "--require-encrypted"]);
    assert_eq!(run.stderr, "");
    assert_eq!(desk.folders().len(), 1);
    let removed = std::fs::remove_dir_all(&desk.folders()[0]);
    removed.unwrap();
}

#[test]
fn an_edit_does_not_sweep_another_that_is_under_way() {
    let desk = Desk::new("two");
    let (child, _) = started(&desk, "");
    assert_eq!(desk.folders().len(), 1);
    let run = desk.lab.run_command(desk.command("true")).exits(0);
    assert!(!run.stderr.contains("killed edit"), "{}", run.stderr);
    assert_eq!(desk.folders().len(), 1);
    send_signal(child.id(), Signal::TERM);
    desk.lab.wait(child).exits(143);
    desk.assert_no_trace();
}
