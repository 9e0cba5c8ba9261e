//! Version 1 of the JSON outputs. The schemas stand under `schemas/`.
//!
//! They tell the same facts as the text for people. No value, fingerprint or
//! salt is in them: a field that has a value says `"sensitive": true` instead.

mod apply;
mod counts;
mod inventory;
mod plan;
mod recipients;
mod shown;
mod state;
mod validate;

use serde::Serialize;

use crate::core::redact::in_json;
use crate::core::report::PlanReport;
use crate::core::state::ValueOrigin;
use crate::view::terminal;

pub use apply::{APPLY, apply, apply_error, apply_head};
pub use inventory::jobs;
pub use plan::{PLAN, plan};
pub use recipients::recipients;
pub use shown::{HolderOut, lock, manifest, whoami};
pub use state::{STATE, state};
pub use validate::{ErrorOut, VALIDATE, validate};

fn notes(report: &PlanReport) -> Vec<String> {
    report.notes.iter().map(terminal::note_words).collect()
}

const fn origin_word(origin: ValueOrigin) -> &'static str {
    match origin {
        ValueOrigin::Sent => "sent",
        ValueOrigin::Adopted => "adopted",
    }
}

fn to_line<T: Serialize>(value: &T) -> String {
    let text =
        serde_json::to_string(value).expect("strings, numbers and lists of them always serialize");
    in_json(&text).into_owned() + "\n"
}
