//! Text for people, on a terminal or in a log.
//!
//! Rules of this output: the target comes first and the counts last, and first as well
//! where they would have scrolled away; a line says one thing and starts with a mark or a word, never with foreign text; nothing
//! depends on colour; no stars and no length stand where a value is; eighty
//! columns are enough for the usual case.

mod applied;

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::core::fingerprint::{Field, Scope};
use crate::core::plan::{Action, PlanEntry, Reason};
use crate::core::problem::{Problem, Severity};
use crate::core::redact::Token;
use crate::core::report::{PlanNote, PlanReport, Rollback};
use crate::core::state::ValueOrigin;

pub use applied::apply;
pub(super) use applied::{
    apply_notes, fate_lines, not_looked_after, not_sent_words, retry_lines, saved_notes,
    totals_words,
};

/// Entries that are no longer listed are named up to this number.
const MAX_UNLISTED_LINES: usize = 10;

/// How text may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Marks are coloured.
    On,
    /// Plain text.
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

/// A plan: its target, what an apply would do, what else there is to know, and the
/// counts, which come before that as well if it is longer than `rows`.
pub fn plan(report: &PlanReport, colour: Colour, rows: usize) -> String {
    let mut text = String::new();
    let shown: Vec<_> = report
        .entries
        .iter()
        .filter(|(_, entry)| entry.action != Action::NoOp)
        .collect();
    let width = width(shown.iter().map(|(label, _)| label));
    for (label, entry) in shown {
        let (mark, words) = describe(entry);
        let mark = colour.paint(mark);
        let _ = writeln!(text, "  {mark} {label:width$}   {words}");
        if let Some(why) = report.blocked.get(&entry.key) {
            let mark = colour.paint('x');
            let _ = writeln!(text, "      {mark} blocked now: {why}");
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
    let head = if text.lines().count() + 2 > rows {
        format!("{}\n{counts}\n", plan_title(report))
    } else {
        format!("{}\n", plan_title(report))
    };
    let back = rollback_words(report).map_or_else(String::new, |words| words + "\n");
    format!("{back}{head}{text}{counts}\n")
}

/// Where a plan belongs, on one line.
fn plan_title(report: &PlanReport) -> String {
    let place = place(&report.scope);
    match &report.environment {
        Some(name) => format!("Plan for {place} ({})", name.as_str()),
        None => format!("Plan for {place}"),
    }
}

/// A service and project, in words.
pub fn place(scope: &Scope) -> String {
    format!("project {} at {}", scope.project_id, scope.host())
}

/// That a plan goes back to a manifest of before: the first thing to see of it.
pub(super) fn rollback_words(report: &PlanReport) -> Option<String> {
    let Rollback { to, applied } = report.rollback?;
    Some(format!("ROLLBACK to revision {to} ({applied} was applied)"))
}

/// The counts of a plan and, before them, where it goes back to, on one line.
pub(super) fn plan_heading(report: &PlanReport) -> String {
    let back = rollback_words(report).map(|words| words + ". ");
    back.unwrap_or_default() + &plan_counts(report)
}

/// The counts of a plan, on one line.
pub(super) fn plan_counts(report: &PlanReport) -> String {
    let counts = report.counts;
    let mut text = format!(
        "{} to set, {} to change, {} to send again",
        counts.to_set, counts.to_change, counts.to_send_again
    );
    if !report.blocked.is_empty() {
        let _ = write!(text, ", {} skipped", report.blocked.len());
    }
    if counts.held > 0 {
        let _ = write!(text, ", {} held", counts.held);
    }
    let _ = write!(text, "; {} in sync", report.in_sync);
    if !report.unlisted.is_empty() {
        let _ = write!(text, ", {} no longer listed", report.unlisted.len());
    }
    if report.not_selected > 0 {
        let _ = write!(text, ", {} not selected", report.not_selected);
    }
    text.push_str(&match report.requests {
        0 => ". Nothing to send.".to_owned(),
        1 => ". 1 request.".to_owned(),
        many => format!(". {many} requests."),
    });
    text
}

/// Everything that a plan says beside its entries, without the word that marks it.
pub(super) fn plan_notes(report: &PlanReport) -> Vec<String> {
    let mut notes = Vec::new();
    if !report.blocked.is_empty() {
        notes.push(counted(
            report.blocked.len(),
            "entry is blocked now; an apply skips it",
            "entries are blocked now; an apply skips them",
        ));
    }
    let left = |(label, entry): &(String, PlanEntry)| {
        entry
            .kerberos_left
            .then(|| format!("{label}: kerberos left the manifest; DRS is not told and keeps it"))
    };
    notes.extend(report.entries.iter().filter_map(left));
    let unlisted = report.unlisted.iter().take(MAX_UNLISTED_LINES);
    notes.extend(unlisted.map(|key| format!("{key} is no longer listed; the state keeps it")));
    if report.unlisted.len() > MAX_UNLISTED_LINES {
        let more = report.unlisted.len() - MAX_UNLISTED_LINES;
        notes.push(format!("{more} more are no longer listed"));
    }
    notes.extend(report.notes.iter().map(note_words));
    notes
}

fn push_notes(text: &mut String, notes: &[String]) {
    for note in notes {
        let _ = writeln!(text, "note: {note}");
    }
}

/// A label that is longer pushes only its own line aside: a job's id with its endpoint
/// has this length.
const MAX_LABEL_WIDTH: usize = 48;

/// How wide the column of labels is.
pub(super) fn width<'a>(labels: impl Iterator<Item = &'a String>) -> usize {
    let widths = labels.map(String::len);
    widths.max().unwrap_or(0).min(MAX_LABEL_WIDTH)
}

/// The mark of an entry and why it is there.
pub(super) fn describe(entry: &PlanEntry) -> (char, String) {
    let since = entry.last_set.map_or_else(String::new, |(at, origin)| {
        let word = match origin {
            ValueOrigin::Sent => "last set",
            ValueOrigin::Adopted => "adopted",
        };
        format!(" ({word} {})", at.strftime("%Y-%m-%d"))
    });
    let credential = entry.credential.as_ref();
    let mut via = credential.map_or_else(String::new, |name| format!(", via @{name}"));
    let (mark, words, since) = match &entry.reason {
        Reason::NeverSet => ('+', "never set".to_owned(), ""),
        Reason::KeyChanged => ('+', "never set with this key".to_owned(), ""),
        Reason::Changed { fields } => {
            via = match fields.contains(&Field::Password) {
                true => via.replacen(',', "", 1),
                false => String::new(),
            };
            ('~', format!("{} changed", field_list(fields)), &*since)
        }
        Reason::Distrusted { at } => ('?', distrusted_words(*at), ""),
        Reason::InDoubt => ('?', "outcome of the last attempt unknown".to_owned(), ""),
        Reason::LastRefused { code, .. } => ('!', format!("last attempt refused: {code}"), ""),
        Reason::WrongPassword { code, credential } => {
            if credential.is_some() {
                // It is named already.
                via.clear();
            }
            let words = wrong_password_words(code, credential.as_deref());
            ('!', format!("held: {words}"), "")
        }
        Reason::Resend { wrong: None } => ('~', "to be sent again as asked".to_owned(), &*since),
        Reason::Resend { wrong: Some(code) } => {
            let words = "to be sent again as asked, by itself";
            ('~', format!("{words}: {code} (wrong password)"), "")
        }
        Reason::Unchanged => {
            via.clear();
            ('=', "in sync".to_owned(), &*since)
        }
    };
    (mark, format!("{words}{via}{since}"))
}

/// Why an entry that was to go by itself is not sent after a wrong password of another.
pub(super) fn after_wrong_password(code: &Token) -> String {
    format!("skipped after {code} (wrong password) in this run")
}

/// Why an entry is not sent after a wrong password: its own, or that of another entry of
/// its credential.
pub(super) fn wrong_password_words(code: &Token, credential: Option<&str>) -> String {
    match credential {
        None => format!("{code} (wrong password), value unchanged; --resend sends it"),
        Some(name) => {
            format!("{code} (wrong password) for another entry of @{name}; --resend sends it")
        }
    }
}

/// Why an entry that `state distrust` marked is sent again.
pub(super) fn distrusted_words(at: Timestamp) -> String {
    let date = at.strftime("%Y-%m-%d");
    format!("to be sent again (state distrust, {date})")
}

/// The names of fields, in a row.
pub(super) fn field_list(fields: &[Field]) -> String {
    let names: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
    names.join(", ")
}

/// What a note says, without the word that marks it.
pub(super) fn note_words(note: &PlanNote) -> String {
    match note {
        PlanNote::KeyChanged { key, revision } => format!(
            "the state was made with another key, so every entry counts as never set; an apply \
             needs --accept-new-key {key} for that, and its state begins with revision \
             {revision}, the manifest's own"
        ),
        PlanNote::NoState { path, backup: None } => {
            format!("no state at {path} yet: every entry counts as never set")
        }
        PlanNote::NoState {
            path,
            backup: Some(backup),
        } => format!(
            "no state at {path}, so every entry counts as never set; but {backup} is there: if \
             the state was lost, put it back and run 'drspass state distrust'"
        ),
        PlanNote::Unfinished => {
            "an apply was cut off; the answers it recorded are counted in".to_owned()
        }
        PlanNote::UnfinishedRekey => {
            "a rekey was cut off; its state counts, and the next apply or \
            'drspass rekey' puts it in its place"
                .to_owned()
        }
        PlanNote::LockHeld(holder) => format!("the lock is held by {holder}"),
        PlanNote::Preflight(text) => text.clone(),
        PlanNote::NotAuthenticated => {
            "not authenticated: only an apply proves with the key who made this plan".to_owned()
        }
        PlanNote::AppliedBefore { done, left } => format!(
            "{} of this plan {} already applied; {left} {}",
            counted(*done, "entry", "entries"),
            if *done == 1 { "is" } else { "are" },
            if *left == 1 { "remains" } else { "remain" }
        ),
        PlanNote::ManifestRewritten { plan, manifest } => format!(
            "the manifest was written since (revision {plan} then, {manifest} now); \
             it wants the same of these entries"
        ),
        PlanNote::StateMoved { then, now } => format!(
            "the state was written since (serial {then} then, {now} now); \
             these entries did not move"
        ),
        PlanNote::LimitExceeded(exceeded) => format!(
            "{} to be changed, but {}; apply needs --override-limits {}",
            exceeded.changes, exceeded.limits, exceeded.changes
        ),
    }
}

/// A number with its noun.
pub fn counted(number: usize, one: &str, many: &str) -> String {
    let word = if number == 1 { one } else { many };
    format!("{number} {word}")
}

/// Problems of a document, a line each with what to do below it.
pub fn problems(document: &str, problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let word = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let _ = writeln!(text, "{word}: {document}: {problem}");
        let _ = writeln!(text, "    {}", problem.help);
    }
    text
}
