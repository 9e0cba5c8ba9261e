//! What the header of an age file tells without any key: the types of its recipient
//! stanzas, and what ssh keys are recognised by (age specification, "Header").
//! Nothing of it is proved to somebody who cannot open the file.

use std::io::{BufRead as _, BufReader, Read as _};

use age::armor::ArmoredReader;

use super::{AgeError, check_header};
use crate::core::recipients::Stanza;

/// A header of a thousand recipients has a few hundred kilobytes.
const MAX_HEADER_BYTES: u64 = 4 << 20;
/// Stanzas that only keep readers from relying on there being no unknown ones end like
/// this; they are for nobody.
const GREASE: &str = "-grease";
/// The longest name of a type that is told.
const MAX_KIND_CHARS: usize = 32;

/// The stanzas of a file, one for each recipient.
/// Fails if it is no age file, or one that is encrypted with a passphrase.
pub fn of(file: &[u8]) -> Result<Vec<Stanza>, AgeError> {
    check_header(file)?;
    let lines = BufReader::new(ArmoredReader::new(file))
        .take(MAX_HEADER_BYTES)
        .split(b'\n');
    let mut found = Vec::new();
    for line in lines {
        let line = line.map_err(|_| damaged())?;
        if line.starts_with(b"---") {
            return Ok(found);
        }
        let words = std::str::from_utf8(&line)
            .ok()
            .and_then(|line| line.strip_prefix("-> "));
        if let Some(words) = words {
            found.extend(stanza(words));
        }
    }
    Err(damaged())
}

const fn damaged() -> AgeError {
    AgeError::Damaged {
        why: "its header has no end",
    }
}

fn stanza(words: &str) -> Option<Stanza> {
    let mut words = words.split(' ');
    let kind = words.next().unwrap_or_default();
    if kind.ends_with(GREASE) {
        return None;
    }
    // The first argument of an ssh stanza is the tag of the key.
    let tag = words.next().filter(|_| kind.starts_with("ssh-"));
    Some(Stanza {
        kind: cleaned(kind),
        tag: tag.map(cleaned),
    })
}

/// The header is foreign text: whoever wrote it must not steer a terminal.
fn cleaned(word: &str) -> String {
    let visible = |c: &char| c.is_ascii_graphic();
    word.chars().filter(visible).take(MAX_KIND_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::age_file::{encrypt, generate_identity};

    #[test]
    fn every_recipient_has_a_stanza_and_noise_has_none() {
        let public = |_| generate_identity("2026-01-02T03:04:05Z").1;
        let ssh = include_str!("../../tests/data/locked_ed25519.pub").trim();
        let mut recipients: Vec<String> = (0..3).map(public).collect();
        recipients.push(ssh.to_owned());
        let file = encrypt(b"canary-text", &recipients).expect("sealed");
        let found = of(&file).expect("a header");
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
        assert!(of(b"jobs: {}\n").is_err());
        assert!(of(b"age-encryption.org/v1\n-> X25519 abc\n").is_err());
    }
}
