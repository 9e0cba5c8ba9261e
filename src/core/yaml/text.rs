//! Text around YAML: encodings and marks, what plain scalars mean to other readers, quoting.

use std::fmt::Write as _;
use std::ops::Range;

use crate::core::problem::{Position, Problem};
use crate::core::redact::is_unfit;

/// The largest document that is read (design section 2.2).
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The help for a document that is too large in any way.
pub const SPLIT_HELP: &str = "Split it: use one root directory per environment or project.";

const NO_MARK_HELP: &str = "Save the file as UTF-8 without a byte order mark.";

const MARK: char = '\u{feff}';

/// Decodes a file. Skips exactly one UTF-8 byte order mark.
pub fn decode(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > MAX_BYTES {
        return Err(too_large());
    }
    if let Some(name) = other_encoding(bytes) {
        let what = format!("the file is {name}, not UTF-8");
        return Err(Problem::error("", None, what, NO_MARK_HELP));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let valid = std::str::from_utf8(valid).unwrap_or_default();
        let help = "Save the file as UTF-8; a binary value must be written as base64.";
        let at = Some(position_after(valid));
        Problem::error("", at, "the file is not UTF-8 text", help)
    })?;
    let text = text.strip_prefix(MARK).unwrap_or(text);
    match refuse_mark(text) {
        Some(problem) => Err(problem),
        None => Ok(text),
    }
}

/// Decodes a file that is not a document. Skips a UTF-8 byte order mark.
pub fn plain_text(bytes: &[u8]) -> Result<&str, &'static str> {
    if let Some(what) = wrong_encoding(bytes) {
        return Err(what);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text")?;
    Ok(split_mark(text).1)
}

/// Returns the encoding of a file that begins like text, but not in UTF-8.
pub fn wrong_encoding(bytes: &[u8]) -> Option<&'static str> {
    Some(match other_encoding(bytes)? {
        "UTF-16 LE" => "it is UTF-16 LE, not UTF-8",
        "UTF-16 BE" => "it is UTF-16 BE, not UTF-8",
        _ => "it is UTF-32, not UTF-8",
    })
}

/// Refuses text that must not reach the parser, which would take NUL for the end.
pub fn refuse_text(text: &str) -> Option<Problem> {
    if text.len() > MAX_BYTES {
        return Some(too_large());
    }
    if let Some(problem) = refuse_mark(text) {
        return Some(problem);
    }
    let nul = text.bytes().position(|b| b == 0)?;
    let (what, at) = (
        "the file contains a NUL character",
        position_after(&text[..nul]),
    );
    let help = "Remove it; no password can contain one.";
    Some(Problem::error("", Some(at), what, help))
}

fn refuse_mark(text: &str) -> Option<Problem> {
    let at = Some(Position { line: 1, column: 1 });
    let what = "the file starts with more than one byte order mark";
    let refused = || Problem::error("", at, what, NO_MARK_HELP);
    text.starts_with(MARK).then(refused)
}

fn too_large() -> Problem {
    Problem::error("", None, "the file is larger than 64 MiB", SPLIT_HELP)
}

/// Returns the encoding that editors and shells write instead of UTF-8, recognised by its byte
/// order mark or by the zeros next to the first characters.
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

pub fn position_after(text: &str) -> Position {
    Position {
        line: 1 + count_breaks(text, 0..text.len()),
        column: column(text, text.len()),
    }
}

/// Returns the column of this byte, from 1.
pub fn column(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    1 + before[line_start(before, before.len())..].chars().count()
}

/// Returns the first byte of this byte's line.
pub fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind(['\n', '\r']).map_or(0, |at| at + 1)
}

/// Returns the byte where this byte's line ends, before its line end.
pub fn line_end(text: &str, at: usize) -> usize {
    text[at..].find(['\n', '\r']).map_or(text.len(), |n| at + n)
}

/// Returns the first byte of the next line; the end of the text if there is none.
pub fn next_line(text: &str, at: usize) -> usize {
    let end = line_end(text, at);
    if text[end..].starts_with("\r\n") {
        end + 2
    } else {
        (end + 1).min(text.len())
    }
}

/// Counts the line ends of `text` that end in these bytes or right after them.
pub fn count_breaks(text: &str, bytes: Range<usize>) -> usize {
    let text = text.as_bytes();
    bytes
        .filter(|at| match text.get(*at) {
            Some(b'\n') => true,
            Some(b'\r') => text.get(at + 1) != Some(&b'\n'),
            _ => false,
        })
        .count()
}

/// Splits off one leading byte order mark and returns both parts.
pub fn split_mark(text: &str) -> (&str, &str) {
    let rest = text.strip_prefix(MARK).unwrap_or(text);
    text.split_at(text.len() - rest.len())
}

/// Words that YAML 1.1 or 1.2 resolves to something other than a text.
const WORDS: &[&str] = &[
    "", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "=", "<<", "nan", ".nan",
    "inf", ".inf", "+.inf", "-.inf", "+inf", "-inf",
];

/// Returns whether the text of a plain scalar is a number, a boolean, null, a date or a number to
/// the base 60 for any reader of YAML 1.1 or 1.2. `72904e81` and `1e400` are numbers;
/// `25df459d-a37c-41b9-bc2b-8c00ba32jb52` is a text.
pub fn reads_as_other_type(text: &str) -> bool {
    // The longest of the words has five letters.
    (text.len() <= 5 && WORDS.iter().any(|word| word.eq_ignore_ascii_case(text)))
        || is_number(text)
        || is_date(text)
}

fn is_number(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return false;
    }
    let all = |digits: &str, is_digit: fn(char) -> bool| {
        digits.chars().all(|c| c == '_' || is_digit(c)) && digits.chars().any(is_digit)
    };
    if let Some(digits) = text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        return all(digits, |c| c.is_ascii_hexdigit());
    }
    if let Some(digits) = text.strip_prefix("0o").or(text.strip_prefix("0O")) {
        return all(digits, |c| c.is_ascii_digit());
    }
    if let Some(digits) = text.strip_prefix("0b").or(text.strip_prefix("0B")) {
        return all(digits, |c| c.is_ascii_digit());
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_digit = |c: char| c.is_ascii_digit();
    // Colons make a number to the base 60; more than one dot makes none.
    all(exponent, is_digit)
        && mantissa.matches('.').count() <= 1
        && mantissa.chars().any(is_digit)
        && mantissa
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '_' | '.' | ':'))
}

fn is_date(text: &str) -> bool {
    let digits_at_most = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let (day, time) = rest.split_once(['T', 't', ' ', '\t']).unwrap_or((rest, ""));
    year.len() == 4
        && digits_at_most(year, 4)
        && digits_at_most(month, 2)
        && digits_at_most(day, 2)
        && (time.is_empty() || time.starts_with(|c: char| c.is_ascii_digit() || c == ' '))
}

/// Appends `text` in double quotes such that every YAML reader gets exactly this text. Invisible
/// characters are escaped.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_hard_to_see(c) => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Returns whether a character is not a control character and yet invisible, looks like a space, or
/// only changes how its neighbours look.
pub fn is_hard_to_see(c: char) -> bool {
    if c.is_ascii() {
        return false;
    }
    let is_blank = c.is_whitespace() || c == '\u{2800}';
    let is_of_music = matches!(c, '\u{1d173}'..='\u{1d17a}');
    is_blank || is_of_music || (is_unfit(c) && !c.is_control())
}
