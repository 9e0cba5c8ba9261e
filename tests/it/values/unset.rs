//! `unset`.

use super::Desk;
use crate::support::{J1, J2};

fn document() -> String {
    format!(
        "version: 1\ncredentials:\n  spare: {{ password: 'canary-spare' }}\n  used: {{ password: \
         'canary-used' }} # stays\njobs:\n  # The first.\n  {J1}:\n    name: orders\n    # Its source.\n    \
         source:\n      password: 'canary-1' # goes\n      kerberos:\n        domain_name: 'D'\n    \
         destination: {{ password: 'canary-2' }} # stays\n  {J2}:\n    source: {{ credential: used }}\n"
    )
}

fn desk() -> Desk {
    Desk::new(
        &document(),
        &["canary-spare", "canary-used", "canary-1", "canary-2"],
    )
}

#[test]
fn an_endpoint_goes_with_its_lines_and_is_managed_no_more() {
    let desk = desk();
    desk.lab.apply(&[]).exits(0);
    let run = desk.run(&["unset", "orders/source"]).exits(0);
    assert_eq!(
        run.stdout,
        "removed orders/source\nwrote passwords.yaml.age and passwords.index.yaml, revision 3\n"
    );
    assert!(
        run.stderr.contains("DRS keeps its current password"),
        "{}",
        run.stderr
    );
    let gone = "    source:\n      password: 'canary-1' # goes\n      kerberos:\n        domain_name: 'D'\n";
    assert_eq!(desk.text(), document().replace(gone, ""));
    assert!(desk.lab.plan().contains("1 no longer listed"));
}

#[test]
fn a_job_without_endpoints_keeps_its_line() {
    let desk = desk();
    desk.run(&["unset", J2])
        .exits(0)
        .says("the job has no endpoint")
        .says("Give every job a source or a destination, or remove it.")
        .says("credentials: 2 are used by no endpoint: @spare, @used");
    let want = document().replace(
        &format!("  {J2}:\n    source: {{ credential: used }}\n"),
        &format!("  {J2}: {{}}\n"),
    );
    assert_eq!(desk.text(), want);
    desk.run(&["unset", "@used"]).exits(0);
    desk.run(&["unset", "@spare"]).exits(0);
    assert!(desk.text().contains("credentials: {}\njobs:"));
}

#[test]
fn the_last_kerberos_field_takes_kerberos_with_it() {
    let desk = desk();
    let args = ["unset", "orders/source", "--field", "kerberos.domain_name"];
    let run = desk.run(&args).exits(0);
    let want = "removed orders/source kerberos.domain_name\nwrote passwords.yaml.age and passwords.index.yaml, revision 3\n";
    assert_eq!(run.stdout, want);
    let want = document().replace("      kerberos:\n        domain_name: 'D'\n", "");
    assert_eq!(desk.text(), want);
    desk.run(&args)
        .exits(1)
        .says("the manifest has no value at this address");
}

#[test]
fn what_is_used_or_not_there_is_not_removed() {
    let desk = desk();
    let before = desk.sealed();
    for (address, why) in [
        ("@used", "1 endpoint uses the credential"),
        ("@canary-1", "matches no credential"),
        ("canary-1", "matches no job"),
        ("orders", "orders has a source and a destination"),
        (
            &format!("{J2}/destination"),
            "the manifest has no value at this address",
        ),
        ("orders/*", "has a wildcard"),
    ] {
        desk.run(&["unset", address])
            .exits(1)
            .says(why)
            .says("Nothing was written.");
    }
    assert_eq!(desk.sealed(), before);
}

#[test]
fn what_stands_behind_a_question_mark_is_removed_too() {
    let desk = Desk::new(
        &format!(
            "version: 1\njobs:\n  ? {J1}\n  : ? source\n    : password: 'canary-1'\n    ? destination\n    \
             : password: 'canary-2'\n"
        ),
        &["canary-1", "canary-2"],
    );
    desk.run(&["unset", &format!("{J1}/source")]).exits(0);
    let left =
        format!("version: 1\njobs:\n  ? {J1}\n  : ? destination\n    : password: 'canary-2'\n");
    assert_eq!(desk.text(), left);
    desk.run(&["unset", J1]).exits(0);
    assert_eq!(
        desk.text(),
        format!("version: 1\njobs:\n  ? {J1}\n  : {{}}\n")
    );
}
