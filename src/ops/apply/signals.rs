//! The signals that ask a run to end, and which of them count.

use std::io;

use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use crate::core::report::Signal;

/// What the end of the terminal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HangUp {
    /// It ends the run, like any request to end.
    Ends,
    /// The run was started so as to outlive it (`nohup`).
    Ignored,
}

/// The signals that ask a run to end.
pub(super) struct Signals {
    interrupt: SignalStream,
    terminate: SignalStream,
    hang_up: Option<SignalStream>,
}

impl Signals {
    /// Fails if the system refuses the handlers. Must be called inside a runtime.
    pub(super) fn listen(hang_up: HangUp) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: match hang_up {
                HangUp::Ends => Some(signal(SignalKind::hangup())?),
                HangUp::Ignored => None,
            },
        })
    }

    async fn hung_up(stream: &mut Option<SignalStream>) {
        match stream {
            Some(stream) => {
                stream.recv().await;
            }
            None => std::future::pending().await,
        }
    }

    /// Waits for the next of them.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            () = Self::hung_up(&mut self.hang_up) => Signal::Terminate,
        }
    }
}
