//! Lines, indentation and comments around the values of a document, and new keys and
//! values as text in that layout.

use std::ops::Range;

use zeroize::Zeroizing;

use super::NewContent;
use crate::core::yaml::{
    Node, is_hard_to_see, line_end, line_start, next_line, quote, reads_as_other_type,
};

/// Returns where the entry of a key starts: at the key, or at the `?` before it.
pub fn entry_start(text: &str, key: usize) -> usize {
    let before = text[..key].trim_end().strip_suffix('?');
    let before = before.filter(|before| is_in_front(&before[line_start(before, before.len())..]));
    before.map_or(key, str::len)
}

/// Returns whether a line has only spaces and indicators in front of an entry.
fn is_in_front(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' ' | b'?' | b':'))
}

/// Returns the indentation of a key's entry; inside braces that of its line.
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

/// Returns the first byte of the line after a value and after all line breaks that belong to it.
pub fn after(text: &str, value: Node<'_>) -> usize {
    if value.is_block() {
        return after_block(text, value);
    }
    match value.pairs().last() {
        Some(last) if value.is_map() && !value.is_flow() => after(text, last.value),
        // Right after the last visible character.
        _ => next_line(text, value.start() + value.source().trim_end().len()),
    }
}

pub fn without_line_end(text: &str, at: usize) -> usize {
    let before = &text[..at];
    let line = before
        .strip_suffix("\r\n")
        .or_else(|| before.strip_suffix(['\n', '\r']));
    line.unwrap_or(before).len()
}

/// Empty lines and whitespace below a block do not belong to it, unless the indicator keeps them or
/// they are longer than the indentation.
pub fn after_block(text: &str, block: Node<'_>) -> usize {
    let begun = line_start(text, block.end());
    // It ends where the next line begins, or within a last line without a line end.
    let last = &text[begun..line_end(text, block.end())];
    let is_part = match is_blank(last) {
        true => last.len() > indent_of(block),
        false => !is_blank(&text[begun..block.end()]),
    };
    let mut end = match is_part {
        true => next_line(text, block.end()),
        false => begun,
    };
    if block.scalar().is_some_and(|text| text.ends_with("\n\n")) {
        return end;
    }
    loop {
        let start = line_start(text, without_line_end(text, end));
        let line = text[start..end].trim_end_matches(['\n', '\r']);
        if start < block.start() || !is_blank(line) || line.len() > indent_of(block) {
            return end;
        }
        end = start;
    }
}

/// Returns the indentation of a block's first line.
fn indent_of(block: Node<'_>) -> usize {
    block.at().column - 1
}

/// Returns the first byte from `at` that is neither whitespace, nor line end, nor in a comment, nor
/// `skipped`.
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

/// Returns the byte after the colon of a key, on a later line if the key has a `?`.
pub fn after_colon(text: &str, key_end: usize) -> Option<usize> {
    let colon = next_sign(text, key_end, ' ')?;
    text[colon..].starts_with(':').then_some(colon + 1)
}

/// Returns whether only whitespace precedes this byte in its line. Looks no further back, since a
/// line may be as long as the text.
pub fn starts_line(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end_matches([' ', '\t']);
    before.is_empty() || before.ends_with(['\n', '\r'])
}

/// Returns whether only whitespace or a comment follows this byte in its line.
pub fn ends_line(text: &str, at: usize) -> bool {
    let after = text[at..].trim_start_matches([' ', '\t']);
    after.is_empty() || after.starts_with(['\n', '\r', '#'])
}

/// Returns whether there is only whitespace: no line end and no comment.
pub fn is_blank(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' ' | b'\t'))
}

/// The layout of new entries of a map.
#[derive(Clone, Copy)]
pub struct Layout {
    pub indent: usize,
    /// How much further the keys of a map in it are indented.
    pub step: usize,
    /// Whether an endpoint or a credential is on lines of its own.
    pub spreads: bool,
    pub quotes_keys: bool,
    pub line_end: &'static str,
}

pub fn as_lines(entries: &[(&str, NewContent<'_>)], layout: Layout) -> Zeroizing<String> {
    let mut out = room(entries, layout);
    for (key, wanted) in entries {
        lines(key, wanted, layout, &mut out);
    }
    out
}

pub fn in_braces(entries: &[(&str, NewContent<'_>)], layout: Layout) -> Zeroizing<String> {
    let mut out = room(entries, layout);
    flow(entries, layout, &mut out);
    out
}

fn quoted(text: &str, comment: &str) -> Zeroizing<String> {
    let room = most_quoted(text) + comment.len();
    let mut out = Zeroizing::new(String::with_capacity(room));
    quote(text, &mut out);
    out.push_str(comment);
    out
}

/// Returns the most bytes that a text takes in quotes.
const fn most_quoted(text: &str) -> usize {
    // `\U0000000d` takes ten.
    text.len() * 10 + 2
}

/// Returns a buffer with enough room: a growing one would leave copies behind.
fn room(entries: &[(&str, NewContent<'_>)], layout: Layout) -> Zeroizing<String> {
    fn most(entries: &[(&str, NewContent<'_>)], indent: usize, step: usize) -> usize {
        let each = entries.iter().map(|(key, content)| {
            let content = match content {
                NewContent::Text(text) => most_quoted(text),
                NewContent::Map(map) => most(map, indent + step, step),
                NewContent::Gone => 0,
            };
            indent + most_quoted(key) + 16 + content
        });
        each.sum()
    }
    let most = most(entries, layout.indent, layout.step);
    Zeroizing::new(String::with_capacity(most))
}

fn lines(name: &str, content: &NewContent<'_>, layout: Layout, out: &mut String) {
    if matches!(content, NewContent::Gone) {
        return;
    }
    out.extend(std::iter::repeat_n(' ', layout.indent));
    key(name, layout.quotes_keys, out);
    out.push(':');
    // Names of fields are never quoted below keys that the user chose.
    let inner = Layout {
        indent: layout.indent + layout.step,
        quotes_keys: false,
        ..layout
    };
    match content {
        NewContent::Map(map) if map.len() != 1 || layout.spreads || !is_leaf(map) => {
            out.push_str(layout.line_end);
            for (key, content) in map {
                lines(key, content, inner, out);
            }
        }
        _ => {
            out.push(' ');
            value(content, inner, out);
            out.push_str(layout.line_end);
        }
    }
}

fn is_leaf(map: &[(&str, NewContent<'_>)]) -> bool {
    map.iter()
        .all(|(_, content)| matches!(content, NewContent::Text(_)))
}

fn value(content: &NewContent<'_>, layout: Layout, out: &mut String) {
    match content {
        NewContent::Text(text) => quote(text, out),
        NewContent::Map(map) => {
            let layout = Layout {
                quotes_keys: false,
                ..layout
            };
            out.push_str("{ ");
            flow(map, layout, out);
            out.push_str(" }");
        }
        NewContent::Gone => {}
    }
}

fn flow(entries: &[(&str, NewContent<'_>)], layout: Layout, out: &mut String) {
    let mut comma = "";
    for (name, content) in entries {
        out.push_str(comma);
        comma = ", ";
        key(name, layout.quotes_keys, out);
        out.push_str(": ");
        value(content, layout, out);
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

/// Returns the text that replaces a scalar, and the bytes that it replaces. A block stays one if it
/// can contain the new value, and a comment after its indicator stays.
pub fn in_place_of(
    document: &str,
    key_end: usize,
    scalar: Node<'_>,
    text: &str,
    line_end_of_document: &str,
) -> Option<(Range<usize>, Zeroizing<String>)> {
    if !scalar.is_block() {
        return Some((scalar.start()..scalar.end(), quoted(text, "")));
    }
    let start = next_sign(document, key_end, ':')?;
    let header = document.get(start..line_end(document, start))?;
    if !header.starts_with(['|', '>']) {
        return None;
    }
    let comment = header.find(" #").map_or("", |at| &header[at..]);
    // Whitespace at its end is part of the old value.
    let bytes = start..without_line_end(document, after_block(document, scalar));
    let indent = indent_of(scalar);
    if !header.starts_with('|') || !fits_block(text) || indent == 0 {
        return Some((bytes, quoted(text, comment)));
    }
    let most = text.len() + (text.matches('\n').count() + 1) * (indent + 2) + 16;
    let mut out = Zeroizing::new(String::with_capacity(most + comment.len()));
    let (body, indicator) = match text.strip_suffix('\n') {
        Some(body) => (body, "|"),
        None => (text, "|-"),
    };
    out.push_str(indicator);
    out.push_str(comment);
    for line in body.split('\n') {
        out.push_str(line_end_of_document);
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
    }
    if indicator == "|" && bytes.end == document.len() {
        out.push_str(line_end_of_document);
    }
    Some((bytes, out))
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

/// Returns whether this endpoint or credential, or else the last of those below, is on lines of its
/// own.
pub fn spreads(map: Node<'_>) -> Option<bool> {
    let pairs: Vec<_> = map.pairs().filter(|_| map.is_map()).collect();
    let holds_value = |key| matches!(key, Some("password" | "credential"));
    if pairs.iter().any(|pair| holds_value(pair.key.scalar())) {
        return Some(!map.is_flow());
    }
    pairs.iter().rev().find_map(|pair| spreads(pair.value))
}
