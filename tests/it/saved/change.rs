//! The name of a change: equal for equal changes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{PLAN, apply, planned, save, save_as};
use crate::support::schema::{assert_fits, schema};
use crate::support::{J1, J2, Lab};

fn change_id(lab: &Lab, more: &[&str]) -> String {
    let run = lab.run(&[&["plan", "--json"], more].concat()).exits(0);
    let plan: Value = serde_json::from_str(&run.stdout).unwrap();
    plan["change_id"].as_str().unwrap().to_owned()
}

#[test]
fn the_output_names_the_change_and_the_file_and_the_file_agrees() {
    let lab = planned();
    let said = save(&lab);
    assert_fits(&schema("plan-output"), &said);
    let file: Value = serde_json::from_str(&lab.read(PLAN)).unwrap();
    assert_eq!(said["saved"]["plan_id"], file["id"]);
    assert_eq!(said["saved"]["created"], file["body"]["created"]);
    assert_eq!(said["saved"]["expires"], file["body"]["expires"]);
    assert_eq!(said["change_id"], file["body"]["change_id"]);
    assert_eq!(file["body"]["counts"]["to_change"], 1);
    assert_eq!(file["body"]["state"]["known"]["serial"], 2);
    // Without a file, the change has its name all the same.
    assert_eq!(said["change_id"], change_id(&lab, &[]));
    let text = lab.run(&["plan", "--out", PLAN]).exits(0).stdout;
    assert!(text.contains(said["change_id"].as_str().unwrap()), "{text}");
}

#[test]
fn equal_changes_have_equal_names() {
    let lab = planned();
    let name = change_id(&lab, &[]);
    assert_eq!(change_id(&lab, &[]), name, "salts do not matter");
    let first = save(&lab);
    let second = save(&lab);
    assert_eq!(first["change_id"], name);
    assert_eq!(second["change_id"], name);
    assert_ne!(first["saved"]["plan_id"], second["saved"]["plan_id"]);

    // A comment, an order and entries that are in sync do not matter.
    let text = format!(
        "# A comment.\nversion: 1\njobs:\n  {J2}:\n    source: {{ password: \"canary-2\" }}\n  \
         {J1}:\n    name: orders\n    source: {{ password: \"canary-3\" }}\n"
    );
    lab.document(text).exits(0);
    assert_eq!(change_id(&lab, &[]), name);
    assert_eq!(change_id(&lab, &["--only", J1]), name);

    // So what was reviewed here may be demanded of a plan that is made there.
    let clone = tempfile::TempDir::new().unwrap();
    for entry in std::fs::read_dir(lab.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, clone.path().join(path.file_name().unwrap())).unwrap();
    }
    let folder = clone.path().display().to_string();
    let there = change_id(&lab, &["-C", &folder, "-i", "key.txt"]);
    assert_eq!(there, name);
    lab.apply(&["--expect-change", &name]).exits(0);
}

#[test]
fn the_order_of_the_manifest_does_not_matter() {
    let lab = Lab::new();
    let entry = |job: &str| format!("  {job}:\n    source: {{ password: 'canary-{job}' }}\n");
    lab.manifest(&[entry(J1), entry(J2)].concat()).exits(0);
    let name = change_id(&lab, &[]);
    lab.manifest(&[entry(J2), entry(J1)].concat()).exits(0);
    assert_eq!(change_id(&lab, &[]), name);
}

#[test]
fn changes_that_differ_in_a_value_an_address_or_an_action_have_other_names() {
    let mut lab = planned();
    let mut names = vec![change_id(&lab, &[])];
    // Another value.
    lab.passwords(&[(J1, "source", "canary-4"), (J2, "source", "canary-2")]);
    names.push(change_id(&lab, &[]));
    // Another address with the same value.
    lab.passwords(&[(J1, "destination", "canary-3"), (J2, "source", "canary-2")]);
    names.push(change_id(&lab, &[]));
    // One more entry.
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-5")]);
    names.push(change_id(&lab, &[]));
    names.push(change_id(&lab, &["--only", J2]));
    // The same value, where nothing was known: another action.
    lab.run(&["state", "rm", J1]).exits(0);
    names.push(change_id(&lab, &["--only", J1]));
    // No change at all.
    lab.run(&["state", "adopt", J1, J2, "--yes"]).exits(0);
    names.push(change_id(&lab, &[]));
    names.push(change_id(&lab, &["--resend", J1]));
    let different: BTreeSet<&String> = names.iter().collect();
    // Sending J1 anew is one action, whatever made it so.
    assert_eq!(different.len(), names.len() - 1, "{names:?}");
}

#[test]
fn a_kerberos_value_is_part_of_the_change() {
    let mut lab = Lab::new();
    lab.plant(&["canary-1", "canary-domain", "canary-other"]);
    let mut names = BTreeSet::new();
    for kerberos in ["", "canary-domain", "canary-other"] {
        let kerberos = if kerberos.is_empty() {
            String::new()
        } else {
            format!("      kerberos: {{ domain_name: '{kerberos}' }}\n")
        };
        lab.document(format!(
            "version: 1\njobs:\n  {J1}:\n    destination:\n      password: 'canary-1'\n{kerberos}"
        ))
        .exits(0);
        names.insert(change_id(&lab, &[]));
    }
    assert_eq!(names.len(), 3);
}

#[test]
fn the_change_that_was_reviewed_is_demanded_of_a_plan() {
    let mut lab = planned();
    let reviewed = change_id(&lab, &[]);
    lab.passwords(&[(J1, "source", "canary-9"), (J2, "source", "canary-2")]);
    save_as(&lab, PLAN, &[]);
    let args = ["apply", PLAN, "--expect-change", &reviewed];
    super::refused(&lab, &args, 5, "not the expected one");
    assert!(!lab.sim.holds(J1, "source", "canary-9"));
    apply(&lab).exits(0);
}
