//! A program on a terminal of its own. What is typed waits for what it answers, and
//! nothing depends on the pieces in which text arrives.

use std::process::{Command, Stdio};

use rexpect::process::{Signal, WaitStatus};
use rexpect::session::{PtySession, spawn_command};
use tempfile::TempDir;

use super::around::through;
use super::{PATIENCE, Run, make_pipe};

/// The end of every question that takes nothing but a whole word.
pub(crate) const APPROVAL: &str = "Type 'yes' to continue: ";

/// A running program with its terminal.
pub(crate) struct Terminal {
    session: PtySession,
    /// What was shown so far.
    shown: String,
}

impl Terminal {
    /// Starts a command; the terminal takes the place of all three streams.
    pub(crate) fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::inherit())
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit());
        let patience = u64::try_from(PATIENCE.as_millis()).expect("a short time");
        Self {
            session: spawn_command(command, Some(patience)).expect("a terminal"),
            shown: String::new(),
        }
    }

    /// Starts a command for which a line was typed before it asks anything.
    #[track_caller]
    pub(crate) fn with_typed_ahead(command: &Command, line: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let pipe = folder.path().join("go");
        make_pipe(&pipe);
        let script = "stty echo; echo ready; read go < \"$GO\"; exec \"$0\" \"$@\"";
        let mut command = through("/bin/sh", &["-c", script], command);
        command.env("GO", &pipe);
        let mut terminal = Self::start(command);
        terminal.sees("ready");
        terminal.types(&format!("{line}\n"));
        // The terminal has it, and the command is not there yet.
        terminal.sees(line);
        std::fs::write(pipe, "go\n").expect("somebody reads it");
        terminal
    }

    /// Waits until this is shown. Returns what was shown before it.
    #[track_caller]
    pub(crate) fn sees(&mut self, text: &str) -> String {
        match self.session.exp_string(text) {
            Ok(before) => {
                self.shown.push_str(&before);
                self.shown.push_str(text);
                before
            }
            Err(error) => panic!("{text:?} was not shown after\n{}\n{error}", self.shown),
        }
    }

    /// Waits for a line with this in it. Returns what follows it there.
    #[track_caller]
    pub(crate) fn line(&mut self, start: &str) -> String {
        self.sees(start);
        self.sees("\r\n")
    }

    /// Types keys.
    pub(crate) fn types(&mut self, keys: &str) {
        self.session.send(keys).expect("a terminal");
        self.session.flush().expect("a terminal");
    }

    /// Types Ctrl with a letter.
    pub(crate) fn control(&mut self, letter: char) {
        self.session.send_control(letter).expect("a terminal");
    }

    /// Sends a signal to the program, and to it alone.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.session.process_mut().signal(signal).expect("it runs");
    }

    /// Waits for the end. Returns what was shown since something was last waited for.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> String {
        let (rest, run) = self.rest();
        run.exits(code);
        rest
    }

    /// Waits for the end. All that was shown counts as standard output.
    #[track_caller]
    pub(super) fn ended(self) -> Run {
        self.rest().1
    }

    /// Waits until the program has ended, while the terminal is still there. Returns all
    /// that was shown.
    #[track_caller]
    pub(crate) fn closes(&mut self) -> &str {
        let rest = self.rest_of_it();
        self.shown.push_str(&rest);
        &self.shown
    }

    #[track_caller]
    fn rest_of_it(&mut self) -> String {
        match self.session.exp_eof() {
            Ok(rest) => rest,
            Err(error) => panic!("no end after\n{}\n{error}", self.shown),
        }
    }

    #[track_caller]
    fn rest(mut self) -> (String, Run) {
        let rest = self.rest_of_it();
        let code = match self.session.process().wait().expect("it ended") {
            WaitStatus::Exited(_, code) => Some(code),
            _ => None,
        };
        let run = Run {
            code,
            stdout: self.shown + &rest,
            stderr: String::new(),
        };
        (rest, run)
    }
}
