//! A move that is not done: what a run of the former manifest does, or left, at the former place.

use std::fs;
use std::process::Child;

use tempfile::TempDir;

use drspass::sim::{EndPointType, Fault, FaultKind, MessageKey, Rejection};

use super::forged::push_state;
use crate::support::around::started_up_to;
use crate::support::branch::{NAME, PLACE, origin};
use crate::support::{J1, J2, Lab};

const APPLY: [&str; 2] = ["apply", "--auto-approve"];
const NEW: &str = "git:origin/drspass-state/new";
const FILES: [&str; 3] = ["drspass.yaml", "passwords.yaml.age", "passwords.index.yaml"];
const PAIR: [(&str, &str, &str); 2] = [(J1, "source", "canary-1"), (J2, "source", "canary-2")];

/// Two applied passwords, with the state in a file or on a branch.
fn lab(is_file: bool) -> Lab {
    let mut lab = match is_file {
        true => Lab::new(),
        false => Lab::on_branch(),
    };
    lab.passwords(&PAIR);
    if is_file {
        lab.apply(&[]).exits(0);
        lab.origin = Some(origin());
        lab.make_clone();
    } else {
        lab.push();
        lab.apply(&[]).exits(0);
    }
    lab
}

/// What someone else commits: the manifest of a move, with other passwords.
fn moved_elsewhere(lab: &mut Lab, place: &str, entries: &[(&str, &str, &str)]) -> [Vec<u8>; 3] {
    let former = FILES.map(|name| fs::read(lab.path(name)).unwrap());
    lab.run(&["state", "move", place]).exits(0);
    lab.passwords(entries);
    let moved = FILES.map(|name| fs::read(lab.path(name)).unwrap());
    put(lab, &former);
    moved
}

fn put(lab: &Lab, files: &[Vec<u8>; 3]) {
    for (name, content) in FILES.iter().zip(files) {
        lab.write(name, content);
    }
}

fn stopped(lab: &Lab) -> Child {
    let command = lab.command(&APPLY);
    started_up_to(command, "apply.before_first_send", 1, &lab.path("reached")).0
}

#[test]
fn a_run_at_the_former_place_holds_the_lock_until_it_ends() {
    let mut lab = lab(true);
    let second = [(J1, "source", "canary-4"), (J2, "source", "canary-2")];
    let moved = moved_elsewhere(&mut lab, PLACE, &second);
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    let first = stopped(&lab);
    put(&lab, &moved);
    let sent = lab.sent().len();
    for args in [&APPLY[..], &["state", "rm", J1]] {
        lab.run(args).exits(6).says("is held by process");
    }
    for args in [&["plan"][..], &["rotation"], &["state", "show"]] {
        lab.run(args).exits(0).says("the lock is held by process");
    }
    lab.run(&["lock", "show"])
        .exits(0)
        .says("copied from \"drspass.state.json\"");
    assert_eq!(lab.sent().len(), sent);
    lab.write("reached.go", "");
    lab.wait(first).exits(0);
    lab.run(&["plan", "--allow-rollback"])
        .exits(0)
        .says("1 to change");
    lab.run(&[&APPLY[..], &["--allow-rollback"]].concat())
        .exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-4"));
}

#[test]
fn what_a_killed_run_recorded_at_the_former_place_counts_after_the_move() {
    for is_file in [true, false] {
        let mut lab = lab(is_file);
        let next = [(J1, "source", "canary-3"), (J2, "source", "canary-2")];
        let moved = moved_elsewhere(&mut lab, if is_file { PLACE } else { NEW }, &next);
        lab.passwords(&next);
        let refused = FaultKind::RejectEntry(Rejection {
            job: J1.to_owned(),
            endpoint: EndPointType::Source,
            code: "DRS.KE0002".to_owned(),
            message: String::new(),
            message_key: MessageKey::ErrorMessage,
        });
        lab.sim.inject(Fault::always(refused));
        lab.killed_at("apply.before_fold", 1, &APPLY);
        lab.run(&["plan"]).exits(0).says("skipped: DRS.KE0002");
        let sent = lab.sent().len();
        put(&lab, &moved);
        for args in [&["plan"][..], &["state", "show"]] {
            lab.run(
                &[
                    args,
                    &["--allow-rollback"][..usize::from(args[0] == "plan")],
                ]
                .concat(),
            )
            .exits(0)
            .says("DRS.KE0002")
            .says("an apply was cut off");
        }
        let again = [&APPLY[..], &["--allow-rollback"]].concat();
        lab.run(&again).exits(1).says("skipped: DRS.KE0002");
        assert_eq!(lab.sent().len(), sent, "it is known as wrong");
        assert!(!lab.exists("drspass.state.json.journal"));
        if !is_file {
            let left = fs::read_dir(lab.own_folder()).unwrap();
            let left = left.map(|entry| entry.unwrap().path());
            let journals = left.filter(|it| it.extension().is_some_and(|it| it == "journal"));
            assert_eq!(journals.count(), 0);
        }
        lab.run(&again).exits(1).says("skipped: DRS.KE0002");
    }
}

/// A clone that stays with the former manifest, and one that has moved the state to a file.
fn moved_to_a_file() -> (Lab, TempDir) {
    let lab = lab(false);
    let other = lab.cloned();
    lab.run(&["state", "move", "drspass.state.json"]).exits(0);
    (lab, other)
}

fn set_elsewhere(lab: &mut Lab, other: &TempDir) {
    lab.plant(&["canary-9"]);
    fs::write(other.path().join("p"), "canary-9").unwrap();
    let source = format!("{J1}/source");
    lab.run_in(other, &["set", &source, "--from-file", "p"])
        .exits(0);
    lab.run_in(other, &APPLY).exits(0).says("1 applied");
}

#[test]
fn a_former_branch_that_went_on_and_is_gone_is_never_in_sync() {
    for is_put_back in [false, true] {
        let (mut lab, other) = moved_to_a_file();
        let before = lab.tip();
        set_elsewhere(&mut lab, &other);
        // Both were seen here.
        lab.run(&["plan", "--allow-rollback"])
            .exits(0)
            .says("1 to change");
        let (what, why) = match is_put_back {
            false => {
                lab.in_origin(&["update-ref", "-d", &format!("refs/heads/{NAME}")]);
                (
                    "is gone, and someone wrote to it: serial 5, moved at 3",
                    "Put the branch back.",
                )
            }
            true => {
                lab.in_origin(&["update-ref", &format!("refs/heads/{NAME}"), &before]);
                ("the state at the former place", "put it back")
            }
        };
        let sent = lab.sent().len();
        for args in [
            &["plan"][..],
            &APPLY,
            &["state", "move", "--done"],
            &["rotation"],
        ] {
            lab.run(args).exits(1).says(what).says(why);
        }
        assert_eq!(lab.sent().len(), sent);
        lab.run(&["state", "distrust"]).exits(0);
        lab.run(&["state", "move", "--done"]).exits(0);
        lab.run(&["plan"]).exits(0).says("2 to send again");
    }
}

#[test]
fn a_spoilt_former_place_has_a_way_out() {
    for (is_file, is_touched) in [(true, false), (true, true), (false, false), (false, true)] {
        for spoil in ["\"serial\": ", "seriaI", "<<<<<<< HEAD\n"] {
            let lab = lab(is_file);
            lab.run(&["state", "move", if is_file { PLACE } else { NEW }])
                .exits(0);
            if is_touched {
                lab.apply(&["--resend", J1]).exits(0);
            }
            let spoilt = |text: &str| match spoil.starts_with('<') {
                true => format!("{spoil}{text}"),
                false => text.replacen("\"serial\":", spoil, 1),
            };
            if is_file {
                let text = lab.read("drspass.state.json");
                lab.write("drspass.state.json", spoilt(&text));
            } else {
                let text = lab.in_origin(&["show", &format!("{NAME}:drspass.state.json")]);
                push_state(&lab, &spoilt(&text));
            }
            for args in [&["plan"][..], &APPLY, &["state", "move", "--done"]] {
                lab.run(args)
                    .exits(1)
                    .says("the state at the former place, ")
                    .says("'drspass state distrust' marks every entry to be sent again, and 'drspass state move --done'");
            }
            lab.run(&["state", "distrust"]).exits(0);
            lab.run(&["state", "move", "--done"])
                .exits(0)
                .says("cannot mark the state there as moved");
            lab.run(&["plan"]).exits(0).says("2 to send again");
            lab.apply(&[]).exits(0).says("2 applied");
        }
    }
}

#[test]
fn a_lost_run_of_this_clone_at_the_former_place_needs_no_release() {
    for place in [NEW, "drspass.state.json"] {
        let mut lab = lab(false);
        let moved = moved_elsewhere(&mut lab, place, &PAIR);
        lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
        lab.killed_at("apply.before_first_send", 1, &APPLY);
        put(&lab, &moved);
        lab.run(&["plan", "--allow-rollback"])
            .exits(0)
            .says("1 to send again");
        lab.run(&[&APPLY[..], &["--allow-rollback"]].concat())
            .exits(0)
            .says("1 applied");
        lab.run(&["plan"]).exits(0).says("2 in sync");
        lab.run(&["state", "move", "--done"]).exits(0);
    }
}

#[test]
fn a_lost_run_of_another_clone_at_the_former_place_is_taken_over_there() {
    let mut lab = lab(false);
    let other = lab.cloned();
    lab.run(&["state", "move", NEW]).exits(0);
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    let mut command = lab.command(&[&APPLY[..], &["--resend", J1]].concat());
    command.current_dir(other.path());
    lab.killed(command, "apply.before_first_send", 1);
    lab.run(&["plan"]).exits(0).says("the lock is held by run");
    for args in [
        &APPLY[..],
        &["state", "distrust"],
        &["state", "move", "--done"],
    ] {
        lab.run(args).exits(6).says("is held by run");
    }
    lab.run(&["lock", "release", "another"])
        .exits(1)
        .says("that run does not hold the state; it is held by run");
    let mut command = lab.command(&[&APPLY[..], &["--lock-timeout", "60s"]].concat());
    command.env("DRSPASS_TEST_LEASE", "2");
    lab.run_command(command).exits(0).says("1 applied");
    let state = lab.in_origin(&["show", &format!("{NAME}:drspass.state.json")]);
    assert!(!state.contains("\"holder\""), "{state}");
    lab.run(&["state", "move", "--done"]).exits(0);
    lab.run(&["plan"]).exits(0).says("2 in sync");
}

#[test]
fn a_move_that_was_cut_off_is_finished_with_its_index() {
    for place in [NEW, "drspass.state.json"] {
        let lab = lab(false);
        lab.killed_at("manifest.after_replace", 1, &["state", "move", place]);
        lab.run(&["state", "move", place]).exits(0).says("serial 4");
        lab.run(&["validate", "--require-index"]).exits(0);
        lab.run(&APPLY).exits(0);
    }
}

#[test]
fn a_run_whose_state_was_moved_under_it_says_how_its_outcomes_are_recovered() {
    let mut lab = lab(false);
    let other = lab.cloned();
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    let first = stopped(&lab);
    let id = lab.state()["body"]["holder"]["id"].clone();
    lab.run_in(&other, &["lock", "release", id.as_str().unwrap()])
        .exits(0);
    for args in [NEW, "--done"] {
        lab.run_in(&other, &["state", "move", args]).exits(0);
    }
    lab.run_in(&lab.dir, &["state", "list"])
        .exits(0)
        .says("the state was moved to \"git:");
    lab.write("reached.go", "");
    let said = lab.wait(first).exits(8);
    let said = said.says("the state was moved to another place during the run. Take the newest");
    let said = said.all();
    let file = said.split("drspass state recover ").nth(1).unwrap();
    put(
        &lab,
        &FILES.map(|name| fs::read(other.path().join(name)).unwrap()),
    );
    lab.run(&["state", "recover", file.split_whitespace().next().unwrap()])
        .exits(0)
        .says("1 entry marked to be sent again");
}

#[test]
fn a_move_to_an_unknown_remote_names_what_was_typed() {
    let lab = lab(false);
    lab.run(&["state", "move", "git:orign/x"])
        .exits(1)
        .says("has no remote orign")
        .says("'git remote add orign URL', or name another remote.");
}
