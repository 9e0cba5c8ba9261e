//! New keys, and the public half of keys that tell it.

use age::secrecy::ExposeSecret as _;
use age::x25519;
use zeroize::Zeroizing;

use super::error::AgeError;
use super::identities::{POST_QUANTUM, lines, no_identity};
use super::{Envelope, envelope_of};
use crate::core::yaml::plain_text;

/// A new x25519 identity: the text of its file and its public recipient.
pub fn generate_identity(created: &str) -> (Zeroizing<String>, String) {
    let identity = x25519::Identity::generate();
    let public = identity.to_public().to_string();
    let key = identity.to_string();
    let parts = [
        "# created: ",
        created,
        "\n# public key: ",
        &public,
        "\n",
        key.expose_secret(),
        "\n",
    ];
    let mut file = Zeroizing::new(String::with_capacity(parts.iter().map(|p| p.len()).sum()));
    parts.iter().for_each(|part| file.push_str(part));
    (file, public)
}

/// The public recipients of the x25519 identities in an identity file.
/// Fails if the file holds anything else.
pub fn recipients_of(text: &[u8], origin: &str) -> Result<Vec<String>, AgeError> {
    let refuse = |why| AgeError::Identity {
        origin: origin.to_owned(),
        why,
    };
    const TELLS_NONE: &str = "only age identities tell their recipient; name that of others with --recipient 'ssh-ed25519 …'";
    if envelope_of(text) == Envelope::Encrypted {
        return Err(refuse(TELLS_NONE));
    }
    let text = plain_text(text).map_err(refuse)?;
    let recipients: Vec<String> = lines(text)
        .map(|line| {
            line.parse::<x25519::Identity>()
                .map(|identity| identity.to_public().to_string())
                .map_err(|_| {
                    refuse(match line.starts_with(POST_QUANTUM) {
                        true => no_identity(line),
                        false => TELLS_NONE,
                    })
                })
        })
        .collect::<Result<_, _>>()?;
    if recipients.is_empty() {
        return Err(refuse("it holds no key"));
    }
    Ok(recipients)
}
