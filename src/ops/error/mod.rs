//! Everything that can stop a use case, with a code and what to do about it.
//! No variant carries text of a manifest, a secret, or an address with a query.

mod edit;
mod manifest;

use std::io;
use std::path::PathBuf;

use miette::Diagnostic;
use thiserror::Error;

use crate::age_file::AgeError;
use crate::api::error::{ApiError, ServiceError};
use crate::core::address::Unmatched;
use crate::core::fingerprint::ChangeId;
use crate::core::problem::{Problem, Severity};
use crate::core::report::{Signal, TargetChange};
use crate::core::saved::Stale;
use crate::core::target::{TargetError, UntrustedHost};
use crate::store::StoreError;
use crate::store::format::FormatError;
use crate::sys::git::GitError;

pub use edit::EditError;
pub use manifest::{OtherKey, OtherScope, RekeyError, RollbackError, UnexpectedKey, ValueError};

/// Why a use case stopped. Unless a variant says otherwise, nothing was sent
/// and nothing was changed.
#[derive(Debug, Error, Diagnostic)]
pub enum OpError {
    #[error("{path} is not usable: {}", counted(problems))]
    #[diagnostic(code(drspass::document::invalid))]
    Document {
        /// The document, as the user named it.
        path: PathBuf,
        /// Everything that is wrong with it, errors and warnings.
        #[related]
        problems: Vec<ProblemReport>,
    },
    #[error("there is no {path}")]
    #[diagnostic(
        code(drspass::root::missing),
        help("Run 'drspass init' to make one, or name another folder with -C DIR.")
    )]
    NoRoot {
        /// The file that was looked for.
        path: PathBuf,
    },
    #[error("{path} leads out of the folder of drspass.yaml")]
    #[diagnostic(
        code(drspass::root::outside),
        help(
            "Keep the manifest and the state below that folder, without links that lead elsewhere; a state elsewhere is named with --state or DRSPASS_STATE."
        )
    )]
    Outside {
        /// The path, as configured.
        path: PathBuf,
    },
    #[error("cannot read {path}")]
    #[diagnostic(
        code(drspass::file::read),
        help("See whether the path is right and may be read.")
    )]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}")]
    #[diagnostic(
        code(drspass::file::write),
        help(
            "Nothing was overwritten. See whether its folder is there, has room and may be written to, or choose another name."
        )
    )]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} is written, but the disk did not confirm it")]
    #[diagnostic(
        code(drspass::file::unsynced),
        help("See what is wrong with the disk, and whether the file is as it should be.")
    )]
    Unsynced { path: PathBuf, source: io::Error },
    #[error("{path} exists already")]
    #[diagnostic(
        code(drspass::file::exists),
        help("Nothing was written. Move it away, or name another file.")
    )]
    Exists { path: PathBuf },
    #[error("cannot set up this directory: {}", counted(problems))]
    #[diagnostic(code(drspass::init), help("Nothing was written."))]
    NotSetUp {
        /// Each of them.
        #[related]
        problems: Vec<ProblemReport>,
    },
    #[error("{what}")]
    #[diagnostic(code(drspass::request), help("{help}"))]
    Unfit {
        /// What does not fit.
        what: String,
        /// What to do.
        help: &'static str,
    },
    #[error("cannot use {path}")]
    #[diagnostic(forward(source))]
    Age { path: PathBuf, source: AgeError },
    #[error(
        "no identity matches: {path} is encrypted to {}, and none of the identities at hand opens it", match recipients { 1 => "1 recipient".to_owned(), many => format!("{many} recipients") }
    )]
    #[diagnostic(
        code(drspass::age::no_match),
        help("Name the right one with -i FILE, DRSPASS_IDENTITY or DRSPASS_IDENTITY_KEY.")
    )]
    NoMatch {
        path: PathBuf,
        /// How many recipients its header has.
        recipients: usize,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Rekey(#[from] RekeyError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Identity(AgeError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Value(#[from] ValueError),
    #[error("there is no identity to decrypt with")]
    #[diagnostic(
        code(drspass::age::no_identity),
        help(
            "Name one with -i FILE, DRSPASS_IDENTITY (a path) or DRSPASS_IDENTITY_KEY (the key itself), or keep it at {default}."
        )
    )]
    NoIdentity { default: String },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    #[diagnostic(
        code(drspass::target::invalid),
        help(
            "Give target.region (such as eu-de), or both target.endpoint and target.auth_url as https addresses."
        )
    )]
    Target(#[from] TargetError),
    #[error(transparent)]
    #[diagnostic(
        code(drspass::target::untrusted),
        help(
            "Nothing was sent or changed. If the host is right, name it with --trust-host HOST or DRSPASS_TRUSTED_HOSTS; drspass.yaml cannot."
        )
    )]
    UntrustedHost(#[from] UntrustedHost),
    #[error("{} of drspass.yaml is {}, but the manifest is sealed for {}", .0.field, .0.to, .0.from)]
    #[diagnostic(
        code(drspass::sealed::target),
        help(
            "Nothing was sent or changed. Undo the change of drspass.yaml, or run 'drspass rekey', which shows the change, asks, and seals the manifest for the new target."
        )
    )]
    TargetMoved(TargetChange),
    #[error(transparent)]
    #[diagnostic(
        code(drspass::sealed::key_id),
        help(
            "Nothing was sent or changed. Somebody without the key may have made this manifest; see who changed it, and change the expected id only if the key was replaced on purpose."
        )
    )]
    UnexpectedKey(#[from] UnexpectedKey),
    #[error(transparent)]
    #[diagnostic(
        code(drspass::sealed::new_key),
        help(
            "Nothing was sent or changed. See who changed the manifest; if its key was replaced on purpose, 'drspass apply --accept-new-key {}', without a saved plan, starts the state anew and sends every entry.",
            .0.state
        )
    )]
    NewKey(OtherKey),
    #[error(transparent)]
    #[diagnostic(
        code(drspass::sealed::other_key_beside),
        help(
            "Nothing was written: whoever made this manifest may have chosen who reads the next one. See who changed it; if its key was replaced on purpose, say so with --expect-key-id and the manifest's key."
        )
    )]
    OtherKeyBeside(OtherKey),
    #[error(transparent)]
    #[diagnostic(code(drspass::sealed::rollback), help("{}", .0.way_out()))]
    Rollback(#[from] RollbackError),
    #[error("{path} was changed by another process while this command was starting")]
    #[diagnostic(
        code(drspass::manifest::changed),
        help("Nothing was sent or changed. Run the same command again.")
    )]
    ManifestMoved { path: PathBuf },
    #[error(transparent)]
    #[diagnostic(
        code(drspass::state::scope),
        help(
            "Nothing was sent or changed. Use one root folder and one state for each project; 'drspass rekey' moves both to another project."
        )
    )]
    OtherScope(#[from] OtherScope),
    #[error("{path} is no recovery file of this state: {why}")]
    #[diagnostic(
        code(drspass::state::recovery),
        help(
            "Nothing was changed. Name the file that the apply printed; it is made for this manifest's key."
        )
    )]
    Recovery { path: PathBuf, why: FormatError },
    #[error("recipients changed: {difference}; run drspass rekey")]
    #[diagnostic(
        code(drspass::sealed::recipients),
        help(
            "Nothing was written. Undo the change of drspass.yaml, or run 'drspass rekey', which lists who is added and removed, asks, and encrypts to them."
        )
    )]
    RecipientsChanged {
        /// Added with `+`, removed with `-`, shortened.
        difference: String,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Service(#[from] ServiceError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Edit(#[from] EditError),
    #[error("{path} is no plan that can be applied")]
    #[diagnostic(
        code(drspass::plan::file),
        help(
            "Nothing was sent or changed. Name the file that 'drspass plan --out' wrote, or make a new plan."
        )
    )]
    PlanFile {
        /// The file, as the user named it.
        path: PathBuf,
        source: FormatError,
    },
    #[error("{path} was altered, or made with another key than the manifest's")]
    #[diagnostic(
        code(drspass::plan::authentic),
        help("Nothing was sent or changed. See where the file came from, and make a new plan.")
    )]
    PlanNotAuthentic {
        /// The file, as the user named it.
        path: PathBuf,
    },
    #[error("{path} is stale: {}", why.why)]
    #[diagnostic(
        code(drspass::plan::stale),
        help("Nothing was sent or changed. {}", why.help)
    )]
    Stale {
        /// The file, as the user named it.
        path: PathBuf,
        /// What does not fit.
        why: Stale,
    },
    #[error("this is the change {found}, not {expected}")]
    #[diagnostic(
        code(drspass::plan::other_change),
        help("Nothing was sent or changed. See what changed since that change was reviewed.")
    )]
    OtherChange { found: ChangeId, expected: ChangeId },
    #[error("{what}")]
    #[diagnostic(code(drspass::login), help("{help}"))]
    Login {
        what: String,
        /// What to do.
        help: String,
    },
    #[error("Cancelled. {0}")]
    #[diagnostic(code(drspass::interrupted), severity(Advice))]
    Cancelled(&'static str),
    #[error("the run was {}", match signal { Signal::Interrupt => "interrupted", Signal::Terminate => "told to end" })]
    #[diagnostic(
        code(drspass::interrupted),
        help("Nothing was sent, and the manifest is as it was.")
    )]
    Interrupted { signal: Signal },
    #[error("cannot prepare to talk to the service")]
    #[diagnostic(code(drspass::runtime), help("Nothing was sent or changed."))]
    Runtime(#[source] io::Error),
    #[error("{}", unmatched(.0))]
    #[diagnostic(
        code(drspass::address::unmatched),
        help(
            "Nothing was sent or changed. An address is a job's id or name, with /source or /destination if only one is meant, or @CREDENTIAL; 'drspass show' lists them."
        )
    )]
    Unmatched(Vec<Unmatched>),
    #[error("{} the limits: {limits}", match changes { 1 => "1 change exceeds".to_owned(), many => format!("{many} changes exceed") })]
    #[diagnostic(
        code(drspass::apply::limit),
        help(
            "Nothing was sent or changed. See whether so much shall change; --override-limits {changes} accepts exactly this many."
        )
    )]
    LimitExceeded {
        /// How many entries would change.
        changes: u64,
        /// The limits that they exceed.
        limits: String,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Git(#[from] GitError),
    #[error("not approved: {why}")]
    #[diagnostic(code(drspass::not_approved), help("{help}"))]
    NotApproved {
        why: &'static str,
        /// What to do.
        help: &'static str,
    },
}

/// One problem of a document as a diagnostic of its own.
#[derive(Debug)]
pub struct ProblemReport(pub Problem);

impl std::fmt::Display for ProblemReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for ProblemReport {}

impl Diagnostic for ProblemReport {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.0.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(&self.0.help))
    }
}

impl OpError {
    /// The error for a document with these problems.
    pub fn document(path: impl Into<PathBuf>, problems: Vec<Problem>) -> Self {
        Self::Document {
            path: path.into(),
            problems: problems.into_iter().map(ProblemReport).collect(),
        }
    }
}

impl OpError {
    /// One error for several that stop an init, so that none hides the next.
    pub fn several(errors: &[Self]) -> Self {
        let problem = |error: &Self| {
            let help = error
                .help()
                .map(|help| help.to_string())
                .unwrap_or_default();
            ProblemReport(Problem::error("", None, with_causes(error), help))
        };
        Self::NotSetUp {
            problems: errors.iter().map(problem).collect(),
        }
    }
}

/// How many errors these are, in words.
pub fn counted(problems: &[ProblemReport]) -> String {
    let errors = problems
        .iter()
        .filter(|problem| problem.0.severity == Severity::Error)
        .count();
    match errors {
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    }
}

/// The addresses that name nothing, by their place on the command line.
pub fn unmatched(addresses: &[Unmatched]) -> String {
    let named: Vec<String> = addresses
        .iter()
        .map(|address| format!("address {} of {}", address.number, address.option))
        .collect();
    format!("{} names no entry", named.join(", "))
}

/// An error with everything that led to it, in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
