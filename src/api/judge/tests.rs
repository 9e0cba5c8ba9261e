use std::sync::Arc;

use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};

use super::*;
use crate::core::job::{Endpoint, EntryKey, JobId};
use crate::core::outcome::{Outcome, match_results};
use crate::core::secret::Secret;

const SECRET: &str = "canary-Zx\"9\\q!fern";

fn entry(job: &str, endpoint: Endpoint) -> Assignment {
    Assignment {
        key: EntryKey {
            job: JobId::parse(job).unwrap(),
            endpoint,
        },
        label: String::new(),
        password: Arc::new(Secret::new(SECRET.to_owned())),
        credential: None,
        kerberos: Vec::new(),
    }
}

fn json(status: u16, body: &str) -> Received {
    Received {
        status,
        headers: HeaderMap::new(),
        body: Body::Read(body.as_bytes().to_vec()),
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap()
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn judge(received: Received) -> (Judgement, Vec<String>) {
    let entries = [
        entry("j1", Endpoint::Source),
        entry("j1", Endpoint::Destination),
    ];
    let sent: Vec<&Assignment> = entries.iter().collect();
    let url = Url::parse("https://drs.example.test/v3/p/jobs/batch-modify-pwd").unwrap();
    let token = Secret::new("canary-login-token-1".to_owned());
    let login = LoginSecrets {
        generation: 0,
        secrets: vec![Arc::new(token)],
    };
    let mut notes = Vec::new();
    let step = Judge::new(Some(&sent), &login, &url, now(), None).judge(received, &mut notes);
    (step, notes)
}

fn reply(received: Received) -> BatchReply {
    match judge(received).0 {
        Judgement::Settled(reply) => reply,
        Judgement::Failed(FailureKind::Login(refusal)) => BatchReply::LoginRefused(refusal),
        other => panic!("{other:?}"),
    }
}

fn error(code: &str) -> String {
    format!(
        r#"{{"error_code":"{code}","error_msg":"said so","request_id":"0123456789abcdef0123456789abcdef"}}"#
    )
}

#[test]
fn results_are_read_entry_by_entry_in_2xx_and_400() {
    let body = r#"{"count":2,"results":[
        {"id":"j1","end_point_type":"ta","status":"Failed","error_code":"DRS-M00304","error_msg":"wrong task state"},
        {"id":"j1","end_point_type":"so","status":"success"}]}"#;
    for status in [200, 201, 202, 400, 422] {
        let reply = reply(json(status, body));
        let BatchReply::PerEntry {
            results, announced, ..
        } = &reply
        else {
            panic!("{status}: {reply:?}");
        };
        assert_eq!(*announced, Some(2));
        let ResultVerdict::Failed(refusal) = &results[0].verdict else {
            panic!("{results:?}");
        };
        assert_eq!(refusal.code.as_str(), "DRS.M00304");
        assert_eq!(refusal.kind, RefusalKind::JobState);
        assert_eq!(refusal.text.as_ref().unwrap().as_str(), "wrong task state");
        assert!(refusal.advice.is_some());
        assert_eq!(results[1].verdict, ResultVerdict::Success);
    }
}

#[test]
fn only_a_plain_success_is_one() {
    let verdict = |row: &str, top: &str| {
        let body = format!(r#"{{"results":[{{"id":"j1","end_point_type":"so",{row}}}]{top}}}"#);
        match reply(json(200, &body)) {
            BatchReply::PerEntry { mut results, .. } => results.remove(0).verdict,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(verdict(r#""status":"success""#, ""), ResultVerdict::Success);
    assert_eq!(
        verdict(r#""status":"SUCCESS","error_code":"""#, ""),
        ResultVerdict::Success
    );
    for (row, said) in [
        (
            r#""status":"success","error_code":"DRS.M00304""#,
            "success DRS.M00304",
        ),
        (r#""status":"succeeded""#, "succeeded"),
        (r#""status":" success""#, "success"),
        (r#""status":true"#, "true"),
        (r#""x":1"#, ""),
        (r#""status":null"#, ""),
    ] {
        assert_eq!(
            verdict(row, ""),
            ResultVerdict::Odd(ForeignText::clean(said))
        );
    }
    let top = r#","error_code":"DRS.M01504""#;
    let odd = ResultVerdict::Odd(ForeignText::clean("success"));
    assert_eq!(verdict(r#""status":"success""#, top), odd);
    let ResultVerdict::Failed(refusal) = verdict(r#""status":"failed""#, "") else {
        panic!("not failed");
    };
    assert_eq!(refusal.code.as_str(), "NO-CODE");
    let busy = verdict(r#""status":"failed","error_code":"DRS.M01504""#, "");
    assert!(matches!(
        busy,
        ResultVerdict::Failed(Refusal {
            kind: RefusalKind::Busy,
            is_one_job_only: false,
            ..
        })
    ));
}

#[test]
fn throttled_and_busy_requests_may_be_sent_again() {
    for received in [
        json(429, ""),
        json(429, "<html>slow down</html>"),
        json(400, &error("DRS.M01503")),
        json(202, &error("DRS.M01504")),
        json(503, &error("DRS.M01504")),
        json(200, &error("DRS-M01504")),
        json(403, &error("APIGW.0308")),
        json(400, &error("IAM.0012")),
    ] {
        let shown = format!("{received:?}");
        let (step, _) = judge(received);
        let Judgement::Again(refusal) = step else {
            panic!("{shown}: {step:?}");
        };
        assert_eq!(refusal.kind, RefusalKind::Busy);
    }
}

#[test]
fn a_refused_caller_is_told_from_a_refused_request() {
    for (status, code) in [
        (403, "DRS.M00100"),
        (401, "DRS.M00103"),
        (403, "DRS.M00102"),
        (404, "DRS.M00101"),
        (400, "DRS.M00105"),
        (401, "APIG.0301"),
        (200, "DRS.M00102"),
        (401, "UNKNOWN.111"),
    ] {
        let reply = reply(json(status, &error(code)));
        let refusal = reply.login_refusal().unwrap_or_else(|| panic!("{reply:?}"));
        assert_eq!(refusal.code.as_str(), code);
        assert_eq!(
            refusal.request_id.as_ref().unwrap().as_str(),
            "0123456789abcdef0123456789abcdef"
        );
    }
    for body in ["", "<html>no</html>", "[]"] {
        let reply = reply(json(403, body));
        assert_eq!(reply.login_refusal().unwrap().code.as_str(), "HTTP-403");
    }
    let body = Body::Cut;
    let cut = Received {
        body,
        ..json(401, "")
    };
    assert!(reply(cut).login_refusal().is_some());
}

#[test]
fn a_refused_request_may_be_split_unless_that_cannot_help() {
    for (status, code, split, kind) in [
        (400, "DRS.M00201", true, RefusalKind::Rejected),
        (400, "DRS.M00304", true, RefusalKind::JobState),
        (400, "DRS.M05003", true, RefusalKind::Rejected),
        (400, "DRS.M77777", true, RefusalKind::Rejected),
        (413, "APIG.0201", true, RefusalKind::Rejected),
        (200, "DRS.M00304", true, RefusalKind::JobState),
        (400, "DRS.KE0002", false, RefusalKind::WrongPassword),
        (404, "APIGW.0101", false, RefusalKind::Rejected),
        (415, "APIGW.0999", false, RefusalKind::Rejected),
    ] {
        let reply = reply(json(status, &error(code)));
        assert_eq!(reply.may_be_split(), split, "{code}");
        let (BatchReply::Refused(refusal) | BatchReply::TurnedAway(refusal)) = &reply else {
            panic!("{reply:?}");
        };
        assert_eq!((refusal.kind, refusal.code.as_str()), (kind, code));
    }
    assert_eq!(
        reply(json(400, "{}")),
        BatchReply::Refused(Refusal {
            kind: RefusalKind::Rejected,
            is_one_job_only: false,
            code: ReportedName::from_static("HTTP-400"),
            request_id: None,
            text: None,
            advice: None,
            entries: 1,
        })
    );
}

#[test]
fn what_cannot_be_read_is_in_doubt() {
    for (status, body, doubt) in [
        (200, "", Doubt::Unreadable),
        (200, "{}", Doubt::Unreadable),
        (200, "[]", Doubt::Unreadable),
        (200, "<html>welcome</html>", Doubt::Unreadable),
        (204, "", Doubt::Unreadable),
        (200, r#"{"error_code":"DRS.M77777"}"#, Doubt::Unreadable),
        (
            200,
            r#"{"results":[],"error_code":"APIGW.0999"}"#,
            Doubt::Unreadable,
        ),
        (200, r#"{"results":[],"results":[]}"#, Doubt::Unreadable),
        (500, r#"{"error_code":"DRS.M00004"}"#, Doubt::ServerError),
        (422, r#"{"error_code":"DRS.M01501"}"#, Doubt::ServerError),
        (502, "<html>bad gateway</html>", Doubt::ServerError),
        (524, "", Doubt::ServerError),
        (408, "{}", Doubt::AnswerLost),
        (
            503,
            r#"{"results":[{"id":"j1","end_point_type":"so","status":"success"}]}"#,
            Doubt::ServerError,
        ),
    ] {
        let (step, notes) = judge(json(status, body));
        assert!(
            matches!(step, Judgement::Settled(BatchReply::Lost(d)) | Judgement::Lost(d) if d == doubt),
            "{status} {body}"
        );
        assert_eq!(notes.len(), 1, "{status} {body}");
    }
}

#[test]
fn an_empty_list_leaves_every_entry_without_result() {
    let reply = reply(json(200, r#"{"results":[],"count":2}"#));
    let keys = [entry("j1", Endpoint::Source).key];
    assert_eq!(
        match_results(&keys, &reply).outcomes,
        [Outcome::InDoubt(Doubt::NoResult)]
    );
}

#[test]
fn a_body_that_was_not_read_is_judged_by_status_where_that_is_enough() {
    for body in [|| Body::TooLong, || Body::Coded("gzip".to_owned())] {
        let at = |status| Received {
            body: body(),
            ..json(status, "")
        };
        for status in [200, 202, 400, 422] {
            assert_eq!(reply(at(status)), BatchReply::Lost(Doubt::Unreadable));
        }
        assert!(reply(at(401)).login_refusal().is_some());
        assert_eq!(reply(at(500)), BatchReply::Lost(Doubt::ServerError));
        assert!(matches!(reply(at(307)), BatchReply::TurnedAway(_)));
        assert!(matches!(judge(at(429)).0, Judgement::Again(_)));
    }
    for (status, lost) in [(200, true), (400, true), (429, false), (500, false)] {
        let cut = Received {
            body: Body::Cut,
            ..json(status, "")
        };
        assert_eq!(matches!(judge(cut).0, Judgement::Lost(_)), lost, "{status}");
    }
    let (_, notes) = judge(Received {
        body: Body::Coded("gzip".to_owned()),
        ..json(200, "")
    });
    assert!(notes[0].ends_with("its content coding \"gzip\" is not supported"));
}

#[test]
fn a_redirect_is_a_refusal_that_names_the_host_only() {
    for (location, said) in [
        (
            Some("https://evil.example/x?token=1"),
            " to \"evil.example\"",
        ),
        (Some("/other/path?q=2"), " to \"drs.example.test\""),
        (
            Some("https://canary-login-token-1.example/"),
            " to (text withheld, it may repeat a secret that was sent)",
        ),
        (None, ""),
    ] {
        let mut received = json(307, "moved");
        if let Some(location) = location {
            received.headers.insert(LOCATION, value(location));
        }
        let (step, notes) = judge(received);
        let Judgement::Settled(BatchReply::TurnedAway(refusal)) = step else {
            panic!("{step:?}");
        };
        assert_eq!(refusal.code.as_str(), "HTTP-307");
        let expected = format!("answer 307 is a redirect{said} and was not followed");
        assert_eq!(notes[0], expected);
    }
}

#[test]
fn a_page_is_shown_as_one_clean_line() {
    let page = format!(
        "<!DOCTYPE html><html><head><style>b{{}}</style><title>\n524: A <b>timeout</b></title></head>{}",
        "<p>x</p>".repeat(5000)
    );
    let mut received = json(524, &page);
    received.headers.insert(CONTENT_TYPE, value("text/html"));
    assert_eq!(
        judge(received).1[0],
        "answer 524 from drs.example.test is not in the service's format, content type \"text/html\": \"524: A\""
    );
    for (page, line) in [
        (
            "<html><script>a<b</script><!-- c --><body> <h1>Bad <i>gate</i></h1>",
            "Bad",
        ),
        ("plain\ttext\nmore", "plain\\ttext"),
        ("<<<>>>", ""),
        ("<title", ""),
    ] {
        let note = judge(json(502, page)).1.remove(0);
        let expected = match line {
            "" => String::new(),
            line => format!(": \"{line}\""),
        };
        let format = "answer 502 from drs.example.test is not in the service's format";
        assert_eq!(note, format!("{format}{expected}"));
    }
}

#[test]
fn a_secret_in_an_answer_is_withheld_everywhere() {
    let echoed = serde_json::to_string(SECRET).unwrap();
    let quoted = serde_json::to_string(&format!("bad value {echoed}")).unwrap();
    let texts = [
        format!(
            r#"{{"error_code":"DRS.M00201","error_msg":{quoted},"request_id":"canary-login-token-1"}}"#
        ),
        format!(
            r#"{{"results":[{{"id":"canary-login-token-1","end_point_type":"so","status":"failed","error_msg":{quoted}}},
            {{"id":"j1","end_point_type":"ta","status":"failed","error_code":"canary-login-token-1","error_msg":{quoted}}}]}}"#
        ),
        format!("<title>bad value {SECRET}</title>"),
    ];
    for text in texts {
        for status in [200, 400, 401, 500] {
            let (step, notes) = judge(json(status, &text));
            let debug = format!("{step:?} {notes:?} {}", notes.concat());
            for needle in ["fern", "canary-login-token-1", "9\\q"] {
                assert!(!debug.contains(needle), "{status}: {debug}");
            }
        }
    }
}

#[test]
fn waits_are_read_in_both_forms() {
    let wait = |retry_after: &str, date: Option<&str>| {
        let mut received = json(429, "");
        received.headers.insert(RETRY_AFTER, value(retry_after));
        if let Some(date) = date {
            received.headers.insert(DATE, value(date));
        }
        received.wait_asked(now()).map(|wait| wait.as_secs())
    };
    assert_eq!(wait("2", None), Some(2));
    assert_eq!(wait(" 0 ", None), Some(0));
    assert_eq!(wait("99999999999999999999999", None), Some(u64::MAX));
    assert_eq!(wait("Fri, 02 Jan 2026 03:04:35 GMT", None), Some(30));
    let server = Some("Fri, 02 Jan 2026 03:04:30 GMT");
    assert_eq!(wait("Fri, 02 Jan 2026 03:04:35 GMT", server), Some(5));
    for none in ["", "-1", "soon", "1.5", "Fri, 02 Jan 2026 03:04:00 GMT"] {
        assert_eq!(wait(none, None), None, "{none}");
    }
}

#[test]
fn a_clock_that_is_off_by_minutes_is_named() {
    let said = |date: &str| {
        let mut received = json(200, "");
        received.headers.insert(DATE, value(date));
        received.clock_off(now()).unwrap_or_default()
    };
    assert_eq!(
        said("Fri, 02 Jan 2026 03:20:05 GMT"),
        "the clock of this machine says 2026-01-02T03:04:05Z, the service's 2026-01-02T03:20:05Z: they differ by 16 minutes; check the clock of this machine"
    );
    assert_eq!(said("Fri, 02 Jan 2026 03:04:09 GMT"), "");
}
