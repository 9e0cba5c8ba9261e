//! How the key of a recipient is shown: in characters that every terminal can show,
//! and to people who decide about it so that no other key looks like it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::recipient_key;

/// A key that is not longer is shown whole; only post-quantum keys and those of some
/// plugins are.
const MAX_WHOLE_CHARS: usize = 128;
/// A comment is for people: more than this tells them nothing.
const MAX_COMMENT_CHARS: usize = 24;

/// The beginning and end of a recipient's key, which are enough to recognise it, in
/// characters that every terminal can show.
pub fn shortened(key: &str) -> String {
    let key = visible(key);
    let last = key.rsplit(' ').next().unwrap_or(&key);
    let kind = key.strip_suffix(last).unwrap_or_default();
    match (
        last.get(..8),
        last.len().checked_sub(6).and_then(|at| last.get(at..)),
    ) {
        (Some(start), Some(end)) if last.len() > 20 => format!("{kind}{start}…{end}"),
        _ => key,
    }
}

/// The configuration is foreign text to whoever checks it: what could steer a terminal is
/// shown as a question mark.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == ' ' || c.is_ascii_graphic() {
                c
            } else {
                '?'
            }
        })
        .collect()
}

/// A recipient for people who decide about it: its key so that no other key looks like
/// it, since beginning and end of one can be chosen, and its comment, which anybody can
/// write. An ssh key is shown as `ssh-keygen -l` does.
pub fn identified(text: &str) -> (String, Option<String>) {
    let key = recipient_key(text);
    let blob = key
        .split_once(' ')
        .map(|(kind, blob)| (kind, STANDARD.decode(blob)));
    let shown = match blob {
        Some((kind, Ok(blob))) if kind.starts_with("ssh-") => {
            format!("{kind} {}", digest(&blob))
        }
        None if key.len() > MAX_WHOLE_CHARS => {
            format!("{} {}", shortened(&key), digest(key.as_bytes()))
        }
        _ => visible(&key),
    };
    (shown, comment(text))
}

/// As `ssh-keygen` writes it.
fn digest(bytes: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(bytes)))
}

/// What stands behind an ssh key, in characters that every terminal can show.
pub(super) fn comment(text: &str) -> Option<String> {
    if !text.starts_with("ssh-") {
        return None;
    }
    let words: Vec<&str> = text.split_ascii_whitespace().skip(2).collect();
    let shown: String = visible(&words.join(" "))
        .chars()
        .take(MAX_COMMENT_CHARS)
        .collect();
    Some(shown).filter(|shown| !shown.is_empty())
}
