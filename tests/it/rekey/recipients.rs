//! `recipients`: what can be known about who can read.

use std::fs;

use drspass::age_file::Plugins;

use super::{MANIFEST, add_somebody, contents, own, person};
use crate::outputs::document;
use crate::support::schema::{assert_closed, schema};
use crate::support::{LOCKED, LOCKED_PUBLIC as SSH, Lab, Run};

fn json(run: &Run) -> serde_json::Value {
    let document = document(run, "recipients-output");
    assert_closed(&schema("recipients-output"), &document);
    document
}

#[test]
fn an_added_and_a_removed_recipient_are_told_from_those_that_stay() {
    let lab = Lab::new();
    let (own, other) = (own(&lab), add_somebody(&lab));
    let ssh = SSH.trim();
    lab.list_recipients(&[&own, ssh]);
    let files = contents(&lab);
    let run = lab
        .run(&["recipients"])
        .exits(0)
        .says("passwords.yaml.age is encrypted to 2 recipients.")
        .says("2 age keys")
        .says("listed and sealed")
        .says(
            "+ ssh-ed25519 AAAAC3Nz…D7EJLT made-up-for-tests not in the file"
                .replace("D7EJLT", &ssh_end())
                .as_str(),
        )
        .says(&format!(
            "- {}…{} sealed, not listed",
            &other[..8],
            &other[other.len() - 6..]
        ))
        .says("'drspass rekey' encrypts to those in drspass.yaml");
    assert!(
        run.stdout.lines().all(|line| line.chars().count() <= 80),
        "{}",
        run.stdout
    );
    assert_eq!(contents(&lab), files, "looking writes nothing");
    let told = json(&lab.run(&["recipients", "--json"]).exits(0));
    assert_eq!(told["opened"], true);
    let facts: Vec<(bool, bool, &str)> = told["recipients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            (
                r["listed"] == true,
                r["sealed"] == true,
                r["in_file"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        facts,
        [
            (true, true, "unknown"),
            (true, false, "no"),
            (false, true, "unknown")
        ]
    );
    assert_eq!(told["recipients"][1]["comment"], "made-up-for-tests");

    lab.run(&["rekey", "--yes"]).exits(0);
    lab.run(&["recipients"])
        .exits(0)
        .says("made-up-for-tests in the file");
    // A comment is no other recipient.
    let bare = ssh.rsplit_once(' ').unwrap().0;
    lab.list_recipients(&[&own, bare]);
    lab.run(&["validate"]).exits(0);
    let run = lab.run(&["recipients"]).exits(0);
    assert!(!run.stdout.contains("drspass rekey"), "{}", run.stdout);
}

fn ssh_end() -> String {
    let key = SSH.split(' ').nth(1).unwrap();
    key[key.len() - 6..].to_owned()
}

#[test]
fn without_a_key_it_tells_what_the_header_tells_and_what_cannot_be_known() {
    let lab = Lab::new();
    let ssh = SSH.trim();
    lab.list_recipients(&[&own(&lab), ssh]);
    lab.run(&["rekey", "--yes"]).exits(0);
    person(&lab, "stranger.txt");
    fs::write(lab.path("locked"), LOCKED).unwrap();
    for (args, why) in [
        (
            &["recipients", "--no-identity"][..],
            "no identity was asked for",
        ),
        (
            &["-i", "stranger.txt", "recipients"],
            "none of the given identities is a recipient",
        ),
        (&["-i", "locked", "recipients"], "the identity is locked"),
    ] {
        let run = lab
            .run(args)
            .exits(0)
            .says("1 age key")
            .says("1 ssh-ed25519 key")
            .says(why)
            .says("made-up-for-tests in the file")
            .says("without an identity, the sealed list is unknown");
        assert!(
            run.stdout.lines().all(|line| line.chars().count() <= 80),
            "{}",
            run.stdout
        );
        let told = json(&lab.run(&[args, &["--json"]].concat()).exits(0));
        assert_eq!(told["opened"], false);
        assert!(told["recipients"][0].get("sealed").is_none());
        assert_eq!(told["recipients"][1]["in_file"], "yes");
    }
}

#[test]
fn a_file_that_was_encrypted_without_drspass_is_pointed_out() {
    let lab = Lab::new();
    let plain = lab.run(&["decrypt"]).exits(0).stdout;
    let stranger = person(&lab, "stranger.txt");
    let everybody = [own(&lab), stranger, SSH.trim().to_owned()];
    let file = drspass::age_file::encrypt(plain.as_bytes(), &everybody, Plugins::Never).unwrap();
    lab.write(MANIFEST, file);
    lab.run(&["recipients"])
        .exits(0)
        .says("recipients in the file: 3, sealed: 1")
        .says("stanzas for ssh keys that are neither listed nor sealed: 1");
}

#[test]
fn what_is_no_age_file_is_an_error() {
    let lab = Lab::new();
    let manifest = lab.read(MANIFEST);
    for (content, says) in [
        ("version: 1\njobs: {}\n".to_owned(), "not encrypted"),
        (format!("<<<<<<< a\n{manifest}"), "unresolved merge"),
        (manifest[..manifest.len() / 2].to_owned(), "damaged"),
    ] {
        lab.write(MANIFEST, content);
        lab.run(&["recipients"]).exits(1).says(says);
        lab.run(&["recipients", "--no-identity"])
            .exits(1)
            .says(says);
    }
}
