//! Checkpoints: while a run sends, a thread writes what is known so far to the branch of the state,
//! which also shows that the run is at work (design section 2.3). Sending goes on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::Instant;

use jiff::Timestamp;

use crate::core::outcome::RefusalKind;
use crate::core::state::{Settlement, State};
use crate::ops::error::with_causes;
use crate::ops::root::Root;
use crate::store::branch::lease;
use crate::store::journal::JournalAnswer;
use crate::store::{LockGuard, StateVersion, StoreError, StoreKeys};
use crate::sys::lease::Lease;
use crate::sys::testpoint;

/// A checkpoint is due after a fifth of the lease, and after a wrong password, which locks
/// accounts, at least this part of the lease after the last one: 60 and 20 seconds.
const USUAL_PART: u32 = 5;
const URGENT_PART: u32 = 15;

pub struct Keeper<'scope> {
    thread: ScopedJoinHandle<'scope, Option<Kept>>,
    handle: KeeperHandle,
}

/// What senders need of it.
#[derive(Clone)]
pub struct KeeperHandle {
    news: Sender<News>,
    is_lost: Arc<AtomicBool>,
    pub lease: Arc<Lease>,
}

enum News {
    /// The marks are written; the first news of all.
    Marked(Box<State>, StateVersion),
    Answer(Arc<JournalAnswer>),
    /// Write what is known now.
    Checkpoint,
}

/// What the last checkpoint wrote.
pub struct Kept {
    pub version: StateVersion,
    pub serial: u64,
    pub notes: Vec<String>,
}

impl KeeperHandle {
    pub fn answer(&self, answer: &Arc<JournalAnswer>) {
        // A thread that is gone has lost the lock.
        let _ = self.news.send(News::Answer(Arc::clone(answer)));
    }

    pub fn checkpoint(&self) {
        let _ = self.news.send(News::Checkpoint);
    }

    /// Returns whether this run may still send.
    pub fn may_send(&self) -> bool {
        !self.is_lost.load(Ordering::SeqCst) && self.lease.is_valid()
    }
}

impl<'scope> Keeper<'scope> {
    /// Starts the thread before anything is marked, so that a machine that refuses it is found out
    /// in time.
    pub fn start<'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        (root, guard, keys): (&'env Root, &'env LockGuard, &'env StoreKeys),
        lease: Arc<Lease>,
        now: fn() -> Timestamp,
    ) -> io::Result<Self> {
        let (news, inbox) = mpsc::channel();
        let is_lost = Arc::new(AtomicBool::new(false));
        let handle = KeeperHandle {
            news,
            is_lost: Arc::clone(&is_lost),
            lease,
        };
        let commit = move |state: &mut State, version: &StateVersion| {
            root.store.commit(guard, keys, state, version)
        };
        let keep = move || {
            // Without marks there is nothing to keep.
            let Ok(News::Marked(state, version)) = inbox.recv() else {
                return None;
            };
            Some(keep(*state, version, &inbox, now, commit, &is_lost))
        };
        testpoint::may_fail("keeper.start")?;
        let thread = Builder::new().spawn_scoped(scope, keep)?;
        Ok(Self { thread, handle })
    }

    /// Begins the checkpoints of a state that is marked at `version`.
    pub fn begin(&self, state: &State, version: &StateVersion) {
        let marked = News::Marked(Box::new(state.clone()), version.clone());
        // A thread that is gone has lost the lock.
        let _ = self.handle.news.send(marked);
    }

    pub fn handle(&self) -> KeeperHandle {
        self.handle.clone()
    }

    /// Ends the checkpoints. All handles must be gone.
    pub fn finish(self) -> Option<Kept> {
        drop(self.handle);
        self.thread.join().ok().flatten()
    }
}

fn keep(
    mut state: State,
    version: StateVersion,
    inbox: &Receiver<News>,
    now: fn() -> Timestamp,
    commit: impl Fn(&mut State, &StateVersion) -> Result<StateVersion, StoreError>,
    is_lost: &AtomicBool,
) -> Kept {
    let mut kept = Kept {
        version,
        serial: state.serial,
        notes: Vec::new(),
    };
    let mut last = Instant::now();
    let mut due = last + lease() / USUAL_PART;
    loop {
        let left = due.saturating_duration_since(Instant::now());
        match inbox.recv_timeout(left) {
            Ok(News::Answer(answer)) => {
                answer.fold_into(&mut state);
                if has_wrong_password(&answer) {
                    due = due.min(last + lease() / URGENT_PART);
                }
                if Instant::now() < due {
                    continue;
                }
            }
            Ok(News::Checkpoint | News::Marked(..)) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return kept,
        }
        if let Some(holder) = &mut state.holder {
            holder.renewed = now();
        }
        match commit(&mut state, &kept.version) {
            Ok(version) => {
                kept.version = version;
                kept.serial = state.serial;
            }
            Err(error @ StoreError::Changed { .. }) => {
                is_lost.store(true, Ordering::SeqCst);
                kept.notes.push(format!("the lock was lost: {error}"));
                return kept;
            }
            Err(error) => {
                let note = format!("a checkpoint was not written: {}", with_causes(&error));
                if !kept.notes.contains(&note) {
                    kept.notes.push(note);
                }
            }
        }
        last = Instant::now();
        due = last + lease() / USUAL_PART;
    }
}

fn has_wrong_password(answer: &JournalAnswer) -> bool {
    answer.records.iter().any(|record| {
        matches!(
            record.settled,
            Settlement::Refused {
                kind: RefusalKind::WrongPassword,
                ..
            }
        )
    })
}
