//! A started plugin and the protocol: stanzas to and from it, and its questions to the user.
//! Threads read and write, so that neither a plugin that says nothing nor one that reads nothing
//! can hold drspass up; whatever happens, it is ended and waited for.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use age::secrecy::ExposeSecret as _;
use age_core::format::{Stanza, is_arbitrary_string};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::{Zeroize as _, Zeroizing};

use super::{AgeError, Choice, ForeignText, NoPassphrase, PluginFault, Talk};
use crate::core::redact::Needles;
use crate::core::secret::Secret;
use crate::sys::children::ChildEnv;
use crate::sys::signals;

/// Characters in a line of a stanza's body; a shorter one ends it.
const COLUMNS: usize = 64;

pub const OK: &str = "ok";
pub const FAIL: &str = "fail";
pub const UNSUPPORTED: &str = "unsupported";

const MAX_TOTAL_BYTES: usize = 1 << 20;

const MAX_REASONS: usize = 8;

/// A conversation with one plugin, which ends when this is dropped.
pub struct Conversation<'a> {
    pub program: String,
    pub process: Process,
    pub talk: &'a Talk<'a>,
    pub patience: Duration,
    pub said_bytes: usize,
    /// Texts that must not come back in a message.
    pub secrets: Vec<Secret>,
    pub reasons: Vec<ForeignText>,
    /// Why one of its questions got no answer.
    pub unanswered: Option<PluginFault>,
}

impl Conversation<'_> {
    /// Shows no text that repeats this one.
    pub fn keep_secret(&mut self, secret: &str) {
        self.secrets.push(Secret::new(secret.to_owned()));
    }

    pub fn send(&self, tag: &str, args: &[&str], body: &[u8]) {
        self.process.send(written(tag, args, body));
    }

    /// Does what the plugin asks until it is done. `result` gets the stanzas that the two state
    /// machines do not share, and answers them.
    pub fn listen(
        &mut self,
        result: &mut dyn FnMut(&mut Stanza) -> &'static str,
    ) -> Result<(), AgeError> {
        loop {
            let mut stanza = self.receive()?;
            let reply = match stanza.tag.as_str() {
                "done" => return Ok(()),
                "msg" => {
                    if let Some(text) = self.text(&stanza.body) {
                        (self.talk.tell)(&self.program, &text);
                    }
                    OK
                }
                "error" => {
                    let text = self.text(&stanza.body);
                    if self.reasons.len() < MAX_REASONS {
                        self.reasons.extend(text);
                    }
                    OK
                }
                "confirm" | "request-public" | "request-secret" => {
                    self.ask(&stanza)?;
                    continue;
                }
                _ => result(&mut stanza),
            };
            stanza.body.zeroize();
            self.send(reply, &[], b"");
        }
    }

    /// Ends the conversation with its result, or with the plugin's error if there is none.
    pub fn close<T>(self, result: Option<T>) -> Result<Option<T>, AgeError> {
        self.process.finish();
        if result.is_some() {
            return Ok(result);
        }
        let reason = self.reasons.into_iter().next();
        let Some(fault) = self.unanswered.or(reason.map(PluginFault::Said)) else {
            return Ok(None);
        };
        Err(AgeError::Plugin {
            program: self.program,
            fault,
        })
    }

    /// Asks the user what the plugin wants to know and passes the answer on, or keeps why there is
    /// none. Fails if the user cancels: a plugin could ask again without end.
    fn ask(&mut self, stanza: &Stanza) -> Result<(), AgeError> {
        let question = self.text(&stanza.body).unwrap_or(ForeignText::withheld());
        let answered = match stanza.tag.as_str() {
            "request-secret" => (self.talk.ask_secret)(&self.program, &question).map(|answer| {
                self.keep_secret(answer.expose_secret());
                self.send(OK, &[], answer.expose_secret().as_bytes());
            }),
            "request-public" => (self.talk.ask)(&self.program, &question)
                .map(|answer| self.send(OK, &[], answer.as_bytes())),
            _ => {
                let mut labels = stanza.args.iter().map(|label| {
                    let label = STANDARD_NO_PAD.decode(label).ok()?;
                    self.text(&label)
                });
                let Some(Some(yes)) = labels.next() else {
                    self.send(FAIL, &[], b"");
                    return Ok(());
                };
                let no = labels.next().flatten();
                let choice = Choice {
                    question: &question,
                    first: &yes,
                    second: no.as_ref(),
                };
                (self.talk.choose)(&self.program, &choice)
                    .map(|is_first| self.send(OK, &[if is_first { "yes" } else { "no" }], b""))
            }
        };
        let fault = match answered {
            Ok(()) => return Ok(()),
            Err(NoPassphrase::Interrupted) => return Err(AgeError::Interrupted),
            Err(NoPassphrase::Nobody) => PluginFault::Unanswered,
            Err(NoPassphrase::Declined) => PluginFault::Declined,
            Err(NoPassphrase::Unclear) => PluginFault::Unclear,
        };
        self.unanswered.get_or_insert(fault);
        self.send(FAIL, &[], b"");
        Ok(())
    }

    fn text(&self, raw: &[u8]) -> Option<ForeignText> {
        Needles::new(&self.secrets).text(&String::from_utf8_lossy(raw))
    }

    fn receive(&mut self) -> Result<Stanza, AgeError> {
        let head = self.line()?;
        let head = std::str::from_utf8(&head).map_err(|_| self.fault(PluginFault::Garbled))?;
        let mut words = head
            .strip_prefix("-> ")
            .ok_or_else(|| self.fault(PluginFault::Garbled))?
            .split(' ')
            .map(str::to_owned);
        let tag = words.next().unwrap_or_default();
        let args: Vec<String> = words.collect();
        if !is_arbitrary_string(&tag) || !args.iter().all(is_arbitrary_string) {
            return Err(self.fault(PluginFault::Garbled));
        }
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            // Each line is decoded by itself: a full one contains whole bytes.
            let decoded = Zeroizing::new(
                STANDARD_NO_PAD
                    .decode(line.as_slice())
                    .ok()
                    .filter(|_| line.len() <= COLUMNS)
                    .ok_or_else(|| self.fault(PluginFault::Garbled))?,
            );
            body.extend_from_slice(&decoded);
            if line.len() < COLUMNS {
                return Ok(Stanza { tag, args, body });
            }
        }
    }

    fn line(&mut self) -> Result<SecretLine, AgeError> {
        let line = self.process.next_line(self.patience);
        let mut line = line.map_err(|fault| self.fault(fault))?;
        self.said_bytes += line.len();
        if self.said_bytes > MAX_TOTAL_BYTES {
            return Err(self.fault(PluginFault::Endless));
        }
        line.pop();
        Ok(line)
    }

    fn fault(&self, fault: PluginFault) -> AgeError {
        AgeError::Plugin {
            program: self.program.clone(),
            fault,
        }
    }
}

fn written(tag: &str, args: &[&str], body: &[u8]) -> SecretLine {
    let body = Zeroizing::new(STANDARD_NO_PAD.encode(body));
    let words: usize = tag.len() + args.iter().map(|arg| arg.len() + 1).sum::<usize>();
    // Large enough that it never moves and leaves no copy of a key behind.
    let mut out = Vec::with_capacity(words + body.len() + body.len() / COLUMNS + 8);
    out.extend_from_slice(b"-> ");
    out.extend_from_slice(tag.as_bytes());
    for arg in args {
        out.push(b' ');
        out.extend_from_slice(arg.as_bytes());
    }
    out.push(b'\n');
    let mut rest = body.as_bytes();
    // The last line is a short one, if need be an empty one.
    while let Some((line, more)) = rest.split_at_checked(COLUMNS) {
        out.extend_from_slice(line);
        out.push(b'\n');
        rest = more;
    }
    out.extend_from_slice(rest);
    out.push(b'\n');
    Zeroizing::new(out)
}

/// The longest lines that are known are those of post-quantum keys, at some 2 KiB.
const MAX_LINE_BYTES: usize = 64 << 10;

const WAITING_LINES: usize = 16;

/// How long a finished plugin may take to release its device.
const FAREWELL: Duration = Duration::from_secs(2);

/// A line of the plugin, with its end.
pub type SecretLine = Zeroizing<Vec<u8>>;

pub struct Process {
    pub child: Child,
    /// `None` once its input is closed.
    input: Option<Sender<SecretLine>>,
    output: Receiver<Result<SecretLine, PluginFault>>,
}

impl Process {
    /// Starts a plugin in `/`, where no file of a repository can be taken for one of its own. Its
    /// stderr is dropped: it is not part of the protocol, and could show anything.
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

    /// Returns the next line after at most `patience`.
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
        // Both fail only for a program that has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write(mut stream: impl io::Write, waiting: &Receiver<SecretLine>) {
    for bytes in waiting {
        // A plugin that is gone is noticed by its missing answers.
        if stream
            .write_all(&bytes)
            .and_then(|()| stream.flush())
            .is_err()
        {
            return;
        }
    }
}

/// Reads lines until the stream ends or the receiver is gone. An incomplete last line is dropped.
fn read(mut stream: impl io::Read, lines: &SyncSender<Result<SecretLine, PluginFault>>) {
    // It never moves and is wiped: a line may contain the key of a file.
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
