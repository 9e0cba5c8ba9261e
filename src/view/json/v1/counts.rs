//! How many entries a plan is about: the same counts in `plan --json` and `apply --json`.

use serde::Serialize;

use crate::core::report::PlanReport;

#[derive(Serialize)]
pub(super) struct CountsOut {
    to_set: usize,
    to_change: usize,
    to_send_again: usize,
    held: usize,
    in_sync: usize,
    no_longer_listed: usize,
    not_selected: usize,
}

impl CountsOut {
    pub(super) fn of(report: &PlanReport) -> Self {
        let counts = report.counts;
        Self {
            to_set: counts.to_set,
            to_change: counts.to_change,
            to_send_again: counts.to_send_again,
            held: counts.held,
            in_sync: report.in_sync,
            no_longer_listed: report.unlisted.len(),
            not_selected: report.not_selected,
        }
    }
}
