//! The strict YAML reader: one document as a tree over its text, without anchors, aliases, tags or
//! merge keys, and errors in words of drspass, which contain no text of the document (design
//! section 2.2).
//!
//! The tree is a flat list of nodes in the order of the text, each with its place and without its
//! text, so that the largest manifest costs little more than the values kept from it. Only escaped
//! or folded text is copied, and wiped.

mod cursor;
mod syntax;
#[cfg(test)]
mod tests;
mod text;

use std::cell::Cell;
use std::ops::Range;

use granit_parser::{Event, Marker, Parser, ScalarStyle, StructureStyle};
use zeroize::Zeroizing;

pub use cursor::{Cursor, nearest, read};
pub use text::{
    MAX_BYTES, decode, is_hard_to_see, line_end, line_start, next_line, plain_text, position_after,
    quote, reads_as_other_type, split_mark, wrong_encoding,
};

use super::problem::{Position, Problem};

/// How deep collections may be nested. The formats need six levels.
const MAX_NESTING: usize = 16;

/// The most values and keys of a document. A manifest of 64 MiB has half as many.
const MAX_NODES: usize = 10_000_000;

/// A document, or as much of it as could be read.
pub struct Tree<'t> {
    text: &'t str,
    items: Vec<Item>,
    /// The kind of each item, apart from the items for their size.
    kinds: Vec<NodeKind>,
    /// Rare properties of items, in their order.
    flaws: Vec<NodeFlaw>,
    /// The texts of items that are not in the document letter by letter, in their order.
    copies: Vec<(usize, Zeroizing<String>)>,
    /// A byte and its line, from which later lines are counted: problems are found one after the
    /// other.
    counted: Cell<(usize, usize)>,
    /// The collections that were not read completely: one inside the other, so few.
    cut: Vec<usize>,
    /// Why reading stopped after the last item.
    stopped: Option<Problem>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NodeKind {
    Plain,
    Quoted,
    Block,
    Map,
    FlowMap,
    List,
    Alias,
    /// Not reached by the reader.
    Absent,
}

impl NodeKind {
    const fn is_collection(self) -> bool {
        matches!(self, Self::Map | Self::FlowMap | Self::List)
    }
}

/// The place of a node: a text has 64 MiB at most, and a manifest of 100,000 entries has 500,000 of
/// them.
struct Item {
    /// Its first byte.
    start: u32,
    /// For a collection the first item that is not inside it, for all else the byte after it.
    extent: u32,
}

struct NodeFlaw {
    item: usize,
    /// The number of its anchor, or 0.
    anchor: usize,
    has_tag: bool,
    /// Whether it is the first of its line and indented with a tab.
    has_tab: bool,
}

/// A collection whose end was not read yet.
struct Open {
    item: usize,
    children: usize,
}

impl<'t> Tree<'t> {
    /// Parses `text`, which must not have a byte order mark.
    pub fn new(text: &'t str) -> Self {
        let mut tree = Self {
            text,
            items: Vec::new(),
            kinds: Vec::new(),
            flaws: Vec::new(),
            copies: Vec::new(),
            counted: Cell::new((0, 1)),
            cut: Vec::new(),
            stopped: text::refuse_text(text),
        };
        if tree.stopped.is_none() {
            let mut open = Vec::new();
            tree.stopped = tree.build(&mut open).err();
            while let Some(Open { item, children }) = open.pop() {
                let is_map = tree.kinds[item] != NodeKind::List;
                if is_map && children % 2 == 1 {
                    tree.push(NodeKind::Absent, text.len()..text.len());
                }
                tree.items[item].extent = number(tree.items.len());
                tree.cut.push(item);
            }
        }
        tree
    }

    fn build(&mut self, open: &mut Vec<Open>) -> Result<(), Problem> {
        let options = granit_parser::options! {
            strict_indentation: true,
            emit_unresolved_aliases: true,
            emit_comments: false,
            flow_nesting_limit: MAX_NESTING,
            block_nesting_limit: MAX_NESTING,
        };
        let mut parser = Parser::new_from_str_with_options(self.text, options);
        let mut tab_line = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| syntax::problem(self.text, &error))?;
            let (kind, anchor, has_tag) = match &event {
                Event::Scalar(_, style, anchor, tag) => {
                    let kind = match style {
                        ScalarStyle::Plain => NodeKind::Plain,
                        ScalarStyle::Literal | ScalarStyle::Folded => NodeKind::Block,
                        _ => NodeKind::Quoted,
                    };
                    (kind, *anchor, tag.is_some())
                }
                Event::MappingStart(StructureStyle::Flow, anchor, tag) => {
                    (NodeKind::FlowMap, *anchor, tag.is_some())
                }
                Event::MappingStart(_, anchor, tag) => (NodeKind::Map, *anchor, tag.is_some()),
                Event::SequenceStart(_, anchor, tag) => (NodeKind::List, *anchor, tag.is_some()),
                Event::Alias(_) | Event::UnresolvedAlias(_) => (NodeKind::Alias, 0, false),
                Event::MappingEnd | Event::SequenceEnd => {
                    if let Some(Open { item, .. }) = open.pop() {
                        self.items[item].extent = number(self.items.len());
                    }
                    continue;
                }
                Event::DocumentStart(..) if !self.items.is_empty() => {
                    let at = position(span.start);
                    let what = format!("line {} starts a second document", at.line);
                    let help =
                        "Keep one document in the file; remove the `---` or `...` line before it.";
                    return Err(Problem::error("", Some(at), what, help));
                }
                _ => continue,
            };
            if self.items.len() == MAX_NODES {
                let at = Some(position(span.start));
                return Err(Problem::error("", at, "too many values", text::SPLIT_HELP));
            }
            if let Some(outer) = open.last_mut() {
                outer.children += 1;
            }
            let item = self.items.len();
            if kind.is_collection() {
                open.push(Open { item, children: 0 });
            }
            let bytes = span.byte_range().unwrap_or_default();
            self.push(kind, bytes.clone());
            let line = span.start.line();
            let has_tab = tab_line != line && self.tab_before(bytes.start).is_some();
            if has_tab {
                tab_line = line;
            }
            if anchor != 0 || has_tag || has_tab {
                self.flaws.push(NodeFlaw {
                    item,
                    anchor,
                    has_tag,
                    has_tab,
                });
            }
            if let Event::Scalar(text, ..) = event
                && self.text.get(inside(kind, bytes)) != Some(&*text)
            {
                self.copies.push((item, Zeroizing::new(text.into_owned())));
            }
        }
        Ok(())
    }

    fn push(&mut self, kind: NodeKind, bytes: Range<usize>) {
        self.kinds.push(kind);
        self.items.push(Item {
            start: number(bytes.start),
            extent: number(bytes.end),
        });
    }

    /// Returns the column of the first tab before this byte, if only whitespace precedes it in its
    /// line. The parser accepts a tab after spaces.
    fn tab_before(&self, byte: usize) -> Option<usize> {
        let before = self.text.get(..byte)?;
        // Searches no further back than the whitespace goes: a long line may have many tabs.
        let rest = before.trim_end_matches([' ', '\t']);
        let is_indentation = rest.is_empty() || rest.ends_with(['\n', '\r']);
        let tab = before.get(rest.len()..)?.find('\t')?;
        is_indentation.then_some(tab + 1)
    }

    pub fn text(&self) -> &'t str {
        self.text
    }

    pub fn root(&self) -> Option<Node<'_>> {
        (!self.items.is_empty()).then_some(Node {
            tree: self,
            index: 0,
        })
    }

    /// Returns the entry with this [number](Pair::number).
    pub fn pair(&self, number: usize) -> Pair<'_> {
        let node = |index| Node { tree: self, index };
        let key = node(number);
        Pair {
            key,
            value: node(key.next()),
        }
    }

    /// Returns whether it was read to its end and has nothing that is refused everywhere.
    pub fn is_clean(&self) -> bool {
        self.stopped.is_none() && self.flaws.is_empty() && !self.kinds.contains(&NodeKind::Alias)
    }

    fn position(&self, byte: usize) -> Position {
        let (counted, line) = self.counted.get();
        let line = if counted <= byte {
            line + text::count_breaks(self.text, counted..byte)
        } else {
            line - text::count_breaks(self.text, byte..counted)
        };
        self.counted.set((byte, line));
        let column = text::column(self.text, byte);
        Position { line, column }
    }
}

#[derive(Clone, Copy)]
pub struct Node<'a> {
    tree: &'a Tree<'a>,
    index: usize,
}

#[derive(Clone, Copy)]
pub struct Pair<'a> {
    pub key: Node<'a>,
    pub value: Node<'a>,
}

impl Pair<'_> {
    /// Returns the number that finds it in its tree again.
    pub fn number(self) -> usize {
        self.key.index
    }
}

impl<'a> Node<'a> {
    fn kind(self) -> NodeKind {
        self.tree.kinds[self.index]
    }

    fn extent(self) -> usize {
        self.tree.items[self.index].extent as usize
    }

    fn flaw(self) -> Option<&'a NodeFlaw> {
        let flaws = &self.tree.flaws;
        let place = flaws.binary_search_by_key(&self.index, |flaw| flaw.item);
        flaws.get(place.ok()?)
    }

    pub fn at(self) -> Position {
        self.tree.position(self.start())
    }

    pub fn start(self) -> usize {
        self.tree.items[self.index].start as usize
    }

    /// Returns the byte after it. A block may end in the line after its last one; a collection
    /// without brackets ends with its last value.
    pub fn end(self) -> usize {
        if !self.kind().is_collection() {
            return self.extent();
        }
        let last = self.children().last();
        let end = last.map_or(self.start() + 1, Self::end);
        let first = self.tree.text.as_bytes().get(self.start());
        let is_block_list = self.is_list() && first != Some(&b'[');
        if self.kind() == NodeKind::Map || is_block_list {
            return end;
        }
        // Only whitespace, commas and comments precede the bracket.
        let mut is_comment = false;
        let rest = self.tree.text.get(end..).unwrap_or_default();
        let bracket = rest.bytes().position(|byte| {
            is_comment = byte == b'#' || is_comment && byte != b'\n' && byte != b'\r';
            !is_comment && matches!(byte, b']' | b'}')
        });
        end + bracket.map_or(rest.len(), |at| at + 1)
    }

    pub fn source(self) -> &'a str {
        let bytes = self.start()..self.end();
        self.tree.text.get(bytes).unwrap_or_default()
    }

    pub fn is_map(self) -> bool {
        matches!(self.kind(), NodeKind::Map | NodeKind::FlowMap)
    }

    /// Returns whether it is a map in braces.
    pub fn is_flow(self) -> bool {
        self.kind() == NodeKind::FlowMap
    }

    pub fn is_list(self) -> bool {
        self.kind() == NodeKind::List
    }

    /// Returns whether it has neither quotes nor a block indicator.
    pub fn is_plain(self) -> bool {
        self.kind() == NodeKind::Plain
    }

    /// Returns whether it is text in lines of its own below a block indicator.
    pub fn is_block(self) -> bool {
        self.kind() == NodeKind::Block
    }

    /// Returns whether every reader would take it for null: absent, `~` or `null`.
    pub fn is_null(self) -> bool {
        self.is_plain()
            && !self.is_refused()
            && self
                .scalar()
                .is_some_and(|text| matches!(text, "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Returns whether something about it is allowed nowhere, so that it has no meaning.
    fn is_refused(self) -> bool {
        match self.kind() {
            NodeKind::Alias | NodeKind::Absent => true,
            kind if kind.is_collection() => false,
            _ => self
                .flaw()
                .is_some_and(|flaw| flaw.anchor != 0 || flaw.has_tag),
        }
    }

    /// Returns the text of a scalar after escapes and folding.
    pub fn scalar(self) -> Option<&'a str> {
        if self.is_refused() || self.kind().is_collection() {
            return None;
        }
        let copies = &self.tree.copies;
        match copies.binary_search_by_key(&self.index, |(item, _)| *item) {
            Ok(place) => Some(&copies[place].1),
            Err(_) => {
                let bytes = self.start()..self.extent();
                self.tree.text.get(inside(self.kind(), bytes))
            }
        }
    }

    fn is_whole(self) -> bool {
        !self.tree.cut.contains(&self.index)
    }

    fn next(self) -> usize {
        match self.kind().is_collection() {
            true => self.extent(),
            false => self.index + 1,
        }
    }

    /// Returns the items of a list, or the keys and values of a map in turn.
    pub fn children(self) -> impl Iterator<Item = Self> {
        let tree = self.tree;
        let end = self.next();
        let mut index = self.index + 1;
        std::iter::from_fn(move || {
            let node = Self { tree, index };
            (index < end).then(|| {
                index = node.next();
                node
            })
        })
    }

    pub fn pairs(self) -> impl Iterator<Item = Pair<'a>> {
        let mut children = self.children();
        std::iter::from_fn(move || {
            Some(Pair {
                key: children.next()?,
                value: children.next()?,
            })
        })
    }

    pub fn get(self, key: &str) -> Option<Pair<'a>> {
        self.pairs().find(|pair| pair.key.scalar() == Some(key))
    }
}

/// Returns where a scalar's text is, if the document has it letter by letter.
fn inside(kind: NodeKind, bytes: Range<usize>) -> Range<usize> {
    match kind {
        NodeKind::Quoted => bytes.start + 1..bytes.end.saturating_sub(1),
        _ => bytes,
    }
}

/// Our numbers start at 1, the parser's columns at 0.
pub fn position(marker: Marker) -> Position {
    Position {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
