//! The command line: exit codes, help, streams, approval.

use std::io::Write as _;
use std::process::Stdio;

use drspass::sim::{Endpoint, Fault, FaultKind};

use crate::looped::refuse;
use crate::support::{J1, J2, Lab};

#[test]
fn a_wrong_command_line_is_64_and_repeats_nothing_of_it() {
    let mut lab = Lab::new();
    lab.plant(&["canary-tr0ub4"]);
    for args in [
        &["plan", "--detailed-exitcode", "--josn"][..],
        &["plan", "-canary-tr0ub4-x"],
        &["plan", "--", "-canary-tr0ub4-x"],
        &["apply", J1, "so", "-canary-tr0ub4-x"],
        &["adopt", J1, "so", "-canary-tr0ub4-x"],
        &["apply", "--yes"],
        &["state"],
        &["encrypt"],
        &["plan", "--color", "canary-tr0ub4"],
        &["sim", "--port", "canary-tr0ub4"],
        &[],
    ] {
        let run = lab.run(args).exits(64);
        assert!(!run.all().contains("canary"), "{args:?}\n{}", run.all());
        assert_eq!(run.stdout, "");
    }
    lab.run(&["plan", "--auto-approv"]).exits(64);
    lab.run(&["apply", "--auto-approv"])
        .exits(64)
        .says("--auto-approve");
    lab.run(&["--version"]).exits(0);
    lab.run(&["--help"]).exits(0);
    lab.run(&["apply", "--help"]).exits(0);
}

#[test]
fn detailed_exit_codes_tell_changes_from_none_and_from_failures() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.run(&["plan", "--detailed-exitcode"]).exits(2);
    lab.run(&["plan"]).exits(0);
    lab.apply(&[]).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    let mut command = lab.command(&["plan", "--detailed-exitcode"]);
    command.env_remove("DRSPASS_IDENTITY");
    lab.run_command(command)
        .exits(1)
        .says("there is no identity");
    // A held lock stops no plan, and does not change what its code means.
    let lock = std::fs::File::open(lab.path("drspass.state.json.lock")).unwrap();
    lock.lock().unwrap();
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    lab.apply(&[]).exits(6);
    lab.run(&["plan", "--detailed-exitcode", "--resend", "*"])
        .exits(2)
        .says("the lock is held");
}

#[test]
fn without_a_terminal_nothing_is_approved() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.run(&["apply"])
        .exits(7)
        .says("there is no terminal to ask on");
    let mut command = lab.command(&["apply"]);
    command.stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended already, since it never reads the answer.
    let _ = child.stdin.take().unwrap().write_all(b"yes\n");
    lab.wait(child).exits(7);
    assert_eq!(lab.sim.connections(), 0);
    assert!(!lab.exists("drspass.state.json"));
}

#[test]
fn failures_end_with_the_failure_and_never_with_a_success() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.run(&["-i", "missing.txt", "plan"])
        .exits(1)
        .says("cannot read missing.txt");
    std::fs::remove_file(lab.path("passwords.yaml.age")).unwrap();
    for command in ["validate", "plan", "show"] {
        let run = lab
            .run(&[command])
            .exits(1)
            .says("cannot read passwords.yaml.age");
        assert_eq!(run.stdout, "");
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    }
    std::fs::remove_file(lab.path("drspass.yaml")).unwrap();
    lab.run(&["plan"]).exits(1).says("there is no drspass.yaml");
}

#[test]
fn some_refused_is_3_and_all_refused_is_1() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.sim.inject(refuse(J1, Endpoint::Source, "DRS.M00304"));
    lab.apply(&[]).exits(3);
    lab.sim.inject(refuse(J1, Endpoint::Source, "DRS.M00304"));
    lab.apply(&[]).exits(1);
}

#[test]
fn doubt_wins_over_refusals() {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.sim.inject(refuse(J1, Endpoint::Source, "DRS.M00304"));
    lab.sim.inject(Fault::nth(2, FaultKind::NotJson));
    lab.apply(&[]).exits(4).says("1 refused").says("1 in doubt");
}

#[test]
fn an_interrupted_run_records_what_it_knows_and_says_what_it_does_not() {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.sim
        .inject(Fault::next(FaultKind::Hold { act_first: false }));
    let child = lab.command(&["apply", "--auto-approve"]).spawn().unwrap();
    assert!(lab.sim.wait_for_put(1, std::time::Duration::from_secs(60)));
    interrupt(child.id());
    crate::support::wait_until("the run to notice", || {
        lab.sim.release();
        !process_is_there(child.id())
    });
    let run = lab
        .wait(child)
        .exits(130)
        .says("1 applied")
        .says("1 not sent");
    assert!(run.stderr.contains("Stopping"));
    assert!(lab.plan().contains(&format!("+ {J2}/source")));

    lab.sim.inject(Fault::next(FaultKind::Silent));
    let child = lab.command(&["apply", "--auto-approve"]).spawn().unwrap();
    assert!(lab.sim.wait_for_put(2, std::time::Duration::from_secs(60)));
    interrupt(child.id());
    std::thread::sleep(std::time::Duration::from_millis(100));
    interrupt(child.id());
    lab.wait(child)
        .exits(4)
        .says("the run was stopped before the answer came");
    assert!(lab.plan().contains(&format!("? {J2}/source")));
    lab.apply(&[]).exits(0);
}

fn interrupt(pid: u32) {
    send_signal(pid, rustix::process::Signal::INT);
}

/// Sends a signal to a process that this test started.
pub(crate) fn send_signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// A process that ended but was not waited for is a zombie, which counts as gone.
pub(crate) fn process_is_there(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn nobody_reading_changes_nothing_about_an_apply() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let mut child = lab.command(&["apply", "--auto-approve"]).spawn().unwrap();
    drop(child.stdout.take());
    drop(child.stderr.take());
    lab.wait(child).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-1"));
    for args in [
        &["plan"][..],
        &["plan", "--json"],
        &["plan", "--diff"],
        &["validate"],
        &["validate", "--json"],
        &["show"],
        &["state", "list"],
        &["state", "show"],
        &["state", "show", "--json"],
        &["lock", "show"],
        &["--help"],
    ] {
        let mut child = lab.command(args).spawn().unwrap();
        drop(child.stdout.take());
        let run = lab.wait(child).exits(0);
        assert_eq!(run.stderr, "", "{args:?}");
    }
}

#[test]
fn a_reader_that_goes_away_in_the_middle_does_not_stop_an_apply() {
    for form in [
        &["apply", "--auto-approve"][..],
        &["apply", "--auto-approve", "--json"],
    ] {
        let mut lab = Lab::new();
        lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
        lab.sim
            .inject(Fault::next(FaultKind::Hold { act_first: false }));
        let mut child = lab.command(form).spawn().unwrap();
        assert!(lab.sim.wait_for_put(1, std::time::Duration::from_secs(60)));
        drop(child.stdout.take());
        lab.sim.release();
        let run = lab.wait(child).exits(0);
        assert!(!run.stderr.contains("panic"), "{}", run.stderr);
        lab.run(&["lock", "show"]).exits(0).says("free");
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
        assert!(!lab.exists("drspass.state.json.journal"));
    }
}

/// An identity behind a passphrase, both made up for this test.
pub(crate) const LOCKED: &str = include_str!("../data/locked_ed25519");
pub(crate) const LOCKED_PUBLIC: &str = include_str!("../data/locked_ed25519.pub");
pub(crate) const PASSPHRASE: &str = "canary-passphrase";

#[test]
fn text_on_standard_input_is_sealed_and_never_taken_for_a_passphrase() {
    let mut lab = Lab::new();
    lab.plant(&[PASSPHRASE, "canary-piped"]);
    let encrypt = |lab: &Lab, more: &[&str], text: &str| {
        let mut command = lab.command(&[more, &["encrypt", "-"]].concat());
        command.stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have ended already, since it may not need the text.
        let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
        lab.wait(child)
    };
    let document =
        format!("version: 1\njobs:\n  {J1}:\n    source: {{ password: 'canary-piped' }}\n");
    encrypt(&lab, &[], &document).exits(0);
    lab.apply(&[]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-piped"));

    lab.write("locked", LOCKED);
    std::fs::create_dir(lab.path("sub")).unwrap();
    let (endpoint, auth_url) = lab.addresses();
    let mut init = vec!["-C", "sub", "init", "--recipient", LOCKED_PUBLIC.trim()];
    init.extend([
        "--project-id",
        "p",
        "--endpoint",
        &endpoint,
        "--auth-url",
        &auth_url,
    ]);
    let mut command = lab.command(&init);
    command.env_remove("DRSPASS_IDENTITY");
    lab.run_command(command).exits(0);
    let before = lab.read("sub/passwords.yaml.age");
    let locked = ["-C", "sub", "-i", "../locked"];
    encrypt(&lab, &locked, &document)
        .exits(1)
        .says("is protected by a passphrase, and there is no terminal to ask for it");
    for text in [
        format!("{PASSPHRASE}\n"),
        format!("{PASSPHRASE}\n{document}"),
    ] {
        encrypt(&lab, &locked, &text).exits(1);
    }
    assert_eq!(lab.read("sub/passwords.yaml.age"), before);
}

#[test]
fn a_full_disk_behind_the_output_does_not_change_what_happened() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let full = || {
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let mut command = lab.command(&["plan"]);
    command.stdout(full());
    lab.run_command(command).exits(1);
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.stdout(full());
    let run = lab.run_command(command).exits(0);
    assert!(
        run.stderr.contains("Result: 1 applied"),
        "the truth is told elsewhere"
    );
}

#[test]
fn a_run_that_shall_outlive_its_terminal_does() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.sim
        .inject(Fault::next(FaultKind::Hold { act_first: false }));
    let mut command = std::process::Command::new("nohup");
    command
        .arg(env!("CARGO_BIN_EXE_drspass"))
        .args(["apply", "--auto-approve"])
        .current_dir(lab.dir.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("DRSPASS_IDENTITY", "key.txt")
        .env("OS_TOKEN", crate::support::TOKEN)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    assert!(lab.sim.wait_for_put(1, std::time::Duration::from_secs(60)));
    send_signal(child.id(), rustix::process::Signal::HUP);
    std::thread::sleep(std::time::Duration::from_millis(100));
    lab.sim.release();
    lab.wait(child).exits(0);
}

#[test]
fn output_has_no_colour_in_a_pipe_unless_asked_for() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    assert!(!lab.run(&["plan"]).all().contains('\u{1b}'));
    assert!(
        lab.run(&["plan", "--color", "always"])
            .stdout
            .contains('\u{1b}')
    );
    assert!(!lab.run(&["-vvv", "plan"]).all().contains('\u{1b}'));
    lab.run(&["-vvv", "--color", "always", "apply", "--auto-approve"])
        .exits(0)
        .says("batch-modify-pwd");
}

#[test]
fn init_makes_a_root_folder_once() {
    let lab = Lab::new();
    lab.run(&["init"])
        .exits(1)
        .says("passwords.yaml.age exists already");
    std::fs::create_dir(lab.path("eu")).unwrap();
    let run = lab
        .run(&[
            "-C",
            "eu",
            "init",
            "-i",
            "key.txt",
            "--region",
            "eu-de",
            "--project-id",
            "054ba152d480d55b2f5dc0069e7ddef0",
        ])
        .exits(0)
        .says("key id: ");
    for name in [
        "key.txt",
        "drspass.yaml",
        ".gitignore",
        ".gitattributes",
        "passwords.yaml.age",
    ] {
        assert!(run.stdout.contains(&format!("wrote {name}\n")), "{name}");
    }
    assert!(
        lab.read("eu/.gitattributes")
            .contains("/passwords.yaml.age -text")
    );
    assert!(lab.read("eu/.gitignore").contains("/key.txt\n"));
    lab.run(&["-C", "eu", "validate"]).exits(0);
    lab.run(&["-C", "eu", "show"])
        .exits(0)
        .says("https://drs.eu-de.otc.t-systems.com");
    // A second folder is encrypted to the same identity.
    std::fs::create_dir(lab.path("nl")).unwrap();
    lab.run(&[
        "-C",
        "nl",
        "init",
        "-i",
        "../eu/key.txt",
        "--region",
        "eu-nl",
        "--project-id",
        "054ba152d480d55b2f5dc0069e7ddef0",
    ])
    .exits(0);
    lab.run(&["-C", "nl", "-i", "../eu/key.txt", "validate"])
        .exits(0);
    // Nothing is written where something is missing.
    std::fs::create_dir(lab.path("none")).unwrap();
    for (region, project) in [("eu-de", None), ("eu-dee", Some("p")), ("eu-de", Some("p"))] {
        let mut args = vec!["-C", "none", "init", "--region", region];
        args.extend(project.into_iter().flat_map(|p| ["--project-id", p]));
        let mut command = lab.command(&args);
        command.env_remove("DRSPASS_IDENTITY");
        lab.run_command(command).exits(1);
    }
    assert_eq!(std::fs::read_dir(lab.path("none")).unwrap().count(), 0);
}

#[test]
fn identities_come_from_the_first_source_that_is_given() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let key = lab.read("key.txt");
    // Only the named file is opened: the broken default is not even looked at.
    std::fs::create_dir_all(lab.path(".config/drspass")).unwrap();
    lab.write(".config/drspass/identity.txt", "broken");
    lab.run(&["-i", "key.txt", "show"]).exits(0);
    let without = |lab: &Lab| {
        let mut command = lab.command(&["show"]);
        command.env_remove("DRSPASS_IDENTITY");
        command
    };
    let mut command = without(&lab);
    command.env("DRSPASS_IDENTITY_KEY", &key);
    lab.run_command(command).exits(0);
    lab.run_command(without(&lab))
        .exits(1)
        .says("no identity that can be used");
    lab.write(".config/drspass/identity.txt", key.replace('\n', "\r\n"));
    lab.run_command(without(&lab)).exits(0);
}

#[test]
fn the_help_of_each_command_is_as_reviewed() {
    let lab = Lab::new();
    for command in [
        "",
        "init",
        "plan",
        "apply",
        "encrypt",
        "edit",
        "set",
        "unset",
        "import",
        "validate",
        "recipients",
        "rekey",
        "completions",
        "man",
        "schema",
        "sim",
    ] {
        let mut args = vec![command, "--help"];
        args.retain(|arg| !arg.is_empty());
        let run = lab.run(&args).exits(0);
        let name = if command.is_empty() {
            "drspass"
        } else {
            command
        };
        insta::assert_snapshot!(format!("help_{name}"), run.stdout);
        assert!(run.stdout.lines().all(|line| line.chars().count() <= 80));
    }
}

/// Runs a command on a terminal of its own (`script` of util-linux gives it one)
/// and types `input`.
pub(crate) fn on_a_terminal(lab: &Lab, arguments: &str, input: &str) -> crate::support::Run {
    let mut command = std::process::Command::new("script");
    command
        .args([
            "-qec",
            &format!("{} {arguments}", env!("CARGO_BIN_EXE_drspass")),
        ])
        .arg("/dev/null")
        .current_dir(lab.dir.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("DRSPASS_IDENTITY", "key.txt")
        .env("OS_TOKEN", crate::support::TOKEN)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut typed = child.stdin.take().unwrap();
    typed.write_all(input.as_bytes()).unwrap();
    typed.flush().unwrap();
    // The terminal stays open until the program has ended.
    let run = lab.wait(child);
    drop(typed);
    run
}

#[test]
fn on_a_terminal_only_the_whole_word_approves() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    for answer in ["y\n", "YES\n", "yes please\n", "no\n", "\n", "\u{4}"] {
        let run = on_a_terminal(&lab, "apply", answer).exits(7);
        assert!(run.all().contains("it was declined"), "{}", run.all());
    }
    assert_eq!(lab.sim.connections(), 0);
    let run = on_a_terminal(&lab, "apply", "yes\n").exits(0);
    assert!(run.all().contains("1 applied"), "{}", run.all());
    assert!(lab.sim.holds(J1, "source", "canary-1"));
    on_a_terminal(&lab, &format!("state adopt {J1}"), "no\n").exits(7);
}
