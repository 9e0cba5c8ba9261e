//! `init --from-jobs`: a manifest that lists the jobs of a project, to be filled in.

use std::fs;

use drspass::sim::{CannedAnswer, EndpointSpec, Fault, FaultKind, JobSpec, SimConfig};

use super::named;
use crate::preflight::{id, job, lab_of, lab_with};
use crate::support::{J1, J2, J3, Lab, Run, TOKEN};

fn database(host: &str, port: u16, user: &str) -> Option<EndpointSpec> {
    Some(EndpointSpec {
        ip: Some(host.to_owned()),
        port: Some(port),
        user: Some(user.to_owned()),
        detail_password: Some("canary-in-the-details".to_owned()),
        ..EndpointSpec::default()
    })
}

/// Makes the manifest anew from the jobs, and returns its plain text.
fn made_of_jobs(lab: &Lab) -> String {
    lab.remove_manifest();
    lab.run(&["init", "--from-jobs"])
        .exits(0)
        .says("wrote passwords.yaml.age")
        .says("of the project in the manifest");
    lab.run(&["validate"]).exits(0);
    let text = lab.run(&["decrypt"]).exits(0).stdout;
    assert!(!text.contains("canary-in-the-details"), "{text}");
    text
}

/// Takes the comment signs away where a password can be filled in, and fills it in.
fn filled(text: &str) -> String {
    let mut filled = String::new();
    for line in text.lines() {
        let is_open = line == "# credentials:"
            || line.starts_with("#   \"")
            || line.starts_with("    # source:")
            || line.starts_with("    # destination:");
        let line = match is_open {
            true => line.replacen("# ", "", 1),
            false => line.to_owned(),
        };
        filled.push_str(&line.replace("\"...\"", "\"canary-filled-in\""));
        filled.push('\n');
    }
    filled
}

#[test]
fn a_manifest_made_of_jobs_is_filled_in_by_taking_comment_signs_away() {
    let mut lab = lab_of(vec![
        JobSpec {
            source: database("192.0.2.10", 3306, "drs"),
            destination: database("192.0.2.20", 3306, "drs"),
            ..named(J1, "orders", "sync")
        },
        JobSpec {
            source: database("192.0.2.10", 3306, "drs"),
            destination: database("192.0.2.10", 3307, "drs"),
            ..named(J2, "billing", "migration")
        },
        JobSpec {
            source: None,
            destination: database("192.0.2.10", 3306, "other"),
            ..named(J3, "", "cloudDataGuard")
        },
    ]);
    let text = made_of_jobs(&lab);
    for name in ["orders", "billing"] {
        assert!(text.contains(&format!("    name: \"{name}\"\n")), "{text}");
    }
    for job in [J1, J2, J3] {
        assert!(text.contains(&format!("  \"{job}\":\n")), "{text}");
    }
    let credentials: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("#   \""))
        .collect();
    assert_eq!(
        credentials.len(),
        4,
        "one for each account: {credentials:#?}"
    );
    assert!(text.contains("    # source: { credential: \"drs-192.0.2.10\" } # "));
    assert!(text.contains("mysql, 192.0.2.10, 3306, drs"), "{text}");
    // As it is, it sets nothing.
    lab.run(&["plan", "--detailed-exitcode"])
        .exits(0)
        .says("3 have no endpoint")
        .says("Run 'drspass edit' and add or uncomment the endpoints");
    assert!(lab.run(&["show"]).exits(0).stdout.contains("0 entries"));

    lab.plant(&["canary-filled-in"]);
    lab.document(filled(&text)).exits(0);
    lab.apply(&[]).exits(0).says("Result: 6 applied");
    for job in [J1, J2, J3] {
        for endpoint in ["source", "destination"] {
            assert!(lab.sim.holds(job, endpoint, "canary-filled-in"));
        }
    }
    lab.run(&["jobs"])
        .exits(0)
        .says("3 jobs: 3 running; 6 of 6 endpoints managed.");
    let labels = lab.run(&["show"]).exits(0).stdout;
    assert!(labels.contains("orders/source"), "{labels}");
}

#[test]
fn the_parent_of_a_pair_stands_in_a_comment_and_its_subtasks_are_listed() {
    let recovery = |id: &str| JobSpec {
        multi_write: true,
        ..named(id, "pair", "cloudDataGuard")
    };
    let child = |number| JobSpec {
        parent: Some(J1.to_owned()),
        ..recovery(&id(number))
    };
    let mut lab = lab_of(vec![
        JobSpec {
            dual_active_parent: true,
            ..recovery(J1)
        },
        child(1),
        child(2),
    ]);
    let text = made_of_jobs(&lab);
    assert!(text.contains(&format!("# {J1} is the parent of a dual-active pair")));
    assert!(!text.contains(&format!("\"{J1}\":")));
    assert!(text.contains("name: \"pair\"\n") && text.contains("name: \"pair-2\" # called pair\n"));
    lab.plant(&["canary-filled-in"]);
    lab.document(filled(&text)).exits(0);
    lab.apply(&[]).exits(0).says("Result: 4 applied");
}

#[test]
fn hostile_names_make_no_other_manifest() {
    let names = [
        "x\n  evil:\n    source: { password: 'owned' }",
        "x # \"}",
        "\u{1b}[2J\u{202e}",
        "-- ::error::",
        "é日本",
        "orders",
        "orders",
        J3,
        &"n".repeat(300),
        TOKEN,
        "",
    ];
    let specs = names.iter().enumerate().map(|(n, name)| JobSpec {
        engine_type: (*name).to_owned(),
        source: Some(EndpointSpec {
            db_type: Some((*name).to_owned()),
            detail_password: Some("canary-in-the-details".to_owned()),
            ..database(name, 3306, name).unwrap_or_default()
        }),
        destination: database("host", 1, "\"}\ncredentials: {}"),
        ..named(&id(n), name, "sync")
    });
    let mut lab = lab_of(specs.collect());
    let text = made_of_jobs(&lab);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    assert!(text.lines().all(|line| line.trim() != "evil:"), "{text}");
    lab.plant(&["canary-filled-in"]);
    let filled = filled(&text);
    lab.document(&filled).exits(0);
    lab.apply(&[])
        .exits(0)
        .says(&format!("Result: {} applied", 2 * names.len()));
    assert!(lab.sim.holds(&id(0), "destination", "canary-filled-in"));
}

#[test]
fn a_project_without_jobs_makes_an_empty_manifest() {
    let lab = lab_with(SimConfig::default());
    let text = made_of_jobs(&lab);
    assert!(text.ends_with("jobs: {}\n"), "{text}");
    lab.apply(&[]).exits(0).says("Nothing to send");
}

#[test]
fn details_that_cannot_be_had_leave_endpoints_to_be_filled_in() {
    let mut lab = lab_of(vec![job(J1, "PAUSING")]);
    let answer = CannedAnswer {
        http: 403,
        code: "DRS.M00102".to_owned(),
        ..CannedAnswer::default()
    };
    let fault = Fault::always(FaultKind::Status(answer));
    assert!(lab.sim.inject_query(Some("detail"), fault));
    lab.remove_manifest();
    lab.run(&["init", "--from-jobs"])
        .exits(0)
        .says("warning: cannot read the databases of the jobs");
    let text = lab.run(&["decrypt"]).exits(0).stdout;
    lab.plant(&["canary-filled-in"]);
    lab.document(filled(&text)).exits(0);
    lab.apply(&[]).exits(0).says("Result: 2 applied");
}

#[test]
fn an_existing_manifest_is_kept_and_nobody_is_asked() {
    let lab = lab_of(vec![job(J1, "PAUSING")]);
    let before = fs::read(lab.path("passwords.yaml.age")).unwrap();
    lab.run(&["init", "--from-jobs"])
        .exits(1)
        .says("passwords.yaml.age");
    // Also where only the manifest is there, and the target is named anew.
    fs::remove_file(lab.path("drspass.yaml")).unwrap();
    let (endpoint, auth_url) = lab.addresses();
    let target = [
        "init",
        "--from-jobs",
        "-i",
        "key.txt",
        "--project-id",
        lab.sim.project_id(),
    ];
    lab.run(
        &[
            &target[..],
            &["--endpoint", &endpoint, "--auth-url", &auth_url],
        ]
        .concat(),
    )
    .exits(1)
    .says("passwords.yaml.age");
    assert_eq!(lab.sim.connections(), 0);
    assert_eq!(fs::read(lab.path("passwords.yaml.age")).unwrap(), before);
    assert!(!lab.exists("drspass.yaml"));
}

/// Makes a root folder `new` of the jobs of the project.
fn init_new(lab: &Lab) -> Run {
    fs::create_dir(lab.path("new")).unwrap();
    let (endpoint, auth_url) = lab.addresses();
    lab.run(&[
        "-C",
        "new",
        "init",
        "--from-jobs",
        "-i",
        "own.txt",
        "--project-id",
        lab.sim.project_id(),
        "--endpoint",
        &endpoint,
        "--auth-url",
        &auth_url,
    ])
}

#[test]
fn a_list_that_is_refused_leaves_nothing_behind() {
    let lab = lab_of(vec![job(J1, "PAUSING")]);
    let kind = FaultKind::TokenExpired {
        http: 401,
        code: None,
    };
    assert!(lab.sim.inject_query(Some("list"), Fault::always(kind)));
    init_new(&lab).exits(1).says("rejected the list of jobs");
    assert_eq!(fs::read_dir(lab.path("new")).unwrap().count(), 0);
    // With a list, the same command makes everything.
    let lab = lab_of(vec![job(J1, "PAUSING")]);
    init_new(&lab).exits(0);
    let text = lab
        .run(&["-C", "new", "decrypt", "-i", "own.txt"])
        .exits(0)
        .stdout;
    assert!(text.contains(J1) && !text.contains("canary-in-the-details"));
}

#[test]
fn many_databases_of_one_user_and_host_get_names_of_their_own() {
    let jobs = (0..1_000_u16).map(|number| JobSpec {
        source: database("192.0.2.10", 10_000 + number, "drs"),
        ..named(&id(number.into()), "orders", "sync")
    });
    let text = made_of_jobs(&lab_of(jobs.collect()));
    for name in ["drs-192.0.2.10", "drs-192.0.2.10-2", "drs-192.0.2.10-1000"] {
        assert!(text.contains(&format!("#   \"{name}\": ")), "{name}");
        assert!(text.contains(&format!("credential: \"{name}\"")), "{name}");
    }
    assert!(text.contains("name: \"orders-1000\" # called orders\n"));
}
