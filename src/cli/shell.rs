//! The two streams. Standard output carries the result and nothing else;
//! everything around it goes to standard error. A closed stream never stops a
//! run: what is done matters more than who reads about it. Long lines are broken for a
//! terminal, and for nothing else: what is searched for in a log is on one line. Text for
//! people is cleaned here of what the runner of a pipeline would obey.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use miette::{Diagnostic, Severity};
use rustix::termios::Winsize;

use super::args::When;
use super::env::Env;
use crate::age_file::AgeError;
use crate::core::redact::for_log;
use crate::core::report::Event;
use crate::ops::OpError;
use crate::ops::error::with_causes;
use crate::view::json::v1::ErrorOut;
use crate::view::terminal::Colour;
use crate::view::wrap;

/// Longer lines are hard to read, however wide a terminal is.
const MAX_COLUMNS: usize = 100;

/// The lines of a terminal that doesn't tell, or of what is none.
const USUAL_ROWS: usize = 24;

/// How this run writes.
#[derive(Clone, Copy, Debug)]
pub struct Shell {
    /// Colour of the result.
    pub result: Colour,
    /// Colour of messages.
    pub messages: Colour,
    /// Lines that the terminal of the result shows at once.
    pub rows: usize,
    progress: bool,
    /// What the result is broken for, if it is known.
    result_columns: Option<usize>,
    /// What messages are broken for, if it is known.
    columns: Option<usize>,
}

impl Shell {
    pub fn new(when: When, env: &Env) -> Self {
        let colour = |is_terminal: bool| match when {
            When::Always => Colour::On,
            When::Never => Colour::Off,
            When::Auto if is_terminal && !env.no_color() && !env.is_dumb() => Colour::On,
            When::Auto => Colour::Off,
        };
        let out = rustix::termios::tcgetwinsize(io::stdout()).ok();
        let err = rustix::termios::tcgetwinsize(io::stderr()).ok();
        let columns = |size: Option<Winsize>| {
            let columns = usize::from(size?.ws_col);
            (columns > 0).then_some(columns.min(MAX_COLUMNS))
        };
        Self {
            result: colour(io::stdout().is_terminal()),
            messages: colour(io::stderr().is_terminal()),
            rows: match out {
                Some(size) if size.ws_row > 0 => size.ws_row.into(),
                _ => USUAL_ROWS,
            },
            progress: io::stderr().is_terminal() && !env.is_dumb(),
            result_columns: columns(out),
            columns: columns(err),
        }
    }

    /// Writes a result for people, as [`Shell::document`] does.
    pub fn result(self, text: &str) -> bool {
        self.document(&*fitted(text, self.result, self.result_columns))
    }

    /// Writes the result as it is: documents, and what pipelines read. Returns whether
    /// all of it arrived or nobody reads it; a full disk behind a redirection is a
    /// failure, a closed pipe is none.
    pub fn document(self, bytes: impl AsRef<[u8]>) -> bool {
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

    /// Writes a message for a person.
    pub fn message(self, text: &str) {
        write_message(&fitted(text, self.messages, self.columns));
    }

    /// Shows how far a run is, on a terminal only.
    pub fn progress(self, event: &Event) {
        match event {
            Event::WentBack { revision } => self.message(&format!(
                "note: recorded revision {revision} as the one applied last; nothing had to be sent for it\n"
            )),
            Event::Stopping(_) => self.message(
                "\nStopping: nothing new is sent; waiting up to 5 s for answers in flight.\n",
            ),
            Event::Answered { settled, entries } if self.progress => {
                let end = if settled == entries { "\n" } else { "" };
                write_message(&format!("\r{settled} of {entries} entries answered{end}"));
            }
            Event::Answered { .. } => {}
            Event::Watching { jobs, at_most } => self.message(&format!(
                "Retried jobs: {jobs}; watching them for at most {} s.\n",
                at_most.as_secs()
            )),
        }
    }
}

/// A text for people as it is written.
fn fitted(text: &str, colour: Colour, columns: Option<usize>) -> Cow<'_, str> {
    let clean = for_log(text, colour == Colour::On);
    match columns {
        Some(columns) => Cow::Owned(wrap::wrapped(&clean, columns)),
        None => clean,
    }
}

fn write_message(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// Standard error as the log writes to it: cleaned as all messages are.
pub struct Log;

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        write_message(&for_log(&String::from_utf8_lossy(line), false));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text of an error with its causes, what belongs to it, and the way out.
pub fn error_text(error: &dyn Diagnostic, colour: Colour) -> String {
    // At a passphrase as at any other question.
    if let Some(cause @ AgeError::Interrupted) = error.source().and_then(|e| e.downcast_ref()) {
        return format!("{cause}\n");
    }
    if error.severity() == Some(Severity::Advice) {
        return format!("{error}\n");
    }
    let mut text = String::new();
    let head = match colour {
        Colour::On => "\u{1b}[31merror\u{1b}[0m",
        Colour::Off => "error",
    };
    let _ = writeln!(text, "{head}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = writeln!(text, "  because: {error}");
        cause = error.source();
    }
    for related in error.related().into_iter().flatten() {
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

/// The same error for a JSON document.
pub fn error_out(error: &OpError) -> ErrorOut {
    ErrorOut {
        code: error
            .code()
            .map_or_else(String::new, |code| code.to_string()),
        message: with_causes(error),
        help: error.help().map(|help| help.to_string()),
    }
}

/// What belongs to an error, a line each: the problems of a document by their place.
pub fn details(error: &OpError) -> Vec<String> {
    let related = error.related().into_iter().flatten();
    related.map(ToString::to_string).collect()
}

/// Shows the place of a panic and nothing else, from now on.
pub fn hide_panic_messages() {
    std::panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let text = format!(
            "error: drspass failed in a way that is a bug, at {place}\n  \
             help: What was sent last may be unknown; 'drspass plan' tells. Report the place.\n"
        );
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }));
}
