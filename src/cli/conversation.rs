//! What plugins say to the person, and what the person answers. Messages go to standard
//! error, like all messages; questions go to the terminal itself and are answered
//! there, so that what is piped in is never taken for an answer.

use std::io::Write as _;

use age::secrecy::SecretString;

use super::env;
use crate::age_file::{Choice, NoPassphrase, Talk};
use crate::core::redact::ForeignText;

/// How a command of this run lets plugins talk.
pub(super) const TALK: Talk<'static> = Talk {
    tell: &tell,
    choose: &choose,
    ask: &ask,
    ask_secret: &ask_secret,
};

fn tell(program: &str, text: &ForeignText) {
    // Nobody listening is no reason to stop.
    let _ = std::io::stderr()
        .lock()
        .write_all(format!("{program}: {text}\n").as_bytes());
}

fn choose(program: &str, choice: &Choice<'_>) -> Result<bool, NoPassphrase> {
    let Choice {
        question,
        first,
        second,
    } = choice;
    let Some(second) = second else {
        let asked = format!("{program}: {question}\nPress Enter for {first}: ");
        return env::type_shown(&asked).line().map(|_| true);
    };
    let asked = format!("{program}: {question}\n  1: {first}\n  2: {second}\n1 or 2: ");
    for _ in 0..3 {
        match env::type_shown(&asked).line()?.as_str() {
            "1" => return Ok(true),
            "2" => return Ok(false),
            _ => {}
        }
    }
    Err(NoPassphrase::Declined)
}

fn ask(program: &str, question: &ForeignText) -> Result<String, NoPassphrase> {
    let line = env::type_shown(&format!("{program}: {question}: ")).line();
    line.map(|text| text.to_string())
}

fn ask_secret(program: &str, question: &ForeignText) -> Result<SecretString, NoPassphrase> {
    env::type_hidden(&format!("{program}: {question}: ")).passphrase()
}
