//! Every kind of login sets a password, says where it comes from, and is refused
//! for another project.

use std::fs;

use drspass::sim::{Fault, FaultKind};
use tempfile::TempDir;

use super::*;
use crate::support::TOKEN;

/// How the requests prove who calls.
#[derive(Clone, Copy, PartialEq)]
enum Proof {
    /// By the token that the simulator took from the start.
    Given,
    /// By a token that the run was given.
    Issued,
    Signature,
}

/// One way to log in.
struct Way {
    vars: Vars,
    args: Vec<String>,
    proof: Proof,
    /// What `whoami` calls it.
    source: &'static str,
    /// Whom `whoami` names.
    user: &'static str,
    /// The folder with its files.
    _home: Option<TempDir>,
}

fn way(vars: Vars, proof: Proof, source: &'static str, user: &'static str) -> Way {
    Way {
        vars,
        args: Vec::new(),
        proof,
        source,
        user,
        _home: None,
    }
}

const OPERATOR: &str = r#""operator" of "acme""#;
const KEY_OWNER: &str = "the owner of the access key";

fn ways() -> Vec<Way> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let mut list = vec![
        way(
            vars(&[("OS_AUTH_TOKEN", TOKEN)]),
            Proof::Given,
            "OS_AUTH_TOKEN",
            r#""simulated-user" of "simulated-domain""#,
        ),
        Way {
            args: vec!["--token-file".to_owned(), file.display().to_string()],
            _home: Some(folder),
            ..way(
                by_name(),
                Proof::Given,
                "the token file",
                r#""simulated-user" of "simulated-domain""#,
            )
        },
        way(
            by_name(),
            Proof::Issued,
            "OS_USERNAME and OS_PASSWORD",
            OPERATOR,
        ),
        way(
            vars(&[("OS_USER_ID", USER_ID), ("OS_PASSWORD", PASSWORD)]),
            Proof::Issued,
            "OS_USER_ID and OS_PASSWORD",
            OPERATOR,
        ),
        way(
            vars(&[
                ("HW_USER_NAME", USER),
                ("HW_USER_PASSWORD", PASSWORD),
                ("HW_DOMAIN_NAME", DOMAIN),
                ("HW_PROJECT_NAME", "eu-de"),
            ]),
            Proof::Issued,
            "HW_USER_NAME and HW_USER_PASSWORD; project from HW_PROJECT_NAME",
            OPERATOR,
        ),
        way(
            vars(&[
                ("OS_USER_ID", MFA_USER_ID),
                ("OS_PASSWORD", PASSWORD),
                ("OS_PASSCODE", PASSCODE),
            ]),
            Proof::Issued,
            "OS_USER_ID, OS_PASSWORD and OS_PASSCODE",
            r#""operator-mfa" of "acme""#,
        ),
        way(
            by_key(),
            Proof::Signature,
            "OS_ACCESS_KEY and OS_SECRET_KEY",
            KEY_OWNER,
        ),
        way(
            vars(&[
                ("HW_ACCESS_KEY", TEMPORARY_ACCESS),
                ("HW_SECRET_KEY", TEMPORARY_SECRET),
                ("HW_SECURITY_TOKEN", SECURITY_TOKEN),
            ]),
            Proof::Signature,
            "HW_ACCESS_KEY, HW_SECRET_KEY and HW_SECURITY_TOKEN",
            KEY_OWNER,
        ),
    ];
    for (args, more) in [
        (vec!["--cloud".to_owned(), "people".to_owned()], vec![]),
        (vec![], vars(&[("OS_CLOUD", "people")])),
    ] {
        let home = two_clouds();
        let vars = [vec![home_var(home.path())], more].concat();
        list.push(Way {
            args,
            _home: Some(home),
            ..way(vars, Proof::Issued, "entry people of", OPERATOR)
        });
    }
    let home = two_clouds();
    let vars = vec![home_var(home.path()), ("OS_CLOUD", "robots".to_owned())];
    list.push(Way {
        _home: Some(home),
        ..way(vars, Proof::Signature, "entry robots of", KEY_OWNER)
    });
    list
}

/// Two entries whose secrets stand in secure.yaml.
fn two_clouds() -> TempDir {
    home(
        &format!(
            "clouds:\n  people:\n    auth:\n      username: {USER}\n      user_domain_name: {DOMAIN}\n      \
             project_name: eu-de\n  robots:\n    auth:\n      ak: {ACCESS}\n"
        ),
        &format!(
            "clouds:\n  people:\n    auth:\n      password: {PASSWORD}\n  robots:\n    auth:\n      sk: {SECRET}\n"
        ),
    )
}

fn args_of<'a>(command: &[&'a str], way: &'a Way) -> Vec<&'a str> {
    let more = way.args.iter().map(String::as_str);
    command.iter().copied().chain(more).collect()
}

/// Each password left with the proof that the login gives, and with no other.
#[track_caller]
fn assert_proven(lab: &Lab, way: &Way) {
    for request in lab.sim.requests().iter().filter(|r| r.method() == "PUT") {
        let token = request.header("X-Auth-Token");
        let signature = request.header("Authorization");
        match way.proof {
            Proof::Given => assert_eq!(token, Some(TOKEN)),
            Proof::Issued => {
                assert_eq!(token, lab.sim.issued_tokens().first().map(String::as_str));
            }
            Proof::Signature => {
                assert!(signature.unwrap().contains("Signature="));
                assert_eq!(request.header("X-Project-Id"), Some(lab.sim.project_id()));
            }
        }
        assert_eq!(token.is_some(), way.proof != Proof::Signature);
        assert_eq!(signature.is_some(), way.proof == Proof::Signature);
    }
}

#[test]
fn every_kind_of_login_sets_a_password_and_says_who_it_is() {
    for way in ways() {
        let lab = lab();
        run(
            &lab,
            &args_of(&["apply", "--auto-approve"], &way),
            &way.vars,
        )
        .exits(0);
        assert!(lab.sim.holds(J1, "source", "canary-1"), "{}", way.source);
        assert_eq!(lab.sent().len(), 1);
        assert_proven(&lab, &way);
        assert!(!lab.entry(J1, "source")["applied"].is_null());
        let logins = usize::from(way.proof == Proof::Issued);
        assert_eq!(lab.sim.login_attempts(), logins, "{}", way.source);

        let told = run(&lab, &args_of(&["whoami"], &way), &way.vars).exits(0);
        let (endpoint, auth_url) = lab.addresses();
        let end = match way.proof {
            Proof::Signature => "token ends: none: each request is signed",
            Proof::Given | Proof::Issued => "token ends: 2",
        };
        let project = format!("project: {} (\"eu-de\")", lab.sim.project_id());
        for fact in [
            &format!("login: {}", way.source),
            &format!("user: {}", way.user),
            &project,
            "region: not named",
            &format!("endpoint: {endpoint}"),
            &format!("identity service: {auth_url}"),
            end,
        ] {
            let line = told.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(line.contains(fact), "{fact:?} is not in\n{}", told.stdout);
        }
        assert_eq!(lab.sent().len(), 1, "whoami sends nothing");
    }
}

#[test]
fn the_entry_that_drspass_yaml_names_is_the_login() {
    let lab = lab();
    lab.configure("credentials_from: people");
    let home = two_clouds();
    let vars = vec![home_var(home.path())];
    apply(&lab, &[], &vars).exits(0);
    assert_eq!(lab.sim.logins(), 1);
    run(&lab, &["whoami"], &vars)
        .exits(0)
        .says("entry people of")
        .says("project from project_name of entry people of");
    // What is named closer by comes first.
    let vars = [vars, vec![("OS_CLOUD", "robots".to_owned())]].concat();
    run(&lab, &["whoami"], &vars)
        .exits(0)
        .says("entry robots of");
}

#[test]
fn the_entry_that_drspass_yaml_names_lists_the_jobs_of_a_new_manifest_too() {
    let lab = lab();
    lab.remove_manifest();
    let home = two_clouds();
    let vars = vec![home_var(home.path())];
    run(&lab, &["init", "--from-jobs"], &vars).exits(1);
    assert!(!lab.exists("passwords.yaml.age"));
    lab.configure("credentials_from: people\napply: { request_timeout: 3s }");
    run(&lab, &["init", "--from-jobs"], &vars)
        .exits(0)
        .says("wrote passwords.yaml.age");
    assert_eq!(lab.sim.logins(), 1);
    // So do the times that it sets: this answer comes long before the usual limit.
    lab.remove_manifest();
    let slow = Fault::always(FaultKind::Slow { millis: 15_000 });
    assert!(lab.sim.inject_query(Some("list"), slow));
    run(&lab, &["init", "--from-jobs"], &vars)
        .exits(1)
        .says("timed out");
    assert!(!lab.exists("passwords.yaml.age"));
}

#[test]
fn a_region_is_told_where_one_is_named() {
    let lab = lab();
    let config = lab.read("drspass.yaml");
    let config = config.replace("target:\n", "target:\n  region: eu-de\n");
    lab.write("drspass.yaml", config);
    run(&lab, &["whoami"], &by_name())
        .exits(0)
        .says("region: eu-de");
}

/// Logins that turn out to be for the other project.
fn elsewhere() -> Vec<Vars> {
    let project = vars(&[("OS_PROJECT_NAME", OTHER_NAME)]);
    vec![
        [by_name(), project.clone()].concat(),
        [by_key(), project].concat(),
    ]
}

#[test]
fn a_login_of_another_project_is_refused_before_anything_is_sent() {
    for vars in elsewhere() {
        let mut lab = lab();
        apply(&lab, &[], &by_name()).exits(0);
        lab.passwords(&[(J1, "source", "canary-2")]);
        let (state, sent) = (state_bytes(&lab), lab.sent().len());
        for args in [
            &["whoami"][..],
            &["jobs"],
            &["plan", "--preflight"],
            &["apply", "--auto-approve"],
            &["apply", "--auto-approve", "--no-preflight"],
        ] {
            run(&lab, args, &vars)
                .exits(1)
                .says(&format!("the login is for project {OTHER_PROJECT}"))
                .says(&format!("sealed for project {}", lab.sim.project_id()));
        }
        assert_eq!((state_bytes(&lab), lab.sent().len()), (state, sent));
        lab.run(&["lock", "show"]).exits(0).says("The lock is free");
    }
}

#[test]
fn a_given_token_of_another_project_is_refused_with_both_ids() {
    let lab = lab();
    let theirs = vars(&[("OS_TOKEN", &token_of(&lab, OTHER_PROJECT))]);
    for args in [
        &["whoami"][..],
        &["jobs"],
        &["plan", "--preflight"],
        &["apply", "--auto-approve"],
    ] {
        run(&lab, args, &theirs)
            .exits(1)
            .says(&format!("the login is for project {OTHER_PROJECT}"))
            .says(&format!("sealed for project {}", lab.sim.project_id()));
    }
    assert_untouched(&lab, None);
}

#[test]
fn a_given_token_of_another_project_sets_nothing_where_nothing_is_asked_before() {
    let lab = lab();
    let theirs = vars(&[("OS_TOKEN", &token_of(&lab, OTHER_PROJECT))]);
    apply(&lab, &["--no-preflight"], &theirs)
        .exits(1)
        .says("DRS.M00261")
        .says("The login is for another project than the one in the configuration");
    assert!(!lab.sim.knows(J1, "source"));
    assert!(lab.entry(J1, "source")["applied"].is_null());
}

#[test]
fn a_key_given_with_the_name_of_the_sealed_project_serves() {
    let lab = lab();
    let named = [by_key(), vars(&[("OS_PROJECT_NAME", "eu-de")])].concat();
    apply(&lab, &[], &named).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-1"));
}
