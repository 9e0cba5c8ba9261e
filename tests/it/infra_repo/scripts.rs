//! The script of the pipelines, and the workflow that makes a release.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::read;

fn program(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn drspass_is_taken_from_the_archive_with_the_known_checksum_and_from_nothing_else() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for folder in ["bin", "drspass-0.1.0"] {
        fs::create_dir(at(folder)).unwrap();
    }
    program(&at("drspass-0.1.0/drspass"), "echo drspass 0.1.0");
    let sh = |script: &str| {
        let output = Command::new("sh")
            .args(["-c", script])
            .current_dir(dir.path())
            .env_clear()
            .env("HOME", dir.path())
            .env("PATH", format!("{}:/usr/bin:/bin", at("bin").display()))
            .env("DRSPASS_BIN", at("bin"))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let (_, sum) = sh("tar -czf kept drspass-0.1.0 && cp kept given && sha256sum given");
    let sum = sum.split(' ').next().unwrap();
    program(
        &at("bin/curl"),
        "echo \"$@\" >asked\nwhile [ \"$1\" != --output ]; do shift; done; cp given \"$2\"",
    );
    let script = read("ci/install.sh");

    // As it is shipped: each of the three has to be given, and nothing is fetched before.
    let settings = [
        "DRSPASS_VERSION=0.1.0".to_owned(),
        "DRSPASS_ARCHIVE=https://downloads.invalid/drspass.tar.gz".to_owned(),
        format!("DRSPASS_SHA256={sum}"),
    ];
    for missing in &settings {
        let given = settings.iter().filter(|setting| setting != &missing);
        let given: Vec<&str> = given.map(String::as_str).collect();
        fs::write(at("drspass.pin"), given.join("\n")).unwrap();
        let (is_well, said) = sh(&script);
        let name = missing.split('=').next().unwrap();
        assert!(
            !is_well && said.contains(&format!("{name}: is not set")),
            "{said}"
        );
        assert!(!at("asked").exists());
    }
    fs::write(at("drspass.pin"), settings.join("\n")).unwrap();

    // An archive that is another one.
    sh("echo more >>given");
    assert!(!sh(&script).0);
    assert!(!at("bin/drspass").exists(), "nothing of it is unpacked");

    sh("cp kept given");
    let (is_well, said) = sh(&script);
    assert!(is_well, "{said}");
    let asked = fs::read_to_string(at("asked")).unwrap();
    assert!(asked.contains("--proto =https") && asked.contains("downloads.invalid"));
    assert_eq!(sh("drspass --version").1, "drspass 0.1.0\n");
    // What is there is not fetched again, and another version is refused.
    fs::remove_file(at("asked")).unwrap();
    assert!(sh(&script).0 && !at("asked").exists());
    program(&at("bin/drspass"), "echo drspass 0.0.9");
    assert!(!sh(&script).0);
}

#[test]
fn the_release_is_built_with_pinned_actions_and_few_rights() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows/release.yml");
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains("\npermissions: {}\n"));
    let used = text.lines().filter_map(|line| line.split_once("uses: "));
    let mut count = 0;
    for (_, action) in used {
        count += 1;
        let commit = action.split(['@', ' ']).nth(1).unwrap();
        let is_commit = commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(is_commit, "{action}");
    }
    assert_eq!(count, 4);
    assert!(!text.contains("secrets."));
    for tag in [
        "x86_64-unknown-linux-musl",
        "aarch64-unknown-linux-musl",
        "SHA256SUMS",
    ] {
        assert!(text.contains(tag), "{tag}");
    }
}
