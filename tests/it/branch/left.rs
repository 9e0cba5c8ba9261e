//! What a run leaves where it was cut off, came too late, or lost its work tree.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::Ordering::SeqCst;

use tempfile::TempDir;

use super::served::{LoginIn, Served};
use crate::support::around::{Stands, started_up_to};
use crate::support::backend::{kill_push, put_program};
use crate::support::branch::{NAME, PLACE, git, origin, snapshot};
use crate::support::{J1, J2, Lab, Run, wait_until};

const APPLY: [&str; 2] = ["apply", "--auto-approve"];

fn lab() -> Lab {
    let mut lab = Lab::on_branch();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.push();
    lab
}

/// A run whose push the server has taken, but not written before there is a file `go`: the line is
/// cut, and the server is not reached again.
fn unanswered(served: &Served, mut command: Command) -> Run {
    let lab = &served.lab;
    let repository = lab.origin.as_ref().unwrap().path();
    let at = |name: &str| lab.path(name).display().to_string();
    let script = format!(
        "mkdir '{}' 2>&- || exit 0; until [ -e '{}' ]; do sleep 0.02; done",
        at("reached"),
        at("go")
    );
    put_program(&repository.join("hooks/pre-receive"), &script);
    let run = command.env("DRSPASS_TEST_SETTLE", "2").spawn().unwrap();
    wait_until("the push", || lab.exists("reached"));
    served.server.is_mute.store(true, SeqCst);
    let killer = kill_push(&served.url(), &lab.path("reached"));
    killer.join().unwrap();
    let run = lab.wait(run);
    served.server.is_mute.store(false, SeqCst);
    run
}

#[test]
fn an_init_whose_first_push_has_no_answer_is_to_be_run_again() {
    let served = Served::new(LoginIn::Header);
    let lab = &served.lab;
    unanswered(&served, served.init_command())
        .exits(1)
        .says("cannot find out whether git:origin")
        .says("Nothing was sent. Run the same command again, 'drspass -i key.txt init' without a target;");
    lab.write("go", "");
    wait_until("the state", || {
        !lab.in_origin(&["branch", "--list", NAME]).is_empty()
    });
    served
        .run(&["init"])
        .exits(1)
        .says("there is a state at")
        .says("It has no entries and no history");
}

#[test]
fn marks_that_arrive_after_the_run_gave_up_are_seen_by_the_next_one() {
    let mut served = Served::new(LoginIn::Header);
    served.init().exits(0);
    let lab = &mut served.lab;
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.push();
    let clone = lab.cloned();
    fs::copy(lab.path(".git/config"), clone.path().join(".git/config")).unwrap();
    let in_clone = |args: &[&str]| {
        let mut command = served.command(args);
        command.current_dir(clone.path());
        served.lab.run_command(command)
    };
    let lab = &served.lab;
    let tip = lab.tip();
    let run = unanswered(&served, served.command(&APPLY)).exits(1);
    let said = run.stderr.clone();
    run.says("cannot find out whether git:origin")
        .says("Nothing was sent; entries may be marked");
    assert_eq!(lab.tip(), tip);
    in_clone(&["plan"]).exits(0).says("2 to set");
    lab.write("go", "");
    wait_until("the marks", || lab.tip() != tip);
    let holder = lab.state()["body"]["holder"]["id"].clone();
    let release = ["lock", "release", holder.as_str().unwrap()];
    let named = format!("drspass {}", release.join(" "));
    assert!(said.contains(&named), "{named}\n{said}");
    let plan = in_clone(&["plan"]).exits(0);
    assert_eq!(plan.stdout.matches("  ? ").count(), 2, "{}", plan.stdout);
    plan.says("2 to send again");
    in_clone(&APPLY)
        .exits(6)
        .says("is held by run")
        .says(&named)
        .says("Nothing was sent");
    assert!(lab.sent().is_empty());
    in_clone(&release).exits(0);
    in_clone(&APPLY).exits(0).says("2 applied");
    served.run(&["plan"]).exits(0).says("2 in sync");
}

/// An apply in a clone that stops at a place, after which the clone is moved or removed.
fn without_its_clone(lab: &Lab, place: (&str, usize), moved_to: Option<&Path>) -> (Child, TempDir) {
    let clone = lab.cloned();
    let temporary = lab.path("temporary");
    let _ = fs::create_dir(&temporary);
    let mut command = lab.command(&APPLY);
    command.current_dir(clone.path()).env("TMPDIR", temporary);
    let (child, stands) = started_up_to(command, place.0, place.1, &lab.path("reached"));
    assert_eq!(stands, Stands::There);
    match moved_to {
        Some(to) => fs::rename(clone.path(), to).unwrap(),
        None => fs::remove_dir_all(clone.path()).unwrap(),
    }
    (child, clone)
}

#[test]
fn a_work_tree_that_goes_away_during_an_apply_keeps_nothing_from_the_branch() {
    let elsewhere = TempDir::new().unwrap();
    let moved = elsewhere.path().join("moved");
    for moved_to in [Some(&*moved), None] {
        let lab = lab();
        let at = ("apply.before_first_send", 1);
        let (child, clone) = without_its_clone(&lab, at, moved_to);
        lab.write("reached.go", "");
        lab.wait(child).exits(0).says("2 applied");
        assert!(!clone.path().exists(), "nothing is made in its place");
        assert!(lab.state()["body"]["holder"].is_null());
        lab.run(&["plan", "--detailed-exitcode"])
            .exits(0)
            .says("2 in sync");
        assert_eq!(fs::read_dir(lab.path("temporary")).unwrap().count(), 0);
    }
}

#[test]
fn a_journal_goes_where_its_clone_goes() {
    let elsewhere = TempDir::new().unwrap();
    let moved = elsewhere.path().join("moved");
    for moved_to in [Some(&*moved), None] {
        let lab = lab();
        let at = ("apply.before_first_send", 1);
        let (mut child, _clone) = without_its_clone(&lab, at, moved_to);
        // Its last push waits until it is killed.
        let reached = lab.path("pushed");
        let hooks = lab.origin.as_ref().unwrap().path().join("hooks");
        let script = format!(
            "mkdir '{}'; while [ ! -e '{}' ]; do sleep 0.02; done; exit 1",
            reached.display(),
            lab.path("over").display()
        );
        put_program(&hooks.join("pre-receive"), &script);
        lab.write("reached.go", "");
        wait_until("the last push", || reached.exists());
        child.kill().unwrap();
        child.wait().unwrap();
        lab.write("over", "");
        // Whoever has not got it knows the marks alone.
        let plan = lab.run(&["plan"]).exits(0);
        assert_eq!(plan.stdout.matches("  ? ").count(), 2, "{}", plan.stdout);
        lab.run(&APPLY).exits(6).says("is held by run");
        if let Some(to) = moved_to {
            let mut command = lab.command(&["plan"]);
            command.current_dir(to);
            lab.run_command(command)
                .exits(0)
                .says("an apply was cut off")
                .says("2 in sync");
        }
    }
}

#[test]
fn outcomes_that_reach_neither_branch_nor_clone_are_in_a_file_for_temporary_ones() {
    let lab = lab();
    let at = ("apply.before_first_send", 1);
    let (child, clone) = without_its_clone(&lab, at, None);
    let hook = lab
        .origin
        .as_ref()
        .unwrap()
        .path()
        .join("hooks/pre-receive");
    put_program(&hook, "exit 1");
    lab.write("reached.go", "");
    lab.wait(child).exits(8).says("2 applied");
    assert!(!clone.path().exists());
    fs::remove_file(hook).unwrap();
    let mut left = fs::read_dir(lab.path("temporary")).unwrap();
    let file = left.next().unwrap().unwrap().path();
    let file = file.to_str().unwrap();
    assert!(
        file.contains(".recovery-") && left.next().is_none(),
        "{file}"
    );
    lab.run(&["state", "recover", file]).exits(0);
    lab.run(&["plan"]).exits(0).says("2 in sync");
}

/// The arguments of an `init` in a clone, with or without a target.
fn init<'a>(target: &'a [String], state: &'a str) -> Vec<&'a str> {
    let start = ["init", "-i", "key.txt", "--state", state];
    start
        .into_iter()
        .chain(target.iter().map(String::as_str))
        .collect()
}

#[test]
fn an_init_that_was_cut_off_says_how_to_begin_again() {
    let mut lab = Lab::new();
    for name in ["drspass.yaml", "passwords.yaml.age", "passwords.index.yaml"] {
        fs::remove_file(lab.path(name)).unwrap();
    }
    lab.origin = Some(origin());
    lab.make_clone();
    let (endpoint, auth_url) = lab.addresses();
    let project = lab.sim.project_id().to_owned();
    let target = [
        "--endpoint",
        &endpoint,
        "--auth-url",
        &auth_url,
        "--project-id",
        &project,
    ];
    let target = target.map(str::to_owned);
    lab.killed_at("place.after_push", 1, &init(&target, PLACE));
    assert!(lab.exists("drspass.yaml") && !lab.exists("passwords.yaml.age"));
    let first = lab.tip();
    // From the directory above, where the command that is named has to work too.
    let above = lab.dir.path().parent().unwrap();
    let mut command = lab.command(&["-C".as_ref(), lab.dir.path().file_name().unwrap()]);
    command.arg("init").current_dir(above);
    let again = lab.run_command(command).exits(1);
    let text = again
        .stderr
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    again
        .says("there is a state at")
        .says("It has no entries and no history");
    let (_, removal) = text.split_once("run 'git ").unwrap();
    let (removal, _) = removal.split_once("', then").unwrap();
    let removal: Vec<&str> = removal.split(' ').collect();
    assert_eq!(lab.tip(), first);

    // Who may push can make a state look new, but not its history: it stays where nobody is told to
    // remove it.
    let state = lab.in_origin(&["rev-parse", &format!("{first}^{{tree}}")]);
    let used = lab.in_origin(&["commit-tree", "-p", &first, "-m", "x", state.trim()]);
    let reference = format!("refs/heads/{NAME}");
    lab.in_origin(&["update-ref", &reference, used.trim()]);
    lab.run(&["init"])
        .exits(1)
        .says("there is a state at")
        .says_not("git push");
    // The command that was named removes what it was named for, and nothing newer.
    let removed = Command::new("git")
        .args(&removal)
        .current_dir(above)
        .output()
        .unwrap();
    assert!(!removed.status.success());
    lab.in_origin(&["update-ref", &reference, &first]);
    git(above, &removal);
    lab.run(&["init"]).exits(0);
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.apply(&[]).exits(0).says("1 applied");
    // One that was used is of somebody else.
    for name in ["drspass.yaml", "passwords.yaml.age", "passwords.index.yaml"] {
        fs::remove_file(lab.path(name)).unwrap();
    }
    lab.run(&init(&target, PLACE))
        .exits(1)
        .says("there is a state at")
        .says_not("git push");
}

#[test]
fn what_a_killed_run_left_for_git_goes_with_the_next_one_and_nothing_else() {
    let lab = lab();
    let temporary = TempDir::new().unwrap();
    let command = |args: &[&str]| {
        let mut command = lab.command(args);
        command.env("TMPDIR", temporary.path());
        command
    };
    let left = || {
        let left = fs::read_dir(temporary.path()).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().path()).collect();
        left.sort();
        left
    };
    lab.killed(command(&APPLY), "place.before_push", 1);
    assert_eq!(left().len(), 1);
    assert!(left()[0].join("state.git").is_dir());
    // A run that lives keeps its own.
    let (run, stands) = started_up_to(
        command(&APPLY),
        "place.before_push",
        1,
        &lab.path("reached"),
    );
    assert_eq!(
        (stands, left().len()),
        (Stands::There, 1),
        "the first one is gone"
    );
    // As long as a run's own, but for one, so that each case is kept for its own reason.
    let of_others = |name: &str| temporary.path().join(format!("drspass-branch-{name:x<16}"));
    let (used, longer) = ("a".repeat(16), "a".repeat(17));
    for (name, mode) in [
        ("open", 0o755),
        ("with-dash", 0o700),
        (&longer, 0o700),
        (&used, 0o700),
    ] {
        fs::create_dir(of_others(name)).unwrap();
        fs::set_permissions(of_others(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::write(of_others(&used).join("notes"), "").unwrap();
    fs::write(of_others("file"), "").unwrap();
    let linked = TempDir::new().unwrap();
    fs::write(linked.path().join("file"), "").unwrap();
    symlink(linked.path(), of_others("link")).unwrap();
    let before = left();
    assert_eq!(before.len(), 7);
    lab.run_command(command(&["plan"])).exits(0);
    assert_eq!(left(), before);
    assert_eq!(snapshot(linked.path()).len(), 1);
    lab.write("reached.go", "");
    lab.wait(run).exits(0).says("2 applied");
    assert_eq!(left().len(), 6);
}
