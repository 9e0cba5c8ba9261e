//! What plain scalars mean to other YAML readers, and how a text is written so
//! that it means the same to all of them.

use std::fmt::Write as _;

/// Words that YAML 1.1 or 1.2 resolves to something other than a text.
const WORDS: &[&str] = &[
    "", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "=", "<<", "nan", ".nan",
    "inf", ".inf", "+.inf", "-.inf", "+inf", "-inf",
];

/// Whether the text of a plain scalar is null in every YAML version.
pub(crate) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Whether the text of a plain scalar is a number, a boolean, null, a date or a
/// number to the base 60 for any reader of YAML 1.1 or 1.2. `72904e81` and
/// `1e400` are numbers; `25df459d-a37c-41b9-bc2b-8c00ba32jb52` is a text.
pub(crate) fn reads_as_other_type(text: &str) -> bool {
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

/// Appends `text` in double quotes, so that every YAML reader gets exactly this
/// text. What cannot be seen is escaped.
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

/// Whether a character is not a control character and yet leaves no mark, looks
/// like a blank, or changes only how its neighbours look.
pub(crate) fn is_hard_to_see(c: char) -> bool {
    if c.is_ascii() {
        return false;
    }
    c.is_whitespace()
        || matches!(u32::from(c),
            0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0x2800 | 0x3164
            | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb
            | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}
