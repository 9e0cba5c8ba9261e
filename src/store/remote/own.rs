//! The directory that git works in: private, outside of every work tree, and removed with its run,
//! or by a later one if that was killed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::TempDir;

use crate::core::failure::Failure;
use crate::sys::files;

const PREFIX: &str = "drspass-branch-";
/// What git works in, the one entry of the directory.
pub const REPOSITORY: &str = "state.git";

/// How often a directory is made anew when another run removed it before it was locked.
const TRIES: usize = 5;

pub struct OwnFolder {
    pub path: TempDir,
    /// Locks the directory as long as this run lives.
    _lock: File,
}

impl OwnFolder {
    /// Makes the directory where nothing adds it to a commit.
    pub fn make(temporary: &Path) -> Result<Self, Failure> {
        let is_outside =
            |place: &PathBuf| place.ancestors().all(|above| !above.join(".git").exists());
        let places = [temporary, Path::new("/tmp")].map(Path::canonicalize);
        let place = places.into_iter().flatten().find(is_outside);
        let made = place
            .ok_or_else(|| io::Error::other("it is missing, or in a work tree"))
            .and_then(|place| {
                sweep(&place);
                Self::make_in(&place)
            });
        made.map_err(|why| {
            let place = temporary.display();
            let message = format!("cannot create a private directory in {place}");
            let help = "Nothing was sent or changed. Set TMPDIR to a writable directory outside every work tree.";
            Failure::new("drspass::place::temporary", message, help).because(why)
        })
    }

    fn make_in(place: &Path) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for _ in 0..TRIES {
            let path = tempfile::Builder::new()
                .prefix(PREFIX)
                .rand_bytes(files::RANDOM_PART)
                .permissions(fs::Permissions::from_mode(0o700))
                .tempdir_in(place)?;
            match locked(path.path()) {
                Ok(lock) => return Ok(Self { path, _lock: lock }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Locks a new directory, unless a run that sweeps was faster. Where the file system has no locks,
/// no run can take it for a leftover either.
fn locked(folder: &Path) -> io::Result<File> {
    let lock = open(folder)?;
    if let Err(TryLockError::WouldBlock) = lock.try_lock() {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    files::check_same(&lock, &fs::symlink_metadata(folder)?)?;
    Ok(lock)
}

fn open(folder: &Path) -> io::Result<File> {
    // The flags fit: they are bits of those that open(2) takes as an int.
    let flags = OFlags::NOFOLLOW | OFlags::DIRECTORY;
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(flags.bits().cast_signed());
    options.open(folder)
}

/// Removes what killed runs of this user left. What cannot be removed stays: it does no harm.
fn sweep(place: &Path) {
    for path in files::private_folders(place, PREFIX) {
        // Held until it is gone, so that no run takes it for its own.
        if let Ok(lock) = open(&path)
            && lock.try_lock().is_ok()
            && is_of_git(&path)
        {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Returns whether a directory has nothing but what a run puts there.
fn is_of_git(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).into_iter().flatten();
    entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == REPOSITORY))
}
