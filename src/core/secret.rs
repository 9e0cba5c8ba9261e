//! The one type that carries a secret value.
//!
//! It owns the rule that a secret cannot be printed, compared, cloned or
//! serialized by accident: none of those traits is implemented, `Debug` writes
//! a constant, and the memory is wiped when the value is dropped.
//! It refuses to know what the secret is for.

use std::fmt;

use zeroize::Zeroizing;

/// A password or a kerberos value as it will be sent: exact UTF-8 text that was
/// not trimmed, expanded or normalised.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over `text`, whose buffer is wiped with the secret.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. Every call is a place where a secret can escape, so a
    /// test counts them and names the files that may call.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// An upper bound, in bytes, of the text written as a JSON string: a
    /// control character takes six bytes (`\u0007`), and nothing takes more.
    /// It serves to keep requests under the gateway's size limit and is never
    /// shown, since it tells the length.
    pub fn max_json_bytes(&self) -> usize {
        self.0.len() * 6 + 2
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_value() {
        let secret = Secret::new("canary-debug".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret.expose(), "canary-debug");
    }
}
