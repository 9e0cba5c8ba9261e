//! Machine names that the service gives.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::ForeignText;

/// A machine name that the service gave: an error code, the id of a request or
/// of a job. Letters, digits, dots, underscores and dashes, 1 to 64 of them, so
/// it can stand anywhere without quotation marks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Token(Cow<'static, str>);

impl Token {
    /// Takes a name that was searched for secrets, or cannot hold any.
    /// Fails (with `None`) if it is empty, too long or holds another character.
    pub fn parse(text: &str) -> Option<Self> {
        is_token(text.as_bytes()).then(|| Self(Cow::Owned(text.to_owned())))
    }

    /// A name of ours. Panics if it is not a token, which a test would show.
    pub const fn from_static(text: &'static str) -> Self {
        assert!(is_token(text.as_bytes()), "not a token");
        Self(Cow::Borrowed(text))
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that the service gave, as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToldName {
    /// It has the shape of such names, and may be stored.
    Kept(Token),
    /// It may be anything, and is only shown.
    Shown(ForeignText),
}

impl ToldName {
    /// A name of ours. Panics if it is not a token, which a test would show.
    pub const fn from_static(text: &'static str) -> Self {
        Self::Kept(Token::from_static(text))
    }

    /// The name, if it may be stored.
    pub const fn kept(&self) -> Option<&Token> {
        match self {
            Self::Kept(token) => Some(token),
            Self::Shown(_) => None,
        }
    }

    /// A name to be stored: this one, or that there was another.
    pub fn to_token(&self) -> Token {
        const UNKNOWN: Token = Token::from_static("UNKNOWN-CODE");
        self.kept().cloned().unwrap_or(UNKNOWN)
    }

    /// The name for structured output.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Kept(token) => token.as_str(),
            Self::Shown(text) => text.as_str(),
        }
    }
}

impl fmt::Display for ToldName {
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
