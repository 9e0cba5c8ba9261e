//! From bytes to text: size, encoding, byte order marks, NUL.

use crate::core::problem::{Position, Problem};

/// The largest document that is read (design section 2.2).
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

const MARK: char = '\u{feff}';

/// The text of a file. Exactly one UTF-8 byte order mark is read over.
///
/// Fails if the bytes are more than [`MAX_BYTES`], are another encoding than
/// UTF-8, or start with two byte order marks.
pub fn decode(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > MAX_BYTES {
        return Err(too_large());
    }
    if let Some(name) = other_encoding(bytes) {
        return Err(Problem::error(
            "",
            None,
            format!("file is {name}, save as UTF-8"),
            "Save the file as UTF-8 without a byte order mark.",
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let valid = std::str::from_utf8(valid).unwrap_or_default();
        Problem::error(
            "",
            Some(position_after(valid)),
            "the file is not UTF-8 text",
            "Save the file as UTF-8; a binary value must be written as base64.",
        )
    })?;
    let text = text.strip_prefix(MARK).unwrap_or(text);
    match refuse_mark(text) {
        Some(problem) => Err(problem),
        None => Ok(text),
    }
}

/// The text of a file that is no document. A UTF-8 byte order mark is read over.
/// Fails with what else it is.
pub fn plain_text(bytes: &[u8]) -> Result<&str, &'static str> {
    if let Some(what) = wrong_encoding(bytes) {
        return Err(what);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text")?;
    Ok(split_mark(text).1)
}

/// What a file is in place of UTF-8, as far as it begins like text.
pub fn wrong_encoding(bytes: &[u8]) -> Option<&'static str> {
    Some(match other_encoding(bytes)? {
        "UTF-16 LE" => "it is UTF-16 LE, save as UTF-8",
        "UTF-16 BE" => "it is UTF-16 BE, save as UTF-8",
        _ => "it is UTF-32, save as UTF-8",
    })
}

/// What cannot be handed to the parser, which would take NUL for the end.
pub(super) fn refuse_text(text: &str) -> Option<Problem> {
    if text.len() > MAX_BYTES {
        return Some(too_large());
    }
    if let Some(problem) = refuse_mark(text) {
        return Some(problem);
    }
    let nul = text.bytes().position(|b| b == 0)?;
    Some(Problem::error(
        "",
        Some(position_after(&text[..nul])),
        "a NUL character stands in the file",
        "Remove it; no password can hold one.",
    ))
}

fn refuse_mark(text: &str) -> Option<Problem> {
    text.starts_with(MARK).then(|| {
        Problem::error(
            "",
            Some(Position { line: 1, column: 1 }),
            "the file starts with more than one byte order mark",
            "Save the file as UTF-8 without a byte order mark.",
        )
    })
}

fn too_large() -> Problem {
    Problem::error(
        "",
        None,
        "the file is larger than 64 MiB",
        "Split it: one root folder for each environment or project.",
    )
}

/// The name of an encoding that editors and shells write instead of UTF-8,
/// told by its byte order mark or by the zeros beside the first characters.
fn other_encoding(bytes: &[u8]) -> Option<&'static str> {
    match *bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] => Some("UTF-16 LE"),
        [0xfe, 0xff, ..] => Some("UTF-16 BE"),
        [a, 0, 0, 0, ..] | [0, 0, 0, a, ..] if a != 0 => Some("UTF-32"),
        [a, 0, b, 0, ..] if a != 0 && b != 0 => Some("UTF-16 LE"),
        [0, a, 0, b, ..] if a != 0 && b != 0 => Some("UTF-16 BE"),
        _ => None,
    }
}

/// The place of what follows `text`.
pub(super) fn position_after(text: &str) -> Position {
    let line_start = text.rfind(['\n', '\r']).map_or(0, |at| at + 1);
    Position {
        line: 1 + count_breaks(text),
        column: 1 + text[line_start..].chars().count(),
    }
}

fn count_breaks(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_break = |(at, byte): (usize, &u8)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    bytes
        .iter()
        .enumerate()
        .filter(|&pair| is_break(pair))
        .count()
}

/// Takes off one leading byte order mark and gives back both parts.
pub(crate) fn split_mark(text: &str) -> (&str, &str) {
    let rest = text.strip_prefix(MARK).unwrap_or(text);
    text.split_at(text.len() - rest.len())
}
