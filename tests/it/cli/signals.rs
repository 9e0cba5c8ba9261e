//! Ctrl-C, and the end of the terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use drspass::sim::{Fault, FaultKind, SimConfig};
use rustix::fs::OFlags;
use rustix::process::Signal;

use crate::preflight::{id, sources};
use crate::support::around::{Watched, through};
use crate::support::{
    J1, J2, Lab, ignored_and_caught, make_pipe, process_is_there, send_signal, wait_until,
};

#[test]
fn an_interrupted_run_records_what_it_knows_and_says_what_it_does_not() {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    let apply = || Watched::start(lab.command(&["apply", "--auto-approve"]));
    lab.sim
        .inject(Fault::next(FaultKind::Hold { act_first: false }));
    let run = apply();
    lab.await_puts(1);
    send_signal(run.id(), Signal::INT);
    run.says("Stopping");
    lab.sim.release();
    run.ended(&lab)
        .exits(130)
        .says("1 applied")
        .says("1 not sent");
    assert!(lab.plan().contains(&format!("+ {J2}/source")));

    lab.sim.inject(Fault::next(FaultKind::Silent));
    let run = apply();
    lab.await_puts(2);
    send_signal(run.id(), Signal::INT);
    run.says("Stopping");
    send_signal(run.id(), Signal::INT);
    run.ended(&lab)
        .exits(4)
        .says("the run was stopped before the answer arrived");
    assert!(lab.plan().contains(&format!("? {J2}/source")));
    lab.apply(&[]).exits(0);
}

#[test]
fn after_a_signal_an_answer_that_does_not_come_is_not_waited_for() {
    let mut lab = Lab::new();
    // Nothing but the signal ends this wait before the test gives up.
    lab.configure("apply: { batch_size: 1, parallelism: 1, request_timeout: 1h }");
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.sim.inject(Fault::always(FaultKind::Silent));
    let run = Watched::start(lab.command(&["apply", "--auto-approve"]));
    lab.await_puts(1);
    send_signal(run.id(), Signal::INT);
    wait_until("the end of the run", || !process_is_there(run.id()));
    run.ended(&lab)
        .exits(4)
        .says("the run was stopped before the answer arrived")
        .says("1 not sent");
    assert_eq!(lab.sent().len(), 1, "nothing new was sent");
    assert!(lab.plan().contains(&format!("? {J1}/source")));
}

#[test]
fn a_run_that_is_over_ends_by_a_signal_though_nobody_reads_its_output() {
    let mut lab = Lab::with_config(SimConfig {
        accept_any_job: true,
        ..SimConfig::default()
    });
    // Their lines are more than a pipe takes.
    let ids: Vec<String> = (0..1_000).map(id).collect();
    sources(&mut lab, &ids, "canary-1");
    let args = ["apply", "--auto-approve", "--json", "--no-preflight"];
    let mut child = lab.command(&args).spawn().unwrap();
    lab.await_puts(100);
    wait_until("the end of the run", || {
        lab.run(&["lock", "show"]).stdout.contains("free")
    });
    wait_until("the end of the process", || {
        send_signal(child.id(), Signal::TERM);
        child.try_wait().unwrap().is_some()
    });
    lab.wait(child).exits(143);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

/// Makes a pipe that takes nothing more until it is read. Returns it with what is in it.
fn full_pipe(path: &Path) -> (File, usize) {
    make_pipe(path);
    let flags = OFlags::RDWR | OFlags::NONBLOCK;
    let mut pipe = File::from(rustix::fs::open(path, flags, rustix::fs::Mode::empty()).unwrap());
    let mut filled = 0;
    while let Ok(length) = pipe.write(&[b'\n'; 4096]) {
        filled += length;
    }
    (pipe, filled)
}

#[test]
fn a_signal_stops_a_run_whose_messages_nobody_reads() {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1, request_timeout: 1h }");
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.sim
        .inject(Fault::next(FaultKind::Hold { act_first: false }));
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("messages");
    let _unread = full_pipe(&path);
    let mut command = lab.command(&["apply", "--auto-approve", "--no-preflight"]);
    command.stderr(File::options().write(true).open(&path).unwrap());
    let mut child = command.spawn().unwrap();
    lab.await_puts(1);
    send_signal(child.id(), Signal::TERM);
    // Nothing shows when the signal arrived; where it comes after the answer, all holds too.
    std::thread::sleep(std::time::Duration::from_millis(300));
    lab.sim.release();
    wait_until("the record of what was answered", || {
        lab.run(&["lock", "show"]).stdout.contains("free")
    });
    wait_until("the end of the process", || {
        send_signal(child.id(), Signal::TERM);
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(lab.sent().len(), 1, "nothing new was sent");
    let plan = lab.plan();
    assert!(
        !plan.contains(J1) && plan.contains(&format!("+ {J2}/source")),
        "{plan}"
    );
}

#[test]
fn a_run_that_shall_outlive_its_terminal_does() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.sim
        .inject(Fault::next(FaultKind::Hold { act_first: false }));
    let command = lab.command(&["apply", "--auto-approve"]);
    let none: [&str; 0] = [];
    let child = through("nohup", &none, &command).spawn().unwrap();
    lab.await_puts(1);
    assert_eq!(ignored_and_caught(child.id(), Signal::HUP), (true, false));
    send_signal(child.id(), Signal::HUP);
    lab.sim.release();
    lab.wait(child).exits(0);
}

#[test]
fn tests_that_send_signals_pass_where_these_are_ignored() {
    let tests = std::env::current_exe().unwrap();
    let test = "disk::a_signal_to_end_is_143_when_everything_is_known";
    let ignoring = "trap '' HUP INT QUIT TERM; exec \"$@\"";
    let run = std::process::Command::new("sh")
        .args(["-c", ignoring, "sh"])
        .arg(tests)
        .args(["--exact", test])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn a_signal_after_the_run_does_not_cut_what_is_written_for_the_pipeline() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("github-output");
    let (mut pipe, filled) = full_pipe(&path);
    lab.write("github-summary", "");
    let mut command = lab.command(&["apply", "--auto-approve", "--github"]);
    command
        .env("GITHUB_OUTPUT", &path)
        .env("GITHUB_STEP_SUMMARY", lab.path("github-summary"));
    let child = command.spawn().unwrap();
    wait_until("the end of the run", || {
        lab.sim.holds(J1, "source", "canary-1")
            && lab.run(&["lock", "show"]).stdout.contains("free")
    });
    send_signal(child.id(), Signal::TERM);
    let mut filling = vec![0; filled];
    pipe.read_exact(&mut filling).unwrap();
    // The signal may still end it before it is over, once the files are written.
    let run = lab.wait(child);
    assert!(matches!(run.code, Some(0 | 143)), "{}", run.all());
    let mut outputs = vec![0; 4096];
    let length = pipe.read(&mut outputs).unwrap();
    let outputs = String::from_utf8_lossy(&outputs[..length]);
    assert!(outputs.contains("exit_code<<"), "{outputs}");
    assert!(lab.read("github-summary").contains("1 applied"));
}
