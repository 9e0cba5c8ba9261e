//! A program that has the terminal while it runs, as a shell would give it to one.
//!
//! The program is in a process group of its own, which is the foreground group of the terminal
//! until it ends. So the user's keys, Ctrl-C included, reach the program alone, and a signal that
//! reaches drspass was meant for drspass: then the program is asked to end, and its whole group is
//! killed if it does not.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, Signal as Blocked};
use rustix::io::Errno;
use rustix::process::{Pid, Signal as Sent, WaitId, WaitIdOptions, WaitOptions, WaitStatus};
use rustix::termios::{OptionalActions, Termios};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::time::{Instant, timeout_at};

use crate::core::report::Signal;
use crate::sys::signals::Signals;

/// How long a program may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How often a program may stop because it cannot get a terminal.
const MAX_STOPS: usize = 20;

pub enum Ended {
    Code(i32),
    Signal(i32),
    /// It was ended because drspass received this signal.
    Terminated(Signal),
}

/// Runs a program in the foreground and waits for its end. Must be called inside a runtime; signals
/// that arrived before are not lost.
pub async fn run(mut command: Command, signals: &mut Signals) -> io::Result<Ended> {
    let mut changes = signal(SignalKind::child())?;
    tokio::select! {
        biased;
        signal = signals.next() => return Ok(Ended::Terminated(signal)),
        () = std::future::ready(()) => {}
    }
    let terminal = Terminal::of_this_run();
    let child = command.process_group(0).spawn()?;
    let group = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(Errno::SRCH)?;
    let mut running = Running {
        group,
        has_terminal: false,
        stops: 0,
        terminal,
    };
    if running.terminal.is_some() && (io::stdin().is_terminal() || io::stderr().is_terminal()) {
        running.lend();
    }
    let ended = running.watch(&mut changes, signals).await;
    let had_terminal = running.has_terminal;
    running.take_back();
    match ended? {
        // The user pressed Ctrl-C, which ended the program.
        Ended::Signal(number) if had_terminal && number == Sent::INT.as_raw() => {
            Ok(Ended::Terminated(Signal::Interrupt))
        }
        ended => Ok(ended),
    }
}

struct Running {
    /// The process and the group that it leads.
    group: Pid,
    terminal: Option<Terminal>,
    has_terminal: bool,
    stops: usize,
}

impl Running {
    async fn watch(
        &mut self,
        changes: &mut SignalStream,
        signals: &mut Signals,
    ) -> io::Result<Ended> {
        loop {
            let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
            if let Some((_, status)) = rustix::process::waitpid(Some(self.group), options)? {
                if let Some(ended) = ended(status) {
                    return Ok(ended);
                }
                if let Some(stop) = status.stopping_signal() {
                    self.stopped(stop, changes).await?;
                }
                continue;
            }
            tokio::select! {
                biased;
                signal = signals.next() => {
                    self.end(changes).await?;
                    return Ok(Ended::Terminated(signal));
                }
                _ = changes.recv() => {}
            }
        }
    }

    /// Handles a stop: the program touched the terminal before it was lent, or the user wants the
    /// shell, to which drspass then hands over.
    async fn stopped(&mut self, stop: i32, changes: &mut SignalStream) -> io::Result<()> {
        let wants_terminal = [Sent::TTIN.as_raw(), Sent::TTOU.as_raw()].contains(&stop);
        if self.terminal.is_none() || !(self.has_terminal || wants_terminal) {
            // The process that stopped it also continues it.
            return Ok(());
        }
        // A program that was lent the terminal had touched it a moment too early.
        if !(wants_terminal && self.lend()) {
            self.take_back();
            if wants_terminal {
                self.stops += 1;
            }
            if self.stops > MAX_STOPS {
                self.end(changes).await?;
                return Err(io::Error::other("it needs a terminal, and has none"));
            }
            // Returns when the user brings drspass back; at once if there is no shell that could.
            rustix::process::kill_current_process_group(Sent::TSTP)?;
            self.lend();
        }
        self.send(Sent::CONT);
        Ok(())
    }

    /// Asks the program and all of its group to end, and kills what remains. It is waited for only
    /// then: until it is, no other process can get its number.
    async fn end(&mut self, changes: &mut SignalStream) -> io::Result<()> {
        let deadline = Instant::now() + GRACE;
        self.send(Sent::TERM);
        // A stopped program would not see it.
        self.send(Sent::CONT);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while rustix::process::waitid(WaitId::Pid(self.group), options)?.is_none() {
            if timeout_at(deadline, changes.recv()).await.is_err() {
                break;
            }
        }
        self.send(Sent::KILL);
        rustix::process::waitpid(Some(self.group), WaitOptions::empty())?;
        Ok(())
    }

    fn send(&self, signal: Sent) {
        // A process that is gone needs no signal.
        let _ = rustix::process::kill_process_group(self.group, signal);
    }

    /// Makes the program's group the foreground group, if drspass has the terminal to lend. Returns
    /// whether the program has it now.
    fn lend(&mut self) -> bool {
        if let Some(terminal) = &self.terminal
            && terminal.is_ours()
        {
            self.has_terminal = terminal.set_group(self.group);
        }
        self.has_terminal
    }

    fn take_back(&mut self) {
        if let Some(terminal) = &self.terminal
            && self.has_terminal
        {
            terminal.set_group(terminal.own);
            terminal.restore();
            self.has_terminal = false;
        }
    }
}

fn ended(status: WaitStatus) -> Option<Ended> {
    let code = status.exit_status().map(Ended::Code);
    code.or_else(|| status.terminating_signal().map(Ended::Signal))
}

struct Terminal {
    file: File,
    own: Pid,
    attributes: Termios,
}

impl Terminal {
    fn of_this_run() -> Option<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/tty")
            .ok()?;
        let attributes = rustix::termios::tcgetattr(&file).ok()?;
        Some(Self {
            file,
            own: rustix::process::getpgrp(),
            attributes,
        })
    }

    fn is_ours(&self) -> bool {
        rustix::termios::tcgetpgrp(&self.file) == Ok(self.own)
    }

    fn set_group(&self, group: Pid) -> bool {
        undisturbed(|| rustix::termios::tcsetpgrp(&self.file, group)).is_ok()
    }

    fn restore(&self) {
        // A terminal that is gone needs nothing.
        let _ = undisturbed(|| {
            rustix::termios::tcsetattr(&self.file, OptionalActions::Now, &self.attributes)
        });
    }
}

/// Acts on the terminal from the background, with the signal blocked that would stop this process.
fn undisturbed<T>(act: impl FnOnce() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    let mut stop = SigSet::empty();
    stop.add(Blocked::SIGTTOU);
    let Ok(before) = stop.thread_swap_mask(SigmaskHow::SIG_BLOCK) else {
        return Err(Errno::INVAL);
    };
    let done = act();
    let _ = before.thread_set_mask();
    done
}
