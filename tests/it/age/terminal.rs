//! A terminal of its own for one run: `rexpect` makes it, and what is typed waits for
//! the question. Typed text is echoed as on any terminal, unless the program hides it.

use std::process::{Command, Stdio};

use rexpect::process::{Signal, WaitStatus};
use rexpect::session::{PtySession, spawn_command};

use super::tool;
use crate::support::{Lab, wait_until};

/// What the person does at one question.
pub(super) enum Typed {
    /// Answers in sight.
    Seen(&'static str),
    /// Answers once the terminal hides what is typed.
    Hidden(&'static str),
    /// Presses Ctrl-C.
    Interrupt,
    /// Sends the program a signal once the terminal hides what is typed.
    Signal(Signal),
}

/// What a run on a terminal came to.
pub(super) struct OnTerminal {
    /// The exit code; none if a signal ended it.
    pub(super) code: Option<i32>,
    /// Everything that stood on the screen.
    pub(super) screen: String,
}

impl OnTerminal {
    #[track_caller]
    pub(super) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n{}", self.screen);
        self
    }

    #[track_caller]
    pub(super) fn says(self, text: &str) -> Self {
        let screen: Vec<&str> = self.screen.split_whitespace().collect();
        assert!(screen.join(" ").contains(text), "{text}\n{}", self.screen);
        self
    }

    #[track_caller]
    pub(super) fn says_not(self, text: &str) -> Self {
        assert!(!self.screen.contains(text), "\n{}", self.screen);
        self
    }
}

/// Runs drspass on a terminal, with an answer for each question in turn.
#[track_caller]
pub(super) fn drspass(lab: &Lab, args: &[&str], answers: &[(&str, Typed)]) -> OnTerminal {
    run(lab, env!("CARGO_BIN_EXE_drspass"), args, answers, |_| {})
}

/// Runs any program on a terminal.
#[track_caller]
pub(super) fn run(
    lab: &Lab,
    program: &str,
    args: &[&str],
    answers: &[(&str, Typed)],
    change: impl FnOnce(&mut Command),
) -> OnTerminal {
    let mut command = tool(lab, "sh", &["-c", "tty; stty echo; exec \"$0\" \"$@\""]);
    command.arg(program).args(args).stdin(Stdio::inherit());
    change(&mut command);
    let mut session = spawn_command(command, Some(60_000)).expect("a terminal");
    let (_, device) = session.exp_regex("/dev/[a-z]+/[0-9]+").expect("its name");
    let mut screen = String::new();
    for (question, typed) in answers {
        let before = session.exp_string(question);
        screen.push_str(&before.unwrap_or_else(|error| panic!("{question}: {error}\n{screen}")));
        screen.push_str(question);
        match typed {
            Typed::Seen(text) => {
                session.send_line(text).expect("typed");
            }
            Typed::Hidden(text) => {
                wait_until("the terminal to hide", || !echoes(&device));
                session.send_line(text).expect("typed");
            }
            Typed::Interrupt => session.send_control('c').expect("typed"),
            Typed::Signal(signal) => {
                wait_until("the terminal to hide", || !echoes(&device));
                session.process_mut().signal(*signal).expect("it runs");
            }
        }
    }
    screen.push_str(&session.exp_eof().expect("its end"));
    assert!(echoes(&device), "the terminal still hides\n{screen}");
    lab.assert_files_clean();
    OnTerminal {
        code: code(&session),
        screen,
    }
}

fn echoes(device: &str) -> bool {
    let output = Command::new("stty").args(["-a", "-F", device]).output();
    let said = output.expect("stty is installed").stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    said.split_whitespace().any(|word| word == "echo")
}

fn code(session: &PtySession) -> Option<i32> {
    match session.process().wait().expect("it ends") {
        WaitStatus::Exited(_, code) => Some(code),
        _ => None,
    }
}
