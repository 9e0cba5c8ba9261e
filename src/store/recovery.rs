//! Two siblings of a state that each have the next one, bound to the exact state file that
//! they follow.
//!
//! A recovery file, format `drspass.recovery/1`, is the state that an apply could not save. With
//! any other state than the one it continues, its entries are only marked to be sent again.
//!
//! A rekey file, format `drspass.rekey/1`, is the state under a new key. It is written first,
//! then the manifest is replaced, then the state. What makes this one step: the file counts only
//! for a holder of the new key, which is in the new manifest, and only with the very state that
//! it follows. So each manifest has its state, wherever the run was cut off.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::format::{FormatError, seal, unseal};
use super::{
    LockGuard, StateSnapshot, StateVersion, Store, StoreError, StoreKeys, StoredState,
    cannot_write, replace,
};
use crate::core::job::EntryKey;
use crate::core::mac::MacKey;
use crate::core::state::State;
use crate::sys::{files, testpoint};

const RECOVERY_FORMAT: &str = "drspass.recovery/1";
pub const REKEY_FORMAT: &str = "drspass.rekey/1";

const REKEY: &str = ".rekey";
const BEFORE_REKEY: &str = ".before-rekey";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    follows: String,
    pub sent: Vec<EntryKey>,
    /// The unsaved state, with the serial of the one that it continues.
    pub state: State,
}

impl Recovery {
    pub fn new(follows: &StateVersion, sent: Vec<EntryKey>, state: State) -> Self {
        Self {
            follows: follows.name(),
            sent,
            state,
        }
    }

    pub fn parse(bytes: &[u8], key: &MacKey) -> Result<Self, FormatError> {
        unseal(RECOVERY_FORMAT, bytes, key)
    }

    pub fn continues(&self, version: &StateVersion) -> bool {
        self.follows == version.name()
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RekeyFile {
    pub follows: String,
    /// The state under the new key, with the serial of the one that it follows.
    pub state: State,
}

/// What a rekey file means to a holder of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RekeyLeft {
    None,
    /// It is the state; only its last step was cut off.
    Unfinished,
    /// It became the state; only its removal was cut off.
    Finished,
}

impl Store {
    /// Writes a state that could not be committed next to its place, or into `elsewhere`. Returns
    /// the path.
    pub fn rescue(
        &self,
        keys: &StoreKeys,
        recovery: &Recovery,
        elsewhere: &Path,
    ) -> Result<PathBuf, StoreError> {
        let bytes = seal(RECOVERY_FORMAT, recovery, &keys.state);
        let name = self
            .path
            .file_name()
            .map_or_else(|| "drspass.state.json".into(), ToOwned::to_owned);
        let suffix = format!(
            ".recovery-{}-{}",
            recovery.state.serial + 1,
            std::process::id()
        );
        // Next to the state first; if that is full or read-only, the directories for temporary files
        // are the most likely to work.
        let folders = [files::folder_of(&self.path), elsewhere, Path::new("/tmp")];
        let mut result = Ok(PathBuf::new());
        for folder in folders {
            let path = files::with_suffix(&folder.join(&name), &suffix);
            result = testpoint::may_fail("rescue")
                .and_then(|()| files::write_new(&path, &bytes))
                .map_err(cannot_write(&path))
                .map(|()| path);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// Returns a recovery file that continues `version` and is not folded in.
    pub fn unfolded_recovery(&self, keys: &StoreKeys, version: &StateVersion) -> Option<PathBuf> {
        let mut start = self.path.file_name()?.to_owned();
        start.push(".recovery-");
        let start = start.as_encoded_bytes();
        let siblings = fs::read_dir(files::folder_of(&self.path)).ok()?;
        siblings.filter_map(Result::ok).find_map(|entry| {
            if !entry.file_name().as_encoded_bytes().starts_with(start) {
                return None;
            }
            let bytes = files::read_unlinked(&entry.path()).ok()?;
            let recovery = Recovery::parse(&bytes, &keys.state).ok()?;
            recovery.continues(version).then(|| entry.path())
        })
    }

    pub fn has_rekey(&self) -> bool {
        self.sibling(REKEY).symlink_metadata().is_ok()
    }

    pub fn before_rekey_path(&self) -> PathBuf {
        self.sibling(BEFORE_REKEY)
    }

    pub fn rekey_bytes(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.bytes(&self.sibling(REKEY))
    }

    /// Writes `state`, made with the new `keys`, next to the version that it follows. Until
    /// [`Store::finish_rekey`], it counts only for a holder of these keys.
    pub fn prepare_rekey(
        &self,
        _guard: &LockGuard,
        keys: &StoreKeys,
        state: State,
        follows: &StateVersion,
    ) -> Result<(), StoreError> {
        let file = RekeyFile {
            follows: follows.name(),
            state,
        };
        let bytes = seal(REKEY_FORMAT, &file, &keys.state);
        replace(&self.sibling(REKEY), &bytes)
    }

    /// Removes the file of [`Store::prepare_rekey`].
    pub fn abandon_rekey(&self, _guard: &LockGuard) -> Result<(), StoreError> {
        let path = self.sibling(REKEY);
        match fs::remove_file(&path).and_then(|()| files::sync_folder(&path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(cannot_write(&path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Puts the state under the new key in its place, if it is not there yet, and renames the
    /// former one.
    pub fn finish_rekey(
        &self,
        guard: &LockGuard,
        keys: &StoreKeys,
        mut snapshot: StateSnapshot,
    ) -> Result<StateSnapshot, StoreError> {
        if snapshot.rekey == RekeyLeft::None {
            return Ok(snapshot);
        }
        if snapshot.rekey == RekeyLeft::Unfinished
            && let StoredState::Ours(state) = &mut snapshot.known
        {
            // This key cannot read a journal of the former one.
            if self.has_journal() {
                self.set_aside_journal(guard)?;
            }
            if let Some(bytes) = self.bytes(&self.path)? {
                replace(&self.before_rekey_path(), &bytes)?;
            }
            snapshot.version = self.commit(guard, keys, state, &snapshot.version)?;
        }
        testpoint::reach("rekey.before_removal");
        self.abandon_rekey(guard)?;
        snapshot.rekey = RekeyLeft::None;
        Ok(snapshot)
    }
}
