//! Markdown for comments on change requests and for summaries of jobs.
//!
//! Rules of this output: a hidden marker comes first, by which a bot finds its own
//! comment again; then the counts; then, before anything else, what was left out for
//! want of space. Everything that is no literal of this module goes through
//! [`text::code`]. What says nothing new is folded.

mod text;

use std::fmt::Write as _;

use jiff::Timestamp;

use super::json::v1::ErrorOut;
use super::terminal;
use crate::core::outcome::Outcome;
use crate::core::plan::{Action, PlanEntry, Reason};
use crate::core::preflight::Blocked;
use crate::core::report::{ApplyReport, Fate, PlanName, PlanReport};
use text::{code, lines};

/// The most bytes of a document: GitHub takes 65,536 characters in a comment, and a
/// bot may have something to add.
pub const MAX_BYTES: usize = 60_000;

/// What every document begins with. The name of the command follows.
pub const MARKER: &str = "<!-- drspass:";

/// The most bytes of notes: they must not crowd out the entries.
const MAX_NOTE_BYTES: usize = 12_000;

/// What the parts of a document besides rows, facts and notes may take.
const FRAME_BYTES: usize = 1_000;

/// A plan.
pub fn plan(report: &PlanReport) -> String {
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
    let page = Page {
        command: "plan",
        heading: terminal::plan_heading(report),
        facts,
        rows: rows.collect(),
        notes: terminal::plan_notes(report),
    };
    page.render()
}

/// An apply. What names its plan is known from the moment the plan was made.
pub fn apply(plan: Option<&PlanName>, report: &ApplyReport) -> String {
    let mut facts = plan.map_or_else(Vec::new, name);
    facts.push(terminal::counted(report.requests, "request", "requests"));
    let jobs = report.jobs.iter().map(|job| {
        let (_, lines) = terminal::care_lines(&job.care);
        format!("job {}: {}", job.label, lines.join(". "))
    });
    let page = Page {
        command: "apply",
        heading: format!("Apply: {}.", terminal::totals_words(report.totals())),
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
pub fn failed(command: &'static str, error: &ErrorOut, details: &[String]) -> String {
    let word = if command == "apply" { "Apply" } else { "Plan" };
    let page = Page {
        command,
        heading: format!("{word}: failed, nothing was sent."),
        facts: vec![lines([&error.message])],
        rows: Vec::new(),
        notes: details.iter().chain(&error.help).cloned().collect(),
    };
    page.render()
}

fn name(plan: &PlanName) -> Vec<String> {
    let mut facts = vec![
        format!(
            "project {} at {}",
            code(&plan.scope.project_id),
            code(&plan.scope.endpoint)
        ),
        format!("change id {}", code(plan.change_id.as_str())),
    ];
    if let Some(saved) = &plan.saved {
        facts.push(format!("plan id {}", code(&saved.id)));
    }
    facts
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

struct Row {
    rank: Rank,
    text: String,
}

impl Row {
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

fn plan_row(label: &str, entry: &PlanEntry, blocked: Option<&Blocked>) -> Row {
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
    Row::new(rank, mark, label, words)
}

fn apply_row(label: &str, fate: &Fate) -> Row {
    let rank = match fate {
        Fate::Tried(Outcome::Refused(_) | Outcome::InDoubt(_)) => Rank::Wrong,
        Fate::Tried(Outcome::NotSent(_)) | Fate::Blocked(_) => Rank::LeftOut,
        Fate::Tried(Outcome::Applied) => Rank::Well,
    };
    let (mark, words) = terminal::fate_lines(fate);
    Row::new(rank, mark, label, words)
}

/// A document before it is cut to size. The heading holds words of ours and numbers
/// alone; facts are Markdown already; notes are not.
struct Page {
    command: &'static str,
    heading: String,
    facts: Vec<String>,
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Page {
    fn render(self) -> String {
        let facts: String = self
            .facts
            .iter()
            .map(|fact| format!("- {fact}\n"))
            .collect();
        let notes = render_notes(&self.notes);
        let taken = FRAME_BYTES + facts.len() + notes.len();
        let total = self.rows.len();
        let (shown, rows) = fitting(self.rows, MAX_BYTES.saturating_sub(taken));

        let mut page = format!("{MARKER}{} -->\n## {}\n\n", self.command, self.heading);
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

/// The rows that fit into `space` bytes, and how many they are: all of them in their
/// order, or else those that matter most.
fn fitting(mut rows: Vec<Row>, space: usize) -> (usize, String) {
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
