//! `state recover`: what becomes of the outcomes in a recovery file.

use std::collections::BTreeSet;
use std::path::Path;

use super::{JournalEnd, LedgerChange, LockedLedger, check_free, holder_of, trusted};
use crate::core::job::EntryKey;
use crate::core::state::{RunId, State};
use crate::ops::OpError;
use crate::ops::error::Failure;
use crate::ops::former::check_moved;
use crate::store::{Recovery, Store, StoreError};
use crate::sys::files;

impl LockedLedger<'_> {
    /// Folds a recovery file back. It replaces the very state that it continues; with any other
    /// state, or none, its entries are marked to be sent again.
    pub fn recover(&self, file: &Path) -> Result<LedgerChange, OpError> {
        let store = &self.root.store;
        let path = self.root.resolve(file);
        let bytes = files::read_unlinked(&path).map_err(OpError::read(file))?;
        let recovery = Recovery::parse(&bytes, &self.keys.state).map_err(|why| {
            Failure::new(
                "drspass::state::recovery",
                format!("{} is not a recovery file of this state: {why}", file.display()),
                "Nothing was changed. Give the file that the apply printed; it is made for this manifest's key.",
            )
        })?;
        if recovery.state.scope != self.opened.sealed.scope {
            return Err(OpError::other_scope(&recovery.state.scope));
        }
        if store.branch().is_some() {
            let snapshot = store.read_alone(&self.keys)?;
            if let Some(state) = snapshot.known.state() {
                check_moved(state, &self.opened.sealed.state.name())?;
            }
            // The state that is replaced is the one that no other run holds.
            store.ask_briefly(true);
            let ended = recovery.state.holder.as_ref().map(|holder| &holder.id);
            if holder_of(&snapshot).map(|holder| &holder.id) != ended {
                check_free(self.root, &snapshot)?;
            }
        }
        let version = store.version()?;
        let what = "recovered; the file can be removed";
        if recovery.continues(&version) {
            let Recovery { sent, state, .. } = recovery;
            return self.save(what, state, &version, &sent, Store::end_journal);
        }
        if store.holds(&self.keys, &recovery.state)? {
            // The commit had come through after all, and only its report had not.
            let serial = recovery.state.serial.saturating_add(1);
            return Ok(self.changed(what, &recovery.sent, serial));
        }
        self.doubt(recovery, file)
    }

    /// Marks the entries of a recovery file to be sent again in a state that it does not
    /// continue.
    fn doubt(&self, recovery: Recovery, file: &Path) -> Result<LedgerChange, OpError> {
        let store = &self.root.store;
        // A journal of this state is folded in; one of another run proves nothing here, and is
        // renamed once the marks are saved.
        let (snapshot, is_foreign) = match store.read(&self.keys) {
            Err(StoreError::ForeignJournal { .. }) => (store.read_alone(&self.keys)?, true),
            read => (read?, false),
        };
        let version = snapshot.version.clone();
        let current = trusted(self.root, &self.opened, snapshot)?;
        if let Some(state) = &current
            && state.lineage != recovery.state.lineage
        {
            return Err(OpError::unfit(
                format!(
                    "{} does not belong to the history of this state",
                    file.display()
                ),
                "Nothing was changed. Give the file that the apply on this state printed.",
            ));
        }
        let doubted = Some(doubted_because(recovery.state.serial, current.as_ref()));
        // Only a state that continued after the run knows everything before it.
        let knows_before = !is_foreign
            && current
                .as_ref()
                .is_some_and(|state| state.serial > recovery.state.serial);
        let mut state = current.unwrap_or_else(|| self.new_state());
        if recovery.state.highest > state.highest {
            // The run did apply that manifest, so its revision is used.
            state.revision = recovery.state.revision;
            state.manifest.clone_from(&recovery.state.manifest);
            state.highest = recovery.state.highest;
        }
        let entries: BTreeSet<EntryKey> = if knows_before {
            recovery.sent.into_iter().collect()
        } else {
            let known = state.entries.keys().chain(recovery.state.entries.keys());
            known.cloned().collect()
        };
        let run = RunId::new((self.runtime.unique)());
        let known = &recovery.state.entries;
        for key in &entries {
            let tried = known.get(key).or_else(|| state.entries.get(key)).cloned();
            if let Some(tried) = tried {
                state.doubt(key, &tried, self.now, &run);
            }
        }
        let end_journal: JournalEnd = match is_foreign {
            true => Store::set_aside_journal,
            false => Store::end_journal,
        };
        let what = "marked to be sent again, as their outcomes are unknown";
        let entries: Vec<EntryKey> = entries.into_iter().collect();
        let changed = self.save(what, state, &version, &entries, end_journal)?;
        Ok(LedgerChange { doubted, ..changed })
    }
}

/// Says what became of the state of this serial, which a recovery file continues.
fn doubted_because(serial: u64, found: Option<&State>) -> String {
    let so = match found.map(|state| state.serial) {
        None => "the state is missing: it was lost, or is at another place".to_owned(),
        Some(now) if now > serial => format!(
            "the state is at serial {now}: another run, or a command such as 'lock release', wrote \
             it since"
        ),
        Some(now) if now == serial => {
            "the state of this serial is another one: two runs began with copies of one state"
                .to_owned()
        }
        Some(now) => format!("the state is at serial {now}: an older one was put back"),
    };
    format!("The recovery file continues serial {serial}, but {so}.")
}
