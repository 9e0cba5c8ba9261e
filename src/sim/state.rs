//! The states of jobs, and what each allows.
//!
//! Owns every rule that a state alone decides (OTC api-ref, Task Statuses).
//! Refuses to know a job.

/// Why the service does not change a password.
#[derive(Clone, Copy)]
pub(super) enum Denied {
    NotFound,
    Deleted,
    Parent,
    State,
}

impl Denied {
    /// Code and text (OTC api-ref, Error Code; M00289 is seen in live answers only).
    pub(super) fn code(self) -> (&'static str, &'static str) {
        match self {
            Self::NotFound => ("DRS.M00289", "The task does not exist."),
            Self::Deleted => (
                "DRS.M05004",
                "The task has been deleted or its resources have been released.",
            ),
            Self::Parent => ("DRS.M00307", "Only subtasks can call this API."),
            Self::State => (
                "DRS.M00304",
                "The API cannot be called in the current task status.",
            ),
        }
    }

    /// Whether the code says that there is no such job.
    pub(super) fn is_missing(code: &str) -> bool {
        matches!(code, "DRS.M00289" | "DRS.M05003" | "DRS.M05004")
    }
}

/// Whether a job in this state may be told a password (OTC api-ref, Changing the
/// Passwords…, Constraints; the misspelt forms stand on the status pages).
pub(super) fn may_change_password(status: &str) -> bool {
    matches!(
        status,
        "STARTJOBING"
            | "START_JOB_FAILED"
            | "STARTJOB_FAILED"
            | "FULL_TRANSFER_STARTED"
            | "FULL_TRANSFER_FAILED"
            | "FULL_TRANSFER_COMPLETE"
            | "INCRE_TRANSFER_STARTED"
            | "INCRE_TRANSFER_FAILED"
            | "PAUSING"
            | "PAUSEING"
    )
}

/// The state a job falls into when a login fails; `None` for a job that does not log in.
pub(super) fn failed_form(status: &str) -> Option<&'static str> {
    match status {
        "STARTJOBING" => Some("START_JOB_FAILED"),
        "FULL_TRANSFER_STARTED" | "FULL_TRANSFER_COMPLETE" => Some("FULL_TRANSFER_FAILED"),
        "INCRE_TRANSFER_STARTED" => Some("INCRE_TRANSFER_FAILED"),
        _ => None,
    }
}

/// The state a failed job returns to once a retry succeeds.
pub(super) fn running_form(status: &str) -> Option<&'static str> {
    match status {
        "START_JOB_FAILED" | "STARTJOB_FAILED" | "FULL_TRANSFER_FAILED" => {
            Some("FULL_TRANSFER_STARTED")
        }
        "INCRE_TRANSFER_FAILED" => Some("INCRE_TRANSFER_STARTED"),
        _ => None,
    }
}

/// Whether a job in this state is at rest because someone paused it. `PAUSING` is
/// no passage to another state (OTC api-ref, Task Statuses; the misspelt form
/// stands in Querying Task Statuses).
pub(super) fn is_paused(status: &str) -> bool {
    matches!(status, "PAUSING" | "PAUSEING")
}

/// Whether a job in this state moves data.
fn is_running(status: &str) -> bool {
    matches!(
        status,
        "FULL_TRANSFER_STARTED" | "FULL_TRANSFER_COMPLETE" | "INCRE_TRANSFER_STARTED"
    )
}

/// Whether an action is available in this state. The names are those of the
/// vendor's SDK, JobActionResp; which state allows what is documented for the
/// password call alone, and what the other calls do otherwise.
pub(super) fn allows(status: &str, action: &str) -> bool {
    match action {
        "RESET_DB_PWD" => may_change_password(status),
        "RETRY" => running_form(status).is_some(),
        "START" => is_paused(status),
        "PAUSE" => is_running(status),
        "DELETE" => status != "DELETED",
        _ => false,
    }
}

/// All actions that are told of.
pub(super) const ACTIONS: [&str; 5] = ["RESET_DB_PWD", "RETRY", "START", "PAUSE", "DELETE"];
