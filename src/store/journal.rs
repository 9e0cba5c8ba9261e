//! The append-only journal of a running apply: each answer is one line, durable before its
//! entries count as recorded.
//!
//! The code of a line covers the state it belongs to, its number, the code of the line before
//! and its content; so lines can neither be changed, moved, dropped from the middle, nor brought
//! in from another journal. A last line that a crash cut short is dropped.

use std::borrow::{Borrow, Cow};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use super::{
    BACKUP, JOURNAL, JournalLeft, LockGuard, StateSnapshot, Store, StoreAt, StoreError, StoreKeys,
    StoredState, cannot_write, to_json,
};
use crate::core::failure::Failure;
use crate::core::job::EntryKey;
use crate::core::mac::{MacKey, push_lp};
use crate::core::state::{Lineage, RunId, Settlement, State};
use crate::sys::{files, testpoint};

const JOURNAL_FORMAT: &str = "drspass.journal/1";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalRecord {
    pub entry: EntryKey,
    pub settled: Settlement,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalAnswer {
    pub at: Timestamp,
    pub records: Vec<JournalRecord>,
}

impl JournalAnswer {
    pub fn fold_into(&self, state: &mut State) {
        for record in &self.records {
            state.settle(&record.entry, &record.settled, self.at);
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalHead<'a> {
    #[serde(borrow)]
    format: Cow<'a, str>,
    lineage: Lineage,
    serial: u64,
    run: RunId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalLine<'a> {
    #[serde(borrow)]
    body: &'a RawValue,
    #[serde(borrow)]
    mac: Cow<'a, str>,
}

#[derive(Debug, Error)]
pub enum JournalError {
    #[error("line {line} is damaged")]
    Damaged { line: usize },
    #[error("the authentication code of line {line} does not match")]
    NotAuthentic { line: usize },
    #[error("its format is not {JOURNAL_FORMAT}, the only one that this version knows")]
    OtherFormat,
}

#[derive(Debug)]
pub struct Journal {
    /// Those of the state that it continues.
    pub lineage: Lineage,
    pub serial: u64,
    /// The run that wrote it: two that begin from copies of one state reach the same serial.
    pub run: RunId,
    pub answers: Vec<JournalAnswer>,
}

/// The running code of a journal, which the next line is bound to.
struct Chain {
    key: MacKey,
    lineage: Lineage,
    serial: u64,
    number: u64,
    previous: String,
}

impl Chain {
    fn new(key: MacKey, lineage: Lineage, serial: u64) -> Self {
        Self {
            key,
            lineage,
            serial,
            number: 0,
            previous: String::new(),
        }
    }

    fn message(&self, body: &str) -> Vec<u8> {
        let mut message = Vec::with_capacity(body.len() + 192);
        push_lp(&mut message, JOURNAL_FORMAT.as_bytes());
        push_lp(&mut message, self.lineage.as_str().as_bytes());
        push_lp(&mut message, &self.serial.to_be_bytes());
        push_lp(&mut message, &self.number.to_be_bytes());
        push_lp(&mut message, self.previous.as_bytes());
        push_lp(&mut message, body.as_bytes());
        message
    }

    fn line(&mut self, body: &str) -> String {
        let mac = self.key.of(&self.message(body));
        let line = format!("{{\"body\":{body},\"mac\":\"{mac}\"}}\n");
        self.advance(&mac);
        line
    }

    fn verify(&mut self, body: &str, mac: &str) -> bool {
        let fits = self.key.verifies(&self.message(body), mac);
        self.advance(mac);
        fits
    }

    fn advance(&mut self, mac: &str) {
        self.number += 1;
        mac.clone_into(&mut self.previous);
    }
}

pub struct JournalWriter {
    file: File,
    chain: Chain,
}

impl JournalWriter {
    pub fn create(
        path: &Path,
        lineage: &Lineage,
        serial: u64,
        run: &RunId,
        key: MacKey,
    ) -> io::Result<Self> {
        testpoint::may_fail("journal.create")?;
        let mut writer = Self {
            file: files::create_private(path)?,
            chain: Chain::new(key, lineage.clone(), serial),
        };
        let head = JournalHead {
            format: JOURNAL_FORMAT.into(),
            lineage: lineage.clone(),
            serial,
            run: run.clone(),
        };
        let line = writer.chain.line(&to_json(&head));
        let written = writer
            .file
            .write_all(line.as_bytes())
            .and_then(|()| writer.file.sync_all())
            .and_then(|()| files::sync_folder(path));
        if let Err(error) = written {
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(writer)
    }

    /// Appends answers and makes them durable with one flush. If that fails they count as not
    /// recorded, and nothing may be appended any more.
    pub fn append(&mut self, answers: &[impl Borrow<JournalAnswer>]) -> io::Result<()> {
        let lines: String = answers
            .iter()
            .map(|answer| self.chain.line(&to_json(answer.borrow())))
            .collect();
        testpoint::may_fail("journal.append")?;
        self.file.write_all(lines.as_bytes())?;
        self.file.sync_data()
    }
}

/// Parses and verifies a journal; without a key, only parses it. Returns `None` if it has no
/// whole answer.
pub fn parse(bytes: &[u8], key: Option<&MacKey>) -> Result<Option<Journal>, JournalError> {
    // Whatever follows the last line end was cut short by a crash.
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let whole = &bytes[..end];
    let mut lines = whole.split(|byte| *byte == b'\n').zip(1..);
    let (first, _) = lines.next().unwrap_or((&[], 1));
    let head_line = split_line(first, 1)?;
    let head: JournalHead<'_> = serde_json::from_str(head_line.body.get())
        .map_err(|_| JournalError::Damaged { line: 1 })?;
    if head.format != JOURNAL_FORMAT {
        return Err(JournalError::OtherFormat);
    }
    if whole.len() == first.len() {
        return Ok(None);
    }
    let mut chain = key.map(|key| Chain::new(key.clone(), head.lineage.clone(), head.serial));
    let mut verify = |parts: &JournalLine<'_>, line| {
        let fits = chain
            .as_mut()
            .is_none_or(|chain| chain.verify(parts.body.get(), &parts.mac));
        fits.then_some(())
            .ok_or(JournalError::NotAuthentic { line })
    };
    verify(&head_line, 1)?;
    let mut answers = Vec::new();
    for (bytes, line) in lines {
        let parts = split_line(bytes, line)?;
        verify(&parts, line)?;
        answers.push(
            serde_json::from_str(parts.body.get()).map_err(|_| JournalError::Damaged { line })?,
        );
    }
    Ok(Some(Journal {
        lineage: head.lineage,
        serial: head.serial,
        run: head.run,
        answers,
    }))
}

fn split_line(bytes: &[u8], line: usize) -> Result<JournalLine<'_>, JournalError> {
    serde_json::from_slice(bytes).map_err(|_| JournalError::Damaged { line })
}

impl Journal {
    /// Returns whether one run marked every entry that it settles.
    pub fn continues(&self, state: &State) -> bool {
        self.lineage == state.lineage
            && self.serial == state.serial
            && self.records().all(|(record, _)| {
                state
                    .entries
                    .get(&record.entry)
                    .and_then(|entry| entry.pending.as_ref())
                    .is_some_and(|pending| pending.run_id == self.run)
            })
    }

    fn records(&self) -> impl Iterator<Item = (&JournalRecord, Timestamp)> {
        self.answers
            .iter()
            .flat_map(|answer| answer.records.iter().map(|record| (record, answer.at)))
    }

    pub fn fold_into(&self, state: &mut State) {
        for answer in &self.answers {
            answer.fold_into(state);
        }
    }

    /// Settles the entries that are marked by the journal's own run; returns whether there is one.
    pub fn settle_own(&self, state: &mut State) -> bool {
        let mut has_any = false;
        for (record, at) in self.records() {
            let pending = state
                .entries
                .get(&record.entry)
                .and_then(|entry| entry.pending.as_ref());
            if pending.is_some_and(|pending| pending.run_id == self.run) {
                has_any |= state.settle(&record.entry, &record.settled, at);
            }
        }
        has_any
    }

    /// Returns whether `state` has the next serial and everything in the journal.
    pub fn is_folded_in(&self, state: &State) -> bool {
        self.lineage == state.lineage
            && state.serial.checked_sub(1) == Some(self.serial)
            && self
                .records()
                .all(|(record, at)| state.reflects(&record.entry, &record.settled, at))
    }
}

impl Store {
    pub(super) fn folded(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.folded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a cut-off apply left answers that are not in the state yet.
    pub fn has_journal(&self) -> bool {
        match &self.at {
            StoreAt::File(path) => files::with_suffix(path, JOURNAL).exists(),
            StoreAt::Branch(branch) => branch.has_journals(),
        }
    }

    /// Folds the journals next to a state into it; without a key, they are not verified.
    pub(super) fn fold_journals(
        &self,
        state: &mut Option<State>,
        journals: Vec<(PathBuf, Vec<u8>)>,
        key: Option<&MacKey>,
    ) -> Result<JournalLeft, StoreError> {
        if let (StoreAt::Branch(branch), Some(state)) = (&self.at, state.as_mut()) {
            let (left, folded) = branch.fold(state, journals, key)?;
            *self.folded() = folded;
            return Ok(left);
        }
        let Some((_, journal)) = journals.first() else {
            return Ok(JournalLeft::None);
        };
        let path = files::with_suffix(self.path(), JOURNAL);
        match (state, parse(journal, key)) {
            (_, Err(why)) => Err(Failure::new(
                "drspass::journal::invalid",
                format!("{}: {why}", path.display()),
                "Nothing was sent or changed. The journal was changed outside drspass; 'drspass state distrust' sets it aside and marks every entry to be sent again.",
            )
            .into()),
            // It has no answers, so it can belong to any state.
            (_, Ok(None)) => Ok(JournalLeft::Folded),
            (Some(state), Ok(Some(journal))) if journal.continues(state) => {
                journal.fold_into(state);
                Ok(JournalLeft::Unfolded)
            }
            (Some(state), Ok(Some(journal))) if journal.is_folded_in(state) => {
                Ok(JournalLeft::Folded)
            }
            (_, Ok(Some(_))) => Err(StoreError::ForeignJournal { path }),
        }
    }

    /// Settles in a state of another place what a cut-off apply recorded here; returns whether it did.
    /// The next write there ends those journals.
    pub fn settle_at(
        &self,
        there: &Self,
        state: &mut State,
        keys: &StoreKeys,
    ) -> Result<bool, StoreError> {
        let mut has_any = false;
        for (path, bytes) in self.journals()? {
            let journal = parse(&bytes, Some(&keys.journal)).ok().flatten();
            let journal = journal.filter(|it| it.lineage == state.lineage);
            if journal.is_some_and(|journal| journal.settle_own(state)) {
                there.folded().push(path);
                has_any = true;
            }
        }
        Ok(has_any)
    }

    /// Saves an unfinished journal's answers, so that a new one can begin. On a branch, each run has
    /// its own, and the next write has the answers.
    pub fn absorb_journal(
        &self,
        guard: &LockGuard,
        keys: &StoreKeys,
        mut snapshot: StateSnapshot,
    ) -> Result<StateSnapshot, StoreError> {
        if snapshot.journal == JournalLeft::None || self.branch().is_some() {
            return Ok(snapshot);
        }
        // A journal that is in the state already is only removed: another commit
        // would take the state out of the journal's reach if this is cut off too.
        if snapshot.journal == JournalLeft::Unfolded
            && let StoredState::Ours(state) = &mut snapshot.known
        {
            snapshot.version = self.commit(guard, keys, state, &snapshot.version)?;
            snapshot.is_carried_over = false;
        }
        self.end_journal(guard)?;
        snapshot.journal = JournalLeft::None;
        Ok(snapshot)
    }

    /// Begins the journal of a state that has this serial now or after its next commit.
    pub fn begin_journal(
        &self,
        _guard: &LockGuard,
        keys: &StoreKeys,
        lineage: &Lineage,
        serial: u64,
        run: &RunId,
    ) -> Result<JournalWriter, StoreError> {
        let path = match &self.at {
            StoreAt::File(path) => files::with_suffix(path, JOURNAL),
            StoreAt::Branch(branch) => branch.journal_of(run)?,
        };
        let writer = JournalWriter::create(&path, lineage, serial, run, keys.journal.clone());
        let writer = writer.map_err(cannot_write(&path))?;
        if let Some(branch) = self.branch() {
            branch.own_journal(&path)?;
        }
        Ok(writer)
    }

    pub fn end_journal(&self, _guard: &LockGuard) -> Result<(), StoreError> {
        testpoint::reach("journal.before_removal");
        let path = match &self.at {
            StoreAt::File(path) => files::with_suffix(path, JOURNAL),
            StoreAt::Branch(branch) => return branch.end_journal(),
        };
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed
                .and_then(|()| files::sync_folder(&path))
                .map_err(cannot_write(&path)),
        }
    }

    /// Renames a journal that is not trusted.
    pub fn set_aside_journal(&self, _guard: &LockGuard) -> Result<(), StoreError> {
        let path = match &self.at {
            StoreAt::File(path) => files::with_suffix(path, JOURNAL),
            StoreAt::Branch(branch) => return branch.set_aside_journals(),
        };
        let aside = files::with_suffix(&path, BACKUP);
        fs::rename(&path, &aside)
            .and_then(|()| files::sync_folder(&aside))
            .map_err(cannot_write(&aside))
    }
}
