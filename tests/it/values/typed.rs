//! Values that a person types, on a terminal of their own.

use std::fs;

use rustix::process::Signal;

use super::Desk;
use crate::support::around::{through, without_terminal};
use crate::support::terminal::{APPROVAL, Terminal};
use crate::support::{J1, Run, send_signal, wait_until};

fn desk() -> Desk {
    let document =
        format!("version: 1\njobs:\n  {J1}:\n    source: {{ password: 'canary-old' }}\n");
    Desk::new(&document, &["canary-old", "canary-typed", "canary-other"])
}

/// Starts `set` on a terminal that echoes what is typed, and tells afterwards whether
/// it still does.
fn on_terminal(desk: &Desk, args: &[&str]) -> Terminal {
    let script = "stty echo; echo shell $$; \"$0\" \"$@\"; code=$?; \
                  stty -a | grep -ow -e '-*echo'; exit $code";
    let mut command = through("/bin/sh", &["-c", script], &desk.lab.command(args));
    command.env("TMPDIR", desk.lab.path("tmp"));
    Terminal::start(command)
}

/// What became of it. Nothing that was typed was shown, and the terminal shows again
/// what is typed.
#[track_caller]
fn ended(desk: &Desk, terminal: Terminal) -> Run {
    let run = desk.lab.ended(terminal).says_not("canary");
    let echo = run.stdout.trim_end().lines().last().unwrap_or_default();
    assert_eq!(echo.trim(), "echo", "{}", run.stdout);
    desk.assert_clean();
    run
}

/// Waits for a question and answers it.
#[track_caller]
fn answer(terminal: &mut Terminal, question: &str, line: &str) {
    terminal.sees(question);
    terminal.types(&format!("{line}\n"));
}

#[test]
fn a_value_typed_twice_is_set_and_never_shown() {
    let desk = desk();
    let mut terminal = on_terminal(&desk, &["set", J1]);
    let question = format!("New password of {J1}/source: ");
    answer(&mut terminal, &question, "canary-typed $HOME \"é");
    answer(&mut terminal, "Repeat it: ", "canary-typed $HOME \"é");
    answer(&mut terminal, APPROVAL, "yes");
    ended(&desk, terminal)
        .exits(0)
        .says("password wrote passwords.yaml.age and passwords.index.yaml, revision 3");
    assert!(
        desk.text()
            .contains("password: \"canary-typed $HOME \\\"é\" }")
    );
}

#[test]
fn two_values_that_differ_change_nothing() {
    let desk = desk();
    let before = desk.sealed();
    let mut terminal = on_terminal(&desk, &["set", J1]);
    answer(&mut terminal, "New password", "canary-typed");
    answer(&mut terminal, "Repeat it: ", "canary-other");
    ended(&desk, terminal)
        .exits(1)
        .says("the two values differ");
    let mut terminal = on_terminal(&desk, &["set", J1]);
    answer(&mut terminal, "New password", "");
    ended(&desk, terminal).exits(1).says("no value given");
    assert_eq!(desk.sealed(), before);
}

#[test]
fn ctrl_c_ends_it_and_gives_the_terminal_back() {
    let desk = desk();
    let before = desk.sealed();
    let mut terminal = on_terminal(&desk, &["set", J1]);
    answer(&mut terminal, "New password", "canary-typed");
    terminal.sees("Repeat it: ");
    terminal.control('c');
    ended(&desk, terminal).exits(130);
    assert_eq!(desk.sealed(), before);
}

/// The process that the shell of a terminal waits for.
#[track_caller]
fn child_of(shell: &str) -> u32 {
    let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    children.trim().parse().unwrap()
}

/// How many bytes a process has read so far.
#[track_caller]
fn bytes_read(pid: u32) -> u64 {
    let counts = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let mut lines = counts.lines();
    let read = lines.find_map(|line| line.strip_prefix("rchar: "));
    read.unwrap().parse().unwrap()
}

#[test]
fn a_signal_ends_it_and_gives_the_terminal_back() {
    let desk = desk();
    let before = desk.sealed();
    for (signal, code) in [
        (Signal::INT, 130),
        (Signal::TERM, 143),
        (Signal::HUP, 129),
        (Signal::QUIT, 131),
    ] {
        let mut terminal = on_terminal(&desk, &["set", J1]);
        let shell = terminal.line("shell ");
        answer(&mut terminal, "New password", "canary-typed");
        terminal.sees("Repeat it: ");
        let child = child_of(&shell);
        let (typed, read) = ("canary-ty", bytes_read(child));
        terminal.types(typed);
        // What still is on its way would be shown by the terminal itself afterwards.
        let wanted = read + typed.len() as u64;
        wait_until("the keys to be read", || bytes_read(child) >= wanted);
        send_signal(child, signal);
        ended(&desk, terminal).exits(code);
    }
    assert_eq!(desk.sealed(), before);
}

#[test]
fn a_key_that_is_no_character_is_never_left_out_of_a_value() {
    let desk = desk();
    let before = desk.sealed();
    for odd in [
        "canary-typed\tx",
        "canary-typed\u{1b}[Dx",
        "canary-typed\u{1a}",
    ] {
        let mut terminal = on_terminal(&desk, &["set", J1]);
        answer(&mut terminal, "New password", odd);
        ended(&desk, terminal)
            .exits(1)
            .says("a control key or invalid UTF-8");
    }
    assert_eq!(desk.sealed(), before);
    // What was taken back is no part of it.
    let mut terminal = on_terminal(&desk, &["set", J1]);
    for question in ["New password", "Repeat it: "] {
        answer(
            &mut terminal,
            question,
            "canary-x\t\u{15}canary-typedé\u{7f}\t\u{7f}",
        );
    }
    ended(&desk, terminal).exits(0);
    assert!(desk.text().contains("\"canary-typed\""));
}

#[test]
fn a_manifest_that_somebody_else_wrote_meanwhile_is_not_overwritten() {
    let desk = desk();
    let mut terminal = on_terminal(&desk, &["set", J1]);
    answer(&mut terminal, "New password", "canary-typed");
    terminal.sees("Repeat it: ");
    desk.set(&[J1], b"canary-other").exits(0);
    let theirs = desk.sealed();
    terminal.types("canary-typed\n");
    ended(&desk, terminal)
        .exits(1)
        .says("another process changed the manifest");
    assert_eq!(desk.sealed(), theirs);
}

#[test]
fn without_a_terminal_nobody_is_asked_and_nothing_is_read() {
    let desk = desk();
    let before = desk.sealed();
    let mut command = without_terminal(&desk.lab.command(&["set", J1]));
    let typed = desk.file("typed", "canary-typed\ncanary-typed\n");
    command.stdin(fs::File::open(typed).unwrap());
    let run = desk.lab.run_command(command).exits(7);
    let run = run
        .says("cannot ask for the value without a terminal")
        .says("--from-file")
        .says("--generate");
    assert_eq!(run.stdout, "");
    assert_eq!(desk.sealed(), before);
}

#[test]
fn a_value_that_may_be_a_mistake_is_asked_about_before_it_is_written() {
    let desk = desk();
    let before = desk.sealed();
    let typed_on = |mut terminal: Terminal, value: &str, remark: &str| {
        answer(&mut terminal, "New password", value);
        answer(&mut terminal, "Repeat it: ", value);
        terminal.sees(remark);
        terminal.sees(APPROVAL);
        assert_eq!(desk.sealed(), before, "{value:?} was written");
        terminal
    };
    let typed = |value, remark| typed_on(on_terminal(&desk, &["set", J1]), value, remark);
    for (value, remark) in [
        (
            "canary-typed ",
            "ends with a space, which is sent as part of it",
        ),
        (
            " canary-typed",
            "starts with a space, which is sent as part of it",
        ),
        ("canary-typed\u{200b}", "contains invisible characters"),
        ("canary-typedé", "contains characters outside ASCII"),
        ("'canary-typed'", "starts and ends with the same quote"),
    ] {
        let mut terminal = typed(value, remark);
        terminal.types("no\n");
        ended(&desk, terminal)
            .exits(7)
            .says("not approved: the answer was not 'yes'")
            .says_not("approved: not approved");
    }
    // The shell of the others would end with it.
    let mut command = desk.lab.command(&["set", J1]);
    command.env("TMPDIR", desk.lab.path("tmp"));
    let mut terminal = typed_on(
        Terminal::start(command),
        "canary-typed ",
        "ends with a space",
    );
    terminal.control('c');
    let run = desk.lab.ended(terminal).exits(130);
    run.says("Cancelled. Nothing was written.")
        .says_not("canary");
    assert_eq!(desk.sealed(), before);
    let mut terminal = typed("canary-typed ", "ends with a space");
    terminal.types("yes\n");
    let run = ended(&desk, terminal).exits(0);
    assert_eq!(run.stdout.matches("ends with a space").count(), 1);
    assert!(desk.text().contains("\"canary-typed \""));
}

#[test]
fn what_was_typed_before_the_question_is_no_value() {
    let desk = desk();
    let mut command = desk.lab.command(&["set", J1]);
    command.env("TMPDIR", desk.lab.path("tmp"));
    let mut terminal = Terminal::with_typed_ahead(&command, "typed-too-early");
    answer(&mut terminal, "New password", "canary-typed");
    answer(&mut terminal, "Repeat it: ", "canary-typed");
    desk.lab.ended(terminal).exits(0);
    assert!(desk.text().contains("password: \"canary-typed\""));
}

#[test]
fn a_placeholder_is_no_value() {
    let desk = desk();
    let before = desk.sealed();
    let mut terminal = on_terminal(&desk, &["set", J1]);
    answer(&mut terminal, "New password", "TODO");
    answer(&mut terminal, "Repeat it: ", "TODO");
    ended(&desk, terminal).exits(1).says("is a placeholder");
    assert_eq!(desk.sealed(), before);
}
