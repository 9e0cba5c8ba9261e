//! Manifests that are older, gone, or would be made anew.

use super::{lab_with_an_older_manifest, listener, refused};
use crate::support::{J1, Lab};

#[test]
fn changed_recipients_stop_every_writer_of_the_manifest() {
    let mut lab = Lab::with_a_change();
    let (_, recipient) = drspass::age_file::generate_identity("2026-01-02T03:04:05Z");
    let config = lab.read("drspass.yaml");
    let line = config
        .lines()
        .find(|line| line.contains("- \"age1"))
        .unwrap();
    let added = config.replace(line, &format!("{line}\n  - \"{recipient}\""));
    lab.write("drspass.yaml", added);
    let before = std::fs::read(lab.path("passwords.yaml.age")).unwrap();
    lab.plant(&["canary-3"]);
    lab.manifest(&format!(
        "  {J1}:\n    source: {{ password: 'canary-3' }}\n"
    ))
    .exits(7)
    .says("recipients changed: + ")
    .says("run drspass rekey");
    assert_eq!(
        std::fs::read(lab.path("passwords.yaml.age")).unwrap(),
        before
    );
    lab.run(&["validate"]).exits(7);
    lab.write(
        "new.csv",
        format!("address,password\n{J1}/source,imported-3\n"),
    );
    for args in [
        &["set", J1, "--generate"][..],
        &["unset", J1],
        &["import", "new.csv", "--write"],
    ] {
        lab.run(args).exits(7).says("recipients changed: + ");
        assert_eq!(
            std::fs::read(lab.path("passwords.yaml.age")).unwrap(),
            before
        );
    }
}

#[test]
fn an_older_manifest_needs_leave() {
    let lab = lab_with_an_older_manifest();
    let (listener, _) = listener();
    refused(&lab, &listener, &[], 1, "revision");
    lab.run(&["plan"]).exits(1);
    lab.apply(&["--allow-rollback"]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-1"));
    // It is the one applied last now, and the highest revision stays known.
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    let newest = std::fs::read(lab.path("newest.age")).unwrap();
    lab.put_manifest(newest);
    refused(&lab, &listener, &[], 1, "revision");
}

#[test]
fn only_init_and_rekey_make_a_key() {
    let lab = Lab::with_a_change();
    let plain = format!("version: 1\njobs:\n  {J1}:\n    source: {{ password: 'canary-x' }}\n");
    let sealed = lab.run(&["decrypt"]).exits(0).stdout;
    std::fs::remove_file(lab.path("passwords.yaml.age")).unwrap();
    for has_state in [true, false] {
        if !has_state {
            std::fs::remove_file(lab.path("drspass.state.json")).unwrap();
        }
        lab.document(&plain)
            .exits(1)
            .says("no manifest exists to take it from")
            .says("Nothing was written.");
        assert!(!lab.exists("passwords.yaml.age"));
    }
    // `init` makes no second key where one is expected.
    let mut command = lab.command(&["init"]);
    command.env("DRSPASS_EXPECT_KEY_ID", "0123456789abcdef0123456789abcdef");
    lab.run_command(command)
        .exits(1)
        .says("the manifest is missing");
    lab.write("plain.yaml", &plain);
    // A sealed text carries its own key.
    lab.document(&sealed).exits(0);
    lab.run(&["validate"]).exits(0);
    lab.write("plain.yaml", &plain);
    lab.write("passwords.yaml.age", "something: else\n");
    lab.run(&["encrypt", "plain.yaml"])
        .exits(1)
        .says("is not encrypted");
    assert_eq!(lab.read("passwords.yaml.age"), "something: else\n");
}

#[test]
fn init_never_replaces_a_manifest() {
    let lab = Lab::with_a_change();
    let manifest = std::fs::read(lab.path("passwords.yaml.age")).unwrap();
    std::fs::remove_file(lab.path("drspass.yaml")).unwrap();
    lab.run(&["init", "--region", "eu-de", "--project-id", "p"])
        .exits(1)
        .says("passwords.yaml.age exists already");
    assert_eq!(
        std::fs::read(lab.path("passwords.yaml.age")).unwrap(),
        manifest
    );
    assert!(!lab.exists("drspass.yaml"));
}

#[test]
fn init_makes_no_new_key_where_there_was_one() {
    let lab = Lab::with_a_change();
    std::fs::remove_file(lab.path("passwords.yaml.age")).unwrap();
    lab.run(&["init"]).exits(1).says("the manifest is missing");
    std::fs::remove_file(lab.path("drspass.state.json")).unwrap();
    let expected = "0123456789abcdef0123456789abcdef";
    lab.run(&["init", "--expect-key-id", expected])
        .exits(1)
        .says("the manifest is missing");
    assert!(!lab.exists("passwords.yaml.age"));
}

#[test]
fn plain_text_older_than_the_manifest_or_for_elsewhere_is_not_sealed() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let old = lab.run(&["decrypt"]).exits(0).stdout;
    lab.passwords(&[(J1, "source", "canary-2")]);
    lab.document(&old)
        .exits(1)
        .says("the plain text has revision");
    let new = lab.run(&["decrypt"]).exits(0).stdout;
    let (endpoint, _) = lab.addresses();
    lab.document(new.replace(&endpoint, "https://drs.example.com"))
        .exits(1)
        .says("the manifest is sealed for https://drs.example.com");
    lab.document(&new).exits(0);
}
