//! A plugin: what it gets, what it asks, what it may not. It is a made-up one
//! (`tests/data/age/age-plugin-stub`), which the real `age` can be used with as well.

use std::os::unix::fs::symlink;
use std::process::Command;

use rexpect::process::Signal;

use super::terminal::{self, Typed};
use super::{PASSWORD, detached, detached_command, fixture, public, sealed_to, tool};
use crate::support::Lab;
use crate::support::around::without_terminal;

const RECIPIENT: &str = "age1stub1d4skgefdw4cqphmwgx";
const IDENTITY: &str = "AGE-PLUGIN-STUB-1D4SKGEFDW4CQA4YD8X";
const PIN_IDENTITY: &str = "AGE-PLUGIN-STUB-PIN-1D4SKGEFDW4CQ64D5QV";
const FAIL_IDENTITY: &str = "AGE-PLUGIN-STUB-FAIL-1D4SKGEFDW4CQ7RRDR0";

/// Puts the plugin under a name into a folder of the lab, and gives a PATH that has it.
fn install(lab: &Lab, folder: &str, name: &str) -> String {
    let folder = lab.path(folder);
    let _ = std::fs::create_dir(&folder);
    let _ = symlink(
        fixture("age-plugin-stub"),
        folder.join(format!("age-plugin-{name}")),
    );
    format!("{}:/usr/bin:/bin", folder.display())
}

/// A lab whose manifest is sealed by the plugin alone, its identity `stub.txt`, and PATH.
fn lab() -> (Lab, String) {
    let mut lab = Lab::new();
    lab.plant(&[PASSWORD]);
    super::readdress(&lab, &[RECIPIENT]);
    let path = install(&lab, "bin", "stub");
    lab.write("stub.txt", format!("# made up\n{IDENTITY}\n"));
    lab.write(
        "plain.yaml",
        format!("version: 1\njobs:\n{}", super::first_jobs(&lab)),
    );
    with_path(&lab, &path, &["encrypt", "plain.yaml"]).exits(0);
    std::fs::remove_file(lab.path("plain.yaml")).unwrap();
    (lab, path)
}

#[track_caller]
fn with_path(lab: &Lab, path: &str, args: &[&str]) -> crate::support::Run {
    detached_command(lab, args, |command| {
        command.env("PATH", path);
    })
}

#[test]
fn a_plugin_works_both_ways_with_the_real_age() {
    let (lab, path) = lab();
    let text = with_path(&lab, &path, &["-i", "stub.txt", "decrypt"])
        .exits(0)
        .stdout;
    assert!(text.contains(PASSWORD));
    let real = |args: &[&str]| {
        let mut command: Command = tool(&lab, "age", args);
        let output = command.env("PATH", &path).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let theirs = real(&["-d", "-i", "stub.txt", "passwords.yaml.age"]);
    assert_eq!(String::from_utf8(theirs).unwrap(), text);
    lab.write("plain.yaml", &text);
    let own = lab.recipient_of("key.txt");
    for more in [&["-r", RECIPIENT, "-a"][..], &["-r", &own, "-r", RECIPIENT]] {
        real(&[&["-o", "passwords.yaml.age"], more, &["plain.yaml"]].concat());
        with_path(&lab, &path, &["-i", "stub.txt", "index", "--write"]).exits(0);
        with_path(&lab, &path, &["-i", "stub.txt", "validate"]).exits(0);
    }
}

#[test]
fn a_plugin_gets_no_login_no_key_and_no_folder_of_the_repository() {
    let (mut lab, path) = lab();
    let secrets = [
        ("OS_PASSWORD", "canary-os-password"),
        ("OS_TOKEN", crate::support::TOKEN),
        ("HW_SECRET_KEY", "canary-hw-secret"),
        ("DRSPASS_IDENTITY_KEY", "canary-identity-key"),
        ("AWS_SECRET_ACCESS_KEY", "canary-aws"),
        ("CI_JOB_TOKEN", "canary-job-token"),
        ("https_proxy", "http://user:canary-proxy@proxy.example"),
    ];
    lab.plant(&secrets.map(|(_, value)| value));
    lab.write(
        "plain.yaml",
        format!("version: 1\njobs:\n{}", super::jobs()),
    );
    let args = ["-i", "stub.txt", "encrypt", "plain.yaml"];
    let run = detached_command(&lab, &args, |command| {
        command
            .env("PATH", &path)
            .envs(secrets)
            .env("LANG", "C.UTF-8");
    });
    run.exits(0);
    std::fs::remove_file(lab.path("plain.yaml")).unwrap();
    // Every run has left what it saw; the files of the lab are searched after each.
    let seen = lab.read("environment");
    assert!(
        seen.contains("LANG=C.UTF-8") && seen.contains("HOME="),
        "{seen}"
    );
    for (name, _) in secrets {
        assert!(!seen.contains(&format!("{name}=")), "{name}");
    }
    assert!(lab.read("folder").chars().all(|c| c == '/'));
}

#[test]
fn a_missing_plugin_is_named_and_other_identities_are_tried_first() {
    let (lab, _) = lab();
    detached(&lab, &["-i", "stub.txt", "show"])
        .exits(1)
        .says("age-plugin-stub is needed, and is in no absolute directory of PATH");
    let other = sealed_to(&[&public("ed25519")]);
    other.write("stub.txt", format!("{IDENTITY}\n"));
    let open = fixture("ed25519");
    detached(
        &other,
        &["-i", "stub.txt", "-i", open.to_str().unwrap(), "show"],
    )
    .exits(0);
    // Nor does it hide that a file cannot be sealed.
    let before = lab.read("passwords.yaml.age");
    lab.write(
        "plain.yaml",
        format!("version: 1\njobs:\n{}", super::first_jobs(&lab)),
    );
    std::fs::remove_file(lab.path("passwords.yaml.age")).unwrap();
    detached(&lab, &["encrypt", "plain.yaml"])
        .exits(1)
        .says("age-plugin-stub is needed");
    assert!(!lab.exists("passwords.yaml.age"));
    lab.write("passwords.yaml.age", before);
    std::fs::remove_file(lab.path("plain.yaml")).unwrap();
}

#[test]
fn a_program_of_the_work_tree_is_never_taken_for_a_plugin() {
    let (lab, _) = lab();
    std::fs::remove_file(lab.path("environment")).unwrap();
    install(&lab, ".", "stub");
    for path in [
        "",
        ".",
        ":/usr/bin:/bin",
        "/usr/bin:/bin:",
        "bin:/usr/bin",
        "./bin:/usr/bin:/bin",
    ] {
        // The wrapper needs a PATH of its own to be found.
        let inner = format!(
            "PATH='{path}'; export PATH; exec {} -i stub.txt show",
            env!("CARGO_BIN_EXE_drspass")
        );
        let command = tool(&lab, "/bin/sh", &["-c", &inner]);
        lab.run_command(without_terminal(&command))
            .exits(1)
            .says("age-plugin-stub is needed");
        assert!(!lab.exists("environment"), "{path:?} started it");
    }
}

#[test]
fn what_a_plugin_asks_is_asked_on_the_terminal_alone() {
    let (lab, _) = lab();
    let path = install(&lab, "bin", "stub-pin");
    lab.write("pin.txt", format!("{PIN_IDENTITY}\n"));
    let run = with_path(&lab, &path, &["-i", "pin.txt", "show"])
        .exits(1)
        .says("age-plugin-stub-pin asked for input, and there is no terminal");
    assert_eq!(run.stdout, "");
    let answers = |pin, choice| {
        [
            ("\"Name of the token\": ", Typed::Seen("token-7")),
            ("\"PIN of the token\": ", Typed::Hidden(pin)),
            ("1 or 2: ", Typed::Seen(choice)),
        ]
    };
    let on_terminal = |answers: &[(&str, Typed)]| {
        let args = ["-i", "pin.txt", "show"];
        terminal::run(
            &lab,
            env!("CARGO_BIN_EXE_drspass"),
            &args,
            answers,
            |command| {
                command.env("PATH", &path);
            },
        )
    };
    on_terminal(&answers("canary-pin", "1"))
        .exits(0)
        .says("1: \"Use it\" 2: \"Leave it\"")
        .says("Manifest: 1 entry")
        .says_not("canary-pin");
    for (pin, choice) in [("canary-pin", "2"), ("canary-other", "1")] {
        on_terminal(&answers(pin, choice))
            .exits(1)
            .says("age-plugin-stub-pin failed: \"that is not how it works\"")
            .says_not(pin);
    }
}

#[test]
fn a_question_of_a_plugin_that_is_not_answered_leaves_the_terminal_as_it_was() {
    let (lab, _) = lab();
    let path = install(&lab, "bin", "stub-pin");
    lab.write("pin.txt", format!("{PIN_IDENTITY}\n"));
    // Threads that talk with the plugin are there while the question is.
    for (typed, code, said) in [
        (Typed::Signal(Signal::SIGTERM), None, "PIN of the token"),
        (Typed::Signal(Signal::SIGHUP), None, "PIN of the token"),
        (
            Typed::Interrupt,
            Some(130),
            "Cancelled. Nothing was sent or changed.",
        ),
        (
            Typed::Hidden("\u{4}"),
            Some(1),
            "asked for input and got none",
        ),
        (
            Typed::Hidden("canary\tpin"),
            Some(1),
            "asked for input, which contained a control key or invalid UTF-8",
        ),
    ] {
        let mut answers = vec![
            ("\"Name of the token\": ", Typed::Seen("token-7")),
            ("\"PIN of the token\": ", typed),
        ];
        // This plugin goes on where it got no answer.
        if code == Some(1) {
            answers.push(("1 or 2: ", Typed::Seen("1")));
        }
        let args = ["-i", "pin.txt", "show"];
        let program = env!("CARGO_BIN_EXE_drspass");
        let run = terminal::run(&lab, program, &args, &answers, |command| {
            command.env("PATH", &path);
        });
        assert_eq!(run.code, code, "{}", run.stdout);
        assert!(!run.says(said).stdout.contains("canary"));
    }
}

#[test]
fn what_a_plugin_says_cannot_move_the_cursor_or_give_orders() {
    let (lab, _) = lab();
    let path = install(&lab, "bin", "stub-fail");
    lab.write("fail.txt", format!("{FAIL_IDENTITY}\n"));
    let run = with_path(&lab, &path, &["-i", "fail.txt", "show"])
        .exits(1)
        .says("age-plugin-stub-fail failed: \"no \\u{1b}[2Jdevice");
    for sign in ["\u{1b}", "##", "\u{202e}", "\n##"] {
        assert!(!run.all().contains(sign), "{sign:?}\n{}", run.all());
    }
}

#[test]
fn a_root_folder_can_be_made_for_a_plugin() {
    let (lab, path) = lab();
    std::fs::create_dir(lab.path("sub")).unwrap();
    let init = |recipient: &str, path: &str| {
        let args = ["-C", "sub", "init", "--recipient", recipient];
        let more = ["--region", "eu-de", "--project-id", "p"];
        with_path(&lab, path, &[&args[..], &more].concat())
    };
    init(RECIPIENT, "/usr/bin:/bin")
        .exits(1)
        .says("age-plugin-stub is needed");
    for bad in [
        "age1stub1d4skgefdw4cqphmwgy",
        "age1st/ub1d4skgefdw4cqphmwgx",
    ] {
        init(bad, &path).exits(1);
    }
    assert_eq!(std::fs::read_dir(lab.path("sub")).unwrap().count(), 0);
    init(RECIPIENT, &path).exits(0);
    let args = ["-C", "sub", "-i", "../stub.txt", "show"];
    with_path(&lab, &path, &args).exits(0);
    with_path(
        &lab,
        &path,
        &["-C", "sub", "validate", "--require-encrypted"],
    )
    .exits(0);
}
