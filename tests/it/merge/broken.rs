//! Merges that were cut off, and disks without room.

use super::*;
use crate::support::around::through;

const OURS: (&str, &str) = ("billing/source", "canary-ours");
const THEIRS: (&str, &str) = ("audit/source", "canary-theirs");

#[test]
fn a_merge_that_was_killed_is_done_again() {
    for (place, pass) in [
        ("manifest.before_replace", 1),
        ("files.before_rename", 1),
        ("manifest.after_replace", 1),
        ("index.before_replace", 1),
        ("files.before_rename", 2),
    ] {
        let lab = stopped(&[OURS], &[THEIRS]);
        lab.killed_at(place, pass, &["merge", "--yes"]);
        is_clean(&lab);
        lab.run(&["merge", "--yes"])
            .exits(0)
            .says("merged passwords.yaml.age and passwords.index.yaml, revision 4");
        add(&lab);
        git(&lab, &["commit", "--quiet", "--no-edit"]).exits(0);
        has(&lab, &[OURS, THEIRS]);
        is_sound(&lab, ".");
    }
}

#[test]
fn a_full_disk_leaves_what_git_left() {
    let lab = stopped(&[OURS], &[THEIRS]);
    let before = files(&lab);
    // No file can have more than a block.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
    let command = through(
        "/bin/sh",
        &["-c", script],
        &lab.command(&["merge", "--yes"]),
    );
    lab.run_command(command)
        .exits(1)
        .says("cannot write passwords.yaml.age")
        .says("Nothing was overwritten.");
    assert_eq!(files(&lab), before);
    is_clean(&lab);
    let mut command = lab.command(&["merge", "--yes"]);
    command.env("DRSPASS_TEST_FAIL_AT", "index:1");
    lab.run_command(command)
        .exits(1)
        .says("passwords.yaml.age is written, but its index passwords.index.yaml could not be")
        .says("run 'drspass index --write'");
    has(&lab, &[OURS, THEIRS]);
    lab.run(&["index", "--write"]).exits(0);
    add(&lab);
    git(&lab, &["commit", "--quiet", "--no-edit"]).exits(0);
    is_sound(&lab, ".");
}

#[test]
fn a_manifest_that_was_changed_at_the_question_is_not_overwritten() {
    let lab = stopped(&[OURS], &[THEIRS]);
    let side = git(&lab, &["show", &format!("rotate:{MANIFEST}")]).stdout;
    let mut terminal = crate::support::terminal::Terminal::start(lab.command(&["merge"]));
    terminal.sees(crate::support::terminal::APPROVAL);
    lab.write(MANIFEST, &side);
    terminal.types("yes\n");
    lab.ended(terminal)
        .exits(1)
        .says("another process changed the manifest");
    assert_eq!(lab.read(MANIFEST), side);
}
