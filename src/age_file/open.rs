//! Opening an envelope, and telling what is wrong with one that does not open.

use std::io::{self, Read as _};

use age::Decryptor;
use age::armor::ArmoredReader;
use age::ssh;
use zeroize::Zeroizing;

use super::armor::{self, BINARY_START};
use super::error::AgeError;
use super::identities::{AskPassphrase, Identities};
use super::{Envelope, envelope_of};
use crate::files;

/// Opens an envelope. Open identities are tried first, so that a passphrase is
/// asked for only when it is needed, and once for each identity.
/// Fails if the file is no age file, is damaged anywhere, or no identity fits.
pub fn decrypt(
    file: &[u8],
    identities: &Identities,
    ask: AskPassphrase<'_>,
) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    refuse_damage(file)?;
    match decrypt_with(file, &mut identities.open.iter().map(AsRef::as_ref)) {
        Err(AgeError::NoMatch) if !identities.locked.is_empty() => {}
        done => return done,
    }
    for (origin, locked) in &identities.locked {
        let ssh::Identity::Encrypted(key) = locked else {
            continue;
        };
        let passphrase = ask(origin).ok_or_else(|| AgeError::Locked {
            origin: origin.clone(),
        })?;
        let unlocked = key
            .decrypt(passphrase)
            .map_err(|_| AgeError::WrongPassphrase {
                origin: origin.clone(),
            })?;
        let identity = ssh::Identity::from(unlocked);
        match decrypt_with(file, &mut std::iter::once(&identity as &dyn age::Identity)) {
            Err(AgeError::NoMatch) => {}
            done => return done,
        }
    }
    Err(AgeError::NoMatch)
}

fn decrypt_with(
    file: &[u8],
    identities: &mut dyn Iterator<Item = &dyn age::Identity>,
) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    let decryptor =
        Decryptor::new_buffered(ArmoredReader::new(file)).map_err(|error| explain(error, file))?;
    if decryptor.is_scrypt() {
        return Err(AgeError::PassphraseFile);
    }
    let mut reader = decryptor
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

/// Whether a file has the header of an age file, without any key.
/// Fails if it is no age file, or one that no identity could open.
pub fn check_header(file: &[u8]) -> Result<(), AgeError> {
    refuse_damage(file)?;
    let decryptor =
        Decryptor::new_buffered(ArmoredReader::new(file)).map_err(|error| explain(error, file))?;
    if decryptor.is_scrypt() {
        return Err(AgeError::PassphraseFile);
    }
    if file.starts_with(BINARY_START) {
        return Ok(());
    }
    // Armor tells its end, so a cut file and plain text behind it can be seen.
    armor::check(file)?;
    io::copy(&mut ArmoredReader::new(file), &mut io::sink())
        .map_err(|_| damaged("its armor is cut or malformed, or something follows it"))?;
    Ok(())
}

const fn damaged(why: &'static str) -> AgeError {
    AgeError::Damaged { why }
}

/// Faults that have a better name than the one the library gives them.
pub(super) fn refuse_damage(file: &[u8]) -> Result<(), AgeError> {
    if !file.starts_with(BINARY_START) && files::has_conflict_marks(file) {
        return Err(AgeError::ConflictMarks);
    }
    if envelope_of(file) == Envelope::Plain {
        return Err(AgeError::NotEncrypted);
    }
    let first_line = file.split_inclusive(|byte| *byte == b'\n').next();
    if file.starts_with(BINARY_START) && first_line.is_some_and(|line| line.ends_with(b"\r\n")) {
        return Err(AgeError::LineEnds);
    }
    refuse_long_header(file)
}

/// A header has some hundred bytes for each recipient. The library reads it again from
/// its start for each of its lines, so that one of megabytes, which anybody can write,
/// would keep it busy without end.
const MAX_HEADER_BYTES: u64 = 128 << 10;

/// Fails if the header does not end where every usual one has ended.
fn refuse_long_header(file: &[u8]) -> Result<(), AgeError> {
    let mut start = Vec::new();
    // What is malformed is found and named by the library.
    let read = ArmoredReader::new(file)
        .take(MAX_HEADER_BYTES)
        .read_to_end(&mut start);
    let is_cut = read.is_err() || (start.len() as u64) < MAX_HEADER_BYTES;
    if is_cut || start.windows(5).any(|part| part == b"\n--- ") {
        Ok(())
    } else {
        Err(damaged("its header is too long"))
    }
}

/// What is wrong with the armor of a file, if anything is: it tells more than what
/// follows from it.
fn misshapen(file: &[u8]) -> Option<AgeError> {
    (!file.starts_with(BINARY_START))
        .then(|| armor::check(file).err())
        .flatten()
}

pub(super) fn explain(error: age::DecryptError, file: &[u8]) -> AgeError {
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
