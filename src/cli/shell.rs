//! The two streams: the result goes to standard output, everything else to standard error.
//!
//! A closed stream never stops a run. Lines are wrapped only on a terminal, so that logs can
//! be searched; commands that a CI runner would obey are removed from texts.

use std::borrow::Cow;
use std::error::Error as _;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use clap::Command;
use miette::{Diagnostic, Severity};
use rustix::termios::Winsize;

use super::args::{ColorWhen, GlobalOptions};
use super::env::Env;
use super::progress;
use super::proposed::Proposed;
use crate::age_file::AgeError;
use crate::core::problem::Problem;
use crate::core::redact::for_log;
use crate::ops::OpError;
use crate::ops::apply::ApplyEvent;
use crate::ops::error::with_causes;
use crate::view::json_v1::ErrorOut;
use crate::view::text;
use crate::view::text::Colour;

const MAX_COLUMNS: usize = 100;

/// For a terminal of unknown size.
const USUAL_ROWS: usize = 24;
const USUAL_COLUMNS: usize = 80;

#[derive(Clone, Debug)]
pub struct Shell {
    pub result: Colour,
    pub messages: Colour,
    pub rows: usize,
    /// Whether problems are drawn with their lines.
    draws: bool,
    result_columns: Option<usize>,
    columns: Option<usize>,
    pub proposed: Proposed,
}

impl Shell {
    /// `command` is the program, whose commands texts may propose.
    pub fn new(options: &GlobalOptions, env: &Env, command: &Command) -> Self {
        let colour = |is_terminal: bool| match options.color {
            ColorWhen::Always => Colour::On,
            ColorWhen::Never => Colour::Off,
            ColorWhen::Auto if !is_terminal || env.is_dumb() => Colour::Off,
            ColorWhen::Auto if env.var("NO_COLOR").is_some() => Colour::Off,
            ColorWhen::Auto => Colour::On,
        };
        let out = rustix::termios::tcgetwinsize(io::stdout()).ok();
        let err = rustix::termios::tcgetwinsize(io::stderr()).ok();
        let columns = |size: Option<Winsize>| {
            let columns = usize::from(size?.ws_col);
            (columns > 0).then_some(columns.min(MAX_COLUMNS))
        };
        let is_screen = io::stderr().is_terminal() && !env.is_dumb();
        Self {
            result: colour(io::stdout().is_terminal()),
            messages: colour(io::stderr().is_terminal()),
            rows: match out {
                Some(size) if size.ws_row > 0 => size.ws_row.into(),
                _ => USUAL_ROWS,
            },
            draws: is_screen && env.var("CI").is_none(),
            result_columns: columns(out),
            columns: columns(err),
            proposed: Proposed::new(options, env, command),
        }
    }

    /// Writes a result for people, and returns as [`Shell::document`].
    pub fn result(&self, text: &str) -> bool {
        self.document(&*self.fitted(text, self.result, self.result_columns))
    }

    /// Writes the result as it is. Returns whether it was written or its reader left: a full
    /// disk is a failure, a closed pipe is not.
    pub fn document(&self, bytes: impl AsRef<[u8]>) -> bool {
        progress::end();
        let mut out = io::stdout().lock();
        let written = out.write_all(bytes.as_ref()).and_then(|()| out.flush());
        match written {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => true,
            Err(error) => {
                self.message(&format!("error: cannot write the result: {error}\n"));
                false
            }
        }
    }

    pub fn message(&self, text: &str) {
        progress::write(&self.fitted(text, self.messages, self.columns));
    }

    pub fn error(&self, error: &OpError) {
        self.message(&error_text(error, self));
    }

    pub fn problems(&self, document: &str, problems: &[Problem]) {
        for problem in problems {
            let text = || text::problem(document, problem);
            self.message(&self.drawn(problem).unwrap_or_else(text));
        }
    }

    fn drawn(&self, problem: &Problem) -> Option<String> {
        let columns = self.columns.unwrap_or(USUAL_COLUMNS);
        self.draws
            .then(|| text::drawn(problem, self.messages, columns))?
    }

    pub fn progress(&self, event: &ApplyEvent) {
        let text = match event {
            ApplyEvent::WentBack { revision } => format!(
                "note: recorded revision {revision} as the last one applied; nothing had to be sent\n"
            ),
            ApplyEvent::WroteState { serial } => {
                format!("note: wrote the state, serial {serial}\n")
            }
            ApplyEvent::WaitingFor { holder, at_most } => format!(
                "waiting at most {}: the state is held by {holder}\n",
                text::duration(*at_most)
            ),
            ApplyEvent::TookOver(holder) => {
                format!("note: took over from a lost run; what it sent is unknown: {holder}\n")
            }
            ApplyEvent::Stopping => {
                let text = "\nStopping: nothing more is sent; waiting up to 5s for the answers to requests in flight.\n";
                let text = self.fitted(text, self.messages, self.columns);
                return progress::write_aside(text.into_owned());
            }
            ApplyEvent::Retrying {
                jobs,
                is_over,
                in_rounds,
                at_most,
            } => {
                let order = match in_rounds {
                    true => ", one of each shared credential first",
                    false => "",
                };
                let (jobs, time) = (text::jobs_named(jobs), text::duration(*at_most));
                match is_over {
                    true => format!("Watching {jobs} of an earlier run for at most {time}.\n"),
                    false => format!("Retrying {jobs}{order}; watching for at most {time}.\n"),
                }
            }
        };
        self.message(&text);
    }

    fn fitted<'t>(&self, text: &'t str, colour: Colour, columns: Option<usize>) -> Cow<'t, str> {
        let clean = for_log(text, colour == Colour::On);
        self.proposed.complete(clean, |text| match columns {
            Some(columns) => Cow::Owned(text::wrapped(&text, columns)),
            None => text,
        })
    }
}

pub struct Log;

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        progress::write(&for_log(&String::from_utf8_lossy(line), false));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn error_text(error: &OpError, shell: &Shell) -> String {
    // The same at a passphrase as at any other question.
    if let Some(cause @ AgeError::Interrupted) = error.source().and_then(|e| e.downcast_ref()) {
        return format!("{cause}\n");
    }
    if error.severity() == Some(Severity::Advice) {
        return format!("{error}\n");
    }
    let mut text = String::new();
    let head = match shell.messages {
        Colour::On => "\u{1b}[31merror\u{1b}[0m",
        Colour::Off => "error",
    };
    let _ = writeln!(text, "{head}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = writeln!(text, "  because: {error}");
        cause = error.source();
    }
    let mut problems = match error {
        OpError::Document { problems, .. } => problems.iter(),
        _ => [].iter(),
    };
    for related in error.related().into_iter().flatten() {
        if let Some(drawing) = problems.next().and_then(|problem| shell.drawn(problem)) {
            text.push_str(&drawing);
            continue;
        }
        let word = match related.severity() {
            Some(Severity::Warning | Severity::Advice) => "warning",
            Some(Severity::Error) | None => "error",
        };
        let _ = writeln!(text, "  {word}: {related}");
        if let Some(help) = related.help() {
            let _ = writeln!(text, "      {help}");
        }
    }
    if let Some(help) = error.help() {
        let _ = writeln!(text, "  help: {help}");
    }
    if let Some(code) = error.code() {
        let _ = writeln!(text, "  code: {code}");
    }
    text
}

pub fn error_out(error: &OpError) -> ErrorOut {
    ErrorOut {
        code: error
            .code()
            .map_or_else(String::new, |code| code.to_string()),
        message: with_causes(error),
        help: error.help().map(|help| help.to_string()),
    }
}

pub fn details(error: &OpError) -> Vec<String> {
    let related = error.related().into_iter().flatten();
    related.map(ToString::to_string).collect()
}

/// Shows only the location of a panic: its message may contain a secret.
pub fn hide_panic_messages() {
    std::panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map_or_else(|| "an unknown location".to_owned(), ToString::to_string);
        let text = format!(
            "error: internal error at {place}; this is a bug in drspass\n  \
             help: Some entries may have been sent. Run 'drspass plan' to see their state, and report the location.\n"
        );
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }));
}
