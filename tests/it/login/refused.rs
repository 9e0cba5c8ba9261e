//! Refused logins: tried once in a whole run, told with all that was used, and
//! nothing else asked.

use drspass::sim::{CannedAnswer, Completion, Fault, FaultKind};

use super::*;

/// Commands that log in.
const COMMANDS: [&[&str]; 5] = [
    &["whoami"],
    &["jobs"],
    &["plan", "--preflight"],
    &["apply", "--auto-approve"],
    &["apply", "--auto-approve", "--no-preflight"],
];

fn wrong_password() -> Vars {
    vars(&[
        ("OS_USERNAME", USER),
        ("OS_PASSWORD", "canary-wrong-password"),
        ("OS_USER_DOMAIN_NAME", DOMAIN),
    ])
}

fn wrong_key() -> Vars {
    vars(&[
        ("OS_ACCESS_KEY", ACCESS),
        ("OS_SECRET_KEY", "canary-wrong-secret"),
    ])
}

/// The lab plants what is wrong, too.
fn lab_of_mistakes() -> Lab {
    let mut lab = lab();
    lab.plant(&["canary-wrong-password", "canary-wrong-secret"]);
    lab
}

#[test]
fn a_wrong_password_is_tried_once_and_nothing_else_is_asked() {
    for args in COMMANDS {
        let lab = lab_of_mistakes();
        run(&lab, args, &wrong_password())
            .exits(1)
            .says("IAM.0062")
            .says("The user name or password of the login is wrong");
        assert_eq!(lab.sim.login_attempts(), 1, "{args:?}");
        assert_eq!(lab.sim.requests().len(), 1, "{args:?}");
        assert_untouched(&lab, None);
    }
}

#[test]
fn a_locked_account_is_told_as_one() {
    let lab = lab_of_mistakes();
    for _ in 0..5 {
        apply(&lab, &[], &wrong_password()).exits(1);
    }
    apply(&lab, &[], &by_name())
        .exits(1)
        .says("IAM.0061")
        .says("The account is locked after failed logins");
    assert_eq!(lab.sim.login_attempts(), 6);
    assert_untouched(&lab, None);
}

#[test]
fn a_missing_or_wrong_passcode_is_tried_once() {
    let mfa = vars(&[("OS_USER_ID", MFA_USER_ID), ("OS_PASSWORD", PASSWORD)]);
    let wrong = vars(&[("OS_PASSCODE", "canary-wrong-code")]);
    for more in [Vars::new(), wrong] {
        let lab = lab();
        let told = apply(&lab, &[], &[mfa.clone(), more].concat()).exits(1);
        assert!(!told.all().contains("canary-wrong-code"));
        assert_eq!(lab.sim.requests().len(), 1);
        assert_untouched(&lab, None);
    }
}

#[test]
fn a_login_that_is_not_allowed_names_everything_that_was_used() {
    let lab = lab();
    let body =
        r#"{"error":{"code":"IAM.0002","message":"You are not authorized","title":"Forbidden"}}"#;
    lab.sim
        .inject_login(Fault::next(FaultKind::Status(CannedAnswer {
            http: 403,
            body: Some(body.to_owned()),
            ..CannedAnswer::default()
        })));
    let told = apply(&lab, &[], &by_name()).exits(1);
    let host = lab.sim.url().replace("http://", "");
    for word in [
        "IAM.0002",
        &format!("{host} rejected the login"),
        &format!("user {USER} of domain {DOMAIN}"),
        &format!("project {}", lab.sim.project_id()),
        ", request ",
        "check it, the region and the address of the login service",
    ] {
        let all = told.all().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(all.contains(word), "{word:?} is not in\n{}", told.all());
    }
    assert_eq!(lab.sim.requests().len(), 1);
    assert_untouched(&lab, None);
}

/// A folder whose entries are all batches of their own, four of them at a time.
fn lab_of_many_mistakes() -> Lab {
    let mut lab = lab_of_many(12, 4, config());
    lab.plant(&["canary-wrong-password", "canary-wrong-secret"]);
    lab
}

#[test]
fn a_refused_signature_is_not_repeated() {
    for args in COMMANDS {
        let lab = lab_of_many_mistakes();
        let told = run(&lab, args, &wrong_key()).exits(1);
        assert!(told.all().contains("APIGW.0301"), "{}", told.all());
        assert_eq!(lab.sim.requests().len(), 1, "{args:?}");
        assert!(
            !lab.sim
                .knows("00000000-d41c-41b9-bc2b-8c00ba32jb50", "source")
        );
    }
}

#[test]
fn a_wrong_security_token_is_refused_once_and_not_shown() {
    let mut lab = lab();
    lab.plant(&["canary-wrong-security-token"]);
    let wrong = vars(&[
        ("OS_ACCESS_KEY", TEMPORARY_ACCESS),
        ("OS_SECRET_KEY", TEMPORARY_SECRET),
        ("OS_SECURITY_TOKEN", "canary-wrong-security-token"),
    ]);
    apply(&lab, &[], &wrong).exits(1).says("APIGW.0301");
    assert_eq!(lab.sim.requests().len(), 1);
    assert_untouched(&lab, None);
}

/// What a gateway that echoes says to a key that died.
fn dead_key() -> FaultKind {
    FaultKind::Status(CannedAnswer {
        http: 401,
        code: "APIGW.0301".to_owned(),
        message: format!(
            "Incorrect IAM authentication information: verify aksk signature fail, x-security-token:{SECURITY_TOKEN}"
        ),
        ..CannedAnswer::default()
    })
}

#[test]
fn a_key_that_dies_in_mid_run_is_not_tried_again() {
    let key = vars(&[
        ("OS_ACCESS_KEY", TEMPORARY_ACCESS),
        ("OS_SECRET_KEY", TEMPORARY_SECRET),
        ("OS_SECURITY_TOKEN", SECURITY_TOKEN),
    ]);
    for parallelism in [1, 4] {
        let lab = lab_of_many(12, parallelism, config());
        for number in 3..=12 {
            lab.sim.inject(Fault::nth(number, dead_key()));
        }
        apply(&lab, &[], &key)
            .exits(3)
            .says("APIGW.0301")
            .says("2 applied, 0 refused, 0 skipped, 10 not sent, 0 unknown");
        let requests = lab.sim.requests();
        let refused = requests
            .iter()
            .filter(|request| request.answered() == Completion::Status(401));
        assert!(refused.count() <= parallelism);
    }
}

#[test]
fn clocks_apart_are_told_with_both_times() {
    for offset in [16 * 60, -16 * 60] {
        for args in COMMANDS {
            let lab = lab_with(SimConfig {
                clock_offset_seconds: offset,
                ..config()
            });
            let told = run(&lab, args, &by_key())
                .exits(1)
                .says("APIGW.0301")
                .says("the clock of this machine says 20")
                .says("the service's 20")
                .says("check the clock of this machine");
            let apart = told.all();
            let apart = apart.split(" minutes;").next().unwrap();
            let apart: u32 = apart.rsplit(' ').next().unwrap().parse().unwrap();
            assert!((15..=16).contains(&apart), "{apart}");
            assert_eq!(
                told.all().matches("the clock of this machine says").count(),
                1
            );
            assert_eq!(lab.sim.requests().len(), 1, "{args:?}");
            if args.last() != Some(&"--no-preflight") {
                assert_untouched(&lab, None);
            }
            assert!(!lab.sim.knows(J1, "source"));
            lab.run(&["lock", "show"]).exits(0).says("The lock is free");
        }
    }
}

#[test]
fn clocks_apart_are_a_note_on_every_good_run_and_trouble_no_token() {
    const SAID: &str = "the clock of this machine says";
    for (offset, apart) in [(0, 0), (240, 0), (3630, 1), (-3630, 1), (-26 * 3600, 1)] {
        let lab = lab_with(SimConfig {
            clock_offset_seconds: offset,
            ..config()
        });
        for (state, args, code) in [
            ("INCRE_TRANSFER_STARTED", &["whoami"][..], 0),
            ("INCRE_TRANSFER_STARTED", &["jobs"], 0),
            ("INCRE_TRANSFER_STARTED", &["jobs", "--json"], 0),
            ("INCRE_TRANSFER_STARTED", &["plan", "--preflight"], 0),
            ("CREATING", &["apply", "--auto-approve"], 1),
            ("INCRE_TRANSFER_STARTED", &["apply", "--auto-approve"], 0),
        ] {
            lab.sim.set_status(J1, state);
            let told = run(&lab, args, &by_name()).exits(code);
            let notes = told.all().matches(SAID).count();
            assert_eq!(notes, apart, "{args:?} {offset}\n{}", told.all());
        }
        assert_eq!(lab.sent().len(), 1);
    }
}

/// What Keystone answers to every login that it refuses, whatever is wrong with it.
fn keystone(headers: &[(&str, &str)]) -> FaultKind {
    let body = r#"{"error":{"code":401,"message":"The request you have made requires authentication.","title":"Unauthorized"}}"#;
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    FaultKind::Status(CannedAnswer {
        http: 401,
        body: Some(body.to_owned()),
        headers: headers.iter().map(owned).collect(),
        ..CannedAnswer::default()
    })
}

#[test]
fn a_bare_refusal_says_what_to_check_and_where_the_login_came_from() {
    let mfa = vars(&[
        ("OS_USER_ID", MFA_USER_ID),
        ("OS_PASSWORD", PASSWORD),
        ("OS_PASSCODE", PASSCODE),
    ]);
    let receipt = [("Openstack-Auth-Receipt", "canary-receipt")];
    for (vars, headers, source, advice) in [
        (
            by_name(),
            &[][..],
            "login from OS_USERNAME and OS_PASSWORD as user operator of domain acme",
            "Check the user, its domain, the password, and that the user has a role in the project",
        ),
        (
            by_name(),
            &receipt,
            "login from OS_USERNAME and OS_PASSWORD",
            "The user needs a second factor",
        ),
        (
            mfa,
            &[],
            "login from OS_USER_ID, OS_PASSWORD and OS_PASSCODE",
            "the code of the second factor, which is good for one login",
        ),
    ] {
        for args in COMMANDS {
            let lab = lab();
            lab.sim.inject_login(Fault::always(keystone(headers)));
            run(&lab, args, &vars)
                .exits(1)
                .says(source)
                .says("help: Nothing was sent. ")
                .says(advice)
                .says_not("drspass whoami")
                .says_not("canary-receipt");
            assert_eq!(lab.sim.requests().len(), 1, "{args:?}");
            assert_untouched(&lab, None);
        }
    }
}

#[test]
fn a_token_or_key_that_is_refused_without_a_reason_is_told_by_its_source() {
    let token = vars(&[("OS_AUTH_TOKEN", crate::support::TOKEN)]);
    for (vars, source, advice) in [
        (token, "login from OS_AUTH_TOKEN", "get a new one."),
        (
            by_key(),
            "login from OS_ACCESS_KEY and OS_SECRET_KEY",
            "Check that key and secret belong together",
        ),
    ] {
        for args in [
            &["jobs"][..],
            &["plan", "--preflight"],
            &["apply", "--auto-approve"],
        ] {
            let lab = lab();
            assert!(lab.sim.inject_query(None, Fault::always(keystone(&[]))));
            let told = run(&lab, args, &vars)
                .says(advice)
                .says_not("drspass whoami");
            assert!(told.all().contains(source), "{args:?}: {}", told.all());
            assert!(lab.sent().is_empty(), "{args:?}");
        }
        let lab = lab();
        lab.sim.inject(Fault::always(keystone(&[])));
        apply(&lab, &["--no-preflight"], &vars)
            .exits(1)
            .says(advice);
    }
}

#[test]
fn a_login_of_another_project_is_told_with_its_source() {
    let lab = lab();
    let theirs = vars(&[("OS_TOKEN", &token_of(&lab, OTHER_PROJECT))]);
    for args in [&["whoami"][..], &["jobs"], &["apply", "--auto-approve"]] {
        run(&lab, args, &theirs)
            .exits(1)
            .says(&format!(
                "the login is for project {OTHER_PROJECT} (login from OS_TOKEN)"
            ))
            .says_not("drspass whoami");
    }
}

#[test]
fn clocks_apart_are_told_once_where_an_error_tells_them_already() {
    let lab = lab_with(SimConfig {
        clock_offset_seconds: 3630,
        ..config()
    });
    let forbidden = FaultKind::Status(CannedAnswer {
        http: 403,
        code: "DRS.M00103".to_owned(),
        message: "no".to_owned(),
        ..CannedAnswer::default()
    });
    assert!(lab.sim.inject_query(Some("list"), Fault::always(forbidden)));
    for args in [&["plan", "--preflight"][..], &["apply", "--auto-approve"]] {
        let told = run(&lab, args, &by_name()).exits(0);
        let said = told.all().matches("the clock of this machine says").count();
        assert_eq!(said, 1, "{args:?}\n{}", told.all());
    }
}
