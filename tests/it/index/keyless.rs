//! What a change request can check: all of it without a key.

use std::fs;

use drspass::age_file::{self, Plugins};

use super::{INDEX, MANIFEST, index, lab, rotate};
use crate::git::{commit, git, repository};
use crate::support::{J1, Lab, Run};

/// The check of a change request, with more arguments.
fn check(lab: &Lab, more: &[&str]) -> Run {
    check_in(lab, ".", more)
}

fn check_in(lab: &Lab, folder: &str, more: &[&str]) -> Run {
    let args = ["-C", folder, "validate", "--require-encrypted"];
    let mut command = lab.command(&[&args[..], more].concat());
    command.env_remove("DRSPASS_IDENTITY");
    lab.run_command(command)
}

#[test]
fn an_index_that_must_be_there_and_is_not_is_refused() {
    let lab = lab();
    check(&lab, &["--require-index"])
        .exits(0)
        .says("passwords.index.yaml: fits the manifest");
    let json = check(&lab, &["--require-index", "--json"]).exits(0).stdout;
    assert!(json.contains("\"valid\":true"), "{json}");
    fs::remove_file(lab.path(INDEX)).unwrap();
    check(&lab, &[]).exits(0);
    check(&lab, &["--require-index"])
        .exits(1)
        .says("passwords.index.yaml")
        .says("does not exist");
    // Also next to a check with the key.
    lab.run(&["validate", "--require-index"]).exits(1);
    let json = check(&lab, &["--require-index", "--json"]).exits(1).stdout;
    assert!(
        json.contains("\"valid\":false") && json.contains(INDEX),
        "{json}"
    );
}

#[test]
fn only_the_form_that_drspass_writes_passes() {
    let lab = lab();
    let right = index(&lab);
    for (what, text) in [
        (
            "a comment",
            right.replace("jobs:\n", "jobs:\n  # checked\n"),
        ),
        (
            "a doubled key",
            right.replace("jobs:\n", "jobs: {}\njobs:\n"),
        ),
        ("line ends", right.replace('\n', "\r\n")),
        ("a mark", format!("\u{feff}{right}")),
        (
            "a hidden direction",
            right.replace("name: orders", "name: o\u{202e}rders"),
        ),
        (
            "a lookalike",
            right.replace("name: orders", "name: \u{43e}rders"),
        ),
        (
            "a long line",
            right.replace("name: orders", &format!("name: {}", "o".repeat(10 << 20))),
        ),
        (
            "a long comment",
            format!("{right}# {}\n", "o".repeat(10 << 20)),
        ),
        (
            "an anchor",
            right.replace("name: orders", "name: &a orders"),
        ),
        ("a second document", format!("{right}---\n{right}")),
        ("text", "made-up-password\n".to_owned()),
        ("nothing", String::new()),
        ("a newer format", right.replace("index/1", "index/2")),
        ("bytes", format!("{right}\0")),
    ] {
        lab.write(INDEX, text);
        let run = check(&lab, &[]).exits(1);
        let run = run.says("differs from what drspass writes");
        assert!(!run.all().contains("made-up"), "{what}");
        assert!(run.all().len() < 600, "{what}: {}", run.all());
    }
}

#[test]
fn an_index_of_another_manifest_or_other_settings_is_refused() {
    let mut lab = lab();
    let stale = index(&lab);
    rotate(&mut lab, "canary-later");
    let right = index(&lab);
    lab.write(INDEX, stale);
    check(&lab, &[])
        .exits(1)
        .says("manifest.sha256: belongs to another manifest");
    let key = lab.recipient_of("key.txt");
    let (_, stranger) = age_file::generate_identity("2026-01-02T03:04:05Z");
    let project = lab.sim.project_id().to_owned();
    for (from, to, says) in [
        (
            key.as_str(),
            stranger.as_str(),
            "recipients: differ from drspass.yaml: + age1",
        ),
        (
            &project,
            "another",
            "target.project_id: is another, but drspass.yaml says",
        ),
        (
            "auth_url: http://",
            "auth_url: https://",
            "target.auth_url: is https://",
        ),
        (
            "endpoint: http://",
            "endpoint: https://",
            "target.endpoint: is https://",
        ),
        (
            "state: drspass",
            "state: other",
            "target.state: is other.state.json",
        ),
    ] {
        assert!(right.contains(from), "{from}");
        lab.write(INDEX, right.replace(from, to));
        check(&lab, &[]).exits(1).says(says);
    }
    // All at once, and each line a person can act on.
    let both = right
        .replace(&project, "another")
        .replace("state: drspass", "state: other");
    lab.write(INDEX, both);
    check(&lab, &[])
        .exits(1)
        .says("target.project_id")
        .says("target.state")
        .says("2 problems");
}

#[test]
fn a_manifest_that_more_or_other_people_can_open_does_not_fit_the_index() {
    let lab = lab();
    let plain = lab.run(&["decrypt"]).exits(0).stdout;
    let own = lab.recipient_of("key.txt");
    let (_, stranger) = age_file::generate_identity("2026-01-02T03:04:05Z");
    let ssh = include_str!("../../data/locked_ed25519.pub")
        .trim()
        .to_owned();
    let digest = |file: &[u8]| -> String {
        let digest = age_file::digest(file);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let right = index(&lab);
    let old = digest(&fs::read(lab.path(MANIFEST)).unwrap());
    assert!(right.contains(&old));
    for (people, says) in [
        (vec![own.clone(), stranger], "stanzas 2, recipients 1"),
        (vec![own, ssh.clone()], "stanzas 2, recipients 1"),
        (vec![ssh], "is not encrypted to age1"),
    ] {
        let file = age_file::encrypt(plain.as_bytes(), &people, Plugins::Never).unwrap();
        lab.write(INDEX, right.replace(&old, &digest(&file)));
        lab.write(MANIFEST, file);
        check(&lab, &[]).exits(1).says(says);
    }
}

#[test]
fn attributes_that_hide_changes_of_the_index_are_refused() {
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    check(&lab, &["--require-index"]).exits(0);
    fs::create_dir_all(lab.path("envs/a b")).unwrap();
    for name in ["drspass.yaml", MANIFEST, INDEX, ".gitattributes"] {
        fs::copy(lab.path(name), lab.path(&format!("envs/a b/{name}"))).unwrap();
    }
    check_in(&lab, "envs/a b", &["--require-index"]).exits(0);
    let own = lab.read(".gitattributes");
    for (attribute, name) in [
        ("-diff", "diff"),
        ("diff=other", "diff"),
        ("binary", "binary"),
        ("filter=lfs", "filter"),
        ("linguist-generated", "linguist-generated"),
        ("linguist-generated=true", "linguist-generated"),
        ("linguist-vendored", "linguist-vendored"),
        ("gitlab-generated", "gitlab-generated"),
        ("working-tree-encoding=UTF-16", "working-tree-encoding"),
    ] {
        let says = format!("has the git attribute {name}, which can hide its changes");
        lab.write(".gitattributes", format!("{own}*.index.yaml {attribute}\n"));
        check(&lab, &[]).exits(1).says(&says);
        if name != "filter" {
            // Also from a folder above.
            check_in(&lab, "envs/a b", &[]).exits(1).says(&says);
        }
        lab.write(".gitattributes", &own);
    }
    lab.write(
        ".gitattributes",
        format!("* text=auto whitespace=trailing-space\n{own}"),
    );
    check(&lab, &[]).exits(0);
    // git must be there to be asked.
    let mut command = lab.command(&["validate", "--require-encrypted"]);
    command.env("PATH", "/nowhere");
    lab.run_command(command)
        .exits(1)
        .says("cannot find git in PATH");
    fs::rename(lab.path(".git"), lab.path("moved")).unwrap();
    let mut command = lab.command(&["validate", "--require-encrypted"]);
    command.env("PATH", "/nowhere");
    lab.run_command(command).exits(0);
}

#[test]
fn a_change_request_is_compared_with_the_branch_that_it_is_for() {
    let mut lab = repository();
    rotate(&mut lab, "canary-base");
    commit(&lab, "Base");
    check(&lab, &["--base", "main"]).exits(0);
    git(&lab, &["switch", "--quiet", "--create", "request"]).exits(0);
    let base = fs::read(lab.path(MANIFEST)).unwrap();
    rotate(&mut lab, "canary-request");
    commit(&lab, "A change");
    check(&lab, &["--base", "main", "--require-index"]).exits(0);
    let key_of = |run: &Run| run.all().contains("manifest.key_id");
    assert!(!key_of(&check(&lab, &["--base", "main"])));

    // Another branch was merged in the meantime, with the same number.
    git(&lab, &["switch", "--quiet", "main"]).exits(0);
    rotate(&mut lab, "canary-other");
    commit(&lab, "Another change");
    git(&lab, &["switch", "--quiet", "request"]).exits(0);
    check(&lab, &["--base", "main"])
        .exits(1)
        .says("manifest.revision: is 3, but must be above 3");
    // An older manifest with its own index.
    lab.put_manifest(base);
    check(&lab, &["--base", "main"])
        .exits(1)
        .says("manifest.revision: is 2, but must be above 3");
    git(&lab, &["restore", "."]).exits(0);

    // A rekey is said, and the index cannot go away unnoticed.
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    let run = check(&lab, &["--base", "main"]).exits(0);
    assert!(key_of(&run), "{}", run.all());
    fs::remove_file(lab.path(INDEX)).unwrap();
    check(&lab, &[]).exits(0);
    check(&lab, &["--base", "main"])
        .exits(1)
        .says("does not exist");
    // Where there was none, none is needed.
    git(&lab, &["rm", "--quiet", "--cached", INDEX]).exits(0);
    commit(&lab, "No index");
    check(&lab, &["--base", "HEAD"]).exits(0);
}

#[test]
fn a_commit_that_is_not_there_is_an_error_that_says_how_to_fetch_it() {
    let mut lab = repository();
    rotate(&mut lab, "canary-base");
    commit(&lab, "Base");
    for (base, says) in [
        (
            "origin/main",
            "git fetch origin +refs/heads/main:refs/remotes/origin/main",
        ),
        (
            "nowhere",
            "git fetch origin +refs/heads/nowhere:refs/remotes/origin/nowhere",
        ),
        (
            "0123456789012345678901234567890123456789",
            "git fetch origin 0123456789012345678901234567890123456789",
        ),
        ("abc1234", "git fetch --unshallow origin."),
        ("a b", "Name a branch as origin/NAME"),
        ("--output=x", "Name a branch as origin/NAME"),
    ] {
        let run = check(&lab, &[&format!("--base={base}")]).exits(1);
        run.says(says).says("is not in this clone");
    }
    // A shallow clone of one branch, as pipelines make it.
    git(&lab, &["branch", "request"]).exits(0);
    let url = format!("file://{}", lab.dir.path().display());
    let clone = [
        "clone",
        "--quiet",
        "--depth",
        "1",
        "--branch",
        "request",
        &url,
        ".git/clone",
    ];
    git(&lab, &clone).exits(0);
    let run = check_in(&lab, ".git/clone", &["--base", "origin/main"]).exits(1);
    run.says("origin/main is not in this clone");
    let refs = "+refs/heads/main:refs/remotes/origin/main";
    git(
        &lab,
        &["-C", ".git/clone", "fetch", "--quiet", "origin", refs],
    )
    .exits(0);
    check_in(&lab, ".git/clone", &["--base", "origin/main"]).exits(0);
}

#[test]
fn git_sees_no_login_and_no_key_and_no_other_repository() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    commit(&lab, "First");
    fs::create_dir(lab.path("bin")).unwrap();
    let script = "#!/bin/sh\nenv >> \"$HOME/seen\"\nexec /usr/bin/git \"$@\"\n";
    lab.write("bin/git", script);
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(lab.path("bin/git"), mode).unwrap();
    // One of the work tree that the path does not name in full is not run.
    let path = format!("bin:.:{}", "/usr/bin");
    let own = format!("{}:/usr/bin:/bin", lab.path("bin").display());
    for (path, is_run) in [(path, false), (own, true)] {
        let args = ["validate", "--require-encrypted", "--base", "main"];
        let mut command = lab.command(&args);
        command
            .env("PATH", path)
            .env("GIT_DIR", "/nowhere")
            .env("GIT_WORK_TREE", "/")
            .env("GIT_ATTR_SOURCE", "nowhere")
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "core.attributesFile")
            .env("GIT_CONFIG_VALUE_0", "/nowhere");
        lab.run_command(command).exits(0);
        assert_eq!(lab.exists("seen"), is_run);
    }
    let seen = lab.read("seen");
    assert!(seen.contains("HOME="), "{seen}");
    for name in ["OS_TOKEN", "DRSPASS_", "canary"] {
        assert!(!seen.contains(name), "{name}");
    }
}

#[test]
fn without_a_repository_there_is_nothing_to_compare_with() {
    let lab = Lab::new();
    lab.manifest(&format!("  {J1}: {{ name: orders }}\n"))
        .exits(0);
    check(&lab, &["--base", "main"])
        .exits(1)
        .says("--base needs a git work tree");
    check(&lab, &[]).exits(0);
}

#[test]
fn the_repository_is_found_from_a_directory_below_its_top() {
    let lab = repository();
    fs::create_dir(lab.path("prod")).unwrap();
    for name in ["drspass.yaml", MANIFEST, INDEX, ".gitattributes"] {
        git(&lab, &["mv", name, "prod"]).exits(0);
    }
    commit(&lab, "Move");
    let args = ["validate", "--require-encrypted", "--base", "main"];
    let mut command = lab.command(&args);
    command.current_dir(lab.path("prod"));
    lab.run_command(command).exits(0);
    lab.write("prod/.gitattributes", "passwords.index.yaml -diff\n");
    let mut command = lab.command(&args);
    command.current_dir(lab.path("prod"));
    lab.run_command(command)
        .exits(1)
        .says("has the git attribute diff");
}

#[test]
fn files_of_a_repository_that_a_commit_brought_along_are_not_taken_for_one() {
    let lab = repository();
    fs::create_dir(lab.path("prod")).unwrap();
    for name in ["drspass.yaml", MANIFEST, INDEX] {
        fs::rename(lab.path(name), lab.path("prod").join(name)).unwrap();
    }
    commit(&lab, "a");
    check_in(&lab, "prod", &["--require-index"]).exits(0);
    let started = lab.path("started");
    for name in ["prod/objects/info", "prod/refs/heads"] {
        fs::create_dir_all(lab.path(name)).unwrap();
    }
    lab.write("prod/HEAD", "ref: refs/heads/main\n");
    lab.write(
        "prod/config",
        format!(
            "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\t\
             fsmonitor = \"touch {}; true\"\n",
            started.display()
        ),
    );
    check_in(&lab, "prod", &["--require-index"])
        .exits(1)
        .says("git");
    assert!(!started.exists(), "a program of the work tree was started");
}

#[test]
fn an_index_behind_a_link_is_not_hidden_by_attributes_of_its_own_directory() {
    let lab = repository();
    fs::create_dir(lab.path("real")).unwrap();
    for name in [MANIFEST, INDEX] {
        fs::rename(lab.path(name), lab.path("real").join(name)).unwrap();
    }
    std::os::unix::fs::symlink("real", lab.path("keep")).unwrap();
    let config = lab.read("drspass.yaml");
    lab.write(
        "drspass.yaml",
        config.replace(MANIFEST, "keep/passwords.yaml.age"),
    );
    check(&lab, &["--require-index"]).exits(0);
    lab.write("real/.gitattributes", "*.yaml -diff\n");
    check(&lab, &["--require-index"])
        .exits(1)
        .says("has the git attribute diff");
}

#[test]
fn another_name_of_the_manifest_is_compared_with_the_former_one() {
    let mut lab = repository();
    let older = [MANIFEST, INDEX].map(|name| lab.read(name));
    rotate(&mut lab, "canary-rotated");
    commit(&lab, "a");
    let config = lab.read("drspass.yaml");
    lab.write("drspass.yaml", config.replace(MANIFEST, "other.yaml.age"));
    lab.write("other.yaml.age", &older[0]);
    lab.write("other.index.yaml", &older[1]);
    check(&lab, &["--base", "HEAD"])
        .exits(1)
        .says("but must be above");
    fs::remove_file(lab.path("other.index.yaml")).unwrap();
    check(&lab, &["--base", "HEAD"])
        .exits(1)
        .says("does not exist");
}

#[test]
fn an_index_that_alone_was_changed_differs_from_the_base() {
    let mut lab = repository();
    rotate(&mut lab, "canary-rotated");
    commit(&lab, "a");
    let right = index(&lab);
    let tag = right.rfind("password: \"").unwrap() + "password: \"".len();
    let mut forged = right.clone();
    forged.replace_range(tag..tag + 16, "0123456789abcdef");
    lab.write(INDEX, forged);
    check(&lab, &["--base", "HEAD"])
        .exits(1)
        .says("which belongs to the same manifest");
    check(&lab, &["--base", ""]).exits(64);
}
