//! Who approves, and what is never taken for it.

use std::io::Write as _;
use std::process::Stdio;

use crate::support::around::through;
use crate::support::terminal::{APPROVAL, Terminal};
use crate::support::{J1, Lab, PASSPHRASE, Run};

#[test]
fn without_a_terminal_nothing_is_approved() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.run(&["apply"])
        .exits(7)
        .says("cannot ask for approval without a terminal");
    let mut command = lab.command(&["apply"]);
    command.stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended already, since it never reads the answer.
    let _ = child.stdin.take().unwrap().write_all(b"yes\n");
    lab.wait(child).exits(7);
    assert_eq!(lab.sim.connections(), 0);
    assert!(!lab.exists("drspass.state.json"));
}

#[test]
fn without_a_terminal_a_run_that_sends_nothing_needs_no_approval() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.apply(&[]).exits(0);
    let before = lab.sim.connections();
    lab.run(&["apply"]).exits(0).says("Nothing to send");
    lab.run(&["apply", "--json"]).exits(0);
    assert_eq!(lab.sim.connections(), before);
    lab.run(&["apply", "--retry-jobs"])
        .exits(0)
        .says("Jobs: none has failed.");
    // A retry is something that is sent.
    lab.sim.set_status(J1, "INCRE_TRANSFER_FAILED");
    lab.run(&["apply", "--retry-jobs"]).exits(7);
    assert_eq!(lab.sim.status(J1).unwrap(), "INCRE_TRANSFER_FAILED");
}

#[test]
fn text_on_standard_input_is_sealed_and_never_taken_for_a_passphrase() {
    let mut lab = Lab::new();
    lab.plant(&[PASSPHRASE, "canary-piped"]);
    let encrypt = |lab: &Lab, more: &[&str], text: &str| {
        let mut command = lab.command(&[more, &["encrypt", "-"]].concat());
        command.stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have ended already, since it may not need the text.
        let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
        lab.wait(child)
    };
    let document =
        format!("version: 1\njobs:\n  {J1}:\n    source: {{ password: 'canary-piped' }}\n");
    encrypt(&lab, &[], &document).exits(0);
    lab.apply(&[]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-piped"));

    lab.make_locked_folder();
    let before = lab.read("sub/passwords.yaml.age");
    let locked = ["-C", "sub", "-i", "../locked"];
    encrypt(&lab, &locked, &document)
        .exits(1)
        .says("is protected by a passphrase, and there is no terminal to ask for it");
    for text in [
        format!("{PASSPHRASE}\n"),
        format!("{PASSPHRASE}\n{document}"),
    ] {
        encrypt(&lab, &locked, &text).exits(1);
    }
    assert_eq!(lab.read("sub/passwords.yaml.age"), before);
}

#[test]
fn a_run_that_holds_passwords_leaves_no_core_dump() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    for args in [&["apply"][..], &["rekey"], &["state", "adopt", J1]] {
        let script = "echo \"id $$.\"; exec \"$0\" \"$@\"";
        let command = through("/bin/sh", &["-c", script], &lab.command(args));
        let mut terminal = Terminal::start(command);
        terminal.sees("id ");
        let id = terminal.sees(".");
        terminal.sees(APPROVAL);
        let limits = format!("/proc/{id}/limits");
        let limits = std::fs::read_to_string(limits).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core"));
        let words: Vec<&str> = core.unwrap().split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{words:?}");
        terminal.types("no\n");
        lab.ended(terminal).exits(7);
    }
}

/// Runs a command on a terminal of its own, and answers its question.
#[track_caller]
pub(crate) fn approval(lab: &Lab, args: &[&str], answer: &str) -> Run {
    let mut terminal = Terminal::start(lab.command(args));
    terminal.sees(APPROVAL);
    terminal.types(answer);
    lab.ended(terminal)
}

#[test]
fn on_a_terminal_only_the_whole_word_approves() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    for answer in ["y\n", "YES\n", "yes please\n", "no\n", "\n", "\u{4}"] {
        let run = approval(&lab, &["apply"], answer).exits(7);
        assert!(
            run.all().contains("not approved: the answer was not 'yes'"),
            "{}",
            run.all()
        );
    }
    assert_eq!(lab.sim.connections(), 0);
    let run = approval(&lab, &["apply"], "yes\n").exits(0);
    assert!(run.all().contains("1 applied"), "{}", run.all());
    assert!(lab.sim.holds(J1, "source", "canary-1"));
    approval(&lab, &["state", "adopt", J1], "no\n").exits(7);
}

#[test]
fn what_was_typed_before_the_question_answers_nothing() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    for args in [&["apply"][..], &["rekey"], &["state", "adopt", J1]] {
        let mut terminal = Terminal::with_typed_ahead(&lab.command(args), "yes");
        terminal.sees(APPROVAL);
        terminal.types("no\n");
        let run = lab.ended(terminal).exits(7);
        assert!(
            run.all().contains("not approved: the answer was not 'yes'"),
            "{}",
            run.all()
        );
    }
    assert_eq!(lab.sim.connections(), 0);
    let mut terminal = Terminal::with_typed_ahead(&lab.command(&["apply"]), "no");
    terminal.sees(APPROVAL);
    terminal.types("yes\n");
    lab.ended(terminal).exits(0);
}

#[test]
fn ctrl_c_at_a_question_says_that_nothing_was_done() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let before = std::fs::read(lab.path("passwords.yaml.age")).unwrap();
    for (args, said) in [
        (&["apply"][..], "Cancelled. Nothing was sent."),
        (&["rekey"], "Cancelled. Nothing was changed."),
        (&["state", "adopt", J1], "Cancelled. Nothing was changed."),
    ] {
        let mut terminal = Terminal::with_typed_ahead(&lab.command(args), "");
        terminal.sees(APPROVAL);
        terminal.control('c');
        terminal.sees("^C");
        // On a line of its own, and alone.
        assert_eq!(terminal.exits(130).trim_end(), format!("\r\n{said}"));
    }
    assert_eq!(lab.sim.connections(), 0);
    assert!(!lab.exists("drspass.state.json"));
    assert_eq!(
        std::fs::read(lab.path("passwords.yaml.age")).unwrap(),
        before
    );
}
