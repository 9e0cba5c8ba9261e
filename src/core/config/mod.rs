//! drspass.yaml: which service and project, to whom the manifest is encrypted,
//! and how it is sent (design section 2.1).
//!
//! It owns the meaning of the plain configuration: every problem is found in
//! one reading, and values are taken literally. It refuses to open files, to
//! read the environment, and to repeat values in a problem.

mod read;
mod template;
#[cfg(test)]
mod tests;
mod value;

use std::path::Path;
use std::time::Duration;

use super::problem::Checked;
use super::yaml::Reader;

pub use template::template;
pub(crate) use value::{bare_endpoint, is_address, is_project_id};

/// The manifest's file when the configuration names none.
pub const DEFAULT_MANIFEST: &str = "passwords.yaml.age";
/// The state's file when the configuration names none.
pub const DEFAULT_STATE: &str = "drspass.state.json";

/// What drspass.yaml says, defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The encrypted manifest.
    pub manifest: PathText,
    /// The state.
    pub state: PathText,
    /// To whom the manifest is encrypted, as written.
    pub recipients: Vec<String>,
    /// The service and project.
    pub target: TargetConfig,
    /// The entry of clouds.yaml that credentials come from, and nothing else.
    pub credentials_from: Option<String>,
    /// How an apply sends.
    pub apply: ApplyConfig,
    /// How much may change without further approval.
    pub limits: Limits,
}

/// A path relative to the folder of drspass.yaml that cannot leave it by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathText(String);

impl PathText {
    /// The path as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its last part.
    fn file_name(&self) -> &str {
        self.0.rsplit(['/', '\\']).next().unwrap_or_default()
    }

    /// The path for use with the file system.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

/// The service and project that passwords are for: literal values, since the
/// environment of a run must not redirect them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetConfig {
    /// The region, from which the addresses follow where none is given.
    pub region: Option<String>,
    /// The project's id.
    pub project_id: String,
    /// The address of the DRS service.
    pub endpoint: Option<String>,
    /// The address of the identity service.
    pub auth_url: Option<String>,
}

/// How an apply sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyConfig {
    /// The most entries in one request, 1 to 100.
    pub batch_size: usize,
    /// The most requests at a time, 1 to 32.
    pub parallelism: usize,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How long throttled and busy answers are tried again.
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
    /// The most entries.
    pub max_changes: Option<u64>,
    /// The largest share of all entries.
    pub max_changed_share: Option<Percent>,
}

/// A share in whole percent, 0 to 100, written like `20%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// Whole percent, 0 to 100.
    pub fn get(self) -> u8 {
        self.0
    }

    /// Whether `part` of `whole` is at most this share; of nothing, it is.
    pub fn covers(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 100 <= u128::from(whole) * u128::from(self.0)
    }
}

/// Reads the text of drspass.yaml and finds all its problems at once, in the
/// order of the text.
pub fn parse(text: &str) -> Checked<Config> {
    let mut yaml = Reader::new(text);
    let config = read::config(&mut yaml);
    yaml.finish(config)
}
