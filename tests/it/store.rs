//! What any place of a state must do, whatever it is: the conformance test that
//! each variant of [`Store`] passes.

mod branch;

use drspass::core::fingerprint::{FingerprintKey, Scope};
use drspass::core::job::EntryKey;
use drspass::core::manifest::{Former, Sealed, Sealing, parse};
use drspass::core::place::SealedPlace;
use drspass::core::plan::{prints_of, to_record};
use drspass::core::state::{Lineage, RunId, Settlement, State};
use drspass::store::Recovery;
use drspass::store::journal::{JournalAnswer, JournalRecord};
use drspass::store::{
    JournalLeft, LockGuard, LockInfo, LockStatus, StateSnapshot, Store, StoreError, StoreKeys,
    StoredState,
};
use std::sync::Arc;

use jiff::Timestamp;

use crate::support::{J1, J2, wait_until};

#[test]
fn the_local_store_keeps_the_contract() {
    conforms(&mut || {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("drspass.state.json");
        let (file, put) = (path.clone(), path.clone());
        Place {
            open: Box::new(move || Store::at(path.clone())),
            bytes: Box::new(move || std::fs::read(&file).unwrap()),
            put: Box::new(move |bytes| std::fs::write(&put, bytes).unwrap()),
            _keep: Box::new(folder),
        }
    });
}

type Put = dyn Fn(&[u8]);

/// An empty place and a way to open it, as each run of the program does anew.
struct Place {
    open: Box<dyn Fn() -> Store>,
    /// What is at the place.
    bytes: Box<dyn Fn() -> Vec<u8>>,
    /// Puts something there, as others do.
    put: Box<Put>,
    _keep: Box<dyn std::any::Any>,
}

/// Every promise of the contract for a file, each on a fresh place.
fn conforms(fresh: &mut dyn FnMut() -> Place) {
    let of_files: [fn(&Place); 6] = [
        absence_is_read_as_such,
        a_journal_is_folded_when_read_and_recognised_once_folded,
        a_journal_that_says_nothing_belongs_to_any_state,
        a_foreign_journal_is_refused,
        a_backup_keeps_the_former_state,
        a_journal_of_the_former_key_settles_nothing_after_a_rekey,
    ];
    for promise in of_files.into_iter().chain(OF_EVERY_PLACE) {
        promise(&fresh());
    }
}

/// What is the same for a file and for a branch.
const OF_EVERY_PLACE: [fn(&Place); 6] = [
    a_commit_creates_and_each_raises_the_serial_by_one,
    a_stale_version_is_not_written_over,
    a_lock_excludes_a_second_one_until_it_is_dropped,
    a_rescued_state_can_be_read,
    a_changed_content_and_another_key_are_told_apart,
    a_state_of_the_former_key_is_carried_over_until_it_moves,
];

fn key() -> FingerprintKey {
    FingerprintKey::new([7; 32])
}

fn keys() -> StoreKeys {
    StoreKeys::from(&key())
}

fn entry(job: &str) -> EntryKey {
    format!("{job}/source").parse().unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn run(name: &str) -> RunId {
    RunId::new(name.to_owned())
}

fn info() -> LockInfo {
    LockInfo {
        pid: 1,
        host: "here".to_owned(),
        command: "test".to_owned(),
        since: at(0),
    }
}

fn new_state() -> State {
    let scope = Scope {
        endpoint: "https://drs.example.com".to_owned(),
        project_id: "p".to_owned(),
    };
    State::new(scope, Lineage::new("lineage".to_owned()), keys().id)
}

/// Marks J1 and J2 as about to be sent.
fn begin(state: &mut State, run: &RunId) {
    let text = format!(
        "version: 1\njobs:\n  {J1}:\n    source: {{ password: 'canary-1' }}\n  {J2}:\n    \
         source: {{ password: 'canary-2' }}\n"
    );
    let manifest = parse(&text, Sealing::Optional).value.unwrap();
    let prints = key().fingerprinter(&state.scope);
    let wanted: Vec<_> = manifest
        .assignments()
        .iter()
        .map(|wanted| to_record(&prints, wanted, prints_of(&prints, wanted, || [1; 16])))
        .collect();
    state.begin(wanted, at(1), run);
}

fn answer(job: &str, settled: Settlement, second: i64) -> JournalAnswer {
    JournalAnswer {
        at: at(second),
        records: vec![JournalRecord {
            entry: entry(job),
            settled,
        }],
    }
}

#[track_caller]
fn ours(snapshot: &StateSnapshot) -> &State {
    match &snapshot.known {
        StoredState::Ours(state) => state,
        other => panic!("not ours: {other:?}"),
    }
}

/// A store with one committed state in which J1 and J2 are marked by `run`.
fn begun(place: &Place, name: &str) -> (Store, LockGuard, State) {
    let store = (place.open)();
    let guard = store.lock(&info()).unwrap();
    let absent = store.version().unwrap();
    let mut state = new_state();
    begin(&mut state, &run(name));
    store.commit(&guard, &keys(), &mut state, &absent).unwrap();
    (store, guard, state)
}

/// A process that another test is just starting may hold a lock a while.
fn assert_free(store: &Store) {
    let is_free = || matches!(store.lock_status(), Ok(LockStatus::Free));
    wait_until("the lock to be free", is_free);
}

fn absence_is_read_as_such(place: &Place) {
    let store = (place.open)();
    let snapshot = store.read(&keys()).unwrap();
    assert!(matches!(snapshot.known, StoredState::Absent));
    assert_eq!(snapshot.journal, JournalLeft::None);
    assert!(store.read_claimed_alone().unwrap().is_none());
    assert!(!store.has_journal());
    assert_free(&store);
    assert_eq!(store.version().unwrap(), snapshot.version);
    let guard = store.lock(&info()).unwrap();
    store
        .back_up(&guard)
        .expect("there is nothing to keep a copy of");
}

fn a_commit_creates_and_each_raises_the_serial_by_one(place: &Place) {
    let store = (place.open)();
    let guard = store.lock(&info()).unwrap();
    let mut version = store.version().unwrap();
    let mut state = new_state();
    for serial in 1..=3 {
        version = store.commit(&guard, &keys(), &mut state, &version).unwrap();
        assert_eq!(state.serial, serial);
        let snapshot = (place.open)().read(&keys()).unwrap();
        assert_eq!(ours(&snapshot).serial, serial);
        assert_eq!(ours(&snapshot).lineage, state.lineage);
        assert_eq!(snapshot.version, version);
        assert_eq!(store.version().unwrap(), version);
        let claimed = store.read_claimed_alone().unwrap().unwrap();
        assert_eq!(claimed.serial, serial);
    }
}

fn a_stale_version_is_not_written_over(place: &Place) {
    let store = (place.open)();
    let guard = store.lock(&info()).unwrap();
    let absent = store.version().unwrap();
    let mut state = new_state();
    let first = store.commit(&guard, &keys(), &mut state, &absent).unwrap();
    let second = store.commit(&guard, &keys(), &mut state, &first).unwrap();
    assert_ne!(first, second);
    for stale in [absent, first] {
        let mut late = state.clone();
        let refused = store.commit(&guard, &keys(), &mut late, &stale);
        assert!(matches!(refused, Err(StoreError::Changed { .. })));
        assert_eq!(late.serial, 2, "the serial is as it was");
        assert_eq!(store.version().unwrap(), second, "nothing is written");
    }
}

fn a_lock_excludes_a_second_one_until_it_is_dropped(place: &Place) {
    let (store, guard, _) = begun(place, "run-1");
    for other in [&store, &(place.open)()] {
        let refused = other.lock(&info());
        assert!(matches!(refused, Err(StoreError::Locked { .. })));
        match other.lock_status().unwrap() {
            LockStatus::Held(Some(holder)) => assert_eq!(holder.command, "test"),
            other => panic!("{other:?}"),
        }
        other.read(&keys()).expect("reading takes no lock");
    }
    drop(guard);
    assert_free(&store);
    drop((place.open)().lock(&info()).unwrap());
}

fn a_journal_is_folded_when_read_and_recognised_once_folded(place: &Place) {
    let (store, guard, state) = begun(place, "run-1");
    let mut journal = store
        .begin_journal(&guard, &keys(), &state.lineage, state.serial, &run("run-1"))
        .unwrap();
    assert!(store.has_journal());
    assert!(
        store
            .begin_journal(&guard, &keys(), &state.lineage, state.serial, &run("run-1"))
            .is_err(),
        "one journal at a time"
    );
    journal
        .append(&[answer(J1, Settlement::Applied, 2)])
        .unwrap();
    drop(journal);

    let snapshot = (place.open)().read(&keys()).unwrap();
    assert_eq!(snapshot.journal, JournalLeft::Unfolded);
    let folded = ours(&snapshot).clone();
    assert_eq!(folded.serial, 1, "reading writes nothing");
    assert!(folded.entries[&entry(J1)].applied.is_some());
    assert!(folded.entries[&entry(J1)].pending.is_none());
    assert!(folded.entries[&entry(J2)].pending.is_some());

    // The fold is committed, and the removal of the journal is cut off.
    let mut folded = folded;
    store
        .commit(&guard, &keys(), &mut folded, &snapshot.version)
        .unwrap();
    let snapshot = store.read(&keys()).unwrap();
    assert_eq!(snapshot.journal, JournalLeft::Folded);
    let absorbed = store.absorb_journal(&guard, &keys(), snapshot).unwrap();
    assert_eq!(absorbed.journal, JournalLeft::None);
    assert_eq!(ours(&absorbed).serial, 2, "it is not folded twice");
    assert!(!store.has_journal());
    assert_eq!(store.read(&keys()).unwrap().journal, JournalLeft::None);
}

fn a_journal_that_says_nothing_belongs_to_any_state(place: &Place) {
    let (store, guard, mut state) = begun(place, "run-1");
    drop(
        store
            .begin_journal(&guard, &keys(), &state.lineage, state.serial, &run("run-1"))
            .unwrap(),
    );
    let version = store.version().unwrap();
    for _ in 0..2 {
        store
            .commit(&guard, &keys(), &mut state, &store.version().unwrap())
            .unwrap();
    }
    assert_ne!(store.version().unwrap(), version);
    let snapshot = store.read(&keys()).unwrap();
    assert_eq!(snapshot.journal, JournalLeft::Folded);
    store.absorb_journal(&guard, &keys(), snapshot).unwrap();
    assert!(!store.has_journal());
}

fn a_foreign_journal_is_refused(place: &Place) {
    // Of another run from the same state.
    let (store, guard, state) = begun(place, "run-1");
    let mut journal = store
        .begin_journal(&guard, &keys(), &state.lineage, state.serial, &run("run-2"))
        .unwrap();
    journal
        .append(&[answer(J1, Settlement::Applied, 2)])
        .unwrap();
    assert!(matches!(
        store.read(&keys()),
        Err(StoreError::ForeignJournal { .. })
    ));
    store.set_aside_journal(&guard).unwrap();
    assert!(!store.has_journal());
    store.read(&keys()).unwrap();
    // Of an earlier state: two commits ago.
    let mut journal = store
        .begin_journal(&guard, &keys(), &state.lineage, state.serial, &run("run-1"))
        .unwrap();
    journal
        .append(&[answer(J1, Settlement::Applied, 2)])
        .unwrap();
    let mut later = state;
    for _ in 0..2 {
        let version = store.version().unwrap();
        store.commit(&guard, &keys(), &mut later, &version).unwrap();
    }
    let claimed = store.read(&keys());
    assert!(matches!(claimed, Err(StoreError::ForeignJournal { .. })));
}

fn a_rescued_state_can_be_read(place: &Place) {
    let (store, guard, mut state) = begun(place, "run-1");
    state.settle(&entry(J1), &Settlement::Applied, at(2));
    let before = store.version().unwrap();
    let recovery = Recovery::new(&before, vec![entry(J1)], state.clone());
    let elsewhere = tempfile::TempDir::new().unwrap();
    let path = store.rescue(&keys(), &recovery, elsewhere.path()).unwrap();
    assert_eq!(store.version().unwrap(), before, "the state is as it was");
    assert_eq!(crate::support::mode(&path), 0o600);
    let bytes = std::fs::read(&path).unwrap();
    let rescued = Recovery::parse(&bytes, &keys().state).unwrap();
    assert!(rescued.continues(&before));
    assert_eq!(rescued.sent, [entry(J1)]);
    assert!(rescued.state.entries[&entry(J1)].applied.is_some());
    let changed = String::from_utf8(bytes).unwrap().replace(J1, J2);
    assert!(Recovery::parse(changed.as_bytes(), &keys().state).is_err());
    // It is bound to that very version, and no state passes for one.
    store.commit(&guard, &keys(), &mut state, &before).unwrap();
    assert!(!rescued.continues(&store.version().unwrap()));
    assert!(Recovery::parse(&(place.bytes)(), &keys().state).is_err());
}

fn a_backup_keeps_the_former_state(place: &Place) {
    let (store, guard, mut state) = begun(place, "run-1");
    let former = std::fs::read(store.path()).unwrap();
    store.back_up(&guard).unwrap();
    let version = store.version().unwrap();
    store.commit(&guard, &keys(), &mut state, &version).unwrap();
    let backup = store.path().with_file_name("drspass.state.json.backup");
    assert_eq!(std::fs::read(&backup).unwrap(), former);
    assert_eq!(crate::support::mode(&backup), 0o600);
    // There is one backup, however often it is made.
    store.back_up(&guard).unwrap();
    assert_eq!(
        std::fs::read(&backup).unwrap(),
        std::fs::read(store.path()).unwrap()
    );
}

fn a_changed_content_and_another_key_are_told_apart(place: &Place) {
    let (store, _guard, _) = begun(place, "run-1");
    let other = StoreKeys::from(&FingerprintKey::new([8; 32]));
    let read = store.read(&other).unwrap();
    assert!(matches!(read.known, StoredState::OtherKey { .. }));
    let text = String::from_utf8((place.bytes)()).unwrap();
    (place.put)(text.replacen("\"serial\":1", "\"serial\":9", 1).as_bytes());
    assert!(matches!(
        store.read(&keys()),
        Err(StoreError::Tampered { .. })
    ));
}

/// The keys of a manifest that was rekeyed next to the state of `store`.
fn keys_after_a_rekey(store: &Store, state: &State) -> StoreKeys {
    let sealed = Sealed {
        fingerprint_key: FingerprintKey::new([8; 32]),
        scope: state.scope.clone(),
        auth_url: String::new(),
        recipients: Vec::new(),
        state: SealedPlace::File(String::new()),
        moved_from: None,
        index: false,
        revision: 1,
        written: Timestamp::UNIX_EPOCH,
        former: Some(Former {
            fingerprint_key: key(),
            lineage: state.lineage.clone(),
            serial: state.serial,
            state_sha256: store.digest().unwrap().unwrap(),
        }),
    };
    let manifest = parse("version: 1\njobs: {}\n", Sealing::Optional);
    StoreKeys::of(&Arc::new(manifest.value.unwrap()), &sealed, &[])
}

fn a_state_of_the_former_key_is_carried_over_until_it_moves(place: &Place) {
    let (store, guard, mut state) = begun(place, "run-1");
    let new = keys_after_a_rekey(&store, &state);
    let third = StoreKeys::from(&FingerprintKey::new([9; 32]));
    let read = store.read(&third).unwrap();
    assert!(matches!(read.known, StoredState::OtherKey { .. }));
    let snapshot = (place.open)().read(&new).unwrap();
    assert!(snapshot.is_carried_over);
    assert_eq!(ours(&snapshot).key_id, new.id);
    assert_eq!(ours(&snapshot).serial, state.serial);
    // Its first commit writes it with the new key.
    let mut carried = ours(&snapshot).clone();
    let former = (place.bytes)();
    store
        .commit(&guard, &new, &mut carried, &snapshot.version)
        .unwrap();
    let gone_over = store.read(&new).unwrap();
    assert!(!gone_over.is_carried_over);
    assert_eq!(ours(&gone_over).serial, state.serial + 1);
    // The former one that moved is refused.
    (place.put)(&former);
    let version = store.version().unwrap();
    store.commit(&guard, &keys(), &mut state, &version).unwrap();
    let error = store.read(&new).unwrap_err();
    assert!(
        error.to_string().contains("moved after this rekey"),
        "{error}"
    );
}

fn a_journal_of_the_former_key_settles_nothing_after_a_rekey(place: &Place) {
    let (store, guard, state) = begun(place, "run-1");
    let new = keys_after_a_rekey(&store, &state);
    let forge = |serial| {
        let journal = store.begin_journal(&guard, &keys(), &state.lineage, serial, &run("run-1"));
        let mut journal = journal.unwrap();
        journal
            .append(&[answer(J1, Settlement::Applied, 2)])
            .unwrap();
    };
    // Next to the state of the former key, and to the one that was written with the new key.
    forge(state.serial);
    let refused = store.read(&new).unwrap_err();
    assert!(
        matches!(refused, StoreError::ForeignJournal { .. }),
        "{refused}"
    );
    store.end_journal(&guard).unwrap();
    let snapshot = store.read(&new).unwrap();
    let mut carried = ours(&snapshot).clone();
    store
        .commit(&guard, &new, &mut carried, &snapshot.version)
        .unwrap();
    forge(carried.serial);
    assert!(store.read(&new).is_err());
}
