//! How many questions a large apply asks, and how many of them at once.

use drspass::sim::{CannedAnswer, Fault, FaultKind};
use serde_json::json;

use super::{asked, id, job, lab_of, list_is, sources, without_list};
use crate::support::{Lab, send_signal, wait_until};

/// A project of so many jobs, the last of which takes no password, and their sources.
fn lab(jobs: usize) -> Lab {
    let ids: Vec<String> = (0..jobs).map(id).collect();
    let (last, others) = ids.split_last().unwrap();
    let mut jobs: Vec<_> = others.iter().map(|id| job(id, "PAUSING")).collect();
    jobs.push(job(last, "CREATING"));
    let mut lab = lab_of(jobs);
    sources(&mut lab, &ids, "canary-1");
    lab
}

/// How many questions were asked of the list and of the states.
fn questions(lab: &Lab) -> (usize, usize) {
    (asked(lab, "jobs"), asked(lab, "batch-status"))
}

#[test]
fn a_list_that_finds_jobs_is_asked_for_a_hundred_at_a_time_and_nothing_else_is() {
    let lab = lab(250);
    lab.apply(&[]).exits(3).says("the job is CREATING");
    assert_eq!(questions(&lab), (9, 0));
}

#[test]
fn a_list_that_does_not_find_jobs_is_not_asked_again_and_a_hundred_states_are() {
    let lab = lab(250);
    list_is(&lab, &json!({"total_record": 0, "jobs": []}));
    lab.apply(&[]).exits(3).says("the job is CREATING");
    assert_eq!(questions(&lab), (3, 3));
}

#[test]
fn a_service_that_takes_ten_ids_a_question_is_asked_for_ten() {
    let refused = CannedAnswer {
        http: 400,
        code: "DRS.M00202".to_owned(),
        ..CannedAnswer::default()
    };
    let one_of_them = CannedAnswer {
        http: 200,
        body: Some(json!({"results": [{"id": id(3), "status": "PAUSING"}]}).to_string()),
        ..CannedAnswer::default()
    };
    for (answer, states) in [(refused, 1 + 25), (one_of_them, 1 + 25)] {
        let lab = lab(250);
        without_list(&lab);
        let first = Fault::nth(1, FaultKind::Status(answer));
        assert!(lab.sim.inject_query(Some("status"), first));
        let run = lab.apply(&[]).exits(3).says("the job is CREATING");
        assert!(!run.all().contains("returned no state"), "{}", run.all());
        assert_eq!(questions(&lab), (1, states));
    }
}

#[test]
fn as_many_questions_are_out_at_once_as_requests_may_be() {
    for parallelism in [3, 8] {
        let lab = lab(1_000);
        lab.configure(&format!("apply: {{ parallelism: {parallelism} }}"));
        // The first hundred teach how to ask for the others, of which one goes ahead.
        for number in 5..100 {
            let silent = Fault::nth(number, FaultKind::Silent);
            assert!(lab.sim.inject_query(Some("list"), silent));
        }
        let child = lab.command(&["apply", "--auto-approve"]).spawn().unwrap();
        wait_until("the questions", || asked(&lab, "jobs") >= 4 + parallelism);
        send_signal(child.id(), rustix::process::Signal::INT);
        lab.wait(child).exits(130);
        assert_eq!(questions(&lab), (4 + parallelism, 0));
    }
}
