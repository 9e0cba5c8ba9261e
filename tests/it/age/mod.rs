//! Identities and envelopes that users of age have, against the real `age`, on real
//! terminals and without any.

/// Files that are damaged, or not what they should be.
mod damaged;
/// Which keys are looked at, and what is said of those that cannot be used.
mod identities;
/// Keys and headers with changed bytes: no panic, no endless work.
mod mutated;
/// A plugin: what it gets, what it asks, what it may not.
mod plugins;
/// Passphrases: when they are asked for, and where.
mod prompts;
/// Recipients that nobody should or can encrypt to.
mod recipients;
/// The same text through drspass and age, in both directions.
mod round_trips;
/// A terminal of its own for one run.
mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::around::without_terminal;
use crate::support::{J1, Lab, PASSPHRASE, Run};

const PASSWORD: &str = "canary-secret-1";

/// A fixture of this folder's kind.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/age")
        .join(name)
}

/// The public half of an ssh key of the fixtures, without its comment.
pub(crate) fn public(name: &str) -> String {
    let line = std::fs::read_to_string(fixture(&format!("{name}.pub"))).unwrap();
    let words: Vec<&str> = line.split_whitespace().take(2).collect();
    words.join(" ")
}

/// A root folder whose manifest is sealed to these recipients alone, with one password.
/// Nothing of it was ever opened: who reads it, reads what was sealed.
fn sealed_to(recipients: &[&str]) -> Lab {
    let mut lab = Lab::new();
    lab.plant(&[PASSWORD, PASSPHRASE]);
    readdress(&lab, recipients);
    lab.manifest(&first_jobs(&lab)).exits(0);
    lab
}

/// Lists other recipients in drspass.yaml, and removes the manifest of before.
fn readdress(lab: &Lab, recipients: &[&str]) {
    lab.list_recipients(recipients);
    lab.remove_manifest();
}

fn jobs() -> String {
    format!("  {J1}:\n    source: {{ password: '{PASSWORD}' }}\n")
}

/// The same where there is no manifest yet: with a key, which only the tool makes.
fn first_jobs(lab: &Lab) -> String {
    let key = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let (endpoint, auth_url) = lab.addresses();
    let config = lab.read("drspass.yaml");
    let recipients = config.lines().filter_map(|line| line.strip_prefix("  - "));
    format!(
        "{}sealed: {{ fingerprint_key: '{key}', endpoint: '{endpoint}', project_id: '{}', auth_url: \
         '{auth_url}', recipients: [{}], state: {{ file: drspass.state.json }}, index: true, revision: 1, \
         written: '2026-11-29T14:03:22Z' }}\n",
        jobs(),
        lab.sim.project_id(),
        recipients.collect::<Vec<_>>().join(", ")
    )
}

/// A program beside drspass, with the usual surroundings.
fn tool(lab: &Lab, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(lab.dir.path())
        .env_clear()
        .env("HOME", lab.dir.path())
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null());
    command
}

/// What the real `age` writes to standard output.
#[track_caller]
fn age(lab: &Lab, args: &[&str]) -> Vec<u8> {
    let output = tool(lab, "age", args).output().expect("age is installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "age {args:?}: {said}");
    output.stdout
}

/// Runs drspass where no terminal is in reach, even if the tests have one.
#[track_caller]
fn detached(lab: &Lab, args: &[&str]) -> Run {
    detached_command(lab, args, |_| {})
}

/// As [`detached`], with a change of the surroundings.
#[track_caller]
fn detached_command(lab: &Lab, args: &[&str], change: impl FnOnce(&mut Command)) -> Run {
    let mut command = lab.command(args);
    command.env_remove("DRSPASS_IDENTITY");
    change(&mut command);
    lab.run_command(without_terminal(&command))
}
