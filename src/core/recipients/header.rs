//! What the header of an age file tells of its recipients.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

/// The bytes of the digest of an ssh key that its stanza shows (age specification,
/// "ssh-rsa and ssh-ed25519 recipient stanzas" of the reference implementation).
const TAG_BYTES: usize = 4;

/// The part of an age header that is for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stanza {
    /// Its type, such as `X25519`.
    pub kind: String,
    /// What ssh keys are recognised by; nothing for other types.
    pub tag: Option<String>,
}

/// What the header tells of one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFile {
    /// A stanza has its tag.
    Yes,
    /// There is no stanza that could be its.
    No,
    /// Stanzas of its type do not tell for whom they are.
    Unknown,
}

/// What the stanza for an ssh key shows of it, by which its owner knows it, in base64.
/// `public_key` is the key as it stands in a public key file, decoded.
pub fn ssh_tag(public_key: &[u8]) -> String {
    STANDARD_NO_PAD.encode(&Sha256::digest(public_key)[..TAG_BYTES])
}

/// What the stanza of an ssh key shows; nothing for other keys.
pub(super) fn tag_of(key: &str) -> Option<String> {
    let (kind, encoded) = key.split_once(' ')?;
    if !kind.starts_with("ssh-") {
        return None;
    }
    Some(ssh_tag(&STANDARD.decode(encoded).ok()?))
}

/// The type of stanza that a key makes; nothing for the key of a plugin, which
/// chooses its own.
fn stanza_kind(key: &str) -> Option<&str> {
    match key.split_once(' ') {
        Some((kind, _)) => Some(kind),
        // The part that holds the key never has a 1; a plugin's name ends with a second one.
        None if key.matches('1').count() == 1 => Some("X25519"),
        None => None,
    }
}

/// Whether the stanzas of a recipient are made by a plugin, as far as its text tells.
pub fn is_of_plugin(key: &str) -> bool {
    stanza_kind(key).is_none()
}

/// What these stanzas tell of a key.
pub(super) fn in_file(key: &str, stanzas: &[Stanza]) -> InFile {
    let mut of_kind = stanzas
        .iter()
        .filter(|stanza| stanza_kind(key).is_none_or(|kind| kind == stanza.kind))
        .peekable();
    match tag_of(key) {
        _ if of_kind.peek().is_none() => InFile::No,
        None => InFile::Unknown,
        Some(tag) if of_kind.any(|stanza| stanza.tag.as_ref() == Some(&tag)) => InFile::Yes,
        Some(_) => InFile::No,
    }
}
