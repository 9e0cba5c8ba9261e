//! Plans of made-up manifests and states, and what any sequence of outcomes
//! leaves to do.

use proptest::prelude::*;

use super::*;
use crate::core::fingerprint::{FingerprintKey, Scope};
use crate::core::manifest::{self, Sealing};
use crate::core::outcome::{Doubt, RefusalKind};
use crate::core::state::{Lineage, RunId, Settlement};

const BATCH_SIZE: usize = 10;

/// What one entry shall have: a number for its password, and one for a kerberos
/// field if it has any.
type Wanted = (u8, Option<u8>);

/// A manifest of as many entries as there are drawn, two to a job.
fn manifest_of(wanted: &[Wanted]) -> Manifest {
    let mut text = "version: 1\njobs:".to_owned();
    if wanted.is_empty() {
        text.push_str(" {}");
    }
    text.push('\n');
    for (index, (password, kerberos)) in wanted.iter().enumerate() {
        let job = index / 2;
        let endpoint = if index % 2 == 0 {
            text.push_str(&format!("  \"00df459d-a37c-41b9-bc2b-8c00ba3{job:05}\":\n"));
            "source"
        } else {
            "destination"
        };
        text.push_str(&format!(
            "    {endpoint}:\n      password: 'canary-{password}'\n"
        ));
        if let Some(domain) = kerberos {
            text.push_str(&format!(
                "      kerberos: {{ domain_name: 'canary-d{domain}' }}\n"
            ));
        }
    }
    let checked = manifest::parse(&text, Sealing::Optional);
    checked.value.expect("a manifest")
}

fn scope() -> Scope {
    Scope {
        endpoint: "https://drs.example.com".to_owned(),
        project_id: "p".to_owned(),
    }
}

fn key() -> FingerprintKey {
    FingerprintKey::new([7; 32])
}

fn empty_state() -> State {
    State::new(scope(), Lineage::new("l".to_owned()), key().id())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn plan_of(manifest: &Manifest, state: Option<&State>) -> Plan {
    make(&PlanInputs {
        manifest,
        state,
        key_changed: false,
        fingerprinter: &key().fingerprinter(&scope()),
        selection: &Selection::default(),
        batch_size: BATCH_SIZE,
    })
}

/// One run: everything that the plan sends is marked and then settled as drawn.
fn run(manifest: &Manifest, state: &mut State, settlements: &[Settlement], second: i64) -> Plan {
    let plan = plan_of(manifest, Some(state));
    let prints = key().fingerprinter(&scope());
    let sent: Vec<&Assignment> = plan
        .sent()
        .map(|entry| &manifest.assignments()[entry.index])
        .collect();
    let mut salt = 0_u8;
    let wanted: Vec<_> = sent
        .iter()
        .map(|assignment| {
            let fresh = || {
                salt = salt.wrapping_add(1);
                [salt; 16]
            };
            to_record(&prints, assignment, prints_of(&prints, assignment, fresh))
        })
        .collect();
    state.begin(wanted, at(second), &RunId::new(format!("run-{second}")));
    for (assignment, settlement) in sent.iter().zip(settlements.iter().cycle()) {
        assert!(state.settle(&assignment.key, settlement, at(second)));
    }
    plan
}

fn refused(kind: RefusalKind) -> Settlement {
    Settlement::Refused {
        kind,
        code: Token::from_static("DRS.M00304"),
        request_id: None,
    }
}

fn doubt() -> Settlement {
    Settlement::InDoubt {
        why: Doubt::AnswerLost,
    }
}

fn settlement() -> impl Strategy<Value = Settlement> {
    prop_oneof![
        2 => Just(Settlement::Applied),
        1 => Just(refused(RefusalKind::JobState)),
        1 => Just(refused(RefusalKind::Busy)),
        1 => Just(refused(RefusalKind::Rejected)),
        1 => Just(refused(RefusalKind::WrongPassword)),
        1 => Just(doubt()),
    ]
}

fn wanted() -> impl Strategy<Value = Vec<Wanted>> {
    proptest::collection::vec((0..4_u8, proptest::option::of(0..3_u8)), 0..14)
}

#[test]
fn each_kind_of_entry_gets_its_action_and_reason() {
    let mut state = empty_state();
    let before = manifest_of(&[(1, None); 6]);
    run(&before, &mut state, &[Settlement::Applied], 1);
    let wanted = [
        (1, None),
        (2, None),
        (2, None),
        (2, None),
        (2, None),
        (1, Some(1)),
        (1, None),
    ];
    let manifest = manifest_of(&wanted);
    let prints = key().fingerprinter(&scope());
    for (index, settlement) in [
        (2, doubt()),
        (3, refused(RefusalKind::JobState)),
        (4, refused(RefusalKind::WrongPassword)),
    ] {
        let assignment = &manifest.assignments()[index];
        let fresh = prints_of(&prints, assignment, || [9; 16]);
        let mark = to_record(&prints, assignment, fresh);
        state.begin([mark], at(2), &RunId::new("run".to_owned()));
        state.settle(&assignment.key, &settlement, at(2));
    }
    let plan = plan_of(&manifest, Some(&state));
    let code = Token::from_static("DRS.M00304");
    let got: Vec<(usize, Action, Reason)> = plan
        .entries
        .iter()
        .map(|entry| (entry.index, entry.action, entry.reason.clone()))
        .collect();
    let changed = |fields: &[Field]| Reason::Changed {
        fields: fields.to_vec(),
    };
    assert_eq!(
        got,
        [
            (1, Action::Update, changed(&[Field::Password])),
            (2, Action::Update, Reason::InDoubt),
            (
                3,
                Action::Update,
                Reason::LastRefused {
                    code: code.clone(),
                    fields: vec![Field::Password],
                }
            ),
            (
                4,
                Action::Hold,
                Reason::WrongPassword {
                    code,
                    credential: None
                }
            ),
            (5, Action::Update, changed(&[Field::DomainName])),
            (6, Action::Create, Reason::NeverSet),
        ]
    );
    assert_eq!(plan.in_sync, 1);
    let counts = plan.counts();
    assert_eq!(
        (
            counts.to_set,
            counts.to_change,
            counts.to_send_again,
            counts.held
        ),
        (1, 2, 2, 1)
    );
}

#[test]
fn with_another_key_nothing_that_is_known_counts() {
    let mut state = empty_state();
    let manifest = manifest_of(&[(1, None), (2, None)]);
    run(&manifest, &mut state, &[Settlement::Applied], 1);
    let plan = make(&PlanInputs {
        manifest: &manifest,
        state: Some(&state),
        key_changed: true,
        fingerprinter: &key().fingerprinter(&scope()),
        selection: &Selection::default(),
        batch_size: BATCH_SIZE,
    });
    assert_eq!(plan.counts().to_set, 2);
    assert!(plan.unlisted.is_empty());
    let reasons = plan.entries.iter().map(|entry| &entry.reason);
    assert!(reasons.eq([&Reason::KeyChanged, &Reason::KeyChanged]));
}

proptest! {
    #[test]
    fn what_was_applied_in_full_is_in_sync_in_full(
        first in wanted(), second in wanted(),
    ) {
        let mut state = empty_state();
        for (wanted, second) in [(&first, 1), (&second, 2)] {
            let manifest = manifest_of(wanted);
            let plan = run(&manifest, &mut state, &[Settlement::Applied], second);
            prop_assert_eq!(plan.entries.iter().filter(|entry| entry.action == Action::Hold).count(), 0);
            let plan = plan_of(&manifest, Some(&state));
            prop_assert_eq!(plan.in_sync, wanted.len());
            prop_assert!(!plan.has_changes());
            prop_assert_eq!(plan.counts(), Counts::default());
            prop_assert_eq!(plan.requests, 0);
            // Only kerberos that left the manifest is still worth a note.
            prop_assert!(plan.entries.iter().all(|entry| entry.kerberos_left));
        }
        prop_assert_eq!(
            plan_of(&manifest_of(&second), Some(&state)).unlisted.len(),
            first.len().saturating_sub(second.len())
        );
    }

    #[test]
    fn exactly_what_was_not_applied_remains(
        wanted in wanted(),
        settlements in proptest::collection::vec(settlement(), 1..14),
    ) {
        let mut state = empty_state();
        let manifest = manifest_of(&wanted);
        run(&manifest, &mut state, &settlements, 1);
        let plan = plan_of(&manifest, Some(&state));
        let left: Vec<(usize, Action)> = plan
            .entries
            .iter()
            .map(|entry| (entry.index, entry.action))
            .collect();
        let expected: Vec<(usize, Action)> = settlements
            .iter()
            .cycle()
            .take(wanted.len())
            .enumerate()
            .filter_map(|(index, settlement)| {
                let action = match settlement {
                    Settlement::Applied => return None,
                    Settlement::Refused { kind: RefusalKind::WrongPassword, .. } => Action::Hold,
                    // What may have been set is never called new.
                    Settlement::InDoubt { .. } => Action::Update,
                    Settlement::Refused { .. } => Action::Create,
                };
                Some((index, action))
            })
            .collect();
        prop_assert_eq!(left, expected);
        prop_assert_eq!(plan.in_sync + plan.entries.len(), wanted.len());
        // What is left converges once it is taken, but for what is held.
        run(&manifest, &mut state, &[Settlement::Applied], 2);
        let plan = plan_of(&manifest, Some(&state));
        prop_assert!(plan.entries.iter().all(|entry| entry.action == Action::Hold));
    }

    #[test]
    fn the_counts_of_a_plan_are_all_entries(
        first in wanted(), second in wanted(),
        settlements in proptest::collection::vec(settlement(), 1..14),
    ) {
        let mut state = empty_state();
        run(&manifest_of(&first), &mut state, &settlements, 1);
        let plan = plan_of(&manifest_of(&second), Some(&state));
        let counts = plan.counts();
        let sent = counts.to_set + counts.to_change + counts.to_send_again;
        prop_assert_eq!(sent, plan.sent().count());
        prop_assert_eq!(sent + counts.held + plan.in_sync, second.len());
        prop_assert!(plan.requests >= sent.div_ceil(BATCH_SIZE));
        let in_order = plan.entries.iter().map(|entry| entry.index);
        prop_assert!(in_order.is_sorted());
    }
}
