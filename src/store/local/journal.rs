//! The file of the journal beside the state: begun, settled in what is read, folded
//! into the state, removed or set aside.

use std::fs;
use std::path::PathBuf;

use super::LocalStore;
use crate::core::state::{Lineage, PlanId, State};
use crate::store::{Keys, Known, Leftover, LockGuard, Snapshot, StoreError, journal};
use crate::sys::files;
use crate::sys::testpoint;

impl LocalStore {
    pub(super) fn journal_path(&self) -> PathBuf {
        self.sibling(".journal")
    }

    pub(in crate::store) fn has_journal(&self) -> bool {
        self.journal_path().exists()
    }

    /// The state with the answers of the journal settled.
    pub(super) fn settle(
        &self,
        mut state: State,
        journal: Option<&[u8]>,
        keys: &Keys,
    ) -> Result<(Known, Leftover), StoreError> {
        let Some(journal) = journal else {
            return Ok((Known::Ours(state), Leftover::None));
        };
        let leftover = match self.parsed_journal(journal, keys)? {
            // It says nothing, so it can belong to any state.
            None => Leftover::Folded,
            Some(journal) if journal.continues(&state) => {
                journal.fold_into(&mut state);
                Leftover::Unfolded
            }
            Some(journal) if journal.is_folded_in(&state) => Leftover::Folded,
            Some(_) => return Err(self.foreign_journal()),
        };
        Ok((Known::Ours(state), leftover))
    }

    pub(super) fn parsed_journal(
        &self,
        journal: &[u8],
        keys: &Keys,
    ) -> Result<Option<journal::Journal>, StoreError> {
        journal::parse(journal, Some(&keys.journal)).map_err(|why| StoreError::Journal {
            path: self.journal_path(),
            why,
        })
    }

    pub(in crate::store) fn absorb_journal(
        &self,
        guard: &LockGuard,
        keys: &Keys,
        snapshot: Snapshot,
    ) -> Result<Snapshot, StoreError> {
        let mut snapshot = self.finish_rekey(guard, keys, snapshot)?;
        if snapshot.leftover == Leftover::None {
            return Ok(snapshot);
        }
        // A journal that is in the state already is only removed: another commit
        // would take the state out of the journal's reach if this is cut off too.
        if snapshot.leftover == Leftover::Unfolded
            && let Known::Ours(state) = &mut snapshot.known
        {
            snapshot.version = self.commit(guard, keys, state, &snapshot.version)?;
        }
        self.end_journal(guard)?;
        snapshot.leftover = Leftover::None;
        Ok(snapshot)
    }

    pub(in crate::store) fn begin_journal(
        &self,
        _guard: &LockGuard,
        keys: &Keys,
        lineage: &Lineage,
        serial: u64,
        run: &PlanId,
    ) -> Result<journal::Writer, StoreError> {
        let path = self.journal_path();
        journal::Writer::create(&path, lineage, serial, run, keys.journal.clone())
            .map_err(|source| StoreError::Write { path, source })
    }

    pub(in crate::store) fn end_journal(&self, _guard: &LockGuard) -> Result<(), StoreError> {
        testpoint::reach("journal.before_removal");
        let path = self.journal_path();
        fs::remove_file(&path)
            .and_then(|()| files::sync_folder(&path))
            .map_err(|source| StoreError::Write { path, source })
    }

    pub(in crate::store) fn set_aside_journal(&self, _guard: &LockGuard) -> Result<(), StoreError> {
        let path = self.sibling(".journal.backup");
        fs::rename(self.journal_path(), &path)
            .and_then(|()| files::sync_folder(&path))
            .map_err(|source| StoreError::Write { path, source })
    }

    pub(super) fn foreign_journal(&self) -> StoreError {
        StoreError::ForeignJournal {
            path: self.journal_path(),
        }
    }
}
