//! Readers of values of options.

use std::time::Duration;

use crate::authoring::generate;
use crate::core::fingerprint::KeyId;
use crate::core::fingerprint::change::{ChangeId, is_digest};

/// What an id is.
const ID: &str = "64 lower-case hexadecimal digits";
/// What the id of a key is.
const KEY_ID: &str = "32 lower-case hexadecimal digits";
/// What a time is.
const LIFE: &str = "a whole number with s, m, h or d, at most 30d";
/// What a length is.
const LENGTH: &str = "a whole number from 8 to 128";

/// What is said of a value that is not taken. It holds nothing of the value, so it may
/// be repeated.
pub(in crate::cli) const REASONS: [&str; 4] = [ID, KEY_ID, LIFE, LENGTH];

pub(super) fn plan_id(text: &str) -> Result<String, &'static str> {
    is_digest(text).then(|| text.to_owned()).ok_or(ID)
}

pub(super) fn change_id(text: &str) -> Result<ChangeId, &'static str> {
    ChangeId::parse(text).ok_or(ID)
}

pub(super) fn key_id(text: &str) -> Result<KeyId, &'static str> {
    KeyId::parse(text).ok_or(KEY_ID)
}

/// A whole number and one of the units s, m, h, d; at most 30 days.
pub(super) fn life(text: &str) -> Result<Duration, &'static str> {
    const DAY: u64 = 24 * 60 * 60;
    let parse = || {
        let at = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(at);
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => DAY,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(seconds)
    };
    match parse() {
        Some(seconds) if (1..=30 * DAY).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(LIFE),
    }
}

pub(super) fn length(text: &str) -> Result<usize, &'static str> {
    text.parse()
        .ok()
        .filter(|length| (generate::MIN_LENGTH..=generate::MAX_LENGTH).contains(length))
        .ok_or(LENGTH)
}
