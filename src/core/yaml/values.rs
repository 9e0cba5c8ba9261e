//! Maps with keys that the format defines or the user chooses, texts, numbers, lists.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map;

use super::{Node, Read, Reader, Scalar, reads_as_other_type};
use crate::core::problem::{FieldPath, Position};

/// The most fields that one map of our formats defines.
const MAX_FIELDS: usize = 8;

impl<'t> Reader<'t> {
    /// The next key of a map, or nothing at its end. Keys that cannot be one,
    /// and their values, are reported and read over.
    fn key(&mut self, path: &FieldPath<'_>) -> Read<Option<Scalar<'t>>> {
        loop {
            let key = match self.item(path)? {
                None => return Ok(None),
                Some(Node::Scalar(key)) => key,
                Some(node) => {
                    self.wrong_kind(node, path, "a key is not a text", "Write `key: value`.")?;
                    self.skip_value(path)?;
                    continue;
                }
            };
            if key.is_plain && key.text == "<<" {
                self.error(
                    path,
                    Some(key.at),
                    "merge keys are not supported",
                    "Write the fields out (a manifest shares passwords by `credentials`).",
                )?;
                self.skip_value(path)?;
                continue;
            }
            return Ok(Some(key));
        }
    }

    fn skip_value(&mut self, path: &FieldPath<'_>) -> Read<()> {
        let value = self.node(path)?;
        self.skip(value)
    }

    fn twice(&mut self, path: &FieldPath<'_>, first: usize, at: Position) -> Read<()> {
        self.error(
            path,
            Some(at),
            format!(
                "the same key stands twice: line {first} and line {}",
                at.line
            ),
            "Remove one of the two; neither is taken.",
        )?;
        self.skip_value(path)
    }
}

/// Walks through a map whose keys the format defines.
pub struct Fields {
    known: &'static [&'static str],
    /// The line of each known key, or 0.
    lines: [usize; MAX_FIELDS],
}

pub struct KnownField<'t> {
    pub name: &'static str,
    pub at: Position,
    pub start: usize,
    pub value: Node<'t>,
}

impl Fields {
    /// Takes the keys that the map may have, at most eight.
    pub fn new(known: &'static [&'static str]) -> Self {
        debug_assert!(known.len() <= MAX_FIELDS);
        Self {
            known,
            lines: [0; MAX_FIELDS],
        }
    }

    /// Whether the key was there, be its value good or not.
    pub fn has(&self, name: &str) -> bool {
        let index = self.known.iter().position(|known| *known == name);
        index.and_then(|index| self.lines.get(index)) > Some(&0)
    }

    /// The next known key that was not there before. All others are reported
    /// and read over; an unknown key is not repeated, since a bad indent can
    /// make one of a password.
    pub fn next<'t>(
        &mut self,
        yaml: &mut Reader<'t>,
        path: &FieldPath<'_>,
    ) -> Read<Option<KnownField<'t>>> {
        while let Some(key) = yaml.key(path)? {
            let found = self.known.iter().position(|known| *known == key.text);
            let known =
                found.and_then(|index| Some((*self.known.get(index)?, self.lines.get_mut(index)?)));
            let Some((name, line)) = known else {
                let help = self.help(&key.text);
                yaml.error(path, Some(key.at), "an unknown key", help)?;
                yaml.skip_value(path)?;
                continue;
            };
            let field = path.field(name);
            if *line != 0 {
                yaml.twice(&field, *line, key.at)?;
                continue;
            }
            *line = key.at.line;
            return Ok(Some(KnownField {
                name,
                at: key.at,
                start: key.bytes.start,
                value: yaml.node(&field)?,
            }));
        }
        Ok(None)
    }

    /// Names the nearest known key, or else all of them.
    fn help(&self, unknown: &str) -> Cow<'static, str> {
        match nearest(self.known.iter().copied(), unknown) {
            Some(known) => format!("Did you mean `{known}`?").into(),
            None => format!(
                "Known here: {}. Check the indentation.",
                self.known.join(", ")
            )
            .into(),
        }
    }
}

/// The known word that was probably meant by one with a typing error.
pub fn nearest<'a>(known: impl Iterator<Item = &'a str>, unknown: &str) -> Option<&'a str> {
    let distances = known.map(|known| (distance(known, unknown), known));
    let (distance, known) = distances.min()?;
    (distance <= 2 && distance * 2 < known.len()).then_some(known)
}

/// How many letters must be changed, added or removed to get from one word to
/// the other; more than two are not told apart.
fn distance(known: &str, other: &str) -> usize {
    if known.len().abs_diff(other.len()) > 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in known.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(other.bytes()) {
            let changed = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = *cell;
            left = changed.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// Walks through a map whose keys the user chooses.
pub struct Entries<'t> {
    pub keys: HashMap<Cow<'t, str>, Position>,
    number: usize,
    may_show: fn(&str) -> bool,
}

pub struct ChosenEntry<'t> {
    pub key: Cow<'t, str>,
    pub at: Position,
    pub number: usize,
    pub value: Node<'t>,
}

impl<'t> Entries<'t> {
    /// Takes the rule by which a key may be shown in a path; all other keys are
    /// named by their position.
    pub fn new(may_show: fn(&str) -> bool) -> Self {
        Self {
            keys: HashMap::new(),
            number: 0,
            may_show,
        }
    }

    pub fn path<'a>(
        &self,
        parent: &'a FieldPath<'a>,
        key: &'a str,
        number: usize,
    ) -> FieldPath<'a> {
        parent.chosen(key, number, self.may_show)
    }

    /// The next pair whose key was not there before.
    pub fn next(
        &mut self,
        yaml: &mut Reader<'t>,
        path: &FieldPath<'_>,
    ) -> Read<Option<ChosenEntry<'t>>> {
        while let Some(key) = yaml.key(path)? {
            self.number += 1;
            let entry = self.path(path, &key.text, self.number);
            if key.is_plain && (key.bytes.is_empty() || reads_as_other_type(&key.text)) {
                yaml.error(
                    &entry,
                    Some(key.at),
                    "the key can be read as a number, a date or a switch",
                    "Quote it, so that every reader takes it for a text.",
                )?;
            }
            match self.keys.entry(key.text.clone()) {
                hash_map::Entry::Occupied(first) => {
                    let line = first.get().line;
                    yaml.twice(&entry, line, key.at)?;
                }
                hash_map::Entry::Vacant(place) => {
                    place.insert(key.at);
                    let value = yaml.node(&entry)?;
                    return Ok(Some(ChosenEntry {
                        key: key.text,
                        at: key.at,
                        number: self.number,
                        value,
                    }));
                }
            }
        }
        Ok(None)
    }
}

impl<'t> Reader<'t> {
    /// A text that is not a secret. What another reader could take for a
    /// number, a switch, a date or nothing must be quoted.
    pub fn text(&mut self, node: Node<'t>, path: &FieldPath<'_>) -> Read<Option<Scalar<'t>>> {
        let scalar = match node {
            Node::Scalar(scalar) => scalar,
            Node::Refused => return Ok(None),
            node => {
                self.wrong_kind(node, path, "is not a text", "Write one text, in quotes.")?;
                return Ok(None);
            }
        };
        let (what, help) = if scalar.is_null() {
            ("has no value", "Give it a value or remove the key.")
        } else if scalar.is_plain && reads_as_other_type(&scalar.text) {
            (
                "can be read as a number, a date or a switch",
                "Quote it, so that every reader takes it for a text.",
            )
        } else if scalar.text.is_empty() {
            ("is empty", "Give it a value or remove the key.")
        } else {
            return Ok(Some(scalar));
        };
        self.error(path, Some(scalar.at), what, help)?;
        Ok(None)
    }

    /// A whole number written plainly, like `10`.
    pub fn number(
        &mut self,
        node: Node<'t>,
        path: &FieldPath<'_>,
    ) -> Read<Option<(u64, Position)>> {
        const HELP: &str = "Write a whole number without quotes, like 10.";
        let scalar = match node {
            Node::Scalar(scalar) => scalar,
            Node::Refused => return Ok(None),
            node => {
                self.wrong_kind(node, path, "is not a number", HELP)?;
                return Ok(None);
            }
        };
        let text: &str = &scalar.text;
        let is_decimal = scalar.is_plain
            && text.bytes().all(|b| b.is_ascii_digit())
            && (text.len() == 1 || !text.starts_with('0'));
        match text.parse::<u64>() {
            Ok(number) if is_decimal => Ok(Some((number, scalar.at))),
            _ => {
                self.error(path, Some(scalar.at), "is not a number", HELP)?;
                Ok(None)
            }
        }
    }

    /// The version of a format, of which there is only the first so far.
    pub fn version(&mut self, node: Node<'t>, path: &FieldPath<'_>) -> Read<()> {
        match self.number(node, path)? {
            Some((1, _)) | None => Ok(()),
            Some((_, at)) => {
                let help = "This program reads version 1; a newer one may read this file.";
                self.error(path, Some(at), "an unknown version of the format", help)
            }
        }
    }

    /// A list of texts with their places, at least one.
    pub fn texts(
        &mut self,
        node: Node<'t>,
        path: &FieldPath<'_>,
    ) -> Read<Option<Vec<(String, Position)>>> {
        let Node::List { at, .. } = node else {
            let help = "Write each text on a line of its own, after a dash.";
            self.wrong_kind(node, path, "is not a list", help)?;
            return Ok(None);
        };
        let mut list = Vec::new();
        let mut number = 0;
        while let Some(node) = self.item(path)? {
            number += 1;
            if let Some(scalar) = self.text(node, &path.number(number))? {
                list.push((scalar.text.into_owned(), scalar.at));
            }
        }
        if number == 0 {
            self.error(path, Some(at), "is an empty list", "Name at least one.")?;
        }
        Ok((number > 0 && list.len() == number).then_some(list))
    }

    /// Reports a value of a kind that does not fit, and reads over it.
    pub fn wrong_kind(
        &mut self,
        node: Node<'t>,
        path: &FieldPath<'_>,
        what: &'static str,
        help: &'static str,
    ) -> Read<()> {
        let at = node.at();
        let is_refused = matches!(node, Node::Refused);
        self.skip(node)?;
        if is_refused {
            return Ok(());
        }
        self.error(path, at, what, help)
    }
}
