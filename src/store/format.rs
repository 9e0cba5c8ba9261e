//! The authenticated files: a format, a body, and a code over the raw body; and the body of a
//! state, format `drspass.state/1`. A newer format is reported as such, not as damage, and
//! neither is ever overwritten.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::ops::Range;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use super::to_json;
use crate::core::fingerprint::{KeyId, Scope};
use crate::core::job::JobId;
use crate::core::mac::MacKey;
use crate::core::state::{CopiedFrom, FailedRetry, Holder, Lineage, ManifestDigest, State};
use crate::sys::files;

pub const STATE_FORMAT: &str = "drspass.state/1";
pub const PLAN_FORMAT: &str = "drspass.plan/1";

#[derive(Debug, Error)]
pub enum FormatError {
    #[error("it is unreadable")]
    Read(#[source] io::Error),
    #[error("it is an encrypted file, not a plan")]
    Encrypted,
    #[error("it is empty")]
    Empty,
    #[error("it contains conflict marks of an unfinished merge")]
    ConflictMarks,
    #[error("it is incomplete or damaged at line {line}, column {column}")]
    Damaged { line: usize, column: usize },
    #[error("its format is not {format}, the only one that this version knows")]
    OtherFormat { format: &'static str },
    #[error("its id does not match its content: it was altered")]
    OtherId,
    #[error("its authentication code does not match its content")]
    NotAuthentic,
}

impl FormatError {
    /// Keeps only the place: the parser's own words may repeat content.
    #[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
    pub fn damaged(error: serde_json::Error) -> Self {
        Self::Damaged {
            line: error.line(),
            column: error.column(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    format: Cow<'a, str>,
    #[serde(borrow)]
    body: &'a RawValue,
    #[serde(borrow)]
    mac: Cow<'a, str>,
}

/// The fields that every version of the format has.
#[derive(Deserialize)]
pub struct AnyFormat<'a> {
    #[serde(borrow)]
    pub format: Cow<'a, str>,
}

/// A parsed state file whose code is not checked yet.
#[derive(Debug)]
pub struct UnverifiedState {
    state: State,
    body: Range<usize>,
    mac: String,
}

impl UnverifiedState {
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let named = |envelope: &Envelope<'_>| envelope.format == STATE_FORMAT;
        let envelope = opened(STATE_FORMAT, bytes, named).map_err(|error| match error {
            FormatError::Damaged { .. } if files::has_conflict_marks(bytes) => {
                FormatError::ConflictMarks
            }
            error => error,
        })?;
        let body = envelope.body.get();
        let start = body.as_ptr().addr() - bytes.as_ptr().addr();
        Ok(Self {
            state: serde_json::from_str(body).map_err(FormatError::damaged)?,
            body: start..start + body.len(),
            mac: envelope.mac.into_owned(),
        })
    }

    /// Returns whether a state file would be authentic with other line ends, which git may have
    /// changed.
    pub fn has_other_line_ends(bytes: &[u8], key: &MacKey) -> bool {
        let unix = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        Self::parse(unix.as_bytes()).is_ok_and(|state| state.is_authentic(unix.as_bytes(), key))
    }

    pub fn claimed(self) -> State {
        self.state
    }

    /// Checks the code over `bytes`, the file that this was parsed from.
    pub fn is_authentic(&self, bytes: &[u8], key: &MacKey) -> bool {
        bytes
            .get(self.body.clone())
            .is_some_and(|body| key.verifies(body, &self.mac))
    }
}

/// Parses a file of `format`; a file of another format is a distinct error.
pub fn opened<'a, T: Deserialize<'a>>(
    format: &'static str,
    bytes: &'a [u8],
    is_of_format: impl FnOnce(&T) -> bool,
) -> Result<T, FormatError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(FormatError::Empty);
    }
    match serde_json::from_slice(bytes) {
        Ok(opened) if is_of_format(&opened) => Ok(opened),
        Ok(_) => Err(FormatError::OtherFormat { format }),
        Err(error) => match serde_json::from_slice::<AnyFormat<'_>>(bytes) {
            Ok(other) if other.format != format => Err(FormatError::OtherFormat { format }),
            _ => Err(FormatError::damaged(error)),
        },
    }
}

/// The code covers the format as well, so that no file passes for one of another format.
pub fn seal(format: &str, content: &impl Serialize, key: &MacKey) -> Vec<u8> {
    let body = to_json(content);
    let mac = key.of(covered(format, &body).as_bytes());
    format!("{{\"format\":\"{format}\",\"body\":{body},\"mac\":\"{mac}\"}}\n").into_bytes()
}

pub fn unseal<T: DeserializeOwned>(
    format: &'static str,
    bytes: &[u8],
    key: &MacKey,
) -> Result<T, FormatError> {
    let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(FormatError::damaged)?;
    if envelope.format != format {
        return Err(FormatError::OtherFormat { format });
    }
    let body = envelope.body.get();
    if !key.verifies(covered(format, body).as_bytes(), &envelope.mac) {
        return Err(FormatError::NotAuthentic);
    }
    serde_json::from_str(body).map_err(FormatError::damaged)
}

fn covered(format: &str, body: &str) -> String {
    format!("{format}\n{body}")
}

#[derive(Serialize)]
struct StateHead<'a> {
    scope: &'a Scope,
    lineage: &'a Lineage,
    serial: u64,
    key_id: &'a KeyId,
    revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<&'a ManifestDigest>,
    highest: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<&'a Holder>,
    #[serde(skip_serializing_if = "<[Lineage]>::is_empty")]
    follows: &'a [Lineage],
    #[serde(skip_serializing_if = "Option::is_none")]
    copied: Option<&'a CopiedFrom>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_to: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    retries: &'a BTreeMap<JobId, FailedRetry>,
}

/// Writes each entry on a line of its own, so that a diff of two states is readable.
pub fn encode(state: &State, key: &MacKey) -> Vec<u8> {
    // Named one by one, so that no new field is forgotten.
    let State {
        scope,
        lineage,
        serial,
        key_id,
        revision,
        manifest,
        highest,
        holder,
        follows,
        copied,
        moved_to,
        retries,
        entries,
    } = state;
    let head = to_json(&StateHead {
        scope,
        lineage,
        serial: *serial,
        key_id,
        revision: *revision,
        manifest: manifest.as_ref(),
        highest: *highest,
        holder: holder.as_deref(),
        follows,
        copied: copied.as_ref(),
        moved_to: moved_to.as_deref(),
        retries,
    });
    let mut body = String::with_capacity(256 + entries.len() * 400);
    body.push_str(head.strip_suffix('}').unwrap_or(&head));
    body.push_str(",\"entries\":{");
    let mut separator = "\n";
    for (key, entry) in entries {
        body.push_str(separator);
        // A key is ASCII without quotes, so it needs no escaping.
        let _ = write!(body, "\"{key}\":");
        body.push_str(&to_json(entry));
        separator = ",\n";
    }
    body.push_str("}}");
    let mac = key.of(body.as_bytes());
    let mut file = String::with_capacity(body.len() + 160);
    let _ = write!(
        file,
        "{{\"format\":\"{STATE_FORMAT}\",\"body\":{body},\"mac\":\"{mac}\"}}"
    );
    file.push('\n');
    file.into_bytes()
}
