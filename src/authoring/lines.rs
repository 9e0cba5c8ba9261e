//! Lines, indentation, comments: what stands around the values of a document.

use std::ops::Range;

use super::outline::{Map, Scalar, Spot};

/// The first byte of the line that holds this byte.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind(['\n', '\r']).map_or(0, |at| at + 1)
}

/// The byte where the line that holds this byte ends, its line end left out.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find(['\n', '\r']).map_or(text.len(), |n| at + n)
}

/// The first byte of the next line; the end of the text where there is none.
pub(super) fn next_line(text: &str, at: usize) -> usize {
    let end = line_end(text, at);
    if text[end..].starts_with("\r\n") {
        end + 2
    } else {
        (end + 1).min(text.len())
    }
}

/// Where the entry of a key starts: at the key, or at the `?` before it.
pub(super) fn entry_start(text: &str, key: usize) -> usize {
    let before = text[..key].trim_end().strip_suffix('?');
    let before = before.filter(|before| is_in_front(&before[line_start(before, before.len())..]));
    before.map_or(key, str::len)
}

/// Whether nothing but blanks and what begins entries stands before one in its line.
fn is_in_front(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' ' | b'?' | b':'))
}

/// How far the entry of a key is indented; inside braces as far as the line.
pub(super) fn indent(text: &str, key: usize) -> usize {
    let start = entry_start(text, key);
    let line = &text[line_start(text, start)..start];
    if is_in_front(line) {
        line.len()
    } else {
        line.len() - line.trim_start_matches(' ').len()
    }
}

/// The line end that a document uses.
pub(super) fn line_end_of(text: &str) -> &'static str {
    match text.find(['\n', '\r']) {
        Some(at) if text[at..].starts_with("\r\n") => "\r\n",
        Some(at) if text[at..].starts_with('\r') => "\r",
        _ => "\n",
    }
}

/// Where a value ends and nothing of it follows, not even a line break that counts:
/// the first byte of the line after it.
pub(super) fn after(text: &str, spot: &Spot<'_>) -> usize {
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

/// The byte after the last character that is not blank.
fn last_character(text: &str, bytes: &Range<usize>) -> usize {
    bytes.start + text[bytes.clone()].trim_end().len()
}

/// The byte before the line end right before this byte.
pub(super) fn without_line_end(text: &str, at: usize) -> usize {
    let before = &text[..at];
    let line = before
        .strip_suffix("\r\n")
        .or_else(|| before.strip_suffix(['\n', '\r']));
    line.unwrap_or(before).len()
}

/// Lines below a block that are empty or blank are no part of it, but where the
/// indicator keeps them, or they are longer than the indentation.
pub(super) fn after_block(text: &str, scalar: &Scalar<'_>) -> usize {
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
pub(super) fn next_sign(text: &str, at: usize, skipped: char) -> Option<usize> {
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
pub(super) fn after_colon(text: &str, key_end: usize) -> Option<usize> {
    let colon = next_sign(text, key_end, ' ')?;
    text[colon..].starts_with(':').then_some(colon + 1)
}

/// Whether nothing but blanks stands before this byte in its line. No further back is
/// looked, since a line may be as long as the text.
pub(super) fn starts_line(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end_matches([' ', '\t']);
    before.is_empty() || before.ends_with(['\n', '\r'])
}

/// Whether nothing but blanks or a comment follows this byte in its line.
pub(super) fn ends_line(text: &str, at: usize) -> bool {
    let after = text[at..].trim_start_matches([' ', '\t']);
    after.is_empty() || after.starts_with(['\n', '\r', '#'])
}

/// Whether nothing but blanks stands here: no line end and no comment.
pub(super) fn is_blank(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' ' | b'\t'))
}
