//! What a rekey refuses, with every file as it was.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drspass::store::{LockInfo, Store};

use super::{MANIFEST, STATE, add_somebody, contents, key_id, opens, own, person, told};
use crate::support::around::through;
use crate::support::terminal::{APPROVAL, Terminal};
use crate::support::{J1, Lab, Run};

/// Runs a rekey that must leave every file as it was.
#[track_caller]
fn refused(lab: &Lab, args: &[&str], code: i32) -> Run {
    let stamp = |lab: &Lab| {
        let found = lab.path(MANIFEST).symlink_metadata().unwrap();
        (found.ino(), found.mtime(), found.mtime_nsec())
    };
    let (before, when) = (told(lab), stamp(lab));
    let run = lab.run(&[&["rekey", "--yes"], args].concat()).exits(code);
    assert_eq!(told(lab), before);
    assert_eq!(stamp(lab), when, "the manifest was not even touched");
    run
}

#[test]
fn two_keys_that_look_alike_are_told_apart_before_anybody_approves() {
    let lab = Lab::with_a_change();
    // Beginning and end of an rsa key can be chosen; so can a comment.
    let key = |middle: u8| {
        let mut blob = b"\0\0\0\x07ssh-rsa\0\0\0\x03\x01\0\x01\0\0\x01\x01\0\xc1".to_vec();
        blob.extend([middle; 249]);
        blob.extend([1; 6]);
        STANDARD.encode(blob)
    };
    // Neither has a small factor.
    let (ours, theirs) = (key(12), key(13));
    assert_eq!(ours[..8], theirs[..8]);
    assert_eq!(ours[ours.len() - 6..], theirs[theirs.len() - 6..]);
    lab.list_recipients(&[&own(&lab), &format!("ssh-rsa {ours} alice")]);
    lab.run(&["rekey", "--yes"]).exits(0);
    lab.list_recipients(&[&own(&lab), &format!("ssh-rsa {theirs} removed")]);
    let shown = lab.run(&["recipients"]).exits(0).stdout;
    let lines: Vec<&str> = shown.lines().filter(|l| l.contains(" ssh-rsa ")).collect();
    assert_eq!(
        lines.iter().filter(|l| l.contains("SHA256:")).count(),
        2,
        "{shown}"
    );
    let files = told(&lab);
    let run = lab.run(&["rekey"]).exits(7);
    assert_eq!(told(&lab), files);
    let line = |mark: &str| {
        let mark = format!("{mark} ssh-rsa SHA256:");
        let mut lines = run.stderr.lines();
        let found = lines.find_map(|line| line.trim().strip_prefix(mark.as_str()));
        let found = found.unwrap_or_else(|| panic!("{mark} is not in\n{}", run.stderr));
        (
            found.to_owned(),
            lines.next().unwrap_or_default().to_owned(),
        )
    };
    let (added, removed) = (line("+"), line("-"));
    assert_ne!(added.0, removed.0);
    assert_eq!(added.1, "      comment: removed");
    assert_eq!(removed.1, "      comment: alice");
}

#[test]
fn a_manifest_of_another_key_than_the_state_is_not_written_anew() {
    let lab = Lab::with_a_change();
    lab.apply(&[]).exits(0);
    // Somebody who cannot read makes a manifest of the same shape, for one reader more.
    let reader = person(&lab, "reader.txt");
    lab.list_recipients(&[&own(&lab), &reader]);
    let plain =
        format!("version: 1\njobs:\n  {J1}:\n    source: {{ password: 'canary-forged' }}\n");
    lab.forge("canary-forged");
    lab.write("plain.yaml", &plain);
    lab.write("value", "canary-typed");
    lab.write(
        "values.csv",
        format!("address,password\n{J1}/source,canary-typed\n"),
    );
    let source = format!("{J1}/source");
    let commands: [&[&str]; 7] = [
        &["set", &source, "--from-file", "value"],
        &["set", &source, "--generate"],
        &["unset", &source],
        &["import", "values.csv", "--write"],
        &["encrypt", "plain.yaml"],
        &["rekey", "--yes"],
        &["rekey", "--yes", "--new-key"],
    ];
    let files = told(&lab);
    for command in commands {
        lab.run(command)
            .exits(1)
            .says("the state was made with the key");
        assert_eq!(told(&lab), files, "{command:?}");
    }
    lab.run_command({
        let mut command = lab.command(&["edit"]);
        command.env("EDITOR", "false");
        command
    })
    .exits(1)
    .says("the state was made with the key");
    // Whoever knows better says which key it is.
    let id = key_id(&lab);
    let expected = ["--expect-key-id", &id];
    lab.run(&[&expected[..], commands[0]].concat()).exits(0);
    lab.run(&[&expected[..], &["rekey", "--yes"]].concat())
        .exits(0);
    assert_eq!(key_id(&lab), id);
}

#[test]
fn an_identity_that_does_not_match_changes_nothing() {
    let lab = Lab::with_a_change();
    add_somebody(&lab);
    person(&lab, "stranger.txt");
    let files = contents(&lab);
    for command in [&["rekey", "--yes"][..], &["rekey", "--yes", "--new-key"]] {
        lab.run(&[&["-i", "stranger.txt"], command].concat())
            .exits(1)
            .says("no identity matches")
            .says("is encrypted to 2 recipients");
        assert_eq!(contents(&lab), files);
    }
    refused(&lab, &["-i", "stranger.txt"], 1);
    lab.write("plain.yaml", "version: 1\njobs: {}\n");
    lab.run(&["-i", "stranger.txt", "encrypt", "plain.yaml"])
        .exits(1)
        .says("no identity matches")
        .says("is encrypted to 2 recipients");
    fs::remove_file(lab.path("plain.yaml")).unwrap();
    assert_eq!(contents(&lab), files);
}

#[test]
fn a_list_that_leaves_out_every_identity_at_hand_needs_a_flag() {
    let lab = Lab::with_a_change();
    let other = person(&lab, "other.txt");
    lab.list_recipients(&[&other]);
    refused(&lab, &[], 1)
        .says("you could no longer read the manifest")
        .says("--allow-lockout");
    lab.run(&["rekey", "--yes", "--allow-lockout"])
        .exits(0)
        .says("you will not be able to read it");
    assert!(opens(&lab, "other.txt") && !opens(&lab, "key.txt"));
    // Whoever can read goes on.
    lab.run(&["-i", "other.txt", "apply", "--auto-approve"])
        .exits(0);
}

#[test]
fn ctrl_c_at_the_question_changes_nothing_and_leaves_the_terminal_as_it_was() {
    let lab = Lab::with_a_change();
    let other = person(&lab, "other.txt");
    lab.list_recipients(&[&other]);
    let files = told(&lab);
    // The shell outlives the Ctrl-C that reaches it as well.
    let script = "trap : INT; echo terminal $(stty -g); \"$0\" \"$@\"; echo code $?; \
                  echo terminal $(stty -g)";
    let command = lab.command(&["rekey", "--allow-lockout"]);
    let mut terminal = Terminal::start(through("sh", &["-c", script], &command));
    let before = terminal.line("terminal ");
    terminal.sees(APPROVAL);
    terminal.control('c');
    assert_eq!(terminal.line("code "), "130");
    assert_eq!(terminal.line("terminal "), before);
    lab.ended(terminal)
        .exits(0)
        .says("you will not be able to read it");
    assert_eq!(told(&lab), files);
    lab.run(&["lock", "show"]).exits(0).says("free");
    lab.run(&["rekey", "--yes", "--allow-lockout"]).exits(0);
}

#[test]
fn a_list_of_nobody_is_refused() {
    let lab = Lab::with_a_change();
    let config = lab.read("drspass.yaml");
    let own = own(&lab);
    for (nobody, says) in [
        ("recipients: []\n", "is an empty list"),
        ("recipients:\n  # age1…\n", "is not a list"),
    ] {
        let item = format!("recipients:\n  - \"{own}\"\n");
        assert!(config.contains(&item), "{config}");
        lab.write("drspass.yaml", config.replace(&item, nobody));
        refused(&lab, &[], 1).says(says);
    }
}

#[test]
fn keys_that_cannot_be_encrypted_to_are_named_by_number_and_type() {
    let lab = Lab::with_a_change();
    let own = own(&lab);
    lab.list_recipients(&[
        &own,
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTY= me",
        "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t me",
    ]);
    let run = refused(&lab, &[], 1)
        .says("recipients.#2: ")
        .says("is an ecdsa key, which age cannot encrypt to")
        .says("recipients.#3: ")
        .says("is a security key, which age cannot encrypt to")
        .says("Use age1…, ssh-ed25519 or ssh-rsa.");
    assert!(!run.all().contains("AAAAE2Vj"), "{}", run.all());
    lab.list_recipients(&[&own, "age1nonsense", "ssh-ed25519 AAAAnonsense"]);
    refused(&lab, &[], 1)
        .says("recipients.#2: is not a valid age public key")
        .says("recipients.#3: is a damaged ssh key");
}

#[test]
fn a_state_that_cannot_be_trusted_stops_it() {
    let lab = Lab::with_a_change();
    add_somebody(&lab);
    lab.list_recipients(&[&own(&lab)]);
    let state = lab.read(STATE);
    for (edited, says) in [
        (
            state.replacen("\"sent\"", "\"adopted\"", 1),
            "state was changed outside drspass",
        ),
        (state[..state.len() / 2].to_owned(), "incomplete or damaged"),
        (
            state.replace("drspass.state/1", "drspass.state/2"),
            "does not know",
        ),
    ] {
        lab.write(STATE, edited);
        refused(&lab, &[], 1).says(says);
    }
    lab.write(STATE, &state);
    lab.killed_at("apply.before_fold", 1, &["apply", "--auto-approve"]);
    let journal = lab.read("drspass.state.json.journal");
    lab.write(
        "drspass.state.json.journal",
        journal.replace("\"applied\"", "\"refused\""),
    );
    refused(&lab, &[], 1).says("drspass.state.json.journal");
}

#[test]
fn a_state_of_another_key_stops_it() {
    let lab = Lab::with_a_change();
    let former = lab.read(STATE);
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    let key = key_id(&lab);
    // A state of a key that the manifest neither has nor had.
    let other = "0123456789abcdef0123456789abcdef";
    lab.write(STATE, former.replace(&state_key(&former), other));
    assert_ne!(key, other);
    refused(&lab, &["--new-key"], 1).says("the state was made with the key");
}

fn state_key(state: &str) -> String {
    let state: serde_json::Value = serde_json::from_str(state).unwrap();
    state["body"]["key_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_former_state_that_was_changed_is_not_carried_over() {
    let lab = Lab::with_a_change();
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    let state = lab.read(STATE);
    for forged in [
        state.replacen("\"sent\"", "\"adopted\"", 1),
        state.replacen("\"serial\":", "\"serial\":1", 1),
    ] {
        assert_ne!(forged, state);
        lab.write(STATE, forged);
        for command in [&["plan"][..], &["apply", "--auto-approve"]] {
            lab.run(command)
                .exits(1)
                .says("state was changed outside drspass");
        }
        refused(&lab, &["--new-key"], 1);
        lab.run(&["rekey", "--again", "--yes"]).exits(1);
    }
    lab.write(STATE, state);
    lab.apply(&[]).exits(0);
}

#[test]
fn somebody_at_work_stops_it() {
    let lab = Lab::with_a_change();
    let store = Store::at(lab.path(STATE));
    let guard = store.lock(&LockInfo {
        pid: 1,
        host: "here".to_owned(),
        command: "test".to_owned(),
        since: jiff::Timestamp::UNIX_EPOCH,
    });
    refused(&lab, &["--new-key"], 6).says("the lock");
    drop(guard);
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
}

#[test]
fn an_older_manifest_stops_it() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let old = fs::read(lab.path(MANIFEST)).unwrap();
    lab.passwords(&[(J1, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    lab.write(MANIFEST, old);
    for args in [&[][..], &["--new-key"]] {
        refused(&lab, args, 1).says("Check out the newest manifest");
    }
}

#[test]
fn another_key_than_the_expected_one_stops_it() {
    let lab = Lab::with_a_change();
    let id = key_id(&lab);
    let other = "0123456789abcdef0123456789abcdef";
    refused(&lab, &["--expect-key-id", other], 1).says("is expected");
    lab.run(&["rekey", "--yes", "--new-key", "--expect-key-id", &id])
        .exits(0);
    refused(&lab, &["--expect-key-id", &id], 1).says("is expected");
}

#[test]
fn what_an_apply_could_not_save_must_be_folded_in_first() {
    let lab = Lab::with_a_change();
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.env("DRSPASS_TEST_FAIL_AT", "replace:3,journal.append:1");
    lab.run_command(command).exits(8);
    let name = crate::recover::recovery_file(&lab);
    refused(&lab, &["--new-key"], 1)
        .says(&name)
        .says("drspass state recover FILE");
    lab.run(&["state", "recover", &name]).exits(0);
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn an_unfinished_merge_stops_it() {
    let lab = Lab::with_a_change();
    let manifest = lab.read(MANIFEST);
    lab.write(
        MANIFEST,
        format!("<<<<<<< ours\n{manifest}=======\n{manifest}>>>>>>> theirs\n"),
    );
    refused(&lab, &[], 1)
        .says("unresolved merge")
        .says("Run 'drspass merge'");
}
