//! What can be wrong before any password is sent: the settings of the client, the
//! login, and questions that were refused. Nothing here holds a secret or the query of an address.

use std::fmt;

use miette::Diagnostic;
use thiserror::Error;

use super::note::Note;
use crate::core::outcome::Refusal;
use crate::core::redact::ForeignText;

/// Why no client could be made. Nothing was sent.
#[derive(Debug, Error, Diagnostic)]
pub enum ApiError {
    /// The address of the service is no address.
    #[error("the endpoint is not an address of a service")]
    #[diagnostic(
        code(drspass::api::endpoint),
        help(
            "Write the endpoint as https://HOST, with a port where needed, and nothing behind it."
        )
    )]
    Endpoint,

    /// The address is not protected and not local.
    #[error("the endpoint is not https")]
    #[diagnostic(
        code(drspass::api::insecure_endpoint),
        help(
            "Use https; http is only taken for a literal loopback address such as http://127.0.0.1:8080."
        )
    )]
    InsecureEndpoint,

    /// The project id could change the address of a request.
    #[error("the project id is not 1 to 64 letters, digits, dashes or underscores")]
    #[diagnostic(
        code(drspass::api::project_id),
        help("Copy the project id from the console, My Credentials, Projects.")
    )]
    ProjectId,

    /// The given certificates cannot be read.
    #[error("the CA file holds no certificate in PEM form")]
    #[diagnostic(
        code(drspass::api::ca_file),
        help("Name a file with one or more BEGIN CERTIFICATE blocks.")
    )]
    CaFile,

    /// There is nobody to trust.
    #[error("cannot check certificates: the system has no certificate authorities")]
    #[diagnostic(
        code(drspass::api::no_authorities),
        help(
            "Nothing was sent. Install those of the system (Debian: ca-certificates), or name a PEM file with --ca-file or OS_CACERT."
        )
    )]
    NoAuthorities,

    /// The client could not be set up: system certificates or proxy settings.
    #[error("the connection to the service could not be set up")]
    #[diagnostic(
        code(drspass::api::setup),
        help("Check the certificate store of the system and the proxy variables.")
    )]
    Setup(#[source] reqwest::Error),

    /// The token is empty.
    #[error("the token is empty")]
    #[diagnostic(
        code(drspass::api::token),
        help("Check where the token comes from; get a new one if it has expired.")
    )]
    TokenEmpty,

    /// The token holds a character that would end or split a header.
    #[error("the token holds a control character at position {position}")]
    #[diagnostic(
        code(drspass::api::token),
        help("Store the token on one line; a single line end after it does no harm.")
    )]
    TokenControl {
        /// Place of the character, counted in characters from 1.
        position: usize,
    },

    /// The token holds a character that no token has.
    #[error("the token holds a blank or a character outside ASCII at position {position}")]
    #[diagnostic(
        code(drspass::api::token),
        help("Store the token alone, without quotation marks or other text around it.")
    )]
    TokenForeign {
        /// Place of the character, counted in characters from 1.
        position: usize,
    },

    /// A part of the access key cannot be one.
    #[error(
        "the access key cannot be used: {part} is empty or holds a blank, a line end or a foreign character"
    )]
    #[diagnostic(
        code(drspass::api::access_key),
        help("Store each part of the key alone on one line, without quotation marks.")
    )]
    AccessKey {
        /// Which part.
        part: &'static str,
    },

    /// The address of the identity service is no address.
    #[error("the address of the identity service cannot be used")]
    #[diagnostic(
        code(drspass::api::auth_url),
        help("Write target.auth_url as https://HOST/v3.")
    )]
    AuthUrl,
}

/// Why the service, or the identity service, did not do what was asked before
/// anything was changed.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// It said no.
    #[error(
        "{what} was refused by {host}: {}{used}{}",
        refused(refusal),
        noted(notes)
    )]
    Refused {
        /// What was asked.
        what: &'static str,
        /// Who was asked.
        host: String,
        /// Whether it does not know the caller, so that nothing else may be tried.
        of_caller: bool,
        /// What it said.
        refusal: Box<Refusal>,
        /// Which login was used, in words without a secret.
        used: String,
        /// What else there is to know.
        notes: Vec<Note>,
    },
    /// It said that it cannot answer now.
    #[error("{host} could not answer {what}: {}{}", refused(refusal), noted(notes))]
    Failed {
        /// What was asked.
        what: &'static str,
        /// Who was asked.
        host: String,
        /// What it said.
        refusal: Box<Refusal>,
        /// What else there is to know.
        notes: Vec<Note>,
    },
    /// It said nothing that can be used.
    #[error("{what} got no usable answer from {host}{}", noted(notes))]
    Unanswered {
        /// What was asked.
        what: &'static str,
        /// Who was asked.
        host: String,
        /// What happened.
        notes: Vec<Note>,
    },
    /// The login is for another project.
    #[error(
        "the login is for {}{used}, the manifest is sealed for project {sealed}",
        project(found)
    )]
    OtherProject {
        /// The project of the login; none if it is for no project.
        found: Option<String>,
        /// The sealed project.
        sealed: String,
        /// Which login was used, in words without a secret.
        used: String,
    },
    /// The service's catalogue names another endpoint than the sealed one, or none.
    #[error(
        "the catalogue of the identity service names {}, the manifest is sealed for {sealed}",
        endpoint(found)
    )]
    OtherEndpoint {
        /// What it names.
        found: Option<ForeignText>,
        /// The sealed endpoint.
        sealed: String,
    },
}

impl ServiceError {
    /// Whether the caller was refused: trying again would lock keys and accounts.
    pub const fn refuses_caller(&self) -> bool {
        match self {
            Self::Refused { of_caller, .. } => *of_caller,
            Self::OtherProject { .. } => true,
            Self::Failed { .. } | Self::Unanswered { .. } | Self::OtherEndpoint { .. } => false,
        }
    }
}

impl Diagnostic for ServiceError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(match self {
            Self::Refused { .. } => "drspass::service::refused",
            Self::Failed { .. } => "drspass::service::failed",
            Self::Unanswered { .. } => "drspass::service::unanswered",
            Self::OtherProject { .. } => "drspass::sealed::project",
            Self::OtherEndpoint { .. } => "drspass::sealed::endpoint",
        }))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(match self {
            Self::Refused { refusal, .. } => refusal
                .advice
                .unwrap_or("Nothing was changed. Read what the service says, and check the target and the rights of the login."),
            Self::Failed { .. } => "Nothing was changed. Run the command again later.",
            Self::Unanswered { .. } => {
                "Nothing was changed. Check the network, the proxy and the certificates, then run the command again."
            }
            Self::OtherProject { .. } => {
                "Nothing was sent. Use a login for the project of the manifest, or the root directory of the other project."
            }
            Self::OtherEndpoint { .. } => {
                "Nothing was sent. Write the sealed address as target.endpoint if it is still right."
            }
        }))
    }
}

fn refused(refusal: &Refusal) -> String {
    let mut text = refusal.code.to_string();
    if let Some(id) = &refusal.request_id {
        text.push_str(&format!(", request {id}"));
    }
    if let Some(words) = &refusal.text {
        text.push_str(&format!(", it says {words}"));
    }
    text
}

fn noted(notes: &[Note]) -> String {
    notes.iter().map(|note| format!("; {note}")).collect()
}

fn project(found: &Option<String>) -> String {
    found.as_ref().map_or_else(
        || "no project".to_owned(),
        |project| format!("project {project}"),
    )
}

fn endpoint(found: &Option<ForeignText>) -> String {
    found.as_ref().map_or_else(
        || "no endpoint of this service".to_owned(),
        ToString::to_string,
    )
}
