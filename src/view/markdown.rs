//! Markdown for comments on change requests and for job summaries.
//!
//! A hidden marker comes first, by which a bot finds its own comment again and never one about
//! another root directory; then the environment and the result; then what was cut for want of
//! space. A row is a job, advice is said once, and details are folded.
//!
//! Other people may have written what is shown, and renderers make tables, links and mentions of
//! it and obey lines that start with a slash. So [`words`] leaves only plain words as they are,
//! and [`code`] puts everything else on one line in a `<code>` element, which has no mentions or
//! references, and writes every special character as a numeric reference, which is shown and
//! never obeyed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::entry::{
    JobLine, OutcomeLine, PlanLine, Rank, apply_notes, counted, numbers, plan_notes, rollback_words,
};
use super::json_v1::ErrorOut;
use crate::core::job::some_of;
use crate::core::redact::is_unfit;
use crate::core::report::{ApplyReport, PlanReport, StateSaved};
use crate::core::state::minute;

/// The most bytes of a document: GitHub takes 65,536 characters in a comment, and a bot may have
/// something to add.
pub const MAX_BYTES: usize = 60_000;

/// The start of every document, before the names of the command and of the root directory.
pub const MARKER: &str = "<!-- drspass:";

/// The most bytes of notes, and of advice: they must not crowd out the jobs.
const MAX_LIST_BYTES: usize = 8_000;

/// The bytes reserved for what is in the table besides its rows, and before it.
const FRAME_BYTES: usize = 1_000;

/// The most entries that a piece of advice names.
const MAX_NAMES: usize = 3;

/// A longer table is folded.
const MAX_OPEN_ROWS: usize = 20;

/// Renders a plan. `place` is the root directory as it is named in its work tree.
pub fn plan(place: &str, report: &PlanReport) -> String {
    let mut table = JobTable::default();
    for entry in report.plan.changes() {
        let line = PlanLine::of(entry);
        let (rank, words) = (line.rank, line.words);
        table.advise_resend(&entry.label, line.resend);
        if let Some(why) = report.blocked.get(&entry.key) {
            table.advise(&entry.label, why.advice());
            let lines = [format!("skipped: {why}"), words];
            table.push(rank.min(Rank::LeftOut), &entry.label, &lines);
        } else {
            table.push(rank, &entry.label, &[words]);
        }
    }
    let counts = report.counts;
    let sent = [
        (counts.to_set, "to set"),
        (counts.to_change, "to change"),
        (counts.to_send_again, "to send again"),
    ];
    let result = result(&sent, report.blocked.len() + counts.held);
    let plan = Some((report, ", apply needs", report.plan.requests));
    table.page("plan", place, &result, plan, &plan_notes(report))
}

/// Renders an apply of `plan`.
pub fn apply(place: &str, plan: &PlanReport, report: &ApplyReport) -> String {
    let mut table = JobTable::default();
    for (label, outcome) in &report.entries {
        let line = OutcomeLine::of(outcome);
        table.advise_resend(label, line.resend);
        if let Some(text) = &line.advice {
            table.advise(label, text.to_string());
        }
        let mut lines = line.reason("");
        lines.extend(line.text().into_iter().chain(line.request()));
        table.push(line.rank, label, &lines);
    }
    let mut notes = apply_notes(report);
    // There may be more findings than fit.
    notes.rotate_left(report.findings.len());
    for job in &report.jobs {
        let mut lines = JobLine::of(job).lines;
        for text in lines.drain(1..) {
            table.advise(&job.label, text);
        }
        notes.push(format!("job \"{}\": {}", job.label, lines[0]));
    }
    let totals = report.totals();
    let sent = [
        (totals.applied, "applied"),
        (totals.refused, "refused"),
        (totals.not_sent, "not sent"),
        (totals.in_doubt, "unknown"),
    ];
    let mut result = result(&sent, totals.blocked);
    if report.saved != StateSaved::InState {
        result.push_str("; state not saved");
    }
    let plan = Some((plan, ",", report.requests));
    table.page("apply", place, &result, plan, &notes)
}

pub fn failed(command: &'static str, place: &str, error: &ErrorOut, details: &[String]) -> String {
    let message = std::slice::from_ref(&error.message);
    let notes = [message, details, error.help.as_slice()].concat();
    let result = format!("{command} failed, nothing was sent");
    JobTable::default().page(command, place, &result, None, &notes)
}

fn result(sent: &[(usize, &str)], skipped: usize) -> String {
    let sent = numbers(sent);
    let nothing = ["nothing to do", "nothing to send"][usize::from(skipped > 0)];
    let skipped = numbers(&[(skipped, "skipped")]).replacen(',', ";", 1);
    format!("{}{skipped}", sent.get(2..).unwrap_or(nothing))
}

/// Returns the target with the counts that are not in the heading, and what is folded.
fn facts(report: &PlanReport, start: &str, requests: usize) -> (String, String) {
    let requests = match requests {
        0 => String::new(),
        _ => format!("{start} {}", counted(requests, "request", "requests")),
    };
    let numbers = numbers(&[
        (report.plan.in_sync, "in sync"),
        (report.plan.unlisted.len(), "no longer listed"),
        (report.plan.not_selected, "not selected"),
    ]);
    let (project, host) = (code(&report.scope.project_id), code(report.scope.host()));
    let rest = (requests + &numbers).replacen(',', ":", 1);
    let target = format!("\nProject {project} at {host}{rest}.\n");
    if !report.has_changes() {
        return (target, String::new());
    }
    let saved = report.saved.as_ref().map(|saved| {
        let [made, end] = [saved.created, saved.expires].map(minute);
        let id = code(&saved.id);
        format!("- made {made}, expires {end}\n- plan id {id}\n")
    });
    let folded = format!(
        "\n<details><summary>Details</summary>\n\n{}- change id {}\n\n</details>\n",
        saved.unwrap_or_default(),
        code(report.change_id.as_str())
    );
    (target, folded)
}

/// A job, and its two endpoints.
struct MarkdownRow<'a> {
    rank: Rank,
    job: &'a str,
    cells: [String; 2],
}

#[derive(Default)]
struct JobTable<'a> {
    rows: Vec<MarkdownRow<'a>>,
    /// Each with the entries or jobs that it is for.
    advice: BTreeMap<String, Vec<String>>,
}

impl<'a> JobTable<'a> {
    fn advise(&mut self, label: &str, advice: String) {
        self.advice.entry(advice).or_default().push(code(label));
    }

    fn advise_resend(&mut self, label: &str, resend: &str) {
        if !resend.is_empty() {
            let advice = "Correct the password, or name the entry with --resend.";
            self.advise(label, advice.to_owned());
        }
    }

    /// Adds an entry. Those of a job follow each other.
    fn push(&mut self, rank: Rank, label: &'a str, lines: &[String]) {
        let (job, endpoint) = label.rsplit_once('/').unwrap_or((label, ""));
        let column = usize::from(endpoint == "destination");
        let is_full = |row: &MarkdownRow<'_>| row.job != job || !row.cells[column].is_empty();
        if self.rows.last().is_none_or(is_full) {
            let cells = Default::default();
            self.rows.push(MarkdownRow { rank, job, cells });
        }
        let mut lines: Vec<String> = lines.iter().map(|line| words(line)).collect();
        if rank != Rank::Well {
            lines[0] = format!("**{}**", lines[0]);
        }
        if let Some(row) = self.rows.last_mut() {
            row.rank = row.rank.min(rank);
            row.cells[column] = lines.join("<br>");
        }
    }

    fn page(
        self,
        command: &str,
        place: &str,
        result: &str,
        plan: Option<(&PlanReport, &str, usize)>,
        notes: &[String],
    ) -> String {
        let rollback = plan.and_then(|(report, ..)| rollback_words(report));
        let rollback = rollback.map_or_else(String::new, |words| words + ". ");
        let name = place.rsplit('/').next().filter(|name| !name.is_empty());
        let environment = code(name.unwrap_or("drspass"));
        let mut page = format!(
            "{MARKER}{command}:{} -->\n## {rollback}{environment}: {result}\n",
            marker_name(place)
        );
        let facts = plan.map(|(report, start, requests)| facts(report, start, requests));
        let (target, folded) = facts.unwrap_or_default();
        let advice = self.advice.into_iter().map(|(advice, labels)| {
            let labels = some_of(&labels, MAX_NAMES);
            format!("{labels}: {}", words(&advice))
        });
        let notes = notes.iter().flat_map(|note| note.lines());
        let lists = list(advice) + &list(notes.map(words));
        let taken = FRAME_BYTES + page.len() + target.len() + lists.len() + folded.len();
        let line = |MarkdownRow {
                        rank,
                        job,
                        cells: [source, destination],
                    }| {
            let job = code(job);
            (rank, format!("| {job} | {source} | {destination} |\n"))
        };
        let rows: Vec<(Rank, String)> = self.rows.into_iter().map(line).collect();
        let total = rows.len();
        let (shown, rows) = fitting(rows, MAX_BYTES.saturating_sub(taken));
        if shown < total {
            let _ = writeln!(
                page,
                "\n**Showing {shown} of {total} jobs: failed and skipped ones first, the rest does \
                 not fit.**"
            );
        }
        page.push_str(&target);
        let table = format!("\n| job | source | destination |\n|---|---|---|\n{rows}");
        let _ = match shown {
            0 => Ok(()),
            1..=MAX_OPEN_ROWS => page.write_str(&table),
            _ => write!(
                page,
                "\n<details><summary>{shown} jobs</summary>\n{table}\n</details>\n"
            ),
        };
        if !lists.is_empty() {
            let _ = write!(page, "\n{lists}");
        }
        page + &folded
    }
}

/// Returns a place as written in a comment, which it cannot end: equal only for equal places.
fn marker_name(place: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'/');
    let name = utf8_percent_encode(place, KEPT).to_string();
    name.replace("--", "-%2D")
}

/// Returns the number of rows that fit into `space` bytes, and the rows: all in order, or else the
/// most important ones.
fn fitting(mut rows: Vec<(Rank, String)>, space: usize) -> (usize, String) {
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

/// Returns the items that fit.
fn list(items: impl Iterator<Item = String>) -> String {
    let items = items.map(|item| (Rank::Well, format!("- {item}\n")));
    let items: Vec<(Rank, String)> = items.collect();
    let total = items.len();
    let (shown, mut text) = fitting(items, MAX_LIST_BYTES);
    if shown < total {
        let notes = counted(total - shown, "more note", "more notes");
        let _ = writeln!(text, "- {notes} not shown");
    }
    text
}

/// The most characters of one text.
const MAX_CHARS: usize = 400;

/// Returns a text as one harmless piece of a line or of a cell.
fn code(text: &str) -> String {
    let mut piece = "<code>".to_owned();
    let mut last = ' ';
    for c in text.chars().take(MAX_CHARS) {
        match is_unfit(c) {
            true => c.escape_default().for_each(|c| push(&mut piece, c, ' ')),
            false => push(&mut piece, c, last),
        }
        last = c;
    }
    if text.chars().nth(MAX_CHARS).is_some() {
        piece.push('…');
    }
    piece + "</code>"
}

/// Returns a sentence as one harmless piece of a line or of a cell: plain words as they are,
/// quotations without their marks, and everything else, as code.
fn words(text: &str) -> String {
    let (mut piece, mut rest) = (String::new(), text.trim());
    while !rest.is_empty() {
        let word = rest.trim_start_matches(' ');
        if word.len() < rest.len() {
            piece.push(' ');
        }
        rest = word;
        if let Some(word) = rest.strip_prefix('(') {
            piece.push('(');
            rest = word;
        }
        let mut marks = ['"', '\''].into_iter();
        let quotation = marks.find_map(|mark| rest.strip_prefix(mark)?.split_once(mark));
        if let Some((quotation, after)) = quotation {
            piece.push_str(&code(quotation));
            rest = after;
            continue;
        }
        let (word, after) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
        rest = after;
        let core = word.trim_end_matches([')', ',', '.', ';', ':', '?']);
        // A number or a mark at the start could begin a list.
        let is_start = piece.is_empty() && core.len() < word.len();
        let is_mark = is_start && !core.starts_with(char::is_alphabetic);
        match !is_mark && (core.is_empty() || is_plain(core)) {
            true => piece.push_str(core),
            false => piece.push_str(&code(core)),
        }
        piece.push_str(&word[core.len()..]);
    }
    piece
}

/// Returns whether no renderer makes anything of a word: it has only letters, or is a small
/// number or a date. A name in capitals is not plain, nor is what could be the id of a commit.
fn is_plain(word: &str) -> bool {
    let all = |is_fit: fn(&str) -> bool| {
        let mut parts = word.split(['-', '\'']);
        parts.all(|part| !part.is_empty() && is_fit(part))
    };
    all(|part| part.len() < 7 && part.bytes().all(|b| b.is_ascii_digit()))
        || all(|part| {
            let is_name = part.len() > 3 && part.bytes().skip(1).any(|b| b.is_ascii_uppercase());
            let is_id = part.len() > 6 && part.bytes().all(|b| b.is_ascii_hexdigit());
            part.bytes().all(|b| b.is_ascii_alphabetic()) && !is_name && !is_id
        })
}

fn push(piece: &mut String, c: char, last: char) {
    match c {
        // Some renderers look for addresses of mail once references are resolved, but
        // not across an element.
        '@' => piece.push_str("<span>&#64;</span>"),
        // `www.` begins a link.
        '.' if last.eq_ignore_ascii_case(&'w') => piece.push_str("&#46;"),
        c if c.is_ascii_alphanumeric() || " -/,.();'".contains(c) || !c.is_ascii() => piece.push(c),
        c => piece.push_str(&format!("&#{};", u32::from(c))),
    }
}

#[cfg(test)]
mod tests;
