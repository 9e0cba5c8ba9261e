//! The formats on disk: fixed samples of each version still read, mean what
//! they meant, and are written again byte for byte; and whatever is written
//! reads back as it was.
//!
//! The samples are made up and were computed apart from the program, from the
//! description of the formats alone, with the key whose bytes are 0 to 31.

use std::collections::BTreeMap;

use drspass::core::fingerprint::{Field, Fingerprint, FingerprintKey, Scope};
use drspass::core::job::EntryKey;
use drspass::core::redact::Token;
use drspass::core::secret::Secret;
use drspass::core::state::{
    Applied, FailureClass, FieldPrints, LastOutcome, Lineage, ManifestDigest, Pending, RunId,
    State, StateEntry, UNKNOWN, ValueOrigin,
};
use drspass::store::StoreKeys;
use drspass::store::format::{self, FormatError, UnverifiedState};
use drspass::store::journal::{self, JournalError};
use jiff::Timestamp;
use proptest::prelude::*;

use crate::support::schema::{assert_fits, schema};

const STATE: &str = include_str!("../data/state-v1.json");
const JOURNAL: &str = include_str!("../data/journal-v1.ndjson");

const A: &str = "25df459d-a37c-41b9-bc2b-8c00ba32jb52";
const B: &str = "6513270e-269e-0d37-f2a7-4de452e6jbb4";
const C: &str = "7413270e-269e-0d37-f2a7-4de452e6jbb5";
const D: &str = "8513270e-269e-0d37-f2a7-4de452e6jbb6";

fn fingerprint_key() -> FingerprintKey {
    let bytes: Vec<u8> = (0..32).collect();
    FingerprintKey::new(bytes.try_into().unwrap())
}

fn keys() -> StoreKeys {
    StoreKeys::from(&fingerprint_key())
}

fn key(job: &str, endpoint: &str) -> EntryKey {
    format!("{job}/{endpoint}").parse().unwrap()
}

/// The sample, verified with the key it was made with.
fn sample() -> State {
    let unverified = UnverifiedState::parse(STATE.as_bytes()).unwrap();
    assert!(unverified.is_authentic(STATE.as_bytes(), &keys().state));
    unverified.claimed()
}

/// Which parts an entry has: applied, pending, last outcome.
fn parts(entry: &StateEntry) -> (bool, bool, bool) {
    (
        entry.applied.is_some(),
        entry.pending.is_some(),
        entry.last_outcome.is_some(),
    )
}

#[test]
fn the_sample_state_reads_means_and_writes_what_it_did() {
    let state = sample();
    assert_eq!(state.serial, 7);
    assert_eq!((state.revision, state.highest), (3, 5));
    assert!(state.manifest.is_some());
    assert_eq!(state.key_id, keys().id);
    let kinds: Vec<_> = state.entries.values().map(parts).collect();
    assert_eq!(
        kinds,
        [
            (true, false, false),
            (true, false, false),
            (true, true, true),
            (false, true, false),
            (true, false, true),
            (false, false, true),
            (false, true, true),
            (false, false, true),
        ]
    );
    let classes: Vec<_> = state
        .entries
        .values()
        .filter_map(|entry| entry.last_outcome.as_ref())
        .map(|last| last.class)
        .collect();
    assert_eq!(
        classes,
        [
            FailureClass::InDoubt,
            FailureClass::WrongPassword,
            FailureClass::JobState,
            FailureClass::Rejected,
            FailureClass::Busy,
        ]
    );
    let adopted = state.entries[&key(A, "destination")]
        .applied
        .as_ref()
        .unwrap();
    assert_eq!(adopted.origin, ValueOrigin::Adopted);
    let again = format::encode(&state, &keys().state);
    assert_eq!(String::from_utf8(again).unwrap(), STATE);
    assert_fits(&schema("state"), &serde_json::from_str(STATE).unwrap());
}

#[test]
fn the_fingerprints_of_the_sample_still_match_their_values() {
    let state = sample();
    let prints = fingerprint_key().fingerprinter(&state.scope);
    let matches = |key: &EntryKey, print: &Fingerprint, field, value: &str| {
        prints.matches(print, key, field, &Secret::new(value.to_owned()))
    };
    let source = key(A, "source");
    let applied = state.entries[&source].applied.as_ref().unwrap();
    assert!(matches(
        &source,
        &applied.prints.password,
        Field::Password,
        "canary-1"
    ));
    assert!(!matches(
        &source,
        &applied.prints.password,
        Field::Password,
        "canary-2"
    ));
    let destination = key(A, "destination");
    let applied = state.entries[&destination].applied.as_ref().unwrap();
    for (field, value) in [
        (Field::Password, "canary-2"),
        (Field::Krb5ConfFile, "canary-conf\n"),
        (Field::KeyTabFile, "Y2FuYXJ5LXRhYg=="),
        (Field::DomainName, "canary-domain"),
        (Field::UserPrincipal, "canary-principal"),
    ] {
        let print = applied.prints.get(field).unwrap();
        assert!(matches(&destination, print, field, value), "{field}");
        assert!(!matches(&source, print, field, value), "{field}");
    }
}

#[test]
fn the_sample_journal_continues_the_sample_state_and_folds_into_it() {
    let journal = journal::parse(JOURNAL.as_bytes(), Some(&keys().journal))
        .unwrap()
        .unwrap();
    let mut state = sample();
    assert!(journal.continues(&state));
    assert!(!journal.is_folded_in(&state));
    journal.fold_into(&mut state);
    state.serial += 1;
    assert!(journal.is_folded_in(&state));
    assert!(!journal.continues(&state));
    let parts_of = |job, endpoint| parts(&state.entries[&key(job, endpoint)]);
    assert_eq!(parts_of(B, "source"), (true, false, false));
    assert_eq!(parts_of(B, "destination"), (false, false, true));
    assert_eq!(parts_of(C, "source"), (true, false, true));
    assert_eq!(parts_of(D, "source"), (false, true, true));
    let last = |job, endpoint| {
        state.entries[&key(job, endpoint)]
            .last_outcome
            .clone()
            .unwrap()
    };
    assert_eq!(last(B, "destination").class, FailureClass::JobState);
    assert_eq!(last(B, "destination").attempts, 1);
    assert_eq!(last(D, "source").class, FailureClass::InDoubt);
    assert_eq!(last(D, "source").attempts, 2);
    let line = schema("journal");
    for text in JOURNAL.lines() {
        let mut document: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_fits(&line, &document);
        document["body"]["more"] = 1.into();
        assert!(!line.is_valid(&document), "unknown fields do not fit");
    }
}

#[test]
fn the_sample_journal_is_written_again_byte_for_byte() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("journal");
    let journal = journal::parse(JOURNAL.as_bytes(), Some(&keys().journal))
        .unwrap()
        .unwrap();
    let state = sample();
    let (lineage, key) = (&state.lineage, keys().journal);
    let mut writer =
        journal::JournalWriter::create(&path, lineage, state.serial, &journal.run, key).unwrap();
    writer.append(&journal.answers).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), JOURNAL);
}

#[test]
fn a_newer_format_is_told_from_damage_and_a_change_from_both() {
    let parse = |text: &str| UnverifiedState::parse(text.as_bytes());
    for newer in ["drspass.state/2", "drspass.state/99", "drspass.state/1.1"] {
        let text = STATE.replace("drspass.state/1", newer);
        assert!(matches!(parse(&text), Err(FormatError::OtherFormat { .. })));
    }
    // A newer version may have more than this one knows anywhere.
    let text = STATE.replacen("drspass.state/1\",", "drspass.state/2\",\"more\":{},", 1);
    assert!(matches!(parse(&text), Err(FormatError::OtherFormat { .. })));
    for damaged in [
        STATE.replacen("\"serial\"", "\"more\":1,\"serial\"", 1),
        STATE.replacen("\"applied\":{", "\"applied\":{\"more\":1,", 1),
        STATE.replacen("{\"format\"", "{\"more\":1,\"format\"", 1),
        STATE[..STATE.len() / 2].to_owned(),
    ] {
        assert!(matches!(parse(&damaged), Err(FormatError::Damaged { .. })));
    }
    for changed in [
        STATE.replacen("\"sent\"", "\"adopted\"", 1),
        STATE.replacen("\"serial\":7", "\"serial\":8", 1),
        STATE.replacen("\"serial\":7", "\"serial\": 7", 1),
    ] {
        let unverified = parse(&changed).unwrap();
        assert!(!unverified.is_authentic(changed.as_bytes(), &keys().state));
    }
    let parse = |text: &str| journal::parse(text.as_bytes(), Some(&keys().journal));
    assert!(matches!(
        parse(&JOURNAL.replace("drspass.journal/1", "drspass.journal/2")),
        Err(JournalError::OtherFormat)
    ));
    assert!(matches!(
        parse(&JOURNAL.replacen("\"serial\":7", "\"serial\":8", 1)),
        Err(JournalError::NotAuthentic { line: 1 })
    ));
    assert!(matches!(
        parse(&JOURNAL.replacen("no_result", "odd_result", 1)),
        Err(JournalError::NotAuthentic { line: 3 })
    ));
    let lines: Vec<&str> = JOURNAL.split_inclusive('\n').collect();
    let swapped = [lines[0], lines[2], lines[1]].concat();
    assert!(matches!(
        parse(&swapped),
        Err(JournalError::NotAuthentic { line: 2 })
    ));
    let cut = &JOURNAL[..JOURNAL.len() - 1];
    assert_eq!(parse(cut).unwrap().unwrap().answers.len(), 1);
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_i64, 0..1_000_000_000_i32).prop_map(|(s, ns)| Timestamp::new(s, ns).unwrap())
}

fn run_id() -> impl Strategy<Value = RunId> {
    "[0-9A-Za-z][0-9A-Za-z.-]{0,39}".prop_map(RunId::new)
}

/// Fingerprints of drawn values; the entry that they are of does not matter here.
fn field_prints() -> impl Strategy<Value = FieldPrints> {
    let values = proptest::collection::vec(any::<Option<([u8; 16], u32)>>(), 4);
    (any::<[u8; 16]>(), any::<u32>(), values).prop_map(|(salt, value, kerberos)| {
        let scope = Scope {
            endpoint: "e".to_owned(),
            project_id: "p".to_owned(),
        };
        let prints = fingerprint_key().fingerprinter(&scope);
        let print = |field, salt, value: u32| {
            let value = Secret::new(format!("canary-{value}"));
            prints.of(&key("j", "source"), field, salt, &value)
        };
        FieldPrints {
            password: print(Field::Password, salt, value),
            kerberos: Field::KERBEROS
                .into_iter()
                .zip(kerberos)
                .filter_map(|(field, drawn)| {
                    drawn.map(|(salt, value)| (field, print(field, salt, value)))
                })
                .collect(),
        }
    })
}

fn entry() -> impl Strategy<Value = StateEntry> {
    let origin = prop_oneof![Just(ValueOrigin::Sent), Just(ValueOrigin::Adopted)];
    let since = || prop_oneof![time(), Just(UNKNOWN)];
    let applied = (field_prints(), time(), since(), origin, run_id()).prop_map(
        |(prints, at, value_since, origin, run_id)| Applied {
            prints,
            at,
            value_since,
            origin,
            run_id,
        },
    );
    let pending = (field_prints(), time(), since(), any::<bool>(), run_id()).prop_map(
        |(wanted, since, value_since, distrusted, run_id)| Pending {
            wanted,
            since,
            value_since,
            distrusted,
            run_id,
        },
    );
    let class = prop_oneof![
        Just(FailureClass::WrongPassword),
        Just(FailureClass::JobState),
        Just(FailureClass::Busy),
        Just(FailureClass::Rejected),
        Just(FailureClass::InDoubt),
    ];
    let token = || "[0-9A-Za-z._-]{1,64}".prop_map(|text| Token::parse(&text).unwrap());
    let last = (
        class,
        token(),
        proptest::option::of(token()),
        field_prints(),
        1..=u32::MAX,
        (time(), proptest::option::of(time())),
    )
        .prop_map(
            |(class, code, request_id, attempted, attempts, (at, value_since))| LastOutcome {
                class,
                code,
                request_id,
                attempted,
                attempts,
                at,
                value_since,
            },
        );
    let option = proptest::option::of::<proptest::strategy::BoxedStrategy<Applied>>;
    (
        option(applied.boxed()),
        proptest::option::of(pending),
        proptest::option::of(last),
    )
        .prop_map(|(applied, pending, last_outcome)| StateEntry {
            applied,
            pending: pending.map(Box::new),
            last_outcome: last_outcome.map(Box::new),
        })
}

fn state() -> impl Strategy<Value = State> {
    let name = "[0-9A-Za-z-]{1,64}/(source|destination)";
    let entries = proptest::collection::btree_map(name, entry(), 0..6);
    let printable = "[!-~]{0,80}";
    (
        (printable, printable, printable),
        any::<u64>(),
        (any::<u64>(), any::<Option<[u8; 32]>>(), any::<u64>()),
        entries,
    )
        .prop_map(
            |((endpoint, project_id, lineage), serial, applied, entries)| {
                let scope = Scope {
                    endpoint,
                    project_id,
                };
                let mut state = State::new(scope, Lineage::new(lineage), keys().id);
                state.serial = serial;
                state.revision = applied.0;
                state.manifest = applied.1.as_ref().map(ManifestDigest::new);
                state.highest = applied.2;
                state.entries = entries
                    .into_iter()
                    .map(|(name, entry)| (name.parse().unwrap(), entry))
                    .collect::<BTreeMap<EntryKey, StateEntry>>();
                state
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_state_reads_back_as_it_was_written(state in state()) {
        let bytes = format::encode(&state, &keys().state);
        let unverified = UnverifiedState::parse(&bytes).unwrap();
        prop_assert!(unverified.is_authentic(&bytes, &keys().state));
        let read = unverified.claimed();
        // Fingerprints cannot be compared as such, but their text can.
        prop_assert_eq!(
            serde_json::to_value(&read).unwrap(),
            serde_json::to_value(&state).unwrap()
        );
        prop_assert_eq!(format::encode(&read, &keys().state), bytes);
    }
}
