//! Values that a person types, on a terminal of their own.

use std::fs;
use std::process::{Command, Stdio};

use rexpect::process::WaitStatus;
use rexpect::session::PtySession;

use super::Desk;
use crate::support::J1;

/// How long to wait for something that must come.
const PATIENCE_MS: u64 = 60_000;

fn desk() -> Desk {
    let document =
        format!("version: 1\njobs:\n  {J1}:\n    source: {{ password: 'canary-old' }}\n");
    Desk::new(&document, &["canary-old", "canary-typed", "canary-other"])
}

/// Starts `set` on a terminal that echoes what is typed, and tells afterwards whether
/// it still does.
fn on_terminal(desk: &Desk, args: &[&str]) -> PtySession {
    let inner = desk.lab.command(args);
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg("stty echo; echo shell $$; \"$0\" \"$@\"; code=$?; stty -a | grep -ow -e '-*echo'; exit $code")
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(desk.lab.dir.path())
        .env_clear()
        .envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("TMPDIR", desk.lab.path("tmp"))
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit());
    rexpect::session::spawn_command(command, Some(PATIENCE_MS)).unwrap()
}

/// The rest of what is shown, and the exit code.
#[track_caller]
fn ended(desk: &Desk, mut session: PtySession) -> (String, i32) {
    let shown = session.exp_eof().unwrap();
    let WaitStatus::Exited(_, code) = session.process().wait().unwrap() else {
        panic!("ended by a signal\n{shown}");
    };
    assert!(!shown.contains("canary"), "{shown}");
    let echo = shown.trim_end().lines().last().unwrap_or_default();
    assert_eq!(
        echo.trim(),
        "echo",
        "the terminal shows what is typed again\n{shown}"
    );
    desk.assert_clean();
    (shown, code)
}

/// Waits for a question and answers it. Nothing typed so far was shown.
#[track_caller]
fn answer(session: &mut PtySession, question: &str, line: &str) {
    let before = session.exp_string(question).unwrap();
    assert!(!before.contains("canary"), "{before}");
    session.send_line(line).unwrap();
}

#[test]
fn a_value_typed_twice_is_set_and_never_shown() {
    let desk = desk();
    let mut session = on_terminal(&desk, &["set", J1]);
    let question = format!("New password of {J1}/source: ");
    answer(&mut session, &question, "canary-typed $HOME \"é");
    answer(&mut session, "The same again: ", "canary-typed $HOME \"é");
    let (shown, code) = ended(&desk, session);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("password; revision 3"), "{shown}");
    assert!(
        desk.text()
            .contains("password: \"canary-typed $HOME \\\"é\" }")
    );
}

#[test]
fn two_values_that_differ_change_nothing() {
    let desk = desk();
    let before = desk.sealed();
    let mut session = on_terminal(&desk, &["set", J1]);
    answer(&mut session, "New password", "canary-typed");
    answer(&mut session, "The same again: ", "canary-other");
    let (shown, code) = ended(&desk, session);
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("the two values differ"), "{shown}");
    let mut session = on_terminal(&desk, &["set", J1]);
    answer(&mut session, "New password", "");
    let (shown, code) = ended(&desk, session);
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("no value was typed"), "{shown}");
    assert_eq!(desk.sealed(), before);
}

#[test]
fn ctrl_c_ends_it_and_gives_the_terminal_back() {
    let desk = desk();
    let before = desk.sealed();
    let mut session = on_terminal(&desk, &["set", J1]);
    answer(&mut session, "New password", "canary-typed");
    session.exp_string("The same again: ").unwrap();
    session.send_control('c').unwrap();
    let (shown, code) = ended(&desk, session);
    assert_eq!(code, 130, "{shown}");
    assert_eq!(desk.sealed(), before);
}

/// The process that the shell of a terminal waits for.
#[track_caller]
fn child_of(shell: &str) -> String {
    let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    children.trim().to_owned()
}

#[test]
fn a_signal_ends_it_and_gives_the_terminal_back() {
    let desk = desk();
    let before = desk.sealed();
    for (signal, expected) in [("INT", 130), ("TERM", 143), ("HUP", 129), ("QUIT", 131)] {
        let mut session = on_terminal(&desk, &["set", J1]);
        let (_, told) = session.exp_regex("shell [0-9]+\r\n").unwrap();
        let shell = told.trim().trim_start_matches("shell ").to_owned();
        answer(&mut session, "New password", "canary-typed");
        session.exp_string("The same again: ").unwrap();
        session.send("canary-ty").unwrap();
        session.flush().unwrap();
        let killed = Command::new("/bin/kill")
            .args([format!("-{signal}"), child_of(&shell)])
            .status();
        assert!(killed.unwrap().success());
        let (shown, code) = ended(&desk, session);
        assert_eq!(code, expected, "{signal}\n{shown}");
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
        let mut session = on_terminal(&desk, &["set", J1]);
        answer(&mut session, "New password", odd);
        let (shown, code) = ended(&desk, session);
        assert_eq!(code, 1, "{shown}");
        assert!(shown.contains("a key that is no character"), "{shown}");
    }
    assert_eq!(desk.sealed(), before);
    // What was taken back is no part of it.
    let mut session = on_terminal(&desk, &["set", J1]);
    for question in ["New password", "The same again: "] {
        answer(
            &mut session,
            question,
            "canary-x\t\u{15}canary-typedé\u{7f}\t\u{7f}",
        );
    }
    let (shown, code) = ended(&desk, session);
    assert_eq!(code, 0, "{shown}");
    assert!(desk.text().contains("\"canary-typed\""));
}

#[test]
fn a_manifest_that_somebody_else_wrote_meanwhile_is_not_overwritten() {
    let desk = desk();
    let mut session = on_terminal(&desk, &["set", J1]);
    answer(&mut session, "New password", "canary-typed");
    session.exp_string("The same again: ").unwrap();
    desk.fed(&["set", J1, "--from-file", "-"], b"canary-other")
        .exits(0);
    let theirs = desk.sealed();
    session.send_line("canary-typed").unwrap();
    let (shown, code) = ended(&desk, session);
    assert_eq!(code, 1, "{shown}");
    assert!(
        shown.contains("changed by somebody else meanwhile"),
        "{shown}"
    );
    assert_eq!(desk.sealed(), theirs);
}

#[test]
fn without_a_terminal_nobody_is_asked_and_nothing_is_read() {
    let desk = desk();
    let before = desk.sealed();
    // In a session of its own it has no terminal, whatever the test has.
    let inner = desk.lab.command(&["set", J1]);
    let mut command = Command::new("/usr/bin/setsid");
    command
        .arg("--wait")
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(desk.lab.dir.path())
        .env_clear()
        .envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    let typed = desk.file("typed", "canary-typed\ncanary-typed\n");
    command.stdin(fs::File::open(typed).unwrap());
    let run = desk.lab.run_command(command).exits(7);
    let run = run
        .says("no terminal")
        .says("--from-file")
        .says("--generate");
    assert_eq!(run.stdout, "");
    assert_eq!(desk.sealed(), before);
}
