//! The words of `plan`, and those that it shares with `apply`: which entries, and
//! what job states mean.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Login;
use super::readers::life;
use crate::core::preflight::UnknownStates;

/// What job states mean for what is sent.
#[derive(Debug, Args)]
pub struct States {
    /// Send also to jobs in a state that drspass does not know
    #[arg(long)]
    pub try_unknown_state: bool,
}

impl States {
    /// What unknown states mean for this run.
    pub const fn unknown(&self) -> UnknownStates {
        if self.try_unknown_state {
            UnknownStates::Try
        } else {
            UnknownStates::Block
        }
    }
}

/// Which entries, and what the user accepts.
#[derive(Debug, Args)]
pub struct Scope {
    /// Only these entries: a job's id or name, with /source or /destination if
    /// only one is meant, or @CREDENTIAL; * and ? are wildcards
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub only: Vec<String>,
    /// Send these entries whatever is known about them
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub resend: Vec<String>,
    /// Accept a manifest that is older than one that was applied
    #[arg(long)]
    pub allow_rollback: bool,
}

/// Arguments of `plan`. What only a question to the service uses is refused without
/// one, so that nobody takes an offline plan for the answer.
#[derive(Debug, Args)]
#[command(mut_arg("cloud", |arg| arg.requires("preflight")))]
#[command(mut_arg("token_file", |arg| arg.requires("preflight")))]
#[command(mut_arg("try_unknown_state", |arg| arg.requires("preflight")))]
pub struct Plan {
    /// Which entries.
    #[command(flatten)]
    pub scope: Scope,
    /// Exit with 2 when there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Show what was last set against what is wanted, both masked
    #[arg(long)]
    pub diff: bool,
    /// Write one JSON document instead of text
    #[arg(long, conflicts_with = "diff")]
    pub json: bool,
    /// Write a summary in Markdown to this file, in place of the last one; - writes
    /// it to standard output instead of text
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Tell GitHub Actions: a step summary, outputs (has_changes, plan_id,
    /// change_id), and annotations on standard output
    #[arg(long, conflicts_with = "json")]
    pub github: bool,
    /// Write GitLab's report of a plan (artifacts:reports:terraform) to this file
    #[arg(long, value_name = "FILE")]
    pub gitlab_report: Option<PathBuf>,
    /// End the text with the line that readers of Terraform's output look for
    #[arg(long, conflicts_with = "json")]
    pub terraform_summary: bool,
    /// Save the plan in this file, for 'drspass apply FILE'
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How long the saved plan may be applied: a number and s, m, h or d, at
    /// most 30d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = life, requires = "out")]
    pub expires_in: Duration,
    /// Ask the service which jobs can be told a password now
    #[arg(long)]
    pub preflight: bool,
    /// Job states.
    #[command(flatten)]
    pub states: States,
    /// The login.
    #[command(flatten)]
    pub login: Login,
}
