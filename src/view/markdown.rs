//! Markdown for comments on change requests and for summaries of jobs.
//!
//! Rules of this output: a hidden marker comes first, by which a bot finds its own
//! comment again, and never one about another root directory; then the target and the
//! counts; then, before anything else, what was left out for
//! want of space. Everything that is no literal of this module goes through
//! [`code`]. What says nothing new is folded.
//!
//! Somebody else may have written what is shown, and it will be read by a renderer that
//! makes tables, links and mentions, and that obeys lines which start with a slash. So it
//! stands on one line, behind a tag of ours, in a `<code>` element, where renderers look
//! neither for mentions nor for references; and every character that could mean something
//! is a numeric reference, which a renderer shows and never obeys.

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

/// An apply. What names its plan is known from the moment the plan was made.
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

/// What is shown first, and a line of the table.
type MarkdownRow = (Rank, String);

fn row(rank: Rank, mark: char, label: &str, words: &[String]) -> MarkdownRow {
    let mark = code(&mark.to_string());
    let line = format!("| {mark} | {} | {} |\n", code(label), lines(words));
    (rank, line)
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
                "**Showing {shown} of {total} entries: there is no space for more. \
                 What went wrong or is left out comes first.**\n"
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
        let notes = counted(left_out, "more note", "more notes");
        let _ = writeln!(text, "- {notes} left out");
    }
    match text.is_empty() {
        true => text,
        false => format!("\nNotes:\n\n{text}"),
    }
}

/// Characters that are kept of one text.
const MAX_CHARS: usize = 400;

/// A text as one harmless piece of a line or of a cell.
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

/// Several lines as one piece.
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
