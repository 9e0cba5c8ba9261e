//! The states of a job, and what each allows.
//!
//! Source: OTC api-ref, "Task Statuses"; the status queries of the same; the
//! official Huawei Cloud SDK for the states that only it lists. It owns the one
//! table; a state that is not in it is kept as the service wrote it.

use std::fmt;

use super::redact::ForeignText;

/// What a state is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On its way to another state by itself.
    Transient,
    /// Stays until somebody acts; not started, or not by now.
    Stable,
    /// Works.
    Running,
    /// Stopped by a fault; a retry may help.
    Failed,
    /// Stopped by its owner.
    Paused,
    /// Over.
    Ended,
}

/// Whether the password call is allowed in a state ("Changing the Passwords of the
/// Sources and Destinations", Constraints).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passwords {
    Taken,
    Refused,
}

/// What is known of a state.
struct Facts {
    /// The spelling that is shown first, then those that other pages use.
    names: &'static [&'static str],
    passwords: Passwords,
    kind: Kind,
}

/// Makes the states of one table, so that none can be without its facts.
macro_rules! states {
    ($($state:ident: $names:expr, $passwords:ident, $kind:ident;)*) => {
        /// A state that is known.
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

            const fn facts(self) -> Facts {
                match self {
                    $(Self::$state => Facts {
                        names: &$names,
                        passwords: Passwords::$passwords,
                        kind: Kind::$kind,
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
    // Known by its name alone: taken for a step of the service's own upgrade, which is
    // not for the owner of the job to retry.
    NodeUpgradeFailed: ["NODE_UPGRADE_FAILED"], Refused, Transient;
    Deleted: ["DELETED"], Refused, Ended;
}

impl JobStatus {
    /// The state with this name, in any of its spellings.
    pub fn parse(text: &str) -> Option<Self> {
        let mut states = Self::ALL.iter().copied();
        states.find(|state| state.facts().names.contains(&text))
    }

    /// The name that the service uses.
    pub const fn as_str(self) -> &'static str {
        self.facts().names[0]
    }

    /// Whether the password call is allowed in it.
    pub const fn takes_passwords(self) -> bool {
        matches!(self.facts().passwords, Passwords::Taken)
    }

    /// What it is like.
    pub const fn kind(self) -> Kind {
        self.facts().kind
    }

    /// Whether a retry brings a job in it back (OTC api-ref, "Resuming or Retrying
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

/// A state as the service told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToldStatus {
    /// One of the table.
    Known(JobStatus),
    /// Another, in the service's spelling.
    Unknown(ForeignText),
}

impl ToldStatus {
    /// The state for structured output.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(status) => status.as_str(),
            Self::Unknown(text) => text.as_str(),
        }
    }

    /// The state, if it is one of the table.
    pub const fn known(&self) -> Option<JobStatus> {
        match self {
            Self::Known(status) => Some(*status),
            Self::Unknown(_) => None,
        }
    }
}

impl fmt::Display for ToldStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(status) => status.fmt(f),
            Self::Unknown(text) => text.fmt(f),
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
            assert!(!state.may_be_retried() || state.kind() == Kind::Failed);
        }
    }
}
