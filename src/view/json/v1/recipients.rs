//! The document of `recipients --json`.

use serde::Serialize;

use super::to_line;
use crate::core::recipients::{InFile, ListedRecipient, RecipientsReport};

/// The name and version of the format of `recipients --json`.
pub(super) const RECIPIENTS: &str = "drspass.recipients-output/1";

#[derive(Serialize)]
struct RecipientsDocument<'a> {
    format: &'static str,
    tool_version: &'static str,
    manifest: &'a str,
    opened: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_opened_because: Option<&'a str>,
    recipients: Vec<RecipientOut<'a>>,
    stanzas: Vec<StanzasOut<'a>>,
    unknown_ssh_stanzas: usize,
    notes: &'a [String],
}

#[derive(Serialize)]
struct RecipientOut<'a> {
    recipient: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
    listed: bool,
    /// Left out where the manifest was not opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<bool>,
    in_file: &'static str,
}

#[derive(Serialize)]
struct StanzasOut<'a> {
    r#type: &'a str,
    count: usize,
}

/// The document of `recipients --json`.
pub fn recipients(report: &RecipientsReport) -> String {
    to_line(&RecipientsDocument {
        format: RECIPIENTS,
        tool_version: env!("CARGO_PKG_VERSION"),
        manifest: &report.manifest,
        opened: report.unopened.is_none(),
        not_opened_because: report.unopened,
        recipients: report.recipients.iter().map(recipient).collect(),
        stanzas: report
            .stanzas
            .iter()
            .map(|(kind, count)| StanzasOut {
                r#type: kind,
                count: *count,
            })
            .collect(),
        unknown_ssh_stanzas: report.strangers,
        notes: &report.notes,
    })
}

fn recipient(listed: &ListedRecipient) -> RecipientOut<'_> {
    RecipientOut {
        recipient: &listed.key,
        comment: listed.comment.as_deref(),
        listed: listed.is_configured,
        sealed: listed.is_sealed,
        in_file: match listed.in_file {
            InFile::Yes => "yes",
            InFile::No => "no",
            InFile::Unknown => "unknown",
        },
    }
}
