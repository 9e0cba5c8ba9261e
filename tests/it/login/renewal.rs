//! The life of a token within a run: renewed before its end, once when it is
//! refused, by one login for all who wait, and never against a clear no.

use std::time::Duration;

use drspass::sim::{CannedAnswer, Completion, Fault, FaultKind};

use super::*;
use crate::support::{TOKEN, wait_until};

fn token_refused(http: u16, code: Option<&str>) -> FaultKind {
    FaultKind::TokenExpired {
        http,
        code: code.map(str::to_owned),
    }
}

fn said(http: u16, code: &str) -> FaultKind {
    FaultKind::Status(CannedAnswer {
        http,
        code: code.to_owned(),
        message: "as the test wants".to_owned(),
        ..CannedAnswer::default()
    })
}

/// The token and the body of each password request.
fn puts(lab: &Lab) -> Vec<(String, Vec<u8>)> {
    let requests = lab.sim.requests();
    let puts = requests.iter().filter(|request| request.method() == "PUT");
    puts.map(|request| {
        let token = request.header("X-Auth-Token").unwrap_or_default();
        (token.to_owned(), request.body().unwrap().to_vec())
    })
    .collect()
}

#[test]
fn a_refused_token_is_replaced_once_and_the_same_batch_sent_once_more() {
    for kind in [
        token_refused(403, None),
        token_refused(401, None),
        token_refused(401, Some("APIGW.0307")),
        token_refused(401, Some("APIG.0301")),
        token_refused(401, Some("IAM.0067")),
    ] {
        let lab = lab();
        lab.sim.inject(Fault::next(kind));
        apply(&lab, &[], &by_name())
            .exits(0)
            .says("the token was refused; a new one was fetched");
        assert!(lab.sim.holds(J1, "source", "canary-1"));
        assert_eq!(lab.sim.login_attempts(), 2);
        let [first, second] = puts(&lab).try_into().unwrap();
        assert_eq!(first.1, second.1);
        assert_ne!(first.0, second.0);
    }
}

#[test]
fn a_token_that_is_refused_twice_ends_the_run_and_records_nothing() {
    let lab = lab();
    lab.sim.inject(Fault::always(token_refused(403, None)));
    apply(&lab, &[], &by_name())
        .exits(1)
        .says("DRS.M00100")
        .says("0 applied, 0 refused, 0 skipped, 1 not sent, 0 unknown");
    assert_eq!((lab.sim.login_attempts(), lab.sent().len()), (2, 2));
    let entry = lab.entry(J1, "source");
    assert!(entry["applied"].is_null() && entry["pending"].is_null());
}

#[test]
fn lacking_rights_that_come_as_401_bring_no_new_token() {
    let lab = lab();
    lab.sim.inject(Fault::next(said(401, "DRS.M00103")));
    apply(&lab, &[], &by_name())
        .exits(1)
        .says("DRS.M00103")
        .says("The permission to change jobs is missing");
    assert_eq!((lab.sim.login_attempts(), lab.sent().len()), (1, 1));
    let entry = lab.entry(J1, "source");
    assert!(entry["applied"].is_null() && entry["pending"].is_null());
}

#[test]
fn a_query_with_a_refused_token_is_asked_once_more_with_a_new_one() {
    let lab = lab();
    assert!(
        lab.sim
            .inject_query(Some("list"), Fault::next(token_refused(401, None)))
    );
    apply(&lab, &[], &by_name()).exits(0);
    assert_eq!((lab.sim.login_attempts(), lab.sent().len()), (2, 1));
}

#[test]
fn a_given_token_that_dies_between_two_batches_leaves_the_first_recorded() {
    let mut lab = lab();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[
        (J1, "source", "canary-1"),
        (J2, "source", "canary-2"),
        (J3, "source", "canary-3"),
    ]);
    lab.sim
        .inject(Fault::nth(2, FaultKind::Hold { act_first: true }));
    lab.sim.inject(Fault::nth(2, token_refused(401, None)));
    let given = vars(&[("OS_TOKEN", TOKEN)]);
    let child = command(&lab, &["apply", "--auto-approve"], &given)
        .spawn()
        .unwrap();
    lab.await_puts(2);
    // Whatever happens from here on, the first answer is on disk.
    wait_until("the journal", || {
        fs::read_to_string(lab.path("drspass.state.json.journal"))
            .is_ok_and(|journal| journal.contains(&format!("{J1}/source")))
    });
    lab.sim.release();
    lab.wait(child)
        .exits(3)
        .says("1 applied, 0 refused, 0 skipped, 2 not sent, 0 unknown")
        .says("the login was refused");
    assert_eq!(lab.sent().len(), 2);
    assert!(!lab.entry(J1, "source")["applied"].is_null());
    assert!(lab.entry(J2, "source")["pending"].is_null());

    apply(&lab, &[], &given).exits(0);
    let later: Vec<_> = lab.sent().into_iter().skip(2).flatten().collect();
    assert_eq!(
        later,
        [J2, J3].map(|job| (job.to_owned(), "source".to_owned()))
    );
}

/// Asserts that no password request was refused.
#[track_caller]
fn assert_all_taken(lab: &Lab, puts: usize) {
    assert_eq!(lab.sent().len(), puts);
    for request in lab.sim.requests() {
        let is_put = request.method() == "PUT";
        assert!(!is_put || request.answered() == Completion::Status(200));
    }
}

#[test]
fn a_run_that_outlives_its_token_renews_it_before_its_end() {
    let lab = lab_of_many(
        4,
        1,
        SimConfig {
            token_life: Duration::from_secs(5),
            ..config()
        },
    );
    // An answer comes when the token has ended, and the next request has a new one.
    lab.sim
        .inject(Fault::nth(2, FaultKind::Slow { millis: 5_000 }));
    apply(&lab, &[], &by_name()).exits(0);
    assert_eq!(lab.sim.logins(), 2);
    assert_all_taken(&lab, 4);
}

/// The second login is answered like this, while the first token is good for a while.
#[track_caller]
fn serves_on(kind: FaultKind) {
    let lab = lab_of_many(
        4,
        1,
        SimConfig {
            token_life: Duration::from_secs(24),
            ..config()
        },
    );
    // A tenth of its life before its end another token is asked for, and once more
    // when it has ended. In between there is time for a slow machine.
    lab.sim
        .inject(Fault::nth(2, FaultKind::Slow { millis: 21_700 }));
    lab.sim
        .inject(Fault::nth(3, FaultKind::Slow { millis: 2_400 }));
    lab.sim.inject_login(Fault::nth(2, kind));
    apply(&lab, &[], &by_name()).exits(0);
    assert_eq!((lab.sim.login_attempts(), lab.sim.logins()), (3, 2));
    assert_all_taken(&lab, 4);
}

#[test]
fn a_token_serves_on_while_the_identity_service_fails() {
    let kinds = [
        said(503, "APIGW.0201"),
        said(500, "IAM.9999"),
        // Longer than a run waits.
        FaultKind::Throttled {
            retry_after: Some(3600),
        },
        FaultKind::Html {
            http: 502,
            act_first: false,
        },
    ];
    std::thread::scope(|scope| {
        for kind in kinds {
            scope.spawn(|| serves_on(kind));
        }
    });
}

#[test]
fn ten_requests_with_an_expired_token_bring_one_login() {
    let lab = lab_of_many(10, 10, config());
    let expired = Fault::always(token_refused(401, None)).times(10);
    lab.sim.inject(expired);
    let run = apply(&lab, &[], &by_name()).exits(0);
    let note = "the token was refused; a new one was fetched";
    assert_eq!(run.all().matches(note).count(), 1, "{}", run.all());
    let refused = lab.sim.requests();
    let refused = refused
        .iter()
        .filter(|request| request.answered() == Completion::Status(401));
    assert_eq!(refused.count(), 10);
    assert_eq!(lab.sim.login_attempts(), 2);
    assert_eq!(lab.sent().len(), 20);
}

#[test]
fn a_renewal_that_is_refused_in_mid_run_is_tried_once() {
    for parallelism in [1, 4] {
        let lab = lab_of_many(12, parallelism, config());
        for number in 2..=12 {
            lab.sim.inject(Fault::nth(number, token_refused(401, None)));
        }
        lab.sim.inject_login(Fault::nth(2, said(401, "IAM.0062")));
        apply(&lab, &[], &by_name())
            .exits(3)
            .says("IAM.0062")
            .says("1 applied, 0 refused, 0 skipped, 11 not sent, 0 unknown");
        assert_eq!(lab.sim.login_attempts(), 2);
        assert!(lab.sent().len() <= 1 + parallelism);
    }
}
