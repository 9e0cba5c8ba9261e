//! Large applies with one bad entry among many, and with a service that throttles.

use std::collections::BTreeSet;
use std::time::Duration;

use drspass::sim::{
    CannedAnswer, Completion, EndPointType, Fault, FaultKind, FaultTrigger, SimConfig,
};

use crate::support::Lab;

const ENDPOINTS: [&str; 2] = ["source", "destination"];

fn job(number: usize) -> String {
    format!("{number:08x}-a37c-41b9-bc2b-8c00ba32jb52")
}

/// So many jobs with these endpoints, against a service that runs any job.
fn lab(jobs: usize, endpoints: &[&str], settings: &str) -> Lab {
    let mut lab = Lab::with_config(SimConfig {
        accept_any_job: true,
        ..SimConfig::default()
    });
    lab.configure(settings);
    lab.plant(&["canary-wanted"]);
    let mut manifest = String::new();
    for number in 0..jobs {
        manifest.push_str(&format!("  {}:\n", job(number)));
        for endpoint in endpoints {
            manifest.push_str(&format!(
                "    {endpoint}: {{ password: 'canary-wanted' }}\n"
            ));
        }
    }
    lab.manifest(&manifest).exits(0);
    lab
}

/// Refuses every request as a whole that holds this entry.
fn poison(lab: &Lab, number: usize, endpoint: EndPointType, code: &str) {
    let entry = FaultTrigger::Entry {
        job: job(number),
        endpoint,
    };
    lab.sim.inject(Fault::on(
        entry,
        FaultKind::Status(CannedAnswer {
            http: 400,
            code: code.to_owned(),
            message: "the parameter is invalid".to_owned(),
            ..CannedAnswer::default()
        }),
    ));
}

/// Whether the state says so of every entry, and of no other.
#[track_caller]
fn state_has_exactly(lab: &Lab, applied: &BTreeSet<(String, &str)>, refused: &(String, &str)) {
    let state = lab.state();
    let entries = state["body"]["entries"].as_object().unwrap();
    assert_eq!(entries.len(), applied.len() + 1);
    for (job, endpoint) in applied {
        let entry = &entries[&format!("{job}/{endpoint}")];
        assert!(entry["applied"].is_object(), "{job}/{endpoint}: {entry}");
        assert!(entry["pending"].is_null() && entry["last_outcome"].is_null());
        assert!(lab.sim.holds(job, endpoint, "canary-wanted"));
    }
    let (job, endpoint) = refused;
    let entry = &entries[&format!("{job}/{endpoint}")];
    assert!(entry["applied"].is_null() && entry["pending"].is_null());
    assert_eq!(entry["last_outcome"]["code"], "DRS.M00202");
    assert!(!lab.sim.knows(job, endpoint));
}

/// Applies 500 entries with one poisoned one, and counts.
#[track_caller]
fn check_poisoned(jobs: usize, endpoints: &[&'static str], batch_size: usize, bad: usize) {
    let settings = format!("apply: {{ batch_size: {batch_size} }}");
    let lab = lab(jobs, endpoints, &settings);
    let bad_endpoint = endpoints[endpoints.len() - 1];
    let kind = match bad_endpoint {
        "source" => EndPointType::Source,
        _ => EndPointType::Destination,
    };
    poison(&lab, bad, kind, "DRS.M00202");
    lab.apply(&[])
        .exits(3)
        .says("DRS.M00202")
        .says("499 applied, 1 refused, 0 skipped, 0 not sent, 0 unknown; 500 in all.");

    let sent = lab.sent();
    let batches = 500_usize.div_ceil(batch_size);
    let further = sent.len() - batches;
    // 2 log2(n) + 1, in whole numbers.
    assert!(
        1_usize << (further - 1) <= batch_size * batch_size,
        "{further} further requests"
    );
    // Nothing that was accepted goes out again, and no job is parted before the end.
    let bad_entry = (job(bad), bad_endpoint.to_owned());
    let mut accepted = BTreeSet::new();
    for request in sent.iter().filter(|request| !request.contains(&bad_entry)) {
        for entry in request {
            assert!(accepted.insert(entry.clone()), "{entry:?} is sent again");
        }
        if request.len() > 1 {
            let of_job = |job: &str| request.iter().filter(|(id, _)| id == job).count();
            let in_full = |(id, _): &(String, String)| of_job(id) == endpoints.len();
            assert!(request.iter().all(in_full), "{request:?}");
        }
    }
    let bad_entry = (job(bad), bad_endpoint);
    let mut wanted: BTreeSet<(String, &str)> = (0..jobs)
        .flat_map(|number| {
            endpoints
                .iter()
                .map(move |endpoint| (job(number), *endpoint))
        })
        .collect();
    assert!(wanted.remove(&bad_entry));
    assert_eq!(accepted.len(), wanted.len());
    state_has_exactly(&lab, &wanted, &bad_entry);

    // Only the bad one is left to do.
    let before = lab.sent().len();
    lab.apply(&[]).exits(1).says("0 applied, 1 refused");
    assert_eq!(
        lab.sent()[before..],
        [[(bad_entry.0, bad_entry.1.to_owned())]]
    );
}

#[test]
fn one_poisoned_entry_among_the_two_endpoints_of_250_jobs_is_found() {
    check_poisoned(250, &ENDPOINTS, 10, 137);
    check_poisoned(250, &ENDPOINTS, 100, 249);
}

#[test]
fn one_poisoned_entry_among_500_jobs_is_found() {
    check_poisoned(500, &["source"], 10, 499);
    check_poisoned(500, &["source"], 100, 0);
}

#[test]
fn a_service_that_takes_one_job_per_request_gets_one_job_per_request() {
    let lab = lab(5, &ENDPOINTS, "apply: { parallelism: 1 }");
    // The first request is refused for its number of jobs, and none after it.
    lab.sim.inject(Fault::nth(
        1,
        FaultKind::Status(CannedAnswer {
            http: 400,
            code: "DRS.M00299".to_owned(),
            ..CannedAnswer::default()
        }),
    ));
    lab.apply(&[]).exits(0).says("10 applied");
    let sizes: Vec<usize> = lab.sent().iter().map(Vec::len).collect();
    assert_eq!(sizes, [10, 2, 2, 2, 2, 2]);
    let sent = lab.sent();
    for request in &sent[1..] {
        assert_eq!(request[0].0, request[1].0);
    }
}

#[test]
fn one_request_in_three_throttled_is_waited_out_with_fewer_in_flight() {
    check_throttled(9, FaultTrigger::Every(3), None);
}

#[test]
fn after_a_run_of_good_answers_one_more_request_is_in_flight() {
    let jobs = 40;
    let lab = lab(
        jobs,
        &["source"],
        "apply: { batch_size: 1, parallelism: 4 }",
    );
    for number in 2..=100 {
        let hold = FaultKind::Hold { act_first: false };
        lab.sim.inject(Fault::nth(number, hold));
    }
    let retry_after = None;
    lab.sim
        .inject(Fault::nth(1, FaultKind::Throttled { retry_after }));
    let child = lab
        .command(&["apply", "--auto-approve"])
        .spawn()
        .expect("the binary starts");
    // All that are out are held, so one more or fewer of them is seen.
    let mut sent = 5;
    let mut open = 4;
    let mut answered = 0;
    while open > 0 {
        lab.await_puts(sent);
        crate::support::wait_until("the answers", || {
            let requests = lab.sim.requests().into_iter();
            let pending = requests.filter(|request| {
                request.method() == "PUT" && request.answered() == Completion::Pending
            });
            pending.count() == open
        });
        assert_eq!(lab.sent().len(), sent, "after {answered} good answers");
        lab.sim.release();
        answered += open;
        open = (2 + answered / 5).min(4).min(jobs - answered);
        sent += open;
    }
    assert_eq!(answered, jobs);
    let run = lab.wait(child).exits(0);
    let notes = run.all().matches("throttled requests").count();
    assert_eq!(notes, 1, "{}", run.all());
}

#[test]
fn what_a_service_takes_in_one_request_is_kept_for_the_run() {
    for (jobs, endpoints, most, floor) in [
        (100, &["source"][..], 4, 25),
        (50, &ENDPOINTS[..], 4, 25),
        (400, &["source"][..], 4, 100),
        (40, &["source"][..], 1, 40),
        (30, &ENDPOINTS[..], 1, 60),
        (400, &["source"][..], 60, 7),
    ] {
        let lab = lab(
            jobs,
            endpoints,
            "apply: { batch_size: 100, parallelism: 1 }",
        );
        lab.sim.inject(Fault::always(FaultKind::TooMany {
            most,
            code: "DRS.M00202".to_owned(),
        }));
        let entries = jobs * endpoints.len();
        lab.apply(&[]).exits(0).says(&format!("{entries} applied"));
        let sent = lab.sent().len();
        assert!(
            sent <= floor + 15,
            "{jobs} jobs, {most} at most: {sent} requests"
        );
    }
}

#[test]
fn a_service_that_takes_one_job_per_request_says_so_once() {
    let lab = lab(20, &ENDPOINTS, "apply: { parallelism: 1 }");
    lab.sim.inject(Fault::always(FaultKind::TooMany {
        most: 2,
        code: "DRS.M00299".to_owned(),
    }));
    lab.apply(&[]).exits(0).says("40 applied");
    assert_eq!(lab.sent().len(), 1 + 20);
}

#[test]
fn a_wait_of_no_seconds_is_no_leave_to_hammer() {
    check_throttled(9, FaultTrigger::Every(3), Some(0));
}

#[track_caller]
fn check_throttled(jobs: usize, on: FaultTrigger, retry_after: Option<u32>) {
    let lab = lab(
        jobs,
        &["source"],
        "apply: { batch_size: 1, parallelism: 4 }",
    );
    let (first, throttled): (usize, fn(usize) -> usize) = match on {
        FaultTrigger::Every(_) => (3, |sent| sent / 3),
        _ => (1, |_| 1),
    };
    // All others wait, so that the limit is halved before any of them is answered.
    for number in (1..=200).filter(|number| *number != first as u64) {
        let hold = FaultKind::Hold { act_first: false };
        lab.sim.inject(Fault::nth(number, hold));
    }
    let kind = FaultKind::Throttled { retry_after };
    lab.sim.inject(Fault::on(on, kind));
    let mut child = lab
        .command(&["apply", "--auto-approve"])
        .spawn()
        .expect("the binary starts");
    lab.await_puts(5);
    let sent = lab.sent();
    assert_eq!(sent[4], sent[first - 1], "nothing but what was throttled");
    assert_eq!(lab.sim.max_in_flight(), 4, "as many as allowed at first");
    lab.sim.release();
    lab.await_puts(7);
    assert!(
        !lab.sim.wait_for_put(8, Duration::from_secs(1)),
        "two are out, and no other goes out"
    );
    while child.try_wait().unwrap().is_none() {
        let requests = lab.sim.requests().into_iter();
        let open = requests.filter(|request| {
            request.method() == "PUT" && request.answered() == Completion::Pending
        });
        let open = open.count();
        assert!(open <= 2, "{open} in flight");
        lab.sim.release();
        std::thread::sleep(Duration::from_millis(2));
    }
    let run = lab
        .wait(child)
        .exits(0)
        .says(&format!("{jobs} applied, 0 refused, 0 skipped, 0 not sent"));
    let sent = lab.sent().len();
    assert_eq!(
        sent,
        jobs + throttled(sent),
        "nothing but what was throttled is repeated"
    );
    let mut waits = 0;
    for note in run.stdout.split("throttled requests; waits: ").skip(1) {
        let (times, rest) = note.split_once(", ").unwrap();
        waits += times.parse::<usize>().unwrap();
        let (seconds, _) = rest.split_once(" s in total").unwrap();
        let seconds: f64 = seconds.parse().unwrap();
        // What was waited for in all, as it was drawn.
        assert!(seconds >= 0.4, "{}", run.stdout);
    }
    assert_eq!(waits, throttled(sent), "{}", run.stdout);
    for number in 0..jobs {
        assert!(lab.sim.holds(&job(number), "source", "canary-wanted"));
    }
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}
