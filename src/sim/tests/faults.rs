//! Each fault once: what the caller sees, and whether the jobs were changed.

use std::io::ErrorKind;
use std::time::Instant;

use serde_json::json;

use super::super::{
    CannedAnswer, Completion, EchoForm, EndPointType, Fault, FaultKind, FaultTrigger, MessageKey,
    Rejection, Which,
};
use super::*;

/// A password with signs that every form of writing changes.
const SECRET: &str = "Zx\"9\\q!fern";

/// One change of both endpoints of a job under a fault.
fn strike(kind: FaultKind) -> (Simulator, Option<Seen>) {
    let sim = simulator();
    sim.inject(Fault::next(kind));
    let seen = try_put(&sim, &[(JOB, "so", SECRET), (JOB, "ta", "second")]);
    (sim, seen)
}

fn acted(sim: &Simulator) -> (bool, bool) {
    (sim.knows(JOB, "source"), sim.knows(JOB, "destination"))
}

/// Whole answers in the place of acting: status and code.
fn check_instead(kind: FaultKind, status: u16, code: &str) -> Seen {
    let (sim, seen) = strike(kind);
    let seen = seen.unwrap();
    assert_eq!((seen.status, seen.code().as_str()), (status, code));
    assert_eq!(acted(&sim), (false, false));
    assert_eq!(sim.requests()[0].answered(), Completion::Status(status));
    assert_eq!(put(&sim, &[(JOB, "so", "again")]).status, 200);
    seen
}

/// Bent answers to a request that was acted on: (id, end_point_type, status).
fn check_results(kind: FaultKind, count: u64, expected: &[(&str, &str, &str)]) -> Seen {
    let (sim, seen) = strike(kind);
    let seen = seen.unwrap();
    assert_eq!(acted(&sim), (true, true));
    assert_eq!(seen.json()["count"], count);
    let results = seen.results();
    let lines: Vec<(&str, &str, &str)> = results
        .iter()
        .map(|line| (line.0.as_str(), line.1.as_str(), line.2.as_str()))
        .collect();
    assert_eq!(lines, expected);
    seen
}

#[test]
fn whole_requests_are_refused() {
    let retry_after = Some(2);
    let seen = check_instead(FaultKind::Throttled { retry_after }, 429, "APIGW.0308");
    assert_eq!(seen.header("Retry-After"), Some("2"));
    check_instead(FaultKind::Busy, 202, "DRS.M01504");
    for (http, code) in [(401, "APIGW.0301"), (403, "DRS.M00100")] {
        check_instead(FaultKind::TokenExpired { http, code: None }, http, code);
    }
    let location = ("Location".to_owned(), "http://127.0.0.1:9/".to_owned());
    let answer = CannedAnswer {
        http: 307,
        code: "DRS.M01503".to_owned(),
        headers: [location].into(),
        ..CannedAnswer::default()
    };
    let seen = check_instead(FaultKind::Status(answer), 307, "DRS.M01503");
    assert_eq!(seen.header("location"), Some("http://127.0.0.1:9/"));
}

#[test]
fn raw_answers_and_pages_are_not_json() {
    let answer = CannedAnswer {
        http: 502,
        body: Some("<html>".to_owned()),
        content_type: Some("text/html".to_owned()),
        ..CannedAnswer::default()
    };
    let (sim, seen) = strike(FaultKind::Status(answer));
    let seen = seen.unwrap();
    assert_eq!((seen.status, seen.body.as_slice()), (502, &b"<html>"[..]));
    assert_eq!(seen.header("content-type"), Some("text/html"));
    assert_eq!(acted(&sim), (false, false));
    for act_first in [false, true] {
        let (sim, seen) = strike(FaultKind::Html {
            http: 524,
            act_first,
        });
        let seen = seen.unwrap();
        assert_eq!((seen.status, seen.body.len() > 30_000), (524, true));
        assert_eq!(acted(&sim), (act_first, act_first));
    }
    let (sim, seen) = strike(FaultKind::NotJson);
    assert!(serde_json::from_slice::<Value>(&seen.unwrap().body).is_err());
    assert_eq!(acted(&sim), (true, true));
}

#[test]
fn single_entries_are_rejected() {
    let (sim, seen) = strike(FaultKind::RejectEntry(Rejection {
        job: JOB.to_owned(),
        endpoint: EndPointType::Destination,
        code: "DRS.M00304".to_owned(),
        message: "wrong task state".to_owned(),
        message_key: MessageKey::ErrorMessage,
    }));
    let seen = seen.unwrap();
    assert_eq!(seen.status, 200);
    assert_eq!(
        seen.json()["results"][1]["error_message"],
        "wrong task state"
    );
    assert_eq!(acted(&sim), (true, false));
    let code = || None;
    for (kind, status) in [
        (FaultKind::ResultsIn400 { code: code() }, 400),
        (FaultKind::ResultsIn202 { code: code() }, 202),
    ] {
        let (sim, seen) = strike(kind);
        let seen = seen.unwrap();
        assert_eq!(seen.status, status);
        assert!(seen.results().iter().all(|line| line.2 == "failed"));
        assert_eq!(acted(&sim), (false, false));
    }
}

#[test]
fn one_entry_can_poison_every_request_that_holds_it() {
    let sim = simulator();
    let poison = json!({"on": "always", "kind": {"poison_entry": {
        "job": OTHER, "endpoint": "source", "message": "db_password is invalid"
    }}});
    sim.inject(serde_json::from_value(poison).unwrap());
    for _ in 0..3 {
        let seen = put(&sim, &[(JOB, "so", "first"), (OTHER, "so", "second")]);
        assert_eq!((seen.status, seen.code().as_str()), (400, "DRS.M00202"));
        assert_eq!(seen.json()["error_msg"], "db_password is invalid");
        assert_eq!(acted(&sim), (false, false));
    }
    assert_eq!(put(&sim, &[(OTHER, "ta", "second")]).status, 200);
    assert_eq!(put(&sim, &[(JOB, "so", "first")]).status, 200);
    assert!(!sim.knows(OTHER, "source"));
}

#[test]
fn results_are_bent() {
    let so = (JOB, "so", "success");
    let ta = (JOB, "ta", "success");
    let first = Which::default;
    check_results(FaultKind::Shuffled, 2, &[ta, so]);
    check_results(FaultKind::DropResults(first()), 2, &[ta]);
    let which = Which::entry(JOB, EndPointType::Destination);
    check_results(FaultKind::DropResults(which), 2, &[so]);
    for (conflicting, status) in [(true, "failed"), (false, "success")] {
        let which = first();
        let kind = FaultKind::DoubleResults { conflicting, which };
        check_results(kind, 3, &[so, ta, (JOB, "so", status)]);
    }
    let id = || OTHER.to_owned();
    let foreign = [(OTHER, "so", "success"), (OTHER, "ta", "success")];
    check_results(FaultKind::ForeignResults { id: id() }, 2, &foreign);
    check_results(FaultKind::AddForeign { id: id() }, 3, &[so, ta, foreign[0]]);
    let odd = FaultKind::OddStatus {
        status: "maybe".to_owned(),
        which: first(),
    };
    check_results(odd, 2, &[(JOB, "so", "maybe"), ta]);
    check_results(FaultKind::WrongCount, 3, &[so, ta]);
    let seen = check_results(FaultKind::SuccessWithCode(first()), 2, &[so, ta]);
    assert_eq!(seen.results()[0].3, "DRS.M01504");
    let seen = check_results(FaultKind::Huge { bytes: 100_000 }, 2, &[so, ta]);
    assert_eq!(seen.body.len(), 100_000);
}

#[test]
fn gzip_is_claimed_of_an_answer_that_is_acted_on() {
    let (sim, seen) = strike(FaultKind::Gzip);
    let seen = seen.unwrap();
    assert_eq!(seen.header("content-encoding"), Some("gzip"));
    assert_eq!(seen.json()["count"], 2);
    assert_eq!(acted(&sim), (true, true));
}

#[test]
fn passwords_come_back() {
    let forms = [
        (EchoForm::Plain, SECRET),
        (EchoForm::Json, "Zx\\\"9\\\\q!fern"),
        (EchoForm::Percent, "Zx%229%5Cq%21fern"),
        (EchoForm::Hex, "5a7822395c71216665726e"),
        (EchoForm::Base64, "WngiOVxxIWZlcm4="),
    ];
    for (form, written) in forms {
        let which = Which::default();
        let (sim, seen) = strike(FaultKind::EchoPassword { form, which });
        let seen = seen.unwrap().json();
        let message = seen["results"][0]["error_msg"].as_str().unwrap();
        assert!(message.contains(written), "{message}");
        assert_eq!(acted(&sim), (false, true));
    }
    let (_sim, seen) = strike(FaultKind::ErrorCodeIsPassword(Which::default()));
    assert_eq!(seen.unwrap().results()[0].3, SECRET);
    let (sim, seen) = strike(FaultKind::RequestIdIsPassword(Which::default()));
    assert_eq!(seen.unwrap().header("X-Request-Id"), Some(SECRET));
    assert_eq!(acted(&sim), (false, true));
}

#[test]
fn connections_are_cut_before_or_after_acting() {
    let (sim, seen) = strike(FaultKind::CloseBefore);
    assert!(seen.is_none());
    assert_eq!(acted(&sim), (false, false));
    assert_eq!(sim.requests()[0].entries().len(), 2);
    assert_eq!(sim.requests()[0].answered(), Completion::Cut);
    let (sim, seen) = strike(FaultKind::CloseAfter);
    assert!(seen.is_none());
    assert_eq!(acted(&sim), (true, true));
    let (sim, seen) = strike(FaultKind::Truncated);
    let seen = seen.unwrap();
    let promised: usize = seen.header("content-length").unwrap().parse().unwrap();
    assert_eq!(seen.body.len(), promised / 2);
    assert_eq!(acted(&sim), (true, true));
    assert_eq!(sim.requests()[0].answered(), Completion::Cut);
}

/// Starts a change without waiting for its answer.
fn begin(sim: &Simulator, entries: &[(&str, &str, &str)]) -> TcpStream {
    let mut stream = open(sim);
    let request = format!("PUT {}", path(sim, "batch-modify-pwd"));
    write(&mut stream, &request, &headers(sim), &body(entries));
    stream
}

#[test]
fn silence_lasts_until_the_caller_goes() {
    let sim = simulator();
    sim.inject(Fault::next(FaultKind::Silent));
    let mut stream = begin(&sim, &[(JOB, "so", "first")]);
    assert!(sim.wait_for_put(1, WAIT));
    stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    assert_eq!(sim.requests()[0].answered(), Completion::Pending);
    drop(stream);
    wait_until_cut(&sim);
    assert!(!sim.knows(JOB, "source"));
}

fn wait_until_cut(sim: &Simulator) {
    let deadline = Instant::now() + WAIT;
    while sim.requests()[0].answered() != Completion::Cut {
        assert!(
            Instant::now() < deadline,
            "the caller's leaving went unseen"
        );
        std::thread::yield_now();
    }
}

#[test]
fn held_requests_wait_for_release() {
    for act_first in [false, true] {
        let sim = simulator();
        sim.inject(Fault::always(FaultKind::Hold { act_first }).times(2));
        let mut one = begin(&sim, &[(JOB, "so", "first")]);
        let mut two = begin(&sim, &[(OTHER, "so", "first")]);
        assert!(sim.wait_for_put(2, WAIT));
        assert!(!sim.wait_for_put(3, Duration::from_millis(1)));
        assert_eq!(sim.knows(JOB, "source"), act_first);
        assert_eq!(sim.max_in_flight(), 2);
        sim.release();
        for stream in [&mut one, &mut two] {
            assert_eq!(read(stream).unwrap().status, 200);
        }
        assert!(sim.holds(JOB, "source", "first") && sim.holds(OTHER, "source", "first"));
    }
}

#[test]
fn a_held_request_whose_caller_goes_is_never_acted_on() {
    let sim = simulator();
    sim.inject(Fault::next(FaultKind::Hold { act_first: false }));
    let stream = begin(&sim, &[(JOB, "so", "first")]);
    // A caller who goes before the request was taken up has asked nothing.
    assert!(sim.wait_for_put(1, WAIT));
    drop(stream);
    wait_until_cut(&sim);
    sim.release();
    assert_eq!(put(&sim, &[(JOB, "ta", "x")]).status, 200);
    assert!(!sim.knows(JOB, "source"));
}

#[test]
fn slowness_comes_on_top_of_latency() {
    let sim = Simulator::start(SimConfig {
        latency: Duration::from_millis(30),
        ..config()
    })
    .unwrap();
    sim.inject(Fault::next(FaultKind::Slow { millis: 30 }));
    let began = Instant::now();
    put(&sim, &[(JOB, "so", "first")]);
    assert!(began.elapsed() >= Duration::from_millis(60));
}

#[test]
fn faults_choose_their_requests() {
    let sim = simulator();
    let busy = |when| Fault::on(when, FaultKind::Busy);
    sim.inject(busy(FaultTrigger::Nth(2)));
    sim.inject(busy(FaultTrigger::Every(4)).times(1));
    sim.inject(busy(FaultTrigger::Entry {
        job: OTHER.to_owned(),
        endpoint: EndPointType::Source,
    }));
    let statuses: Vec<u16> = (0..8)
        .map(|_| put(&sim, &[(JOB, "so", "first")]).status)
        .collect();
    assert_eq!(statuses, [200, 202, 200, 202, 200, 200, 200, 200]);
    assert_eq!(put(&sim, &[(OTHER, "so", "first")]).status, 202);
    assert_eq!(put(&sim, &[(OTHER, "ta", "first")]).status, 200);
}

#[test]
fn faults_for_the_next_request_queue_up() {
    let sim = simulator();
    sim.inject(Fault::next(FaultKind::Throttled { retry_after: None }));
    sim.inject(Fault::next(FaultKind::Busy).times(2));
    let statuses: Vec<u16> = (0..4)
        .map(|_| put(&sim, &[(JOB, "so", "first")]).status)
        .collect();
    assert_eq!(statuses, [429, 202, 202, 200]);
}

#[test]
fn every_fault_can_be_written_in_a_file() {
    let which = json!({"job": JOB, "endpoint": "source"});
    let kinds = [
        json!({"slow": {"millis": 1}}),
        json!({"poison_entry": {"job": JOB, "endpoint": "source", "code": "DRS.M00202"}}),
        json!({"hold": {}}),
        json!("close_before"),
        json!("truncated"),
        json!({"drop_results": {}}),
        json!({"double_results": {"conflicting": true, "which": which}}),
        json!({"foreign_results": {"id": OTHER}}),
        json!({"add_foreign": {"id": OTHER}}),
        json!({"odd_status": {"status": "maybe"}}),
        json!("wrong_count"),
        json!({"results_in_400": {}}),
        json!({"results_in_202": {"code": "DRS.M01504"}}),
        json!("gzip"),
        json!({"huge": {"bytes": 9_000_000}}),
        json!("not_json"),
        json!({"html": {"http": 524, "act_first": true}}),
        json!({"success_with_code": which}),
        json!({"echo_password": {"form": "base64"}}),
        json!({"error_code_is_password": {}}),
        json!({"request_id_is_password": {}}),
        json!({"token_expired": {"http": 403}}),
    ];
    for kind in kinds {
        let fault = json!({"on": "always", "kind": kind, "times": 1});
        let read: Result<Fault, _> = serde_json::from_value(fault);
        assert!(read.is_ok(), "{kind}");
        // JSON is YAML, so the scenario reader must take the same words.
        let scenario = json!({"faults": [{"kind": kind}]}).to_string();
        let read = super::super::scenario::parse(&scenario);
        assert!(read.is_ok(), "{kind}: {read:?}");
    }
}

#[test]
fn an_answer_that_memory_could_not_hold_is_not_armed() {
    let sim = simulator();
    let armed = |bytes: u64| {
        let fault = json!({"kind": {"huge": {"bytes": bytes}}});
        admin(&sim, "POST /sim/faults", &fault).status
    };
    assert_eq!(armed(1 << 40), 400);
    assert_eq!(armed((64 << 20) + 1), 400);
    assert_eq!(armed(64 << 20), 200);
}
