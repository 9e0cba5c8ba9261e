//! Sealing a plain text to everybody who is listed, or to nobody.

use std::io::{self, Write as _};

use age::armor::{ArmoredWriter, Format};
use age::{Encryptor, ssh, tag, tagpq, x25519};

use super::error::{AgeError, RefusedRecipient};
use super::header::has_bounded_header;
use super::plugin::{self, Plugins};
use crate::core::recipients::{recipient_key, refuse_recipient};

/// Seals `plain` to every recipient, as an armored file.
/// Fails if a recipient cannot be encrypted to, so that no file is ever sealed
/// to fewer people than listed; or if there are more of them than are opened.
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
        match recipient(text) {
            Ok(Kind::Direct(recipient)) => parsed.push(recipient),
            Ok(Kind::Plugin(name)) => {
                parsed.push(Box::new(plugin::Recipient::new(
                    name,
                    text.clone(),
                    plugins,
                )));
            }
            Err(what) => refused.push(RefusedRecipient { number, what }),
        }
    }
    if !refused.is_empty() {
        return Err(AgeError::Recipients { refused });
    }
    let encryptor = Encryptor::with_recipients(parsed.iter().map(|r| &**r as &dyn age::Recipient))
        .map_err(|error| match error {
            age::EncryptError::Io(error) => {
                AgeError::carried_by(error).unwrap_or_else(AgeError::Encrypt)
            }
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

enum Kind {
    Direct(Box<dyn age::Recipient>),
    /// By the plugin of this name.
    Plugin(String),
}

/// The recipient that a text names, or why it cannot be encrypted to.
fn recipient(text: &str) -> Result<Kind, &'static str> {
    if let Some((what, _)) = refuse_recipient(text) {
        return Err(what);
    }
    // `tag` and `tagpq` are encrypted to without the plugin that decrypts.
    let key = recipient_key(text);
    if let Ok(recipient) = key.parse::<x25519::Recipient>() {
        Ok(Kind::Direct(Box::new(recipient)))
    } else if let Ok(recipient) = key.parse::<tag::Recipient>() {
        Ok(Kind::Direct(Box::new(recipient)))
    } else if let Ok(recipient) = key.parse::<tagpq::Recipient>() {
        Ok(Kind::Direct(Box::new(recipient)))
    } else if let Ok(recipient) = key.parse::<age::plugin::Recipient>() {
        Ok(Kind::Plugin(recipient.plugin().to_owned()))
    } else if let Ok(recipient) = key.parse::<ssh::Recipient>() {
        Ok(Kind::Direct(Box::new(recipient)))
    } else {
        Err("cannot be encrypted to")
    }
}
