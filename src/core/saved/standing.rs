//! Where each entry of a saved plan stands in a state: as it was, done by this plan,
//! or moved by somebody else.

use std::sync::Arc;

use super::{Prior, SavedEntry};
use crate::core::fingerprint::{Field, Fingerprinter};
use crate::core::manifest::Assignment;
use crate::core::plan::{Action, PlanEntry, Reason};
use crate::core::redact::Token;
use crate::core::state::{FailureClass, FieldPrints, StateEntry};

/// Where an entry of a plan stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is as it was.
    Open,
    /// An attempt of this plan ended without success, for this reason.
    Tried(Reason),
    /// An attempt of this plan was refused because user or password are wrong:
    /// repeating it locks the database account, so the plan does not.
    WrongPassword {
        /// The service's code.
        code: Token,
    },
    /// This plan applied it.
    Done,
}

impl SavedEntry {
    /// Whether an apply sends it.
    pub const fn is_sent(&self) -> bool {
        matches!(self.action, Action::Create | Action::Update)
    }

    /// Where it stands; nothing if somebody else moved it.
    pub(super) fn standing(&self, known: Option<&StateEntry>) -> Option<Standing> {
        let none = StateEntry::default();
        let known = known.unwrap_or(&none);
        let applied = known.applied.as_ref().map(|applied| &applied.prints);
        let pending = known.pending.as_ref().map(|pending| &pending.wanted);
        let last = known.last_outcome.as_ref().map(|last| &last.attempted);
        let is_ours = |prints: Option<&FieldPrints>| is_same(prints, Some(&self.wanted));
        if is_ours(applied) && pending.is_none() && last.is_none() {
            return Some(Standing::Done);
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
            return Some(Standing::WrongPassword {
                code: last.code.clone(),
            });
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
        // What was asked for by name is sent as it was asked for.
        let tried = tried.filter(|_| !matches!(self.reason, Reason::Resend { .. }));
        Some(tried.map_or(Standing::Open, Standing::Tried))
    }

    /// The fields that differ from what is known to be set, if anything is.
    fn changed_fields(&self) -> Vec<Field> {
        let is_known = self.prior.applied.is_some();
        let changed = self
            .fields
            .iter()
            .filter(|(_, differs)| is_known && *differs);
        changed.map(|(field, _)| *field).collect()
    }

    /// What is left to do of it; nothing once it is done.
    pub(super) fn left(&self, index: usize, standing: &Standing) -> Option<PlanEntry> {
        let entry = self.to_plan(index);
        match standing {
            Standing::Done => None,
            Standing::Open => Some(entry),
            Standing::Tried(reason) => Some(PlanEntry {
                reason: reason.clone(),
                ..entry
            }),
            Standing::WrongPassword { code } => Some(PlanEntry {
                action: Action::Hold,
                reason: Reason::WrongPassword {
                    code: code.clone(),
                    credential: None,
                },
                ..entry
            }),
        }
    }

    /// Whether the manifest wants exactly these values.
    pub(super) fn is_wanted(&self, fingerprinter: &Fingerprinter, assignment: &Assignment) -> bool {
        let fields = assignment.values().count();
        fields == 1 + self.wanted.kerberos.len()
            && assignment.values().all(|(field, value)| {
                self.wanted
                    .get(field)
                    .is_some_and(|print| fingerprinter.matches(print, &self.key, field, value))
            })
    }

    fn to_plan(&self, index: usize) -> PlanEntry {
        PlanEntry {
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

    /// The entry as a plan shows it, without a place in a manifest.
    pub fn shown(&self) -> PlanEntry {
        self.to_plan(0)
    }
}

impl Prior {
    /// What a state says of an entry.
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

/// Whether two records are one and the same, salts included, or both absent.
fn is_same(a: Option<&FieldPrints>, b: Option<&FieldPrints>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.is_same_record(b),
        (None, None) => true,
        _ => false,
    }
}
