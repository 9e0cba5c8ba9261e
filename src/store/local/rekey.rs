//! The file of a rekey beside the state, and the former state that is kept.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::LocalStore;
use crate::core::state::State;
use crate::store::rekey::{Rekey, RekeyLeft};
use crate::store::{Keys, Known, LockGuard, Snapshot, StoreError, Version};
use crate::sys::files;
use crate::sys::testpoint;

/// Beside the state: the state under a new key, before it is the state.
const REKEY: &str = ".rekey";
/// Beside the state: the state as it was under the former key.
const BEFORE_REKEY: &str = ".before-rekey";

impl LocalStore {
    pub(in crate::store) fn has_rekey(&self) -> bool {
        self.sibling(REKEY).symlink_metadata().is_ok()
    }

    pub(in crate::store) fn before_rekey_path(&self) -> PathBuf {
        self.sibling(BEFORE_REKEY)
    }

    /// The file beside the state, as it is.
    /// Fails if there is one and it cannot be read.
    pub(super) fn rekey_bytes(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.bytes(&self.sibling(REKEY))
    }

    pub(in crate::store) fn prepare_rekey(
        &self,
        _guard: &LockGuard,
        keys: &Keys,
        state: State,
        follows: &Version,
    ) -> Result<(), StoreError> {
        let path = self.sibling(REKEY);
        let bytes = Rekey::new(follows, state).encode(&keys.state);
        files::replace(&path, &bytes).map_err(|source| StoreError::Write { path, source })
    }

    pub(in crate::store) fn abandon_rekey(&self, _guard: &LockGuard) -> Result<(), StoreError> {
        let path = self.sibling(REKEY);
        let removed = fs::remove_file(&path).and_then(|()| files::sync_folder(&path));
        match removed {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::Write { path, source })
            }
            _ => Ok(()),
        }
    }

    pub(in crate::store) fn finish_rekey(
        &self,
        guard: &LockGuard,
        keys: &Keys,
        mut snapshot: Snapshot,
    ) -> Result<Snapshot, StoreError> {
        if snapshot.rekey == RekeyLeft::None {
            return Ok(snapshot);
        }
        if snapshot.rekey == RekeyLeft::Unfinished
            && let Known::Ours(state) = &mut snapshot.known
        {
            // A journal of the former key is nothing that this key could read.
            if self.has_journal() {
                self.set_aside_journal(guard)?;
            }
            if let Some(bytes) = self.bytes(&self.path)? {
                let path = self.before_rekey_path();
                files::replace(&path, &bytes)
                    .map_err(|source| StoreError::Write { path, source })?;
            }
            snapshot.version = self.commit(guard, keys, state, &snapshot.version)?;
        }
        testpoint::reach("rekey.before_removal");
        self.abandon_rekey(guard)?;
        snapshot.rekey = RekeyLeft::None;
        Ok(snapshot)
    }
}
