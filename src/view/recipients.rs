//! Recipients of a manifest, and changes to them, for people. Public keys are shortened to fit
//! eighty columns, except where a person decides about one and it must not be mistaken.

use std::fmt::Write as _;

use super::entry::{counted, place_named};
use super::text::push_wrapped;
use crate::core::recipients::{InFile, ListedRecipient, RecipientsReport, identified, shortened};
use crate::core::report::{MovedState, RekeyPlan, Rekeyed, StateFate, TargetChange};

/// Renders the output of `recipients`.
pub fn recipients(report: &RecipientsReport) -> String {
    let mut text = String::new();
    let total: usize = report.stanzas.iter().map(|(_, count)| count).sum();
    let _ = writeln!(
        text,
        "{} is encrypted to {}.",
        report.manifest,
        counted(total, "recipient", "recipients")
    );
    for (kind, count) in &report.stanzas {
        let kind = if kind == "X25519" { "age" } else { kind };
        let keys = counted(*count, &format!("{kind} key"), &format!("{kind} keys"));
        let _ = writeln!(text, "  {keys}");
    }
    text.push('\n');
    match report.unopened {
        None => text.push_str(
            "drspass.yaml against the sealed list (+ not sealed yet, - no longer listed):\n",
        ),
        Some(why) => {
            push_wrapped(&mut text, "", &format!("It was not opened: {why}."));
            text.push_str("drspass.yaml lists:\n");
        }
    }
    let all = &report.recipients;
    let shown: Vec<(char, String, &str)> = all.iter().map(|listed| line(listed, all)).collect();
    let width = shown
        .iter()
        .map(|(_, name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    for (mark, name, in_file) in shown {
        let _ = writeln!(text, "  {mark} {name:width$}   {in_file}");
    }
    text.push('\n');
    for note in &report.notes {
        push_wrapped(&mut text, "note: ", note);
    }
    text
}

fn line(listed: &ListedRecipient, all: &[ListedRecipient]) -> (char, String, &'static str) {
    let mark = match (listed.is_configured, listed.is_sealed) {
        (true, Some(false)) => '+',
        (false, _) => '-',
        _ => ' ',
    };
    let short = shortened(&listed.key);
    let alike = all.iter().filter(|other| shortened(&other.key) == short);
    let key = match alike.count() {
        1 => short,
        _ => identified(&listed.key).0,
    };
    let name = match &listed.comment {
        Some(comment) => format!("{key} {comment}"),
        None => key,
    };
    let in_file = match (listed.in_file, listed.is_configured, listed.is_sealed) {
        (InFile::Yes, ..) => "in the file",
        (InFile::No, ..) => "not in the file",
        // Nothing else is known: see the note on the header.
        (InFile::Unknown, true, Some(true)) => "listed and sealed",
        (InFile::Unknown, true, Some(false)) => "listed, not sealed",
        (InFile::Unknown, true, None) => "listed",
        (InFile::Unknown, false, _) => "sealed, not listed",
    };
    (mark, name, in_file)
}

/// Adds a recipient to decide about. Its comment has a line of its own, so that nothing in it is
/// taken for drspass's words.
fn decided(text: &mut String, mark: char, recipient: &str) {
    let (key, comment) = identified(recipient);
    let _ = writeln!(text, "  {mark} {key}");
    if let Some(comment) = comment {
        let _ = writeln!(text, "      comment: {comment}");
    }
}

/// Renders the changes of a rekey, before it asks.
pub fn rekey_plan(plan: &RekeyPlan) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "Rekey for {}\n{} will be encrypted anew, to {}:",
        place_named(&plan.scope, plan.environment.as_ref()),
        plan.manifest,
        counted(plan.recipients, "recipient", "recipients")
    );
    for added in &plan.change.added {
        decided(&mut text, '+', added);
    }
    for removed in &plan.change.removed {
        decided(&mut text, '-', removed);
    }
    for TargetChange { field, from, to } in &plan.moved {
        let _ = writeln!(text, "  {field}: {from}\n    -> {to}");
    }
    if plan.change.is_none() && plan.moved.is_empty() {
        text.push_str("  recipients and target are unchanged\n");
    }
    if let Some(why) = plan.new_key {
        let words = format!("There will be a new fingerprint key, {why}.");
        push_wrapped(&mut text, "", &words);
    }
    match &plan.state {
        StateFate::Untouched => {}
        StateFate::Absent { path } => {
            let words = format!(
                "no state at {path}. A state that is kept elsewhere, as for pipelines, will not \
                 fit the new key: fetch it before, and put it back after; otherwise its next \
                 apply needs --accept-new-key OLDKEYID and sends every entry"
            );
            push_wrapped(&mut text, "note: ", &words);
        }
        StateFate::CarriedOver { entries } => {
            let entries = counted(*entries, "entry", "entries");
            let words = format!(
                "The state ({entries}) stays as it is until the next apply, which writes it with \
                 the new key; entries in sync stay in sync."
            );
            push_wrapped(&mut text, "", &words);
        }
        StateFate::LeftBehind { entries } => {
            let entries = counted(*entries, "entry", "entries");
            let words = format!(
                "The state ({entries}) belongs to the former project: every entry will count as \
                 never set, and the next apply replaces the state."
            );
            push_wrapped(&mut text, "", &words);
        }
    }
    let has_state = !matches!(plan.state, StateFate::Untouched | StateFate::Absent { .. });
    if has_state && !plan.change.added.is_empty() {
        let words = "Until the state is written with the new key, the manifest contains the \
                     former key too, which those who are added can read.";
        push_wrapped(&mut text, "note: ", words);
    }
    if plan.is_lockout {
        let words =
            "none of the given identities opens the new file: you will not be able to read it";
        push_wrapped(&mut text, "warning: ", words);
    }
    text
}

/// Renders the result of a rekey.
pub fn rekeyed(done: &Rekeyed) -> String {
    let mut text = format!("wrote {}\n", done.written);
    text.push_str(&encrypted_to(done.plan.recipients));
    if let Some(key_id) = &done.key_id {
        let _ = writeln!(text, "key id: {key_id}");
    }
    text
}

/// Says how many recipients can read an encrypted manifest.
pub fn encrypted_to(recipients: usize) -> String {
    let recipients = counted(recipients, "recipient", "recipients");
    format!("encrypted to {recipients}\n")
}

/// Says what people have to do after a rekey.
pub fn after_rekey(done: &Rekeyed) -> String {
    let mut text = String::new();
    let mut left = Vec::new();
    let removed = &done.plan.change.removed;
    if !removed.is_empty() {
        text.push_str("Removed:\n");
        for recipient in removed {
            decided(&mut text, '-', recipient);
        }
        left.push(format!(
            "Removed recipients can still read older commits of {}. So change the passwords \
             themselves.",
            done.plan.manifest
        ));
    }
    if let Some(key_id) = &done.key_id {
        let ids = match &done.former_key_id {
            Some(former) => format!(
                "{key_id},{former}, and to {key_id} alone once an apply has written the state"
            ),
            None => key_id.to_string(),
        };
        left.push(format!(
            "Plans saved before are no longer valid. In CI, change the protected variable \
             DRSPASS_EXPECT_KEY_ID to {ids}."
        ));
    }
    for words in left {
        push_wrapped(&mut text, "", &words);
    }
    if done.plan.change.is_none() && done.plan.moved.is_empty() {
        text.push_str("The file has changed although no recipient was added or removed.\n");
    }
    text
}

/// Renders a state that moved after a rekey, before it is carried over.
pub fn moved_state(moved: &MovedState) -> String {
    let MovedState {
        then, now, unsent, ..
    } = moved;
    let mut text = format!("The state moved after this rekey: serial {then}, now {now}.\n");
    if moved.is_other_lineage {
        text.push_str(
            "It was begun anew in the meantime, by 'drspass state distrust' or with another key.\n",
        );
    }
    let counted = counted(unsent.len(), "entry", "entries");
    let _ = writeln!(
        text,
        "With it, {counted} would not be sent, as in sync or held:"
    );
    for label in unsent {
        let _ = writeln!(text, "  {label}");
    }
    let words = "Everyone who knows the former key could have written it, recipients whom the \
                 rekey removed too. Check that these runs were yours; 'drspass state distrust' \
                 marks every entry to be sent again instead, and forgets which passwords were \
                 refused.";
    push_wrapped(&mut text, "", words);
    text
}
