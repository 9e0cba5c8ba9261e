//! Lists for people: what a manifest and a state hold, without any value or
//! fingerprint. The rules of [`super::terminal`] hold here as well.

use std::fmt::Write as _;

use super::terminal::{counted, distrusted_words, field_list, note_words, width};
use crate::core::fingerprint::Field;
use crate::core::report::{
    Effect, ImportReport, LedgerReport, ManifestEntry, ManifestReport, PlanNote, Valid,
};
use crate::core::state::{FailureClass, State, StateEntry, ValueOrigin};

/// What a manifest lists, without any value.
pub fn manifest(shown: &ManifestReport) -> String {
    let mut text = String::new();
    let environment = shown.environment.as_ref();
    let environment = environment.map_or_else(String::new, |name| format!(" ({})", name.as_str()));
    match &shown.seal {
        Some(seal) => {
            let _ = writeln!(
                text,
                "Manifest: {}, revision {}, {}.\n\
                 sealed for project {} at {}{environment}\nkey id: {}",
                counted(shown.entries.len(), "entry", "entries"),
                seal.revision,
                counted(seal.recipients, "recipient", "recipients"),
                seal.scope.project_id,
                seal.scope.endpoint,
                seal.key_id
            );
        }
        None => {
            let _ = writeln!(
                text,
                "Manifest{environment}: {}, not sealed.",
                counted(shown.entries.len(), "entry", "entries")
            );
        }
    }
    let fields: Vec<String> = shown.entries.iter().map(field_words).collect();
    let label_width = width(shown.entries.iter().map(|entry| &entry.label));
    let field_width = width(fields.iter());
    for (entry, fields) in shown.entries.iter().zip(&fields) {
        let job = entry.key.job.as_str();
        let line = if entry.label.starts_with(job) {
            format!("  {:label_width$}   {fields}", entry.label)
        } else {
            format!(
                "  {:label_width$}   {fields:field_width$}   {job}",
                entry.label
            )
        };
        let _ = writeln!(text, "{line}");
    }
    text
}

/// The fields of an entry, with the credential that its password comes from.
fn field_words(entry: &ManifestEntry) -> String {
    let words = entry.fields.iter().map(|field| match &entry.credential {
        Some(name) if *field == Field::Password => format!("password via @{name}"),
        _ => field.to_string(),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// What `validate` found to be good. `name` is that of the manifest.
pub fn valid(valid: &Valid, name: &str) -> String {
    let mut text = "drspass.yaml: valid\n".to_owned();
    let _ = match &valid.manifest {
        None => writeln!(text, "{name}: encrypted; its content was not checked"),
        Some(manifest) => writeln!(
            text,
            "{name}: valid, {} of {}, revision {}\nkey id: {}",
            counted(manifest.entries, "entry", "entries"),
            counted(manifest.jobs, "job", "jobs"),
            manifest.revision,
            manifest.key_id
        ),
    };
    text
}

/// What an import does, or did.
pub fn import(report: &ImportReport) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "ImportReport: {} to add, {} to change, {} the same.",
        report.count(Effect::Added),
        report.count(Effect::Changed),
        report.count(Effect::Same)
    );
    let width = width(report.rows.iter().map(|row| &row.label));
    for row in &report.rows {
        let sign = match row.effect {
            Effect::Added => '+',
            Effect::Changed => '~',
            Effect::Same => '=',
        };
        let users = row.users.map(used_by).unwrap_or_default();
        let _ = writeln!(text, "  {sign} {:width$}   {}{users}", row.label, row.field);
    }
    text
}

/// Who uses a credential, as the end of a line.
pub fn used_by(endpoints: usize) -> String {
    match endpoints {
        0 => ", used by no endpoint".to_owned(),
        1 => ", used by 1 endpoint".to_owned(),
        many => format!(", used by {many} endpoints"),
    }
}

/// The entries of a state that nobody has proved. `has_more` tells of answers that are not
/// counted in.
pub fn state_list(state: Option<&State>, notes: &[PlanNote], has_more: bool) -> String {
    let Some(state) = state else {
        let is_new = !notes
            .iter()
            .any(|note| matches!(note, PlanNote::NoState { .. }));
        let why = if is_new {
            " yet: nothing was applied from here"
        } else {
            ""
        };
        return with_notes(format!("There is no state{why}.\n"), notes);
    };
    let mut text = String::new();
    let _ = writeln!(
        text,
        "State of project {}: {}, serial {}, revision {}.\nRead without a key, so not authenticated; 'drspass state show' proves it.",
        state.scope.project_id,
        counted(state.entries.len(), "entry", "entries"),
        state.serial,
        state.revision,
    );
    for (key, entry) in &state.entries {
        let (mark, words) = entry_words(entry);
        let key = key.to_string();
        let _ = writeln!(text, "  {mark} {key:48}   {words}");
    }
    if has_more {
        text.push_str(
            "note: an apply was cut off; what it recorded next to the state is not listed here\n",
        );
    }
    with_notes(text, notes)
}

fn with_notes(mut text: String, notes: &[PlanNote]) -> String {
    for note in notes {
        let _ = writeln!(text, "note: {}", note_words(note));
    }
    text
}

/// Everything known about entries, authenticated, without any fingerprint.
pub fn state_show(report: &LedgerReport) -> String {
    let mut text = String::new();
    let highest = if report.highest > report.revision {
        format!(" (the highest applied is {})", report.highest)
    } else {
        String::new()
    };
    let _ = writeln!(
        text,
        "State of serial {}, revision {}{highest}: {}, authenticated.",
        report.serial,
        report.revision,
        counted(report.entries.len(), "entry", "entries"),
    );
    for line in &report.entries {
        let (mark, _) = entry_words(&line.entry);
        let _ = writeln!(text, "{mark} {}", line.key);
        match &line.label {
            Some(label) if *label != line.key.to_string() => {
                let _ = writeln!(text, "    listed as     {label}");
            }
            Some(_) => {}
            None => text.push_str("    listed as     (no longer listed)\n"),
        }
        push_known(&mut text, &line.entry);
    }
    with_notes(text, &report.notes)
}

fn push_known(text: &mut String, entry: &StateEntry) {
    if let Some(applied) = &entry.applied {
        let word = match applied.origin {
            ValueOrigin::Sent => "set",
            ValueOrigin::Adopted => "adopted",
        };
        let fields: Vec<Field> = std::iter::once(Field::Password)
            .chain(applied.prints.kerberos.keys().copied())
            .collect();
        let _ = writeln!(
            text,
            "    {word:<13} {} by {} ({})",
            applied.at,
            applied.plan_id,
            field_list(&fields)
        );
    }
    if let Some(pending) = &entry.pending {
        let word = if pending.distrusted {
            "distrusted"
        } else {
            "unknown since"
        };
        let _ = writeln!(
            text,
            "    {word:<13} {} by {}",
            pending.since, pending.plan_id
        );
    }
    if let Some(last) = &entry.last_outcome {
        let _ = writeln!(
            text,
            "    last attempt  {} {} at {}, {} without success",
            last.class.as_str(),
            last.code,
            last.at,
            counted(last.attempts as usize, "attempt", "attempts"),
        );
    }
}

fn entry_words(entry: &StateEntry) -> (char, String) {
    if let Some(pending) = &entry.pending {
        if pending.distrusted {
            return ('?', distrusted_words(pending.since));
        }
        let since = pending.since.strftime("%Y-%m-%d");
        return ('?', format!("outcome unknown since {since}"));
    }
    if let Some(last) = &entry.last_outcome {
        let held = if last.class == FailureClass::WrongPassword {
            ", held"
        } else {
            ""
        };
        return ('!', format!("refused: {}{held}", last.code));
    }
    match &entry.applied {
        Some(applied) => {
            let word = match applied.origin {
                ValueOrigin::Sent => "set",
                ValueOrigin::Adopted => "adopted",
            };
            ('=', format!("{word} {}", applied.at.strftime("%Y-%m-%d")))
        }
        None => (' ', "nothing known".to_owned()),
    }
}
