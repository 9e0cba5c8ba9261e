//! Merges of the manifest in a real git, by every command of git that can stop with a conflict.

mod broken;
mod doubted;
mod flows;
mod refused;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::git::{commit, git, git_command, repository};
use crate::support::{J1, J2, J3, Lab};

const MANIFEST: &str = "passwords.yaml.age";
const INDEX: &str = "passwords.index.yaml";

/// A repository whose branch main has three jobs, all of them applied.
fn lab() -> Lab {
    let mut lab = repository();
    lab.plant(&[
        "canary-db",
        "canary-orders",
        "canary-billing",
        "canary-audit",
    ]);
    lab.document(format!(
        "version: 1\n# a-comment\ncredentials:\n  orders-db: {{ password: 'canary-db' }}\njobs:\n  \
         {J1}:\n    name: orders\n    source: {{ credential: orders-db }}\n    destination: {{ password: 'canary-orders' }}\n  \
         {J2}:\n    name: billing\n    source: {{ password: 'canary-billing' }}\n  \
         {J3}:\n    name: audit\n    source: {{ password: 'canary-audit' }}\n"
    ))
    .exits(0);
    commit(&lab, "Base");
    lab
}

/// Sets one password of the manifest, and commits it.
fn set(lab: &mut Lab, address: &str, password: &str) {
    lab.plant(&[password]);
    lab.write("plain.yaml", password);
    lab.run(&["set", address, "--from-file", "plain.yaml"])
        .exits(0);
    fs::remove_file(lab.path("plain.yaml")).unwrap();
    commit(lab, &format!("Set {address}"));
}

/// Sets one password on a new branch that begins at main, and goes back there.
fn on_branch(lab: &mut Lab, branch: &str, changes: &[(&str, &str)]) {
    git(lab, &["switch", "--quiet", "--create", branch, "main"]).exits(0);
    for (address, password) in changes {
        set(lab, address, password);
    }
    git(lab, &["switch", "--quiet", "main"]).exits(0);
}

/// Two branches that set different passwords, of which the second is being merged into main.
fn stopped(ours: &[(&str, &str)], theirs: &[(&str, &str)]) -> Lab {
    let mut lab = lab();
    on_branch(&mut lab, "rotate", theirs);
    for (address, password) in ours {
        set(&mut lab, address, password);
    }
    git(&lab, &["merge", "--quiet", "rotate"]).exits(1);
    lab
}

/// One password of the manifest that is there.
fn password(lab: &Lab, address: &str) -> String {
    let output = lab.command(&["get", address]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn has(lab: &Lab, passwords: &[(&str, &str)]) {
    for (address, expected) in passwords {
        assert_eq!(password(lab, address), *expected, "{address}");
    }
}

/// What a merge must not change if it writes nothing.
fn files(lab: &Lab) -> [Vec<u8>; 2] {
    [MANIFEST, INDEX].map(|name| fs::read(lab.path(name)).unwrap())
}

/// Checks that the index is that of the manifest, that no password is anywhere in plain text, and
/// that git finds nothing broken.
#[track_caller]
fn is_sound(lab: &Lab, folder: &str) {
    let there = fs::read_to_string(lab.path(folder).join(INDEX)).unwrap();
    let printed = lab.run(&["-C", folder, "-i", identity(lab).as_str(), "index"]);
    assert_eq!(printed.exits(0).stdout, there);
    is_clean(lab);
}

fn identity(lab: &Lab) -> String {
    lab.path("key.txt").display().to_string()
}

#[track_caller]
fn is_clean(lab: &Lab) {
    // Each run is searched for what was planted, and this one shows every object.
    git(lab, &["cat-file", "--batch-all-objects", "--batch"]).exits(0);
    git(lab, &["fsck", "--strict", "--no-progress"]).exits(0);
    search(lab, lab.dir.path());
}

fn search(lab: &Lab, folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(lab, &path);
        } else if path.is_file() && path.file_name().unwrap() != "key.txt" {
            lab.checked(None, &fs::read(path).unwrap(), b"");
        }
    }
}

/// Puts the merged files where git and its commands expect them, as the message says.
fn add(lab: &Lab) {
    git(lab, &["add", MANIFEST, INDEX]).exits(0);
}
