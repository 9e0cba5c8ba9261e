//! Machine names that the service gives.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A machine name that the service gave: an error code, the id of a request or
/// of a job. Letters, digits, dots, underscores and dashes, 1 to 64 of them, so
/// it can stand anywhere without quotation marks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Token(Cow<'static, str>);

impl Token {
    /// What stands in place of a name that repeats a secret.
    pub const WITHHELD: Self = Self::from_static("withheld");

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
