//! The YAML of clouds.yaml and secure.yaml as a tree of our own.
//!
//! It owns what is read leniently and what is not: these are other people's files,
//! so merge keys, anchors and unknown keys are taken; a second document, a key that
//! stands twice and anything that grows without bounds are not. It refuses to show
//! any text of a file or of the parser, since both may hold a password.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use granit_parser::{Event, Parser};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;
use serde_yaml::options::NonFiniteFloatPolicy;
use zeroize::Zeroizing;

use super::error;
use crate::core::problem::Position;
use crate::core::yaml;
use crate::ops::error::Failure;

/// Far above any file of 1 MiB, aliases followed.
const MAX_NODES: usize = 100_000;
const MAX_DEPTH: usize = 32;
const MAX_ALIASES: usize = 10_000;
const MAX_TEXT: usize = 8 << 20;

/// The file that a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudsFile {
    Clouds,
    Secure,
}

/// What a value means as a boolean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BooleanWord {
    Yes,
    No,
    Other,
}

impl BooleanWord {
    /// Boolean words of YAML 1.1 and of OpenStack clients.
    pub fn of(text: &str) -> Self {
        let is_one = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
        if is_one(&["true", "yes", "on", "y", "t", "1"]) {
            Self::Yes
        } else if is_one(&["false", "no", "off", "n", "f", "0"]) {
            Self::No
        } else {
            Self::Other
        }
    }
}

pub struct CloudsNode {
    pub origin: CloudsFile,
    pub at: Position,
    pub value: CloudsValue,
}

/// Without `Debug`, since it may be a password.
pub enum CloudsValue {
    Null,
    Text(Zeroizing<String>),
    /// Not quoted, and a number, a boolean or a date to some readers.
    NotText(BooleanWord),
    List,
    Map(BTreeMap<String, CloudsNode>),
}

impl CloudsNode {
    pub const fn empty(origin: CloudsFile) -> Self {
        Self {
            origin,
            at: Position { line: 1, column: 1 },
            value: CloudsValue::Map(BTreeMap::new()),
        }
    }

    /// The value of a key that is not null.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            CloudsValue::Map(map) => map
                .get(key)
                .filter(|node| !matches!(node.value, CloudsValue::Null)),
            _ => None,
        }
    }

    pub fn take(self, key: &str) -> Option<Self> {
        match self.value {
            CloudsValue::Map(mut map) => map
                .remove(key)
                .filter(|node| !matches!(node.value, CloudsValue::Null)),
            _ => None,
        }
    }

    /// Merges maps key by key and replaces anything else.
    pub fn merge(mut self, over: Self) -> Self {
        match (&mut self.value, over) {
            (
                CloudsValue::Map(base),
                Self {
                    value: CloudsValue::Map(over),
                    ..
                },
            ) => {
                for (key, node) in over {
                    let merged = match base.remove(&key) {
                        Some(below) => below.merge(node),
                        None => node,
                    };
                    base.insert(key, merged);
                }
                self
            }
            // An empty section says nothing; it does not take a whole section away.
            (
                CloudsValue::Map(_),
                Self {
                    value: CloudsValue::Null,
                    ..
                },
            ) => self,
            (_, over) => over,
        }
    }

    pub fn holds(&self, keys: &[&str]) -> bool {
        match &self.value {
            CloudsValue::Map(map) => map.iter().any(|(key, node)| {
                let is_set = !matches!(node.value, CloudsValue::Null);
                (is_set && keys.contains(&key.as_str())) || node.holds(keys)
            }),
            _ => false,
        }
    }
}

pub fn parse(origin: CloudsFile, path: &Path, bytes: &[u8]) -> Result<CloudsNode, Failure> {
    let text = yaml::decode(bytes).map_err(|problem| {
        let what = yaml::wrong_encoding(bytes).unwrap_or("it is not UTF-8 text");
        let help = "Save the file as UTF-8 without a byte order mark.";
        error::document(path, problem.at, what, help)
    })?;
    // The parser would take it for the end of the file.
    if let Some(before) = text.split_once('\0').map(|(before, _)| before) {
        let (at, what) = (place_after(before), "a NUL character stands in it");
        return Err(error::document(path, Some(at), what, "Remove it."));
    }
    if let Some(at) = first_tag(text) {
        return Err(error::document(
            path,
            Some(at),
            "tags are not supported",
            "Write the value itself: drspass runs nothing that a tag stands for. Quote a value that starts with `!`.",
        ));
    }
    let raw = serde_yaml::from_str_with_options::<Option<Spanned<Raw>>>(text, options())
        .map_err(|error| refusal(path, &error))?;
    Ok(raw.map_or_else(
        || CloudsNode::empty(origin),
        |raw| convert(origin, raw, text),
    ))
}

/// The first tag, which the reader below would drop.
fn first_tag(text: &str) -> Option<Position> {
    let mut parser = Parser::new_from_str(text);
    while let Some(Ok((event, span))) = parser.next() {
        let has_tag = match event {
            Event::StreamEnd => return None,
            Event::Scalar(.., tag)
            | Event::SequenceStart(.., tag)
            | Event::MappingStart(.., tag) => tag.is_some(),
            _ => false,
        };
        if has_tag {
            // A node begins after its tag.
            let start = span.start.byte_offset().unwrap_or_default();
            let before = text.get(..start).unwrap_or(text);
            let tag = before.rfind('!').map_or(before, |at| &before[..at]);
            return Some(place_after(tag));
        }
    }
    None
}

fn options() -> serde_yaml::Options {
    serde_yaml::options! {
        with_snippet: false,
        // Not an error of the whole file: whoever asks for the value says what is
        // wrong with it.
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        budget: serde_yaml::budget! {
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_depth: MAX_DEPTH,
            max_aliases: MAX_ALIASES,
            max_total_scalar_bytes: MAX_TEXT,
            max_recorded_anchor_bytes: MAX_TEXT,
        },
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: MAX_NODES,
        },
    }
}

/// An error of the parser in words of ours: its own may quote the file.
fn refusal(path: &Path, error: &serde_yaml::Error) -> Failure {
    use serde_yaml::Error;
    let mut cause = error.without_snippet();
    while let Error::AliasError { error, .. } = cause {
        cause = error.without_snippet();
    }
    let (what, help) = match cause {
        Error::DuplicateMappingKey { .. } => (
            "a key stands there for the second time",
            "Remove one of the two: readers differ in which one they take.",
        ),
        Error::MultipleDocuments { .. } => (
            "a second document begins there",
            "Keep one document in the file.",
        ),
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::RecursiveReferencesRequireWeakTypes { .. } => (
            "it is too deep, or too large once its aliases are followed",
            "Keep only the entries of clouds in it.",
        ),
        _ => (
            "it is not readable as YAML",
            "Look at that line and the one before: indentation, quotes and colons. Its text is not shown, since it may hold a password.",
        ),
    };
    error::document(path, error.location().and_then(position), what, help)
}

fn position(location: serde_yaml::Location) -> Option<Position> {
    let line = usize::try_from(location.line()).ok()?;
    let column = usize::try_from(location.column()).ok()?;
    (line > 0).then_some(Position { line, column })
}

fn place_after(text: &str) -> Position {
    let start = text.rfind('\n').map_or(0, |at| at + 1);
    Position {
        line: 1 + text.matches('\n').count(),
        column: 1 + text[start..].chars().count(),
    }
}

enum Raw {
    Null,
    Text(Zeroizing<String>),
    NotText(BooleanWord),
    List,
    Map(BTreeMap<String, Spanned<Self>>),
}

fn convert(origin: CloudsFile, raw: Spanned<Raw>, text: &str) -> CloudsNode {
    let at = position(raw.referenced)
        .or_else(|| position(raw.defined))
        .unwrap_or(Position { line: 1, column: 1 });
    let value = match raw.value {
        Raw::Null => CloudsValue::Null,
        Raw::Text(value) if is_unquoted(text, raw.defined) && yaml::reads_as_other_type(&value) => {
            CloudsValue::NotText(BooleanWord::of(&value))
        }
        Raw::Text(value) => CloudsValue::Text(value),
        Raw::NotText(word) => CloudsValue::NotText(word),
        Raw::List => CloudsValue::List,
        Raw::Map(map) => CloudsValue::Map(
            map.into_iter()
                .map(|(key, raw)| (key, convert(origin, raw, text)))
                .collect(),
        ),
    };
    CloudsNode { origin, at, value }
}

fn is_unquoted(text: &str, location: serde_yaml::Location) -> bool {
    location
        .span()
        .byte_offset()
        .and_then(|offset| usize::try_from(offset).ok())
        .and_then(|offset| text.split_at_checked(offset))
        .is_some_and(|(before, value)| {
            !value.starts_with(['"', '\'', '|', '>']) && !is_after_block_indicator(before)
        })
}

fn is_after_block_indicator(before: &str) -> bool {
    let Some((lines, indent)) = before.rsplit_once('\n') else {
        return false;
    };
    if !indent.trim().is_empty() {
        return false;
    }
    lines
        .lines()
        .rev()
        .map(|line| match line.split_once(" #") {
            Some((line, _comment)) => line.trim(),
            None => line.trim(),
        })
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .is_some_and(|line| {
            line.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'))
                .ends_with(['|', '>'])
        })
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::NotText(if value {
            BooleanWord::Yes
        } else {
            BooleanWord::No
        }))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::NotText(BooleanWord::Other))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::NotText(match value {
            0 => BooleanWord::No,
            1 => BooleanWord::Yes,
            _ => BooleanWord::Other,
        }))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::NotText(BooleanWord::Other))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(Zeroizing::new(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(Zeroizing::new(value)))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Raw, E> {
        Err(E::custom("a binary value"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
        while list.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(Raw::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = access.next_entry::<String, Spanned<Raw>>()? {
            if map.insert(key, value).is_some() {
                return Err(A::Error::custom("a key twice"));
            }
        }
        Ok(Raw::Map(map))
    }
}
