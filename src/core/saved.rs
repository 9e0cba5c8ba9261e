//! A saved plan: what one run decided, for another run to apply exactly (design section 5). An
//! apply decrypts the manifest again and proves that it still wants what the plan says.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::fingerprint::{ChangeId, Field, Fingerprinter, KeyId, Scope, digest, printable};
use super::job::{EntryKey, some_of};
use super::lineage::{Lineage, minute};
use super::manifest::{Assignment, Manifest, Sealed};
use super::plan::{Action, Counts, Plan, PlanEntry, Reason, wrong_credentials};
use super::redact::Token;
use super::state::{FailureClass, FieldPrints, Rollback, State, StateEntry, ValueOrigin};

/// How far the clocks of two machines may be apart.
pub const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The body of format `drspass.plan/1`; a fixed sample in the tests pins it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    #[serde(deserialize_with = "printable")]
    pub tool_version: String,
    pub created: Timestamp,
    pub expires: Timestamp,
    pub scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    pub key_id: KeyId,
    pub revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    pub state: PlanBase,
    #[serde(deserialize_with = "digest")]
    pub recipients: String,
    pub limits: SavedLimits,
    pub flags: SavedFlags,
    pub counts: Counts,
    pub in_sync: usize,
    pub not_selected: usize,
    pub unlisted: Vec<EntryKey>,
    pub requests: usize,
    pub change_id: ChangeId,
    pub entries: Vec<SavedEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PlanBase {
    Known {
        lineage: Lineage,
        /// A lower one is an older copy, which knows less than the plan.
        serial: u64,
    },
    /// The state that an apply of this plan creates gets this lineage, so that the plan can be
    /// resumed with it and no other state is taken for it.
    Absent { lineage: Lineage },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedLimits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_changes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_changed_percent: Option<u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedFlags {
    pub only: bool,
    pub resend: bool,
    pub allow_rollback: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedEntry {
    #[serde(deserialize_with = "label")]
    pub address: String,
    pub key: EntryKey,
    pub action: Action,
    pub reason: Reason,
    pub fields: Vec<(Field, bool)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_set: Option<(Timestamp, ValueOrigin)>,
    pub kerberos_left: bool,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "credential"
    )]
    pub credential: Option<String>,
    pub prior: PriorPrints,
    /// The fingerprints recorded when this entry is applied. Their salts are unique, so a record
    /// shows which plan made it.
    pub wanted: FieldPrints,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorPrints {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<FieldPrints>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<FieldPrints>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempted: Option<FieldPrints>,
}

impl SavedPlan {
    /// Returns the identity of the state that an apply of this plan creates.
    pub fn first_lineage(&self) -> Option<&Lineage> {
        match &self.state {
            PlanBase::Absent { lineage } => Some(lineage),
            PlanBase::Known { .. } => None,
        }
    }

    pub fn check_times(&self, now: Timestamp) -> Result<(), Stale> {
        if now.duration_since(self.expires) > MAX_CLOCK_SKEW {
            return Err(Stale::new(
                format!(
                    "it expired at {}, and the clock of this machine says {}",
                    minute(self.expires),
                    minute(now)
                ),
                "If this clock is right, make a new plan and have it approved. Otherwise correct it, or the clock of the machine that made the plan.",
            ));
        }
        if self.created.duration_since(now) > MAX_CLOCK_SKEW {
            return Err(Stale::new(
                format!(
                    "it was made at {}, which is in the future by the clock of this machine",
                    minute(self.created)
                ),
                "Check the clocks of both machines, then make a new plan.",
            ));
        }
        Ok(())
    }

    /// Checks whether the plan may be applied to a manifest with this seal; fails with the first
    /// difference, in the order of design section 5.
    pub fn fits(&self, sealed: &Sealed) -> Result<(), Stale> {
        if self.scope != sealed.scope {
            return Err(Stale::new(
                "it is for another service or project",
                "Use a plan that was made for this root directory.",
            ));
        }
        if self.key_id != sealed.fingerprint_key.id() {
            return Err(Stale::new(
                "the manifest has another fingerprint key than the plan",
                Stale::NEW_PLAN,
            ));
        }
        if sealed.revision < self.revision {
            return Err(Stale::new(
                format!(
                    "it was made from revision {} of the manifest, and this is revision {}",
                    self.revision, sealed.revision
                ),
                "Check out the newest manifest; if this is it, make a new plan and have it approved.",
            ));
        }
        if self.recipients != recipients_of(sealed) {
            return Err(Stale::new(
                "the recipients of the manifest changed since it was made",
                Stale::NEW_PLAN,
            ));
        }
        Ok(())
    }

    /// Returns how far each entry is in `state`. Fails if `state` is not the one that the plan was
    /// made for, if someone else changed the plan's entries, or if all of it is already applied.
    pub fn progress(&self, state: Option<&State>) -> Result<Vec<SavedProgress>, Stale> {
        let then = match (&self.state, state) {
            (PlanBase::Absent { .. }, None) => 0,
            (PlanBase::Absent { lineage }, Some(state)) if *lineage == state.lineage => 0,
            (PlanBase::Absent { .. }, Some(state)) => {
                let serial = state.serial;
                return Err(Stale::new(
                    format!(
                        "it was made without a state, and now there is one with serial {serial}"
                    ),
                    Stale::NEW_PLAN,
                ));
            }
            (PlanBase::Known { .. }, None) => {
                return Err(Stale::new(
                    "the state that it was made with is missing",
                    "Fetch or restore the state first; a plan made without it would send every entry again.",
                ));
            }
            (PlanBase::Known { lineage, .. }, Some(state)) if *lineage != state.lineage => {
                return Err(Stale::new(
                    "it was made with another state",
                    "Find out which state is right; if it is this one, make a new plan and have it approved.",
                ));
            }
            (PlanBase::Known { serial: then, .. }, Some(state)) if state.serial < *then => {
                let now = state.serial;
                return Err(Stale::new(
                    format!(
                        "the state was replaced by an older one (serial {then} then, {now} now)"
                    ),
                    "Restore the newest state, then apply the plan again; an older one does not know all that was sent.",
                ));
            }
            (PlanBase::Known { serial, .. }, Some(_)) => *serial,
        };
        let now = state.map_or(0, |state| state.serial);
        let mut moved = Vec::new();
        let mut progress = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let known = state.and_then(|state| state.entries.get(&entry.key));
            match entry.progress(known) {
                Some(reached) => progress.push(reached),
                None => moved.push(entry.address.clone()),
            }
        }
        if !moved.is_empty() {
            let moved = some_of(&moved, 10);
            return Err(Stale::new(
                format!("the state of {moved} changed since (serial {then} then, {now} now)"),
                Stale::NEW_PLAN,
            ));
        }
        let sent = self.entries.iter().zip(&progress);
        let mut sent = sent.filter(|(entry, _)| entry.action.is_sent()).peekable();
        if sent.peek().is_some() && sent.all(|(_, progress)| *progress == SavedProgress::Done) {
            return Err(Stale::new(
                format!("all of it is already applied (state serial {then} then, {now} now)"),
                "Nothing of this plan is left to send. Run 'drspass plan' to see whether anything differs; 'drspass apply --retry-jobs' retries jobs that failed since.",
            ));
        }
        Ok(progress)
    }

    /// Plans every entry that is not done. An entry refused as a wrong password is held, and with
    /// it all others of its credential. Fails with the entries for which the manifest wants another
    /// value.
    pub fn plan(
        &self,
        manifest: &Manifest,
        state: Option<&State>,
        fingerprinter: &Fingerprinter,
        progress: &[SavedProgress],
    ) -> Result<Plan, Stale> {
        let assignments = manifest.assignments();
        let places: HashMap<&EntryKey, usize> = assignments
            .iter()
            .enumerate()
            .map(|(place, assignment)| (&assignment.key, place))
            .collect();
        let mut moved = Vec::new();
        let mut entries = Vec::new();
        // Attempts of this plan also count for entries that it sends again on request.
        let mut tried: HashMap<&str, &Token> = HashMap::new();
        for (entry, progress) in self.entries.iter().zip(progress) {
            let place = places.get(&entry.key).copied();
            let wants = |place: usize| entry.is_wanted(fingerprinter, &assignments[place]);
            let Some(index) = place.filter(|place| wants(*place)) else {
                moved.push(entry.address.clone());
                continue;
            };
            if let SavedProgress::Tried(Reason::WrongPassword { code, .. }) = progress
                && let Some(credential) = assignments[index].credential.as_deref()
            {
                tried.insert(credential, code);
            }
            let left = entry.left(index, progress);
            // The job may have been renamed since.
            let label = || assignments[index].label.clone();
            entries.extend(left.map(|left| PlanEntry {
                label: label(),
                ..left
            }));
        }
        let known = state.map(|state| wrong_credentials(manifest, state, fingerprinter));
        let known = known.unwrap_or_default();
        for entry in entries.iter_mut().filter(|entry| entry.is_sent()) {
            let Some(credential) = assignments[entry.index].credential.as_deref() else {
                continue;
            };
            let known = known.get(credential).filter(|_| !entry.is_resent());
            if let Some(code) = tried.get(credential).copied().or(known) {
                *entry = entry.clone().held_for(credential, code);
            }
        }
        if !moved.is_empty() {
            let moved = some_of(&moved, 10);
            return Err(Stale::new(
                format!("the manifest now has other values for {moved}"),
                Stale::NEW_PLAN,
            ));
        }
        Ok(Plan {
            entries,
            in_sync: self.in_sync
                + progress
                    .iter()
                    .filter(|s| **s == SavedProgress::Done)
                    .count(),
            not_selected: self.not_selected,
            unlisted: self.unlisted.clone(),
            requests: 0,
        })
    }
}

pub fn recipients_of(sealed: &Sealed) -> String {
    let keys: Vec<String> = sealed
        .recipients
        .iter()
        .map(|recipient| super::recipients::recipient_key(recipient))
        .collect();
    let key = &sealed.fingerprint_key;
    key.recipients_digest(keys.iter().map(String::as_str))
}

/// A label may be shown before its writer is authenticated. CI runners execute `##[command]` and
/// `::command` in a log, which no label of a manifest can contain.
fn label<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text: String = printable(deserializer)?;
    if text.is_empty() || text.contains("##") || text.contains("::") {
        return Err(serde::de::Error::custom("not the name of an entry"));
    }
    Ok(text)
}

fn credential<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    if name.as_deref().is_none_or(super::manifest::is_name) {
        Ok(name)
    } else {
        Err(serde::de::Error::custom("not the name of a credential"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavedProgress {
    Open,
    /// The result of an attempt of this plan. A wrong user or password is not repeated: that locks
    /// the database account.
    Tried(Reason),
    Done,
}

impl SavedEntry {
    pub fn new(entry: &PlanEntry, known: Option<&StateEntry>, wanted: FieldPrints) -> Self {
        Self {
            address: entry.label.clone(),
            key: entry.key.clone(),
            action: entry.action,
            reason: entry.reason.clone(),
            fields: entry.fields.clone(),
            last_set: entry.last_set,
            kerberos_left: entry.kerberos_left,
            credential: entry.credential.as_deref().map(str::to_owned),
            prior: PriorPrints::of(known),
            wanted,
        }
    }

    /// Returns `None` if someone else changed it.
    pub fn progress(&self, known: Option<&StateEntry>) -> Option<SavedProgress> {
        let none = StateEntry::default();
        let known = known.unwrap_or(&none);
        let applied = known.applied.as_ref().map(|applied| &applied.prints);
        let pending = known.pending.as_ref().map(|pending| &pending.wanted);
        let last = known.last_outcome.as_ref().map(|last| &last.attempted);
        let is_ours = |prints: Option<&FieldPrints>| is_same(prints, Some(&self.wanted));
        if is_ours(applied) && pending.is_none() && last.is_none() {
            return Some(SavedProgress::Done);
        }
        let as_before = |now, before: &Option<FieldPrints>| is_same(now, before.as_ref());
        let fits = as_before(applied, &self.prior.applied)
            && (is_ours(pending)
                || as_before(pending, &self.prior.pending)
                || pending.is_none() && is_ours(last))
            && (is_ours(last) || as_before(last, &self.prior.attempted));
        let wrong = known.last_outcome.as_ref().filter(|last| {
            last.class == FailureClass::WrongPassword && is_ours(Some(&last.attempted))
        });
        if !fits {
            return None;
        }
        if let Some(last) = wrong {
            return Some(SavedProgress::Tried(Reason::WrongPassword {
                code: last.code.clone(),
                credential: None,
            }));
        }
        let pending = known.pending.as_ref().filter(|_| is_ours(pending));
        let refused = known.last_outcome.as_ref().filter(|_| is_ours(last));
        let tried = match (pending, refused) {
            (Some(pending), _) => Some(Reason::of_mark(pending)),
            (None, Some(last)) => Some(Reason::LastRefused {
                code: last.code.clone(),
                fields: self.changed_fields(),
            }),
            (None, None) => None,
        };
        // Entries that were requested by name are sent as requested.
        let tried = tried.filter(|_| !matches!(self.reason, Reason::Resend { .. }));
        Some(tried.map_or(SavedProgress::Open, SavedProgress::Tried))
    }

    fn changed_fields(&self) -> Vec<Field> {
        let is_known = self.prior.applied.is_some();
        let changed = self
            .fields
            .iter()
            .filter(|(_, differs)| is_known && *differs);
        changed.map(|(field, _)| *field).collect()
    }

    pub fn left(&self, index: usize, progress: &SavedProgress) -> Option<PlanEntry> {
        let mut entry = self.to_plan(index);
        match progress {
            SavedProgress::Done => return None,
            SavedProgress::Open => {}
            SavedProgress::Tried(reason) => {
                if matches!(reason, Reason::WrongPassword { .. }) {
                    entry.action = Action::Hold;
                }
                entry.reason = reason.clone();
            }
        }
        Some(entry)
    }

    pub fn is_wanted(&self, fingerprinter: &Fingerprinter, assignment: &Assignment) -> bool {
        let fields = assignment.values().count();
        fields == 1 + self.wanted.kerberos.len()
            && assignment.values().all(|(field, value)| {
                self.wanted
                    .get(field)
                    .is_some_and(|print| fingerprinter.matches(print, &self.key, field, value))
            })
    }

    /// Returns the entry as it was planned, with its index in another manifest.
    pub fn to_plan(&self, index: usize) -> PlanEntry {
        PlanEntry {
            label: self.address.clone(),
            key: self.key.clone(),
            index,
            action: self.action,
            reason: self.reason.clone(),
            fields: self.fields.clone(),
            last_set: self.last_set,
            kerberos_left: self.kerberos_left,
            credential: self.credential.as_deref().map(Arc::from),
        }
    }
}

impl PriorPrints {
    pub fn of(entry: Option<&StateEntry>) -> Self {
        let applied = entry.and_then(|entry| entry.applied.as_ref());
        let pending = entry.and_then(|entry| entry.pending.as_ref());
        let last = entry.and_then(|entry| entry.last_outcome.as_ref());
        Self {
            applied: applied.map(|applied| applied.prints.clone()),
            pending: pending.map(|pending| pending.wanted.clone()),
            attempted: last.map(|last| last.attempted.clone()),
        }
    }
}

/// Returns whether two records are the same one, salts included, or both absent.
fn is_same(a: Option<&FieldPrints>, b: Option<&FieldPrints>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.is_same_record(b),
        (None, None) => true,
        _ => false,
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    pub why: String,
    pub help: &'static str,
}

impl Stale {
    const NEW_PLAN: &str = "Run 'drspass plan --out FILE' and have the new plan approved.";
    const FETCH: &str =
        "Fetch the plan file that was reviewed, and find out where this one came from.";

    fn new(why: impl Into<String>, help: &'static str) -> Self {
        Self {
            why: why.into(),
            help,
        }
    }

    pub fn other_plan() -> Self {
        Self::new("it is not the expected plan", Self::FETCH)
    }

    pub fn other_change(found: &ChangeId) -> Self {
        let why = format!("it is the change {found}, not the expected one");
        Self::new(why, Self::FETCH)
    }
}

#[cfg(test)]
mod tests;
