//! What the header of an age file tells without any key: the types of its recipient
//! stanzas, and what ssh keys are recognised by (age specification, "Header").
//! Nothing of it is proved to somebody who cannot open the file.

use super::error::AgeError;
use super::header;
use super::open::check_header;
use crate::core::recipients::Stanza;

/// Stanzas that only keep readers from relying on there being no unknown ones end like
/// this; they are for nobody.
const GREASE: &str = "-grease";
/// The longest name of a type that is told.
const MAX_KIND_CHARS: usize = 32;

/// The stanzas of a file, one for each recipient.
/// Fails if it is no age file, or one that is encrypted with a passphrase.
pub fn of(file: &[u8]) -> Result<Vec<Stanza>, AgeError> {
    check_header(file)?;
    Ok(header::stanzas(file)?.iter().filter_map(told).collect())
}

fn told(stanza: &age_core::format::Stanza) -> Option<Stanza> {
    if stanza.tag.ends_with(GREASE) {
        return None;
    }
    // The first argument of an ssh stanza is the tag of the key.
    let is_ssh = stanza.tag.starts_with("ssh-");
    let tag = stanza.args.first().filter(|_| is_ssh);
    Some(Stanza {
        kind: cleaned(&stanza.tag),
        tag: tag.map(|tag| cleaned(tag)),
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
    use crate::age_file::{Plugins, encrypt, generate_identity};

    #[test]
    fn every_recipient_has_a_stanza_and_noise_has_none() {
        let public = |_| generate_identity("2026-01-02T03:04:05Z").1;
        let ssh = include_str!("../../tests/data/locked_ed25519.pub").trim();
        let mut recipients: Vec<String> = (0..3).map(public).collect();
        recipients.push(ssh.to_owned());
        let file = encrypt(b"canary-text", &recipients, Plugins::Never).expect("sealed");
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
