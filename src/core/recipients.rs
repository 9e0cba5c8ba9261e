//! To whom a manifest is encrypted: what drspass.yaml lists, what was sealed, and what the
//! header of the file tells, which proves nothing to those who cannot open the file.

mod judge;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

pub use judge::{SshWire, refuse_recipient, refuse_ssh_key};

/// Type and key, by which recipients are compared, without the comment of an ssh key.
pub fn recipient_key(recipient: &str) -> String {
    let words: Vec<&str> = recipient.split_ascii_whitespace().take(2).collect();
    match words.as_slice() {
        [kind, key] if kind.starts_with("ssh-") => format!("{kind} {key}"),
        _ => recipient.trim().to_owned(),
    }
}

/// The recipients that are added and removed between two lists, each as written there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub added: Vec<String>,
    pub removed: Vec<String>,
}

impl Difference {
    pub fn between(sealed: &[String], configured: &[String]) -> Self {
        Self {
            added: missing(configured, sealed),
            removed: missing(sealed, configured),
        }
    }

    pub fn is_none(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    /// In one line: added ones with `+`, removed ones with `-`, shortened.
    pub fn in_line(&self) -> String {
        let added = self.added.iter().map(|text| ('+', text));
        let removed = self.removed.iter().map(|text| ('-', text));
        let parts: Vec<String> = added
            .chain(removed)
            .map(|(mark, text)| format!("{mark} {}", shortened(&recipient_key(text))))
            .collect();
        parts.join(" ")
    }
}

fn missing(list: &[String], other: &[String]) -> Vec<String> {
    let others: Vec<String> = other.iter().map(|text| recipient_key(text)).collect();
    list.iter()
        .filter(|text| !others.contains(&recipient_key(text)))
        .cloned()
        .collect()
}

/// The bytes of the digest of an ssh key that its stanza shows (age specification,
/// "ssh-rsa and ssh-ed25519 recipient stanzas" of the reference implementation).
const TAG_BYTES: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stanza {
    pub kind: String,
    /// By which the owner of an ssh key knows it.
    pub tag: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFile {
    Yes,
    No,
    /// Stanzas of its type do not tell for whom they are.
    Unknown,
}

/// In base64. `public_key` is the key as in a public key file, decoded.
pub fn ssh_tag(public_key: &[u8]) -> String {
    STANDARD_NO_PAD.encode(&Sha256::digest(public_key)[..TAG_BYTES])
}

pub fn tag_of(key: &str) -> Option<String> {
    let (kind, encoded) = key.split_once(' ')?;
    if !kind.starts_with("ssh-") {
        return None;
    }
    Some(ssh_tag(&STANDARD.decode(encoded).ok()?))
}

/// `None` for the key of a plugin, which chooses its own.
fn stanza_kind(key: &str) -> Option<&str> {
    match key.split_once(' ') {
        Some((kind, _)) => Some(kind),
        // The part that holds the key never has a 1; a plugin's name ends with a second one.
        None if key.matches('1').count() == 1 => Some("X25519"),
        None => None,
    }
}

pub fn is_of_plugin(key: &str) -> bool {
    stanza_kind(key).is_none()
}

pub fn in_file(key: &str, stanzas: &[Stanza]) -> InFile {
    let mut of_kind = stanzas
        .iter()
        .filter(|stanza| stanza_kind(key).is_none_or(|kind| kind == stanza.kind))
        .peekable();
    match tag_of(key) {
        _ if of_kind.peek().is_none() => InFile::No,
        None => InFile::Unknown,
        Some(tag) if of_kind.any(|stanza| stanza.tag.as_ref() == Some(&tag)) => InFile::Yes,
        Some(_) => InFile::No,
    }
}

const MAX_WHOLE_CHARS: usize = 128;
const MAX_COMMENT_CHARS: usize = 24;

/// The beginning and end of a key, which are enough to recognise it, in characters that every
/// terminal can show.
pub fn shortened(key: &str) -> String {
    let key = visible(key);
    let last = key.rsplit(' ').next().unwrap_or(&key);
    let kind = key.strip_suffix(last).unwrap_or_default();
    match (
        last.get(..8),
        last.len().checked_sub(6).and_then(|at| last.get(at..)),
    ) {
        (Some(start), Some(end)) if last.len() > 20 => format!("{kind}{start}…{end}"),
        _ => key,
    }
}

/// The configuration is foreign text to whoever checks it: what could steer a terminal is
/// shown as a question mark.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == ' ' || c.is_ascii_graphic() {
                c
            } else {
                '?'
            }
        })
        .collect()
}

/// A recipient for people who decide about it: its key so that no other key looks like
/// it, since beginning and end of one can be chosen, and its comment, which anybody can
/// write. An ssh key is shown as `ssh-keygen -l` does.
pub fn identified(text: &str) -> (String, Option<String>) {
    let key = recipient_key(text);
    let blob = key
        .split_once(' ')
        .map(|(kind, blob)| (kind, STANDARD.decode(blob)));
    let shown = match blob {
        Some((kind, Ok(blob))) if kind.starts_with("ssh-") => {
            format!("{kind} {}", digest(&blob))
        }
        None if key.len() > MAX_WHOLE_CHARS => {
            format!("{} {}", shortened(&key), digest(key.as_bytes()))
        }
        _ => visible(&key),
    };
    (shown, comment(text))
}

fn digest(bytes: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(bytes)))
}

pub fn comment(text: &str) -> Option<String> {
    if !text.starts_with("ssh-") {
        return None;
    }
    let words: Vec<&str> = text.split_ascii_whitespace().skip(2).collect();
    let shown: String = visible(&words.join(" "))
        .chars()
        .take(MAX_COMMENT_CHARS)
        .collect();
    Some(shown).filter(|shown| !shown.is_empty())
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRecipient {
    pub key: String,
    pub comment: Option<String>,
    pub is_configured: bool,
    /// `None` if the file was not opened.
    pub is_sealed: Option<bool>,
    pub in_file: InFile,
}

#[derive(Debug)]
pub struct RecipientsReport {
    pub manifest: String,
    /// Those of drspass.yaml in its order, then those that were only sealed.
    pub recipients: Vec<ListedRecipient>,
    /// The types in the order in which they first come, counted.
    pub stanzas: Vec<(String, usize)>,
    /// Stanzas for ssh keys that are neither listed nor sealed.
    pub strangers: usize,
    pub unopened: Option<&'static str>,
    pub notes: Vec<String>,
}

/// Compares the recipients of drspass.yaml, of the seal (or why it is not known) and of the
/// header.
pub fn compare(
    manifest: String,
    configured: &[String],
    sealed: Result<&[String], &'static str>,
    stanzas: &[Stanza],
) -> RecipientsReport {
    let known = sealed.unwrap_or_default();
    let only_sealed = missing(known, configured);
    let sealed_keys: Vec<String> = known.iter().map(|text| recipient_key(text)).collect();
    let listed = |text: &String, is_configured| {
        let key = recipient_key(text);
        ListedRecipient {
            comment: comment(text),
            is_configured,
            is_sealed: sealed.is_ok().then(|| sealed_keys.contains(&key)),
            in_file: in_file(&key, stanzas),
            key,
        }
    };
    let recipients: Vec<ListedRecipient> = configured
        .iter()
        .map(|text| listed(text, true))
        .chain(only_sealed.iter().map(|text| listed(text, false)))
        .collect();
    let tags: Vec<String> = recipients.iter().filter_map(|r| tag_of(&r.key)).collect();
    let strangers = stanzas
        .iter()
        .filter_map(|stanza| stanza.tag.as_ref())
        .filter(|tag| !tags.contains(tag))
        .count();
    let mut counted: Vec<(String, usize)> = Vec::new();
    for stanza in stanzas {
        match counted.iter_mut().find(|(kind, _)| *kind == stanza.kind) {
            Some((_, count)) => *count += 1,
            None => counted.push((stanza.kind.clone(), 1)),
        }
    }
    let mut report = RecipientsReport {
        manifest,
        recipients,
        stanzas: counted,
        strangers,
        unopened: sealed.err(),
        notes: Vec::new(),
    };
    report.notes = notes(&report, known, stanzas);
    report
}

fn notes(report: &RecipientsReport, sealed: &[String], stanzas: &[Stanza]) -> Vec<String> {
    let mut notes = Vec::new();
    let any = |is_such: fn(&ListedRecipient) -> bool| report.recipients.iter().any(is_such);
    if any(|listed| listed.is_sealed == Some(!listed.is_configured)) {
        notes.push(
            "drspass.yaml lists other recipients than were sealed; 'drspass rekey' encrypts to \
             those that it lists"
                .to_owned(),
        );
    }
    if report.strangers > 0 {
        notes.push(format!(
            "stanzas for ssh keys that are neither listed nor sealed: {}",
            report.strangers
        ));
    }
    if report.unopened.is_none() {
        // A plugin may make several stanzas for one recipient; all others make one.
        let may_be_more = sealed.iter().any(|text| is_of_plugin(&recipient_key(text)));
        let (found, expected) = (stanzas.len(), sealed.len());
        if found < expected || (found > expected && !may_be_more) {
            notes.push(format!(
                "the file is encrypted to {found} recipients, but {expected} were sealed with it: \
                 somebody encrypted it without drspass"
            ));
        }
        if any(|listed| listed.is_sealed == Some(true) && listed.in_file == InFile::No) {
            notes.push(
                "a recipient was sealed, but the file is not encrypted to it: somebody encrypted \
                 it without drspass"
                    .to_owned(),
            );
        }
    } else {
        notes.push(
            "without a key, the sealed list is not known, and nobody proves what the header says"
                .to_owned(),
        );
    }
    if any(|listed| listed.in_file == InFile::Unknown) {
        notes.push(
            "an age header tells how many age1… keys there are, never which; only their owners \
             can try"
                .to_owned(),
        );
    }
    notes.push("who could read an earlier commit still can".to_owned());
    notes
}

#[cfg(test)]
mod tests;
