//! What git began is merged, and goes on.

use super::*;

/// Goes on with what git began.
fn go_on(lab: &Lab, command: &str) {
    let mut command = git_command(lab, &[command, "--continue"]);
    command.env("GIT_EDITOR", "true");
    lab.run_command(command).exits(0);
}

const OURS: (&str, &str) = ("billing/source", "canary-ours");
const THEIRS: (&str, &str) = ("orders/destination", "canary-theirs");

#[test]
fn two_branches_that_set_different_passwords_are_merged_and_applied() {
    let lab = stopped(&[OURS], &[THEIRS]);
    let before = lab.read("passwords.yaml.age");
    let run = lab
        .run(&["merge", "--yes"])
        .exits(0)
        .says("Merge of passwords.yaml.age: main (revision 3, ")
        .says(" and rotate (revision 3, ")
        .says("), from revision 2")
        .says("< billing/source password from main")
        .says("> orders/destination password from rotate")
        .says("merged passwords.yaml.age and passwords.index.yaml, revision 4")
        .says("Next: git add passwords.yaml.age passwords.index.yaml")
        .says("If drspass.yaml has a conflict too, resolve it by hand.");
    assert!(!run.all().contains("note:"), "{}", run.all());
    assert_ne!(lab.read(MANIFEST), before);
    // git is told nothing.
    let status = git(&lab, &["status", "--porcelain"]).exits(0).stdout;
    assert!(status.contains("UU passwords.yaml.age"), "{status}");
    let merged = files(&lab);
    add(&lab);
    git(&lab, &["commit", "--quiet", "--no-edit"]).exits(0);
    assert_eq!(files(&lab), merged);
    has(
        &lab,
        &[
            OURS,
            THEIRS,
            ("@orders-db", "canary-db"),
            ("audit/source", "canary-audit"),
        ],
    );
    lab.run(&[
        "validate",
        "--require-encrypted",
        "--require-index",
        "--base",
        "rotate",
    ])
    .exits(0);
    assert!(lab.run(&["decrypt"]).stdout.contains("# a-comment"));
    lab.apply(&[]).exits(0).says("4 applied");
    is_sound(&lab, ".");
}

#[test]
fn a_rebase_is_merged_commit_by_commit_with_the_names_of_the_branches() {
    let mut lab = lab();
    on_branch(
        &mut lab,
        "rotate",
        &[THEIRS, ("audit/source", "canary-second")],
    );
    set(&mut lab, OURS.0, OURS.1);
    git(&lab, &["switch", "--quiet", "rotate"]).exits(0);
    git(&lab, &["rebase", "--quiet", "main"]).exits(1);
    lab.run(&["merge", "--yes"])
        .exits(0)
        .says("main (revision 3, ")
        .says("rotate (revision 3, ")
        .says("< billing/source password from main")
        .says("> orders/destination password from rotate");
    add(&lab);
    let mut command = git_command(&lab, &["rebase", "--continue"]);
    command.env("GIT_EDITOR", "true");
    lab.run_command(command).exits(1);
    // The second commit comes after the merged first one.
    lab.run(&["merge", "--yes"])
        .exits(0)
        .says("main (revision 4, ")
        .says("rotate (revision 4, ")
        .says("> audit/source password from rotate");
    add(&lab);
    go_on(&lab, "rebase");
    has(&lab, &[OURS, THEIRS, ("audit/source", "canary-second")]);
    is_sound(&lab, ".");
}

#[test]
fn a_cherry_pick_takes_the_change_of_its_commit_alone() {
    let mut lab = lab();
    on_branch(
        &mut lab,
        "rotate",
        &[("audit/source", "canary-first"), THEIRS],
    );
    set(&mut lab, OURS.0, OURS.1);
    git(&lab, &["cherry-pick", "rotate"]).exits(1);
    // What it changed is compared with its parent, which main is not newer than.
    lab.run(&["merge", "--yes"])
        .exits(1)
        .says("note: main is not newer than the common version: nothing of it is taken unless --ours names it")
        .says("> orders/destination password from rotate")
        .says("! billing/source password")
        .says("; only main changed it");
    lab.run(&["merge", "--yes", "--ours", "*"])
        .exits(0)
        .says("> orders/destination password from rotate")
        .says("< billing/source password chosen, from main")
        .says("< audit/source password chosen, from main");
    add(&lab);
    go_on(&lab, "cherry-pick");
    has(&lab, &[OURS, THEIRS, ("audit/source", "canary-audit")]);
    is_sound(&lab, ".");
    // On a newer main it needs no more than that.
    set(&mut lab, "@orders-db", "canary-new-db");
    on_branch(&mut lab, "one", &[("audit/source", "canary-second")]);
    set(&mut lab, OURS.0, "canary-newer");
    git(&lab, &["cherry-pick", "one"]).exits(1);
    lab.run(&["merge", "--yes"])
        .exits(0)
        .says("one (revision ")
        .says("> audit/source password from one");
    add(&lab);
    go_on(&lab, "cherry-pick");
    has(
        &lab,
        &[
            ("billing/source", "canary-newer"),
            ("audit/source", "canary-second"),
        ],
    );
    is_sound(&lab, ".");
}

#[test]
fn a_stash_is_merged() {
    let mut lab = lab();
    lab.plant(&[THEIRS.1]);
    lab.write("plain.yaml", THEIRS.1);
    lab.run(&["set", THEIRS.0, "--from-file", "plain.yaml"])
        .exits(0);
    fs::remove_file(lab.path("plain.yaml")).unwrap();
    git(&lab, &["stash", "--quiet"]).exits(0);
    set(&mut lab, OURS.0, OURS.1);
    git(&lab, &["stash", "pop"]).exits(1);
    lab.run(&["merge", "--yes"])
        .exits(0)
        .says("main (revision 3, ")
        .says("stash (revision 3, ")
        .says("> orders/destination password from stash");
    add(&lab);
    commit(&lab, "What was put aside");
    has(&lab, &[OURS, THEIRS]);
    is_sound(&lab, ".");
}

#[test]
fn a_criss_cross_has_no_common_version_so_every_difference_is_chosen() {
    let mut lab = lab();
    on_branch(&mut lab, "rotate", &[THEIRS]);
    set(&mut lab, OURS.0, OURS.1);
    git(&lab, &["branch", "main-before"]).exits(0);
    git(&lab, &["merge", "--quiet", "rotate"]).exits(1);
    lab.run(&["merge", "--yes"]).exits(0);
    add(&lab);
    git(&lab, &["commit", "--quiet", "--no-edit"]).exits(0);
    git(&lab, &["switch", "--quiet", "rotate"]).exits(0);
    git(&lab, &["merge", "--quiet", "main-before"]).exits(1);
    lab.run(&["merge", "--yes"]).exits(0);
    add(&lab);
    git(&lab, &["commit", "--quiet", "--no-edit"]).exits(0);
    set(&mut lab, "audit/source", "canary-rotate");
    git(&lab, &["switch", "--quiet", "main"]).exits(0);
    set(&mut lab, "orders/destination", "canary-main");
    // What both come from is a merge that git tried itself, with marks in it.
    git(&lab, &["merge", "--quiet", "rotate"]).exits(1);
    let before = files(&lab);
    lab.run(&["merge", "--yes"])
        .exits(1)
        .says("no usable common version, so every difference is a conflict")
        .says("! orders/destination password")
        .says("! audit/source password")
        .says("2 conflicts; nothing was written.");
    assert_eq!(files(&lab), before);
    lab.run(&["merge", "--yes", "--ours", "orders", "--theirs", "audit/*"])
        .exits(0);
    add(&lab);
    git(&lab, &["commit", "--quiet", "--no-edit"]).exits(0);
    has(
        &lab,
        &[
            OURS,
            ("orders/destination", "canary-main"),
            ("audit/source", "canary-rotate"),
        ],
    );
    is_sound(&lab, ".");
}

#[test]
fn three_branches_from_one_revision_are_merged_one_after_the_other() {
    let mut lab = lab();
    let changes = [OURS, THEIRS, ("audit/source", "canary-third")];
    for (number, change) in changes.iter().enumerate() {
        on_branch(&mut lab, &format!("branch-{number}"), &[*change]);
    }
    git(&lab, &["merge", "--quiet", "branch-0"]).exits(0);
    for (branch, revision) in [("branch-1", 4), ("branch-2", 5)] {
        git(&lab, &["merge", "--quiet", branch]).exits(1);
        lab.run(&["merge", "--yes"])
            .exits(0)
            .says(&format!("revision {revision}"));
        add(&lab);
        git(&lab, &["commit", "--quiet", "--no-edit"]).exits(0);
    }
    has(&lab, &changes);
    is_sound(&lab, ".");
}

#[test]
fn an_octopus_that_git_gives_up_leaves_nothing_to_merge() {
    let mut lab = lab();
    on_branch(&mut lab, "one", &[OURS]);
    on_branch(&mut lab, "two", &[THEIRS]);
    set(&mut lab, "audit/source", "canary-third");
    let before = files(&lab);
    git(&lab, &["merge", "--quiet", "one", "two"]).exits(2);
    lab.run(&["merge", "--yes"])
        .exits(1)
        .says("git has no unfinished merge of passwords.yaml.age");
    assert_eq!(files(&lab), before);
    // One after the other they are merged.
    for branch in ["one", "two"] {
        git(&lab, &["merge", "--quiet", branch]).exits(1);
        lab.run(&["merge", "--yes"]).exits(0);
        add(&lab);
        git(&lab, &["commit", "--quiet", "--no-edit"]).exits(0);
    }
    has(&lab, &[OURS, THEIRS, ("audit/source", "canary-third")]);
    is_sound(&lab, ".");
}

#[test]
fn a_path_with_blanks_is_merged_and_found_from_within() {
    let mut lab = lab();
    let folder = "envs/my prod";
    fs::create_dir_all(lab.path(folder)).unwrap();
    for name in ["drspass.yaml", MANIFEST, INDEX, ".gitattributes"] {
        fs::rename(lab.path(name), lab.path(folder).join(name)).unwrap();
    }
    commit(&lab, "Move");
    let key = identity(&lab);
    let set = |lab: &mut Lab, (address, password): (&str, &str)| {
        lab.plant(&[password]);
        lab.write("plain.yaml", password);
        lab.run(&[
            "-C",
            folder,
            "-i",
            &key,
            "set",
            address,
            "--from-file",
            "../../plain.yaml",
        ])
        .exits(0);
        fs::remove_file(lab.path("plain.yaml")).unwrap();
        commit(lab, "Set");
    };
    git(&lab, &["switch", "--quiet", "--create", "rotate"]).exits(0);
    set(&mut lab, THEIRS);
    git(&lab, &["switch", "--quiet", "main"]).exits(0);
    set(&mut lab, OURS);
    git(&lab, &["merge", "--quiet", "rotate"]).exits(1);
    lab.run(&["-C", folder, "-i", &key, "merge", "--yes"])
        .exits(0)
        .says("Next: git -C 'envs/my prod' add passwords.yaml.age passwords.index.yaml");
    git(&lab, &["add", "envs"]).exits(0);
    git(&lab, &["commit", "--quiet", "--no-edit"]).exits(0);
    is_sound(&lab, folder);
    // From within, it finds the repository as well.
    let mut command: Command = lab.command(&["-i", &key, "merge"]);
    command.current_dir(lab.path(folder));
    lab.run_command(command)
        .exits(1)
        .says("git has no unfinished merge of passwords.yaml.age");
}

#[test]
fn a_directory_that_one_side_moved_is_moved_on_the_other_side_first() {
    let mut lab = lab();
    let rename = |lab: &Lab| {
        fs::create_dir(lab.path("prod")).unwrap();
        for name in ["drspass.yaml", MANIFEST, INDEX, ".gitattributes"] {
            git(lab, &["mv", name, "prod"]).exits(0);
        }
        commit(lab, "Move");
    };
    on_branch(&mut lab, "rotate", &[THEIRS]);
    git(&lab, &["switch", "--quiet", "rotate"]).exits(0);
    rename(&lab);
    git(&lab, &["switch", "--quiet", "main"]).exits(0);
    set(&mut lab, OURS.0, OURS.1);
    git(&lab, &["merge", "--quiet", "rotate"]).exits(1);
    let key = identity(&lab);
    let merge =
        |more: &[&str]| lab.run(&[&["-C", "prod", "-i", &key, "merge", "--yes"], more].concat());
    // git takes the encrypted file for another one, so it has no two sides of it.
    merge(&[]).exits(1).says("passwords.yaml.age");
    git(&lab, &["reset", "--quiet", "--hard"]).exits(0);
    rename(&lab);
    git(&lab, &["merge", "--quiet", "rotate"]).exits(1);
    merge(&[])
        .exits(1)
        .says("no usable common version, so every difference is a conflict")
        .says("2 conflicts; nothing was written.");
    merge(&["--ours", OURS.0, "--theirs", THEIRS.0]).exits(0);
    git(&lab, &["add", "prod"]).exits(0);
    git(&lab, &["commit", "--quiet", "--no-edit"]).exits(0);
    is_sound(&lab, "prod");
}
