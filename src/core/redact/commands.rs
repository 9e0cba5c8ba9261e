//! Disarms the commands that CI runners execute from a log.
//!
//! GitHub executes lines that begin with `::command` and, like Azure, `##[command]` and
//! `##vso[command]` anywhere; GitLab executes `section_start:` and `section_end:`. Any of them may
//! be in a path, a comment or a name that someone else wrote, so whole texts are cleaned where they
//! are written, not word by word.

use std::borrow::Cow;

use super::is_unfit;

/// Returns the text without commands, and without characters that move or hide others except line
/// breaks, tabs and, if `has_colours`, the colours of drspass.
pub fn for_log(text: &str, has_colours: bool) -> Cow<'_, str> {
    let disarmed = disarmed(text, |c| c.escape_unicode().to_string());
    let is_plain = |b: u8| matches!(b, b'\n' | b'\t' | b' '..=b'~');
    if disarmed.bytes().all(is_plain) {
        return disarmed;
    }
    let mut cleaned = String::with_capacity(disarmed.len());
    let mut rest = &*disarmed;
    while let Some(c) = rest.chars().next() {
        if has_colours && let Some(colour) = colour(rest) {
            cleaned.push_str(colour);
            rest = &rest[colour.len()..];
            continue;
        }
        if is_unfit(c) && !matches!(c, '\n' | '\t') {
            cleaned.extend(c.escape_default());
        } else {
            cleaned.push(c);
        }
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(cleaned)
}

/// Returns an equivalent JSON document without commands in its strings.
pub fn in_json(document: &str) -> Cow<'_, str> {
    disarmed(document, |c| format!("\\u{:04x}", u32::from(c)))
}

/// Returns the colour's escape sequence that `text` begins with.
fn colour(text: &str) -> Option<&str> {
    let number = text.strip_prefix("\u{1b}[")?;
    let end = number.find(|c: char| !c.is_ascii_digit())?;
    (end <= 2 && number[end..].starts_with('m')).then(|| &text[..end + 3])
}

/// Returns `text` with one character of every command written by `escape`.
pub fn disarmed(text: &str, escape: fn(char) -> String) -> Cow<'_, str> {
    if !["##", "::", "section_"]
        .iter()
        .any(|sign| text.contains(sign))
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '-');
    let mut last = ' ';
    for word in text.split_inclusive(|c| !is_inside(c)) {
        let name = word.trim_end_matches(|c| !is_inside(c));
        let keeps_colons = is_code(name) || is_address(name);
        for (at, c) in word.char_indices() {
            let is_sign = match c {
                '#' => last == '#',
                ':' => last == ':' && !keeps_colons,
                '_' => {
                    let after = &word[at + 1..];
                    word[..at].ends_with("section")
                        && (after.starts_with("start") || after.starts_with("end"))
                }
                _ => false,
            };
            if is_sign {
                out.push_str(&escape(c));
            } else {
                out.push(c);
            }
            last = c;
        }
    }
    Cow::Owned(out)
}

/// Returns whether a word is a code of drspass, which contains colons.
fn is_code(word: &str) -> bool {
    word.strip_prefix("drspass::").is_some_and(|rest| {
        rest.bytes()
            .all(|b| b.is_ascii_lowercase() || matches!(b, b':' | b'_' | b'.'))
    })
}

/// Returns whether a word may be an IPv6 address; the name of a command never is.
fn is_address(word: &str) -> bool {
    word.contains(|c: char| c.is_ascii_hexdigit())
        && word
            .bytes()
            .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_runner_obeys_is_written_so_that_it_does_not() {
        for (text, expected) in [
            ("::error title=x::by", r":\u{3a}error title=x:\u{3a}by"),
            ("a ##[group]b ###", r"a #\u{23}[group]b #\u{23}\u{23}"),
            ("##vso[task.complete]", r"#\u{23}vso[task.complete]"),
            (
                "section_start:0:x\r\u{1b}[0K",
                r"section\u{5f}start:0:x\r\u{1b}[0K",
            ),
            ("x section_end:1:x", r"x section\u{5f}end:1:x"),
            ("  \u{1b}[31m!\u{1b}[0m a", r"  \u{1b}[31m!\u{1b}[0m a"),
            ("a\u{202e}b\u{200b}", r"a\u{202e}b\u{200b}"),
            (
                "code: drspass::state::locked\nat http://[::1]:80 or fe80::1%eth0",
                "code: drspass::state::locked\nat http://[::1]:80 or fe80::1%eth0",
            ),
            ("a: b # c\té …", "a: b # c\té …"),
            ("drspass::Error::x", r"drspass:\u{3a}Error:\u{3a}x"),
        ] {
            assert_eq!(for_log(text, false), expected);
        }
        let coloured = "  \u{1b}[31m!\u{1b}[0m a";
        assert_eq!(for_log(coloured, true), coloured);
        assert_eq!(for_log("\u{1b}[2J\u{1b}[31", true), r"\u{1b}[2J\u{1b}[31");
    }

    #[test]
    fn a_document_means_the_same_afterwards() {
        let value = serde_json::json!({ "x::y": ["##[x]", "section_start", "\r::", "[::1]"] });
        let text = in_json(&value.to_string()).into_owned();
        for sign in ["##", "\"::", "r::", "x::", "section_start"] {
            assert!(!text.contains(sign), "{text}");
        }
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, value);
    }
}
