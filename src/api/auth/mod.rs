//! Credentials as the user gave them, and the session made of them.
//!
//! A token is renewed before it expires, once when it is refused, and never after the login
//! itself was refused. Environment and files are read elsewhere. Another kind of login is a
//! variant of [`Credentials`], [`LoginSession`] and [`LoginPass`].

mod iam;
mod login;
mod signature;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Request;
use reqwest::header::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::error::{CallFailure, FailureKind};
use super::http::ApiCall;
use super::secrets::LoginSecrets;
use crate::core::failure::Failure;
use crate::core::outcome::Refusal;
use crate::core::secret::Secret;

pub use iam::{CataloguedEndpoint, Iam, TokenFacts, endpoints, facts, projects};
use login::IamSession;
use signature::Signer;

const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

const MOST_SIGNED_AT_ONCE: usize = 4;

#[derive(Debug)]
pub enum Credentials {
    /// A token that was fetched elsewhere. It cannot be renewed.
    Token(Secret),
    Password(PasswordLogin),
    AccessKey(AccessKey),
}

impl Credentials {
    /// Names the login at an identity service, without a secret.
    pub fn used(&self, host: &str) -> String {
        let Self::Password(login) = self else {
            return String::new();
        };
        let words = |called: &IamName, by_id: &str, by_name: &str| match called {
            IamName::Id(id) => format!("{by_id} {id}"),
            IamName::Named(name, domain) => {
                let domain = match domain {
                    None => String::new(),
                    Some(Domain::Id(id)) => format!(" of domain id {id}"),
                    Some(Domain::Name(name)) => format!(" of domain {name}"),
                };
                format!("{by_name} {name}{domain}")
            }
        };
        let user = words(&login.user, "user id", "user");
        let project = words(&login.project, "project", "project named");
        format!(" as {user} for {project} at {host}")
    }

    /// What to check after a refusal without a reason: Keystone answers any refused login with
    /// the same bare 401.
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Token(_) => {
                "The token has expired, or belongs to another identity service: get a new one."
            }
            Self::Password(PasswordLogin {
                passcode: Some(_), ..
            }) => {
                "Check the user, the password, that the user has a role in the project, and the code of the second factor, which is good for one login. Failed logins lock the account."
            }
            Self::Password(_) => {
                "Check the user, its domain, the password, and that the user has a role in the project; a user with a second factor also needs user_id and passcode, or OS_USER_ID and OS_PASSCODE. Failed logins lock the account."
            }
            Self::AccessKey(_) => {
                "Check that key and secret belong together and are active, and check this machine's clock. drspass does not try again, since refused signatures lock the key."
            }
        }
    }
}

/// A login with a password (OTC IAM api-ref, Obtaining a User Token).
#[derive(Debug)]
pub struct PasswordLogin {
    /// If it is given by name, with its domain.
    pub user: IamName,
    pub password: Arc<Secret>,
    /// The one-time code of a second factor; it requires a user given by id.
    pub passcode: Option<Arc<Secret>>,
    pub project: IamName,
}

/// A user or project of the identity service: by id, or by a name that is unique in its domain. The
/// id of a project that is given by name is only known after the login, and its domain may not be
/// the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IamName {
    Id(String),
    Named(String, Option<Domain>),
}

/// A domain, which the clouds call account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domain {
    Id(String),
    Name(String),
}

/// An access key (OTC and Huawei Cloud call it AK/SK).
#[derive(Debug)]
pub struct AccessKey {
    /// The id of the key. It is not a secret by itself, and never shown all the same.
    pub access: Secret,
    pub secret: Secret,
    pub security_token: Option<Secret>,
    /// The name of the project if only that is given; its id must turn out to be the sealed one.
    pub project: Option<IamName>,
}

pub enum LoginSession {
    Token(Arc<TokenHeader>),
    Password(Box<IamSession>),
    Key {
        signer: Arc<Signer>,
        status: KeyStatus,
    },
}

/// What is known about a key. A few refused signatures in a row lock it (OTC API Gateway
/// manual, Error Codes: five), so the first refusal is the last, and requests go one at a time
/// until one is accepted.
#[derive(Default)]
pub struct KeyStatus {
    accepted: AtomicBool,
    refused: OnceLock<(Refusal, String)>,
}

/// Permission to call, good for one attempt.
#[derive(Clone)]
pub enum LoginPass {
    Token {
        header: Arc<TokenHeader>,
        /// Which of the session's tokens it is.
        generation: u64,
    },
    Key(Arc<Signer>),
}

impl LoginPass {
    /// Adds the login to a request: a new one for each attempt, since a signature has the time in
    /// it. `project_id` goes with calls of a project.
    pub fn request(&self, call: &ApiCall, project_id: Option<&str>, now: Timestamp) -> Request {
        let mut request = call.request();
        match self {
            Self::Token { header, .. } => header.authorize(&mut request),
            Self::Key(signer) => signer.authorize(&mut request, project_id, now),
        }
        request
    }
}

impl LoginSession {
    pub fn open(
        credentials: Credentials,
        iam: &Arc<Iam>,
        project_id: &str,
    ) -> Result<Self, Failure> {
        Ok(match credentials {
            Credentials::Token(token) => Self::Token(Arc::new(TokenHeader::given(&token)?)),
            Credentials::Password(login) => Self::Password(Box::new(IamSession::new(
                login,
                Arc::clone(iam),
                project_id.to_owned(),
            ))),
            Credentials::AccessKey(key) => Self::Key {
                signer: Arc::new(Signer::new(key)?),
                status: KeyStatus::default(),
            },
        })
    }

    /// Returns a pass for one attempt. A password session logs in first if it has no token or
    /// one about to expire.
    pub async fn pass(&self) -> Result<LoginPass, CallFailure> {
        match self {
            Self::Token(header) => Ok(LoginPass::Token {
                header: Arc::clone(header),
                generation: 0,
            }),
            Self::Password(session) => session.pass().await,
            Self::Key { signer, status } => match status.refused.get() {
                Some((refusal, host)) => {
                    let kind = FailureKind::Login(refusal.clone());
                    Err(CallFailure::new(kind, host.clone(), Vec::new()))
                }
                None => Ok(LoginPass::Key(Arc::clone(signer))),
            },
        }
    }

    /// Returns a pass in place of a refused one, or `None` if that cannot help: for a token fetched
    /// elsewhere, and above all for a signature, whose repetition locks the key (OTC API Gateway
    /// manual, Error Codes).
    pub async fn renewed(&self, refused: &LoginPass) -> Option<Result<LoginPass, CallFailure>> {
        match (self, refused) {
            (Self::Password(session), LoginPass::Token { generation, .. }) => {
                Some(session.renewed(*generation).await)
            }
            _ => None,
        }
    }

    pub fn note(&self, refused: Option<(&Refusal, String)>) {
        let Self::Key { status, .. } = self else {
            return;
        };
        match refused {
            Some((refusal, host)) => {
                let _ = status.refused.set((refusal.clone(), host));
            }
            None => status.accepted.store(true, Ordering::SeqCst),
        }
    }

    pub fn at_once(&self, wanted: usize) -> usize {
        match self {
            Self::Key { status, .. } if status.accepted.load(Ordering::SeqCst) => {
                wanted.min(MOST_SIGNED_AT_ONCE)
            }
            Self::Key { .. } => 1,
            Self::Token(_) | Self::Password(_) => wanted,
        }
    }

    pub fn secrets(&self) -> LoginSecrets {
        let secrets = match self {
            Self::Token(token) => vec![Arc::clone(&token.secret)],
            Self::Password(session) => return session.secrets(),
            Self::Key { signer, .. } => signer.secrets(),
        };
        LoginSecrets {
            generation: 0,
            secrets,
        }
    }
}

pub struct TokenHeader {
    secret: Arc<Secret>,
    header: HeaderValue,
}

impl TokenHeader {
    /// Takes a token, without the line end that files and variables often have.
    pub fn given(given: &Secret) -> Result<Self, Failure> {
        let text = given.expose();
        let text = text
            .strip_suffix("\r\n")
            .or_else(|| text.strip_suffix('\n'))
            .unwrap_or(text);
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        // The header shares one wiped buffer; each request clones the handle.
        let bytes = Bytes::from_owner(Zeroizing::new(text.as_bytes().to_vec()));
        let header = HeaderValue::from_maybe_shared(bytes).ok();
        let mut header = header.filter(|_| is_plain).ok_or_else(|| {
            Failure::new(
                "drspass::api::token",
                "the token is empty or contains a blank, a line end or a foreign character",
                "Store the token alone on one line, without quotation marks.",
            )
        })?;
        header.set_sensitive(true);
        Ok(Self {
            secret: Arc::new(Secret::new(text.to_owned())),
            header,
        })
    }

    pub fn authorize(&self, request: &mut Request) {
        request
            .headers_mut()
            .insert(X_AUTH_TOKEN, self.header.clone());
    }
}

#[cfg(test)]
mod tests {
    use reqwest::{Method, Url};

    use super::*;

    fn session(token: &str) -> Result<TokenHeader, Failure> {
        TokenHeader::given(&Secret::new(token.to_owned()))
    }

    #[test]
    fn one_line_end_after_a_token_is_dropped() {
        for given in ["tok-1", "tok-1\n", "tok-1\r\n"] {
            let url = Url::parse("http://127.0.0.1/").unwrap();
            let mut request = Request::new(Method::PUT, url);
            session(given).unwrap().authorize(&mut request);
            let header = &request.headers()["x-auth-token"];
            assert_eq!(header, "tok-1");
            assert!(header.is_sensitive());
            assert!(!format!("{request:?}").contains("tok-1"));
        }
    }

    #[test]
    fn other_odd_characters_are_refused() {
        for token in [
            "to\nk", "tok\n\n", "tok\r", "\ttok", "tök", "to k", "\n", "",
        ] {
            let error = session(token).err().unwrap().to_string();
            assert!(error.starts_with("the token is empty or contains a blank"));
        }
    }
}
