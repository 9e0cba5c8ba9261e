//! Where private folders may be made: in memory where there is such a place.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FsWord;

/// The place for shared memory, which everybody may use.
pub(super) const SHARED_MEMORY: &str = "/dev/shm";

/// File systems that keep their files in memory (statfs(2)).
const TMPFS: FsWord = 0x0102_1994;
const RAMFS: FsWord = 0x8584_58f6;

/// Where private folders may be made.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of this user's running programs (`XDG_RUNTIME_DIR`), if one is named.
    pub runtime: Option<PathBuf>,
    /// The folder for temporary files.
    pub temporary: PathBuf,
}

/// What a file system keeps its files on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nowhere but in memory, as far as the system does not swap.
    InMemory,
    /// A disk, which may hold the bytes of a file after it was removed.
    OnDisk,
}

/// Where a folder may be made, best place first.
pub(super) fn candidates(places: &Places) -> Vec<(PathBuf, Kept)> {
    let runtime = places.runtime.iter().filter(|path| is_private_folder(path));
    let mut found: Vec<(PathBuf, Kept)> = runtime
        .cloned()
        .chain([PathBuf::from(SHARED_MEMORY)])
        .filter(|path| is_in_memory(path))
        .map(|path| (path, Kept::InMemory))
        .collect();
    let kept = if is_in_memory(&places.temporary) {
        Kept::InMemory
    } else {
        Kept::OnDisk
    };
    found.push((places.temporary.clone(), kept));
    found
}

fn is_in_memory(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| [TMPFS, RAMFS].contains(&found.f_type))
}

/// Whether this is a folder, not a link, of this user, that nobody else may enter.
pub(super) fn is_private_folder(path: &Path) -> bool {
    path.is_absolute()
        && path.symlink_metadata().is_ok_and(|found| {
            found.is_dir()
                && found.uid() == rustix::process::geteuid().as_raw()
                && found.mode() & 0o077 == 0
        })
}
