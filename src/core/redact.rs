//! Text that somebody else wrote: cleaned before a person sees it, cut to size,
//! and withheld as soon as it repeats a secret.
//!
//! It owns [`ForeignText`], [`Token`] and [`ToldName`], the only forms in which words
//! of the service leave the client, and [`Needles`], the search for secrets in them.
//! It refuses to cut before it has searched: half a password is still a leak.

mod commands;
mod given;
mod needles;
mod token;

use std::borrow::Cow;
use std::fmt;

pub use commands::{for_log, in_json};
pub use given::{is_key_like, is_too_long_for_a_path};
pub use needles::Needles;
pub use token::{Token, ToldName};

/// Server text for a person: without control, bidi, line-separating or
/// invisible characters, and at most [`ForeignText::MAX_CHARS`] characters.
///
/// It is shown in quotation marks and holds none itself, so it can neither
/// begin a line nor pretend to have ended. Nor does it contain what a runner of
/// pipelines obeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignText(Inner);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Inner {
    Cleaned(String),
    Withheld,
}

impl ForeignText {
    /// Characters that are kept; what follows is replaced by an ellipsis.
    pub const MAX_CHARS: usize = 200;

    const WITHHELD: &str = "text withheld, it may repeat a secret that was sent";

    /// Cleans `raw`, which must have been searched for secrets already: that is
    /// what [`Needles::text`] does. Nothing comes of a text of blanks.
    pub fn clean(raw: &str) -> Option<Self> {
        let raw = raw.trim();
        if raw.is_empty() {
            return None;
        }
        let mut text = String::new();
        let mut left = Self::MAX_CHARS;
        for c in commands::disarmed(raw, |c| c.escape_unicode().to_string()).chars() {
            let (shown, len) = match c {
                '"' => (Cow::Borrowed("'"), 1),
                c if is_unfit(c) => {
                    let escaped = c.escape_default().to_string();
                    let len = escaped.len();
                    (Cow::Owned(escaped), len)
                }
                c => (Cow::Owned(c.to_string()), 1),
            };
            if len > left {
                text.push('…');
                break;
            }
            left -= len;
            text.push_str(&shown);
        }
        Some(Self(Inner::Cleaned(text)))
    }

    /// What stands in place of a text that cannot be shown.
    pub const fn withheld() -> Self {
        Self(Inner::Withheld)
    }

    /// The cleaned text without quotation marks, for structured output only:
    /// on a terminal it could begin a line.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Inner::Cleaned(text) => text,
            Inner::Withheld => Self::WITHHELD,
        }
    }
}

impl fmt::Display for ForeignText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Cleaned(text) => write!(f, "\"{text}\""),
            Inner::Withheld => write!(f, "({})", Self::WITHHELD),
        }
    }
}

/// Whether a character can move, hide or reorder what stands around it.
pub fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}'
            | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests;
