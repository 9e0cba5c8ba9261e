//! New keys and values as text, in the layout of what is around them.

use zeroize::Zeroizing;

use super::NewContent;
use super::outline::{
    Map, ScalarSpot, Spot, after_block, is_blank, line_end, next_sign, without_line_end,
};
use crate::core::yaml::{is_hard_to_see, quote, reads_as_other_type};

/// How new entries of a map are laid out.
#[derive(Clone, Copy)]
pub struct Layout {
    /// How far its keys are indented.
    pub indent: usize,
    /// How much further the keys of a map in it are.
    pub step: usize,
    /// Whether an endpoint or a credential stands on lines of its own.
    pub spreads: bool,
    pub quotes_keys: bool,
    pub line_end: &'static str,
}

pub fn as_lines(entries: &[(&str, &NewContent<'_>)], layout: Layout) -> Zeroizing<String> {
    let mut out = room(entries, layout);
    for (key, wanted) in entries {
        lines(key, wanted, layout, &mut out);
    }
    out
}

/// Entries for the inside of braces, with commas between.
pub fn in_braces(entries: &[(&str, &NewContent<'_>)], layout: Layout) -> Zeroizing<String> {
    let mut out = room(entries, layout);
    flow(&mut entries.iter().copied(), layout, &mut out);
    out
}

pub fn quoted(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(most_quoted(text)));
    quote(text, &mut out);
    out
}

/// The longest that a text becomes in quotes.
const fn most_quoted(text: &str) -> usize {
    // `\U0000000d` takes ten.
    text.len() * 10 + 2
}

/// A buffer with enough room, so that no copy is left where a growing one was.
fn room(entries: &[(&str, &NewContent<'_>)], layout: Layout) -> Zeroizing<String> {
    fn most(wanted: &NewContent<'_>, indent: usize, step: usize) -> usize {
        match wanted {
            NewContent::Text(text) => most_quoted(text),
            NewContent::Map(entries) => entries
                .iter()
                .map(|(key, wanted)| {
                    indent + most_quoted(key) + 8 + most(wanted, indent + step, step)
                })
                .sum(),
            NewContent::Gone => 0,
        }
    }
    let sum = entries.iter().map(|(key, wanted)| {
        let inner = most(wanted, layout.indent + layout.step, layout.step);
        layout.indent + most_quoted(key) + 16 + inner
    });
    Zeroizing::new(String::with_capacity(sum.sum()))
}

fn lines(name: &str, wanted: &NewContent<'_>, layout: Layout, out: &mut String) {
    let map = match wanted {
        NewContent::Gone => return,
        NewContent::Map(map) => Some(map),
        NewContent::Text(_) => None,
    };
    for _ in 0..layout.indent {
        out.push(' ');
    }
    key(name, layout.quotes_keys, out);
    out.push(':');
    // Names of fields are never quoted where the user chose the keys around them.
    let inner = Layout {
        indent: layout.indent + layout.step,
        quotes_keys: false,
        ..layout
    };
    match (wanted, map) {
        (NewContent::Text(text), _) => {
            out.push(' ');
            quote(text, out);
            out.push_str(layout.line_end);
        }
        (_, Some(map)) if map.len() == 1 && !layout.spreads && is_leaf(map) => {
            out.push_str(" { ");
            flow(
                &mut map.iter().map(|(key, value)| (*key, value)),
                inner,
                out,
            );
            out.push_str(" }");
            out.push_str(layout.line_end);
        }
        (_, Some(map)) => {
            out.push_str(layout.line_end);
            for (key, wanted) in map {
                lines(key, wanted, inner, out);
            }
        }
        _ => {}
    }
}

fn is_leaf(map: &[(&str, NewContent<'_>)]) -> bool {
    map.iter()
        .all(|(_, wanted)| matches!(wanted, NewContent::Text(_)))
}

fn flow<'a, 'v: 'a>(
    entries: &mut dyn Iterator<Item = (&'a str, &'a NewContent<'v>)>,
    layout: Layout,
    out: &mut String,
) {
    let mut comma = "";
    for (name, wanted) in entries {
        out.push_str(comma);
        comma = ", ";
        key(name, layout.quotes_keys, out);
        out.push_str(": ");
        match wanted {
            NewContent::Text(text) => quote(text, out),
            NewContent::Map(map) => {
                out.push_str("{ ");
                let inner = Layout {
                    quotes_keys: false,
                    ..layout
                };
                flow(
                    &mut map.iter().map(|(key, value)| (*key, value)),
                    inner,
                    out,
                );
                out.push_str(" }");
            }
            NewContent::Gone => {}
        }
    }
}

fn key(name: &str, quotes: bool, out: &mut String) {
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && !reads_as_other_type(name);
    if quotes || !is_plain {
        quote(name, out);
    } else {
        out.push_str(name);
    }
}

/// The text that takes the place of a scalar, and the bytes whose place it takes.
/// A block stays one if it can hold the new value; a comment behind its indicator
/// stays.
pub fn in_place_of(
    document: &str,
    key_end: usize,
    scalar: &ScalarSpot<'_>,
    text: &str,
    line_end_of_document: &str,
) -> Option<(std::ops::Range<usize>, Zeroizing<String>)> {
    if !scalar.is_block {
        return Some((scalar.bytes.clone(), quoted(text)));
    }
    let start = next_sign(document, key_end, ':')?;
    let header = document.get(start..line_end(document, start))?;
    if !header.starts_with(['|', '>']) {
        return None;
    }
    let comment = header.find(" #").and_then(|at| header.get(at..));
    let comment = comment.unwrap_or_default();
    // Blanks at its end are part of the old value.
    let end = without_line_end(document, after_block(document, scalar));
    if header.starts_with('|') && fits_block(text) && scalar.indent > 0 {
        let most = text.len() + text.matches('\n').count() * (scalar.indent + 2) + 16;
        let most = most + comment.len() + scalar.indent;
        let mut out = Zeroizing::new(String::with_capacity(most));
        let (body, indicator) = match text.strip_suffix('\n') {
            Some(body) => (body, "|"),
            None => (text, "|-"),
        };
        out.push_str(indicator);
        out.push_str(comment);
        for line in body.split('\n') {
            out.push_str(line_end_of_document);
            if !line.is_empty() {
                for _ in 0..scalar.indent {
                    out.push(' ');
                }
                out.push_str(line);
            }
        }
        if indicator == "|" && end == document.len() {
            out.push_str(line_end_of_document);
        }
        return Some((start..end, out));
    }
    let mut out = Zeroizing::new(String::with_capacity(most_quoted(text) + comment.len()));
    quote(text, &mut out);
    out.push_str(comment);
    Some((start..end, out))
}

fn fits_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.starts_with([' ', '\n'])
        && !body.ends_with('\n')
        && body
            .split('\n')
            .all(|line| line.is_empty() || !is_blank(line))
        && body
            .chars()
            .all(|c| c == '\n' || !(c.is_control() || is_hard_to_see(c)))
}

/// Whether this endpoint or credential, or else the last of those below, stands on
/// lines of its own.
pub fn spreads(map: &Map<'_>) -> Option<bool> {
    let holds_value = ["password", "credential"]
        .iter()
        .any(|name| map.get(name).is_some());
    if holds_value {
        return Some(!map.is_flow);
    }
    let mut below = map.entries.iter().rev();
    below.find_map(|entry| match &entry.value {
        Spot::Map(below) => spreads(below),
        _ => None,
    })
}
