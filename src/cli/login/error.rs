//! What can be wrong with a login. No variant carries a secret or text of a file that may
//! hold one.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use miette::Diagnostic;
use thiserror::Error;

use crate::core::problem::Position;
use crate::ops::OpError;
use crate::ops::error::with_causes;

/// Why there is no usable login. Nothing was sent.
#[derive(Debug, Error, Diagnostic)]
pub enum LoginError {
    #[error("there is no login")]
    #[diagnostic(
        code(drspass::login::missing),
        help(
            "Nothing was sent. Set OS_TOKEN; or OS_USERNAME, OS_PASSWORD and OS_USER_DOMAIN_NAME; or OS_ACCESS_KEY and OS_SECRET_KEY; or name an entry of clouds.yaml with --cloud, OS_CLOUD or credentials_from in drspass.yaml; or give --token-file FILE."
        )
    )]
    Missing,

    #[error("the login is incomplete: {given} in {place}, but not {missing}")]
    #[diagnostic(
        code(drspass::login::incomplete),
        help(
            "Nothing was sent, and no other login was tried instead. Add what is missing, or remove what is there."
        )
    )]
    Incomplete {
        given: String,
        place: String,
        missing: String,
    },

    #[error("{place} {what}")]
    #[diagnostic(code(drspass::login::value), help("Nothing was sent. {help}"))]
    Value {
        place: String,
        what: Cow<'static, str>,
        help: &'static str,
    },

    #[error("the project id from {place} is not 1 to 64 letters, digits, dashes or underscores")]
    #[diagnostic(
        code(drspass::login::project_form),
        help(
            "Nothing was sent. Copy the id from the console, My Credentials, Projects; or leave it out, since drspass.yaml names the project."
        )
    )]
    ProjectForm { place: String },

    #[error("{place} is {found}, but the project of drspass.yaml is {wanted}")]
    #[diagnostic(
        code(drspass::login::other_project),
        help(
            "Nothing was sent. Use the login of that project, or the root folder of the other one."
        )
    )]
    OtherProject {
        place: String,
        found: String,
        wanted: String,
    },

    #[error("{key} of {entry} is not the sealed identity service")]
    #[diagnostic(
        code(drspass::login::other_cloud),
        help(
            "Nothing was sent. credentials_from of drspass.yaml can only name an entry with the auth_url that is sealed, or without one; to log in with this entry all the same, name it with --cloud or OS_CLOUD."
        )
    )]
    OtherCloud { key: &'static str, entry: String },

    #[error("{place} would switch off the check of certificates")]
    #[diagnostic(
        code(drspass::login::insecure),
        help(
            "Nothing was sent: passwords would go to whoever answers. Remove it, and trust a private authority with --ca-file."
        )
    )]
    Insecure { place: String },

    #[error("{place} names a client certificate, which is not supported")]
    #[diagnostic(
        code(drspass::login::client_certificate),
        help("Nothing was sent. Remove it, and log in with a token, a password or an access key.")
    )]
    ClientCertificate { place: String },

    #[error("{what} {} lies in the work tree {}", path.display(), tree.display())]
    #[diagnostic(
        code(drspass::login::work_tree),
        help(
            "Nothing was sent. Whoever can commit to the work tree could choose the login, and a login could be committed by mistake: keep the file elsewhere, such as ~/.config/openstack/clouds.yaml."
        )
    )]
    InWorkTree {
        what: &'static str,
        path: PathBuf,
        tree: PathBuf,
    },

    #[error("cannot read {what} {}", path.display())]
    #[diagnostic(
        code(drspass::login::read),
        help("Nothing was sent. See whether the path is right and may be read.")
    )]
    Read {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    #[error("{} is not usable: {}{what}", path.display(), prefix(*at))]
    #[diagnostic(code(drspass::login::document), help("Nothing was sent. {help}"))]
    Document {
        path: PathBuf,
        at: Option<Position>,
        what: &'static str,
        help: &'static str,
    },

    #[error("{named_by} names an entry of clouds.yaml, but there is no such file")]
    #[diagnostic(
        code(drspass::login::no_clouds),
        help(
            "Nothing was sent. Put clouds.yaml into ~/.config/openstack or /etc/openstack, or name the file with OS_CLIENT_CONFIG_FILE. One in the current folder is not read."
        )
    )]
    NoClouds { named_by: &'static str },

    #[error("{named_by} names the entry {name}, which {} does not hold", path.display())]
    #[diagnostic(
        code(drspass::login::no_entry),
        help("Nothing was sent. The names of the entries stand below `clouds:` in that file.")
    )]
    NoEntry {
        named_by: &'static str,
        name: String,
        path: PathBuf,
    },

    #[error("there is no login: {} holds several entries and none is named", path.display())]
    #[diagnostic(
        code(drspass::login::several_entries),
        help(
            "Nothing was sent. Name one with --cloud, OS_CLOUD or credentials_from in drspass.yaml."
        )
    )]
    SeveralEntries { path: PathBuf },
}

impl LoginError {
    pub fn empty(name: &str) -> Self {
        Self::value(name, "is empty", "Give it a value, or unset it.")
    }

    pub fn value(
        place: impl Into<String>,
        what: impl Into<Cow<'static, str>>,
        help: &'static str,
    ) -> Self {
        Self::Value {
            place: place.into(),
            what: what.into(),
            help,
        }
    }
}

fn prefix(at: Option<Position>) -> String {
    at.map_or_else(String::new, |at| format!("{at}: "))
}

impl From<LoginError> for OpError {
    fn from(error: LoginError) -> Self {
        Self::Login {
            what: with_causes(&error),
            help: error
                .help()
                .map_or_else(String::new, |help| help.to_string()),
        }
    }
}
