//! A client with what drives it: one runtime for everything that a run asks and
//! sends, and the signals that end it.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use super::OpError;
use crate::api::client::Client;
use crate::core::report::Signal;

/// What the end of the terminal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HangUp {
    /// It ends the run, like any request to end.
    Ends,
    /// The run was started so as to outlive it (`nohup`).
    Ignored,
}

/// A client, its runtime and its signals.
pub struct Online {
    pub(super) runtime: Runtime,
    pub(super) signals: Signals,
    pub(super) client: Arc<Client>,
}

impl Online {
    /// Prepares everything that asking and sending need.
    /// Fails if the machine refuses what a runtime or signals need.
    pub fn new(client: Client, hang_up: HangUp) -> Result<Self, OpError> {
        // One thread is enough: it waits for the network nearly all the time.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(OpError::Runtime)?;
        let signals = {
            let _inside = runtime.enter();
            Signals::listen(hang_up).map_err(OpError::Runtime)?
        };
        Ok(Self {
            runtime,
            signals,
            client: Arc::new(client),
        })
    }

    /// Logs in, and checks what only the identity service can confirm.
    /// Fails if the login is refused or is for another project, or a signal comes first.
    pub fn log_in(&mut self) -> Result<(), OpError> {
        let client = Arc::clone(&self.client);
        self.ask(async move { client.log_in().await })??;
        Ok(())
    }

    /// Waits for an answer to something that changes nothing.
    /// Fails if a signal comes first.
    pub fn ask<T>(&mut self, question: impl Future<Output = T>) -> Result<T, OpError> {
        let signals = &mut self.signals;
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                signal = signals.next() => Err(OpError::Interrupted { signal }),
                answer = question => Ok(answer),
            }
        })
    }

    /// Lets go without waiting for anything that is still under way, such as the
    /// look-up of a name.
    pub fn leave(self) {
        self.runtime.shutdown_background();
    }
}

/// The signals that ask a run to end.
pub(super) struct Signals {
    interrupt: SignalStream,
    terminate: SignalStream,
    hang_up: Option<SignalStream>,
}

impl Signals {
    /// Fails if the system refuses the handlers. Must be called inside a runtime.
    fn listen(hang_up: HangUp) -> io::Result<Self> {
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

    /// The next signal.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            () = Self::hung_up(&mut self.hang_up) => Signal::Terminate,
        }
    }
}
