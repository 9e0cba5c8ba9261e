//! What killed runs left: found by its name and its free lock, and removed. Folders of
//! living runs, and whatever is not surely ours, stay.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::places::{Places, SHARED_MEMORY, is_private_folder};
use super::removal::remove;
use super::{LOCK, LOCK_TEXT, PREFIX};
use crate::sys::files;

/// What was found of a killed run.
#[derive(Debug)]
pub struct Leftover {
    /// The folder.
    pub path: PathBuf,
    /// Whether it is gone now.
    pub removed: io::Result<()>,
}

/// Removes the folders that killed runs left. Those of living runs, and whatever
/// is not surely ours, stay.
pub fn sweep(places: &Places) -> Vec<Leftover> {
    let own = PathBuf::from(format!("/run/user/{}", rustix::process::geteuid().as_raw()));
    let mut folders: Vec<PathBuf> = places.runtime.iter().cloned().collect();
    folders.extend([own, SHARED_MEMORY.into(), places.temporary.clone()]);
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for folder in folders {
        // Names lead to one place in many ways; each place is swept once.
        let Ok(folder) = fs::canonicalize(&folder) else {
            continue;
        };
        if seen.contains(&folder) {
            continue;
        }
        found.extend(sweep_folder(&folder));
        seen.push(folder);
    }
    found
}

pub(super) fn sweep_folder(folder: &Path) -> Vec<Leftover> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries
        .filter(|entry| is_our_name(entry.file_name().as_encoded_bytes()))
        .map(|entry| entry.path())
        .filter(|path| is_private_folder(path));
    ours.filter_map(|path| sweep_one(&path)).collect()
}

/// Whether a folder of ours can have this name, which is shown as it is.
fn is_our_name(name: &[u8]) -> bool {
    let rest = name.strip_prefix(PREFIX.as_bytes());
    rest.is_some_and(|rest| rest.iter().all(u8::is_ascii_alphanumeric))
}

/// Removes a folder if it is a leftover; nothing if it is none.
fn sweep_one(path: &Path) -> Option<Leftover> {
    let done = |removed| {
        Some(Leftover {
            path: path.to_owned(),
            removed,
        })
    };
    let mut lock = match files::open_unlinked(&path.join(LOCK)) {
        Ok(lock) => lock,
        // A run was killed before it made the lock, and nothing else is in there: or
        // a living one is about to make it, which then makes another folder.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match fs::remove_dir(path) {
                Ok(()) => done(Ok(())),
                Err(_) => None,
            };
        }
        Err(_) => return None,
    };
    let mut text = Vec::new();
    let is_ours = (&mut lock)
        .take(LOCK_TEXT.len() as u64 + 1)
        .read_to_end(&mut text)
        .is_ok_and(|_| LOCK_TEXT.starts_with(&text));
    // The lock is held until the folder is gone, so that two sweeps do not meet.
    if !is_ours || lock.try_lock().is_err() {
        return None;
    }
    match remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        removed => done(removed),
    }
}
