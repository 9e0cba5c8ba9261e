//! `init` and what it tells git.

use std::fs;

use super::{commit, git, git_command, program, repository, rotate};
use crate::support::{J1, Lab};

const ATTRIBUTES: &str = "/drspass.yaml -text -filter\n/passwords.yaml.age -text -filter -diff\n\
    /passwords.index.yaml text eol=lf -filter\n/drspass.state.json* -text -filter\n";

/// A work tree without a root folder.
fn empty_repository() -> Lab {
    let lab = Lab::new();
    for name in [
        ".gitattributes",
        ".gitignore",
        "drspass.yaml",
        "passwords.index.yaml",
        "passwords.yaml.age",
    ] {
        fs::remove_file(lab.path(name)).unwrap();
    }
    git(&lab, &["init", "--quiet", "."]).exits(0);
    lab
}

#[test]
fn git_takes_the_manifest_for_binary_and_the_index_for_text() {
    let lab = empty_repository();
    let config = lab.read(".git/config");
    let init = ["init", "--project-id", "p1", "--region", "eu-de"];
    let mut command = lab.command(&init);
    // git itself is not run.
    command.env("PATH", "");
    lab.run_command(command).exits(0).says("key id: ");
    assert_eq!(lab.read(".gitattributes"), ATTRIBUTES);
    assert_eq!(lab.read(".git/config"), config);
    let seen = |name| {
        let listed = git(&lab, &["check-attr", "--all", "--", name]).stdout;
        let mut lines: Vec<String> = listed.lines().map(|line| format!("{line}\n")).collect();
        lines.sort();
        lines.concat()
    };
    assert_eq!(
        seen("passwords.yaml.age"),
        "passwords.yaml.age: diff: unset\npasswords.yaml.age: filter: unset\npasswords.yaml.age: text: unset\n"
    );
    assert_eq!(
        seen("passwords.index.yaml"),
        "passwords.index.yaml: eol: lf\npasswords.index.yaml: filter: unset\npasswords.index.yaml: text: set\n"
    );
    lab.run(&init).exits(1).says("already set up");
}

#[test]
fn lines_that_git_files_lack_are_appended() {
    let lab = empty_repository();
    // Without a line end.
    lab.write(".gitattributes", "*.png binary\n/drspass.yaml -text");
    lab.write(".gitignore", "/mine\n");
    let init = ["init", "--project-id", "p1", "--region", "eu-de"];
    let run = lab.run(&init).exits(0);
    run.says("wrote .gitignore").says("wrote .gitattributes");
    assert_eq!(
        lab.read(".gitattributes"),
        format!("*.png binary\n/drspass.yaml -text\n{ATTRIBUTES}")
    );
    let ignored = lab.read(".gitignore");
    assert!(
        ignored.starts_with("/mine\n/drspass.state.json.journal\n"),
        "{ignored}"
    );
}

#[test]
fn a_manifest_with_an_odd_name_is_matched_by_git() {
    let lab = empty_repository();
    fs::create_dir(lab.path("secret things")).unwrap();
    let init = ["init", "--project-id", "p1", "--region", "eu-de"];
    lab.run(&init).exits(0);
    for (name, index) in [
        (
            "./secret things/a [x] #1.age",
            "secret things/a [x] #1.index.yaml",
        ),
        ("!odd*.age", "!odd*.index.yaml"),
        ("plain.age", "plain.index.yaml"),
    ] {
        let config = lab.read("drspass.yaml");
        let without: String = config
            .lines()
            .filter(|line| !line.starts_with("manifest:"))
            .map(|line| format!("{line}\n"))
            .collect();
        lab.write("drspass.yaml", format!("{without}manifest: '{name}'\n"));
        lab.run(&["init"]).exits(0).says("wrote .gitattributes");
        let run = git(&lab, &["check-attr", "diff", "text", "--", name]);
        let run = run.exits(0).says("diff: unset").says("text: unset");
        assert_eq!(run.stdout.lines().count(), 2);
        let run = git(&lab, &["check-attr", "eol", "--", index]);
        run.exits(0).says("eol: lf");
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
        "passwords.index.yaml",
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
        &["plan"],
        &["index"],
        &["index", "--write"],
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
    lab.write("plan.json", "");
    assert_eq!(git(&lab, &["status", "--short"]).exits(0).stdout, "");
}

#[test]
fn a_key_elsewhere_in_the_work_tree_is_kept_out_of_git_too() {
    let lab = Lab::new();
    let repository = lab.path("repository");
    fs::create_dir_all(repository.join("envs/prod")).unwrap();
    git(&lab, &["init", "--quiet", "repository"]).exits(0);
    let (endpoint, auth_url) = lab.addresses();
    let place = [
        "-C",
        "repository/envs/prod",
        "init",
        "-i",
        "../../key one.txt",
    ];
    let target = [
        "--project-id",
        lab.sim.project_id(),
        "--endpoint",
        &endpoint,
        "--auth-url",
        &auth_url,
    ];
    let mut init = lab.command(&[&place[..], &target].concat());
    init.env_remove("DRSPASS_IDENTITY");
    lab.run_command(init)
        .exits(0)
        .says("wrote ../../.gitignore");
    git(&lab, &["-C", "repository", "add", "--all"]).exits(0);
    let staged = git(&lab, &["-C", "repository", "ls-files"]).exits(0).stdout;
    assert!(staged.contains("envs/prod/drspass.yaml"), "{staged}");
    assert!(!staged.contains("key"), "{staged}");
}
