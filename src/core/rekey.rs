//! Moves a state to another fingerprint key.
//!
//! Only values that the manifest wants can get new fingerprints. Every other record stays: it
//! matches no value under the new key, so its field differs from any wanted value. The only loss: a
//! manifest that goes back to an earlier value is not recognised any more.

use std::collections::BTreeMap;

use super::fingerprint::{FingerprintKey, Fingerprinter};
use super::job::EntryKey;
use super::manifest::{Assignment, Manifest, Sealed};
use super::state::{FieldPrints, State};

/// Returns a state that was made with the key `former` as a reader of the manifest sees it. For
/// another service or project, only the applied revisions are kept, so that no older manifest
/// passes. Records keep their salts, so that two runs see the same ones.
pub fn carried_over(
    mut state: State,
    former: &FingerprintKey,
    manifest: &Manifest,
    sealed: &Sealed,
) -> State {
    state.key_id = sealed.fingerprint_key.id();
    if state.scope != sealed.scope {
        state.scope = sealed.scope.clone();
        state.entries.clear();
        state.retries.clear();
        return state;
    }
    let old = &former.fingerprinter(&state.scope);
    let new = &sealed.fingerprint_key.fingerprinter(&sealed.scope);
    let wanted: BTreeMap<&EntryKey, &Assignment> = manifest
        .assignments()
        .iter()
        .map(|assignment| (&assignment.key, assignment))
        .collect();
    for (key, entry) in &mut state.entries {
        let Some(assignment) = wanted.get(key) else {
            continue;
        };
        let applied = entry.applied.as_mut().map(|applied| &mut applied.prints);
        let pending = entry.pending.as_mut().map(|pending| &mut pending.wanted);
        let attempted = entry.last_outcome.as_mut().map(|last| &mut last.attempted);
        for prints in [applied, pending, attempted].into_iter().flatten() {
            make_again(prints, assignment, old, new);
        }
    }
    for (job, retry) in &mut state.retries {
        for (&endpoint, prints) in &mut retry.prints {
            let job = job.clone();
            if let Some(assignment) = wanted.get(&EntryKey { job, endpoint }) {
                make_again(prints, assignment, old, new);
            }
        }
    }
    state
}

fn make_again(
    prints: &mut FieldPrints,
    assignment: &Assignment,
    old: &Fingerprinter,
    new: &Fingerprinter,
) {
    let key = &assignment.key;
    for (field, value) in assignment.values() {
        if let Some(print) = prints.get_mut(field)
            && old.matches(print, key, field, value)
        {
            *print = new.again(print, key, field, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::address::Selection;
    use crate::core::fingerprint::Scope;
    use crate::core::job::EntryKey;
    use crate::core::manifest::tests::sealing;
    use crate::core::manifest::{Sealing, parse};
    use crate::core::outcome::{Doubt, RefusalKind};
    use crate::core::plan::{self, Plan, PlanInputs, prints_of, to_record};
    use crate::core::redact::Token;
    use crate::core::state::{Lineage, RunId, Settlement};
    use jiff::Timestamp;

    fn scope() -> Scope {
        Scope {
            endpoint: "https://drs.example.com".to_owned(),
            project_id: "p".to_owned(),
        }
    }

    fn sealed(key: &FingerprintKey) -> Sealed {
        Sealed {
            fingerprint_key: key.clone(),
            scope: scope(),
            ..sealing::sealed()
        }
    }

    fn manifest(values: &[(&str, &str)]) -> Manifest {
        let jobs: String = values
            .iter()
            .map(|(job, value)| {
                format!(
                    "  {job}:\n    source:\n      password: '{value}'\n      kerberos:\n        \
                     krb5_conf_file: 'k'\n        key_tab_file: 'QUJD'\n        \
                     domain_name: 'd-{value}'\n        user_principal: 'u'\n"
                )
            })
            .collect();
        let text = format!("version: 1\njobs:\n{jobs}");
        let checked = parse(&text, Sealing::Optional);
        checked.value.expect("a manifest")
    }

    fn judged(manifest: &Manifest, state: &State, key: &FingerprintKey) -> String {
        let selection = Selection::resolve(manifest, &[], &[]).expect("all");
        let Plan {
            entries, in_sync, ..
        } = plan::make(&PlanInputs {
            manifest,
            state: Some(state),
            key_changed: false,
            fingerprinter: &key.fingerprinter(&scope()),
            selection: &selection,
            batch_size: 10,
        });
        format!("{in_sync} {entries:?}")
    }

    const JOBS: [&str; 6] = [
        "11df459d-a37c-41b9-bc2b-8c00ba32jb51",
        "22df459d-a37c-41b9-bc2b-8c00ba32jb52",
        "33df459d-a37c-41b9-bc2b-8c00ba32jb53",
        "44df459d-a37c-41b9-bc2b-8c00ba32jb54",
        "55df459d-a37c-41b9-bc2b-8c00ba32jb55",
        "66df459d-a37c-41b9-bc2b-8c00ba32jb56",
    ];

    /// A state in which each job ended in another way; the last one is only marked.
    fn state(sent: &Manifest, key: &FingerprintKey) -> State {
        let mut state = State::new(scope(), Lineage::new("l".to_owned()), key.id());
        let prints = key.fingerprinter(&scope());
        let at = Timestamp::UNIX_EPOCH;
        for _ in 0..2 {
            let wanted = sent.assignments().iter();
            let wanted: Vec<_> = wanted
                .map(|wanted| to_record(&prints, wanted, prints_of(&prints, wanted, || [3; 16])))
                .collect();
            state.begin(wanted, at, &RunId::new("run".to_owned()));
            let refused = |kind| Settlement::Refused {
                kind,
                code: Token::from_static("DRS.KE0002"),
                request_id: None,
            };
            let ends = [
                Settlement::Applied,
                Settlement::Applied,
                refused(RefusalKind::WrongPassword),
                refused(RefusalKind::Rejected),
                Settlement::InDoubt {
                    why: Doubt::AnswerLost,
                },
            ];
            for (job, end) in JOBS.iter().zip(ends) {
                let key: EntryKey = format!("{job}/source").parse().expect("an entry");
                state.settle(&key, &end, at);
            }
        }
        state
    }

    #[test]
    fn a_plan_says_the_same_before_and_after() {
        let old = FingerprintKey::new([1; 32]);
        let new = FingerprintKey::new([2; 32]);
        let sent = manifest(&JOBS.map(|job| (job, "canary-sent")));
        let before = state(&sent, &old);
        let changed_at = |at: usize| {
            let values: Vec<_> = JOBS
                .iter()
                .enumerate()
                .map(|(index, job)| {
                    (
                        *job,
                        if index == at {
                            "canary-x"
                        } else {
                            "canary-sent"
                        },
                    )
                })
                .collect();
            manifest(&values)
        };
        let wanted = (0..JOBS.len())
            .map(changed_at)
            .chain([manifest(
                &JOBS[..2]
                    .iter()
                    .map(|job| (*job, "canary-sent"))
                    .collect::<Vec<_>>(),
            )])
            .chain([manifest(&JOBS.map(|job| (job, "canary-sent")))]);
        for wanted in wanted {
            let after = carried_over(before.clone(), &old, &wanted, &sealed(&new));
            assert_eq!(after.key_id, new.id());
            assert_eq!(
                judged(&wanted, &before, &old),
                judged(&wanted, &after, &new)
            );
            // With the old key, nothing that was made again fits.
            assert!(judged(&wanted, &after, &old).starts_with("0 "));
        }
    }

    #[test]
    fn a_value_that_is_not_wanted_is_never_taken_for_set() {
        let old = FingerprintKey::new([1; 32]);
        let new = FingerprintKey::new([2; 32]);
        let sent = manifest(&[(JOBS[0], "canary-sent")]);
        let wanted = manifest(&[(JOBS[0], "canary-wanted")]);
        let before = state(&sent, &old);
        let after = carried_over(before, &old, &wanted, &sealed(&new));
        // It goes back to what was set: more is sent than must be, never less.
        let back = judged(&sent, &after, &new);
        assert!(back.starts_with("0 ") && back.contains("Changed"), "{back}");
    }
}
