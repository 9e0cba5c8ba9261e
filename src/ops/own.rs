//! The paths that drspass keeps for itself, whether a file is there now or not: no
//! output that a user names may take one of them.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::OpError;
use super::root::{CONFIG_FILE, Root};
use crate::core::config::{DEFAULT_MANIFEST, DEFAULT_STATE};
use crate::sys::files;

/// The paths of one root folder.
pub struct OwnPaths {
    folder: PathBuf,
    state: PathBuf,
    /// Those beside the state and its siblings.
    others: Vec<PathBuf>,
}

impl OwnPaths {
    /// Those of a root folder.
    pub fn of(root: &Root) -> Self {
        let folder = root.resolve(Path::new(""));
        Self::new(folder, root.store.path(), &root.manifest_path())
    }

    /// Those of a folder whose drspass.yaml is not usable, as far as they are known:
    /// the state where the user named one, and the usual names.
    pub fn usual(folder: &Path, state: Option<&Path>) -> Self {
        let state = folder.join(state.unwrap_or_else(|| Path::new(DEFAULT_STATE)));
        Self::new(folder.to_owned(), &state, &folder.join(DEFAULT_MANIFEST))
    }

    fn new(folder: PathBuf, state: &Path, manifest: &Path) -> Self {
        let mut others = vec![
            folder.join(CONFIG_FILE),
            manifest.to_owned(),
            files::with_suffix(manifest, ".tmp"),
        ];
        // The manifest may be a link, and then what it leads to is the manifest.
        others.extend(std::fs::canonicalize(manifest));
        Self {
            state: place(state),
            others: others.iter().map(|path| place(path)).collect(),
            folder,
        }
    }

    /// Whether an output may go to `path`, which is seen from the root folder.
    /// Fails if it is one of these paths, under whatever name.
    pub fn check(&self, path: &Path) -> Result<(), OpError> {
        let wanted = place(&self.folder.join(path));
        if self.others.contains(&wanted) || self.belongs_to_state(&wanted) {
            let source = io::Error::other("drspass keeps files of its own under this name");
            return Err(OpError::Write {
                path: path.to_owned(),
                source,
            });
        }
        Ok(())
    }

    /// Whether outputs may go to these paths.
    /// Fails as [`OwnPaths::check`], or if two of them are one place, under whatever
    /// names: one would take away what the other wrote.
    pub fn check_outputs(&self, paths: &[&Path]) -> Result<(), OpError> {
        let mut taken = Vec::with_capacity(paths.len());
        for path in paths {
            self.check(path)?;
            let wanted = place(&self.folder.join(path));
            if taken.contains(&wanted) {
                let source = io::Error::other("another output goes there already");
                return Err(OpError::Write {
                    path: path.to_path_buf(),
                    source,
                });
            }
            taken.push(wanted);
        }
        Ok(())
    }

    /// Whether this is the state or one of its siblings, which have its name and
    /// something after a dot.
    fn belongs_to_state(&self, wanted: &Path) -> bool {
        if *wanted == self.state {
            return true;
        }
        let (Some(name), Some(wanted_name)) = (self.state.file_name(), wanted.file_name()) else {
            return false;
        };
        let mut start = OsString::from(name);
        start.push(".");
        let start = start.as_encoded_bytes();
        wanted.parent() == self.state.parent() && wanted_name.as_encoded_bytes().starts_with(start)
    }
}

/// A path by which files in one place are compared: its folder without links. Where
/// there is no such folder, nothing can be written.
fn place(path: &Path) -> PathBuf {
    let folder = std::fs::canonicalize(files::folder_of(path));
    match (folder, path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}
