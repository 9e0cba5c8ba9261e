//! The single writer of the journal: a thread that takes answers as they arrive and makes
//! all waiting ones durable with one flush.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::keep::KeeperHandle;
use crate::store::journal::{JournalAnswer, JournalWriter};
use crate::sys::testpoint;

pub struct Recorder {
    thread: JoinHandle<io::Result<()>>,
}

pub struct JournalHandle {
    answers: Sender<Arc<JournalAnswer>>,
    handed_over: usize,
    /// How many answers are durable. Closes when the thread ends, by an error or a bug.
    durable: watch::Receiver<usize>,
    /// Where the state is on a branch.
    pub keeper: Option<KeeperHandle>,
}

impl JournalHandle {
    pub fn record(&mut self, answer: Arc<JournalAnswer>) {
        self.handed_over += 1;
        if let Some(keeper) = &self.keeper {
            keeper.answer(&answer);
        }
        // A thread that is gone shows as a broken journal.
        let _ = self.answers.send(answer);
    }

    /// Returns whether the journal has failed, so that nothing new may be sent.
    pub fn is_broken(&self) -> bool {
        self.durable.has_changed().is_err()
    }

    /// Returns how many answers are handed over and not durable yet: a crash would leave
    /// that many with an unknown outcome.
    pub fn behind(&self) -> usize {
        self.handed_over - *self.durable.borrow()
    }

    /// Waits until more answers are durable or the journal is broken. Cancel-safe.
    pub async fn moved(&mut self) {
        let _ = self.durable.changed().await;
    }
}

impl Recorder {
    /// Starts the thread, and returns where to hand the journal over. It starts before anything
    /// is marked, so that a machine that refuses a thread is found out in time.
    pub fn start() -> io::Result<(Self, Sender<JournalWriter>, JournalHandle)> {
        let (answers, waiting) = mpsc::channel();
        let (hand_over, journal) = mpsc::channel::<JournalWriter>();
        let (written, durable) = watch::channel(0);
        let thread = std::thread::Builder::new().spawn(move || {
            // Without a journal there is nothing to write.
            let Ok(writer) = journal.recv() else {
                return Ok(());
            };
            write_all(writer, &waiting, &written)
        })?;
        let handle = JournalHandle {
            answers,
            handed_over: 0,
            durable,
            keeper: None,
        };
        Ok((Self { thread }, hand_over, handle))
    }

    /// Waits until everything handed over is durable. The handle must be gone.
    pub fn finish(self) -> io::Result<()> {
        self.thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the writer of the journal ended early")))
    }
}

fn write_all(
    mut writer: JournalWriter,
    waiting: &Receiver<Arc<JournalAnswer>>,
    written: &watch::Sender<usize>,
) -> io::Result<()> {
    while let Ok(first) = waiting.recv() {
        let mut answers = vec![first];
        answers.extend(waiting.try_iter());
        testpoint::reach("journal.before_append");
        writer.append(&answers)?;
        testpoint::reach("journal.after_append");
        written.send_modify(|durable| *durable += answers.len());
    }
    Ok(())
}
