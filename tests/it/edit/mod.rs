//! `edit`, on terminals and without: what it changes, what it refuses, and that
//! the plain text is nowhere once it has ended, however it ended.

mod broken;
mod ended;
mod plain;
mod sealing;
mod terminal;
mod traces;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::leaks::forms;
use crate::support::terminal::Terminal;
use crate::support::{J1, Lab, Run};

/// A root folder with one password, a home, places for temporary files, and editors
/// that are scripts. Everything that may hold no password is searched after each run.
pub(super) struct Desk {
    pub(super) lab: Lab,
    /// What the manifest says at first, and what it is changed to.
    pub(super) old: String,
    pub(super) new: String,
    pub(super) home: TempDir,
    pub(super) temporary: TempDir,
    /// In memory, and of this test alone, as `/run/user/N` is of a user.
    pub(super) runtime: TempDir,
    /// Scripts, and what they read and write. It may hold passwords.
    pub(super) stubs: TempDir,
    /// Every form of both passwords.
    forms: Vec<String>,
    since: i64,
}

impl Desk {
    /// `name` makes its passwords different from those of other tests.
    pub(super) fn new(name: &str) -> Self {
        let unique = format!("{name}-{}", std::process::id());
        let memory = Path::new("/dev/shm");
        let folder = |at: Option<&Path>| match at {
            Some(at) if at.is_dir() => TempDir::new_in(at).expect("a folder"),
            _ => TempDir::new().expect("a folder"),
        };
        let mut desk = Self {
            lab: Lab::new(),
            old: format!("canary-old-{unique}"),
            new: format!("canary-new-{unique}"),
            home: folder(None),
            temporary: folder(None),
            runtime: folder(Some(memory)),
            stubs: folder(None),
            forms: Vec::new(),
            since: 0,
        };
        desk.since = fs::metadata(desk.stubs.path()).expect("a folder").ctime();
        desk.forms = [&desk.old, &desk.new]
            .into_iter()
            .flat_map(|secret| forms(secret))
            .collect();
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(desk.runtime.path(), private).expect("the folder is ours");
        let (old, new) = (desk.old.clone(), desk.new.clone());
        desk.lab.plant(&[&old, &new]);
        desk.lab.passwords(&[(J1, "source", &old)]);
        desk
    }

    /// A script as an editor. It finds the text in `$text` and its own files in `$here`.
    pub(super) fn stub(&self, name: &str, script: &str) -> String {
        let path = self.stubs.path().join(name);
        let here = self.stubs.path().display();
        let head = format!("#!/bin/sh\nfor text; do :; done\nhere='{here}'\n");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, head + script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// An editor that changes the old password to the new one.
    pub(super) fn changer(&self) -> String {
        self.stub("changer", &self.change())
    }

    /// What such a script does.
    pub(super) fn change(&self) -> String {
        format!("sed -i 's/{}/{}/' \"$text\"\n", self.old, self.new)
    }

    /// `edit` with this editor.
    pub(super) fn command(&self, editor: &str) -> Command {
        let mut command = self.lab.command(&["edit"]);
        self.surround(&mut command, editor);
        command
    }

    /// Gives a command the surroundings of this test.
    pub(super) fn surround(&self, command: &mut Command, editor: &str) {
        command
            .env("EDITOR", editor)
            .env("HOME", self.home.path())
            .env("TMPDIR", self.temporary.path())
            .env("XDG_RUNTIME_DIR", self.runtime.path())
            .env("TERM", "vt100");
    }

    /// Runs `edit` without a terminal.
    #[track_caller]
    pub(super) fn edit(&self, editor: &str) -> Run {
        let run = self.lab.run_command(self.command(editor));
        self.assert_no_trace();
        run
    }

    /// The same on a terminal.
    pub(super) fn on_terminal(&self, editor: &str) -> Terminal {
        Terminal::start(self.command(editor))
    }

    /// The decrypted manifest, as if it was always written at one time.
    pub(super) fn text(&self) -> String {
        let text = self.lab.run(&["decrypt"]).exits(0).stdout;
        let (before, after) = text.split_once("  written: \"").expect("a time");
        let (_, after) = after.split_once('"').expect("its end");
        format!("{before}  written: \"2026-11-29T14:03:22Z\"{after}")
    }

    #[track_caller]
    pub(super) fn assert_changed(&self) {
        let text = self.text();
        assert!(text.contains(&self.new) && !text.contains(&self.old));
    }

    pub(super) fn manifest(&self) -> Vec<u8> {
        fs::read(self.lab.path("passwords.yaml.age")).unwrap()
    }

    /// The private folders that are there.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let places = [&self.runtime, &self.temporary].into_iter();
        let entries = places.flat_map(|place| fs::read_dir(place.path()).unwrap());
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with("drspass-edit-")
            })
            .collect()
    }

    /// Searches every place where plain text could have been left: the work tree,
    /// the home, the places for temporary files, this test's and the system's.
    #[track_caller]
    pub(super) fn assert_no_trace(&self) {
        assert_eq!(self.folders(), Vec::<PathBuf>::new());
        for folder in [&self.lab.dir, &self.home, &self.temporary, &self.runtime] {
            self.assert_clean(folder.path(), usize::MAX);
        }
        self.assert_clean(Path::new("/dev/shm"), 4);
        for folder in ["/tmp", "/var/tmp"] {
            self.assert_clean(Path::new(folder), 1);
        }
    }

    #[track_caller]
    fn assert_clean(&self, folder: &Path, depth: usize) {
        // Other tests make and remove files all the time.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.to_string_lossy();
            for secret in [&self.old, &self.new] {
                assert!(!name.contains(secret.as_str()), "{name}");
            }
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() && depth > 1 && path != self.stubs.path() {
                self.assert_clean(&path, depth - 1);
            }
            // Files of before this test, and large ones, are not of it.
            let is_recent =
                |found: fs::Metadata| found.ctime() >= self.since && found.len() < 1 << 20;
            if kind.is_file() && entry.metadata().is_ok_and(is_recent) {
                let content = fs::read(&path).unwrap_or_default();
                let content = String::from_utf8_lossy(&content);
                for form in &self.forms {
                    assert!(!content.contains(form.as_str()), "{name} holds {form}");
                }
            }
        }
    }
}
