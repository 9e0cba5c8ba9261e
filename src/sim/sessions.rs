//! The tokens there are: the fixed one, and those that logins were given.
//!
//! Owns whose a token is, which project it is for and when it ends. Refuses to
//! forget a token that has expired, so that it can be told from an invented one.

use jiff::Timestamp;

use super::tokens::same;
use super::users::Person;

/// One token.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) token: String,
    pub(super) person: Person,
    /// `None` is a token for a domain or for nothing, which DRS does not take.
    pub(super) project: Option<String>,
    /// The words of the login, such as `password`.
    pub(super) methods: Vec<&'static str>,
    pub(super) issued: Timestamp,
    /// `None` never ends.
    pub(super) expires: Option<Timestamp>,
}

/// All tokens.
pub(super) struct Sessions {
    fixed: Session,
    issued: Vec<Session>,
}

/// What a token turns out to be.
pub(super) enum Found<'a> {
    Unknown,
    Expired,
    Good(&'a Session),
}

impl Sessions {
    pub(super) fn new(fixed: Session) -> Self {
        Self {
            fixed,
            issued: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, session: Session) {
        self.issued.push(session);
    }

    pub(super) fn find(&self, token: &[u8], now: Timestamp) -> Found<'_> {
        let mut all = self.issued.iter().chain([&self.fixed]);
        let found = all.find(|session| same(session.token.as_bytes(), token));
        match found {
            None => Found::Unknown,
            Some(session) if session.expires.is_some_and(|end| end <= now) => Found::Expired,
            Some(session) => Found::Good(session),
        }
    }

    /// The tokens that logins were given, oldest first.
    pub(super) fn issued(&self) -> Vec<String> {
        let tokens = self.issued.iter().map(|session| session.token.clone());
        tokens.collect()
    }

    /// Ends all tokens that logins were given.
    pub(super) fn expire(&mut self, now: Timestamp) {
        for session in &mut self.issued {
            let end = session.expires.unwrap_or(now);
            session.expires = Some(end.min(now));
        }
    }
}
