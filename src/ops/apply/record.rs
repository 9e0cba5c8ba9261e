//! The single writer of the journal: a thread that takes answers as they come
//! and makes all that are waiting durable with one flush.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use crate::store::journal::{Answer, Writer};
use crate::testpoint;

/// The thread that owns the journal.
pub(super) struct Recorder {
    thread: JoinHandle<io::Result<()>>,
}

/// The way into the journal.
pub(super) struct JournalHandle {
    answers: Sender<Answer>,
    broken: Arc<AtomicBool>,
}

impl JournalHandle {
    /// Hands over an answer to be recorded.
    pub(super) fn record(&self, answer: Answer) {
        if self.answers.send(answer).is_err() {
            self.broken.store(true, Ordering::SeqCst);
        }
    }

    /// Whether the journal can still be written. When it cannot, nothing new
    /// may be sent.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }
}

impl Recorder {
    /// Starts the thread, before there is a journal: so that a machine that refuses
    /// a thread is found out before anything is marked. Returns where to hand the
    /// journal over.
    /// Fails if the machine refuses.
    pub(super) fn start() -> io::Result<(Self, Sender<Writer>, JournalHandle)> {
        let (answers, waiting) = mpsc::channel();
        let (hand_over, journal) = mpsc::channel::<Writer>();
        let broken = Arc::new(AtomicBool::new(false));
        let ends = SetWhenDropped(Arc::clone(&broken));
        let thread = std::thread::Builder::new().spawn(move || {
            let _ends = ends;
            // Without a journal there is nothing to write.
            let Ok(writer) = journal.recv() else {
                return Ok(());
            };
            write_all(writer, &waiting)
        })?;
        Ok((
            Self { thread },
            hand_over,
            JournalHandle { answers, broken },
        ))
    }

    /// Waits until everything handed over is durable. The handle must be gone.
    /// Fails with the first error of the disk.
    pub(super) fn finish(self) -> io::Result<()> {
        self.thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the writer of the journal ended early")))
    }
}

/// However the thread ends, by an error or a bug, nobody takes the journal for
/// alive after that.
struct SetWhenDropped(Arc<AtomicBool>);

impl Drop for SetWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn write_all(mut writer: Writer, waiting: &Receiver<Answer>) -> io::Result<()> {
    while let Ok(first) = waiting.recv() {
        let mut answers = vec![first];
        answers.extend(waiting.try_iter());
        testpoint::reach("journal.before_append");
        writer.append(&answers)?;
        testpoint::reach("journal.after_append");
    }
    Ok(())
}
