//! What can be wrong with a login. Nothing here carries a secret, or text of a file that
//! may hold one.

use std::fmt::Display;
use std::io;
use std::path::Path;

use miette::Diagnostic;
use thiserror::Error;

use crate::core::problem::Position;
use crate::ops::OpError;
use crate::ops::error::{Failure, with_causes};

/// Why there is no usable login. Nothing was sent.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct LoginError {
    code: &'static str,
    message: String,
    help: String,
    source: Option<io::Error>,
}

impl Diagnostic for LoginError {
    fn code(&self) -> Option<Box<dyn Display + '_>> {
        Some(Box::new(self.code))
    }

    fn help(&self) -> Option<Box<dyn Display + '_>> {
        Some(Box::new(&self.help))
    }
}

impl From<LoginError> for OpError {
    fn from(error: LoginError) -> Self {
        let message = with_causes(&error);
        Failure::new(error.code, message, error.help).into()
    }
}

impl LoginError {
    pub fn new(code: &'static str, message: impl Into<String>, help: &str) -> Self {
        Self {
            code,
            message: message.into(),
            help: format!("Nothing was sent{help}"),
            source: None,
        }
    }

    /// A value that cannot be what it stands for. `place` is its variable or key, `what`
    /// does not contain it.
    pub fn value(place: impl Display, what: impl Display, help: &str) -> Self {
        let message = format!("{place} {what}");
        Self::new("drspass::login::value", message, &format!(". {help}"))
    }

    /// A login of which only a part is given.
    pub fn incomplete(given: &str, place: &str, missing: &str) -> Self {
        Self::new(
            "drspass::login::incomplete",
            format!("the login is incomplete: {given} in {place}, but not {missing}"),
            ", and no other login was tried instead. Add what is missing, or remove what is there.",
        )
    }

    /// A project id that could change the address of a request.
    pub fn project_form(place: &str) -> Self {
        Self::new(
            "drspass::login::project_form",
            format!(
                "the project id from {place} is not 1 to 64 letters, digits, dashes or underscores"
            ),
            ". Copy the id from the console, My Credentials, Projects; or leave it out, since drspass.yaml names the project.",
        )
    }

    pub fn insecure(place: &str) -> Self {
        Self::new(
            "drspass::login::insecure",
            format!("{place} would switch off the check of certificates"),
            ": passwords would go to whoever answers. Remove it, and trust a private authority with --ca-file.",
        )
    }

    pub fn client_certificate(place: &str) -> Self {
        Self::new(
            "drspass::login::client_certificate",
            format!("{place} names a client certificate, which is not supported"),
            ". Remove it, and log in with a token, a password or an access key.",
        )
    }

    /// A file that cannot be read.
    pub fn read(what: &str, path: &Path, source: io::Error) -> Self {
        let error = Self::new(
            "drspass::login::read",
            format!("cannot read {what} {}", path.display()),
            ". See whether the path is right and may be read.",
        );
        Self {
            source: Some(source),
            ..error
        }
    }

    /// A file that is not usable, in words of our own.
    pub fn document(path: &Path, at: Option<Position>, what: &str, help: &str) -> Self {
        let at = at.map_or_else(String::new, |at| format!("{at}: "));
        let message = format!("{} is not usable: {at}{what}", path.display());
        Self::new("drspass::login::document", message, &format!(". {help}"))
    }
}
