//! Failures of calls, and their form as an error. None has a secret or the query of an address.

use std::fmt;

use crate::core::failure::Failure;
use crate::core::outcome::Refusal;
use crate::core::redact::ForeignText;

#[derive(Debug)]
pub struct CallFailure {
    pub kind: FailureKind,
    pub host: String,
    /// What happened before, ready to be shown.
    pub notes: Vec<String>,
}

#[derive(Debug)]
pub enum FailureKind {
    /// The caller is unknown or its login has expired.
    Login(Refusal),
    /// Any other refusal of the service.
    Refused(Refusal),
    /// The service cannot answer now.
    Failed(Refusal),
    /// The service was busy until the time for retries was over.
    Busy(Refusal),
    /// Nothing was sent.
    NoConnection,
    /// There was no usable answer.
    Unanswered,
    /// The login is for another project than the sealed one, or for none.
    OtherProject {
        found: Option<String>,
        sealed: String,
    },
    /// The catalogue has another DRS endpoint than the sealed one, or none.
    OtherEndpoint {
        found: Option<ForeignText>,
        sealed: String,
    },
}

impl CallFailure {
    pub const fn new(kind: FailureKind, host: String, notes: Vec<String>) -> Self {
        Self { kind, host, notes }
    }

    /// A failure that drspass finds itself.
    pub const fn of_ours(kind: FailureKind) -> Self {
        Self::new(kind, String::new(), Vec::new())
    }

    /// Returns whether the service refuses the caller itself, so that no more may be sent.
    pub const fn refuses_caller(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Login(_) | FailureKind::OtherProject { .. }
        )
    }

    /// Returns whether more queries are forbidden or useless.
    pub const fn ends_asking(&self) -> bool {
        self.is_silence() || self.refuses_caller()
    }

    /// Returns whether the service gave no answer, neither yes nor no.
    pub const fn is_silence(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::NoConnection
                | FailureKind::Unanswered
                | FailureKind::Failed(_)
                | FailureKind::Busy(_)
        )
    }

    /// Adds this advice if the caller was refused without a reason.
    pub fn advised(mut self, advice: &'static str) -> Self {
        if let FailureKind::Login(refusal) = &mut self.kind {
            refusal.advice.get_or_insert(advice);
        }
        self
    }

    /// Turns the failure into an error of the given attempt; `used` names the login.
    pub fn into_error(self, what: &str, used: &str) -> Failure {
        let Self { kind, host, notes } = self;
        let notes: String = notes.iter().map(|note| format!("; {note}")).collect();
        let (code, message, help) = match kind {
            FailureKind::Login(refusal) | FailureKind::Refused(refusal) => (
                "drspass::service::refused",
                format!("{host} rejected {what}{}{used}{notes}", words_of(&refusal)),
                refusal.advice.unwrap_or(
                    "Check the service's message, the target, and the permissions of the login.",
                ),
            ),
            FailureKind::Failed(refusal) | FailureKind::Busy(refusal) => (
                "drspass::service::failed",
                format!(
                    "{host} could not answer {what}{}{notes}",
                    words_of(&refusal)
                ),
                "Run the command again later.",
            ),
            FailureKind::NoConnection | FailureKind::Unanswered => (
                "drspass::service::unanswered",
                format!("{what} got no usable answer from {host}{notes}"),
                "Check the network, the proxy and the certificates, then run the command again.",
            ),
            FailureKind::OtherProject { found, sealed } => {
                let found = found.map_or("no project".to_owned(), |id| format!("project {id}"));
                (
                    "drspass::sealed::project",
                    format!(
                        "the login is for {found}{used}, the manifest is sealed for project {sealed}"
                    ),
                    "Use a login for the project of the manifest, or the root directory of the other project.",
                )
            }
            FailureKind::OtherEndpoint { found, sealed } => {
                let found = found.as_ref().map(ToString::to_string);
                let found = found.unwrap_or("no DRS endpoint".to_owned());
                (
                    "drspass::sealed::endpoint",
                    format!(
                        "the identity service's catalogue has {found}, the manifest is sealed for {sealed}"
                    ),
                    "Write the sealed address as target.endpoint if it is still right.",
                )
            }
        };
        Failure::new(code, message, format!("Nothing was sent. {help}"))
    }
}

fn words_of(refusal: &Refusal) -> String {
    let id = labelled(", request ", refusal.request_id.as_ref());
    let text = labelled(": ", refusal.text.as_ref());
    let code = refusal.code.to_string().replacen("HTTP-", "HTTP ", 1);
    format!(" ({code}{id}){text}")
}

/// Returns a text after its label, or nothing if there is no text.
pub fn labelled(label: &str, text: Option<impl fmt::Display>) -> String {
    text.map_or_else(String::new, |text| format!("{label}{text}"))
}
