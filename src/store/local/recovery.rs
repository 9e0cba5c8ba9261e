//! Recovery files beside the state, or where else they find a place.

use std::fs;
use std::path::{Path, PathBuf};

use super::LocalStore;
use crate::store::recovery::Recovery;
use crate::store::{Keys, StoreError, Version};
use crate::sys::files;
use crate::sys::testpoint;

impl LocalStore {
    pub(in crate::store) fn rescue(
        &self,
        keys: &Keys,
        recovery: &Recovery,
        elsewhere: &Path,
    ) -> Result<PathBuf, StoreError> {
        let bytes = recovery.encode(&keys.state);
        let name = self
            .path
            .file_name()
            .map_or_else(|| "drspass.state.json".into(), ToOwned::to_owned);
        let suffix = format!(
            ".recovery-{}-{}",
            recovery.state.serial + 1,
            std::process::id()
        );
        // Beside the state first; where that is full or read-only, the folders
        // for temporary files are the places that are most likely to take it.
        let mut result = Ok(PathBuf::new());
        let folders = [files::folder_of(&self.path), elsewhere, Path::new("/tmp")];
        for folder in folders {
            let path = files::with_suffix(&folder.join(&name), &suffix);
            let written =
                testpoint::may_fail("rescue").and_then(|()| files::write_new(&path, &bytes));
            match written {
                Ok(()) => return Ok(path),
                Err(source) => result = Err(StoreError::Write { path, source }),
            }
        }
        result
    }

    pub(in crate::store) fn unfolded_recovery(
        &self,
        keys: &Keys,
        version: &Version,
    ) -> Option<PathBuf> {
        let mut start = self.path.file_name()?.to_owned();
        start.push(".recovery-");
        let beside = fs::read_dir(files::folder_of(&self.path)).ok()?;
        beside.filter_map(Result::ok).find_map(|entry| {
            let name = entry.file_name();
            if !name
                .as_encoded_bytes()
                .starts_with(start.as_encoded_bytes())
            {
                return None;
            }
            let bytes = files::read_unlinked(&entry.path()).ok()?;
            let recovery = Recovery::parse(&bytes, &keys.state).ok()?;
            recovery.continues(version).then(|| entry.path())
        })
    }
}
