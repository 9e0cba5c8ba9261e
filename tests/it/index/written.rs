//! Who writes it, when, and what it says.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::{INDEX, MANIFEST, index, lab, manifest, printed, rotate};
use crate::git::{changed, commit, git_command, repository};
use crate::support::schema::{assert_closed, assert_fits, schema};
use crate::support::{J1, J2, Lab, Run, mode};

/// Runs a command with an editor that changes a password.
fn run(lab: &Lab, args: &[&str]) -> Run {
    let mut command = lab.command(args);
    command.env("EDITOR", "sed -i s/canary-rotated/canary-edited/");
    lab.run_command(command)
}

#[test]
fn every_command_that_writes_the_manifest_writes_its_index() {
    let mut lab = lab();
    lab.plant(&["canary-edited", "canary-imported"]);
    assert_eq!(mode(&lab.path(INDEX)), 0o600);
    fs::set_permissions(lab.path(INDEX), fs::Permissions::from_mode(0o644)).unwrap();
    let mut seen = vec![index(&lab)];
    let unlisted = format!("{J2}/source");
    fs::create_dir(lab.path("sub")).unwrap();
    let values = "{\"@orders-db\": \"canary-imported\"}";
    lab.write("sub/values.json", values);
    for args in [
        &["edit"][..],
        &["set", "orders/destination", "--generate"],
        &["unset", &unlisted],
        &["import", "sub/values.json", "--write"],
        &["rekey", "--yes"],
        &["rekey", "--yes", "--new-key"],
        &["encrypt", "plain.yaml"],
    ] {
        lab.write("plain.yaml", lab.run(&["decrypt"]).exits(0).stdout);
        run(&lab, args).exits(0);
        let now = index(&lab);
        assert!(!seen.contains(&now), "{args:?}");
        assert_eq!(now, printed(&lab), "{args:?}");
        seen.push(now);
    }
    // It keeps its mode, and what writes no manifest writes no index.
    assert_eq!(mode(&lab.path(INDEX)), 0o644);
    run(&lab, &["edit"]).exits(0).says("no changes");
    run(&lab, &["import", "sub/values.json"]).exits(0);
    lab.write("plain.yaml", lab.run(&["decrypt"]).exits(0).stdout);
    lab.run(&["encrypt", "plain.yaml", "-o", "sub/other.age"])
        .exits(0);
    assert!(!lab.exists("sub/other.index.yaml"));
    assert_eq!(index(&lab), seen[seen.len() - 1]);
}

#[test]
fn an_index_has_names_and_tags_and_neither_passwords_nor_comments() {
    let lab = lab();
    let text = index(&lab);
    for name in ["orders-db", "name: orders", J1, J2, "revision: 2"] {
        assert!(text.contains(name), "{name}\n{text}");
    }
    for secret in ["canary", "comment", "fingerprint_key"] {
        assert!(!text.contains(secret), "{text}");
    }
    let validated = lab.run(&["validate"]).exits(0).stdout;
    let key_id = validated.split("key id: ").nth(1).unwrap();
    assert!(text.contains(key_id.lines().next().unwrap()), "{text}");
}

#[test]
fn an_index_fits_its_schema() {
    let mut lab = lab();
    let schema = schema("index");
    let check = |lab: &Lab| {
        let document = serde_yaml::from_str(&index(lab)).unwrap();
        assert_fits(&schema, &document);
        assert_closed(&schema, &document);
    };
    check(&lab);
    let jobs = format!(
        "  {J1}:\n    source:\n      password: 'canary-1'\n      kerberos: {{ domain_name: 'canary-2' }}\n"
    );
    lab.plant(&["canary-1", "canary-2"]);
    lab.manifest(&jobs).exits(0);
    check(&lab);
    lab.document("version: 1\njobs: {}\n").exits(0);
    check(&lab);
}

#[test]
fn a_git_diff_without_a_key_names_the_password_that_changed() {
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    commit(&lab, "First");
    let before = index(&lab);
    rotate(&mut lab, "canary-new");
    let diff = || {
        let mut command = git_command(&lab, &["diff"]);
        command.env_remove("DRSPASS_IDENTITY");
        lab.run_command(command).exits(0).stdout
    };
    let text = diff();
    let lines = changed(&text);
    assert_eq!(lines.len(), 4, "{text}");
    for (line, start) in lines.iter().zip([
        "-manifest: { sha256: ",
        "+manifest: { sha256: ",
        "-    destination: { password: \"",
        "+    destination: { password: \"",
    ]) {
        assert!(line.starts_with(start), "{text}");
    }
    assert!(text.contains("\n     name: orders\n"), "{text}");
    commit(&lab, "Second");
    // The former password has its former tag.
    rotate(&mut lab, "canary-old");
    let tags = |text: &str| text.split("credentials:").nth(1).map(str::to_owned);
    assert_eq!(tags(&index(&lab)), tags(&before));
}

#[test]
fn a_manifest_that_is_sealed_without_an_index_never_gets_one() {
    let mut lab = Lab::new();
    lab.remove_manifest();
    lab.run(&["init", "--no-index"]).exits(0);
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.run(&["set", &format!("{J1}/source"), "--generate"])
        .exits(0);
    lab.run(&["rekey", "--yes"]).exits(0);
    let run = lab.run(&["plan"]).exits(0);
    assert!(!run.all().contains("index"), "{}", run.all());
    lab.run(&["plan", "--out", "plan.json"]).exits(0);
    lab.run(&["apply", "plan.json"]).exits(0);
    lab.run(&["index", "--write"])
        .exits(1)
        .says("sealed without an index");
    assert!(!lab.exists(INDEX));
    lab.run(&["validate", "--require-encrypted"]).exits(0);
    let text = lab.run(&["index"]).exits(0).stdout;
    // One that someone put there is not taken for reviewed.
    lab.write(INDEX, &text);
    for command in [
        &["plan", "--out", "other.json"][..],
        &["apply", "--auto-approve"],
        &["validate"],
    ] {
        lab.run(command)
            .exits(1)
            .says("the manifest is sealed without one");
    }
    fs::remove_file(lab.path(INDEX)).unwrap();
    assert!(text.contains("drspass.index/1"), "{text}");
}

#[test]
fn the_index_of_a_linked_manifest_is_next_to_the_link() {
    let mut lab = lab();
    fs::create_dir(lab.path("sub")).unwrap();
    fs::rename(lab.path(MANIFEST), lab.path("sub/real.age")).unwrap();
    symlink("sub/real.age", lab.path(MANIFEST)).unwrap();
    let before = index(&lab);
    rotate(&mut lab, "canary-linked");
    assert!(lab.path(MANIFEST).is_symlink());
    assert_ne!(index(&lab), before);
    assert_eq!(index(&lab), printed(&lab));
    assert!(!lab.exists("sub/real.index.yaml"));
    lab.run(&["validate", "--require-encrypted", "--require-index"])
        .exits(0);
    lab.apply(&[]).exits(0);
}

#[test]
fn a_link_in_place_of_the_index_is_replaced_and_not_followed() {
    let lab = lab();
    fs::create_dir(lab.path("sub")).unwrap();
    lab.write("sub/precious", "precious\n");
    fs::remove_file(lab.path(INDEX)).unwrap();
    symlink("sub/precious", lab.path(INDEX)).unwrap();
    lab.run(&["validate", "--require-encrypted"])
        .exits(1)
        .says("it is a link");
    lab.run(&["index", "--write"]).exits(0);
    assert_eq!(lab.read("sub/precious"), "precious\n");
    assert!(!lab.path(INDEX).is_symlink());
    assert_eq!(index(&lab), printed(&lab));
    // No output goes there either.
    lab.run(&["plan", "--out", INDEX])
        .exits(1)
        .says("uses this name for its own files");
}

#[test]
fn what_a_killed_writer_left_stale_is_renewed_by_the_next_one() {
    let set = ["set", "orders/destination", "--generate"];
    let (rekey, new_key) = (["rekey", "--yes"], ["rekey", "--yes", "--new-key"]);
    for (place, pass) in [("index.before_replace", 1), ("files.before_rename", 2)] {
        for killed in [&set[..], &rekey, &new_key] {
            let lab = lab();
            lab.apply(&[]).exits(0);
            let (before, stale) = (manifest(&lab), index(&lab));
            lab.killed_at(place, pass, killed);
            assert_ne!(manifest(&lab), before, "{place} {killed:?}");
            assert_eq!(index(&lab), stale, "{place} {killed:?}");
            lab.run(&["plan"])
                .exits(0)
                .says("passwords.index.yaml belongs to another version of the manifest");
            lab.run(&["plan", "--out", "plan.json"]).exits(1);
            lab.apply(&[])
                .exits(1)
                .says("does not belong to this manifest");
            if killed == set {
                lab.run(&["index", "--write"]).exits(0);
            } else {
                lab.run(killed).exits(0);
            }
            assert_eq!(index(&lab), printed(&lab), "{place} {killed:?}");
            lab.apply(&[]).exits(0);
            lab.run(&set).exits(0);
            assert_eq!(index(&lab), printed(&lab), "{place} {killed:?}");
        }
    }
}

#[test]
fn an_index_that_cannot_be_written_is_said_and_the_manifest_stays() {
    let lab = lab();
    for args in [
        &["edit"][..],
        &["set", "orders/destination", "--generate"],
        &["encrypt", "plain.yaml"],
        &["rekey", "--yes", "--new-key"],
    ] {
        lab.write("plain.yaml", lab.run(&["decrypt"]).exits(0).stdout);
        let (before, stale) = (manifest(&lab), index(&lab));
        let mut command = lab.command(args);
        command
            .env("EDITOR", "sed -i s/canary-rotated/other-password/")
            .env("DRSPASS_TEST_FAIL_AT", "index:1");
        let run = lab.run_command(command).exits(1);
        run.says("passwords.yaml.age is written, but its index passwords.index.yaml could not be")
            .says("run 'drspass index --write'");
        assert_ne!(manifest(&lab), before, "{args:?}");
        assert_eq!(index(&lab), stale, "{args:?}");
        lab.run(&["index", "--write"]).exits(0);
        assert_eq!(index(&lab), printed(&lab));
    }
    assert!(!lab.exists("passwords.yaml.age.edited-1"));
    fs::remove_file(lab.path(INDEX)).unwrap();
    fs::create_dir(lab.path(INDEX)).unwrap();
    lab.run(&["index", "--write"])
        .exits(1)
        .says("cannot write passwords.index.yaml");
}

#[test]
fn init_leaves_an_index_of_a_missing_manifest_alone() {
    let lab = lab();
    fs::remove_file(lab.path(MANIFEST)).unwrap();
    let before = index(&lab);
    lab.run(&["init"])
        .exits(1)
        .says("passwords.index.yaml exists already");
    assert_eq!(index(&lab), before);
    assert!(!lab.exists(MANIFEST));
}
