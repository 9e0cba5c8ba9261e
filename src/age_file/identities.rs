//! Identities: keys that open a file at once, and keys that ask for something first. Unusable ones
//! are refused with a reason where a person would suspect a broken key.

use std::cell::RefCell;
use std::collections::BTreeMap;

use age::secrecy::{ExposeSecret as _, SecretString};
use age::{plugin, ssh, x25519};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::error::AgeError;
use super::is_age_file;
use crate::core::recipients::{SshWire, refuse_ssh_key, ssh_tag};
use crate::core::yaml::plain_text;

/// An rsa key of 4096 bits has some 3,400.
const MAX_BYTES: usize = 16 << 10;
/// The longest number of an rsa key of 4096 bits.
const MAX_NUMBER_BYTES: usize = 512;
/// What the passphrase of a key may cost: some minutes. `ssh-keygen` uses 16 or 24 rounds.
const MAX_ROUNDS: u32 = 10_000;

const BROKEN: &str = "it is not a complete OpenSSH private key";
const NUMBERS: &str = "its rsa key has invalid numbers";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPassphrase {
    Nobody,
    /// The input contains a control key or invalid UTF-8.
    Unclear,
    /// Ctrl-D at the prompt.
    Declined,
    Interrupted,
}

pub type AskPassphrase<'a> = &'a dyn Fn(&str) -> Result<SecretString, NoPassphrase>;

/// Passphrases that were typed, for a run that opens more than one file.
#[derive(Default)]
pub struct Passphrases {
    known: RefCell<BTreeMap<String, SecretString>>,
}

impl Passphrases {
    pub fn ask_once(
        &self,
        origin: &str,
        ask: AskPassphrase<'_>,
    ) -> Result<SecretString, NoPassphrase> {
        if let Some(passphrase) = self.known.borrow().get(origin) {
            return Ok(passphrase.clone());
        }
        let passphrase = ask(origin)?;
        let mut known = self.known.borrow_mut();
        known.insert(origin.to_owned(), passphrase.clone());
        Ok(passphrase)
    }
}

#[derive(Default)]
pub struct Identities {
    pub open: Vec<Box<dyn age::Identity>>,
    pub closed: Vec<Closed>,
}

pub enum Closed {
    Ssh {
        origin: String,
        key: Box<ssh::EncryptedKey>,
        /// Its tag in a file; `None` if its public half is unreadable.
        tag: Option<String>,
    },
    /// A file of age identities, encrypted with a passphrase.
    File { origin: String, sealed: Vec<u8> },
    /// Keys that a plugin has or can reach.
    Plugin {
        /// The plugin's name, without `age-plugin-`.
        name: String,
        /// The lines for it, each of which may be a secret.
        lines: Vec<Zeroizing<String>>,
    },
}

impl Identities {
    /// Adds the identities of a file or variable; `origin` names it in messages.
    pub fn add(&mut self, text: &[u8], origin: &str) -> Result<(), AgeError> {
        if is_age_file(text) {
            self.closed.push(Closed::File {
                origin: origin.to_owned(),
                sealed: text.to_vec(),
            });
            return Ok(());
        }
        let text = plain_text(text).map_err(|what| refused(origin, what))?;
        if text.contains("-----BEGIN ") {
            self.add_ssh(text, origin)
        } else {
            self.add_lines(text, origin)
        }
    }

    pub fn add_lines(&mut self, text: &str, origin: &str) -> Result<(), AgeError> {
        let mut count = 0;
        for line in lines(text) {
            if let Ok(identity) = line.parse::<x25519::Identity>() {
                self.open.push(Box::new(identity));
            } else if let Ok(identity) = line.parse::<plugin::Identity>() {
                self.add_plugin(identity.plugin(), line);
            } else {
                return Err(refused(origin, no_identity(line)));
            }
            count += 1;
        }
        if count == 0 {
            return Err(refused(origin, "it contains no key"));
        }
        Ok(())
    }

    /// All keys of one plugin go to one run of it.
    fn add_plugin(&mut self, plugin: &str, line: &str) {
        let line = Zeroizing::new(line.to_owned());
        for key in &mut self.closed {
            if let Closed::Plugin { name, lines } = key
                && name == plugin
            {
                lines.push(line);
                return;
            }
        }
        self.closed.push(Closed::Plugin {
            name: plugin.to_owned(),
            lines: vec![line],
        });
    }

    fn add_ssh(&mut self, text: &str, origin: &str) -> Result<(), AgeError> {
        if let Some(why) = foreign_pem(text) {
            return Err(refused(origin, why));
        }
        // The key may have been stored where line ends are converted.
        let text = Zeroizing::new(text.trim().replace("\r\n", "\n"));
        if let Some(why) = refuse_private_key(&text) {
            return Err(refused(origin, why));
        }
        let identity = ssh::Identity::from_buffer(text.as_bytes(), None)
            .map_err(|_| refused(origin, BROKEN))?;
        match identity {
            ssh::Identity::Unencrypted(_) => self.open.push(Box::new(identity)),
            ssh::Identity::Encrypted(key) => {
                let tag = match ssh::Recipient::try_from(ssh::Identity::from(key.clone())) {
                    Ok(
                        ssh::Recipient::SshRsa(public, _) | ssh::Recipient::SshEd25519(public, _),
                    ) => Some(ssh_tag(&public)),
                    Err(ssh::ParseRecipientKeyError::Unsupported(kind)) => {
                        return Err(refused(origin, ssh_kind(&kind)));
                    }
                    Err(_) => None,
                };
                self.closed.push(Closed::Ssh {
                    origin: origin.to_owned(),
                    key: Box::new(key),
                    tag,
                });
            }
            ssh::Identity::Unsupported(key) => return Err(refused(origin, unsupported(&key))),
        }
        Ok(())
    }
}

pub fn refused(origin: &str, why: &'static str) -> AgeError {
    AgeError::Identity {
        origin: origin.to_owned(),
        why,
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

const POST_QUANTUM: &str = "AGE-SECRET-KEY-PQ-";

fn no_identity(line: &str) -> &'static str {
    if line.starts_with(POST_QUANTUM) {
        "post-quantum age keys are not supported"
    } else if line.starts_with("age1") {
        "a line is a public recipient, not an identity"
    } else if line.starts_with("ssh-") || line.starts_with("ecdsa-") || line.starts_with("sk-") {
        "it is a public ssh key; the private one is in the file without '.pub'"
    } else if line.starts_with("PuTTY-User-Key-File") {
        "PuTTY keys are not supported; export it as an OpenSSH key"
    } else {
        "a line is not an age identity"
    }
}

/// Two forms of private keys are read: OpenSSH's own, and plain PKCS#1 for RSA.
fn foreign_pem(text: &str) -> Option<&'static str> {
    let has = |part: &str| text.contains(part);
    if has("Proc-Type: 4,ENCRYPTED") {
        Some(
            "passphrases in the old PEM format are not supported; 'ssh-keygen -p -f FILE' converts the key to the OpenSSH format",
        )
    } else if has("-----BEGIN ENCRYPTED PRIVATE KEY-----") || has("-----BEGIN PRIVATE KEY-----") {
        Some(
            "PKCS#8 keys are not supported; 'ssh-keygen -p -f FILE' converts it to the OpenSSH format",
        )
    } else if has("-----BEGIN EC PRIVATE KEY-----") || has("-----BEGIN DSA PRIVATE KEY-----") {
        Some(KEY_TYPE)
    } else {
        None
    }
}

const KEY_TYPE: &str =
    "its key type is not supported; use an ed25519 or rsa key, or an age identity";

fn ssh_kind(kind: &str) -> &'static str {
    if kind.starts_with("sk-") {
        "a security key cannot decrypt through ssh; use it with an age plugin"
    } else {
        KEY_TYPE
    }
}

fn unsupported(key: &ssh::UnsupportedKey) -> &'static str {
    match key {
        ssh::UnsupportedKey::EncryptedPem => {
            "passphrases in the old PEM format are not supported; 'ssh-keygen -p -f FILE' converts the key"
        }
        ssh::UnsupportedKey::EncryptedSsh(_) => {
            "the cipher of its passphrase is not supported; 'ssh-keygen -p -Z aes256-ctr -f FILE' changes it"
        }
        ssh::UnsupportedKey::Hardware(kind) | ssh::UnsupportedKey::Type(kind) => ssh_kind(kind),
    }
}

/// Generates an x25519 identity. Returns the text of its file and its public recipient.
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

/// Returns the public recipients of a file that contains only x25519 identities.
pub fn recipients_of(text: &[u8], origin: &str) -> Result<Vec<String>, AgeError> {
    let refuse = |why| refused(origin, why);
    const NO_RECIPIENT: &str = "only age identities contain their recipient; pass that of others with --recipient 'ssh-ed25519 …'";
    if is_age_file(text) {
        return Err(refuse(NO_RECIPIENT));
    }
    let text = plain_text(text).map_err(refuse)?;
    let recipients: Vec<String> = lines(text)
        .map(|line| {
            line.parse::<x25519::Identity>()
                .map(|identity| identity.to_public().to_string())
                .map_err(|_| {
                    refuse(match line.starts_with(POST_QUANTUM) {
                        true => no_identity(line),
                        false => NO_RECIPIENT,
                    })
                })
        })
        .collect::<Result<_, _>>()?;
    if recipients.is_empty() {
        return Err(refuse("it contains no key"));
    }
    Ok(recipients)
}

/// Returns why a private key is not passed to the library, which panics on numbers that are zero
/// and does whatever work a key asks for. Other text is left to it.
fn refuse_private_key(pem: &str) -> Option<&'static str> {
    if pem.len() > MAX_BYTES {
        return Some(BROKEN);
    }
    let body = pem.strip_prefix("-----BEGIN OPENSSH PRIVATE KEY-----")?;
    let Some((body, _)) = body.split_once("-----END OPENSSH PRIVATE KEY-----") else {
        return Some(BROKEN);
    };
    let encoded: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    let Ok(decoded) = STANDARD.decode(&*encoded) else {
        return Some(BROKEN);
    };
    let decoded = Zeroizing::new(decoded);
    refuse_container(&decoded).unwrap_or(Some(BROKEN))
}

/// Reads the container (OpenSSH's PROTOCOL.key). Returns `None` if it is truncated or malformed.
fn refuse_container(bytes: &[u8]) -> Option<Option<&'static str>> {
    let mut wire = SshWire(bytes.strip_prefix(b"openssh-key-v1\0")?);
    let is_open = wire.string()? == b"none";
    let _ = wire.string()?;
    let mut passphrase = SshWire(wire.string()?);
    let _ = wire.number()?;
    if refuse_ssh_key(wire.string()?).is_some() {
        return Some(Some("its public key is invalid"));
    }
    if is_open {
        return refuse_open(wire.string()?);
    }
    let _ = passphrase.string()?;
    Some((passphrase.number()? > MAX_ROUNDS).then_some(
        "its passphrase takes too many rounds; 'ssh-keygen -p -a 100 -f FILE' sets fewer",
    ))
}

fn refuse_open(bytes: &[u8]) -> Option<Option<&'static str>> {
    let mut wire = SshWire(bytes);
    let _ = wire.take(8)?;
    if wire.string()? != b"ssh-rsa" {
        return Some(None);
    }
    let is_number = |_| {
        wire.positive()
            .is_some_and(|number| number.len() <= MAX_NUMBER_BYTES)
    };
    Some((!(0..6).all(is_number)).then_some(NUMBERS))
}
