//! A permission that ends by itself, on a machine that may sleep: two clocks measure its age, and
//! the larger one counts. One goes on while the machine sleeps; others see the other.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::testpoint;

/// A moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    awake_or_asleep: Duration,
    wall: Duration,
}

impl Moment {
    pub fn now() -> Self {
        let read = |clock| {
            let time = clock_gettime(clock);
            let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
            let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
            Duration::new(seconds, nanoseconds) + testpoint::slept()
        };
        Self {
            awake_or_asleep: read(ClockId::Boottime),
            wall: read(ClockId::Realtime) + testpoint::set_ahead(),
        }
    }

    /// Returns how much time has passed for certain: a wall clock may be set forward.
    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    /// Returns the longest time that may have passed for others.
    fn age(self) -> Duration {
        let now = Self::now();
        now.since(self).max(now.wall.saturating_sub(self.wall))
    }

    fn since(self, then: Self) -> Duration {
        self.awake_or_asleep.saturating_sub(then.awake_or_asleep)
    }
}

#[derive(Debug)]
pub struct Lease {
    limit: Duration,
    since: Mutex<Option<Moment>>,
}

impl Lease {
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: Mutex::new(None),
        }
    }

    pub fn renew(&self, since: Moment) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(since);
    }

    pub fn is_valid(&self) -> bool {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.age() < self.limit)
    }
}
