//! Which of the waiting faults strike a password change.
//!
//! Owns the queue of faults and how often each may still strike. Refuses to know
//! what a fault does.

use super::fault::{Fault, FaultKind, When};
use super::job::Endpoint;

/// The faults that still wait for a request.
#[derive(Default)]
pub(super) struct Faults {
    armed: Vec<(Fault, Option<u32>)>,
}

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) {
        let once = matches!(fault.on, When::Next).then_some(1);
        let left = fault.times.or(once);
        self.armed.push((fault, left));
    }

    /// The faults that strike the password change with this number. A fault that
    /// names an entry waits for a request that holds it.
    pub(super) fn strike(&mut self, number: u64, entries: &[(&str, Endpoint)]) -> Vec<FaultKind> {
        let mut kinds = Vec::new();
        let mut next_taken = false;
        for (fault, left) in &mut self.armed {
            let due = match &fault.on {
                When::Next => !next_taken,
                When::Nth(wanted) => *wanted == number,
                When::Every(step) => *step != 0 && number.is_multiple_of(*step),
                When::Always => true,
                When::Entry { job, endpoint } => entries.contains(&(job.as_str(), *endpoint)),
            };
            if !due || !fault.kind.can_strike(entries) {
                continue;
            }
            next_taken |= matches!(fault.on, When::Next);
            *left = left.map(|left| left.saturating_sub(1));
            kinds.push(fault.kind.clone());
        }
        self.armed.retain(|(_, left)| *left != Some(0));
        kinds
    }
}

impl FaultKind {
    fn can_strike(&self, entries: &[(&str, Endpoint)]) -> bool {
        match self {
            Self::RejectEntry(rejection) => {
                entries.contains(&(rejection.job.as_str(), rejection.endpoint))
            }
            Self::DropResults(which)
            | Self::SuccessWithCode(which)
            | Self::ErrorCodeIsPassword(which)
            | Self::RequestIdIsPassword(which)
            | Self::DoubleResults { which, .. }
            | Self::OddStatus { which, .. }
            | Self::EchoPassword { which, .. } => entries
                .iter()
                .enumerate()
                .any(|(index, (job, endpoint))| which.covers(index, job, *endpoint)),
            _ => true,
        }
    }
}
