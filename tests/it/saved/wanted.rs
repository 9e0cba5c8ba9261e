//! The manifest must still want what a plan says.

use super::{PLAN, apply, planned, refused, save};
use crate::support::{J1, J2, J3, Lab};

/// The two sources as [`planned`] leaves them, as a document.
fn document(first: &str, second: &str, more: &str) -> String {
    format!(
        "version: 1\njobs:\n  {J1}:\n    source: {{ password: '{first}' }}\n  {J2}:\n    \
         source: {{ password: '{second}' }}\n{more}"
    )
}

#[test]
fn a_value_that_was_changed_after_the_plan_is_never_sent_under_it() {
    let mut lab = planned();
    lab.plant(&["canary-new"]);
    lab.document(document("canary-new", "canary-2", ""))
        .exits(0);
    let words = format!("the manifest now has other values for {J1}/source");
    let run = refused(&lab, &["apply", PLAN], 5, &words);
    assert!(!run.all().contains(J2), "{}", run.all());
    // Back to what was planned, in a later revision, the plan is good again.
    lab.document(document("canary-3", "canary-2", "")).exits(0);
    apply(&lab).exits(0).says("note: ");
    assert!(lab.sim.holds(J1, "source", "canary-3"));
}

#[test]
fn an_entry_has_the_name_that_the_manifest_gives_it_now() {
    let lab = planned();
    let text = format!(
        "version: 1\njobs:\n  {J1}:\n    name: renamed\n    source: {{ password: 'canary-3' }}\n  \
         {J2}:\n    source: {{ password: 'canary-2' }}\n"
    );
    lab.document(text).exits(0);
    let run = apply(&lab).exits(0).says("= renamed/source applied");
    run.says_not(J1);
}

#[test]
fn a_comment_an_order_or_a_quote_that_changed_is_a_note() {
    let lab = planned();
    let text = format!(
        "# A comment.\nversion: 1\njobs:\n  {J2}:\n    source: {{ password: \"canary-2\" }}\n  \
         {J1}:\n    name: orders\n    source:\n      password: |-\n        canary-3\n"
    );
    lab.document(text).exits(0);
    let run = apply(&lab).exits(0);
    let notes: Vec<&str> = run
        .stdout
        .lines()
        .filter(|line| line.starts_with("note:") && line.contains("revision"))
        .collect();
    assert_eq!(notes.len(), 1, "{}", run.stdout);
    assert!(lab.sim.holds(J1, "source", "canary-3"));
}

#[test]
fn a_value_that_moved_into_a_shared_credential_is_still_the_same_change() {
    let lab = planned();
    let text = format!(
        "version: 1\ncredentials:\n  db: {{ password: 'canary-3' }}\njobs:\n  {J1}:\n    \
         source: {{ credential: db }}\n"
    );
    lab.document(text).exits(0);
    apply(&lab).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-3"));
}

#[test]
fn an_entry_that_left_the_manifest_makes_the_plan_stale() {
    let lab = planned();
    lab.document(format!(
        "version: 1\njobs:\n  {J2}:\n    source: {{ password: 'canary-2' }}\n"
    ))
    .exits(0);
    let words = format!("the manifest now has other values for {J1}/source");
    refused(&lab, &["apply", PLAN], 5, &words);
    lab.document("version: 1\njobs: {}\n").exits(0);
    refused(&lab, &["apply", PLAN], 5, &words);
    // The other endpoint of the job is another entry.
    lab.document(format!(
        "version: 1\njobs:\n  {J1}:\n    destination: {{ password: 'canary-3' }}\n"
    ))
    .exits(0);
    refused(&lab, &["apply", PLAN], 5, &words);
}

#[test]
fn an_entry_that_came_into_the_manifest_is_not_sent_under_an_older_plan() {
    let mut lab = planned();
    lab.plant(&["canary-more"]);
    let more = format!("  {J3}:\n    source: {{ password: 'canary-more' }}\n");
    lab.document(document("canary-3", "canary-more", &more))
        .exits(0);
    let sent = lab.sent().len();
    apply(&lab).exits(0);
    assert_eq!(
        lab.sent()[sent..].concat(),
        [(J1.to_owned(), "source".to_owned())]
    );
    assert!(!lab.sim.knows(J3, "source"));
}

#[test]
fn kerberos_that_was_added_changed_or_removed_makes_the_plan_stale() {
    let manifest = |kerberos: &str| {
        format!(
            "version: 1\njobs:\n  {J1}:\n    destination:\n      password: 'canary-1'\n{kerberos}"
        )
    };
    let domain = |name: &str| format!("      kerberos: {{ domain_name: '{name}' }}\n");
    let both = "      kerberos: { domain_name: 'canary-domain', user_principal: 'canary-user' }\n";
    let mut lab = Lab::new();
    lab.plant(&["canary-1", "canary-domain", "canary-other"]);
    lab.document(manifest(&domain("canary-domain"))).exits(0);
    save(&lab);
    let words = format!("the manifest now has other values for {J1}/destination");
    for kerberos in ["", &domain("canary-other"), both] {
        lab.document(manifest(kerberos)).exits(0);
        refused(&lab, &["apply", PLAN], 5, &words);
    }
    lab.document(manifest(&domain("canary-domain"))).exits(0);
    apply(&lab).exits(0);
    assert_eq!(
        lab.last_body()["jobs"][0]["kerberos"]["domain_name"],
        "canary-domain"
    );
}

#[test]
fn a_value_of_one_entry_is_not_taken_for_that_of_another() {
    // Swapped values are the same set of values.
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    save(&lab);
    lab.passwords(&[(J1, "source", "canary-2"), (J2, "source", "canary-1")]);
    let words = format!("the manifest now has other values for {J1}/source, {J2}/source");
    refused(&lab, &["apply", PLAN], 5, &words);
}
