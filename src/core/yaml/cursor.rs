//! A walk through the tree that tracks paths and collects problems: maps with keys that the format
//! defines or the user chooses, texts, numbers, lists.

use std::cell::RefCell;
use std::collections::{HashMap, hash_map};

use strsim::generic_levenshtein;

use super::{Node, NodeKind, Pair, Tree, reads_as_other_type};
use crate::core::problem::{Checked, FieldPath, Position, Problem, Problems, Severity, Words};

/// Reads a document and reports all its problems at once. `value` gets the outermost map.
pub fn read<T>(text: &str, value: impl FnOnce(&Cursor<'_, '_>) -> Option<T>) -> Checked<T> {
    let tree = Tree::new(text);
    let problems = RefCell::<Problems>::default();
    let root = tree.root().map(|node| Cursor {
        node,
        key: node,
        path: FieldPath::ROOT,
        problems: &problems,
    });
    root.iter().for_each(Cursor::visit);
    let value = match &root {
        Some(root) if root.node.is_map() => value(root),
        Some(root) if !root.node.is_null() => {
            let help = "Write one `key: value` pair per line, beginning with `version: 1`.";
            root.wrong_kind("the document is not a mapping", help);
            None
        }
        None if tree.stopped.is_some() => None,
        _ => {
            problems.borrow_mut().add(Severity::Error, false, || {
                let help =
                    "Begin with `version: 1`; an empty file never means an empty list of jobs.";
                Problem::error("", None, "the file is empty", help)
            });
            None
        }
    };
    let mut problems = problems.into_inner();
    if let Some(problem) = &tree.stopped {
        problems.add(Severity::Error, true, || problem.clone());
    }
    Checked::new(value, problems)
}

/// A value of the document and its path.
#[derive(Clone, Copy)]
pub struct Cursor<'t, 'p> {
    pub node: Node<'t>,
    /// Its key; in a list and outermost the value itself.
    pub key: Node<'t>,
    pub path: FieldPath<'p>,
    problems: &'t RefCell<Problems>,
}

impl<'t> Cursor<'t, '_> {
    pub fn error(&self, what: impl Into<Words>, help: impl Into<Words>) {
        self.report(Severity::Error, Some(self.node), what, help);
    }

    pub fn error_at(&self, at: Option<Node<'_>>, what: impl Into<Words>, help: impl Into<Words>) {
        self.report(Severity::Error, at, what, help);
    }

    pub fn warning(&self, at: Node<'_>, what: impl Into<Words>, help: impl Into<Words>) {
        self.report(Severity::Warning, Some(at), what, help);
    }

    fn report(
        &self,
        severity: Severity,
        at: Option<Node<'_>>,
        what: impl Into<Words>,
        help: impl Into<Words>,
    ) {
        let is_other = at.is_some_and(|at| at.index != self.node.index);
        let mut problems = self.problems.borrow_mut();
        problems.add(severity, is_other, || Problem {
            severity,
            path: self.path.to_string(),
            at: at.map(Node::at),
            what: what.into(),
            help: help.into(),
            excerpt: None,
        });
    }

    /// Reports a missing field of this map, if the map was read to its end.
    pub fn missing(&self, name: &'static str, at: Option<Node<'_>>, help: &'static str) {
        if self.is_whole() {
            self.with_path(self.path.field(name))
                .error_at(at, "is missing", help);
        }
    }

    pub fn with_path<'q>(&self, path: FieldPath<'q>) -> Cursor<'t, 'q> {
        Cursor { path, ..*self }
    }

    pub fn wrong_kind(&self, what: &'static str, help: &'static str) {
        if !self.node.is_refused() && self.node.is_whole() {
            self.error(what, help);
        }
    }

    /// Returns whether the value was read to its end; for the outermost one, whether it is the only
    /// document.
    pub fn is_whole(&self) -> bool {
        self.node.is_whole() && (self.node.index > 0 || self.is_in_whole_document())
    }

    /// Returns whether these are the values of all its keys, so that a missing one is neither
    /// misspelt, repeated nor in a part that was not read.
    pub fn has_only(&self, fields: &[Option<Self>]) -> bool {
        self.is_whole() && self.node.pairs().count() == fields.iter().flatten().count()
    }

    /// Returns whether reading never stopped, so that a missing value is really absent.
    pub fn is_in_whole_document(&self) -> bool {
        self.node.tree.stopped.is_none()
    }

    pub fn document(&self) -> &'t str {
        self.node.tree.text
    }

    /// Reports syntax that is allowed nowhere.
    fn visit(&self) {
        let node = self.node;
        let flaw = node.flaw();
        if flaw.is_some_and(|flaw| flaw.has_tab) {
            let column = node.tree.tab_before(node.start()).unwrap_or(1);
            let (what, help) = ("is indented with a tab", "Indent with spaces only.");
            self.problems.borrow_mut().add(Severity::Error, false, || {
                let line = node.at().line;
                let at = Some(Position { line, column });
                Problem::error(self.path.to_string(), at, what, help)
            });
        }
        if node.kind() == NodeKind::Alias {
            self.error(
                "is an alias, which is not supported",
                "Write the value out (a manifest shares passwords by `credentials`); quote a value that starts with `*`.",
            );
        }
        if flaw.is_some_and(|flaw| flaw.anchor != 0) {
            self.error(
                "has an anchor, which is not supported",
                "Write the value out (a manifest shares passwords by `credentials`); quote a value that starts with `&`.",
            );
        }
        if flaw.is_some_and(|flaw| flaw.has_tag) {
            self.error(
                "has a tag, which is not supported",
                "Remove the tag; quote a value that starts with `!`.",
            );
        }
    }

    fn to<'p>(&self, path: FieldPath<'p>, Pair { key, value }: Pair<'t>) -> Cursor<'t, 'p> {
        Cursor {
            node: value,
            key,
            path,
            problems: self.problems,
        }
    }

    /// Returns the entries of a map. Reports keys that are not texts.
    fn named_pairs(&self) -> impl Iterator<Item = (&'t str, Pair<'t>)> {
        self.node.pairs().filter_map(|pair| {
            let (key, value) = (pair.key, pair.key);
            let key = self.to(self.path, Pair { key, value });
            key.visit();
            match pair.key.scalar() {
                Some("<<") if pair.key.is_plain() => key.error(
                    "merge keys are not supported",
                    "Write the fields out (a manifest shares passwords by `credentials`).",
                ),
                Some(text) => return Some((text, pair)),
                None => key.wrong_kind("a key is not a string", "Write `key: value`."),
            }
            self.to(self.path, pair).visit();
            None
        })
    }

    fn twice(&self, first: Node<'_>) {
        // The place of the first one is looked up for a problem that is kept alone: looking back each
        // time takes a file of one repeated key too long.
        self.problems.borrow_mut().add(Severity::Error, true, || {
            let (at, line) = (self.key.at(), first.at().line);
            Problem::error(
                self.path.to_string(),
                Some(at),
                format!("is repeated: line {line} and line {}", at.line),
                "Remove one of them; neither is used.",
            )
        });
        self.visit();
    }

    /// Returns the values of a map whose keys the format defines, in the order of `known`. Reports
    /// all other keys without repeating them, since a bad indent can turn a password into one.
    pub fn fields<'p, const N: usize>(
        &'p self,
        known: [&'static str; N],
    ) -> [Option<Cursor<'t, 'p>>; N] {
        let mut fields: [Option<Cursor<'t, 'p>>; N] = [None; N];
        for (text, pair) in self.named_pairs() {
            let field = known
                .iter()
                .zip(&mut fields)
                .find(|(known, _)| **known == text);
            let Some((name, field)) = field else {
                let value = self.to(self.path, pair);
                value.error_at(Some(pair.key), "unknown key", unknown_help(&known, text));
                value.visit();
                continue;
            };
            let value = self.to(self.path.field(name), pair);
            match field {
                Some(first) => value.twice(first.key),
                None if value.is_absent() => {}
                None => {
                    value.visit();
                    *field = Some(value);
                }
            }
        }
        fields
    }

    /// Returns the values of a map whose keys the user chooses, with their numbers from 1.
    /// `path_of` gets the map's path, a key, its number and its value.
    pub fn entries<'p>(
        &'p self,
        path_of: impl Fn(&'p FieldPath<'p>, &'t str, usize, Node<'t>) -> FieldPath<'p>,
    ) -> impl Iterator<Item = (usize, Cursor<'t, 'p>)> {
        let mut firsts = HashMap::new();
        let mut number = 0;
        self.named_pairs().filter_map(move |(text, pair)| {
            number += 1;
            let entry = self.to(path_of(&self.path, text, number, pair.value), pair);
            if pair.key.is_plain() && reads_as_other_type(text) {
                entry.error_at(
                    Some(pair.key),
                    "the key can be read as a number, a date or a boolean",
                    "Quote it, so that every reader takes it for a string.",
                );
            }
            match firsts.entry(text) {
                hash_map::Entry::Occupied(first) => {
                    entry.twice(*first.get());
                    return None;
                }
                hash_map::Entry::Vacant(free) => free.insert(pair.key),
            };
            if entry.is_absent() {
                return None;
            }
            entry.visit();
            Some((number, entry))
        })
    }

    fn is_absent(&self) -> bool {
        self.node.kind() == NodeKind::Absent
    }

    pub fn owned(&self) -> String {
        self.node.scalar().unwrap_or_default().to_owned()
    }

    pub fn name(&self) -> &'t str {
        self.key.scalar().unwrap_or_default()
    }

    /// Returns a text that is not a secret. It must be quoted if another reader could take it for a
    /// number, a boolean, a date or null.
    pub fn text(&self) -> Option<&'t str> {
        let Some(text) = self.node.scalar() else {
            self.wrong_kind("is not a string", "Write one string, in quotes.");
            return None;
        };
        let (what, help) = if self.node.is_null() {
            ("has no value", "Give it a value or remove the key.")
        } else if self.node.is_plain() && reads_as_other_type(text) {
            (
                "can be read as a number, a date or a boolean",
                "Quote it, so that every reader takes it for a string.",
            )
        } else if text.is_empty() {
            ("is empty", "Give it a value or remove the key.")
        } else {
            return Some(text);
        };
        self.error(what, help);
        None
    }

    /// Returns a whole number written plainly, like `10`.
    pub fn number(&self) -> Option<u64> {
        let number = self.node.scalar().and_then(|text| {
            let is_decimal = self.node.is_plain()
                && text.bytes().all(|b| b.is_ascii_digit())
                && (text.len() == 1 || !text.starts_with('0'));
            text.parse().ok().filter(|_| is_decimal)
        });
        if number.is_none() {
            let help = "Write a whole number without quotes, like 10.";
            self.wrong_kind("is not a number", help);
        }
        number
    }

    /// Returns a boolean written plainly: `true` or `false`.
    pub fn flag(&self) -> Option<bool> {
        let text = self.node.scalar().filter(|_| self.node.is_plain());
        let flag = text.and_then(|text| text.parse().ok());
        if flag.is_none() {
            self.wrong_kind("is not a boolean", "Write true or false, without quotes.");
        }
        flag
    }

    /// Checks the version of the format; so far there is only version 1.
    pub fn version(&self, version: Option<Cursor<'_, '_>>) {
        let Some(version) = version else {
            return self.missing("version", None, "Begin with `version: 1`.");
        };
        if version.number().is_some_and(|number| number != 1) {
            let help = "This drspass reads version 1; a newer one may read this file.";
            version.error("unknown version of the format", help);
        }
    }

    /// Returns a list of at least one text, with their places.
    pub fn texts(&self) -> Option<Vec<Cursor<'t, '_>>> {
        if !self.node.is_list() {
            let help = "Write each item on a line of its own, after a dash.";
            self.wrong_kind("is not a list", help);
            return None;
        }
        let items = self.node.children().zip(1..).map(|(node, number)| {
            let (key, value) = (node, node);
            let item = self.to(self.path.number(number), Pair { key, value });
            item.visit();
            item
        });
        let items: Vec<_> = items.collect();
        let are_texts = items.iter().filter(|item| item.text().is_some()).count() == items.len();
        if !self.is_whole() {
            return None;
        }
        if items.is_empty() {
            self.error("is an empty list", "List at least one.");
            return None;
        }
        are_texts.then_some(items)
    }
}

fn unknown_help(known: &[&str], unknown: &str) -> String {
    match nearest(known.iter().copied(), unknown) {
        Some(known) => format!("Did you mean `{known}`?"),
        None => format!(
            "Known keys are: {}. Check the indentation.",
            known.join(", ")
        ),
    }
}

/// Returns the known word that was probably meant by a misspelt one.
pub fn nearest<'a>(known: impl Iterator<Item = &'a str>, unknown: &str) -> Option<&'a str> {
    let letters = |word: &str| word.to_ascii_lowercase().into_bytes();
    let unknown = letters(unknown);
    // A long text would take its time.
    let near = known.filter(|known| known.len().abs_diff(unknown.len()) <= 2);
    let distances = near.map(|known| (generic_levenshtein(&letters(known), &unknown), known));
    let (distance, known) = distances.min()?;
    (distance <= 2 && distance * 2 < known.len()).then_some(known)
}
