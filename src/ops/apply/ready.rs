//! Between the approval and the first mark: the login, and the jobs that cannot be
//! told a password now. Nothing is written here, and nothing is sent but questions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ApplyOptions;
use crate::api::client::Client;
use crate::api::secrets::RunSecrets;
use crate::core::job::JobId;
use crate::core::plan::{Action, Plan};
use crate::core::status::Blocked;
use crate::ops::OpError;
use crate::ops::online::Online;
use crate::ops::preflight::Preflight;
use crate::ops::root::Opened;

/// The client, on the look-out for everything that the manifest holds: the service may
/// repeat what this run sends, and what earlier ones sent.
pub(super) fn guarded(client: Client, opened: &Opened) -> Client {
    client.guarding(RunSecrets::all(Arc::clone(&opened.manifest)))
}

/// What is known when everything but sending is done.
#[derive(Default)]
pub(super) struct Preflighted {
    /// Jobs that cannot be told a password now.
    pub(super) blocked: BTreeMap<JobId, Blocked>,
    pub(super) warnings: Vec<String>,
    /// Whether nothing is sent since something is blocked.
    pub(super) held_back: bool,
}

/// Logs in and asks for the states of the jobs, before anything is marked.
/// Fails if the login is refused or a signal comes: nothing was sent then.
pub(super) fn prepare(
    online: &mut Online,
    plan: &Plan,
    options: &ApplyOptions,
) -> Result<Preflighted, OpError> {
    online.log_in()?;
    let Some(unknown) = options.preflight else {
        return Ok(Preflighted::default());
    };
    let preflight = Preflight::ask(online, plan.sent().map(|entry| &entry.key), unknown)?;
    let is_held = plan
        .entries
        .iter()
        .any(|entry| entry.action == Action::Hold);
    let mut warnings = preflight.warnings;
    if preflight.failed > 0 && options.retry_jobs.is_none() {
        warnings.push(format!(
            "jobs that have failed: {}; 'apply --retry-jobs' retries them once their passwords \
             are right",
            preflight.failed
        ));
    }
    Ok(Preflighted {
        held_back: options.stop_if_blocked && (is_held || !preflight.blocked.is_empty()),
        blocked: preflight.blocked,
        warnings,
    })
}
