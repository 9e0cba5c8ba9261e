//! To whom a manifest is encrypted: what drspass.yaml lists, what was sealed, and
//! what the header of the file tells. Public keys alone; a header proves nothing to
//! somebody who cannot open the file.
//!
//! `judge` refuses keys, `header` knows stanzas, `shown` how a key is shown, and
//! `report` puts together what is known of everybody.

mod header;
mod judge;
mod report;
mod shown;

pub use header::{InFile, Stanza, is_of_plugin, ssh_tag};
pub use judge::{SshWire, refuse_recipient, refuse_ssh_key};
pub use report::{Listed, RecipientsReport, compare};
pub use shown::{identified, shortened};

/// What a recipient is compared by: its type and key, without the comment that
/// may follow an ssh key.
pub fn recipient_key(recipient: &str) -> String {
    let words: Vec<&str> = recipient.split_ascii_whitespace().take(2).collect();
    match words.as_slice() {
        [kind, key] if kind.starts_with("ssh-") => format!("{kind} {key}"),
        _ => recipient.trim().to_owned(),
    }
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

#[cfg(test)]
mod tests;
