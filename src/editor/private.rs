//! The private directory of a manifest's plain text while an editor has it.
//!
//! No other user can look into it at any moment; it is in memory if possible; it is removed whole,
//! with all that an editor wrote next to the text; and the next run finds and removes what a killed
//! run left. Links are never followed, and files that may belong to others stay.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FsWord, Mode, OFlags};
use zeroize::Zeroizing;

use crate::core::failure::Failure;
use crate::sys::{files, testpoint};

#[cfg(test)]
mod tests;

const PREFIX: &str = "drspass-edit-";

/// The file whose lock distinguishes the directory of a running drspass from a leftover.
const LOCK: &str = ".lock";

/// The text of the lock file, by which a private directory is recognised.
const LOCK_TEXT: &[u8] = b"drspass edit\n";

/// How often a directory is made anew when a sweeping run removed it, still empty.
const TRIES: usize = 5;

/// No text is longer. A longer file may be full of holes, and filled it could take a whole disk.
const MAX_OVERWRITTEN: u64 = 256 << 20;

/// How often a directory is emptied: an editor that was asked to end may still write.
const ROUNDS: usize = 5;

const SHARED_MEMORY: &str = "/dev/shm";

/// File systems that keep their files in memory (statfs(2)).
const TMPFS: FsWord = 0x0102_1994;
const RAMFS: FsWord = 0x8584_58f6;

pub struct Private {
    pub folder: PathBuf,
    /// The file with the text.
    pub text: PathBuf,
    pub medium: Medium,
    /// Held open for the lock.
    lock: File,
    is_there: bool,
}

impl Private {
    /// Makes a directory with `text` in a file called `name`, in memory if possible.
    pub fn create(places: &Places, name: &str, text: &[u8]) -> Result<Self, Failure> {
        // The last place that is tried is the directory for temporary files.
        let mut why = io::Error::from(io::ErrorKind::NotFound);
        for (place, medium) in candidates(places) {
            match Self::create_in(&place, medium, name, text) {
                Ok(private) => return Ok(private),
                Err(error) => why = error,
            }
        }
        let place = places.temporary.display();
        let message = format!("cannot create a private directory for the editor in {place}");
        let help = "Nothing was written. Set TMPDIR to a writable directory.";
        Err(Failure::new("drspass::edit::folder", message, help).because(why))
    }

    fn create_in(place: &Path, medium: Medium, name: &str, text: &[u8]) -> io::Result<Self> {
        if medium == Medium::InMemory {
            testpoint::may_fail("private.memory")?;
        }
        let (folder, lock) = locked_folder(place)?;
        let mut private = Self {
            text: folder.join(name),
            folder,
            medium,
            lock,
            is_there: true,
        };
        let written = files::create_private(&private.text)
            .and_then(|mut file| file.write_all(text).and_then(|()| file.flush()));
        testpoint::reach("private.created");
        match written {
            Ok(()) => Ok(private),
            Err(error) => {
                // The first error is the one that matters; a full disk does not keep files from
                // being removed.
                let _ = private.remove();
                Err(error)
            }
        }
    }

    pub fn read(&self, limit: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
        files::read_unlinked_limited(&self.text, limit)
            .map(Zeroizing::new)
            .map_err(|why| {
                let message = "cannot read the edited text";
                Failure::new("drspass::edit::text", message, "Nothing was saved.").because(why)
            })
    }

    pub fn remove(&mut self) -> Result<(), Failure> {
        self.is_there = false;
        match remove(&self.folder) {
            // An editor was faster. Had it only moved the directory, the lock would still have a
            // name.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.has_no_lock() => Ok(()),
            removed => removed.map_err(|why| {
                let path = self.folder.display();
                let message = format!("cannot remove {path}, which may contain the plain text");
                let help = "Remove this directory with everything in it.";
                Failure::new("drspass::edit::left", message, help).because(why)
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
            // Callers that can report an error have called `remove`.
            let _ = self.remove();
        }
        let _ = self.lock.unlock();
    }
}

fn locked_folder(place: &Path) -> io::Result<(PathBuf, File)> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for _ in 0..TRIES {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .rand_bytes(files::RANDOM_PART)
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

fn locked(folder: &Path) -> io::Result<File> {
    let path = folder.join(LOCK);
    let mut lock = files::create_private(&path)?;
    lock.try_lock().map_err(io::Error::from)?;
    files::check_same(&lock, &fs::symlink_metadata(&path)?)?;
    lock.write_all(LOCK_TEXT)?;
    Ok(lock)
}

/// Removes a private directory: its content, then the lock, then the directory, so that the rest
/// after a killed removal is still recognised as a leftover.
fn remove(folder: &Path) -> io::Result<()> {
    // The last round's error counts: a later round may remove what an earlier one could not.
    let mut stayed = None;
    for _ in 0..ROUNDS {
        make_writable(folder)?;
        let entries = entries(folder)?;
        if entries.is_empty() {
            return remove_empty(folder);
        }
        stayed = None;
        for path in entries {
            if let Err(error) = remove_entry(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                stayed.get_or_insert(error);
            }
        }
        testpoint::reach("private.half_removed");
    }
    match stayed {
        Some(error) => Err(error),
        None if entries(folder)?.is_empty() => remove_empty(folder),
        None => Err(io::ErrorKind::DirectoryNotEmpty.into()),
    }
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let is_lock = |path: &PathBuf| path.file_name().is_some_and(|name| name == LOCK);
    Ok(entries.filter(|path| !is_lock(path)).collect())
}

/// Removes the lock and the directory. If something came in between, restores the lock, so that the
/// directory is still recognised as a leftover.
fn remove_empty(folder: &Path) -> io::Result<()> {
    let lock = folder.join(LOCK);
    match fs::remove_file(&lock) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let removed = fs::remove_dir(folder);
    if removed.is_err() && folder.is_dir() {
        // The first error is the one that matters.
        let _ = files::create_private(&lock).and_then(|mut file| file.write_all(LOCK_TEXT));
    }
    removed
}

fn remove_entry(path: &Path) -> io::Result<()> {
    let found = path.symlink_metadata()?;
    if !found.is_dir() {
        if found.is_file() && found.nlink() == 1 && found.len() <= MAX_OVERWRITTEN {
            // The old text may be read from a disk or from swap afterwards; if it cannot be
            // overwritten, it is removed all the same.
            let _ = overwrite(path, found.len());
        }
        return fs::remove_file(path);
    }
    make_writable(path)?;
    let mut first = Ok(());
    for entry in fs::read_dir(path)? {
        // Go on: the other files are removed all the same.
        let removed = entry.and_then(|entry| remove_entry(&entry.path()));
        first = first.and(removed);
    }
    first?;
    fs::remove_dir(path)
}

fn make_writable(folder: &Path) -> io::Result<()> {
    let found = folder.symlink_metadata()?;
    if found.is_dir() && found.mode() & 0o700 != 0o700 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn overwrite(path: &Path, length: u64) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
    io::copy(&mut io::repeat(0).take(length), &mut file)?;
    // Text written to a file that is removed at once may never reach the disk, where the old text
    // may be.
    file.sync_data()
}

/// Removes what killed runs left; returns each directory, and why it stayed if it did.
pub fn sweep(places: &Places) -> Vec<(PathBuf, io::Result<()>)> {
    let own = PathBuf::from(format!("/run/user/{}", rustix::process::geteuid().as_raw()));
    let folders = [own, SHARED_MEMORY.into(), places.temporary.clone()].into_iter();
    let folders = folders.chain(places.runtime.clone());
    // Several names may lead to one place; each place is swept once.
    let folders: BTreeSet<PathBuf> = folders.flat_map(fs::canonicalize).collect();
    let swept = folders.iter().flat_map(|folder| sweep_folder(folder));
    swept.collect()
}

fn sweep_folder(folder: &Path) -> Vec<(PathBuf, io::Result<()>)> {
    let swept = |path: PathBuf| {
        let removed = sweep_one(&path)?;
        Some((path, removed))
    };
    let ours = files::private_folders(folder, PREFIX);
    ours.filter_map(swept).collect()
}

fn sweep_one(path: &Path) -> Option<io::Result<()>> {
    let mut lock = match files::open_unlinked(&path.join(LOCK)) {
        Ok(lock) => lock,
        // A run was killed before it made the lock, and nothing else is in there; or a running one
        // is about to make it, and then makes another directory.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return fs::remove_dir(path).ok().map(Ok);
        }
        Err(_) => return None,
    };
    let mut text = Vec::new();
    let is_ours = (&mut lock)
        .take(LOCK_TEXT.len() as u64 + 1)
        .read_to_end(&mut text)
        .is_ok_and(|_| LOCK_TEXT.starts_with(&text));
    // The lock is held until the directory is gone, so that two sweeps do not meet.
    if !is_ours || lock.try_lock().is_err() {
        return None;
    }
    match remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        removed => Some(removed),
    }
}

#[derive(Clone, Debug)]
pub struct Places {
    /// The directory of this user's running programs (`XDG_RUNTIME_DIR`), if it is set.
    pub runtime: Option<PathBuf>,
    pub temporary: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Only in memory, as far as the system does not swap.
    InMemory,
    OnDisk,
}

fn candidates(places: &Places) -> Vec<(PathBuf, Medium)> {
    let runtime = places
        .runtime
        .iter()
        .filter(|path| files::is_private_folder(path));
    let memory = runtime.cloned().chain([PathBuf::from(SHARED_MEMORY)]);
    let memory = memory.filter(|path| is_in_memory(path));
    let all = memory.chain([places.temporary.clone()]);
    let with_medium = all.map(|path| match is_in_memory(&path) {
        true => (path, Medium::InMemory),
        false => (path, Medium::OnDisk),
    });
    with_medium.collect()
}

fn is_in_memory(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| [TMPFS, RAMFS].contains(&found.f_type))
}
