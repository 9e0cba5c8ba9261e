//! The scripts of the pipelines, where a machine is not as new as that of a pipeline.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::read;
use super::repository::{Repository, Runner};

fn program(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn drspass_is_built_from_the_source_with_the_known_checksum_and_from_nothing_else() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for folder in ["bin", "drspass-0.1.0"] {
        fs::create_dir(at(folder)).unwrap();
    }
    fs::write(at("drspass-0.1.0/Cargo.toml"), "made up\n").unwrap();
    let sh = |script: &str| {
        let output = Command::new("sh")
            .args(["-c", script])
            .current_dir(dir.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", at("bin").display()))
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (_, sum) = sh("tar -czf kept drspass-0.1.0 && cp kept given && sha256sum given");
    let sum = sum.split(' ').next().unwrap();
    program(
        &at("bin/curl"),
        "while [ \"$1\" != --output ]; do shift; done; cp given \"$2\"",
    );
    program(
        &at("bin/cargo"),
        "echo \"$@\" >>built\ncp new bin/drspass\nfor last; do cat \"$last/Cargo.toml\"; done",
    );
    program(&at("new"), "echo drspass 0.1.0");
    let script = read("ci/install.sh");
    let zeros = "0".repeat(64);
    assert!(script.contains(&format!("\nsha256={zeros}\n")));
    let built = || fs::read_to_string(at("built")).unwrap_or_default();

    // As it is shipped, and with an archive that is another one.
    assert!(!sh(&script).0);
    let script = script.replace(&zeros, sum);
    sh("echo more >>given");
    assert!(!sh(&script).0);
    assert_eq!(built(), "", "nothing of it runs");

    sh("cp kept given");
    let (is_well, said) = sh(&script);
    assert!(is_well && said.contains("made up"), "{said}");
    assert!(built().starts_with("install --quiet --locked --path /"));
    // What is there is not built again, and another version is refused.
    assert!(sh(&script).0);
    assert_eq!(built().lines().count(), 1);
    program(&at("bin/drspass"), "echo drspass 0.0.9");
    assert!(!sh(&script).0);
}

#[test]
fn the_state_is_kept_as_it_is_whatever_git_does_with_files_of_a_developer() {
    let repository = Repository::new(&super::example());
    let runner = Runner::clone_of(&repository, "main");
    let hooks = runner.beside("hooks");
    fs::create_dir(&hooks).unwrap();
    for hook in ["pre-commit", "commit-msg", "pre-push", "post-checkout"] {
        program(&hooks.join(hook), "echo refused >&2; exit 1");
    }
    let settings = format!(
        "git config core.hooksPath '{}'; git config commit.gpgSign true; \
         git config push.gpgSign true; git config gpg.program false; \
         git config core.autocrlf true; echo '* text eol=crlf' >../attributes; \
         git config core.attributesFile ../attributes",
        hooks.display()
    );
    for script in [
        settings.as_str(),
        "ci/state.sh fetch staging",
        "echo '{}' >.state/drspass.state.json",
        "ci/state.sh push staging",
        "git worktree remove --force .state",
        "ci/state.sh fetch staging",
        "test \"$(od -An -c .state/drspass.state.json | tr -d ' ')\" = '{}\\n'",
    ] {
        let run = runner.sh(script, &[]);
        assert_eq!(run.code, Some(0), "{script}: {}", run.all());
    }
    assert!(repository.has_branch("drspass-state/staging"));
}

#[test]
fn fetching_the_state_leaves_a_clone_as_deep_as_it_was() {
    let repository = Repository::new(&super::example());
    let runner = Runner::clone_of(&repository, "main");
    let origin = format!("file://{}", repository.origin().display());
    for script in [
        // Two states, so that there is something to be shallow about.
        "ci/state.sh fetch staging",
        "echo 1 >.state/drspass.state.json",
        "ci/state.sh push staging",
        "echo 2 >.state/drspass.state.json",
        "ci/state.sh push staging",
        "git worktree remove --force .state",
        &format!("git remote set-url origin '{origin}'"),
        "ci/state.sh fetch staging",
        "test \"$(git rev-parse --is-shallow-repository)\" = false",
        &format!("git clone --quiet --depth 1 '{origin}' ../shallow"),
        "cd ../shallow; ci/state.sh fetch staging; cat .state/drspass.state.json",
        "test \"$(git -C ../shallow rev-list --count --all)\" = 2",
    ] {
        let run = runner.sh(script, &[]);
        assert_eq!(run.code, Some(0), "{script}: {}", run.all());
    }
}
