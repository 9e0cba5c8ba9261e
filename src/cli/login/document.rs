//! The YAML of clouds.yaml and secure.yaml, as a tree.
//!
//! Other programs read these files too, so merge keys, anchors and unknown keys are accepted;
//! tags, a second document, duplicate keys and unbounded growth are refused. No text of a
//! file or of the parser is shown, since both may contain a password.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, StrInput};
use zeroize::Zeroizing;

use super::error;
use crate::core::problem::Position;
use crate::core::yaml::{self, position, position_after};
use crate::ops::error::Failure;

/// Size in bytes with aliases expanded. A node counts as [`NODE_SIZE`], so that there are at
/// most 100,000.
const MAX_SIZE: usize = 8 << 20;
const NODE_SIZE: usize = MAX_SIZE / 100_000;
const MAX_DEPTH: usize = 32;
const MAX_ALIASES: usize = 10_000;

/// More aliases than this are accepted only with enough anchors.
const MANY_ALIASES: usize = 100;
const ALIASES_OF_ANCHOR: usize = 10;

#[derive(Clone)]
pub struct CloudsNode {
    pub path: Rc<Path>,
    pub at: Position,
    pub value: CloudsValue,
}

/// Without `Debug`, since it may be a password.
#[derive(Clone)]
pub enum CloudsValue {
    Null,
    Text(Zeroizing<String>),
    /// Unquoted, and a number, a boolean or a date to some readers.
    NotText(Zeroizing<String>),
    List(Vec<CloudsNode>),
    Map(CloudsMap),
}

pub type CloudsMap = BTreeMap<String, CloudsNode>;

impl CloudsNode {
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            CloudsValue::Map(map) => map.get(key).filter(|node| !node.is_null()),
            _ => None,
        }
    }

    pub fn map(&self, what: &str, help: &str) -> Result<&CloudsMap, Failure> {
        match &self.value {
            CloudsValue::Map(map) => Ok(map),
            _ => Err(error::document(&self.path, Some(self.at), what, help)),
        }
    }

    const fn is_null(&self) -> bool {
        matches!(self.value, CloudsValue::Null)
    }

    /// Merges maps key by key and replaces anything else.
    pub fn merge(&mut self, over: Self) {
        match (&mut self.value, over.value) {
            (CloudsValue::Map(base), CloudsValue::Map(over)) => {
                for (key, node) in over {
                    match base.get_mut(&key) {
                        Some(below) => below.merge(node),
                        None => _ = base.insert(key, node),
                    }
                }
            }
            // An empty section does not remove a whole section.
            (CloudsValue::Map(_), CloudsValue::Null) => {}
            (_, value) => *self = Self { value, ..over },
        }
    }

    pub fn holds(&self, keys: &[&str]) -> bool {
        match &self.value {
            CloudsValue::Map(map) => map.iter().any(|(key, node)| {
                (!node.is_null() && keys.contains(&key.as_str())) || node.holds(keys)
            }),
            _ => false,
        }
    }

    /// Moves the node to the position of an alias or a merge key, and returns the depth of
    /// its nested collections.
    fn repeated_at(&mut self, at: Position) -> usize {
        self.at = at;
        let place = |node: &mut Self| node.repeated_at(at);
        let deepest = match &mut self.value {
            CloudsValue::Map(map) => map.values_mut().map(place).max(),
            CloudsValue::List(list) => list.iter_mut().map(place).max(),
            _ => return 0,
        };
        1 + deepest.unwrap_or_default()
    }
}

/// Returns the root node; `None` if it is null or missing.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Option<CloudsNode>, Failure> {
    let text = yaml::decode(bytes).map_err(|problem| {
        let what = yaml::wrong_encoding(bytes).unwrap_or("it is not valid UTF-8");
        let help = "Save the file as UTF-8 without a byte order mark.";
        error::document(path, problem.at, what, help)
    })?;
    let read = || {
        check_text(text)?;
        let mut reader = CloudsReader {
            path: path.into(),
            parser: parser(text),
            anchors: BTreeMap::new(),
            aliases: 0,
            lists: 0,
            size: 0,
        };
        reader.document()
    };
    let root = read().map_err(|(at, what, help)| error::document(path, Some(at), what, help))?;
    Ok(root.filter(|root| !root.is_null()))
}

/// Position of an error, what it is, and how to fix it.
type Refused = (Position, &'static str, &'static str);

const fn unreadable(at: Position) -> Refused {
    let help = "Check indentation, quotes and colons in that line and the one before. Its text is not shown, since it may contain a password.";
    (at, "it is not valid YAML", help)
}

const fn too_large(at: Position) -> Refused {
    let what = "it is nested too deeply, or too large with its aliases expanded";
    (at, what, "Keep only the entries of clouds in it.")
}

fn parser(text: &str) -> Parser<'_, StrInput<'_>> {
    Parser::new_from_str_with_options(text, granit_parser::options! { emit_comments: false })
}

/// Refuses NUL characters and tags, before any other error.
fn check_text(text: &str) -> Result<(), Refused> {
    // The parser would take it for the end of the file.
    if let Some((before, _)) = text.split_once('\0') {
        return Err((
            position_after(before),
            "it contains a NUL character",
            "Remove it.",
        ));
    }
    for parsed in parser(text).map_while(Result::ok) {
        let (Event::Scalar(.., tag) | Event::SequenceStart(.., tag) | Event::MappingStart(.., tag)) =
            parsed.0
        else {
            continue;
        };
        if tag.is_some() {
            // A node begins after its tag.
            let start = parsed.1.start.byte_offset().unwrap_or_default();
            let before = text.get(..start).unwrap_or(text);
            let tag = before.rfind('!').map_or(before, |at| &before[..at]);
            let help = "Write the value without the tag. Quote a value that starts with `!`.";
            return Err((position_after(tag), "tags are not supported", help));
        }
    }
    Ok(())
}

struct CloudsReader<'t> {
    path: Rc<Path>,
    parser: Parser<'t, StrInput<'t>>,
    /// The nodes of anchors, with their sizes.
    anchors: BTreeMap<usize, (CloudsNode, usize)>,
    aliases: usize,
    lists: usize,
    size: usize,
}

impl<'t> CloudsReader<'t> {
    fn document(&mut self) -> Result<Option<CloudsNode>, Refused> {
        let mut root = None;
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
                (Event::StreamEnd, at) => {
                    let are_many = self.aliases >= MANY_ALIASES
                        && self.aliases > ALIASES_OF_ANCHOR * self.anchors.len();
                    return if are_many {
                        Err(too_large(at))
                    } else {
                        Ok(root)
                    };
                }
                (_, at) if root.is_some() => {
                    let what = "a second document starts here";
                    return Err((at, what, "Keep one document in the file."));
                }
                event => root = Some(self.node(event, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Position), Refused> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, position(span.start))),
            Some(Err(error)) => Err(unreadable(position(*error.marker()))),
            None => Ok((Event::StreamEnd, Position { line: 1, column: 1 })),
        }
    }

    /// Reads the node that starts with this event, inside `depth` collections.
    fn node(
        &mut self,
        (event, at): (Event<'t>, Position),
        depth: usize,
    ) -> Result<CloudsNode, Refused> {
        let before = self.size;
        let (value, anchor) = match event {
            Event::Alias(anchor) => {
                self.aliases += 1;
                // An alias inside its own anchor is not known yet.
                let (node, size) = self.anchors.get(&anchor).ok_or(too_large(at))?;
                let (mut node, size) = (node.clone(), *size);
                self.grow(size, at)?;
                let is_deep = depth + node.repeated_at(at) > MAX_DEPTH;
                return match is_deep || self.aliases > MAX_ALIASES {
                    true => Err(too_large(at)),
                    false => Ok(node),
                };
            }
            Event::Scalar(text, style, anchor, _) => {
                self.grow(NODE_SIZE + text.len(), at)?;
                let is_plain = style == ScalarStyle::Plain;
                let text = Zeroizing::new(text.into_owned());
                let value = match text.as_str() {
                    "" | "~" | "null" | "Null" | "NULL" if is_plain => CloudsValue::Null,
                    other if is_plain && yaml::reads_as_other_type(other) => {
                        CloudsValue::NotText(text)
                    }
                    _ => CloudsValue::Text(text),
                };
                (value, anchor)
            }
            Event::SequenceStart(_, anchor, _) if depth < MAX_DEPTH => {
                self.grow(NODE_SIZE, at)?;
                let mut list = Vec::new();
                self.lists += 1;
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        event => list.push(self.node(event, depth + 1)?),
                    }
                }
                self.lists -= 1;
                (CloudsValue::List(list), anchor)
            }
            Event::MappingStart(_, anchor, _) if depth < MAX_DEPTH => {
                self.grow(NODE_SIZE, at)?;
                (CloudsValue::Map(self.map(depth + 1)?), anchor)
            }
            _ => return Err(too_large(at)),
        };
        let path = Rc::clone(&self.path);
        let node = CloudsNode { path, at, value };
        if anchor != 0 {
            let size = self.size - before;
            self.grow(size, at)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn grow(&mut self, size: usize, at: Position) -> Result<(), Refused> {
        self.size += size;
        match self.size > MAX_SIZE {
            true => Err(too_large(at)),
            false => Ok(()),
        }
    }

    fn map(&mut self, depth: usize) -> Result<CloudsMap, Refused> {
        let mut map = BTreeMap::new();
        let mut merged = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node((event, at), depth)?.value;
            let is_merge = matches!(&key, CloudsValue::NotText(key) if **key == "<<");
            let key = match key {
                CloudsValue::Text(key) | CloudsValue::NotText(key) => key,
                // The content of lists is not used.
                _ if self.lists > 0 => {
                    let value = self.next()?;
                    self.node(value, depth)?;
                    continue;
                }
                _ => return Err(unreadable(at)),
            };
            if !is_merge && map.contains_key(&*key) {
                let what = "a duplicate key";
                let help = "Remove one of the two: programs differ in which one they use.";
                return Err((at, what, help));
            }
            let value = self.next()?;
            let value = self.node(value, depth)?;
            match value.value {
                _ if !is_merge => _ = map.insert(key.to_string(), value),
                CloudsValue::List(list) => merged.extend(list),
                _ => merged.push(value),
            }
        }
        // Keys of the map itself win, then those of the first merged one.
        for mut node in merged {
            node.repeated_at(node.at);
            match node.value {
                CloudsValue::Map(below) => below.into_iter().for_each(|(key, value)| {
                    map.entry(key).or_insert(value);
                }),
                CloudsValue::Null => {}
                _ => return Err(unreadable(node.at)),
            }
        }
        Ok(map)
    }
}
