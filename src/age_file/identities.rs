//! The identities at hand: keys that open a file at once, and keys that ask for
//! something first.

use age::secrecy::SecretString;
use age::{ssh, x25519};

use super::error::AgeError;
use super::{Envelope, envelope_of};

/// Asks for the passphrase of an identity; nothing if nobody can be asked.
pub type AskPassphrase<'a> = &'a dyn Fn(&str) -> Option<SecretString>;

/// The identities at hand.
#[derive(Default)]
pub struct Identities {
    pub(super) open: Vec<Box<dyn age::Identity>>,
    pub(super) locked: Vec<(String, ssh::Identity)>,
}

impl Identities {
    /// Adds what a file or variable holds; `origin` names it in messages.
    /// Fails if it holds no identity that can be used.
    pub fn add(&mut self, text: &[u8], origin: &str) -> Result<(), AgeError> {
        let refuse = |why| AgeError::Identity {
            origin: origin.to_owned(),
            why,
        };
        if envelope_of(text) == Envelope::Encrypted {
            return Err(refuse(
                "it is encrypted with a passphrase, which is not supported for age identities yet",
            ));
        }
        let text = std::str::from_utf8(text).map_err(|_| refuse("it is not text"))?;
        if text.contains("-----BEGIN ") && !text.contains("AGE ENCRYPTED") {
            return self.add_ssh(text, origin);
        }
        let before = self.open.len();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let identity: x25519::Identity = line
                .parse()
                .map_err(|_| refuse("a line is no age identity"))?;
            self.open.push(Box::new(identity));
        }
        if self.open.len() == before {
            return Err(refuse("it holds no key"));
        }
        Ok(())
    }

    fn add_ssh(&mut self, text: &str, origin: &str) -> Result<(), AgeError> {
        let refuse = |why| AgeError::Identity {
            origin: origin.to_owned(),
            why,
        };
        let identity = ssh::Identity::from_buffer(text.as_bytes(), None)
            .map_err(|_| refuse("it is no OpenSSH private key"))?;
        match identity {
            ssh::Identity::Unencrypted(_) => self.open.push(Box::new(identity)),
            ssh::Identity::Encrypted(_) => self.locked.push((origin.to_owned(), identity)),
            ssh::Identity::Unsupported(_) => {
                return Err(refuse("its key type or protection is not supported"));
            }
        }
        Ok(())
    }
}
