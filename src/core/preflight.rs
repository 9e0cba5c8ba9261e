//! Whether a job can be told a password now: a pure step from what the service
//! says about it (design section 7, "Preflight").

use std::fmt;

use super::job::{JobId, some_of};
use super::redact::Token;
use super::status::{JobStatus, ToldStatus};

/// What the service says about one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFacts {
    /// Its state.
    pub status: ToldStatus,
    /// Whether the service offers to tell it a password, where it says. Its own word
    /// beats the table of states (official Huawei Cloud SDK, `job_action`).
    pub offered: Option<bool>,
    /// The subtasks, of the parent of a dual-active pair.
    pub parent_of: Vec<JobId>,
}

/// What the service says about one job that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is there.
    Job(JobFacts),
    /// There is no such job in this project, or it was deleted.
    Missing(Token),
    /// The service did not say.
    Nothing,
}

/// Whether a job may be told a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Ready,
    /// It may not: sending would be refused.
    Blocked(Blocked),
    /// Not known; sending does no harm.
    Unread,
}

/// Why a job may not be told a password now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// The state does not allow it.
    State(JobStatus),
    /// The service does not offer it, in a state that should allow it.
    NotOffered(ToldStatus),
    /// The state is none that drspass knows.
    UnknownState(ToldStatus),
    /// There is no such job.
    Missing(Token),
    /// It is the parent of a dual-active pair, whose subtasks hold the passwords.
    Parent(Vec<JobId>),
}

/// What to do about states that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownStates {
    /// Leave the job out.
    Block,
    /// Try all the same.
    Try,
}

/// Judges one job.
pub fn judge(told: &Told, unknown: UnknownStates) -> Verdict {
    let facts = match told {
        Told::Job(facts) => facts,
        Told::Missing(code) => return Verdict::Blocked(Blocked::Missing(code.clone())),
        Told::Nothing => return Verdict::Unread,
    };
    if !facts.parent_of.is_empty() {
        return Verdict::Blocked(Blocked::Parent(facts.parent_of.clone()));
    }
    if let Some(offered) = facts.offered {
        return match (offered, &facts.status) {
            (true, _) => Verdict::Ready,
            (false, ToldStatus::Known(status)) if !status.takes_passwords() => {
                Verdict::Blocked(Blocked::State(*status))
            }
            (false, status) => Verdict::Blocked(Blocked::NotOffered(status.clone())),
        };
    }
    match (&facts.status, unknown) {
        (ToldStatus::Known(status), _) if status.takes_passwords() => Verdict::Ready,
        (ToldStatus::Known(status), _) => Verdict::Blocked(Blocked::State(*status)),
        (ToldStatus::Unknown(_), UnknownStates::Try) => Verdict::Ready,
        (ToldStatus::Unknown(_), UnknownStates::Block) => {
            Verdict::Blocked(Blocked::UnknownState(facts.status.clone()))
        }
    }
}

impl Blocked {
    /// The short name of the reason, for structured output.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::State(_) => "job_state",
            Self::NotOffered(_) => "not_offered",
            Self::UnknownState(_) => "unknown_state",
            Self::Missing(_) => "no_such_job",
            Self::Parent(_) => "dual_active_parent",
        }
    }

    /// What to do about it: one sentence.
    pub fn advice(&self) -> String {
        match self {
            Self::State(JobStatus::Configuration | JobStatus::WaitingForStart) => {
                "Set this password in the console, or start the job and apply again.".to_owned()
            }
            Self::State(status) if status.kind() == super::status::Kind::Ended => {
                "The job is over: take the entry out of the manifest.".to_owned()
            }
            Self::State(_) | Self::NotOffered(_) => {
                "Wait until the job is in a state that takes a password, then apply again."
                    .to_owned()
            }
            Self::UnknownState(_) => {
                "If the console shows that the job runs, --try-unknown-state sends it.".to_owned()
            }
            Self::Missing(_) => "Check the job's id, the project and the region.".to_owned(),
            Self::Parent(children) => {
                format!("List its subtasks instead: {}.", some_of(children))
            }
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(status) => write!(f, "the job is {status}, which takes no password"),
            Self::NotOffered(status) => {
                write!(
                    f,
                    "the service does not offer it for this job, which is {status}"
                )
            }
            Self::UnknownState(status) => write!(f, "the job's state {status} is not known"),
            Self::Missing(code) => write!(f, "there is no such job ({code})"),
            Self::Parent(_) => f.write_str("it is the parent of a dual-active pair"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::redact::ForeignText;

    fn facts(status: &str) -> JobFacts {
        JobFacts {
            status: JobStatus::parse(status).map_or_else(
                || ToldStatus::Unknown(ForeignText::clean(status).unwrap()),
                ToldStatus::Known,
            ),
            offered: None,
            parent_of: Vec::new(),
        }
    }

    fn verdict(facts: JobFacts, unknown: UnknownStates) -> Verdict {
        judge(&Told::Job(facts), unknown)
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
            assert_eq!(verdict == Verdict::Ready, ready, "{status}: {verdict:?}");
        }
    }

    #[test]
    fn an_unknown_state_blocks_unless_it_is_to_be_tried() {
        let blocked = verdict(facts("RESHARDING"), UnknownStates::Block);
        let Verdict::Blocked(why) = blocked else {
            panic!("{blocked:?}");
        };
        assert_eq!(
            why.to_string(),
            "the job's state \"RESHARDING\" is not known"
        );
        assert_eq!(
            verdict(facts("RESHARDING"), UnknownStates::Try),
            Verdict::Ready
        );
    }

    #[test]
    fn the_word_of_the_service_beats_the_table_both_ways() {
        let with = |status, offered| JobFacts {
            offered: Some(offered),
            ..facts(status)
        };
        let judge = |facts| verdict(facts, UnknownStates::Block);
        assert_eq!(judge(with("WAITING_FOR_START", true)), Verdict::Ready);
        assert_eq!(judge(with("RESHARDING", true)), Verdict::Ready);
        assert!(matches!(
            judge(with("INCRE_TRANSFER_STARTED", false)),
            Verdict::Blocked(Blocked::NotOffered(_))
        ));
        assert!(matches!(
            judge(with("CREATING", false)),
            Verdict::Blocked(Blocked::State(JobStatus::Creating))
        ));
    }

    #[test]
    fn a_parent_is_blocked_whatever_its_state_and_names_its_subtasks() {
        let child = JobId::parse("child-1").unwrap();
        let facts = JobFacts {
            parent_of: vec![child],
            offered: Some(true),
            ..facts("INCRE_TRANSFER_STARTED")
        };
        let Verdict::Blocked(why) = verdict(facts, UnknownStates::Try) else {
            panic!("a parent takes no password");
        };
        assert!(why.advice().contains("child-1"));
    }

    #[test]
    fn what_is_missing_blocks_and_what_was_not_told_does_not() {
        let missing = Told::Missing(Token::from_static("DRS.M00289"));
        assert!(matches!(
            judge(&missing, UnknownStates::Try),
            Verdict::Blocked(Blocked::Missing(_))
        ));
        assert_eq!(judge(&Told::Nothing, UnknownStates::Block), Verdict::Unread);
    }
}
