//! What stops a merge, and leaves everything as it was.

use super::*;
use crate::rekey::person;
use crate::support::terminal::{APPROVAL, Terminal};
use crate::support::{LOCKED, LOCKED_PUBLIC, PASSPHRASE};

const OURS: (&str, &str) = ("billing/source", "canary-ours");
const THEIRS: (&str, &str) = ("billing/source", "canary-theirs");
const OTHER: (&str, &str) = ("audit/source", "canary-other");

#[test]
fn a_password_that_both_sides_changed_is_chosen_by_a_person() {
    let lab = stopped(&[OURS], &[THEIRS, OTHER]);
    let before = files(&lab);
    let tag = |commit: &str| {
        let index = git(&lab, &["show", &format!("{commit}:{INDEX}")]).stdout;
        let (_, rest) = index.split_once("name: billing").unwrap();
        rest.split('"').nth(1).unwrap()[..8].to_owned()
    };
    lab.run(&["merge", "--yes"])
        .exits(1)
        .says(&format!(
            "! billing/source password main {}…, rotate {}…",
            tag("main"),
            tag("rotate")
        ))
        .says("> audit/source password from rotate")
        .says("1 conflict; nothing was written. Choose with --ours ADDR (main) or --theirs ADDR (rotate).");
    assert_eq!(files(&lab), before);
    lab.run(&["merge", "--yes", "--theirs", "billing"])
        .exits(0)
        .says("> billing/source password chosen, from rotate");
    has(&lab, &[THEIRS, OTHER]);
    // It can be done anew as long as git was not told.
    lab.run(&["merge", "--yes", "--ours", "billing/*"])
        .exits(0)
        .says("< billing/source password chosen, from main");
    has(&lab, &[OURS, OTHER]);
    is_sound(&lab, ".");
}

#[test]
fn nothing_is_written_without_approval() {
    let lab = stopped(&[OURS], &[OTHER]);
    let before = files(&lab);
    lab.run(&["merge"])
        .exits(7)
        .says("> audit/source password from rotate")
        .says("cannot ask for approval without a terminal");
    for answer in ["no\n", "y\n", "\n"] {
        let mut terminal = Terminal::start(lab.command(&["merge"]));
        terminal.sees("Write the merged manifest?");
        terminal.sees(APPROVAL);
        terminal.types(answer);
        lab.ended(terminal).exits(7).says("not approved");
    }
    assert_eq!(files(&lab), before);
    let mut terminal = Terminal::start(lab.command(&["merge"]));
    terminal.sees(APPROVAL);
    terminal.types("yes\n");
    lab.ended(terminal)
        .exits(0)
        .says("merged passwords.yaml.age");
    has(&lab, &[OURS, OTHER]);
    is_sound(&lab, ".");
}

#[test]
fn without_a_key_nothing_is_shown_and_a_passphrase_is_asked_for_once() {
    let lab = lab();
    let stranger = person(&lab, "other.txt");
    lab.write("locked", LOCKED);
    fs::write(lab.path(".git/info/exclude"), "/other.txt\n/locked\n").unwrap();
    lab.list_recipients(&[&lab.recipient_of("key.txt"), LOCKED_PUBLIC.trim()]);
    lab.run(&["rekey", "--yes"]).exits(0);
    commit(&lab, "Add a key");
    let mut lab = lab;
    on_branch(&mut lab, "rotate", &[OTHER]);
    set(&mut lab, OURS.0, OURS.1);
    git(&lab, &["merge", "--quiet", "rotate"]).exits(1);
    let before = files(&lab);
    let run = lab
        .run(&["-i", "other.txt", "merge", "--yes"])
        .exits(1)
        .says("no identity matches");
    assert!(!run.all().contains("billing"), "{}", run.all());
    lab.run(&["-i", "missing.txt", "merge", "--yes"]).exits(1);
    assert_eq!(files(&lab), before);
    lab.plant(&[PASSPHRASE]);
    let mut terminal = Terminal::start(lab.command(&["-i", "locked", "merge", "--yes"]));
    terminal.sees("Passphrase for ");
    terminal.types(&format!("{PASSPHRASE}\n"));
    let run = lab.ended(terminal).exits(0);
    assert_eq!(
        run.all().matches("Passphrase for ").count(),
        1,
        "{}",
        run.all()
    );
    has(&lab, &[OURS, OTHER]);
    assert!(!lab.read(MANIFEST).contains(&stranger));
    is_sound(&lab, ".");
}

#[test]
fn an_invalid_command_line_is_64_and_an_address_of_nothing_is_1() {
    let lab = stopped(&[OURS], &[THEIRS]);
    let before = files(&lab);
    lab.run(&[
        "merge", "--ours", "billing", "--theirs", "*/source", "billing",
    ])
    .exits(64)
    .says("--ours and --theirs name the same entry");
    lab.run(&["merge", "--mine"]).exits(64);
    lab.run(&["merge", "billing"]).exits(64);
    lab.run(&["merge", "--ours", "audit", "orders/sorce", "--theirs", "@*"])
        .exits(1)
        .says("address 1 of --ours matches no entry; orders/sorce: an endpoint is")
        .says("address 1 of --theirs matches no entry");
    assert_eq!(files(&lab), before);
}

#[test]
fn where_git_has_nothing_to_merge_it_is_said_why() {
    let lab = Lab::new();
    lab.run(&["merge"])
        .exits(1)
        .says("this directory is not in a git work tree");
    let lab = stopped(&[OURS], &[OTHER]);
    lab.run(&["merge", "--yes"]).exits(0);
    add(&lab);
    lab.run(&["merge", "--yes"])
        .exits(1)
        .says("git has no unfinished merge of passwords.yaml.age");
    // As the message says, git brings it back.
    git(&lab, &["checkout", "--merge", MANIFEST]).exits(0);
    lab.run(&["merge", "--yes"]).exits(0);
    git(&lab, &["reset", "--quiet", "--hard"]).exits(0);
    git(&lab, &["switch", "--quiet", "--create", "gone", "main"]).exits(0);
    git(&lab, &["rm", "--quiet", MANIFEST]).exits(0);
    commit(&lab, "Remove it");
    git(&lab, &["merge", "--quiet", "rotate"]).exits(1);
    lab.run(&["merge", "--yes"])
        .exits(1)
        .says("one side of the merge removed or moved passwords.yaml.age");
    is_clean(&lab);
}

#[test]
fn a_change_after_the_merge_is_not_overwritten() {
    let lab = stopped(&[OURS], &[OTHER]);
    lab.run(&["merge", "--yes"]).exits(0);
    lab.run(&["set", "orders/destination", "--generate"])
        .exits(0);
    let before = files(&lab);
    lab.run(&["merge", "--yes"])
        .exits(1)
        .says("passwords.yaml.age was changed after git stopped");
    assert_eq!(files(&lab), before);
    git(&lab, &["checkout", "--merge", MANIFEST]).exits(0);
    lab.run(&["merge", "--yes"]).exits(0);
    is_sound(&lab, ".");
}

#[test]
fn a_change_that_was_made_to_one_side_instead_is_not_overwritten() {
    let lab = stopped(&[OURS], &[OTHER]);
    git(&lab, &["checkout", "--quiet", "--ours", MANIFEST]).exits(0);
    lab.run(&["set", "orders/destination", "--generate"])
        .exits(0);
    let before = files(&lab);
    lab.run(&["merge", "--yes"])
        .exits(1)
        .says("passwords.yaml.age was changed after git stopped");
    assert_eq!(files(&lab), before);
    // Nor is a file that is no manifest at all.
    lab.write(MANIFEST, "something else\n");
    lab.run(&["merge", "--yes"]).exits(1);
    git(&lab, &["checkout", "--quiet", "--ours", MANIFEST]).exits(0);
    lab.run(&["merge", "--yes"]).exits(0);
}

#[test]
fn sides_that_do_not_fit_together_are_refused_with_what_is_wrong() {
    let mut lab = lab();
    git(&lab, &["switch", "--quiet", "--create", "rotate"]).exits(0);
    let mut edit = lab.command(&["edit"]);
    edit.env(
        "EDITOR",
        "sed -i s/canary-audit/canary-edited/;s/name:.audit/name:\\ twice/",
    );
    lab.plant(&["canary-edited"]);
    lab.run_command(edit).exits(0);
    commit(&lab, "Name one");
    git(&lab, &["switch", "--quiet", "main"]).exits(0);
    let mut edit = lab.command(&["edit"]);
    edit.env("EDITOR", "sed -i s/name:.billing/name:\\ twice/");
    lab.run_command(edit).exits(0);
    commit(&lab, "Name another");
    git(&lab, &["merge", "--quiet", "rotate"]).exits(1);
    let before = files(&lab);
    lab.run(&["merge", "--yes"])
        .exits(1)
        .says("the merged manifest is invalid")
        .says("Nothing was written.");
    assert_eq!(files(&lab), before);
    lab.run(&["merge", "--yes", "--ours", "audit"]).exits(0);
    is_sound(&lab, ".");
}
