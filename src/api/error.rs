//! What can be wrong before any password is sent: the settings of the client, the login,
//! and questions that were refused. Nothing here holds a secret or the query of an address.

use std::fmt;

use miette::Diagnostic;
use thiserror::Error;

use crate::core::outcome::Refusal;
use crate::core::redact::ForeignText;

/// Why no client could be made. Nothing was sent.
#[derive(Debug, Error, Diagnostic)]
pub enum ApiError {
    #[error("the endpoint is not an address of a service")]
    #[diagnostic(
        code(drspass::api::endpoint),
        help(
            "Write the endpoint as https://HOST, with a port where needed, and nothing behind it."
        )
    )]
    Endpoint,

    #[error("the endpoint is not https")]
    #[diagnostic(
        code(drspass::api::insecure_endpoint),
        help(
            "Use https; http is only taken for a literal loopback address such as http://127.0.0.1:8080."
        )
    )]
    InsecureEndpoint,

    #[error("the project id is not 1 to 64 letters, digits, dashes or underscores")]
    #[diagnostic(
        code(drspass::api::project_id),
        help("Copy the project id from the console, My Credentials, Projects.")
    )]
    ProjectId,

    #[error("the CA file holds no certificate in PEM form")]
    #[diagnostic(
        code(drspass::api::ca_file),
        help("Name a file with one or more BEGIN CERTIFICATE blocks.")
    )]
    CaFile,

    #[error("cannot check certificates: the system has no certificate authorities")]
    #[diagnostic(
        code(drspass::api::no_authorities),
        help(
            "Nothing was sent. Install those of the system (Debian: ca-certificates), or name a PEM file with --ca-file or OS_CACERT."
        )
    )]
    NoAuthorities,

    #[error("the connection to the service could not be set up")]
    #[diagnostic(
        code(drspass::api::setup),
        help("Check the certificate store of the system and the proxy variables.")
    )]
    Setup(#[source] reqwest::Error),

    #[error("the token is empty")]
    #[diagnostic(
        code(drspass::api::token),
        help("Check where the token comes from; get a new one if it has expired.")
    )]
    TokenEmpty,

    /// The position counts characters from 1.
    #[error("the token holds a control character at position {position}")]
    #[diagnostic(
        code(drspass::api::token),
        help("Store the token on one line; a single line end after it does no harm.")
    )]
    TokenControl { position: usize },

    /// The position counts characters from 1.
    #[error("the token holds a blank or a character outside ASCII at position {position}")]
    #[diagnostic(
        code(drspass::api::token),
        help("Store the token alone, without quotation marks or other text around it.")
    )]
    TokenForeign { position: usize },

    #[error(
        "the access key cannot be used: {part} is empty or holds a blank, a line end or a foreign character"
    )]
    #[diagnostic(
        code(drspass::api::access_key),
        help("Store each part of the key alone on one line, without quotation marks.")
    )]
    AccessKey { part: &'static str },

    #[error("the address of the identity service cannot be used")]
    #[diagnostic(
        code(drspass::api::auth_url),
        help("Write target.auth_url as https://HOST/v3.")
    )]
    AuthUrl,
}

/// Why a call came to nothing.
#[derive(Debug)]
pub struct CallFailure {
    pub kind: FailureKind,
    /// The host that was asked.
    pub host: String,
    /// What happened on the way, ready to be shown.
    pub notes: Vec<String>,
}

#[derive(Debug)]
pub enum FailureKind {
    /// The caller is not known (any longer).
    Login(Refusal),
    /// Everything else that the service said no to.
    Refused(Refusal),
    /// It said that it cannot answer now, which is no word on the question.
    Failed(Refusal),
    /// It asked to come again later until the time for that was over.
    Busy(Refusal),
    /// Nothing left this machine.
    NoConnection,
    /// No answer that can be used.
    Unanswered,
    /// The login is for another project than the sealed one, or for none.
    OtherProject {
        found: Option<String>,
        sealed: String,
    },
    /// The service's catalogue names another endpoint than the sealed one, or none.
    OtherEndpoint {
        found: Option<ForeignText>,
        sealed: String,
    },
}

impl CallFailure {
    /// A failure that drspass finds by itself.
    pub const fn of_ours(kind: FailureKind) -> Self {
        Self {
            kind,
            host: String::new(),
            notes: Vec::new(),
        }
    }

    /// Whether the caller may ask nothing more.
    pub const fn refuses_caller(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Login(_) | FailureKind::OtherProject { .. }
        )
    }

    /// Whether nothing else may be asked, or is of any use.
    pub const fn ends_asking(&self) -> bool {
        self.is_silence() || self.refuses_caller()
    }

    /// Whether nothing was said on the question, neither yes nor no.
    pub const fn is_silence(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::NoConnection
                | FailureKind::Unanswered
                | FailureKind::Failed(_)
                | FailureKind::Busy(_)
        )
    }

    /// The same with this advice, where the caller was refused without a reason.
    pub fn advised(mut self, advice: &'static str) -> Self {
        if let FailureKind::Login(refusal) = &mut self.kind {
            refusal.advice.get_or_insert(advice);
        }
        self
    }

    /// The failure as an error of whatever was attempted; `used` names the login.
    pub fn into_error(self, what: &'static str, used: String) -> ServiceError {
        ServiceError {
            what,
            used,
            failure: Box::new(self),
        }
    }
}

/// Why the service, or the identity service, did not do what was asked before anything
/// was changed.
#[derive(Debug)]
pub struct ServiceError {
    what: &'static str,
    /// Which login was used, in words without a secret.
    used: String,
    failure: Box<CallFailure>,
}

impl ServiceError {
    /// Whether the caller was refused: trying again would lock keys and accounts.
    pub const fn refuses_caller(&self) -> bool {
        self.failure.refuses_caller()
    }
}

impl std::error::Error for ServiceError {}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            used,
            failure,
        } = self;
        let host = &failure.host;
        let notes = failure.notes.iter().map(|note| format!("; {note}"));
        let notes: String = notes.collect();
        match &failure.kind {
            FailureKind::Login(refusal) | FailureKind::Refused(refusal) => {
                let says = words_of(refusal);
                write!(f, "{what} was refused by {host}: {says}{used}{notes}")
            }
            FailureKind::Failed(refusal) | FailureKind::Busy(refusal) => {
                let says = words_of(refusal);
                write!(f, "{host} could not answer {what}: {says}{notes}")
            }
            FailureKind::NoConnection | FailureKind::Unanswered => {
                write!(f, "{what} got no usable answer from {host}{notes}")
            }
            FailureKind::OtherProject { found, sealed } => {
                let found = match found {
                    Some(id) => format!("project {id}"),
                    None => "no project".to_owned(),
                };
                write!(
                    f,
                    "the login is for {found}{used}, the manifest is sealed for project {sealed}"
                )
            }
            FailureKind::OtherEndpoint { found, sealed } => {
                let found = match found {
                    Some(endpoint) => endpoint.to_string(),
                    None => "no endpoint of this service".to_owned(),
                };
                write!(
                    f,
                    "the catalogue of the identity service names {found}, the manifest is sealed for {sealed}"
                )
            }
        }
    }
}

impl Diagnostic for ServiceError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(match &self.failure.kind {
            FailureKind::Login(_) | FailureKind::Refused(_) => "drspass::service::refused",
            FailureKind::Failed(_) | FailureKind::Busy(_) => "drspass::service::failed",
            FailureKind::NoConnection | FailureKind::Unanswered => "drspass::service::unanswered",
            FailureKind::OtherProject { .. } => "drspass::sealed::project",
            FailureKind::OtherEndpoint { .. } => "drspass::sealed::endpoint",
        }))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(match &self.failure.kind {
            FailureKind::Login(refusal) | FailureKind::Refused(refusal) => refusal
                .advice
                .unwrap_or("Nothing was changed. Read what the service says, and check the target and the rights of the login."),
            FailureKind::Failed(_) | FailureKind::Busy(_) => {
                "Nothing was changed. Run the command again later."
            }
            FailureKind::NoConnection | FailureKind::Unanswered => {
                "Nothing was changed. Check the network, the proxy and the certificates, then run the command again."
            }
            FailureKind::OtherProject { .. } => {
                "Nothing was sent. Use a login for the project of the manifest, or the root directory of the other project."
            }
            FailureKind::OtherEndpoint { .. } => {
                "Nothing was sent. Write the sealed address as target.endpoint if it is still right."
            }
        }))
    }
}

fn words_of(refusal: &Refusal) -> String {
    let Refusal {
        code,
        request_id,
        text,
        ..
    } = refusal;
    let id = labelled(", request ", request_id.as_ref());
    let text = labelled(", it says ", text.as_ref());
    format!("{code}{id}{text}")
}

/// A text with its label before it; nothing where there is no text.
pub fn labelled(label: &str, text: Option<impl fmt::Display>) -> String {
    text.map_or_else(String::new, |text| format!("{label}{text}"))
}
