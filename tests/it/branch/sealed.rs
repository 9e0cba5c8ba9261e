//! Which place counts: what the manifest is sealed for, drspass.yaml and the user must agree, and
//! nobody is connected to before they do.

use std::fs;
use std::path::Path;

use drspass::age_file::{self, Plugins};
use tempfile::TempDir;

use super::served::{LoginIn, Served};
use crate::support::backend::{Backend, PROGRAMS, put_program};
use crate::support::branch::{NAME, PLACE, git};
use crate::support::{J1, Lab, Run};

const FILE: &str = "drspass.state.json";
const OTHER_FILE: &str = "other.json";
const OTHER_BRANCH: &str = "git:origin/drspass-state/other";
const OTHER_REPOSITORY: &str = "git:elsewhere/drspass-state/test";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SealedFor {
    Nothing,
    File,
    Branch,
}

/// An applied root folder whose manifest is sealed for such a place.
fn sealed_for(sealed: SealedFor) -> Served {
    let mut served = Served::new(LoginIn::Header);
    served.init().exits(0);
    let elsewhere = served.server.url("elsewhere.git");
    git(
        served.lab.dir.path(),
        &["remote", "add", "elsewhere", &elsewhere],
    );
    served.lab.passwords(&[(J1, "source", "canary-1")]);
    served.run(&["apply", "--auto-approve"]).exits(0);
    if sealed == SealedFor::File {
        served.run(&["state", "move", FILE]).exits(0);
        served.run(&["apply", "--auto-approve"]).exits(0);
        served.run(&["state", "move", "--done"]).exits(0);
    }
    if sealed == SealedFor::Nothing {
        let plain = served.run(&["decrypt"]).exits(0).stdout;
        let (before, after) = plain.split_once("\n  state:\n").unwrap();
        let after: Vec<&str> = after
            .lines()
            .skip_while(|line| line.starts_with("    "))
            .collect();
        let plain = format!("{before}\n{}\n", after.join("\n"));
        assert!(!plain.contains("repository:"), "{plain}");
        let people = [served.lab.recipient_of("key.txt")];
        let file = age_file::encrypt(plain.as_bytes(), &people, Plugins::Never).unwrap();
        served.lab.write("passwords.yaml.age", file);
    }
    served
}

fn set_place(lab: &Lab, place: &str) {
    let config = lab.read("drspass.yaml");
    let lines = config.lines().map(|line| match line.starts_with("state:") {
        true => format!("state: \"{place}\""),
        false => line.to_owned(),
    });
    let lines: Vec<String> = lines.collect();
    let config = lines.join("\n") + "\n";
    assert!(config.contains(place), "{config}");
    lab.write("drspass.yaml", config);
}

/// Applies with every combination of places. Returns how many were let through.
fn tried(served: &Served, sealed: SealedFor) -> Vec<(&'static str, &'static str)> {
    let mut passed = Vec::new();
    for here in [FILE, OTHER_FILE, PLACE, OTHER_BRANCH, OTHER_REPOSITORY] {
        set_place(&served.lab, here);
        for named in ["", FILE, OTHER_FILE, PLACE, OTHER_BRANCH, OTHER_REPOSITORY] {
            let before = (served.connections(), served.lab.sim.connections());
            let mut command = served.command(&["apply", "--auto-approve"]);
            if !named.is_empty() {
                command.env("DRSPASS_STATE", named);
            }
            let run = served.lab.run_command(command);
            let case = format!("{sealed:?} {here} {named}\n{}", run.all());
            if run.code == Some(0) {
                passed.push((here, named));
                continue;
            }
            assert_eq!(run.code, Some(1), "{case}");
            let is_told = run.all().contains("Nothing was sent");
            assert!(is_told || sealed == SealedFor::Nothing, "{case}");
            let after = (served.connections(), served.lab.sim.connections());
            assert_eq!(after, before, "{case}");
        }
    }
    passed
}

#[test]
fn only_a_place_that_all_agree_on_is_used_and_nobody_else_is_connected_to() {
    let served = sealed_for(SealedFor::Branch);
    let passed = tried(&served, SealedFor::Branch);
    assert_eq!(passed, [(PLACE, ""), (PLACE, PLACE)]);
    for name in [FILE, OTHER_FILE] {
        assert!(!served.lab.exists(name));
    }
    // Nothing but the one state is in the repository.
    let branches = served
        .lab
        .in_origin(&["branch", "--format=%(refname:short)"]);
    assert_eq!(branches, format!("{NAME}\nmain\n"));
}

#[test]
fn a_manifest_that_is_sealed_for_a_file_leads_to_no_branch() {
    let served = sealed_for(SealedFor::File);
    let tip = served.lab.tip();
    let before = served.connections();
    let passed = tried(&served, SealedFor::File);
    // The user may name any file.
    assert_eq!(passed, [(FILE, ""), (FILE, FILE), (FILE, OTHER_FILE)]);
    assert_eq!(served.connections(), before);
    assert_eq!(served.lab.tip(), tip);
}

#[test]
fn a_manifest_that_is_sealed_for_no_place_is_refused_everywhere() {
    let served = sealed_for(SealedFor::Nothing);
    assert_eq!(tried(&served, SealedFor::Nothing), []);
}

/// A clone with one applied password, and a server that nobody should come to.
fn applied() -> (Lab, Backend, TempDir) {
    let mut lab = Lab::on_branch();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.push();
    lab.apply(&[]).exits(0);
    let served = TempDir::new().unwrap();
    let server = Backend::start(served.path(), "none");
    (lab, server, served)
}

fn connections(server: &Backend) -> usize {
    server.requests.lock().unwrap().len()
}

/// The repository of a lab as it was before the state that is there now.
fn older_copy(lab: &Lab) -> TempDir {
    let copy = TempDir::with_suffix(".git").unwrap();
    let origin = lab.origin.as_ref().unwrap().path().to_str().unwrap();
    git(copy.path(), &["clone", "--quiet", "--mirror", origin, "."]);
    let (name, older) = (format!("refs/heads/{NAME}"), format!("{NAME}~2"));
    git(copy.path(), &["update-ref", &name, &older]);
    copy
}

fn run_at(lab: &Lab, folder: &Path, args: &[&str]) -> Run {
    let mut command = lab.command(args);
    command.current_dir(folder);
    lab.run_command(command)
}

#[test]
fn a_fork_is_refused_with_both_names_before_any_connection() {
    let (lab, server, _served) = applied();
    let clone = lab.cloned();
    let fork = server.url("fork.git");
    git(clone.path(), &["remote", "set-url", "origin", &fork]);
    let sealed = lab.origin.as_ref().unwrap().path().canonicalize().unwrap();
    let sealed = sealed.to_str().unwrap().trim_end_matches(".git").to_owned();
    let named = fork.trim_start_matches("http://").trim_end_matches(".git");
    for args in [
        &["plan"][..],
        &["apply", "--auto-approve"],
        &["state", "distrust"],
        &["state", "show"],
    ] {
        lab.run_in(&clone, args)
            .exits(1)
            .says(&format!("git:{named}/{NAME}"))
            .says(&format!("git:{sealed}/{NAME}"));
    }
    assert_eq!(connections(&server), 0);
    assert_eq!(lab.sent().len(), 1);
}

#[test]
fn a_submodule_that_leads_elsewhere_is_refused() {
    let (lab, server, _served) = applied();
    let outer = TempDir::new().unwrap();
    let origin = lab.origin.as_ref().unwrap().path().to_str().unwrap();
    git(outer.path(), &["init", "--quiet"]);
    let add = ["-c", "protocol.file.allow=always", "submodule", "add"];
    git(
        outer.path(),
        &[&add[..], &["--quiet", origin, "infra"]].concat(),
    );
    let root = outer.path().join("infra");
    fs::copy(lab.path("key.txt"), root.join("key.txt")).unwrap();
    let plan = ["plan", "--detailed-exitcode"];
    run_at(&lab, &root, &plan).exits(0).says("1 in sync");
    // Its own settings are beside those of the outer one, not in the work tree.
    assert!(root.join(".git").is_file());
    let modules = fs::read_to_string(outer.path().join(".gitmodules")).unwrap();
    let elsewhere = modules.replace(origin, &server.url("elsewhere.git"));
    fs::write(outer.path().join(".gitmodules"), elsewhere).unwrap();
    run_at(&lab, &root, &plan).exits(0);
    git(outer.path(), &["submodule", "--quiet", "sync"]);
    run_at(&lab, &root, &plan)
        .exits(1)
        .says("elsewhere/drspass-state/test")
        .says("Nothing was sent");
    assert_eq!(connections(&server), 0);
}

#[test]
fn an_older_state_in_a_mirror_or_at_the_reading_address_is_never_read() {
    let (lab, ..) = applied();
    let older = older_copy(&lab);
    let mirror = older.path().to_str().unwrap();
    let origin = lab.origin.as_ref().unwrap().path().to_str().unwrap();
    let clones = [lab.cloned(), lab.cloned()];
    let set = |clone: &TempDir, name: &str, value: &str| {
        git(clone.path(), &["config", name, value]);
    };
    set(&clones[0], "remote.origin.url", mirror);
    set(&clones[0], "remote.origin.pushurl", origin);
    set(&clones[1], "remote.origin.url", "team:infra.git");
    set(
        &clones[1],
        &format!("url.{mirror}.insteadOf"),
        "team:infra.git",
    );
    set(
        &clones[1],
        &format!("url.{origin}.pushInsteadOf"),
        "team:infra.git",
    );
    for clone in &clones {
        let plan = lab.run_in(clone, &["plan", "--detailed-exitcode"]);
        plan.exits(0).says("1 in sync");
    }
    // What is written goes there too.
    let tip = lab.tip();
    lab.run_in(&clones[1], &["state", "distrust"]).exits(0);
    assert_ne!(lab.tip(), tip);
}

#[test]
fn the_same_repository_over_ssh_has_the_same_state() {
    let mut served = Served::new(LoginIn::Header);
    served.init().exits(0);
    served.lab.passwords(&[(J1, "source", "canary-1")]);
    served.run(&["apply", "--auto-approve"]).exits(0);
    let before = served.connections();
    // An ssh that runs what it is asked to on this machine.
    let root = served.lab.origin.as_ref().unwrap().path().parent().unwrap();
    let ssh = served.record("bin/ssh");
    let script = format!(
        "for last; do :; done; echo \"$*\" >>'{}'; PATH={PROGRAMS}; exec sh -c \"$(echo \"$last\" | sed \"s|'/|'{}/|\")\"",
        served.record("ssh").display(),
        root.display()
    );
    put_program(&ssh, &script);
    let over_ssh = |args: &[&str]| {
        let mut command = served.command(args);
        command.env("GIT_SSH_COMMAND", &ssh);
        served.lab.run_command(command)
    };
    let address = served.url().replace("http://", "ssh://git@");
    git(
        served.lab.dir.path(),
        &["remote", "set-url", "origin", &address],
    );
    over_ssh(&["plan", "--detailed-exitcode"])
        .exits(0)
        .says("1 in sync");
    over_ssh(&["state", "distrust"]).exits(0);
    over_ssh(&["apply", "--auto-approve"])
        .exits(0)
        .says("1 applied");
    assert_eq!(served.connections(), before);
    let asked = fs::read_to_string(served.record("ssh")).unwrap();
    assert!(asked.contains("BatchMode=yes") && asked.contains("git-receive-pack"));
    served.lead_to(&served.url(), LoginIn::Header);
    served
        .run(&["plan", "--detailed-exitcode"])
        .exits(0)
        .says("1 in sync");
}

#[test]
fn a_repository_with_a_new_address_is_sealed_anew_unless_its_state_is_older() {
    let (lab, server, _served) = applied();
    let clone = lab.cloned();
    let point = |address: &str| {
        git(clone.path(), &["remote", "set-url", "origin", address]);
    };
    let mirror = || {
        let mirror = TempDir::with_suffix(".git").unwrap();
        let origin = lab.origin.as_ref().unwrap().path().to_str().unwrap();
        let args = ["clone", "--quiet", "--mirror", origin, "."];
        git(mirror.path(), &args);
        mirror
    };
    let moves = ["state", "move", PLACE, "--yes"];
    lab.run_in(&clone, &["set", &format!("{J1}/source"), "--generate"])
        .exits(0);
    let manifest = fs::read(clone.path().join("passwords.yaml.age")).unwrap();
    let (older, early, renamed) = (older_copy(&lab), mirror(), mirror());
    let [older, early, renamed] = [&older, &early, &renamed].map(|it| it.path().to_str().unwrap());
    point(older);
    lab.run_in(&clone, &moves)
        .exits(1)
        .says("is older than the one that the manifest knows");
    // Nobody but the user knows whether it is a fork: the question comes before any connection.
    point(&server.url("fork.git"));
    lab.run_in(&clone, &moves[..3]).exits(7);
    assert_eq!(connections(&server), 0);
    point(renamed);
    // While a remote still leads to the sealed one, that is moved as ever.
    let origin = lab.origin.as_ref().unwrap().path().to_str().unwrap();
    git(clone.path(), &["remote", "add", "former", origin]);
    let refused = lab.run_in(&clone, &moves);
    refused.exits(1).says("but the manifest is sealed for");
    git(clone.path(), &["remote", "remove", "former"]);
    let now = fs::read(clone.path().join("passwords.yaml.age")).unwrap();
    assert_eq!(now, manifest);
    lab.run_in(&clone, &["plan"])
        .exits(1)
        .says("has a new address");
    lab.run_in(&clone, &moves)
        .exits(0)
        .says("Sealed the new address of git:origin/drspass-state/test, serial 3");
    lab.run_in(&clone, &["apply", "--auto-approve"])
        .exits(0)
        .says("1 applied");
    lab.run_in(&clone, &["plan"]).exits(0).says("in sync");
    // A copy from before this apply, which the manifest would admit.
    point(early);
    lab.run_in(&clone, &moves)
        .exits(1)
        .says("is older than the one that this clone knows");
}
