//! Rules for single values of the configuration. Each gives nothing for a value
//! that breaks it; the words about it stand where it is read.

use std::time::Duration;

use super::{PathText, Percent};
use crate::core::redact::is_unfit;

/// The project's id stands in the path of every request, so nothing that could
/// change the path is taken (design section 2.1).
pub(crate) fn is_project_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}

/// A first look at the address of a service; which hosts are trusted is decided
/// where it is used.
pub(crate) fn is_address(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let fits = |b: u8| b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'<' | b'>' | b'@');
    host.is_some_and(|host| !host.is_empty() && !host.starts_with('/') && host.bytes().all(fits))
}

/// The address of the service without the version and the project that a catalogue
/// puts behind it; nothing if another path is there (design section 2.1).
pub(crate) fn bare_endpoint<'t>(text: &'t str, project_id: &str) -> Option<&'t str> {
    let text = text.trim_end_matches('/');
    let bare = text
        .strip_suffix(project_id)
        .and_then(|text| text.strip_suffix("/v3/"))
        .or_else(|| text.strip_suffix("/v3"))
        .unwrap_or(text)
        .trim_end_matches('/');
    let (_, host) = bare.split_once("://")?;
    (!host.contains('/')).then_some(bare)
}

/// Whether a value looks as if its writer expected it to be filled in.
pub(super) fn is_to_be_expanded(text: &str) -> bool {
    text.contains('$') || text.contains("{{")
}

pub(super) fn is_region(text: &str) -> bool {
    is_project_id(text)
}

/// Why a path is not taken.
pub(super) fn path(text: &str) -> Result<PathText, &'static str> {
    if text.chars().any(is_unfit) {
        return Err("contains a control or an invisible character");
    }
    if text.trim() != text {
        return Err("begins or ends with a blank");
    }
    let is_drive = text.as_bytes().get(1) == Some(&b':');
    if text.starts_with(['/', '\\', '~']) || is_drive {
        return Err("is not relative to the folder of the configuration");
    }
    let parts = || text.split(['/', '\\']);
    if parts().any(|part| part == "..") {
        return Err("leaves the folder of the configuration");
    }
    if parts().any(|part| part.eq_ignore_ascii_case(".git")) {
        return Err("leads into the repository's own folder");
    }
    match parts().next_back() {
        None | Some("" | ".") => Err("does not name a file"),
        Some(_) => Ok(PathText(text.to_owned())),
    }
}

/// As [`path`], for the state. Its siblings (`.lock`, `.backup` and others) are
/// written without asking, so it must not share a name with something else: with
/// `poetry` as the state, `poetry.lock` would be overwritten.
pub(super) fn state_path(text: &str) -> Result<PathText, &'static str> {
    let path = path(text)?;
    let is_lock_owner = ["package.json", "composer.json"].contains(&path.file_name());
    if path.file_name().ends_with(".json") && !is_lock_owner {
        Ok(path)
    } else {
        Err("is not a name for a state")
    }
}

/// A whole number and one of the units ms, s, m, h; more than nothing and at
/// most a day.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return None,
    };
    let duration = Duration::from_millis(number.checked_mul(milliseconds)?);
    (duration > Duration::ZERO && duration <= Duration::from_secs(24 * 60 * 60)).then_some(duration)
}

/// A whole number up to 100 and a percent sign.
pub(super) fn percent(text: &str) -> Option<Percent> {
    let digits = text.strip_suffix('%')?;
    let is_number = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u8 = digits.parse().ok().filter(|_| is_number)?;
    (number <= 100).then_some(Percent(number))
}
