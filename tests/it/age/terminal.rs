//! A terminal of its own for one run. What is typed waits for the question. Typed text
//! is echoed as on any terminal, unless the program hides it.

use std::process::Command;

use rexpect::process::Signal;

use super::tool;
use crate::support::around::through;
use crate::support::terminal::Terminal;
use crate::support::{Lab, Run, wait_until};

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

/// Runs drspass on a terminal, with an answer for each question in turn.
#[track_caller]
pub(super) fn drspass(lab: &Lab, args: &[&str], answers: &[(&str, Typed)]) -> Run {
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
) -> Run {
    let mut command = tool(lab, program, args);
    change(&mut command);
    let script = "echo terminal $(tty); stty echo; exec \"$0\" \"$@\"";
    let mut terminal = Terminal::start(through("sh", &["-c", script], &command));
    let device = terminal.line("terminal ");
    for (question, typed) in answers {
        terminal.sees(question);
        match typed {
            Typed::Seen(text) => terminal.types(&format!("{text}\n")),
            Typed::Hidden(text) => {
                wait_until("the terminal to hide", || !echoes(&device));
                terminal.types(&format!("{text}\n"));
            }
            Typed::Interrupt => terminal.control('c'),
            Typed::Signal(signal) => {
                wait_until("the terminal to hide", || !echoes(&device));
                terminal.signal(*signal);
            }
        }
    }
    let shown = terminal.closes();
    assert!(echoes(&device), "the terminal still hides\n{shown}");
    lab.ended(terminal)
}

fn echoes(device: &str) -> bool {
    let output = Command::new("stty").args(["-a", "-F", device]).output();
    let said = output.expect("stty is installed").stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    said.split_whitespace().any(|word| word == "echo")
}
