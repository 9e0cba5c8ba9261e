use super::*;
use crate::core::fingerprint::{FingerprintKey, Salt};
use crate::core::outcome::Doubt;
use crate::core::secret::Secret;

const JOB: &str = "25df459d-a37c-41b9-bc2b-8c00ba32jb52/source";

fn key() -> EntryKey {
    JOB.parse().expect("an entry")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn scope() -> Scope {
    Scope {
        endpoint: "https://drs.example.com".to_owned(),
        project_id: "p".to_owned(),
    }
}

fn prints(value: &str, salt: Salt) -> FieldPrints {
    let prints = FingerprintKey::new([7; 32]).fingerprinter(&scope());
    FieldPrints {
        password: prints.of(
            &key(),
            Field::Password,
            salt,
            &Secret::new(value.to_owned()),
        ),
        kerberos: BTreeMap::new(),
    }
}

fn state() -> State {
    State::new(
        scope(),
        Lineage::new("l".to_owned()),
        FingerprintKey::new([7; 32]).id(),
    )
}

/// What a state records of a password.
fn record(value: &str) -> (EntryKey, FieldPrints, impl Fn(&Fingerprint) -> bool) {
    let secret = Secret::new(value.to_owned());
    let fingerprinter = FingerprintKey::new([7; 32]).fingerprinter(&scope());
    let is_password =
        move |print: &_| fingerprinter.matches(print, &key(), Field::Password, &secret);
    (key(), prints(value, [1; 16]), is_password)
}

fn begun_at(state: &mut State, value: &str, second: i64) -> Replaced {
    let run = RunId::new("run".to_owned());
    state.begin([record(value)], at(second), &run)
}

fn begun(state: &mut State, value: &str) -> Replaced {
    begun_at(state, value, 1)
}

fn refused() -> Settlement {
    Settlement::Refused {
        kind: RefusalKind::JobState,
        code: Token::from_static("DRS.M00304"),
        request_id: None,
    }
}

/// What is there of an entry: applied, pending, last outcome.
fn marks(state: &State) -> (bool, bool, bool) {
    state
        .entries
        .get(&key())
        .map_or((false, false, false), |entry| {
            (
                entry.applied.is_some(),
                entry.pending.is_some(),
                entry.last_outcome.is_some(),
            )
        })
}

#[test]
fn each_outcome_leaves_exactly_the_marks_of_the_table() {
    let doubt = Settlement::InDoubt {
        why: Doubt::AnswerLost,
    };
    for (settlement, expected) in [
        (Settlement::Applied, (true, false, false)),
        (refused(), (false, false, true)),
        (doubt, (false, true, true)),
    ] {
        let mut state = state();
        begun(&mut state, "a");
        assert_eq!(marks(&state), (false, true, false));
        assert!(state.settle(&key(), &settlement, at(2)));
        assert_eq!(marks(&state), expected, "{settlement:?}");
        assert!(state.reflects(&key(), &settlement, at(2)));
        assert!(!state.reflects(&key(), &settlement, at(3)));
    }
}

#[test]
fn a_refusal_keeps_what_was_applied_and_counts_attempts() {
    let mut state = state();
    begun(&mut state, "a");
    state.settle(&key(), &Settlement::Applied, at(2));
    for attempts in 1..=3 {
        begun(&mut state, "b");
        state.settle(&key(), &refused(), at(2 + i64::from(attempts)));
        let entry = &state.entries[&key()];
        assert_eq!(
            entry.last_outcome.as_ref().map(|last| last.attempts),
            Some(attempts)
        );
        assert_eq!(
            entry.applied.as_ref().map(|applied| applied.at),
            Some(at(2))
        );
    }
    begun(&mut state, "b");
    state.settle(&key(), &Settlement::Applied, at(9));
    assert_eq!(marks(&state), (true, false, false));
}

#[test]
fn what_was_not_sent_is_as_before_the_run() {
    let mut state = state();
    let mut replaced = begun(&mut state, "a");
    state.withdraw(&key(), &mut replaced);
    assert_eq!(marks(&state), (false, false, false));
    assert!(state.entries.is_empty());

    begun(&mut state, "a");
    let mut replaced = begun(&mut state, "b");
    state.withdraw(&key(), &mut replaced);
    assert_eq!(marks(&state), (false, true, false), "the older doubt stays");
}

#[test]
fn nothing_is_settled_that_was_not_begun() {
    let mut state = state();
    assert!(!state.settle(&key(), &Settlement::Applied, at(1)));
    assert!(state.entries.is_empty());
    begun(&mut state, "a");
    assert!(state.settle(&key(), &Settlement::Applied, at(1)));
    assert!(!state.settle(&key(), &refused(), at(2)));
    assert_eq!(marks(&state), (true, false, false));
}

#[test]
fn settlements_read_what_they_write_and_nothing_else() {
    let all = [
        Settlement::Applied,
        refused(),
        Settlement::InDoubt {
            why: Doubt::NoResult,
        },
    ];
    for settlement in all {
        let text = serde_json::to_string(&settlement).expect("text");
        assert_eq!(
            serde_json::from_str::<Settlement>(&text).expect("a settlement"),
            settlement
        );
    }
    assert!(
        serde_json::from_str::<Settlement>(r#"{"in_doubt":{"why":"no_result","x":1}}"#).is_err()
    );
    assert!(serde_json::from_str::<Settlement>(r#""maybe""#).is_err());
}

/// Since when the password of an entry is set, or may be.
fn since(state: &State) -> Option<i64> {
    let entry = &state.entries[&key()];
    let applied = entry.applied.as_ref().map(|applied| applied.value_since);
    let pending = entry.pending.as_ref().map(|pending| pending.value_since);
    let known = pending.or(applied).filter(|since| *since != UNKNOWN);
    known.map(Timestamp::as_second)
}

#[test]
fn a_password_is_set_since_the_first_attempt_that_may_have_set_it() {
    let doubt = || Settlement::InDoubt {
        why: Doubt::AnswerLost,
    };
    // Attempts with a password each, and what came of them; then since when the last one is set.
    for (attempts, expected) in [
        (vec![("a", Settlement::Applied)], 1),
        (
            vec![("a", Settlement::Applied), ("a", Settlement::Applied)],
            1,
        ),
        (
            vec![
                ("a", Settlement::Applied),
                ("a", doubt()),
                ("a", Settlement::Applied),
            ],
            1,
        ),
        (
            vec![("a", Settlement::Applied), ("b", Settlement::Applied)],
            2,
        ),
        (
            vec![
                ("a", Settlement::Applied),
                ("b", Settlement::Applied),
                ("a", Settlement::Applied),
            ],
            3,
        ),
        (
            vec![
                ("a", Settlement::Applied),
                ("b", refused()),
                ("a", Settlement::Applied),
            ],
            1,
        ),
        (
            vec![
                ("a", Settlement::Applied),
                ("b", doubt()),
                ("b", Settlement::Applied),
            ],
            2,
        ),
        (vec![("a", doubt()), ("b", Settlement::Applied)], 2),
        // A refusal proves nothing about an attempt before it.
        (vec![("a", refused()), ("a", Settlement::Applied)], 2),
        (
            vec![("a", doubt()), ("a", refused()), ("a", Settlement::Applied)],
            1,
        ),
        (
            vec![
                ("a", doubt()),
                ("a", refused()),
                ("a", refused()),
                ("a", Settlement::Applied),
            ],
            1,
        ),
        (
            vec![("a", doubt()), ("a", refused()), ("b", Settlement::Applied)],
            3,
        ),
    ] {
        let mut state = state();
        for ((value, settlement), second) in attempts.iter().zip(1..) {
            begun_at(&mut state, value, second);
            assert!(state.settle(&key(), settlement, at(second + 100)));
        }
        assert_eq!(since(&state), Some(expected), "{attempts:?}");
    }
}

#[test]
fn a_password_that_was_adopted_or_distrusted_is_set_since_when_it_was_known_to_be() {
    let run = RunId::new("run".to_owned());
    let applied = || {
        let mut state = state();
        begun(&mut state, "a");
        state.settle(&key(), &Settlement::Applied, at(2));
        state
    };
    for (value, known) in [("a", Some(1)), ("b", None)] {
        let mut adopted = applied();
        adopted.adopt(record(value), at(3), &run);
        assert_eq!(since(&adopted), known);
        let mut distrusted = applied();
        distrusted.distrust([record(value)], at(3), &run);
        assert_eq!(since(&distrusted), known);
        for mut state in [adopted, distrusted] {
            begun_at(&mut state, value, 4);
            state.settle(&key(), &refused(), at(5));
            begun_at(&mut state, value, 6);
            assert_eq!(since(&state), known);
        }
    }
    let mut unproved = state();
    unproved.distrust([record("a")], at(3), &run);
    assert_eq!(since(&unproved), None);
}
