//! Recovery files, format `drspass.recovery/1`: the state that an apply could not save, next to the
//! state that it follows. With any other state than that, its entries are only marked to be sent
//! again.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::format::{FormatError, seal, unseal};
use super::{StateVersion, Store, StoreError, StoreKeys, cannot_write};
use crate::core::job::EntryKey;
use crate::core::mac::MacKey;
use crate::core::state::State;
use crate::sys::{files, testpoint};

const RECOVERY_FORMAT: &str = "drspass.recovery/1";

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
        let base = self.base()?;
        let name = base
            .file_name()
            .map_or_else(|| "drspass.state.json".into(), ToOwned::to_owned);
        let suffix = format!(
            ".recovery-{}-{}",
            recovery.state.serial + 1,
            std::process::id()
        );
        // Next to the state first; if that is full or read-only, the directories for temporary files
        // are the most likely to work.
        let folders = [files::folder_of(base), elsewhere, Path::new("/tmp")];
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
        let base = self.base().ok()?;
        let mut start = base.file_name()?.to_owned();
        start.push(".recovery-");
        let start = start.as_encoded_bytes();
        let siblings = fs::read_dir(files::folder_of(base)).ok()?;
        siblings.filter_map(Result::ok).find_map(|entry| {
            if !entry.file_name().as_encoded_bytes().starts_with(start) {
                return None;
            }
            let bytes = files::read_unlinked(&entry.path()).ok()?;
            let recovery = Recovery::parse(&bytes, &keys.state).ok()?;
            recovery.continues(version).then(|| entry.path())
        })
    }
}
