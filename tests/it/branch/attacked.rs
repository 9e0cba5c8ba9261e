//! What people did to a state on a branch, or to its clones, on purpose or not.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use tempfile::TempDir;

use crate::support::around::started_up_to;
use crate::support::branch::{NAME, PLACE, origin};
use crate::support::{J1, J2, Lab, Run};

const APPLY: [&str; 2] = ["apply", "--auto-approve"];
const NEW: &str = "git:origin/drspass-state/new";

fn lab() -> Lab {
    let mut lab = Lab::on_branch();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    lab.push();
    lab
}

/// Sets the password of J1 in a clone.
fn set(lab: &mut Lab, clone: &Path, password: &str) -> Run {
    lab.plant(&[password]);
    let file = clone.join("in.json");
    fs::write(&file, format!("{{ \"{J1}/source\": \"{password}\" }}")).unwrap();
    let run = in_folder(lab, clone, &["import", "in.json", "--write"]);
    fs::remove_file(file).unwrap();
    run.exits(0)
}

fn in_folder(lab: &Lab, folder: &Path, args: &[&str]) -> Run {
    let mut command = lab.command(args);
    command.current_dir(folder);
    lab.run_command(command)
}

/// An apply in a clone that has marked its entries and waits before its first request.
fn stopped(lab: &Lab, folder: &Path) -> Child {
    let mut command = lab.command(&APPLY);
    command.current_dir(folder);
    started_up_to(command, "apply.before_first_send", 1, &lab.path("reached")).0
}

fn goes_on(lab: &Lab, child: Child) -> Run {
    lab.write("reached.go", "");
    let run = lab.wait(child);
    fs::remove_file(lab.path("reached.go")).unwrap();
    run
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_state_that_an_earlier_move_left_behind_is_never_taken_again() {
    // At a file.
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.apply(&[]).exits(0);
    lab.origin = Some(origin());
    lab.make_clone();
    lab.run(&["state", "move", PLACE]).exits(0);
    lab.run(&["state", "move", "--done"]).exits(0);
    lab.passwords(&[(J1, "source", "canary-9")]);
    lab.apply(&[]).exits(0);
    lab.run(&["state", "move", "drspass.state.json"])
        .exits(1)
        .says("there is a state at");
    // At a branch, as an untouched copy of yet another place.
    lab.run(&["state", "move", NEW]).exits(0);
    lab.run(&["state", "move", "--done"]).exits(0);
    lab.run(&["state", "move", "git:origin/drspass-state/third"])
        .exits(0);
    lab.run(&["state", "move", "--done"]).exits(0);
    lab.passwords(&[(J1, "source", "canary-8")]);
    lab.apply(&[]).exits(0);
    lab.run(&["state", "move", NEW])
        .exits(1)
        .says("there is a state at");
}

#[test]
fn a_move_does_not_end_while_the_former_place_went_on_until_all_is_sent_again() {
    let mut lab = lab();
    let other = lab.cloned();
    lab.run(&["state", "move", NEW]).exits(0);
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-3")]);
    lab.apply(&[]).exits(0);
    set(&mut lab, other.path(), "canary-8");
    lab.run_in(&other, &APPLY).exits(0);
    let still = "someone still writes to";
    lab.run(&["plan"]).exits(1).says(still);
    lab.run(&["state", "move", "--done"]).exits(1).says(still);
    lab.run(&["state", "distrust"]).exits(0);
    lab.run(&["plan"]).exits(0).says("2 to send again");
    lab.apply(&[]).exits(0);
    lab.run(&["state", "move", "--done"]).exits(0);
    lab.run(&["plan"]).exits(0).says("2 in sync");
    assert!(lab.sim.holds(J1, "source", "canary-1"));
}

#[test]
fn a_rekey_at_the_former_place_is_seen() {
    let mut lab = lab();
    let other = lab.cloned();
    lab.run(&["state", "move", NEW]).exits(0);
    lab.run_in(&other, &["rekey", "--new-key", "--yes"])
        .exits(0);
    set(&mut lab, other.path(), "canary-8");
    lab.run_in(&other, &APPLY).exits(0);
    lab.run(&["plan"]).exits(1).says("someone still writes to");
}

#[test]
fn a_lost_run_at_the_former_place_can_be_released_with_the_new_manifest() {
    let mut lab = lab();
    let other = lab.cloned();
    lab.run(&["state", "move", NEW]).exits(0);
    set(&mut lab, other.path(), "canary-8");
    kill(stopped(&lab, other.path()));
    let held = lab.run(&["plan", "--allow-rollback"]);
    let held = held.exits(0).says("the lock is held by run");
    let id = lab.state()["body"]["holder"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    held.says(&format!("drspass lock release {id}"));
    lab.run(&["lock", "release", &id]).exits(0);
    let plan = lab.run(&["plan", "--allow-rollback"]).exits(0);
    plan.says("outcome of the last attempt unknown");
}

#[test]
fn a_copy_of_a_clone_does_not_take_a_living_run_for_a_dead_one() {
    let mut lab = lab();
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    let child = stopped(&lab, lab.dir.path());
    let copy = TempDir::new().unwrap();
    let mut cp = Command::new("cp");
    cp.arg("-a")
        .arg(lab.dir.path())
        .arg(copy.path().join("copy"));
    assert!(cp.status().unwrap().success());
    let copy = copy.path().join("copy");
    in_folder(&lab, &copy, &APPLY)
        .exits(6)
        .says("is held by run");
    goes_on(&lab, child).exits(0);
}

#[test]
fn a_rekeyed_manifest_does_not_write_over_a_run_of_the_former_key() {
    let mut lab = lab();
    let other = lab.cloned();
    lab.run_in(&other, &["rekey", "--new-key", "--yes"])
        .exits(0);
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    let child = stopped(&lab, lab.dir.path());
    for args in [
        &["rekey", "--again", "--yes"][..],
        &["state", "distrust", "--allow-rollback"],
    ] {
        lab.run_in(&other, args).exits(6).says("is held by run");
    }
    goes_on(&lab, child).exits(0);
    lab.run_in(&other, &["rekey", "--again", "--yes"]).exits(0);
}

#[test]
fn a_new_key_is_not_accepted_while_a_run_of_the_present_one_sends() {
    let mut lab = lab();
    let other = lab.cloned();
    lab.run_in(&other, &["rekey", "--new-key", "--yes"])
        .exits(0);
    lab.run_in(&other, &APPLY).exits(0);
    set(&mut lab, other.path(), "canary-9");
    for password in ["canary-5", "canary-6", "canary-7"] {
        lab.run(&["plan"]);
        lab.plant(&[password]);
    }
    let child = stopped(&lab, other.path());
    let key = lab.state()["body"]["key_id"].as_str().unwrap().to_owned();
    let accept = [&APPLY[..], &["--accept-new-key", &key]].concat();
    lab.run(&accept).exits(6).says("is held by run");
    goes_on(&lab, child).exits(0);
}

#[test]
fn the_marks_of_a_finished_run_that_are_put_back_lock_nobody_out() {
    let mut lab = lab();
    let marks = format!("{}~1", lab.tip());
    let tree = lab.in_origin(&["rev-parse", &format!("{marks}^{{tree}}")]);
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    lab.push();
    let clone = lab.cloned();
    // As a plain, forced by nobody, fast-forward push of an older tree.
    let commit = lab.in_origin(&["commit-tree", "-p", &lab.tip(), "-m", "x", tree.trim()]);
    lab.in_origin(&["update-ref", &format!("refs/heads/{NAME}"), commit.trim()]);
    lab.run_in(&clone, &["plan"])
        .exits(1)
        .says("older than the one that the manifest knows");
    lab.run_in(&clone, &["state", "distrust"]).exits(0);
    lab.run_in(&clone, &APPLY).exits(0);
    lab.run_in(&clone, &["plan"]).exits(0).says("2 in sync");
}

#[test]
fn a_run_that_this_clone_saw_is_not_passed_by_a_deleted_branch() {
    let mut lab = lab();
    let clone = lab.cloned();
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    let child = stopped(&lab, lab.dir.path());
    lab.run_in(&clone, &["plan", "--allow-rollback"])
        .says("is held by run");
    lab.in_origin(&["update-ref", "-d", &format!("refs/heads/{NAME}")]);
    let create = ["state", "distrust", "--create"];
    lab.run_in(&clone, &create).exits(6).says("is held by run");
    goes_on(&lab, child).exits(8);
}

#[test]
fn a_name_that_ends_in_that_of_the_state_stops_no_apply() {
    let mut lab = lab();
    let mut number = 10;
    for other in [
        "refs/tags/refs/heads",
        "refs/heads/refs/heads",
        "refs/tags",
        "refs/heads/x",
    ] {
        let name = format!("{other}/{NAME}");
        lab.in_origin(&["update-ref", &name, "main"]);
        number += 1;
        let password = format!("canary-{number}");
        lab.passwords(&[(J1, "source", &password), (J2, "source", "canary-2")]);
        lab.apply(&[]).exits(0).says("1 applied");
        lab.in_origin(&["update-ref", "-d", &name]);
    }
}

#[test]
fn a_move_that_was_cut_off_leaves_the_former_place_usable() {
    let mut lab = lab();
    lab.killed_at("move.after_copy", 1, &["state", "move", NEW]);
    lab.run(&["plan"]).exits(0).says("2 in sync");
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    // The copy that is there is older than what is moved now.
    lab.run(&["state", "move", NEW]).exits(0);
    lab.push();
    lab.in_origin(&["update-ref", "-d", &format!("refs/heads/{NAME}")]);
    let clone = lab.cloned();
    lab.run_in(&clone, &["plan"]).exits(0).says("2 in sync");
    assert!(lab.sim.holds(J1, "source", "canary-3"));
}

#[test]
fn a_keyless_command_hands_out_no_login_of_the_environment() {
    let lab = lab();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/mallory", listener.local_addr().unwrap());
    let git = |args: &[&str]| crate::support::branch::git(lab.dir.path(), args);
    // A branch of somebody else is checked out.
    git(&["remote", "add", "mallory", &address]);
    git(&["config", "branch.main.remote", "mallory"]);
    let config = lab.read("drspass.yaml");
    lab.write(
        "drspass.yaml",
        config.replace(PLACE, "git:mallory/drspass-state/test"),
    );
    let taker = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let mut asked = String::new();
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap();
        asked.push_str(&String::from_utf8_lossy(&bytes[..count]));
        let _ =
            stream.write_all(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        asked
    });
    let mut command = lab.command(&["lock", "show"]);
    command
        .env("DRSPASS_STATE_USERNAME", "me")
        .env("DRSPASS_STATE_PASSWORD", "canary-login");
    lab.run_command(command).exits(1);
    let asked = taker.join().unwrap();
    assert!(
        asked.starts_with("GET ") && !asked.to_lowercase().contains("authorization"),
        "{asked}"
    );
}

#[test]
fn a_last_write_whose_answer_was_lost_is_recovered_as_what_it_is() {
    let mut lab = lab();
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    let child = stopped(&lab, lab.dir.path());
    // The lock is lost, so that the outcomes go to a file; then they are written after all.
    let tip = lab.tip();
    lab.in_origin(&["update-ref", "-d", &format!("refs/heads/{NAME}")]);
    let ended = goes_on(&lab, child).exits(8);
    let text = ended.all();
    let file = text
        .split_whitespace()
        .find(|word| word.contains(".recovery-"))
        .unwrap();
    let file = file.trim_matches(|c: char| "',;:()".contains(c)).to_owned();
    lab.in_origin(&["update-ref", &format!("refs/heads/{NAME}"), &tip]);
    lab.run(&["state", "recover", &file])
        .exits(0)
        .says("recovered");
    lab.run(&["state", "recover", &file])
        .exits(0)
        .says("recovered");
    lab.run(&["plan"]).exits(0).says("2 in sync");
}
