//! The states of a job, what each allows, and whether a job accepts a password now (design section
//! 7, "Preflight").
//!
//! Source: OTC api-ref, "Task Statuses"; the status queries of the same; the official Huawei Cloud
//! SDK for the states that only it lists. A state that is not in the table is kept as the service
//! wrote it.

use std::fmt;

use super::job::{JobId, some_of};
use super::redact::{ForeignText, Token};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusKind {
    Transient,
    /// Stays until someone acts.
    Stable,
    Running,
    Failed,
    Paused,
    Ended,
}

/// Whether the password call is allowed in a state ("Changing the Passwords of the
/// Sources and Destinations", Constraints).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passwords {
    Taken,
    Refused,
}

struct StatusFacts {
    /// The spelling that is shown first, then those that other pages use.
    names: &'static [&'static str],
    passwords: Passwords,
    kind: StatusKind,
}

/// Declares the states from one table, so that none lacks its facts.
macro_rules! states {
    ($($state:ident: $names:expr, $passwords:ident, $kind:ident;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(
            missing_docs,
            reason = "the names are the service's; the table says what they mean"
        )]
        pub enum JobStatus {
            $($state,)*
        }

        impl JobStatus {
            const ALL: &[Self] = &[$(Self::$state,)*];

            const fn facts(self) -> StatusFacts {
                match self {
                    $(Self::$state => StatusFacts {
                        names: &$names,
                        passwords: Passwords::$passwords,
                        kind: StatusKind::$kind,
                    },)*
                }
            }
        }
    };
}

states! {
    Creating: ["CREATING"], Refused, Transient;
    CreateFailed: ["CREATE_FAILED"], Refused, Ended;
    Configuration: ["CONFIGURATION"], Refused, Stable;
    WaitingForStart: ["WAITING_FOR_START"], Refused, Stable;
    StartJobing: ["STARTJOBING"], Taken, Transient;
    // The constraint of the password call writes it without the second dash.
    StartJobFailed: ["START_JOB_FAILED", "STARTJOB_FAILED"], Taken, Failed;
    FullTransferStarted: ["FULL_TRANSFER_STARTED"], Taken, Running;
    FullTransferFailed: ["FULL_TRANSFER_FAILED"], Taken, Failed;
    FullTransferComplete: ["FULL_TRANSFER_COMPLETE"], Taken, Running;
    IncreTransferStarted: ["INCRE_TRANSFER_STARTED"], Taken, Running;
    IncreTransferFailed: ["INCRE_TRANSFER_FAILED"], Taken, Failed;
    // It means paused, not being paused; one page misspells it.
    Pausing: ["PAUSING", "PAUSEING"], Taken, Paused;
    ChangeJobStarted: ["CHANGE_JOB_STARTED"], Refused, Transient;
    ChangeJobFailed: ["CHANGE_JOB_FAILED"], Refused, Failed;
    ChildTransferStarting: ["CHILD_TRANSFER_STARTING"], Refused, Transient;
    ChildTransferStarted: ["CHILD_TRANSFER_STARTED"], Refused, Transient;
    ChildTransferComplete: ["CHILD_TRANSFER_COMPLETE"], Refused, Stable;
    ChildTransferFailed: ["CHILD_TRANSFER_FAILED"], Refused, Failed;
    ReleaseChildTransferStarted: ["RELEASE_CHILD_TRANSFER_STARTED"], Refused, Transient;
    ReleaseChildTransferComplete: ["RELEASE_CHILD_TRANSFER_COMPLETE"], Refused, Ended;
    ReleaseResourceStarted: ["RELEASE_RESOURCE_STARTED"], Refused, Transient;
    ReleaseResourceFailed: ["RELEASE_RESOURCE_FAILED"], Refused, Failed;
    ReleaseResourceComplete: ["RELEASE_RESOURCE_COMPLETE"], Refused, Ended;
    RebuildNodeStarted: ["REBUILD_NODE_STARTED"], Refused, Transient;
    RebuildNodeFailed: ["REBUILD_NODE_FAILED"], Refused, Failed;
    NodeUpgradeStart: ["NODE_UPGRADE_START"], Refused, Transient;
    NodeUpgradeComplete: ["NODE_UPGRADE_COMPLETE"], Refused, Transient;
    // Known by its name alone: taken for a step of the service's own upgrade, which the owner of
    // the job cannot retry.
    NodeUpgradeFailed: ["NODE_UPGRADE_FAILED"], Refused, Transient;
    Deleted: ["DELETED"], Refused, Ended;
}

impl JobStatus {
    pub fn parse(text: &str) -> Option<Self> {
        let mut states = Self::ALL.iter().copied();
        states.find(|state| state.facts().names.contains(&text))
    }

    pub const fn as_str(self) -> &'static str {
        self.facts().names[0]
    }

    pub const fn takes_passwords(self) -> bool {
        matches!(self.facts().passwords, Passwords::Taken)
    }

    pub const fn kind(self) -> StatusKind {
        self.facts().kind
    }

    /// Returns whether a retry can restore a job in this state (OTC api-ref, "Resuming or Retrying
    /// Tasks in Batches"): the failed states of a transfer, and no others.
    pub const fn may_be_retried(self) -> bool {
        matches!(
            self,
            Self::StartJobFailed | Self::FullTransferFailed | Self::IncreTransferFailed
        )
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportedStatus {
    Known(JobStatus),
    Unknown(ForeignText),
}

impl ReportedStatus {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(status) => status.as_str(),
            Self::Unknown(text) => text.as_str(),
        }
    }

    pub const fn known(&self) -> Option<JobStatus> {
        match self {
            Self::Known(status) => Some(*status),
            Self::Unknown(_) => None,
        }
    }

    /// Returns whether the name of the state ends in `_FAILED`, as an unknown one's may, too.
    pub fn says_failed(&self) -> bool {
        self.as_str().ends_with("_FAILED")
    }
}

impl fmt::Display for ReportedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(status) => status.fmt(f),
            Self::Unknown(text) => text.fmt(f),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobDetails {
    pub status: ReportedStatus,
    /// Whether the service offers the password call for it, if it says so. This overrides the table
    /// of states (official Huawei Cloud SDK, `job_action`).
    pub offered: Option<bool>,
    pub parent_of: Vec<JobId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportedJob {
    Job(JobDetails),
    Missing(Token),
    Nothing,
}

impl ReportedJob {
    pub const fn known(&self) -> Option<JobStatus> {
        match self {
            Self::Job(facts) => facts.status.known(),
            Self::Missing(_) | Self::Nothing => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    State(JobStatus),
    /// The service does not offer the password call, in a state that should allow it.
    NotOffered(ReportedStatus),
    UnknownState(ReportedStatus),
    Missing(Token),
    /// The parent of a dual-active pair, whose subtasks have the passwords.
    Parent(Vec<JobId>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownStates {
    Block,
    Try,
}

/// Returns why a job does not accept a password now. If its state was not reported, sending is
/// harmless.
pub fn blocked(reported: &ReportedJob, unknown: UnknownStates) -> Option<Blocked> {
    let facts = match reported {
        ReportedJob::Job(facts) => facts,
        ReportedJob::Missing(code) => return Some(Blocked::Missing(code.clone())),
        ReportedJob::Nothing => return None,
    };
    if !facts.parent_of.is_empty() {
        return Some(Blocked::Parent(facts.parent_of.clone()));
    }
    match (facts.offered, &facts.status) {
        (Some(true), _) => None,
        (_, ReportedStatus::Known(status)) if !status.takes_passwords() => {
            Some(Blocked::State(*status))
        }
        (Some(false), status) => Some(Blocked::NotOffered(status.clone())),
        (None, ReportedStatus::Known(_)) => None,
        (None, status) => {
            (unknown == UnknownStates::Block).then(|| Blocked::UnknownState(status.clone()))
        }
    }
}

impl Blocked {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::State(_) => "job_state",
            Self::NotOffered(_) => "not_offered",
            Self::UnknownState(_) => "unknown_state",
            Self::Missing(_) => "no_such_job",
            Self::Parent(_) => "dual_active_parent",
        }
    }

    pub fn advice(&self) -> String {
        match self {
            Self::State(JobStatus::Configuration | JobStatus::WaitingForStart) => {
                "Set this password in the console, or start the job and apply again.".to_owned()
            }
            Self::State(status) if status.kind() == StatusKind::Ended => {
                "The job has ended: remove the entry from the manifest.".to_owned()
            }
            Self::State(_) | Self::NotOffered(_) => {
                "Wait until the job is in a state that accepts a password, then apply again."
                    .to_owned()
            }
            Self::UnknownState(_) => {
                "If the console shows the job as running, pass --try-unknown-state.".to_owned()
            }
            Self::Missing(_) => "Check the job's id, the project and the region.".to_owned(),
            Self::Parent(children) => {
                format!("List its subtasks instead: {}.", some_of(children, 5))
            }
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(status) => write!(f, "the job is {status} and does not accept a password"),
            Self::NotOffered(status) => {
                write!(
                    f,
                    "the service does not accept a password for this job, which is {status}"
                )
            }
            Self::UnknownState(status) => write!(f, "the job's state {status} is unknown"),
            Self::Missing(code) => write!(f, "the job does not exist ({code})"),
            Self::Parent(_) => f.write_str("it is the parent of a dual-active pair"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_once_and_leads_to_its_state() {
        let mut seen = std::collections::BTreeSet::new();
        for state in JobStatus::ALL {
            for name in state.facts().names {
                assert!(seen.insert(*name), "{name}");
                assert_eq!(JobStatus::parse(name), Some(*state));
            }
            assert_eq!(state.as_str(), state.facts().names[0]);
        }
        assert_eq!(JobStatus::parse("PAUSED"), None);
        assert_eq!(JobStatus::parse("pausing"), None);
    }

    #[test]
    fn exactly_the_states_of_the_constraint_take_passwords() {
        let states = JobStatus::ALL.iter();
        let taking: Vec<&str> = states
            .filter(|state| state.takes_passwords())
            .map(|state| state.as_str())
            .collect();
        assert_eq!(
            taking,
            [
                "STARTJOBING",
                "START_JOB_FAILED",
                "FULL_TRANSFER_STARTED",
                "FULL_TRANSFER_FAILED",
                "FULL_TRANSFER_COMPLETE",
                "INCRE_TRANSFER_STARTED",
                "INCRE_TRANSFER_FAILED",
                "PAUSING",
            ]
        );
    }

    #[test]
    fn only_failed_states_are_retried() {
        for state in JobStatus::ALL {
            assert!(!state.may_be_retried() || state.kind() == StatusKind::Failed);
            let says_failed = ReportedStatus::Known(*state).says_failed();
            assert!(says_failed || state.kind() != StatusKind::Failed, "{state}");
        }
    }

    fn facts(status: &str) -> JobDetails {
        JobDetails {
            status: JobStatus::parse(status).map_or_else(
                || ReportedStatus::Unknown(ForeignText::clean(status).unwrap()),
                ReportedStatus::Known,
            ),
            offered: None,
            parent_of: Vec::new(),
        }
    }

    fn verdict(facts: JobDetails, unknown: UnknownStates) -> Option<Blocked> {
        blocked(&ReportedJob::Job(facts), unknown)
    }

    #[test]
    fn the_table_decides_where_the_service_tells_no_actions() {
        for (status, ready) in [
            ("INCRE_TRANSFER_STARTED", true),
            ("STARTJOB_FAILED", true),
            ("PAUSEING", true),
            ("WAITING_FOR_START", false),
            ("DELETED", false),
        ] {
            let verdict = verdict(facts(status), UnknownStates::Block);
            assert_eq!(verdict.is_none(), ready, "{status}: {verdict:?}");
        }
    }

    #[test]
    fn an_unknown_state_blocks_unless_it_is_to_be_tried() {
        let blocked = verdict(facts("RESHARDING"), UnknownStates::Block);
        assert_eq!(
            blocked.expect("it is blocked").to_string(),
            "the job's state \"RESHARDING\" is unknown"
        );
        assert_eq!(verdict(facts("RESHARDING"), UnknownStates::Try), None);
    }

    #[test]
    fn the_word_of_the_service_beats_the_table_both_ways() {
        let with = |status, offered| JobDetails {
            offered: Some(offered),
            ..facts(status)
        };
        let judge = |facts| verdict(facts, UnknownStates::Block);
        assert_eq!(judge(with("WAITING_FOR_START", true)), None);
        assert_eq!(judge(with("RESHARDING", true)), None);
        assert!(matches!(
            judge(with("INCRE_TRANSFER_STARTED", false)),
            Some(Blocked::NotOffered(_))
        ));
        assert!(matches!(
            judge(with("CREATING", false)),
            Some(Blocked::State(JobStatus::Creating))
        ));
    }

    #[test]
    fn a_parent_is_blocked_whatever_its_state_and_names_its_subtasks() {
        let child = JobId::parse("child-1").unwrap();
        let facts = JobDetails {
            parent_of: vec![child],
            offered: Some(true),
            ..facts("INCRE_TRANSFER_STARTED")
        };
        let why = verdict(facts, UnknownStates::Try).expect("a parent takes no password");
        assert!(why.advice().contains("child-1"));
    }

    #[test]
    fn what_is_missing_blocks_and_what_was_not_told_does_not() {
        let missing = ReportedJob::Missing(Token::from_static("DRS.M00289"));
        assert!(matches!(
            blocked(&missing, UnknownStates::Try),
            Some(Blocked::Missing(_))
        ));
        assert_eq!(blocked(&ReportedJob::Nothing, UnknownStates::Block), None);
    }
}
