//! The header of an age file: for whom it is, without opening it. What it says is
//! not authenticated before the file is opened, so it decides nothing but what to
//! try and what to tell.

use std::cell::RefCell;

use age::Decryptor;
use age::armor::ArmoredReader;
use age_core::format::{FileKey, Stanza};

use super::error::AgeError;
use super::open::{explain, refuse_damage};

/// The stanzas of a file, in order: one or more for each recipient, and perhaps some
/// that mean nothing, which keep readers tolerant.
/// Fails if it is no age file, or its header is damaged.
pub(crate) fn stanzas(file: &[u8]) -> Result<Vec<Stanza>, AgeError> {
    refuse_damage(file)?;
    let decryptor =
        Decryptor::new_buffered(ArmoredReader::new(file)).map_err(|error| explain(error, file))?;
    let probe = Probe::default();
    // No identity matches: what counts is what it was shown.
    let _ = decryptor.decrypt(std::iter::once(&probe as &dyn age::Identity));
    Ok(probe.seen.into_inner())
}

/// An identity that opens nothing and keeps what it is shown: the one way in which
/// the library hands out a header that it has parsed.
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

/// The same stanza once more.
pub(super) fn copy(stanza: &Stanza) -> Stanza {
    Stanza {
        tag: stanza.tag.clone(),
        args: stanza.args.clone(),
        body: stanza.body.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::age_file::{Plugins, encrypt, generate_identity};
    use crate::core::recipients::ssh_tag;

    #[test]
    fn the_header_tells_types_and_ssh_tags() {
        let ssh =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";
        let (_, native) = generate_identity("2026-01-02T03:04:05Z");
        let sealed = encrypt(b"x", &[native, ssh.to_owned()], Plugins::Never).expect("sealed");
        let stanzas = stanzas(&sealed).expect("a header");
        assert_eq!(stanzas[0].tag, "X25519");
        assert_eq!(stanzas[1].tag, "ssh-ed25519");
        use base64::Engine as _;
        let key = base64::engine::general_purpose::STANDARD
            .decode(&ssh["ssh-ed25519 ".len()..])
            .expect("base64");
        assert_eq!(stanzas[1].args[0], ssh_tag(&key));
        assert!(super::stanzas(b"jobs: {}\n").is_err());
    }
}
