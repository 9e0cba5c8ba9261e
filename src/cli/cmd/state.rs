//! `state …` and `lock show`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::context::Context;
use crate::cli::env;
use crate::cli::exit;
use crate::cli::prompt;
use crate::core::redact::ForeignText;
use crate::ops::OpError;
use crate::ops::ledger::{self, LedgerChange, LockedLedger};
use crate::store::LockStatus;
use crate::view::json_v1;
use crate::view::{listing, text};

#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// List the entries of the state; needs no key, not authenticated
    List,
    /// Show everything known about entries; authenticated with the key
    Show(StateShowArgs),
    /// Forget entries; nothing is sent to the service
    Rm(StateRmArgs),
    /// Declare that DRS has the passwords of the manifest
    Adopt(StateAdoptArgs),
    /// Mark every entry to be sent again
    Distrust(StateDistrustArgs),
    /// Add the outcomes in a recovery file to the state
    Recover(StateRecoverArgs),
}

#[derive(Debug, Args)]
pub struct StateShowArgs {
    /// Only these entries; by default, all
    #[arg(value_name = "ADDR")]
    pub addresses: Vec<String>,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["addresses", "unlisted"]))]
pub struct StateRmArgs {
    /// Entries to forget
    #[arg(value_name = "ADDR")]
    pub addresses: Vec<String>,
    /// Forget all entries that the manifest no longer lists
    #[arg(long)]
    pub unlisted: bool,
}

#[derive(Debug, Args)]
pub struct StateAdoptArgs {
    /// Entries whose passwords DRS has
    #[arg(value_name = "ADDR", required = true)]
    pub addresses: Vec<String>,
    /// Do not ask for approval
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct StateDistrustArgs {
    /// Accept a manifest that is older than the one applied last
    #[arg(long)]
    pub allow_rollback: bool,
}

#[derive(Debug, Args)]
pub struct StateRecoverArgs {
    /// Recovery file that an apply with exit code 8 wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum LockCommand {
    /// Show who holds the lock
    Show(LockShowArgs),
}

#[derive(Debug, Args)]
pub struct LockShowArgs {
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

pub fn run(context: &Context<'_>, command: StateCommand) -> Result<u8, OpError> {
    let root = context.root()?;
    let (unlock, rules, runtime) = (context.unlock(), context.rules(), env::runtime());
    let ledger = |command| LockedLedger::open(&root, &unlock, &rules, &runtime, command);
    let changed = match command {
        StateCommand::List => {
            let (state, notes, has_more) = ledger::list(&root)?;
            let is_lost = root.store.backup().is_some();
            let text = listing::state_list(state.as_ref(), is_lost, has_more, &notes);
            return Ok(exit::written(context.shell.result(&text), exit::DONE));
        }
        StateCommand::Show(args) => {
            let report = ledger::show(&root, &unlock, &rules, &args.addresses)?;
            let text = || listing::state_show(&report);
            return Ok(context.show(args.json, || json_v1::state(&report), text));
        }
        StateCommand::Rm(args) => {
            let named = (!args.unlisted).then_some(args.addresses.as_slice());
            ledger("state rm")?.forget(named)?
        }
        StateCommand::Adopt(args) => ledger("state adopt")?.adopt(&args.addresses, |labels| {
            if args.yes {
                return Ok(());
            }
            context.shell.message(&named(labels));
            let entries = text::counted(labels.len(), "entry", "entries");
            let question = format!("Declare that DRS has the manifest's values of {entries}?");
            prompt::ask(&question, "Nothing was changed.")
        })?,
        StateCommand::Distrust(args) => ledger("state distrust")?.distrust(args.allow_rollback)?,
        StateCommand::Recover(args) => ledger("state recover")?.recover(&args.file)?,
    };
    let arrived = context.shell.result(&changed_text(&changed));
    Ok(context.changed(arrived, exit::DONE))
}

pub fn changed_text(changed: &LedgerChange) -> String {
    let mut text = named(&changed.entries);
    let _ = writeln!(
        text,
        "{} {}; the state has serial {}.",
        text::counted(changed.entries.len(), "entry", "entries"),
        changed.what,
        changed.serial
    );
    if let Some(revision) = changed.begins_with {
        let _ = writeln!(
            text,
            "Without a trusted former state, this one begins with revision {revision}, the \
             manifest's own."
        );
    }
    text
}

fn named(labels: &[String]) -> String {
    let lines = labels.iter().map(|label| format!("  {label}\n"));
    lines.collect()
}

pub fn lock(context: &Context<'_>, args: &LockShowArgs) -> Result<u8, OpError> {
    let root = context.root()?;
    let status = root.store.lock_status()?;
    if args.json {
        let (is_held, holder) = match status {
            LockStatus::Free => (false, None),
            LockStatus::Held(holder) => (true, holder),
        };
        let clean = |text: &str| {
            ForeignText::clean(text).map_or_else(String::new, |text| text.as_str().to_owned())
        };
        let holder = holder.map(|holder| json_v1::HolderOut {
            pid: holder.pid,
            host: clean(&holder.host),
            command: clean(&holder.command),
            since: holder.since,
        });
        let arrived = context.shell.document(json_v1::lock(is_held, holder));
        return Ok(exit::written(arrived, exit::DONE));
    }
    let text = match status {
        LockStatus::Free => "The lock is free.\n".to_owned(),
        LockStatus::Held(Some(holder)) => {
            format!("The lock is held by {holder} (not authenticated).\n")
        }
        LockStatus::Held(None) => "The lock is held by an unknown process.\n".to_owned(),
    };
    Ok(exit::written(context.shell.result(&text), exit::DONE))
}
