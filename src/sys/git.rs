//! git as a child process: found in PATH, and ended when it takes too long.

use std::io::{self, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::children::ChildEnv;
use crate::core::failure::Failure;

/// How long a program that was asked to end may take, and its output to arrive after its end: a
/// connection that ssh keeps open for others holds on to stderr.
const GRACE: Duration = Duration::from_secs(2);

/// How long a look at a running child waits at most.
const MAX_PAUSE: Duration = Duration::from_millis(10);

const MAX_STDERR: u64 = 1 << 16;

/// Finds git as every other program is found, so that no file of a work tree runs in its place.
pub fn program(env: &ChildEnv) -> Result<PathBuf, Failure> {
    env.program("git".as_ref()).ok_or_else(|| {
        Failure::new(
            "drspass::git::missing",
            "cannot find git in PATH",
            "Nothing was sent or written. Install git, or add its directory to PATH.",
        )
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildGroup {
    /// Ctrl-C ends it, and it can ask on the terminal.
    Shared,
    Own,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildEnd {
    Success,
    /// It ended by itself, with an error.
    Failed,
    /// A signal or the time limit ended it, wherever it was.
    Cut,
}

pub struct ChildOutput {
    pub end: ChildEnd,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// Runs a program to its end, or until the limit.
///
/// # Errors
/// If it cannot be started, writes more than `most` bytes, or hands its stdout on to another
/// program that stays.
pub fn run(
    command: &mut Command,
    group: ChildGroup,
    input: Vec<u8>,
    most: u64,
    limit: Duration,
) -> io::Result<ChildOutput> {
    let until = Instant::now() + limit;
    if group == ChildGroup::Own {
        command.process_group(0);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ended early reads no more, which its status says.
        thread::Builder::new().spawn(move || stdin.write_all(&input))?;
    }
    let stdout = read_aside(child.stdout.take(), most.saturating_add(1))?;
    let stderr = read_aside(child.stderr.take(), MAX_STDERR)?;
    let (status, is_late) = match wait(&mut child, until)? {
        Some(status) => (status, false),
        None => (end(&mut child, group)?, true),
    };
    let end = match status.success() {
        _ if is_late || status.signal().is_some() => ChildEnd::Cut,
        true => ChildEnd::Success,
        false => ChildEnd::Failed,
    };
    let stdout = match stdout.recv_timeout(GRACE) {
        Ok(stdout) => stdout?,
        // What it wrote counts only if it succeeded.
        Err(_) if end != ChildEnd::Success => Vec::new(),
        Err(_) => return Err(io::Error::other("its output does not end")),
    };
    if stdout.len() as u64 > most {
        return Err(io::Error::other("its output is too long"));
    }
    let stderr = stderr
        .recv_timeout(GRACE)
        .unwrap_or_else(|_| Ok(Vec::new()));
    Ok(ChildOutput {
        end,
        stdout,
        stderr: String::from_utf8_lossy(&stderr?).into_owned(),
    })
}

/// Reads the first `most` bytes in a thread of its own, and lets the program go on writing.
fn read_aside(
    pipe: Option<impl Read + Send + 'static>,
    most: u64,
) -> io::Result<Receiver<io::Result<Vec<u8>>>> {
    let (sender, receiver) = channel();
    thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.map_or(Ok(0), |mut pipe| {
            pipe.by_ref().take(most).read_to_end(&mut bytes)?;
            io::copy(&mut pipe, &mut io::sink())
        });
        let _ = sender.send(read.map(|_| bytes));
    })?;
    Ok(receiver)
}

/// Waits for the end; `None` if it does not come in time.
fn wait(child: &mut Child, until: Instant) -> io::Result<Option<ExitStatus>> {
    let mut pause = Duration::from_millis(1);
    loop {
        let ended = child.try_wait()?;
        if ended.is_some() || Instant::now() >= until {
            return Ok(ended);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Asks a program to end, so that git can give the terminal back, then ends it.
fn end(child: &mut Child, group: ChildGroup) -> io::Result<ExitStatus> {
    for signal in [Signal::TERM, Signal::KILL] {
        let pid = Pid::from_child(child);
        // It may have ended by itself.
        let _ = match group {
            ChildGroup::Own => kill_process_group(pid, signal),
            ChildGroup::Shared => kill_process(pid, signal),
        };
        if let Some(status) = wait(child, Instant::now() + GRACE)? {
            return Ok(status);
        }
    }
    child.wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, input: &[u8], most: u64, limit: Duration) -> io::Result<ChildOutput> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(&mut command, ChildGroup::Own, input.to_vec(), most, limit)
    }

    const LONG: Duration = Duration::from_secs(100);

    #[test]
    fn pipes_that_fill_up_stop_nothing() {
        let input = vec![b'x'; 1 << 20];
        let ran = sh("cat; head -c 300000 /dev/zero >&2", &input, 1 << 20, LONG).unwrap();
        assert_eq!((ran.end, ran.stdout == input), (ChildEnd::Success, true));
        assert_eq!(ran.stderr.len() as u64, MAX_STDERR);
        // It does not read what it is given.
        let ran = sh("exit 3", &input, 0, LONG).unwrap();
        assert_eq!(ran.end, ChildEnd::Failed);
    }

    #[test]
    fn too_much_output_is_an_error() {
        assert!(sh("echo abc", b"", 3, LONG).is_err());
        assert_eq!(sh("echo abc", b"", 4, LONG).unwrap().stdout, b"abc\n");
    }

    #[test]
    fn a_signal_and_a_limit_cut_a_program_off_with_all_that_it_started() {
        let ran = sh("kill -9 $$", b"", 9, LONG).unwrap();
        assert_eq!(ran.end, ChildEnd::Cut);
        let script = "trap '' TERM; sleep 1000 & echo $! >&2; wait";
        let ran = sh(script, b"", 9, Duration::from_secs(1)).unwrap();
        assert_eq!(ran.end, ChildEnd::Cut);
        let pid: u32 = ran.stderr.trim().parse().unwrap();
        // A signal takes its time, and then whoever waits for an orphan.
        let is_there = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
        };
        let until = Instant::now() + LONG;
        while is_there() {
            assert!(
                Instant::now() < until,
                "the program that it started goes on"
            );
            thread::sleep(MAX_PAUSE);
        }
    }
}
