//! Where a plugin is found: in the folders of PATH that are given in full. An empty or
//! relative entry would run a file of the repository that somebody happens to stand in.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The first executable file of this name in the absolute folders of `path`.
pub(super) fn on(path: &OsStr, program: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_executable_files_in_absolute_folders_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("age-plugin-stub");
        let full = folder.path().as_os_str();
        fs::write(&file, "#!/bin/sh\n").expect("written");
        assert_eq!(on(full, "age-plugin-stub"), None, "it is not executable");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("set");
        assert_eq!(on(full, "age-plugin-stub"), Some(file));
        fs::create_dir(folder.path().join("age-plugin-dir")).expect("made");
        assert_eq!(on(full, "age-plugin-dir"), None, "it is a folder");
        // This very folder holds such a file, whatever the tests are started in.
        for relative in ["", ".", "src", "::", "Cargo.toml"] {
            assert_eq!(on(OsStr::new(relative), "Cargo.toml"), None, "{relative}");
        }
    }
}
