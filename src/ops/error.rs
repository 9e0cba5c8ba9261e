//! Every error of a use case, with a code and help. None has text of a manifest, a secret, or
//! an address with a query.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;

use crate::age_file::AgeError;
use crate::authoring::NotRewritten;
use crate::core::fingerprint::{KeyId, Scope};
use crate::core::problem::{Problem, counted};
use crate::core::report::Signal;
use crate::core::state::Rollback;
use crate::core::target::TargetError;
use crate::store::StoreError;

pub use crate::core::failure::{ErrorClass, Failure, with_causes};

/// Why a use case stopped. Unless it says otherwise, nothing was sent and nothing was
/// changed.
#[derive(Debug, Error, Diagnostic)]
pub enum OpError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Failure(#[from] Failure),
    #[error("{path} is not usable: {}", counted(problems))]
    #[diagnostic(code(drspass::document::invalid), help("Nothing was sent or changed."))]
    Document {
        path: PathBuf,
        #[related]
        problems: Vec<Problem>,
    },
    #[error("{path} is written, but the disk did not confirm it")]
    #[diagnostic(
        code(drspass::file::unsynced),
        help("Check the disk, and that the file has the new content.")
    )]
    Unsynced { path: PathBuf, source: io::Error },
    #[error("cannot use {path}")]
    #[diagnostic(forward(source))]
    Age { path: PathBuf, source: AgeError },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Identity(AgeError),
    #[error(
        "no identity matches: {path} is encrypted to {}, and none of the given identities opens it (tried {tried})", match recipients { 1 => "1 recipient".to_owned(), many => format!("{many} recipients") }
    )]
    #[diagnostic(
        code(drspass::age::no_match),
        help(
            "Nothing was sent. Give the right one with -i FILE, DRSPASS_IDENTITY or DRSPASS_IDENTITY_KEY. If yours is not a recipient, someone who can read the manifest adds your public key to drspass.yaml and rekeys."
        )
    )]
    NoMatch {
        path: PathBuf,
        recipients: usize,
        tried: String,
    },
    #[error("no identity to decrypt with")]
    #[diagnostic(
        code(drspass::age::no_identity),
        help(
            "Nothing was sent. Give one with -i FILE, DRSPASS_IDENTITY (a path) or DRSPASS_IDENTITY_KEY (the key itself), or store it at {default}."
        )
    )]
    NoIdentity { default: String },
    #[error(transparent)]
    #[diagnostic(
        code(drspass::target::invalid),
        help(
            "Nothing was sent. Give target.region (init: --region), such as eu-de, or both target.endpoint and target.auth_url (--endpoint, --auth-url) as https addresses."
        )
    )]
    Target(#[from] TargetError),
    #[error("Cancelled. {0}")]
    #[diagnostic(code(drspass::interrupted), severity(Advice))]
    Cancelled(&'static str),
    #[error("the run was {}", signal.word())]
    #[diagnostic(
        code(drspass::interrupted),
        help("Nothing was sent, and the manifest is unchanged.")
    )]
    Interrupted { signal: Signal },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Store(#[from] StoreError),
}

impl OpError {
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Failure(failure) | Self::Store(StoreError::Failed(failure)) => failure.class,
            Self::Target(_) | Self::Store(StoreError::Moved { .. }) => ErrorClass::Sealed,
            Self::Store(StoreError::Locked { .. } | StoreError::Changed { .. }) => {
                ErrorClass::Locked
            }
            Self::Cancelled(_)
            | Self::Age {
                source: AgeError::Interrupted,
                ..
            }
            | Self::Identity(AgeError::Interrupted) => ErrorClass::Ended(Signal::Interrupt),
            Self::Interrupted { signal } => ErrorClass::Ended(*signal),
            _ => ErrorClass::Failed,
        }
    }

    pub fn document(path: impl Into<PathBuf>, problems: Vec<Problem>) -> Self {
        Self::Document {
            path: path.into(),
            problems,
        }
    }

    /// A command that does not fit the situation.
    pub fn unfit(what: impl Into<String>, help: impl Into<Cow<'static, str>>) -> Self {
        Failure::new("drspass::request", what, help).into()
    }

    /// A variable that is set to an empty value.
    pub fn empty(variable: &str) -> Self {
        let help = "Nothing was sent. Give it a value, or unset it.";
        Self::unfit(format!("{variable} is empty"), help)
    }

    pub fn age(path: &Path) -> impl Fn(AgeError) -> Self {
        move |source| Self::Age {
            path: path.to_owned(),
            source,
        }
    }

    pub fn read(path: impl AsRef<Path>) -> impl Fn(io::Error) -> Self {
        move |source| {
            Failure::new(
                "drspass::file::read",
                format!("cannot read {}", path.as_ref().display()),
                "Nothing was sent. Check that the file exists and is readable, then run the command again.",
            )
            .because(source)
            .into()
        }
    }

    pub fn write(path: impl AsRef<Path>) -> impl Fn(io::Error) -> Self {
        move |source| {
            Failure::new(
                "drspass::file::write",
                format!("cannot write {}", path.as_ref().display()),
                "Nothing was overwritten. Check that its directory exists, that both are writable and the disk has free space, or choose another name.",
            )
            .because(source)
            .into()
        }
    }

    pub fn exists(path: &Path) -> Self {
        Failure::new(
            "drspass::file::exists",
            format!("{} exists already", path.display()),
            "Nothing was written. Move it away, or choose another name.",
        )
        .into()
    }

    pub fn runtime(source: io::Error) -> Self {
        Failure::new(
            "drspass::runtime",
            "cannot start the threads of this command",
            "Nothing was sent or changed.",
        )
        .because(source)
        .into()
    }

    pub fn not_approved(why: &str, help: &'static str) -> Self {
        Failure::new(
            "drspass::not_approved",
            format!("not approved: {why}"),
            help,
        )
        .class(ErrorClass::NotApproved)
        .into()
    }

    /// Addresses that match no entry, each as `core::address::unmatched` says it.
    pub fn unmatched(addresses: Vec<String>) -> Self {
        Failure::new(
            "drspass::address::unmatched",
            addresses.join("; "),
            "Nothing was sent or changed. An address is a job's id or name, with /source or /destination for one endpoint, or @CREDENTIAL; 'drspass show' lists them.",
        )
        .into()
    }

    /// `behind` are the revisions of a manifest that is older than the state.
    pub fn replaced_key(state: &KeyId, manifest: &KeyId, behind: Option<Rollback>) -> Self {
        Failure::new(
            "drspass::sealed::new_key",
            other_key(state, manifest),
            format!(
                "Nothing was sent or changed. {} run 'drspass apply --accept-new-key {state}' without a saved plan: it starts a new state and sends every password of this manifest.",
                if_meant(behind)
            ),
        )
        .class(ErrorClass::Sealed)
        .into()
    }

    pub fn other_scope(
        Scope {
            endpoint,
            project_id,
        }: &Scope,
    ) -> Self {
        Failure::new(
            "drspass::state::scope",
            format!("the state belongs to another target: project {project_id} at {endpoint}"),
            "Nothing was sent or changed. Name the state of this project (drspass.yaml, --state or DRSPASS_STATE); each project needs one of its own.",
        )
        .class(ErrorClass::Sealed)
        .into()
    }

    /// A manifest whose revision was used before, `highest` of all.
    pub fn rollback(manifest: u64, highest: u64) -> Self {
        let what = if manifest == highest {
            format!("another manifest with revision {manifest} was applied")
        } else {
            format!(
                "the manifest has revision {manifest}, but revision {highest} was applied already"
            )
        };
        let next = highest.saturating_add(1);
        Failure::new(
            "drspass::sealed::rollback",
            what,
            format!(
                "Nothing was sent or changed. Take the newest manifest first, such as with 'git \
                 pull'; or, if this one is meant, as after 'git revert', plan and apply it once \
                 with --allow-rollback. After a change with drspass, such as 'drspass set', it has \
                 revision {next} and needs no flag."
            ),
        )
        .class(ErrorClass::Sealed)
        .into()
    }
}

impl From<NotRewritten> for OpError {
    fn from(NotRewritten: NotRewritten) -> Self {
        Failure::new(
            "drspass::value::layout",
            "cannot change the value in this manifest's layout",
            "Nothing was written. Make the change with 'drspass edit'; please report the layout, without its values.",
        )
        .into()
    }
}

/// Returns when to accept another key than the state's, and what to do first.
pub fn if_meant(behind: Option<Rollback>) -> String {
    match behind {
        Some(behind) => format!("{}. Only if the older one is meant,", take_newest(behind)),
        None => "Check who changed the manifest; if its key was replaced on purpose,".to_owned(),
    }
}

pub fn take_newest(behind: Rollback) -> String {
    let older = older_words(behind);
    format!("{older}: take the newest one, such as with 'git pull'")
}

pub fn older_words(Rollback { to, applied }: Rollback) -> String {
    format!("This manifest (revision {to}) is older than the state's ({applied})")
}

pub fn other_key(state: &KeyId, manifest: &KeyId) -> String {
    format!("the state was made with the key {state}, the manifest has {manifest}")
}
