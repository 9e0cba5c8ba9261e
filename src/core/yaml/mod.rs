//! The strict YAML reader under the manifest and the configuration: one document, no
//! anchors, aliases, tags or merge keys, no key twice, and errors in our own words, which
//! hold no text of the document (design section 2.2). It builds no tree, so that the
//! largest manifest costs little more than what is kept of it.

mod syntax;
#[cfg(test)]
mod tests;
mod text;
mod values;

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};

pub use text::{
    MAX_BYTES, decode, is_hard_to_see, is_null, plain_text, quote, reads_as_other_type, split_mark,
    wrong_encoding,
};
pub use values::{ChosenEntry, Entries, Fields, nearest};

use super::problem::{Checked, FieldPath, Position, Problem, Problems};

/// How many collections may stand inside each other. The formats need six.
const MAX_NESTING: usize = 16;

/// How many problems of one severity are kept: nobody reads more, and a large
/// document could otherwise turn into a far larger list.
pub const MAX_PROBLEMS: usize = 1000;

#[derive(Default)]
pub struct Reported {
    problems: Problems,
    errors: usize,
    warnings: usize,
}

impl Reported {
    pub fn error(&mut self, problem: Problem) -> Read<()> {
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
        Err(Stopped)
    }

    /// Keeps a warning; past the limit it is only counted, and never made.
    pub fn warning(&mut self, problem: impl FnOnce() -> Problem) {
        self.warnings += 1;
        if self.warnings <= MAX_PROBLEMS {
            self.problems.push(problem());
        }
    }

    /// Ends the list: `value` counts only if there was no error.
    pub fn finish<T>(mut self, value: Option<T>) -> Checked<T> {
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

/// A scalar as it stands in the document.
pub struct Scalar<'t> {
    /// The value after escapes and folding.
    pub text: Cow<'t, str>,
    /// Whether it has neither quotes nor a block indicator.
    pub is_plain: bool,
    /// Whether it stands in lines of its own below a block indicator.
    pub is_block: bool,
    pub at: Position,
    /// The bytes of the document that it covers, quotes included. Those of a block
    /// start at its first character and may end in the line after it.
    pub bytes: Range<usize>,
}

impl Scalar<'_> {
    /// Whether every reader would take it for null: absent, `~` or `null`.
    pub fn is_null(&self) -> bool {
        self.is_plain && (self.bytes.is_empty() || is_null(&self.text))
    }
}

/// One value, or the start of one: what is inside a collection is read next.
pub enum Node<'t> {
    Scalar(Scalar<'t>),
    Map {
        at: Position,
        start: usize,
        is_flow: bool,
    },
    List {
        at: Position,
        start: usize,
    },
    /// Something that is not allowed anywhere, reported and read over.
    Refused,
}

impl Node<'_> {
    /// Where it starts, unless that was reported already.
    pub fn at(&self) -> Option<Position> {
        match self {
            Self::Scalar(scalar) => Some(scalar.at),
            Self::Map { at, .. } | Self::List { at, .. } => Some(*at),
            Self::Refused => None,
        }
    }

    /// Whether the value is null or absent.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(scalar) if scalar.is_null())
    }
}

/// What a document starts with.
pub enum Outermost {
    Map { is_flow: bool },
    Refused,
}

/// Nothing more can be read; the reason is among the problems already.
#[derive(Debug)]
pub struct Stopped;

pub type Read<T> = Result<T, Stopped>;

/// Reads one document from start to end and collects its problems.
pub struct Reader<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    reported: Reported,
    /// The line of the last tab that was reported.
    tab_line: usize,
    /// The end of what was read last, for whoever edits the text.
    end: usize,
}

impl<'t> Reader<'t> {
    /// Starts at the beginning of `text`, which carries no byte order mark.
    pub fn new(text: &'t str) -> Self {
        let options = granit_parser::options! {
            strict_indentation: true,
            emit_unresolved_aliases: true,
            emit_comments: false,
            flow_nesting_limit: MAX_NESTING,
            block_nesting_limit: MAX_NESTING,
        };
        Self {
            text,
            parser: Parser::new_from_str_with_options(text, options),
            reported: Reported::default(),
            tab_line: 0,
            end: 0,
        }
    }

    pub fn document(&self) -> &'t str {
        self.text
    }

    /// The byte after what was read last, ends of collections left out.
    pub fn end(&self) -> usize {
        self.end
    }

    /// Reports an error at a place of the document.
    pub fn error(
        &mut self,
        path: &FieldPath<'_>,
        at: Option<Position>,
        what: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> Read<()> {
        self.report(Problem::error(path.to_string(), at, what, help))
    }

    /// Reports an error at a path that was written down earlier.
    pub fn error_at(
        &mut self,
        path: &str,
        at: Position,
        what: &'static str,
        help: &'static str,
    ) -> Read<()> {
        self.report(Problem::error(path, Some(at), what, help))
    }

    /// Reports a warning; past the limit it is only counted.
    pub fn warning(
        &mut self,
        path: &FieldPath<'_>,
        at: Option<Position>,
        what: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) {
        self.reported
            .warning(|| Problem::warning(path.to_string(), at, what, help));
    }

    fn report(&mut self, problem: Problem) -> Read<()> {
        self.reported.error(problem)
    }

    /// Ends the reading: the value counts only if there was no error.
    pub fn finish<T>(self, value: Read<Option<T>>) -> Checked<T> {
        self.reported.finish(value.unwrap_or(None))
    }

    /// Reads up to the inside of the document's outermost map.
    /// Fails if the text cannot be one document of YAML.
    pub fn open(&mut self) -> Read<Outermost> {
        if let Some(problem) = text::refuse_text(self.text) {
            return self.report(problem).and(Err(Stopped));
        }
        self.event()?; // The start of the stream.
        let (event, _) = self.event()?;
        if !matches!(event, Event::DocumentStart(..)) {
            self.empty()?;
            return Err(Stopped);
        }
        let root = self.node(&FieldPath::ROOT)?;
        match root {
            Node::Map { is_flow, .. } => return Ok(Outermost::Map { is_flow }),
            Node::Refused => {}
            node if node.is_null() => self.empty()?,
            node => {
                let at = node.at();
                self.skip(node)?;
                self.error(
                    &FieldPath::ROOT,
                    at,
                    "the document is not a map of keys",
                    "Write one `key: value` pair a line, beginning with `version: 1`.",
                )?;
            }
        }
        Ok(Outermost::Refused)
    }

    fn empty(&mut self) -> Read<()> {
        self.error(
            &FieldPath::ROOT,
            None,
            "the file is empty",
            "An empty file is never taken for an empty list of jobs; begin with `version: 1`.",
        )
    }

    /// Reads the end of the document and makes sure that nothing follows.
    pub fn close(&mut self) -> Read<()> {
        loop {
            let (event, span) = self.event()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(..) => {
                    let at = position(span.start);
                    self.error(
                        &FieldPath::ROOT,
                        Some(at),
                        format!("line {} starts a second document", at.line),
                        "Keep one document in the file; remove the `---` or `...` line before it.",
                    )?;
                    return Err(Stopped);
                }
                _ => {}
            }
        }
    }

    /// The next value. A collection's content is not read yet.
    /// Fails if the document ends or is not YAML.
    pub fn node(&mut self, path: &FieldPath<'_>) -> Read<Node<'t>> {
        let (event, span) = self.event()?;
        self.node_of(event, span, path)
    }

    fn node_of(&mut self, event: Event<'t>, span: Span, path: &FieldPath<'_>) -> Read<Node<'t>> {
        let at = position(span.start);
        let tab = span.start.byte_offset().and_then(|at| self.tab_before(at));
        if let Some(column) = tab.filter(|_| self.tab_line != at.line) {
            self.tab_line = at.line;
            let tab = Position { column, ..at };
            let help = "Indent with blanks only.";
            self.error(path, Some(tab), "tab used for indentation", help)?;
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if self.has_properties(path, at, anchor, tag.is_some())? {
                    return Ok(Node::Refused);
                }
                let bytes = span.byte_range().unwrap_or_default();
                Ok(Node::Scalar(Scalar {
                    text,
                    is_plain: style == ScalarStyle::Plain,
                    is_block: matches!(style, ScalarStyle::Literal | ScalarStyle::Folded),
                    at,
                    bytes,
                }))
            }
            Event::MappingStart(style, anchor, tag) => {
                self.has_properties(path, at, anchor, tag.is_some())?;
                Ok(Node::Map {
                    at,
                    start: span.start.byte_offset().unwrap_or_default(),
                    is_flow: style == granit_parser::StructureStyle::Flow,
                })
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.has_properties(path, at, anchor, tag.is_some())?;
                Ok(Node::List {
                    at,
                    start: span.start.byte_offset().unwrap_or_default(),
                })
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.error(
                    path,
                    Some(at),
                    "aliases are not supported",
                    "Write the value out (a manifest shares passwords by `credentials`); quote a value that starts with `*`.",
                )?;
                Ok(Node::Refused)
            }
            _ => {
                self.error(
                    path,
                    Some(at),
                    "a value is missing here",
                    "Check the indentation and the brackets.",
                )?;
                Err(Stopped)
            }
        }
    }

    /// The column of the first tab of a line of which nothing but blanks stands
    /// before this byte. The parser lets a tab pass after some blanks.
    fn tab_before(&self, byte: usize) -> Option<usize> {
        let before = self.text.get(..byte)?;
        // No further back than the blanks go: many tabs may stand on one long line.
        let rest = before.trim_end_matches([' ', '\t']);
        let is_indentation = rest.is_empty() || rest.ends_with(['\n', '\r']);
        let tab = before.get(rest.len()..)?.find('\t')?;
        is_indentation.then_some(tab + 1)
    }

    /// Reports an anchor or a tag of a node, and says whether there was one.
    fn has_properties(
        &mut self,
        path: &FieldPath<'_>,
        at: Position,
        anchor: usize,
        has_tag: bool,
    ) -> Read<bool> {
        if anchor != 0 {
            self.error(
                path,
                Some(at),
                "anchors are not supported",
                "Write the value out (a manifest shares passwords by `credentials`); quote a value that starts with `&`.",
            )?;
        }
        if has_tag {
            self.error(
                path,
                Some(at),
                "tags are not supported",
                "Remove the tag; quote a value that starts with `!`.",
            )?;
        }
        Ok(anchor != 0 || has_tag)
    }

    /// Reads over a value, without recursion.
    pub fn skip(&mut self, node: Node<'t>) -> Read<()> {
        let mut depth = match node {
            Node::Scalar(_) | Node::Refused => 0_usize,
            Node::Map { .. } | Node::List { .. } => 1,
        };
        while depth > 0 {
            match self.event()?.0 {
                Event::MappingStart(..) | Event::SequenceStart(..) => depth += 1,
                Event::MappingEnd | Event::SequenceEnd => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// The next value of a list, or key of a map, or nothing at its end.
    pub fn item(&mut self, path: &FieldPath<'_>) -> Read<Option<Node<'t>>> {
        match self.event()? {
            (Event::MappingEnd | Event::SequenceEnd, _) => Ok(None),
            (event, span) => self.node_of(event, span, path).map(Some),
        }
    }

    fn event(&mut self) -> Read<(Event<'t>, Span)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                // The ends of collections without brackets cover nothing and
                // stand where the next thing starts.
                if !span.is_empty() {
                    self.end = span.end.byte_offset().unwrap_or(self.end);
                }
                Ok((event, span))
            }
            Some(Err(error)) => {
                let problem = syntax::problem(self.text, &error);
                self.report(problem).and(Err(Stopped))
            }
            None => Err(Stopped),
        }
    }
}

/// Our numbers start at 1, the parser's columns at 0.
fn position(marker: Marker) -> Position {
    Position {
        line: marker.line(),
        column: marker.col() + 1,
    }
}
