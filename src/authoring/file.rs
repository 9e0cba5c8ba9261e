//! A value from a file of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::core::fingerprint::Field;
use crate::core::secret::Secret;
use crate::core::yaml::{plain_text, wrong_encoding};

/// Why a file holds no value for a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoValue {
    /// A fragment that follows the file's name.
    pub what: &'static str,
    /// A sentence.
    pub help: &'static str,
}

/// The first byte of every keytab, whatever its version.
const KEYTAB: u8 = 5;

/// What stands in encrypted files and in files of private keys. Whoever names one of
/// them by mistake would have the key sent to the service.
const AGE_FILES: [&str; 4] = [
    "-----BEGIN AGE ENCRYPTED FILE-----",
    "age-encryption.org/v1",
    "AGE-SECRET-KEY-",
    "PRIVATE KEY-----",
];

/// The value that a file holds for a field.
///
/// One line end at the end is not part of it, since editors and `echo` put one there;
/// a kerberos configuration is taken with it. A keytab is encoded as base64, unless
/// the file holds base64 already, on one line or on several. A UTF-8 byte order mark is
/// not part of any.
/// Fails if the bytes are no text, an encrypted file or a private key, or neither a
/// keytab nor base64 of one.
pub fn value(field: Field, bytes: &[u8]) -> Result<Secret, NoValue> {
    if field == Field::KeyTabFile {
        return keytab(bytes);
    }
    let text = plain_text(bytes).map_err(not_text)?;
    if AGE_FILES.iter().any(|mark| text.contains(mark)) {
        return Err(NoValue {
            what: "is an encrypted file or an identity",
            help: "Name the file that holds the value itself.",
        });
    }
    let text = if field == Field::Krb5ConfFile {
        text
    } else {
        text.strip_suffix("\r\n")
            .or_else(|| text.strip_suffix('\n'))
            .unwrap_or(text)
    };
    Ok(Secret::new(text.to_owned()))
}

fn not_text(what: &'static str) -> NoValue {
    NoValue {
        what: what.trim_start_matches("it "),
        help: "Save it as UTF-8.",
    }
}

fn keytab(bytes: &[u8]) -> Result<Secret, NoValue> {
    let room = bytes.len() / 3 * 4 + 4;
    let mut text = Zeroizing::new(String::with_capacity(room.max(bytes.len())));
    if bytes.first() == Some(&KEYTAB) {
        STANDARD.encode_string(bytes, &mut text);
    } else {
        if let Some(what) = wrong_encoding(bytes) {
            return Err(not_text(what));
        }
        let bytes = plain_text(bytes).map_or(bytes, str::as_bytes);
        let signs = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
        text.extend(signs.map(|byte| char::from(*byte)));
        let decoded = STANDARD.decode(&*text).map(Zeroizing::new);
        if !decoded.is_ok_and(|bytes| bytes.first() == Some(&KEYTAB)) {
            return Err(NoValue {
                what: "is neither a keytab nor the base64 text of one",
                help: "Name the keytab itself, which is encoded on the way.",
            });
        }
    }
    Ok(Secret::new(std::mem::take(&mut *text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(field: Field, bytes: &[u8]) -> Result<String, &'static str> {
        let value = value(field, bytes).map_err(|no_value| no_value.what)?;
        Ok(value.expose().to_owned())
    }

    #[test]
    fn exactly_one_line_end_is_no_part_of_a_password() {
        for (bytes, value) in [
            (&b"pw"[..], "pw"),
            (b"pw\n", "pw"),
            (b"pw\r\n", "pw"),
            (b"pw\n\n", "pw\n"),
            (b" pw \r", " pw \r"),
            (b"\xef\xbb\xbfpw\r\n", "pw"),
        ] {
            assert_eq!(text(Field::Password, bytes).as_deref(), Ok(value));
        }
        assert_eq!(text(Field::Krb5ConfFile, b"[a]\n").as_deref(), Ok("[a]\n"));
        for (bytes, what) in [
            (&b"\xff\xfep\0w\0"[..], "is UTF-16 LE, save as UTF-8"),
            (b"\xfe\xff\0p\0w", "is UTF-16 BE, save as UTF-8"),
            (b"p\0w\0", "is UTF-16 LE, save as UTF-8"),
            (b"pw\xff", "is not UTF-8 text"),
        ] {
            assert_eq!(text(Field::Password, bytes), Err(what));
        }
    }

    #[test]
    fn an_identity_or_an_encrypted_file_is_no_value() {
        for bytes in [
            "# created: now\n# public key: age1x\nAGE-SECRET-KEY-1X\n",
            "-----BEGIN AGE ENCRYPTED FILE-----\nx\n",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n",
        ] {
            for field in [Field::Password, Field::Krb5ConfFile, Field::UserPrincipal] {
                assert!(text(field, bytes.as_bytes()).is_err(), "{bytes}");
            }
        }
    }

    #[test]
    fn a_keytab_is_encoded_and_base64_is_taken() {
        let keytab = [5, 2, 0, 0, 0xff, 0x80];
        for bytes in [
            &keytab[..],
            b"BQIAAP+A",
            b"BQIA\nAP+A\n",
            b"BQIA\r\nAP+A\r\n",
        ] {
            assert_eq!(text(Field::KeyTabFile, bytes).as_deref(), Ok("BQIAAP+A"));
        }
        assert!(text(Field::KeyTabFile, b"no keytab").is_err());
        assert!(text(Field::KeyTabFile, &[0xff, 5, 2]).is_err());
    }
}
