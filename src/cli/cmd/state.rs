//! `state …` and `lock show`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::context::Context;
use crate::cli::env;
use crate::cli::exit;
use crate::cli::prompt;
use crate::core::job::some_of;
use crate::core::place::Place;
use crate::ops::OpError;
use crate::ops::compare::wait_or_take_over;
use crate::ops::error::{ErrorClass, Failure, with_causes};
use crate::ops::ledger::{self, LedgerChange, LockedLedger};
use crate::ops::relocate::{end_move, relocate};
use crate::ops::root::Root;
use crate::store::{LockStatus, StoreError};
use crate::view::json_v1::{self, clean};
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
    /// Take the state to another place: a file, or a branch
    Move(StateMoveArgs),
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("how").required(true).args(["place", "done"]))]
pub struct StateMoveArgs {
    /// New place: a file, or git:REMOTE/BRANCH. Never a branch whose pipelines can use the
    /// key
    #[arg(value_name = "PLACE")]
    pub place: Option<PathBuf>,
    /// End a move, once everyone has the new manifest
    #[arg(long, conflicts_with = "yes")]
    pub done: bool,
    /// Do not ask whether the sealed repository has a new address
    #[arg(long)]
    pub yes: bool,
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
    /// Start a state on a branch that is gone
    #[arg(long)]
    pub create: bool,
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
    /// End the lock of a lost run; what it sent stays unknown
    Release(LockReleaseArgs),
}

#[derive(Debug, Args)]
pub struct LockReleaseArgs {
    /// The run, as 'lock show' names it; it must have ended
    #[arg(value_name = "ID")]
    pub id: String,
    /// Do not ask for approval; drspass asks on a terminal only
    #[arg(long)]
    pub yes: bool,
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
            let question = format!("Declare that DRS has the manifest's passwords for {entries}?");
            prompt::ask(&question, "Nothing was changed.")
        })?,
        StateCommand::Distrust(args) => {
            ledger("state distrust")?.distrust(args.allow_rollback, args.create)?
        }
        StateCommand::Recover(args) => ledger("state recover")?.recover(&args.file)?,
        StateCommand::Move(args) => return relocated(context, &root, &args),
    };
    let arrived = context.shell.result(&changed_text(&changed));
    Ok(context.changed(arrived, exit::DONE))
}

fn relocated(context: &Context<'_>, root: &Root, args: &StateMoveArgs) -> Result<u8, OpError> {
    let (unlock, rules, runtime) = (context.unlock(), context.rules(), env::runtime());
    let Some(place) = &args.place else {
        let (former, unmarked) = end_move(root, &unlock, &rules, &runtime)?;
        let text = format!("The move is done: {former} is not read any more.\n");
        let note = unmarked.map_or_else(String::new, |error| {
            let why = with_causes(&error);
            format!(
                "note: cannot mark the state there as moved: {why}. Remove it, or a checkout with a former manifest goes on with it.\n"
            )
        });
        let next = "Next: commit the manifest and its index. The state at the former place can be removed.\n";
        return Ok(context.done(&text, &(note + next)));
    };
    let place = place.to_str().ok_or("is not UTF-8").and_then(Place::parse);
    let help = "Nothing was changed. Name a branch as git:REMOTE/BRANCH, or a file below this directory that ends in .json.";
    let place = place.map_err(|what| OpError::unfit(format!("the place {what}"), help))?;
    let approve = |from: &str, to: &str| {
        if args.yes {
            return Ok(());
        }
        context.shell.message(&format!(
            "The manifest is sealed for the state at\n  {from}\nNo remote of this clone leads \
             there; drspass.yaml names\n  {to}\nIn a fork, two runs could send at the same time.\n"
        ));
        let question = "Is that the same repository, with a new address?";
        prompt::ask(question, "Nothing was changed.")
    };
    let (serial, also) = relocate(root, &unlock, &rules, &runtime, &place, approve)?;
    let Some(also) = also else {
        let text = format!("Sealed the new address of {place}, serial {serial}.\n");
        return Ok(context.done(&text, "Next: commit the manifest and its index.\n"));
    };
    let text = format!("Moved the state to {place}, serial {serial}.\n");
    let also = also.iter().map(|file| format!(", {}", file.display()));
    let also: String = also.collect();
    let last = match place {
        Place::Git(_) => "Never give the key to pipelines of a branch that has a state.\n",
        Place::File(_) => "",
    };
    let next = format!(
        "Next: commit drspass.yaml, the manifest, its index{also}. Until others have them, they \
         use the former place, and drspass reads both. When all have them:\n  drspass state move --done\n{last}"
    );
    Ok(context.done(&text, &next))
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
    if let Some(why) = &changed.doubted {
        let _ = writeln!(
            text,
            "{why} So its outcomes no longer count; the next apply sends these entries again. The \
             file can be removed."
        );
    }
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

pub fn release(context: &Context<'_>, args: &LockReleaseArgs) -> Result<u8, OpError> {
    let root = context.root()?;
    let (unlock, rules, runtime) = (context.unlock(), context.rules(), env::runtime());
    let ledger = LockedLedger::to_release(&root, &unlock, &rules, &runtime);
    let ledger = ledger.map_err(|error| match error {
        OpError::Store(StoreError::Locked { path, holder }) => Failure::new(
            "drspass::lock::held",
            format!("the lock {} is held by {holder}", path.display()),
            "Nothing was changed. The lock of this clone ends with that process: wait for it, or stop it. An apply that waits for a lost run takes over by itself.",
        )
        .class(ErrorClass::Locked)
        .into(),
        error => error,
    })?;
    let changed = ledger.release(&args.id, |holder| {
        if args.yes || !prompt::can_ask() {
            return Ok(());
        }
        context.shell.message(&format!("  {holder}\n"));
        let question =
            "If this run has not ended, two runs can then send at the same time. End its lock?";
        prompt::ask(question, "Nothing was changed.")
    })?;
    let text = format!(
        "The lock is free. The state has serial {}.\n",
        changed.serial
    );
    let unknown = match changed.entries.len() {
        0 => "the run left no entry with an unknown outcome".to_owned(),
        count => format!(
            "{}: {}",
            text::counted(count, "outcome is unknown", "outcomes are unknown"),
            some_of(&changed.entries, 3)
        ),
    };
    let next = format!("Next: 'drspass plan', then 'drspass apply'; {unknown}.\n");
    Ok(context.done(&text, &next))
}

pub fn lock(context: &Context<'_>, args: &LockShowArgs) -> Result<u8, OpError> {
    let root = context.root()?;
    let mut next = None;
    let (holder, note) = ledger::holder(&root)?;
    let (is_held, name, out) = match root.store.branch() {
        Some(_) => {
            let says = |holder| wait_or_take_over(&root, holder);
            next = holder.as_ref().map(says).transpose()?;
            let out = holder.as_ref().map(json_v1::HolderOut::of_branch);
            (holder.is_some(), holder.map(|it| it.to_string()), out)
        }
        None => match root.store.lock_status()? {
            LockStatus::Free => (false, None, None),
            LockStatus::Held(None) => (true, None, None),
            LockStatus::Held(Some(holder)) => {
                let out = json_v1::HolderOut {
                    pid: Some(holder.pid),
                    host: clean(&holder.host),
                    command: clean(&holder.command),
                    since: holder.since,
                    ..json_v1::HolderOut::default()
                };
                (true, Some(holder.to_string()), Some(out))
            }
        },
    };
    if args.json {
        let arrived = context.shell.document(json_v1::lock(is_held, out));
        return Ok(exit::written(arrived, exit::DONE));
    }
    let text = match name {
        Some(name) => format!("The lock is held by {name} (not authenticated).\n"),
        None if is_held => "The lock is held by an unknown process.\n".to_owned(),
        None => "The lock is free.\n".to_owned(),
    };
    let arrived = context.shell.result(&text);
    if let Some(note) = note {
        context.shell.message(&format!("note: {note}\n"));
    }
    if let Some(next) = next {
        context.shell.message(&format!("Next: {next}.\n"));
    }
    Ok(exit::written(arrived, exit::DONE))
}
