//! A started plugin and its two streams. Reading and writing happen beside the run, so
//! that neither a plugin that says nothing nor one that reads nothing can hold it up;
//! whatever happens, the program is ended and waited for.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::PluginFault;
use crate::sys::children::ChildEnv;
use crate::sys::signals;

/// The longest lines that are known are those of post-quantum keys, at some 2 KiB.
const MAX_LINE_BYTES: usize = 64 << 10;

const WAITING_LINES: usize = 16;

/// How long a plugin that is done may take to let go of its device.
const FAREWELL: Duration = Duration::from_secs(2);

/// A line of the plugin, with its end.
pub type SecretLine = Zeroizing<Vec<u8>>;

pub struct Process {
    pub child: Child,
    /// Nothing once its input was closed.
    input: Option<Sender<SecretLine>>,
    output: Receiver<Result<SecretLine, PluginFault>>,
}

impl Process {
    /// Starts a plugin in `/`, where no file of a repository can be taken for one of its own.
    /// Its error stream is dropped: it is not of the protocol, and could show anything.
    pub fn start(program: &Path, argument: &str, env: &ChildEnv) -> io::Result<Self> {
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
            signals::without_signals(|| thread::spawn(move || read(stream, &lines)));
        }
        let (input, waiting) = channel::<SecretLine>();
        if let Some(stream) = child.stdin.take() {
            signals::without_signals(|| thread::spawn(move || write(stream, &waiting)));
        }
        Ok(Self {
            child,
            input: Some(input),
            output,
        })
    }

    pub fn send(&self, bytes: SecretLine) {
        if let Some(input) = &self.input {
            // As above: a failure shows in the answer.
            let _ = input.send(bytes);
        }
    }

    /// The next line, waited for at most `patience`.
    pub fn next_line(&self, patience: Duration) -> Result<SecretLine, PluginFault> {
        match self.output.recv_timeout(patience) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => Err(PluginFault::Silent {
                seconds: patience.as_secs(),
            }),
            Err(RecvTimeoutError::Disconnected) => Err(PluginFault::Ended),
        }
    }

    pub fn finish(mut self) {
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

fn write(mut stream: impl io::Write, waiting: &Receiver<SecretLine>) {
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
}

/// Reads lines until the stream ends or nobody wants them any more. What is left of a
/// stream that ends in the middle of a line is no line.
fn read(mut stream: impl io::Read, lines: &SyncSender<Result<SecretLine, PluginFault>>) {
    // It never moves and is wiped: a line may hold the key of a file.
    let mut buffer = Zeroizing::new(vec![0; MAX_LINE_BYTES]);
    let mut filled = 0;
    loop {
        while let Some(end) = buffer[..filled].iter().position(|byte| *byte == b'\n') {
            let line = Zeroizing::new(buffer[..=end].to_vec());
            buffer.copy_within(end + 1..filled, 0);
            filled -= end + 1;
            if lines.send(Ok(line)).is_err() {
                return;
            }
        }
        if filled == buffer.len() {
            let _ = lines.send(Err(PluginFault::Endless));
            return;
        }
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => return,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
