//! What a writer can commit, and what can stand in place of a file or a key.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use super::{repository, rotate, seal};
use crate::support::{J1, Lab, make_pipe};

const START: &str = "drspass: nothing is shown: ";
const DAMAGED: &str = "not a complete age file for recipients";
const INVALID: &str = "not a valid sealed manifest";
const UNREADABLE: &str = "the file is unreadable";
const PLAIN: &str = "not encrypted";

/// `show --textconv` that is ended when it hangs, with another identity or more.
fn textconv(lab: &Lab, file: impl AsRef<Path>, change: impl FnOnce(&mut Command)) -> String {
    let mut command = super::program(lab, env!("CARGO_BIN_EXE_drspass"));
    command.args(["show", "--textconv"]).arg(file.as_ref());
    change(&mut command);
    let run = lab.run_command(command).exits(0);
    assert_eq!(run.stderr, "", "{}", file.as_ref().display());
    run.stdout
}

#[test]
fn whatever_stands_in_place_of_a_manifest_is_one_line() {
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    let good = lab.read("passwords.yaml.age");
    // A folder that is not searched for planted passwords, since one file is large.
    fs::create_dir(lab.path("odd")).unwrap();
    let large = File::create(lab.path("odd/large")).unwrap();
    large.set_len(100 << 20).unwrap();
    make_pipe(&lab.path("odd/pipe"));
    fs::create_dir(lab.path("odd/folder")).unwrap();
    std::os::unix::fs::symlink("nowhere", lab.path("odd/dangling")).unwrap();
    std::os::unix::fs::symlink("pipe", lab.path("odd/to-pipe")).unwrap();
    std::os::unix::fs::symlink("loop", lab.path("odd/loop")).unwrap();
    lab.write("odd/empty", "");
    lab.write("odd/garbage", [0_u8, 0xff, 0x1b, b'[', b'2', b'J', b'\n']);
    lab.write("odd/plain", "version: 1\njobs: {}\n");
    lab.write("odd/conflict", good.replacen('\n', "\n<<<<<<< ours\n", 1));
    lab.write("odd/cut", &good[..good.len() / 2]);
    lab.write("odd/cut-binary", "age-encryption.org/v1\n-> X25519 x\n");
    lab.write("odd/newer", "age-encryption.org/v9\n-> X25519 x\n--- x\n");
    lab.write("odd/more", format!("{good}canary-more\n"));
    // One stanza for each line: what the age library reads in quadratic time.
    let stanzas = "-> X25519 TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc\n\
                   EmECAEcKN+n/Vs9SbWiV+Hu0r+E8R77DdWYyd83nw7U\n";
    lab.write(
        "odd/stanzas",
        format!("age-encryption.org/v1\n{}", stanzas.repeat(80_000)),
    );
    lab.write(
        "odd/one-line",
        format!("age-encryption.org/v1\n-> {}\n", "a".repeat(4 << 20)),
    );
    seal(&lab, "odd/not-yaml", b"\xff\xfe canary-x");
    seal(&lab, "odd/no-manifest", b"{ canary: [canary-x, }");
    seal(
        &lab,
        "odd/not-sealed",
        format!("version: 1\njobs: {{ {J1}: {{}} }}\n").as_bytes(),
    );
    seal(&lab, "odd/deep", "[".repeat(1 << 20).as_bytes());
    for (file, why) in [
        ("large", UNREADABLE),
        ("nowhere", UNREADABLE),
        ("pipe", UNREADABLE),
        ("folder", UNREADABLE),
        ("dangling", UNREADABLE),
        ("to-pipe", UNREADABLE),
        ("loop", UNREADABLE),
        ("/dev/zero", UNREADABLE),
        ("/dev/tty", UNREADABLE),
        ("empty", PLAIN),
        ("garbage", PLAIN),
        ("plain", PLAIN),
        ("conflict", "conflict marks of an unresolved merge"),
        ("cut", DAMAGED),
        ("cut-binary", DAMAGED),
        ("newer", DAMAGED),
        ("more", DAMAGED),
        ("stanzas", DAMAGED),
        ("one-line", DAMAGED),
        ("not-yaml", INVALID),
        ("no-manifest", INVALID),
        ("not-sealed", INVALID),
        ("deep", INVALID),
    ] {
        let place = Path::new("odd").join(file);
        assert_eq!(
            textconv(&lab, &place, |_| {}),
            format!("{START}{why}\n"),
            "{file}"
        );
    }
}

#[test]
fn an_odd_identity_or_environment_hangs_and_fails_nothing() {
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    let shown = textconv(&lab, "passwords.yaml.age", |_| {});
    assert!(shown.contains("job orders"), "{shown}");
    make_pipe(&lab.path("pipe"));
    let none = format!("{START}none of the given identities opens it\n");
    for identity in [
        "pipe",
        ".",
        "/dev/zero",
        "/dev/tty",
        "/dev/stdin",
        "nowhere",
    ] {
        let text = textconv(&lab, "passwords.yaml.age", |command| {
            command.env("DRSPASS_IDENTITY", identity);
        });
        assert_eq!(text, none, "{identity}");
    }
    // Several files of which one is of use.
    let text = textconv(&lab, "passwords.yaml.age", |command| {
        command.args(["-i", "pipe", "-i", "key.txt", "-i", "nowhere"]);
    });
    assert_eq!(text, shown);
    let text = textconv(&lab, "passwords.yaml.age", |command| {
        command.env_remove("HOME").env_remove("DRSPASS_IDENTITY");
    });
    assert_eq!(text, none);
    // What other commands refuse to run with.
    let text = textconv(&lab, "passwords.yaml.age", |command| {
        command
            .env_remove("HOME")
            .env("PATH", "")
            .env("LANG", "tr_TR.ISO-8859-9")
            .env("LC_ALL", "nowhere")
            .env("TERM", "odd")
            .env("EDITOR", "false")
            .env("DRSPASS_EXPECT_KEY_ID", "")
            .env("DRSPASS_MAX_CHANGES", "many");
    });
    assert_eq!(text, shown);
    lab.run(&["show", "--textconv"]).exits(64);
    lab.run(&["show", "plan.json", "--textconv", "x"]).exits(64);
}

#[test]
fn nobody_who_only_encrypts_can_steer_a_terminal_or_add_lines() {
    let lab = repository();
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let sealed = |recipients: &str| {
        format!(
            "version: 1\nsealed:\n  fingerprint_key: \"{key}\"\n  endpoint: \
             \"https://a/##vso[task]{}\"\n  project_id: \"p\"\n  auth_url: \"https://a/v3\"\n  \
             recipients: [{recipients}]\n  revision: 1\njobs: {{}}\n",
            "x".repeat(5000)
        )
    };
    let steering = sealed(
        r###""\e[2J", "a\njob fake", "age1\u202eabc", "\x07", "ssh-rsa AAAA\u2028x y", "##[error]x", "age1é", " ""###,
    );
    seal(&lab, "steering", steering.as_bytes());
    let text = textconv(&lab, "steering", |_| {});
    assert!(text.starts_with("drspass manifest; "), "{text}");
    assert!(!text.contains("##"), "{text}");
    for line in text.lines() {
        let odd = |c: char| c.is_control() || "\u{202e}\u{2028}".contains(c);
        assert!(!line.contains(odd) && line.len() < 300, "{line:?}");
        assert!(!line.starts_with("job"), "{line}");
    }
    assert_eq!(text.matches("\nrecipient: ").count(), 8, "{text}");
    assert!(!text.contains(key));
    // A label that is none makes the manifest an invalid one.
    let labels = format!(
        "{}  \"{J1}\":\n    name: \"a\\nb\"\n",
        sealed(&lab.recipient_of("key.txt")).replace("jobs: {}", "jobs:")
    );
    seal(&lab, "labels", labels.as_bytes());
    assert_eq!(
        textconv(&lab, "labels", |_| {}),
        format!("{START}{INVALID}\n")
    );
}
