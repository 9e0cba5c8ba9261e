//! The command line: names, help texts, and which words go together.
//! No option takes a secret.

mod authoring;
mod recipients;
mod state;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use authoring::{Decrypt, Encrypt, Show, Validate};
pub use recipients::{Recipients, Rekey};
pub use state::{
    LockCommand, StateAdopt, StateCommand, StateDistrust, StateRecover, StateRm, StateShow,
};
pub use values::{Import, Set, Unset};

use crate::core::fingerprint::change::{ChangeId, is_digest};
use crate::core::preflight::UnknownStates;

/// Tell DRS jobs the rotated passwords of their databases, as a reviewed change.
#[derive(Debug, Parser)]
#[command(
    name = "drspass",
    version,
    propagate_version = false,
    max_term_width = 80,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true,
    after_help = crate::cli::exit::help()
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Work as if started in this folder
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,
    /// Keep the state here instead of where drspass.yaml says [env: DRSPASS_STATE]
    #[arg(long, value_name = "PATH", global = true)]
    pub state: Option<PathBuf>,
    /// Decrypt with this age or ssh identity file (repeatable) [env: DRSPASS_IDENTITY,
    /// DRSPASS_IDENTITY_KEY]
    #[arg(short, long = "identity", value_name = "FILE", global = true)]
    pub identity: Vec<PathBuf>,
    /// Trust the certificate authorities of this PEM file as well
    #[arg(long, value_name = "FILE", global = true)]
    pub ca_file: Option<PathBuf>,
    /// Talk to this host although it is of no known cloud (repeatable)
    /// [env: DRSPASS_TRUSTED_HOSTS]
    #[arg(long, value_name = "HOST", global = true)]
    pub trust_host: Vec<String>,
    /// Take only a manifest that carries this key [env: DRSPASS_EXPECT_KEY_ID]
    #[arg(long, value_name = "ID", global = true)]
    pub expect_key_id: Option<String>,
    /// Tell more of what happens; -vv and -vvv tell still more
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: When,
}

/// When to colour output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// In any case
    Always,
    /// In no case
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a root folder: drspass.yaml and an encrypted manifest to fill in
    Init(Init),
    /// Seal a plaintext manifest
    Encrypt(Encrypt),
    /// Change the manifest with your editor ($VISUAL, $EDITOR, vi or nano)
    Edit,
    /// Write the plain text of the manifest to standard output, or to a new file
    Decrypt(Decrypt),
    /// Set one value of the manifest, and leave everything else in it as it is
    Set(Set),
    /// Remove an endpoint, a kerberos field or a credential from the manifest
    Unset(Unset),
    /// Set the values that a CSV or JSON file lists; shows what would change first
    Import(Import),
    /// Check drspass.yaml and the manifest
    Validate(Validate),
    /// List what the manifest sets, without any value; or show a saved plan
    Show(Show),
    /// Show who can read the manifest, as far as it can be known
    Recipients(Recipients),
    /// Encrypt the manifest to the recipients of drspass.yaml, sealed for its target
    Rekey(Rekey),
    /// Show what an apply would send
    Plan(Plan),
    /// Send what differs, and record what became of it
    Apply(Apply),
    /// Show which login is used, and what it is for
    Whoami(Whoami),
    /// List the jobs of the project, and whether the manifest sets their passwords
    Jobs(Jobs),
    /// Look into the state
    #[command(subcommand)]
    State(StateCommand),
    /// Look at the lock
    #[command(subcommand)]
    Lock(LockCommand),
    /// Write the completions of a shell to standard output
    Completions(Completions),
    /// Write the man page to standard output, or a page of each command to a folder
    Man(Man),
    /// Write the JSON Schema of a format to standard output, or list their names
    Schema(Schema),
    /// Run a DRS service to rehearse against, on this machine only
    #[cfg(feature = "sim")]
    Sim(Sim),
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The region, from which the addresses follow (such as eu-de)
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// The project's id
    #[arg(long, value_name = "ID")]
    pub project_id: Option<String>,
    /// The address of the DRS service, where no region gives it; else the catalogue
    /// is asked
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The address of the identity service, ending in /v3
    #[arg(long, value_name = "URL")]
    pub auth_url: Option<String>,
    /// Encrypt to this public key (repeatable); a file named with -i is made if
    /// it does not exist, and its key is a recipient too
    #[arg(long, value_name = "KEY")]
    pub recipient: Vec<String>,
    /// List every job of the project in the manifest, to be filled in; logs in and
    /// asks the service
    #[arg(long)]
    pub from_jobs: bool,
    /// Have git show changes of the manifest value by value, in this clone; also
    /// where there is a manifest already, and then nothing else is done
    #[arg(long)]
    pub git: bool,
    /// The login.
    #[command(flatten)]
    pub login: Login,
}

/// Where the login comes from, before variables and clouds.yaml.
#[derive(Debug, Default, Args)]
pub struct Login {
    /// Log in with this entry of clouds.yaml, whatever variables say
    #[arg(long, value_name = "NAME")]
    pub cloud: Option<String>,
    /// Log in with the token in this file; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "cloud")]
    pub token_file: Option<PathBuf>,
}

/// Arguments of `whoami`.
#[derive(Debug, Args)]
pub struct Whoami {
    /// The login.
    #[command(flatten)]
    pub login: Login,
}

/// Arguments of `jobs`.
#[derive(Debug, Args)]
pub struct Jobs {
    /// Write one JSON document instead of text
    #[arg(long)]
    pub json: bool,
    /// The login.
    #[command(flatten)]
    pub login: Login,
}

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
    #[arg(long)]
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
    /// Accept a manifest with another key than the state: every entry is sent
    #[arg(long)]
    pub accept_new_key: bool,
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

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Write drspass.1 and a page of each command to this folder, which must exist
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// The format, such as plan-output; without it, all names are listed
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Arguments of `sim`.
#[cfg(feature = "sim")]
#[derive(Debug, Args)]
pub struct Sim {
    /// Listen on this port of the loopback address; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// Jobs, passwords and faults to play
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
}

/// What an id is.
const NO_ID: &str = "64 lower-case hexadecimal digits";
/// What a time is.
const LIFE: &str = "a whole number with s, m, h or d, at most 30d";

/// What our own readers say of a value that they do not take. It holds nothing of the
/// value, so it may be repeated.
pub(super) const REASONS: [&str; 3] = [NO_ID, LIFE, values::LENGTH];

fn plan_id(text: &str) -> Result<String, &'static str> {
    is_digest(text).then(|| text.to_owned()).ok_or(NO_ID)
}

fn change_id(text: &str) -> Result<ChangeId, &'static str> {
    ChangeId::parse(text).ok_or(NO_ID)
}

/// A whole number and one of the units s, m, h, d; at most 30 days.
fn life(text: &str) -> Result<Duration, &'static str> {
    const DAY: u64 = 24 * 60 * 60;
    let parse = || {
        let at = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(at);
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => DAY,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(seconds)
    };
    match parse() {
        Some(seconds) if (1..=30 * DAY).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(LIFE),
    }
}
