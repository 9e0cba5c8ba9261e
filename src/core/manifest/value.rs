//! Secret values: how they must be written, what is refused, and what is accepted with a warning.
//! Nothing here trims or changes a value, and no problem reveals its text or its length.

use std::fmt::Write as _;
use std::mem;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::MAX_VALUE_BYTES;
use crate::core::fingerprint::Field;
use crate::core::problem::{Problem, Words};
use crate::core::secret::Secret;
use crate::core::yaml::{Cursor, is_hard_to_see, reads_as_other_type};

/// How many invisible characters are listed for one value.
const MAX_LISTED: usize = 8;

/// Characters that mask a secret or take its place.
const SIGNS: [char; 8] = ['*', '•', '●', '.', '…', '_', '-', '?'];

/// Words that take the place of a secret, in brackets or not; a space is also a `_` or `-`.
const PLACEHOLDERS: &[&str] = &[
    "changeme",
    "change me",
    "replaceme",
    "replace me",
    "todo",
    "fixme",
    "tbd",
    "placeholder",
    "yourpassword",
    "your password",
    "redacted",
    "sensitive",
    "sensitive value",
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    Line,
    /// A text file, which has line breaks and may end in one.
    File,
    /// A binary file as base64 text, sent without its line breaks and spaces.
    Base64,
}

impl SecretKind {
    pub const fn of(field: Field) -> Self {
        match field {
            Field::Krb5ConfFile => Self::File,
            Field::KeyTabFile => Self::Base64,
            Field::Password | Field::DomainName | Field::UserPrincipal => Self::Line,
        }
    }
}

/// Where a value is written, which decides how it can be fixed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ValueSource {
    Manifest,
    /// Typed, in a file of its own, or in a file of many values.
    Outside,
}

/// Checks a value from outside before it is written to the manifest. Returns warnings, or why it is
/// refused.
pub fn check_value(field: Field, value: &Secret) -> Result<Vec<Problem>, Problem> {
    let kind = SecretKind::of(field);
    let text = as_sent(Zeroizing::new(value.expose().to_owned()), kind);
    if let Some(problem) = refusal(&text, kind, ValueSource::Outside) {
        return Err(problem);
    }
    let mut remarks = remarks(&text, kind);
    if kind == SecretKind::Line && is_in_quotes(&text) {
        let what = "starts and ends with the same quote";
        let help = "The quotes are sent as part of it; remove them if they are not intended.";
        remarks.push(Problem::warning("", None, what, help));
    }
    Ok(remarks)
}

/// Returns a text as it is sent: base64 may be folded over lines.
fn as_sent(mut text: Zeroizing<String>, kind: SecretKind) -> Zeroizing<String> {
    if kind == SecretKind::Base64 {
        text.retain(|c| !c.is_ascii_whitespace());
    }
    text
}

/// Returns whether quotes may have been meant for YAML or a shell, neither of which reads them.
fn is_in_quotes(text: &str) -> bool {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    ['\'', '"'].into_iter().any(|quote| inner(quote).is_some())
}

pub fn secret(value: &Cursor<'_, '_>, kind: SecretKind) -> Option<Secret> {
    let Some(text) = value.node.scalar() else {
        value.wrong_kind("is not a string", "Write one string, in quotes.");
        return None;
    };
    if value.node.is_plain() {
        let (what, help) = plain(value, text);
        value.error(what, help);
        return None;
    }
    let mut text = as_sent(Zeroizing::new(text.to_owned()), kind);
    if let Some(problem) = refusal(&text, kind, ValueSource::Manifest) {
        value.error(problem.what, problem.help);
        return None;
    }
    for Problem { what, help, .. } in remarks(&text, kind) {
        value.warning(value.node, what, help);
    }
    Some(Secret::new(mem::take(&mut *text)))
}

/// Returns why a value without quotes is refused: other readers see something else.
fn plain(value: &Cursor<'_, '_>, text: &str) -> (&'static str, &'static str) {
    const HELP: &str = "Quote it, so that every reader sees exactly what is written.";
    let after = value.document().get(value.node.end()..).unwrap_or_default();
    // The position of an absent value is that of the colon before it.
    let is_followed_by_comment = after.trim_start_matches([':', ' ', '\t']).starts_with('#');
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let what = if is_followed_by_comment {
        return (
            "is unquoted and followed by a comment",
            "Quote the whole value if the `#` belongs to it.",
        );
    } else if value.node.is_null() {
        return (
            "has no value",
            "Write the value in quotes; remove the key if there is none.",
        );
    } else if digits && text.starts_with('0') && text.len() > 1 {
        "is an unquoted number, which loses its leading zero"
    } else if reads_as_other_type(text) {
        "is unquoted and can be read as a number, a date or a boolean"
    } else {
        "is unquoted"
    };
    (what, HELP)
}

fn refusal(text: &str, kind: SecretKind, origin: ValueSource) -> Option<Problem> {
    // Advice to quote would put quotes around a value that is sent as it is.
    let help = |manifest, outside| match origin {
        ValueSource::Manifest => manifest,
        ValueSource::Outside => outside,
    };
    let (what, help): (Words, _) = if text.is_empty() {
        let help = help("Write the value in quotes.", "Provide the value itself.");
        ("is empty".into(), help)
    } else if text.len() > MAX_VALUE_BYTES {
        let what = format!("is longer than {} KiB", MAX_VALUE_BYTES / 1024);
        let help = "Shorten it; values are never cut.";
        (what.into(), help)
    } else if let Some(place) = text.chars().position(|c| c == '\0') {
        let what = format!("contains a NUL character at character {}", place + 1);
        (what.into(), "Remove it: databases end a string there.")
    } else if is_placeholder(text.trim()) {
        let help = help("Write the real value in quotes.", "Provide the real value.");
        ("is a placeholder".into(), help)
    } else if kind != SecretKind::File && text.ends_with(['\n', '\r']) {
        let manifest = "Use `|-` instead of `|`, or quotes.";
        let help = help(manifest, "Remove the line breaks at its end.");
        ("ends with a line break".into(), help)
    } else if kind == SecretKind::Base64 && STANDARD.decode(text).map(Zeroizing::new).is_err() {
        // The decoded bytes are a keytab, so they are wiped too.
        let help = "Write the file's base64 text, as `base64 FILE` prints it.";
        ("is not valid base64".into(), help)
    } else {
        return None;
    };
    Some(Problem::error("", None, what, help))
}

/// Returns whether a text only takes the place of a secret, as in templates.
fn is_placeholder(text: &str) -> bool {
    let text = text.trim_matches(['"', '\'']);
    let is_sign = |c: char| SIGNS.contains(&c);
    let is_run = text.chars().all(|c| c == ' ' || is_sign(c)) && text.contains(is_sign);
    let is_masked =
        text.bytes().all(|b| matches!(b, b'x' | b'X')) && (3..=64).contains(&text.len());
    let is_named = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'))
        .is_some_and(|name| {
            let fits = |c: char| !c.is_ascii() || c.is_ascii_alphabetic();
            name.contains(fits)
                && name
                    .chars()
                    .all(|c| fits(c) || matches!(c, ' ' | '_' | '-'))
        });
    let bare = text.trim_matches(['[', ']', '(', ')', '{', '}', '<', '>', ' ']);
    let spelt = |c| match c {
        '_' | '-' => ' ',
        c => c.to_ascii_lowercase(),
    };
    // Nearly all of 100,000 values have another length.
    let is_word =
        |word: &&str| word.len() == bare.len() && word.chars().eq(bare.chars().map(spelt));
    is_run || is_masked || is_named || PLACEHOLDERS.iter().any(is_word)
}

/// Warns of characters that an editor or a copy may have added unnoticed.
fn remarks(text: &str, kind: SecretKind) -> Vec<Problem> {
    let is_ordinary = |b: u8| b.is_ascii_graphic() || b == b' ';
    let mut remarks = Vec::new();
    let mut remark = |what: Words, help: &'static str| {
        remarks.push(Problem::warning("", None, what, help));
    };
    let blank = |c: Option<char>| match c {
        Some(' ') => Some("a space"),
        Some('\t') => Some("a tab"),
        _ => None,
    };
    let outer = match (blank(text.chars().next()), blank(text.chars().next_back())) {
        (Some(first), Some(last)) => Some(format!("starts with {first} and ends with {last}")),
        (Some(first), None) => Some(format!("starts with {first}")),
        (None, last) => last.map(|last| format!("ends with {last}")),
    };
    if let Some(outer) = outer.filter(|_| kind != SecretKind::File) {
        let what = format!("{outer}, which is sent as part of it");
        remark(what.into(), "Remove it if it is not intended.");
    }
    if text.bytes().all(is_ordinary) {
        return remarks;
    }
    if let Some(list) = list_unseen(text, kind) {
        let what = format!("contains invisible characters: {list}");
        let help = "They are sent as part of it; remove them if they are not intended.";
        remark(what.into(), help);
    }
    if text.chars().any(|c| !c.is_ascii() && !is_unseen(c, kind)) {
        let what = "contains characters outside ASCII";
        let help = "It is sent as written; composed and decomposed letters differ.";
        remark(what.into(), help);
    }
    remarks
}

fn is_unseen(c: char, kind: SecretKind) -> bool {
    match c {
        '\n' | '\r' | '\t' => kind != SecretKind::File,
        c => c.is_control() || is_hard_to_see(c),
    }
}

/// Lists the code points and positions of invisible characters. One at the end is only said to be
/// there, since its position would reveal the length.
fn list_unseen(text: &str, kind: SecretKind) -> Option<String> {
    let visible_end = text.trim_end_matches(|c| is_unseen(c, kind)).len();
    let mut list = String::new();
    let mut listed = 0;
    for (place, (byte, c)) in text.char_indices().enumerate() {
        if !is_unseen(c, kind) {
            continue;
        }
        if listed == MAX_LISTED {
            list.push_str(", and more");
            break;
        }
        let comma = if listed == 0 { "" } else { ", " };
        listed += 1;
        // Writing to a string does not fail.
        let _ = write!(list, "{comma}U+{:04X}", u32::from(c));
        let _ = if byte >= visible_end {
            write!(list, " at the end")
        } else {
            write!(list, " at character {}", place + 1)
        };
    }
    (listed > 0).then_some(list)
}
