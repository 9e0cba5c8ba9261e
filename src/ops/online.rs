//! A client with what drives it: one runtime for everything that a run asks and
//! sends, and the signals that end it.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use super::OpError;
use crate::api::client::Client;
use crate::api::http::CLOCK_OFF;
pub use crate::sys::signals::HangUp;
pub(super) use crate::sys::signals::Signals;

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

    /// What a person should know of the run so far.
    pub fn notes(&self) -> Vec<String> {
        self.client.notes()
    }

    /// Adds what a person should know of the run so far to what is `said` already: that
    /// the clocks differ may stand beside an error.
    pub fn add_notes(&self, said: &mut Vec<String>) {
        let has_clock = said.iter().any(|said| said.contains(CLOCK_OFF));
        let mut notes = self.notes();
        notes.retain(|note| !(has_clock && note.starts_with(CLOCK_OFF)));
        said.append(&mut notes);
    }

    /// Lets go without waiting for anything that is still under way, such as the
    /// look-up of a name.
    pub fn leave(self) {
        self.runtime.shutdown_background();
    }
}
