//! Files that are damaged, or not what they should be: whatever is wrong, nothing of
//! what they hold comes out.

use std::collections::BTreeSet;

use super::{PASSWORD, detached, fixture, sealed_to};
use crate::support::{Lab, Run};

fn files(lab: &Lab) -> BTreeSet<String> {
    let entries = std::fs::read_dir(lab.dir.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.collect()
}

/// A lab whose manifest is sealed to its own key, and the armor of that.
fn sealed() -> (Lab, String) {
    let other = Lab::new();
    let key = other.read("key.txt");
    let lab = sealed_to(&[&other.recipient_of("key.txt")]);
    lab.write("key.txt", key);
    let armor = lab.read("passwords.yaml.age");
    (lab, armor)
}

/// What each command says of a damaged manifest. None of them lets anything out.
#[track_caller]
fn refused(lab: &Lab, file: &[u8], says: &str) {
    lab.write("passwords.yaml.age", file);
    let before = files(lab);
    for args in [
        &["decrypt"][..],
        &["decrypt", "-o", "out.yaml"],
        &["show"],
        &["validate"],
        &["plan"],
    ] {
        let run: Run = lab.run(&[&["-i", "key.txt"], args].concat()).exits(1);
        assert_eq!(run.stdout, "", "{args:?}");
        assert!(!run.all().contains(PASSWORD));
        run.says(says);
    }
    assert_eq!(files(lab), before, "no file is made");
    assert_eq!(std::fs::read(lab.path("passwords.yaml.age")).unwrap(), file);
}

#[test]
fn damaged_armor_is_told_by_its_line() {
    let (lab, armor) = sealed();
    let lines: Vec<&str> = armor.lines().collect();
    let count = lines.len();
    let end = lines[count - 1];
    let in_line =
        |line: usize, why: &str| format!("the encrypted file is damaged in line {line}: {why}");
    let joined = |lines: &[&str]| format!("{}\n", lines.join("\n"));
    let with = |at: usize, text: &str| {
        let mut changed: Vec<&str> = lines.clone();
        changed[at - 1] = text;
        joined(&changed)
    };
    let inserted = |at: usize, text: &str| {
        let mut changed = lines.clone();
        changed.insert(at - 1, text);
        joined(&changed)
    };
    let six = format!("{end}-");
    let spaced = lines[1..count - 1].join(" ");
    let cases: Vec<(String, usize, &str)> = vec![
        (
            inserted(count, ""),
            count,
            "an empty line is inside the armor",
        ),
        (
            with(1, &format!("{}  ", lines[0])),
            1,
            "whitespace surrounds the first line",
        ),
        (
            with(count, &six),
            count,
            "it is not the last line of an armor",
        ),
        (
            joined(&[lines[0], &spaced, end]),
            2,
            "it contains whitespace",
        ),
        (
            with(3, &format!(" {}", lines[2])),
            3,
            "it contains whitespace",
        ),
        (
            with(3, &lines[2][..60]),
            4,
            "the line before it is too short",
        ),
        (
            with(3, &format!("{}AAAA", lines[2])),
            3,
            "it is longer than 64 characters",
        ),
        (
            with(3, &lines[2].replace(&lines[2][..1], "*")),
            3,
            "it contains an invalid character",
        ),
        (
            with(count - 1, &lines[count - 2][..1]),
            count - 1,
            "its end is missing",
        ),
        (joined(&lines[..count - 1]), count - 1, "the file ends here"),
        (joined(&lines[..3]), 3, "the file ends here"),
        (
            format!("{armor}more\n"),
            count + 1,
            "text follows the armor",
        ),
        (
            format!("{armor}{armor}"),
            count + 1,
            "text follows the armor",
        ),
        (format!("\n{armor}"), 1, "an empty line precedes the armor"),
        (
            format!("  {armor}"),
            1,
            "whitespace surrounds the first line",
        ),
    ];
    for (text, line, why) in cases {
        refused(&lab, text.as_bytes(), &in_line(line, why));
        refused(
            &lab,
            text.replace('\n', "\r\n").as_bytes(),
            &in_line(line, why),
        );
        let keyless = lab.run(&["validate", "--require-encrypted"]).exits(1);
        keyless.says(&in_line(line, why));
    }
    // What is harmless opens as ever.
    for whole in [
        armor.clone(),
        armor.replace('\n', "\r\n"),
        format!("{armor}\n \n"),
        armor.trim_end().to_owned(),
    ] {
        lab.write("passwords.yaml.age", whole);
        lab.run(&["-i", "key.txt", "show"]).exits(0);
    }
}

#[test]
fn changed_content_is_never_partly_written() {
    let other = Lab::new();
    let key = other.read("key.txt");
    let mut lab = sealed_to(&[&other.recipient_of("key.txt")]);
    lab.write("key.txt", key);
    // Longer than one chunk of the encryption, so that its start could be opened.
    let mut jobs = String::new();
    for at in 0..2000 {
        jobs.push_str(&format!(
            "  11df459d-a37c-41b9-bc2b-8c00ba32{at:04}:\n    source: {{ password: 'canary-many-{at}' }}\n"
        ));
    }
    lab.plant(&["canary-many-"]);
    lab.run(&["-i", "key.txt", "show"]).exits(0);
    lab.write("plain.yaml", format!("version: 1\njobs:\n{jobs}"));
    lab.run(&["-i", "key.txt", "encrypt", "plain.yaml"])
        .exits(0);
    std::fs::remove_file(lab.path("plain.yaml")).unwrap();
    let armor = lab.read("passwords.yaml.age");
    let lines: Vec<&str> = armor.lines().collect();
    assert!(armor.len() > 128 * 1024);
    for at in [lines.len() / 2, lines.len() - 3] {
        let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let swapped: String = changed[at].chars().rev().collect();
        assert_ne!(swapped, changed[at]);
        changed[at] = swapped;
        let text = format!("{}\n", changed.join("\n"));
        refused(&lab, text.as_bytes(), "its content is truncated or changed");
    }
    let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    changed.swap(1, 2);
    refused(
        &lab,
        format!("{}\n", changed.join("\n")).as_bytes(),
        "the encrypted file is damaged",
    );
}

#[test]
fn nothing_is_encrypted_twice_and_plain_text_is_not_decrypted() {
    let (lab, armor) = sealed();
    let binary = {
        let output = super::tool(&lab, "age", &["-d", "-i", "key.txt", "passwords.yaml.age"]);
        let text = { output }.output().unwrap().stdout;
        lab.write("plain.yaml", text);
        super::age(
            &lab,
            &[
                "-r",
                &lab.recipient_of("key.txt"),
                "-o",
                "binary.age",
                "plain.yaml",
            ],
        );
        std::fs::remove_file(lab.path("plain.yaml")).unwrap();
        std::fs::read(lab.path("binary.age")).unwrap()
    };
    for file in [armor.as_bytes(), &binary] {
        lab.write("twice.age", file);
        lab.run(&["-i", "key.txt", "encrypt", "twice.age"])
            .exits(1)
            .says("twice.age is already encrypted");
        assert_eq!(std::fs::read(lab.path("twice.age")).unwrap(), file);
        assert_eq!(lab.read("passwords.yaml.age"), armor);
    }
    refused(
        &lab,
        b"version: 1\njobs: {}\n",
        "the manifest is not encrypted",
    );
}

#[test]
fn a_manifest_behind_a_passphrase_is_refused_and_nobody_is_asked() {
    let (lab, _) = sealed();
    let file = std::fs::read(fixture("work_20.age")).unwrap();
    refused(
        &lab,
        &file,
        "the file is encrypted with a passphrase, not to recipients",
    );
    detached(&lab, &["-i", "key.txt", "show"])
        .exits(1)
        .says("seal it with 'drspass -i key.txt encrypt FILE'");
}
