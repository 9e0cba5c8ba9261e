//! Questions on the terminal itself, whatever the standard streams are.
//!
//! Input typed before a question does not answer it, a signal ends the wait, and the
//! terminal is always restored. Control keys are refused: dropping them would change a
//! secret.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;

use age::secrecy::SecretString;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios};
use zeroize::Zeroizing;

use super::env::is_ignored;
use super::progress;
use crate::age_file::{Choice, NoPassphrase, Talk};
use crate::core::redact::ForeignText;
use crate::ops::OpError;
use crate::sys::signals::ENDING;
use crate::view::text::wrapped;

const MAX_BYTES: usize = 256 * 1024;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const ERASE_LINE: u8 = 0x15;
const ERASE_WORD: u8 = 0x17;
const DELETE: u8 = 0x7f;

/// A line, possibly empty, or why none was typed.
pub type TypedLine = Result<Zeroizing<String>, NoPassphrase>;

pub fn type_shown(question: &str) -> TypedLine {
    finish(progress::quietly(|| ask_shown(question)))
}

pub fn type_hidden(question: &str) -> TypedLine {
    finish(progress::quietly(|| ask_hidden(question)))
}

fn finish(asked: Result<TypedLine, Unanswered>) -> TypedLine {
    match asked {
        Ok(line) => line,
        Err(Unanswered::NoTerminal) => Err(NoPassphrase::Nobody),
        Err(Unanswered::Signal(signal)) => {
            if signal != Signal::SIGINT {
                // The terminal is restored, and the signal is unblocked. If it does not end
                // this process, a listener handles it.
                let _ = nix::sys::signal::raise(signal);
            }
            Err(NoPassphrase::Interrupted)
        }
    }
}

enum Unanswered {
    Signal(Signal),
    NoTerminal,
}

impl From<io::Error> for Unanswered {
    fn from(_: io::Error) -> Self {
        Self::NoTerminal
    }
}

fn open() -> io::Result<File> {
    let controlling = OpenOptions::new().read(true).write(true).open("/dev/tty");
    controlling.or_else(|error| {
        let stdin = io::stdin();
        match stdin.is_terminal() {
            true => Ok(stdin.as_fd().try_clone_to_owned()?.into()),
            false => Err(error),
        }
    })
}

/// Asks, after discarding what was typed before.
fn put(question: &str, terminal: &mut File) -> io::Result<()> {
    rustix::termios::tcflush(&*terminal, QueueSelector::IFlush)?;
    let columns = rustix::termios::tcgetwinsize(&*terminal).map_or(0, |size| size.ws_col.into());
    terminal.write_all(wrapped(question, columns).as_bytes())
}

fn ask_shown(question: &str) -> Result<TypedLine, Unanswered> {
    let mut terminal = open()?;
    let held = HeldSignals::new()?;
    put(question, &mut terminal)?;
    let mut line = Zeroizing::new(Vec::new());
    loop {
        match next_key(&mut terminal, &held) {
            Ok(None) if line.is_empty() => return Ok(Err(NoPassphrase::Declined)),
            Ok(None | Some(b'\n')) => return Ok(text(line)),
            Ok(Some(key)) if line.len() < MAX_BYTES => line.push(key),
            Ok(Some(_)) => {}
            Err(stop) => {
                // Later output starts on a new line, after the question and `^C`.
                let _ = terminal.write_all(b"\n");
                return Err(stop);
            }
        }
    }
}

fn ask_hidden(question: &str) -> Result<TypedLine, Unanswered> {
    let file = open()?;
    // Blocked before the terminal is changed, and unblocked after it is restored.
    let held = HeldSignals::new()?;
    let mut terminal = HiddenTerminal::new(file)?;
    put(question, &mut terminal.file)?;
    let typed = keys(&mut terminal.file, &held);
    let _ = terminal.file.write_all(b"\n");
    drop(terminal);
    drop(held);
    typed
}

/// Blocks the signals that would end this process, and reads them instead.
struct HeldSignals {
    arrived: SignalFd,
    before: SigSet,
}

impl HeldSignals {
    fn new() -> io::Result<Self> {
        let held: SigSet = ENDING
            .into_iter()
            .filter(|signal| !is_ignored(*signal))
            .collect();
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let arrived = SignalFd::with_flags(&held, flags)?;
        let before = SigSet::thread_get_mask()?;
        held.thread_block()?;
        Ok(Self { arrived, before })
    }

    fn next(&self) -> Option<Signal> {
        let arrived = self.arrived.read_signal().ok()??;
        Signal::try_from(i32::try_from(arrived.ssi_signo).ok()?).ok()
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask();
    }
}

struct HiddenTerminal {
    file: File,
    shown: Termios,
}

impl HiddenTerminal {
    fn new(file: File) -> io::Result<Self> {
        let shown = rustix::termios::tcgetattr(&file)?;
        let mut hidden = shown.clone();
        hidden
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        let hides = Self { file, shown };
        rustix::termios::tcsetattr(&hides.file, OptionalActions::Now, &hidden)?;
        Ok(hides)
    }
}

impl Drop for HiddenTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = rustix::termios::tcsetattr(&self.file, OptionalActions::Now, &self.shown);
    }
}

/// Returns the next byte, or `None` at the end. Reads no further, since another question
/// may follow.
fn next_key(terminal: &mut File, held: &HeldSignals) -> Result<Option<u8>, Unanswered> {
    loop {
        let mut ready = [
            PollFd::new(&held.arrived, PollFlags::IN),
            PollFd::new(terminal, PollFlags::IN),
        ];
        match rustix::event::poll(&mut ready, None) {
            Err(Errno::INTR) => continue,
            polled => polled.map_err(io::Error::from)?,
        };
        if let Some(signal) = held.next() {
            return Err(Unanswered::Signal(signal));
        }
        if ready[1].revents().is_empty() {
            continue;
        }
        let mut key = Zeroizing::new([0]);
        match terminal.read(&mut *key) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) => return Ok(None),
            read => {
                read?;
                return Ok(Some(key[0]));
            }
        }
    }
}

fn keys(terminal: &mut File, held: &HeldSignals) -> Result<TypedLine, Unanswered> {
    // Enough room, so that no copy is left where a growing buffer was.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    loop {
        // The line was not finished.
        let Some(key) = next_key(terminal, held)? else {
            return Ok(Err(NoPassphrase::Nobody));
        };
        match key {
            b'\n' | b'\r' => return Ok(text(line)),
            INTERRUPT => return Ok(Err(NoPassphrase::Interrupted)),
            END if line.is_empty() => return Ok(Err(NoPassphrase::Declined)),
            END => {}
            BACKSPACE | DELETE => erase(&mut line),
            ERASE_LINE => line.clear(),
            ERASE_WORD => {
                while line.pop_if(|byte| *byte == b' ').is_some() {}
                while line.pop_if(|byte| *byte != b' ').is_some() {}
            }
            key if line.len() < MAX_BYTES => line.push(key),
            _ => {}
        }
    }
}

fn erase(line: &mut Vec<u8>) {
    // The bytes of a character after its first.
    while line.pop_if(|byte| *byte & 0xc0 == 0x80).is_some() {}
    line.pop();
}

fn text(mut line: Zeroizing<Vec<u8>>) -> TypedLine {
    let is_text = str::from_utf8(&line).is_ok_and(|text| !text.contains(char::is_control));
    if !is_text || line.len() >= MAX_BYTES {
        return Err(NoPassphrase::Unclear);
    }
    let text = String::from_utf8(std::mem::take(&mut *line));
    text.map(Zeroizing::new).map_err(|_| NoPassphrase::Unclear)
}

pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

pub fn has_terminal() -> bool {
    open().is_ok()
}

pub fn ask_passphrase(origin: &str) -> Result<SecretString, NoPassphrase> {
    type_hidden(&format!("Passphrase for {origin}: ")).map(secret)
}

fn secret(mut line: Zeroizing<String>) -> SecretString {
    SecretString::from(std::mem::take(&mut *line))
}

/// Asks for `yes` in full; Ctrl-C shows `untouched`.
pub fn ask(question: &str, untouched: &'static str) -> Result<(), OpError> {
    if !can_ask() {
        return Err(OpError::not_approved(
            "cannot ask for approval without a terminal",
            "Nothing was sent or changed. If it is approved elsewhere, pass --auto-approve \
                   (apply) or --yes (other commands).",
        ));
    }
    confirm(question, untouched)
}

/// As [`ask`], even if the standard streams are not a terminal.
pub fn confirm(question: &str, untouched: &'static str) -> Result<(), OpError> {
    match type_shown(&format!("{question} Type 'yes' to continue: ")) {
        Ok(answer) if *answer == "yes" => Ok(()),
        Err(NoPassphrase::Interrupted) => Err(OpError::Cancelled(untouched)),
        _ => Err(OpError::not_approved(
            "the answer was not 'yes'",
            "Nothing was sent or changed.",
        )),
    }
}

/// Dialogue of plugins with the user, on the terminal, so that piped input is never taken
/// for an answer.
pub const TALK: Talk<'static> = Talk {
    tell: &plugin_message,
    choose: &plugin_chooses,
    ask: &|program, question| {
        type_shown(&format!("{program}: {question}: ")).map(|line| line.to_string())
    },
    ask_secret: &|program, question| type_hidden(&format!("{program}: {question}: ")).map(secret),
};

fn plugin_message(program: &str, text: &ForeignText) {
    // A closed stream does not stop the run.
    progress::write(&format!("{program}: {text}\n"));
}

fn plugin_chooses(program: &str, choice: &Choice<'_>) -> Result<bool, NoPassphrase> {
    let Choice {
        question,
        first,
        second,
    } = choice;
    let Some(second) = second else {
        let asked = format!("{program}: {question}\nPress Enter for {first}: ");
        return type_shown(&asked).map(|_| true);
    };
    let asked = format!("{program}: {question}\n  1: {first}\n  2: {second}\n1 or 2: ");
    for _ in 0..3 {
        match type_shown(&asked)?.as_str() {
            "1" => return Ok(true),
            "2" => return Ok(false),
            _ => {}
        }
    }
    Err(NoPassphrase::Declined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> Option<String> {
        let line = text(Zeroizing::new(bytes.to_vec()));
        line.ok().map(|text| text.to_string())
    }

    #[test]
    fn control_keys_and_invalid_utf8_are_refused() {
        assert_eq!(
            typed("canary é \"".as_bytes()).as_deref(),
            Some("canary é \"")
        );
        assert_eq!(typed(b"").as_deref(), Some(""));
        for unclear in [
            &b"a\tb"[..],
            b"\x1b[D",
            b"a\x00",
            b"\xe9",
            "\u{9b}".as_bytes(),
        ] {
            assert_eq!(typed(unclear), None, "{unclear:?}");
        }
        assert_eq!(typed(&vec![b'a'; MAX_BYTES]), None);
    }

    #[test]
    fn a_character_is_erased_whole() {
        let mut line = "aé€".as_bytes().to_vec();
        for left in ["aé", "a", "", ""] {
            erase(&mut line);
            assert_eq!(line, left.as_bytes());
        }
    }
}
