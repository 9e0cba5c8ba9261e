//! Markdown for comments on change requests and for job summaries.
//!
//! A hidden marker comes first, by which a bot finds its own comment again and never one about
//! another root directory; then the target and the counts; then what was cut for want of space.
//! Repeated information is folded.
//!
//! Other people may have written what is shown, and renderers make tables, links and mentions of
//! it and obey lines that start with a slash. So [`code`] puts everything that is not a literal of
//! this module on one line in a `<code>` element, which has no mentions or references, and writes
//! every special character as a numeric reference, which is shown and never obeyed.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::entry::{
    JobLine, OutcomeLine, PlanLine, Rank, apply_notes, counted, plan_counts, plan_notes,
    rollback_words, totals_words,
};
use super::json_v1::ErrorOut;
use crate::core::fingerprint::Scope;
use crate::core::redact::is_unfit;
use crate::core::report::{ApplyReport, PlanReport};

/// The most bytes of a document: GitHub takes 65,536 characters in a comment, and a bot may have
/// something to add.
pub const MAX_BYTES: usize = 60_000;

/// The start of every document, before the names of the command and of the root directory.
pub const MARKER: &str = "<!-- drspass:";

/// The most bytes of notes: they must not crowd out the entries.
const MAX_NOTE_BYTES: usize = 12_000;

/// The bytes reserved for everything but rows, facts and notes.
const FRAME_BYTES: usize = 1_000;

/// Renders a plan. `place` is the root directory as it is named in its work tree.
pub fn plan(place: &str, report: &PlanReport) -> String {
    let mut facts = name(report);
    if let Some(saved) = &report.saved {
        let at = |time: Timestamp| code(&format!("{time:.0}"));
        facts.push(format!(
            "made {}, expires {}",
            at(saved.created),
            at(saved.expires)
        ));
    }
    let rows = report.plan.changes().map(|entry| {
        let line = PlanLine::of(entry);
        let (mut rank, mut words) = (line.rank, vec![line.words]);
        if let Some(why) = report.blocked.get(&entry.key) {
            rank = rank.min(Rank::LeftOut);
            words.extend([format!("blocked now: {why}"), why.advice()]);
        }
        row(rank, line.mark, &entry.label, &words)
    });
    let back = rollback_words(report).map_or_else(String::new, |words| words + ". ");
    let page = MarkdownPage {
        command: "plan",
        place,
        title: format!("{back}Plan for {}", target(&report.scope)),
        counts: plan_counts(report),
        facts,
        rows: rows.collect(),
        notes: plan_notes(report),
    };
    page.render()
}

/// Renders an apply. The name of its plan is known once the plan is made.
pub fn apply(place: &str, plan: Option<&PlanReport>, report: &ApplyReport) -> String {
    let mut facts = plan.map_or_else(Vec::new, name);
    facts.push(counted(report.requests, "request", "requests"));
    let rows = report.entries.iter().map(|(label, outcome)| {
        let line = OutcomeLine::of(outcome);
        row(line.rank, line.mark, label, &line.lines())
    });
    let jobs = report.jobs.iter().map(|job| {
        let line = JobLine::of(&job.result);
        format!("job {}: {}", job.label, line.lines.join(". "))
    });
    let page = MarkdownPage {
        command: "apply",
        place,
        title: plan.map_or_else(
            || "Apply".to_owned(),
            |plan| format!("Apply to {}", target(&plan.scope)),
        ),
        counts: format!("{}.", totals_words(report.totals())),
        facts,
        rows: rows.collect(),
        notes: jobs.chain(apply_notes(report)).collect(),
    };
    page.render()
}

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

fn name(plan: &PlanReport) -> Vec<String> {
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

/// Its rank, and a line of the table.
type MarkdownRow = (Rank, String);

fn row(rank: Rank, mark: char, label: &str, words: &[String]) -> MarkdownRow {
    let mark = code(&mark.to_string());
    let line = format!("| {mark} | {} | {} |\n", code(label), lines(words));
    (rank, line)
}

/// A document before it is cut to size. Title, facts and counts are Markdown already; place and
/// notes are not.
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
        let facts = self.facts.iter().map(|fact| format!("- {fact}\n"));
        let facts: String = facts.collect();
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
                "**Showing {shown} of {total} entries for want of space. \
                 Failed and skipped entries come first.**\n"
            );
        }
        page.push_str(&facts);
        if shown > 0 {
            let count = counted(shown, "entry", "entries");
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

/// Returns a place as written in a comment, which it cannot end: equal only for equal places.
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

/// Returns the number of rows that fit into `space` bytes, and the rows: all in order, or else the
/// most important ones.
fn fitting(mut rows: Vec<MarkdownRow>, space: usize) -> (usize, String) {
    if rows.iter().map(|(_, line)| line.len()).sum::<usize>() > space {
        rows.sort_by_key(|(rank, _)| *rank);
    }
    let (mut shown, mut text) = (0, String::new());
    for (_, line) in rows {
        if text.len() + line.len() <= space {
            text.push_str(&line);
            shown += 1;
        }
    }
    (shown, text)
}

fn render_notes(notes: &[String]) -> String {
    let mut text = String::new();
    let mut not_shown = 0;
    for note in notes {
        let line = format!("- {}\n", lines([note]));
        if text.len() + line.len() <= MAX_NOTE_BYTES {
            text.push_str(&line);
        } else {
            not_shown += 1;
        }
    }
    if not_shown > 0 {
        let notes = counted(not_shown, "more note", "more notes");
        let _ = writeln!(text, "- {notes} not shown");
    }
    match text.is_empty() {
        true => text,
        false => format!("\nNotes:\n\n{text}"),
    }
}

/// The most characters of one text.
const MAX_CHARS: usize = 400;

/// Returns a text as one harmless piece of a line or of a cell.
pub fn code(text: &str) -> String {
    let mut piece = "<code>".to_owned();
    let mut last = ' ';
    for (count, c) in text.chars().enumerate() {
        if count == MAX_CHARS {
            piece.push('…');
            break;
        }
        if is_unfit(c) {
            let name = c.escape_default();
            name.for_each(|c| push(&mut piece, c, ' '));
        } else {
            push(&mut piece, c, last);
        }
        last = c;
    }
    piece.push_str("</code>");
    piece
}

/// Returns several lines as one piece.
pub fn lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> String {
    let pieces: Vec<String> = lines
        .into_iter()
        .flat_map(|text| {
            let lines = text.as_ref().lines();
            lines.map(|line| code(line.trim())).collect::<Vec<_>>()
        })
        .collect();
    pieces.join("<br>")
}

fn push(piece: &mut String, c: char, last: char) {
    match c {
        // Some renderers look for addresses of mail once references are resolved, but
        // not across an element.
        '@' => piece.push_str("<span>&#64;</span>"),
        // `www.` begins a link.
        '.' if last.eq_ignore_ascii_case(&'w') => piece.push_str("&#46;"),
        ' ' | '-' | '/' | ',' | '.' | '(' | ')' | ';' | '\'' => piece.push(c),
        c if c.is_ascii_alphanumeric() || !c.is_ascii() => piece.push(c),
        c => piece.push_str(&format!("&#{};", u32::from(c))),
    }
}

#[cfg(test)]
mod tests;
