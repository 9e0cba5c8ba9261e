//! The manifest: which password each endpoint of each job shall have.

mod read;
mod seal;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::fingerprint::{Field, FingerprintKey, Scope};
use super::job::{EntryKey, JobId};
use super::problem::{Checked, FieldPath, Position};
use super::secret::Secret;
use super::yaml::{Read, Reader};

pub use read::is_name;
pub use seal::{seal, skeleton};
pub use value::{Remark, check_value};

/// The largest single value, in bytes. Longer ones are refused, never cut.
pub const MAX_VALUE_BYTES: usize = 128 * 1024;

/// Everything that the document says, in its order.
#[derive(Debug)]
pub struct Manifest {
    /// What binds the document to its readers, its service and its project.
    /// Absent only in a document that was not encrypted yet.
    pub sealed: Option<Sealed>,
    credentials: Vec<Credential>,
    jobs: Vec<Job>,
    assignments: Vec<Assignment>,
}

/// The part of the document that only the tool writes (design section 2.2,
/// "What sealing buys").
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The proof that a reader wrote this manifest.
    pub fingerprint_key: FingerprintKey,
    /// The only service and project that the passwords may be sent to.
    pub scope: Scope,
    /// The only identity service that is asked for a login.
    pub auth_url: String,
    pub recipients: Vec<String>,
    /// Counts the writes of the document.
    pub revision: u64,
}

/// A database account that the document names, whether an endpoint uses it or not.
#[derive(Debug)]
pub struct Credential {
    pub name: Arc<str>,
    /// Its password, shared with all endpoints that use it.
    pub password: Arc<Secret>,
}

/// A job as the document lists it.
#[derive(Debug)]
pub struct Job {
    pub id: JobId,
    /// Its name in this manifest, unique and never of the shape of an id.
    pub name: Option<Box<str>>,
}

/// What one endpoint shall have.
#[derive(Debug)]
pub struct Assignment {
    pub key: EntryKey,
    /// How it is shown: the job's name, or else its id, a slash, the endpoint.
    pub label: String,
    /// The password, shared by all endpoints that use one credential.
    pub password: Arc<Secret>,
    /// The credential that the password comes from.
    pub credential: Option<Arc<str>>,
    /// The kerberos fields that are given, in the order of [`Field::KERBEROS`].
    pub kerberos: Vec<(Field, Secret)>,
}

impl Assignment {
    /// Every field with its value: the password, then kerberos.
    pub fn values(&self) -> impl Iterator<Item = (Field, &Secret)> {
        std::iter::once((Field::Password, self.password.as_ref()))
            .chain(self.kerberos.iter().map(|(field, value)| (*field, value)))
    }

    /// The most bytes that it can take in a request. They tell the length of
    /// secrets, so they serve to cut batches and are never shown.
    pub fn max_json_bytes(&self) -> usize {
        // Names, punctuation and the job's id together take less than this.
        const FRAME_BYTES: usize = 512;
        FRAME_BYTES
            + self
                .values()
                .map(|(_, value)| value.max_json_bytes())
                .sum::<usize>()
    }

    /// What [`super::batch::split`] needs to know of it.
    pub fn batch_item(&self) -> (EntryKey, usize) {
        (self.key.clone(), self.max_json_bytes())
    }
}

impl Manifest {
    /// What every listed endpoint shall have: jobs in the order of the document,
    /// a job's source before its destination.
    pub fn assignments(&self) -> &[Assignment] {
        &self.assignments
    }

    pub fn credentials(&self) -> &[Credential] {
        &self.credentials
    }

    /// All jobs in the order of the document, also those without an endpoint.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }
}

/// Whether a document without its `sealed` part is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// It was decrypted: only a sealed manifest counts.
    Required,
    /// It is about to be encrypted: the tool will seal it.
    Optional,
}

/// Reads the text of a manifest and finds all its problems at once, in the order
/// of the text.
pub fn parse(text: &str, sealing: Sealing) -> Checked<Manifest> {
    let mut yaml = Reader::new(text);
    let manifest = read::manifest(&mut yaml, sealing);
    yaml.finish(manifest)
}

/// What is known before the last line: credentials may be defined after the
/// jobs that use them.
#[derive(Default)]
pub struct Draft<'t> {
    pub jobs: Vec<Job>,
    pub entries: Vec<DraftEntry>,
    pub credentials: HashMap<Arc<str>, DraftCredential>,
    /// Uses of credentials that were not defined yet.
    pub open: Vec<(String, Position, Arc<str>)>,
    pub names: HashMap<Cow<'t, str>, (Position, usize)>,
    pub ids: HashMap<Cow<'t, str>, Position>,
}

pub struct DraftEntry {
    pub key: EntryKey,
    pub label: String,
    pub wanted: DraftEndpoint,
}

pub struct DraftEndpoint {
    pub password: Option<Arc<Secret>>,
    pub credential: Option<Arc<str>>,
    pub kerberos: Vec<(Field, Secret)>,
}

#[derive(Default)]
pub struct DraftCredential {
    /// Where it is defined, and as which of all; absent if it is only used.
    pub defined: Option<(Position, usize)>,
    /// Absent if the password was refused.
    pub password: Option<Arc<Secret>>,
    pub is_used: bool,
}

impl<'t> Draft<'t> {
    /// Checks what only the whole document shows, and puts everything together.
    pub fn finish(self, yaml: &mut Reader<'t>, sealed: Option<Sealed>) -> Read<Manifest> {
        let root = FieldPath::ROOT;
        for (path, at, name) in &self.open {
            if self
                .credentials
                .get(name)
                .is_none_or(|c| c.defined.is_none())
            {
                let help = "Define it below `credentials`, or write the name of one that is.";
                yaml.error_at(path, *at, "no such credential is defined", help)?;
            }
        }
        let path = root.field("credentials");
        for credential in self.credentials.values().filter(|c| !c.is_used) {
            if let Some((at, number)) = credential.defined {
                let help = "Use it by `credential`, or remove it.";
                let path = path.number(number);
                yaml.warning(&path, Some(at), "no endpoint uses this credential", help);
            }
        }
        self.compare_ids_and_names(yaml, &root.field("jobs"))?;
        let Self {
            jobs,
            entries,
            credentials,
            ..
        } = self;
        // The list is turned into the other in place.
        let assignments = entries.into_iter().filter_map(|entry| {
            let shared = |name: &Arc<str>| credentials.get(name)?.password.clone();
            let credential = entry.wanted.credential;
            let password = entry.wanted.password;
            Some(Assignment {
                key: entry.key,
                label: entry.label,
                password: password.or_else(|| credential.as_ref().and_then(shared))?,
                credential,
                kerberos: entry.wanted.kerberos,
            })
        });
        let assignments = assignments.collect();
        Ok(Manifest {
            sealed,
            credentials: in_order(credentials),
            assignments,
            jobs,
        })
    }

    fn compare_ids_and_names(&self, yaml: &mut Reader<'t>, jobs: &FieldPath<'_>) -> Read<()> {
        for (name, (at, number)) in &self.names {
            if self.ids.contains_key(name) {
                let path = jobs.number(*number);
                let help = "Choose a name that is not an id.";
                let what = "the name is the id of another job, or of this one";
                yaml.error(&path.field("name"), Some(*at), what, help)?;
            }
        }
        // Ids are lower case as a rule, so only the others are compared.
        let upper = self.ids.iter().filter(|(id, _)| has_upper(id));
        let mut upper: Vec<_> = upper.map(|(id, at)| (*at, id)).collect();
        upper.sort_unstable();
        let mut seen: HashMap<String, Position> = HashMap::new();
        for (at, id) in upper {
            let lower = id.to_ascii_lowercase();
            let other = self.ids.get(lower.as_str()).or_else(|| seen.get(&lower));
            if let Some(other) = other.copied() {
                let (first, second) = (at.min(other), at.max(other));
                let what = format!(
                    "two ids of jobs differ only in upper and lower case: line {} and line {}",
                    first.line, second.line
                );
                let help = "Keep only the one that the console shows, if both mean one job.";
                yaml.warning(jobs, Some(second), what, help);
            }
            seen.entry(lower).or_insert(at);
        }
        Ok(())
    }
}

/// The credentials that are good, in the order of the document.
fn in_order(credentials: HashMap<Arc<str>, DraftCredential>) -> Vec<Credential> {
    let mut placed: Vec<(Position, Credential)> = credentials
        .into_iter()
        .filter_map(|(name, credential)| {
            let (at, _) = credential.defined?;
            let password = credential.password?;
            Some((at, Credential { name, password }))
        })
        .collect();
    placed.sort_unstable_by_key(|(at, _)| *at);
    placed
        .into_iter()
        .map(|(_, credential)| credential)
        .collect()
}

fn has_upper(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_uppercase())
}
