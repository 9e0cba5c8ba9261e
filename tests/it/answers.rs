//! What each kind of answer leaves behind, entry by entry: exit code, state,
//! next plan, and what a rerun sends.

use std::collections::BTreeMap;

use drspass::sim::{Answer, Config, EchoForm, Endpoint, Fault, FaultKind, JobSpec, Which};

use crate::looped::refuse;
use crate::support::{J1, J2, J9, Lab, Run};

/// Three entries, none applied yet.
fn lab() -> Lab {
    let mut lab = Lab::new();
    // Waiting is cut short so that a refusal for being busy ends soon.
    lab.configure("apply: { request_timeout: 2s, retry: { max_elapsed: 1s } }");
    lab.passwords(&[
        (J1, "source", "canary-1"),
        (J1, "destination", "canary-2"),
        (J2, "source", "canary-3"),
    ]);
    lab
}

/// So many jobs, each with a password for its source, against a service that runs
/// any job.
fn lab_of(count: u8, settings: &str) -> (Lab, Vec<String>) {
    let mut lab = Lab::with_config(drspass::sim::Config {
        accept_any_job: true,
        ..drspass::sim::Config::default()
    });
    lab.configure(settings);
    let jobs: Vec<String> = (0..count)
        .map(|n| format!("{n}0df459d-a37c-41b9-bc2b-8c00ba32jb5{n}"))
        .collect();
    let entries: Vec<(&str, &str, &str)> = jobs
        .iter()
        .map(|job| (job.as_str(), "source", "canary-x"))
        .collect();
    lab.passwords(&entries);
    (lab, jobs)
}

const ENTRIES: [(&str, &str); 3] = [(J1, "source"), (J1, "destination"), (J2, "source")];

/// The mark of each entry in the next plan: `=` where it is in sync.
fn marks(lab: &Lab) -> String {
    let plan = lab.plan();
    ENTRIES
        .iter()
        .map(|(job, endpoint)| {
            plan.lines()
                .find(|line| line.contains(&format!("{job}/{endpoint} ")))
                .and_then(|line| line.trim_start().chars().next())
                .unwrap_or('=')
        })
        .collect()
}

fn apply_with(lab: &Lab, kind: FaultKind) -> Run {
    lab.sim.inject(Fault::next(kind));
    lab.apply(&[])
}

/// A rerun without faults converges, and sends exactly the marked entries.
#[track_caller]
fn converges(lab: &Lab) {
    let open: Vec<(String, String)> = ENTRIES
        .iter()
        .zip(marks(lab).chars())
        .filter(|(_, mark)| *mark != '=')
        .map(|((job, endpoint), _)| ((*job).to_owned(), (*endpoint).to_owned()))
        .collect();
    let before = lab.sent().len();
    lab.apply(&[]).exits(0);
    assert_eq!(lab.sent()[before..].concat(), open);
    assert_eq!(marks(lab), "===");
    for ((job, endpoint), password) in ENTRIES.iter().zip(["canary-1", "canary-2", "canary-3"]) {
        assert!(lab.sim.holds(job, endpoint, password));
    }
}

#[test]
fn a_failed_entry_inside_200_is_no_success() {
    let lab = lab();
    lab.sim
        .inject(refuse(J1, Endpoint::Destination, "DRS.M00304"));
    lab.apply(&[]).exits(3).says("DRS.M00304").says("not now");
    assert_eq!(marks(&lab), "=!=");
    converges(&lab);
}

#[test]
fn shuffled_results_are_matched_by_entry_and_shown_in_manifest_order() {
    let lab = lab();
    lab.sim.inject(Fault::next(FaultKind::Shuffled));
    lab.sim.inject(Fault::nth(
        1,
        FaultKind::RejectEntry(drspass::sim::Rejection {
            job: J1.to_owned(),
            endpoint: Endpoint::Destination,
            code: "DRS.M00304".to_owned(),
            message: String::new(),
            message_key: drspass::sim::MessageKey::ErrorMessage,
        }),
    ));
    let run = lab.apply(&[]).exits(3);
    let result = &run.stdout[run.stdout.find("Apply:").unwrap()..];
    let place = |text: String| result.find(&text).unwrap();
    assert!(place(format!("{J1}/source")) < place(format!("{J1}/destination")));
    assert!(place(format!("{J1}/destination")) < place(format!("{J2}/source")));
    assert_eq!(marks(&lab), "=!=");
    converges(&lab);
}

#[test]
fn a_missing_result_leaves_its_entry_in_doubt() {
    let lab = lab();
    apply_with(
        &lab,
        FaultKind::DropResults(Which::entry(J2, Endpoint::Source)),
    )
    .exits(4)
    .says("the answer holds no result for it")
    .says(&format!("no result was returned for {J2}/source"))
    .says("the answer announces 3 results and holds 2")
    .says("Result: 2 applied, 0 refused, 0 blocked, 0 not sent, 1 in doubt; 3 in all.");
    assert_eq!(marks(&lab), "==?");
    assert!(lab.entry(J2, "source")["pending"].is_object());
    assert_eq!(lab.entry(J2, "source")["last_outcome"]["code"], "no_result");
    converges(&lab);
}

#[test]
fn foreign_results_apply_nothing_and_are_named() {
    let lab = lab();
    apply_with(&lab, FaultKind::ForeignResults { id: J9.to_owned() })
        .exits(4)
        .says(J9)
        .says(&format!("no result was returned for {J1}/source"))
        .says(&format!("no result was returned for {J1}/destination"));
    assert_eq!(marks(&lab), "???");
    assert!(!lab.read("drspass.state.json").contains(J9));
    converges(&lab);
}

#[test]
fn a_further_foreign_result_is_a_note() {
    let lab = lab();
    apply_with(&lab, FaultKind::AddForeign { id: J9.to_owned() })
        .exits(0)
        .says(J9);
    assert!(!lab.read("drspass.state.json").contains(J9));
}

#[test]
fn doubled_results_leave_their_entry_in_doubt_whether_they_agree_or_not() {
    for conflicting in [false, true] {
        let lab = lab();
        let which = Which::entry(J1, Endpoint::Source);
        apply_with(&lab, FaultKind::DoubleResults { conflicting, which })
            .exits(4)
            .says("the answer holds several results for it");
        assert_eq!(marks(&lab), "?==");
        converges(&lab);
    }
}

#[test]
fn an_odd_status_or_a_success_with_an_error_code_is_in_doubt() {
    let which = || Which::entry(J1, Endpoint::Source);
    for kind in [
        FaultKind::OddStatus {
            status: "maybe".to_owned(),
            which: which(),
        },
        FaultKind::SuccessWithCode(which()),
    ] {
        let lab = lab();
        apply_with(&lab, kind).exits(4);
        assert_eq!(marks(&lab), "?==");
        converges(&lab);
    }
}

#[test]
fn a_wrong_count_is_a_note() {
    let lab = lab();
    apply_with(&lab, FaultKind::WrongCount)
        .exits(0)
        .says("note:");
    assert_eq!(marks(&lab), "===");
}

#[test]
fn a_whole_202_with_an_error_code_changed_nothing() {
    let lab = lab();
    lab.sim.inject(Fault::always(FaultKind::Busy));
    lab.apply(&[])
        .exits(1)
        .says("answer 202 DRS.M01504")
        .says("3 refused");
    assert!(!lab.sim.knows(J1, "source"));
    assert!(lab.entry(J1, "source")["applied"].is_null());
    assert_eq!(marks(&lab), "!!!");
}

#[test]
fn busy_and_throttled_answers_are_waited_out() {
    for kind in [FaultKind::Busy, FaultKind::Throttled { retry_after: None }] {
        let lab = lab();
        apply_with(&lab, kind).exits(0);
        assert_eq!(lab.sent().len(), 2);
        assert_eq!(
            lab.sent()[0],
            lab.sent()[1],
            "the batch is repeated as it was"
        );
    }
}

#[test]
fn a_gateway_page_is_doubt_and_is_told_in_one_clean_line() {
    for http in [502, 524] {
        let lab = lab();
        let run = apply_with(
            &lab,
            FaultKind::Html {
                http,
                act_first: false,
            },
        )
        .exits(4)
        .says(&http.to_string())
        .says("text/html")
        .says("127.0.0.1");
        assert!(!run.all().contains('<'), "{}", run.all());
        assert!(!run.all().contains("expected value"), "{}", run.all());
        assert_eq!(lab.sent().len(), 1, "a server error is not repeated");
        assert_eq!(marks(&lab), "???");
        converges(&lab);
    }
}

#[test]
fn an_answer_that_cannot_be_read_is_doubt() {
    for kind in [
        FaultKind::NotJson,
        FaultKind::Gzip,
        FaultKind::Huge { bytes: 9 << 20 },
    ] {
        let lab = lab();
        let run = apply_with(&lab, kind).exits(4);
        assert!(run.all().chars().all(|c| c == '\n' || !c.is_control()));
        assert_eq!(marks(&lab), "???");
        converges(&lab);
    }
}

#[test]
fn a_connection_cut_once_is_repeated_once() {
    for kind in [
        FaultKind::CloseBefore,
        FaultKind::CloseAfter,
        FaultKind::Truncated,
    ] {
        let lab = lab();
        apply_with(&lab, kind).exits(0);
        assert_eq!(lab.sent().len(), 2);
        assert_eq!(marks(&lab), "===");
    }
}

#[test]
fn a_connection_that_stays_cut_leaves_doubt() {
    for kind in [
        FaultKind::CloseBefore,
        FaultKind::CloseAfter,
        FaultKind::Silent,
    ] {
        let lab = lab();
        lab.sim.inject(Fault::always(kind).times(2));
        lab.apply(&[]).exits(4).says("no answer came");
        assert_eq!(lab.sent().len(), 2, "one repeat and no more");
        assert_eq!(marks(&lab), "???");
        converges(&lab);
    }
}

#[test]
fn results_inside_400_count_entry_by_entry() {
    let lab = lab();
    // The service acts on one entry and refuses the others, all under one 400.
    let result = |job: &str, endpoint: &str, rest: &str| {
        format!(r#"{{"id":"{job}","end_point_type":"{endpoint}",{rest}}}"#)
    };
    let failed = r#""status":"failed","error_code":"DRS.M00304","error_msg":"not now""#;
    let body = format!(
        r#"{{"results":[{},{},{}],"count":3}}"#,
        result(J1, "ta", failed),
        result(J2, "so", failed),
        result(J1, "so", r#""status":"success""#),
    );
    apply_with(
        &lab,
        FaultKind::Status(Answer {
            http: 400,
            body: Some(body),
            ..Answer::default()
        }),
    )
    .exits(3)
    .says("1 applied, 2 refused, 0 blocked, 0 not sent, 0 in doubt; 3 in all.")
    .says("not now");
    assert_eq!(lab.sent().len(), 1, "it is not split and not repeated");
    assert_eq!(marks(&lab), "=!!");
    assert!(lab.entry(J1, "source")["applied"].is_object());
    assert!(lab.entry(J1, "destination")["applied"].is_null());
}

#[test]
fn refusals_of_every_entry_inside_400_apply_nothing() {
    let lab = lab();
    apply_with(&lab, FaultKind::ResultsIn400 { code: None })
        .exits(1)
        .says("3 refused");
    assert_eq!(marks(&lab), "!!!");
    converges(&lab);
}

#[test]
fn a_request_refused_as_a_whole_is_split_until_the_bad_entry_stands_alone() {
    let (lab, jobs) = lab_of(10, "");
    lab.sim.inject(Fault::on(
        drspass::sim::When::Entry {
            job: jobs[6].clone(),
            endpoint: Endpoint::Source,
        },
        status(400, "DRS.M00201", []),
    ));
    lab.apply(&[])
        .exits(3)
        .says("9 applied, 1 refused")
        .says("DRS.M00201");
    // 2 log2(10) + 1 further requests at the most.
    assert!(lab.sent().len() <= 1 + 7, "{} requests", lab.sent().len());
    for job in &jobs {
        assert_eq!(lab.sim.holds(job, "source", "canary-x"), *job != jobs[6]);
    }
    assert!(
        lab.plan()
            .contains("1 to set, 0 to change, 0 to send again; 9 in sync")
    );
}

#[test]
fn both_endpoints_of_a_job_travel_together_until_the_last_split() {
    let lab = lab();
    lab.sim.inject(Fault::on(
        drspass::sim::When::Entry {
            job: J1.to_owned(),
            endpoint: Endpoint::Source,
        },
        status(400, "DRS.M00201", []),
    ));
    lab.apply(&[]).exits(3).says("2 applied, 1 refused");
    let sent = lab.sent();
    let sizes: Vec<usize> = sent.iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 2, 1, 1, 1]);
    assert!(sent[1].iter().all(|(job, _)| job == J1));
}

#[test]
fn a_refused_login_stops_everything_and_marks_nothing() {
    for (http, code) in [
        (401, "APIGW.0301"),
        (403, "DRS.M00100"),
        (401, "DRS.M00103"),
        (403, "DRS.M00102"),
    ] {
        let lab = lab();
        apply_with(&lab, status(http, code, []))
            .exits(1)
            .says("the login was refused")
            .says("3 not sent");
        assert_eq!(lab.sent().len(), 1);
        assert_eq!(marks(&lab), "+++");
        converges(&lab);
    }
}

#[test]
fn a_redirect_is_not_followed_and_changes_nothing() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let location = format!("http://{}/elsewhere", other.local_addr().unwrap());
    for http in [301, 302, 303, 307, 308] {
        let lab = lab();
        apply_with(&lab, status(http, "", [("Location", location.as_str())])).exits(1);
        assert!(lab.entry(J1, "source")["applied"].is_null());
        assert!(
            other.accept().is_err(),
            "nobody connects to the second listener"
        );
        converges(&lab);
    }
}

fn status<const N: usize>(http: u16, code: &str, headers: [(&str, &str); N]) -> FaultKind {
    FaultKind::Status(Answer {
        http,
        code: code.to_owned(),
        message: "turned away".to_owned(),
        headers: BTreeMap::from(headers.map(|(name, value)| (name.to_owned(), value.to_owned()))),
        ..Answer::default()
    })
}

#[test]
fn no_connection_sends_nothing_and_marks_nothing() {
    let mut lab = lab();
    // A listener that was closed again: its port refuses connections.
    let (endpoint, auth_url) = lab.addresses();
    let config = lab.read("drspass.yaml");
    drop(std::mem::replace(
        &mut lab.sim,
        drspass::sim::Simulator::start(drspass::sim::Config::default()).unwrap(),
    ));
    assert!(config.contains(&endpoint) && config.contains(&auth_url));
    lab.apply(&[])
        .exits(1)
        .says("no connection to the service")
        .says("3 not sent");
    assert_eq!(marks(&lab), "+++");
}

#[test]
fn three_lost_answers_in_a_row_stop_the_run() {
    let jobs: Vec<String> = (1..=6)
        .map(|n| format!("{n}0df459d-a37c-41b9-bc2b-8c00ba32jb5{n}"))
        .collect();
    let mut lab = Lab::with_config(Config {
        jobs: jobs.iter().map(JobSpec::new).collect(),
        ..Config::default()
    });
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    let entries: Vec<(&str, &str, &str)> = jobs
        .iter()
        .map(|job| (job.as_str(), "source", "canary-x"))
        .collect();
    lab.passwords(&entries);
    lab.sim.inject(Fault::always(FaultKind::Html {
        http: 502,
        act_first: false,
    }));
    lab.apply(&[])
        .exits(4)
        .says("3 in doubt; 6 in all.")
        .says("too many answers were lost in a row");
    assert_eq!(lab.sent().len(), 3);
}

#[test]
fn three_batches_in_doubt_in_a_row_stop_the_run_whatever_the_doubt() {
    for kind in [
        FaultKind::DropResults(Which {
            job: None,
            endpoint: Some(Endpoint::Source),
        }),
        FaultKind::ForeignResults { id: J9.to_owned() },
        FaultKind::NotJson,
    ] {
        let (lab, _) = lab_of(6, "apply: { batch_size: 1, parallelism: 1 }");
        lab.sim.inject(Fault::always(kind));
        lab.apply(&[]).exits(4).says("3 not sent, 3 in doubt");
        assert_eq!(lab.sent().len(), 3);
    }
}

#[test]
fn splitting_does_not_hide_that_nothing_gets_through() {
    let (lab, _) = lab_of(8, "apply: { batch_size: 2, parallelism: 1 }");
    // Every pair is refused as a whole, and every single entry is lost.
    for number in 1..=20 {
        let kind = if number % 3 == 1 {
            status(400, "DRS.M00201", [])
        } else {
            FaultKind::NotJson
        };
        lab.sim.inject(Fault::nth(number, kind));
    }
    lab.apply(&[]).exits(4).says("5 not sent, 3 in doubt");
}

#[test]
fn a_wrong_password_is_held_even_when_an_attempt_was_lost_or_cut_off() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-wrong")]);
    // The answer to the first sending is lost, the repetition is refused.
    lab.sim.inject(Fault::next(FaultKind::CloseBefore));
    lab.sim.inject(Fault::nth(
        2,
        FaultKind::RejectEntry(drspass::sim::Rejection {
            job: J1.to_owned(),
            endpoint: Endpoint::Source,
            code: "DRS.KE0002".to_owned(),
            message: String::new(),
            message_key: drspass::sim::MessageKey::ErrorMsg,
        }),
    ));
    lab.apply(&[]).exits(1).says("DRS.KE0002");
    lab.apply(&[]).exits(1).says("1 blocked");
    assert_eq!(lab.sent().len(), 2);
    // Asked for once more and killed before it was sent: still held.
    lab.killed_at(
        "apply.before_first_send",
        1,
        &["apply", "--auto-approve", "--resend", J1],
    );
    lab.apply(&[]).exits(1).says("1 blocked");
    assert_eq!(lab.sent().len(), 2);
    // Asked for and answered unreadably: in doubt, and still known as wrong.
    lab.sim.inject(Fault::next(FaultKind::NotJson));
    lab.apply(&["--resend", J1]).exits(4);
    lab.apply(&[]).exits(1).says("1 blocked");
    assert_eq!(lab.sent().len(), 3);
}

#[test]
fn text_that_repeats_a_password_is_withheld_in_every_form() {
    for form in [
        EchoForm::Plain,
        EchoForm::Json,
        EchoForm::Percent,
        EchoForm::Hex,
        EchoForm::Base64,
    ] {
        let mut lab = Lab::new();
        lab.plant(&[r#"canary-Zx"9\q!fern"#]);
        lab.manifest(&format!(
            "  {J1}:\n    source: {{ password: 'canary-Zx\"9\\q!fern' }}\n"
        ))
        .exits(0);
        let which = Which::entry(J1, Endpoint::Source);
        let run = apply_with(&lab, FaultKind::EchoPassword { form, which }).exits(1);
        assert!(run.all().contains("withheld"), "{}", run.all());
    }
}

#[test]
fn codes_and_request_ids_that_repeat_a_password_are_withheld() {
    for kind in [
        FaultKind::ErrorCodeIsPassword(Which::default()),
        FaultKind::RequestIdIsPassword(Which::default()),
    ] {
        let lab = lab();
        let run = apply_with(&lab, kind);
        assert!(run.code == Some(3) || run.code == Some(1), "{}", run.all());
        lab.assert_files_clean();
    }
}
