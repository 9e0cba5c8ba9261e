//! Answers that do not come, or cannot be read.

use drspass::sim::{EndPointType, Fault, FaultKind, JobSpec, SimConfig, Which};

use super::{apply_with, converges, lab, lab_of, lab_with, marks, status};
use crate::support::{J9, Lab, unanswered};

#[test]
fn a_gateway_page_is_doubt_and_is_told_in_one_clean_line() {
    for (http, requests) in [(502, 2), (524, 1), (500, 1)] {
        let lab = lab();
        let page = FaultKind::Html {
            http,
            act_first: false,
        };
        lab.sim.inject(Fault::always(page).times(requests));
        let run = lab
            .apply(&[])
            .exits(4)
            .says(&http.to_string())
            .says("text/html")
            .says("127.0.0.1");
        assert!(!run.all().contains('<'), "{}", run.all());
        assert!(!run.all().contains("expected value"), "{}", run.all());
        assert_eq!(lab.sent().len(), requests as usize);
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
fn a_gateway_that_gave_up_waiting_counts_as_a_lost_answer() {
    for (http, said) in [
        (408, "no answer was received"),
        (502, "the service failed while handling the request"),
        (503, "the service failed while handling the request"),
        (504, "the service failed while handling the request"),
    ] {
        let once = lab();
        apply_with(&once, status(http, "APIGW.0201", [("Retry-After", "1")])).exits(0);
        assert_eq!(once.sent().len(), 2);
        assert_eq!(once.sent()[0], once.sent()[1]);
        assert_eq!(marks(&once), "===");
        // It stays like that, or a wait is asked for that is longer than there is time.
        for (wait, requests) in [("1", 2), ("3600", 1)] {
            let lab = lab_with("apply: { retry: { max_elapsed: 30s } }");
            let kind = status(http, "APIGW.0201", [("Retry-After", wait)]);
            lab.sim.inject(Fault::always(kind).times(requests));
            lab.apply(&[]).exits(4).says(said).says("3 unknown");
            assert_eq!(lab.sent().len(), requests as usize);
            converges(&lab);
        }
        // A wrong password would be tried once more.
        let held = lab();
        apply_with(&held, status(http, "DRS.KE0002", [])).exits(4);
        assert_eq!(held.sent().len(), 1);
    }
}

#[test]
fn a_connection_that_stays_cut_leaves_doubt() {
    let usual = "";
    let short = "apply: { request_timeout: 3s }";
    for (kind, settings) in [
        (FaultKind::CloseBefore, usual),
        (FaultKind::CloseAfter, usual),
        (FaultKind::Silent, short),
    ] {
        let lab = lab_with(settings);
        lab.sim.inject(Fault::always(kind).times(2));
        lab.apply(&[]).exits(4).says("no answer was received");
        assert_eq!(lab.sent().len(), 2, "one repeat and no more");
        assert_eq!(marks(&lab), "???");
        converges(&lab);
    }
}

#[test]
fn no_connection_sends_nothing_and_marks_nothing() {
    let mut lab = lab();
    let (endpoint, auth_url) = lab.addresses();
    let config = lab.read("drspass.yaml");
    drop(std::mem::replace(
        &mut lab.sim,
        drspass::sim::Simulator::start(SimConfig::default()).unwrap(),
    ));
    let _nobody = unanswered(&endpoint);
    assert!(config.contains(&endpoint) && config.contains(&auth_url));
    lab.apply(&[])
        .exits(1)
        .says("could not connect to the service")
        .says("3 not sent");
    assert_eq!(marks(&lab), "+++");
}

#[test]
fn three_lost_answers_in_a_row_stop_the_run() {
    let jobs: Vec<String> = (1..=6)
        .map(|n| format!("{n}0df459d-a37c-41b9-bc2b-8c00ba32jb5{n}"))
        .collect();
    let mut lab = Lab::with_config(SimConfig {
        jobs: jobs.iter().map(JobSpec::new).collect(),
        ..SimConfig::default()
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
        .says("3 unknown; 6 in all.")
        .says("too many answers were lost in a row");
    assert_eq!(lab.sent().len(), 6, "each is repeated once");
}

#[test]
fn three_batches_in_doubt_in_a_row_stop_the_run_whatever_the_doubt() {
    for kind in [
        FaultKind::DropResults(Which {
            job: None,
            endpoint: Some(EndPointType::Source),
        }),
        FaultKind::ForeignResults { id: J9.to_owned() },
        FaultKind::NotJson,
    ] {
        let (lab, _) = lab_of(6, "apply: { batch_size: 1, parallelism: 1 }");
        lab.sim.inject(Fault::always(kind));
        lab.apply(&[]).exits(4).says("3 not sent, 3 unknown");
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
    lab.apply(&[]).exits(4).says("5 not sent, 3 unknown");
}
