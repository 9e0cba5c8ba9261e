//! A started plugin and its two streams. Reading and writing happen beside the run, so
//! that neither a plugin that says nothing nor one that reads nothing can hold it up;
//! whatever happens, the program is ended and waited for.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::children::ChildEnv;

/// The longest line: the arguments of a stanza with a post-quantum key are the longest
/// that are known, at some 2 KiB.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// Lines that may wait to be looked at.
const WAITING_LINES: usize = 16;

/// How long a plugin that is done may take to end by itself, for instance to let go
/// of its device.
const FAREWELL: Duration = Duration::from_secs(2);

/// A line of the plugin, with its end.
pub(super) type Line = Zeroizing<Vec<u8>>;

/// Why there is no next line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoLine {
    /// The stream has ended.
    Ended,
    /// It took too long.
    Silent,
    /// The line is longer than any may be.
    TooLong,
}

/// A plugin that runs.
pub(super) struct Process {
    child: Child,
    /// Nothing once its input was closed.
    input: Option<Sender<Line>>,
    output: Receiver<Result<Line, NoLine>>,
}

impl Process {
    /// Starts a plugin. It runs in the root folder, where no file of a repository can
    /// be taken for one of its own, and its error stream is dropped: it is not of the
    /// protocol, and could show anything.
    /// Fails if it does not start.
    pub(super) fn start(program: &Path, argument: &str, env: &ChildEnv) -> io::Result<Self> {
        let mut command = Command::new(program);
        env.give(&mut command);
        let mut child = command
            .arg(argument)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (lines, output) = sync_channel(WAITING_LINES);
        if let Some(stream) = child.stdout.take() {
            thread::spawn(move || read(stream, &lines));
        }
        let (input, waiting) = channel::<Line>();
        if let Some(mut stream) = child.stdin.take() {
            thread::spawn(move || {
                for bytes in waiting {
                    // A plugin that has gone shows in what it does not answer.
                    if stream
                        .write_all(&bytes)
                        .and_then(|()| stream.flush())
                        .is_err()
                    {
                        return;
                    }
                }
            });
        }
        Ok(Self {
            child,
            input: Some(input),
            output,
        })
    }

    /// Its id, for tests.
    #[cfg(test)]
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Hands bytes over to be written.
    pub(super) fn send(&self, bytes: Line) {
        if let Some(input) = &self.input {
            // As above: a failure shows in the answer.
            let _ = input.send(bytes);
        }
    }

    /// The next line, waited for at most `patience`.
    /// Fails if there is none.
    pub(super) fn next_line(&self, patience: Duration) -> Result<Line, NoLine> {
        match self.output.recv_timeout(patience) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => Err(NoLine::Silent),
            Err(RecvTimeoutError::Disconnected) => Err(NoLine::Ended),
        }
    }

    /// Lets a plugin that is done end by itself, for a moment.
    pub(super) fn finish(mut self) {
        self.input = None;
        let start = Instant::now();
        while start.elapsed() < FAREWELL {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Neither fails but for a program that has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines until the stream ends or nobody wants them any more.
fn read(stream: impl io::Read, lines: &SyncSender<Result<Line, NoLine>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = Zeroizing::new(Vec::new());
        let read = stream
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line);
        let line = match read {
            Ok(0) | Err(_) => return,
            Ok(_) if line.ends_with(b"\n") => Ok(line),
            Ok(_) if line.len() as u64 == MAX_LINE_BYTES => Err(NoLine::TooLong),
            // The stream ended in the middle of a line.
            Ok(_) => return,
        };
        let is_last = line.is_err();
        if lines.send(line).is_err() || is_last {
            return;
        }
    }
}
