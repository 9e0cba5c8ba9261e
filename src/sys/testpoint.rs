//! Places where a test can stop the real program to kill it, or make the disk fail, and a clock
//! that a test can stop. Release builds have none.

#[cfg(debug_assertions)]
mod armed {
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use jiff::Timestamp;
    use rustix::io::Errno;

    struct ArmedPlace {
        place: String,
        /// Passes left until it acts.
        passes: AtomicUsize,
        file: PathBuf,
    }

    static STOPPING: OnceLock<ArmedPlace> = OnceLock::new();

    static FAILING: OnceLock<Vec<ArmedPlace>> = OnceLock::new();

    impl ArmedPlace {
        /// Parses `<place>:<pass>:<file>`. Passes are counted from 1.
        fn parse(text: &str) -> Option<Self> {
            let mut parts = text.splitn(3, ':');
            Some(Self {
                place: parts.next()?.to_owned(),
                passes: AtomicUsize::new(parts.next()?.parse().ok()?),
                file: parts.next().unwrap_or_default().into(),
            })
        }

        fn acts_at(&self, place: &str) -> bool {
            self.place == place && self.passes.fetch_sub(1, Ordering::SeqCst) == 1
        }
    }

    /// Lets places fail as if the disk were full. `text` is a comma-separated list of
    /// `<place>:<pass>`.
    pub fn arm_failures(text: &str) {
        let places = text.split(',').filter_map(ArmedPlace::parse).collect();
        let _ = FAILING.set(places);
    }

    pub fn may_fail(place: &str) -> io::Result<()> {
        let here = FAILING.get().into_iter().flatten();
        match here.filter(|armed| armed.acts_at(place)).count() {
            0 => Ok(()),
            _ => Err(Errno::NOSPC.into()),
        }
    }

    /// Arms one place, where the program creates the file and waits to be killed, or for another one
    /// with `.go` after its name. If the file is called `panic`, it panics there.
    pub fn arm(text: &str) {
        if let Some(armed) = ArmedPlace::parse(text).filter(|armed| armed.file != Path::new("")) {
            let _ = STOPPING.set(armed);
        }
    }

    static CLOCK: OnceLock<Timestamp> = OnceLock::new();

    /// Stops the clock at this time.
    pub fn stop_clock(text: &str) {
        let _ = text.parse().map(|time| CLOCK.set(time));
    }

    pub fn clock() -> Option<Timestamp> {
        CLOCK.get().copied()
    }

    static LEASE: OnceLock<Duration> = OnceLock::new();
    static SLEPT: OnceLock<PathBuf> = OnceLock::new();
    static SETTLE: OnceLock<Duration> = OnceLock::new();

    /// Shortens the lease of a state on a branch.
    pub fn shorten_lease(seconds: u64) {
        let _ = LEASE.set(Duration::from_secs(seconds));
    }

    pub fn lease() -> Option<Duration> {
        LEASE.get().copied()
    }

    /// Shortens the time for finding out what became of a push.
    pub fn shorten_settle(seconds: u64) {
        let _ = SETTLE.set(Duration::from_secs(seconds));
    }

    pub fn settle() -> Option<Duration> {
        SETTLE.get().copied()
    }

    /// Reads from this file for how many seconds the machine has slept, and how many the wall clock
    /// is ahead.
    pub fn sleep_as_in(file: &Path) {
        let _ = SLEPT.set(file.to_owned());
    }

    pub fn slept() -> Duration {
        of_clocks(0)
    }

    pub fn set_ahead() -> Duration {
        of_clocks(1)
    }

    fn of_clocks(number: usize) -> Duration {
        let text = SLEPT
            .get()
            .and_then(|file| std::fs::read_to_string(file).ok());
        let text = text.unwrap_or_default();
        let seconds = text.split_whitespace().nth(number);
        let seconds = seconds.and_then(|text| text.parse().ok());
        Duration::from_secs(seconds.unwrap_or_default())
    }

    pub fn reach(place: &str) {
        let Some(armed) = STOPPING.get().filter(|armed| armed.acts_at(place)) else {
            return;
        };
        if armed.file.as_os_str() == "panic" {
            panic!("a panic that a test provoked, canary-panic");
        }
        let _ = std::fs::write(&armed.file, "reached");
        let mut go_on = armed.file.as_os_str().to_owned();
        go_on.push(".go");
        while !Path::new(&go_on).exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[cfg(debug_assertions)]
pub use armed::{
    arm, arm_failures, clock, lease, may_fail, reach, set_ahead, settle, shorten_lease,
    shorten_settle, sleep_as_in, slept, stop_clock,
};

#[cfg(not(debug_assertions))]
pub const fn reach(_place: &str) {}

#[cfg(not(debug_assertions))]
pub const fn may_fail(_place: &str) -> std::io::Result<()> {
    Ok(())
}

#[cfg(not(debug_assertions))]
pub const fn clock() -> Option<jiff::Timestamp> {
    None
}

#[cfg(not(debug_assertions))]
pub const fn lease() -> Option<std::time::Duration> {
    None
}

#[cfg(not(debug_assertions))]
pub const fn settle() -> Option<std::time::Duration> {
    None
}

#[cfg(not(debug_assertions))]
pub const fn slept() -> std::time::Duration {
    std::time::Duration::ZERO
}

#[cfg(not(debug_assertions))]
pub const fn set_ahead() -> std::time::Duration {
    std::time::Duration::ZERO
}
