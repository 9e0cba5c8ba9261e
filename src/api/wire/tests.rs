use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::core::job::{EntryKey, JobId};

const JOB: &str = "25df459d-a37c-41b9-bc2b-8c00ba32jb52";

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn assignment(endpoint: Endpoint, password: &str, kerberos: &[(Field, &str)]) -> Assignment {
    Assignment {
        key: EntryKey {
            job: JobId::parse(JOB).unwrap(),
            endpoint,
        },
        label: "orders".to_owned(),
        password: Arc::new(secret(password)),
        credential: None,
        kerberos: kerberos.iter().map(|(f, v)| (*f, secret(v))).collect(),
    }
}

fn answer(body: &str) -> AnswerBody {
    match decode(body.as_bytes()) {
        Decoded::Answer(answer) => answer,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn a_body_is_written_exactly() {
    let entries = [
        assignment(Endpoint::Source, "Zx\"9\\q!/ü\u{7}\n\t", &[]),
        assignment(
            Endpoint::Destination,
            "canary-p",
            &[(Field::UserPrincipal, "u@R"), (Field::Krb5ConfFile, "a\nb")],
        ),
    ];
    let body = encode(&entries.iter().collect::<Vec<_>>());
    let expected = format!(
        concat!(
            r#"{{"jobs":[{{"job_id":"{0}","end_point_type":"so","db_password":"Zx\"9\\q!/ü\u0007\n\t"}},"#,
            r#"{{"job_id":"{0}","end_point_type":"ta","db_password":"canary-p","#,
            r#""kerberos":{{"krb5_conf_file":"a\nb","user_principal":"u@R"}}}}]}}"#
        ),
        JOB
    );
    assert_eq!(body, expected.as_bytes());
}

#[test]
fn every_password_comes_back_from_its_json() {
    let odd: String = (1..0x200).filter_map(char::from_u32).collect();
    let entry = assignment(Endpoint::Source, &odd, &[]);
    let value: Value = serde_json::from_slice(&encode(&[&entry])).unwrap();
    assert_eq!(value["jobs"][0]["db_password"], odd);
    assert!(value["jobs"][0].get("kerberos").is_none());
}

#[test]
fn the_buffer_never_grows() {
    let worst = "\u{1}".repeat(500);
    let fields = Field::KERBEROS.map(|field| (field, worst.as_str()));
    let entries: Vec<Assignment> = Endpoint::ALL
        .map(|endpoint| assignment(endpoint, &worst, &fields))
        .into();
    for count in 0..=2 {
        let entries: Vec<&Assignment> = entries.iter().take(count).collect();
        let body = write_body(&entries);
        assert_eq!(body.capacity(), max_body_bytes(&entries));
        assert!(body.len() > HEAD.len());
    }
}

#[test]
fn results_are_read_whatever_their_types() {
    let answer = answer(
        r#"{"count":"3","request_id":7,"extra":{"a":[1]},"results":[
            {"id":"j1","status":"success","end_point_type":"so","error_code":null},
            {"id":"j1","status":"FAILED","end_point_type":"ta","error_code":"DRS.M00304",
             "error_msg":"wrong state","new":true},
            {"id":12,"status":true,"end_point_type":"ls","error_message":"m"},
            null, "x", ["j1","so","success"], {"status":{"a":1}},
            {"id":"j2","status":"failed","status":"success","end_point_type":"so"}]}"#,
    );
    assert_eq!(answer.count(), Some(3));
    assert_eq!(answer.request_id(), Some("7"));
    assert_eq!(answer.code(), None);
    let rows = answer.results.unwrap();
    let read = |row: &ResultRow| {
        let texts = [row.job(), row.status(), row.code(), row.text()];
        (row.endpoint(), texts.map(|text| text.map(str::to_owned)))
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        rows[..3].iter().map(read).collect::<Vec<_>>(),
        [
            (
                Some(Endpoint::Source),
                [text("j1"), text("success"), None, None]
            ),
            (
                Some(Endpoint::Destination),
                [
                    text("j1"),
                    text("FAILED"),
                    text("DRS.M00304"),
                    text("wrong state")
                ]
            ),
            (None, [text("12"), text("true"), None, text("m")]),
        ]
    );
    // Neither a list read by position nor a status said twice means anything,
    // and a list where a text is expected is no text.
    assert!(rows[3..].iter().all(|row| row.status() != Some("success")));
    assert_eq!(rows.len(), 8);
}

#[test]
fn errors_are_found_in_every_dress() {
    for (body, code, text) in [
        (
            r#"{"error_code":"DRS.M00304","error_msg":"m"}"#,
            Some("DRS.M00304"),
            Some("m"),
        ),
        (
            r#"{"error_code":"DRS.M1","error_message":"m","results":[]}"#,
            Some("DRS.M1"),
            Some("m"),
        ),
        (r#"{"errorCode":"X","errorMsg":"m"}"#, Some("X"), Some("m")),
        (r#"{"code":"X","message":"m"}"#, Some("X"), Some("m")),
        (
            r#"{"error":{"code":401,"message":"m","title":"t"}}"#,
            None,
            Some("m"),
        ),
        (r#"{"a":1,"b":{"c":{"error_code":"X"}}}"#, Some("X"), None),
        (
            r#"{"error_code":"","error_msg":null,"results":null}"#,
            None,
            None,
        ),
        ("{}", None, None),
    ] {
        let answer = answer(body);
        assert_eq!((answer.code(), answer.text()), (code, text), "{body}");
        assert!(answer.results.is_none_or(|rows| rows.is_empty()));
    }
}

#[test]
fn what_is_no_answer_is_told_apart() {
    for body in [
        "",
        "<html>",
        "{",
        "{\"results\":[\u{1}]}",
        &"[".repeat(100_000),
    ] {
        assert!(
            matches!(decode(body.as_bytes()), Decoded::NotJson),
            "{body:.9}"
        );
    }
    for body in ["[]", "7", "null", r#"{"results":[],"results":[]}"#] {
        assert!(
            matches!(decode(body.as_bytes()), Decoded::Strange),
            "{body}"
        );
    }
    assert_eq!(answer("\u{feff}{\"count\":1}").count(), Some(1));
    assert!(matches!(
        decode(br#"{"results":{"id":"j1"}}"#),
        Decoded::Strange
    ));
}

#[test]
fn an_error_beside_the_rows_is_seen_however_it_is_named() {
    let row = r#"{"id":"j1","end_point_type":"so","status":"success"}"#;
    for beside in [
        r#""code":"DRS.M00273""#,
        r#""errorCode":"DRS.M00273""#,
        r#""error":{"error_code":"DRS.M00273"}"#,
    ] {
        let body = format!(r#"{{"results":[{row}],{beside}}}"#);
        assert_eq!(answer(&body).code(), Some("DRS.M00273"), "{body}");
    }
    let cased = format!(r#"{{"results":[{row}],"Error_Code":"DRS.M00273"}}"#);
    assert!(matches!(decode(cased.as_bytes()), Decoded::Strange));
    let nested = r#"{"results":[{"id":"j1","status":"success","error":{"code":"x"}}]}"#;
    assert!(answer(nested).results.unwrap()[0].code().is_some());
}
