//! The signals that end a run, and what the end of the terminal means. Once listened to, a
//! signal has lost its default effect for the rest of the process.

use std::io;

use nix::sys::signal::{SigSet, SigmaskHow, Signal as Number};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use crate::core::report::Signal;

pub const ENDING: [Number; 4] = [
    Number::SIGINT,
    Number::SIGTERM,
    Number::SIGHUP,
    Number::SIGQUIT,
];

/// Starts threads that block the [`ENDING`] signals: a hidden prompt can only hold one back until
/// the terminal is restored if no other thread takes it. What they start inherits that, so it
/// must be nothing.
pub fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    let ending: SigSet = ENDING.into_iter().collect();
    let before = ending.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let started = start();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    started
}

/// Leaves the [`ENDING`] signals to the other threads.
pub fn leave_signals() {
    let ending: SigSet = ENDING.into_iter().collect();
    let _ = ending.thread_block();
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HangUp {
    Ends,
    /// The run was started with `nohup`.
    Ignored,
}

pub struct Signals {
    interrupt: SignalStream,
    terminate: SignalStream,
    hang_up: Option<SignalStream>,
    quit: Option<SignalStream>,
}

impl Signals {
    pub fn listen(hang_up: HangUp) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: match hang_up {
                HangUp::Ends => Some(signal(SignalKind::hangup())?),
                HangUp::Ignored => None,
            },
            quit: None,
        })
    }

    /// Listens for SIGQUIT as well, which would otherwise end the process at once.
    pub fn with_quit(mut self) -> io::Result<Self> {
        self.quit = Some(signal(SignalKind::quit())?);
        Ok(self)
    }

    /// Returns a signal that has arrived already; does not wait.
    pub async fn arrived(&mut self) -> Option<Signal> {
        // The runtime hands on what came while something else kept it busy.
        tokio::task::yield_now().await;
        tokio::select! {
            biased;
            signal = self.next() => Some(signal),
            () = std::future::ready(()) => None,
        }
    }

    async fn arrival(stream: &mut Option<SignalStream>) {
        match stream {
            Some(stream) => {
                stream.recv().await;
            }
            None => std::future::pending().await,
        }
    }

    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            () = Self::arrival(&mut self.hang_up) => Signal::Terminate,
            () = Self::arrival(&mut self.quit) => Signal::Terminate,
        }
    }
}
