//! The words of `state` and `lock`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to see of the state.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// List the entries of the state; needs no key, so nothing is proved
    List,
    /// Show everything known about entries, authenticated
    Show(StateShow),
    /// Forget entries; the service is not told
    Rm(StateRm),
    /// Declare that the service holds what the manifest wants
    Adopt(StateAdopt),
    /// Mark every entry to be sent again, whatever the state says
    Distrust(StateDistrust),
    /// Fold the recovery file of an apply into the state
    Recover(StateRecover),
}

/// Arguments of `state show`.
#[derive(Debug, Args)]
pub struct StateShow {
    /// Only these entries; all when none is named
    #[arg(value_name = "ADDR")]
    pub addresses: Vec<String>,
    /// Write one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `state rm`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["addresses", "unlisted"]))]
pub struct StateRm {
    /// The entries to forget
    #[arg(value_name = "ADDR")]
    pub addresses: Vec<String>,
    /// Forget every entry that the manifest does not list any more
    #[arg(long)]
    pub unlisted: bool,
}

/// Arguments of `state adopt`.
#[derive(Debug, Args)]
pub struct StateAdopt {
    /// The entries
    #[arg(value_name = "ADDR", required = true)]
    pub addresses: Vec<String>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `state distrust`.
#[derive(Debug, Args)]
pub struct StateDistrust {
    /// Accept a manifest that is older than the state says was applied
    #[arg(long)]
    pub allow_rollback: bool,
}

/// Arguments of `state recover`.
#[derive(Debug, Args)]
pub struct StateRecover {
    /// The recovery file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// What to see of the lock.
#[derive(Debug, Subcommand)]
pub enum LockCommand {
    /// Show who holds the lock
    Show(LockShow),
}

/// Arguments of `lock show`.
#[derive(Debug, Args)]
pub struct LockShow {
    /// Write one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}
