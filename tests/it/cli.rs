//! The command line: exit codes, help, streams, approval.

pub(crate) mod approval;
mod signals;
mod streams;

use drspass::sim::{EndPointType, Fault, FaultKind};

use crate::looped::refuse;
use crate::support::terminal::Terminal;
use crate::support::{J1, J2, Lab};
pub(crate) use approval::approval;

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
        &["apply", "-y"],
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
    lab.run(&["validate"]).exits(0).says("1 entry of 1 job, ");
    lab.run(&["plan", "--detailed-exitcode"]).exits(2);
    lab.run(&["plan"]).exits(0);
    lab.apply(&[]).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    let mut command = lab.command(&["plan", "--detailed-exitcode"]);
    command.env_remove("DRSPASS_IDENTITY");
    lab.run_command(command)
        .exits(1)
        .says("no identity to decrypt with")
        .says_not("validate");
    let mut command = lab.command(&["validate"]);
    command.env_remove("DRSPASS_IDENTITY");
    lab.run_command(command)
        .exits(1)
        .says("drspass validate --require-encrypted");
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
    lab.run(&["plan"])
        .exits(1)
        .says("drspass.yaml does not exist");
}

#[test]
fn some_refused_is_3_and_all_refused_is_1() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.M00304"));
    lab.apply(&[]).exits(3);
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.M00304"));
    lab.apply(&[]).exits(1);
}

#[test]
fn the_state_is_that_of_the_option_then_of_the_variable_then_of_the_settings() {
    let mut lab = Lab::new();
    let settings = lab.read("drspass.yaml");
    let state = settings.lines().find(|line| line.starts_with("state:"));
    lab.write(
        "drspass.yaml",
        settings.replace(state.unwrap(), "state: settings.json"),
    );
    lab.run(&["rekey", "--yes"]).exits(0);
    lab.passwords(&[(J1, "source", "canary-1")]);
    let apply = |option: bool, variable: bool| {
        let option: &[&str] = if option {
            &["--state", "option.json"]
        } else {
            &[]
        };
        let mut command = lab.command(&[&["apply", "--auto-approve"], option].concat());
        if variable {
            command.env("DRSPASS_STATE", "variable.json");
        }
        lab.run_command(command).exits(0).says("1 applied");
        ["option.json", "variable.json", "settings.json"].map(|name| lab.exists(name))
    };
    assert_eq!(apply(true, true), [true, false, false]);
    assert_eq!(apply(false, true), [true, true, false]);
    assert_eq!(apply(false, false), [true, true, true]);
    assert!(!lab.exists("drspass.state.json"));
}

#[test]
fn colour_is_for_terminals_and_can_be_switched_off() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let plan = |args: &[&str], no_color: bool| {
        let mut command = lab.command(&[&["plan"], args].concat());
        command.env("TERM", "xterm");
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let shown = lab.ended(Terminal::start(command)).exits(0).all();
        shown.contains("\u{1b}[3")
    };
    assert!(plan(&[], false));
    assert!(!plan(&[], true));
    assert!(!plan(&["--color", "never"], false));
    assert!(plan(&["--color", "always"], true));
    assert!(!lab.run(&["plan"]).exits(0).all().contains('\u{1b}'));
}

#[test]
fn a_state_that_could_not_be_written_wins_over_refusals_and_doubt() {
    for fault in [
        refuse(J1, EndPointType::Source, "DRS.M00304"),
        Fault::next(FaultKind::NotJson),
    ] {
        let mut lab = Lab::new();
        lab.configure("apply: { batch_size: 1, parallelism: 1 }");
        lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
        lab.sim.inject(fault);
        let mut command = lab.command(&["apply", "--auto-approve"]);
        // There is no state to back up yet: the first replacement is that of the marks.
        command.env("DRSPASS_TEST_FAIL_AT", "replace:2");
        lab.run_command(command).exits(8).says("1 applied");
    }
}

#[test]
fn doubt_wins_over_refusals() {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.M00304"));
    lab.sim.inject(Fault::nth(2, FaultKind::NotJson));
    lab.apply(&[]).exits(4).says("1 refused").says("1 unknown");
}

#[test]
fn init_makes_a_root_folder_once() {
    let lab = Lab::new();
    lab.run(&["init"])
        .exits(1)
        .says("this directory is already set up; it has drspass.yaml, passwords.yaml.age");
    std::fs::create_dir(lab.path("eu")).unwrap();
    // What can be refused is refused before the first file.
    let project = "054ba152d480d55b2f5dc0069e7ddef0";
    let target = ["--region", "eu-de", "--project-id", project];
    lab.run(&[&["-C", "eu", "init", "-i", "no/key.txt"], &target[..]].concat())
        .exits(1)
        .says("cannot create the identity no/key.txt: its directory does not exist");
    assert_eq!(std::fs::read_dir(lab.path("eu")).unwrap().count(), 0);
    let run = lab
        .run(&[&["-C", "eu", "init", "-i", "key.txt"], &target[..]].concat())
        .exits(0)
        .says("key id: ");
    for name in [
        "key.txt",
        "drspass.yaml",
        ".gitignore",
        ".gitattributes",
        "passwords.yaml.age",
        "passwords.index.yaml",
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
        .says("has no usable identity");
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
        "decrypt",
        "show",
        "edit",
        "get",
        "set",
        "unset",
        "import",
        "index",
        "merge",
        "validate",
        "recipients",
        "rekey",
        "jobs",
        "whoami",
        "state",
        "rotation",
        "lock",
        "completions",
        "man",
        "schema",
        "sim",
        "demo",
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
