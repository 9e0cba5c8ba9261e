//! The problems of one reading, in a list that has an end.

use super::{Read, Stop};
use crate::core::problem::{Checked, Problem, Problems};

/// How many problems of one severity are kept: nobody reads more, and a large
/// document could otherwise turn into a far larger list.
pub(super) const MAX_PROBLEMS: usize = 1000;

/// What was reported so far.
#[derive(Default)]
pub(super) struct Reported {
    problems: Problems,
    errors: usize,
    warnings: usize,
}

impl Reported {
    /// Keeps an error.
    /// Fails if that were more errors than anybody reads.
    pub(super) fn error(&mut self, problem: Problem) -> Read<()> {
        self.errors += 1;
        self.problems.push(problem);
        if self.errors < MAX_PROBLEMS {
            return Ok(());
        }
        self.problems.push(Problem::error(
            "",
            None,
            "too many problems; reading stopped here",
            "Solve these first.",
        ));
        Err(Stop)
    }

    /// Keeps a warning; past the limit it is only counted, and never made.
    pub(super) fn warning(&mut self, problem: impl FnOnce() -> Problem) {
        self.warnings += 1;
        if self.warnings <= MAX_PROBLEMS {
            self.problems.push(problem());
        }
    }

    /// Ends the list: `value` counts only if there was no error.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Checked<T> {
        if self.warnings > MAX_PROBLEMS {
            let more = self.warnings - MAX_PROBLEMS;
            self.problems.push(Problem::warning(
                "",
                None,
                format!("{more} more warnings"),
                "Look at the ones above first.",
            ));
        }
        debug_assert!(value.is_some() || self.problems.has_errors());
        Checked::new(value, self.problems)
    }
}
