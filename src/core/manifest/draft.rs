//! What is known of a manifest before its last line, and what only the whole
//! document shows: credentials without use or definition, ids and names that
//! collide.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::{Assignment, Credential, Job, Manifest, Sealed};
use crate::core::fingerprint::Field;
use crate::core::job::EntryKey;
use crate::core::problem::Position;
use crate::core::secret::Secret;
use crate::core::yaml::{Path, Read, Reader};

/// What is known before the last line: credentials may be defined after the
/// jobs that use them.
#[derive(Default)]
pub(super) struct Draft<'t> {
    pub(super) jobs: Vec<Job>,
    pub(super) entries: Vec<DraftEntry>,
    pub(super) credentials: HashMap<Arc<str>, DraftCredential>,
    /// Uses of credentials that were not defined yet.
    pub(super) open: Vec<(String, Position, Arc<str>)>,
    pub(super) names: HashMap<Cow<'t, str>, (Position, usize)>,
    pub(super) ids: HashMap<Cow<'t, str>, Position>,
}

pub(super) struct DraftEntry {
    pub(super) key: EntryKey,
    pub(super) label: String,
    pub(super) wanted: Wanted,
}

/// What one endpoint of the document asks for.
pub(super) struct Wanted {
    pub(super) password: Option<Arc<Secret>>,
    pub(super) credential: Option<Arc<str>>,
    pub(super) kerberos: Vec<(Field, Secret)>,
}

#[derive(Default)]
pub(super) struct DraftCredential {
    /// Where it is defined, and as which of all; absent if it is only used.
    pub(super) defined: Option<(Position, usize)>,
    /// Absent if the password was refused.
    pub(super) password: Option<Arc<Secret>>,
    pub(super) is_used: bool,
}

impl<'t> Draft<'t> {
    /// Checks what only the whole document shows, and puts everything together.
    pub(super) fn finish(self, yaml: &mut Reader<'t>, sealed: Option<Sealed>) -> Read<Manifest> {
        let root = Path::ROOT;
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

    fn compare_ids_and_names(&self, yaml: &mut Reader<'t>, jobs: &Path<'_>) -> Read<()> {
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
