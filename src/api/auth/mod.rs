//! Who calls: credentials as the user gave them, and the session made of them.
//!
//! It owns the headers that prove who calls, and the life of a token: renewed
//! before its end, once when it is refused, and never after the login itself was
//! refused. It refuses to read the environment or a file: credentials are handed
//! in. A further kind of login is a further variant of both enums.

mod credentials;
mod iam;
mod key;
mod login;
mod signature;
mod token;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use reqwest::Request;

use super::error::ApiError;
use super::exchange::{Failure, Why};
use super::secrets::LoginSecrets;
use crate::core::outcome::Refusal;

pub use credentials::{AccessKey, Credentials, Domain, IamUser, PasswordLogin, ProjectName};
pub(super) use iam::Iam;
use key::Signer;
use login::IamSession;
use token::TokenHeader;

/// A login that requests can be sent with.
#[derive(Debug)]
pub(super) enum Session {
    /// A token that was fetched elsewhere.
    Token(Arc<TokenHeader>),
    /// A user and a password, with which tokens are fetched.
    Password(Box<IamSession>),
    /// A key that signs.
    Key {
        signer: Arc<Signer>,
        /// What is known about it.
        standing: Standing,
    },
}

/// What is known about a key. A few refused signatures in a row lock it (OTC API
/// Gateway manual, Error Codes: five), so the first refusal is the last, and until
/// it was accepted once there is one request at a time.
#[derive(Debug, Default)]
pub(super) struct Standing {
    accepted: AtomicBool,
    /// The refusal and who refused.
    refused: OnceLock<(Refusal, String)>,
}

/// One less than lock a key.
const MOST_SIGNED_AT_ONCE: usize = 4;

/// Leave to call, good for one attempt.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    kind: PassKind,
    /// Which of the session's tokens it is.
    generation: u64,
}

#[derive(Clone, Debug)]
enum PassKind {
    Token(Arc<TokenHeader>),
    Key(Arc<Signer>),
}

impl Pass {
    /// Adds what proves who calls. Every attempt is authorized anew, since a
    /// signature holds the time. `project_id` goes with calls of a project.
    pub(super) fn authorize(
        &self,
        request: &mut Request,
        project_id: Option<&str>,
        now: Timestamp,
    ) {
        match &self.kind {
            PassKind::Token(token) => token.authorize(request),
            PassKind::Key(signer) => signer.authorize(request, project_id, now),
        }
    }
}

impl Session {
    /// Makes a session of `credentials`; nothing is sent.
    /// Fails if a token or a key holds a character that none has.
    pub(super) fn open(
        credentials: Credentials,
        iam: &Arc<Iam>,
        project_id: &str,
    ) -> Result<Self, ApiError> {
        Ok(match credentials {
            Credentials::Token(token) => Self::Token(Arc::new(TokenHeader::given(&token)?)),
            Credentials::Password(login) => Self::Password(Box::new(IamSession::new(
                login,
                Arc::clone(iam),
                project_id.to_owned(),
            ))),
            Credentials::AccessKey(key) => Self::Key {
                signer: Arc::new(Signer::new(key)?),
                standing: Standing::default(),
            },
        })
    }

    /// Leave for one attempt. A session with a password logs in first where there
    /// is no token, or where it is close to its end.
    /// Fails if that login does.
    pub(super) async fn pass(&self) -> Result<Pass, Failure> {
        match self {
            Self::Token(token) => Ok(Pass::token(token, 0)),
            Self::Password(session) => session.pass().await,
            Self::Key { signer, standing } => match standing.refused.get() {
                Some((refusal, host)) => Err(Failure {
                    why: Why::Login(refusal.clone()),
                    host: host.clone(),
                    notes: Vec::new(),
                }),
                None => Ok(Pass {
                    kind: PassKind::Key(Arc::clone(signer)),
                    generation: 0,
                }),
            },
        }
    }

    /// Leave in the place of one that was refused; nothing where that cannot help:
    /// a token that was fetched elsewhere, and above all a signature, which locks
    /// the key when it is repeated (OTC API Gateway manual, Error Codes).
    pub(super) async fn renewed(&self, refused: &Pass) -> Option<Result<Pass, Failure>> {
        match self {
            Self::Password(session) => Some(session.renewed(refused.generation).await),
            Self::Token(_) | Self::Key { .. } => None,
        }
    }

    /// Notes whether the caller was accepted, or by which host it was refused.
    pub(super) fn note(&self, refused: Option<(&Refusal, String)>) {
        let Self::Key { standing, .. } = self else {
            return;
        };
        match refused {
            Some((refusal, host)) => {
                let _ = standing.refused.set((refusal.clone(), host));
            }
            None => standing.accepted.store(true, Ordering::SeqCst),
        }
    }

    /// How many requests may be under way at once, at most `wanted`.
    pub(super) fn at_once(&self, wanted: usize) -> usize {
        match self {
            Self::Key { standing, .. } if standing.accepted.load(Ordering::SeqCst) => {
                wanted.min(MOST_SIGNED_AT_ONCE)
            }
            Self::Key { .. } => 1,
            Self::Token(_) | Self::Password(_) => wanted,
        }
    }

    /// What must never come back out: searched for in every answer.
    pub(super) fn secrets(&self) -> LoginSecrets {
        match self {
            Self::Token(token) => LoginSecrets {
                generation: 0,
                secrets: vec![Arc::clone(token.secret())],
            },
            Self::Password(session) => session.secrets(),
            Self::Key { signer, .. } => LoginSecrets {
                generation: 0,
                secrets: signer.secrets(),
            },
        }
    }

    /// Whom the login is of, as far as it says so.
    pub(super) fn used(&self) -> String {
        match self {
            Self::Password(session) => session.used(),
            Self::Token(_) | Self::Key { .. } => String::new(),
        }
    }

    /// What to check where it is refused and nobody says why: Keystone answers any
    /// refusal of a login with the same bare 401.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::Token(_) => {
                "Nothing was sent with it: the token has expired, or is of another identity service. Get a new one."
            }
            Self::Password(session) => session.advice(),
            Self::Key { .. } => {
                "Check that key and secret belong together and are active, and the clock here. It is not tried again, since refused signatures lock the key."
            }
        }
    }
}

impl Pass {
    fn token(token: &Arc<TokenHeader>, generation: u64) -> Self {
        Self {
            kind: PassKind::Token(Arc::clone(token)),
            generation,
        }
    }
}
