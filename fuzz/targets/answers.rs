//! Answers of the service to a change of passwords: none repeats what was sent, an entry
//! is applied only if a result says so in plain words, and no word steers a pipeline.
#![no_main]

use std::sync::LazyLock;

use drspass::core::fingerprint::{ChangeId, Scope};
use drspass::core::job::Endpoint;
use drspass::core::manifest::{Assignment, Manifest};
use drspass::core::outcome::{Outcome, match_results};
use drspass::core::plan::{Counts, Plan};
use drspass::core::report::{ApplyReport, PlanReport};
use drspass::view::text::Colour;
use drspass::view::{ci, markdown, text};
use drspass_fuzz::{CANARY, answers, assert_harmless, assert_quiet, in_time, part, parts};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| {
    let text = format!(
        "version: 1\njobs:\n  25df459d-a37c-41b9-bc2b-8c00ba32jb52:\n    source: {{ password: \"{CANARY}\" }}\n    destination: {{ password: \"{CANARY}\" }}\n"
    );
    drspass::core::manifest::parse(&text, drspass::core::manifest::Sealing::Optional)
        .value
        .expect("valid")
});

/// A report of what was sent names a plan only for its target and id.
static PLAN: LazyLock<PlanReport> = LazyLock::new(|| PlanReport {
    rollback: None,
    counts: Counts::default(),
    plan: Plan {
        entries: Vec::new(),
        in_sync: 0,
        not_selected: 0,
        unlisted: Vec::new(),
        requests: 1,
    },
    blocked: std::collections::BTreeMap::new(),
    scope: Scope {
        endpoint: "https://drs.example.com".to_owned(),
        project_id: "p".to_owned(),
    },
    environment: None,
    change_id: ChangeId::parse(&"ab".repeat(32)).expect("valid"),
    saved: None,
    notes: Vec::new(),
});

fuzz_target!(|data: &[u8]| {
    let Some(parts) = parts(data) else { return };
    let body = part(&parts, 0);
    let chosen = part(&parts, 1).first().copied().unwrap_or_default();
    let statuses = [
        200, 202, 400, 401, 403, 404, 408, 409, 422, 429, 500, 503, 504, 301,
    ];
    let status = statuses[usize::from(chosen) % statuses.len()];
    let entries: Vec<&Assignment> = MANIFEST.assignments().iter().collect();
    in_time(|| {
        let (reply, notes) = answers::reply(&entries, status, body.to_vec());
        notes.iter().for_each(assert_quiet);
        let Some(reply) = reply else { return };
        assert!(!format!("{reply:?}").contains(CANARY), "{reply:?}");
        let keys: Vec<_> = entries.iter().map(|entry| entry.key.clone()).collect();
        let matched = match_results(&keys, &reply);
        let mut report = ApplyReport::default();
        for (entry, outcome) in entries.iter().zip(matched.outcomes) {
            if outcome == Outcome::Applied {
                assert!(matches!(status, 200..=202 | 400 | 422), "{status}");
                assert!(says_success(body, entry), "{}", entry.key);
            }
            report.entries.push((entry.label.clone(), outcome));
        }
        report.findings = matched.findings.iter().map(ToString::to_string).collect();
        report.findings.extend(notes);
        let text = text::apply(&report, Colour::Off);
        assert_quiet(&text);
        let page = markdown::apply("root", &PLAN, &report);
        assert!(!page.contains(CANARY));
        let log = ci::github_apply(&report, &text, "t0ken");
        let obeyed = log
            .lines()
            .filter(|line| line.trim_start().starts_with("::"));
        let known = |line: &str| {
            [
                "::group::",
                "::endgroup::",
                "::stop-commands::t0ken",
                "::t0ken::",
                "::error ",
                "::warning ",
            ]
            .iter()
            .any(|start| line.starts_with(start))
        };
        obeyed.for_each(|line| assert!(known(line), "{line}"));
        for line in log.lines().filter(|line| line.starts_with("::")) {
            assert_harmless(line.trim_start_matches(':'));
        }
    });
});

/// Whether the only result for an entry is one word of success.
fn says_success(body: &[u8], entry: &Assignment) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let Ok(Value::Object(answer)) = serde_json::from_slice(body) else {
        return false;
    };
    let name = match entry.key.endpoint {
        Endpoint::Source => "so",
        Endpoint::Destination => "ta",
    };
    let rows = answer.get("results").and_then(Value::as_array);
    let mine: Vec<&Value> = rows
        .into_iter()
        .flatten()
        .filter(|row| row["id"] == entry.key.job.as_str() && row["end_point_type"] == name)
        .collect();
    let is_success = |row: &Value| {
        row["status"]
            .as_str()
            .is_some_and(|word| word.eq_ignore_ascii_case("success"))
    };
    mine.len() == 1 && is_success(mine[0])
}
