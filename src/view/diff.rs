//! `plan --diff`: what was last set against what is wanted, both masked, as a
//! unified diff. Nothing in either text depends on a value.

use std::fmt::Write as _;

use similar::TextDiff;

use crate::core::plan::{Action, PlanEntry, Reason};
use crate::core::report::PlanReport;
use crate::core::state::ValueOrigin;

/// The unified diff of a plan; empty when nothing would be sent.
pub fn plan(report: &PlanReport) -> String {
    let (mut before, mut after) = (String::new(), String::new());
    for (label, entry) in &report.entries {
        if entry.action == Action::NoOp {
            continue;
        }
        push_entry(&mut before, &mut after, label, entry);
    }
    TextDiff::from_lines(&before, &after)
        .unified_diff()
        .context_radius(3)
        .header("last set", "wanted")
        .to_string()
}

fn push_entry(before: &mut String, after: &mut String, label: &str, entry: &PlanEntry) {
    let known = entry.last_set.map(|(at, origin)| {
        let word = match origin {
            ValueOrigin::Sent => "set",
            ValueOrigin::Adopted => "adopted",
        };
        format!("{word} {}", at.strftime("%Y-%m-%d"))
    });
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
