//! How a private folder goes: whole, with all that an editor wrote beside the text,
//! and its files overwritten. Links are removed, not followed.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, SeekFrom};

use super::{LOCK, LOCK_TEXT};
use crate::sys::{files, testpoint};

/// How often a folder is emptied: an editor that is told to end may still write.
const ROUNDS: usize = 5;

/// Removes a private folder: what is in it, then the lock, then the folder, so that
/// what a killed removal leaves is still known as a leftover.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    // Why something stayed in the last round: what went in a later one is gone.
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

/// What is in a private folder beside its lock.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let is_lock = |path: &PathBuf| path.file_name().is_some_and(|name| name == LOCK);
    Ok(entries.filter(|path| !is_lock(path)).collect())
}

/// Removes the lock and the folder. If something came in between, the lock comes back,
/// so that the folder is still known as a leftover.
pub(super) fn remove_empty(folder: &Path) -> io::Result<()> {
    let lock = folder.join(LOCK);
    match fs::remove_file(&lock) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let removed = fs::remove_dir(folder);
    if removed.is_err() && folder.is_dir() {
        // The error that matters is the first one.
        let _ = files::create_private(&lock).and_then(|mut file| file.write_all(LOCK_TEXT));
    }
    removed
}

/// Removes a file or a folder with all that is in it; links are removed, not followed.
fn remove_entry(path: &Path) -> io::Result<()> {
    let found = path.symlink_metadata()?;
    if !found.is_dir() {
        if found.is_file() && found.nlink() == 1 {
            // What was there may be read from a disk or from swap afterwards; where
            // it cannot be overwritten it is removed all the same.
            let _ = overwrite(path, found.len());
        }
        return fs::remove_file(path);
    }
    make_writable(path)?;
    let mut first = Ok(());
    for entry in fs::read_dir(path)? {
        // What cannot be removed keeps nothing else.
        let removed = entry.and_then(|entry| remove_entry(&entry.path()));
        first = first.and(removed);
    }
    first?;
    fs::remove_dir(path)
}

/// Gives this user every right to a folder of an editor, which may have taken some.
fn make_writable(folder: &Path) -> io::Result<()> {
    let found = folder.symlink_metadata()?;
    if found.is_dir() && found.mode() & 0o700 != 0o700 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Overwrites what a file holds. Holes hold nothing and stay: filled, they could take
/// a whole disk.
pub(super) fn overwrite(path: &Path, length: u64) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
    let mut at = 0;
    while at < length {
        // There is no data up to the end.
        let Ok(start) = rustix::fs::seek(&file, SeekFrom::Data(at)) else {
            break;
        };
        at = rustix::fs::seek(&file, SeekFrom::Hole(start))?;
        rustix::fs::seek(&file, SeekFrom::Start(start))?;
        io::copy(&mut io::repeat(0).take(at - start), &mut file)?;
    }
    // What is written to a file that is removed at once may never reach the disk, where
    // the text may be already.
    file.sync_data()
}
