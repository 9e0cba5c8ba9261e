//! The state as a file of this machine, with its siblings: `.lock`, `.journal`,
//! `.backup`, `.rekey`, `.before-rekey`, and `.tmp` while it is being replaced.
//!
//! The lock is an advisory lock of the operating system on a file that drspass
//! never renames or removes, so a left-over file is no lock and a dead process
//! holds none. Somebody else may remove the file (`git clean` does), so the folder
//! is locked as well, where that is possible. Network file systems may not keep
//! the promise.

mod recovery;
mod rekey;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::format::{self, FormatError, Unverified};
use super::journal;
use super::rekey::{Rekey, RekeyLeft};
use super::{Fetched, Keys, Known, Leftover, LockInfo, LockStatus, Snapshot, StoreError, Version};
use crate::core::state::{PlanId, State};
use crate::files;
use crate::testpoint;

/// How often a reader without the lock looks again when it found a state and a
/// journal that do not fit, since a writer may have been between the two.
const READ_ATTEMPTS: usize = 5;
/// How often the lock is asked for: somebody who only looks at it holds it for
/// an instant.
const LOCK_ATTEMPTS: usize = 10;
/// So many bytes at the end of a state hold its code.
const VERSION_BYTES: usize = 128;
const PAUSE: Duration = Duration::from_millis(20);

/// A state file and its siblings.
pub struct LocalStore {
    path: PathBuf,
}

/// The lock, held until this is dropped or the process ends.
#[derive(Debug)]
pub struct LockGuard {
    file: File,
    /// Held for its lock alone.
    _folder: Option<File>,
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // What it says is for people; the lock itself ends with the handle.
        let _ = self.file.set_len(0);
    }
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

    fn journal_path(&self) -> PathBuf {
        self.sibling(".journal")
    }

    pub(super) fn has_journal(&self) -> bool {
        self.journal_path().exists()
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
            None if fetched.journal.is_some() => return Err(self.foreign_journal()),
            None => (Known::Absent, Leftover::None),
            Some((bytes, unverified)) => {
                let is_authentic = unverified.is_authentic(&bytes, &keys.state);
                let claimed = unverified.claimed();
                if is_authentic {
                    if has_rekey {
                        left = RekeyLeft::Finished;
                    }
                    self.settle(claimed, fetched.journal.as_deref(), keys)?
                } else if claimed.key_id == keys.id {
                    return Err(StoreError::Tampered {
                        path: self.path.clone(),
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
            is_open_to_others: files::is_open_to_others(&self.path),
        })
    }

    /// The state with the answers of the journal settled.
    fn settle(
        &self,
        mut state: State,
        journal: Option<&[u8]>,
        keys: &Keys,
    ) -> Result<(Known, Leftover), StoreError> {
        let Some(journal) = journal else {
            return Ok((Known::Ours(state), Leftover::None));
        };
        let journal =
            journal::parse(journal, &keys.journal).map_err(|why| StoreError::Journal {
                path: self.journal_path(),
                why,
            })?;
        let leftover = match journal {
            // It says nothing, so it can belong to any state.
            None => Leftover::Folded,
            Some(journal) if journal.answers.is_empty() => Leftover::Folded,
            Some(journal) if journal.continues(&state) => {
                journal.fold_into(&mut state);
                Leftover::Unfolded
            }
            Some(journal) if journal.is_folded_in(&state) => Leftover::Folded,
            Some(_) => return Err(self.foreign_journal()),
        };
        Ok((Known::Ours(state), leftover))
    }

    pub(super) fn read_unverified(&self) -> Result<Option<State>, StoreError> {
        let Some(bytes) = self.bytes(&self.path)? else {
            return Ok(None);
        };
        Unverified::parse(&bytes)
            .map(|unverified| Some(unverified.claimed()))
            .map_err(|why| self.invalid(why))
    }

    pub(super) fn version(&self) -> Result<Version, StoreError> {
        match files::read_end(&self.path, VERSION_BYTES as u64) {
            Ok(end) => Ok(Version(Some(end))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Version(None)),
            Err(source) => Err(StoreError::Read {
                path: self.path.clone(),
                source,
            }),
        }
    }

    fn bytes(&self, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
        match files::read_unlinked(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }

    pub(super) fn lock(&self, info: &LockInfo) -> Result<LockGuard, StoreError> {
        let path = self.sibling(".lock");
        let cannot = |source| StoreError::CannotLock {
            path: self.sibling(".lock"),
            source,
        };
        let mut file = files::open_private(&path).map_err(cannot)?;
        testpoint::may_fail("lock").map_err(cannot)?;
        let locked = |holder: Option<LockInfo>| StoreError::Locked {
            path: path.clone(),
            holder: holder.map_or_else(|| "somebody unknown".to_owned(), |h| h.to_string()),
        };
        if !try_often(&file).map_err(cannot)? {
            return Err(locked(holder(&mut file)));
        }
        let folder = File::open(files::folder_of(&self.path)).map_err(cannot)?;
        // A file system that cannot lock a folder still locks the file.
        let folder = match try_often(&folder) {
            Ok(true) => Some(folder),
            Ok(false) => return Err(locked(None)),
            Err(_) => None,
        };
        // A lock that says nothing still locks, so failing to write is no error.
        let text = serde_json::to_string(info).unwrap_or_default();
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()));
        Ok(LockGuard {
            file,
            _folder: folder,
        })
    }

    pub(super) fn lock_status(&self) -> Result<LockStatus, StoreError> {
        let path = self.sibling(".lock");
        let mut file = match files::open_unlinked(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(self.folder_status());
            }
            Err(source) => return Err(StoreError::CannotLock { path, source }),
        };
        // A shared lock is refused only while somebody works, and two who look
        // do not take each other for one.
        match file.try_lock_shared() {
            Ok(()) => Ok(self.folder_status()),
            Err(TryLockError::WouldBlock) => Ok(LockStatus::Held(holder(&mut file))),
            Err(TryLockError::Error(source)) => Err(StoreError::CannotLock { path, source }),
        }
    }

    /// Whether somebody holds the lock whose file is gone.
    fn folder_status(&self) -> LockStatus {
        let folder = File::open(files::folder_of(&self.path));
        match folder.map(|folder| folder.try_lock_shared()) {
            Ok(Err(TryLockError::WouldBlock)) => LockStatus::Held(None),
            _ => LockStatus::Free,
        }
    }

    pub(super) fn absorb_journal(
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
        let path = self.sibling(".backup");
        files::replace(&path, &bytes).map_err(|source| StoreError::Write { path, source })
    }

    pub(super) fn begin_journal(
        &self,
        _guard: &LockGuard,
        keys: &Keys,
        state: &State,
        run: &PlanId,
    ) -> Result<journal::Writer, StoreError> {
        let path = self.journal_path();
        journal::Writer::create(&path, state, run, keys.journal.clone())
            .map_err(|source| StoreError::Write { path, source })
    }

    pub(super) fn end_journal(&self, _guard: &LockGuard) -> Result<(), StoreError> {
        testpoint::reach("journal.before_removal");
        let path = self.journal_path();
        fs::remove_file(&path)
            .and_then(|()| files::sync_folder(&path))
            .map_err(|source| StoreError::Write { path, source })
    }

    pub(super) fn set_aside_journal(&self, _guard: &LockGuard) -> Result<(), StoreError> {
        let path = self.sibling(".journal.backup");
        fs::rename(self.journal_path(), &path)
            .and_then(|()| files::sync_folder(&path))
            .map_err(|source| StoreError::Write { path, source })
    }

    fn invalid(&self, why: FormatError) -> StoreError {
        let path = self.path.clone();
        match why {
            FormatError::OtherFormat => StoreError::OtherFormat {
                path,
                known: format::STATE_FORMAT,
            },
            why => StoreError::Invalid { path, why },
        }
    }

    fn foreign_journal(&self) -> StoreError {
        StoreError::ForeignJournal {
            path: self.journal_path(),
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

/// Asks for a lock for a short while. Fails if it cannot be asked for.
fn try_often(file: &File) -> io::Result<bool> {
    for attempt in 1..=LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if attempt == LOCK_ATTEMPTS => {}
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// Who wrote into the lock file; nothing if that cannot be read.
fn holder(file: &mut File) -> Option<LockInfo> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

impl std::fmt::Display for LockInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The file is foreign text: whoever can write it must not steer a terminal.
        let clean = |text: &str| -> String {
            text.chars()
                .filter(|c| c.is_ascii_graphic() || *c == ' ')
                .take(64)
                .collect()
        };
        write!(
            f,
            "process {} on {} ({}) since {}",
            self.pid,
            clean(&self.host),
            clean(&self.command),
            self.since
        )
    }
}
