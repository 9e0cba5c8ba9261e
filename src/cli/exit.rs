//! Exit codes: a public promise (design section 4).
//! Every code has one constant, and every way to end has one code.

use crate::core::report::{ApplyReport, LookedAfter, Saved, Signal};
use crate::ops::OpError;
use crate::store::StoreError;

/// Done, or nothing to do.
pub const DONE: u8 = 0;
/// Failed, and no entry was changed at the service.
pub const FAILED: u8 = 1;
/// Changes are pending: only from `plan --detailed-exitcode`.
pub const CHANGES: u8 = 2;
/// Incomplete: at least one entry applied, at least one refused, blocked or not
/// sent, none in doubt; or a job that was to be looked after was not seen to run again.
pub const INCOMPLETE: u8 = 3;
/// In doubt: the outcome of at least one entry is unknown. Wins over 3.
pub const IN_DOUBT: u8 = 4;
/// The saved plan is stale, expired, altered or does not match.
pub const STALE_PLAN: u8 = 5;
/// The lock is held by someone else.
pub const LOCKED: u8 = 6;
/// Not approved: declined, no terminal to ask, a limit exceeded, or recipients
/// changed.
pub const NOT_APPROVED: u8 = 7;
/// Sent, but the state could not be saved; a recovery file was written. Wins
/// over all.
pub const UNSAVED: u8 = 8;
/// The command line is wrong.
pub const USAGE: u8 = 64;
/// Interrupted by Ctrl-C.
pub const INTERRUPTED: u8 = 130;
/// Told to end by a signal.
pub const TERMINATED: u8 = 143;

/// The code of an error.
pub const fn for_error(error: &OpError) -> u8 {
    match error {
        OpError::Store(StoreError::Locked { .. }) => LOCKED,
        OpError::Interrupted {
            signal: Signal::Interrupt,
        } => INTERRUPTED,
        OpError::Interrupted {
            signal: Signal::Terminate,
        } => TERMINATED,
        OpError::RecipientsChanged { .. }
        | OpError::LimitExceeded { .. }
        | OpError::NotApproved { .. } => NOT_APPROVED,
        OpError::Document { .. }
        | OpError::NoRoot { .. }
        | OpError::Outside { .. }
        | OpError::Read { .. }
        | OpError::Write { .. }
        | OpError::Exists { .. }
        | OpError::Unfit { .. }
        | OpError::Age { .. }
        | OpError::Identity(_)
        | OpError::NoIdentity { .. }
        | OpError::Store(_)
        | OpError::Api(_)
        | OpError::Target(_)
        | OpError::UntrustedHost(_)
        | OpError::TargetMoved { .. }
        | OpError::UnexpectedKey { .. }
        | OpError::NewKey { .. }
        | OpError::Rollback { .. }
        | OpError::OtherScope { .. }
        | OpError::Recovery { .. }
        | OpError::Service(_)
        | OpError::Login { .. }
        | OpError::Runtime(_)
        | OpError::Unmatched(_) => FAILED,
    }
}

/// The code of an apply that ran.
pub fn for_apply(report: &ApplyReport) -> u8 {
    let totals = report.totals();
    if report.saved != Saved::InState {
        return UNSAVED;
    }
    if totals.in_doubt > 0 {
        return IN_DOUBT;
    }
    match report.interrupted {
        Some(Signal::Interrupt) => return INTERRUPTED,
        Some(Signal::Terminate) => return TERMINATED,
        None => {}
    }
    let is_well =
        report.looked_after == LookedAfter::All && report.jobs.iter().all(|job| job.care.is_well());
    if totals.applied == totals.total() {
        if is_well { DONE } else { INCOMPLETE }
    } else if totals.applied == 0 {
        FAILED
    } else {
        INCOMPLETE
    }
}
