//! Results that do not fit what was sent, one for one.

use drspass::sim::{CannedAnswer, EndPointType, Fault, FaultKind, Which};

use super::{apply_with, converges, lab, marks};
use crate::looped::refuse;
use crate::support::{J1, J2, J9, Lab};

#[test]
fn a_failed_entry_inside_200_is_no_success() {
    let lab = lab();
    lab.sim
        .inject(refuse(J1, EndPointType::Destination, "DRS.M00304"));
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
            endpoint: EndPointType::Destination,
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
        FaultKind::DropResults(Which::entry(J2, EndPointType::Source)),
    )
    .exits(4)
    .says("the answer contains no result for it")
    .says(&format!("no result was returned for {J2}/source"))
    .says("the answer announces 3 results and contains 2")
    .says("Result: 2 applied, 0 refused, 0 skipped, 0 not sent, 1 unknown; 3 in all.");
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
        let which = Which::entry(J1, EndPointType::Source);
        apply_with(&lab, FaultKind::DoubleResults { conflicting, which })
            .exits(4)
            .says("the answer contains several results for it");
        assert_eq!(marks(&lab), "?==");
        converges(&lab);
    }
}

#[test]
fn an_odd_status_or_a_success_with_an_error_code_is_in_doubt() {
    let which = || Which::entry(J1, EndPointType::Source);
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
        FaultKind::Status(CannedAnswer {
            http: 400,
            body: Some(body),
            ..CannedAnswer::default()
        }),
    )
    .exits(3)
    .says("1 applied, 2 refused, 0 skipped, 0 not sent, 0 unknown; 3 in all.")
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
fn a_known_code_is_shown_and_recorded_whatever_the_passwords_are() {
    for password in ["q", "0", "M003", "DRS.M00304"] {
        let lab = Lab::new();
        lab.manifest(&format!(
            "  {J1}: {{ source: {{ password: '{password}' }} }}\n"
        ))
        .exits(0);
        lab.sim
            .inject(refuse(J1, EndPointType::Source, "DRS-M00304"));
        lab.apply(&[]).exits(1).says("refused: DRS.M00304");
        let last = &lab.entry(J1, "source")["last_outcome"];
        assert_eq!(last["code"], "DRS.M00304", "{password}");
        assert!(lab.plan().contains("last attempt refused: DRS.M00304"));
        // Of the service's words, only short passwords are not withheld.
        lab.sim.inject(Fault::next(FaultKind::EchoPassword {
            form: drspass::sim::EchoForm::Plain,
            which: Which::default(),
        }));
        let run = lab.apply(&[]).exits(1);
        let is_withheld = run.stdout.contains("text withheld");
        assert_eq!(is_withheld, password.len() >= 4, "{}", run.stdout);
    }
}

#[test]
fn odd_codes_and_ids_are_shown_as_foreign_text_and_not_recorded() {
    let lab = lab();
    let row = |job: &str, end: &str, rest: &str| {
        format!("{{\"id\":\"{job}\",\"end_point_type\":\"{end}\",{rest}}}")
    };
    let rows = [
        row(
            J1,
            "so",
            r#""status":"failed","error_code":"::error::Quota\nexceeded""#,
        ),
        row(
            J1,
            "ta",
            r#""status":"failed","error_code":"canary-1-is-wrong""#,
        ),
        row(
            J2,
            "so",
            r#""status":"failed","error_code":"Quota.Exceeded""#,
        ),
        row("no such/id", "so", r#""status":"success""#),
    ];
    let body = format!("{{\"results\":[{}]}}", rows.join(","));
    lab.sim.inject(Fault::nth(
        1,
        FaultKind::Status(CannedAnswer {
            http: 200,
            body: Some(body.clone()),
            headers: [("X-Request-Id".to_owned(), "req 7 of eu-de".to_owned())].into(),
            ..CannedAnswer::default()
        }),
    ));
    let run = lab
        .apply(&[])
        .exits(1)
        .says(r#"refused: ":\u{3a}error:\u{3a}Quota\nexceeded""#)
        .says(r#"refused: "Quota.Exceeded""#)
        .says("refused: (text withheld, it may repeat a secret that was sent)")
        .says(r#"request "req 7 of eu-de""#)
        .says(r#"the answer has a result for an entry that was not sent: "no such/id"/source"#);
    assert!(!run.stdout.contains("canary"), "{}", run.stdout);
    for (job, endpoint) in super::ENTRIES {
        let last = &lab.entry(job, endpoint)["last_outcome"];
        assert_eq!(last["code"], "UNKNOWN-CODE");
        assert!(last["request_id"].is_null());
    }
    lab.sim.inject(Fault::next(FaultKind::Status(CannedAnswer {
        http: 200,
        body: Some(body),
        ..CannedAnswer::default()
    })));
    let said = crate::outputs::messages(&lab.apply(&["--json"]).exits(1));
    let entry = crate::outputs::about(&said, &format!("{J2}/source"));
    assert_eq!(entry["code"], "Quota.Exceeded");
    converges(&lab);
}

#[test]
fn a_status_that_is_neither_success_nor_failure_is_shown() {
    for (status, said) in [
        (r#","status":"pending""#, "it says \"pending\""),
        (
            r#","status":"::error::x\n""#,
            r#"it says ":\u{3a}error:\u{3a}x""#,
        ),
        (r#","status":"canary-1""#, "it says (text withheld"),
        (
            r#","status":"success","error_code":"DRS.M01504""#,
            "it says \"success DRS.M01504\"",
        ),
        (r#","status":null"#, "no status was read"),
        ("", "no status was read"),
    ] {
        let lab = lab();
        let body =
            format!("{{\"results\":[{{\"id\":\"{J1}\",\"end_point_type\":\"so\"{status}}}]}}");
        let answer = CannedAnswer {
            http: 200,
            body: Some(body),
            ..CannedAnswer::default()
        };
        apply_with(&lab, FaultKind::Status(answer))
            .exits(4)
            .says(&format!(
                "the result for {J1}/source is neither a success nor a failure: {said}"
            ));
        assert_eq!(marks(&lab), "???");
    }
}
