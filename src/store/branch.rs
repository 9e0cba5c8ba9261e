//! A state on a branch of a repository. What a run leaves on this machine lies in the clone's own
//! directory, never in the work tree, where a commit could plant it: the journal of each run,
//! recovery files, the lock of this clone, and the newest state that was seen (design section 2.1).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::format::UnverifiedState;
use super::remote::{GitAccess, Pushed, Remote, Tip};
use super::{JournalLeft, LockInfo, StateVersion, StoreError, cannot_write, journal, to_json};
use crate::core::failure::{ErrorClass, Failure};
use crate::core::mac::{MacKey, sha256};
use crate::core::place::{Floor, GitPlace, SealedPlace, branch_name};
use crate::core::redact::option;
use crate::core::report::Progress;
use crate::core::state::{Holder, Lineage, RunId, State};
use crate::sys::files;
use crate::sys::lease::{Lease, Moment};
use crate::sys::testpoint;

/// How long a run may send after it has shown that it is at work (design section 2.3).
const LEASE: Duration = Duration::from_secs(5 * 60);
/// The longest time of a request with a state on a branch, and what clocks and git may take.
pub const MAX_REQUEST_TIME: Duration = Duration::from_secs(60);
const MARGIN: Duration = Duration::from_secs(30);
const FETCH_TIME: Duration = Duration::from_secs(60);
/// For commands that only want to know the newest serial.
const BRIEF_TIME: Duration = Duration::from_secs(2);

pub fn lease() -> Duration {
    testpoint::lease().unwrap_or(LEASE)
}

/// Who runs, as others see it, and how git reaches a repository for them.
#[derive(Clone)]
pub struct PlaceAccess {
    pub git: Arc<GitAccess>,
    pub who: Option<String>,
    pub host: String,
    pub run_url: Option<String>,
    pub now: fn() -> Timestamp,
    pub progress: fn(Progress),
}

pub struct Branch {
    place: GitPlace,
    /// The place as users name it, in the form of a path for messages.
    pub(super) shown: PathBuf,
    folder: PathBuf,
    access: PlaceAccess,
    found: OnceLock<Found>,
}

struct Found {
    remote: Remote,
    /// The path that the files of a run in the clone are named after; it does not exist itself.
    base: PathBuf,
    seen_path: PathBuf,
    lease: Arc<Lease>,
    session: Mutex<Session>,
}

/// What this run has seen and written.
#[derive(Default)]
struct Session {
    tip: Option<Tip>,
    own_journal: Option<PathBuf>,
    /// Whether to ask only once, and not for long.
    is_brief: bool,
    has_failed: bool,
}

/// The newest state that this clone has seen.
#[derive(PartialEq, Serialize, Deserialize)]
struct SeenState {
    lineage: Lineage,
    serial: u64,
    #[serde(default)]
    follows: Vec<Lineage>,
    /// Who held it, and until when that run may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<(Holder, Timestamp)>,
}

/// Returns where a clone keeps what it has seen of the place with this name.
fn seen_path(base: &Path, name: &str) -> PathBuf {
    let suffix = format!(".{}.seen", &sha256(name.as_bytes())[..16]);
    files::with_suffix(base, &suffix)
}

impl SeenState {
    fn read(path: &Path) -> Option<Self> {
        let bytes = files::read_unlinked(path).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Returns whether a state is an older one. Of an unrelated one nothing is known.
    fn is_after(&self, state: &State) -> bool {
        match self.lineage == state.lineage {
            true => self.serial > state.serial,
            false => self.follows.contains(&state.lineage),
        }
    }

    fn floor(self) -> Floor {
        Floor {
            lineage: self.lineage,
            serial: self.serial,
        }
    }
}

impl Branch {
    pub fn new(place: &GitPlace, folder: &Path, access: &PlaceAccess) -> Self {
        Self {
            place: place.clone(),
            shown: place.to_string().into(),
            folder: folder.to_owned(),
            access: access.clone(),
            found: OnceLock::new(),
        }
    }

    fn found(&self) -> Result<&Found, StoreError> {
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let remote = Remote::find(&self.folder, &self.place, &self.access.git)?;
        let base = remote.local().join("drspass.state.json");
        // Of each place its own: after a move, both are read for a while.
        let name = branch_name(remote.repository(), &self.place.branch);
        let found = Found {
            seen_path: seen_path(&base, &name),
            base,
            remote,
            lease: Arc::new(Lease::new(LEASE - MAX_REQUEST_TIME - MARGIN)),
            session: Mutex::default(),
        };
        Ok(self.found.get_or_init(|| found))
    }

    /// Returns the name by which the place is sealed; connects to nothing.
    pub fn name(&self) -> Result<String, StoreError> {
        let remote = &self.found()?.remote;
        Ok(branch_name(remote.repository(), &self.place.branch))
    }

    /// Returns the place as it is sealed.
    pub fn sealed(&self, floor: Floor) -> Result<SealedPlace, StoreError> {
        Ok(SealedPlace::Branch {
            repository: self.found()?.remote.repository().to_owned(),
            branch: self.place.branch.clone(),
            floor,
        })
    }

    pub(super) fn base(&self) -> Result<&Path, StoreError> {
        Ok(&self.found()?.base)
    }

    pub(super) fn ask_briefly(&self, is_brief: bool) {
        // Where it is not found, the question fails.
        if let Ok(found) = self.found() {
            found.session().is_brief = is_brief;
        }
    }

    /// Returns the same branch for a reader without a key, to whom nothing proves that the place is
    /// meant: only the usual remote gets the login of the environment.
    pub(super) fn unauthenticated(&self) -> Self {
        if self.place.remote == "origin" {
            return Self::new(&self.place, &self.folder, &self.access);
        }
        let access = PlaceAccess {
            git: Arc::new(self.access.git.without_login()),
            ..self.access.clone()
        };
        Self::new(&self.place, &self.folder, &access)
    }

    /// Refuses a repository that is not the one of the checked-out branch: without a key, nothing
    /// proves that the place is meant.
    pub fn check_upstream(&self) -> Result<(), StoreError> {
        if self.found()?.remote.is_upstream() {
            return Ok(());
        }
        let message = format!(
            "{} is not in the repository that this branch is pushed to",
            self.place
        );
        let help = "Nothing was sent. This command needs no key, so it reads no other repository; 'drspass state show' does.";
        Err(Failure::new("drspass::place::elsewhere", message, help).into())
    }

    /// Reads the state at the tip.
    pub(super) fn read(&self) -> Result<Vec<u8>, StoreError> {
        let found = self.found()?;
        let mut session = found.session();
        if session.is_brief
            && let Some(tip) = &session.tip
        {
            return Ok(tip.state.clone());
        }
        if session.is_brief && session.has_failed {
            let message = format!(
                "cannot read {}: the first attempt of this run failed",
                self.place
            );
            return Err(Failure::new("drspass::place::fetch", message, "Nothing was sent.").into());
        }
        self.announce("reading the state");
        let fetched = match session.is_brief {
            true => found.remote.fetch_unasked(BRIEF_TIME),
            false => found.remote.fetch(FETCH_TIME),
        };
        session.has_failed = session.is_brief && fetched.is_err();
        session.tip = fetched?;
        match &session.tip {
            Some(tip) => Ok(tip.state.clone()),
            None => Err(StoreError::NoBranch {
                place: self.place.to_string(),
            }),
        }
    }

    /// Returns the state that was read or written last.
    pub(super) fn known(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let session = self.found()?.session();
        Ok(session.tip.as_ref().map(|tip| tip.state.clone()))
    }

    /// Returns the command that removes the state that was read, if it has no entries and its commit is
    /// the first one. No key proves that it was never used, so drspass does not remove it: someone who
    /// may push can forge the content, but not take the history away.
    pub(super) fn removal_of_unused(&self) -> Option<String> {
        let found = self.found().ok()?;
        let tip = found.session().tip.clone()?;
        let state = UnverifiedState::parse(&tip.state).ok()?.claimed();
        let is_unused = state.serial == 1
            && state.entries.is_empty()
            && state.follows.is_empty()
            && state.copied.is_none();
        let GitPlace { remote, branch } = &self.place;
        let commit = &tip.commit;
        let at = match self.folder.as_os_str().is_empty() {
            true => String::new(),
            false => option("-C", &self.folder)?,
        };
        (is_unused && found.remote.is_first(commit)).then(|| {
            // In full: a tag may have the name of the branch.
            let whole = format!("refs/heads/{branch}");
            format!("git {at}push --force-with-lease={whole}:{commit} {remote} :{whole}")
        })
    }

    /// Returns the commit at the tip, for a run that waits for another one.
    pub fn tip(&self) -> Result<Option<String>, StoreError> {
        Ok(self.found()?.remote.tip(FETCH_TIME)?)
    }

    /// Says on a terminal what is waited for, if it takes long.
    pub fn announce(&self, what: &'static str) {
        (self.access.progress)(Progress::at([what, "", ""], 0, &[]));
    }

    /// Replaces the state that this run last read or wrote, if it still has the version `expected`;
    /// writes the first state of a new branch if none is expected.
    pub(super) fn swap(
        &self,
        bytes: &[u8],
        state: &State,
        expected: &StateVersion,
    ) -> Result<(), StoreError> {
        let found = self.found()?;
        let mut session = found.session();
        let known = session.tip.as_ref().map(|tip| StateVersion::of(&tip.state));
        if known.unwrap_or(StateVersion(None)) != *expected {
            return Err(self.changed());
        }
        testpoint::reach("place.before_push");
        let started = Moment::now();
        let message = format!("drspass: serial {}", state.serial);
        let (onto, now) = (session.tip.as_ref(), (self.access.now)());
        match found.remote.push(bytes, onto, &message, now) {
            Pushed::Done(tip) => {
                session.tip = Some(tip);
                found.lease.renew(started);
            }
            Pushed::Changed => return Err(self.changed()),
            Pushed::Refused(failure) => return Err(failure.into()),
            Pushed::Unknown(failure) => {
                return Err(Self::unknown(state, onto.is_none(), failure).into());
            }
        }
        testpoint::reach("place.after_push");
        Ok(())
    }

    fn changed(&self) -> StoreError {
        StoreError::Changed {
            writer: "run",
            place: self.place.to_string(),
            help: "Nothing was sent. Run the same command again.",
        }
    }

    /// Returns the cause with the help for this run.
    fn unknown(state: &State, is_first: bool, cause: Failure) -> Failure {
        cause.with_help(match &state.holder {
            // No manifest is sealed for the branch yet, so no other command can read it.
            None if is_first => "Nothing was sent. Run the same command again, 'drspass init' without a target; if the state arrived, it says what to do.".to_owned(),
            Some(holder) => format!(
                "Nothing was sent; entries may be marked, and run {id} may hold the lock: 'drspass lock release {id}'.",
                id = holder.id
            ),
            None => {
                "Nothing was sent. Run 'drspass plan', which shows the state as it is.".to_owned()
            }
        })
    }

    pub fn lease(&self) -> Result<Arc<Lease>, StoreError> {
        Ok(Arc::clone(&self.found()?.lease))
    }

    pub(super) fn holder(&self, info: &LockInfo, id: &RunId) -> Holder {
        Holder {
            id: id.clone(),
            who: self.access.who.clone(),
            host: self.access.host.clone(),
            run_url: self.access.run_url.clone(),
            command: info.command.clone(),
            since: info.since,
            renewed: (self.access.now)(),
        }
    }

    /// Refuses a state that is older than one seen before.
    pub(super) fn check_age(&self, state: &State, floor: &Floor) -> Result<(), StoreError> {
        if !floor.admits(state) {
            return Err(self.put_back(state, floor, "the manifest").into());
        }
        self.check_seen(state, self.found()?.seen())
    }

    /// Refuses a state that is older than one that was seen where the place had another name.
    pub fn check_seen_at(&self, name: &str, state: &State) -> Result<(), StoreError> {
        let path = seen_path(&self.found()?.base, name);
        self.check_seen(state, SeenState::read(&path))
    }

    fn check_seen(&self, state: &State, seen: Option<SeenState>) -> Result<(), StoreError> {
        match seen.filter(|seen| seen.is_after(state)) {
            Some(seen) => Err(self.put_back(state, &seen.floor(), "this clone").into()),
            None => Ok(()),
        }
    }

    fn put_back(&self, state: &State, then: &Floor, who: &str) -> Failure {
        let place = &self.place;
        let message = match state.lineage == then.lineage {
            true => format!(
                "the state at {place} is older than the one that {who} knows: serial {} now, {} then",
                state.serial, then.serial
            ),
            false => format!("the state at {place} does not follow the one that {who} knows"),
        };
        Failure::new(
            "drspass::state::put_back",
            message,
            "Nothing was sent or changed. Check who wrote to the branch and put the newer state back; if it is lost, 'drspass state distrust' marks every entry to be sent again.",
        )
        .class(ErrorClass::Sealed)
    }

    /// Refuses a state of a former place that is older than one seen there, and remembers it.
    pub fn check_former(&self, state: &State) -> Result<(), StoreError> {
        self.check_seen(state, self.found()?.seen())?;
        self.see(state);
        Ok(())
    }

    /// Remembers a state that was read and is authentic.
    pub(super) fn see(&self, state: &State) {
        if let Ok(found) = self.found() {
            found.see(state, (self.access.now)());
        }
    }

    /// Returns a run of another clone that was seen to hold the state and may still be sending.
    pub fn seen_holder(&self, now: Timestamp) -> Option<Holder> {
        let (holder, until) = self.found().ok()?.seen()?.held?;
        (now < until && !self.was_here(&holder)).then_some(holder)
    }

    /// Returns the lineages that this clone has seen, or that those followed.
    pub fn seen_lineages(&self) -> Vec<Lineage> {
        let seen = self.found().ok().and_then(Found::seen);
        let lineages = |seen: SeenState| [vec![seen.lineage], seen.follows].concat();
        seen.map_or_else(Vec::new, lineages)
    }

    /// Returns the newest state that this clone has seen.
    pub fn last_seen(&self) -> Option<Floor> {
        Some(self.found().ok()?.seen()?.floor())
    }

    pub(super) fn journals(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let Ok(found) = self.found() else {
            return Vec::new();
        };
        let paths = found.journal_paths().into_iter();
        paths
            .filter_map(|path| Some((path.clone(), files::read_unlinked(&path).ok()?)))
            .collect()
    }

    /// Returns whether the holder was a run of this clone on this machine. If the lock of the clone is
    /// free, it has ended.
    pub fn was_here(&self, holder: &Holder) -> bool {
        let is_here = holder.host == self.access.host;
        is_here && self.journal_of(&holder.id).is_ok_and(|path| path.exists())
    }

    pub(super) fn journal_of(&self, run: &RunId) -> Result<PathBuf, StoreError> {
        let folder = files::folder_of(self.base()?);
        // A copy of the clone has its journals too, but is another directory.
        let found = fs::metadata(folder).map_err(cannot_write(folder))?;
        Ok(folder.join(format!("{run}.{}.journal", found.ino())))
    }

    /// Settles entries whose marks are of a journal's own run; every other record was answered by a
    /// later write. A journal of another history, or one that cannot be verified, is left alone: its
    /// entries stay unknown. Returns the journals that the next write ends, too.
    pub(super) fn fold(
        &self,
        state: &mut State,
        journals: Vec<(PathBuf, Vec<u8>)>,
        key: Option<&MacKey>,
    ) -> Result<(JournalLeft, Vec<PathBuf>), StoreError> {
        let mut left = JournalLeft::None;
        let mut folded = Vec::new();
        let copied = state.copied.as_ref().filter(|copied| copied.untouched);
        let copied = copied.map(|copied| copied.serial);
        for (path, bytes) in journals {
            let journal = match journal::parse(&bytes, key) {
                Ok(Some(journal)) if journal.lineage == state.lineage => journal,
                Ok(None) => {
                    folded.push(path);
                    continue;
                }
                Ok(Some(_)) | Err(_) => continue,
            };
            if copied.is_some_and(|serial| journal.serial > serial) {
                // It belongs to the former place, which went on.
                continue;
            }
            if journal.serial > state.serial {
                let known = Floor {
                    lineage: journal.lineage,
                    serial: journal.serial,
                };
                return Err(self
                    .put_back(state, &known, "an apply of this clone")
                    .into());
            }
            if journal.settle_own(state) {
                left = JournalLeft::Unfolded;
            }
            folded.push(path);
        }
        Ok((left, folded))
    }

    pub(super) fn make_folder(&self) -> Result<(), StoreError> {
        let found = self.found()?;
        found
            .make_folder()
            .map_err(cannot_write(files::folder_of(&found.base)))
    }

    pub(super) fn own_journal(&self, path: &Path) -> Result<(), StoreError> {
        self.found()?.session().own_journal = Some(path.to_owned());
        Ok(())
    }

    /// Removes the journal of this run.
    pub(super) fn end_journal(&self) -> Result<(), StoreError> {
        match self.found()?.session().own_journal.take() {
            Some(path) => fs::remove_file(&path).map_err(cannot_write(&path)),
            None => Ok(()),
        }
    }

    pub(super) fn set_aside_journals(&self) -> Result<(), StoreError> {
        for path in self.found()?.journal_paths() {
            let aside = files::with_suffix(&path, ".backup");
            fs::rename(&path, aside).map_err(cannot_write(&path))?;
        }
        Ok(())
    }

    pub(super) fn has_journals(&self) -> bool {
        self.found()
            .is_ok_and(|found| !found.journal_paths().is_empty())
    }
}

impl Found {
    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> Option<SeenState> {
        SeenState::read(&self.seen_path)
    }

    /// A clone that cannot be written only forgets.
    fn see(&self, state: &State, now: Timestamp) {
        let until = now.checked_add(lease()).unwrap_or(now);
        let seen = SeenState {
            lineage: state.lineage.clone(),
            serial: state.serial,
            follows: state.follows.clone(),
            held: state.holder.as_deref().map(|it| (it.clone(), until)),
        };
        let is_known = self.seen().is_some_and(|known| known == seen);
        if !is_known && self.make_folder().is_ok() {
            let _ = files::put_private(&self.seen_path, to_json(&seen).as_bytes(), true);
        }
    }

    /// Makes the directory for what lasts. A clone that is gone is not made anew.
    fn make_folder(&self) -> io::Result<()> {
        let folder = files::folder_of(&self.base);
        if let Some(of_git) = folder.ancestors().nth(2) {
            fs::metadata(of_git)?;
        }
        files::make_private_folder(folder)
    }

    fn journal_paths(&self) -> Vec<PathBuf> {
        let listed = fs::read_dir(files::folder_of(&self.base))
            .into_iter()
            .flatten();
        let paths = listed.filter_map(io::Result::ok).map(|entry| entry.path());
        let mut paths: Vec<PathBuf> = paths
            .filter(|path| path.extension().is_some_and(|it| it == "journal"))
            .collect();
        paths.sort();
        paths
    }
}
