//! `apply`: plans under the lock, asks, marks, sends, records and reports.
//!
//! The order is what makes it safe: marks are durable before the first request, an outcome is
//! durable in the journal before it counts, and one commit at the end folds the journal into the
//! state. A crash at any point leaves entries pending, never wrongly applied.

mod candidates;
mod keep;
mod record;
mod retry_jobs;
mod run;
mod send;
pub mod turn;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::compare::{self, Addresses, Comparison};
use super::error::{ErrorClass, Failure};
use super::online::{Online, Preflight, Waiter};
use super::plan::ToApply;
use super::root::{Opened, Root, Unlock, UserRules};
use super::{OpError, Runtime};
use crate::api::client::Client;
use crate::core::fingerprint::ChangeId;
use crate::core::job::EntryKey;
use crate::core::manifest::Manifest;
use crate::core::plan::{Action, Exceeded, Plan};
use crate::core::problem::Problem;
use crate::core::report::{ApplyReport, PlanNote, PlanReport};
use crate::core::state::{FieldPrints, Lineage, RunId, State};
use crate::core::status::UnknownStates;
use crate::store::LockInfo;

pub use candidates::RetryJobsOptions;
use candidates::due_now;
use retry_jobs::retry_jobs;
use run::Run;

/// Digits of the plan's id at the start of a run's name: enough to find the plan; the rest
/// of the name is unique anyway.
const NAMED_DIGITS: usize = 16;

pub struct ApplyOptions {
    /// Which entries; all of a saved plan.
    pub addresses: Addresses,
    /// A saved plan to apply, instead of planning.
    pub saved: Option<ToApply>,
    pub expect_change: Option<ChangeId>,
    /// Whether to query job states before sending, and what an unknown state means.
    pub preflight: Option<UnknownStates>,
    /// Whether one blocked entry stops the whole run.
    pub stop_if_blocked: bool,
    pub retry_jobs: Option<RetryJobsOptions>,
    /// How long to wait for the lock, or for another run that holds a state on a branch.
    pub lock_timeout: Option<Duration>,
}

pub struct ApplyContext<'a> {
    pub runtime: Runtime,
    /// Where to write a state that its own directory does not take.
    pub elsewhere: PathBuf,
    pub lock: LockInfo,
    /// Finds the login and prepares the client without sending. Called after every check
    /// that needs no network, and only if the service is needed.
    pub connect: &'a dyn Fn(&Opened) -> Result<Client, OpError>,
    /// Shows a plan that is refused before the user is asked.
    pub show: &'a dyn Fn(&PlanReport),
    /// Shows the entries before jobs are retried, which may take minutes; whether it did.
    pub show_outcomes: &'a dyn Fn(&ApplyReport) -> bool,
    pub progress: &'a mut dyn FnMut(ApplyEvent),
    /// Lets signals end the process again after a wait that listened to them.
    pub end_on_signal: &'a dyn Fn(),
}

/// An event of a run that a person should know of.
#[derive(Clone, Debug)]
pub enum ApplyEvent {
    /// An older manifest without changes is recorded as the one applied last.
    WentBack { revision: u64 },
    /// Nothing was sent, but the state had something that was not written.
    WroteState { serial: u64 },
    /// A signal arrived.
    Stopping,
    Retrying {
        jobs: Vec<String>,
        /// Whether all of them were retried by an earlier run.
        is_over: bool,
        /// Whether one of each credential comes first.
        in_rounds: bool,
        at_most: Duration,
    },
    /// Another run holds the state.
    WaitingFor { holder: String, at_most: Duration },
    /// The lock of a run that has shown nothing for a whole lease.
    TookOver(String),
}

impl ApplyEvent {
    fn written(state: &State, is_rollback: bool) -> Self {
        let (revision, serial) = (state.revision, state.serial);
        match is_rollback {
            true => Self::WentBack { revision },
            false => Self::WroteState { serial },
        }
    }
}

/// Shows the plan and the manifest's warnings, and decides whether to go on. Names the jobs to
/// retry, if they are known by then.
pub type ApproveApply<'a> =
    &'a mut dyn FnMut(&PlanReport, &[Problem], Option<&[String]>) -> Result<(), OpError>;

/// Applies a root directory; returns only the plan if there is nothing to do.
///
/// # Errors
/// Only if nothing was sent; whatever happens later is in the report.
pub fn apply(
    root: &Root,
    unlock: &Unlock<'_>,
    rules: &UserRules,
    options: &ApplyOptions,
    context: &mut ApplyContext<'_>,
    approve: ApproveApply<'_>,
) -> Result<(PlanReport, Option<ApplyReport>), OpError> {
    let opened = root.open(unlock, rules)?;
    if let Some(saved) = &options.saved {
        let now = (context.runtime.now)();
        saved.check(root, &opened, now, options.expect_change.as_ref())?;
    }
    let keys = root.store_keys(&opened, rules)?;
    let (guard, snapshot, waiter) = turn::take(root, &opened, &keys, options, context)?;
    let mut notes = compare::notes_of(root, &opened, &snapshot, None)?;
    let snapshot = root.settle_former(&guard, &keys, snapshot)?;
    let snapshot = root.store.absorb_journal(&guard, &keys, snapshot)?;
    let is_unsaved = snapshot.is_unsaved();
    let mut version = snapshot.version.clone();
    let known = Comparison::of(root, &opened, snapshot)?;
    check_known(&known, rules, options, (context.runtime.now)())?;
    if options.saved.is_none() {
        root.check_index(&opened, ErrorClass::Failed)?;
    }
    let (plan, mut prints) = decide(&known, options, &mut notes)?;
    let exceeded = known.check_limits(&plan, rules).err();
    let exceeded = exceeded.filter(|it| rules.override_limits != Some(it.changes));
    let planned = known.report(plan, notes);
    // A saved plan is shown under its own name, however much of it is left.
    let planned = match &options.saved {
        Some(saved) => saved.named(planned),
        None => planned,
    };
    let plan = &planned.plan;
    if let Some(exceeded) = exceeded.filter(|_| plan.has_changes()) {
        (context.show)(&planned);
        return Err(limit_error(&exceeded));
    }
    let key_changed = known.key_changed;
    let is_rollback = known.rollback.is_some();
    // Without a need for approval, no login is needed either.
    let needs_login = plan.has_changes() || options.retry_jobs.is_some();
    let client = needs_login.then(|| (context.connect)(&opened));
    let mut client = client.transpose()?.map(|it| it.guarding(&opened.manifest));
    let mut state = starting_state(known, options, context);
    let (online, due) = ask(
        (root, &opened),
        (&planned, &state),
        options,
        context,
        (&mut client, waiter),
        approve,
    )?;
    if (is_rollback || is_unsaved) && !plan.has_changes() {
        // Nothing is sent, but this manifest is now the one applied last, its key that of the state,
        // or the answers and the lock of a run that was lost are settled.
        state.holder = None;
        root.store.back_up(&guard)?;
        version = root.store.commit(&guard, &keys, &mut state, &version)?;
        (context.progress)(ApplyEvent::written(&state, is_rollback));
    }
    let mut online = match (online, client) {
        (Some(online), _) => online,
        (None, Some(client)) => Online::new(client, context.runtime.hang_up)?,
        (None, None) => return Ok((planned, None)),
    };
    let preflight = prepare(&mut online, (plan, &opened.manifest), options)?;
    if key_changed && root.store.has_journal() {
        root.store.set_aside_journal(&guard)?;
    }
    let run = Run {
        root,
        keys: &keys,
        opened: &opened,
        plan,
        id: run_id(options, context),
        // Without changes, it was written above.
        is_unsaved: is_unsaved && plan.has_changes(),
        preflight: &preflight,
        is_asked: plan.requests > 0 || due.is_none_or(|due| !due.is_empty()),
    };
    let ended = run.execute(&guard, &mut online, state, version, &mut prints, context)?;
    let report = retry_jobs(&run, options, ended, guard, &mut online, context)?;
    // A name that is still being looked up is not worth waiting for.
    online.leave();
    Ok((planned, Some(report)))
}

/// Has the plan approved. It connects before only to name the jobs to retry, which it returns, or
/// after a wait; otherwise it leaves the client.
fn ask(
    root: (&Root, &Opened),
    (planned, state): (&PlanReport, &State),
    options: &ApplyOptions,
    context: &ApplyContext<'_>,
    (client, waiter): (&mut Option<Client>, Option<Waiter>),
    approve: ApproveApply<'_>,
) -> Result<(Option<Online>, Option<Vec<String>>), OpError> {
    let are_named = options.retry_jobs.is_some_and(|retry| retry.are_named);
    // After a wait, signals have lost their own effect.
    if waiter.is_some() && client.is_none() {
        (context.end_on_signal)();
    }
    let early = client.take_if(|_| are_named || waiter.is_some());
    let early = early.map(|client| Online::with(client, waiter, context.runtime.hang_up));
    let mut online = early.transpose()?;
    let due = online
        .as_mut()
        .filter(|_| are_named)
        .map(|online| due_now(online, root, (&planned.plan, state), options));
    let due = due.transpose()?.flatten();
    let approved = approve(planned, &root.1.warnings, due.as_deref());
    if let Some(online) = &mut online {
        // A signal at the question has lost its own effect.
        online.ask(|_| tokio::task::yield_now())?;
    }
    approved?;
    Ok((online, due))
}

/// Refuses a state that is newer than the manifest or was made with another key, unless
/// the user allowed it.
fn check_known(
    known: &Comparison<'_>,
    rules: &UserRules,
    options: &ApplyOptions,
    now: Timestamp,
) -> Result<(), OpError> {
    known.check_rollback(match &options.saved {
        // The reviewed plan is this very rollback.
        Some(saved) => saved.file.plan.rollback == known.rollback,
        None => rules.allow_rollback,
    })?;
    let key = known.state.as_ref().map(|state| &state.key_id);
    if rules.accept_new_key.as_ref() != key {
        return known.check_key();
    }
    // What waits for a holder knows none of a state of another key.
    let replaced = known.state.as_ref().filter(|_| known.key_changed);
    turn::check_recent(known.root, replaced, now)
}

/// Returns a unique name, so that this run's marks differ from those of another copy of
/// the plan.
fn run_id(options: &ApplyOptions, context: &ApplyContext<'_>) -> RunId {
    let unique = (context.runtime.unique)();
    RunId::new(match &options.saved {
        Some(saved) => format!("{}.{unique}", &saved.file.id[..NAMED_DIGITS]),
        None => unique,
    })
}

fn limit_error(Exceeded { changes, limits }: &Exceeded) -> OpError {
    let (exceed, are) = match changes {
        1 => ("1 change exceeds".to_owned(), "1 change is".to_owned()),
        many => (
            format!("{many} changes exceed"),
            format!("{many} changes are"),
        ),
    };
    Failure::new(
        "drspass::apply::limit",
        format!("{exceed} the limits: {limits}"),
        format!(
            "Nothing was sent or changed. If {are} intended, pass --override-limits {changes}."
        ),
    )
    .class(ErrorClass::NotApproved)
    .into()
}

/// Logs in and queries job states, before anything is marked. Fails if the login is refused
/// or a signal arrives: nothing was sent then.
fn prepare(
    online: &mut Online,
    (plan, manifest): (&Plan, &Manifest),
    options: &ApplyOptions,
) -> Result<Preflight, OpError> {
    online.log_in()?;
    let Some(unknown) = options.preflight else {
        return Ok(Preflight::default());
    };
    let mut preflight = Preflight::ask(online, plan.sent().map(|entry| &entry.key), unknown)?;
    let mut entries = plan.entries.iter();
    let is_held = entries.any(|entry| entry.action == Action::Hold);
    preflight.held_back = options.stop_if_blocked && (is_held || !preflight.blocked.is_empty());
    if options.retry_jobs.is_none() {
        preflight.warn_of_failed(manifest);
    }
    Ok(preflight)
}

type Prints = BTreeMap<EntryKey, FieldPrints>;

/// Returns the entries to send: those of a saved plan that still fits, or the current
/// differences. Fails if the saved plan is stale, the change is unexpected, or an address
/// matches no entry.
fn decide(
    known: &Comparison<'_>,
    options: &ApplyOptions,
    notes: &mut Vec<PlanNote>,
) -> Result<(Plan, Prints), OpError> {
    if let Some(saved) = &options.saved {
        return saved.decide(known, notes);
    }
    let plan = known.plan(&options.addresses)?;
    if let Some(expected) = &options.expect_change {
        let found = known.change_id(&plan);
        if found != *expected {
            return Err(Failure::new(
                "drspass::plan::other_change",
                format!("the change id is {found}, not {expected}"),
                "Nothing was sent or changed. Review the plan again: it differs from the one with the expected change id.",
            )
            .class(ErrorClass::StalePlan)
            .into());
        }
    }
    Ok((plan, Prints::new()))
}

/// Returns the state to go on from: the known one, or a new one. A state made with another
/// key is followed by one of a new lineage.
fn starting_state(
    known: Comparison<'_>,
    options: &ApplyOptions,
    context: &ApplyContext<'_>,
) -> State {
    let Opened { sealed, digest, .. } = known.opened;
    let saved = options.saved.as_ref();
    let first = saved.and_then(|saved| saved.file.plan.first_lineage());
    let fresh = || {
        let fresh = || Lineage::new((context.runtime.unique)());
        let lineage = first.cloned().unwrap_or_else(fresh);
        State::new(sealed.scope.clone(), lineage, sealed.fingerprint_key.id())
    };
    let mut state = match known.state {
        Some(state) if !known.key_changed => state,
        former => {
            let mut state = fresh();
            known.root.follow(&mut state, sealed, former.as_ref());
            state
        }
    };
    state.take_manifest(sealed.revision, digest.clone());
    state
}
