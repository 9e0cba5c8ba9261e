//! The command line: names, help texts, and which words go together.
//! No option takes a secret.

mod apply;
mod authoring;
mod command;
mod init;
mod plan;
mod readers;
mod recipients;
mod service;
mod shipped;
#[cfg(feature = "sim")]
mod sim;
mod state;
mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use apply::Apply;
pub use authoring::{Decrypt, Encrypt, Show, Validate};
pub(super) use command::{GLOBAL, OVERVIEW, command, examples};
pub use init::Init;
pub use plan::{Plan, Scope, States};
pub(super) use readers::REASONS;
pub use recipients::{Recipients, Rekey};
pub use service::{Jobs, Login, Whoami};
pub use shipped::{Completions, Help, Man, SCHEMAS, Schema};
#[cfg(feature = "sim")]
pub use sim::Sim;
pub use state::{
    LockCommand, LockShow, StateAdopt, StateCommand, StateDistrust, StateRecover, StateRm,
    StateShow,
};
pub use values::{Import, Set, Unset};

/// Tell DRS jobs the rotated passwords of their databases, as a reviewed change.
#[derive(Debug, Parser)]
#[command(
    name = "drspass",
    version,
    propagate_version = false,
    max_term_width = 80,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true
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
    /// Show the help of a command, or the options of every command: help global
    Help(Help),
    /// Show the version
    Version,
    /// Run a DRS service to rehearse against, on this machine only
    #[cfg(feature = "sim")]
    Sim(Sim),
}
