//! The single writer of the journal: a thread that takes answers as they come
//! and makes all that are waiting durable with one flush.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::store::journal::{JournalAnswer, JournalWriter};
use crate::sys::testpoint;

pub struct Recorder {
    thread: JoinHandle<io::Result<()>>,
}

pub struct JournalHandle {
    answers: Sender<JournalAnswer>,
    handed_over: usize,
    /// How many answers are durable. It closes when the thread ends, by an error or a
    /// bug, so that nobody takes the journal for alive after that.
    durable: watch::Receiver<usize>,
}

impl JournalHandle {
    pub fn record(&mut self, answer: JournalAnswer) {
        self.handed_over += 1;
        // A thread that is gone shows as a broken journal.
        let _ = self.answers.send(answer);
    }

    /// Whether the journal can still be written. When it cannot, nothing new may be sent.
    pub fn is_broken(&self) -> bool {
        self.durable.has_changed().is_err()
    }

    /// How many answers were handed over and are not durable yet: as many as a crash
    /// would leave in doubt although the service answered.
    pub fn behind(&self) -> usize {
        self.handed_over - *self.durable.borrow()
    }

    /// Waits until more answers are durable or the journal is broken. Loses nothing
    /// when it is dropped.
    pub async fn moved(&mut self) {
        let _ = self.durable.changed().await;
    }
}

impl Recorder {
    /// Starts the thread, before there is a journal: so that a machine that refuses a thread is
    /// found out before anything is marked. Returns where to hand the journal over.
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
    waiting: &Receiver<JournalAnswer>,
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
