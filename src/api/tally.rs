//! What is true of a whole run and not of one request: told once, with a number.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::note::Note;
use super::received::Headers;

/// What happened so far in one run.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    clock_off: Option<Note>,
    /// Waits for a service that was busy.
    waits: u32,
    waited: Duration,
    /// Tokens that were fetched because one was refused.
    renewals: u32,
}

impl Tally {
    /// Compares the clocks by an answer.
    pub(super) fn compare(&self, headers: &Headers, now: Timestamp) {
        let mut counts = self.locked();
        if counts.clock_off.is_none() {
            counts.clock_off = headers.clock_off(now);
        }
    }

    pub(super) fn waited(&self, wait: Duration) {
        let mut counts = self.locked();
        counts.waits += 1;
        counts.waited += wait;
    }

    pub(super) fn renewed(&self) {
        self.locked().renewals += 1;
    }

    pub(super) fn notes(&self) -> Vec<Note> {
        let counts = self.locked();
        let throttled = (counts.waits > 0).then_some(Note::Throttled {
            waits: counts.waits,
            waited: counts.waited,
        });
        let renewed = (counts.renewals > 0).then_some(Note::Renewed {
            times: counts.renewals,
        });
        let clock_off = counts.clock_off.clone();
        [clock_off, throttled, renewed]
            .into_iter()
            .flatten()
            .collect()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
