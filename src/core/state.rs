//! What drspass knows about each entry; `steps` holds how that changes. Paths,
//! locks and bytes are the store's business.
//!
//! The invariant of the whole program: an entry without mark or refusal is
//! exactly what drspass last set or the user declared. The state may know less
//! than the truth, never claim more.
//!
//! The serde form of these types is the body of format `drspass.state/1`
//! (design section 2.3); fixed samples in the tests pin it.

mod steps;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fingerprint::change::is_digest;
use super::fingerprint::{Field, Fingerprint, KeyId, Scope, printable};
use super::hex;
use super::job::{Endpoint, EntryKey, JobId};
use super::outcome::RefusalKind;
use super::redact::Token;

pub use steps::{Replaced, Settlement};

/// The identity of a state from its first write on: two states of different
/// lineage never describe the same history, whatever their serials are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lineage(#[serde(deserialize_with = "printable")] String);

impl Lineage {
    /// Takes a fresh unique text, such as a UUID.
    pub fn new(unique: String) -> Self {
        Self(unique)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The SHA-256 of a manifest's age file in binary form, which armor and line ends do not
/// change: what tells two manifests of one revision apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ManifestDigest(String);

impl ManifestDigest {
    /// Takes the 32 bytes of the digest.
    pub fn new(digest: &[u8; 32]) -> Self {
        Self(hex::encode(digest))
    }
}

impl TryFrom<String> for ManifestDigest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if is_digest(&text) {
            Ok(Self(text))
        } else {
            Err("not a digest")
        }
    }
}

impl From<ManifestDigest> for String {
    fn from(digest: ManifestDigest) -> Self {
        digest.0
    }
}

/// The name of the plan or run that touched an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(#[serde(deserialize_with = "printable")] String);

impl PlanId {
    /// Takes a unique text.
    pub fn new(unique: String) -> Self {
        Self(unique)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The fingerprints of one entry: one record per field, so that a plan can say
/// which field changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldPrints {
    /// Of the password, which every entry has.
    pub password: Fingerprint,
    /// Of the kerberos fields that were given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kerberos: BTreeMap<Field, Fingerprint>,
}

impl FieldPrints {
    /// Whether these are the same records, salts included: made once and copied.
    pub(super) fn is_same_record(&self, other: &Self) -> bool {
        self.password.is_same_record(&other.password)
            && self.kerberos.len() == other.kerberos.len()
            && self.kerberos.iter().all(|(field, print)| {
                other
                    .kerberos
                    .get(field)
                    .is_some_and(|other| print.is_same_record(other))
            })
    }

    /// The record of one field.
    pub fn get(&self, field: Field) -> Option<&Fingerprint> {
        match field {
            Field::Password => Some(&self.password),
            kerberos => self.kerberos.get(&kerberos),
        }
    }

    /// The record of one field, to be replaced.
    pub(super) fn get_mut(&mut self, field: Field) -> Option<&mut Fingerprint> {
        match field {
            Field::Password => Some(&mut self.password),
            kerberos => self.kerberos.get_mut(&kerberos),
        }
    }
}

/// How an applied value came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// drspass sent it and the service said that it took it.
    Sent,
    /// The user declared that the service holds it.
    Adopted,
}

/// The values that the service is known to hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// Their fingerprints.
    pub prints: FieldPrints,
    /// When that became known, in UTC.
    pub at: Timestamp,
    /// How it became known.
    pub origin: Origin,
    /// By which plan or run.
    pub plan_id: PlanId,
}

/// Values that were about to be sent and of which nothing certain is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// Their fingerprints.
    pub wanted: FieldPrints,
    /// When they were marked, in UTC.
    pub since: Timestamp,
    /// Whether `state distrust` marked them, so that they are sent again, and no attempt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub distrusted: bool,
    /// By which plan or run.
    pub plan_id: PlanId,
}

/// What kind of end the last attempt had, if it was no success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The service refused because user or password are wrong.
    WrongPassword,
    /// The service refused because of the job's state.
    JobState,
    /// The service was busy or throttled until the time was over.
    Busy,
    /// The service refused for another reason.
    Rejected,
    /// It is unknown what became of the attempt.
    InDoubt,
}

impl FailureClass {
    /// The name under which it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongPassword => "wrong_password",
            Self::JobState => "job_state",
            Self::Busy => "busy",
            Self::Rejected => "rejected",
            Self::InDoubt => "in_doubt",
        }
    }
}

impl From<RefusalKind> for FailureClass {
    fn from(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::WrongPassword => Self::WrongPassword,
            RefusalKind::JobState => Self::JobState,
            RefusalKind::Busy => Self::Busy,
            RefusalKind::Rejected => Self::Rejected,
        }
    }
}

/// The end of the last attempt, kept until one succeeds. It holds no words of
/// the service, since those may repeat a secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastOutcome {
    /// What kind of end it was.
    pub class: FailureClass,
    /// The service's code, or the reason for the doubt.
    pub code: Token,
    /// The service's id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Token>,
    /// The fingerprints of what was tried.
    pub attempted: FieldPrints,
    /// How many attempts have ended like this or otherwise without success
    /// since the last success, at least 1.
    pub attempts: u32,
    /// When the last of them ended, in UTC.
    pub at: Timestamp,
}

/// Everything known about one entry.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateEntry {
    /// What the service holds, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// What may have been set or not. Boxed, like the next one: few entries have
    /// it, and there may be a hundred thousand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Box<Pending>>,
    /// How the last attempt ended, if without success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_outcome: Option<Box<LastOutcome>>,
}

/// A retry of a job that failed, or is not known to have worked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedRetry {
    /// When it was asked for, in UTC.
    pub at: Timestamp,
    /// The fingerprints of what the job's entries had then.
    pub prints: BTreeMap<Endpoint, FieldPrints>,
}

/// The whole of what is known about one scope.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The service and project it speaks about; it is refused for any other.
    pub scope: Scope,
    /// Its identity.
    pub lineage: Lineage,
    /// Grows by one with every write of this lineage.
    pub serial: u64,
    /// The key that the fingerprints and the authentication code are made with.
    pub key_id: KeyId,
    /// The revision of the manifest that was applied last.
    pub revision: u64,
    /// Which file that was; nothing before the first apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ManifestDigest>,
    /// The highest revision that was ever applied.
    pub highest: u64,
    /// Jobs that are not retried again as long as their passwords stay the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub retries: BTreeMap<JobId, FailedRetry>,
    /// By entry.
    pub entries: BTreeMap<EntryKey, StateEntry>,
}

impl State {
    /// A state that knows nothing yet.
    pub fn new(scope: Scope, lineage: Lineage, key_id: KeyId) -> Self {
        Self {
            scope,
            lineage,
            serial: 0,
            key_id,
            revision: 0,
            manifest: None,
            highest: 0,
            retries: BTreeMap::new(),
            entries: BTreeMap::new(),
        }
    }

    /// The highest revision that was applied, if a manifest would be a way back from it:
    /// it is not the very one applied last, and its revision is not a new one.
    pub fn rollback_from(&self, revision: u64, manifest: &ManifestDigest) -> Option<u64> {
        let is_last = self.revision == revision && self.manifest.as_ref() == Some(manifest);
        (!is_last && revision <= self.highest).then_some(self.highest)
    }

    /// Records which manifest is being applied.
    pub fn take_manifest(&mut self, revision: u64, manifest: ManifestDigest) {
        self.revision = revision;
        self.manifest = Some(manifest);
        self.highest = self.highest.max(revision);
    }
}

#[cfg(test)]
mod tests;
