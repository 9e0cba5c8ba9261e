//! `plan`: compares the manifest with the state without taking the lock, and without network
//! unless job states are queried.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::compare::{self, Addresses, Comparison, lock_holder, notes_of};
use super::error::{ErrorClass, Failure};
use super::online::{Online, Preflight};
use super::root::{Opened, OwnPaths, Root, Unlock, UserRules};
use super::{OpError, Runtime};
use crate::api::client::Client;
use crate::core::address::Selection;
use crate::core::fingerprint::ChangeId;
use crate::core::job::{EntryKey, JobId};
use crate::core::plan::{Exceeded, Plan, prints_of};
use crate::core::problem::Problem;
use crate::core::redact::ForeignText;
use crate::core::report::{PlanNote, PlanReport, SavedFacts};
use crate::core::saved::{self, PlanBase, SavedEntry, SavedFlags, SavedLimits, SavedPlan, Stale};
use crate::core::state::{FieldPrints, Lineage};
use crate::core::status::{Blocked, UnknownStates};
use crate::store::format::FormatError;
use crate::store::plan_file::PlanFile;

/// How to query job states.
pub struct AskStates<'a> {
    /// Finds the login and prepares the client, after every check that needs no network.
    pub connect: &'a dyn Fn(&Opened) -> Result<Client, OpError>,
    pub unknown: UnknownStates,
}

pub fn plan(
    root: &Root,
    unlock: &Unlock<'_>,
    rules: &UserRules,
    runtime: &Runtime,
    addresses: &Addresses,
    ask: Option<AskStates<'_>>,
    save: Option<&SaveAs<'_>>,
) -> Result<(PlanReport, Vec<Problem>), OpError> {
    let (opened, snapshot) = compare::open(root, unlock, rules)?;
    let holder = lock_holder(root, &opened.sealed, &snapshot)?;
    let mut notes = notes_of(root, &opened, &snapshot, holder.as_deref())?;
    let known = Comparison::of(root, &opened, snapshot)?;
    known.check_rollback(rules.allow_rollback)?;
    if save.is_some() {
        root.check_place(&opened.sealed)?;
        // A state of another key has nothing that an apply could compare.
        known.check_key()?;
        root.check_index(&opened, ErrorClass::Failed)?;
    }
    let plan = known.plan(addresses)?;
    if let Err(exceeded) = known.check_limits(&plan, rules) {
        let Exceeded { changes, limits } = exceeded;
        notes.push(PlanNote::titled(
            "limit exceeded",
            format!(
                "{changes} to be changed, but {limits}; apply needs --override-limits {changes}"
            ),
        ));
    }
    let blocked = match ask {
        Some(ask) => {
            let selected = Selection::resolve(&opened.manifest, &addresses.only, &[]);
            let selected = selected.map_err(OpError::unmatched)?;
            blocked(&opened, (&plan, &selected), &ask, runtime, &mut notes)?
        }
        None => BTreeMap::new(),
    };
    let mut report = known.report(plan, notes);
    if let Some(how) = save {
        report.saved = Some(save_plan(&known, &report, addresses, rules, runtime, how)?);
    }
    if !blocked.is_empty() {
        // An apply would skip it, so it is not counted as a change.
        let mut left = report.plan.clone();
        left.entries
            .retain(|entry| !blocked.contains_key(&entry.key));
        left.count_requests(&opened.manifest, root.config.apply.batch_size);
        report.counts = left.counts();
        report.plan.requests = left.requests;
        report.blocked = blocked;
    }
    Ok((report, opened.warnings))
}

/// Returns the entries to send whose jobs take no password now; notes which of the selected jobs
/// have failed.
fn blocked(
    opened: &Opened,
    (plan, selected): (&Plan, &Selection),
    ask: &AskStates<'_>,
    runtime: &Runtime,
    notes: &mut Vec<PlanNote>,
) -> Result<BTreeMap<EntryKey, Blocked>, OpError> {
    let client = (ask.connect)(opened)?;
    // The service's words must not repeat a password.
    let client = client.guarding(&opened.manifest);
    let mut online = Online::new(client, runtime.hang_up)?;
    online.log_in()?;
    let keys = opened.manifest.assignments().iter().enumerate();
    let keys = keys.filter(|(at, _)| selected.is_selected(*at));
    let keys = keys.map(|(_, assignment)| &assignment.key);
    let mut preflight = Preflight::ask(&mut online, keys, ask.unknown)?;
    preflight.warn_of_failed(&opened.manifest);
    let accepting = preflight.accepting;
    if accepting > 0 {
        let accept = match accepting {
            1 => "job accepts",
            _ => "jobs accept",
        };
        notes.push(PlanNote::new(format!(
            "preflight: {accepting} {accept} a password now"
        )));
    }
    let mut said = preflight.warnings;
    online.add_notes(&mut said);
    online.leave();
    let said = said.into_iter();
    notes.extend(said.map(|text| PlanNote::titled("preflight", text)));
    let why = |key: &EntryKey| Some((key.clone(), preflight.blocked.get(&key.job)?.clone()));
    Ok(plan.sent().filter_map(|entry| why(&entry.key)).collect())
}

pub struct SaveAs<'a> {
    pub path: &'a Path,
    pub expires_in: Duration,
}

fn save_plan(
    known: &Comparison<'_>,
    report: &PlanReport,
    addresses: &Addresses,
    rules: &UserRules,
    runtime: &Runtime,
    how: &SaveAs<'_>,
) -> Result<SavedFacts, OpError> {
    OwnPaths::of(known.root).check(how.path)?;
    let created = (runtime.now)();
    let expires = created.checked_add(how.expires_in).map_err(|_| {
        OpError::unfit(
            "the plan would never expire",
            "Give a shorter time with --expires-in.",
        )
    })?;
    let sealed = &known.opened.sealed;
    let fingerprinter = sealed.fingerprint_key.fingerprinter(&sealed.scope);
    let assignments = known.opened.manifest.assignments();
    let plan = &report.plan;
    let trusted = known.trusted();
    let entries = plan.changes().map(|entry| {
        let before = trusted.and_then(|state| state.entries.get(&entry.key));
        let wanted = prints_of(&fingerprinter, &assignments[entry.index], runtime.salt);
        SavedEntry::new(entry, before, wanted)
    });
    let limits = known.root.limits(rules);
    let environment = report.environment.as_ref();
    let saved = SavedPlan {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        created,
        expires,
        scope: report.scope.clone(),
        environment: environment.map(|name| name.as_str().to_owned()),
        key_id: sealed.fingerprint_key.id(),
        revision: sealed.revision,
        rollback: report.rollback,
        state: match trusted {
            Some(state) => PlanBase::Known {
                lineage: state.lineage.clone(),
                serial: state.serial,
            },
            None => PlanBase::Absent {
                lineage: Lineage::new((runtime.unique)()),
            },
        },
        recipients: saved::recipients_of(sealed),
        limits: SavedLimits {
            max_changes: limits.max_changes,
            max_changed_percent: limits.max_changed_share.map(|share| share.get()),
        },
        flags: SavedFlags {
            only: !addresses.only.is_empty(),
            resend: !addresses.resend.is_empty(),
            allow_rollback: rules.allow_rollback,
        },
        counts: report.counts,
        in_sync: plan.in_sync,
        not_selected: plan.not_selected,
        unlisted: plan.unlisted.clone(),
        requests: plan.requests,
        change_id: report.change_id.clone(),
        entries: entries.collect(),
    };
    let file = PlanFile::new(saved, &sealed.fingerprint_key.plan_mac());
    let path = known.root.resolve(how.path);
    file.write(&path).map_err(OpError::write(how.path))?;
    Ok(facts_of(&file))
}

/// A saved plan to apply, as the user named it.
pub struct ToApply {
    pub path: PathBuf,
    pub file: PlanFile,
}

impl ToApply {
    /// Reads a plan file, which must have the id `expected` if that is given.
    pub fn read(root: &Root, path: &Path, expected: Option<&str>) -> Result<Self, OpError> {
        let file = read_saved(&root.resolve(path), path)?;
        let plan = Self {
            path: path.to_owned(),
            file,
        };
        if expected.is_some_and(|expected| expected != plan.file.id) {
            return Err(plan.stale(Stale::other_plan()));
        }
        Ok(plan)
    }

    /// Checks that a reader of this manifest made it, and for this manifest.
    pub fn check(
        &self,
        root: &Root,
        opened: &Opened,
        now: Timestamp,
        change: Option<&ChangeId>,
    ) -> Result<(), OpError> {
        let key = &opened.sealed.fingerprint_key;
        if !self.file.is_authentic(&key.plan_mac()) {
            let path = self.path.display();
            return Err(Failure::new(
                "drspass::plan::authentic",
                format!("{path} was altered, or made with another key than the manifest's"),
                "Nothing was sent or changed. Check where the file came from, and make a new plan.",
            )
            .class(ErrorClass::StalePlan)
            .into());
        }
        let plan = &self.file.plan;
        plan.check_times(now).map_err(|why| self.stale(why))?;
        root.check_index(opened, ErrorClass::StalePlan)?;
        let fits = plan.fits(&opened.sealed);
        fits.map_err(|why| self.stale(why))?;
        match change {
            Some(change) if *change != plan.change_id => {
                Err(self.stale(Stale::other_change(&plan.change_id)))
            }
            _ => Ok(()),
        }
    }

    /// Returns the remaining plan, with the records to write.
    pub fn decide(
        &self,
        known: &Comparison<'_>,
        notes: &mut Vec<PlanNote>,
    ) -> Result<(Plan, BTreeMap<EntryKey, FieldPrints>), OpError> {
        let saved = &self.file.plan;
        let Opened {
            manifest, sealed, ..
        } = known.opened;
        let state = known.state.as_ref();
        let progress = saved.progress(state).map_err(|why| self.stale(why))?;
        let fingerprinter = sealed.fingerprint_key.fingerprinter(&sealed.scope);
        let plan = saved.plan(manifest, state, &fingerprinter, &progress);
        let mut plan = plan.map_err(|why| self.stale(why))?;
        plan.count_requests(manifest, known.root.config.apply.batch_size);
        let done = plan.in_sync - saved.in_sync;
        if done > 0 {
            let left = plan.entries.len();
            let (entries, are) = if done == 1 {
                ("entry", "is")
            } else {
                ("entries", "are")
            };
            let remain = if left == 1 { "remains" } else { "remain" };
            notes.push(PlanNote::new(format!(
                "{done} {entries} of this plan {are} already applied; {left} {remain}"
            )));
        }
        if sealed.revision > saved.revision {
            notes.push(PlanNote::new(format!(
                "the manifest has changed since (revision {} then, {} now), but not for these \
                 entries",
                saved.revision, sealed.revision
            )));
        }
        if let (PlanBase::Known { serial: then, .. }, Some(state)) = (&saved.state, state)
            && *then != state.serial
        {
            notes.push(PlanNote::new(format!(
                "the state has changed since (serial {then} then, {} now), but not for these \
                 entries",
                state.serial
            )));
        }
        let wanted = saved.entries.iter();
        let wanted = wanted.map(|entry| (entry.key.clone(), entry.wanted.clone()));
        Ok((plan, wanted.collect()))
    }

    pub fn jobs(&self) -> BTreeSet<&JobId> {
        let entries = self.file.plan.entries.iter();
        entries.map(|entry| &entry.key.job).collect()
    }

    /// Gives the report of the rest the id of the whole plan.
    pub fn named(&self, report: PlanReport) -> PlanReport {
        PlanReport {
            change_id: self.file.plan.change_id.clone(),
            saved: Some(facts_of(&self.file)),
            ..report
        }
    }

    fn stale(&self, why: Stale) -> OpError {
        Failure::new(
            "drspass::plan::stale",
            format!("{} is stale: {}", self.path.display(), why.why),
            format!("Nothing was sent or changed. {}", why.help),
        )
        .class(ErrorClass::StalePlan)
        .into()
    }
}

fn facts_of(file: &PlanFile) -> SavedFacts {
    SavedFacts {
        id: file.id.clone(),
        created: file.plan.created,
        expires: file.plan.expires,
    }
}

/// Returns a saved plan for display. Without the key nothing of it is authenticated; that
/// happens when it is applied.
pub fn show_saved(path: &Path, name: &Path) -> Result<PlanReport, OpError> {
    let file = read_saved(path, name)?;
    let plan = &file.plan;
    Ok(PlanReport {
        rollback: plan.rollback,
        behind: None,
        counts: plan.counts,
        plan: Plan {
            // Its entries have no position in a manifest.
            entries: plan.entries.iter().map(|entry| entry.to_plan(0)).collect(),
            in_sync: plan.in_sync,
            not_selected: plan.not_selected,
            unlisted: plan.unlisted.clone(),
            requests: plan.requests,
        },
        blocked: BTreeMap::new(),
        scope: plan.scope.clone(),
        environment: plan.environment.as_deref().and_then(ForeignText::clean),
        change_id: plan.change_id.clone(),
        saved: Some(facts_of(&file)),
        notes: vec![PlanNote::new(
            "not authenticated: only an apply checks with the key who made this plan",
        )],
    })
}

/// Reads a plan file; messages call it `name`.
fn read_saved(path: &Path, name: &Path) -> Result<PlanFile, OpError> {
    PlanFile::read(path).map_err(|source| match source {
        FormatError::Read(source) => OpError::read(name)(source),
        source => Failure::new(
            "drspass::plan::file",
            format!("{} is not a valid plan file", name.display()),
            "Nothing was sent or changed. Give the file that 'drspass plan --out' wrote, or make a new plan.",
        )
        .class(ErrorClass::StalePlan)
        .because(source)
        .into(),
    })
}
