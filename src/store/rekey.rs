//! The state under a new key, while the manifest that carries that key is put in its
//! place. Format `drspass.rekey/1`, in a file beside the state.
//!
//! Manifest and state cannot be replaced in one step. So the new state is written
//! beside first, then the manifest is replaced, then the state. The rule that makes
//! this one step: the file counts only to somebody who has the new key, which is to
//! say the new manifest, and only beside the very state that it follows. Whoever reads
//! with the old manifest reads the old state, whoever reads with the new one the new
//! state, wherever the run was cut off.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::format::{FormatError, open_envelope, seal_envelope};
use super::{Keys, LockGuard, Snapshot, StateStore, StoreError, Version, to_json};
use crate::core::mac::MacKey;
use crate::core::state::State;

const REKEY_FORMAT: &str = "drspass.rekey/1";

/// What a file beside the state means to a holder of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RekeyLeft {
    /// Nothing, or there is none.
    None,
    /// It is the state; only its last step was cut off.
    Unfinished,
    /// It became the state; only its removal was cut off.
    Finished,
}

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rekey {
    /// The end of the state file that it follows, which holds that file's code.
    follows: String,
    /// The state under the new key, of the serial of the one that it follows.
    pub(super) state: State,
}

impl Rekey {
    pub(super) fn new(follows: &Version, state: State) -> Self {
        Self {
            follows: follows.name(),
            state,
        }
    }

    /// The bytes of the file.
    pub(super) fn encode(&self, key: &MacKey) -> Vec<u8> {
        seal_envelope(REKEY_FORMAT, &to_json(self), key)
    }

    /// Reads and verifies a file.
    /// Fails if it is none of this format, is damaged, or made with another key.
    pub(super) fn parse(bytes: &[u8], key: &MacKey) -> Result<Self, FormatError> {
        let body = open_envelope(REKEY_FORMAT, bytes, key)?;
        serde_json::from_str(body).map_err(FormatError::damaged(REKEY_FORMAT))
    }

    /// Whether `version` is the one that it follows.
    pub(super) fn follows(&self, version: &Version) -> bool {
        self.follows == version.name()
    }
}

impl StateStore {
    /// Writes `state`, made with the new `keys`, beside the version that it follows.
    /// Until [`StateStore::finish_rekey`], it counts only to a holder of these keys.
    /// Fails if it cannot be written.
    pub fn prepare_rekey(
        &self,
        guard: &LockGuard,
        keys: &Keys,
        state: State,
        follows: &Version,
    ) -> Result<(), StoreError> {
        match self {
            Self::Local(store) => store.prepare_rekey(guard, keys, state, follows),
        }
    }

    /// Takes back what [`StateStore::prepare_rekey`] wrote, since the new key did not
    /// come into the manifest.
    /// Fails if it cannot be removed.
    pub fn abandon_rekey(&self, guard: &LockGuard) -> Result<(), StoreError> {
        match self {
            Self::Local(store) => store.abandon_rekey(guard),
        }
    }

    /// Puts the state under the new key in its place, if a snapshot says that this is
    /// left to do, and keeps the former one under a name of its own.
    /// Fails as [`StateStore::commit`], or if a file beside the state cannot be written,
    /// set aside or removed.
    pub fn finish_rekey(
        &self,
        guard: &LockGuard,
        keys: &Keys,
        snapshot: Snapshot,
    ) -> Result<Snapshot, StoreError> {
        match self {
            Self::Local(store) => store.finish_rekey(guard, keys, snapshot),
        }
    }

    /// Where the state is kept that was there before the last rekey.
    pub fn before_rekey_path(&self) -> PathBuf {
        match self {
            Self::Local(store) => store.before_rekey_path(),
        }
    }

    /// Whether there is a file beside the state, whatever it means.
    pub fn has_rekey(&self) -> bool {
        match self {
            Self::Local(store) => store.has_rekey(),
        }
    }
}
