//! Text that someone else wrote: searched for secrets, cleaned and cut to size, in this order,
//! since half a password is still a leak.

mod needles;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use needles::Needles;

/// Server text for people: without control, bidi, line-separating or invisible characters, and at
/// most [`ForeignText::MAX_CHARS`] characters.
///
/// It is shown in quotation marks and contains none, so it can neither begin a line nor appear to
/// have ended. Nor does it contain commands that CI runners execute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ForeignText(Option<String>);

impl ForeignText {
    pub const MAX_CHARS: usize = 200;

    const WITHHELD: &str = "text withheld, it may repeat a secret that was sent";

    /// `raw` must have been searched for secrets, as [`Needles::text`] does. Returns `None` for
    /// whitespace.
    pub fn clean(raw: &str) -> Option<Self> {
        let raw = raw.trim();
        if raw.is_empty() {
            return None;
        }
        let mut text = String::new();
        let mut left = Self::MAX_CHARS;
        for c in disarmed(raw, |c| c.escape_unicode().to_string()).chars() {
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
        Some(Self(Some(text)))
    }

    pub const fn withheld() -> Self {
        Self(None)
    }

    /// Returns it without quotation marks, for structured output only: on a terminal it could begin
    /// a line.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(Self::WITHHELD)
    }
}

impl fmt::Display for ForeignText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(text) => write!(f, "\"{text}\""),
            None => write!(f, "({})", Self::WITHHELD),
        }
    }
}

/// Returns whether a character can move, hide or reorder those around it.
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

/// Returns an option with a path for a command that people paste, and a space; `None` where a
/// terminal would show another path.
pub fn option(name: &str, path: &Path) -> Option<String> {
    let text = path.to_str().filter(|text| !text.contains(is_unfit))?;
    // A name with a dash would be read as an option.
    let start = if text.starts_with('-') { "./" } else { "" };
    let path = [start, text].concat();
    Some(format!("{name} {} ", shell_words::quote(&path)))
}

/// A machine name from the service: 1 to 64 letters, digits, dots, underscores and dashes, so it
/// needs no quotation marks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Token(Cow<'static, str>);

impl Token {
    /// `text` must have been searched for secrets, or cannot contain any.
    pub fn parse(text: &str) -> Option<Self> {
        is_token(text.as_bytes()).then(|| Self(Cow::Owned(text.to_owned())))
    }

    /// # Panics
    ///
    /// If `text` is not a token.
    pub const fn from_static(text: &'static str) -> Self {
        assert!(is_token(text.as_bytes()), "not a token");
        Self(Cow::Borrowed(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportedName {
    /// It has the shape of such names and may be stored.
    Kept(Token),
    Shown(ForeignText),
}

impl ReportedName {
    pub const fn from_static(text: &'static str) -> Self {
        Self::Kept(Token::from_static(text))
    }

    pub const fn kept(&self) -> Option<&Token> {
        match self {
            Self::Kept(token) => Some(token),
            Self::Shown(_) => None,
        }
    }

    /// Returns the name to store: this one, or a placeholder.
    pub fn to_token(&self) -> Token {
        const UNKNOWN: Token = Token::from_static("UNKNOWN-CODE");
        self.kept().cloned().unwrap_or(UNKNOWN)
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Kept(token) => token.as_str(),
            Self::Shown(text) => text.as_str(),
        }
    }
}

impl fmt::Display for ReportedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(token) => token.fmt(f),
            Self::Shown(text) => text.fmt(f),
        }
    }
}

const fn is_token(text: &[u8]) -> bool {
    let mut i = 0;
    while i < text.len() {
        let b = text[i];
        if !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            return false;
        }
        i += 1;
    }
    !text.is_empty() && text.len() <= 64
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a machine name"))
    }
}

pub fn is_key_like(text: &str) -> bool {
    let identity = b"AGE-SECRET-KEY-";
    let mut parts = text.as_bytes().windows(identity.len());
    parts.any(|part| part.eq_ignore_ascii_case(identity))
        // In lower case it is the name of a program.
        || text.contains("AGE-PLUGIN-")
        || text.contains("-----BEGIN")
}

/// Returns whether a text is longer than the path of a file that someone would type.
pub fn is_too_long_for_a_path(text: &str) -> bool {
    match text.chars().count() {
        ..=40 => false,
        41..=100 => !text.contains(['/', '.']),
        _ => true,
    }
}

/// Returns the text without commands, and without characters that move or hide others except line
/// breaks, tabs and, if `has_colours`, the colours of drspass.
pub fn for_log(text: &str, has_colours: bool) -> Cow<'_, str> {
    let disarmed = disarmed(text, |c| c.escape_unicode().to_string());
    let is_plain = |b: u8| matches!(b, b'\n' | b'\t' | b' '..=b'~');
    if disarmed.bytes().all(is_plain) {
        return disarmed;
    }
    let mut cleaned = String::with_capacity(disarmed.len());
    let mut rest = &*disarmed;
    while let Some(c) = rest.chars().next() {
        if has_colours && let Some(colour) = colour(rest) {
            cleaned.push_str(colour);
            rest = &rest[colour.len()..];
            continue;
        }
        if is_unfit(c) && !matches!(c, '\n' | '\t') {
            cleaned.extend(c.escape_default());
        } else {
            cleaned.push(c);
        }
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(cleaned)
}

/// Returns an equivalent JSON document without commands in its strings.
pub fn in_json(document: &str) -> Cow<'_, str> {
    disarmed(document, |c| format!("\\u{:04x}", u32::from(c)))
}

/// Returns the colour's escape sequence that `text` begins with.
fn colour(text: &str) -> Option<&str> {
    let number = text.strip_prefix("\u{1b}[")?;
    let end = number.find(|c: char| !c.is_ascii_digit())?;
    (end <= 2 && number[end..].starts_with('m')).then(|| &text[..end + 3])
}

/// Returns `text` with one character of every command that CI runners execute from a log written
/// by `escape`. GitHub executes lines that begin with `::command` and, like Azure, `##[command]` and
/// `##vso[command]` anywhere; GitLab executes `section_start:` and `section_end:`. Any of them may
/// be in a path, a comment or a name that someone else wrote, so whole texts are cleaned where they
/// are written, not word by word.
fn disarmed(text: &str, escape: fn(char) -> String) -> Cow<'_, str> {
    let mut signs = ["##", "::", "section_"].into_iter();
    if !signs.any(|sign| text.contains(sign)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '-');
    let mut last = ' ';
    for word in text.split_inclusive(|c| !is_inside(c)) {
        let name = word.trim_end_matches(|c| !is_inside(c));
        let keeps_colons = is_code(name) || is_address(name);
        for (at, c) in word.char_indices() {
            let is_sign = match c {
                '#' => last == '#',
                ':' => last == ':' && !keeps_colons,
                '_' => {
                    let after = &word[at + 1..];
                    word[..at].ends_with("section")
                        && (after.starts_with("start") || after.starts_with("end"))
                }
                _ => false,
            };
            match is_sign {
                true => out.push_str(&escape(c)),
                false => out.push(c),
            }
            last = c;
        }
    }
    Cow::Owned(out)
}

/// Returns whether a word is a code of drspass, which contains colons.
fn is_code(word: &str) -> bool {
    word.strip_prefix("drspass::").is_some_and(|rest| {
        rest.bytes()
            .all(|b| b.is_ascii_lowercase() || matches!(b, b':' | b'_' | b'.'))
    })
}

/// Returns whether a word may be an IPv6 address; the name of a command never is.
fn is_address(word: &str) -> bool {
    word.contains(|c: char| c.is_ascii_hexdigit())
        && word
            .bytes()
            .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
}

#[cfg(test)]
mod tests;
