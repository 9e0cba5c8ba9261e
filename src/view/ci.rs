//! Output for pipelines: commands and outputs of GitHub's runner, GitLab's plan report, and the
//! line that scrapers of Terraform's output look for.
//!
//! A runner obeys lines of a log that look like its commands. So text for people is printed with
//! commands switched off, and text inside a command is escaped as the runner requires.

use std::fmt::Write as _;

use super::entry::{
    JobLine, OutcomeLine, PlanLine, Rank, plan_counts, rollback_words, saved_notes, totals_words,
};
use super::json_v1::ErrorOut;
use crate::core::job::some_of;
use crate::core::plan::Action;
use crate::core::redact::for_log;
use crate::core::report::{ApplyReport, PlanReport, StateSaved};

/// GitHub shows at most this many annotations of a kind for a step.
const MAX_ANNOTATIONS: usize = 10;

/// The most entries or findings in one annotation.
const MAX_NAMES: usize = 10;

/// Returns the last line of a plan for scrapers of Terraform's output. Nothing is ever destroyed.
pub fn terraform_line(report: &PlanReport) -> String {
    if !report.has_changes() {
        return "No changes. Your infrastructure matches the configuration.\n".to_owned();
    }
    let (create, update) = created_and_updated(report);
    format!("Plan: {create} to add, {update} to change, 0 to destroy.\n")
}

pub fn gitlab_report(report: &PlanReport) -> String {
    let (create, update) = created_and_updated(report);
    format!("{GITLAB_START}{create},\"update\":{update},\"delete\":0}}\n")
}

/// How every report for GitLab begins.
pub const GITLAB_START: &str = "{\"create\":";

fn created_and_updated(report: &PlanReport) -> (usize, usize) {
    let sent = report.plan.sent();
    let sent = sent.filter(|entry| !report.blocked.contains_key(&entry.key));
    let created = sent.filter(|entry| entry.action == Action::Create).count();
    (created, report.counts.sent().saturating_sub(created))
}

struct Annotation {
    rank: Rank,
    /// The entries that it is about.
    names: Vec<String>,
    /// The title first.
    lines: Vec<String>,
}

/// Annotations, merged if they say the same about several entries, the service's words included.
#[derive(Default)]
struct Annotations(Vec<Annotation>);

impl Annotations {
    fn add(&mut self, rank: Rank, label: &str, lines: Vec<String>) {
        let mut known = self.0.iter_mut().rev();
        let is_same = |known: &&mut Annotation| {
            !known.names.is_empty() && known.rank == rank && known.lines == lines
        };
        let names = vec![label.to_owned()];
        match known.find(is_same) {
            Some(known) => known.names.extend(names),
            None => self.0.push(Annotation { rank, names, lines }),
        }
    }

    fn say(&mut self, rank: Rank, title: &str, lines: impl IntoIterator<Item = String>) {
        let (names, title) = (Vec::new(), [title.to_owned()]);
        let lines = title.into_iter().chain(lines).collect();
        self.0.push(Annotation { rank, names, lines });
    }

    fn render(mut self) -> String {
        self.0.sort_by_key(|annotation| annotation.rank);
        let left_out = match self.0.len() {
            all if all > MAX_ANNOTATIONS => all - (MAX_ANNOTATIONS - 1),
            _ => 0,
        };
        let shown = self.0.len() - left_out;
        if left_out > 0 {
            let more = format!("{left_out} more annotations are only in the summary and the log");
            let rank = self.0[shown].rank;
            self.0.truncate(shown);
            self.say(rank, "more of this", [more]);
        }
        self.0.iter().map(Annotation::render).collect()
    }
}

impl Annotation {
    fn render(&self) -> String {
        let names = (!self.names.is_empty()).then(|| some_of(&self.names, MAX_NAMES));
        let mut lines = self.lines.iter().cloned();
        let title = lines.next().unwrap_or_default();
        let lines: Vec<String> = names.into_iter().chain(lines).collect();
        let level = match self.rank {
            Rank::Wrong => "error",
            Rank::LeftOut | Rank::Well => "warning",
        };
        command(level, &title, &lines.join("\n"))
    }
}

fn command(name: &str, title: &str, message: &str) -> String {
    format!("::{name} title={}::{}\n", property(title), data(message))
}

/// Escapes the message of a command, so that it cannot end the command or start another.
fn data(text: &str) -> String {
    let text = for_log(text, false);
    text.replace('%', "%25").replace('\n', "%0A")
}

/// Escapes a property of a command, including colons and commas.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Puts text for people into a group in which no line is taken for a command. `token` must be a
/// word that the text does not contain.
pub fn github_group(title: &str, text: &str, token: &str) -> String {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!(
        "::group::{}\n::stop-commands::{token}\n{}{end}::{token}::\n::endgroup::\n",
        data(title),
        for_log(text, true)
    )
}

pub fn github_plan(report: &PlanReport, text: &str, token: &str) -> String {
    let mut annotations = Annotations::default();
    for entry in report.plan.changes() {
        let label = &entry.label;
        let line = PlanLine::of(entry);
        if line.rank != Rank::Well {
            annotations.add(Rank::LeftOut, label, vec![line.words + line.resend]);
        }
        if let Some(why) = report.blocked.get(&entry.key) {
            let lines = vec![format!("skipped now: {why}"), why.advice()];
            annotations.add(Rank::LeftOut, label, lines);
        }
    }
    for note in &report.notes {
        if let Some(title) = note.title {
            annotations.say(Rank::LeftOut, title, [note.text.clone()]);
        }
    }
    let back = rollback_words(report).map_or_else(String::new, |words| words + ". ");
    let title = format!("Plan: {back}{}", plan_counts(report));
    let group = github_group(&title, text, token);
    group + &annotations.render()
}

pub fn github_apply(report: &ApplyReport, text: &str, token: &str) -> String {
    let mut annotations = Annotations::default();
    if report.saved != StateSaved::InState {
        annotations.say(Rank::Wrong, "state not saved", saved_notes(&report.saved));
    }
    for (label, outcome) in &report.entries {
        let line = OutcomeLine::of(outcome);
        if line.rank != Rank::Well {
            annotations.add(line.rank, label, line.lines());
        }
    }
    for job in report.jobs.iter().filter(|job| !job.result.is_well()) {
        let label = format!("job {}", job.label);
        annotations.add(Rank::LeftOut, &label, JobLine::of(job).lines);
    }
    if !report.findings.is_empty() {
        let findings = report.findings.iter().take(MAX_NAMES).cloned();
        annotations.say(Rank::LeftOut, "about the answers", findings);
    }
    let totals = totals_words(report.totals());
    let group = github_group(&format!("Apply: {totals}"), text, token);
    format!("{group}{}Result: {totals}.\n", annotations.render())
}

pub fn github_error(command_name: &str, error: &ErrorOut, details: &[String]) -> String {
    let mut lines = vec![error.message.clone()];
    lines.extend(details.iter().take(MAX_NAMES).cloned());
    lines.extend(error.help.iter().cloned());
    let title = format!("drspass {command_name}");
    command("error", &title, &lines.join("\n"))
}

pub fn plan_outputs(plan: &PlanReport) -> Vec<(&'static str, String)> {
    let id = plan.saved.as_ref().map(|saved| saved.id.clone());
    vec![
        ("has_changes", plan.has_changes().to_string()),
        ("plan_id", id.unwrap_or_default()),
        ("change_id", plan.change_id.as_str().to_owned()),
    ]
}

pub fn apply_outputs(
    plan: &PlanReport,
    report: &ApplyReport,
    exit_code: u8,
) -> Vec<(&'static str, String)> {
    let totals = report.totals();
    let mut outputs = plan_outputs(plan);
    outputs.extend([
        ("applied", totals.applied.to_string()),
        ("refused", totals.refused.to_string()),
        ("exit_code", exit_code.to_string()),
    ]);
    outputs
}

/// Writes outputs for GitHub's output file, each ended by the unpredictable `delimiter`.
pub fn github_outputs(outputs: &[(&'static str, String)], delimiter: &str) -> String {
    outputs
        .iter()
        .fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, "{name}<<{delimiter}\n{value}\n{delimiter}");
            text
        })
}

#[cfg(test)]
mod tests;
