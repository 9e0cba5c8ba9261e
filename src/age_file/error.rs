//! Everything that can go wrong with an envelope or a key, with what to do about it.
//! No variant holds a key, a passphrase or text of what was sealed.

use std::io;

use miette::Diagnostic;
use thiserror::Error;

/// An envelope that cannot be opened or made.
#[derive(Debug, Error, Diagnostic)]
pub enum AgeError {
    /// The file is not encrypted at all.
    #[error("the manifest is not encrypted")]
    #[diagnostic(
        code(drspass::age::plaintext),
        help(
            "Run 'drspass encrypt FILE' to seal it, and see that the plain text never gets into git."
        )
    )]
    NotEncrypted,
    /// A merge was left unfinished.
    #[error("the file holds conflict marks of an unresolved merge")]
    #[diagnostic(
        code(drspass::age::conflict),
        help(
            "Get one side with 'git checkout --ours FILE' and the other with '--theirs', write out each with 'drspass decrypt -o', join them by hand, and seal the result with 'drspass encrypt' while one side is in place."
        )
    )]
    ConflictMarks,
    /// Line ends were rewritten in a binary file.
    #[error("the file looks changed by line-end conversion")]
    #[diagnostic(
        code(drspass::age::line_ends),
        help("Mark it '-text' in .gitattributes, as 'drspass init' does, and check it out again.")
    )]
    LineEnds,
    /// The file is damaged or was cut.
    #[error("the encrypted file is damaged: {why}")]
    #[diagnostic(
        code(drspass::age::damaged),
        help("Nothing of it was used. Restore the file from git.")
    )]
    Damaged {
        /// What was found.
        why: &'static str,
    },
    /// The lines around the encrypted text are damaged.
    #[error("the encrypted file is damaged in line {line}: {why}")]
    #[diagnostic(
        code(drspass::age::armor),
        help("Nothing of it was used. Restore the file from git.")
    )]
    Armor {
        /// Its number, from 1.
        line: usize,
        /// What is wrong there.
        why: &'static str,
    },
    /// It was encrypted with a passphrase.
    #[error("the file is encrypted with a passphrase, not to recipients")]
    #[diagnostic(
        code(drspass::age::passphrase_file),
        help("Decrypt it with 'age -d' and seal it with 'drspass encrypt'.")
    )]
    PassphraseFile,
    /// None of the identities at hand opens it.
    #[error("no identity matches: the file is not encrypted to any of the identities at hand")]
    #[diagnostic(
        code(drspass::age::no_match),
        help("Name the right one with -i FILE, DRSPASS_IDENTITY or DRSPASS_IDENTITY_KEY.")
    )]
    NoMatch,
    /// The only identity that could open it is locked.
    #[error(
        "the identity {origin} is protected by a passphrase, and there is no terminal to ask for it"
    )]
    #[diagnostic(
        code(drspass::age::locked_identity),
        help(
            "Run it on a terminal, or use an identity without a passphrase from a protected place, such as DRSPASS_IDENTITY_KEY in a CI secret."
        )
    )]
    Locked {
        /// Where the identity came from.
        origin: String,
    },
    /// The passphrase that was typed is wrong.
    #[error("the passphrase for {origin} is wrong")]
    #[diagnostic(code(drspass::age::wrong_passphrase), help("Run the command again."))]
    WrongPassphrase {
        /// Where the identity came from.
        origin: String,
    },
    /// A source of identities holds none that can be used.
    #[error("{origin} holds no identity that can be used: {why}")]
    #[diagnostic(
        code(drspass::age::identity),
        help(
            "An identity is an 'AGE-SECRET-KEY-1…' line or an OpenSSH private key of type ed25519 or rsa."
        )
    )]
    Identity {
        /// Where it came from.
        origin: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A recipient cannot be encrypted to.
    #[error("recipient {number} cannot be encrypted to: {why}")]
    #[diagnostic(
        code(drspass::age::recipient),
        help("Use an age1… , ssh-ed25519 or ssh-rsa public key. Nothing was written.")
    )]
    Recipient {
        /// Its number in the list, from 1.
        number: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// Encrypting failed.
    #[error("cannot encrypt")]
    #[diagnostic(code(drspass::age::encrypt))]
    Encrypt(#[source] io::Error),
}
