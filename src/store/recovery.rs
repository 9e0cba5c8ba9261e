//! A recovery file: the state that an apply could not save, with what it follows.
//! Format `drspass.recovery/1`.
//!
//! It is bound to the very state file that it continues. Beside any other state it
//! proves nothing about what came later, so its entries are only doubts there.

use serde::{Deserialize, Serialize};

use super::format::{Envelope, FormatError};
use super::{Version, to_json};
use crate::core::fingerprint::MacKey;
use crate::core::job::EntryKey;
use crate::core::state::State;

const RECOVERY_FORMAT: &str = "drspass.recovery/1";

/// What a recovery file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// The end of the state file that it continues, which holds that file's code.
    follows: String,
    /// The entries that the run sent.
    pub sent: Vec<EntryKey>,
    /// The state as it should have become, of the serial that it continues.
    pub state: State,
}

impl Recovery {
    /// The recovery of `state`, which continues the version `follows`.
    pub fn new(follows: &Version, sent: Vec<EntryKey>, state: State) -> Self {
        Self {
            follows: follows.name(),
            sent,
            state,
        }
    }

    /// The bytes of the file.
    pub fn encode(&self, key: &MacKey) -> Vec<u8> {
        let body = to_json(self);
        let mac = key.of(message(&body).as_bytes());
        format!(
            "{{\"format\":\"{RECOVERY_FORMAT}\",\"body\":{body},\"mac\":\"{}\"}}\n",
            mac.as_str()
        )
        .into_bytes()
    }

    /// Reads and verifies a file.
    /// Fails if it is none of this format, is damaged, or not authentic.
    pub fn parse(bytes: &[u8], key: &MacKey) -> Result<Self, FormatError> {
        let envelope: Envelope<'_> = serde_json::from_slice(bytes)?;
        if envelope.format != RECOVERY_FORMAT {
            return Err(FormatError::OtherFormat);
        }
        let body = envelope.body.get();
        if !key.verifies(message(body).as_bytes(), &envelope.mac) {
            return Err(FormatError::NotAuthentic);
        }
        Ok(serde_json::from_str(body)?)
    }

    /// Whether `version` is the one that it continues.
    pub fn continues(&self, version: &Version) -> bool {
        self.follows == version.name()
    }
}

/// What the code covers: with the format, so that no state passes for a recovery.
fn message(body: &str) -> String {
    format!("{RECOVERY_FORMAT}\n{body}")
}
