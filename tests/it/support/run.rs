//! What a command came to, and what is asked of it.

/// One finished run.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Everything that a person saw.
    pub(crate) fn all(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    /// Asserts the exit code, showing what was printed if it differs.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n{}", self.all());
        self
    }

    /// Asserts that a text was printed on either stream, line breaks aside.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        let all = unwrapped(&self.all());
        assert!(all.contains(text), "{text:?} is not in\n{}", self.all());
        self
    }

    /// Asserts that a text was printed on neither stream.
    #[track_caller]
    pub(crate) fn says_not(self, text: &str) -> Self {
        assert!(!self.all().contains(text), "{text:?} is in\n{}", self.all());
        self
    }
}

/// Text with every run of blanks and line breaks as one blank, since columns of
/// a table are as wide as their content.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
