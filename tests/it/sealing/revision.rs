//! Which manifest was applied last, and which numbers were used: one revision never
//! belongs to two manifests, and a way back is taken on purpose.

use base64::Engine as _;
use serde_json::{Value, json};

use super::{lab_with_an_older_manifest, listener, refused};
use crate::support::{J1, J2, Lab};

const MANIFEST: &str = "passwords.yaml.age";
const STATE: &str = "drspass.state.json";

fn manifest(lab: &Lab) -> Vec<u8> {
    std::fs::read(lab.path(MANIFEST)).unwrap()
}

/// The number of the manifest that is there.
pub(super) fn revision(lab: &Lab) -> u64 {
    let plain = lab.run(&["decrypt"]).exits(0).stdout;
    let line = plain
        .lines()
        .find_map(|line| line.trim().strip_prefix("revision: "));
    line.unwrap().parse().unwrap()
}

/// Puts the manifest back that was applied before the older one.
fn put_newest_back(lab: &Lab) {
    lab.put_manifest(std::fs::read(lab.path("newest.age")).unwrap());
}

fn known(lab: &Lab, field: &str) -> Value {
    lab.state()["body"][field].clone()
}

#[test]
fn a_way_back_is_named_first_and_once_taken_is_the_manifest_applied_last() {
    let mut lab = lab_with_an_older_manifest();
    let old = revision(&lab);
    let (listener, _) = listener();
    refused(&lab, &listener, &[], 1, "--allow-rollback");
    lab.run(&["plan"]).exits(1).says("was applied already");

    let words = format!("ROLLBACK to revision {old} ({} was applied)", old + 1);
    let back = |args: &[&str]| {
        lab.run(&[args, &["--allow-rollback"]].concat())
            .exits(0)
            .stdout
    };
    assert!(back(&["plan"]).starts_with(&words));
    let markdown = back(&["plan", "--markdown", "-"]);
    assert!(markdown.contains(&format!("\n## {words}. ")), "{markdown}");
    let document: Value = serde_json::from_str(&back(&["plan", "--json"])).unwrap();
    assert_eq!(
        document["rollback"],
        json!({ "to": old, "applied": old + 1 })
    );
    back(&["plan", "--out", "plan.json"]);
    let shown = lab.run(&["show", "plan.json"]).exits(0).stdout;
    assert!(shown.starts_with(&words), "{shown}");
    let applied = lab.run(&["apply", "plan.json"]).exits(0).stdout;
    assert!(applied.starts_with(&words), "{applied}");
    assert!(lab.sim.holds(J1, "source", "canary-1"));

    // It is the very one applied last, and the number of the other one stays used.
    assert_eq!(known(&lab, "revision"), old);
    assert_eq!(known(&lab, "highest"), old + 1);
    let plan = lab.run(&["plan", "--detailed-exitcode"]).exits(0).stdout;
    assert!(!plan.contains("ROLLBACK"), "{plan}");
    lab.passwords(&[(J1, "source", "canary-3")]);
    assert_eq!(revision(&lab), old + 2);
    lab.apply(&[]).exits(0);
    assert_eq!(known(&lab, "highest"), old + 2);
}

#[test]
fn a_way_back_that_sends_nothing_counts_as_applied() {
    let mut lab = lab_with_an_older_manifest();
    let old = manifest(&lab);
    put_newest_back(&lab);
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.apply(&[]).exits(0);
    lab.put_manifest(old);
    lab.run(&["plan"]).exits(1);
    let sent = lab.sent().len();
    let number = revision(&lab);
    lab.apply(&["--allow-rollback"])
        .exits(0)
        .says("ROLLBACK")
        .says(&format!("note: recorded revision {number} as the last one"));
    assert_eq!(lab.sent().len(), sent);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    // Nothing else was written: an apply with nothing to do leaves the state alone.
    let state = lab.read(STATE);
    lab.apply(&[]).exits(0);
    assert_eq!(lab.read(STATE), state);
}

#[test]
fn one_revision_never_belongs_to_two_manifests() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let base = manifest(&lab);
    lab.passwords(&[(J1, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    let number = revision(&lab);
    // Somebody without the state goes on from the same manifest.
    let state = lab.read(STATE);
    std::fs::remove_file(lab.path(STATE)).unwrap();
    lab.put_manifest(base);
    lab.passwords(&[(J1, "source", "canary-3")]);
    assert_eq!(revision(&lab), number);
    lab.write(STATE, state);
    for args in [&["plan"][..], &["apply", "--auto-approve"]] {
        lab.run(args)
            .exits(1)
            .says(&format!(
                "another manifest with revision {number} was applied"
            ))
            .says("Take the newest manifest first, such as with 'git pull'")
            .says(&format!("revision {}", number + 1));
    }
    let plan = lab.run(&["plan", "--allow-rollback"]).exits(0).stdout;
    let words = format!("ROLLBACK to revision {number} ({number} was applied)");
    assert!(plan.starts_with(&words), "{plan}");
    lab.run(&["rekey", "--yes"]).exits(0);
    assert_eq!(revision(&lab), number + 1);
    lab.apply(&[]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-3"));
}

#[test]
fn every_writer_of_the_manifest_takes_a_number_that_no_apply_knows() {
    let writers: [(&str, &[&str]); 6] = [
        ("edit", &["edit"]),
        ("set", &["set", "billing/source", "--generate"]),
        ("unset", &["unset", "billing/destination"]),
        ("import", &["import", "new.csv", "--write"]),
        ("rekey", &["rekey", "--yes"]),
        ("rekey --new-key", &["rekey", "--yes", "--new-key"]),
    ];
    let mut lab = Lab::new();
    lab.plant(&["canary-1", "canary-2", "canary-3"]);
    lab.write("new.csv", "address,password\nbilling/source,imported-3\n");
    let wanted = |password: &str| {
        format!(
            "  {J1}:\n    name: billing\n    source: {{ password: '{password}' }}\n    \
             destination: {{ password: 'canary-2' }}\n"
        )
    };
    for (what, args) in writers {
        lab.manifest(&wanted("canary-1")).exits(0);
        let old = manifest(&lab);
        lab.manifest(&wanted("canary-2")).exits(0);
        lab.apply(&[]).exits(0);
        let highest = revision(&lab);
        lab.put_manifest(old);
        lab.apply(&["--allow-rollback"]).exits(0);
        let mut command = lab.command(args);
        command.env("EDITOR", "sed -i s/canary-1/canary-3/");
        lab.run_command(command).exits(0);
        assert_eq!(revision(&lab), highest + 1, "{what}");
        lab.run(&["plan"]).exits(0);
    }
}

#[test]
fn armor_and_line_ends_make_no_other_manifest() {
    let lab = Lab::with_a_change();
    lab.apply(&[]).exits(0);
    let armored = String::from_utf8(manifest(&lab)).unwrap();
    lab.write(MANIFEST, armored.replace('\n', "\r\n"));
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    let content: String = armored.lines().filter(|l| !l.starts_with('-')).collect();
    let binary = base64::engine::general_purpose::STANDARD.decode(content);
    lab.write(MANIFEST, binary.unwrap());
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_saved_way_back_is_not_one_from_what_was_applied_since() {
    let mut lab = lab_with_an_older_manifest();
    let (old, number) = (manifest(&lab), revision(&lab));
    lab.run(&["plan", "--allow-rollback", "--out", "plan.json"])
        .exits(0);
    put_newest_back(&lab);
    lab.passwords(&[(J1, "source", "canary-2"), (J2, "source", "canary-3")]);
    lab.apply(&["--only", J2]).exits(0);
    lab.put_manifest(old);
    let sent = lab.sent().len();
    lab.run(&["apply", "plan.json"])
        .exits(5)
        .says(&format!("revision {} was applied already", number + 2));
    assert_eq!(lab.sent().len(), sent);
}

#[test]
fn the_highest_revision_falls_only_where_nothing_proves_it() {
    let lab = lab_with_an_older_manifest();
    let old = revision(&lab);
    lab.apply(&["--allow-rollback"]).exits(0);
    lab.run(&["state", "distrust"]).exits(0);
    assert_eq!(known(&lab, "highest"), old + 1);
    assert_eq!(known(&lab, "revision"), old);
    lab.run(&["plan"]).exits(0);

    let edited = lab.read(STATE).replace("\"serial\":", "\"serial\":1");
    lab.write(STATE, edited);
    let words = format!("begins with revision {old}, the manifest's own");
    lab.run(&["state", "distrust"]).exits(0).says(&words);
    assert_eq!(known(&lab, "highest"), old);

    // Nor is a number used up by whoever forges a state.
    let forged = lab.read(STATE).replace("\"highest\":", "\"highest\":9999");
    lab.write(STATE, forged);
    lab.run(&["set", &format!("{J1}/source"), "--generate"])
        .exits(0);
    assert_eq!(revision(&lab), old + 1);
}
