//! The lock of a state: an advisory file lock, on a file that drspass never renames or removes,
//! so a left-over file is not a lock and a dead process has none. `git clean` may remove the
//! file, so the directory is locked as well where possible. Network file systems may not support
//! such a lock.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{PAUSE, Store, StoreError};
use crate::core::failure::Failure;
use crate::core::state::minute;
use crate::sys::{files, testpoint};

const LOCK: &str = ".lock";
/// Attempts to take the lock: a process that only checks it has it for an instant.
const ATTEMPTS: usize = 10;

/// The holder of a lock, for people to read, never to decide on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LockInfo {
    pub pid: u32,
    pub host: String,
    pub command: String,
    pub since: jiff::Timestamp,
}

#[derive(Debug)]
pub enum LockStatus {
    Free,
    /// `None` if the holder's text cannot be read.
    Held(Option<LockInfo>),
}

/// The lock, held until this is dropped or the process ends.
#[derive(Debug)]
pub struct LockGuard {
    base: PathBuf,
    file: File,
    _folder: Option<File>,
    /// That of the former place of a move.
    _former: Option<Box<Self>>,
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // What it says is for people; the lock itself ends with the handle.
        let _ = self.file.set_len(0);
    }
}

impl Store {
    pub fn lock(&self, info: &LockInfo) -> Result<LockGuard, StoreError> {
        self.lock_next_to(None, info)
    }

    /// Takes the lock of a former place too, for as long as `guard` is held. Places of one clone have
    /// one lock; a file that is gone has none.
    pub fn lock_former(&self, guard: &mut LockGuard, info: &LockInfo) -> Result<(), StoreError> {
        let base = self.base()?;
        let is_gone =
            self.branch().is_none() && !base.exists() && !files::with_suffix(base, LOCK).exists();
        if base != guard.base && !is_gone {
            let former = self.lock_next_to(Some(files::folder_of(&guard.base)), info)?;
            guard._former = Some(Box::new(former));
        }
        Ok(())
    }

    /// Takes the lock, where that of this directory may be held already.
    fn lock_next_to(&self, held: Option<&Path>, info: &LockInfo) -> Result<LockGuard, StoreError> {
        match self.branch() {
            Some(branch) => branch.make_folder()?,
            None => self.check_folder()?,
        }
        let base = self.base()?;
        let path = files::with_suffix(base, LOCK);
        let cannot = cannot_lock(&path);
        let mut file = files::open_private(&path).map_err(&cannot)?;
        testpoint::may_fail("lock").map_err(&cannot)?;
        let locked = |holder: Option<LockInfo>| StoreError::Locked {
            path: path.clone(),
            holder: holder.map_or_else(|| "an unknown process".to_owned(), |h| h.to_string()),
        };
        if !try_often(&file).map_err(&cannot)? {
            return Err(locked(holder(&mut file)));
        }
        let at = files::folder_of(base);
        let folder = File::open(at).map_err(&cannot)?;
        // A file system that cannot lock a directory still locks the file.
        let is_held = held.is_some_and(|held| held.canonicalize().ok() == at.canonicalize().ok());
        let folder = match (!is_held).then(|| try_often(&folder)) {
            Some(Ok(true)) => Some(folder),
            Some(Ok(false)) => return Err(locked(None)),
            Some(Err(_)) | None => None,
        };
        // An empty lock file still locks, so failing to write is not an error.
        let text = serde_json::to_string(info).unwrap_or_default();
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()));
        Ok(LockGuard {
            base: base.to_owned(),
            file,
            _folder: folder,
            _former: None,
        })
    }

    pub fn lock_status(&self) -> Result<LockStatus, StoreError> {
        let path = files::with_suffix(self.base()?, LOCK);
        let mut file = match files::open_unlinked(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.branch().is_none() {
                    self.check_folder()?;
                }
                return Ok(folder_status(&path));
            }
            Err(error) => return Err(cannot_lock(&path)(error)),
        };
        // A shared lock is refused only while a writer works, and two readers do not take each other
        // for one.
        match file.try_lock_shared() {
            Ok(()) => Ok(folder_status(&path)),
            Err(TryLockError::WouldBlock) => Ok(LockStatus::Held(holder(&mut file))),
            Err(TryLockError::Error(error)) => Err(cannot_lock(&path)(error)),
        }
    }
}

/// Returns whether another process holds the lock while its file is gone.
fn folder_status(path: &Path) -> LockStatus {
    let folder = File::open(files::folder_of(path));
    match folder.map(|folder| folder.try_lock_shared()) {
        Ok(Err(TryLockError::WouldBlock)) => LockStatus::Held(None),
        _ => LockStatus::Free,
    }
}

fn try_often(file: &File) -> io::Result<bool> {
    for attempt in 1..=ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if attempt == ATTEMPTS => {}
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

fn holder(file: &mut File) -> Option<LockInfo> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

impl fmt::Display for LockInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The file is foreign text, which must not control a terminal.
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
            minute(self.since)
        )
    }
}

fn cannot_lock(path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |source| {
        let message = format!("cannot lock {}", path.display());
        let help = "Nothing was sent or changed. Keep the state on a local file system that supports file locks, or fix the permissions of its directory.";
        let failure = Failure::new("drspass::lock::unavailable", message, help);
        failure.because(source).into()
    }
}
