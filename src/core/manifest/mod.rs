//! The manifest: the password of each endpoint of each job.

mod read;
mod seal;
#[cfg(test)]
pub mod tests;
mod value;

use std::sync::Arc;

use jiff::Timestamp;

use super::fingerprint::{Field, FingerprintKey, Scope};
use super::job::{EntryKey, JobId};
use super::place::{MovedFrom, SealedPlace};
use super::problem::Checked;
use super::secret::Secret;
use super::state::Lineage;
use super::yaml;

pub use read::is_name;
pub use seal::{seal, skeleton};
pub use value::check_value;

/// The largest single value, in bytes. Longer ones are refused, never cut.
pub const MAX_VALUE_BYTES: usize = 128 * 1024;

#[derive(Debug)]
pub struct Manifest {
    /// Binds the document to its readers, its service and its project. Absent only in a document
    /// that was not encrypted yet.
    pub sealed: Option<Sealed>,
    credentials: Vec<Credential>,
    jobs: Vec<Job>,
    assignments: Vec<Assignment>,
}

/// The part of the document that only drspass writes (design section 2.2, "What sealing buys").
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Proves that a reader wrote this manifest.
    pub fingerprint_key: FingerprintKey,
    /// The only service and project that the passwords may be sent to.
    pub scope: Scope,
    /// The only identity service for the login.
    pub auth_url: String,
    pub recipients: Vec<String>,
    pub state: SealedPlace,
    /// Someone may still write there.
    pub moved_from: Option<MovedFrom>,
    /// Whether an index is written next to the manifest.
    pub index: bool,
    pub revision: u64,
    pub written: Timestamp,
    /// What the last rekey replaced, until the state is written with the manifest's own key.
    pub former: Option<Former>,
}

/// A replaced key, and the very state that was made with it.
#[derive(Clone, Debug)]
pub struct Former {
    pub fingerprint_key: FingerprintKey,
    pub lineage: Lineage,
    pub serial: u64,
    /// SHA-256 of the state file, in lower-case hexadecimal digits.
    pub state_sha256: String,
}

/// Keys are compared by their ids.
impl PartialEq for Former {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint_key.id() == other.fingerprint_key.id()
            && (&self.lineage, self.serial) == (&other.lineage, other.serial)
            && self.state_sha256 == other.state_sha256
    }
}

impl Sealed {
    pub fn written(&self) -> String {
        to_the_second(self.written)
    }
}

fn to_the_second(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Returns whether a text is a time as it is written in a manifest.
pub fn is_written(text: &str) -> bool {
    let time = text.parse::<Timestamp>();
    time.is_ok_and(|time| to_the_second(time) == text)
}

/// A database account that the document defines, used or not.
#[derive(Debug)]
pub struct Credential {
    pub name: Arc<str>,
    pub password: Arc<Secret>,
}

#[derive(Debug)]
pub struct Job {
    pub id: JobId,
    /// Unique in this manifest and never shaped like an id.
    pub name: Option<Box<str>>,
}

#[derive(Debug)]
pub struct Assignment {
    pub key: EntryKey,
    /// As shown: the job's name, or else its id, a slash, the endpoint.
    pub label: String,
    /// Shared by all endpoints of one credential.
    pub password: Arc<Secret>,
    pub credential: Option<Arc<str>>,
    /// Those that are set, in the order of [`Field::KERBEROS`].
    pub kerberos: Vec<(Field, Secret)>,
}

impl Assignment {
    /// The job's name, or else its id.
    pub fn job_label(&self) -> &str {
        self.label
            .rsplit_once('/')
            .map_or(&self.label, |(job, _)| job)
    }

    /// Returns every field with its value: the password, then kerberos.
    pub fn values(&self) -> impl Iterator<Item = (Field, &Secret)> {
        std::iter::once((Field::Password, self.password.as_ref()))
            .chain(self.kerberos.iter().map(|(field, value)| (*field, value)))
    }

    /// Returns the most bytes that it takes in a request. This reveals the length of secrets, so it
    /// only sizes batches and is never shown.
    pub fn max_json_bytes(&self) -> usize {
        // Names, punctuation and the job's id together take less than this.
        const FRAME_BYTES: usize = 512;
        FRAME_BYTES
            + self
                .values()
                .map(|(_, value)| value.max_json_bytes())
                .sum::<usize>()
    }

    /// Returns its key and size, as [`super::batch::split`] needs them.
    pub fn batch_item(&self) -> (EntryKey, usize) {
        (self.key.clone(), self.max_json_bytes())
    }
}

impl Manifest {
    /// Returns every listed endpoint with its values: jobs in the order of the document, a job's
    /// source before its destination.
    pub fn assignments(&self) -> &[Assignment] {
        &self.assignments
    }

    pub fn credentials(&self) -> &[Credential] {
        &self.credentials
    }

    /// Returns all jobs in the order of the document, including those without an endpoint.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }
}

/// Whether a document must have its `sealed` part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// It was decrypted: only a sealed manifest is valid.
    Required,
    /// It is about to be encrypted: drspass will seal it.
    Optional,
}

/// Parses a manifest and reports all its problems at once, in the order of the text.
pub fn parse(text: &str, sealing: Sealing) -> Checked<Manifest> {
    yaml::read(text, |root| read::manifest(root, sealing))
}
