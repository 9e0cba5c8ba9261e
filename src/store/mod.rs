//! Where the state lives: a local file with the siblings `.lock`, `.journal`, `.backup`, and
//! `.tmp` while it is being replaced; or a file on a branch ([`branch`]).
//!
//! The contract is compare-and-swap: [`Store::read`] returns a snapshot with its version,
//! [`Store::commit`] replaces exactly that version, and its caller has the lock.

pub mod branch;
mod error;
pub mod format;
pub mod journal;
mod keys;
mod lock;
pub mod plan_file;
mod recovery;
pub mod remote;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;

use crate::core::failure::Failure;
use crate::core::mac::sha256;
use crate::core::place::Place;
use crate::core::state::{Holder, RunId, State};
use crate::sys::files;

use branch::{Branch, PlaceAccess};
pub use error::StoreError;
use format::{FormatError, UnverifiedState};
pub use keys::StoreKeys;
pub use lock::{LockGuard, LockInfo, LockStatus};
pub use recovery::Recovery;

const BACKUP: &str = ".backup";
const JOURNAL: &str = ".journal";
/// Attempts to read a state with a matching journal: a writer may be between them.
const READ_ATTEMPTS: usize = 5;
const VERSION_BYTES: usize = 128;
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub enum StoredState {
    Absent,
    /// A state made with this key, with the answers of an unfinished journal folded in.
    Ours(State),
    /// A state made with another key: its content cannot be checked.
    OtherKey {
        claimed: State,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateVersion(Option<(u64, Vec<u8>)>);

impl StateVersion {
    /// The end of a state has the code over all of it.
    fn of(bytes: &[u8]) -> Self {
        let end = bytes.len().saturating_sub(VERSION_BYTES);
        Self(Some((bytes.len() as u64, bytes[end..].to_vec())))
    }

    fn name(&self) -> String {
        self.0.as_ref().map_or_else(
            || "absent".to_owned(),
            |(length, end)| format!("{length} {}", String::from_utf8_lossy(end)),
        )
    }
}

#[derive(Debug)]
pub struct FetchedState {
    file: Option<(Vec<u8>, UnverifiedState)>,
    journals: Vec<(PathBuf, Vec<u8>)>,
}

/// What the journal next to a state means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalLeft {
    /// None made with this key.
    None,
    /// A cut-off apply left it; the snapshot has its answers.
    Unfolded,
    /// The state has all its answers; only its removal was cut off.
    Folded,
    /// It may be of another state; only possible if nothing is verified.
    Foreign,
}

#[derive(Debug)]
pub struct StateSnapshot {
    pub known: StoredState,
    pub version: StateVersion,
    pub journal: JournalLeft,
    /// Whether the state was made with the key that a rekey replaced.
    pub is_carried_over: bool,
    /// Where the state is from, if that is the former place of a move.
    pub former: Option<Box<FormerState>>,
}

/// A former place, and the version that was read there.
pub struct FormerState {
    pub store: Store,
    pub place: String,
    pub version: StateVersion,
}

impl fmt::Debug for FormerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl StateSnapshot {
    /// Returns whether it differs from what is written: it was made with the former key, or has the
    /// answers or the lock of a run that was lost.
    pub fn is_unsaved(&self) -> bool {
        let is_held = self
            .known
            .state()
            .is_some_and(|state| state.holder.is_some());
        self.is_carried_over || self.journal == JournalLeft::Unfolded || is_held
    }

    /// Returns where the state is from: `here`, or the former place of a move.
    pub fn store<'a>(&'a self, here: &'a Store) -> &'a Store {
        self.former.as_ref().map_or(here, |former| &former.store)
    }
}

impl StoredState {
    /// Returns the state unless it was made with another key.
    pub fn state(&self) -> Option<&State> {
        match self {
            Self::Ours(state) => Some(state),
            _ => None,
        }
    }
}

pub struct Store {
    at: StoreAt,
    /// Journals whose answers the next write contains.
    folded: Mutex<Vec<PathBuf>>,
}

enum StoreAt {
    File(PathBuf),
    Branch(Box<Branch>),
}

impl Store {
    pub fn at(path: PathBuf) -> Self {
        Self::new(StoreAt::File(path))
    }

    fn new(at: StoreAt) -> Self {
        let folded = Mutex::default();
        Self { at, folded }
    }

    /// Returns the store of a place that a root directory names; connects to nothing.
    pub fn of(place: &Place, folder: &Path, access: &PlaceAccess) -> Self {
        match place {
            Place::File(path) => Self::at(folder.join(path)),
            Place::Git(place) => Self::new(StoreAt::Branch(Box::new(Branch::new(
                place, folder, access,
            )))),
        }
    }

    /// Returns the state file, or the place in the form of a path for messages.
    pub fn path(&self) -> &Path {
        match &self.at {
            StoreAt::File(path) => path,
            StoreAt::Branch(branch) => &branch.shown,
        }
    }

    pub fn branch(&self) -> Option<&Branch> {
        match &self.at {
            StoreAt::File(_) => None,
            StoreAt::Branch(branch) => Some(branch),
        }
    }

    /// Returns the same place for a reader without a key.
    pub fn unauthenticated(&self) -> Result<Self, StoreError> {
        let at = match &self.at {
            StoreAt::File(path) => StoreAt::File(path.clone()),
            StoreAt::Branch(branch) => {
                let branch = branch.unauthenticated();
                branch.check_upstream()?;
                StoreAt::Branch(Box::new(branch))
            }
        };
        Ok(Self::new(at))
    }

    /// Limits what follows to one short question if the state is on a branch, or not.
    pub fn ask_briefly(&self, is_brief: bool) {
        if let Some(branch) = self.branch() {
            branch.ask_briefly(is_brief);
        }
    }

    /// Says that the state is being written to a branch, if that takes long.
    pub fn announce(&self) {
        if let Some(branch) = self.branch() {
            branch.announce("writing the state");
        }
    }

    /// Returns the holder to name in a state that this run is about to send from; a file has a lock
    /// instead.
    pub fn holder(&self, info: &LockInfo, run: &RunId) -> Option<Box<Holder>> {
        let branch = self.branch()?;
        Some(Box::new(branch.holder(info, run)))
    }

    /// Returns the path that the files of a run are named after.
    fn base(&self) -> Result<&Path, StoreError> {
        match &self.at {
            StoreAt::File(path) => Ok(path),
            StoreAt::Branch(branch) => branch.base(),
        }
    }

    pub fn read(&self, keys: &StoreKeys) -> Result<StateSnapshot, StoreError> {
        let once = || self.verified(self.fetch()?, keys);
        let mut last = once();
        for _ in 1..READ_ATTEMPTS {
            if !matches!(last, Err(StoreError::ForeignJournal { .. })) {
                break;
            }
            std::thread::sleep(PAUSE);
            last = once();
        }
        last
    }

    /// Reads without verifying, for a caller without a key so far; [`Store::verify`] goes on.
    pub fn fetch(&self) -> Result<FetchedState, StoreError> {
        Ok(FetchedState {
            file: self.file()?,
            journals: self.journals()?,
        })
    }

    /// Verifies a fetched state; reads once more if a writer was at work in between.
    pub fn verify(
        &self,
        fetched: FetchedState,
        keys: &StoreKeys,
    ) -> Result<StateSnapshot, StoreError> {
        match self.verified(fetched, keys) {
            Err(StoreError::ForeignJournal { .. }) => self.read(keys),
            verified => verified,
        }
    }

    /// Reads and verifies the state alone, whatever its journal says.
    pub fn read_alone(&self, keys: &StoreKeys) -> Result<StateSnapshot, StoreError> {
        let fetched = self.fetch()?;
        let alone = FetchedState {
            journals: Vec::new(),
            ..fetched
        };
        self.verified(alone, keys)
    }

    fn journals(&self) -> Result<Vec<(PathBuf, Vec<u8>)>, StoreError> {
        match &self.at {
            StoreAt::File(path) => {
                let journal = files::with_suffix(path, JOURNAL);
                let bytes = self.bytes(&journal)?;
                Ok(bytes.map(|bytes| (journal, bytes)).into_iter().collect())
            }
            StoreAt::Branch(branch) => Ok(branch.journals()),
        }
    }

    /// Returns whether the state on disk is exactly `state`, committed once more.
    pub fn holds(&self, keys: &StoreKeys, state: &State) -> Result<bool, StoreError> {
        let mut committed = state.clone();
        committed.serial = state.serial.saturating_add(1);
        // What was written names no holder any more; a recovery file does.
        committed.holder = None;
        let bytes = format::encode(&committed, &keys.state);
        Ok(self.version()? == StateVersion::of(&bytes))
    }

    fn verified(
        &self,
        fetched: FetchedState,
        keys: &StoreKeys,
    ) -> Result<StateSnapshot, StoreError> {
        let Some((bytes, unverified)) = fetched.file else {
            let journals = fetched.journals;
            return Ok(StateSnapshot {
                known: StoredState::Absent,
                version: StateVersion(None),
                journal: self.fold_journals(&mut None, journals, Some(&keys.journal))?,
                is_carried_over: false,
                former: None,
            });
        };
        let version = StateVersion::of(&bytes);
        let is_made_with = |keys: &StoreKeys| unverified.is_authentic(&bytes, &keys.state);
        let former = keys.former.as_deref();
        let former = former.filter(|former| !is_made_with(keys) && is_made_with(&former.keys));
        if former.is_none() && !is_made_with(keys) {
            // Another key cannot have made a matching code, so only the name of the key separates
            // another key from a forgery. Its journal is left to it.
            return Ok(StateSnapshot {
                known: StoredState::OtherKey {
                    claimed: self.of_other_key(&bytes, unverified, keys)?,
                },
                version,
                journal: JournalLeft::None,
                is_carried_over: false,
                former: None,
            });
        }
        let state = unverified.claimed();
        let aged = self.branch().zip(keys.floor.as_ref());
        if let Some((branch, floor)) = aged {
            branch.check_age(&state, floor)?;
        }
        if let Some(former) = former {
            former.check(&bytes, &state)?;
        }
        // Only now: whoever was removed could make one with any serial.
        if let Some((branch, _)) = aged {
            branch.see(&state);
        }
        let made_with = former.map_or(keys, |former| &former.keys);
        let mut state = Some(state);
        // A rekey leaves no journal, but a reader whom it removed can still write one, or have left
        // one in another clone.
        let journals = match (self.branch(), former) {
            (Some(_), Some(_)) => Vec::new(),
            _ => fetched.journals,
        };
        let journal = self.fold_journals(&mut state, journals, Some(&made_with.journal))?;
        if former.is_some() && journal == JournalLeft::Unfolded {
            let path = files::with_suffix(self.path(), JOURNAL);
            return Err(StoreError::ForeignJournal { path });
        }
        let state = state.map(|state| match former {
            Some(former) => former.carry_over(state),
            None => state,
        });
        Ok(StateSnapshot {
            known: state.map_or(StoredState::Absent, StoredState::Ours),
            version,
            journal,
            is_carried_over: former.is_some(),
            former: None,
        })
    }

    fn of_other_key(
        &self,
        bytes: &[u8],
        unverified: UnverifiedState,
        keys: &StoreKeys,
    ) -> Result<State, StoreError> {
        let claimed = unverified.claimed();
        let former = keys.former.as_ref().map(|former| &former.keys);
        let mut keys = [Some(keys), former].into_iter().flatten();
        let Some(keys) = keys.find(|keys| keys.id == claimed.key_id) else {
            return Ok(claimed);
        };
        let path = self.path().to_owned();
        if !UnverifiedState::has_other_line_ends(bytes, &keys.state) {
            return Err(StoreError::Tampered { path });
        }
        let name = path.file_name().unwrap_or_default().display();
        Err(Failure::new(
            "drspass::state::line_ends",
            format!("{}: only the line ends differ from what drspass wrote", path.display()),
            format!("Nothing was sent or changed. git converted them: add '{name} -text' to .gitattributes, remove the file and check it out again."),
        )
        .into())
    }

    fn file(&self) -> Result<Option<(Vec<u8>, UnverifiedState)>, StoreError> {
        let Some(bytes) = self.state_bytes()? else {
            return Ok(None);
        };
        let path = self.path().to_owned();
        match UnverifiedState::parse(&bytes) {
            Ok(unverified) => Ok(Some((bytes, unverified))),
            Err(FormatError::OtherFormat { format }) => Err(Failure::new(
                "drspass::state::newer",
                format!(
                    "{} has a format that this version does not know (it knows {format})",
                    path.display()
                ),
                "Nothing was sent, and the file is unchanged. Run this command with the version of drspass that wrote the file, or a newer one.",
            )
            .into()),
            Err(why) => Err(StoreError::Invalid { path, why }),
        }
    }

    /// Reads the state alone without a key, so nothing is authenticated.
    pub fn read_claimed_alone(&self) -> Result<Option<State>, StoreError> {
        Ok(self.file()?.map(|(_, unverified)| unverified.claimed()))
    }

    /// Reads without a key, with the answers of a journal that continues the state.
    pub fn read_claimed(&self) -> Result<(Option<State>, JournalLeft), StoreError> {
        let mut claimed = self.read_claimed_alone()?;
        let journals = self.journals()?;
        let left = self.fold_journals(&mut claimed, journals, None);
        Ok((claimed, left.unwrap_or(JournalLeft::Foreign)))
    }

    /// Returns the copy of the state made when the last run began.
    pub fn backup(&self) -> Option<PathBuf> {
        let path = files::with_suffix(self.path(), BACKUP);
        path.exists().then_some(path)
    }

    pub fn version(&self) -> Result<StateVersion, StoreError> {
        match &self.at {
            StoreAt::File(path) => {
                let end = files::read_end(path, VERSION_BYTES as u64);
                self.found(path, end).map(StateVersion)
            }
            StoreAt::Branch(branch) => match branch.read() {
                Ok(bytes) => Ok(StateVersion::of(&bytes)),
                Err(StoreError::NoBranch { .. }) => Ok(StateVersion(None)),
                Err(error) => Err(error),
            },
        }
    }

    /// Returns the SHA-256 of the state file; on a branch, of the one that was read last.
    pub fn digest(&self) -> Result<Option<String>, StoreError> {
        Ok(match &self.at {
            StoreAt::File(path) => self.bytes(path)?.map(|bytes| sha256(&bytes)),
            StoreAt::Branch(branch) => branch.known()?.map(|bytes| sha256(&bytes)),
        })
    }

    fn state_bytes(&self) -> Result<Option<Vec<u8>>, StoreError> {
        match &self.at {
            StoreAt::File(path) => self.bytes(path),
            StoreAt::Branch(branch) => branch.read().map(Some),
        }
    }

    fn bytes(&self, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
        self.found(path, files::read_unlinked(path))
    }

    fn found<T>(&self, path: &Path, read: io::Result<T>) -> Result<Option<T>, StoreError> {
        match read {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.check_folder()?;
                Ok(None)
            }
            Err(source) => {
                let message = format!("cannot read {}", path.display());
                let help = "Nothing was sent or changed. Check that the file is readable.";
                let failure = Failure::new("drspass::state::read", message, help);
                Err(failure.because(source).into())
            }
        }
    }

    /// Fails if the directory is missing: a mistyped path must not pass for a state that was never
    /// written.
    fn check_folder(&self) -> Result<(), StoreError> {
        let path = files::folder_of(self.base()?);
        match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::new(
                "drspass::state::no_directory",
                format!("directory {} does not exist", path.display()),
                "Nothing was sent or changed. Check the path of the state (drspass.yaml, --state or DRSPASS_STATE), or create the directory.",
            )
            .into()),
            _ => Ok(()),
        }
    }

    /// Replaces the version `expected` by `state`, whose serial grows by one.
    pub fn commit(
        &self,
        _guard: &LockGuard,
        keys: &StoreKeys,
        state: &mut State,
        expected: &StateVersion,
    ) -> Result<StateVersion, StoreError> {
        // From now on it is more than a copy of the state at a former place.
        if let Some(copied) = &mut state.copied {
            copied.untouched = false;
        }
        self.write(keys, state, expected)
    }

    /// Replaces the version `expected` by `state`, which may be a copy.
    pub fn write(
        &self,
        keys: &StoreKeys,
        state: &mut State,
        expected: &StateVersion,
    ) -> Result<StateVersion, StoreError> {
        let serial = state.serial;
        state.serial = serial.saturating_add(1);
        let bytes = format::encode(state, &keys.state);
        let written = match &self.at {
            StoreAt::File(path) => self.replace_version(path, &bytes, expected),
            StoreAt::Branch(branch) => branch.swap(&bytes, state, expected),
        };
        if let Err(error) = written {
            state.serial = serial;
            return Err(error);
        }
        // Only at the sealed place: another one, as after a move, may be behind it.
        if let (Some(branch), Some(_)) = (self.branch(), &keys.floor) {
            branch.see(state);
        }
        // They are in the state now; one that stays behind is skipped.
        for path in self.folded().drain(..) {
            let _ = fs::remove_file(path);
        }
        Ok(StateVersion::of(&bytes))
    }

    /// Writes the first state of a place; refuses one that has a state. It takes no lock: no manifest
    /// is sealed for the place yet, and that of a file may be the one of the directory, which the
    /// caller has.
    pub fn create(&self, keys: &StoreKeys, state: &mut State) -> Result<StateVersion, StoreError> {
        if self.version()? != StateVersion(None) {
            let unused = self.branch().and_then(Branch::removal_of_unused);
            let help = unused.map_or_else(
                || "That state is unchanged. Each root directory needs a place of its own: name another one, or remove this state if it is no longer used.".to_owned(),
                |removal| format!("That state is unchanged. It has no entries and no history: a command that was cut off may have left it. If no manifest is sealed for it, run '{removal}', then the same command again; otherwise name another place."),
            );
            let message = format!("there is a state at {} already", self.path().display());
            return Err(Failure::new("drspass::state::exists", message, help).into());
        }
        self.write(keys, state, &StateVersion(None))
    }

    fn replace_version(
        &self,
        path: &Path,
        bytes: &[u8],
        expected: &StateVersion,
    ) -> Result<(), StoreError> {
        if self.version()? != *expected {
            return Err(StoreError::Changed {
                writer: "process",
                place: path.display().to_string(),
                help: "Nothing was sent. Something writes the file without taking the lock, such as a git checkout. Run the command again when it is done.",
            });
        }
        replace(path, bytes)
    }

    /// Keeps the state as it was when this run began; a branch has its own history.
    pub fn back_up(&self, _guard: &LockGuard) -> Result<(), StoreError> {
        let StoreAt::File(path) = &self.at else {
            return Ok(());
        };
        match self.bytes(path)? {
            Some(bytes) => replace(&files::with_suffix(path, BACKUP), &bytes),
            None => Ok(()),
        }
    }
}

fn cannot_write(path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |source| {
        let message = format!("cannot write {}", path.display());
        let help = "Nothing was sent. Free space or fix the permissions; if the file itself is mounted, mount its directory instead.";
        let failure = Failure::new("drspass::state::write", message, help);
        failure.because(source).into()
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    files::replace(path, bytes).map_err(cannot_write(path))
}

/// Serializes strings, numbers and maps with text keys, which cannot fail.
fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what is stored always serializes")
}
