//! Opening an envelope with the given identities, some of which are protected by a passphrase.

use std::io::Read as _;
use std::panic;

use age::secrecy::SecretString;
use age::{scrypt, ssh};
use age_core::format::Stanza;
use zeroize::Zeroizing;

use super::error::AgeError;
use super::header::{self, damaged, explain, misshapen};
use super::identities::{AskPassphrase, Closed, Identities, NoPassphrase, refused};
use super::plugin::{self, Plugins};
use crate::core::yaml::plain_text;

/// The greatest work factor that is accepted, a power of two: scrypt then needs 4 GiB of memory and
/// some 10 seconds. The file that demands it may come from anyone. `age` itself writes 18 and
/// accepts no more than 22 either.
const MAX_WORK_FACTOR: u8 = 22;

/// Help for opening a file besides its identities.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    pub ask: AskPassphrase<'a>,
    pub plugins: Plugins<'a>,
}

/// Opens an envelope.
///
/// Identities that need nothing are tried first, then locked ssh keys that the file names, so that
/// no question is asked in vain; then, in the given order, those that may or may not match. Each
/// asks once. If an identity could not be tried, that is the error, unless another one matches; a
/// wrong passphrase ends it, so that one prompt does not follow the other.
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
        (means.ask)(origin).map_err(|why| {
            let origin = origin.to_owned();
            match why {
                NoPassphrase::Nobody => AgeError::Locked { origin },
                NoPassphrase::Unclear => AgeError::WrongPassphrase { origin },
                NoPassphrase::Declined => AgeError::Declined { origin },
                NoPassphrase::Interrupted => AgeError::Interrupted,
            }
        })
    };
    match key {
        Closed::Ssh { origin, key, tag } => {
            if !names(stanzas, tag.as_deref()) {
                return Err(AgeError::NoMatch);
            }
            let given = passphrase(origin)?;
            // Only the library can check its numbers, and it panics on some.
            let unlocked = panic::catch_unwind(|| key.decrypt(given))
                .map_err(|_| refused(origin, "the key protected by its passphrase is damaged"))?
                .map_err(|_| AgeError::WrongPassphrase {
                    origin: origin.clone(),
                })?;
            let identity = ssh::Identity::from(unlocked);
            decrypt_with(file, &mut std::iter::once(&identity as &dyn age::Identity))
        }
        Closed::File { origin, sealed } => {
            let inner = unlock_file(sealed, origin, passphrase)?;
            // Such a file contains only lines, so this goes no deeper.
            decrypt(file, &inner, means)
        }
        Closed::Plugin { name, lines } => {
            let identity = plugin::Identity {
                name,
                lines,
                plugins: means.plugins,
            };
            decrypt_with(file, &mut std::iter::once(&identity as &dyn age::Identity))
        }
    }
}

/// Returns whether a file names an ssh key; one whose public half is unknown may be any.
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
    reader.read_to_end(&mut plain).map_err(|_| {
        misshapen(file).unwrap_or_else(|| damaged("its content is truncated or changed"))
    })?;
    Ok(plain)
}

/// Opens a file of identities. Limits the work that it demands before it asks for anything.
fn unlock_file(
    sealed: &[u8],
    origin: &str,
    passphrase: impl FnOnce(&str) -> Result<SecretString, AgeError>,
) -> Result<Identities, AgeError> {
    let refused = |why| refused(origin, why);
    let owned = || origin.to_owned();
    let stanzas = header::stanzas(sealed).map_err(|error| match error {
        AgeError::Armor { line, why } => AgeError::IdentityArmor {
            origin: owned(),
            line,
            why,
        },
        _ => refused("it is encrypted and damaged"),
    })?;
    let args = match stanzas.as_slice() {
        [stanza] if stanza.tag == "scrypt" => &stanza.args,
        _ => {
            let why = "it is encrypted to recipients; only a passphrase is supported here";
            return Err(refused(why));
        }
    };
    let damaged = || refused("it is encrypted, and its header is damaged");
    let found = args
        .get(1)
        .filter(|text| text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse::<u32>().ok())
        .ok_or_else(damaged)?;
    if found > u32::from(MAX_WORK_FACTOR) {
        return Err(AgeError::WorkFactor {
            origin: owned(),
            found,
            allowed: MAX_WORK_FACTOR,
        });
    }
    let mut key = scrypt::Identity::new(passphrase(origin)?);
    key.set_max_work_factor(MAX_WORK_FACTOR);
    let mut reader = header::read(sealed)
        .map_err(|_| refused("it is encrypted and damaged"))?
        .decrypt(std::iter::once(&key as &dyn age::Identity))
        .map_err(|error| match error {
            age::DecryptError::DecryptionFailed | age::DecryptError::KeyDecryptionFailed => {
                AgeError::WrongPassphrase { origin: owned() }
            }
            _ => damaged(),
        })?;
    // The text is shorter than the file, so the buffer never moves.
    let mut text = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader
        .read_to_end(&mut text)
        .map_err(|_| refused("it is encrypted, and truncated or changed"))?;
    let text = plain_text(&text).map_err(refused)?;
    let mut identities = Identities::default();
    identities.add_lines(text, origin)?;
    Ok(identities)
}
