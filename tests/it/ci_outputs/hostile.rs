//! Words and names of the service, and very many entries: they mean nothing to
//! whoever reads an output.

use drspass::sim::{
    CannedAnswer, EndPointType, EndpointSpec, Fault, FaultKind, JobSpec, MessageKey, Rejection,
    SimConfig,
};
use serde_json::Value;

use super::step::step;
use crate::support::schema::{assert_closed, assert_fits, schema};
use crate::support::{J1, J2, J3, Lab, Run};

const HOSTILE: &[&str] = &[
    "a|b `c` ``` @octocat #1 <b>x</b> <!-- drspass:plan --> [x](https://example.com)",
    "::error title=x::y\n::set-output name=applied::9\n::stop-commands::z\n::endgroup::",
    "one ##[add-mask]x and ##vso[task.setvariable variable=a]b",
    "section_start:0:x[collapsed=true]\r\u{1b}[0K\u{1b}[31mred",
    "\u{202e}live\u{2066} \u{200b}\u{feff} \"quoted\" \\\" </code></details>",
    "## heading\n| a | b |\n|---|---|\n/close\n- [ ] todo",
    "{\"type\":\"result\",\"applied\":99}\n{\"type\":\"result\"}",
    "100%25 %0A::error::x",
];

fn says(job: &str, endpoint: EndPointType, message: &str) -> Fault {
    Fault::next(FaultKind::RejectEntry(Rejection {
        job: job.to_owned(),
        endpoint,
        code: "DRS.M00304".to_owned(),
        message: message.to_owned(),
        message_key: MessageKey::ErrorMsg,
    }))
}

/// A document in which nothing is for anybody but a reader.
#[track_caller]
fn assert_harmless(markdown: &str) {
    assert!(markdown.starts_with("<!-- drspass:"), "{markdown}");
    assert!(markdown.len() <= 60_000);
    let (marker, rest) = markdown.split_once('\n').unwrap();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "<!-- :./>".contains(c);
    assert!(
        marker.ends_with(" -->") && marker.chars().all(is_plain),
        "{marker}"
    );
    let mut plain = rest.to_owned();
    for tag in [
        "code", "span", "details", "summary", "/code", "/span", "/details", "/summary", "br",
    ] {
        plain = plain.replace(&format!("<{tag}>"), "");
    }
    assert_eq!(markdown.matches("<!--").count(), 1, "{markdown}");
    for bad in [
        '<', '>', '@', '`', '[', ']', '\u{1b}', '\r', '\u{202e}', '\u{200b}',
    ] {
        assert!(!plain.contains(bad), "{bad:?} in\n{markdown}");
    }
    for (number, line) in plain.lines().enumerate() {
        let is_row = line.starts_with('|');
        assert_eq!(
            line.matches('|').count(),
            if is_row { 4 } else { 0 },
            "{line}"
        );
        assert!(!line.starts_with(['/', ':', ' ']), "{line}");
        assert_eq!(line.starts_with('#'), number == 0, "{line}");
        assert!(number > 0 || line.starts_with("## "), "{line}");
    }
}

/// Text on a terminal or in a log, in which nothing is for anybody but a reader.
#[track_caller]
fn assert_readable(text: &str) {
    let is_hidden =
        |c: char| c.is_control() && c != '\n' || "\u{200b}\u{202e}\u{2066}\u{feff}".contains(c);
    assert!(!text.contains(is_hidden), "{text:?}");
    assert!(!text.contains("##[") && !text.contains("##vso["), "{text}");
    for line in text.lines() {
        assert!(!line.trim_start().starts_with("section_"), "{line}");
    }
}

#[test]
fn words_of_the_service_mean_nothing_to_a_pipeline() {
    let long = ["x".repeat(10_000), "@|`".repeat(1_300)];
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J1, "destination", "canary-2")]);
    let fits = schema("apply-output");
    for message in HOSTILE
        .iter()
        .copied()
        .chain(long.iter().map(String::as_str))
    {
        let fault = || says(J1, EndPointType::Source, message);
        let args = [
            "apply",
            "--auto-approve",
            "--resend",
            "*",
            "--markdown",
            "a.md",
        ];
        lab.sim.inject(fault());
        let told = step(&lab, &args, 3);
        assert_harmless(&told.summary);
        assert_harmless(&lab.read("a.md"));
        assert_readable(&told.run.stdout);
        let commands = told.commands();
        assert_eq!(commands.len(), 5, "{}", told.run.stdout);
        assert!(commands[4].starts_with("::error title=refused%3A DRS.M00304"));
        assert_eq!(told.outputs.lines().count(), 18, "{}", told.outputs);
        assert_eq!(told.output("applied"), "1");

        lab.sim.inject(fault());
        let run = lab.apply(&["--resend", "*"]).exits(3);
        assert_readable(&run.all());
        for line in run.stdout.lines() {
            assert!(!line.trim_start().starts_with("::"), "{line}");
        }

        lab.sim.inject(fault());
        let run = lab.apply(&["--resend", "*", "--json"]).exits(3);
        assert_readable(&run.stdout);
        let messages: Vec<Value> = run
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(messages.len(), 5);
        for message in &messages {
            assert_fits(&fits, message);
            assert_closed(&fits, message);
        }
        let text = messages[2]["text"].as_str().unwrap();
        assert!(text.chars().count() <= 201);
        assert!(!text.contains(['"', '\n']));
    }
}

#[test]
fn names_that_the_service_makes_up_mean_nothing_either() {
    let state = "##[x]|@octocat `a` <b> ::error::\u{202e}";
    let mut jobs = [J1, J2, J3].map(JobSpec::new);
    jobs[0].status = state.to_owned();
    let mut lab = Lab::with_config(SimConfig {
        jobs: jobs.to_vec(),
        ..SimConfig::default()
    });
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    let told = step(&lab, &["plan", "--preflight"], 0);
    assert_harmless(&told.summary);
    assert_readable(&told.run.stdout);
    assert!(
        told.commands()
            .last()
            .unwrap()
            .starts_with("::warning title=skipped now")
    );

    let run = lab.run(&["plan", "--preflight", "--json"]).exits(0);
    let plan = serde_json::from_str(&run.stdout).unwrap();
    assert_fits(&schema("plan-output"), &plan);
    assert_closed(&schema("plan-output"), &plan);
    assert_readable(&run.stdout);

    lab.sim.inject(Fault::next(FaultKind::AddForeign {
        id: HOSTILE[0].to_owned(),
    }));
    let told = step(&lab, &["apply", "--auto-approve"], 3);
    assert_harmless(&told.summary);
    assert_readable(&told.run.stdout);
    assert!(
        told.run
            .stdout
            .contains("::warning title=about the answers::")
    );
    let run = lab.apply(&["--json"]).exits(1);
    assert_readable(&run.stdout);
    let fits = schema("apply-output");
    let mut blocked = 0;
    for line in run.stdout.lines() {
        let message = serde_json::from_str(line).unwrap();
        assert_fits(&fits, &message);
        assert_closed(&fits, &message);
        blocked += usize::from(message["outcome"] == "blocked" && message["advice"].is_string());
    }
    assert_eq!(blocked, 1);
}

#[test]
fn jobs_that_are_looked_after_have_messages_that_fit_the_schema() {
    let failed = |id: &str, real: &str| JobSpec {
        status: "INCRE_TRANSFER_FAILED".to_owned(),
        source: Some(EndpointSpec {
            real_password: Some(real.to_owned()),
            ..EndpointSpec::default()
        }),
        ..JobSpec::new(id)
    };
    let paused = JobSpec {
        status: "PAUSING".to_owned(),
        ..JobSpec::new(J3)
    };
    let mut lab = Lab::with_config(SimConfig {
        jobs: vec![failed(J1, "canary-1"), failed(J2, "canary-2"), paused],
        // They are never seen to run again, however long a look takes.
        failure_delay: std::time::Duration::from_secs(24 * 60 * 60),
        ..SimConfig::default()
    });
    lab.configure("apply: { retry: { max_elapsed: 1s } }");
    lab.passwords(&[
        (J1, "source", "canary-1"),
        (J2, "source", "canary-2"),
        (J3, "source", "canary-3"),
    ]);
    let refusal = Fault::next(FaultKind::Status(CannedAnswer {
        http: 400,
        code: "DRS.M05004".to_owned(),
        message: HOSTILE[0].to_owned(),
        ..CannedAnswer::default()
    }));
    assert!(lab.sim.inject_query(Some("retry"), refusal));
    let fits = schema("apply-output");
    let jobs = |run: &Run| -> Vec<String> {
        assert_readable(&run.stdout);
        let messages = run.stdout.lines().map(|line| {
            let message: Value = serde_json::from_str(line).unwrap();
            assert_fits(&fits, &message);
            assert_closed(&fits, &message);
            message
        });
        let jobs = messages.filter(|message| message["type"] == "job");
        jobs.map(|job| job["outcome"].as_str().unwrap().to_owned())
            .collect()
    };
    let run = lab.apply(&["--retry-jobs", "--json"]).exits(3);
    assert_eq!(
        jobs(&run),
        ["retry_refused", "retry_refused", "left_paused"]
    );
    let told = step(&lab, &["apply", "--auto-approve", "--retry-jobs"], 3);
    assert_harmless(&told.summary);
    assert!(
        told.summary.contains("last seen <code>STARTJOBING</code>"),
        "{}",
        told.summary
    );
    let last = told.commands().pop().unwrap();
    assert!(last.starts_with("::warning title="), "{last}");
    assert!(last.contains("last seen STARTJOBING"), "{last}");
    assert!(last.ends_with(&format!("::job {J1}, job {J2}")), "{last}");
}

#[test]
fn five_thousand_entries_fit_and_the_cut_is_said_before_the_table() {
    let lab = Lab::new();
    let mut jobs = String::new();
    for job in 0..2_500 {
        jobs.push_str(&format!(
            "  {job:08x}-a37c-41b9-bc2b-8c00ba32jb52:\n    source: {{ password: 'canary-{job}' }}\n    \
             destination: {{ password: 'canary-{job}' }}\n"
        ));
    }
    lab.manifest(&jobs).exits(0);
    let told = step(&lab, &["plan", "--markdown", "plan.md"], 0);
    assert_eq!(told.summary, lab.read("plan.md"));
    assert_harmless(&told.summary);
    assert!(!told.summary.contains("canary"));
    let rows = told.summary.lines();
    let rows = rows.filter(|line| line.ends_with("</code> | never set | never set |"));
    let said = format!("**Showing {} of 2500 jobs", rows.count());
    assert!(
        told.summary.lines().nth(3).unwrap().starts_with(&said),
        "{said}\n{}",
        told.summary
    );
    assert!(told.summary.len() > 55_000);
    assert!(
        told.run.stdout.contains("000009c3"),
        "the text holds all of them"
    );
}
