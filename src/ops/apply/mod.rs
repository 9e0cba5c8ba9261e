//! `apply`: plans under the lock, asks, marks what it is about to send, sends,
//! records what became of it, and sums up (design sections 2.4 and 3).
//!
//! The order is the safety: the marks are durable before the first request, an outcome is
//! durable in the journal before it counts, and the journal is folded into the state in one step
//! at the end. A crash anywhere leaves entries in doubt, never wrongly applied.

mod record;
mod retry_jobs;
mod run;
mod send;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::compare::{self, Addresses, Comparison};
use super::error::{ErrorClass, Failure};
use super::online::{Online, Preflight};
use super::plan::ToApply;
use super::root::{Guards, Opened, Root, Unlock};
use super::{OpError, Runtime};
use crate::api::client::Client;
use crate::core::fingerprint::ChangeId;
use crate::core::job::EntryKey;
use crate::core::plan::{Action, Exceeded, Plan};
use crate::core::problem::Problem;
use crate::core::report::{ApplyReport, PlanNote, PlanReport, Signal};
use crate::core::state::{FieldPrints, Lineage, PlanId, State};
use crate::core::status::UnknownStates;
use crate::store::{LockInfo, StoreKeys};

pub use retry_jobs::RetryJobsOptions;
use retry_jobs::retry_jobs;
use run::Run;

/// So many digits of a plan's id begin the names of its runs: enough that a reader of
/// the state finds the plan, and the rest of the name is unique anyway.
const NAMED_DIGITS: usize = 16;

pub struct ApplyOptions {
    /// Which entries; all of a saved plan.
    pub addresses: Addresses,
    /// A saved plan to apply, instead of planning.
    pub saved: Option<ToApply>,
    pub expect_change: Option<ChangeId>,
    /// Whether the states of jobs are asked for before anything is sent, and what
    /// unknown ones mean.
    pub preflight: Option<UnknownStates>,
    /// Whether one blocked entry keeps all others back.
    pub stop_if_blocked: bool,
    pub retry_jobs: Option<RetryJobsOptions>,
}

pub struct ApplyContext<'a> {
    pub runtime: Runtime,
    /// Where a state goes that its own folder does not take.
    pub elsewhere: PathBuf,
    pub lock: LockInfo,
    /// Finds the login and prepares the client; nothing is sent. Called after every
    /// check that needs no network, and only where the service is needed.
    pub connect: &'a dyn Fn(&Opened) -> Result<Client, OpError>,
    /// Shown the plan when it is refused before anybody is asked.
    pub show: &'a dyn Fn(&PlanReport),
    pub progress: &'a mut dyn FnMut(ApplyEvent),
}

/// Something that happened during a run, for a progress display.
#[derive(Clone, Debug)]
pub enum ApplyEvent {
    /// A manifest of before, which differs in nothing, is recorded as the one applied last.
    WentBack {
        revision: u64,
    },
    Answered {
        settled: usize,
        entries: usize,
    },
    Stopping(Signal),
    Watching {
        jobs: usize,
        at_most: Duration,
    },
}

/// Is shown the plan and the warnings of the manifest, and decides whether to go on.
pub type ApproveApply<'a> = &'a mut dyn FnMut(&PlanReport, &[Problem]) -> Result<(), OpError>;

/// Applies a root folder; beside the plan nothing is returned where there was nothing to do.
/// Fails only when nothing was sent; whatever happens later is in the report.
pub fn apply(
    root: &Root,
    unlock: &Unlock<'_>,
    guards: &Guards,
    options: &ApplyOptions,
    context: &mut ApplyContext<'_>,
    approve: ApproveApply<'_>,
) -> Result<(PlanReport, Option<ApplyReport>), OpError> {
    let opened = root.open(unlock, guards)?;
    if let Some(saved) = &options.saved {
        let now = (context.runtime.now)();
        saved.check(&opened, now, options.expect_change.as_ref())?;
    }
    let keys = StoreKeys::from(&opened.sealed.fingerprint_key);
    let guard = root.lock(&opened.digest, &context.lock)?;
    let snapshot = root.store.read(&keys)?;
    let mut notes = compare::notes_of(root, &opened, &snapshot, None);
    let snapshot = root.store.absorb_journal(&guard, &keys, snapshot)?;
    let mut version = snapshot.version.clone();
    let known = Comparison::of(root, &opened, snapshot)?;
    check_known(&known, guards, options)?;
    let (plan, mut prints) = decide(&known, options, &mut notes)?;
    let exceeded = known
        .check_limits(&plan, guards)
        .err()
        .filter(|exceeded| guards.override_limits != Some(exceeded.changes));
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
    // What needs nobody's word needs no login either.
    let needs_login = plan.has_changes() || options.retry_jobs.is_some();
    let client = needs_login
        .then(|| (context.connect)(&opened))
        .transpose()?;
    approve(&planned, &opened.warnings)?;
    let key_changed = known.key_changed;
    let is_rollback = known.rollback.is_some();
    let mut state = starting_state(known, options, context);
    if is_rollback && !plan.has_changes() {
        // Nothing is sent, but from now on this manifest is the one applied last.
        root.store.back_up(&guard)?;
        version = root.store.commit(&guard, &keys, &mut state, &version)?;
        let revision = state.revision;
        (context.progress)(ApplyEvent::WentBack { revision });
    }
    let Some(client) = client else {
        return Ok((planned, None));
    };
    let mut online = Online::new(client.guarding(&opened.manifest), context.runtime.hang_up)?;
    let preflight = prepare(&mut online, plan, options)?;
    if key_changed && root.store.has_journal() {
        root.store.set_aside_journal(&guard)?;
    }
    let run = Run {
        root,
        keys: &keys,
        opened: &opened,
        plan,
        id: run_id(options, context),
        preflight: &preflight,
    };
    let ended = run.execute(&guard, &mut online, state, version, &mut prints, context)?;
    let report = retry_jobs(&run, options, ended, guard, &mut online, context)?;
    // A name that is still being looked up is not worth waiting for.
    online.leave();
    Ok((planned, Some(report)))
}

/// Refuses a state that is newer than the manifest, or was made with another key, unless
/// the user said that it is meant.
fn check_known(
    known: &Comparison<'_>,
    guards: &Guards,
    options: &ApplyOptions,
) -> Result<(), OpError> {
    known.check_rollback(match &options.saved {
        // What was reviewed is this very way back, and no other.
        Some(saved) => saved.file.plan.rollback == known.rollback,
        None => guards.allow_rollback,
    })?;
    let key = known.state.as_ref().map(|state| &state.key_id);
    if guards.accept_new_key.as_ref() == key {
        return Ok(());
    }
    known.check_key()
}

/// The name of a run. What is marked must be told from what another copy of this plan
/// marks elsewhere, so a run has a name of its own.
fn run_id(options: &ApplyOptions, context: &ApplyContext<'_>) -> PlanId {
    let unique = (context.runtime.unique)();
    PlanId::new(match &options.saved {
        Some(saved) => format!("{}.{unique}", &saved.file.id[..NAMED_DIGITS]),
        None => unique,
    })
}

fn limit_error(Exceeded { changes, limits }: &Exceeded) -> OpError {
    let exceed = match changes {
        1 => "1 change exceeds".to_owned(),
        many => format!("{many} changes exceed"),
    };
    Failure::new(
        "drspass::apply::limit",
        format!("{exceed} the limits: {limits}"),
        format!(
            "Nothing was sent or changed. See whether so much shall change; --override-limits {changes} accepts exactly this many."
        ),
    )
    .class(ErrorClass::NotApproved)
    .into()
}

/// Logs in and asks for the states of the jobs, before anything is marked.
/// Fails if the login is refused or a signal comes: nothing was sent then.
fn prepare(online: &mut Online, plan: &Plan, options: &ApplyOptions) -> Result<Preflight, OpError> {
    online.log_in()?;
    let Some(unknown) = options.preflight else {
        return Ok(Preflight::default());
    };
    let mut preflight = Preflight::ask(online, plan.sent().map(|entry| &entry.key), unknown)?;
    let mut entries = plan.entries.iter();
    let is_held = entries.any(|entry| entry.action == Action::Hold);
    preflight.held_back = options.stop_if_blocked && (is_held || !preflight.blocked.is_empty());
    if preflight.failed > 0 && options.retry_jobs.is_none() {
        preflight.warnings.push(format!(
            "jobs that have failed: {}; 'apply --retry-jobs' retries them once their passwords \
             are right",
            preflight.failed
        ));
    }
    Ok(preflight)
}

type Prints = BTreeMap<EntryKey, FieldPrints>;

/// What is to be done: what a saved plan says, if it still fits, or what differs now. Fails if
/// the saved plan is stale, if this is not the expected change, or if an address names nothing.
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
                format!("this is the change {found}, not {expected}"),
                "Nothing was sent or changed. See what changed since that change was reviewed.",
            )
            .class(ErrorClass::StalePlan)
            .into());
        }
    }
    Ok((plan, Prints::new()))
}

/// The state to go on from: the known one, or a new one. A state made with
/// another key is followed by one of a new lineage, which shares nothing with it.
fn starting_state(
    known: Comparison<'_>,
    options: &ApplyOptions,
    context: &ApplyContext<'_>,
) -> State {
    let Opened { sealed, digest, .. } = known.opened;
    let saved = options.saved.as_ref();
    let first = saved.and_then(|saved| saved.file.plan.first_lineage());
    let trusted = known.state.filter(|_| !known.key_changed);
    let mut state = trusted.unwrap_or_else(|| {
        let fresh = || Lineage::new((context.runtime.unique)());
        let lineage = first.cloned().unwrap_or_else(fresh);
        State::new(sealed.scope.clone(), lineage, sealed.fingerprint_key.id())
    });
    state.take_manifest(sealed.revision, digest.clone());
    state
}
