//! Files with a login, which must be outside the work tree.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error;
use crate::cli::env::Env;
use crate::ops::error::Failure;
use crate::sys::{files, wiped};

/// The git work tree of a root directory, links resolved.
pub struct WorkTree {
    top: PathBuf,
    /// Trusted directories in it, if it is the home directory.
    own: Vec<PathBuf>,
}

impl WorkTree {
    /// Returns the nearest directory above with `.git` (a file in a linked work tree), or
    /// else `folder` itself.
    pub fn around(folder: &Path, env: &Env) -> Result<Self, Failure> {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let real = fs::canonicalize(folder)
            .map_err(|source| error::unreadable("the directory", folder, &source))?;
        let top = real
            .ancestors()
            .find(|folder| folder.join(".git").symlink_metadata().is_ok())
            .unwrap_or(&real)
            .to_owned();
        let home = env.home().and_then(|home| fs::canonicalize(home).ok());
        let own = env.config_folders().into_iter();
        let own = own.filter_map(|folder| fs::canonicalize(folder.join("openstack")).ok());
        let own = own.filter(|_| home.as_ref() == Some(&top)).collect();
        Ok(Self { top, own })
    }

    /// Returns the target of `path`. A link in the work tree is refused too, since it chooses
    /// the file.
    fn resolve(&self, what: &'static str, path: &Path) -> Result<PathBuf, Failure> {
        let unreadable = |source| error::unreadable(what, path, &source);
        let folder = fs::canonicalize(files::folder_of(path)).map_err(unreadable)?;
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            // A pipe of the shell, such as <(command), has no path to resolve.
            Err(_) if is_pipe(path) => path.to_owned(),
            Err(error) => return Err(unreadable(error)),
        };
        let is_inside = |path: &Path| {
            path.starts_with(&self.top) && !self.own.iter().any(|own| path.starts_with(own))
        };
        if is_inside(&folder) || is_inside(&real) {
            let (path, tree) = (path.display(), self.top.display());
            return Err(Failure::new(
                "drspass::login::work_tree",
                format!("{what} {path} is inside the work tree {tree}"),
                "Nothing was sent. Move the file elsewhere, such as to ~/.config/openstack/clouds.yaml: everyone who can commit to the work tree could choose the login, and a login could be committed by mistake.",
            ));
        }
        Ok(real)
    }

    /// Returns the bytes of a file, and the note to show if it contains a secret.
    pub fn read(
        &self,
        what: &'static str,
        path: &Path,
        limit: usize,
    ) -> Result<(Zeroizing<Vec<u8>>, Option<String>), Failure> {
        let real = self.resolve(what, path)?;
        let bytes = File::open(&real)
            .and_then(|file| wiped::read(file, limit as u64))
            .map_err(|source| error::unreadable(what, path, &source))?;
        let note = (fs::metadata(&real).is_ok_and(|found| found.is_file())
            && files::is_open_to_others(&real))
        .then(|| {
            format!(
                "{} contains a secret and other users can read it; run chmod 600 on it",
                path.display()
            )
        });
        Ok((bytes, note))
    }
}

fn is_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

/// Returns the first path that exists, if only as a broken link, which is then an error.
pub fn first_of(folders: &[PathBuf], names: &[&str]) -> Option<PathBuf> {
    folders
        .iter()
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|path| path.symlink_metadata().is_ok())
}
