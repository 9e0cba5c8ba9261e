//! How many entries a plan is about: the same counts in `plan --json` and `apply --json`.

use serde::Serialize;

use crate::core::report::PlanReport;

#[derive(Serialize)]
pub(super) struct CountsOut {
    pub(super) to_set: usize,
    pub(super) to_change: usize,
    pub(super) to_send_again: usize,
    pub(super) held: usize,
    pub(super) skipped: usize,
    pub(super) in_sync: usize,
    pub(super) no_longer_listed: usize,
    pub(super) not_selected: usize,
}

impl CountsOut {
    pub(super) fn of(report: &PlanReport) -> Self {
        let counts = report.counts;
        Self {
            to_set: counts.to_set,
            to_change: counts.to_change,
            to_send_again: counts.to_send_again,
            held: counts.held,
            skipped: report.blocked.len(),
            in_sync: report.in_sync,
            no_longer_listed: report.unlisted.len(),
            not_selected: report.not_selected,
        }
    }
}
