//! A new root folder: what stops it is told at once, and nothing is written then.

use std::fs;
use std::path::Path;

use crate::age::public;
use crate::support::{Lab, Run, mode};

const TARGET: [&str; 4] = ["--region", "eu-de", "--project-id", "p"];

fn init(lab: &Lab, folder: &str, more: &[&str]) -> Run {
    let mut command = lab.command(&[&["-C", folder, "init"], &TARGET[..], more].concat());
    command.env_remove("DRSPASS_IDENTITY");
    lab.run_command(command)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn everything_that_stops_a_copy_is_told_at_once() {
    let mut lab = Lab::new();
    lab.passwords(&[(crate::support::J1, "source", "canary-1")]);
    lab.apply(&[]).exits(0);
    fs::create_dir(lab.path("copy")).unwrap();
    let copy = |name: &str| fs::copy(lab.path(name), lab.path("copy").join(name)).unwrap();
    copy("drspass.yaml");
    copy("drspass.state.json");
    let ed25519 = public("ed25519");
    let more = [
        "--recipient",
        "ecdsa-sha2-nistp256 AAAA",
        "--recipient",
        &format!("restrict {ed25519}"),
        "-i",
        "no/key.txt",
    ];
    let before = names(&lab.path("copy"));
    init(&lab, "copy", &more)
        .exits(1)
        .says("cannot set up this directory: 5 problems")
        .says("drspass.yaml exists already and names the target and the recipients")
        .says("the manifest is missing, and a new one would have a new key")
        .says("--recipient number 1: is an ecdsa key")
        .says("--recipient number 2: has options before the key")
        .says("cannot create the identity no/key.txt: its directory does not exist")
        .says("Nothing was written.");
    assert_eq!(names(&lab.path("copy")), before);
    // A root folder that is set up is said to be one, with all of its files.
    copy("passwords.yaml.age");
    for more in [&[][..], &["-i", "key.txt"]] {
        init(&lab, "copy", more).exits(1).says(
            "this directory is already set up; it has drspass.yaml, passwords.yaml.age, drspass.state.json",
        );
    }
    lab.run(&["init"])
        .exits(1)
        .says("this directory is already set up");
}

#[test]
fn the_folder_of_the_default_identity_is_made_and_another_identity_is_to_be_exported() {
    let lab = Lab::new();
    fs::create_dir(lab.path("new")).unwrap();
    let default = lab.path(".config/drspass/identity.txt");
    let made = init(&lab, "new", &["-i", default.to_str().unwrap()])
        .exits(0)
        .says(&format!("wrote {}", default.display()));
    assert!(!made.all().contains("DRSPASS_IDENTITY="));
    assert_eq!(mode(&default), 0o600);
    assert_eq!(mode(default.parent().unwrap()), 0o700);
    fs::create_dir(lab.path("other")).unwrap();
    let made = init(&lab, "other", &["-i", "it's.txt"]).exits(0);
    let said = "Next: export DRSPASS_IDENTITY=\"$PWD\"/";
    let line = made.stderr.lines().find_map(|line| line.strip_prefix(said));
    assert_eq!(
        shell_words::split(line.unwrap()).unwrap(),
        ["other/it's.txt"]
    );
    let mut command = lab.command(&["-C", "new", "show"]);
    command.env_remove("DRSPASS_IDENTITY");
    lab.run_command(command).exits(0);
}

#[test]
fn a_recipient_that_is_named_twice_is_taken_once() {
    let lab = Lab::new();
    fs::create_dir(lab.path("new")).unwrap();
    let own = lab.recipient_of("key.txt");
    let ed25519 = public("ed25519");
    let commented = format!("{ed25519} me");
    let key = lab.path("key.txt");
    let more = [
        "--recipient",
        &own,
        "--recipient",
        &ed25519,
        "--recipient",
        &commented,
        "-i",
        key.to_str().unwrap(),
    ];
    init(&lab, "new", &more).exits(0);
    let config = lab.read("new/drspass.yaml");
    assert_eq!(config.matches("\n  - ").count(), 2, "{config}");
    assert_eq!(config.matches(&own).count(), 1);
}

#[test]
fn a_recipient_that_cannot_be_encrypted_to_is_told_by_its_option() {
    let lab = Lab::new();
    fs::create_dir(lab.path("new")).unwrap();
    for (recipient, why) in [
        ("age1nonsense", "is not a valid age public key"),
        ("age1pq1abc", "post-quantum age keys are not supported"),
        ("sk-ssh-ed25519@openssh.com AAAA", "is a security key"),
    ] {
        let run = init(&lab, "new", &["--recipient", recipient])
            .exits(1)
            .says(&format!("--recipient number 1: {why}"));
        assert!(!run.all().contains("drspass.yaml"), "{}", run.all());
    }
    lab.write("pq.txt", "AGE-SECRET-KEY-PQ-1CANARY\n");
    init(&lab, "new", &["-i", "../pq.txt"])
        .exits(1)
        .says("post-quantum age keys are not supported");
    assert_eq!(fs::read_dir(lab.path("new")).unwrap().count(), 0);
}

#[test]
fn a_filter_for_all_files_of_its_kind_is_unset_for_the_manifest() {
    let lab = Lab::new();
    fs::create_dir(lab.path("new")).unwrap();
    lab.write(
        "new/.gitattributes",
        "*.age filter=lfs diff=lfs merge=lfs -text\n",
    );
    let key = lab.path("key.txt");
    init(&lab, "new", &["-i", key.to_str().unwrap()]).exits(0);
    let git = |args: &[&str]| {
        let output = std::process::Command::new("git")
            .args(args)
            .current_dir(lab.path("new"))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["init", "-q"]);
    let seen = git(&["check-attr", "filter", "--", "passwords.yaml.age"]);
    assert_eq!(seen, "passwords.yaml.age: filter: unset\n");
}
