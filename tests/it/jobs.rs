//! The jobs of a project, each with what the manifest sets of it.

mod from_jobs;

use drspass::sim::{CannedAnswer, EndpointSpec, Fault, FaultKind, JobSpec, SimConfig};
use serde_json::{Value, json};

use crate::outputs::document;
use crate::preflight::{asked, id, job, lab_of, lab_with, list_is, sources};
use crate::support::{J1, J2, J3, J9, Lab, send_signal, wait_until};

fn named(id: &str, name: &str, use_type: &str) -> JobSpec {
    JobSpec {
        name: name.to_owned(),
        db_use_type: use_type.to_owned(),
        ..job(id, "INCRE_TRANSFER_STARTED")
    }
}

/// A project with a job of each kind, and a dual-active pair.
fn project() -> Lab {
    let recovery = |id: &str, name: &str| JobSpec {
        engine_type: "cloudDataGuard-mysql".to_owned(),
        multi_write: true,
        ..named(id, name, "cloudDataGuard")
    };
    let child = |number, name: &str| JobSpec {
        parent: Some(J3.to_owned()),
        ..recovery(&id(number), name)
    };
    let mut lab = lab_of(vec![
        named(J1, "orders", "sync"),
        JobSpec {
            status: "RELEASE_CHILD_TRANSFER_COMPLETE".to_owned(),
            destination: Some(EndpointSpec {
                inst_id: Some("3d39c18788b54a919bab633874c159dfin01".to_owned()),
                ..EndpointSpec::default()
            }),
            ..named(J2, "", "migration")
        },
        JobSpec {
            dual_active_parent: true,
            ..recovery(J3, "shop")
        },
        child(61, "shop-forward"),
        child(62, "shop-backward"),
    ]);
    lab.plant(&["canary-1"]);
    lab.manifest(&format!(
        "  {J1}:\n    source: {{ password: 'canary-1' }}\n    destination: {{ password: 'canary-1' }}\n  \
         {}:\n    destination: {{ password: 'canary-1' }}\n  {J9}:\n    source: {{ password: 'canary-1' }}\n",
        id(61)
    ))
    .exits(0);
    lab
}

#[test]
fn jobs_are_shown_with_databases_subtasks_and_what_is_managed_in_eighty_columns() {
    let run = project().run(&["jobs"]).exits(0);
    for line in run.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    insta::assert_snapshot!("jobs_text", run.stdout);
    assert_eq!(run.stderr, "");
}

#[test]
fn the_document_of_jobs_fits_its_schema_and_says_what_the_text_says() {
    let lab = project();
    let jobs = document(&lab.run(&["jobs", "--json"]).exits(0), "jobs-output");
    let shown = lab.run(&["jobs"]).exits(0).stdout;
    let listed = jobs["jobs"].as_array().unwrap();
    assert_eq!(listed.len(), 5);
    for job in listed {
        for field in ["id", "name", "status", "use_type", "engine", "parent"] {
            let word = job[field].as_str().unwrap_or_default();
            assert!(shown.contains(word), "{field} {word}\n{shown}");
        }
    }
    let managed = |job: &Value| ["source", "destination"].map(|e| job[e]["managed"] == true);
    let managed: Vec<_> = listed.iter().map(managed).collect();
    assert_eq!(
        managed,
        [
            [false, false],
            [true, true],
            [false, false],
            [false, true],
            [false, false],
        ]
    );
    assert_eq!(listed[1]["source"]["user"], "drs");
    assert_eq!(listed[1]["source"]["port"], "3306");
    assert_eq!(listed[2]["dual_active_parent"], true);
    assert_eq!(listed[3]["parent"], J3);
    assert_eq!(jobs["absent"], json!([format!("{J9}/source")]));
    assert!(!listed[0]["name"].is_string(), "it has none");
}

#[test]
fn all_of_many_jobs_are_listed_page_by_page() {
    let kinds = ["sync", "migration", "cloudDataGuard"];
    let specs = (0..253).map(|n| named(&id(n), "", kinds[usize::from(n >= 250) * (n % 2 + 1)]));
    let mut lab = lab_of(specs.collect());
    sources(&mut lab, &[id(249)], "canary-1");
    let jobs = document(&lab.run(&["jobs", "--json"]).exits(0), "jobs-output");
    let listed = jobs["jobs"].as_array().unwrap();
    let mut ids: Vec<&str> = listed.iter().map(|j| j["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    let all: Vec<String> = (0..253).map(id).collect();
    assert_eq!(ids, all);
    assert!(listed.iter().all(|job| job["source"]["user"] == "drs"));
    let managed: Vec<&Value> = listed
        .iter()
        .filter(|job| job["source"]["managed"] == true)
        .collect();
    assert_eq!(managed.len(), 1);
    assert_eq!(managed[0]["id"], id(249));
    assert_eq!(asked(&lab, "jobs"), 5, "three pages of one kind, and two");
    let details: Vec<_> = lab.sim.requests();
    let details = details.iter().filter(|r| r.path().ends_with("detail"));
    for request in details {
        let body: Value = serde_json::from_slice(request.body().unwrap()).unwrap();
        assert!(body["jobs"].as_array().unwrap().len() <= 10);
        assert_eq!(body["page_req"]["per_page"], 100);
    }
    lab.run(&["jobs"])
        .exits(0)
        .says("253 jobs: 253 running; 1 of 506 endpoints managed.");
}

#[test]
fn a_list_that_ignores_pages_and_kinds_ends_and_names_each_job_once() {
    let lab = lab_of(vec![job(J1, "PAUSING"), job(J2, "PAUSING")]);
    let child = json!({"id": J2, "name": "a subtask", "status": "PAUSING"});
    for total in [json!(null), json!(1_000_000), json!("0")] {
        let before = asked(&lab, "jobs");
        list_is(
            &lab,
            &json!({"total_record": total, "jobs": [
                child, { "name": "no id" }, { "id": "no/id", "status": "PAUSING" },
                { "id": J1, "db_use_type": "migration", "status": "PAUSING", "children": [child] },
            ]}),
        );
        let jobs = document(&lab.run(&["jobs", "--json"]).exits(0), "jobs-output");
        let listed = jobs["jobs"].as_array().unwrap();
        assert_eq!(listed.len(), 2, "{jobs:#}");
        assert_eq!(listed[0]["parent"], J1);
        assert_eq!(listed[1]["use_type"], "migration");
        assert_eq!(listed[1]["source"]["user"], "drs", "details are told");
        assert!(
            jobs["notes"][0]
                .as_str()
                .unwrap()
                .contains("without a usable")
        );
        assert!(asked(&lab, "jobs") - before <= 6);
    }
}

#[test]
fn a_state_that_is_not_told_is_no_word_of_the_service() {
    let lab = lab_of(vec![job(J1, "PAUSING")]);
    list_is(
        &lab,
        &json!({"total_record": 2, "jobs": [{ "id": J1 }, { "id": J2, "status": "unknown" }]}),
    );
    let jobs = document(&lab.run(&["jobs", "--json"]).exits(0), "jobs-output");
    assert!(jobs["jobs"][0].get("status").is_none());
    assert_eq!(jobs["jobs"][1]["status"], "unknown");
    lab.run(&["jobs"])
        .exits(0)
        .says(&format!("{J1} unknown"))
        .says(&format!("{J2} \"unknown\""));
    lab.remove_manifest();
    lab.run(&["init", "--from-jobs"]).exits(0);
    let text = lab.run(&["decrypt"]).exits(0).stdout;
    assert!(text.contains("    # migration, state unknown\n"), "{text}");
}

#[test]
fn hostile_names_stay_on_their_line_and_a_password_as_a_name_is_withheld() {
    let names = [
        "a\nnote: everything is fine\r\nResult: 1 applied",
        "\u{1b}[31mred\u{1b}]0;title\u{7}",
        "\u{202e}gpj.exe",
        "::set-output name=x::y",
        "##[error]",
        "a \" quote",
        "the canary-of-the-manifest here",
        "Y2FuYXJ5LW9mLXRoZS1tYW5pZmVzdA==",
    ];
    let specs = names.iter().enumerate().map(|(n, name)| JobSpec {
        engine_type: (*name).to_owned(),
        source: Some(EndpointSpec {
            ip: Some((*name).to_owned()),
            user: Some((*name).to_owned()),
            db_type: Some((*name).to_owned()),
            ..EndpointSpec::default()
        }),
        ..named(&id(n), name, "sync")
    });
    let mut lab = lab_of(specs.collect());
    sources(&mut lab, &[id(0)], "canary-of-the-manifest");
    let run = lab.run(&["jobs"]).exits(0);
    for hidden in ['\u{1b}', '\u{7}', '\u{202e}', '\r'] {
        assert!(!run.stdout.contains(hidden), "{:?}", run.stdout);
    }
    // Counts, before and after four lines for each job: nothing began a line of its own.
    assert_eq!(run.stdout.lines().count(), 2 + 4 * names.len());
    for line in run.stdout.lines().map(str::trim_start) {
        let starts = ["note:", "Result", "::", "##["];
        assert!(
            !starts.iter().any(|start| line.starts_with(start)),
            "{line}"
        );
    }
    assert!(run.stdout.matches("text withheld").count() >= 10);
    let jobs = document(&lab.run(&["jobs", "--json"]).exits(0), "jobs-output");
    assert!(!jobs.to_string().contains('\u{202e}'));
}

#[test]
fn details_that_cannot_be_had_are_a_note() {
    let lab = project();
    let answer = CannedAnswer {
        http: 500,
        code: "DRS.M00004".to_owned(),
        ..CannedAnswer::default()
    };
    let fault = Fault::always(FaultKind::Status(answer));
    assert!(lab.sim.inject_query(Some("detail"), fault));
    lab.run(&["jobs"])
        .exits(0)
        .says("5 jobs: 4 running; 3 of 10 endpoints managed.")
        .says("note: cannot read the databases of the jobs: ");
    let jobs = document(&lab.run(&["jobs", "--json"]).exits(0), "jobs-output");
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 5);
    assert_eq!(jobs["jobs"][1]["source"], json!({ "managed": true }));
}

#[test]
fn a_list_that_cannot_be_had_fails_and_prints_no_half_of_it() {
    let lab = lab_of((0..150).map(|n| job(id(n), "PAUSING")).collect());
    let refused = |http, code: &str| {
        FaultKind::Status(CannedAnswer {
            http,
            code: code.to_owned(),
            ..CannedAnswer::default()
        })
    };
    for (number, kind) in [
        (1, refused(403, "DRS.M00103")),
        (3, refused(500, "DRS.M00004")),
        (5, refused(401, "APIGW.0301")),
        (8, FaultKind::NotJson),
    ] {
        let before = asked(&lab, "jobs");
        let fault = Fault::nth(number, kind).times(1);
        assert!(lab.sim.inject_query(Some("list"), fault));
        let run = lab.run(&["jobs"]).exits(1);
        assert_eq!(run.stdout, "");
        assert!(asked(&lab, "jobs") > before);
    }
}

#[test]
fn a_signal_ends_a_list_that_does_not_come() {
    let lab = lab_of(vec![job(J1, "PAUSING")]);
    assert!(
        lab.sim
            .inject_query(Some("list"), Fault::always(FaultKind::Silent))
    );
    let child = lab.command(&["jobs"]).spawn().unwrap();
    wait_until("the list", || asked(&lab, "jobs") >= 1);
    send_signal(child.id(), rustix::process::Signal::INT);
    lab.wait(child).exits(130);
}

#[test]
fn failed_jobs_are_listed_alone_and_counted_of_all() {
    let [newer, paused, strange] = [61, 62, 63].map(id);
    let mut lab = lab_of(vec![
        job(J1, "INCRE_TRANSFER_STARTED"),
        job(J2, "INCRE_TRANSFER_FAILED"),
        job(&newer, "RESHARDING_FAILED"),
        job(&paused, "PAUSING"),
        job(&strange, "RESHARDING"),
    ]);
    sources(&mut lab, &[J1.to_owned(), J2.to_owned()], "canary-1");
    let run = lab.run(&["jobs", "--failed"]).exits(0);
    assert!(run.stdout.starts_with("Failed jobs of project "));
    for other in [J1, &paused] {
        assert!(!run.stdout.contains(other), "{}", run.stdout);
    }
    run.says("source, managed \"mysql\" at \"192.0.2.10\"")
        .says(&format!("note: state unknown, so not listed: {strange}"))
        .says("2 of 5 jobs have failed; 1 of 4 endpoints managed.");
    let output = lab.run(&["jobs", "--failed", "--json"]).exits(0);
    let jobs = document(&output, "jobs-output");
    let listed = jobs["jobs"].as_array().unwrap().iter();
    let listed: Vec<&Value> = listed.map(|job| &job["id"]).collect();
    assert!(
        listed.len() == 2
            && [J2, &newer]
                .iter()
                .all(|it| listed.iter().any(|id| id == it))
    );
    assert_eq!(jobs["total"], 5);
    let requests = lab.sim.requests();
    let details = requests
        .iter()
        .filter(|r| r.path().ends_with("batch-detail"));
    for request in details {
        let body: Value = serde_json::from_slice(request.body().unwrap()).unwrap();
        assert_eq!(body["jobs"], json!(listed), "no other is described");
    }
    lab.run(&["jobs"])
        .exits(0)
        .says("5 jobs: 1 running, 2 failed, 1 paused;");
}

#[test]
fn where_no_job_has_failed_a_sentence_says_so() {
    let mut lab = lab_of(vec![job(J1, "INCRE_TRANSFER_STARTED")]);
    sources(&mut lab, &[J1.to_owned()], "canary-1");
    lab.run(&["jobs", "--failed"])
        .exits(0)
        .says("No job is reported as failed; the project has 1 job.");
    let jobs = document(
        &lab.run(&["jobs", "--failed", "--json"]).exits(0),
        "jobs-output",
    );
    assert_eq!((&jobs["jobs"], &jobs["total"]), (&json!([]), &json!(1)));
    assert_eq!(asked(&lab, "batch-detail"), 0);
}

#[test]
fn a_project_without_jobs_is_no_failure() {
    let lab = lab_with(SimConfig::default());
    lab.run(&["jobs"])
        .exits(0)
        .says("0 jobs; 0 of 0 endpoints managed.");
    document(&lab.run(&["jobs", "--json"]).exits(0), "jobs-output");
}
