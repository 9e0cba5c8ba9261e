//! Errors of logins. None contains a secret, or text of a file that may contain one.

use std::fmt::Display;
use std::io;
use std::path::Path;

use crate::core::problem::Position;
use crate::ops::error::{Failure, with_causes};

/// An invalid value. `place` is its variable or key; `what` does not contain the value.
pub fn value(place: impl Display, what: impl Display, help: &str) -> Failure {
    Failure::new(
        "drspass::login::value",
        format!("{place} {what}"),
        format!("Nothing was sent. {help}"),
    )
}

/// A project id that could change the address of a request.
pub fn project_form(place: &str) -> Failure {
    Failure::new(
        "drspass::login::project_form",
        format!(
            "the project id from {place} is not 1 to 64 letters, digits, dashes or underscores"
        ),
        "Nothing was sent. Copy the id from the console (My Credentials, Projects), or unset it, since drspass.yaml names the project.",
    )
}

pub fn insecure(place: &str) -> Failure {
    Failure::new(
        "drspass::login::insecure",
        format!("{place} would turn off certificate verification"),
        "Nothing was sent. Without verification, any host could receive the passwords. Remove it, and trust a private authority with --ca-file.",
    )
}

pub fn client_certificate(place: &str) -> Failure {
    Failure::new(
        "drspass::login::client_certificate",
        format!("{place} names a client certificate, which is not supported"),
        "Nothing was sent. Remove it, and log in with a token, a password or an access key.",
    )
}

pub fn unreadable(what: &str, path: &Path, source: &io::Error) -> Failure {
    Failure::new(
        "drspass::login::read",
        format!(
            "cannot read {what} {}: {}",
            path.display(),
            with_causes(source)
        ),
        "Nothing was sent. Check that the file exists and is readable.",
    )
}

/// An invalid file. `what` does not contain its text.
pub fn document(path: &Path, at: Option<Position>, what: &str, help: &str) -> Failure {
    let at = at.map_or_else(String::new, |at| format!("{at}: "));
    Failure::new(
        "drspass::login::document",
        format!("{} is invalid: {at}{what}", path.display()),
        format!("Nothing was sent. {help}"),
    )
}
