//! Everything that can go wrong with an envelope or a key, with what to do about it.
//! No variant holds a key, a passphrase or text of what was sealed.

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
            "Run 'drspass encrypt FILE' with this very file to seal it, and see that the plain text never gets into git."
        )
    )]
    NotEncrypted,
    #[error("the manifest is not encrypted with age: it is {what}")]
    #[diagnostic(code(drspass::age::replaced), help("Nothing was sent. {help}"))]
    Replaced {
        what: &'static str,
        help: &'static str,
    },
    #[error("the file holds conflict marks of an unresolved merge")]
    #[diagnostic(
        code(drspass::age::conflict),
        help(
            "Get one side with 'git checkout --ours FILE' and the other with '--theirs', write out each with 'drspass decrypt -o', join them by hand, and seal the result with 'drspass encrypt' while one side is in place."
        )
    )]
    ConflictMarks,
    #[error("the file looks changed by line-end conversion")]
    #[diagnostic(
        code(drspass::age::line_ends),
        help("Mark it '-text' in .gitattributes, as 'drspass init' does, and check it out again.")
    )]
    LineEnds,
    #[error("the encrypted file is damaged: {why}")]
    #[diagnostic(
        code(drspass::age::damaged),
        help("Nothing of it was used. Restore the file from git.")
    )]
    Damaged { why: &'static str },
    #[error("the encrypted file is damaged in line {line}: {why}")]
    #[diagnostic(
        code(drspass::age::armor),
        help("Nothing of it was used. Restore the file from git.")
    )]
    Armor { line: usize, why: &'static str },
    #[error("the file is encrypted with a passphrase, not to recipients")]
    #[diagnostic(
        code(drspass::age::passphrase_file),
        help("Decrypt it with 'age -d' and seal it with 'drspass encrypt'.")
    )]
    PassphraseFile,
    #[error("no identity matches: the file is not encrypted to any of the identities at hand")]
    #[diagnostic(
        code(drspass::age::no_match),
        help("Name the right one with -i FILE, DRSPASS_IDENTITY or DRSPASS_IDENTITY_KEY.")
    )]
    NoMatch,
    #[error(
        "the identity {origin} is protected by a passphrase, and there is no terminal to ask for it"
    )]
    #[diagnostic(
        code(drspass::age::locked_identity),
        help(
            "Run it on a terminal, or use an identity without a passphrase from a protected place, such as DRSPASS_IDENTITY_KEY in a CI secret."
        )
    )]
    Locked { origin: String },
    #[error("no passphrase was typed for {origin}")]
    #[diagnostic(code(drspass::age::declined), help("Run the command again."))]
    Declined { origin: String },
    #[error("Cancelled. Nothing was sent or changed.")]
    #[diagnostic(code(drspass::interrupted), severity(Advice))]
    Interrupted,
    #[error("the passphrase for {origin} is wrong")]
    #[diagnostic(code(drspass::age::wrong_passphrase), help("Run the command again."))]
    WrongPassphrase { origin: String },
    #[error("{origin} holds no identity that can be used: {why}")]
    #[diagnostic(
        code(drspass::age::identity),
        help(
            "An identity is an 'AGE-SECRET-KEY-1…' or 'AGE-PLUGIN-…' line, a file of such lines encrypted with 'age -p', or an OpenSSH private key of type ed25519 or rsa."
        )
    )]
    Identity { origin: String, why: &'static str },
    #[error("{origin} holds no identity that can be used: it is damaged in line {line}: {why}")]
    #[diagnostic(
        code(drspass::age::identity_armor),
        help("Bring the file back from where it was made or copied.")
    )]
    IdentityArmor {
        origin: String,
        line: usize,
        why: &'static str,
    },
    #[error(
        "{origin} demands a work factor of {found} for its passphrase, and at most {allowed} is done"
    )]
    #[diagnostic(
        code(drspass::age::work_factor),
        help(
            "Each step doubles time and memory. Encrypt the identity again with 'age -p', which takes 18."
        )
    )]
    WorkFactor {
        origin: String,
        found: u32,
        allowed: u8,
    },
    #[error("{program} is needed, and no absolute folder of PATH holds it")]
    #[diagnostic(
        code(drspass::age::no_plugin),
        help(
            "Install it, or name another identity with -i FILE. Folders of PATH that are not absolute are passed over."
        )
    )]
    NoPlugin { program: String },
    #[error("{program} is needed, and this command starts no plugin")]
    #[diagnostic(
        code(drspass::age::plugin_not_started),
        help("Name an identity that needs no plugin with -i FILE.")
    )]
    PluginNotStarted { program: String },
    #[error("{program} {fault}")]
    #[diagnostic(
        code(drspass::age::plugin),
        help("{}", fault.way_out())
    )]
    Plugin { program: String, fault: PluginFault },
    #[error("{}", listed(refused))]
    #[diagnostic(
        code(drspass::age::recipient),
        help("Use age1…, ssh-ed25519 or ssh-rsa public keys instead. Nothing was written.")
    )]
    Recipients {
        /// Their numbers, from 1, and what follows their names.
        refused: Vec<(usize, &'static str)>,
    },
    #[error("the list of recipients is empty")]
    #[diagnostic(
        code(drspass::age::no_recipient),
        help("List who may read the manifest under 'recipients'. Nothing was written.")
    )]
    NoRecipient,
    #[error("the list of recipients is too long: nobody could open the file")]
    #[diagnostic(
        code(drspass::age::too_many_recipients),
        help(
            "There is room for 127 keys, of post-quantum ones for some dozens. Nothing was written."
        )
    )]
    TooManyRecipients,
    #[error("the recipients cannot be combined in one file")]
    #[diagnostic(
        code(drspass::age::uncombinable),
        help(
            "A post-quantum recipient, and one whose plugin says so, stand only beside their like. Nothing was written."
        )
    )]
    Uncombinable,
    #[error("cannot encrypt")]
    #[diagnostic(
        code(drspass::age::encrypt),
        help("Nothing was written. Run the command again; the cause is named above.")
    )]
    Encrypt(#[source] io::Error),
}

impl AgeError {
    /// Whether another identity may still open the file.
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

fn listed(refused: &[(usize, &'static str)]) -> String {
    let each: Vec<String> = refused
        .iter()
        .map(|(number, what)| format!("recipient {number} {what}"))
        .collect();
    each.join("; ")
}

#[derive(Debug, Error)]
pub enum PluginFault {
    #[error("cannot be started")]
    Start(#[source] io::Error),
    #[error("ended before it was done")]
    Ended,
    #[error("said nothing for {seconds} s and was stopped")]
    Silent { seconds: u64 },
    #[error("said more than it may and was stopped")]
    Endless,
    #[error("does not speak the protocol of age plugins")]
    Garbled,
    #[error("asked for something, and there is no terminal to ask on")]
    Unanswered,
    #[error("asked for something that was not answered")]
    Declined,
    #[error("asked for something, and what was typed holds keys that are no characters")]
    Unclear,
    #[error("failed: {0}")]
    Said(ForeignText),
    #[error("failed without a reason")]
    Mute,
}

impl PluginFault {
    const fn way_out(&self) -> &'static str {
        match self {
            Self::Unanswered => "Run it on a terminal, or use an identity that asks nothing.",
            Self::Declined | Self::Unclear => "Run the command again.",
            Self::Start(_) | Self::Garbled => {
                "Nothing was written. See whether the program of that name on PATH is the right one."
            }
            _ => {
                "Nothing was written. See that its device is there and ready, and run the command again."
            }
        }
    }
}
