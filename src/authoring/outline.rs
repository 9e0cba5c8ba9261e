//! Where everything of a manifest stands in its text, by the strict reader.

use std::borrow::Cow;
use std::ops::Range;

use zeroize::Zeroize as _;

use crate::core::problem::FieldPath;
use crate::core::yaml::{Node, Outermost, Read, Reader};

/// A text of the document. It may be a secret, so a copy of it is wiped.
pub struct Text<'t>(Cow<'t, str>);

impl Text<'_> {
    pub fn as_str(&self) -> &str {
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

pub enum Spot<'t> {
    Scalar(ScalarSpot<'t>),
    Map(Map<'t>),
    /// Only the tool writes lists, and never changes one in place.
    List(Range<usize>),
}

pub struct ScalarSpot<'t> {
    pub text: Text<'t>,
    /// As [`crate::core::yaml::Scalar::bytes`].
    pub bytes: Range<usize>,
    pub is_block: bool,
    /// How far its first line is indented, if it is a block.
    pub indent: usize,
}

pub struct Map<'t> {
    pub is_flow: bool,
    /// Braces included; without braces from the first key to the last value.
    pub bytes: Range<usize>,
    pub entries: Vec<MapEntry<'t>>,
}

pub struct MapEntry<'t> {
    pub key: Text<'t>,
    /// The bytes of the key, quotes included.
    pub key_bytes: Range<usize>,
    pub value: Spot<'t>,
}

impl<'t> Map<'t> {
    pub fn get(&self, key: &str) -> Option<&MapEntry<'t>> {
        self.entries.iter().find(|entry| entry.key.as_str() == key)
    }

    pub fn map(&self, key: &str) -> Option<&Self> {
        match &self.get(key)?.value {
            Spot::Map(map) => Some(map),
            _ => None,
        }
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.value {
            Spot::Scalar(scalar) => Some(scalar.text.as_str()),
            _ => None,
        }
    }
}

impl Spot<'_> {
    /// The bytes of the value; a block as its characters alone.
    pub fn bytes(&self) -> &Range<usize> {
        match self {
            Self::Scalar(scalar) => &scalar.bytes,
            Self::Map(map) => &map.bytes,
            Self::List(bytes) => bytes,
        }
    }
}

/// The outermost map of a document without byte order mark, or nothing if it is none
/// or has anything that a manifest cannot have.
pub fn outline(text: &str) -> Option<Map<'_>> {
    let mut yaml = Reader::new(text);
    let root = root(&mut yaml);
    yaml.finish(root.map(Some)).value
}

fn root<'t>(yaml: &mut Reader<'t>) -> Read<Map<'t>> {
    let is_flow = match yaml.open()? {
        Outermost::Map { is_flow } => is_flow,
        // Reported already, so that nothing comes of it.
        Outermost::Refused => false,
    };
    let root = map(yaml, 0, is_flow)?;
    yaml.close()?;
    Ok(root)
}

/// Reads the inside of a map. The reader limits how deep they stand.
fn map<'t>(yaml: &mut Reader<'t>, start: usize, is_flow: bool) -> Read<Map<'t>> {
    let mut entries = Vec::new();
    while let Some(key) = yaml.item(&FieldPath::ROOT)? {
        let key = match key {
            Node::Scalar(key) => key,
            other => {
                // No manifest has such a key.
                yaml.skip(other)?;
                let value = yaml.node(&FieldPath::ROOT)?;
                yaml.skip(value)?;
                continue;
            }
        };
        let value = yaml.node(&FieldPath::ROOT)?;
        let value = spot(yaml, value)?;
        entries.push(MapEntry {
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
        Node::Scalar(scalar) => Spot::Scalar(ScalarSpot {
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

/// The first byte of the line that holds this byte.
pub fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind(['\n', '\r']).map_or(0, |at| at + 1)
}

/// The byte where the line that holds this byte ends, its line end left out.
pub fn line_end(text: &str, at: usize) -> usize {
    text[at..].find(['\n', '\r']).map_or(text.len(), |n| at + n)
}

/// The first byte of the next line; the end of the text where there is none.
pub fn next_line(text: &str, at: usize) -> usize {
    let end = line_end(text, at);
    if text[end..].starts_with("\r\n") {
        end + 2
    } else {
        (end + 1).min(text.len())
    }
}

/// Where the entry of a key starts: at the key, or at the `?` before it.
pub fn entry_start(text: &str, key: usize) -> usize {
    let before = text[..key].trim_end().strip_suffix('?');
    let before = before.filter(|before| is_in_front(&before[line_start(before, before.len())..]));
    before.map_or(key, str::len)
}

/// Whether nothing but blanks and what begins entries stands before one in its line.
fn is_in_front(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' ' | b'?' | b':'))
}

/// How far the entry of a key is indented; inside braces as far as the line.
pub fn indent(text: &str, key: usize) -> usize {
    let start = entry_start(text, key);
    let line = &text[line_start(text, start)..start];
    if is_in_front(line) {
        line.len()
    } else {
        line.len() - line.trim_start_matches(' ').len()
    }
}

pub fn line_end_of(text: &str) -> &'static str {
    match text.find(['\n', '\r']) {
        Some(at) if text[at..].starts_with("\r\n") => "\r\n",
        Some(at) if text[at..].starts_with('\r') => "\r",
        _ => "\n",
    }
}

/// Where a value ends and nothing of it follows, not even a line break that counts:
/// the first byte of the line after it.
pub fn after(text: &str, spot: &Spot<'_>) -> usize {
    match spot {
        Spot::Scalar(scalar) if scalar.is_block => after_block(text, scalar),
        Spot::Map(Map {
            is_flow: false,
            entries,
            bytes,
        }) => match entries.last() {
            Some(last) => after(text, &last.value),
            None => next_line(text, bytes.end),
        },
        spot => next_line(text, last_character(text, spot.bytes())),
    }
}

fn last_character(text: &str, bytes: &Range<usize>) -> usize {
    bytes.start + text[bytes.clone()].trim_end().len()
}

pub fn without_line_end(text: &str, at: usize) -> usize {
    let before = &text[..at];
    let line = before
        .strip_suffix("\r\n")
        .or_else(|| before.strip_suffix(['\n', '\r']));
    line.unwrap_or(before).len()
}

/// Lines below a block that are empty or blank are no part of it, but where the
/// indicator keeps them, or they are longer than the indentation.
pub fn after_block(text: &str, scalar: &ScalarSpot<'_>) -> usize {
    let begun = line_start(text, scalar.bytes.end);
    // It ends where the next line begins, or within a last line that has no end.
    let last = &text[begun..line_end(text, scalar.bytes.end)];
    let is_part = match is_blank(last) {
        true => last.len() > scalar.indent,
        false => !is_blank(&text[begun..scalar.bytes.end]),
    };
    let mut end = match is_part {
        true => next_line(text, scalar.bytes.end),
        false => begun,
    };
    if scalar.text.as_str().ends_with("\n\n") {
        return end;
    }
    loop {
        let start = previous_line(text, end);
        let line = text[start..end].trim_end_matches(['\n', '\r']);
        if start < scalar.bytes.start || !is_blank(line) || line.len() > scalar.indent {
            return end;
        }
        end = start;
    }
}

/// The first byte of the line that ends right before this byte.
fn previous_line(text: &str, at: usize) -> usize {
    line_start(text, without_line_end(text, at))
}

/// The first byte from `at` that is neither blank, nor line end, nor in a comment,
/// nor `skipped`.
pub fn next_sign(text: &str, at: usize, skipped: char) -> Option<usize> {
    let mut at = at;
    loop {
        let rest = text.get(at..)?;
        let c = rest.chars().next()?;
        if c == '#' {
            at = line_end(text, at);
        } else if c == skipped || matches!(c, ' ' | '\t' | '\n' | '\r') {
            at += c.len_utf8();
        } else {
            return Some(at);
        }
    }
}

/// The byte after the colon that follows a key, on a later line if the key has a `?`.
pub fn after_colon(text: &str, key_end: usize) -> Option<usize> {
    let colon = next_sign(text, key_end, ' ')?;
    text[colon..].starts_with(':').then_some(colon + 1)
}

/// Whether nothing but blanks stands before this byte in its line. No further back is
/// looked, since a line may be as long as the text.
pub fn starts_line(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end_matches([' ', '\t']);
    before.is_empty() || before.ends_with(['\n', '\r'])
}

/// Whether nothing but blanks or a comment follows this byte in its line.
pub fn ends_line(text: &str, at: usize) -> bool {
    let after = text[at..].trim_start_matches([' ', '\t']);
    after.is_empty() || after.starts_with(['\n', '\r', '#'])
}

/// Whether nothing but blanks stands here: no line end and no comment.
pub fn is_blank(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' ' | b'\t'))
}
