//! The two streams. Standard output carries the result and nothing else;
//! everything around it goes to standard error. A closed stream never stops a
//! run: what is done matters more than who reads about it. Long messages are broken for a
//! terminal, and for nothing else: what is searched for in a log stands on one line.

use std::io::{self, IsTerminal as _, Write as _};

use super::args::When;
use super::env::Env;
use crate::core::report::Event;
use crate::view::terminal::Colour;
use crate::view::wrap;

/// Longer lines are hard to read, however wide a terminal is.
const MAX_COLUMNS: usize = 100;

/// How this run writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shell {
    /// Colour of the result.
    pub(super) result: Colour,
    /// Colour of messages.
    pub(super) messages: Colour,
    progress: bool,
    /// What messages are broken for, if it is known.
    columns: Option<usize>,
}

impl Shell {
    pub(super) fn new(when: When, env: &Env) -> Self {
        let colour = |is_terminal: bool| match when {
            When::Always => Colour::On,
            When::Never => Colour::Off,
            When::Auto if is_terminal && !env.no_color() => Colour::On,
            When::Auto => Colour::Off,
        };
        Self {
            result: colour(io::stdout().is_terminal()),
            messages: colour(io::stderr().is_terminal()),
            progress: io::stderr().is_terminal(),
            columns: columns(),
        }
    }

    /// Writes the result. Returns whether all of it arrived or nobody reads it;
    /// a full disk behind a redirection is a failure, a closed pipe is none.
    pub(super) fn result(self, text: &str) -> bool {
        self.result_bytes(text.as_bytes())
    }

    /// As [`Shell::result`], for bytes.
    pub(super) fn result_bytes(self, bytes: &[u8]) -> bool {
        let mut out = io::stdout().lock();
        let written = out.write_all(bytes).and_then(|()| out.flush());
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
    pub(super) fn message(self, text: &str) {
        let wrapped = self.columns.map(|columns| wrap::wrapped(text, columns));
        let text = wrapped.as_deref().unwrap_or(text);
        let mut err = io::stderr().lock();
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }

    /// Shows how far a run is, on a terminal only.
    pub(super) fn progress(self, event: &Event) {
        match event {
            Event::Stopping(_) => self.message(
                "\nStopping: nothing new is sent; waiting up to 5 s for answers in flight.\n",
            ),
            Event::Answered { settled, entries } if self.progress => {
                let end = if settled == entries { "\n" } else { "" };
                self.message(&format!("\r{settled} of {entries} entries answered{end}"));
            }
            Event::Answered { .. } => {}
            Event::Watching { jobs, at_most } => self.message(&format!(
                "Retried jobs: {jobs}; watching them for at most {} s.\n",
                at_most.as_secs()
            )),
        }
    }
}

/// The columns of the terminal that messages go to; nothing for what is no terminal, or
/// one that does not tell.
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col).min(MAX_COLUMNS))
}
