//! Ctrl-C, and the end of the terminal.

use drspass::sim::{Fault, FaultKind};
use rustix::process::Signal;

use crate::support::around::{Watched, through};
use crate::support::{J1, J2, Lab, send_signal};

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
        .says("the run was stopped before the answer came");
    assert!(lab.plan().contains(&format!("? {J2}/source")));
    lab.apply(&[]).exits(0);
}

/// Whether a process has a signal ignored, and whether it has a handler for it.
fn ignored_and_caught(pid: u32, signal: Signal) -> (bool, bool) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let has = |name: &str| {
        let mut lines = status.lines();
        let mask = lines.find_map(|line| line.strip_prefix(name)).unwrap();
        let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
        mask & (1 << (signal.as_raw() - 1)) != 0
    };
    (has("SigIgn:"), has("SigCgt:"))
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
