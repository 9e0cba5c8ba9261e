//! What a run leaves where it was cut off, came too late, or lost its work tree.

use std::fs;
use std::path::Path;
use std::process::Child;

use tempfile::TempDir;

use crate::support::around::{Stands, started_up_to};
use crate::support::backend::put_program;
use crate::support::{J1, J2, Lab, wait_until};

const APPLY: [&str; 2] = ["apply", "--auto-approve"];

fn lab() -> Lab {
    let mut lab = Lab::on_branch();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.push();
    lab
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
