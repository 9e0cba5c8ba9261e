//! Who can decrypt a manifest: the recipients that drspass.yaml lists, those that were sealed, and
//! those in the file's header, which proves nothing to readers that cannot open the file.

mod judge;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

pub use judge::{SshWire, refuse_recipient, refuse_ssh_key};

/// Returns type and key without an ssh key's comment, by which recipients are compared.
pub fn recipient_key(recipient: &str) -> String {
    let words: Vec<&str> = recipient.split_ascii_whitespace().take(2).collect();
    match words.as_slice() {
        [kind, key] if kind.starts_with("ssh-") => format!("{kind} {key}"),
        _ => recipient.trim().to_owned(),
    }
}

/// The recipients added and removed between two lists, as written there.
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

    /// Formats them in one line: added ones with `+`, removed ones with `-`, shortened.
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

/// The bytes of an ssh key's digest that its stanza shows (age specification, "ssh-rsa and
/// ssh-ed25519 recipient stanzas" of the reference implementation).
const TAG_BYTES: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stanza {
    pub kind: String,
    /// Identifies an ssh key to its owner.
    pub tag: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFile {
    Yes,
    No,
    /// Stanzas of its type do not say whom they are for.
    Unknown,
}

/// Returns the tag in base64. `public_key` is the decoded key of a public key file.
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

/// Returns `None` for a plugin's key, since plugins choose their own.
fn stanza_kind(key: &str) -> Option<&str> {
    match key.split_once(' ') {
        Some((kind, _)) => Some(kind),
        // The part with the key never has a 1; a plugin's name ends with a second one.
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

/// Returns why a header is not one for these recipients and no one else, as far as it can be known:
/// a plugin makes any number of stanzas of its own types for a recipient.
pub fn misfit(recipients: &[String], stanzas: &[Stanza]) -> Option<String> {
    let keys: Vec<String> = recipients.iter().map(|text| recipient_key(text)).collect();
    let (of_plugins, others): (Vec<_>, Vec<_>) = keys.iter().partition(|key| is_of_plugin(key));
    let mut left: Vec<&Stanza> = stanzas.iter().collect();
    for key in others {
        let tag = tag_of(key);
        let is_for_it = |stanza: &&Stanza| {
            stanza_kind(key) == Some(&stanza.kind) && (tag.is_none() || tag == stanza.tag)
        };
        let Some(at) = left.iter().position(is_for_it) else {
            return Some(format!(
                "the manifest is not encrypted to {}",
                shortened(key)
            ));
        };
        left.swap_remove(at);
    }
    let fits = match of_plugins.len() {
        0 => left.is_empty(),
        least => left.len() >= least,
    };
    (!fits).then(|| {
        format!(
            "the header of the manifest does not fit: stanzas {}, recipients {}",
            stanzas.len(),
            recipients.len()
        )
    })
}

const MAX_WHOLE_CHARS: usize = 128;
const MAX_COMMENT_CHARS: usize = 24;

/// Returns the beginning and end of a key, enough to recognise it, in characters that every
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

/// Replaces what could steer a terminal with question marks: to its checkers, the configuration is
/// foreign text.
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

/// Formats a recipient for people who decide about it: its key so that no other key looks like it,
/// since beginning and end of one can be chosen, and its comment, which anyone can write. An ssh
/// key is shown as `ssh-keygen -l` does.
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
    /// The types in the order of first appearance, with their numbers.
    pub stanzas: Vec<(String, usize)>,
    /// Stanzas for ssh keys that are neither listed nor sealed.
    pub strangers: usize,
    pub unopened: Option<&'static str>,
    pub notes: Vec<String>,
}

/// Compares the recipients of drspass.yaml, the seal (or why it is unknown) and the header.
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
            "drspass.yaml lists other recipients than the seal; 'drspass rekey' encrypts to those in drspass.yaml"
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
                "recipients in the file: {found}, sealed: {expected}; someone encrypted it without drspass"
            ));
        }
        if any(|listed| listed.is_sealed == Some(true) && listed.in_file == InFile::No) {
            notes.push(
                "a recipient was sealed, but the file is not encrypted to it: someone encrypted it without drspass"
                    .to_owned(),
            );
        }
    } else {
        notes.push(
            "without an identity, the sealed list is unknown and the header is not authenticated"
                .to_owned(),
        );
    }
    if any(|listed| listed.in_file == InFile::Unknown) {
        notes.push(
            "the header of an age file does not name age1… keys, it only counts them; their owners can try to decrypt"
                .to_owned(),
        );
    }
    notes.push("anyone who could decrypt an earlier commit still can".to_owned());
    notes
}

#[cfg(test)]
mod tests;
