//! Sealing a plain text to everybody who is listed, or to nobody.

use std::io::{self, Write as _};

use age::armor::{ArmoredWriter, Format};
use age::{Encryptor, ssh, x25519};

use super::error::AgeError;

/// Seals `plain` to every recipient, as an armored file.
/// Fails if a recipient cannot be encrypted to, so that no file is ever sealed
/// to fewer people than listed.
pub fn encrypt(plain: &[u8], recipients: &[String]) -> Result<Vec<u8>, AgeError> {
    let parsed = recipients
        .iter()
        .zip(1..)
        .map(|(text, number)| recipient(text, number))
        .collect::<Result<Vec<_>, _>>()?;
    let encryptor =
        Encryptor::with_recipients(parsed.iter().map(|r| r.as_ref() as &dyn age::Recipient))
            .map_err(|_| AgeError::Recipient {
                number: 1,
                why: "the list of recipients is empty or cannot be combined",
            })?;
    let seal = || -> io::Result<Vec<u8>> {
        let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
        let mut writer = encryptor.wrap_output(armor)?;
        writer.write_all(plain)?;
        writer.finish()?.finish()
    };
    seal().map_err(AgeError::Encrypt)
}

fn recipient(text: &str, number: usize) -> Result<Box<dyn age::Recipient>, AgeError> {
    let refuse = |why| AgeError::Recipient { number, why };
    if text.starts_with("age1") {
        let recipient: x25519::Recipient = text
            .parse()
            .map_err(|_| refuse("it is no age public key"))?;
        return Ok(Box::new(recipient));
    }
    let recipient: ssh::Recipient = text
        .parse()
        .map_err(|_| refuse("it is no ssh-ed25519 or ssh-rsa public key of a usable size"))?;
    Ok(Box::new(recipient))
}
