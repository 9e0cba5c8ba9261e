//! What names a state, the manifest that was applied, and the runs that write it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fingerprint::{checked, digest, is_digest, printable};
use super::mac::hex;
use super::redact::ForeignText;

/// The identity of a state: two states of different lineage never describe the same history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lineage(#[serde(deserialize_with = "printable")] String);

impl Lineage {
    pub fn new(unique: String) -> Self {
        Self(unique)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The SHA-256 of a manifest's age file in binary form, which armor and line ends do not change: it
/// distinguishes two manifests of one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ManifestDigest(#[serde(deserialize_with = "digest")] String);

impl ManifestDigest {
    pub fn new(digest: &[u8; 32]) -> Self {
        Self(hex(digest))
    }

    pub fn parse(text: &str) -> Option<Self> {
        is_digest(text).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of one run; it begins with that of a saved plan, if one is applied. Commands that people
/// paste contain it, so it has letters, digits, dashes and dots alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(#[serde(deserialize_with = "run_id")] Box<str>);

fn run_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Box<str>, D::Error> {
    checked(deserializer, |text| {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        !text.is_empty() && !text.starts_with('-') && text.chars().all(is_fit)
    })
    .map(Into::into)
}

impl RunId {
    pub fn new(unique: String) -> Self {
        Self(unique.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The run that may send, as the state on a branch names it. Its texts are foreign ones, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    pub id: RunId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    pub host: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_url: Option<String>,
    pub command: String,
    pub since: Timestamp,
    /// When it last said that it is at work, by its own clock.
    pub renewed: Timestamp,
}

/// Formats a time as all texts have it, such as `2026-11-29 14:03 UTC`.
pub fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clean = |text: &str| match ForeignText::clean(text) {
            Some(text) => text.as_str().to_owned(),
            None => "?".to_owned(),
        };
        let (id, command) = (clean(self.id.as_str()), clean(&self.command));
        write!(f, "run {id} ({command}")?;
        if let Some(who) = &self.who {
            write!(f, " by {}", clean(who))?;
        }
        let (since, renewed) = (minute(self.since), minute(self.renewed));
        let host = clean(&self.host);
        write!(f, " on {host}) since {since}, last sign {renewed}")?;
        match &self.run_url {
            Some(url) => write!(f, ", {}", clean(url)),
            None => Ok(()),
        }
    }
}

/// The former place of a state that was moved, and what was taken along from there last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopiedFrom {
    pub place: String,
    pub serial: u64,
    /// Nothing was written here since: what was written there counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untouched: bool,
}
