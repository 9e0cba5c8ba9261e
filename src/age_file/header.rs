//! The header of an age file: its recipients, read without opening it (age specification,
//! "Header"); the lines of its text form; and the fault of a damaged one.
//!
//! A header proves nothing to readers that cannot open the file, so it decides only what to try and
//! what to show.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read};

use age::Decryptor;
use age::armor::ArmoredReader;
use age_core::format::{FileKey, Stanza};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::error::AgeError;
use super::is_age_file;
use crate::core::recipients;
use crate::sys::files;

pub const BINARY_START: &[u8] = b"age-encryption.org/";
pub const ARMOR_BEGIN: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const ARMOR_END: &[u8] = b"-----END AGE ENCRYPTED FILE-----";

/// All lines but the last have this many characters (age specification, ASCII armor).
const COLUMNS: usize = 64;

/// How many characters of armor are decoded at once, in whole groups of four.
const CHUNK: usize = 64 << 10;

/// A header has some hundred bytes for each recipient, two thousand for a post-quantum one.
const MAX_HEADER_BYTES: u64 = 128 << 10;
/// One for each recipient, more for some plugins, and one for grease.
const MAX_STANZAS: usize = 128;
/// Stanza types with this ending have no recipient: they keep readers tolerant.
const GREASE: &str = "-grease";
const MAX_KIND_CHARS: usize = 32;

/// A file as the library reads it, with the header as one line: it parses the header from its start
/// after each line, and many short ones would keep it busy without end.
pub struct HeaderFirst<'a> {
    header: Vec<u8>,
    file: ArmoredReader<BufReader<&'a [u8]>>,
}

impl<'a> HeaderFirst<'a> {
    /// Reads as much of the header as there is: the library reports what is malformed.
    fn new(file: &'a [u8]) -> Result<Self, AgeError> {
        let (mut header, mut stanzas) = (Vec::new(), 0);
        let mut file = ArmoredReader::new(file);
        loop {
            let start = header.len();
            let room = MAX_HEADER_BYTES - start as u64;
            let read = (&mut file).take(room).read_until(b'\n', &mut header);
            let line = header.get(start..).unwrap_or_default();
            if read.is_err() || line.is_empty() || line.starts_with(b"--- ") {
                return Ok(Self { header, file });
            }
            stanzas += usize::from(line.starts_with(b"-> "));
            if stanzas > MAX_STANZAS {
                return Err(damaged("its header has more than 128 stanzas"));
            }
            if header.len() as u64 == MAX_HEADER_BYTES {
                return Err(damaged("its header is too long"));
            }
        }
    }
}

impl Read for HeaderFirst<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl BufRead for HeaderFirst<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.file.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.file.consume(amount);
    }

    fn read_until(&mut self, byte: u8, line: &mut Vec<u8>) -> io::Result<usize> {
        if self.header.is_empty() {
            return self.file.read_until(byte, line);
        }
        line.append(&mut self.header);
        Ok(line.len())
    }
}

/// Returns the types of the stanzas, one for each recipient, and the tags of ssh keys.
pub fn recipients(file: &[u8]) -> Result<Vec<recipients::Stanza>, AgeError> {
    check(file)?;
    Ok(stanzas(file)?.iter().filter_map(summary).collect())
}

/// Refuses files that no identity could open, without any key.
pub fn check(file: &[u8]) -> Result<(), AgeError> {
    for_keys(file)?;
    if file.starts_with(BINARY_START) {
        return Ok(());
    }
    // Armor marks its end, so a truncated file and plain text after it are noticed.
    check_armor(file)?;
    io::copy(&mut ArmoredReader::new(file), &mut io::sink())
        .map_err(|_| damaged("its armor is truncated or malformed, or text follows it"))?;
    Ok(())
}

/// Returns the stanzas of a file in order, grease included.
pub fn stanzas(file: &[u8]) -> Result<Vec<Stanza>, AgeError> {
    let probe = Probe::default();
    // No identity matches: the probe only records the stanzas.
    let _ = read(file)?.decrypt(std::iter::once(&probe as &dyn age::Identity));
    Ok(probe.seen.into_inner())
}

pub fn for_keys(file: &[u8]) -> Result<Decryptor<HeaderFirst<'_>>, AgeError> {
    let decryptor = read(file)?;
    if decryptor.is_scrypt() {
        return Err(AgeError::PassphraseFile);
    }
    Ok(decryptor)
}

pub fn read(file: &[u8]) -> Result<Decryptor<HeaderFirst<'_>>, AgeError> {
    refuse_damage(file)?;
    Decryptor::new_buffered(HeaderFirst::new(file)?).map_err(|error| explain(error, file))
}

/// Refuses damage that has a better name than the one the library gives it.
fn refuse_damage(file: &[u8]) -> Result<(), AgeError> {
    if !file.starts_with(BINARY_START) && files::has_conflict_marks(file) {
        return Err(AgeError::ConflictMarks);
    }
    if let Some((what, help)) = replaced(file) {
        return Err(AgeError::Replaced { what, help });
    }
    if !is_age_file(file) {
        return Err(AgeError::NotEncrypted);
    }
    let first_line = file.split_inclusive(|byte| *byte == b'\n').next();
    if file.starts_with(BINARY_START) && first_line.is_some_and(|line| line.ends_with(b"\r\n")) {
        return Err(AgeError::LineEnds);
    }
    Ok(())
}

/// Returns what another program left in the place of an encrypted file, and the remedy.
fn replaced(file: &[u8]) -> Option<(&'static str, &'static str)> {
    if file.is_empty() {
        Some((
            "an empty file",
            "Restore it with 'git restore FILE'. A shell empties the file that a command's output is redirected to.",
        ))
    } else if file.starts_with(b"version https://git-lfs.github.com/spec/") {
        Some((
            "a Git LFS pointer, not the file itself",
            "Fetch the file with 'git lfs pull', then keep it out of LFS with '-filter' in .gitattributes, as 'drspass init' writes it.",
        ))
    } else if file.starts_with(b"\0GITCRYPT\0") {
        Some((
            "a file encrypted with git-crypt",
            "Run 'git-crypt unlock', then keep the file out of git-crypt with '-filter' in .gitattributes, as 'drspass init' writes it.",
        ))
    } else {
        None
    }
}

pub fn has_bounded_header(file: &[u8]) -> bool {
    HeaderFirst::new(file).is_ok()
}

/// An identity that records the stanzas it gets: the library shows a header in no other way.
#[derive(Default)]
struct Probe {
    seen: RefCell<Vec<Stanza>>,
}

impl age::Identity for Probe {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        self.seen.borrow_mut().push(copy(stanza));
        None
    }
}

fn copy(stanza: &Stanza) -> Stanza {
    Stanza {
        tag: stanza.tag.clone(),
        args: stanza.args.clone(),
        body: stanza.body.clone(),
    }
}

fn summary(stanza: &Stanza) -> Option<recipients::Stanza> {
    if stanza.tag.ends_with(GREASE) {
        return None;
    }
    // The first argument of an ssh stanza is the tag of the key.
    let is_ssh = stanza.tag.starts_with("ssh-");
    let tag = stanza.args.first().filter(|_| is_ssh);
    Some(recipients::Stanza {
        kind: cleaned(&stanza.tag),
        tag: tag.map(|tag| cleaned(tag)),
    })
}

/// The header is foreign text: its writer must not steer a terminal.
fn cleaned(word: &str) -> String {
    let visible = |c: &char| c.is_ascii_graphic();
    word.chars().filter(visible).take(MAX_KIND_CHARS).collect()
}

/// Checks that a file is one armored block with nothing around it, line by line so that damage has
/// a line number. The library decodes it just as strictly.
fn check_armor(file: &[u8]) -> Result<(), AgeError> {
    let refused = |line, why| Err(AgeError::Armor { line, why });
    let mut lines = file.split_inclusive(|byte| *byte == b'\n').map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    });
    match lines.next() {
        None => return refused(1, "the first line of the armor is missing"),
        Some(ARMOR_BEGIN) => {}
        Some(line) => {
            let why = match line.trim_ascii() {
                ARMOR_BEGIN => "whitespace surrounds the first line of the armor",
                b"" => "an empty line precedes the armor",
                _ => "it is not the first line of an armor",
            };
            return refused(1, why);
        }
    }
    let mut number = 1;
    // The line before was a short one, which must be the last of the content.
    let mut is_ending = false;
    loop {
        let Some(line) = lines.next() else {
            let why = "the file ends here, before the last line of the armor";
            return refused(number, why);
        };
        number += 1;
        if line == ARMOR_END {
            break;
        }
        let is_base64 =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        let why = if line.starts_with(b"--") || line.windows(8).any(|part| part == b"-----END") {
            "it is not the last line of an armor"
        } else if line.trim_ascii().is_empty() {
            "an empty line is inside the armor"
        } else if line.iter().any(u8::is_ascii_whitespace) {
            "it contains whitespace"
        } else if !line.iter().all(is_base64) {
            "it contains an invalid character"
        } else if is_ending {
            "the line before it is too short"
        } else if line.len() > COLUMNS {
            "it is longer than 64 characters"
        } else if !line.len().is_multiple_of(4) {
            "its end is missing"
        } else {
            is_ending = line.len() < COLUMNS;
            continue;
        };
        return refused(number, why);
    }
    match lines.position(|line| !line.trim_ascii().is_empty()) {
        Some(behind) => refused(number + 1 + behind, "text follows the armor"),
        None => Ok(()),
    }
}

pub const fn damaged(why: &'static str) -> AgeError {
    AgeError::Damaged { why }
}

/// Returns the fault of a file's armor, which says more than the errors that follow from it.
pub fn misshapen(file: &[u8]) -> Option<AgeError> {
    (!file.starts_with(BINARY_START))
        .then(|| check_armor(file).err())
        .flatten()
}

pub fn explain(error: age::DecryptError, file: &[u8]) -> AgeError {
    let why = match error {
        // A plugin's failure travels through the library in this form.
        age::DecryptError::Io(error) => match error.downcast() {
            Ok(carried) => return carried,
            Err(_) => "it is truncated, or its armor is malformed",
        },
        age::DecryptError::NoMatchingKeys => return misshapen(file).unwrap_or(AgeError::NoMatch),
        age::DecryptError::InvalidHeader => "its header is not an age header",
        age::DecryptError::InvalidMac => "its header was changed",
        age::DecryptError::UnknownFormat => "its age version is unknown",
        _ => "it cannot be decrypted",
    };
    misshapen(file).unwrap_or(AgeError::Damaged { why })
}

/// Returns the SHA-256 of a file in binary form, which armor and line ends do not change. For a
/// file that cannot be opened it only shows that it is another one.
pub fn digest(file: &[u8]) -> [u8; 32] {
    if file.starts_with(BINARY_START) {
        return Sha256::digest(file).into();
    }
    let mut sha = Sha256::new();
    let mut chunk = Vec::with_capacity(CHUNK + 64);
    let mut flush = |chunk: &mut Vec<u8>| {
        match STANDARD.decode(&*chunk) {
            Ok(binary) => sha.update(binary),
            Err(_) => sha.update(&*chunk),
        }
        chunk.clear();
    };
    for line in file.split(|byte| *byte == b'\n') {
        if !line.starts_with(b"-----") {
            chunk.extend(line.trim_ascii());
        }
        if chunk.len() >= CHUNK && chunk.len().is_multiple_of(4) {
            flush(&mut chunk);
        }
    }
    flush(&mut chunk);
    sha.finalize().into()
}

#[cfg(test)]
mod tests {
    use crate::age_file::{Plugins, encrypt, generate_identity};
    use crate::core::recipients::ssh_tag;

    #[test]
    fn the_header_tells_types_and_ssh_tags() {
        let ssh =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";
        let (_, native) = generate_identity("2026-01-02T03:04:05Z");
        let sealed = encrypt(b"x", &[native, ssh.to_owned()], Plugins::Never).expect("sealed");
        let stanzas = super::stanzas(&sealed).expect("a header");
        assert_eq!(stanzas[0].tag, "X25519");
        assert_eq!(stanzas[1].tag, "ssh-ed25519");
        use base64::Engine as _;
        let key = base64::engine::general_purpose::STANDARD
            .decode(&ssh["ssh-ed25519 ".len()..])
            .expect("base64");
        assert_eq!(stanzas[1].args[0], ssh_tag(&key));
        assert!(super::stanzas(b"jobs: {}\n").is_err());
    }

    #[test]
    fn every_recipient_has_a_stanza_and_noise_has_none() {
        let public = |_| generate_identity("2026-01-02T03:04:05Z").1;
        let ssh = include_str!("../../tests/data/locked_ed25519.pub").trim();
        let mut recipients: Vec<String> = (0..3).map(public).collect();
        recipients.push(ssh.to_owned());
        let file = encrypt(b"canary-text", &recipients, Plugins::Never).expect("sealed");
        let found = super::recipients(&file).expect("a header");
        let kinds: Vec<&str> = found.iter().map(|stanza| stanza.kind.as_str()).collect();
        assert_eq!(kinds, ["X25519", "X25519", "X25519", "ssh-ed25519"]);
        let tags: Vec<bool> = found.iter().map(|stanza| stanza.tag.is_some()).collect();
        assert_eq!(tags, [false, false, false, true]);
        let report =
            crate::core::recipients::compare("m".to_owned(), &recipients, Ok(&recipients), &found);
        use crate::core::recipients::InFile::{Unknown, Yes};
        let known: Vec<_> = report.recipients.iter().map(|r| r.in_file).collect();
        assert_eq!(known, [Unknown, Unknown, Unknown, Yes]);
        assert_eq!(report.strangers, 0);
    }

    #[test]
    fn what_is_no_age_file_has_no_stanzas() {
        assert!(super::recipients(b"jobs: {}\n").is_err());
        assert!(super::recipients(b"age-encryption.org/v1\n-> X25519 abc\n").is_err());
    }
}
