//! What GitHub, GitLab and other pipelines read, and that no text of somebody else
//! means anything in it. Every file that is written stands in the root folder, where
//! each run is searched for the planted passwords.

mod hostile;
mod places;
mod step;

use std::fs;
use std::os::unix::fs::symlink;

use drspass::sim::EndPointType;
use serde_json::Value;

use step::step;

use crate::looped::refuse;
use crate::support::schema::{assert_closed, assert_fits, schema};
use crate::support::{J1, J2, J3, Lab, mode};

/// Snapshots without what differs from run to run.
macro_rules! assert_shown {
    ($name:literal, $text:expr) => {
        insta::with_settings!({filters => vec![
            (r"[0-9a-f]{64}", "[DIGEST]"),
            (r"drspass_[0-9a-f]{32}", "[WORD]"),
            (r"127\.0\.0\.1(&#58;|:)\d+", "[HOST]"),
            (r"request (<code>)?[0-9a-f]{32}", "request $1[ID]"),
            (r"\d{4}-\d\d-\d\dT\d\d(&#58;|:)\d\d(&#58;|:)\d\dZ", "[TIME]"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "[TIME]"),
            (r"\d{4}-\d\d-\d\d", "[DAY]"),
            (r"\.tmp[0-9A-Za-z]{6}", "[FOLDER]"),
        ]}, {
            insta::assert_snapshot!($name, $text);
        });
    };
}

/// Entries of every kind: to set, to change, refused, held and in sync.
fn lab_with_changes() -> Lab {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.plant(&["canary-1", "canary-2", "canary-3", "canary-4", "canary-5"]);
    let manifest = |lab: &Lab, first: &str, more: &str| {
        lab.manifest(&format!(
            "  {J1}:\n    name: orders\n    source: {{ password: '{first}' }}\n    \
             destination: {{ password: 'canary-2' }}\n  {J2}:\n    name: billing\n    \
             source: {{ password: 'canary-3' }}\n{more}"
        ))
        .exits(0);
    };
    manifest(&lab, "canary-1", "");
    lab.sim
        .inject(refuse(J1, EndPointType::Destination, "DRS.M00304"));
    lab.sim
        .inject(refuse(J2, EndPointType::Source, "DRS.KE0002"));
    lab.apply(&[]).exits(3);
    let more = format!("  {J3}:\n    name: stock\n    source: {{ password: 'canary-4' }}\n");
    manifest(&lab, "canary-5", &more);
    lab
}

#[test]
fn a_plan_is_told_to_every_pipeline() {
    let lab = lab_with_changes();
    let args = [
        "plan",
        "--detailed-exitcode",
        "--terraform-summary",
        "--markdown",
        "plan.md",
        "--gitlab-report",
        "report.json",
        "--out",
        "plan.json",
    ];
    let told = step(&lab, &args, 2);
    assert_shown!("github_plan", &told.run.stdout);
    assert_eq!(
        told.run.stdout.lines().last(),
        Some("Plan: 2 to add, 1 to change, 0 to destroy.")
    );
    let file: Value = serde_json::from_str(&lab.read("plan.json")).unwrap();
    assert_eq!(told.output("has_changes"), "true");
    assert_eq!(told.output("plan_id"), file["id"]);
    assert_eq!(told.output("change_id"), file["body"]["change_id"]);

    let markdown = lab.read("plan.md");
    assert_shown!("markdown_plan", &markdown);
    assert_eq!(markdown, told.summary);
    assert_eq!(mode(&lab.path("plan.md")), 0o644);
    let printed = lab.run(&["plan", "--markdown", "-"]).exits(0).stdout;
    assert_eq!(printed.lines().next(), markdown.lines().next());
    let heading = "</code>: 1 to set, 1 to change, 1 to send again; 1 skipped";
    assert!(
        printed.lines().nth(1).unwrap().ends_with(heading),
        "{printed}"
    );

    let report: Value = serde_json::from_str(&lab.read("report.json")).unwrap();
    let fits = schema("gitlab-report");
    assert_fits(&fits, &report);
    assert_closed(&fits, &report);
    assert_eq!(
        report,
        serde_json::json!({ "create": 2, "update": 1, "delete": 0 })
    );
}

#[test]
fn an_apply_is_told_to_every_pipeline() {
    let lab = lab_with_changes();
    lab.write("apply.md", "<!-- drspass:apply:x -->\nof an earlier run\n");
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.M00304"));
    let told = step(
        &lab,
        &["apply", "--auto-approve", "--markdown", "apply.md"],
        3,
    );
    assert_shown!("github_apply", &told.run.stdout);
    assert!(
        told.run
            .stdout
            .lines()
            .last()
            .unwrap()
            .starts_with("Result: 2 applied, 1 refused")
    );
    assert_eq!(told.output("has_changes"), "true");
    assert_eq!(told.output("plan_id"), "");
    assert_eq!(told.output("change_id").len(), 64);
    assert_eq!(told.output("applied"), "2");
    assert_eq!(told.output("refused"), "1");
    assert_eq!(told.output("exit_code"), "3");
    assert_shown!("markdown_apply", &told.summary);
    assert_eq!(lab.read("apply.md"), told.summary);

    let run = lab
        .apply(&["--markdown", "-", "--resend", "stock"])
        .exits(3);
    assert!(run.stdout.starts_with("<!-- drspass:apply:"));
    let heading = "</code>: 2 applied; 1 skipped";
    assert!(
        run.stdout.lines().nth(1).unwrap().ends_with(heading),
        "{}",
        run.stdout
    );
    assert!(run.stderr.contains("Plan for "), "{}", run.stderr);
}

#[test]
fn a_saved_plan_is_named_by_what_applies_it() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let planned = step(&lab, &["plan", "--out", "plan.json"], 0);
    let applied = step(&lab, &["apply", "plan.json"], 0);
    for name in ["has_changes", "plan_id", "change_id"] {
        assert_eq!(planned.output(name), applied.output(name));
    }
    assert!(applied.summary.contains(planned.output("plan_id")));
    let again = step(&lab, &["apply", "plan.json"], 5);
    assert_eq!(again.output("exit_code"), "5");
    assert_eq!(again.commands().len(), 1);
    assert!(again.commands()[0].starts_with("::error title=drspass apply::"));
    assert!(again.summary.starts_with("<!-- drspass:apply:"));
    assert!(again.summary.contains(": apply failed, nothing was sent"));
}

#[test]
fn nothing_to_do_is_told_as_such() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.apply(&[]).exits(0);
    let told = step(&lab, &["plan", "--terraform-summary"], 0);
    assert_eq!(told.output("has_changes"), "false");
    assert_eq!(told.output("plan_id"), "");
    assert!(
        told.commands()
            .iter()
            .all(|command| !command.contains("title="))
    );
    assert_eq!(
        told.run.stdout.lines().last(),
        Some("No changes. Your infrastructure matches the configuration.")
    );
    let told = step(&lab, &["apply", "--auto-approve"], 0);
    assert_eq!(told.output("has_changes"), "false");
    assert_eq!(told.output("applied"), "0");
    assert_eq!(told.output("exit_code"), "0");
    assert!(told.summary.contains("</code>: nothing to do\n"));

    // What is held is a change, though nothing would be sent.
    lab.passwords(&[(J1, "source", "canary-2")]);
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.KE0002"));
    lab.apply(&[]).exits(1);
    let run = lab
        .run(&["plan", "--terraform-summary", "--detailed-exitcode"])
        .exits(2);
    assert!(
        run.stdout
            .ends_with("\nPlan: 0 to add, 0 to change, 0 to destroy.\n")
    );
}

#[test]
fn nothing_is_sent_whose_result_could_not_be_told() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let run = lab
        .apply(&["--github"])
        .exits(1)
        .says("--github needs GITHUB_OUTPUT, which is not set");
    assert_eq!(run.stdout.lines().count(), 1);
    let annotation = "::error title=drspass apply::--github needs GITHUB_OUTPUT, which is not set";
    assert!(run.stdout.starts_with(annotation), "{}", run.stdout);
    let mut command = lab.command(&["apply", "--auto-approve", "--github"]);
    command
        .env("GITHUB_OUTPUT", lab.path("o"))
        .env("GITHUB_STEP_SUMMARY", lab.path("no/s"));
    lab.run_command(command).exits(1).says("cannot write");

    symlink(lab.path("drspass.yaml"), lab.path("link.md")).unwrap();
    symlink(lab.path("nothing"), lab.path("dangling.md")).unwrap();
    lab.write("mine.md", "# not of drspass\n");
    fs::create_dir(lab.path("folder")).unwrap();
    let before = lab.read("drspass.yaml");
    for place in [
        "passwords.yaml.age",
        "drspass.yaml",
        "mine.md",
        "link.md",
        "dangling.md",
        "folder",
        "new/",
        "missing/a.md",
        "/dev/stdout",
    ] {
        for command in [&["apply", "--auto-approve"][..], &["plan"]] {
            let run = lab
                .run(&[command, &["--markdown", place]].concat())
                .exits(1);
            assert!(
                run.stderr.contains("error: cannot write"),
                "{place}: {}",
                run.all()
            );
            assert_eq!(run.stdout, "");
        }
        lab.run(&["plan", "--gitlab-report", place]).exits(1);
    }
    assert_eq!(lab.read("drspass.yaml"), before);
    assert_eq!(lab.read("mine.md"), "# not of drspass\n");
    assert!(!lab.exists("nothing") && !lab.exists("drspass.state.json"));
    assert_eq!(lab.sim.connections(), 0);
}

#[test]
fn options_that_want_the_same_stream_are_a_wrong_command_line() {
    let lab = Lab::new();
    for args in [
        &["plan", "--github", "--json"][..],
        &["plan", "--terraform-summary", "--json"],
        &["plan", "--markdown", "-", "--json"],
        &["plan", "--markdown", "-", "--github"],
        &["plan", "--markdown", "-", "--diff"],
        &["plan", "--markdown", "-", "--terraform-summary"],
        &["apply", "--github", "--json"],
        &["apply", "--markdown", "-", "--json"],
        &["apply", "--markdown", "-", "--github"],
    ] {
        let run = lab.run(args).exits(64);
        assert_eq!(run.stdout, "", "{args:?}");
    }
}

#[test]
fn a_run_that_fails_leaves_no_result_of_an_earlier_one() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let args = [
        "plan",
        "--markdown",
        "plan.md",
        "--gitlab-report",
        "report.json",
    ];
    step(&lab, &args, 0);
    assert!(lab.exists("report.json"));
    let told = step(&lab, &[&args[..], &["--only", "nobody"]].concat(), 1);
    assert!(!lab.exists("report.json"));
    assert_eq!(lab.read("plan.md"), told.summary);
    assert_shown!("markdown_failed", &told.summary);
    assert_eq!(told.commands().len(), 1);
    assert!(told.commands()[0].starts_with("::error title=drspass plan::"));
    assert_eq!(told.outputs, "");

    // Problems of a document are told by their place.
    lab.configure("apply: { paralelism: 4, batch_size: 0 }");
    let told = step(&lab, &args, 1);
    assert!(told.summary.contains("apply.batch"), "{}", told.summary);
    assert!(told.commands()[0].contains("apply.batch_size"));
    let config = lab
        .read("drspass.yaml")
        .replace("apply: { par", "# apply: { par");
    lab.write("drspass.yaml", config);

    // Nor does a run that is killed.
    lab.apply(&["--markdown", "a.md", "--resend", "*"]).exits(0);
    assert!(lab.read("a.md").contains("1 applied"));
    let again = [
        "apply",
        "--auto-approve",
        "--markdown",
        "a.md",
        "--resend",
        "*",
    ];
    lab.killed_at("replace.before_rename", 1, &again);
    assert!(!lab.exists("a.md"));

    let args = ["apply", "--markdown", "a.md", "--resend", "*"];
    let told = step(&lab, &args, 7);
    assert!(
        lab.read("a.md")
            .contains("cannot ask for approval without a terminal")
    );
    assert_eq!(told.output("exit_code"), "7");
    let args = ["apply", "--markdown", "-", "--resend", "*"];
    let run = lab.run(&args).exits(7);
    assert!(run.stdout.starts_with("<!-- drspass:apply:"));
    assert!(run.stdout.contains(": apply failed, nothing was sent"));
    // No file in between stays behind.
    let names: Vec<_> = fs::read_dir(lab.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".tmp"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn what_a_step_wrote_before_stays_and_a_full_summary_stays_as_it_is() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let run = |summary: &str| {
        lab.write("o", "mine=1");
        lab.write("s", summary);
        let mut command = lab.command(&["plan", "--github"]);
        command
            .env("GITHUB_OUTPUT", "o")
            .env("GITHUB_STEP_SUMMARY", "s");
        lab.run_command(command).exits(0)
    };
    run("# mine");
    assert!(lab.read("s").starts_with("# mine\n<!-- drspass:plan:"));
    assert!(lab.read("o").starts_with("mine=1\nhas_changes<<"));
    let full = "x".repeat((1 << 20) - 100);
    assert!(run(&full).stderr.contains("the step summary is full"));
    assert_eq!(lab.read("s"), full);
}

#[test]
fn a_plan_whose_outputs_cannot_be_written_is_told_where_it_can_be() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.write("s", "");
    let mut command = lab.command(&["plan", "--github", "--markdown", "plan.md"]);
    command
        .env("GITHUB_OUTPUT", "/dev/full")
        .env("GITHUB_STEP_SUMMARY", lab.path("s"));
    let run = lab.run_command(command).exits(1);
    let annotation = "::error title=drspass plan::cannot write /dev/full";
    assert!(run.stdout.starts_with(annotation), "{}", run.stdout);
    assert_eq!(run.stdout.lines().count(), 1);
    let page = lab.read("s");
    let heading = "</code>: plan failed, nothing was sent";
    assert!(page.lines().nth(1).unwrap().ends_with(heading), "{page}");
    assert_eq!(lab.read("plan.md"), page);
}

#[test]
fn a_state_that_cannot_be_saved_is_the_first_annotation() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    for name in ["o", "s"] {
        lab.write(name, "");
    }
    let mut command = lab.command(&["apply", "--auto-approve", "--github"]);
    command
        .env("GITHUB_OUTPUT", "o")
        .env("GITHUB_STEP_SUMMARY", "s")
        .env("DRSPASS_TEST_FAIL_AT", "replace:2");
    let run = lab.run_command(command).exits(8);
    let annotation = run
        .stdout
        .lines()
        .find(|line| line.starts_with("::error"))
        .unwrap();
    assert!(
        annotation.starts_with("::error title=state not saved::"),
        "{annotation}"
    );
    assert!(annotation.contains("drspass state recover"));
    assert!(lab.read("s").contains("state recover"));
    assert!(lab.read("o").contains("\n8\n"));
}
