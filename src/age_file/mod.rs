//! The age envelope: who can open a manifest, opening it, and sealing it. It knows nothing of its
//! content.
//!
//! Decrypted text is only returned whole, after the last byte was authenticated, in a buffer that
//! is wiped; the library's own buffers are not.

mod error;
pub mod header;
mod identities;
mod open;
mod plugin;
#[cfg(test)]
mod tests;

use std::io::{self, Write as _};

use age::armor::{ArmoredWriter, Format};
use age::{Encryptor, ssh, tag, tagpq, x25519};

pub use error::{AgeError, PluginFault};
pub use header::digest;
pub use identities::{
    AskPassphrase, Identities, NoPassphrase, Passphrases, generate_identity, recipients_of,
};
pub use open::{Means, decrypt};
pub use plugin::{Choice, Plugins, Talk};

use crate::core::recipients::{recipient_key, refuse_recipient};
use header::{ARMOR_BEGIN, BINARY_START, has_bounded_header};

/// Returns whether these bytes begin like an age file, armored or binary.
pub fn is_age_file(bytes: &[u8]) -> bool {
    bytes.starts_with(BINARY_START) || bytes.trim_ascii_start().starts_with(ARMOR_BEGIN)
}

/// Seals `plain` to every recipient, never to fewer, as an armored file.
pub fn encrypt(
    plain: &[u8],
    recipients: &[String],
    plugins: Plugins<'_>,
) -> Result<Vec<u8>, AgeError> {
    if recipients.is_empty() {
        return Err(AgeError::NoRecipient);
    }
    let mut refused = Vec::new();
    let mut parsed: Vec<Box<dyn age::Recipient + '_>> = Vec::new();
    for (text, number) in recipients.iter().zip(1..) {
        match recipient(text, plugins) {
            Ok(recipient) => parsed.push(recipient),
            Err(what) => refused.push(format!("recipient {number} {what}")),
        }
    }
    if !refused.is_empty() {
        let what = refused.join("; ");
        return Err(AgeError::Recipients { what });
    }
    let encryptor = Encryptor::with_recipients(parsed.iter().map(|r| &**r as &dyn age::Recipient))
        .map_err(|error| match error {
            age::EncryptError::Io(error) => error.downcast().unwrap_or_else(AgeError::Encrypt),
            _ => AgeError::Uncombinable,
        })?;
    let seal = || -> io::Result<Vec<u8>> {
        let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
        let mut writer = encryptor.wrap_output(armor)?;
        writer.write_all(plain)?;
        writer.finish()?.finish()
    };
    let file = seal().map_err(AgeError::Encrypt)?;
    if !has_bounded_header(&file) {
        return Err(AgeError::TooManyRecipients);
    }
    Ok(file)
}

/// Parses a recipient, or returns why it cannot be encrypted to.
fn recipient<'a>(
    text: &str,
    plugins: Plugins<'a>,
) -> Result<Box<dyn age::Recipient + 'a>, &'static str> {
    if let Some((what, _)) = refuse_recipient(text) {
        return Err(what);
    }
    // `tag` and `tagpq` are encrypted to without the plugin that decrypts.
    let key = recipient_key(text);
    if let Ok(recipient) = key.parse::<x25519::Recipient>() {
        Ok(Box::new(recipient))
    } else if let Ok(recipient) = key.parse::<tag::Recipient>() {
        Ok(Box::new(recipient))
    } else if let Ok(recipient) = key.parse::<tagpq::Recipient>() {
        Ok(Box::new(recipient))
    } else if let Ok(recipient) = key.parse::<age::plugin::Recipient>() {
        Ok(Box::new(plugin::Recipient {
            name: recipient.plugin().to_owned(),
            text: text.to_owned(),
            plugins,
        }))
    } else if let Ok(recipient) = key.parse::<ssh::Recipient>() {
        Ok(Box::new(recipient))
    } else {
        Err("cannot be encrypted to")
    }
}
