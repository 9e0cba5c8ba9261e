//! Opening an envelope, and telling what is wrong with one that does not open.

use std::io::Read as _;
use std::panic;

use age::ssh;
use age_core::format::Stanza;
use zeroize::Zeroizing;

use super::armor::{self, BINARY_START};
use super::error::AgeError;
use super::identities::{AskPassphrase, Closed, Identities, NoPassphrase};
use super::plugin::{self, Plugins};
use super::{header, passphrase};

/// What may be done beside looking at keys.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// How to ask for a passphrase.
    pub ask: AskPassphrase<'a>,
    /// Whether and how plugins are started.
    pub plugins: Plugins<'a>,
}

/// Opens an envelope. Identities that need nothing are tried first, then locked ssh
/// keys that the file names, so that nobody is asked in vain; then, as they were
/// named, those that may or may not fit. Each is asked about once.
/// Fails if the file is no age file, is damaged anywhere, or no identity fits. Where an
/// identity could not be tried, that is the error, unless another one fits; a wrong
/// passphrase ends it, so that nobody is asked for one after the other.
pub fn decrypt(
    file: &[u8],
    identities: &Identities,
    means: &Means<'_>,
) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    match decrypt_with(file, &mut identities.open.iter().map(AsRef::as_ref)) {
        Err(AgeError::NoMatch) if !identities.closed.is_empty() => {}
        done => return done,
    }
    let stanzas = header::stanzas(file)?;
    let (ssh, others): (Vec<_>, Vec<_>) = identities
        .closed
        .iter()
        .partition(|key| matches!(key, Closed::Ssh { .. }));
    let mut first_failure = None;
    for key in ssh.into_iter().chain(others) {
        match decrypt_closed(file, &stanzas, key, means) {
            Err(AgeError::NoMatch) => {}
            Err(error) if error.is_about_one_identity() => {
                first_failure.get_or_insert(error);
            }
            done => return done,
        }
    }
    Err(first_failure.unwrap_or(AgeError::NoMatch))
}

fn decrypt_closed(
    file: &[u8],
    stanzas: &[Stanza],
    key: &Closed,
    means: &Means<'_>,
) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    let passphrase = |origin: &str| {
        (means.ask)(origin).map_err(|why| match why {
            NoPassphrase::Nobody => AgeError::Locked {
                origin: origin.to_owned(),
            },
            NoPassphrase::Unclear => AgeError::WrongPassphrase {
                origin: origin.to_owned(),
            },
            NoPassphrase::Declined => AgeError::Declined {
                origin: origin.to_owned(),
            },
            NoPassphrase::Interrupted => AgeError::Interrupted,
        })
    };
    match key {
        Closed::Ssh { origin, key, tag } => {
            if !names(stanzas, tag.as_deref()) {
                return Err(AgeError::NoMatch);
            }
            let given = passphrase(origin)?;
            // Its numbers can only be looked through by the library, which panics on some.
            let unlocked = panic::catch_unwind(|| key.decrypt(given))
                .map_err(|_| AgeError::Identity {
                    origin: origin.clone(),
                    why: "the key behind its passphrase is damaged",
                })?
                .map_err(|_| AgeError::WrongPassphrase {
                    origin: origin.clone(),
                })?;
            let identity = ssh::Identity::from(unlocked);
            decrypt_with(file, &mut std::iter::once(&identity as &dyn age::Identity))
        }
        Closed::File { origin, sealed } => {
            passphrase::check(sealed, origin)?;
            let inner = passphrase::open(sealed, passphrase(origin)?, origin)?;
            // Such a file holds lines only, so this goes no deeper.
            decrypt(file, &inner, means)
        }
        Closed::Plugin { name, lines } => {
            let identity = plugin::Identity::new(name, lines, means.plugins);
            decrypt_with(file, &mut std::iter::once(&identity as &dyn age::Identity))
        }
    }
}

/// Whether a file names an ssh key; one whose public half is unknown may be any.
fn names(stanzas: &[Stanza], tag: Option<&str>) -> bool {
    stanzas.iter().any(|stanza| {
        let is_ssh = ["ssh-rsa", "ssh-ed25519"].contains(&stanza.tag.as_str());
        is_ssh && tag.is_none_or(|tag| stanza.args.first().is_some_and(|named| named == tag))
    })
}

fn decrypt_with(
    file: &[u8],
    identities: &mut dyn Iterator<Item = &dyn age::Identity>,
) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    let mut reader = header::for_keys(file)?
        .decrypt(identities)
        .map_err(|error| explain(error, file))?;
    // The plain text is shorter than the file, so the buffer never moves and
    // leaves no copy behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(file.len()));
    reader
        .read_to_end(&mut plain)
        .map_err(|_| misshapen(file).unwrap_or_else(|| damaged("its content is cut or changed")))?;
    Ok(plain)
}

pub(super) const fn damaged(why: &'static str) -> AgeError {
    AgeError::Damaged { why }
}

/// What is wrong with the armor of a file, if anything is: it tells more than what
/// follows from it.
fn misshapen(file: &[u8]) -> Option<AgeError> {
    (!file.starts_with(BINARY_START))
        .then(|| armor::check(file).err())
        .flatten()
}

pub(super) fn explain(error: age::DecryptError, file: &[u8]) -> AgeError {
    let error = match error {
        // What a plugin failed at travels through the library in this form.
        age::DecryptError::Io(error) => match AgeError::carried_by(error) {
            Ok(carried) => return carried,
            Err(error) => age::DecryptError::Io(error),
        },
        error => error,
    };
    if let Some(misshapen) = misshapen(file) {
        return misshapen;
    }
    match error {
        age::DecryptError::NoMatchingKeys => AgeError::NoMatch,
        age::DecryptError::InvalidHeader => damaged("its header is not one of age"),
        age::DecryptError::InvalidMac => damaged("its header was changed"),
        age::DecryptError::UnknownFormat => damaged("it is of an unknown age version"),
        age::DecryptError::Io(_) => damaged("it is cut, or its armor is malformed"),
        _ => damaged("it cannot be decrypted"),
    }
}
