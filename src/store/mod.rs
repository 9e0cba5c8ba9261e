//! Where the state lives: a local file with the siblings `.lock`, `.journal`, `.backup`, and
//! `.tmp` while it is being replaced.
//!
//! The contract is compare-and-swap: [`Store::read`] returns a snapshot with its version,
//! [`Store::commit`] replaces exactly that version, and its caller has the lock.

pub mod format;
pub mod journal;
mod lock;
pub mod plan_file;
mod recovery;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use miette::Diagnostic;
use serde::Serialize;
use thiserror::Error;

use crate::core::failure::{ErrorClass, Failure};
use crate::core::fingerprint::{FingerprintKey, KeyId};
use crate::core::mac::{MacKey, sha256};
use crate::core::manifest::{Former, Manifest, Sealed};
use crate::core::rekey::carried_over;
use crate::core::state::State;
use crate::sys::files;

use format::{FormatError, UnverifiedState};
pub use lock::{LockGuard, LockInfo, LockStatus};
pub use recovery::Recovery;

const BACKUP: &str = ".backup";
/// Attempts to read a state with a matching journal: a writer may be between them.
const READ_ATTEMPTS: usize = 5;
const VERSION_BYTES: usize = 128;
const PAUSE: Duration = Duration::from_millis(20);

pub struct StoreKeys {
    pub id: KeyId,
    pub state: MacKey,
    pub journal: MacKey,
    former: Option<Box<FormerKeys>>,
}

/// Those of the key that a rekey replaced, and whose state it was.
struct FormerKeys {
    keys: StoreKeys,
    former: Former,
    /// For whom a state of that key is carried over.
    manifest: Arc<Manifest>,
    sealed: Sealed,
    is_expected: bool,
}

impl From<&FingerprintKey> for StoreKeys {
    fn from(key: &FingerprintKey) -> Self {
        Self {
            id: key.id(),
            state: key.state_mac(),
            journal: key.journal_mac(),
            former: None,
        }
    }
}

impl StoreKeys {
    /// Returns the keys of a manifest, which also take the state of the key that the last rekey
    /// replaced, as long as that state is the one that the rekey found.
    pub fn of(manifest: &Arc<Manifest>, sealed: &Sealed, expected: &[KeyId]) -> Self {
        let former = sealed.former.as_ref().map(|former| {
            let keys = Self::from(&former.fingerprint_key);
            Box::new(FormerKeys {
                is_expected: expected.is_empty() || expected.contains(&keys.id),
                keys,
                former: former.clone(),
                manifest: Arc::clone(manifest),
                sealed: sealed.clone(),
            })
        });
        Self {
            former,
            ..Self::from(&sealed.fingerprint_key)
        }
    }
}

impl FormerKeys {
    /// Refuses a state that is not the one that the rekey found.
    fn check(&self, bytes: &[u8], state: &State) -> Result<(), StoreError> {
        if !self.is_expected {
            return Err(Failure::new(
                "drspass::sealed::key_id",
                format!("the state still has the former key {}, which is not expected", state.key_id),
                "Nothing was sent or changed. Until an apply has written the state with the new key, expect both: '--expect-key-id NEW,FORMER'.",
            )
            .class(ErrorClass::Sealed)
            .into());
        }
        if sha256(bytes) == self.former.state_sha256 {
            return Ok(());
        }
        Err(StoreError::Moved {
            then: self.former.serial,
            now: state.serial,
        })
    }

    fn carry_over(&self, state: State) -> State {
        let key = &self.former.fingerprint_key;
        carried_over(state, key, &self.manifest, &self.sealed)
    }
}

#[derive(Debug)]
pub enum StoredState {
    Absent,
    /// A state made with this key, with the answers of an unfinished journal folded in.
    Ours(State),
    /// A state made with another key: its content cannot be checked.
    OtherKey {
        claimed: State,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateVersion(Option<(u64, Vec<u8>)>);

impl StateVersion {
    /// The end of a state has the code over all of it.
    fn of(bytes: &[u8]) -> Self {
        let end = bytes.len().saturating_sub(VERSION_BYTES);
        Self(Some((bytes.len() as u64, bytes[end..].to_vec())))
    }

    fn name(&self) -> String {
        self.0.as_ref().map_or_else(
            || "absent".to_owned(),
            |(length, end)| format!("{length} {}", String::from_utf8_lossy(end)),
        )
    }
}

#[derive(Debug)]
pub struct FetchedState {
    file: Option<(Vec<u8>, UnverifiedState)>,
    journal: Option<Vec<u8>>,
}

/// What the journal next to a state means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalLeft {
    /// None made with this key.
    None,
    /// A cut-off apply left it; the snapshot has its answers.
    Unfolded,
    /// The state has all its answers; only its removal was cut off.
    Folded,
    /// It may be of another state; only possible if nothing is verified.
    Foreign,
}

#[derive(Debug)]
pub struct StateSnapshot {
    pub known: StoredState,
    pub version: StateVersion,
    pub journal: JournalLeft,
    /// Whether the state was made with the key that a rekey replaced.
    pub is_carried_over: bool,
}

/// An error of a state or its siblings; it names no entry.
#[derive(Debug, Error, Diagnostic)]
pub enum StoreError {
    #[error("cannot read {path}")]
    #[diagnostic(code(drspass::state::read))]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not usable: {why}")]
    #[diagnostic(
        code(drspass::state::invalid),
        help(
            "Nothing was changed. 'drspass state distrust' starts a new one and marks every entry to be sent again; run it too after restoring any copy that may be older than the last apply."
        )
    )]
    Invalid { path: PathBuf, why: FormatError },
    #[error("{path}: state was changed outside drspass")]
    #[diagnostic(
        code(drspass::state::tampered),
        help(
            "Nothing was sent or changed. Check who changed it; 'drspass state distrust' marks every entry to be sent again."
        )
    )]
    Tampered { path: PathBuf },
    #[error("{path} does not belong to the state next to it")]
    #[diagnostic(
        code(drspass::journal::foreign),
        help(
            "Nothing was sent or changed. Restore the state of the unfinished apply, or run 'drspass state distrust', which sets the journal aside and marks every entry to be sent again."
        )
    )]
    ForeignJournal { path: PathBuf },
    #[error("the lock {path} is held by {holder}")]
    #[diagnostic(
        code(drspass::lock::held),
        help(
            "Nothing was sent or changed. Wait for that process to end, then run the same command again; the lock ends with it, so there is nothing to remove."
        )
    )]
    Locked { path: PathBuf, holder: String },
    #[error("another process changed {path} while this run held the lock")]
    #[diagnostic(
        code(drspass::state::changed),
        help(
            "Nothing was sent. Something writes the file without taking the lock, such as a git checkout. Run the command again when it is done."
        )
    )]
    Changed { path: PathBuf },
    #[error("the state moved after this rekey: serial {then}, now {now}")]
    #[diagnostic(
        code(drspass::rekey::moved),
        help(
            "Nothing was sent or changed. Run 'drspass rekey --again', which shows what it would mean and asks."
        )
    )]
    Moved { then: u64, now: u64 },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Failed(#[from] Failure),
}

pub struct Store {
    path: PathBuf,
}

impl Store {
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn sibling(&self, suffix: &str) -> PathBuf {
        files::with_suffix(&self.path, suffix)
    }

    pub fn read(&self, keys: &StoreKeys) -> Result<StateSnapshot, StoreError> {
        let once = || self.verified(self.fetch()?, keys);
        let mut last = once();
        for _ in 1..READ_ATTEMPTS {
            if !matches!(last, Err(StoreError::ForeignJournal { .. })) {
                break;
            }
            std::thread::sleep(PAUSE);
            last = once();
        }
        last
    }

    /// Reads without verifying, for a caller without a key so far; [`Store::verify`] goes on.
    pub fn fetch(&self) -> Result<FetchedState, StoreError> {
        Ok(FetchedState {
            file: self.file()?,
            journal: self.bytes(&self.journal_path())?,
        })
    }

    /// Verifies a fetched state; reads once more if a writer was at work in between.
    pub fn verify(
        &self,
        fetched: FetchedState,
        keys: &StoreKeys,
    ) -> Result<StateSnapshot, StoreError> {
        match self.verified(fetched, keys) {
            Err(StoreError::ForeignJournal { .. }) => self.read(keys),
            verified => verified,
        }
    }

    /// Reads and verifies the state alone, whatever its journal says.
    pub fn read_alone(&self, keys: &StoreKeys) -> Result<StateSnapshot, StoreError> {
        let fetched = self.fetch()?;
        let alone = FetchedState {
            journal: None,
            ..fetched
        };
        self.verified(alone, keys)
    }

    /// Returns whether the state on disk is exactly `state`, committed once more.
    pub fn holds(&self, keys: &StoreKeys, state: &State) -> Result<bool, StoreError> {
        let mut committed = state.clone();
        committed.serial = state.serial.saturating_add(1);
        let bytes = format::encode(&committed, &keys.state);
        Ok(self.version()? == StateVersion::of(&bytes))
    }

    fn verified(
        &self,
        fetched: FetchedState,
        keys: &StoreKeys,
    ) -> Result<StateSnapshot, StoreError> {
        let Some((bytes, unverified)) = fetched.file else {
            let journal = fetched.journal.as_deref();
            return Ok(StateSnapshot {
                known: StoredState::Absent,
                version: StateVersion(None),
                journal: self.fold_journal(&mut None, journal, Some(&keys.journal))?,
                is_carried_over: false,
            });
        };
        let version = StateVersion::of(&bytes);
        let is_made_with = |keys: &StoreKeys| unverified.is_authentic(&bytes, &keys.state);
        let former = keys.former.as_deref();
        let former = former.filter(|former| !is_made_with(keys) && is_made_with(&former.keys));
        if former.is_none() && !is_made_with(keys) {
            // Another key cannot have made a matching code, so only the name of the key separates
            // another key from a forgery. Its journal is left to it.
            return Ok(StateSnapshot {
                known: StoredState::OtherKey {
                    claimed: self.of_other_key(&bytes, unverified, keys)?,
                },
                version,
                journal: JournalLeft::None,
                is_carried_over: false,
            });
        }
        let state = unverified.claimed();
        if let Some(former) = former {
            former.check(&bytes, &state)?;
        }
        let made_with = former.map_or(keys, |former| &former.keys);
        let mut state = Some(state);
        let journal = fetched.journal.as_deref();
        let journal = self.fold_journal(&mut state, journal, Some(&made_with.journal))?;
        if former.is_some() && journal == JournalLeft::Unfolded {
            // A rekey leaves none, but a reader whom it removed can still write one.
            let path = self.journal_path();
            return Err(StoreError::ForeignJournal { path });
        }
        let state = state.map(|state| match former {
            Some(former) => former.carry_over(state),
            None => state,
        });
        Ok(StateSnapshot {
            known: state.map_or(StoredState::Absent, StoredState::Ours),
            version,
            journal,
            is_carried_over: former.is_some(),
        })
    }

    fn of_other_key(
        &self,
        bytes: &[u8],
        unverified: UnverifiedState,
        keys: &StoreKeys,
    ) -> Result<State, StoreError> {
        let claimed = unverified.claimed();
        let former = keys.former.as_ref().map(|former| &former.keys);
        let mut keys = [Some(keys), former].into_iter().flatten();
        let Some(keys) = keys.find(|keys| keys.id == claimed.key_id) else {
            return Ok(claimed);
        };
        let path = self.path.clone();
        if !UnverifiedState::has_other_line_ends(bytes, &keys.state) {
            return Err(StoreError::Tampered { path });
        }
        let name = path.file_name().unwrap_or_default().display();
        Err(Failure::new(
            "drspass::state::line_ends",
            format!("{}: only the line ends differ from what drspass wrote", path.display()),
            format!("Nothing was sent or changed. git converted them: add '{name} -text' to .gitattributes, remove the file and check it out again."),
        )
        .into())
    }

    fn file(&self) -> Result<Option<(Vec<u8>, UnverifiedState)>, StoreError> {
        let Some(bytes) = self.bytes(&self.path)? else {
            return Ok(None);
        };
        let path = self.path.clone();
        match UnverifiedState::parse(&bytes) {
            Ok(unverified) => Ok(Some((bytes, unverified))),
            Err(FormatError::OtherFormat { format }) => Err(Failure::new(
                "drspass::state::newer",
                format!(
                    "{} has a format that this version does not know (it knows {format})",
                    path.display()
                ),
                "Nothing was sent, and the file is unchanged. Run this command with the version of drspass that wrote the file, or a newer one.",
            )
            .into()),
            Err(why) => Err(StoreError::Invalid { path, why }),
        }
    }

    /// Reads the state alone without a key, so nothing is authenticated.
    pub fn read_claimed_alone(&self) -> Result<Option<State>, StoreError> {
        Ok(self.file()?.map(|(_, unverified)| unverified.claimed()))
    }

    /// Reads without a key, with the answers of a journal that continues the state.
    pub fn read_claimed(&self) -> Result<(Option<State>, JournalLeft), StoreError> {
        let mut claimed = self.read_claimed_alone()?;
        let journal = self.bytes(&self.journal_path())?;
        let left = self.fold_journal(&mut claimed, journal.as_deref(), None);
        Ok((claimed, left.unwrap_or(JournalLeft::Foreign)))
    }

    /// Returns the copy of the state made when the last run began.
    pub fn backup(&self) -> Option<PathBuf> {
        let path = self.sibling(BACKUP);
        path.exists().then_some(path)
    }

    pub fn version(&self) -> Result<StateVersion, StoreError> {
        let end = files::read_end(&self.path, VERSION_BYTES as u64);
        self.found(&self.path, end).map(StateVersion)
    }

    /// Returns the SHA-256 of the state file.
    pub fn digest(&self) -> Result<Option<String>, StoreError> {
        Ok(self.bytes(&self.path)?.map(|bytes| sha256(&bytes)))
    }

    fn bytes(&self, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
        self.found(path, files::read_unlinked(path))
    }

    fn found<T>(&self, path: &Path, read: io::Result<T>) -> Result<Option<T>, StoreError> {
        match read {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.check_folder()?;
                Ok(None)
            }
            Err(source) => Err(StoreError::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Fails if the directory is missing: a mistyped path must not pass for a state that was never
    /// written.
    fn check_folder(&self) -> Result<(), StoreError> {
        let path = files::folder_of(&self.path);
        match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::new(
                "drspass::state::no_directory",
                format!("directory {} does not exist", path.display()),
                "Nothing was sent or changed. Check the path of the state (drspass.yaml, --state or DRSPASS_STATE), or create the directory.",
            )
            .into()),
            _ => Ok(()),
        }
    }

    /// Replaces the version `expected` by `state`, whose serial grows by one.
    pub fn commit(
        &self,
        _guard: &LockGuard,
        keys: &StoreKeys,
        state: &mut State,
        expected: &StateVersion,
    ) -> Result<StateVersion, StoreError> {
        if self.version()? != *expected {
            return Err(StoreError::Changed {
                path: self.path.clone(),
            });
        }
        state.serial = state.serial.saturating_add(1);
        let bytes = format::encode(state, &keys.state);
        if let Err(error) = replace(&self.path, &bytes) {
            state.serial -= 1;
            return Err(error);
        }
        Ok(StateVersion::of(&bytes))
    }

    pub fn back_up(&self, _guard: &LockGuard) -> Result<(), StoreError> {
        match self.bytes(&self.path)? {
            Some(bytes) => replace(&self.sibling(BACKUP), &bytes),
            None => Ok(()),
        }
    }
}

fn cannot_write(path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |source| {
        let message = format!("cannot write {}", path.display());
        let help = "Nothing was sent. Free space or fix the permissions; if the file itself is mounted, mount its directory instead.";
        let failure = Failure::new("drspass::state::write", message, help);
        failure.because(source).into()
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    files::replace(path, bytes).map_err(cannot_write(path))
}

/// Serializes strings, numbers and maps with text keys, which cannot fail.
fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what is stored always serializes")
}
