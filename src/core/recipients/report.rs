//! Everything that can be known about who can read a manifest, put together.

use super::{InFile, Stanza, comment, in_file, is_of_plugin, missing, recipient_key, tag_of};

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

/// Puts together what drspass.yaml lists, what was sealed (or why that is not known) and
/// what the header tells.
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
    let differs =
        |listed: &&ListedRecipient| listed.is_sealed.is_some_and(|s| s != listed.is_configured);
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
        // A plugin may make several stanzas for one recipient; all others make one.
        let may_be_more = sealed.iter().any(|text| is_of_plugin(&recipient_key(text)));
        let (found, expected) = (stanzas.len(), sealed.len());
        if found < expected || (found > expected && !may_be_more) {
            notes.push(format!(
                "the file is encrypted to {found} recipients, but {expected} were sealed with it: \
                 somebody encrypted it without drspass"
            ));
        }
        let is_missing = |listed: &&ListedRecipient| {
            listed.is_sealed == Some(true) && listed.in_file == InFile::No
        };
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
    let untold = |listed: &&ListedRecipient| listed.in_file == InFile::Unknown;
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
