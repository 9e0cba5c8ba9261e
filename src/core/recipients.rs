//! To whom a manifest is encrypted: what drspass.yaml lists, what was sealed, and
//! what the header of the file tells. Public keys alone; a header proves nothing to
//! somebody who cannot open the file.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::config::recipient_key;

/// The bytes of the digest of an ssh key that its stanza shows (age specification,
/// "ssh-rsa and ssh-ed25519 recipient stanzas" of the reference implementation).
const TAG_BYTES: usize = 4;
/// A key that is not longer is shown whole; only post-quantum keys and those of some
/// plugins are.
const MAX_WHOLE_CHARS: usize = 128;
/// A comment is for people: more than this tells them nothing.
const MAX_COMMENT_CHARS: usize = 24;

/// The part of an age header that is for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stanza {
    /// Its type, such as `X25519`.
    pub kind: String,
    /// What ssh keys are recognised by; nothing for other types.
    pub tag: Option<String>,
}

/// What the header tells of one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFile {
    /// A stanza has its tag.
    Yes,
    /// There is no stanza that could be its.
    No,
    /// Stanzas of its type do not tell for whom they are.
    Unknown,
}

/// One recipient, with where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Type and key, without a comment.
    pub key: String,
    /// The comment behind an ssh key.
    pub comment: Option<String>,
    /// Whether drspass.yaml lists it.
    pub is_configured: bool,
    /// Whether it was sealed; nothing if the file was not opened.
    pub is_sealed: Option<bool>,
    /// Whether the file is encrypted to it.
    pub in_file: InFile,
}

/// Everything that can be known about who can read a manifest.
#[derive(Debug)]
pub struct RecipientsReport {
    /// The manifest, as configured.
    pub manifest: String,
    /// Recipients of drspass.yaml in its order, then those that were only sealed.
    pub recipients: Vec<Listed>,
    /// The types of stanzas in the order in which they first come, counted.
    pub stanzas: Vec<(String, usize)>,
    /// Stanzas for ssh keys that are neither listed nor sealed.
    pub strangers: usize,
    /// Why the file was not opened, if it was not.
    pub unopened: Option<&'static str>,
    /// What does not fit, or cannot be known, as sentences.
    pub notes: Vec<String>,
}

/// The recipients that are added and removed by going over from one list to another,
/// each as it is written there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Only in the new list.
    pub added: Vec<String>,
    /// Only in the old one.
    pub removed: Vec<String>,
}

impl Difference {
    /// The way from `sealed` to `configured`. Comments do not count.
    pub fn between(sealed: &[String], configured: &[String]) -> Self {
        Self {
            added: missing(configured, sealed),
            removed: missing(sealed, configured),
        }
    }

    /// Whether both lists name the same keys.
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

/// Those of `list` that `other` does not name.
fn missing(list: &[String], other: &[String]) -> Vec<String> {
    let others: Vec<String> = other.iter().map(|text| recipient_key(text)).collect();
    list.iter()
        .filter(|text| !others.contains(&recipient_key(text)))
        .cloned()
        .collect()
}

/// The beginning and end of a recipient's key, which are enough to recognise it, in
/// characters that every terminal can show.
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

/// As `ssh-keygen` writes it.
fn digest(bytes: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(bytes)))
}

/// What stands behind an ssh key, in characters that every terminal can show.
fn comment(text: &str) -> Option<String> {
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

/// What the stanza for an ssh key shows of it, by which its owner knows it, in base64.
/// `public_key` is the key as it stands in a public key file, decoded.
pub fn ssh_tag(public_key: &[u8]) -> String {
    STANDARD_NO_PAD.encode(&Sha256::digest(public_key)[..TAG_BYTES])
}

/// What the stanza of an ssh key shows; nothing for other keys.
fn tag_of(key: &str) -> Option<String> {
    let (kind, encoded) = key.split_once(' ')?;
    if !kind.starts_with("ssh-") {
        return None;
    }
    Some(ssh_tag(&STANDARD.decode(encoded).ok()?))
}

/// The type of stanza that a key makes; nothing for the key of a plugin, which
/// chooses its own.
fn stanza_kind(key: &str) -> Option<&str> {
    match key.split_once(' ') {
        Some((kind, _)) => Some(kind),
        // The part that holds the key never has a 1; a plugin's name ends with a second one.
        None if key.matches('1').count() == 1 => Some("X25519"),
        None => None,
    }
}

/// Puts together what drspass.yaml lists, what was sealed and what the header tells.
/// `sealed` is the reason why it is not known, if it is not.
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
        Listed {
            comment: comment(text),
            is_configured,
            is_sealed: sealed.is_ok().then(|| sealed_keys.contains(&key)),
            in_file: in_file(&key, stanzas),
            key,
        }
    };
    let recipients: Vec<Listed> = configured
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

fn in_file(key: &str, stanzas: &[Stanza]) -> InFile {
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

fn notes(report: &RecipientsReport, sealed: &[String], stanzas: &[Stanza]) -> Vec<String> {
    let mut notes = Vec::new();
    let differs = |listed: &&Listed| listed.is_sealed.is_some_and(|s| s != listed.is_configured);
    if report.recipients.iter().any(|listed| differs(&listed)) {
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
        if stanzas.len() != sealed.len() {
            notes.push(format!(
                "the file is encrypted to {} recipients, but {} were sealed with it: somebody \
                 encrypted it without drspass",
                stanzas.len(),
                sealed.len()
            ));
        }
        let is_missing =
            |listed: &&Listed| listed.is_sealed == Some(true) && listed.in_file == InFile::No;
        if report.recipients.iter().any(|listed| is_missing(&listed)) {
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
    let untold = |listed: &&Listed| listed.in_file == InFile::Unknown;
    if report.recipients.iter().any(|listed| untold(&listed)) {
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
mod tests {
    use super::*;

    const ED: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN alice@example.com";
    const AGE: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn comments_make_no_difference_and_are_shown() {
        let bare = ED.rsplit_once(' ').expect("a comment").0;
        assert!(Difference::between(&texts(&[ED, AGE]), &texts(&[AGE, bare])).is_none());
        let shown = |text: &str| identified(text).0;
        assert_eq!(
            shown(ED),
            "ssh-ed25519 SHA256:PYX4o9UfGwCwG76hFcLAEkmMS0PtIBtV9MNmVgW16Oc"
        );
        assert_eq!(comment(ED).as_deref(), Some("alice@example.com"));
        assert_eq!(shown(AGE), AGE);
        assert_eq!(comment("ssh-rsa AAAA a\u{202e}b").as_deref(), Some("a?b"));
        assert_eq!(shown("age1\u{202e}\u{1b}x"), "age1??x");
        assert_eq!(shown("ssh-rsa A a"), "ssh-rsa A");
        let change = Difference::between(&texts(&[ED]), &texts(&[AGE]));
        assert_eq!(
            change.in_line(),
            "+ age1ql3z…mcac8p - ssh-ed25519 AAAAC3Nz…Z6isGN"
        );
    }

    #[test]
    fn keys_that_begin_and_end_alike_do_not_look_alike() {
        let long = |middle: char| {
            let middle = String::from(middle).repeat(300);
            format!("age1tagpq1qqqqqq{middle}zzzzzz")
        };
        let rsa = |middle: u8| {
            let key = [&[0, 0, 0, 7][..], b"ssh-rsa", &[middle; 256], &[1; 6]].concat();
            format!("ssh-rsa {} alice", STANDARD.encode(key))
        };
        for (one, other) in [(long('q'), long('p')), (rsa(1), rsa(2))] {
            assert_eq!(
                shortened(&recipient_key(&one)),
                shortened(&recipient_key(&other))
            );
            let (one, other) = (identified(&one), identified(&other));
            assert_ne!(one.0, other.0);
            assert_eq!(one.1, other.1);
            assert!(one.0.chars().count() <= 76, "{}", one.0);
        }
    }

    #[test]
    fn an_ssh_key_is_recognised_by_its_tag_and_nobody_else_is() {
        let key = recipient_key(ED);
        let tag = tag_of(&key);
        assert!(tag.as_ref().is_some_and(|tag| tag.len() == 6));
        let stanza = |kind: &str, tag: Option<&str>| Stanza {
            kind: kind.to_owned(),
            tag: tag.map(str::to_owned),
        };
        let header = [
            stanza("X25519", None),
            stanza("ssh-ed25519", tag.as_deref()),
            stanza("ssh-ed25519", Some("AAAAAA")),
        ];
        let report = compare(
            "m".to_owned(),
            &texts(&[AGE, ED, "age1plug1qqqq", "ssh-rsa AAAA"]),
            Err("no key"),
            &header,
        );
        let found: Vec<InFile> = report.recipients.iter().map(|r| r.in_file).collect();
        use InFile::{No, Unknown, Yes};
        assert_eq!(found, [Unknown, Yes, Unknown, No]);
        assert_eq!(report.strangers, 1);
        assert!(report.recipients.iter().all(|r| r.is_sealed.is_none()));
        let counts = [("X25519".to_owned(), 1), ("ssh-ed25519".to_owned(), 2)];
        assert_eq!(report.stanzas, counts);
    }
}
