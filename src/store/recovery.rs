//! A recovery file: the state that an apply could not save, with what it follows.
//! Format `drspass.recovery/1`.
//!
//! It is bound to the very state file that it continues. Beside any other state it
//! proves nothing about what came later, so its entries are only doubts there.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::format::{FormatError, open_envelope, seal_envelope};
use super::{Keys, StateStore, Version, to_json};
use crate::core::job::EntryKey;
use crate::core::mac::MacKey;
use crate::core::state::State;

const RECOVERY_FORMAT: &str = "drspass.recovery/1";

impl StateStore {
    /// A recovery file beside the state that continues `version` and was not folded in.
    pub fn unfolded_recovery(&self, keys: &Keys, version: &Version) -> Option<PathBuf> {
        match self {
            Self::Local(store) => store.unfolded_recovery(keys, version),
        }
    }
}

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
        seal_envelope(RECOVERY_FORMAT, &to_json(self), key)
    }

    /// Reads and verifies a file.
    /// Fails if it is none of this format, is damaged, or not authentic.
    pub fn parse(bytes: &[u8], key: &MacKey) -> Result<Self, FormatError> {
        let body = open_envelope(RECOVERY_FORMAT, bytes, key)?;
        serde_json::from_str(body).map_err(FormatError::damaged(RECOVERY_FORMAT))
    }

    /// Whether `version` is the one that it continues.
    pub fn continues(&self, version: &Version) -> bool {
        self.follows == version.name()
    }
}
