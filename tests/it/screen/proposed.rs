//! Commands that a command proposes: they work where they are pasted.

use std::fs;
use std::process::Command;

use crate::support::around::through;
use crate::support::{J1, Lab, Run};

/// Runs a proposed command as a shell reads it.
fn pasted(lab: &Lab, line: &str) -> Run {
    let script = format!("drspass() {{ \"$0\" \"$@\"; }}; {line}");
    let program = lab.command::<&str>(&[]);
    let mut shell = through("sh", &["-c", &script], &program);
    shell.env("DRSPASS_IDENTITY", lab.path("key.txt"));
    lab.run_command(shell)
}

#[test]
fn a_proposed_command_works_on_the_directory_and_the_state_of_the_command_before_it() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    fs::create_dir(lab.path("my prod")).unwrap();
    for name in ["drspass.yaml", "passwords.index.yaml", "passwords.yaml.age"] {
        fs::rename(lab.path(name), lab.path("my prod").join(name)).unwrap();
    }
    let there = |args: &[&str]| -> Command {
        let mut command = lab.command(args);
        command.env("DRSPASS_IDENTITY", lab.path("key.txt"));
        command.env("EDITOR", "sh -c 'echo >>\"$0\"'");
        command
    };
    let address = format!("{J1}/source");
    let (shown, saved) = (format!("get --show {address}"), "apply 'my plan.json'");
    fs::write(
        lab.path("my prod/list.csv"),
        format!("address,password\n{address},canary-2\n"),
    )
    .unwrap();
    for options in [&["-C", "my prod"][..], &["-C", "my prod", "--state", "a b"]] {
        let quoted = shell_words::join(options);
        for (args, proposed) in [
            (&["set", &address, "--generate"][..], &[&*shown, "plan"][..]),
            (&["import", "list.csv", "--write"], &["plan"]),
            (&["edit"], &["plan"]),
            (&["plan", "--out", "my plan.json"], &[saved]),
            (&["state", "list"], &["state show"]),
        ] {
            let run = lab.run_command(there(&[options, args].concat())).exits(0);
            for words in proposed {
                let line = format!("drspass {quoted} {words}");
                assert!(run.all().contains(&line), "{line}\n{}", run.all());
                assert!(!run.all().contains(&format!("'{line}'")), "{line}");
                pasted(&lab, &line).exits(0);
            }
        }
        let unmatched = there(&[options, &["plan", "--only", "nothing"]].concat());
        lab.run_command(unmatched).exits(1).says(&format!(
            "or @CREDENTIAL; drspass {quoted} show lists them."
        ));
        fs::remove_file(lab.path("my prod/my plan.json")).unwrap();
    }
    let (endpoint, auth_url) = lab.addresses();
    let mut with_key = lab.command(&["-C", "my prod", "-i", "../key.txt", "set", &address]);
    with_key.arg("--generate").env_remove("DRSPASS_IDENTITY");
    let shown = format!("drspass -C 'my prod' -i ../key.txt {shown}");
    lab.run_command(with_key).exits(0).says(&shown);
    pasted(&lab, &format!("unset DRSPASS_IDENTITY; {shown}")).exits(0);
    fs::create_dir(lab.path("new")).unwrap();
    lab.run_command(there(&["-C", "new", "plan"]))
        .exits(1)
        .says("new/drspass.yaml does not exist help: Nothing was sent. Run 'drspass -C new init' to create it");
    lab.run_command(there(&["-C", "prod", "plan"]))
        .exits(1)
        .says("prod does not exist help: Nothing was sent. Name an environment's directory with -C DIR: my prod.");
    let project = lab.sim.project_id();
    let mut init = vec![
        "-C",
        "new",
        "--state",
        "passwords.json",
        "init",
        "-i",
        "key.txt",
        "--project-id",
        project,
    ];
    init.extend(["--endpoint", &endpoint, "--auth-url", &auth_url]);
    let run = lab.run_command(there(&init)).exits(0);
    run.says("Next: run 'drspass -C new edit' to fill in the manifest.");
    let former = ["-C", "my prod", "--state", "drspass.state.json"];
    let moved = there(&[&former[..], &["state", "move", "moved.json"]].concat());
    let done = "drspass -C 'my prod' state move --done";
    lab.run_command(moved)
        .exits(0)
        .says("Next: commit drspass.yaml, the manifest, its index, .gitignore, .gitattributes, moved.json. Until")
        .says(&format!("When all have them: {done}"));
    pasted(&lab, done).exits(0);
}
