//! Which of the waiting faults strike a request.
//!
//! Owns the queue of faults and how often each may still strike. Refuses to know
//! what a fault does.

use super::fault::{Fault, QueryCall, When};
use super::job::Endpoint;
use super::kind::FaultKind;

/// A request as far as faults choose by it.
pub(super) struct Hit<'a> {
    /// Its number among the requests of its kind, counted from 1.
    pub(super) number: u64,
    /// Which query it is, with its number among those.
    pub(super) call: Option<(QueryCall, u64)>,
    /// The entries of a password change.
    pub(super) entries: &'a [(&'a str, Endpoint)],
}

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

    /// The faults that strike a request. A fault that names an entry waits for a
    /// request that holds it, and one that names a call for that call.
    pub(super) fn strike(&mut self, hit: &Hit<'_>) -> Vec<FaultKind> {
        let mut kinds = Vec::new();
        let mut next_taken = false;
        for (fault, left) in &mut self.armed {
            let number = match (fault.call, hit.call) {
                (None, _) => hit.number,
                (Some(wanted), Some((call, number))) if wanted == call => number,
                (Some(_), _) => continue,
            };
            let due = match &fault.on {
                When::Next => !next_taken,
                When::Nth(wanted) => *wanted == number,
                When::Every(step) => *step != 0 && number.is_multiple_of(*step),
                When::Always => true,
                When::Entry { job, endpoint } => hit.entries.contains(&(job.as_str(), *endpoint)),
            };
            if !due || !fault.kind.can_strike(hit.entries) {
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
            Self::TooMany { most, .. } => entries.len() > *most,
            Self::PoisonEntry { job, endpoint, .. } => entries.contains(&(job, *endpoint)),
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
