//! Places at which a test can stop the real program to kill it there.
//!
//! They exist in debug builds only; in a release build nothing is compiled in.
//! A test names a place and a file: when the program reaches the place it
//! creates the file and waits to be killed.

#[cfg(debug_assertions)]
mod armed {
    use std::path::PathBuf;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Armed {
        place: String,
        passes: AtomicUsize,
        file: PathBuf,
    }

    static ARMED: OnceLock<Armed> = OnceLock::new();

    /// Arms one place. `text` is `<place>:<pass>:<file>`: the program stops when
    /// it reaches the place for the pass-th time, counted from 1. Anything else
    /// arms nothing.
    pub(crate) fn arm(text: &str) {
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

    /// Stops here for good if a test armed this place.
    pub(crate) fn reach(place: &str) {
        let Some(armed) = ARMED.get().filter(|armed| armed.place == place) else {
            return;
        };
        if armed.passes.fetch_sub(1, Ordering::SeqCst) == 1 {
            let _ = std::fs::write(&armed.file, "reached");
            loop {
                std::thread::park();
            }
        }
    }
}

#[cfg(debug_assertions)]
pub(crate) use armed::{arm, reach};

/// Does nothing in a release build.
#[cfg(not(debug_assertions))]
pub(crate) const fn reach(_place: &str) {}
