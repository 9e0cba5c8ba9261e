//! Who calls: credentials as the user gave them, and the session made of them.
//!
//! It owns the headers that prove who calls. It refuses to read the
//! environment or a file: credentials are handed in. A further kind of login is
//! a further variant of both enums.

mod token;

use reqwest::Request;

use crate::core::secret::Secret;

use super::error::ApiError;

/// What the user gave to log in with.
#[derive(Debug)]
pub enum Credentials {
    /// A token that was fetched elsewhere. It cannot be renewed.
    Token(Secret),
}

/// A login that requests can be sent with.
#[derive(Debug)]
pub struct Session(Kind);

#[derive(Debug)]
enum Kind {
    Token(token::TokenSession),
}

impl Session {
    /// Makes a session of `credentials`. A given token is checked and nothing is
    /// sent for it.
    /// Fails if the token is empty or holds a character that no token has.
    pub fn open(credentials: Credentials) -> Result<Self, ApiError> {
        match credentials {
            Credentials::Token(token) => Ok(Self(Kind::Token(token::TokenSession::new(&token)?))),
        }
    }

    /// Adds what proves who calls. Every attempt is authorized anew.
    pub(super) fn authorize(&self, request: &mut Request) {
        match &self.0 {
            Kind::Token(token) => token.authorize(request),
        }
    }

    /// What must never come back out: searched for in every answer.
    pub(super) fn secrets(&self) -> [&Secret; 1] {
        match &self.0 {
            Kind::Token(token) => [token.secret()],
        }
    }
}
