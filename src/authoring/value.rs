//! Values that do not come from a prompt: from a file of their own, or generated.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use zeroize::{Zeroize as _, Zeroizing};

use crate::core::fingerprint::Field;
use crate::core::problem::Problem;
use crate::core::secret::Secret;
use crate::core::yaml::{plain_text, wrong_encoding};

/// The first byte of every keytab, whatever its version.
const KEYTAB: u8 = 5;

/// Marks of encrypted files and of files of private keys. Without them, naming such a file by
/// mistake would send the key to the service.
const AGE_FILES: [&str; 4] = [
    "-----BEGIN AGE ENCRYPTED FILE-----",
    "age-encryption.org/v1",
    "AGE-SECRET-KEY-",
    "PRIVATE KEY-----",
];

/// Reads the value of a field from a file.
///
/// One line end at the end is dropped, since editors and `echo` add it, except from a kerberos
/// configuration. A keytab is encoded as base64, unless the file contains base64 already, on one
/// line or on several. A UTF-8 byte order mark is never part of a value.
pub fn from_file(field: Field, bytes: &[u8]) -> Result<Secret, Problem> {
    if field == Field::KeyTabFile {
        return keytab(bytes);
    }
    let text = plain_text(bytes).map_err(not_text)?;
    if AGE_FILES.iter().any(|mark| text.contains(mark)) {
        let what = "is an encrypted file or an identity";
        let help = "Pass the file that contains the value itself.";
        return Err(Problem::error("", None, what, help));
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

fn not_text(what: &'static str) -> Problem {
    let what = what.trim_start_matches("it ");
    Problem::error("", None, what, "Save it as UTF-8.")
}

fn keytab(bytes: &[u8]) -> Result<Secret, Problem> {
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
            let what = "is neither a keytab nor one in base64";
            let help = "Pass the keytab itself; drspass encodes it.";
            return Err(Problem::error("", None, what, help));
        }
    }
    Ok(Secret::new(std::mem::take(&mut *text)))
}

/// Fits the strictest databases and is far beyond guessing: MySQL accepts no more than 32
/// characters for the account of a replica.
pub const USUAL_LENGTH: usize = 32;

/// Shorter ones can be guessed, and databases refuse them.
pub const MIN_LENGTH: usize = 8;

/// The longest that any of the databases accepts.
pub const MAX_LENGTH: usize = 128;

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const DIGITS: &[u8] = b"0123456789";

/// Characters that no shell, template, URL, configuration file or printf expands, and that the
/// rules of RDS count as special.
const SIGNS: &[u8] = b"_-+=";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Alphabet {
    /// Letters and digits, at least one upper-case, lower-case and digit each
    Alnum,
    /// The same and at least one of _-+=
    Symbols,
}

impl Alphabet {
    /// Returns the kinds of which a password has at least one each.
    const fn kinds(self) -> &'static [&'static [u8]] {
        match self {
            Self::Alnum => &[UPPER, LOWER, DIGITS],
            Self::Symbols => &[UPPER, LOWER, DIGITS, SIGNS],
        }
    }
}

/// Generates a password of `length` characters that begins with a letter, as Oracle requires, and
/// has one of each kind. `random` returns fresh random bytes.
pub fn generate(length: usize, alphabet: Alphabet, random: &mut dyn FnMut() -> [u8; 64]) -> Secret {
    let letters: Vec<u8> = alphabet.kinds().concat();
    let count = u8::try_from(letters.len()).unwrap_or(u8::MAX);
    // Bytes from the last whole multiple on would favour the first letters.
    let fair = u8::MAX - u8::MAX % count;
    let mut text = String::with_capacity(length);
    loop {
        let mut bytes = random();
        let chosen = bytes.iter().filter(|byte| **byte < fair);
        for byte in chosen {
            if text.len() < length
                && let Some(letter) = letters.get(usize::from(byte % count))
            {
                text.push(char::from(*letter));
            }
        }
        bytes.zeroize();
        if text.len() < length {
            continue;
        }
        if is_good(&text, alphabet) {
            return Secret::new(text);
        }
        // Drawing all of it again keeps every valid password equally likely.
        text.zeroize();
        text.reserve_exact(length);
    }
}

fn is_good(text: &str, alphabet: Alphabet) -> bool {
    let has = |kind: &&[u8]| text.bytes().any(|byte| kind.contains(&byte));
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && alphabet.kinds().iter().all(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(field: Field, bytes: &[u8]) -> Result<String, String> {
        let value = from_file(field, bytes).map_err(|problem| problem.what.into_owned())?;
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
            (&b"\xff\xfep\0w\0"[..], "is UTF-16 LE, not UTF-8"),
            (b"\xfe\xff\0p\0w", "is UTF-16 BE, not UTF-8"),
            (b"p\0w\0", "is UTF-16 LE, not UTF-8"),
            (b"pw\xff", "is not UTF-8 text"),
        ] {
            assert_eq!(text(Field::Password, bytes), Err(what.to_owned()));
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

    /// Bytes that look random and are the same in every run.
    fn stream(seed: u64) -> impl FnMut() -> [u8; 64] {
        let mut state = seed;
        move || {
            [0; 64].map(|_: u8| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                state.to_be_bytes()[0]
            })
        }
    }

    #[test]
    fn made_up_passwords_have_the_length_and_every_kind_of_character() {
        for alphabet in [Alphabet::Alnum, Alphabet::Symbols] {
            for length in [MIN_LENGTH, USUAL_LENGTH, MAX_LENGTH] {
                let mut random = stream(length as u64);
                for _ in 0..50 {
                    let made = generate(length, alphabet, &mut random);
                    let text = made.expose();
                    assert_eq!(text.len(), length);
                    assert!(is_good(text, alphabet));
                    let kinds = alphabet.kinds().concat();
                    assert!(text.bytes().all(|byte| kinds.contains(&byte)));
                }
            }
        }
    }

    #[test]
    fn no_character_is_favoured() {
        let mut random = stream(7);
        let mut counts = [0_u32; 256];
        for _ in 0..2_000 {
            let made = generate(MAX_LENGTH, Alphabet::Alnum, &mut random);
            for byte in made.expose().bytes() {
                counts[usize::from(byte)] += 1;
            }
        }
        // 256,000 characters of 62: 4,129 of each, with a deviation of 64.
        for byte in Alphabet::Alnum.kinds().concat() {
            let count = counts[usize::from(byte)];
            assert!((3_800..4_460).contains(&count), "{byte}: {count}");
        }
    }
}
