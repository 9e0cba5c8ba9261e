//! Identity files that are themselves encrypted with a passphrase, as `age -p` makes
//! them. The work that the file demands is bounded before anything is asked.

use std::io::Read as _;

use age::scrypt;
use age::secrecy::SecretString;
use zeroize::Zeroizing;

use super::error::AgeError;
use super::header;
use super::identities::Identities;
use crate::core::yaml::plain_text;

/// The greatest work factor that is taken, a power of two: scrypt with blocks of
/// 1 KiB then needs 4 GiB of memory and some 10 seconds. Each step more doubles both,
/// and the file, which says how much it is to be, may come from anybody. `age` itself
/// writes 18 and takes no more than 22 either.
const MAX_WORK_FACTOR: u8 = 22;

/// Whether a file of identities asks for a passphrase and for work within bounds.
/// Fails if it is damaged, encrypted to recipients, or too costly.
pub(super) fn check(sealed: &[u8], origin: &str) -> Result<(), AgeError> {
    let refused = |why| AgeError::Identity {
        origin: origin.to_owned(),
        why,
    };
    let stanzas = match header::stanzas(sealed) {
        Ok(stanzas) => stanzas,
        Err(AgeError::Armor { line, why }) => {
            return Err(AgeError::IdentityArmor {
                origin: origin.to_owned(),
                line,
                why,
            });
        }
        Err(_) => return Err(refused("it is encrypted, and damaged")),
    };
    let [stanza] = stanzas.as_slice() else {
        return Err(refused(NOT_A_PASSPHRASE));
    };
    if stanza.tag != "scrypt" {
        return Err(refused(NOT_A_PASSPHRASE));
    }
    let found = stanza
        .args
        .get(1)
        .filter(|text| text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse::<u32>().ok())
        .ok_or_else(|| refused("it is encrypted, and its header is damaged"))?;
    if found > u32::from(MAX_WORK_FACTOR) {
        return Err(AgeError::WorkFactor {
            origin: origin.to_owned(),
            found,
            allowed: MAX_WORK_FACTOR,
        });
    }
    Ok(())
}

const NOT_A_PASSPHRASE: &str = "it is encrypted to recipients; only a passphrase is supported here";

/// Opens a file of identities that [`check`] let through.
/// Fails if the passphrase is another one, or the file holds no identities.
pub(super) fn open(
    sealed: &[u8],
    passphrase: SecretString,
    origin: &str,
) -> Result<Identities, AgeError> {
    let refused = |why| AgeError::Identity {
        origin: origin.to_owned(),
        why,
    };
    let mut key = scrypt::Identity::new(passphrase);
    key.set_max_work_factor(MAX_WORK_FACTOR);
    let mut reader = header::read(sealed)
        .map_err(|_| refused("it is encrypted, and damaged"))?
        .decrypt(std::iter::once(&key as &dyn age::Identity))
        .map_err(|error| match error {
            age::DecryptError::DecryptionFailed | age::DecryptError::KeyDecryptionFailed => {
                AgeError::WrongPassphrase {
                    origin: origin.to_owned(),
                }
            }
            _ => refused("it is encrypted, and its header is damaged"),
        })?;
    // The text is shorter than the file, so the buffer never moves.
    let mut text = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader
        .read_to_end(&mut text)
        .map_err(|_| refused("it is encrypted, and cut or changed"))?;
    let text = plain_text(&text).map_err(refused)?;
    let mut identities = Identities::default();
    identities.add_lines(text, origin)?;
    Ok(identities)
}
