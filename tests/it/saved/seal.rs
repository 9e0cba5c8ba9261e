//! What a plan says of itself, and what the manifest proves of it.

use drspass::core::fingerprint::FingerprintKey;
use drspass::core::saved::{PlanBase, SavedPlan};
use drspass::core::state::Lineage;

use super::{
    PLAN, STATE, Untouched, apply, expire, key, planned, planned_first, refused, rewrite, save,
};
use crate::support::{J1, mode};

#[test]
fn a_plan_is_no_good_without_an_identity_that_opens_the_manifest() {
    let lab = planned();
    let (other, _) = drspass::age_file::generate_identity("2026-01-02T03:04:05Z");
    lab.write("other.txt", other.as_bytes());
    let before = Untouched::of(&lab);
    let mut command = lab.command(&["apply", PLAN]);
    command.env_remove("DRSPASS_IDENTITY");
    lab.run_command(command).exits(1);
    before.assert(&lab);
    refused(
        &lab,
        &["-i", "other.txt", "apply", PLAN],
        1,
        "passwords.yaml.age",
    );
    refused(
        &lab,
        &["-i", "missing.txt", "apply", PLAN],
        1,
        "missing.txt",
    );
    std::fs::remove_file(lab.path("passwords.yaml.age")).unwrap();
    refused(&lab, &["apply", PLAN], 1, "passwords.yaml.age");
    assert_eq!(mode(&lab.path(PLAN)), 0o600);
}

#[test]
fn a_plan_made_without_the_key_is_refused() {
    let lab = planned();
    rewrite(&lab, &FingerprintKey::new([7; 32]), |_| {});
    refused(&lab, &["apply", PLAN], 5, "made with another key");
    // A whole plan of another root folder is made with another key as well.
    let other = planned();
    lab.write(PLAN, other.read(PLAN));
    refused(&lab, &["apply", PLAN], 5, "made with another key");
    // Any other code under the right key is no proof of a plan.
    let plan = super::content(&other.path(PLAN));
    let file = drspass::store::plan_file::PlanFile::new(plan, &key(&lab).state_mac());
    file.write(&lab.path(PLAN)).unwrap();
    refused(&lab, &["apply", PLAN], 5, "made with another key");
}

#[test]
fn a_plan_whose_time_is_over_is_refused() {
    let lab = planned();
    expire(&lab);
    refused(
        &lab,
        &["apply", PLAN],
        5,
        "it expired at 2026-01-02 03:04 UTC, and the clock of this machine says 20",
    );
}

#[test]
fn a_plan_for_another_service_or_project_is_refused() {
    let lab = planned();
    let key = key(&lab);
    rewrite(&lab, &key, |plan| plan.scope.project_id.push('0'));
    refused(&lab, &["apply", PLAN], 5, "another service or project");
    save(&lab);
    rewrite(&lab, &key, |plan| plan.scope.endpoint.push('0'));
    refused(&lab, &["apply", PLAN], 5, "another service or project");
    save(&lab);
    rewrite(&lab, &key, |plan| {
        plan.key_id = FingerprintKey::new([7; 32]).id()
    });
    refused(
        &lab,
        &["apply", PLAN],
        5,
        "another fingerprint key than the plan",
    );
}

#[test]
fn checks_come_in_their_order_and_the_first_mismatch_is_told() {
    let lab = planned();
    let file = std::fs::File::create(lab.path("drspass.state.json.lock")).unwrap();
    file.lock().unwrap();
    lab.run(&["apply", PLAN]).exits(6);
    // What a plan says of itself is told before the lock is asked for.
    let good = lab.read(PLAN);
    expire(&lab);
    refused(&lab, &["apply", PLAN], 5, "expired");
    rewrite(&lab, &FingerprintKey::new([7; 32]), |_| {});
    refused(&lab, &["apply", PLAN], 5, "made with another key");
    lab.write(PLAN, good.replacen("update", "create", 1));
    refused(&lab, &["apply", PLAN], 5, "it was altered");
    // Without a key, only the form and the id can be told.
    refused(
        &lab,
        &["-i", "missing.txt", "apply", PLAN],
        5,
        "it was altered",
    );
    lab.write(PLAN, good);
    refused(
        &lab,
        &["-i", "missing.txt", "apply", PLAN],
        1,
        "missing.txt",
    );
    drop(file);
    apply(&lab).exits(0);
}

/// A change of a plan, and what an apply says then, lock and state being as they may.
type Spoiled = (fn(&mut SavedPlan), &'static str);

#[test]
fn of_two_later_mismatches_the_earlier_check_is_the_one_that_is_told() {
    const FROM_NOW_ON: u64 = 99;
    let spoiled: [Spoiled; 4] = [
        (
            |plan| {
                plan.scope.project_id.push('0');
                plan.key_id = FingerprintKey::new([7; 32]).id();
            },
            "another service or project",
        ),
        (
            |plan| {
                plan.key_id = FingerprintKey::new([7; 32]).id();
                plan.revision = FROM_NOW_ON;
            },
            "another fingerprint key than the plan",
        ),
        (
            |plan| {
                plan.revision = FROM_NOW_ON;
                plan.recipients = "0".repeat(64);
            },
            "of the manifest, and this is revision",
        ),
        (
            |plan| plan.recipients = "0".repeat(64),
            "the recipients of the manifest changed",
        ),
    ];
    let mut lab = planned();
    let key = key(&lab);
    let state = lab.read(STATE);
    // All of that comes before the lock, and the lock before the state.
    let file = std::fs::File::create(lab.path("drspass.state.json.lock")).unwrap();
    file.lock().unwrap();
    lab.write(STATE, state.replace("\"sent\"", "\"adopted\""));
    let good = lab.read(PLAN);
    for (change, words) in spoiled {
        lab.write(PLAN, &good);
        rewrite(&lab, &key, change);
        refused(&lab, &["apply", PLAN], 5, words);
    }
    lab.write(PLAN, &good);
    refused(&lab, &["apply", PLAN], 6, "is held by");
    drop(file);
    refused(&lab, &["apply", PLAN], 1, "changed outside drspass");
    lab.write(STATE, state);
    // Of the state: its history, how old it is, then what became of the entries.
    apply(&lab).exits(0);
    let old = "the state was replaced by an older one";
    rewrite(&lab, &key, |plan| serial(plan, FROM_NOW_ON));
    refused(&lab, &["apply", PLAN], 5, old);
    rewrite(&lab, &key, |plan| {
        plan.state = PlanBase::Known {
            lineage: Lineage::new("another".to_owned()),
            serial: FROM_NOW_ON,
        };
    });
    refused(&lab, &["apply", PLAN], 5, "it was made with another state");
    lab.write(PLAN, good);
    refused(&lab, &["apply", PLAN], 5, "all of it is already applied");
    lab.run(&["state", "adopt", J1, "--yes"]).exits(0);
    lab.passwords(&[(J1, "source", "canary-4")]);
    refused(&lab, &["apply", PLAN], 5, "changed since");
}

fn serial(plan: &mut SavedPlan, to: u64) {
    if let PlanBase::Known { serial, .. } = &mut plan.state {
        *serial = to;
    }
}

#[test]
fn another_plan_or_change_than_the_named_one_is_refused() {
    let lab = planned();
    let said = save(&lab);
    let plan_id = said["saved"]["plan_id"].as_str().unwrap();
    let change_id = said["change_id"].as_str().unwrap();
    let other = "0".repeat(64);
    let named = |id: &str, change: &str, code: i32, words: &str| {
        let args = [
            "apply",
            PLAN,
            "--expect-plan-id",
            id,
            "--expect-change",
            change,
        ];
        refused(&lab, &args, code, words);
    };
    named(&other, change_id, 5, "not the expected plan");
    named(
        &other,
        change_id,
        5,
        "Fetch the plan file that was reviewed",
    );
    named(plan_id, &other, 5, "not the expected one");
    named(plan_id, &other, 5, "Fetch the plan file that was reviewed");
    // What can be no id is a wrong command line, an empty one included: that is what
    // a variable gives that nobody set.
    let long = format!("{other}0");
    for wrong in ["", "x", &other[1..], &long, &"A".repeat(64)] {
        named(wrong, change_id, 64, "invalid value for --expect-plan-id");
        named(plan_id, wrong, 64, "invalid value for --expect-change");
        named(
            plan_id,
            wrong,
            64,
            "expected: 64 lower-case hexadecimal digits",
        );
    }
    // The same for a plan that is not saved.
    let args = ["apply", "--auto-approve", "--expect-change"];
    refused(
        &lab,
        &[&args[..], &[&other]].concat(),
        5,
        "the change id is",
    );
    refused(&lab, &[&args[..], &[""]].concat(), 64, "--expect-change");
    refused(&lab, &["apply", "--expect-plan-id", plan_id], 64, "PLAN");
    let all = ["apply", PLAN, "--expect-plan-id", plan_id];
    lab.run(&[&all[..], &["--expect-change", change_id]].concat())
        .exits(0);
}

#[test]
fn a_redirected_target_is_5_with_a_plan_and_1_without() {
    let lab = planned();
    let config = lab.read("drspass.yaml");
    let (endpoint, auth_url) = lab.addresses();
    for (from, to, words) in [
        (
            format!("endpoint: \"{endpoint}\""),
            "endpoint: \"http://127.0.0.1:9\"".to_owned(),
            "the manifest is sealed for",
        ),
        (
            format!("auth_url: \"{auth_url}\""),
            "auth_url: \"http://127.0.0.1:9/v3\"".to_owned(),
            "the manifest is sealed for",
        ),
        (
            lab.sim.project_id().to_owned(),
            "ffff456789abcdef0123456789abcdef".to_owned(),
            "the manifest is sealed for",
        ),
        (
            format!("endpoint: \"{endpoint}\""),
            "endpoint: \"https://drs.example.com\"".to_owned(),
            "drs.example.com is not a host of a known cloud",
        ),
        (
            format!("endpoint: \"{endpoint}\""),
            "endpoint: \"http://example.com\"".to_owned(),
            "endpoint",
        ),
    ] {
        let moved = config.replace(&from, &to);
        assert_ne!(moved, config, "{from}");
        lab.write("drspass.yaml", moved);
        refused(&lab, &["apply", PLAN], 5, words);
        refused(&lab, &["apply", "--auto-approve"], 1, words);
    }
}

#[test]
fn another_key_than_the_expected_one_is_refused() {
    let lab = planned();
    let other = "0123456789abcdef0123456789abcdef";
    refused(
        &lab,
        &["--expect-key-id", other, "apply", PLAN],
        5,
        "is expected",
    );
    let args = ["--expect-key-id", other, "apply", "--auto-approve"];
    refused(&lab, &args, 1, "is expected");
    let key_id = key(&lab).id().to_string();
    lab.run(&["--expect-key-id", &key_id, "apply", PLAN])
        .exits(0);
}

#[test]
fn a_manifest_with_another_key_is_refused_and_no_plan_is_saved_against_the_old_state() {
    let lab = planned();
    lab.forge("canary-3");
    refused(&lab, &["apply", PLAN], 5, "made with another key");
    let plan = lab.read(PLAN);
    refused(
        &lab,
        &["plan", "--out", PLAN],
        1,
        "the state was made with the key",
    );
    refused(
        &lab,
        &["plan", "--out", "new.json"],
        1,
        "the state was made with the key",
    );
    // Nobody is asked for the states of jobs before that.
    refused(
        &lab,
        &["plan", "--out", "new.json", "--preflight"],
        1,
        "the state was made with the key",
    );
    assert_eq!(lab.read(PLAN), plan);
    assert!(!lab.exists("new.json"));
    // Without a state, the code of the plan still tells.
    let first = planned_first();
    first.forge("canary-3");
    refused(&first, &["apply", PLAN], 5, "made with another key");
}

#[test]
fn a_state_with_another_key_is_refused() {
    let lab = planned();
    let state = lab.read("drspass.state.json");
    lab.forge("canary-3");
    std::fs::remove_file(lab.path("drspass.state.json")).unwrap();
    save(&lab);
    lab.write("drspass.state.json", state);
    refused(&lab, &["apply", PLAN], 5, "the state was made with the key");
}

#[test]
fn an_older_manifest_than_the_plans_is_refused() {
    let mut lab = planned();
    let older = lab.read("passwords.yaml.age");
    // The same values again, in a later revision.
    lab.passwords(&[(J1, "source", "canary-3")]);
    save(&lab);
    lab.put_manifest(older);
    refused(
        &lab,
        &["apply", PLAN],
        5,
        "of the manifest, and this is revision",
    );
}

#[test]
fn changed_recipients_of_the_manifest_are_refused() {
    let lab = planned();
    let (_, added) = drspass::age_file::generate_identity("2026-01-02T03:04:05Z");
    // A reader who has the key lets somebody else in.
    let folder = lab.path("copy");
    std::fs::create_dir(&folder).unwrap();
    let config = lab.read("drspass.yaml");
    let line = config.lines().find(|line| line.contains("- \"age1"));
    let line = line.unwrap();
    let with = config.replace(line, &format!("{line}\n  - \"{added}\""));
    let plain = lab.run(&["decrypt"]).exits(0).stdout;
    let line = plain.lines().find(|line| line.contains("\"age1")).unwrap();
    let plain = plain.replace(line, &format!("{line}\n    - \"{added}\""));
    std::fs::write(folder.join("drspass.yaml"), with).unwrap();
    std::fs::write(folder.join("plain.yaml"), plain).unwrap();
    lab.run(&["-C", "copy", "-i", "../key.txt", "encrypt", "plain.yaml"])
        .exits(0);
    for name in ["passwords.yaml.age", "passwords.index.yaml"] {
        std::fs::copy(folder.join(name), lab.path(name)).unwrap();
    }
    std::fs::remove_dir_all(folder).unwrap();
    refused(
        &lab,
        &["apply", PLAN],
        5,
        "the recipients of the manifest changed since it was made",
    );
}

#[test]
fn a_project_of_the_environment_that_is_another_one_is_refused() {
    let lab = planned();
    let before = Untouched::of(&lab);
    let mut command = lab.command(&["apply", PLAN]);
    command.env("OS_PROJECT_ID", "ffff456789abcdef0123456789abcdef");
    lab.run_command(command).exits(1);
    before.assert(&lab);
}
