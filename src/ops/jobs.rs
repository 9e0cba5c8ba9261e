//! The jobs of the project, compared with the manifest.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::OpError;
use super::online::{HangUp, Online};
use super::root::Opened;
use crate::api::client::Client;
use crate::api::jobs::Inventory;
use crate::api::secrets::RunSecrets;
use crate::core::job::EntryKey;
use crate::core::report::{JobsReport, ManagedJob};

/// All jobs of the project, each with which of its endpoints the manifest sets.
/// Fails if the login or the list is refused, or a signal comes first.
pub fn jobs(client: Client, hang_up: HangUp, opened: &Opened) -> Result<JobsReport, OpError> {
    let client = client.guarding(RunSecrets::all(Arc::clone(&opened.manifest)));
    let inventory = inventory(client, hang_up)?;
    let assignments = opened.manifest.assignments();
    let listed: BTreeSet<&EntryKey> = assignments.iter().map(|entry| &entry.key).collect();
    let found: BTreeSet<&str> = inventory.jobs.iter().map(|job| job.id.as_str()).collect();
    let absent = listed
        .iter()
        .filter(|key| !found.contains(key.job.as_str()))
        .map(|key| (*key).clone())
        .collect();
    let mut notes = Vec::new();
    if inventory.unusable > 0 {
        let number = inventory.unusable;
        notes.push(format!(
            "rows without a usable job id were left out: {number}"
        ));
    }
    if let Some(error) = &inventory.details_failed {
        notes.push(format!("the databases of the jobs are not told: {error}"));
    }
    notes.extend(inventory.notes);
    let jobs = inventory.jobs.into_iter().map(|job| {
        let is_listed = |endpoint| {
            let job = job.id.clone();
            listed.contains(&EntryKey { job, endpoint })
        };
        ManagedJob {
            source: is_listed(crate::core::job::Endpoint::Source),
            destination: is_listed(crate::core::job::Endpoint::Destination),
            job,
        }
    });
    Ok(JobsReport {
        project_id: opened.sealed.scope.project_id.clone(),
        jobs: jobs.collect(),
        absent,
        notes,
    })
}

/// All jobs of the project.
/// Fails if the login or the list is refused, or a signal comes first.
pub fn inventory(client: Client, hang_up: HangUp) -> Result<Inventory, OpError> {
    let mut online = Online::new(client, hang_up)?;
    online.log_in()?;
    let client = Arc::clone(&online.client);
    let inventory = online.ask(async move { client.inventory().await })??;
    Ok(inventory)
}
