//! The age envelope: who can open a manifest, opening it, and sealing it.
//! It knows nothing of what is inside.
//!
//! Decrypted text is only handed out whole, after the last byte was
//! authenticated, in a buffer that is wiped; the library's own buffers are not.

mod armor;
mod digest;
mod error;
pub mod header;
mod identities;
mod keys;
mod open;
mod passphrase;
mod plugin;
mod private_key;
mod seal;

pub use digest::digest;
pub use error::{AgeError, PluginFault, RefusedRecipient};
pub use identities::{AskPassphrase, Identities, NoPassphrase, Passphrases};
pub use keys::{generate_identity, recipients_of};
pub use open::{Means, decrypt};
pub use plugin::{Choice, Plugins, Talk};
pub use seal::encrypt;

use armor::{ARMOR_BEGIN, BINARY_START};

/// What a file is, from its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// An age file, armored or binary.
    Encrypted,
    /// Something else.
    Plain,
}

/// What `bytes` are, without any key.
pub fn envelope_of(bytes: &[u8]) -> Envelope {
    let text = bytes.trim_ascii_start();
    if bytes.starts_with(BINARY_START) || text.starts_with(ARMOR_BEGIN) {
        Envelope::Encrypted
    } else {
        Envelope::Plain
    }
}

#[cfg(test)]
mod tests;
