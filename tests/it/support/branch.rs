//! A root folder in a clone whose state is on a branch of a bare repository on disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Lab, Run};

pub(crate) const NAME: &str = "drspass-state/test";
pub(crate) const PLACE: &str = "git:origin/drspass-state/test";

/// Runs git with nothing but its own environment; its standard output.
pub(crate) fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=somebody",
            "-c",
            "user.email=somebody@localhost",
        ])
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .expect("git runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// An empty bare repository.
pub(crate) fn origin() -> TempDir {
    let origin = TempDir::with_suffix(".git").expect("a folder");
    git(
        origin.path(),
        &["init", "--quiet", "--bare", "--initial-branch=main"],
    );
    origin
}

/// Every file below a folder with its content, sorted.
pub(crate) fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(snapshot(&path));
        } else {
            let content = fs::read(&path).unwrap_or_default();
            found.push((path, content));
        }
    }
    found.sort();
    found
}

impl Lab {
    pub(crate) fn make_clone(&self) {
        let origin = self.origin.as_ref().expect("a repository").path();
        git(
            self.dir.path(),
            &["init", "--quiet", "--initial-branch=main"],
        );
        let origin = origin.to_str().expect("a path");
        git(self.dir.path(), &["remote", "add", "origin", origin]);
        git(
            self.dir.path(),
            &["commit", "--quiet", "--allow-empty", "-m", "first"],
        );
        git(
            self.dir.path(),
            &["push", "--quiet", "--set-upstream", "origin", "main"],
        );
    }

    pub(crate) fn in_origin(&self, args: &[&str]) -> String {
        git(self.origin.as_ref().expect("a repository").path(), args)
    }

    /// As [`Lab::in_origin`], with a text on standard input.
    pub(crate) fn in_origin_with(&self, args: &[&str], input: &str) -> String {
        let origin = self.origin.as_ref().expect("a repository").path();
        let file = self.path("input");
        fs::write(&file, input).expect("written");
        let output = Command::new("git")
            .args(args)
            .current_dir(origin)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(fs::File::open(&file).expect("a file"))
            .output()
            .expect("git runs");
        fs::remove_file(file).expect("removed");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The commit at the tip of the state.
    pub(crate) fn tip(&self) -> String {
        self.in_origin(&["rev-parse", NAME]).trim().to_owned()
    }

    /// What git keeps of drspass in the clone.
    pub(crate) fn own_folder(&self) -> PathBuf {
        let below = fs::read_dir(self.path(".git/drspass")).expect("a folder");
        let mut below = below.map(|entry| entry.expect("an entry").path());
        below.next().expect("one for this root directory")
    }

    /// The file in which this clone keeps what it has seen of the state.
    pub(crate) fn seen_file(&self) -> PathBuf {
        let files = fs::read_dir(self.own_folder()).expect("a folder");
        let mut files = files.map(|entry| entry.expect("an entry").path());
        let is_it = |path: &PathBuf| path.to_string_lossy().ends_with(".seen");
        files.find(is_it).expect("a file of what was seen")
    }

    /// Commits what a clone needs, and pushes it to main.
    pub(crate) fn push(&self) {
        let names = ["drspass.yaml", "passwords.yaml.age", "passwords.index.yaml"];
        git(self.dir.path(), &[&["add"][..], &names].concat());
        git(
            self.dir.path(),
            &["commit", "--quiet", "--allow-empty", "-m", "change"],
        );
        git(
            self.dir.path(),
            &["push", "--quiet", "--set-upstream", "origin", "main"],
        );
    }

    /// A fresh clone with the key, as on another machine.
    pub(crate) fn cloned(&self) -> TempDir {
        let clone = TempDir::new().expect("a folder");
        let origin = self.origin.as_ref().expect("a repository").path();
        let origin = origin.to_str().expect("a path");
        git(clone.path(), &["clone", "--quiet", origin, "."]);
        fs::copy(self.path("key.txt"), clone.path().join("key.txt")).expect("the key");
        clone
    }

    /// Runs drspass in another clone.
    #[track_caller]
    pub(crate) fn run_in(&self, clone: &TempDir, args: &[&str]) -> Run {
        let mut command = self.command(args);
        command.current_dir(clone.path());
        self.run_command(command)
    }
}
