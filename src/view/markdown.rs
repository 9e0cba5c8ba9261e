//! Markdown for comments on change requests and for summaries of jobs.
//!
//! Rules of this output: a hidden marker comes first, by which a bot finds its own
//! comment again, and never one about another root directory; then the target and the
//! counts; then, before anything else, what was left out for
//! want of space. Everything that is no literal of this module goes through
//! [`text::code`]. What says nothing new is folded.

mod text;

use std::fmt::Write as _;

use jiff::Timestamp;

use super::json::v1::ErrorOut;
use super::terminal;
use crate::core::fingerprint::Scope;
use crate::core::outcome::Outcome;
use crate::core::plan::{Action, PlanEntry, Reason};
use crate::core::report::{ApplyReport, Fate, PlanName, PlanReport};
use crate::core::status::Blocked;
use text::{code, lines};

/// The most bytes of a document: GitHub takes 65,536 characters in a comment, and a
/// bot may have something to add.
pub const MAX_BYTES: usize = 60_000;

/// What every document begins with. The names of the command and of the root directory
/// follow.
pub const MARKER: &str = "<!-- drspass:";

/// The most bytes of notes: they must not crowd out the entries.
const MAX_NOTE_BYTES: usize = 12_000;

/// What the parts of a document besides rows, facts and notes may take.
const FRAME_BYTES: usize = 1_000;

/// A plan. `place` is the root directory as it is named in its work tree.
pub fn plan(place: &str, report: &PlanReport) -> String {
    let mut facts = name(&report.name());
    if let Some(saved) = &report.saved {
        let at = |time: Timestamp| code(&format!("{time:.0}"));
        facts.push(format!(
            "made {}, expires {}",
            at(saved.created),
            at(saved.expires)
        ));
    }
    let shown = report.entries.iter();
    let rows = shown
        .filter(|(_, entry)| entry.action != Action::NoOp)
        .map(|(label, entry)| plan_row(label, entry, report.blocked.get(&entry.key)));
    let page = MarkdownPage {
        command: "plan",
        place,
        title: match terminal::rollback_words(report) {
            Some(words) => format!("{words}. Plan for {}", target(&report.scope)),
            None => format!("Plan for {}", target(&report.scope)),
        },
        counts: terminal::plan_counts(report),
        facts,
        rows: rows.collect(),
        notes: terminal::plan_notes(report),
    };
    page.render()
}

/// An apply. What names its plan is known from the moment the plan was made.
pub fn apply(place: &str, plan: Option<&PlanName>, report: &ApplyReport) -> String {
    let mut facts = plan.map_or_else(Vec::new, name);
    facts.push(terminal::counted(report.requests, "request", "requests"));
    let jobs = report.jobs.iter().map(|job| {
        let (_, lines) = terminal::retry_lines(&job.result);
        format!("job {}: {}", job.label, lines.join(". "))
    });
    let page = MarkdownPage {
        command: "apply",
        place,
        title: plan.map_or_else(
            || "Apply".to_owned(),
            |plan| format!("Apply to {}", target(&plan.scope)),
        ),
        counts: format!("{}.", terminal::totals_words(report.totals())),
        facts,
        rows: report
            .entries
            .iter()
            .map(|(label, fate)| apply_row(label, fate))
            .collect(),
        notes: jobs.chain(terminal::apply_notes(report)).collect(),
    };
    page.render()
}

/// A `plan` or an `apply` that was refused or failed before anything was sent, with
/// what belongs to its error.
pub fn failed(command: &'static str, place: &str, error: &ErrorOut, details: &[String]) -> String {
    let word = if command == "apply" { "Apply" } else { "Plan" };
    let page = MarkdownPage {
        command,
        place,
        title: word.to_owned(),
        counts: "failed, nothing was sent.".to_owned(),
        facts: vec![lines([&error.message])],
        rows: Vec::new(),
        notes: details.iter().chain(&error.help).cloned().collect(),
    };
    page.render()
}

fn name(plan: &PlanName) -> Vec<String> {
    let mut facts = vec![format!("change id {}", code(plan.change_id.as_str()))];
    if let Some(saved) = &plan.saved {
        facts.push(format!("plan id {}", code(&saved.id)));
    }
    facts
}

fn target(scope: &Scope) -> String {
    format!(
        "project {} at {}",
        code(&scope.project_id),
        code(scope.host())
    )
}

/// What is shown first where there is no space for all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It went wrong, or may have.
    Wrong,
    /// It is left out.
    LeftOut,
    /// All is well with it.
    Well,
}

struct MarkdownRow {
    rank: Rank,
    text: String,
}

impl MarkdownRow {
    fn new<T: AsRef<str>>(
        rank: Rank,
        mark: char,
        label: &str,
        words: impl IntoIterator<Item = T>,
    ) -> Self {
        let mark = code(&mark.to_string());
        Self {
            rank,
            text: format!("| {mark} | {} | {} |\n", code(label), lines(words)),
        }
    }
}

fn plan_row(label: &str, entry: &PlanEntry, blocked: Option<&Blocked>) -> MarkdownRow {
    let (mark, words) = terminal::describe(entry);
    let mut words = vec![words];
    let mut rank = match &entry.reason {
        Reason::InDoubt | Reason::LastRefused { .. } => Rank::Wrong,
        Reason::WrongPassword { .. } => Rank::LeftOut,
        _ => Rank::Well,
    };
    if let Some(why) = blocked {
        rank = rank.min(Rank::LeftOut);
        words.push(format!("blocked now: {why}"));
        words.push(why.advice());
    }
    MarkdownRow::new(rank, mark, label, words)
}

fn apply_row(label: &str, fate: &Fate) -> MarkdownRow {
    let rank = match fate {
        Fate::Tried(Outcome::Refused(_) | Outcome::InDoubt(_)) => Rank::Wrong,
        Fate::Tried(Outcome::NotSent(_)) | Fate::Blocked(_) => Rank::LeftOut,
        Fate::Tried(Outcome::Applied) => Rank::Well,
    };
    let (mark, words) = terminal::fate_lines(fate);
    MarkdownRow::new(rank, mark, label, words)
}

/// A document before it is cut to size. Title and facts are Markdown already; the
/// counts have words of ours and numbers alone; place and notes are no Markdown.
struct MarkdownPage<'a> {
    command: &'static str,
    place: &'a str,
    title: String,
    counts: String,
    facts: Vec<String>,
    rows: Vec<MarkdownRow>,
    notes: Vec<String>,
}

impl MarkdownPage<'_> {
    fn render(self) -> String {
        let facts: String = self
            .facts
            .iter()
            .map(|fact| format!("- {fact}\n"))
            .collect();
        let notes = render_notes(&self.notes);
        let marker = marker_name(self.place);
        let name = match self.place.rsplit('/').next() {
            Some("") | None => String::new(),
            Some(name) => format!(" ({})", code(name)),
        };
        let mut page = format!(
            "{MARKER}{}:{marker} -->\n## {}{name}: {}\n\n",
            self.command, self.title, self.counts
        );
        let taken = FRAME_BYTES + page.len() + facts.len() + notes.len();
        let total = self.rows.len();
        let (shown, rows) = fitting(self.rows, MAX_BYTES.saturating_sub(taken));
        if shown < total {
            let _ = writeln!(
                page,
                "**Showing {shown} of {total} entries: there is no space for more. \
                 What went wrong or is left out comes first.**\n"
            );
        }
        page.push_str(&facts);
        if shown > 0 {
            let count = terminal::counted(shown, "entry", "entries");
            let _ = write!(
                page,
                "\n<details><summary>{count}</summary>\n\n\
                 | | entry | what |\n|---|---|---|\n{rows}\n</details>\n"
            );
        }
        page.push_str(&notes);
        page
    }
}

/// A place as it is written in a comment, which nothing in it ends: equal only for
/// equal places.
fn marker_name(place: &str) -> String {
    let mut name = String::new();
    for byte in place.bytes() {
        match char::from(byte) {
            '-' if name.ends_with('-') => name.push_str("%2D"),
            c if c.is_ascii_alphanumeric() || "-_./".contains(c) => name.push(c),
            _ => {
                let _ = write!(name, "%{byte:02X}");
            }
        }
    }
    name
}

/// The rows that fit into `space` bytes, and how many they are: all of them in their
/// order, or else those that matter most.
fn fitting(mut rows: Vec<MarkdownRow>, space: usize) -> (usize, String) {
    if rows.iter().map(|row| row.text.len()).sum::<usize>() > space {
        rows.sort_by_key(|row| row.rank);
    }
    let (mut shown, mut text) = (0, String::new());
    for row in rows {
        if text.len() + row.text.len() <= space {
            text.push_str(&row.text);
            shown += 1;
        }
    }
    (shown, text)
}

fn render_notes(notes: &[String]) -> String {
    let mut text = String::new();
    let mut left_out = 0;
    for note in notes {
        let line = format!("- {}\n", lines([note]));
        if text.len() + line.len() <= MAX_NOTE_BYTES {
            text.push_str(&line);
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        let _ = writeln!(
            text,
            "- {} left out",
            terminal::counted(left_out, "more note", "more notes")
        );
    }
    if text.is_empty() {
        return text;
    }
    format!("\nNotes:\n\n{text}")
}

#[cfg(test)]
mod tests;
