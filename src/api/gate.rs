//! Limits what is sent: how many requests may be in flight (fewer when the service asks for
//! that, one more after a run of good answers), and which credentials have a wrong password and
//! are not sent again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::core::manifest::Assignment;
use crate::core::redact::Token;
use crate::sys::lease::Lease;

const GOOD_RUN: usize = 5;

/// Lets a limited number of senders through at a time.
pub struct Gate {
    permits: Semaphore,
    limit: Mutex<GateLimit>,
    closed: watch::Sender<bool>,
    /// How long this run may send at all.
    lease: Option<Arc<Lease>>,
    /// The credentials refused as wrong, each with the code; `None` before the first one.
    wrong: Mutex<Option<BTreeMap<Arc<str>, Token>>>,
}

struct GateLimit {
    /// Senders let through at a time, at least 1.
    now: usize,
    most: usize,
    /// Good answers since the limit changed.
    good: usize,
    /// Permits in use that vanish when they come back.
    owed: usize,
}

/// A permit to send, given back when dropped.
pub struct GatePass<'a> {
    gate: &'a Gate,
    permit: Option<SemaphorePermit<'a>>,
}

impl Gate {
    /// A gate for `limit` senders at a time; 0 counts as 1.
    pub fn new(limit: usize) -> Self {
        let now = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            permits: Semaphore::new(now),
            limit: Mutex::new(GateLimit {
                now,
                most: now,
                good: 0,
                owed: 0,
            }),
            closed: watch::Sender::new(false),
            lease: None,
            wrong: Mutex::new(None),
        }
    }

    #[must_use]
    pub fn leased(self, lease: Option<Arc<Lease>>) -> Self {
        Self { lease, ..self }
    }

    /// Waits for a permit, first come first served; returns `None` once the gate is closed.
    pub async fn enter(&self) -> Option<GatePass<'_>> {
        let permit = self.permits.acquire().await.ok()?;
        Some(GatePass {
            gate: self,
            permit: Some(permit),
        })
    }

    pub fn limit(&self) -> usize {
        self.locked().now
    }

    /// Halves the limit, down to 1. Requests in flight may finish.
    pub fn halve(&self) {
        let mut limit = self.locked();
        let halved = (limit.now / 2).max(1);
        let surplus = limit.now - halved;
        limit.now = halved;
        limit.good = 0;
        limit.owed += surplus - self.permits.forget_permits(surplus);
    }

    /// Notes a wrong password: no lost request is repeated from now on, and nothing of its
    /// credential is sent. Returns whether the credential was not known as wrong before.
    pub fn refuse(&self, credential: Option<&Arc<str>>, code: Token) -> bool {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = wrong.get_or_insert_default();
        credential.is_some_and(|name| wrong.insert(Arc::clone(name), code).is_none())
    }

    /// Returns whether another run may be sending by now.
    pub fn has_expired(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| !lease.is_valid())
    }

    pub fn may_repeat(&self) -> bool {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.is_none() && !self.has_expired()
    }

    pub fn code_of(&self, entry: &Assignment) -> Option<Token> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.as_ref()?.get(entry.credential.as_ref()?).cloned()
    }

    pub fn answered(&self) {
        let mut limit = self.locked();
        limit.good += 1;
        if limit.now == limit.most || limit.good < GOOD_RUN {
            return;
        }
        limit.good = 0;
        limit.now += 1;
        match limit.owed {
            0 => self.permits.add_permits(1),
            _ => limit.owed -= 1,
        }
    }

    /// Lets no sender through any more and ends all waiting, even for a next attempt. For the end of
    /// a run.
    pub fn close(&self) {
        self.permits.close();
        self.closed.send_replace(true);
    }

    pub async fn closed(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, GateLimit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for GatePass<'_> {
    fn drop(&mut self) {
        let mut limit = self.gate.locked();
        let Some(permit) = self.permit.take() else {
            return;
        };
        if limit.owed > 0 {
            limit.owed -= 1;
            permit.forget();
        } else {
            drop(permit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn enters(gate: &Gate) -> Option<GatePass<'_>> {
        timeout(Duration::from_millis(20), gate.enter())
            .await
            .ok()
            .flatten()
    }

    #[tokio::test]
    async fn halving_takes_effect_on_free_and_on_used_passes() {
        let gate = Gate::new(4);
        let a = enters(&gate).await;
        let b = enters(&gate).await;
        let c = enters(&gate).await;
        assert!(a.is_some() && b.is_some() && c.is_some());
        gate.halve();
        assert_eq!(gate.limit(), 2);
        assert!(enters(&gate).await.is_none());
        drop(a);
        assert!(enters(&gate).await.is_none(), "one pass too many is out");
        drop(b);
        let d = enters(&gate).await;
        assert!(d.is_some());
        assert!(enters(&gate).await.is_none());
        drop((c, d));
        let e = enters(&gate).await;
        let f = enters(&gate).await;
        assert!(e.is_some() && f.is_some());
        assert!(enters(&gate).await.is_none());
    }

    #[tokio::test]
    async fn the_limit_rises_by_one_after_a_run_of_good_answers_and_not_over_the_first() {
        let gate = Gate::new(4);
        let out = [gate.enter().await, gate.enter().await, gate.enter().await];
        gate.halve();
        for answers in 1..=12 {
            gate.answered();
            assert_eq!(gate.limit(), (2 + answers / GOOD_RUN).min(4));
        }
        gate.halve();
        (1..GOOD_RUN).for_each(|_| gate.answered());
        gate.halve();
        (1..GOOD_RUN).for_each(|_| gate.answered());
        assert_eq!(gate.limit(), 1, "a run that is cut short does not count");
        gate.answered();
        assert_eq!(gate.limit(), 2);
        drop(out);
        let a = enters(&gate).await;
        let b = enters(&gate).await;
        assert!(a.is_some() && b.is_some());
        assert!(enters(&gate).await.is_none());
    }

    #[tokio::test]
    async fn the_limit_never_falls_below_one() {
        let gate = Gate::new(0);
        for _ in 0..3 {
            gate.halve();
            assert_eq!(gate.limit(), 1);
            assert!(enters(&gate).await.is_some());
        }
    }

    #[tokio::test]
    async fn a_closed_gate_ends_all_waiting() {
        let gate = Gate::new(1);
        let pass = gate.enter().await;
        let closing = async {
            tokio::task::yield_now().await;
            gate.close();
        };
        let (waited, (), ()) = tokio::join!(gate.enter(), gate.closed(), closing);
        assert!(waited.is_none());
        drop(pass);
        assert!(gate.enter().await.is_none());
        gate.closed().await;
    }
}
