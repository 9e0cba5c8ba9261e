//! What each kind of answer leaves behind, entry by entry: exit code, state,
//! next plan, and what a rerun sends.

mod lost;
mod results;

use std::collections::BTreeMap;

use drspass::sim::{CannedAnswer, EchoForm, EndPointType, Fault, FaultKind, SimConfig, Which};

use crate::support::{J1, J2, Lab, Run};

/// Three entries, none applied yet.
fn lab() -> Lab {
    lab_with("")
}

/// The same with settings.
fn lab_with(settings: &str) -> Lab {
    let mut lab = Lab::new();
    lab.configure(settings);
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
    let mut lab = Lab::with_config(SimConfig {
        accept_any_job: true,
        ..SimConfig::default()
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
fn a_whole_202_with_an_error_code_changed_nothing() {
    // The time for it is over before the first repetition or soon after.
    let lab = lab_with("apply: { retry: { max_elapsed: 1s } }");
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
fn a_request_refused_as_a_whole_is_split_until_the_bad_entry_stands_alone() {
    let (lab, jobs) = lab_of(10, "");
    lab.sim.inject(Fault::on(
        drspass::sim::FaultTrigger::Entry {
            job: jobs[6].clone(),
            endpoint: EndPointType::Source,
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
            .contains("0 to set, 0 to change, 1 to send again; 9 in sync")
    );
}

#[test]
fn both_endpoints_of_a_job_travel_together_until_the_last_split() {
    let lab = lab();
    lab.sim.inject(Fault::on(
        drspass::sim::FaultTrigger::Entry {
            job: J1.to_owned(),
            endpoint: EndPointType::Source,
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
    FaultKind::Status(CannedAnswer {
        http,
        code: code.to_owned(),
        message: "turned away".to_owned(),
        headers: BTreeMap::from(headers.map(|(name, value)| (name.to_owned(), value.to_owned()))),
        ..CannedAnswer::default()
    })
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
            endpoint: EndPointType::Source,
            code: "DRS.KE0002".to_owned(),
            message: String::new(),
            message_key: drspass::sim::MessageKey::ErrorMsg,
        }),
    ));
    lab.apply(&[]).exits(1).says("DRS.KE0002");
    lab.apply(&[]).exits(1).says("1 skipped");
    assert_eq!(lab.sent().len(), 2);
    // Asked for once more and killed before it was sent: still held.
    lab.killed_at(
        "apply.before_first_send",
        1,
        &["apply", "--auto-approve", "--resend", J1],
    );
    lab.apply(&[]).exits(1).says("1 skipped");
    assert_eq!(lab.sent().len(), 2);
    // Asked for and answered unreadably: in doubt, and still known as wrong.
    lab.sim.inject(Fault::next(FaultKind::NotJson));
    lab.apply(&["--resend", J1]).exits(4);
    lab.apply(&[]).exits(1).says("1 skipped");
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
        let which = Which::entry(J1, EndPointType::Source);
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
