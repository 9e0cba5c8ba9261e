//! What differs between the manifest and the state, decided entry by entry. A plan is data: it
//! contains no secret and nothing that could act.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::Selection;
use super::batch::{self, BatchVerdict, Capacity, NextRequest, Search};
use super::config::Limits;
use super::fingerprint::{Field, Fingerprint, Fingerprinter, Salt};
use super::job::{EntryKey, JobId};
use super::manifest::{Assignment, Manifest};
use super::redact::Token;
use super::state::{
    Applied, FailedRetry, FailureClass, FieldPrints, Pending, State, StateEntry, ValueOrigin,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Sent: nothing is known to have been set before.
    Create,
    /// Sent: something else, or nothing certain, is known to be set.
    Update,
    /// Not sent, although it is not in sync: sending it again does harm.
    Hold,
    NoOp,
}

impl Action {
    pub const fn is_sent(self) -> bool {
        matches!(self, Self::Create | Self::Update)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Hold => "hold",
            Self::NoOp => "no_op",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reason {
    NeverSet,
    Changed {
        fields: Vec<Field>,
    },
    /// The state was made with another key, so nothing in it can be compared.
    KeyChanged,
    InDoubt,
    Distrusted {
        at: Timestamp,
    },
    LastRefused {
        code: Token,
        fields: Vec<Field>,
    },
    /// The service said that user or password is wrong, and the value is unchanged: repeating it
    /// locks the database account.
    WrongPassword {
        code: Token,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credential: Option<String>,
    },
    /// The user asked to send it. One that was refused as `wrong` is sent alone.
    Resend {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wrong: Option<Token>,
    },
    Unchanged,
}

impl Reason {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NeverSet => "never_set",
            Self::Changed { .. } => "changed",
            Self::KeyChanged => "key_changed",
            Self::InDoubt => "in_doubt",
            Self::Distrusted { .. } => "distrusted",
            Self::LastRefused { .. } => "last_refused",
            Self::WrongPassword { .. } => "wrong_password",
            Self::Resend { .. } => "resend",
            Self::Unchanged => "unchanged",
        }
    }

    pub const fn code(&self) -> Option<&Token> {
        match self {
            Self::LastRefused { code, .. } | Self::WrongPassword { code, .. } => Some(code),
            Self::Resend { wrong } => wrong.as_ref(),
            _ => None,
        }
    }

    pub const fn of_mark(pending: &Pending) -> Self {
        if pending.distrusted {
            Self::Distrusted { at: pending.since }
        } else {
            Self::InDoubt
        }
    }
}

#[derive(Clone, Debug)]
pub struct PlanEntry {
    pub label: String,
    pub key: EntryKey,
    /// Its index in the manifest.
    pub index: usize,
    pub action: Action,
    pub reason: Reason,
    /// The wanted fields, each with whether it differs from the value known to be set. Empty if in
    /// sync.
    pub fields: Vec<(Field, bool)>,
    pub last_set: Option<(Timestamp, ValueOrigin)>,
    /// Kerberos was set once and is no longer in the manifest: the service keeps it.
    pub kerberos_left: bool,
    pub credential: Option<Arc<str>>,
}

impl PlanEntry {
    pub fn is_sent(&self) -> bool {
        self.action.is_sent()
    }

    pub fn is_resent(&self) -> bool {
        matches!(self.reason, Reason::Resend { .. })
    }

    pub fn held_for(self, credential: &str, code: &Token) -> Self {
        Self {
            action: Action::Hold,
            reason: Reason::WrongPassword {
                code: code.clone(),
                credential: Some(credential.to_owned()),
            },
            ..self
        }
    }
}

/// Every selected entry that is not in sync or needs a remark, in manifest order, and the number of
/// the others.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub entries: Vec<PlanEntry>,
    pub in_sync: usize,
    pub not_selected: usize,
    pub unlisted: Vec<EntryKey>,
    pub requests: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    pub to_set: usize,
    pub to_change: usize,
    pub to_send_again: usize,
    pub held: usize,
}

impl Counts {
    pub const fn sent(&self) -> usize {
        self.to_set + self.to_change + self.to_send_again
    }
}

impl Plan {
    pub fn sent(&self) -> impl Iterator<Item = &PlanEntry> {
        self.entries.iter().filter(|entry| entry.is_sent())
    }

    /// Counts the requests of an apply in which the service accepts every entry.
    pub fn count_requests(&mut self, manifest: &Manifest, batch_size: usize) {
        let Requests { alone, batches } = Requests::of(self.sent(), manifest, batch_size);
        let assignments = manifest.assignments();
        let key_of = |place: usize| &assignments[place].key;
        let mut proven: HashSet<&str> = HashSet::new();
        let mut count = alone.len();
        for batch in batches {
            let mut next = Some(Search::new(batch));
            while let Some(search) = next.take() {
                let credential = |place: usize| assignments[place].credential.as_deref();
                let search = search.one_of_each(key_of, |place| {
                    credential(place).filter(|name| !proven.contains(name))
                });
                proven.extend(search.due().iter().filter_map(|place| credential(*place)));
                count += 1;
                let after = search.after(BatchVerdict::Taken, &mut Capacity::default(), key_of);
                if let NextRequest::Settled(rest) = after {
                    next = rest;
                }
            }
        }
        self.requests = count;
    }

    /// Returns the entries that are not in sync.
    pub fn changes(&self) -> impl Iterator<Item = &PlanEntry> {
        let entries = self.entries.iter();
        entries.filter(|entry| entry.action != Action::NoOp)
    }

    pub fn has_changes(&self) -> bool {
        self.changes().next().is_some()
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in &self.entries {
            match (entry.action, &entry.reason) {
                (Action::NoOp, _) => {}
                (Action::Hold, _) => counts.held += 1,
                (_, Reason::NeverSet | Reason::KeyChanged) => counts.to_set += 1,
                (_, Reason::Changed { .. }) => counts.to_change += 1,
                _ => counts.to_send_again += 1,
            }
        }
        counts
    }
}

#[derive(Debug, Default)]
pub struct Requests {
    /// Entries refused as a wrong password before, and all others of the same jobs: one after the
    /// other.
    pub alone: Vec<usize>,
    /// The first job of each credential goes ahead of the rest, so that a wrong password is tried
    /// once and not ten times.
    pub batches: Vec<Vec<usize>>,
}

impl Requests {
    pub fn of<'e>(
        entries: impl Iterator<Item = &'e PlanEntry>,
        manifest: &Manifest,
        batch_size: usize,
    ) -> Self {
        let assignments = manifest.assignments();
        let is_alone = |entry: &&PlanEntry| {
            let reason = &entry.reason;
            matches!(reason, Reason::Resend { wrong: Some(_) })
        };
        let entries: Vec<&PlanEntry> = entries.collect();
        let alone = entries.iter().copied().filter(is_alone);
        let alone: HashSet<&JobId> = alone.map(|entry| &entry.key.job).collect();
        let (first, rest): (Vec<&PlanEntry>, Vec<&PlanEntry>) = entries
            .into_iter()
            .partition(|entry| alone.contains(&entry.key.job));
        let mut leaders: HashMap<&str, &JobId> = HashMap::new();
        let mut ahead: HashSet<&JobId> = HashSet::new();
        for entry in first.iter().chain(&rest) {
            if let Some(credential) = assignments[entry.index].credential.as_deref() {
                let leader = *leaders.entry(credential).or_insert(&entry.key.job);
                if leader != &entry.key.job {
                    ahead.insert(leader);
                }
            }
        }
        let (ahead, rest): (Vec<&PlanEntry>, Vec<&PlanEntry>) = rest
            .into_iter()
            .partition(|entry| ahead.contains(&entry.key.job));
        let cut = |entries: Vec<&PlanEntry>| {
            let sizes: Vec<_> = entries
                .iter()
                .map(|entry| assignments[entry.index].batch_item())
                .collect();
            let batches = batch::split(&sizes, batch_size).into_iter();
            let places = move |batch: Vec<usize>| {
                let places = batch.into_iter().map(|at| entries[at].index);
                places.collect::<Vec<usize>>()
            };
            batches.map(places).collect::<Vec<_>>()
        };
        Self {
            alone: first.iter().map(|entry| entry.index).collect(),
            batches: [cut(ahead), cut(rest)].concat(),
        }
    }

    pub const fn is_empty(&self) -> bool {
        self.alone.is_empty() && self.batches.is_empty()
    }
}

pub struct PlanInputs<'a> {
    pub manifest: &'a Manifest,
    pub state: Option<&'a State>,
    pub key_changed: bool,
    pub fingerprinter: &'a Fingerprinter,
    pub selection: &'a Selection,
    pub batch_size: usize,
}

pub fn make(inputs: &PlanInputs<'_>) -> Plan {
    let assignments = inputs.manifest.assignments();
    let known = inputs.state.filter(|_| !inputs.key_changed);
    let wrong = known.map(|state| wrong_credentials(inputs.manifest, state, inputs.fingerprinter));
    let wrong = wrong.unwrap_or_default();
    let mut plan = Plan::default();
    let mut listed = 0;
    for (index, assignment) in assignments.iter().enumerate() {
        let entry = known.and_then(|state| state.entries.get(&assignment.key));
        listed += usize::from(entry.is_some());
        if !inputs.selection.is_selected(index) {
            plan.not_selected += 1;
            continue;
        }
        let mut judged = judge(inputs, index, assignment, entry);
        if let Some(credential) = assignment.credential.as_deref()
            && let Some(code) = wrong.get(credential)
            && judged.is_sent()
            && !inputs.selection.is_resent(index)
        {
            judged = judged.held_for(credential, code);
        }
        if judged.action == Action::NoOp {
            plan.in_sync += 1;
        }
        if judged.action != Action::NoOp || judged.kerberos_left {
            judged.label.clone_from(&assignment.label);
            plan.entries.push(judged);
        }
    }
    if let Some(state) = known
        && listed < state.entries.len()
    {
        plan.unlisted = unlisted(inputs.manifest, state);
    }
    plan.count_requests(inputs.manifest, inputs.batch_size);
    plan
}

pub fn unlisted(manifest: &Manifest, state: &State) -> Vec<EntryKey> {
    let assignments = manifest.assignments().iter();
    let listed: BTreeSet<&EntryKey> = assignments.map(|a| &a.key).collect();
    let keys = state.entries.keys();
    keys.filter(|key| !listed.contains(key)).cloned().collect()
}

fn judge(
    inputs: &PlanInputs<'_>,
    index: usize,
    assignment: &Assignment,
    entry: Option<&StateEntry>,
) -> PlanEntry {
    let applied = entry.and_then(|entry| entry.applied.as_ref());
    let changed: Option<Vec<Field>> =
        applied.map(|applied| changed_fields(inputs.fingerprinter, &applied.prints, assignment));
    let (action, reason) = decide(inputs, index, assignment, entry, changed.as_deref());
    let fields = if action == Action::NoOp {
        Vec::new()
    } else {
        let differs = |field| {
            changed
                .as_ref()
                .is_none_or(|changed| changed.contains(&field))
        };
        let fields = assignment.values().map(|(field, _)| field);
        fields.map(|field| (field, differs(field))).collect()
    };
    PlanEntry {
        label: String::new(),
        key: assignment.key.clone(),
        index,
        action,
        reason,
        fields,
        last_set: applied.map(|applied| (applied.at, applied.origin)),
        kerberos_left: applied.is_some_and(|applied| has_left_kerberos(applied, assignment)),
        credential: assignment.credential.clone(),
    }
}

fn has_left_kerberos(applied: &Applied, assignment: &Assignment) -> bool {
    applied.prints.kerberos.keys().any(|field| {
        assignment
            .kerberos
            .iter()
            .all(|(wanted, _)| wanted != field)
    })
}

/// The order of the checks matters: a wrong password is held whatever else is known, an unknown
/// outcome stays unknown, and a refusal outlives a manifest that went back.
fn decide(
    inputs: &PlanInputs<'_>,
    index: usize,
    assignment: &Assignment,
    entry: Option<&StateEntry>,
    changed: Option<&[Field]>,
) -> (Action, Reason) {
    let Some(entry) = entry else {
        let reason = if inputs.key_changed {
            Reason::KeyChanged
        } else {
            Reason::NeverSet
        };
        return (Action::Create, reason);
    };
    let send = if entry.applied.is_some() {
        Action::Update
    } else {
        Action::Create
    };
    let wrong = held(inputs.fingerprinter, assignment, entry);
    if inputs.selection.is_resent(index) {
        return (Action::Update, Reason::Resend { wrong });
    }
    if let Some(code) = wrong {
        let credential = None;
        return (Action::Hold, Reason::WrongPassword { code, credential });
    }
    if let Some(pending) = &entry.pending {
        return (Action::Update, Reason::of_mark(pending));
    }
    if let Some(last) = &entry.last_outcome {
        let code = last.code.clone();
        let fields = changed.unwrap_or_default().to_vec();
        return (send, Reason::LastRefused { code, fields });
    }
    match changed {
        None => (Action::Create, Reason::NeverSet),
        Some([]) => (Action::NoOp, Reason::Unchanged),
        Some(fields) => {
            let fields = fields.to_vec();
            (Action::Update, Reason::Changed { fields })
        }
    }
}

/// Returns the code of a wrong password that is still wanted. It outlives an unknown outcome: an
/// interrupted attempt does not make a wrong password right.
fn held(prints: &Fingerprinter, assignment: &Assignment, entry: &StateEntry) -> Option<Token> {
    let last = entry.last_outcome.as_ref()?;
    let is_held = last.class == FailureClass::WrongPassword
        && changed_fields(prints, &last.attempted, assignment).is_empty();
    is_held.then(|| last.code.clone())
}

pub fn wrong_credentials<'m>(
    manifest: &'m Manifest,
    state: &State,
    prints: &Fingerprinter,
) -> HashMap<&'m str, Token> {
    let is_wrong = |entry: &StateEntry| {
        let last = entry.last_outcome.as_ref();
        last.is_some_and(|last| last.class == FailureClass::WrongPassword)
    };
    // Hardly any state has one, so the manifest is rarely searched.
    if !state.entries.values().any(is_wrong) {
        return HashMap::new();
    }
    let assignments = manifest.assignments().iter();
    let held = assignments.filter_map(|assignment| {
        let credential = assignment.credential.as_deref()?;
        let entry = state.entries.get(&assignment.key)?;
        Some((credential, held(prints, assignment, entry)?))
    });
    held.collect()
}

pub fn failed_retries<'s>(
    manifest: &Manifest,
    state: &'s State,
    prints: &Fingerprinter,
) -> BTreeMap<&'s JobId, &'s FailedRetry> {
    let mut failed: BTreeMap<&JobId, &FailedRetry> = state.retries.iter().collect();
    for assignment in manifest.assignments() {
        let key = &assignment.key;
        if let Some(retry) = failed.get(&key.job)
            && !was_tried(prints, retry, assignment)
        {
            failed.remove(&key.job);
        }
    }
    failed
}

/// Returns whether a failed retry logged in with what the manifest has for an endpoint.
pub fn was_tried(prints: &Fingerprinter, retry: &FailedRetry, assignment: &Assignment) -> bool {
    let tried = retry.prints.get(&assignment.key.endpoint);
    tried.is_some_and(|tried| changed_fields(prints, tried, assignment).is_empty())
}

/// A recorded kerberos field that is no longer wanted is not a change, since it is not sent.
fn changed_fields(
    prints: &Fingerprinter,
    recorded: &FieldPrints,
    assignment: &Assignment,
) -> Vec<Field> {
    assignment
        .values()
        .filter(|(field, value)| {
            !recorded
                .get(*field)
                .is_some_and(|print| prints.matches(print, &assignment.key, *field, value))
        })
        .map(|(field, _)| field)
        .collect()
}

/// Returns the fingerprints of all values, each with its own salt.
pub fn prints_of(
    fingerprinter: &Fingerprinter,
    assignment: &Assignment,
    mut salt: impl FnMut() -> Salt,
) -> FieldPrints {
    let mut print = |field, value: &_| fingerprinter.of(&assignment.key, field, salt(), value);
    FieldPrints {
        password: print(Field::Password, &assignment.password),
        kerberos: assignment
            .kerberos
            .iter()
            .map(|(field, value)| (*field, print(*field, value)))
            .collect(),
    }
}

/// Returns what a state records of an entry, with a test whether a recorded fingerprint is of its
/// password.
pub fn to_record(
    fingerprinter: &Fingerprinter,
    assignment: &Assignment,
    prints: FieldPrints,
) -> (EntryKey, FieldPrints, impl Fn(&Fingerprint) -> bool) {
    let (key, value) = (&assignment.key, &assignment.password);
    let is_password = move |print: &_| fingerprinter.matches(print, key, Field::Password, value);
    (key.clone(), prints, is_password)
}

/// A plan that changes more than the limits allow (design section 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    pub changes: u64,
    pub limits: String,
}

/// Without a known state everything counts as changed: a lost state must not bypass the limits.
pub fn check_limits(
    plan: &Plan,
    limits: &Limits,
    entries: usize,
    knows_state: bool,
) -> Result<(), Exceeded> {
    let changes = if knows_state {
        plan.sent().count()
    } else {
        entries
    };
    let (changes, entries) = (changes as u64, entries as u64);
    let mut broken = Vec::new();
    if let Some(most) = limits.max_changes.filter(|most| changes > *most) {
        broken.push(format!("max_changes is {most}"));
    }
    if let Some(most) = limits
        .max_changed_share
        .filter(|most| !most.covers(changes, entries))
    {
        broken.push(format!(
            "max_changed_share is {}% of {entries} entries",
            most.get()
        ));
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(Exceeded {
            changes,
            limits: broken.join(", "),
        })
    }
}

#[cfg(test)]
mod tests;
