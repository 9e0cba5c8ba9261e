//! Whether another run may still be sending, by the state on a branch: its holder has shown that it
//! is at work, and its lease may not have ended (design section 2.3).

use std::time::Duration;

use jiff::Timestamp;

use super::{ApplyContext, ApplyEvent, ApplyOptions};
use crate::core::manifest::Sealed;
use crate::core::report::Signal;
use crate::core::state::{Holder, State};
use crate::ops::OpError;
use crate::ops::compare::take_over;
use crate::ops::error::{ErrorClass, Failure};
use crate::ops::online::Waiter;
use crate::ops::root::{Opened, Root};
use crate::store::branch::{Branch, lease};
use crate::store::{LockGuard, StateSnapshot, Store, StoreError, StoreKeys};
use crate::sys::lease::Moment;

/// How much longer than a lease to wait for a run that has shown nothing for as long.
const BEYOND: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Between two looks at the lock of a directory or clone.
const LOCK_PAUSE: Duration = Duration::from_millis(250);

/// Returns the holder of a state that is not to be written by another run.
pub fn holder_of(snapshot: &StateSnapshot) -> Option<&Holder> {
    snapshot.known.state()?.holder.as_deref()
}

/// Returns the run that may still be sending. A run of this clone has ended, as the lock of the
/// clone is ours.
fn other_holder<'a>(
    root: &'a Root,
    snapshot: &'a StateSnapshot,
) -> Option<(&'a Branch, &'a Holder)> {
    let (store, holder) = (snapshot.store(&root.store), holder_of(snapshot)?);
    let branch = store.branch()?;
    (!branch.was_here(holder)).then_some((branch, holder))
}

/// Refuses a state that another run holds.
pub fn check_free(root: &Root, snapshot: &StateSnapshot) -> Result<(), OpError> {
    match other_holder(root, snapshot) {
        Some((_, holder)) => Err(held(snapshot.store(&root.store), holder)),
        None => Ok(()),
    }
}

/// Refuses a state that another run held less than a lease ago, by its own stamp. For states that
/// this manifest's key does not prove, for which no run can wait.
pub fn check_recent(root: &Root, state: Option<&State>, now: Timestamp) -> Result<(), OpError> {
    let holder = state.and_then(|state| state.holder.as_deref());
    let branch = root.store.branch();
    match holder.filter(|holder| !branch.is_some_and(|it| it.was_here(holder))) {
        Some(holder) if now.duration_since(holder.renewed).unsigned_abs() < lease() => {
            Err(held(&root.store, holder))
        }
        _ => Ok(()),
    }
}

/// Takes the lock and reads the state, once no other run is at work or for as long as the user
/// wants to wait. After a wait it returns the waiter too, which takes the signals from then on.
pub fn take(
    root: &Root,
    opened: &Opened,
    keys: &StoreKeys,
    options: &ApplyOptions,
    context: &mut ApplyContext<'_>,
) -> Result<(LockGuard, StateSnapshot, Option<Waiter>), OpError> {
    let begun = Moment::now();
    let at_most = options.lock_timeout.unwrap_or_default();
    let mut waiter = None;
    let guard = loop {
        let holder = match root.lock(&opened.sealed, &opened.digest, &context.lock) {
            Err(OpError::Store(StoreError::Locked { holder, .. })) if begun.elapsed() < at_most => {
                holder
            }
            locked => break locked?,
        };
        if waiter.is_none() {
            (context.progress)(ApplyEvent::WaitingFor { holder, at_most });
        }
        let waiting = waiting_with(&mut waiter, context)?;
        let signal = waiting.signal_within(LOCK_PAUSE);
        signal.map_or(Ok(()), interrupted)?;
    };
    let since = (begun, waiter);
    let (snapshot, waiter) = wait(root, &opened.sealed, keys, options, context, since)?;
    Ok((guard, snapshot, waiter))
}

fn waiting_with<'a>(
    waiter: &'a mut Option<Waiter>,
    context: &ApplyContext<'_>,
) -> Result<&'a mut Waiter, OpError> {
    match waiter {
        Some(waiting) => Ok(waiting),
        none => Ok(none.insert(Waiter::new(context.runtime.hang_up)?)),
    }
}

/// Returns the state once no other run holds it, or once its holder has not moved the branch for a
/// lease by the clock of this machine. The holder's own stamp only decides whether to wait.
fn wait(
    root: &Root,
    sealed: &Sealed,
    keys: &StoreKeys,
    options: &ApplyOptions,
    context: &mut ApplyContext<'_>,
    (begun, mut waiter): (Moment, Option<Waiter>),
) -> Result<(StateSnapshot, Option<Waiter>), OpError> {
    let mut snapshot = root.read_state(sealed, keys)?;
    let lease = lease();
    let mut watched: Option<(Option<String>, Moment)> = None;
    loop {
        let Some((branch, holder)) = other_holder(root, &snapshot) else {
            return Ok((snapshot, waiter));
        };
        let now = (context.runtime.now)();
        let silent = now.duration_since(holder.renewed).unsigned_abs();
        let is_silent = now > holder.renewed && silent > lease;
        let at_most = options.lock_timeout.unwrap_or(match is_silent {
            true => lease + BEYOND,
            false => Duration::ZERO,
        });
        if begun.elapsed() >= at_most {
            return Err(held(snapshot.store(&root.store), holder));
        }
        let (Some((tip, since)), Some(waiting)) = (&watched, &mut waiter) else {
            let waiting = waiting_with(&mut waiter, context)?;
            (context.progress)(ApplyEvent::WaitingFor {
                holder: holder.to_string(),
                at_most,
            });
            watched = Some((heeding(waiting, branch.tip())??, Moment::now()));
            continue;
        };
        branch.announce("watching the run that holds the state");
        let pause = (lease / 20).min(LONGEST_PAUSE);
        waiting.signal_within(pause).map_or(Ok(()), interrupted)?;
        let is_over = since.elapsed() >= lease;
        match heeding(waiting, branch.tip())? {
            Ok(found) if found != *tip => {
                watched = Some((found, Moment::now()));
                snapshot = heeding(waiting, root.read_state(sealed, keys))??;
            }
            Ok(_) if is_over => {
                (context.progress)(ApplyEvent::TookOver(holder.to_string()));
                return Ok((snapshot, waiter));
            }
            // A question that fails says nothing; the next one may.
            Ok(_) | Err(_) => {}
        }
    }
}

/// Returns the answer, unless a signal arrived: Ctrl-C ends git too, so an error may be due to it.
fn heeding<T>(waiter: &mut Waiter, asked: T) -> Result<T, OpError> {
    let signal = waiter.signal_within(Duration::ZERO);
    signal.map_or(Ok(asked), interrupted)
}

fn interrupted<T>(signal: Signal) -> Result<T, OpError> {
    let message = format!("{} while waiting for the lock on the state", signal.word());
    let help = "Nothing was sent or changed.";
    let failure = Failure::new("drspass::interrupted", message, help);
    Err(failure.class(ErrorClass::Ended(signal)).into())
}

pub fn held(store: &Store, holder: &Holder) -> OpError {
    Failure::new(
        "drspass::lock::held",
        format!("the state at {} is held by {holder}", store.path().display()),
        format!(
            "Nothing was sent or changed. Run the same command again when that run has ended. If it was lost, {}. In the clone that it ran in, 'drspass apply' needs neither.",
            take_over(holder)
        ),
    )
    .class(ErrorClass::Locked)
    .into()
}
