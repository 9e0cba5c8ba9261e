//! Questions on the terminal itself, whatever the standard streams are.
//!
//! Nothing typed before a question answers it, a signal ends the wait, and the terminal is
//! restored on every way out. Keys that are not characters are refused: leaving them out
//! would change a secret.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;

use age::secrecy::SecretString;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios};
use zeroize::Zeroizing;

use super::env::is_ignored;
use crate::age_file::{Choice, NoPassphrase, Talk};
use crate::core::redact::ForeignText;
use crate::ops::OpError;
use crate::sys::signals::ENDING;

const MAX_BYTES: usize = 256 * 1024;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const ERASE_LINE: u8 = 0x15;
const ERASE_WORD: u8 = 0x17;
const DELETE: u8 = 0x7f;

pub enum Typed {
    /// May be empty.
    Text(Zeroizing<String>),
    /// Not text, or with a key that is not a character.
    Unclear,
    /// Ctrl-C, or a signal.
    Interrupted,
    /// Ctrl-D instead of a line.
    Declined,
    /// There is no terminal, or it was closed.
    Nothing,
}

impl Typed {
    pub fn passphrase(self) -> Result<SecretString, NoPassphrase> {
        self.line()
            .map(|mut text| SecretString::from(std::mem::take(&mut *text)))
    }

    pub fn line(self) -> Result<Zeroizing<String>, NoPassphrase> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Interrupted => Err(NoPassphrase::Interrupted),
            Self::Unclear => Err(NoPassphrase::Unclear),
            Self::Declined => Err(NoPassphrase::Declined),
            Self::Nothing => Err(NoPassphrase::Nobody),
        }
    }
}

fn hidden(question: &str, is_ignored: fn(Signal) -> bool) -> Typed {
    told(ask_hidden(question, is_ignored))
}

fn shown(question: &str, is_ignored: fn(Signal) -> bool) -> Typed {
    told(ask_shown(question, is_ignored))
}

fn told(answer: Result<Typed, NoLine>) -> Typed {
    let ended_by = match answer {
        Ok(typed) => return typed,
        Err(NoLine::Signal(signal)) => signal,
        Err(NoLine::NoTerminal) => return Typed::Nothing,
    };
    if ended_by == Signal::SIGINT {
        return Typed::Interrupted;
    }
    // The terminal is as it was, and the signal is not held back any more. If it does not
    // end this process, somebody listens for it, and wants no answer either.
    let _ = nix::sys::signal::raise(ended_by);
    Typed::Interrupted
}

enum NoLine {
    Signal(Signal),
    NoTerminal,
}

impl From<std::io::Error> for NoLine {
    fn from(_: std::io::Error) -> Self {
        Self::NoTerminal
    }
}

impl From<Errno> for NoLine {
    fn from(_: Errno) -> Self {
        Self::NoTerminal
    }
}

impl From<nix::errno::Errno> for NoLine {
    fn from(_: nix::errno::Errno) -> Self {
        Self::NoTerminal
    }
}

fn open() -> std::io::Result<File> {
    let controlling = OpenOptions::new().read(true).write(true).open("/dev/tty");
    controlling.or_else(|error| {
        let stdin = std::io::stdin();
        match stdin.is_terminal() {
            true => Ok(stdin.as_fd().try_clone_to_owned()?.into()),
            false => Err(error),
        }
    })
}

/// Asks, after throwing away what was typed before.
fn put(question: &str, terminal: &mut File) -> Result<(), NoLine> {
    rustix::termios::tcflush(&*terminal, QueueSelector::IFlush)?;
    Ok(terminal.write_all(question.as_bytes())?)
}

/// Lets the terminal edit the line.
fn ask_shown(question: &str, is_ignored: fn(Signal) -> bool) -> Result<Typed, NoLine> {
    let mut terminal = open()?;
    let held = HeldSignals::new(is_ignored)?;
    put(question, &mut terminal)?;
    let mut line = Zeroizing::new(Vec::new());
    loop {
        match next_key(&mut terminal, &held) {
            Ok(None) if line.is_empty() => return Ok(Typed::Declined),
            Ok(None | Some(b'\n')) => return Ok(text(line)),
            Ok(Some(key)) if line.len() < MAX_BYTES => line.push(key),
            Ok(Some(_)) => {}
            Err(stop) => {
                // What comes next does not stand behind the question and `^C`.
                let _ = terminal.write_all(b"\n");
                return Err(stop);
            }
        }
    }
}

fn ask_hidden(question: &str, is_ignored: fn(Signal) -> bool) -> Result<Typed, NoLine> {
    let file = open()?;
    // HeldSignals before the terminal is changed, and let go after it is as it was.
    let held = HeldSignals::new(is_ignored)?;
    let mut terminal = HiddenTerminal::new(file)?;
    put(question, &mut terminal.file)?;
    let typed = keys(&mut terminal.file, &held);
    let _ = terminal.file.write_all(b"\n");
    drop(terminal);
    drop(held);
    typed
}

/// Blocks the signals that would end this process, until they are asked for.
struct HeldSignals {
    arrived: SignalFd,
    before: SigSet,
}

impl HeldSignals {
    fn new(is_ignored: fn(Signal) -> bool) -> Result<Self, nix::errno::Errno> {
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

/// A terminal that echoes nothing and sends no signals for keys.
struct HiddenTerminal {
    file: File,
    shown: Termios,
}

impl HiddenTerminal {
    fn new(file: File) -> Result<Self, Errno> {
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

/// The next byte, none at the end. Reads no further, since another question may follow.
fn next_key(terminal: &mut File, held: &HeldSignals) -> Result<Option<u8>, NoLine> {
    loop {
        let mut ready = [
            PollFd::new(&held.arrived, PollFlags::IN),
            PollFd::new(terminal, PollFlags::IN),
        ];
        match rustix::event::poll(&mut ready, None) {
            Err(Errno::INTR) => continue,
            polled => polled?,
        };
        if let Some(signal) = held.next() {
            return Err(NoLine::Signal(signal));
        }
        if ready[1].revents().is_empty() {
            continue;
        }
        let mut key = Zeroizing::new([0]);
        match terminal.read(&mut *key) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(0) => return Ok(None),
            read => {
                read?;
                return Ok(Some(key[0]));
            }
        }
    }
}

fn keys(terminal: &mut File, held: &HeldSignals) -> Result<Typed, NoLine> {
    // Enough room, so that no copy is left where a growing buffer was.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    loop {
        // What was typed so far was not ended.
        let Some(key) = next_key(terminal, held)? else {
            return Ok(Typed::Nothing);
        };
        match key {
            b'\n' | b'\r' => return Ok(text(line)),
            INTERRUPT => return Ok(Typed::Interrupted),
            END if line.is_empty() => return Ok(Typed::Declined),
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

/// Removes the last character of UTF-8.
fn erase(line: &mut Vec<u8>) {
    while line.pop_if(|byte| is_continuation(*byte)).is_some() {}
    line.pop();
}

const fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

fn text(mut line: Zeroizing<Vec<u8>>) -> Typed {
    let is_whole = line.len() < MAX_BYTES;
    match String::from_utf8(std::mem::take(&mut *line)) {
        Ok(text) if is_whole && !text.contains(char::is_control) => {
            Typed::Text(Zeroizing::new(text))
        }
        Ok(text) => {
            drop(Zeroizing::new(text));
            Typed::Unclear
        }
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Typed::Unclear
        }
    }
}

pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

pub fn has_terminal() -> bool {
    open().is_ok()
}

pub fn type_shown(question: &str) -> Typed {
    shown(question, is_ignored)
}

/// Asks without showing what is typed.
pub fn type_hidden(question: &str) -> Typed {
    hidden(question, is_ignored)
}

pub fn ask_passphrase(origin: &str) -> Result<SecretString, NoPassphrase> {
    type_hidden(&format!("Passphrase for {origin}: ")).passphrase()
}

const YES: &str = "yes";

/// Asks for `yes` in full; `untouched` answers Ctrl-C.
pub fn ask(question: &str, untouched: &'static str) -> Result<(), OpError> {
    if !can_ask() {
        return Err(OpError::NotApproved {
            why: "there is no terminal to ask on",
            help: "Nothing was sent or changed. Approval that was given elsewhere is passed on with \
                   --auto-approve (apply) or --yes.",
        });
    }
    confirm(question, untouched)
}

/// As [`ask`], also where the standard streams are not a terminal.
pub fn confirm(question: &str, untouched: &'static str) -> Result<(), OpError> {
    match type_shown(&format!("{question} Type 'yes' to continue: ")) {
        Typed::Text(answer) if *answer == YES => Ok(()),
        Typed::Interrupted => Err(OpError::Cancelled(untouched)),
        _ => Err(OpError::NotApproved {
            why: "it was declined",
            help: "Nothing was sent or changed.",
        }),
    }
}

/// How plugins talk to the user: questions are answered on the terminal, so that piped
/// input is never taken for an answer.
pub const TALK: Talk<'static> = Talk {
    tell: &plugin_tells,
    choose: &plugin_chooses,
    ask: &plugin_asks,
    ask_secret: &plugin_asks_secret,
};

fn plugin_tells(program: &str, text: &ForeignText) {
    // Nobody listening is no reason to stop.
    let _ = std::io::stderr()
        .lock()
        .write_all(format!("{program}: {text}\n").as_bytes());
}

fn plugin_chooses(program: &str, choice: &Choice<'_>) -> Result<bool, NoPassphrase> {
    let Choice {
        question,
        first,
        second,
    } = choice;
    let Some(second) = second else {
        let asked = format!("{program}: {question}\nPress Enter for {first}: ");
        return type_shown(&asked).line().map(|_| true);
    };
    let asked = format!("{program}: {question}\n  1: {first}\n  2: {second}\n1 or 2: ");
    for _ in 0..3 {
        match type_shown(&asked).line()?.as_str() {
            "1" => return Ok(true),
            "2" => return Ok(false),
            _ => {}
        }
    }
    Err(NoPassphrase::Declined)
}

fn plugin_asks(program: &str, question: &ForeignText) -> Result<String, NoPassphrase> {
    let line = type_shown(&format!("{program}: {question}: ")).line();
    line.map(|text| text.to_string())
}

fn plugin_asks_secret(program: &str, question: &ForeignText) -> Result<SecretString, NoPassphrase> {
    type_hidden(&format!("{program}: {question}: ")).passphrase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> Option<String> {
        match text(Zeroizing::new(bytes.to_vec())) {
            Typed::Text(text) => Some(text.to_string()),
            _ => None,
        }
    }

    #[test]
    fn what_is_no_text_is_not_taken_for_one() {
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
