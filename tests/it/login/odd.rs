//! Answers to a login that are none, or come late.

use drspass::sim::{CannedAnswer, Fault, FaultKind};

use super::*;

/// A login that is answered like this; `--no-preflight` asks nothing else before.
#[track_caller]
fn refused(kind: FaultKind, settings: &str, attempts: usize, says: &str) -> Run {
    let lab = lab();
    lab.configure(settings);
    lab.sim.inject_login(Fault::always(kind));
    let told = apply(&lab, &["--no-preflight"], &by_name())
        .exits(1)
        .says(says);
    assert_eq!(lab.sim.login_attempts(), attempts, "{}", told.all());
    assert_eq!(lab.sim.requests().len(), attempts);
    assert_untouched(&lab, None);
    told
}

fn answer(http: u16, body: &str) -> FaultKind {
    FaultKind::Status(CannedAnswer {
        http,
        body: Some(body.to_owned()),
        ..CannedAnswer::default()
    })
}

#[test]
fn an_answer_without_a_token_is_no_login() {
    refused(
        answer(201, r#"{"token":{}}"#),
        "",
        1,
        "the answer has no token",
    );
    refused(answer(201, ""), "", 1, "is not in the service's format");
    refused(answer(200, "[]"), "", 1, "has no usable content");
}

#[test]
fn a_page_in_place_of_a_login_is_told_as_one() {
    for http in [200, 403, 404, 502] {
        let kind = FaultKind::Html {
            http,
            act_first: false,
        };
        refused(kind, "", 1, "is not in the service's format");
    }
}

#[test]
fn a_token_that_no_header_can_carry_is_none() {
    for token in ["canary token", "", "t\u{f6}ken"] {
        let mut headers = std::collections::BTreeMap::new();
        headers.insert("X-Subject-Token".to_owned(), token.to_owned());
        let kind = FaultKind::Status(CannedAnswer {
            http: 201,
            body: Some(r#"{"token":{}}"#.to_owned()),
            headers,
            ..CannedAnswer::default()
        });
        let told = refused(kind, "", 1, "the answer has no token");
        assert!(!told.all().contains("canary token"));
    }
}

#[test]
fn a_token_for_no_project_or_an_unreadable_one_is_refused() {
    for project in ["null", r#"{"id":"../x"}"#, r#"{"id":7}"#] {
        let mut headers = std::collections::BTreeMap::new();
        headers.insert("X-Subject-Token".to_owned(), "canary-odd-token".to_owned());
        let kind = FaultKind::Status(CannedAnswer {
            http: 201,
            body: Some(format!(r#"{{"token":{{"project":{project}}}}}"#)),
            headers,
            ..CannedAnswer::default()
        });
        let told = refused(kind, "", 1, "the login is for no project");
        assert!(!told.all().contains("canary-odd-token"));
    }
}

#[test]
fn an_answer_that_is_too_large_or_packed_is_not_read() {
    let huge = FaultKind::Huge {
        bytes: 9 * 1024 * 1024,
    };
    refused(huge, "", 1, "over 8 MiB");
    refused(
        FaultKind::Gzip,
        "",
        1,
        "its content coding \"gzip\" is not supported",
    );
}

#[test]
fn a_login_whose_answer_is_lost_is_never_sent_again() {
    for kind in [
        FaultKind::Truncated,
        FaultKind::CloseBefore,
        FaultKind::CloseAfter,
    ] {
        refused(kind, "", 1, "the connection broke");
    }
    refused(
        FaultKind::Silent,
        "apply: { request_timeout: 1s }",
        1,
        "timed out",
    );
    for http in [408, 502, 503, 504] {
        refused(answer(http, "{}"), "", 1, &format!("HTTP {http}"));
        let act_first = true;
        let page = FaultKind::Html { http, act_first };
        refused(page, "", 1, &http.to_string());
    }
}

#[test]
fn a_login_that_is_throttled_is_waited_for() {
    let throttled = || FaultKind::Throttled {
        retry_after: Some(1),
    };
    let limited = || {
        FaultKind::Status(CannedAnswer {
            http: 429,
            body: Some(
                r#"{"error":{"code":"IAM.0012","message":"5 times per 1 second"}}"#.to_owned(),
            ),
            ..CannedAnswer::default()
        })
    };
    for kind in [throttled(), limited()] {
        let lab = lab();
        lab.sim.inject_login(Fault::next(kind));
        apply(&lab, &[], &by_name()).exits(0);
        assert_eq!((lab.sim.login_attempts(), lab.sim.logins()), (2, 1));
    }
    // A wait that is longer than there is time for is not begun.
    refused(
        FaultKind::Throttled {
            retry_after: Some(3600),
        },
        "apply: { retry: { max_elapsed: 2s } }",
        1,
        "the service asked to wait 3600 s, more than is left",
    );
}
