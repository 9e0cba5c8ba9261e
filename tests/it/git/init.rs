//! `init` and what it tells git.

use std::fs;

use super::{commit, git, git_command, program, repository, rotate, script};
use crate::support::{J1, Lab, Run};

const ATTRIBUTES: &str = "/drspass.yaml -text -filter\n/passwords.yaml.age -text -filter diff=drspass\n\
    /drspass.state.json* -text -filter\n";

/// A work tree without a root folder.
fn empty_repository() -> Lab {
    let lab = Lab::new();
    for name in [
        ".gitattributes",
        ".gitignore",
        "drspass.yaml",
        "passwords.yaml.age",
    ] {
        fs::remove_file(lab.path(name)).unwrap();
    }
    git(&lab, &["init", "--quiet", "."]).exits(0);
    lab
}

fn init(lab: &Lab, more: &[&str]) -> Run {
    let args = ["init", "--git", "--project-id", "p1", "--region", "eu-de"];
    lab.run(&[&args, more].concat())
}

fn setting(lab: &Lab, name: &str) -> String {
    git(lab, &["config", "--local", "--get-all", name]).stdout
}

#[test]
fn a_new_root_folder_gets_the_driver_and_a_second_time_does_nothing() {
    let lab = empty_repository();
    init(&lab, &[]).exits(0).says("key id: ");
    assert_eq!(lab.read(".gitattributes"), ATTRIBUTES);
    assert_eq!(
        setting(&lab, "diff.drspass.textconv"),
        "drspass show --textconv\n"
    );
    assert_eq!(setting(&lab, "diff.drspass.cachetextconv"), "false\n");
    // git itself sees the attributes.
    let seen = git(
        &lab,
        &["check-attr", "text", "diff", "--", "passwords.yaml.age"],
    );
    seen.says("text: unset").says("diff: drspass");
    let config = lab.read(".git/config");
    commit(&lab, "A root folder");
    lab.run(&["init", "--git"]).exits(0).says("nothing to do");
    assert_eq!(lab.read(".git/config"), config);
    assert_eq!(git(&lab, &["status", "--short"]).exits(0).stdout, "");
    init(&lab, &[]).exits(1).says("already set up");
}

#[test]
fn without_the_option_git_is_not_run_and_its_settings_stay() {
    let lab = empty_repository();
    let config = lab.read(".git/config");
    let mut command = lab.command(&["init", "--project-id", "p1", "--region", "eu-de"]);
    command.env("PATH", "");
    lab.run_command(command).exits(0);
    assert_eq!(lab.read(".gitattributes"), ATTRIBUTES);
    assert_eq!(lab.read(".git/config"), config);
}

#[test]
fn variables_that_name_another_repository_do_not_lead_there() {
    let lab = empty_repository();
    git(&lab, &["init", "--quiet", "other"]).exits(0);
    let other = lab.read("other/.git/config");
    let args = ["init", "--git", "--project-id", "p1", "--region", "eu-de"];
    let mut command = lab.command(&args);
    command
        .env("GIT_DIR", lab.path("other/.git"))
        .env("GIT_WORK_TREE", lab.path("other"));
    lab.run_command(command).exits(0);
    assert_eq!(lab.read("other/.git/config"), other);
    assert_eq!(
        setting(&lab, "diff.drspass.textconv"),
        "drspass show --textconv\n"
    );
}

#[test]
fn a_clone_is_told_and_missing_lines_are_appended() {
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    commit(&lab, "First");
    git(&lab, &["clone", "--quiet", ".", "clone"]).exits(0);
    assert_eq!(setting(&lab, "remote.origin.url"), "");
    let before = fs::read(lab.path("clone/passwords.yaml.age")).unwrap();
    // As it was written before there was a driver, and without a line end.
    lab.write(
        "clone/.gitattributes",
        "*.png binary\n/passwords.yaml.age -text",
    );
    lab.write("clone/.gitignore", "/mine\n");
    let run = lab.run(&["-C", "clone", "init", "--git"]).exits(0);
    let run = run.says("wrote .gitignore").says("wrote .gitattributes");
    run.says("set diff.drspass.textconv")
        .says("Only git was set up");
    assert_eq!(
        lab.read("clone/.gitattributes"),
        format!("*.png binary\n/passwords.yaml.age -text\n{ATTRIBUTES}")
    );
    let ignored = lab.read("clone/.gitignore");
    assert!(
        ignored.starts_with("/mine\n/drspass.state.json.journal\n"),
        "{ignored}"
    );
    assert_eq!(
        fs::read(lab.path("clone/passwords.yaml.age")).unwrap(),
        before
    );
    let run = git(
        &lab,
        &["-C", "clone", "config", "--local", "diff.drspass.textconv"],
    );
    assert_eq!(run.exits(0).stdout, "drspass show --textconv\n");
    // In a folder below the top, too.
    fs::create_dir(lab.path("clone/envs")).unwrap();
    let args = [
        "-C",
        "clone/envs",
        "init",
        "--git",
        "--project-id",
        "p1",
        "--region",
        "eu-de",
    ];
    let key = lab.recipient_of("key.txt");
    let args = [&args[..], &["--recipient", &key]].concat();
    let run = lab.run(&args).exits(0);
    assert!(
        !run.all().contains("set diff"),
        "it is set already\n{}",
        run.all()
    );
    assert_eq!(lab.read("clone/envs/.gitattributes"), ATTRIBUTES);
}

#[test]
fn what_git_refuses_is_refused_before_anything_is_written() {
    let lab = empty_repository();
    let nothing = |lab: &Lab| {
        for name in [
            "drspass.yaml",
            "passwords.yaml.age",
            ".gitattributes",
            ".gitignore",
        ] {
            assert!(!lab.exists(name), "{name}");
        }
    };
    git(&lab, &["config", "diff.drspass.textconv", "my own thing"]).exits(0);
    let config = lab.read(".git/config");
    let run = init(&lab, &[])
        .exits(1)
        .says("diff.drspass.textconv has another value");
    assert!(!run.all().contains("my own"), "{}", run.all());
    nothing(&lab);
    assert_eq!(lab.read(".git/config"), config);
    // Two values, of which one is right.
    git(
        &lab,
        &[
            "config",
            "--add",
            "diff.drspass.textconv",
            "drspass show --textconv",
        ],
    )
    .exits(0);
    init(&lab, &[]).exits(1).says("Nothing was written");
    git(&lab, &["config", "--unset-all", "diff.drspass.textconv"]).exits(0);

    // A program named git of the work tree is not run.
    script(&lab, "bin/git", "#!/bin/sh\n: > \"$HOME/ran\"\necho true\n");
    for path in ["bin:.:", "", "/nowhere"] {
        let mut command =
            lab.command(&["init", "--git", "--project-id", "p1", "--region", "eu-de"]);
        command.env("PATH", path);
        lab.run_command(command)
            .exits(1)
            .says("cannot find git in PATH");
        nothing(&lab);
    }
    assert!(!lab.exists("ran"));

    let mut command = lab.command(&[
        "-C",
        ".git",
        "init",
        "--git",
        "--project-id",
        "p1",
        "--region",
        "eu-de",
    ]);
    command.stdin(std::process::Stdio::null());
    lab.run_command(command)
        .exits(1)
        .says("not in a usable git work tree");
    fs::rename(lab.path(".git"), lab.path("moved")).unwrap();
    let mut command = lab.command(&["init", "--git", "--project-id", "p1", "--region", "eu-de"]);
    // The folder of this test may be below a repository.
    command.env("GIT_CEILING_DIRECTORIES", lab.dir.path().parent().unwrap());
    lab.run_command(command)
        .exits(1)
        .says("not in a usable git work tree")
        .says("Nothing was written");
    nothing(&lab);
    lab.run(&["-C", "nowhere", "init", "--git"]).exits(1);
}

#[test]
fn what_git_cannot_set_is_completed_by_a_second_run() {
    let lab = empty_repository();
    lab.write(".git/config.lock", "");
    // Both as a part of making the folder, and where it is there already.
    for run in [init(&lab, &[]), lab.run(&["init", "--git"])] {
        run.exits(1)
            .says("git cannot set diff.drspass.textconv")
            .says("the manifest, .gitignore and .gitattributes are written")
            .says("run 'drspass init --git' without other options");
        assert_eq!(lab.read(".gitattributes"), ATTRIBUTES);
    }
    let manifest = fs::read(lab.path("passwords.yaml.age")).unwrap();
    fs::remove_file(lab.path(".git/config.lock")).unwrap();
    lab.run(&["init", "--git"])
        .exits(0)
        .says("set diff.drspass.textconv");
    assert_eq!(setting(&lab, "diff.drspass.cachetextconv"), "false\n");
    assert_eq!(fs::read(lab.path("passwords.yaml.age")).unwrap(), manifest);
}

#[test]
fn git_sees_no_login_and_no_key() {
    let lab = empty_repository();
    script(
        &lab,
        "bin/git",
        "#!/bin/sh\nenv >> \"$HOME/seen\"\nexec /usr/bin/git \"$@\"\n",
    );
    let mut command = lab.command(&["init", "--git", "--project-id", "p1", "--region", "eu-de"]);
    let path = format!("{}:/usr/bin:/bin", lab.path("bin").display());
    command
        .env("PATH", path)
        .env("DRSPASS_IDENTITY", lab.path("key.txt"))
        // Settings of one command, of which a part would not arrive.
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "diff.drspass.textconv")
        .env("GIT_CONFIG_VALUE_0", "something else");
    lab.run_command(command).exits(0);
    let seen = lab.read("seen");
    assert!(seen.contains("HOME="), "{seen}");
    for name in ["OS_TOKEN", "DRSPASS_", "canary"] {
        assert!(!seen.contains(name), "{name}");
    }
}

#[test]
fn a_manifest_with_an_odd_name_is_matched_by_git() {
    let lab = repository();
    fs::create_dir(lab.path("secret things")).unwrap();
    for name in ["./secret things/a [x] #1.age", "!odd*.age", "plain.age"] {
        let config = lab.read("drspass.yaml");
        let without: String = config
            .lines()
            .filter(|line| !line.starts_with("manifest:"))
            .map(|line| format!("{line}\n"))
            .collect();
        lab.write("drspass.yaml", format!("{without}manifest: '{name}'\n"));
        fs::copy(lab.path("passwords.yaml.age"), lab.path(name)).unwrap();
        lab.run(&["init", "--git"])
            .exits(0)
            .says("wrote .gitattributes");
        let run = git(&lab, &["check-attr", "diff", "text", "--", name]);
        let run = run.exits(0).says("diff: drspass").says("text: unset");
        assert_eq!(run.stdout.lines().count(), 2);
    }
}

#[test]
fn a_clone_that_rewrites_line_ends_leaves_those_of_drspass() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.apply(&[]).exits(0);
    git(&lab, &["init", "--quiet", "."]).exits(0);
    // Also where the state has siblings, and a pattern of somebody else names them.
    lab.write("drspass.state.json.recovery-1", "made up\n");
    lab.write(".git/wide", "* text eol=crlf\n*.json text eol=crlf\n");
    let wide = lab.path(".git/wide");
    let attributes = format!("core.attributesFile={}", wide.display());
    git(&lab, &["add", "--force", "*.json*"]).exits(0);
    commit(&lab, "A state");
    let settings = ["-c", "core.autocrlf=true", "-c", &attributes];
    let clone = ["clone", "--quiet", ".", "clone"];
    git(&lab, &[&settings[..], &clone].concat()).exits(0);
    for name in [
        "drspass.yaml",
        "passwords.yaml.age",
        "drspass.state.json",
        "drspass.state.json.recovery-1",
    ] {
        assert_eq!(lab.read(&format!("clone/{name}")), lab.read(name), "{name}");
    }
    assert!(lab.read("clone/.gitignore").contains("\r\n"));
    lab.run(&["-C", "clone", "-i", "../key.txt", "plan"])
        .exits(0)
        .says("1 in sync");
}

#[test]
fn commands_that_change_nothing_leave_git_status_clean() {
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    commit(&lab, "First");
    for args in [
        &["validate"][..],
        &["validate", "--require-encrypted"],
        &["show"],
        &["show", "--textconv", "passwords.yaml.age"],
        &["plan"],
        &["init", "--git"],
    ] {
        lab.run(args).exits(0);
    }
    for command in [git_command(&lab, &["diff"]), {
        let mut status = program(&lab, "git");
        status.args(["status", "--short"]);
        status
    }] {
        assert_eq!(lab.run_command(command).exits(0).stdout, "");
    }
}

#[test]
fn what_a_killed_write_leaves_is_kept_out_of_git() {
    let lab = repository();
    let left = |lab: &Lab| {
        let names = fs::read_dir(lab.dir.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".drspass-")).count()
    };
    lab.killed_at("files.before_rename", 1, &["plan", "--out", "plan.json"]);
    assert_eq!(left(&lab), 1);
    lab.killed_at("files.before_rename", 1, &["rekey", "--yes"]);
    assert_eq!(left(&lab), 2);
    assert_eq!(git(&lab, &["status", "--short"]).exits(0).stdout, "");
}
