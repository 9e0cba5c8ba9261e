//! Text for people, on a terminal or in a log.
//!
//! The target comes first and the counts last, and first as well if they would have scrolled
//! away; a line says one thing and starts with a mark or a word, never with foreign text; nothing
//! depends on colour; a password shows neither stars nor length; eighty columns are enough for
//! the usual case.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::HumanCount;
use jiff::SignedDuration;
use miette::{
    Diagnostic as _, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic,
    MietteError, MietteSpanContents, Report, SourceCode, SourceSpan, SpanContents, ThemeStyles,
};
use similar::TextDiff;

use super::entry::{
    JobLine, OutcomeLine, PlanLine, apply_notes, jobs_words, place_named, plan_counts, plan_notes,
    rollback_words, set_words, totals_words,
};
use crate::core::outcome::Outcome;
use crate::core::plan::{PlanEntry, Reason};
use crate::core::problem::{Position, Problem, Severity};
use crate::core::report::{ApplyReport, PlanReport, Step};

pub use super::entry::{counted, jobs_named, place};

/// The most applied entries that are listed one by one, so that failures do not scroll away.
const MAX_APPLIED_LINES: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    On,
    Off,
}

impl Colour {
    fn paint(self, mark: char) -> String {
        let code = match mark {
            '+' | '=' => 32,
            '~' => 33,
            '!' | 'x' => 31,
            '?' => 35,
            _ => return mark.to_string(),
        };
        match self {
            Self::On => format!("\u{1b}[{code}m{mark}\u{1b}[0m"),
            Self::Off => mark.to_string(),
        }
    }
}

/// Renders a plan: target, changes, notes, and the counts, which come before the notes as well if
/// the text is longer than `rows`.
pub fn plan(report: &PlanReport, colour: Colour, rows: usize) -> String {
    let mut text = String::new();
    let width = width(report.plan.changes().map(|entry| &entry.label));
    for entry in report.plan.changes() {
        let label = &entry.label;
        let line = PlanLine::of(entry);
        let (mark, words, resend) = (colour.paint(line.mark), line.words, line.resend);
        let _ = writeln!(text, "  {mark} {label:width$}   {words}{resend}");
        if let Some(why) = report.blocked.get(&entry.key) {
            let mark = colour.paint('x');
            let _ = writeln!(text, "      {mark} skipped now: {why}");
            let _ = writeln!(text, "        {}", why.advice());
        }
    }
    push_notes(&mut text, &plan_notes(report));
    if let Some(saved) = &report.saved {
        let _ = writeln!(
            text,
            "plan id: {}\nchange id: {}\nmade {:.0}, expires {:.0}",
            saved.id, report.change_id, saved.created, saved.expires
        );
    }
    let counts = plan_counts(report);
    let place = place_named(&report.scope, report.environment.as_ref());
    let mut head = rollback_words(report).map_or_else(String::new, |words| words + "\n");
    let _ = writeln!(head, "Plan for {place}");
    if text.lines().count() + 2 > rows {
        let _ = writeln!(head, "{counts}");
    }
    format!("{head}{text}{counts}\n")
}

/// Renders an apply: its entries, unless they were shown before, and last the totals, which add
/// up, of entries and of retried jobs.
pub fn apply(report: &ApplyReport, colour: Colour) -> String {
    let jobs = report.jobs.iter();
    let jobs: Vec<_> = jobs.map(|job| format!("job {}", job.label)).collect();
    let width = width(report.entries.iter().map(|(label, _)| label).chain(&jobs));
    let mut text = match report.is_shown {
        true => String::new(),
        false => entries(report, width, colour),
    };
    for (label, job) in jobs.iter().zip(&report.jobs) {
        let line = JobLine::of(job);
        let mark = colour.paint(line.mark);
        let words = line.lines.join("\n      ");
        let _ = writeln!(text, "  {mark} {label:width$}   {words}");
    }
    push_notes(&mut text, &apply_notes(report));
    let _ = writeln!(text, "Result: {}.", totals_words(report.totals()));
    if let Some(words) = jobs_words(report) {
        let _ = writeln!(text, "Jobs: {words}.");
    }
    text
}

/// Renders the entries of an apply that goes on with its jobs; [`apply`] ends it, with the notes.
pub fn outcomes(report: &ApplyReport, colour: Colour) -> String {
    let width = width(report.entries.iter().map(|(label, _)| label));
    entries(report, width, colour)
}

/// Lists every entry that did not end well, and the others by line or number.
fn entries(report: &ApplyReport, width: usize, colour: Colour) -> String {
    let mut text = String::new();
    let totals = report.totals();
    let entries = counted(totals.total(), "entry", "entries");
    let requests = counted(report.requests, "request", "requests");
    // Where jobs alone were retried, there was none.
    if totals.total() > 0 {
        let _ = writeln!(text, "Apply: {entries}, {requests}.");
    }
    let list_applied = totals.applied <= MAX_APPLIED_LINES;
    if !list_applied {
        let mark = colour.paint('=');
        let _ = writeln!(text, "  {mark} {} entries applied", totals.applied);
    }
    for (label, outcome) in &report.entries {
        if *outcome == Outcome::Applied && !list_applied {
            continue;
        }
        let line = OutcomeLine::of(outcome);
        let mark = colour.paint(line.mark);
        let words = line.lines().join("\n      ");
        let _ = writeln!(text, "  {mark} {label:width$}   {words}");
    }
    text
}

fn push_notes(text: &mut String, notes: &[String]) {
    for note in notes {
        let _ = writeln!(text, "note: {note}");
    }
}

/// A longer label pushes only its own line aside: a job's id with its endpoint has this length.
const MAX_LABEL_WIDTH: usize = 48;

pub fn width<'a>(labels: impl Iterator<Item = &'a String>) -> usize {
    let widths = labels.map(String::len);
    widths.max().unwrap_or(0).min(MAX_LABEL_WIDTH)
}

pub fn problem(document: &str, problem: &Problem) -> String {
    let word = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    format!("{word}: {document}: {problem}\n    {}\n", problem.help)
}

/// Draws a problem with the excerpt of its line; `None` if it has none, or no room for it.
pub fn drawn(problem: &Problem, colour: Colour, columns: usize) -> Option<String> {
    let (at, excerpt) = (problem.at?, problem.excerpt.as_ref()?);
    let gutter = at.line.to_string().len() + "  │ ".chars().count();
    let room = columns
        .checked_sub(gutter)
        .filter(|_| columns >= MIN_COLUMNS)?;
    let mut text = excerpt.text.clone();
    if text.chars().count() > room {
        text = text.chars().take(room - 1).chain(['…']).collect();
    }
    let marked = excerpt.marked.start..excerpt.marked.end.min(room);
    // The place is above the line.
    let mut unplaced = problem.clone();
    unplaced.at = None;
    let diagnostic = MietteDiagnostic::new(unplaced.to_string())
        .with_severity(problem.severity()?)
        .with_help(&*problem.help)
        .with_label(LabeledSpan::new_with_span(None, marked.clone()));
    let mut theme = GraphicalTheme::unicode_nocolor();
    if colour == Colour::On {
        // Single colours, as the shell lets them pass.
        let ansi = ThemeStyles::ansi();
        theme.styles = ThemeStyles {
            error: ansi.error,
            warning: ansi.warning,
            help: ansi.help,
            highlights: vec![ansi.error],
            ..ThemeStyles::none()
        };
    }
    let report = Report::new(diagnostic).with_source_code(ShownLine { at, text });
    let handler = GraphicalReportHandler::new_themed(theme).with_width(columns);
    let mut out = String::new();
    let is_drawn = !marked.is_empty() && handler.render_report(&mut out, &*report).is_ok();
    is_drawn.then_some(out)
}

struct ShownLine {
    at: Position,
    text: String,
}

impl SourceCode for ShownLine {
    fn read_span<'a>(
        &'a self,
        _: &SourceSpan,
        _: usize,
        _: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (line, column) = (self.at.line - 1, self.at.column - 1);
        let (text, whole) = (self.text.as_bytes(), (0, self.text.len()).into());
        let name = "drspass.yaml".to_owned();
        let contents = MietteSpanContents::new_named(name, text, whole, line, column, 1);
        Ok(Box::new(contents))
    }
}

/// Returns a duration with its units, such as `1m 30s`.
pub fn duration(time: Duration) -> String {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    format!("{time:#}")
}

/// Says how far a step is, such as `1,240 of 10,000 entries: 1,240 applied; 0:20 elapsed`, and
/// how long the rest takes at this speed.
pub fn progress(step: &Step, elapsed: Duration) -> String {
    let [verb, one, many] = step.what;
    let unit = |number| if number == 1 { one } else { many };
    let (done, of) = (HumanCount(step.done as u64), HumanCount(step.of as u64));
    let mut line = match (step.done, step.of) {
        (0, 0) => verb.to_owned(),
        (number, 0) => format!("{done} {}", unit(number)),
        (_, number) => format!("{done} of {of} {}", unit(number)),
    };
    let outcomes = step.outcomes.iter().filter(|(number, _)| *number > 0);
    for (at, (number, word)) in outcomes.enumerate() {
        let mark = if at == 0 { ':' } else { ',' };
        let _ = write!(line, "{mark} {} {word}", HumanCount(*number as u64));
    }
    let clock = |time: Duration| format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60);
    let _ = write!(line, "; {} elapsed", clock(elapsed));
    if 0 < step.done && step.done < step.of {
        let rest = (step.of - step.done) as f64 / step.done as f64;
        let _ = write!(line, ", about {} left", clock(elapsed.mul_f64(rest)));
    }
    line
}

/// Renders `plan --diff`: the last applied entries against the manifest, both masked, as a unified
/// diff. Neither text depends on a password. It is empty if nothing would be sent.
pub fn diff(report: &PlanReport) -> String {
    let (mut before, mut after) = (String::new(), String::new());
    for entry in report.plan.changes() {
        push_entry(&mut before, &mut after, entry);
    }
    TextDiff::from_lines(&before, &after)
        .unified_diff()
        .context_radius(3)
        .header("last set", "wanted")
        .to_string()
}

fn push_entry(before: &mut String, after: &mut String, entry: &PlanEntry) {
    let label = &entry.label;
    let known = entry.last_set.map(|(at, origin)| set_words(at, origin));
    if known.is_some() {
        let _ = writeln!(before, "{label}:");
    }
    let _ = writeln!(after, "{label}:");
    let again = match &entry.reason {
        Reason::Distrusted { .. } => Some("sent again, after state distrust"),
        Reason::InDoubt => Some("sent again, outcome unknown"),
        Reason::LastRefused { .. } => Some("sent again, last attempt refused"),
        Reason::Resend { .. } => Some("sent again as asked"),
        _ => None,
    };
    for (field, is_changed) in &entry.fields {
        if let Some(known) = &known {
            let _ = writeln!(before, "  {field}: (sensitive, {known})");
        }
        let _ = match (&known, is_changed, again) {
            (Some(known), false, None) => writeln!(after, "  {field}: (sensitive, {known})"),
            (Some(_), false, Some(again)) => writeln!(after, "  {field}: (sensitive, {again})"),
            _ => writeln!(after, "  {field}: (sensitive, new value)"),
        };
    }
}

/// A narrower terminal gets unwrapped lines.
const MIN_COLUMNS: usize = 30;

/// The least indent of continued lines, so that no foreign text starts a line.
const HANG: usize = 2;

/// A column of words goes below what is before it if it would be narrower than this, or than its
/// longest word.
const MIN_WORDS: usize = 24;

/// The least space between the columns of a list.
const GAP: &str = "   ";

/// Breaks lines of `text` longer than `columns` at blanks. The rest is indented to the last column
/// of a list, or to the words after a first one such as `help:`. A longer word, such as a path
/// or a key, stays whole.
pub fn wrapped(text: &str, columns: usize) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for line in text.split_inclusive('\n') {
        if columns < MIN_COLUMNS || columns_of(line.trim_end()) <= columns {
            out.push_str(line);
        } else {
            push_line(&mut out, line, columns);
        }
    }
    out
}

fn push_line(out: &mut String, line: &str, columns: usize) {
    let words = line.trim_start_matches(' ');
    let indent = line.len() - words.len();
    if let Some((head, rest)) = words.split_once(GAP) {
        let rest = rest.trim_start_matches(' ');
        let start = &line[..line.len() - rest.len()];
        let column = columns_of(start);
        let longest = rest.split(' ').map(|word| columns_of(word.trim_end()));
        if column + longest.max().unwrap_or(0).max(MIN_WORDS) <= columns {
            out.push_str(start);
            return push_words(out, rest, column, column, columns);
        }
        let below = indent + 2 * HANG;
        out.push_str(&line[..indent]);
        out.push_str(head);
        out.push('\n');
        out.push_str(&" ".repeat(below));
        return push_words(out, rest, below, below, columns);
    }
    let first = words.split(' ').next().unwrap_or_default();
    let hang = match columns_of(first) {
        label if first.ends_with(':') && indent + label < columns / 3 => indent + label + 1,
        _ => indent + HANG,
    };
    out.push_str(&line[..indent]);
    push_words(out, words, indent, hang, columns);
}

/// Adds `words` behind `start` in lines of 80 columns, continued below the words.
pub fn push_wrapped(out: &mut String, start: &str, words: &str) {
    let column = columns_of(start);
    out.push_str(start);
    push_words(out, words, column, column, 80);
    out.push('\n');
}

/// Adds words from `column` on; further lines begin at `hang`.
fn push_words(out: &mut String, words: &str, mut column: usize, hang: usize, columns: usize) {
    for (place, word) in words.split(' ').enumerate() {
        let needed = columns_of(word.trim_end());
        if place > 0 && needed > 0 && column + 1 + needed > columns && column > hang {
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
            out.push_str(&" ".repeat(hang));
            column = hang + needed;
        } else {
            let blank = usize::from(place > 0);
            out.push_str(&" "[..blank]);
            column += blank + needed;
        }
        out.push_str(word);
    }
}

/// Counts the columns of a text, without colour codes.
fn columns_of(text: &str) -> usize {
    let mut is_escape = false;
    let seen = text.chars().filter(|c| {
        let was_escape = is_escape;
        is_escape = *c == '\u{1b}' || (is_escape && *c != 'm');
        !is_escape && !was_escape
    });
    seen.count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::report::Progress;

    #[test]
    fn a_duration_is_said_with_its_units() {
        for (seconds, expected) in [(0, "0s"), (59, "59s"), (90, "1m 30s"), (660, "11m")] {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn a_step_shows_its_counts_and_its_time() {
        let entries = ["sending", "entry", "entries"];
        let outcomes = [(1_238, "applied"), (2, "refused"), (0, "unknown")];
        for (what, of, outcomes, seconds, expected) in [
            (
                entries,
                10_000,
                &outcomes[..],
                20,
                "1,240 of 10,000 entries: 1,238 applied, 2 refused; 0:20 elapsed, about 2:21 left",
            ),
            (
                entries,
                1_240,
                &outcomes,
                3_725,
                "1,240 of 1,240 entries: 1,238 applied, 2 refused; 62:05 elapsed",
            ),
            (entries, 1, &[], 1, "0 of 1 entry; 0:01 elapsed"),
            (
                entries,
                0,
                &outcomes[1..2],
                9,
                "2 entries: 2 refused; 0:09 elapsed",
            ),
            (entries, 0, &[], 59, "sending; 0:59 elapsed"),
        ] {
            let Progress::At(step) = Progress::at(what, of, outcomes) else {
                panic!("no step");
            };
            assert_eq!(progress(&step, Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn long_lines_break_at_blanks_and_hang_below_their_words() {
        for (text, expected) in [
            ("short\n", "short\n"),
            (
                "error: one two three four five six seven\n  help: one two three four five six\n",
                "error: one two three four five\n       six seven\n  help: one two three four\n        five six\n",
            ),
            (
                "\u{1b}[31merror\u{1b}[0m: one two three four five\nnext\n",
                "\u{1b}[31merror\u{1b}[0m: one two three four five\nnext\n",
            ),
            (
                "    one two three four five six seven",
                "    one two three four five\n      six seven",
            ),
            (
                "Send it to?  Type 'yes' in full to continue: ",
                "Send it to?  Type 'yes' in\n  full to continue: ",
            ),
            (
                "wrote /a/path/that/is/longer/than/all/of/it now",
                "wrote\n  /a/path/that/is/longer/than/all/of/it\n  now",
            ),
            (
                "  \u{1b}[32m+\u{1b}[0m a   one two three four five six\n",
                "  \u{1b}[32m+\u{1b}[0m a\n      one two three four five\n      six\n",
            ),
        ] {
            assert_eq!(wrapped(text, 30), expected);
            let line = text.replace('\n', " ");
            assert_eq!(wrapped(&line, 500), line);
        }
        let text = "error: one two three four five six seven";
        assert_eq!(wrapped(text, 10), text);
        let text =
            "  + a-long-label   one two three four five six seven   x\n  + a              ok\n";
        let aligned = "  + a-long-label   one two three four five\n                   six seven   x\n  + a              ok\n";
        assert_eq!(wrapped(text, 43), aligned);
    }
}
