//! What plugins say to the person, and what the person answers. Messages go to standard
//! error, like all messages; questions go to the terminal itself and are answered
//! there, so that what is piped in is never taken for an answer.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use age::secrecy::SecretString;

use super::env::{self, Typed};
use crate::age_file::{Choice, Talk};
use crate::core::redact::ForeignText;

/// How a command of this run lets plugins talk.
pub(super) const TALK: Talk<'static> = Talk {
    tell: &tell,
    choose: &choose,
    ask: &ask,
    ask_secret: &ask_secret,
};

/// A person's answer is a line.
const MAX_ANSWER_BYTES: u64 = 4096;

fn tell(program: &str, text: &ForeignText) {
    // Nobody listening is no reason to stop.
    let _ = std::io::stderr()
        .lock()
        .write_all(format!("{program}: {text}\n").as_bytes());
}

fn choose(program: &str, choice: &Choice<'_>) -> Option<bool> {
    let Choice {
        question,
        first,
        second,
    } = choice;
    let Some(second) = second else {
        let asked = format!("{program}: {question}\nPress Enter for {first}: ");
        return on_terminal(&asked).map(|_| true);
    };
    let asked = format!("{program}: {question}\n  1: {first}\n  2: {second}\n1 or 2: ");
    for _ in 0..3 {
        match on_terminal(&asked)?.as_str() {
            "1" => return Some(true),
            "2" => return Some(false),
            _ => {}
        }
    }
    None
}

fn ask(program: &str, question: &ForeignText) -> Option<String> {
    on_terminal(&format!("{program}: {question}: "))
}

fn ask_secret(program: &str, question: &ForeignText) -> Option<SecretString> {
    match env::type_hidden(&format!("{program}: {question}: ")) {
        Typed::Text(mut text) => Some(SecretString::from(std::mem::take(&mut *text))),
        Typed::Interrupted | Typed::Nothing => None,
    }
}

/// Asks on the terminal device. Nothing if there is none, or its end comes first.
fn on_terminal(question: &str) -> Option<String> {
    let mut terminal: File = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .ok()?;
    terminal.write_all(question.as_bytes()).ok()?;
    let mut line = String::new();
    let read = BufReader::new(terminal.take(MAX_ANSWER_BYTES))
        .read_line(&mut line)
        .ok()?;
    (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}
