//! Private, atomic, durable files: a new one is private from its first moment, and a replaced
//! one is either the old or the new one, whole, whatever happens in between.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, OFlags};
use rustix::io::Errno;

use crate::sys::{testpoint, wiped};

const PRIVATE: u32 = 0o600;

/// Mode of a file that other steps of a pipeline read.
const PUBLIC: u32 = 0o644;

/// Creates a file that only its owner can read; fails if it exists.
pub fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE)
        .open(path)
}

pub fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    open(path, options.mode(PRIVATE))
}

/// Opens a file of drspass: a regular one and not a link, which could lead anywhere.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // The flags fit: they are bits of those that open(2) takes as an int. Without
    // the second one, opening a pipe would wait for a writer.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = options.custom_flags(flags.bits().cast_signed()).open(path);
    opened.map_err(name_link).and_then(regular)
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// The largest file of drspass: a state of a million entries has 300 MB.
const MAX_OWN_BYTES: u64 = 1 << 30;

/// Reads a file of drspass that is not a link: an atomic replacement would not leave one.
pub fn read_unlinked(path: &Path) -> io::Result<Vec<u8>> {
    read_at_most(open_unlinked(path)?, MAX_OWN_BYTES)
}

pub fn read_unlinked_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_at_most(open_unlinked(path)?, limit)
}

pub fn open_unlinked(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true))
}

fn read_at_most(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata().map_or(0, |found| found.len().min(limit));
    let expected = usize::try_from(length).unwrap_or(0);
    let mut content = wiped::read_about(file, expected, limit)?;
    Ok(std::mem::take(&mut *content))
}

pub fn read_end(path: &Path, count: u64) -> io::Result<(u64, Vec<u8>)> {
    let mut file = open_unlinked(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(count)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok((length, end))
}

/// Renames the system's "too many levels of symbolic links", which here means one link.
fn name_link(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
        io::Error::other("it is a link, and only the manifest may be one")
    } else {
        error
    }
}

/// Writes a new private file and makes it durable; leaves none behind on failure.
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = create_private(path)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(path);
        return written;
    }
    sync_folder(path)
}

/// Replaces `path` atomically and durably. The content goes through `<name>.tmp`, which a killed
/// run may leave and the next one overwrites; so the caller has a lock on `path` or is its only
/// writer. On failure `path` is unchanged, unless only making the new name durable failed.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temp = with_suffix(path, ".tmp");
    match fs::remove_file(&temp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    testpoint::may_fail("replace")?;
    let renamed = write_new(&temp, content).and_then(|()| {
        testpoint::reach("replace.before_rename");
        fs::rename(&temp, path)
    });
    if renamed.is_err() {
        let _ = fs::remove_file(&temp);
        return renamed;
    }
    testpoint::reach("replace.after_rename");
    sync_folder(path)
}

/// Replaces the file that `path` names or links to; a link stays a link, and the file keeps
/// its mode.
pub fn replace_linked(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => fs::canonicalize(path)?,
        _ => path.to_owned(),
    };
    replace_own(&file, content)
}

/// Replaces a file, which keeps its mode, or creates a private one. A link is replaced itself.
pub fn replace_own(path: &Path, content: &[u8]) -> io::Result<()> {
    let there = fs::symlink_metadata(path)
        .ok()
        .filter(fs::Metadata::is_file);
    let mode = there.map_or(PRIVATE, |found| found.mode() & 0o777);
    put(path, content, Some(mode), true)
}

/// Locks the file that `path` names or links to, until dropped: of two writers that do so, one
/// sees the other's change. Without locks in the file system, both succeed.
///
/// # Errors
/// [`io::ErrorKind::ResourceBusy`] if another process has locked the file,
/// [`io::ErrorKind::WouldBlock`] if one has just replaced it.
pub fn take_turn(path: &Path) -> io::Result<File> {
    // On some network file systems only what may be written can be locked.
    let writable = OpenOptions::new().read(true).write(true).open(path);
    let file = writable.or_else(|_| File::open(path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
        Err(TryLockError::Error(_)) | Ok(()) => {}
    }
    // The lock is on what was opened; another turn may have put a new file there
    // just before.
    check_same(&file, &fs::metadata(path)?)?;
    Ok(file)
}

/// Fails if the name of an opened file leads to another one by now.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`].
pub fn check_same(opened: &File, there: &fs::Metadata) -> io::Result<()> {
    let held = opened.metadata()?;
    match (held.dev(), held.ino()) == (there.dev(), there.ino()) {
        true => Ok(()),
        false => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// The start of the names of temporary files. A killed run may leave one, so `init` makes git
/// ignore them.
pub const PASSING: &str = ".drspass-";

/// Removes the file for [`replace_public`].
pub fn remove_public(path: &Path, start: &str) -> io::Result<()> {
    rustix::fs::access(folder_of(path), Access::WRITE_OK | Access::EXEC_OK)?;
    if check_public(path, start)? {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Returns whether a file exists and may be replaced; any other file is an error.
fn check_public(path: &Path, start: &str) -> io::Result<bool> {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let file = match open_unlinked(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    let mut found = Vec::new();
    file.take(start.len() as u64).read_to_end(&mut found)?;
    if found.is_empty() || found == start.as_bytes() {
        Ok(true)
    } else {
        Err(io::Error::other("another file is there"))
    }
}

/// Writes a world-readable file atomically. Replaces only an empty file or one of its own kind,
/// which begins with `start`.
pub fn replace_public(path: &Path, content: &str, start: &str) -> io::Result<()> {
    let is_there = check_public(path, start)?;
    put(path, content.as_bytes(), Some(PUBLIC), is_there)
}

pub fn put_private(path: &Path, content: &[u8], is_there: bool) -> io::Result<()> {
    put(path, content, Some(PRIVATE), is_there)
}

/// Puts a file in its place atomically and durably. The temporary name is random, since another
/// writer may be at the same file and a fixed name may exist. Keeps a file that appeared in the
/// meantime if `is_there` is false.
fn put(path: &Path, content: &[u8], mode: Option<u32>, is_there: bool) -> io::Result<()> {
    // It is private, and goes unless it is renamed.
    let mut temp = tempfile::Builder::new()
        .prefix(PASSING)
        .tempfile_in(folder_of(path))?;
    temp.write_all(content)?;
    if let Some(mode) = mode {
        temp.as_file()
            .set_permissions(fs::Permissions::from_mode(mode))?;
    }
    temp.as_file().sync_all()?;
    testpoint::reach("files.before_rename");
    let persisted = if is_there {
        temp.persist(path)
    } else {
        temp.persist_noclobber(path)
    };
    persisted.map_err(|error| error.error)?;
    sync_folder(path)
}

pub fn write_unlinked(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    open(path, options.write(true).create(true).truncate(true))?.write_all(content)
}

pub fn append_unlinked(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().append(true).create(true))
}

pub fn open_to_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

pub fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_at_most(File::open(path)?, limit)
}

pub fn make_private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Returns whether this is a directory, not a link, of this user, that no other user may enter.
pub fn is_private_folder(path: &Path) -> bool {
    path.is_absolute()
        && path.symlink_metadata().is_ok_and(|found| {
            found.is_dir()
                && found.uid() == rustix::process::geteuid().as_raw()
                && found.mode() & 0o077 == 0
        })
}

/// The length of the random part of a private directory's name.
pub const RANDOM_PART: usize = 16;

/// Returns the private directories whose names are `prefix` and a random part, which can be shown
/// as they are.
pub fn private_folders(place: &Path, prefix: &str) -> impl Iterator<Item = PathBuf> {
    let is_ours = move |path: &PathBuf| {
        let name = path.file_name().map(OsStr::as_encoded_bytes);
        let rest = name.and_then(|name| name.strip_prefix(prefix.as_bytes()));
        let is_random =
            |rest: &[u8]| rest.len() == RANDOM_PART && rest.iter().all(u8::is_ascii_alphanumeric);
        rest.is_some_and(is_random) && is_private_folder(path)
    };
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(is_ours)
}

pub fn is_open_to_others(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.mode() & 0o077 != 0)
}

pub fn has_conflict_marks(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n')
        .any(|line| line.starts_with(b"<<<<<<< ") || line.starts_with(b">>>>>>> "))
}

pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_appears_meanwhile_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        put(&path, b"first", Some(PUBLIC), false).unwrap();
        let error = put(&path, b"second", Some(PUBLIC), false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        put(&path, b"third", Some(PRIVATE), true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, PRIVATE);
        let names = fs::read_dir(folder.path()).unwrap();
        assert_eq!(names.count(), 1, "no file in between stays behind");
    }
}
