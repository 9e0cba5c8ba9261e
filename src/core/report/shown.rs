//! What the commands that only look have to say.

use jiff::Timestamp;

use crate::core::fingerprint::{Field, KeyId, Scope};
use crate::core::inventory::ListedJob;
use crate::core::job::{Endpoint, EntryKey};
use crate::core::problem::Problem;
use crate::core::redact::ForeignText;
use crate::core::report::Note;
use crate::core::state::StateEntry;

/// The state to show. It holds fingerprints, which a view never writes.
#[derive(Clone, Debug, Default)]
pub struct LedgerReport {
    /// Grows by one with every write; 0 before the first.
    pub serial: u64,
    /// The revision of the manifest that was applied last.
    pub revision: u64,
    /// The highest revision that was ever applied.
    pub highest: u64,
    /// The identity of the state; empty before its first write.
    pub lineage: String,
    /// What else there is to know, as a plan says it.
    pub notes: Vec<Note>,
    /// The entries, in the order of the state.
    pub entries: Vec<LedgerEntry>,
}

/// One entry of the state.
#[derive(Clone, Debug)]
pub struct LedgerEntry {
    /// Which entry.
    pub key: EntryKey,
    /// Its label in the manifest, if it is listed there.
    pub label: Option<String>,
    /// What is known of it.
    pub entry: StateEntry,
}

/// A manifest to show. It holds no secret.
pub struct Shown {
    /// The name of the root directory.
    pub environment: Option<ForeignText>,
    /// What is sealed with it, if it is sealed.
    pub seal: Option<ShownSeal>,
    /// Its entries, in its order.
    pub entries: Vec<ShownEntry>,
}

/// What is sealed with a manifest, but for its key.
pub struct ShownSeal {
    /// Service and project.
    pub scope: Scope,
    /// The name of its key.
    pub key_id: KeyId,
    /// Its revision.
    pub revision: u64,
    /// How many recipients can read it.
    pub recipients: usize,
}

/// One entry.
pub struct ShownEntry {
    /// Its label.
    pub label: String,
    /// Which entry.
    pub key: EntryKey,
    /// The shared credential that it uses.
    pub credential: Option<String>,
    /// The fields that it sets.
    pub fields: Vec<Field>,
}

/// A root folder without errors.
pub struct Valid {
    /// What somebody should look at in drspass.yaml.
    pub config_warnings: Vec<Problem>,
    /// The manifest, where it was opened.
    pub manifest: Option<ValidManifest>,
}

/// A manifest without errors.
pub struct ValidManifest {
    /// How many entries it lists.
    pub entries: usize,
    /// How many jobs they belong to.
    pub jobs: usize,
    /// Its revision.
    pub revision: u64,
    /// The key that it carries.
    pub key_id: KeyId,
    /// What somebody should look at in it.
    pub warnings: Vec<Problem>,
}

/// Who calls, as the identity service tells it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user, where that is told.
    pub user: Option<ForeignText>,
    /// The user's domain (account).
    pub domain: Option<ForeignText>,
    /// The name of the project.
    pub project_name: Option<ForeignText>,
    /// The end of the token; none for a key, which signs each request.
    pub token_end: Option<Timestamp>,
    /// Whether requests are signed with a key.
    pub is_key: bool,
}

/// A login to show.
#[derive(Clone, Debug)]
pub struct LoginReport {
    /// Where it came from, in words without any value.
    pub source: String,
    /// Who it is.
    pub caller: Caller,
    /// The sealed service and project, which it fits.
    pub scope: Scope,
    /// The sealed identity service.
    pub auth_url: String,
    /// The region that drspass.yaml names.
    pub region: Option<String>,
}

/// The jobs of a project to show.
#[derive(Clone, Debug)]
pub struct JobsReport {
    /// The project.
    pub project_id: String,
    /// Its jobs, in the order of the service.
    pub jobs: Vec<ManagedJob>,
    /// Entries of the manifest whose job the project does not list.
    pub absent: Vec<EntryKey>,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// A job and what the manifest sets of it.
#[derive(Clone, Debug)]
pub struct ManagedJob {
    /// The job.
    pub job: ListedJob,
    /// Whether the manifest sets the password of its source.
    pub source: bool,
    /// Whether the manifest sets the password of its destination.
    pub destination: bool,
}

impl ManagedJob {
    /// Whether the manifest sets the password of an endpoint.
    pub const fn is_managed(&self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::Source => self.source,
            Endpoint::Destination => self.destination,
        }
    }
}
