//! Readers that go away, disks that are full, and colour.

use drspass::sim::{Fault, FaultKind};

use crate::support::around::through;
use crate::support::terminal::Terminal;
use crate::support::{J1, J2, Lab};

#[test]
fn nobody_reading_changes_nothing_about_an_apply() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let mut child = lab.command(&["apply", "--auto-approve"]).spawn().unwrap();
    drop(child.stdout.take());
    drop(child.stderr.take());
    lab.wait(child).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-1"));
    for args in [
        &["plan"][..],
        &["plan", "--json"],
        &["plan", "--diff"],
        &["validate"],
        &["validate", "--json"],
        &["show"],
        &["state", "list"],
        &["state", "show"],
        &["state", "show", "--json"],
        &["lock", "show"],
        &["--help"],
    ] {
        let mut child = lab.command(args).spawn().unwrap();
        drop(child.stdout.take());
        let run = lab.wait(child).exits(0);
        assert_eq!(run.stderr, "", "{args:?}");
    }
}

#[test]
fn a_reader_that_goes_away_in_the_middle_does_not_stop_an_apply() {
    for form in [
        &["apply", "--auto-approve"][..],
        &["apply", "--auto-approve", "--json"],
    ] {
        let mut lab = Lab::new();
        lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
        lab.sim
            .inject(Fault::next(FaultKind::Hold { act_first: false }));
        let mut child = lab.command(form).spawn().unwrap();
        lab.await_puts(1);
        drop(child.stdout.take());
        lab.sim.release();
        let run = lab.wait(child).exits(0);
        assert!(!run.stderr.contains("panic"), "{}", run.stderr);
        lab.run(&["lock", "show"]).exits(0).says("free");
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
        assert!(!lab.exists("drspass.state.json.journal"));
    }
}

#[test]
fn a_full_disk_behind_the_output_does_not_change_what_happened() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let full = || {
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let mut command = lab.command(&["plan"]);
    command.stdout(full());
    lab.run_command(command).exits(1);
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.stdout(full());
    let run = lab.run_command(command).exits(0);
    assert!(
        run.stderr.contains("Result: 1 applied"),
        "the truth is told elsewhere"
    );
}

#[test]
fn output_has_no_colour_in_a_pipe_unless_asked_for() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    assert!(!lab.run(&["plan"]).all().contains('\u{1b}'));
    assert!(
        lab.run(&["plan", "--color", "always"])
            .stdout
            .contains('\u{1b}')
    );
    assert!(!lab.run(&["-vvv", "plan"]).all().contains('\u{1b}'));
    lab.run(&["-vvv", "--color", "always", "apply", "--auto-approve"])
        .exits(0)
        .says("batch-modify-pwd");
}

#[test]
fn messages_are_broken_for_a_terminal_and_for_nothing_else() {
    let lab = Lab::new();
    let wrong = ["set", "nowhere/source", "--generate"];
    let piped = lab.run(&wrong).exits(1);
    let help = piped.stderr.lines().find(|line| line.contains("help: "));
    let help = help.unwrap().trim_start();
    assert!(help.chars().count() > 100, "{help}");
    let on_terminal = |columns: usize| {
        let command = lab.command(&[&["--color", "always"], &wrong[..]].concat());
        let script = format!("stty cols {columns}; exec \"$0\" \"$@\"");
        let terminal = Terminal::start(through("sh", &["-c", &script], &command));
        lab.ended(terminal).exits(1)
    };
    for (columns, at_most) in [(60, 60), (90, 90), (300, 100)] {
        let run = on_terminal(columns).says(help);
        for line in run.stdout.lines() {
            assert!(line.chars().count() <= at_most, "{}", run.stdout);
        }
    }
    // A terminal that does not tell its width gets lines as they are.
    let run = on_terminal(0);
    assert!(run.stdout.contains(help), "{}", run.stdout);
}
