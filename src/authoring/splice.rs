//! Replacements of parts of a text, collected and made in one go, so that ten
//! thousand of them cost one copy of the text.

use std::ops::Range;

use zeroize::Zeroizing;

/// The replacements. Those at one place keep the order in which they came.
pub(super) struct Splices<'t> {
    text: &'t str,
    line_end: &'static str,
    list: Vec<(Range<usize>, Zeroizing<String>)>,
    /// Whether the last line, which had no line end, was given one.
    ended: bool,
}

impl<'t> Splices<'t> {
    pub(super) fn new(text: &'t str, line_end: &'static str) -> Self {
        Self {
            text,
            line_end,
            list: Vec::new(),
            ended: text.is_empty() || text.ends_with(['\n', '\r']),
        }
    }

    pub(super) fn replace(&mut self, bytes: Range<usize>, by: Zeroizing<String>) {
        self.list.push((bytes, by));
    }

    pub(super) fn remove(&mut self, bytes: Range<usize>) {
        self.replace(bytes, Zeroizing::default());
    }

    pub(super) fn insert(&mut self, at: usize, text: &str) {
        self.replace(at..at, Zeroizing::new(text.to_owned()));
    }

    /// Inserts whole lines before the line that starts here, or at the end.
    pub(super) fn insert_lines(&mut self, at: usize, lines: Zeroizing<String>) {
        if at == self.text.len() && !self.ended {
            self.insert(at, self.line_end);
            self.ended = true;
        }
        self.replace(at..at, lines);
    }

    /// The text after all replacements, or nothing if two of them overlap.
    pub(super) fn apply(mut self) -> Option<Zeroizing<String>> {
        self.list.sort_by_key(|(bytes, _)| bytes.start);
        let more: usize = self.list.iter().map(|(_, by)| by.len()).sum();
        // Enough room, so that no copy is left where a growing buffer was.
        let mut out = Zeroizing::new(String::with_capacity(self.text.len() + more));
        let mut at = 0;
        for (bytes, by) in &self.list {
            out.push_str(self.text.get(at..bytes.start)?);
            out.push_str(by);
            at = bytes.end;
        }
        out.push_str(self.text.get(at..)?);
        Some(out)
    }
}
