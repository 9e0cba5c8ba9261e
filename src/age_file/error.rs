//! The errors of envelopes and keys, with their remedies. No variant contains a key, a passphrase
//! or text that was sealed.

use std::io;

use miette::Diagnostic;
use thiserror::Error;

use crate::core::redact::ForeignText;

#[derive(Debug, Error, Diagnostic)]
pub enum AgeError {
    #[error("the manifest is not encrypted")]
    #[diagnostic(
        code(drspass::age::plaintext),
        help(
            "Nothing was sent. Run 'drspass encrypt FILE' on this file, and keep the plain text out of git."
        )
    )]
    NotEncrypted,
    #[error("the manifest is not encrypted with age: it is {what}")]
    #[diagnostic(code(drspass::age::replaced), help("Nothing was sent. {help}"))]
    Replaced {
        what: &'static str,
        help: &'static str,
    },
    #[error("the file contains conflict markers of an unresolved merge")]
    #[diagnostic(
        code(drspass::age::conflict),
        help(
            "Nothing was sent. Run 'drspass merge', which joins the two sides by entry, shows no password, and asks before it writes."
        )
    )]
    ConflictMarks,
    #[error("the file appears to be changed by line-end conversion")]
    #[diagnostic(
        code(drspass::age::line_ends),
        help(
            "Nothing was sent. Mark it '-text' in .gitattributes, as 'drspass init' does, and check it out again."
        )
    )]
    LineEnds,
    #[error("the encrypted file is damaged: {why}")]
    #[diagnostic(
        code(drspass::age::damaged),
        help("Nothing was sent. Restore the file from git.")
    )]
    Damaged { why: &'static str },
    #[error("the encrypted file is damaged in line {line}: {why}")]
    #[diagnostic(
        code(drspass::age::armor),
        help("Nothing was sent. Restore the file from git.")
    )]
    Armor { line: usize, why: &'static str },
    #[error("the file is encrypted with a passphrase, not to recipients")]
    #[diagnostic(
        code(drspass::age::passphrase_file),
        help(
            "Nothing was sent. Decrypt it with 'age -d' and seal it with 'drspass encrypt FILE'."
        )
    )]
    PassphraseFile,
    #[error("no identity matches: the file is not encrypted to any of the given identities")]
    #[diagnostic(
        code(drspass::age::no_match),
        help(
            "Nothing was sent. Pass the right one with -i FILE, DRSPASS_IDENTITY or DRSPASS_IDENTITY_KEY."
        )
    )]
    NoMatch,
    #[error(
        "the identity {origin} is protected by a passphrase, and there is no terminal to ask for it"
    )]
    #[diagnostic(
        code(drspass::age::locked_identity),
        help(
            "Nothing was sent. Run it on a terminal, or use an identity without a passphrase, such as DRSPASS_IDENTITY_KEY from a CI secret."
        )
    )]
    Locked { origin: String },
    #[error("no passphrase was entered for {origin}")]
    #[diagnostic(
        code(drspass::age::declined),
        help("Nothing was sent. Run the command again.")
    )]
    Declined { origin: String },
    #[error("Cancelled. Nothing was sent or changed.")]
    #[diagnostic(code(drspass::interrupted), severity(Advice))]
    Interrupted,
    #[error("the passphrase for {origin} is wrong")]
    #[diagnostic(
        code(drspass::age::wrong_passphrase),
        help("Nothing was sent. Run the command again.")
    )]
    WrongPassphrase { origin: String },
    #[error("{origin} has no usable identity: {why}")]
    #[diagnostic(
        code(drspass::age::identity),
        help(
            "Nothing was sent. Give another file with -i FILE. An identity is an 'AGE-SECRET-KEY-1…' or 'AGE-PLUGIN-…' line, a file of such lines encrypted with 'age -p', or an OpenSSH private key of type ed25519 or rsa."
        )
    )]
    Identity { origin: String, why: &'static str },
    #[error("{origin} has no usable identity: it is damaged in line {line}: {why}")]
    #[diagnostic(
        code(drspass::age::identity_armor),
        help("Nothing was sent. Restore the file from where it was made or copied.")
    )]
    IdentityArmor {
        origin: String,
        line: usize,
        why: &'static str,
    },
    #[error(
        "the passphrase of {origin} has a work factor of {found}, above the limit of {allowed}"
    )]
    #[diagnostic(
        code(drspass::age::work_factor),
        help(
            "Nothing was sent. Each step doubles time and memory. Encrypt the identity again with 'age -p', which uses 18."
        )
    )]
    WorkFactor {
        origin: String,
        found: u32,
        allowed: u8,
    },
    #[error("{program} is needed, and is in no absolute directory of PATH")]
    #[diagnostic(
        code(drspass::age::no_plugin),
        help(
            "Install it, or pass another identity with -i FILE. Directories of PATH that are not absolute are skipped."
        )
    )]
    NoPlugin { program: String },
    #[error("{program} is needed, but this command does not start plugins")]
    #[diagnostic(
        code(drspass::age::plugin_not_started),
        help("Pass an identity that needs no plugin with -i FILE.")
    )]
    PluginNotStarted { program: String },
    #[error("{program} {fault}")]
    #[diagnostic(
        code(drspass::age::plugin),
        help("{}", fault.way_out())
    )]
    Plugin { program: String, fault: PluginFault },
    #[error("{what}")]
    #[diagnostic(
        code(drspass::age::recipient),
        help("Nothing was written. Use age1…, ssh-ed25519 or ssh-rsa public keys instead.")
    )]
    Recipients { what: String },
    #[error("the list of recipients is empty")]
    #[diagnostic(
        code(drspass::age::no_recipient),
        help(
            "Nothing was written. List the public keys that can decrypt the manifest under 'recipients'."
        )
    )]
    NoRecipient,
    #[error("the list of recipients is too long: the file could not be opened")]
    #[diagnostic(
        code(drspass::age::too_many_recipients),
        help(
            "Nothing was written. A file has room for 127 keys, or for some dozens of post-quantum ones."
        )
    )]
    TooManyRecipients,
    #[error("the recipients cannot be combined in one file")]
    #[diagnostic(
        code(drspass::age::uncombinable),
        help(
            "Nothing was written. Post-quantum recipients, and those whose plugin says so, cannot be combined with others."
        )
    )]
    Uncombinable,
    #[error("cannot encrypt")]
    #[diagnostic(
        code(drspass::age::encrypt),
        help("Nothing was written. Fix the cause above, then run the command again.")
    )]
    Encrypt(#[source] io::Error),
}

impl AgeError {
    /// Returns whether another identity may still open the file.
    pub const fn is_about_one_identity(&self) -> bool {
        matches!(
            self,
            Self::Locked { .. }
                | Self::Declined { .. }
                | Self::Identity { .. }
                | Self::IdentityArmor { .. }
                | Self::WorkFactor { .. }
                | Self::NoPlugin { .. }
                | Self::PluginNotStarted { .. }
                | Self::Plugin { .. }
        )
    }
}

#[derive(Debug, Error)]
pub enum PluginFault {
    #[error("cannot be started")]
    Start(#[source] io::Error),
    #[error("exited before it was done")]
    Ended,
    #[error("said nothing for {seconds}s and was stopped")]
    Silent { seconds: u64 },
    #[error("sent too much output and was stopped")]
    Endless,
    #[error("does not speak the protocol of age plugins")]
    Garbled,
    #[error("asked for input, and there is no terminal")]
    Unanswered,
    #[error("asked for input and got none")]
    Declined,
    #[error("asked for input, which contained a control key or invalid UTF-8")]
    Unclear,
    #[error("failed: {0}")]
    Said(ForeignText),
    #[error("failed without giving a reason")]
    Mute,
}

impl PluginFault {
    const fn way_out(&self) -> &'static str {
        match self {
            Self::Unanswered => {
                "Nothing was sent. Run it on a terminal, or use an identity that needs no input."
            }
            Self::Declined | Self::Unclear => "Nothing was sent. Run the command again.",
            Self::Start(_) | Self::Garbled => {
                "Nothing was written. Check that the program of that name on PATH is the right one."
            }
            _ => {
                "Nothing was written. Check that its device is connected and ready, then run the command again."
            }
        }
    }
}
