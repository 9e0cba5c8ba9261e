//! What somebody can do who may push but has no key: nothing is ever called in sync for it, and
//! each way out is one command.

use std::fs;
use std::os::unix::fs::symlink;

use drspass::sim::EndPointType;
use tempfile::TempDir;

use crate::looped::refuse;
use crate::support::backend::{PROGRAMS, put_program};
use crate::support::branch::{NAME, PLACE, git, snapshot};
use crate::support::{J1, J2, Lab, Run, make_pipe};

const MANIFEST: [&str; 2] = ["passwords.yaml.age", "passwords.index.yaml"];

/// Two applied passwords.
fn applied() -> Lab {
    let mut lab = Lab::on_branch();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.push();
    lab.apply(&[]).exits(0);
    lab
}

/// Pushes a tree as the next commit of the branch.
fn push_tree(lab: &Lab, tree: &str) {
    let tip = lab.tip();
    let commit = lab.in_origin(&["commit-tree", "-p", &tip, "-m", "x", tree.trim()]);
    lab.in_origin(&["update-ref", &format!("refs/heads/{NAME}"), commit.trim()]);
}

/// Pushes the tree of an earlier commit, which is a plain push.
fn push_older(lab: &Lab, commit: &str) {
    let tree = lab.in_origin(&["rev-parse", &format!("{commit}^{{tree}}")]);
    push_tree(lab, &tree);
}

/// Pushes this as the state.
pub(super) fn push_state(lab: &Lab, text: &str) {
    let blob = lab.in_origin_with(&["hash-object", "-w", "--stdin"], text);
    let line = format!("100644 blob {}\tdrspass.state.json\n", blob.trim());
    let tree = lab.in_origin_with(&["mktree"], &line);
    push_tree(lab, &tree);
}

fn manifest(lab: &Lab) -> [Vec<u8>; 2] {
    MANIFEST.map(|name| fs::read(lab.path(name)).unwrap())
}

fn put(lab: &Lab, files: &[Vec<u8>; 2]) {
    for (name, content) in MANIFEST.iter().zip(files) {
        lab.write(name, content);
    }
}

#[test]
fn an_older_tree_in_a_plain_push_is_refused_where_the_manifest_is_newer() {
    let mut lab = applied();
    let third = lab.tip();
    // Its writer has seen serial 3.
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    lab.push();
    lab.apply(&[]).exits(0);
    let fifth = lab.tip();
    let clone = lab.cloned();
    for (older, serial) in [(format!("{third}~2"), 1), (format!("{third}~1"), 2)] {
        push_older(&lab, &older);
        let told = format!("the manifest knows: serial {serial} now, 3 then");
        for args in [&["plan"][..], &["apply", "--auto-approve"]] {
            lab.run_in(&clone, args)
                .exits(1)
                .says(&told)
                .says("Nothing was sent");
            lab.run(args).exits(1).says("Nothing was sent");
        }
        // A writer of the manifest does not lower what it asks for.
        lab.run_in(&clone, &["recipients"]).exits(0);
    }
    // One that the manifest admits shows a change, and is refused where the newer one was seen.
    push_older(&lab, &third);
    lab.run_in(&clone, &["plan"]).exits(0).says("1 to change");
    lab.run(&["plan"])
        .exits(1)
        .says("this clone knows: serial 3 now, 5 then");
    assert_eq!(lab.sent().len(), 2);
    push_older(&lab, &fifth);
    lab.run(&["plan", "--detailed-exitcode"])
        .exits(0)
        .says("2 in sync");
}

#[test]
fn a_journal_that_is_newer_than_the_state_refuses_a_manifest_that_was_turned_back_too() {
    let mut lab = applied();
    let (third, old) = (lab.tip(), manifest(&lab));
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    lab.killed_at("apply.before_fold", 1, &["apply", "--auto-approve"]);
    assert!(lab.sim.holds(J1, "source", "canary-3"));
    push_older(&lab, &third);
    put(&lab, &old);
    // The journal alone knows of it.
    fs::remove_file(lab.seen_file()).unwrap();
    for args in [&["plan"][..], &["apply", "--auto-approve"]] {
        lab.run(args)
            .exits(1)
            .says("an apply of this clone knows: serial 3 now, 4 then")
            .says("Nothing was sent");
    }
    lab.run(&["state", "distrust"]).exits(0);
    lab.run(&["plan"]).exits(0).says("2 to send again");
    lab.apply(&[]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-1"));
}

#[test]
fn a_manifest_of_the_first_lineage_is_admitted_after_two_distrusts() {
    let lab = applied();
    let (first, tip) = (lab.state(), lab.tip());
    lab.run(&["state", "distrust"]).exits(0);
    let second = lab.state();
    lab.run(&["state", "distrust"]).exits(0);
    let third = lab.state();
    let lineage = |state: &serde_json::Value| state["body"]["lineage"].clone();
    assert!(lineage(&first) != lineage(&second) && lineage(&second) != lineage(&third));
    let follows = third["body"]["follows"].as_array().unwrap();
    assert!(follows.contains(&lineage(&first)) && follows.contains(&lineage(&second)));
    let clone = lab.cloned();
    lab.run_in(&clone, &["plan"])
        .exits(0)
        .says("2 to send again");
    lab.run_in(&clone, &["apply", "--auto-approve"])
        .exits(0)
        .says("2 applied");
    // The former ones are no states any more where one of the new ones was seen.
    push_older(&lab, &tip);
    for args in [&["plan"][..], &["apply", "--auto-approve"]] {
        let refused = lab.run_in(&clone, args).exits(1);
        refused.says("does not follow the one that this clone knows");
        lab.run(args).exits(1);
    }
}

#[test]
fn a_forged_serial_raises_no_floor() {
    let lab = applied();
    let floor = || {
        let plain = lab.run(&["decrypt"]).exits(0).stdout;
        let place = plain.split_once("\n  state:\n").unwrap().1;
        let serial = place
            .lines()
            .find_map(|line| line.trim().strip_prefix("serial: "));
        serial.unwrap().to_owned()
    };
    let set = || {
        let run = lab.run(&["set", &format!("{J1}/source"), "--generate"]);
        let text = run.all();
        (run.code, text)
    };
    let (genuine, tip) = (
        lab.in_origin(&["cat-file", "blob", &format!("{NAME}:drspass.state.json")]),
        lab.tip(),
    );
    assert_eq!(set().0, Some(0));
    assert_eq!(floor(), "3");
    let huge = (1_u64 << 60).to_string();
    let forged = genuine.replacen("\"serial\":3", &format!("\"serial\":{huge}"), 1);
    assert_ne!(forged, genuine);
    for text in [&*forged, "garbage", ""] {
        push_state(&lab, text);
        let (code, said) = set();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("the state was not read"), "{said}");
        assert_eq!(floor(), "3");
        lab.run(&["plan"]).exits(1);
        lab.apply(&[]).exits(1);
        assert_eq!(lab.sent().len(), 1);
    }
    // A clone that has seen nothing learns nothing from it either.
    fs::remove_dir_all(lab.path(".git/drspass")).unwrap();
    push_state(&lab, &forged);
    assert_eq!(set().0, Some(0));
    assert_eq!(floor(), "3");
    push_older(&lab, &tip);
    lab.run(&["plan"]).exits(0).says("1 to change");
    lab.apply(&[]).exits(0);
}

/// Runs it with a git that reaches the repository so many times, and then no more.
fn cut_off(lab: &Lab, connections: usize, args: &[&str]) -> Run {
    let programs = TempDir::new().unwrap();
    let count = programs.path().join("count");
    let script = format!(
        "case \" $* \" in *' ls-remote --quiet '*|*' fetch '*)\n\
         echo >>'{count}'; [ \"$(wc -l <'{count}')\" -le {connections} ] || {{ echo 'fatal: the line is cut' >&2; exit 128; }};;\n\
         esac; PATH={PROGRAMS} exec git \"$@\"",
        count = count.display()
    );
    put_program(&programs.path().join("git"), &script);
    let mut command = lab.command(args);
    let path = format!("{}:{PROGRAMS}", programs.path().display());
    command.env("PATH", path);
    lab.run_command(command)
}

#[test]
fn a_state_is_distrusted_as_it_was_read_or_not_at_all() {
    let mut lab = applied();
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.KE0002"));
    lab.apply(&[]).exits(1);
    // Which branch is the default one, and the state.
    cut_off(&lab, 2, &["state", "distrust"]).exits(0);
    // It was authentic, so a wrong password stays known, which would lock an account.
    lab.run(&["plan"]).exits(0).says("DRS.KE0002");

    let refused = |connections: usize, args: &[&str]| {
        let text = format!(
            "error: cannot read {PLACE}: \"the line is cut\"\n  help: Nothing was sent or changed. Check the network and git's login for this repository: 'git ls-remote' must work without a question.\n  code: drspass::place::fetch\n"
        );
        let run = cut_off(&lab, connections, args).exits(1);
        assert_eq!(run.stderr, text);
    };
    push_state(&lab, "garbage");
    let tip = lab.tip();
    for connections in [0, 1, 2] {
        refused(connections, &["state", "distrust"]);
        assert_eq!(lab.tip(), tip);
    }
    lab.in_origin(&["update-ref", "-d", &format!("refs/heads/{NAME}")]);
    for connections in [0, 1] {
        refused(connections, &["state", "distrust", "--create"]);
        assert_eq!(lab.in_origin(&["branch", "--list", NAME]), "");
    }
    lab.run(&["state", "distrust", "--create"]).exits(0);
}

#[test]
fn no_branch_is_taken_that_is_no_place_for_a_state() {
    let lab = Lab::new();
    for name in ["drspass.yaml", "passwords.yaml.age", "passwords.index.yaml"] {
        fs::remove_file(lab.path(name)).unwrap();
    }
    let mut lab = lab;
    lab.origin = Some(crate::support::branch::origin());
    lab.make_clone();
    let (endpoint, auth_url) = lab.addresses();
    let branches = lab.in_origin(&["for-each-ref"]);
    for branch in [
        "main", "HEAD", "x.lock", "-x", "a:b", "a..b", "a/", "/a", "a b", "x.lock/y", "@{u}", "",
    ] {
        let place = format!("git:origin/{branch}");
        let target = ["--endpoint", &endpoint, "--auth-url", &auth_url];
        let project = ["--project-id", lab.sim.project_id(), "--state", &place];
        let run = lab.run(&[&["init", "-i", "key.txt"][..], &target, &project].concat());
        assert!(matches!(run.code, Some(1 | 2)), "{branch:?}\n{}", run.all());
        assert!(!lab.exists("passwords.yaml.age"), "{branch:?}");
        assert_eq!(lab.in_origin(&["for-each-ref"]), branches, "{branch:?}");
        let _ = fs::remove_file(lab.path("drspass.yaml"));
    }
}

#[test]
fn a_branch_has_the_state_of_one_root_directory() {
    let lab = applied();
    let tip = lab.tip();
    let (endpoint, auth_url) = lab.addresses();
    fs::create_dir(lab.path("sub")).unwrap();
    let init = |place: &str| {
        let target = ["--endpoint", &endpoint, "--auth-url", &auth_url];
        let project = ["--project-id", lab.sim.project_id(), "--state", place];
        let init = ["-C", "sub", "init", "-i", "../key.txt"];
        lab.run(&[&init[..], &target, &project].concat())
    };
    init(PLACE).exits(1).says("there is a state at");
    assert_eq!(lab.tip(), tip);
    fs::remove_dir_all(lab.path("sub")).unwrap();
    fs::create_dir(lab.path("sub")).unwrap();
    init("git:origin/drspass-state/sub").exits(0);
    let sub = |args: &[&str]| lab.run(&[&["-C", "sub", "-i", "../key.txt"], args].concat());
    sub(&["state", "move", PLACE])
        .exits(1)
        .says("there is a state at");
    let config = lab.read("sub/drspass.yaml");
    lab.write(
        "sub/drspass.yaml",
        config.replace("git:origin/drspass-state/sub", PLACE),
    );
    for args in [
        &["plan"][..],
        &["apply", "--auto-approve"],
        &["state", "distrust"],
    ] {
        sub(args).exits(1).says("the manifest is sealed for");
    }
    assert_eq!(lab.tip(), tip);
    lab.run(&["plan", "--detailed-exitcode"])
        .exits(0)
        .says("2 in sync");
}

#[test]
fn nothing_that_a_commit_or_a_hook_brings_along_is_used() {
    let lab = applied();
    let outside = TempDir::new().unwrap();
    let trace = outside.path().join("trace");
    let leave = |name: &str| format!("echo {name} >>'{}'", trace.display());
    // A bare repository in the work tree, with hooks and programs, as an older version had one.
    fs::create_dir_all(lab.path(".drspass/state")).unwrap();
    for folder in [".drspass/state/repo.git", "bare.git"] {
        let path = lab.path(folder);
        git(lab.dir.path(), &["init", "--quiet", "--bare", folder]);
        for name in ["core.fsmonitor", "core.sshCommand", "credential.helper"] {
            git(&path, &["config", name, &leave(name)]);
        }
        for hook in ["pre-push", "reference-transaction", "post-checkout"] {
            put_program(&path.join("hooks").join(hook), &leave(hook));
        }
    }
    for hook in ["pre-push", "reference-transaction", "post-index-change"] {
        put_program(&lab.path(".git/hooks").join(hook), &leave(hook));
    }
    // Who opens one of these waits for ever.
    for name in [
        ".drspass/journal",
        ".drspass/state/drspass.state.json",
        "drspass",
    ] {
        make_pipe(&lab.path(name));
    }
    // Programs that nobody needs.
    for program in ["sh", "ssh", "gpg", "ssh-askpass", "git-remote-http", "sed"] {
        put_program(&outside.path().join("bin").join(program), &leave(program));
    }
    let run = |args: &[&str]| {
        let mut command = lab.command(args);
        let path = format!("{}:{PROGRAMS}", outside.path().join("bin").display());
        command.env("PATH", path);
        lab.run_command(command)
    };
    let before = snapshot(&lab.path("bare.git"));
    run(&["plan", "--detailed-exitcode"])
        .exits(0)
        .says("2 in sync");
    run(&["state", "distrust"]).exits(0);
    run(&["apply", "--auto-approve"]).exits(0).says("2 applied");
    run(&["state", "list"]).exits(0);
    assert!(!trace.exists(), "{}", fs::read_to_string(trace).unwrap());
    assert!(before == snapshot(&lab.path("bare.git")));

    // A link where the clone's own files are to be is followed by nobody.
    let elsewhere = TempDir::new().unwrap();
    fs::rename(lab.path(".git/drspass"), elsewhere.path().join("drspass")).unwrap();
    symlink(elsewhere.path().join("drspass"), lab.path(".git/drspass")).unwrap();
    let there = snapshot(elsewhere.path());
    let tip = lab.tip();
    for args in [&["plan"][..], &["apply", "--auto-approve"]] {
        run(args).exits(1).says("follows no link");
    }
    assert!(there == snapshot(elsewhere.path()));
    assert_eq!(lab.tip(), tip);
}

#[test]
fn a_forged_run_is_no_part_of_a_proposed_command() {
    let lab = applied();
    for id in ["0a1b;touch${IFS}pwned;#", "--yes", ""] {
        let mut state = lab.state();
        let at = "2026-11-29T14:03:22Z";
        state["body"]["holder"] = serde_json::json!({
            "id": id, "host": "host", "command": "apply", "since": at, "renewed": at,
        });
        push_state(&lab, &state.to_string());
        for args in [&["lock", "show"][..], &["state", "list"]] {
            let run = lab.run(args).exits(1);
            assert!(!run.all().contains("lock release"), "{}", run.all());
        }
    }
}
