//! What the targets share: the marked text that nothing may repeat, the time that an
//! input may take, and what no line may hold that a CI system reads.

use std::fmt::Display;
use std::panic;
use std::time::Duration;

use drspass::core::fingerprint::{Field, FingerprintKey};
use drspass::core::job::EntryKey;
use drspass::core::manifest::{Manifest, Sealing, parse};
use drspass::core::problem::{Checked, Problem};
use drspass::core::redact::for_log;
use miette::Diagnostic;
use rustix::time::{ClockId, clock_gettime};

pub mod answers;
mod keys;
mod stdio;
mod tokens;

pub use keys::assert_private;
pub use stdio::said;
pub use tokens::Tokens;

/// A text that no name, id, path or word of ours is allowed to hold.
pub const CANARY: &str = "zq!Canary^7";

/// Larger inputs are not looked at.
const MAX_BYTES: usize = 100_000;

/// What an input may take, which runs slower here than it is shipped.
const PATIENCE: Duration = Duration::from_secs(5);

/// The input with the marked text for each `$`, in parts where a byte `ff` stands;
/// nothing of one that grew too large.
pub fn parts(data: &[u8]) -> Option<Vec<Vec<u8>>> {
    let marks = data.iter().filter(|byte| **byte == b'$').count();
    if data.len() + marks * CANARY.len() > MAX_BYTES {
        return None;
    }
    let planted = |part: &[u8]| {
        let pieces: Vec<&[u8]> = part.split(|byte| *byte == b'$').collect();
        pieces.join(CANARY.as_bytes())
    };
    Some(data.split(|byte| *byte == 0xff).map(planted).collect())
}

/// The part of this number; an empty one if there are not so many.
pub fn part(parts: &[Vec<u8>], number: usize) -> &[u8] {
    parts.get(number).map_or(&[], Vec::as_slice)
}

/// As [`part`], as text.
pub fn text(parts: &[Vec<u8>], number: usize) -> String {
    String::from_utf8_lossy(part(parts, number)).into_owned()
}

/// Runs `target`, which must not take long.
pub fn in_time(target: impl FnOnce()) {
    let cpu = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let start = cpu();
    target();
    let taken = cpu() - start;
    assert!(taken < PATIENCE, "took {taken:?}");
}

/// A message, which must not repeat the marked text, and be harmless as it is written.
#[track_caller]
pub fn assert_quiet(message: impl Display) {
    let message = message.to_string();
    assert!(!message.contains(CANARY), "repeats the input: {message}");
    assert_harmless(&for_log(&message, false));
}

/// An error with its help and causes, as [`assert_quiet`].
#[track_caller]
pub fn assert_error_quiet(error: &dyn Diagnostic) {
    assert_quiet(error);
    if let Some(help) = error.help() {
        assert_quiet(help);
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        assert_quiet(error);
        cause = error.source();
    }
}

#[track_caller]
pub fn assert_problems_quiet(problems: &[Problem]) {
    for problem in problems {
        assert_quiet(problem);
        assert_quiet(&problem.help);
    }
}

/// A text in which nothing is for anybody but a reader.
#[track_caller]
pub fn assert_harmless(text: &str) {
    let hides = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || "\u{200b}\u{202e}\u{2066}\u{2028}\u{feff}".contains(c)
    };
    assert!(!text.contains(hides), "steers a terminal: {text:?}");
    // Runners obey these wherever in a line they stand.
    for command in ["##[", "##vso["] {
        assert!(!text.contains(command), "{command}: {text:?}");
    }
    for line in text.lines() {
        let line = line.trim_start();
        let obeyed = line.starts_with("::") || line.starts_with("section_");
        assert!(!obeyed, "a runner obeys {line:?}");
    }
}

/// A key that the inputs cannot hold.
pub fn key() -> FingerprintKey {
    FingerprintKey::new([7; 32])
}

/// A manifest with everything that there can be, comments everywhere.
pub const MANIFEST: &str = include_str!("../../examples/manifest.yaml");

/// [`MANIFEST`] as it is read.
pub fn manifest() -> Manifest {
    parse(MANIFEST, Sealing::Optional).value.expect("valid")
}

/// The meaning of a text that must be a manifest.
#[track_caller]
pub fn meaning_of(text: &str) -> Vec<(EntryKey, Vec<(Field, String)>)> {
    let Checked { value, problems } = parse(text, Sealing::Optional);
    let Some(manifest) = value else {
        panic!("not read back: {problems:?}\n{text}");
    };
    let values = |values: &mut dyn Iterator<Item = (Field, &drspass::core::secret::Secret)>| {
        values
            .map(|(field, value)| (field, value.expose().to_owned()))
            .collect()
    };
    let mut all: Vec<_> = manifest
        .assignments()
        .iter()
        .map(|entry| (entry.key.clone(), values(&mut entry.values())))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Shows what a panic says although the streams are read meanwhile.
pub fn show_panics() {
    let former = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        stdio::give_back();
        former(info);
    }));
}
