//! The words of `apply`.

use std::path::PathBuf;

use clap::Args;

use super::readers::{change_id, key_id, plan_id};
use super::{Login, Scope, States};
use crate::core::fingerprint::KeyId;
use crate::core::fingerprint::change::ChangeId;

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// Apply exactly this saved plan; nobody is asked then
    #[arg(
        value_name = "PLAN",
        conflicts_with_all = ["only", "resend", "allow_rollback", "accept_new_key"]
    )]
    pub plan: Option<PathBuf>,
    /// Only apply the plan with this id
    #[arg(long, value_name = "ID", value_parser = plan_id, requires = "plan")]
    pub expect_plan_id: Option<String>,
    /// Only apply the change with this id, which 'drspass plan' shows with --out,
    /// --json or --markdown
    #[arg(long, value_name = "ID", value_parser = change_id)]
    pub expect_change: Option<ChangeId>,
    /// Which entries.
    #[command(flatten)]
    pub scope: Scope,
    /// Do not ask
    #[arg(long, alias = "yes")]
    pub auto_approve: bool,
    /// Write JSON, one message a line, instead of text
    #[arg(long)]
    pub json: bool,
    /// Write a summary in Markdown to this file, in place of the last one; - writes
    /// it to standard output, and the text to standard error
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Tell GitHub Actions: a step summary, outputs (as plan, and applied, refused,
    /// exit_code), and annotations on standard output
    #[arg(long, conflicts_with = "json")]
    pub github: bool,
    /// Accept a manifest with another key than the state, whose key this is: every
    /// entry is sent
    #[arg(long, value_name = "OLDKEYID", value_parser = key_id)]
    pub accept_new_key: Option<KeyId>,
    /// Accept exactly this many changes although a limit is lower
    #[arg(long, value_name = "N")]
    pub override_limits: Option<u64>,
    /// Do not ask for the states of jobs before sending
    #[arg(long, conflicts_with_all = ["stop_if_blocked", "try_unknown_state"])]
    pub no_preflight: bool,
    /// Send nothing at all if a job cannot be told its password now
    #[arg(long)]
    pub stop_if_blocked: bool,
    /// Job states.
    #[command(flatten)]
    pub states: States,
    /// Afterwards retry jobs that failed, if all their listed entries are in sync and
    /// drspass sent one of them; watch them for at most apply.retry.max_elapsed
    #[arg(long)]
    pub retry_jobs: bool,
    /// Resume jobs that somebody paused as well
    #[arg(long, requires = "retry_jobs")]
    pub resume_paused: bool,
    /// The login.
    #[command(flatten)]
    pub login: Login,
}
