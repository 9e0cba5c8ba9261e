//! Broken disks and files: nothing is sent when that can be found out before,
//! and nothing that was sent is lost when it cannot.

use std::time::Duration;

use drspass::sim::{Fault, FaultKind, SimConfig};
use rustix::process::Signal;

use crate::preflight::{id, sources};
use crate::recover::recovery_file;
use crate::support::around::{Watched, started_up_to, through, with_mask};
use crate::support::{J1, J2, J3, Lab, Run, send_signal};

fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[
        (J1, "source", "canary-old-1"),
        (J2, "source", "canary-old-2"),
    ]);
    lab.apply(&[]).exits(0);
    lab.passwords(&[
        (J1, "source", "canary-1"),
        (J2, "source", "canary-2"),
        (J3, "source", "canary-3"),
    ]);
    lab
}

/// An apply in which the disk refuses a step on its n-th pass.
fn apply_failing(lab: &Lab, place: &str, pass: usize) -> Run {
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.env("DRSPASS_TEST_FAIL_AT", format!("{place}:{pass}"));
    lab.run_command(command)
}

#[test]
fn a_disk_that_is_full_before_the_first_send_sends_nothing() {
    // The first replacement is the backup, the second marks what is to be sent.
    for (place, pass) in [("replace", 1), ("replace", 2), ("journal.create", 1)] {
        let lab = lab();
        let state = lab.read("drspass.state.json");
        let sent = lab.sent().len();
        apply_failing(&lab, place, pass)
            .exits(1)
            .says("cannot write")
            .says("No space left")
            .says("Nothing was sent.");
        assert_eq!(lab.sent().len(), sent, "{place} {pass}");
        assert_eq!(lab.read("drspass.state.json"), state, "nothing is marked");
        assert!(!lab.exists("drspass.state.json.journal"));
        assert!(!lab.plan().contains("  ? "), "nothing is in doubt");
        assert!(!lab.exists("drspass.state.json.tmp"));
        lab.apply(&[]).exits(0);
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    }
}

#[test]
fn a_full_disk_at_the_journal_stops_sending_and_records_what_was_sent() {
    let lab = lab();
    let before = lab.sent().len();
    let run = apply_failing(&lab, "journal.append", 1)
        .exits(3)
        .says("the journal could not be written");
    let sent = lab.sent().len() - before;
    assert!(
        (1..3).contains(&sent),
        "nothing new is sent once the journal is broken, {sent}"
    );
    assert!(run.stdout.contains("not sent"));
    let plan = lab.plan();
    assert!(
        plan.contains(&format!("; {sent} in sync")),
        "the fold recorded them\n{plan}"
    );
    lab.apply(&[]).exits(0);
}

#[test]
fn a_journal_that_lags_behind_holds_back_what_is_not_sent_yet() {
    let lab = lab();
    let sent = lab.sent().len();
    // The thread that writes the journal stands still at its first answer.
    let (place, reached) = ("journal.before_append", lab.path("reached"));
    let command = lab.command(&["apply", "--auto-approve"]);
    let (mut child, _) = started_up_to(command, place, 1, &reached);
    lab.await_puts(sent + 2);
    assert!(
        !lab.sim.wait_for_put(sent + 3, Duration::from_secs(1)),
        "two answers are not durable, so nothing new is sent"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lab.plan().contains("  ? "), "what was marked is in doubt");
    lab.apply(&[]).exits(0);
}

#[test]
fn every_line_of_the_journal_is_flushed_before_the_next_one() {
    let lab = lab();
    let trace = lab.path("trace");
    let options = ["-f", "-y", "-qq", "-s", "0", "-e"];
    let which = ["trace=write,fsync,fdatasync", "-o", trace.to_str().unwrap()];
    let apply = lab.command(&["apply", "--auto-approve"]);
    lab.run_command(through("strace", &[&options[..], &which].concat(), &apply))
        .exits(0);
    let trace = lab.read("trace");
    let of_journal = trace.lines().filter(|line| line.contains(".journal>"));
    let calls: Vec<&str> = of_journal
        .filter_map(|line| line.split_whitespace().nth(1)?.split('(').next())
        .collect();
    // The head, and at least one line of answers.
    assert!(calls.len() >= 4, "{trace}");
    for pair in calls.chunks(2) {
        assert!(matches!(pair, ["write", "fsync" | "fdatasync"]), "{trace}");
    }
}

#[test]
fn what_an_apply_writes_grows_as_the_number_of_its_entries() {
    let written = |entries: usize| {
        let mut lab = Lab::with_config(SimConfig {
            accept_any_job: true,
            ..SimConfig::default()
        });
        let ids: Vec<String> = (0..entries).map(id).collect();
        sources(&mut lab, &ids, "canary-1");
        // The state is replaced for the marks and at the fold, and not once more.
        apply_failing(&lab, "replace", 3).exits(0);
        sources(&mut lab, &ids, "canary-2");
        lab.killed_at("apply.before_fold", 1, &["apply", "--auto-approve"]);
        ["drspass.state.json", "drspass.state.json.journal"]
            .map(|name| std::fs::metadata(lab.path(name)).unwrap().len())
    };
    let (few, many) = (written(40), written(160));
    for (few, many) in few.into_iter().zip(many) {
        assert!(many < 5 * few, "{few} bytes became {many}");
    }
}

#[test]
fn a_full_disk_at_the_fold_writes_a_recovery_file_that_can_be_folded_in() {
    let lab = lab();
    let run = apply_failing(&lab, "replace", 3)
        .exits(8)
        .says("state recover")
        .says("3 applied");
    let name = recovery_file(&lab);
    assert!(run.stdout.contains(&name));
    assert_eq!(crate::support::mode(&lab.path(&name)), 0o600);
    // The journal has everything too, so even without the file nothing is lost.
    lab.run(&["plan"])
        .exits(0)
        .says("3 in sync")
        .says("an apply was cut off");
    lab.run(&["state", "recover", &name])
        .exits(0)
        .says("3 entries recovered");
    assert!(!lab.exists("drspass.state.json.journal"));
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_recovery_file_is_all_that_is_needed_when_journal_and_fold_both_failed() {
    let lab = lab();
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.env("DRSPASS_TEST_FAIL_AT", "journal.append:1,replace:3");
    lab.run_command(command).exits(8);
    let name = recovery_file(&lab);
    assert_eq!(
        lab.plan().matches("  ? ").count(),
        3,
        "without it everything is in doubt"
    );
    let recovery = lab.read(&name);
    lab.write(&name, recovery.replace("\"applied\"", "\"appliex\""));
    lab.run(&["state", "recover", &name])
        .exits(1)
        .says("is not a recovery file of this state");
    lab.write(&name, &recovery);
    lab.run(&["state", "recover", &name]).exits(0);
    lab.apply(&[]).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn when_nothing_can_be_written_the_entries_that_are_set_are_named() {
    let lab = lab();
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.env(
        "DRSPASS_TEST_FAIL_AT",
        "journal.append:1,replace:3,rescue:1,rescue:2,rescue:3",
    );
    let run = lab
        .run_command(command)
        .exits(8)
        .says("neither the state nor a recovery file");
    assert!(run.stdout.contains(&format!("= {J1}/source")));
    let plan = lab.plan();
    assert!(plan.matches("  ? ").count() >= 1, "{plan}");
    lab.apply(&[]).exits(0);
}

#[test]
fn where_no_other_place_is_left_a_recovery_file_goes_to_tmp() {
    let lab = lab();
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command
        .env("DRSPASS_TEST_FAIL_AT", "replace:3,rescue:1")
        .env("TMPDIR", lab.path("missing"));
    let run = lab.run_command(command).exits(8);
    let start = run
        .stdout
        .find("/tmp/drspass.state.json.recovery-")
        .unwrap();
    let name = run.stdout[start..]
        .split(['\'', '\n', ' ', ':'])
        .next()
        .unwrap();
    lab.run(&["state", "recover", name]).exits(0);
    std::fs::remove_file(name).unwrap();
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn an_apply_killed_before_its_first_mark_leaves_nothing_to_clear_up() {
    let mut first = Lab::new();
    first.passwords(&[(J1, "source", "canary-1")]);
    for lab in [first, lab()] {
        let pass = if lab.exists("drspass.state.json") {
            2
        } else {
            1
        };
        lab.killed_at("replace.before_rename", pass, &["apply", "--auto-approve"]);
        assert!(lab.exists("drspass.state.json.journal"));
        assert!(!lab.plan().contains("  ? "), "nothing is in doubt");
        lab.run(&["state", "list"]).exits(0);
        lab.apply(&[]).exits(0);
        assert!(!lab.exists("drspass.state.json.journal"));
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    }
}

#[test]
fn a_place_that_cannot_be_replaced_is_found_out_before_the_first_send() {
    let lab = lab();
    let sent = lab.sent().len();
    // A folder in the place of the temporary file stands for any refusal there.
    std::fs::create_dir(lab.path("drspass.state.json.tmp")).unwrap();
    lab.apply(&[]).exits(1).says("mount its directory instead");
    std::fs::remove_dir(lab.path("drspass.state.json.tmp")).unwrap();
    std::fs::create_dir(lab.path("drspass.state.json.journal")).unwrap();
    lab.apply(&[]).exits(1);
    std::fs::remove_dir(lab.path("drspass.state.json.journal")).unwrap();
    assert_eq!(lab.sent().len(), sent);
    lab.apply(&[]).exits(0);
}

#[test]
fn a_folder_that_becomes_unusable_while_a_request_is_out_ends_in_a_recovery_file() {
    let lab = lab();
    let sent = lab.sent().len();
    lab.sim
        .inject(Fault::next(FaultKind::Hold { act_first: false }));
    let child = lab.command(&["apply", "--auto-approve"]).spawn().unwrap();
    lab.await_puts(sent + 1);
    std::fs::create_dir(lab.path("drspass.state.json.tmp")).unwrap();
    lab.sim.release();
    lab.wait(child).exits(8).says("state recover");
    std::fs::remove_dir(lab.path("drspass.state.json.tmp")).unwrap();
    lab.run(&["state", "recover", &recovery_file(&lab)])
        .exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_state_that_somebody_replaces_during_an_apply_is_not_written_over() {
    let lab = lab();
    let sent = lab.sent().len();
    lab.sim
        .inject(Fault::next(FaultKind::Hold { act_first: false }));
    let child = lab.command(&["apply", "--auto-approve"]).spawn().unwrap();
    lab.await_puts(sent + 1);
    let replaced = lab.read("drspass.state.json.backup");
    lab.write("drspass.state.json", &replaced);
    lab.sim.release();
    lab.wait(child)
        .exits(8)
        .says("another process changed")
        .says("so the outcomes become unknown");
    assert_eq!(lab.read("drspass.state.json"), replaced);
    lab.run(&["state", "recover", &recovery_file(&lab)])
        .exits(0)
        .says("marked to be sent again");
    lab.apply(&[]).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_file_system_without_locks_is_refused() {
    let lab = lab();
    let sent = lab.sent().len();
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.env("DRSPASS_TEST_FAIL_AT", "lock:1");
    lab.run_command(command)
        .exits(1)
        .says("cannot lock")
        .says("file locks");
    assert_eq!(lab.sent().len(), sent);
}

#[test]
fn files_are_private_under_any_umask_and_a_wider_state_is_made_so() {
    let lab = lab();
    let command = with_mask("000", &lab.command(&["apply", "--auto-approve"]));
    lab.run_command(command).exits(0);
    for name in [
        "drspass.state.json",
        "drspass.state.json.backup",
        "drspass.state.json.lock",
    ] {
        assert_eq!(crate::support::mode(&lab.path(name)), 0o600, "{name}");
    }
    use std::os::unix::fs::PermissionsExt as _;
    let wide = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(lab.path("drspass.state.json"), wide).unwrap();
    // It holds no secret, and git checks it out like this each time.
    let plan = lab.run(&["plan"]).exits(0);
    assert!(!plan.all().contains("note: "), "{}", plan.all());
    lab.apply(&["--resend", "*"]).exits(0);
    assert_eq!(crate::support::mode(&lab.path("drspass.state.json")), 0o600);
}

#[test]
fn a_second_signal_stops_at_once_with_a_whole_state() {
    let lab = lab();
    let sent = lab.sent().len();
    lab.sim.inject(Fault::next(FaultKind::Silent));
    let run = Watched::start(lab.command(&["apply", "--auto-approve"]));
    lab.await_puts(sent + 1);
    send_signal(run.id(), Signal::TERM);
    run.says("Stopping");
    send_signal(run.id(), Signal::HUP);
    run.ended(&lab).exits(4).says("terminated by a signal");
    assert!(lab.state()["body"]["serial"].is_u64());
    lab.apply(&[]).exits(0);
}

#[test]
fn a_panic_tells_its_place_and_nothing_else_and_leaves_doubt() {
    for place in [
        "apply.before_first_send",
        "journal.before_append",
        "apply.before_fold",
    ] {
        let lab = lab();
        let mut command = lab.command(&["apply", "--auto-approve"]);
        command.env("DRSPASS_TEST_STOP_AT", format!("{place}:1:panic"));
        command.env("RUST_BACKTRACE", "full");
        let run = lab.run_command(command);
        assert!(run.stderr.contains("testpoint.rs"), "{}", run.all());
        assert!(!run.all().contains("canary"), "{}", run.all());
        assert_ne!(run.code, Some(0), "{}", run.all());
        lab.run(&["plan", "--detailed-exitcode"]);
        lab.apply(&[]).exits(0);
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    }
}

#[test]
fn a_signal_to_end_is_143_when_everything_is_known() {
    for signal in [Signal::TERM, Signal::HUP] {
        let lab = lab();
        let sent = lab.sent().len();
        lab.sim
            .inject(Fault::next(FaultKind::Hold { act_first: false }));
        let run = Watched::start(lab.command(&["apply", "--auto-approve"]));
        lab.await_puts(sent + 1);
        send_signal(run.id(), signal);
        run.says("Stopping");
        lab.sim.release();
        run.ended(&lab)
            .exits(143)
            .says("1 applied")
            .says("2 not sent");
    }
}
