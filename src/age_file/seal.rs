//! Sealing a plain text to everybody who is listed, or to nobody.

use std::io::{self, Write as _};

use age::armor::{ArmoredWriter, Format};
use age::{Encryptor, ssh, tag, tagpq, x25519};

use super::error::{AgeError, RefusedRecipient};
use super::header::has_bounded_header;
use super::plugin::{self, Plugins};

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
            Err((kind, why)) => refused.push(RefusedRecipient { number, kind, why }),
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

/// The recipient that a text names; or its kind, as far as it is one of those that
/// people have, and why it cannot be encrypted to.
fn recipient(text: &str) -> Result<Kind, (&'static str, &'static str)> {
    if text.starts_with("age1") {
        return age_recipient(text).ok_or(("age", "it is no age public key"));
    }
    match text.parse::<ssh::Recipient>() {
        Ok(recipient) => Ok(Kind::Direct(Box::new(recipient))),
        Err(error) => Err(refused_ssh(text, &error)),
    }
}

/// A recipient of age itself, or else of a plugin. `tag` and `tagpq` are encrypted to
/// without the plugin that decrypts.
fn age_recipient(text: &str) -> Option<Kind> {
    if let Ok(recipient) = text.parse::<x25519::Recipient>() {
        return Some(Kind::Direct(Box::new(recipient)));
    }
    if let Ok(recipient) = text.parse::<tag::Recipient>() {
        return Some(Kind::Direct(Box::new(recipient)));
    }
    if let Ok(recipient) = text.parse::<tagpq::Recipient>() {
        return Some(Kind::Direct(Box::new(recipient)));
    }
    let recipient: age::plugin::Recipient = text.parse().ok()?;
    Some(Kind::Plugin(recipient.plugin().to_owned()))
}

fn refused_ssh(text: &str, error: &ssh::ParseRecipientKeyError) -> (&'static str, &'static str) {
    // Only known words are repeated: the text may be anything, a private key too.
    const KINDS: [&str; 8] = [
        "ssh-ed25519",
        "ssh-rsa",
        "ssh-dss",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ];
    let word = text.split(' ').next().unwrap_or_default();
    let Some(kind) = KINDS.into_iter().find(|kind| *kind == word) else {
        return ("unknown kind", "it is no age or ssh public key");
    };
    let why = match error {
        ssh::ParseRecipientKeyError::RsaModulusTooSmall => "it has fewer than 2048 bits",
        ssh::ParseRecipientKeyError::RsaModulusTooLarge => "it has more than 4096 bits",
        _ if kind.starts_with("sk-") => "a security key cannot decrypt through ssh",
        _ if kind == "ssh-ed25519" || kind == "ssh-rsa" => "it is damaged",
        _ => "this type of key cannot be encrypted to",
    };
    (kind, why)
}
