//! The state as a file of this machine, with its siblings: `.lock`, `.journal`,
//! `.backup`, `.rekey`, `.before-rekey`, and `.tmp` while it is being replaced.
//!
//! Here it is read, verified and replaced; each sibling with rules of its own has a
//! module.

mod journal;
mod lock;
mod recovery;
mod rekey;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::format::{self, FormatError, Unverified};
use super::rekey::{Rekey, RekeyLeft};
use super::{Fetched, Keys, Known, Leftover, Snapshot, StoreError, Version, journal as answers};
use crate::core::state::State;
use crate::sys::files;

pub use lock::LockGuard;

/// Beside the state: the state as it was when the last run began.
const BACKUP: &str = ".backup";
/// How often a reader without the lock looks again when it found a state and a
/// journal that do not fit, since a writer may have been between the two.
const READ_ATTEMPTS: usize = 5;
/// So many bytes at the end of a state hold its code.
const VERSION_BYTES: usize = 128;
/// So long a file is left to whoever is at work on it.
const PAUSE: Duration = Duration::from_millis(20);

/// A state file and its siblings.
pub struct LocalStore {
    path: PathBuf,
}

impl LocalStore {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn sibling(&self, suffix: &str) -> PathBuf {
        files::with_suffix(&self.path, suffix)
    }

    pub(super) fn read(&self, keys: &Keys) -> Result<Snapshot, StoreError> {
        let mut last = self.read_once(keys);
        for _ in 1..READ_ATTEMPTS {
            if !matches!(last, Err(StoreError::ForeignJournal { .. })) {
                break;
            }
            std::thread::sleep(PAUSE);
            last = self.read_once(keys);
        }
        if let Ok(snapshot) = &last
            && matches!(snapshot.known, Known::OtherKey { .. })
        {
            // A rekey may have ended between the reading of the two files.
            last = self.read_once(keys);
        }
        last
    }

    fn read_once(&self, keys: &Keys) -> Result<Snapshot, StoreError> {
        self.verify(self.fetch()?, keys)
    }

    pub(super) fn fetch(&self) -> Result<Fetched, StoreError> {
        let file = match self.bytes(&self.path)? {
            None => None,
            Some(bytes) => {
                let unverified = Unverified::parse(&bytes).map_err(|why| self.invalid(why))?;
                Some((bytes, unverified))
            }
        };
        Ok(Fetched {
            version: version_of(file.as_ref().map(|(bytes, _)| &bytes[..])),
            file,
            journal: self.bytes(&self.journal_path())?,
            rekey: self.rekey_bytes()?,
        })
    }

    pub(super) fn read_alone(&self, keys: &Keys) -> Result<Snapshot, StoreError> {
        let fetched = self.fetch()?;
        let alone = Fetched {
            journal: None,
            ..fetched
        };
        self.verify(alone, keys)
    }

    pub(super) fn holds(&self, keys: &Keys, state: &State) -> Result<bool, StoreError> {
        let mut committed = state.clone();
        committed.serial = state.serial.saturating_add(1);
        let bytes = format::encode(&committed, &keys.state);
        Ok(self.version()? == version_of(Some(&bytes)))
    }

    pub(super) fn verify(&self, fetched: Fetched, keys: &Keys) -> Result<Snapshot, StoreError> {
        // One that was made with another key is that key's business.
        let rekey = fetched
            .rekey
            .and_then(|bytes| Rekey::parse(&bytes, &keys.state).ok());
        let has_rekey = rekey.is_some();
        let next = rekey.filter(|rekey| rekey.follows(&fetched.version));
        let mut left = RekeyLeft::None;
        let (known, leftover) = match fetched.file {
            None => match &fetched.journal {
                None => (Known::Absent, Leftover::None),
                Some(journal) if self.parsed_journal(journal, keys)?.is_none() => {
                    (Known::Absent, Leftover::Folded)
                }
                Some(_) => return Err(self.foreign_journal()),
            },
            Some((bytes, unverified)) => {
                let is_authentic = unverified.is_authentic(&bytes, &keys.state);
                let claimed = unverified.claimed();
                if is_authentic {
                    if has_rekey {
                        left = RekeyLeft::Finished;
                    }
                    self.settle(claimed, fetched.journal.as_deref(), keys)?
                } else if claimed.key_id == keys.id {
                    let path = self.path.clone();
                    return Err(if Unverified::has_other_line_ends(&bytes, &keys.state) {
                        StoreError::LineEnds { path }
                    } else {
                        StoreError::Tampered { path }
                    });
                } else if let Some(next) = next {
                    left = RekeyLeft::Unfinished;
                    (Known::Ours(next.state), Leftover::None)
                } else {
                    // Another key cannot have made a code that fits, so the name
                    // of the key is all that tells another key from a forgery.
                    // Its journal is its own business.
                    (Known::OtherKey { claimed }, Leftover::None)
                }
            }
        };
        Ok(Snapshot {
            known,
            version: fetched.version,
            leftover,
            rekey: left,
        })
    }

    pub(super) fn read_unverified(&self) -> Result<Option<State>, StoreError> {
        let Some(bytes) = self.bytes(&self.path)? else {
            return Ok(None);
        };
        Unverified::parse(&bytes)
            .map(|unverified| Some(unverified.claimed()))
            .map_err(|why| self.invalid(why))
    }

    pub(super) fn read_claimed(&self) -> Result<(Option<State>, Leftover), StoreError> {
        let mut claimed = self.read_unverified()?;
        let journal = self.bytes(&self.journal_path())?;
        let journal = journal.map(|bytes| answers::parse(&bytes, None));
        let leftover = match (&mut claimed, journal) {
            (_, None | Some(Ok(None))) => Leftover::None,
            (Some(state), Some(Ok(Some(journal)))) if journal.continues(state) => {
                journal.fold_into(state);
                Leftover::Unfolded
            }
            (Some(state), Some(Ok(Some(journal)))) if journal.is_folded_in(state) => {
                Leftover::Folded
            }
            (_, Some(_)) => Leftover::Foreign,
        };
        Ok((claimed, leftover))
    }

    pub(super) fn backup(&self) -> Option<PathBuf> {
        let path = self.sibling(BACKUP);
        path.exists().then_some(path)
    }

    pub(super) fn version(&self) -> Result<Version, StoreError> {
        match files::read_end(&self.path, VERSION_BYTES as u64) {
            Ok(end) => Ok(Version(Some(end))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.check_folder()?;
                Ok(Version(None))
            }
            Err(source) => Err(StoreError::Read {
                path: self.path.clone(),
                source,
            }),
        }
    }

    fn bytes(&self, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
        match files::read_unlinked(path) {
            Ok(bytes) => Ok(Some(bytes)),
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

    /// Nothing is absent where there is not even a directory: a path with a typing error
    /// must not pass for a state that was never written.
    fn check_folder(&self) -> Result<(), StoreError> {
        let path = files::folder_of(&self.path);
        match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::NoFolder {
                path: path.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn commit(
        &self,
        _guard: &LockGuard,
        keys: &Keys,
        state: &mut State,
        expected: &Version,
    ) -> Result<Version, StoreError> {
        if self.version()? != *expected {
            return Err(StoreError::Changed {
                path: self.path.clone(),
            });
        }
        state.serial += 1;
        let bytes = format::encode(state, &keys.state);
        if let Err(source) = files::replace(&self.path, &bytes) {
            state.serial -= 1;
            return Err(StoreError::Write {
                path: self.path.clone(),
                source,
            });
        }
        Ok(version_of(Some(&bytes)))
    }

    pub(super) fn back_up(&self, _guard: &LockGuard) -> Result<(), StoreError> {
        let Some(bytes) = self.bytes(&self.path)? else {
            return Ok(());
        };
        let path = self.sibling(BACKUP);
        files::replace(&path, &bytes).map_err(|source| StoreError::Write { path, source })
    }

    fn invalid(&self, why: FormatError) -> StoreError {
        let path = self.path.clone();
        match why {
            FormatError::OtherFormat { format } => StoreError::OtherFormat {
                path,
                known: format,
            },
            why => StoreError::Invalid { path, why },
        }
    }
}

/// The version of a content. Its end is enough to tell two states apart: that is
/// where the code over all of it stands.
fn version_of(bytes: Option<&[u8]>) -> Version {
    Version(bytes.map(|bytes| {
        let end = bytes.len().saturating_sub(VERSION_BYTES);
        (bytes.len() as u64, bytes[end..].to_vec())
    }))
}
