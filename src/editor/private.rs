//! The private folder: where the plain text of a manifest lies while an editor has it.
//!
//! It owns that nobody else can look into the folder at any moment, that it is in
//! memory where there is such a place, that it goes whole, with all that an editor
//! wrote beside the text, and that what a killed run left is found and removed by
//! the next one. It refuses to follow links, and to remove what it did not make.
//! `places` knows where it may lie, `removal` how it goes, `sweep` what was left.

mod places;
mod removal;
mod sweep;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::sys::{files, testpoint};
use places::candidates;
use removal::remove;

pub use places::{Kept, Places};
pub use sweep::{Leftover, sweep};

/// How the names of private folders begin.
const PREFIX: &str = "drspass-edit-";

/// The file whose lock tells the folder of a living run from a leftover.
const LOCK: &str = ".lock";

/// What the lock file says, so that the folder of another program is not taken for
/// one of ours.
const LOCK_TEXT: &[u8] = b"drspass edit\n";

/// How often a folder is made anew when a sweeping run removed it, still empty.
const TRIES: usize = 5;

/// A private folder that cannot be made, used or removed.
#[derive(Debug, Error, Diagnostic)]
pub enum PrivateError {
    /// There is no place for it.
    #[error("cannot make a private folder for the editor in {place}")]
    #[diagnostic(
        code(drspass::edit::folder),
        help("Nothing was written. Name a folder that can be written with TMPDIR.")
    )]
    Make {
        /// The last place that was tried.
        place: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text is not where the editor had it.
    #[error("cannot read the text that the editor left")]
    #[diagnostic(code(drspass::edit::text), help("Nothing was saved."))]
    Read {
        /// Why.
        source: io::Error,
    },
    /// The folder, or something in it, stays.
    #[error("{path} could not be removed, and may hold the plain text")]
    #[diagnostic(
        code(drspass::edit::left),
        help("Remove that folder with everything in it.")
    )]
    Remove {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A folder of this run, with the plain text in it.
pub(crate) struct Private {
    folder: PathBuf,
    text: PathBuf,
    /// Where it lies.
    pub(crate) kept: Kept,
    /// Held open for the lock.
    lock: File,
    is_there: bool,
}

impl Private {
    /// Makes a folder with `text` in a file called `name`, in memory where that is
    /// possible.
    /// Fails if no place takes it; nothing is left then.
    pub(crate) fn create(places: &Places, name: &str, text: &[u8]) -> Result<Self, PrivateError> {
        let mut refused = None;
        for (place, kept) in candidates(places) {
            match Self::create_in(&place, kept, name, text) {
                Ok(private) => return Ok(private),
                Err(source) => refused = Some(PrivateError::Make { place, source }),
            }
        }
        Err(refused.unwrap_or_else(|| PrivateError::Make {
            place: places.temporary.clone(),
            source: io::ErrorKind::NotFound.into(),
        }))
    }

    fn create_in(place: &Path, kept: Kept, name: &str, text: &[u8]) -> io::Result<Self> {
        if kept == Kept::InMemory {
            testpoint::may_fail("private.memory")?;
        }
        let (folder, lock) = locked_folder(place)?;
        let mut private = Self {
            text: folder.join(name),
            folder,
            kept,
            lock,
            is_there: true,
        };
        let written = files::create_private(&private.text)
            .and_then(|mut file| file.write_all(text).and_then(|()| file.flush()));
        testpoint::reach("private.created");
        match written {
            Ok(()) => Ok(private),
            Err(error) => {
                // The error that matters is the first one; a full disk does not keep
                // files from being removed.
                let _ = private.remove();
                Err(error)
            }
        }
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file with the text.
    pub(crate) fn text_path(&self) -> &Path {
        &self.text
    }

    /// The text as it is now.
    /// Fails if it is gone, longer than `limit`, or no regular file any more.
    pub(crate) fn read(&self, limit: u64) -> Result<Zeroizing<Vec<u8>>, PrivateError> {
        files::read_unlinked_limited(&self.text, limit)
            .map(Zeroizing::new)
            .map_err(|source| PrivateError::Read { source })
    }

    /// Removes the folder with everything in it.
    /// Fails if something of it stays, and says where.
    pub(crate) fn remove(&mut self) -> Result<(), PrivateError> {
        self.is_there = false;
        match remove(&self.folder) {
            // An editor was faster. Had it only moved the folder, the lock would still
            // have a name.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.has_no_lock() => Ok(()),
            removed => removed.map_err(|source| PrivateError::Remove {
                path: self.folder.clone(),
                source,
            }),
        }
    }

    fn has_no_lock(&self) -> bool {
        self.lock.metadata().is_ok_and(|lock| lock.nlink() == 0)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if self.is_there {
            // Whoever can still say something has called `remove`.
            let _ = self.remove();
        }
        let _ = self.lock.unlock();
    }
}

/// A new empty folder with its lock, held.
fn locked_folder(place: &Path) -> io::Result<(PathBuf, File)> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for _ in 0..TRIES {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .rand_bytes(16)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(place)?
            .keep();
        testpoint::reach("private.empty");
        match locked(&folder) {
            Ok(lock) => return Ok((folder, lock)),
            Err(error) => {
                let _ = fs::remove_file(folder.join(LOCK));
                let _ = fs::remove_dir(&folder);
                last = error;
            }
        }
    }
    Err(last)
}

/// Makes the lock and takes it.
/// Fails if a sweeping run was faster.
fn locked(folder: &Path) -> io::Result<File> {
    let path = folder.join(LOCK);
    let mut lock = files::create_private(&path)?;
    lock.try_lock().map_err(io::Error::from)?;
    let (held, there) = (lock.metadata()?, fs::symlink_metadata(&path)?);
    if (held.dev(), held.ino()) != (there.dev(), there.ino()) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    lock.write_all(LOCK_TEXT)?;
    Ok(lock)
}

#[cfg(test)]
mod tests;
