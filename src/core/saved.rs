//! A plan that was saved: what one run decided, for another run to apply exactly
//! that (design section 5).
//!
//! It owns what must still be true when it is applied. It holds no secret and
//! nothing that could act: an apply opens the manifest again and proves that it
//! still wants what the plan says. Bytes, files and codes are not its business.

mod stale;
mod standing;

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::fingerprint::change::{ChangeId, is_digest};
use super::fingerprint::{Field, Fingerprinter, KeyId, Scope, printable};
use super::job::EntryKey;
use super::manifest::{Manifest, Sealed};
use super::plan::{Action, Counts, Plan, Reason, wrong_credentials};
use super::redact::Token;
use super::report::Rollback;
use super::state::{FieldPrints, Lineage, Origin, State};

pub use stale::Stale;
pub use standing::Standing;

/// How far the clocks of two machines may be apart.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The content of a saved plan. Its serde form is the body of format
/// `drspass.plan/1`; a fixed sample in the tests pins it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    /// The version of drspass that made it.
    #[serde(deserialize_with = "printable")]
    pub tool_version: String,
    /// When it was made, in UTC.
    pub created: Timestamp,
    /// From when on it is not applied any more, in UTC.
    pub expires: Timestamp,
    /// The service and project.
    pub scope: Scope,
    /// The name of the root directory, for the reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The key that its fingerprints and its code are made with.
    pub key_id: KeyId,
    /// The manifest's revision.
    pub revision: u64,
    /// Whether it goes back to a manifest of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// The state that it was compared with.
    pub state: Base,
    /// A keyed digest of who can read the manifest.
    #[serde(deserialize_with = "digest")]
    pub recipients: String,
    /// The limits in force, for the reader.
    pub limits: SavedLimits,
    /// Which entries were asked for.
    pub flags: Flags,
    /// What it does, counted.
    pub counts: Counts,
    /// Selected entries that were in sync.
    pub in_sync: usize,
    /// Entries of the manifest that were not selected.
    pub not_selected: usize,
    /// Entries of the state that the manifest did not list.
    pub unlisted: Vec<EntryKey>,
    /// Requests that it needs.
    pub requests: usize,
    /// The name of the change.
    pub change_id: ChangeId,
    /// Every entry that was not in sync, in manifest order.
    pub entries: Vec<SavedEntry>,
}

/// The state that a plan was compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Base {
    /// A state that there was.
    Known {
        /// Its identity.
        lineage: Lineage,
        /// Its serial: a lower one is an older copy, which knows less than the plan.
        serial: u64,
    },
    /// There was none.
    Absent {
        /// The identity that the state gets which an apply of this plan begins. So
        /// the same plan can go on with it, and no other state is taken for it.
        lineage: Lineage,
    },
}

/// Limits as they are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedLimits {
    /// The most entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_changes: Option<u64>,
    /// The largest share of all entries, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_changed_percent: Option<u8>,
}

/// Which entries were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flags {
    /// Whether not all entries were selected.
    pub only: bool,
    /// Whether some are sent whatever is known about them.
    pub resend: bool,
    /// Whether a manifest was accepted that is older than what was applied.
    pub allow_rollback: bool,
}

/// One entry of a saved plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedEntry {
    /// What to call it.
    #[serde(deserialize_with = "label")]
    pub address: String,
    /// Which entry.
    pub key: EntryKey,
    /// What an apply does with it.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// The wanted fields, each with whether it differs from what is known.
    pub fields: Vec<(Field, bool)>,
    /// When its known value was set and how that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_set: Option<(Timestamp, Origin)>,
    /// Whether kerberos left the manifest.
    pub kerberos_left: bool,
    /// The shared credential that its password comes from.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "credential"
    )]
    pub credential: Option<String>,
    /// What the state said of it.
    pub prior: Prior,
    /// Fingerprints of the wanted values, with salts of their own: what is recorded
    /// when this entry is applied, so that a record tells which plan made it.
    pub wanted: FieldPrints,
}

/// What the state said of an entry.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prior {
    /// What was known to be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<FieldPrints>,
    /// What may have been set or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<FieldPrints>,
    /// What the last attempt without success tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempted: Option<FieldPrints>,
}

impl SavedPlan {
    /// Whether the plan may be applied at `now` to a manifest with this seal.
    /// Fails with the first thing that differs, in the order of design section 5.
    pub fn fits(&self, sealed: &Sealed, now: Timestamp) -> Result<(), Stale> {
        if now >= self.expires {
            return Err(Stale::Expired {
                at: self.expires,
                now,
            });
        }
        if self.created.duration_since(now) > MAX_CLOCK_SKEW {
            return Err(Stale::FromTheFuture(self.created));
        }
        if self.scope != sealed.scope {
            return Err(Stale::OtherScope);
        }
        if self.key_id != sealed.fingerprint_key.id() {
            return Err(Stale::OtherKey);
        }
        if sealed.revision < self.revision {
            return Err(Stale::OlderManifest {
                plan: self.revision,
                manifest: sealed.revision,
            });
        }
        if self.recipients != recipients_of(sealed) {
            return Err(Stale::OtherRecipients);
        }
        Ok(())
    }

    /// Where each of its entries stands in `state`, in their order.
    /// Fails if the state is not the one that it was made for, if it moved under the
    /// plan's own entries, or if all of it was applied already.
    pub fn standing(&self, state: Option<&State>) -> Result<Vec<Standing>, Stale> {
        let then = match (&self.state, state) {
            (Base::Absent { .. }, None) => 0,
            (Base::Absent { lineage }, Some(state)) if *lineage == state.lineage => 0,
            (Base::Absent { .. }, Some(state)) => {
                return Err(Stale::StateAppeared {
                    serial: state.serial,
                });
            }
            (Base::Known { .. }, None) => return Err(Stale::StateGone),
            (Base::Known { lineage, .. }, Some(state)) if *lineage != state.lineage => {
                return Err(Stale::OtherLineage);
            }
            (Base::Known { serial, .. }, Some(state)) if state.serial < *serial => {
                return Err(Stale::OlderState {
                    then: *serial,
                    now: state.serial,
                });
            }
            (Base::Known { serial, .. }, Some(_)) => *serial,
        };
        let now = state.map_or(0, |state| state.serial);
        let mut moved = Vec::new();
        let mut standing = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let known = state.and_then(|state| state.entries.get(&entry.key));
            match entry.standing(known) {
                Some(stands) => standing.push(stands),
                None => moved.push(entry.address.clone()),
            }
        }
        if !moved.is_empty() {
            return Err(Stale::EntriesMoved {
                addresses: moved,
                then,
                now,
            });
        }
        let sent = self.entries.iter().zip(&standing);
        let mut sent = sent.filter(|(entry, _)| entry.is_sent()).peekable();
        if sent.peek().is_some() && sent.all(|(_, standing)| *standing == Standing::Done) {
            return Err(Stale::Finished { then, now });
        }
        Ok(standing)
    }

    /// The plan for a manifest that wants what this one wants: every entry that is
    /// not done. What was refused as a wrong password is held, and all other entries of
    /// the same credential are.
    /// Fails with the entries of which the manifest wants something else.
    pub fn plan(
        &self,
        manifest: &Manifest,
        state: Option<&State>,
        fingerprinter: &Fingerprinter,
        standing: &[Standing],
    ) -> Result<Plan, Stale> {
        let assignments = manifest.assignments();
        let places: HashMap<&EntryKey, usize> = assignments
            .iter()
            .enumerate()
            .map(|(place, assignment)| (&assignment.key, place))
            .collect();
        let mut moved = Vec::new();
        let mut entries = Vec::new();
        // What this very plan tried is known of what it was told to send again as well.
        let mut tried: HashMap<&str, &Token> = HashMap::new();
        for (entry, standing) in self.entries.iter().zip(standing) {
            let place = places.get(&entry.key).copied();
            let wants = |place: usize| entry.is_wanted(fingerprinter, &assignments[place]);
            let Some(index) = place.filter(|place| wants(*place)) else {
                moved.push(entry.address.clone());
                continue;
            };
            if let Standing::WrongPassword { code } = standing
                && let Some(credential) = assignments[index].credential.as_deref()
            {
                tried.insert(credential, code);
            }
            entries.extend(entry.left(index, standing));
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
            return Err(Stale::WantedMoved(moved));
        }
        Ok(Plan {
            entries,
            in_sync: self.in_sync + standing.iter().filter(|s| **s == Standing::Done).count(),
            not_selected: self.not_selected,
            unlisted: self.unlisted.clone(),
            requests: 0,
        })
    }
}

/// A keyed digest of who can read a manifest with this seal.
pub fn recipients_of(sealed: &Sealed) -> String {
    let keys: Vec<String> = sealed
        .recipients
        .iter()
        .map(|recipient| super::recipients::recipient_key(recipient))
        .collect();
    let key = &sealed.fingerprint_key;
    key.recipients_digest(keys.iter().map(String::as_str))
}

fn digest<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if is_digest(&text) {
        Ok(text)
    } else {
        Err(serde::de::Error::custom("not a digest"))
    }
}

/// A label may be shown before anybody proved who wrote it. Runners of pipelines obey
/// `##[command]` and `::command` in a log, which no label of a manifest can hold.
fn label<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = printable(deserializer)?;
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

#[cfg(test)]
mod tests;
