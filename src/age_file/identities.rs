//! The identities: keys that open a file at once, and keys that ask for something first. What
//! cannot be used is refused, with words for what a person would mistake for a broken key.

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
/// What the passphrase of a key may cost: some minutes. `ssh-keygen` takes 16 or 24.
const MAX_ROUNDS: u32 = 10_000;

const BROKEN: &str = "it is no whole OpenSSH private key";
const NUMBERS: &str = "the numbers of its rsa key are not valid";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPassphrase {
    Nobody,
    /// What was typed holds keys that are no characters, so it is none.
    Unclear,
    /// Ctrl-D at the question.
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
        /// How a file names it; nothing if its public half cannot be read.
        tag: Option<String>,
    },
    /// A file of age identities, encrypted with a passphrase.
    File { origin: String, sealed: Vec<u8> },
    /// Keys that a plugin holds or reaches.
    Plugin {
        /// The plugin's name, without `age-plugin-`.
        name: String,
        /// The lines that it understands, each one a secret for all we know.
        lines: Vec<Zeroizing<String>>,
    },
}

impl Identities {
    /// Adds what a file or variable holds; `origin` names it in messages.
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
            return Err(refused(origin, "it holds no key"));
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
        // The key may have been kept where line ends are rewritten.
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
        "a key of PuTTY is not supported; export it as an OpenSSH key"
    } else {
        "a line is no age identity"
    }
}

/// Two forms of private keys are read: OpenSSH's own, and plain PKCS#1 for RSA.
fn foreign_pem(text: &str) -> Option<&'static str> {
    let has = |part: &str| text.contains(part);
    if has("Proc-Type: 4,ENCRYPTED") {
        Some(
            "a passphrase in the old PEM form is not supported; 'ssh-keygen -p -f FILE' rewrites the key in the form of OpenSSH",
        )
    } else if has("-----BEGIN ENCRYPTED PRIVATE KEY-----") || has("-----BEGIN PRIVATE KEY-----") {
        Some(
            "a PKCS#8 key is not supported; 'ssh-keygen -p -f FILE' rewrites it in the form of OpenSSH",
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
        "a security key cannot decrypt through ssh, so it is not supported; use the key with an age plugin"
    } else {
        KEY_TYPE
    }
}

fn unsupported(key: &ssh::UnsupportedKey) -> &'static str {
    match key {
        ssh::UnsupportedKey::EncryptedPem => {
            "a passphrase in the old PEM form is not supported; 'ssh-keygen -p -f FILE' rewrites the key"
        }
        ssh::UnsupportedKey::EncryptedSsh(_) => {
            "the cipher of its passphrase is not supported; 'ssh-keygen -p -Z aes256-ctr -f FILE' changes it"
        }
        ssh::UnsupportedKey::Hardware(kind) | ssh::UnsupportedKey::Type(kind) => ssh_kind(kind),
    }
}

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

/// The public recipients of the x25519 identities in a file that holds nothing else.
pub fn recipients_of(text: &[u8], origin: &str) -> Result<Vec<String>, AgeError> {
    let refuse = |why| refused(origin, why);
    const TELLS_NONE: &str = "only age identities tell their recipient; name that of others with --recipient 'ssh-ed25519 …'";
    if is_age_file(text) {
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

/// Why a private key is not handed to the library, which panics on numbers that are zero,
/// and does whatever work a key asks for. Text that is none is left to it.
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

/// Reads the container (OpenSSH's PROTOCOL.key). Nothing is returned if it is cut or
/// malformed.
fn refuse_container(bytes: &[u8]) -> Option<Option<&'static str>> {
    let mut wire = SshWire(bytes.strip_prefix(b"openssh-key-v1\0")?);
    let is_open = wire.string()? == b"none";
    let _ = wire.string()?;
    let mut passphrase = SshWire(wire.string()?);
    let _ = wire.number()?;
    if refuse_ssh_key(wire.string()?).is_some() {
        return Some(Some("its public key is not valid"));
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
