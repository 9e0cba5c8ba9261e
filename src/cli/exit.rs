//! Exit codes, a public promise. Help, man pages and docs/reference.md repeat its words.

use std::time::Duration;

use super::env;
use crate::core::report::{ApplyReport, Signal, StateSaved};
use crate::ops::OpError;
use crate::ops::error::ErrorClass;
use crate::ops::online::Waiter;
use crate::view::text::push_wrapped;

macro_rules! codes {
    ($($name:ident = $code:literal, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: u8 = $code;)*

        pub const TABLE: &[(u8, &str)] = &[$(($code, $meaning)),*];
    };
}

codes! {
    DONE = 0, "done, or nothing to do";
    FAILED = 1, "failed; no entry was changed at the service (also if every entry was refused, skipped or not sent)";
    CHANGES = 2, "changes are pending (only `plan --detailed-exitcode`)";
    INCOMPLETE = 3, "incomplete: some entries were applied, others were refused, skipped or not sent, and no outcome is unknown; or a job that `--retry-jobs` retried did not recover in time";
    IN_DOUBT = 4, "the outcome of at least one entry is unknown; plan and apply again";
    STALE_PLAN = 5, "the saved plan is stale, expired, altered or does not match";
    LOCKED = 6, "locked by another process or run, or the state or the manifest changed before anything was sent; run the same command again";
    NOT_APPROVED = 7, "not approved: declined, no terminal to ask on, a limit exceeded, recipients changed, or passwords older than `--max-age`";
    UNSAVED = 8, "sent, but the state could not be saved; the message names the recovery file, or says why there is none";
    USAGE = 64, "invalid command line";
    INTERRUPTED = 130, "interrupted with Ctrl-C";
    TERMINATED = 143, "terminated by SIGTERM or SIGHUP";
}

pub const ORDER: &str = "If several fit, 8 wins, then 4, then 130 and 143, then 3.";

pub fn help() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for (code, meaning) in TABLE {
        let start = format!("  {code:>3}  ");
        push_wrapped(&mut text, &start, &meaning.replace('`', ""));
    }
    text.push_str(ORDER);
    text
}

pub const fn for_error(error: &OpError) -> u8 {
    match error.class() {
        ErrorClass::Failed | ErrorClass::Sealed => FAILED,
        ErrorClass::StalePlan => STALE_PLAN,
        ErrorClass::Locked => LOCKED,
        ErrorClass::NotApproved => NOT_APPROVED,
        ErrorClass::Ended(signal) => for_signal(signal),
    }
}

/// As [`for_error`], for a saved plan: one that its seal refuses does not match.
pub const fn for_saved_plan(error: &OpError) -> u8 {
    match error.class() {
        ErrorClass::Sealed => STALE_PLAN,
        _ => for_error(error),
    }
}

const fn for_signal(signal: Signal) -> u8 {
    match signal {
        Signal::Interrupt => INTERRUPTED,
        Signal::Terminate => TERMINATED,
    }
}

/// Returns the code of a run that a signal ends before its output is read.
pub const fn when_over(code: u8, signal: Signal) -> u8 {
    match code {
        UNSAVED | IN_DOUBT | STALE_PLAN | INCOMPLETE => code,
        _ => for_signal(signal),
    }
}

pub fn for_apply(report: &ApplyReport) -> u8 {
    let totals = report.totals();
    if report.saved != StateSaved::InState {
        return UNSAVED;
    }
    if totals.in_doubt > 0 {
        return IN_DOUBT;
    }
    if let Some(signal) = report.interrupted {
        return for_signal(signal);
    }
    let is_well =
        report.not_retried.is_none() && report.jobs.iter().all(|job| job.result.is_well());
    if totals.applied == totals.total() {
        if is_well { DONE } else { INCOMPLETE }
    } else if totals.applied == 0 {
        FAILED
    } else {
        INCOMPLETE
    }
}

/// Returns `code`, or 1 if the result could not be written.
pub const fn written(arrived: bool, code: u8) -> u8 {
    if arrived { code } else { FAILED }
}

/// Lets signals end the process again after something listened to them, so that a reader that
/// stops reading cannot keep it forever.
pub fn end_on_signal(code: u8) {
    // Without a listener or a thread, it waits as before.
    let Ok(mut waiter) = Waiter::new(env::hang_up()) else {
        return;
    };
    let wait = move || {
        if let Some(signal) = waiter.signal_within(Duration::MAX) {
            #[expect(
                clippy::exit,
                clippy::disallowed_methods,
                reason = "the main thread is busy with the repository or a reader of its output"
            )]
            std::process::exit(when_over(code, signal).into());
        }
    };
    let _ = std::thread::Builder::new().spawn(wait);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_after_a_run_hides_no_code_that_asks_for_something_to_be_done() {
        for code in [INCOMPLETE, IN_DOUBT, STALE_PLAN, UNSAVED] {
            assert_eq!(when_over(code, Signal::Terminate), code);
        }
        assert_eq!(when_over(DONE, Signal::Terminate), TERMINATED);
    }
}
