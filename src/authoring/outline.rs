//! Where everything of a manifest stands in its text, by the strict reader.

use std::borrow::Cow;
use std::ops::Range;

use zeroize::Zeroize as _;

use crate::core::yaml::{Node, Path, Read, Reader, Root};

/// A text of the document. It may be a secret, so a copy of it is wiped.
pub(super) struct Text<'t>(Cow<'t, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

/// A value and where it stands.
pub(super) enum Spot<'t> {
    Scalar(Scalar<'t>),
    Map(Map<'t>),
    /// Only the tool writes lists, and never changes one in place.
    List(Range<usize>),
}

pub(super) struct Scalar<'t> {
    pub(super) text: Text<'t>,
    /// As [`crate::core::yaml::Scalar::bytes`].
    pub(super) bytes: Range<usize>,
    pub(super) is_block: bool,
    /// How far its first line is indented, if it is a block.
    pub(super) indent: usize,
}

pub(super) struct Map<'t> {
    pub(super) is_flow: bool,
    /// Braces included; without braces from the first key to the last value.
    pub(super) bytes: Range<usize>,
    pub(super) entries: Vec<Entry<'t>>,
}

pub(super) struct Entry<'t> {
    pub(super) key: Text<'t>,
    /// The bytes of the key, quotes included.
    pub(super) key_bytes: Range<usize>,
    pub(super) value: Spot<'t>,
}

impl<'t> Map<'t> {
    pub(super) fn get(&self, key: &str) -> Option<&Entry<'t>> {
        self.entries.iter().find(|entry| entry.key.as_str() == key)
    }

    pub(super) fn map(&self, key: &str) -> Option<&Self> {
        match &self.get(key)?.value {
            Spot::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.value {
            Spot::Scalar(scalar) => Some(scalar.text.as_str()),
            _ => None,
        }
    }
}

impl Spot<'_> {
    /// The bytes of the value; a block as its characters alone.
    pub(super) fn bytes(&self) -> &Range<usize> {
        match self {
            Self::Scalar(scalar) => &scalar.bytes,
            Self::Map(map) => &map.bytes,
            Self::List(bytes) => bytes,
        }
    }
}

/// The outermost map of a document without byte order mark, or nothing if it is none
/// or has anything that a manifest cannot have.
pub(super) fn outline(text: &str) -> Option<Map<'_>> {
    let mut yaml = Reader::new(text);
    let root = root(&mut yaml);
    yaml.finish(root.map(Some)).value
}

fn root<'t>(yaml: &mut Reader<'t>) -> Read<Map<'t>> {
    let is_flow = match yaml.open()? {
        Root::Map { is_flow } => is_flow,
        // Reported already, so that nothing comes of it.
        Root::Refused => false,
    };
    let root = map(yaml, 0, is_flow)?;
    yaml.close()?;
    Ok(root)
}

/// Reads the inside of a map. The reader limits how deep they stand.
fn map<'t>(yaml: &mut Reader<'t>, start: usize, is_flow: bool) -> Read<Map<'t>> {
    let mut entries = Vec::new();
    while let Some(key) = yaml.item(&Path::ROOT)? {
        let key = match key {
            Node::Scalar(key) => key,
            other => {
                // No manifest has such a key.
                yaml.skip(other)?;
                let value = yaml.node(&Path::ROOT)?;
                yaml.skip(value)?;
                continue;
            }
        };
        let value = yaml.node(&Path::ROOT)?;
        let value = spot(yaml, value)?;
        entries.push(Entry {
            key: Text(key.text),
            key_bytes: key.bytes,
            value,
        });
    }
    let end = match entries.last() {
        Some(last) if !is_flow => last.value.bytes().end,
        _ => yaml.end(),
    };
    Ok(Map {
        is_flow,
        bytes: start..end,
        entries,
    })
}

fn spot<'t>(yaml: &mut Reader<'t>, node: Node<'t>) -> Read<Spot<'t>> {
    Ok(match node {
        Node::Scalar(scalar) => Spot::Scalar(Scalar {
            text: Text(scalar.text),
            bytes: scalar.bytes,
            is_block: scalar.is_block,
            indent: scalar.at.column - 1,
        }),
        Node::Map { start, is_flow, .. } => Spot::Map(map(yaml, start, is_flow)?),
        list @ (Node::List { .. } | Node::Refused) => {
            let start = match list {
                Node::List { start, .. } => start,
                _ => yaml.end(),
            };
            yaml.skip(list)?;
            Spot::List(start..yaml.end())
        }
    })
}
