//! The loop: plan, apply, and a rerun that sends only what is not confirmed.

use std::collections::BTreeSet;

use drspass::sim::{EndPointType, Fault, FaultKind, MessageKey, Rejection};
use serde_json::json;

use crate::support::{J1, J2, J3, J9, Lab, mode};

/// The service refuses this entry once.
pub(crate) fn refuse(job: &str, endpoint: EndPointType, code: &str) -> Fault {
    Fault::next(FaultKind::RejectEntry(Rejection {
        job: job.to_owned(),
        endpoint,
        code: code.to_owned(),
        message: "not now".to_owned(),
        message_key: MessageKey::ErrorMsg,
    }))
}

#[test]
fn a_rerun_sends_exactly_the_refused_entry() {
    let mut lab = Lab::new();
    lab.passwords(&[
        (J1, "source", "canary-1"),
        (J1, "destination", "canary-2"),
        (J2, "source", "canary-3"),
    ]);
    lab.sim
        .inject(refuse(J2, EndPointType::Source, "DRS.M00304"));
    lab.apply(&[])
        .exits(3)
        .says("Result: 2 applied, 1 refused, 0 skipped, 0 not sent, 0 unknown; 3 in all.")
        .says("DRS.M00304");
    assert!(lab.entry(J1, "source")["applied"].is_object());
    assert!(lab.entry(J1, "destination")["applied"].is_object());
    assert!(lab.entry(J2, "source")["applied"].is_null());
    assert_eq!(
        lab.entry(J2, "source")["last_outcome"]["code"],
        "DRS.M00304"
    );
    assert!(lab.plan().contains("last attempt refused: DRS.M00304"));

    lab.apply(&[]).exits(0);
    let body = lab.last_body();
    assert_eq!(
        body,
        json!({"jobs": [{
            "job_id": J2, "end_point_type": "so", "db_password": "canary-3"
        }]})
    );
    assert!(lab.sim.holds(J2, "source", "canary-3"));
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn nothing_to_do_sends_nothing_and_writes_nothing() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.apply(&[]).exits(0);
    let state = lab.read("drspass.state.json");
    lab.apply(&[]).exits(0).says("Nothing to send");
    assert_eq!(lab.read("drspass.state.json"), state);
    assert_eq!(lab.sent().len(), 1);
}

#[test]
fn a_changed_password_and_a_changed_kerberos_field_are_named_and_sent() {
    let mut lab = Lab::new();
    let kerberos = |password: &str, domain: &str| {
        format!(
            "  {J1}:\n    destination:\n      password: '{password}'\n      kerberos:\n        \
             domain_name: '{domain}'\n        key_tab_file: 'BQIAAP8='\n"
        )
    };
    lab.plant(&["canary-1", "canary-2", "canary-domain-1", "canary-domain-2"]);
    lab.manifest(&kerberos("canary-1", "canary-domain-1"))
        .exits(0);
    lab.apply(&[]).exits(0);
    lab.manifest(&kerberos("canary-2", "canary-domain-2"))
        .exits(0);
    lab.run(&["plan", "--detailed-exitcode"])
        .exits(2)
        .says("password, kerberos.domain_name changed (last set 20");
    lab.apply(&[]).exits(0);
    let body = lab.last_body();
    assert_eq!(
        body["jobs"][0]["kerberos"],
        json!({"key_tab_file": "BQIAAP8=", "domain_name": "canary-domain-2"})
    );
}

#[test]
fn kerberos_that_left_the_manifest_is_a_note_and_no_change() {
    let lab = Lab::new();
    lab.manifest(&format!(
        "  {J1}:\n    source: {{ password: 'canary-1', kerberos: {{ domain_name: 'canary-d' }} }}\n"
    ))
    .exits(0);
    lab.apply(&[]).exits(0);
    lab.manifest(&format!(
        "  {J1}:\n    source: {{ password: 'canary-1' }}\n"
    ))
    .exits(0);
    lab.run(&["plan", "--detailed-exitcode"])
        .exits(0)
        .says("DRS keeps its current kerberos settings");
}

#[test]
fn only_limits_a_run_and_resend_repeats_what_is_in_sync() {
    let mut lab = Lab::new();
    lab.passwords(&[
        (J1, "source", "canary-1"),
        (J1, "destination", "canary-2"),
        (J2, "source", "canary-3"),
    ]);
    lab.apply(&["--only", &format!("{J1}/source")]).exits(0);
    assert_eq!(lab.sent().concat(), [(J1.to_owned(), "source".to_owned())]);
    lab.apply(&[]).exits(0);
    lab.apply(&["--only", J1, "--resend", "*/source"]).exits(0);
    assert_eq!(
        lab.sent().last().unwrap(),
        &[(J1.to_owned(), "source".to_owned())]
    );
    lab.run(&["plan", "--only", "no-such-job"])
        .exits(1)
        .says("address 1 of --only matches no entry");
}

#[test]
fn an_address_of_no_entry_is_repeated_only_as_an_id_or_with_a_misspelt_endpoint() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let wrong = "billing/sorce: an endpoint is 'source' or 'destination'";
    for args in [
        &["plan", "--only", "billing/sorce"][..],
        &["plan", "--resend", "billing/sorce"],
        &["state", "adopt", "billing/sorce", "--yes"],
        &["set", "billing/sorce", "--generate"],
        &["unset", "billing/sorce"],
    ] {
        lab.run(args).exits(1).says(wrong);
    }
    lab.run(&["plan", "--only", "billing/sorce", "--only", "canaryqx"])
        .exits(1)
        .says(&format!("{wrong}; address 2 of --only matches no entry"));
    let why = |option| format!("address {J9} of {option} matches no entry");
    let [only, resend] = ["--only", "--resend"].map(|it| lab.run(&["plan", it, J9]));
    only.exits(1).says(&why("--only"));
    resend.exits(1).says(&why("--resend"));
    for address in [
        "canaryqx",
        "canaryqx/source",
        "canaryqx/xyz",
        "canaryqx/X/source",
        "canaryqx/S0URCE",
        "canaryqx/so\nurce",
        "Ab3/canaryqx7",
        "Ab3/Canaryqx",
        "Ab3/canaryqx/x",
        "Ab+3/canaryqx",
        "a/canaryqxcanaryqxcanaryqx",
        &format!("{}/canaryqx", "a".repeat(65)),
        "AGE-SECRET-KEY-1CANARYQX",
    ] {
        let run = lab.run(&["plan", "--only", address]).exits(1);
        assert!(
            !run.all().to_lowercase().contains("canaryqx"),
            "{}",
            run.all()
        );
        let run = lab.run(&["set", address, "--generate"]).exits(1);
        assert!(
            !run.all().to_lowercase().contains("canaryqx"),
            "{}",
            run.all()
        );
    }
}

#[test]
fn names_and_credentials_are_addresses() {
    let mut lab = Lab::new();
    lab.plant(&["canary-shared", "canary-own"]);
    lab.document(format!(
        "version: 1\ncredentials:\n  orders-db: {{ password: 'canary-shared' }}\njobs:\n  {J1}:\n    \
         name: orders\n    source: {{ credential: orders-db }}\n    destination: {{ password: 'canary-own' }}\n  \
         {J2}:\n    source: {{ credential: orders-db }}\n"
    ))
    .exits(0);
    lab.apply(&["--only", "@orders-db"]).exits(0);
    assert_eq!(lab.sent().concat().len(), 2);
    assert!(lab.sim.holds(J1, "source", "canary-shared"));
    assert!(lab.sim.holds(J2, "source", "canary-shared"));
    lab.apply(&["--only", "orders/destination"]).exits(0);
    assert!(lab.sim.holds(J1, "destination", "canary-own"));
    for (address, meant) in [
        ("ordrs/source", "orders/source"),
        ("Orders", "orders"),
        ("@orders_db", "@orders-db"),
        ("orders-db", "@orders-db"),
    ] {
        let what = format!("address 1 of --only matches no entry; did you mean {meant}?");
        lab.run(&["plan", "--only", address]).exits(1).says(&what);
    }
    for (address, meant) in [
        ("ordres/source", "orders/source"),
        ("@order-db", "@orders-db"),
    ] {
        let what = format!("address 1 of get matches no entry; did you mean {meant}?");
        lab.run(&["get", address]).exits(1).says(&what);
    }
}

#[test]
fn entries_that_left_the_manifest_are_a_note_and_stay_in_the_state() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    lab.manifest(&format!(
        "  {J1}:\n    source: {{ password: 'canary-1' }}\n"
    ))
    .exits(0);
    lab.run(&["plan", "--detailed-exitcode"])
        .exits(0)
        .says("1 in sync, 1 no longer listed");
    lab.document("version: 1\njobs: {}\n").exits(0);
    lab.run(&["plan", "--detailed-exitcode"])
        .exits(0)
        .says("2 no longer listed");
    assert!(lab.entry(J2, "source")["applied"].is_object());
}

#[test]
fn a_wrong_password_is_held_until_it_changes_or_is_asked_for() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-wrong")]);
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.KE0002"));
    lab.apply(&[]).exits(1).says("DRS.KE0002");
    lab.run(&["plan", "--detailed-exitcode"])
        .exits(2)
        .says("skipped: DRS.KE0002");
    lab.apply(&[]).exits(1).says("1 skipped");
    assert_eq!(
        lab.sent().len(),
        1,
        "the same value is not sent again unasked"
    );
    lab.apply(&["--resend", J1]).exits(0);
    assert_eq!(lab.sent().len(), 2);

    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.KE0002"));
    lab.passwords(&[(J1, "source", "canary-wrong-too")]);
    lab.apply(&[]).exits(1);
    lab.passwords(&[(J1, "source", "canary-right")]);
    lab.apply(&[]).exits(0);
}

#[test]
fn going_back_to_the_old_password_after_a_refusal_sends_it_again() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-old")]);
    lab.apply(&[]).exits(0);
    lab.passwords(&[(J1, "source", "canary-new")]);
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.M00304"));
    lab.apply(&[]).exits(1);
    lab.passwords(&[(J1, "source", "canary-old")]);
    lab.run(&["plan", "--detailed-exitcode"])
        .exits(2)
        .says("1 to send again");
    lab.apply(&[]).exits(0);
    assert_eq!(lab.sent().len(), 3);
}

#[test]
fn without_a_state_everything_counts_as_changed() {
    let mut lab = Lab::new();
    lab.configure("limits: { max_changed_share: 50% }");
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.apply(&[]).exits(7).says("2 changes exceed the limits");
    lab.apply(&["--override-limits", "2"]).exits(0);
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
}

#[test]
fn more_changes_than_the_limits_allow_need_their_exact_number() {
    let mut lab = Lab::new();
    lab.configure("limits: { max_changes: 2, max_changed_share: 50% }");
    lab.passwords(&[
        (J1, "source", "canary-1"),
        (J1, "destination", "canary-2"),
        (J2, "source", "canary-3"),
    ]);
    lab.run(&["plan"])
        .exits(0)
        .says("apply needs --override-limits 3");
    for args in [&[][..], &["--only", J2], &["--override-limits", "2"]] {
        lab.apply(args).exits(7).says("3 changes exceed the limits");
    }
    assert_eq!(lab.sim.connections(), 0);
    lab.apply(&["--override-limits", "many"])
        .exits(64)
        .says("invalid value for --override-limits <N>")
        .says("expected: a whole number");
    lab.apply(&["--override-limits", "3"]).exits(0);

    lab.passwords(&[
        (J1, "source", "canary-new"),
        (J1, "destination", "canary-2"),
        (J2, "source", "canary-3"),
    ]);
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.env("DRSPASS_MAX_CHANGES", "0");
    lab.run_command(command).exits(7).says("max_changes is 0");
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.env("DRSPASS_MAX_CHANGES", "1000");
    lab.run_command(command).exits(0);
}

#[test]
fn ten_entries_travel_in_one_request_and_a_job_is_never_split() {
    let mut lab = Lab::with_config(drspass::sim::SimConfig {
        accept_any_job: true,
        ..drspass::sim::SimConfig::default()
    });
    // The first has a source alone, so that the tenth entry would part a job.
    let jobs: Vec<String> = (10..21)
        .map(|n| format!("{n}df459d-a37c-41b9-bc2b-8c00ba32jb52"))
        .collect();
    let mut entries = Vec::new();
    for (index, job) in jobs.iter().enumerate() {
        entries.push((job.as_str(), "source", "canary-so"));
        if index > 0 {
            entries.push((job.as_str(), "destination", "canary-ta"));
        }
    }
    lab.passwords(&entries);
    lab.run(&["plan"]).exits(0).says("Apply needs 3 requests.");
    lab.apply(&[]).exits(0).says("Apply needs 3 requests.");
    let sent = lab.sent();
    let mut sizes: Vec<usize> = sent.iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [2, 9, 10], "ten at most, without a setting");
    let jobs_of = |batch: &[(String, String)]| -> BTreeSet<String> {
        batch.iter().map(|(job, _)| job.clone()).collect()
    };
    for (first, second) in [(0, 1), (0, 2), (1, 2)] {
        assert!(jobs_of(&sent[first]).is_disjoint(&jobs_of(&sent[second])));
    }
    let mut all = sent.concat();
    all.sort();
    let mut wanted: Vec<(String, String)> = entries
        .iter()
        .map(|(job, endpoint, _)| ((*job).to_owned(), (*endpoint).to_owned()))
        .collect();
    wanted.sort();
    assert_eq!(all, wanted, "each entry once");
}

#[test]
fn a_smaller_batch_size_makes_more_requests_and_still_splits_no_job() {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 2 }");
    lab.passwords(&[
        (J1, "source", "canary-1"),
        (J1, "destination", "canary-2"),
        (J2, "source", "canary-3"),
        (J2, "destination", "canary-4"),
        (J3, "source", "canary-5"),
    ]);
    lab.apply(&[]).exits(0);
    let mut sizes: Vec<usize> = lab.sent().iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 2, 2]);
    for batch in lab.sent() {
        assert!(batch.iter().all(|(job, _)| *job == batch[0].0));
    }
}

#[test]
fn every_file_is_private_and_none_is_left_over() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.apply(&[]).exits(0);
    lab.passwords(&[(J1, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    for name in [
        "drspass.state.json",
        "drspass.state.json.lock",
        "drspass.state.json.backup",
        "key.txt",
    ] {
        assert_eq!(mode(&lab.path(name)), 0o600, "{name}");
    }
    for name in [
        "drspass.state.json.journal",
        "drspass.state.json.tmp",
        "plain.yaml",
    ] {
        assert!(!lab.exists(name), "{name}");
    }
    let ignored = lab.read(".gitignore");
    for name in [".journal", ".lock", ".backup"] {
        assert!(ignored.contains(&format!("/drspass.state.json{name}\n")));
    }
}

#[test]
fn reordering_comments_quotes_and_line_ends_change_nothing() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    lab.document(format!(
        "version: 1 # a comment\r\njobs:\r\n  {J2}:\r\n    source:\r\n      password: |-\r\n        \
         canary-2\r\n  \"{J1}\":\r\n    source: {{ password: \"canary-1\" }}\r\n"
    ))
    .exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    lab.apply(&[]).exits(0);
    assert_eq!(lab.sent().len(), 1);
    // A value that differs in nothing but its case is another one.
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "Canary-2")]);
    lab.run(&["plan", "--detailed-exitcode"])
        .exits(2)
        .says("0 to set, 1 to change, 0 to send again; 1 in sync");
}

#[test]
fn a_refused_request_does_not_stop_the_others_and_nothing_claims_to_be_complete() {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[
        (J1, "source", "canary-1"),
        (J2, "source", "canary-2"),
        (J3, "source", "canary-3"),
    ]);
    lab.sim.inject(Fault::nth(
        2,
        FaultKind::Status(drspass::sim::CannedAnswer {
            http: 400,
            code: "DRS.M00201".to_owned(),
            ..drspass::sim::CannedAnswer::default()
        }),
    ));
    let run = lab.apply(&[]).exits(3);
    assert_eq!(
        run.stdout.lines().last(),
        Some("Result: 2 applied, 1 refused, 0 skipped, 0 not sent, 0 unknown; 3 in all.")
    );
    let said = run.all().to_lowercase();
    for word in ["complete", "success", "done"] {
        assert!(!said.contains(word), "{}", run.all());
    }
    assert!(lab.plan().contains(&format!("! {J2}/source")));
    lab.apply(&[]).exits(0);
    assert_eq!(
        lab.sent()[3..].concat(),
        [(J2.to_owned(), "source".to_owned())]
    );
}

#[test]
fn an_emptied_manifest_sends_nothing_and_many_changes_are_counted_first() {
    let mut lab = Lab::with_config(drspass::sim::SimConfig {
        accept_any_job: true,
        ..drspass::sim::SimConfig::default()
    });
    let jobs: Vec<String> = (10..50)
        .map(|n| format!("{n}df459d-a37c-41b9-bc2b-8c00ba32jb52"))
        .collect();
    let entries = |password| -> Vec<(&str, &str, &str)> {
        let jobs = jobs.iter().map(String::as_str);
        jobs.map(|job| (job, "source", password)).collect()
    };
    lab.passwords(&entries("canary-old"));
    lab.apply(&[]).exits(0);
    let state = lab.read("drspass.state.json");
    let sent = lab.sent().len();
    lab.document("version: 1\njobs: []\n").exits(0);
    let plan = lab.run(&["plan", "--detailed-exitcode"]).exits(0).stdout;
    assert!(
        plan.ends_with(
            "\n0 to set, 0 to change, 0 to send again; 0 in sync, 40 no longer listed. \
             Nothing to send.\n"
        ),
        "{plan}"
    );
    lab.apply(&[]).exits(0);
    assert_eq!(lab.sent().len(), sent);
    assert_eq!(lab.read("drspass.state.json"), state);
    lab.passwords(&entries("canary-new"));
    let plan = lab.plan();
    assert!(
        plan.ends_with(
            "\n0 to set, 40 to change, 0 to send again; 0 in sync. Apply needs 4 requests.\n"
        ),
        "{plan}"
    );
}
