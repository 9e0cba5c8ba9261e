//! What editors, shells and other programs do to files that drspass reads: other
//! encodings, byte order marks, pointers in the place of files, modes and links.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{J1, Lab, TOKEN};

/// A text in every encoding that is refused, with its name.
fn encoded(text: &str) -> Vec<(Vec<u8>, &'static str)> {
    let units = |mark: &str| format!("{mark}{text}").encode_utf16().collect::<Vec<_>>();
    let le = |mark| units(mark).into_iter().flat_map(u16::to_le_bytes).collect();
    let be = |mark| units(mark).into_iter().flat_map(u16::to_be_bytes).collect();
    vec![
        (le("\u{feff}"), "UTF-16 LE"),
        (be("\u{feff}"), "UTF-16 BE"),
        (le(""), "UTF-16 LE"),
        (be(""), "UTF-16 BE"),
    ]
}

fn marked(text: &str) -> String {
    format!("\u{feff}{text}")
}

#[test]
fn other_encodings_are_named_and_a_mark_is_read_over() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let key = lab.read("key.txt");
    let pem = fs::read_to_string(crate::age::fixture("ed25519")).unwrap();
    let (identity, _) = drspass::age_file::generate_identity("2026-01-02T03:04:05Z");
    let csv = format!("address,password\n{J1}/source,canary-2\n");
    let ca = "-----BEGIN CERTIFICATE-----\n";
    let address = format!("{J1}/source");
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("file");
    let name = file.to_str().unwrap();
    let set = ["set", &address, "--from-file", name];
    for (text, args) in [
        (identity.as_str(), &["-i", name, "show"][..]),
        (&pem, &["-i", name, "show"]),
        ("canary-3", &set),
        (&csv, &["import", name]),
        (TOKEN, &["whoami", "--token-file", name]),
        (ca, &["whoami", "--ca-file", name]),
    ] {
        for (bytes, encoding) in encoded(text) {
            fs::write(&file, bytes).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
            lab.run(args)
                .exits(1)
                .says(&format!("{encoding}, not UTF-8"));
        }
    }
    for (text, args) in [
        (key.as_str(), &["-i", name, "show"][..]),
        ("canary-3\n", &set),
        (&csv, &["import", "--write", name]),
        (TOKEN, &["whoami", "--token-file", name]),
    ] {
        fs::write(&file, marked(text)).unwrap();
        lab.run(args).exits(0);
    }
    let plain = lab.run(&["decrypt"]).exits(0).stdout;
    assert!(
        plain.contains("\"canary-2\"") || plain.contains("'canary-2'"),
        "{plain}"
    );
}

#[test]
fn a_file_that_took_the_manifests_place_is_named_with_the_way_back() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    for (content, says, way_back) in [
        (&b""[..], "an empty file", "git restore"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
            "a Git LFS pointer",
            "git lfs pull",
        ),
        (
            b"\0GITCRYPT\0\x01\x02",
            "a file encrypted with git-crypt",
            "git-crypt unlock",
        ),
    ] {
        lab.write("passwords.yaml.age", content);
        lab.write("plain.yaml", "version: 1\njobs: {}\n");
        for args in [
            &["plan"][..],
            &["validate", "--require-encrypted"],
            &["recipients", "--no-identity"],
            &["decrypt"],
            &["encrypt", "plain.yaml"],
        ] {
            let says = format!("the manifest is not encrypted with age: it is {says}");
            let run = lab.run(args).exits(1).says(&says).says(way_back);
            assert!(!run.all().contains("drspass encrypt"), "{}", run.all());
        }
        assert_eq!(fs::read(lab.path("passwords.yaml.age")).unwrap(), content);
    }
}

#[test]
fn a_read_only_manifest_is_not_replaced() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let manifest = lab.path("passwords.yaml.age");
    fs::set_permissions(&manifest, Permissions::from_mode(0o444)).unwrap();
    let before = fs::read(&manifest).unwrap();
    let address = format!("{J1}/source");
    lab.write("new.csv", format!("address,password\n{address},canary-2\n"));
    lab.write("plain.yaml", "version: 1\njobs: {}\n");
    lab.write("touch", "#!/bin/sh\ntouch edited\n");
    fs::set_permissions(lab.path("touch"), Permissions::from_mode(0o755)).unwrap();
    for args in [
        &["set", &address, "--generate"][..],
        &["unset", &address],
        &["import", "--write", "new.csv"],
        &["encrypt", "plain.yaml"],
        &["rekey", "--yes"],
        &["rekey", "--yes", "--new-key"],
        &["edit"],
    ] {
        let mut command = lab.command(args);
        command.env("EDITOR", lab.path("touch"));
        lab.run_command(command)
            .exits(1)
            .says("cannot write passwords.yaml.age")
            .says("it is read-only");
        assert_eq!(fs::read(&manifest).unwrap(), before, "{args:?}");
    }
    assert!(!lab.exists("edited"), "no editor was started");
    // What only reads goes on.
    lab.run(&["import", "new.csv"]).exits(0);
    lab.run(&["plan"]).exits(0);
}

#[test]
fn a_manifest_with_a_second_name_is_replaced_with_a_warning() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let (manifest, other) = (lab.path("passwords.yaml.age"), lab.path("other.age"));
    let address = format!("{J1}/source");
    let warning = "the manifest has a second name (a hard link), which keeps the old text";
    for args in [
        &["set", &address, "--generate"][..],
        &["encrypt", "plain.yaml"],
        &["rekey", "--yes"],
    ] {
        lab.write("plain.yaml", "version: 1\njobs: {}\n");
        fs::hard_link(&manifest, &other).unwrap();
        let before = fs::read(&manifest).unwrap();
        lab.run(args).exits(0).says(warning);
        assert_ne!(fs::read(&manifest).unwrap(), before);
        assert_eq!(fs::read(&other).unwrap(), before);
        fs::remove_file(&other).unwrap();
    }
    lab.run(&["set", "--add", "@other", "--generate"])
        .exits(0)
        .says_not(warning);
}
