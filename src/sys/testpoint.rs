//! Places at which a test can stop the real program to kill it there, or let the
//! disk refuse.
//!
//! They exist in debug builds only; in a release build nothing is compiled in.
//! A test names a place to stop at and a file: when the program reaches the place
//! it creates the file and waits to be killed. Or it names places that fail as
//! if there were no space left.

#[cfg(debug_assertions)]
mod armed {
    use std::io;
    use std::path::PathBuf;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rustix::io::Errno;

    struct Armed {
        place: String,
        passes: AtomicUsize,
        file: PathBuf,
    }

    static ARMED: OnceLock<Armed> = OnceLock::new();

    /// Places that fail, each with how many passes are left until it does.
    static FAILING: OnceLock<Vec<(String, AtomicUsize)>> = OnceLock::new();

    /// Lets places fail. `text` is a list of `<place>:<pass>`, comma-separated.
    pub fn arm_failures(text: &str) {
        let places = text
            .split(',')
            .filter_map(|item| item.split_once(':'))
            .filter_map(|(place, pass)| {
                let pass = pass.parse().ok()?;
                Some((place.to_owned(), AtomicUsize::new(pass)))
            })
            .collect();
        let _ = FAILING.set(places);
    }

    pub fn may_fail(place: &str) -> io::Result<()> {
        let here = FAILING.get().into_iter().flatten();
        let fails = here
            .filter(|(failing, _)| failing == place)
            .filter(|(_, passes)| passes.fetch_sub(1, Ordering::SeqCst) == 1)
            .count();
        if fails > 0 {
            return Err(Errno::NOSPC.into());
        }
        Ok(())
    }

    /// Arms one place. `text` is `<place>:<pass>:<file>`: the program stops when
    /// it reaches the place for the pass-th time, counted from 1. Anything else
    /// arms nothing. In place of a file, the word `panic` makes it panic there.
    pub fn arm(text: &str) {
        let mut parts = text.splitn(3, ':');
        if let (Some(place), Some(Ok(pass)), Some(file)) = (
            parts.next(),
            parts.next().map(str::parse::<usize>),
            parts.next(),
        ) {
            let _ = ARMED.set(Armed {
                place: place.to_owned(),
                passes: AtomicUsize::new(pass),
                file: file.into(),
            });
        }
    }

    pub fn reach(place: &str) {
        let Some(armed) = ARMED.get().filter(|armed| armed.place == place) else {
            return;
        };
        if armed.passes.fetch_sub(1, Ordering::SeqCst) == 1 {
            if armed.file.as_os_str() == "panic" {
                panic!("a panic that a test provoked, canary-panic");
            }
            let _ = std::fs::write(&armed.file, "reached");
            loop {
                std::thread::park();
            }
        }
    }
}

#[cfg(debug_assertions)]
pub use armed::{arm, arm_failures, may_fail, reach};

#[cfg(not(debug_assertions))]
pub const fn reach(_place: &str) {}

#[cfg(not(debug_assertions))]
pub const fn may_fail(_place: &str) -> std::io::Result<()> {
    Ok(())
}
