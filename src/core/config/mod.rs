//! drspass.yaml: the service and project, who can decrypt the manifest, and how passwords are sent
//! (design section 2.1).

mod excerpt;
mod read;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::place::Place;
use super::problem::Checked;
use super::yaml::{self, quote};

pub const DEFAULT_MANIFEST: &str = "passwords.yaml.age";
pub const DEFAULT_STATE: &str = "drspass.state.json";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Relative to the directory of drspass.yaml, which it cannot leave by name.
    pub manifest: PathBuf,
    /// A file is relative like the manifest.
    pub state: Place,
    /// As written.
    pub recipients: Vec<String>,
    pub target: TargetConfig,
    /// The only entry of clouds.yaml that credentials may come from.
    pub credentials_from: Option<String>,
    pub apply: ApplyConfig,
    pub limits: Limits,
}

/// The service and project that passwords are sent to: literal values, so that the environment of a
/// run cannot redirect them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetConfig {
    /// Gives the addresses that are not set.
    pub region: Option<String>,
    pub project_id: String,
    pub endpoint: Option<String>,
    pub auth_url: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyConfig {
    /// The most entries in one request, 1 to 100.
    pub batch_size: usize,
    /// The most requests at a time, 1 to 32.
    pub parallelism: usize,
    pub request_timeout: Duration,
    /// How long throttled and busy requests are retried.
    pub retry_max_elapsed: Duration,
}

impl Default for ApplyConfig {
    fn default() -> Self {
        Self {
            batch_size: 10,
            parallelism: 4,
            request_timeout: Duration::from_secs(60),
            retry_max_elapsed: Duration::from_secs(300),
        }
    }
}

/// How much one apply may change; absent means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub max_changes: Option<u64>,
    pub max_changed_share: Option<Percent>,
}

/// A share in whole percent, 0 to 100, written like `20%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    pub fn get(self) -> u8 {
        self.0
    }

    /// Returns whether `part` of `whole` is at most this share; a share of nothing is.
    pub fn covers(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 100 <= u128::from(whole) * u128::from(self.0)
    }
}

/// Parses drspass.yaml and reports all its problems at once, in the order of the text.
pub fn parse(text: &str) -> Checked<Config> {
    let mut checked = yaml::read(text, read::config);
    excerpt::attach(text, &mut checked.problems);
    checked
}

/// Returns whether a text can be a project id. It becomes part of every request's path, so nothing
/// that could change the path is accepted (design section 2.1).
pub fn is_project_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}

/// A first check of a service's address; which hosts are trusted is decided where it is used.
pub fn is_address(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let fits = |b: u8| b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'<' | b'>' | b'@');
    host.is_some_and(|host| !host.is_empty() && !host.starts_with('/') && host.bytes().all(fits))
}

/// Returns the service's address without the version and project that a catalogue appends; `None`
/// if it has another path (design section 2.1).
pub fn bare_endpoint<'t>(text: &'t str, project_id: &str) -> Option<&'t str> {
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

/// Returns whether a text looks like a variable that its writer expected to be expanded.
pub fn is_to_be_expanded(text: &str) -> bool {
    text.contains('$') || text.contains("{{")
}

/// Returns the path of a manifest's index: `passwords.index.yaml` for `passwords.yaml.age`.
pub fn index_path(manifest: &Path) -> PathBuf {
    let text = manifest.to_string_lossy();
    let stem = text.strip_suffix(".age").unwrap_or(&text);
    let stem = stem.strip_suffix(".yaml").unwrap_or(stem);
    format!("{stem}.index.yaml").into()
}

/// Parses a whole number with a unit (ms, s, m, h), above zero and at most a day.
pub fn duration(text: &str) -> Option<Duration> {
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

pub fn percent(text: &str) -> Option<Percent> {
    let digits = text.strip_suffix('%')?;
    let is_number = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u8 = digits.parse().ok().filter(|_| is_number)?;
    (number <= 100).then_some(Percent(number))
}

/// Returns a new drspass.yaml for `init`: given values are quoted, defaults are in comments.
pub fn template(target: &TargetConfig, recipients: &[String], state: &Place) -> String {
    let mut out = String::from(
        "# Where drspass sends passwords, and who can decrypt them. This file has no secrets.\n\
         version: 1\n\n",
    );
    line(&mut out, "manifest: ", Some(DEFAULT_MANIFEST));
    line(&mut out, "state: ", Some(&state.to_string()));
    out.push_str(
        "\n# Who can decrypt the manifest: age1..., ssh-ed25519 or ssh-rsa public keys.\n\
         # The list is sealed in the manifest; after a change run 'drspass rekey'.\n\
         recipients:\n",
    );
    for recipient in recipients {
        line(&mut out, "  - ", Some(recipient));
    }
    out.push_str("\n# Literal values, which must match those sealed in the manifest.\ntarget:\n");
    line(&mut out, "  region: ", target.region.as_deref());
    line(&mut out, "  project_id: ", Some(&target.project_id));
    line(&mut out, "  endpoint: ", target.endpoint.as_deref());
    line(&mut out, "  auth_url: ", target.auth_url.as_deref());
    out.push_str(
        "
# How an apply sends; these are the defaults.
# apply:
#   batch_size: 10
#   parallelism: 4
#   request_timeout: 60s
#   retry:
#     max_elapsed: 5m

# There are no limits unless set here. An apply that changes more is refused;
# --override-limits N accepts exactly N changes.
# limits:
#   max_changes: 100
#   max_changed_share: 20%
",
    );
    out
}

/// Returns the text of a drspass.yaml with another place of the state; all else is unchanged.
/// `None` if its layout does not allow that.
pub fn with_state(text: &str, place: &Place) -> Option<String> {
    let (mark, document) = yaml::split_mark(text);
    let there = yaml::read(document, read::state_bytes).value?;
    let mut new = String::new();
    quote(&place.to_string(), &mut new);
    let mut out = mark.to_owned();
    match there {
        Some(bytes) => {
            let end = bytes.start + document[bytes.clone()].trim_end().len();
            out.extend([&document[..bytes.start], &new, &document[end..]]);
        }
        None => {
            let line_end = if document.ends_with('\n') { "" } else { "\n" };
            out.extend([document, line_end, "state: ", &new, "\n"]);
        }
    }
    let written = parse(yaml::split_mark(&out).1).value?;
    (written.state == *place).then_some(out)
}

fn line(out: &mut String, start: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.push_str(start);
        quote(value, out);
        out.push('\n');
    }
}
