//! drspass and git: a real repository with its attributes, hooks and merges.

mod init;
mod merge;
mod pre_commit;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{J1, J2, Lab, PATIENCE, Run};

/// The folder of the built binary.
fn bin() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_drspass")).parent().unwrap()
}

/// A program with the environment of a clean machine, drspass on the path, the usual
/// identity, and no terminal. One that hangs is ended, and then its exit code is 124.
pub(crate) fn program(lab: &Lab, program: &str) -> Command {
    let mut command = Command::new("/usr/bin/timeout");
    command
        .arg(PATIENCE.as_secs().to_string())
        .args(["/usr/bin/setsid", "--wait", program])
        .current_dir(lab.dir.path())
        .env_clear()
        .env("HOME", lab.dir.path())
        .env("PATH", format!("{}:/usr/bin:/bin", bin().display()))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("DRSPASS_IDENTITY", "key.txt")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs git to its end, and checks that no planted password was shown.
pub(crate) fn git(lab: &Lab, args: &[&str]) -> Run {
    lab.run_command(git_command(lab, args))
}

pub(crate) fn git_command(lab: &Lab, args: &[&str]) -> Command {
    let mut command = program(lab, "git");
    command
        .args([
            "-c",
            "user.name=somebody",
            "-c",
            "user.email=somebody@localhost",
        ])
        .args(args);
    command
}

pub(crate) fn commit(lab: &Lab, message: &str) {
    git(lab, &["add", "--all"]).exits(0);
    git(lab, &["commit", "--quiet", "--message", message]).exits(0);
}

/// A root folder that is a repository, with an empty manifest.
pub(crate) fn repository() -> Lab {
    let lab = Lab::new();
    git(&lab, &["init", "--quiet", "--initial-branch=main", "."]).exits(0);
    commit(&lab, "A root folder");
    lab
}

/// A manifest in which three values are equal, and `rotated` is the fourth.
pub(crate) fn rotate(lab: &mut Lab, rotated: &str) {
    lab.plant(&["canary-same", "canary-domain", rotated]);
    lab.document(format!(
        "version: 1\n# canary-comment\ncredentials:\n  orders-db: {{ password: 'canary-same' }}\n\
         jobs:\n  {J2}:\n    name: orders\n    source: {{ credential: orders-db }}\n    \
         destination:\n      password: '{rotated}'\n      kerberos: {{ domain_name: 'canary-domain' }}\n  \
         {J1}:\n    destination: {{ password: 'canary-same' }}\n    source: {{ password: 'canary-same' }}\n"
    ))
    .exits(0);
    lab.plant(&["canary-comment"]);
}

/// The lines that a diff took away and put in, without their marks.
pub(crate) fn changed(diff: &str) -> Vec<&str> {
    let is_change = |line: &&str| {
        (line.starts_with('-') && !line.starts_with("---"))
            || (line.starts_with('+') && !line.starts_with("+++"))
    };
    diff.lines().filter(is_change).collect()
}
