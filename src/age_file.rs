//! The age envelope: who can open a manifest, opening it, and sealing it.
//! It knows nothing of what is inside.
//!
//! Decrypted text is only handed out whole, after the last byte was
//! authenticated, in a buffer that is wiped; the library's own buffers are not.

use std::io::{self, Read as _, Write as _};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::{ExposeSecret as _, SecretString};
use age::{Decryptor, Encryptor, ssh, x25519};
use miette::Diagnostic;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::files;

/// The first bytes of a binary age file, of any version.
const BINARY_START: &[u8] = b"age-encryption.org/";
const ARMOR_BEGIN: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const ARMOR_END: &[u8] = b"-----END AGE ENCRYPTED FILE-----";

/// An envelope that cannot be opened or made.
#[derive(Debug, Error, Diagnostic)]
pub enum AgeError {
    /// The file is not encrypted at all.
    #[error("the manifest is not encrypted")]
    #[diagnostic(
        code(drspass::age::plaintext),
        help(
            "Run 'drspass encrypt FILE' to seal it, and see that the plain text never gets into git."
        )
    )]
    NotEncrypted,
    /// A merge was left unfinished.
    #[error("the file holds conflict marks of an unresolved merge")]
    #[diagnostic(
        code(drspass::age::conflict),
        help(
            "Get one side with 'git checkout --ours FILE' and the other with '--theirs', write out each with 'drspass decrypt -o', join them by hand, and seal the result with 'drspass encrypt' while one side is in place."
        )
    )]
    ConflictMarks,
    /// Line ends were rewritten in a binary file.
    #[error("the file looks changed by line-end conversion")]
    #[diagnostic(
        code(drspass::age::line_ends),
        help("Mark it '-text' in .gitattributes, as 'drspass init' does, and check it out again.")
    )]
    LineEnds,
    /// The file is damaged or was cut.
    #[error("the encrypted file is damaged: {why}")]
    #[diagnostic(
        code(drspass::age::damaged),
        help("Nothing of it was used. Restore the file from git.")
    )]
    Damaged {
        /// What was found.
        why: &'static str,
    },
    /// It was encrypted with a passphrase.
    #[error("the file is encrypted with a passphrase, not to recipients")]
    #[diagnostic(
        code(drspass::age::passphrase_file),
        help("Decrypt it with 'age -d' and seal it with 'drspass encrypt'.")
    )]
    PassphraseFile,
    /// None of the identities at hand opens it.
    #[error("no identity matches: the file is not encrypted to any of the identities at hand")]
    #[diagnostic(
        code(drspass::age::no_match),
        help("Name the right one with -i FILE, DRSPASS_IDENTITY or DRSPASS_IDENTITY_KEY.")
    )]
    NoMatch,
    /// The only identity that could open it is locked.
    #[error(
        "the identity {origin} is protected by a passphrase, and there is no terminal to ask for it"
    )]
    #[diagnostic(
        code(drspass::age::locked_identity),
        help(
            "Run it on a terminal, or use an identity without a passphrase from a protected place, such as DRSPASS_IDENTITY_KEY in a CI secret."
        )
    )]
    Locked {
        /// Where the identity came from.
        origin: String,
    },
    /// The passphrase that was typed is wrong.
    #[error("the passphrase for {origin} is wrong")]
    #[diagnostic(code(drspass::age::wrong_passphrase), help("Run the command again."))]
    WrongPassphrase {
        /// Where the identity came from.
        origin: String,
    },
    /// A source of identities holds none that can be used.
    #[error("{origin} holds no identity that can be used: {why}")]
    #[diagnostic(
        code(drspass::age::identity),
        help(
            "An identity is an 'AGE-SECRET-KEY-1…' line or an OpenSSH private key of type ed25519 or rsa."
        )
    )]
    Identity {
        /// Where it came from.
        origin: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A recipient cannot be encrypted to.
    #[error("recipient {number} cannot be encrypted to: {why}")]
    #[diagnostic(
        code(drspass::age::recipient),
        help("Use an age1… , ssh-ed25519 or ssh-rsa public key. Nothing was written.")
    )]
    Recipient {
        /// Its number in the list, from 1.
        number: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// Encrypting failed.
    #[error("cannot encrypt")]
    #[diagnostic(code(drspass::age::encrypt))]
    Encrypt(#[source] io::Error),
}

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

/// Asks for the passphrase of an identity; nothing if nobody can be asked.
pub type AskPassphrase<'a> = &'a dyn Fn(&str) -> Option<SecretString>;

/// The identities at hand.
#[derive(Default)]
pub struct Identities {
    open: Vec<Box<dyn age::Identity>>,
    locked: Vec<(String, ssh::Identity)>,
}

impl Identities {
    /// Adds what a file or variable holds; `origin` names it in messages.
    /// Fails if it holds no identity that can be used.
    pub fn add(&mut self, text: &[u8], origin: &str) -> Result<(), AgeError> {
        let refuse = |why| AgeError::Identity {
            origin: origin.to_owned(),
            why,
        };
        if envelope_of(text) == Envelope::Encrypted {
            return Err(refuse(
                "it is encrypted with a passphrase, which is not supported for age identities yet",
            ));
        }
        let text = std::str::from_utf8(text).map_err(|_| refuse("it is not text"))?;
        if text.contains("-----BEGIN ") && !text.contains("AGE ENCRYPTED") {
            return self.add_ssh(text, origin);
        }
        let before = self.open.len();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let identity: x25519::Identity = line
                .parse()
                .map_err(|_| refuse("a line is no age identity"))?;
            self.open.push(Box::new(identity));
        }
        if self.open.len() == before {
            return Err(refuse("it holds no key"));
        }
        Ok(())
    }

    fn add_ssh(&mut self, text: &str, origin: &str) -> Result<(), AgeError> {
        let refuse = |why| AgeError::Identity {
            origin: origin.to_owned(),
            why,
        };
        let identity = ssh::Identity::from_buffer(text.as_bytes(), None)
            .map_err(|_| refuse("it is no OpenSSH private key"))?;
        match identity {
            ssh::Identity::Unencrypted(_) => self.open.push(Box::new(identity)),
            ssh::Identity::Encrypted(_) => self.locked.push((origin.to_owned(), identity)),
            ssh::Identity::Unsupported(_) => {
                return Err(refuse("its key type or protection is not supported"));
            }
        }
        Ok(())
    }
}

/// Opens an envelope. Open identities are tried first, so that a passphrase is
/// asked for only when it is needed, and once for each identity.
/// Fails if the file is no age file, is damaged anywhere, or no identity fits.
pub fn decrypt(
    file: &[u8],
    identities: &Identities,
    ask: AskPassphrase<'_>,
) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    refuse_damage(file)?;
    match decrypt_with(file, &mut identities.open.iter().map(AsRef::as_ref)) {
        Err(AgeError::NoMatch) if !identities.locked.is_empty() => {}
        done => return done,
    }
    for (origin, locked) in &identities.locked {
        let ssh::Identity::Encrypted(key) = locked else {
            continue;
        };
        let passphrase = ask(origin).ok_or_else(|| AgeError::Locked {
            origin: origin.clone(),
        })?;
        let unlocked = key
            .decrypt(passphrase)
            .map_err(|_| AgeError::WrongPassphrase {
                origin: origin.clone(),
            })?;
        let identity = ssh::Identity::from(unlocked);
        match decrypt_with(file, &mut std::iter::once(&identity as &dyn age::Identity)) {
            Err(AgeError::NoMatch) => {}
            done => return done,
        }
    }
    Err(AgeError::NoMatch)
}

fn decrypt_with(
    file: &[u8],
    identities: &mut dyn Iterator<Item = &dyn age::Identity>,
) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(file)).map_err(explain)?;
    if decryptor.is_scrypt() {
        return Err(AgeError::PassphraseFile);
    }
    let mut reader = decryptor.decrypt(identities).map_err(explain)?;
    // The plain text is shorter than the file, so the buffer never moves and
    // leaves no copy behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(file.len()));
    reader
        .read_to_end(&mut plain)
        .map_err(|_| damaged("its content is cut or changed"))?;
    Ok(plain)
}

/// Whether a file has the header of an age file, without any key.
/// Fails if it is no age file, or one that no identity could open.
pub fn check_header(file: &[u8]) -> Result<(), AgeError> {
    refuse_damage(file)?;
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(file)).map_err(explain)?;
    if decryptor.is_scrypt() {
        return Err(AgeError::PassphraseFile);
    }
    if file.starts_with(BINARY_START) {
        return Ok(());
    }
    // Armor tells its end, so a cut file and plain text behind it can be seen.
    io::copy(&mut ArmoredReader::new(file), &mut io::sink())
        .map_err(|_| damaged("its armor is cut or malformed, or something follows it"))?;
    let ends = file.trim_ascii_end().ends_with(ARMOR_END);
    let begins = file.windows(ARMOR_BEGIN.len());
    if !ends || begins.filter(|part| *part == ARMOR_BEGIN).count() != 1 {
        return Err(damaged("its armor is not one whole block"));
    }
    Ok(())
}

const fn damaged(why: &'static str) -> AgeError {
    AgeError::Damaged { why }
}

/// Faults that have a better name than the one the library gives them.
fn refuse_damage(file: &[u8]) -> Result<(), AgeError> {
    if !file.starts_with(BINARY_START) && files::has_conflict_marks(file) {
        return Err(AgeError::ConflictMarks);
    }
    if envelope_of(file) == Envelope::Plain {
        return Err(AgeError::NotEncrypted);
    }
    let first_line = file.split_inclusive(|byte| *byte == b'\n').next();
    if file.starts_with(BINARY_START) && first_line.is_some_and(|line| line.ends_with(b"\r\n")) {
        return Err(AgeError::LineEnds);
    }
    refuse_long_header(file)
}

/// A header has some hundred bytes for each recipient. The library reads it again from
/// its start for each of its lines, so that one of megabytes, which anybody can write,
/// would keep it busy without end.
const MAX_HEADER_BYTES: u64 = 128 << 10;

/// Fails if the header does not end where every usual one has ended.
fn refuse_long_header(file: &[u8]) -> Result<(), AgeError> {
    let mut start = Vec::new();
    // What is malformed is found and named by the library.
    let read = ArmoredReader::new(file)
        .take(MAX_HEADER_BYTES)
        .read_to_end(&mut start);
    let is_cut = read.is_err() || (start.len() as u64) < MAX_HEADER_BYTES;
    if is_cut || start.windows(5).any(|part| part == b"\n--- ") {
        Ok(())
    } else {
        Err(damaged("its header is too long"))
    }
}

fn explain(error: age::DecryptError) -> AgeError {
    match error {
        age::DecryptError::NoMatchingKeys => AgeError::NoMatch,
        age::DecryptError::InvalidHeader => damaged("its header is not one of age"),
        age::DecryptError::InvalidMac => damaged("its header was changed"),
        age::DecryptError::UnknownFormat => damaged("it is of an unknown age version"),
        age::DecryptError::Io(_) => damaged("it is cut, or its armor is malformed"),
        _ => damaged("it cannot be decrypted"),
    }
}

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

/// The public recipients of the x25519 identities in an identity file.
/// Fails if the file holds anything else.
pub fn recipients_of(text: &[u8], origin: &str) -> Result<Vec<String>, AgeError> {
    let refuse = |why| AgeError::Identity {
        origin: origin.to_owned(),
        why,
    };
    let text = std::str::from_utf8(text).map_err(|_| refuse("it is not text"))?;
    let recipients: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            line.parse::<x25519::Identity>()
                .map(|identity| identity.to_public().to_string())
                .map_err(|_| {
                    refuse("only age identities tell their recipient; name others with --recipient")
                })
        })
        .collect::<Result<_, _>>()?;
    if recipients.is_empty() {
        return Err(refuse("it holds no key"));
    }
    Ok(recipients)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody(_: &str) -> Option<SecretString> {
        None
    }

    fn fixture() -> (Identities, Vec<u8>) {
        let (file, public) = generate_identity("2026-01-02T03:04:05Z");
        let mut identities = Identities::default();
        identities
            .add(file.as_bytes(), "test")
            .expect("an identity");
        let sealed = encrypt(b"canary-text", &[public]).expect("sealed");
        (identities, sealed)
    }

    #[test]
    fn what_is_sealed_can_be_opened_with_any_line_ends() {
        let (identities, sealed) = fixture();
        let crlf = String::from_utf8(sealed.clone())
            .expect("armor is text")
            .replace('\n', "\r\n");
        for file in [&sealed[..], crlf.as_bytes()] {
            let plain = decrypt(file, &identities, &nobody).expect("opened");
            assert_eq!(&plain[..], b"canary-text");
        }
    }

    #[test]
    fn a_cut_or_changed_file_gives_nothing() {
        let (identities, sealed) = fixture();
        for end in [sealed.len() / 3, sealed.len() / 2, sealed.len() - 40] {
            assert!(decrypt(&sealed[..end], &identities, &nobody).is_err());
        }
        let mut changed = sealed;
        let middle = changed.len() / 2;
        changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
        assert!(decrypt(&changed, &identities, &nobody).is_err());
    }

    #[test]
    fn faults_have_names() {
        let (identities, sealed) = fixture();
        let (_, other) = generate_identity("2026-01-02T03:04:05Z");
        let foreign = encrypt(b"x", &[other]).expect("sealed");
        let error = |file: &[u8]| decrypt(file, &identities, &nobody).err();
        assert!(matches!(error(&foreign), Some(AgeError::NoMatch)));
        assert!(matches!(error(b"jobs: {}\n"), Some(AgeError::NotEncrypted)));
        assert!(matches!(
            error(b"age-encryption.org/v1\r\n-> X25519 x\r\n"),
            Some(AgeError::LineEnds)
        ));
        let mut marked = b"<<<<<<< ours\n".to_vec();
        marked.extend_from_slice(&sealed);
        assert!(matches!(error(&marked), Some(AgeError::ConflictMarks)));
    }

    #[test]
    fn recipients_that_cannot_be_encrypted_to_are_refused_by_number() {
        let (_, public) = generate_identity("2026-01-02T03:04:05Z");
        for bad in [
            "age1nonsense",
            "ecdsa-sha2-nistp256 AAAA",
            "sk-ssh-ed25519@openssh.com AAAA",
            "",
        ] {
            let refused = encrypt(b"x", &[public.clone(), bad.to_owned()]);
            assert!(
                matches!(refused, Err(AgeError::Recipient { number: 2, .. })),
                "{bad}"
            );
        }
        assert!(encrypt(b"x", &[]).is_err());
    }
}
