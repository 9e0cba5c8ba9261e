//! Sides that may bring back what was replaced, and people who were removed.

use super::*;
use crate::rekey::{key_id, own, person};
use crate::support::LOCKED_PUBLIC;

const ORDERS: &str = "orders/destination";

/// A repository in which a password leaked and was replaced, and a change came after it.
fn leaked() -> Lab {
    let mut lab = lab();
    set(&mut lab, ORDERS, "canary-leaked");
    git(&lab, &["tag", "leaked"]).exits(0);
    set(&mut lab, ORDERS, "canary-replaced");
    git(&lab, &["tag", "replaced"]).exits(0);
    set(&mut lab, "billing/source", "canary-later");
    lab
}

/// A branch on a commit with the files of another commit, as anybody can make one without a key.
fn old_on_top(lab: &Lab, branch: &str, on: &str, files_of: &str) {
    git(lab, &["switch", "--quiet", "--create", branch, on]).exits(0);
    git(
        lab,
        &["checkout", "--quiet", files_of, "--", MANIFEST, INDEX],
    )
    .exits(0);
    commit(lab, "Tidy up");
    git(lab, &["switch", "--quiet", "main"]).exits(0);
}

#[test]
fn an_old_manifest_on_top_of_the_history_does_not_bring_a_leaked_password_back() {
    let lab = leaked();
    old_on_top(&lab, "attack", "replaced", "leaked");
    git(&lab, &["merge", "--quiet", "attack"]).exits(1);
    let before = files(&lab);
    let refused = |lab: &Lab| {
        lab.run(&["merge", "--yes"])
            .exits(1)
            .says("note: attack is not newer than the common version: nothing of it is taken unless --theirs names it")
            .says("; only attack changed it, goes back to revision 3")
            .says("< billing/source password from main")
            .says("1 conflict; nothing was written.");
    };
    refused(&lab);
    assert_eq!(files(&lab), before);
    // Nor does it by any other command of git.
    git(&lab, &["merge", "--abort"]).exits(0);
    git(&lab, &["cherry-pick", "attack"]).exits(1);
    refused(&lab);
    git(&lab, &["cherry-pick", "--abort"]).exits(0);
    git(&lab, &["cherry-pick", "attack"]).exits(1);
    // A person who keeps what is there says so.
    lab.run(&["merge", "--yes", "--ours", ORDERS])
        .exits(0)
        .says("< orders/destination password chosen, from main");
    add(&lab);
    commit(&lab, "Merged");
    has(
        &lab,
        &[
            (ORDERS, "canary-replaced"),
            ("billing/source", "canary-later"),
        ],
    );
    is_sound(&lab, ".");
}

#[test]
fn no_common_version_that_somebody_chose_brings_a_leaked_password_back() {
    let lab = leaked();
    // A cherry-pick takes the parent of the picked commit for what both come from.
    for (branch, parent, conflict) in [
        ("old", "main~3", "! orders/destination password"),
        ("older", "main~4", "! orders job main added, older added"),
    ] {
        old_on_top(&lab, branch, parent, "leaked");
        git(&lab, &["cherry-pick", branch]).exits(1);
        let before = files(&lab);
        lab.run(&["merge", "--yes"])
            .exits(1)
            .says(conflict)
            .says("goes back to revision 3");
        assert_eq!(files(&lab), before);
        git(&lab, &["cherry-pick", "--abort"]).exits(0);
    }
}

#[test]
fn an_honest_revert_is_taken_once_it_is_named() {
    let lab = leaked();
    git(&lab, &["revert", "--no-edit", "replaced"]).exits(1);
    let before = files(&lab);
    lab.run(&["merge", "--yes"])
        .exits(1)
        .says("note: revert of ")
        .says("is not newer than the common version")
        .says("! orders/destination password")
        .says("goes back to revision 3");
    assert_eq!(files(&lab), before);
    lab.run(&["merge", "--yes", "--theirs", "orders/*"])
        .exits(0)
        .says("> orders/destination password chosen, from revert of ")
        .says(", goes back to revision 3")
        .says("revision 6");
    add(&lab);
    commit(&lab, "Reverted");
    has(
        &lab,
        &[
            (ORDERS, "canary-leaked"),
            ("billing/source", "canary-later"),
        ],
    );
    is_sound(&lab, ".");
}

#[test]
fn a_password_of_the_history_is_said_to_go_back_even_if_it_is_taken() {
    let mut lab = leaked();
    on_branch(
        &mut lab,
        "rotate",
        &[(ORDERS, "canary-leaked"), ("audit/source", "canary-new")],
    );
    set(&mut lab, "billing/source", "canary-newest");
    git(&lab, &["merge", "--quiet", "rotate"]).exits(1);
    let run = lab.run(&["merge", "--yes"]).exits(0);
    let said = |line: &str| {
        run.all()
            .lines()
            .any(|said| said.trim_end().ends_with(line))
    };
    assert!(
        said("from rotate, goes back to revision 3"),
        "{}",
        run.all()
    );
    assert_eq!(run.all().matches("goes back").count(), 1, "{}", run.all());
    is_sound(&lab, ".");
}

#[test]
fn nothing_of_a_removed_reader_is_taken_unless_it_is_named_and_they_cannot_read_it() {
    let mut lab = lab();
    let (own, other) = (own(&lab), person(&lab, "other.txt"));
    fs::write(lab.path(".git/info/exclude"), "/other.txt\n").unwrap();
    lab.list_recipients(&[&own, &other]);
    lab.run(&["rekey", "--yes"]).exits(0);
    lab.apply(&[]).exits(0);
    commit(&lab, "Add somebody");
    let former = key_id(&lab);
    on_branch(
        &mut lab,
        "removed",
        &[(ORDERS, "canary-removed"), ("audit/source", "canary-more")],
    );
    lab.list_recipients(&[&own]);
    lab.run(&["rekey", "--yes"]).exits(0);
    commit(&lab, "Remove somebody");
    git(&lab, &["tag", "rekeyed"]).exits(0);
    let present = key_id(&lab);
    git(&lab, &["merge", "--quiet", "removed"]).exits(1);
    let before = files(&lab);
    lab.run(&["merge", "--yes"])
        .exits(1)
        .says(&format!(
            "HEAD has the key {present}, but the other side {former}"
        ))
        .says("--expect-key-id");
    let merge =
        |more: &[&str]| lab.run(&[&["merge", "--yes", "--expect-key-id", &present], more].concat());
    merge(&[])
        .exits(1)
        .says("note: removed has a former key: nothing of it is taken unless --theirs names it")
        .says("! orders/destination password")
        .says("! audit/source password")
        .says("< recipients from main: - age1")
        .says("2 conflicts; nothing was written.");
    merge(&["--theirs", ORDERS]).exits(1);
    assert_eq!(files(&lab), before);
    merge(&["--theirs", ORDERS, "--ours", "audit"]).exits(0);
    assert_eq!(key_id(&lab), present);
    // While both ids are expected, it is the side that replaced the other's key.
    let both = format!("{former},{present}");
    lab.run(&[
        "merge",
        "--yes",
        "--expect-key-id",
        &both,
        "--theirs",
        ORDERS,
        "--ours",
        "audit",
    ])
    .exits(0);
    assert_eq!(key_id(&lab), present);
    lab.run(&["-i", "other.txt", "show"])
        .exits(1)
        .says("no identity matches");
    add(&lab);
    commit(&lab, "Merged");
    has(
        &lab,
        &[(ORDERS, "canary-removed"), ("audit/source", "canary-audit")],
    );
    // The state goes over to the new key, as without a merge.
    lab.apply(&[]).exits(0).says("1 applied");
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    commit(&lab, "Applied");
    // On their branch it is the other way round: main has the right key.
    git(&lab, &["switch", "--quiet", "removed"]).exits(0);
    git(&lab, &["merge", "--quiet", "rekeyed"]).exits(1);
    lab.run(&["merge", "--yes", "--expect-key-id", &present])
        .exits(1)
        .says("note: removed has a former key: nothing of it is taken unless --ours names it")
        .says("; only removed changed it");
    lab.run(&[
        "merge",
        "--yes",
        "--expect-key-id",
        &present,
        "--theirs",
        "*",
    ])
    .exits(0);
    assert_eq!(key_id(&lab), present);
    lab.run(&["-i", "other.txt", "show"]).exits(1);
    is_sound(&lab, ".");
}

#[test]
fn readers_whom_both_sides_added_are_chosen_and_then_rekeyed() {
    let lab = lab();
    let (own, other) = (own(&lab), person(&lab, "other.txt"));
    fs::write(lab.path(".git/info/exclude"), "/other.txt\n").unwrap();
    let ssh = LOCKED_PUBLIC.trim();
    git(&lab, &["switch", "--quiet", "--create", "rotate"]).exits(0);
    lab.list_recipients(&[&own, ssh]);
    lab.run(&["rekey", "--yes"]).exits(0);
    commit(&lab, "Add a key");
    git(&lab, &["switch", "--quiet", "main"]).exits(0);
    lab.list_recipients(&[&own, &other]);
    lab.run(&["rekey", "--yes"]).exits(0);
    commit(&lab, "Add somebody");
    git(&lab, &["merge", "--quiet", "rotate"]).exits(1);
    assert!(lab.read("drspass.yaml").contains("<<<<<<<"));
    lab.run(&["merge", "--yes"]).exits(1).says(&format!(
        "! recipients main + {other}, rotate + ssh-ed25519 SHA256:"
    ));
    // No wildcard chooses who can read.
    lab.run(&["merge", "--yes", "--theirs", "*"])
        .exits(1)
        .says("address 1 of --theirs matches no entry");
    lab.run(&["merge", "--yes", "--ours", "recipients"])
        .exits(0);
    lab.list_recipients(&[&own, &other, ssh]);
    let config = lab.read("drspass.yaml");
    let is_mark = |line: &&str| {
        ["<<<<<<<", "=======", ">>>>>>>", "  - "]
            .iter()
            .any(|it| line.starts_with(it))
    };
    let kept: Vec<&str> = config.lines().filter(|line| !is_mark(line)).collect();
    lab.write("drspass.yaml", kept.join("\n") + "\n");
    let config = lab.read("drspass.yaml").replace(
        "recipients:",
        &format!("recipients:\n  - {own}\n  - {other}\n  - {ssh}"),
    );
    lab.write("drspass.yaml", config);
    lab.run(&["set", "audit/source", "--generate"])
        .exits(7)
        .says("run drspass rekey");
    lab.run(&["rekey", "--yes"]).exits(0);
    git(&lab, &["add", "."]).exits(0);
    commit(&lab, "Merged");
    is_sound(&lab, ".");
}

#[test]
fn whoever_was_removed_with_the_key_does_not_come_back_by_a_choice_of_recipients() {
    let mut lab = lab();
    let (own, other) = (own(&lab), person(&lab, "other.txt"));
    let third = person(&lab, "third.txt");
    fs::write(lab.path(".git/info/exclude"), "/other.txt\n/third.txt\n").unwrap();
    lab.list_recipients(&[&own, &other]);
    lab.run(&["rekey", "--yes"]).exits(0);
    commit(&lab, "Add somebody");
    on_branch(&mut lab, "added", &[]);
    lab.list_recipients(&[&own]);
    lab.run(&["rekey", "--yes"]).exits(0);
    set(&mut lab, ORDERS, "canary-afterwards");
    let present = key_id(&lab);
    git(&lab, &["switch", "--quiet", "added"]).exits(0);
    lab.list_recipients(&[&own, &other, &third]);
    lab.run(&["rekey", "--yes"]).exits(0);
    commit(&lab, "Add one more");
    git(&lab, &["merge", "--quiet", "main"]).exits(1);
    let before = files(&lab);
    let merge = |recipients| {
        let expected = ["merge", "--yes", "--expect-key-id", &present];
        lab.run(&[&expected[..], &[recipients, "recipients"]].concat())
    };
    merge("--ours")
        .exits(1)
        .says("could read the manifest again")
        .says("drspass::merge::readers");
    assert_eq!(files(&lab), before);
    merge("--theirs").exits(0);
    lab.run(&["-i", "other.txt", "show"]).exits(1);
    is_clean(&lab);
}

#[test]
fn a_password_that_was_set_in_a_merge_commit_is_said_to_go_back() {
    let mut lab = lab();
    on_branch(&mut lab, "side", &[("audit/source", "canary-side")]);
    set(&mut lab, "billing/source", "canary-main");
    git(&lab, &["merge", "--quiet", "side"]).exits(1);
    lab.run(&["merge", "--yes"]).exits(0);
    lab.plant(&["canary-leaked", "canary-replaced"]);
    lab.write("plain.yaml", "canary-leaked");
    lab.run(&["set", ORDERS, "--from-file", "plain.yaml"])
        .exits(0);
    fs::remove_file(lab.path("plain.yaml")).unwrap();
    commit(&lab, "Merge, and one more change");
    git(&lab, &["tag", "leaked"]).exits(0);
    set(&mut lab, ORDERS, "canary-replaced");
    old_on_top(&lab, "attack", "main", "leaked");
    set(&mut lab, "billing/source", "canary-later");
    git(&lab, &["merge", "--quiet", "attack"]).exits(1);
    lab.run(&["merge"]).exits(1).says("goes back to revision ");
}

#[test]
fn a_tag_with_the_name_of_a_file_of_git_swaps_no_sides() {
    let lab = stopped(&[(ORDERS, "canary-one")], &[(ORDERS, "canary-other")]);
    for name in ["MERGE_HEAD", "rebase-merge/onto", "CHERRY_PICK_HEAD"] {
        git(&lab, &["tag", name, "HEAD~1"]).exits(0);
    }
    lab.run(&["merge"])
        .exits(1)
        .says("Choose with --ours ADDR (main) or --theirs ADDR (rotate)");
}

#[test]
fn a_doubted_side_gives_no_name_to_what_is_taken() {
    let mut lab = lab();
    let renamed = |lab: &mut Lab, script: &str| {
        let mut edit = lab.command(&["edit"]);
        edit.env("EDITOR", format!("sed -i {script}"));
        lab.run_command(edit).exits(0);
        commit(lab, "Rename");
    };
    renamed(&mut lab, "s/name:.audit/name:\\ spare/");
    git(&lab, &["tag", "named"]).exits(0);
    set(&mut lab, "spare/source", "canary-spare");
    renamed(&mut lab, "s/name:.spare/name:\\ billing-two/");
    old_on_top(&lab, "attack", "main", "named");
    set(&mut lab, ORDERS, "canary-later");
    git(&lab, &["merge", "--quiet", "attack"]).exits(1);
    lab.run(&["merge", "--yes", "--theirs", "spare/source"])
        .exits(1)
        .says("address 1 of --theirs matches no entry");
}
