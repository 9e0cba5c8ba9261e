//! What the reader hands out: values, or the starts of them, with style and place.

use std::borrow::Cow;
use std::ops::Range;

use super::is_null;
use crate::core::problem::Position;

/// A scalar as it stands in the document.
pub(crate) struct Scalar<'t> {
    /// The value after escapes and folding.
    pub(crate) text: Cow<'t, str>,
    /// Whether it has neither quotes nor a block indicator.
    pub(crate) is_plain: bool,
    /// Whether it stands in lines of its own below a block indicator.
    pub(crate) is_block: bool,
    /// Where it starts.
    pub(crate) at: Position,
    /// The bytes of the document that it covers, quotes included. Those of a block
    /// start at its first character and may end in the line after it.
    pub(crate) bytes: Range<usize>,
}

impl Scalar<'_> {
    /// Whether every reader would take it for null: absent, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        self.is_plain && (self.bytes.is_empty() || is_null(&self.text))
    }
}

/// One value, or the start of one: what is inside a collection is read next.
pub(crate) enum Node<'t> {
    /// A text of any style.
    Scalar(Scalar<'t>),
    /// The start of a map, in flow style or not.
    Map {
        /// Where it starts.
        at: Position,
        /// The byte where it starts.
        start: usize,
        /// Whether it is written in braces.
        is_flow: bool,
    },
    /// The start of a list.
    List {
        /// Where it starts.
        at: Position,
        /// The byte where it starts.
        start: usize,
    },
    /// Something that is not allowed anywhere, reported and read over.
    Refused,
}

impl Node<'_> {
    /// Where it starts, unless that was reported already.
    pub(crate) fn at(&self) -> Option<Position> {
        match self {
            Self::Scalar(scalar) => Some(scalar.at),
            Self::Map { at, .. } | Self::List { at, .. } => Some(*at),
            Self::Refused => None,
        }
    }

    /// Whether the value is null or absent.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(scalar) if scalar.is_null())
    }
}

/// What a document starts with.
pub(crate) enum Root {
    /// A map, whose keys are read next.
    Map {
        /// Whether it is written in braces.
        is_flow: bool,
    },
    /// Anything else, reported and read over.
    Refused,
}
