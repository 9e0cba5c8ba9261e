//! The contract for a branch: on disk and behind http, with the settings of a clean machine and of
//! a hostile one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use drspass::core::failure::with_causes;
use drspass::core::outcome::Doubt;
use drspass::core::place::{Floor, Place as Named};
use drspass::store::branch::PlaceAccess;
use drspass::store::remote::GitAccess;

use miette::Diagnostic as _;

use super::*;
use crate::remote::{Transport, Yard};

const BRANCH: &str = "drspass-state/x";

#[test]
fn a_branch_on_disk_keeps_the_contract() {
    conforms_as_branch(&mut || place_in(Yard::new(Transport::Disk)));
}

#[test]
fn a_branch_behind_http_keeps_the_contract() {
    conforms_as_branch(&mut || place_in(Yard::new(Transport::Http)));
}

#[test]
fn a_branch_keeps_the_contract_on_a_hostile_machine() {
    for transport in [Transport::Disk, Transport::Http] {
        conforms_as_branch(&mut || {
            let (yard, trace) = Yard::hostile(transport);
            let place = place_in(yard);
            Place {
                // Looked for while the yard is still there.
                _keep: Box::new((Untraced(trace), place._keep)),
                ..place
            }
        });
    }
}

#[test]
fn a_write_without_an_answer_is_said_once_with_the_lock_that_may_be_left() {
    let yard = Yard::new(Transport::Http);
    let mut access = yard.access();
    access.limits.settle = Duration::from_millis(200);
    let store = store_through(&yard, access);
    let mut state = new_state();
    let version = store.create(&keys(), &mut state).unwrap();
    let guard = store.lock(&info()).unwrap();
    state.holder = store.holder(&info(), &run("run-1"));
    yard.server.is_mute.store(true, Ordering::SeqCst);
    let error = store.commit(&guard, &keys(), &mut state, &version);
    let error = error.unwrap_err();
    let said = with_causes(&error);
    let place = format!("git:origin/{BRANCH}");
    assert!(
        said.starts_with(&format!("cannot find out whether {place} was changed: ")),
        "{said}"
    );
    assert_eq!(said.matches(&place).count(), 1, "{said}");
    let help = error.help().unwrap().to_string();
    assert!(help.contains("'drspass lock release run-1'"), "{help}");
}

/// What a program of someone else would leave.
struct Untraced(PathBuf);

impl Drop for Untraced {
    fn drop(&mut self) {
        assert!(std::thread::panicking() || !self.0.exists());
    }
}

fn conforms_as_branch(fresh: &mut dyn FnMut() -> Place) {
    let of_branches: [fn(&Place); 8] = [
        absence_is_an_error,
        only_what_is_there_byte_for_byte_is_replaced,
        nothing_is_kept_beside_it_as_a_backup,
        each_run_has_a_journal_and_the_next_write_has_their_answers,
        what_was_answered_already_or_is_of_another_lineage_settles_nothing,
        a_journal_that_knows_more_than_the_state_refuses_it,
        no_state_below_the_floor_or_below_what_was_seen_counts,
        a_journal_of_the_former_key_is_left_alone,
    ];
    for promise in of_branches.into_iter().chain(OF_EVERY_PLACE) {
        promise(&fresh());
    }
}

fn place_in(yard: Yard) -> Place {
    let yard = Rc::new(yard);
    let (opened, read, put) = (Rc::clone(&yard), Rc::clone(&yard), Rc::clone(&yard));
    Place {
        open: Box::new(move || store_in(&opened)),
        bytes: Box::new(move || {
            let output = Command::new("git")
                .args(["cat-file", "blob", &format!("{BRANCH}:drspass.state.json")])
                .current_dir(read.path("srv/infra.git"))
                .output()
                .unwrap();
            assert!(output.status.success());
            output.stdout
        }),
        put: Box::new(move |bytes| {
            put.put("drspass.state.json", std::str::from_utf8(bytes).unwrap());
        }),
        _keep: Box::new(yard),
    }
}

fn store_in(yard: &Yard) -> Store {
    store_through(yard, yard.access())
}

fn store_through(yard: &Yard, git: GitAccess) -> Store {
    let named = Named::parse(&format!("git:origin/{BRANCH}")).unwrap();
    let access = PlaceAccess {
        git: Arc::new(git),
        who: Some("somebody".to_owned()),
        host: "here".to_owned(),
        run_url: None,
        now: || at(1_800_000_000),
        progress: |_| {},
    };
    Store::of(&named, &yard.path("clone"), &access)
}

/// Where this clone keeps what is its own.
fn own_folder(store: &Store) -> PathBuf {
    let recovery = Recovery::new(&store.version().unwrap(), Vec::new(), new_state());
    let elsewhere = Path::new("/nonexistent");
    let path = store.rescue(&keys(), &recovery, elsewhere).unwrap();
    fs::remove_file(&path).unwrap();
    path.parent().unwrap().to_owned()
}

fn journal_of(store: &Store, name: &str) -> PathBuf {
    use std::os::unix::fs::MetadataExt as _;
    let folder = own_folder(store);
    let id = std::fs::metadata(&folder).unwrap().ino();
    folder.join(format!("{name}.{id}.journal"))
}

/// Leaves a journal, as a run does that is killed.
fn leave_journal(
    (store, guard): (&Store, &LockGuard),
    name: &str,
    (lineage, serial): (&Lineage, u64),
    answer: JournalAnswer,
) {
    let journal = store.begin_journal(guard, &keys(), lineage, serial, &run(name));
    journal.unwrap().append(&[answer]).unwrap();
}

fn absence_is_an_error(place: &Place) {
    let store = (place.open)();
    let is_missing = |error: &StoreError| matches!(error, StoreError::NoBranch { .. });
    assert!(is_missing(&store.read(&keys()).unwrap_err()));
    assert!(is_missing(&store.read_alone(&keys()).unwrap_err()));
    assert!(is_missing(&store.read_claimed_alone().unwrap_err()));
    assert!(is_missing(&store.read_claimed().unwrap_err()));
    assert!(!store.has_journal());
    assert_free(&store);
    let absent = store.version().unwrap();
    // The first state is written once, also if two begin at once.
    let other = (place.open)();
    assert_eq!(other.version().unwrap(), absent);
    let mut state = new_state();
    let first = store.create(&keys(), &mut state).unwrap();
    assert_eq!(state.serial, 1);
    assert_ne!(first, absent);
    let guard = other.lock(&info()).unwrap();
    let mut another = State::new(
        state.scope.clone(),
        Lineage::new("another".to_owned()),
        keys().id,
    );
    let refused = other.commit(&guard, &keys(), &mut another, &absent);
    assert!(matches!(refused, Err(StoreError::Changed { .. })));
    let refused = other.create(&keys(), &mut another).unwrap_err();
    assert!(refused.to_string().contains("there is a state at"));
    assert_eq!(ours(&other.read(&keys()).unwrap()).serial, 1);
}

fn only_what_is_there_byte_for_byte_is_replaced(place: &Place) {
    let (store, guard, mut state) = begun(place, "run-1");
    let mut late = state.clone();
    // Another store saw the same, and is too late with something else.
    late.settle(&entry(J1), &Settlement::Applied, at(2));
    let other = (place.open)();
    let seen = other.read(&keys()).unwrap().version;
    let second = store.commit(&guard, &keys(), &mut state, &seen).unwrap();
    let refused = other.commit(&guard, &keys(), &mut late, &seen);
    assert!(matches!(refused, Err(StoreError::Changed { .. })));
    assert_eq!(late.serial, 1, "the serial is as it was");
    assert_eq!(ours(&other.read(&keys()).unwrap()).serial, 2);
    // Another commit with the very same state is no other state.
    (place.put)(&(place.bytes)());
    store.commit(&guard, &keys(), &mut state, &second).unwrap();
    assert_eq!(ours(&other.read(&keys()).unwrap()).serial, 3);
}

fn nothing_is_kept_beside_it_as_a_backup(place: &Place) {
    let (store, guard, _) = begun(place, "run-1");
    let folder = own_folder(&store);
    let names = || {
        let found = fs::read_dir(&folder).unwrap();
        let mut names: Vec<_> = found.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    store.back_up(&guard).unwrap();
    assert_eq!(names(), before);
    assert!(store.backup().is_none());
    assert_eq!(crate::support::mode(&folder), 0o700);
}

fn each_run_has_a_journal_and_the_next_write_has_their_answers(place: &Place) {
    let (store, guard, state) = begun(place, "run-1");
    let at_marks = (&state.lineage, state.serial);
    for (name, job) in [("run-1", J1), ("run-2", J2)] {
        let applied = answer(job, Settlement::Applied, 2);
        leave_journal((&store, &guard), name, at_marks, applied);
    }
    let again = store.begin_journal(&guard, &keys(), &state.lineage, 1, &run("run-1"));
    assert!(again.is_err(), "a run has one");
    assert!(store.has_journal());

    let reader = (place.open)();
    let snapshot = reader.read(&keys()).unwrap();
    assert_eq!(snapshot.journal, JournalLeft::Unfolded);
    assert!(snapshot.is_unsaved());
    let mut folded = ours(&snapshot).clone();
    assert_eq!(folded.serial, 1, "reading writes nothing");
    assert!(folded.entries[&entry(J1)].applied.is_some());
    let other = &folded.entries[&entry(J2)];
    assert!(other.pending.is_some(), "the mark is of another run");
    assert!(other.applied.is_none());
    let journals = ["run-1", "run-2"].map(|name| journal_of(&reader, name));
    let snapshot = reader.read(&keys()).unwrap();
    let absorbed = reader.absorb_journal(&guard, &keys(), snapshot).unwrap();
    assert!(
        journals.iter().all(|path| path.exists()),
        "the state does not have them yet"
    );
    reader
        .commit(&guard, &keys(), &mut folded, &absorbed.version)
        .unwrap();
    assert!(journals.iter().all(|path| !path.exists()));
    let snapshot = store.read(&keys()).unwrap();
    assert_eq!(snapshot.journal, JournalLeft::None);
    assert!(ours(&snapshot).entries[&entry(J1)].applied.is_some());
}

fn what_was_answered_already_or_is_of_another_lineage_settles_nothing(place: &Place) {
    let (store, guard, mut state) = begun(place, "run-1");
    let why = Doubt::AnswerLost;
    let doubt = answer(J1, Settlement::InDoubt { why }, 9);
    let at_marks = (&state.lineage.clone(), state.serial);
    leave_journal((&store, &guard), "run-1", at_marks, doubt);
    // A later write settled its entry otherwise.
    state.settle(&entry(J1), &Settlement::Applied, at(3));
    let version = store.version().unwrap();
    store.commit(&guard, &keys(), &mut state, &version).unwrap();
    let another = Lineage::new("another".to_owned());
    let applied = answer(J2, Settlement::Applied, 9);
    leave_journal((&store, &guard), "run-9", (&another, 77), applied);
    let writer = (place.open)();
    let snapshot = writer.read(&keys()).unwrap();
    assert_eq!(snapshot.journal, JournalLeft::None);
    let mut read = ours(&snapshot).clone();
    assert!(read.entries[&entry(J1)].applied.is_some());
    assert!(read.entries[&entry(J1)].last_outcome.is_none());
    assert!(read.entries[&entry(J2)].pending.is_some());
    assert_eq!(read.serial, 2);
    // The next write drops what is answered, and leaves what belongs to another state.
    writer
        .commit(&guard, &keys(), &mut read, &snapshot.version)
        .unwrap();
    assert!(!journal_of(&store, "run-1").exists());
    let left = journal_of(&store, "run-9");
    let forged = fs::read_to_string(&left).unwrap();
    let forged = forged
        .replace("another", "lineage")
        .replace("run-9", "run-1");
    // What cannot be verified settles nothing either, and stops nobody.
    for text in [&*forged, &forged.replace("77", "3"), "garbage\nmore\n"] {
        fs::write(&left, text).unwrap();
        let snapshot = store.read(&keys()).unwrap();
        assert!(ours(&snapshot).entries[&entry(J2)].pending.is_some());
    }
    store.set_aside_journal(&guard).unwrap();
    assert!(!store.has_journal());
}

fn a_journal_that_knows_more_than_the_state_refuses_it(place: &Place) {
    let (store, guard, mut state) = begun(place, "run-1");
    let (former, version) = ((place.bytes)(), store.version().unwrap());
    store.commit(&guard, &keys(), &mut state, &version).unwrap();
    let applied = answer(J1, Settlement::Applied, 2);
    let at_marks = (&state.lineage, state.serial);
    leave_journal((&store, &guard), "run-1", at_marks, applied);
    let snapshot = store.read(&keys()).unwrap();
    assert!(ours(&snapshot).entries[&entry(J1)].applied.is_some());
    (place.put)(&former);
    let refused = (place.open)().read(&keys()).unwrap_err().to_string();
    assert!(refused.contains("serial 1 now, 2 then"), "{refused}");
}

fn no_state_below_the_floor_or_below_what_was_seen_counts(place: &Place) {
    let (store, guard, mut state) = begun(place, "run-1");
    let first = (place.bytes)();
    let lineage = state.lineage.clone();
    let above = |lineage: &Lineage, serial| {
        let lineage = lineage.clone();
        keys().above(Some(Floor { lineage, serial }))
    };
    let reads = |keys: &StoreKeys| {
        let read = (place.open)().read(keys);
        read.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(reads(&above(&lineage, 1)), Ok(()));
    let refused = reads(&above(&lineage, 2)).unwrap_err();
    assert!(refused.contains("the manifest knows: serial 1 now, 2 then"));
    let another = Lineage::new("another".to_owned());
    let refused = reads(&above(&another, 1)).unwrap_err();
    assert!(refused.contains("does not follow the one that the manifest knows"));
    // One that follows a lineage is admitted, whatever its serial.
    state.follow([&another]);
    let version = store.version().unwrap();
    store.commit(&guard, &keys(), &mut state, &version).unwrap();
    assert_eq!(reads(&above(&another, 99)), Ok(()));
    // This clone has seen the second one.
    (place.put)(&first);
    let refused = reads(&above(&lineage, 1)).unwrap_err();
    assert!(refused.contains("this clone knows: serial 1 now, 2 then"));
    assert!(reads(&above(&another, 1)).is_err());
}

fn a_journal_of_the_former_key_is_left_alone(place: &Place) {
    let (store, guard, state) = begun(place, "run-1");
    let new = keys_after_a_rekey(&store, &state);
    let forge = |serial| {
        let applied = answer(J1, Settlement::Applied, 2);
        leave_journal((&store, &guard), "run-1", (&state.lineage, serial), applied);
    };
    forge(state.serial);
    let snapshot = store.read(&new).unwrap();
    assert!(snapshot.is_carried_over);
    let mut carried = ours(&snapshot).clone();
    assert!(carried.entries[&entry(J1)].applied.is_none());
    store
        .commit(&guard, &new, &mut carried, &snapshot.version)
        .unwrap();
    store.end_journal(&guard).unwrap();
    forge(carried.serial);
    let snapshot = store.read(&new).unwrap();
    assert_eq!(snapshot.journal, JournalLeft::None);
    assert!(ours(&snapshot).entries[&entry(J1)].pending.is_some());
}
