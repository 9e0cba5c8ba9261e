//! Where the state lives: bytes, versions, modes, the journal and the lock.
//! It neither compares with the manifest nor decides anything about entries.
//!
//! The contract is compare-and-swap: [`StateStore::read`] gives a snapshot with
//! its version, [`StateStore::commit`] replaces exactly that version, and
//! whoever commits holds the lock.

mod error;
pub mod format;
pub mod journal;
mod local;
pub mod plan_file;
pub mod recovery;
pub mod rekey;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::fingerprint::{FingerprintKey, KeyId};
use crate::core::mac::MacKey;
use crate::core::state::{Lineage, PlanId, State};

pub use error::StoreError;
pub use local::{LocalStore, LockGuard};
use recovery::Recovery;
use rekey::RekeyLeft;

/// The keys that a state is read and written with.
pub struct Keys {
    /// The public name of the key they derive from.
    pub id: KeyId,
    /// Authenticates the state.
    pub state: MacKey,
    /// Authenticates the journal.
    pub journal: MacKey,
}

impl From<&FingerprintKey> for Keys {
    fn from(key: &FingerprintKey) -> Self {
        Self {
            id: key.id(),
            state: key.state_mac(),
            journal: key.journal_mac(),
        }
    }
}

/// What is at the place of the state.
#[derive(Debug)]
pub enum Known {
    /// Nothing: nothing was ever applied from here.
    Absent,
    /// A state of ours, with the answers of an unfinished journal settled.
    Ours(State),
    /// A state made with another key: its content cannot be checked.
    OtherKey {
        /// The content, as it claims to be.
        claimed: State,
    },
}

/// Tells one content of the store from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(Option<(u64, Vec<u8>)>);

impl Version {
    /// A text that stands for this version: its length and its end, which holds the
    /// code over all of it.
    fn name(&self) -> String {
        self.0.as_ref().map_or_else(
            || "absent".to_owned(),
            |(length, end)| format!("{length} {}", String::from_utf8_lossy(end)),
        )
    }
}

/// What was read of a store, taken apart and not verified yet.
#[derive(Debug)]
pub struct Fetched {
    file: Option<(Vec<u8>, format::Unverified)>,
    journal: Option<Vec<u8>>,
    rekey: Option<Vec<u8>>,
    version: Version,
}

/// What the journal beside a state means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// There is none of ours.
    None,
    /// A cut-off apply left it; its answers are settled in what was read.
    Unfolded,
    /// It holds nothing that the state does not; only its removal was cut off.
    Folded,
    /// It may be of another state; known only where nothing is proved.
    Foreign,
}

/// A state and the version that it was read as.
#[derive(Debug)]
pub struct Snapshot {
    /// What was found.
    pub known: Known,
    /// Which version of the content it was.
    pub version: Version,
    /// What a journal beside it means.
    pub leftover: Leftover,
    /// What a rekey that was cut off left.
    pub rekey: RekeyLeft,
}

/// Who holds a lock: for a person to read, never to decide on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LockInfo {
    /// The process.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// What it is doing.
    pub command: String,
    /// Since when, in UTC.
    pub since: jiff::Timestamp,
}

/// Whether somebody holds the lock.
#[derive(Debug)]
pub enum LockStatus {
    /// Nobody does.
    Free,
    /// Somebody does; nothing is known of them if what they wrote cannot be read.
    Held(Option<LockInfo>),
}

/// The place of a state. There is one kind so far; a remote one becomes a
/// second variant that passes the same conformance test.
pub enum StateStore {
    /// A file and its siblings in a folder of this machine.
    Local(LocalStore),
}

impl StateStore {
    /// The store at a path of this machine.
    pub fn local(path: PathBuf) -> Self {
        Self::Local(LocalStore::new(path))
    }

    /// The file that the state is kept in.
    pub fn path(&self) -> &Path {
        match self {
            Self::Local(store) => store.path(),
        }
    }

    /// Reads and verifies, without the lock.
    /// Fails if anything there is unreadable, damaged or not authentic.
    pub fn read(&self, keys: &Keys) -> Result<Snapshot, StoreError> {
        match self {
            Self::Local(store) => store.read(keys),
        }
    }

    /// Reads without the lock and without verifying, for a caller whose key is
    /// not at hand yet: [`StateStore::verify`] takes it from there.
    /// Fails if anything there is unreadable or damaged.
    pub fn fetch(&self) -> Result<Fetched, StoreError> {
        match self {
            Self::Local(store) => store.fetch(),
        }
    }

    /// Verifies what was fetched. Where a writer was at work in between, reads
    /// once more.
    /// Fails as [`StateStore::read`].
    pub fn verify(&self, fetched: Fetched, keys: &Keys) -> Result<Snapshot, StoreError> {
        let verified = match self {
            Self::Local(store) => store.verify(fetched, keys),
        };
        match verified {
            Err(StoreError::ForeignJournal { .. }) => self.read(keys),
            // A rekey may have been between its last steps.
            Ok(Snapshot {
                known: Known::OtherKey { .. },
                ..
            }) => self.read(keys),
            verified => verified,
        }
    }

    /// Reads and verifies the state alone, whatever a journal beside it says.
    /// Fails as [`StateStore::read`].
    pub fn read_alone(&self, keys: &Keys) -> Result<Snapshot, StoreError> {
        match self {
            Self::Local(store) => store.read_alone(keys),
        }
    }

    /// Whether what is there is exactly `state`, committed once more.
    /// Fails if it cannot be read.
    pub fn holds(&self, keys: &Keys, state: &State) -> Result<bool, StoreError> {
        match self {
            Self::Local(store) => store.holds(keys, state),
        }
    }

    /// Reads what is there without a key, with the answers of a journal that continues it
    /// settled, so nothing of it is proved. What the journal means is told.
    /// Fails if the state is unreadable or damaged.
    pub fn read_claimed(&self) -> Result<(Option<State>, Leftover), StoreError> {
        match self {
            Self::Local(store) => store.read_claimed(),
        }
    }

    /// The copy of the state as it was when the last run began, if there is one.
    pub fn backup(&self) -> Option<PathBuf> {
        match self {
            Self::Local(store) => store.backup(),
        }
    }

    /// Reads what is there without a key, so nothing of it is proved.
    /// Fails if it is unreadable or damaged.
    pub fn read_unverified(&self) -> Result<Option<State>, StoreError> {
        match self {
            Self::Local(store) => store.read_unverified(),
        }
    }

    /// Which version is there now, whatever it holds.
    /// Fails if it cannot be read.
    pub fn version(&self) -> Result<Version, StoreError> {
        match self {
            Self::Local(store) => store.version(),
        }
    }

    /// Whether an apply was cut off and left answers that are not in the state yet.
    pub fn has_journal(&self) -> bool {
        match self {
            Self::Local(store) => store.has_journal(),
        }
    }

    /// Takes the lock. It ends with the guard or with the process.
    /// Fails if somebody else holds it or the file system cannot lock.
    pub fn lock(&self, info: &LockInfo) -> Result<LockGuard, StoreError> {
        match self {
            Self::Local(store) => store.lock(info),
        }
    }

    /// Whether somebody holds the lock.
    /// Fails if the lock file cannot be opened or asked.
    pub fn lock_status(&self) -> Result<LockStatus, StoreError> {
        match self {
            Self::Local(store) => store.lock_status(),
        }
    }

    /// Finishes a rekey that was cut off, and saves what an unfinished journal says, so
    /// that a new one can be begun.
    /// Fails as [`StateStore::commit`].
    pub fn absorb_journal(
        &self,
        guard: &LockGuard,
        keys: &Keys,
        snapshot: Snapshot,
    ) -> Result<Snapshot, StoreError> {
        match self {
            Self::Local(store) => store.absorb_journal(guard, keys, snapshot),
        }
    }

    /// Replaces the version `expected` by `state`, whose serial grows by one.
    /// Fails, with the serial as it was, if the content is another by now or
    /// cannot be written.
    pub fn commit(
        &self,
        guard: &LockGuard,
        keys: &Keys,
        state: &mut State,
        expected: &Version,
    ) -> Result<Version, StoreError> {
        match self {
            Self::Local(store) => store.commit(guard, keys, state, expected),
        }
    }

    /// Keeps a copy of the state as it is now.
    /// Fails if it cannot be written.
    pub fn back_up(&self, guard: &LockGuard) -> Result<(), StoreError> {
        match self {
            Self::Local(store) => store.back_up(guard),
        }
    }

    /// Begins the journal of the state that has, or gets with its next commit, this
    /// lineage and serial, and whose marks `run` made.
    /// Fails if it cannot be written.
    pub fn begin_journal(
        &self,
        guard: &LockGuard,
        keys: &Keys,
        lineage: &Lineage,
        serial: u64,
        run: &PlanId,
    ) -> Result<journal::Writer, StoreError> {
        match self {
            Self::Local(store) => store.begin_journal(guard, keys, lineage, serial, run),
        }
    }

    /// Removes the journal, whose content is in the state by now.
    /// Fails if it cannot be removed.
    pub fn end_journal(&self, guard: &LockGuard) -> Result<(), StoreError> {
        match self {
            Self::Local(store) => store.end_journal(guard),
        }
    }

    /// Keeps a journal that nobody trusts under another name.
    /// Fails if it cannot be renamed.
    pub fn set_aside_journal(&self, guard: &LockGuard) -> Result<(), StoreError> {
        match self {
            Self::Local(store) => store.set_aside_journal(guard),
        }
    }

    /// Puts what could not be committed beside its place or into the folder
    /// `elsewhere`, and tells where.
    /// Fails if no place takes it.
    pub fn rescue(
        &self,
        keys: &Keys,
        recovery: &Recovery,
        elsewhere: &Path,
    ) -> Result<PathBuf, StoreError> {
        match self {
            Self::Local(store) => store.rescue(keys, recovery, elsewhere),
        }
    }
}

/// The JSON of what is stored: strings, numbers, and maps with text keys, all of
/// which always serialize.
fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what is stored always serializes")
}
