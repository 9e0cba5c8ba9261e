//! A line that is typed on the terminal itself, shown or not.
//!
//! It owns that nothing typed before a question answers it, that a signal ends the wait,
//! whoever else listens for it, and that the terminal is put back as it was on every way
//! out: a key, the end of the terminal, or a signal that ends this process. It refuses to guess at keys that are no characters:
//! what would be left out of a secret is told.

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

/// Longer lines than this have no use, and are told from shorter ones.
const MAX_BYTES: usize = 256 * 1024;

/// The keys that a line editor knows.
const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const ERASE_LINE: u8 = 0x15;
const ERASE_WORD: u8 = 0x17;
const DELETE: u8 = 0x7f;

/// What came of asking for a line.
pub enum Typed {
    /// A line, which may be empty.
    Text(Zeroizing<String>),
    /// Something with a key that is no character, or bytes that are no text.
    Unclear,
    /// Ctrl-C, or a signal.
    Interrupted,
    /// Ctrl-D in place of a line.
    Declined,
    /// There is no terminal, or it was closed.
    Nothing,
}

impl Typed {
    /// What was typed, as a passphrase.
    /// Fails with why it is none.
    pub fn passphrase(self) -> Result<SecretString, NoPassphrase> {
        self.line()
            .map(|mut text| SecretString::from(std::mem::take(&mut *text)))
    }

    /// What was typed.
    /// Fails with why it is no line.
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

/// Asks for a line that is not shown, on the terminal itself, whatever the standard
/// streams are. `is_ignored` tells which signals are not to end this process.
fn hidden(question: &str, is_ignored: fn(Signal) -> bool) -> Typed {
    told(ask_hidden(question, is_ignored))
}

/// The same for a line that the terminal shows and lets edit.
fn shown(question: &str, is_ignored: fn(Signal) -> bool) -> Typed {
    told(ask_shown(question, is_ignored))
}

fn told(answer: Result<Typed, Stop>) -> Typed {
    let ended_by = match answer {
        Ok(typed) => return typed,
        Err(Stop::Signal(signal)) => signal,
        Err(Stop::NoTerminal) => return Typed::Nothing,
    };
    if ended_by == Signal::SIGINT {
        return Typed::Interrupted;
    }
    // The terminal is as it was, and the signal is not held back any more. If it does not
    // end this process, somebody listens for it, and wants no answer either.
    let _ = nix::sys::signal::raise(ended_by);
    Typed::Interrupted
}

/// Why there is no line.
enum Stop {
    Signal(Signal),
    NoTerminal,
}

impl From<std::io::Error> for Stop {
    fn from(_: std::io::Error) -> Self {
        Self::NoTerminal
    }
}

impl From<Errno> for Stop {
    fn from(_: Errno) -> Self {
        Self::NoTerminal
    }
}

impl From<nix::errno::Errno> for Stop {
    fn from(_: nix::errno::Errno) -> Self {
        Self::NoTerminal
    }
}

/// The terminal on which a person can type, whatever the standard streams are.
/// Fails if this process has none.
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

/// Asks, after whatever was typed without having seen the question is gone.
fn put(question: &str, terminal: &mut File) -> Result<(), Stop> {
    rustix::termios::tcflush(&*terminal, QueueSelector::IFlush)?;
    Ok(terminal.write_all(question.as_bytes())?)
}

/// The terminal edits the line, and gives it out when it is whole.
fn ask_shown(question: &str, is_ignored: fn(Signal) -> bool) -> Result<Typed, Stop> {
    let mut terminal = open()?;
    let held = Held::new(is_ignored)?;
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

fn ask_hidden(question: &str, is_ignored: fn(Signal) -> bool) -> Result<Typed, Stop> {
    let file = open()?;
    // Held before the terminal is changed, and let go after it is as it was.
    let held = Held::new(is_ignored)?;
    let mut terminal = Hidden::new(file)?;
    put(question, &mut terminal.file)?;
    let typed = keys(&mut terminal.file, &held);
    let _ = terminal.file.write_all(b"\n");
    drop(terminal);
    drop(held);
    typed
}

/// Signals that wait until somebody asks for them.
struct Held {
    arrived: SignalFd,
    before: SigSet,
}

impl Held {
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

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask();
    }
}

/// A terminal that shows nothing of what is typed, and takes no key for a signal.
struct Hidden {
    file: File,
    shown: Termios,
}

impl Hidden {
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

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = rustix::termios::tcsetattr(&self.file, OptionalActions::Now, &self.shown);
    }
}

/// The next byte that was typed; nothing at the end of the terminal. No more is read
/// than that, since another question may follow.
fn next_key(terminal: &mut File, held: &Held) -> Result<Option<u8>, Stop> {
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
            return Err(Stop::Signal(signal));
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

/// Reads keys up to the end of the line.
fn keys(terminal: &mut File, held: &Held) -> Result<Typed, Stop> {
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

/// Takes the last character away.
fn erase(line: &mut Vec<u8>) {
    while line.pop_if(|byte| is_continuation(*byte)).is_some() {}
    line.pop();
}

/// Whether a byte is inside a character of UTF-8.
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

/// Whether somebody can be asked.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Whether this process has a terminal on which a person can type.
pub fn has_terminal() -> bool {
    open().is_ok()
}

/// Asks for a line on the terminal itself, which shows what is typed.
pub fn type_shown(question: &str) -> Typed {
    shown(question, is_ignored)
}

/// Asks for a line on the terminal itself without showing what is typed, and puts the
/// terminal back as it was, whatever ends it.
pub fn type_hidden(question: &str) -> Typed {
    hidden(question, is_ignored)
}

/// Asks for the passphrase of an identity without showing it. It is read from
/// the terminal itself, so data on standard input is never taken for it.
pub fn ask_passphrase(origin: &str) -> Result<SecretString, NoPassphrase> {
    type_hidden(&format!("Passphrase for {origin}: ")).passphrase()
}

/// The only word that approves.
const YES: &str = "yes";

/// Asks on the terminal, and takes only `yes` in full. Ctrl-C is answered with what is
/// `untouched`.
/// Fails if anything else, or nothing, is answered.
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

/// As [`ask`], also where the standard streams are no terminal.
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

/// How a command of this run lets plugins talk.
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
