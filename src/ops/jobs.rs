//! Queries of the service: the jobs of the project compared with the manifest, and the
//! endpoint in the catalogue.

use std::collections::BTreeSet;

use super::OpError;
use super::online::{HangUp, Online};
use super::root::Opened;
use crate::api::client::Client;
use crate::api::jobs::Inventory;
use crate::core::job::{EntryKey, JobId};
use crate::core::redact::ForeignText;
use crate::core::report::JobsReport;

/// Lists all jobs of the project, and which of their endpoints the manifest has.
pub fn jobs(client: Client, hang_up: HangUp, opened: &Opened) -> Result<JobsReport, OpError> {
    let inventory = inventory(client.guarding(&opened.manifest), hang_up)?;
    let assignments = opened.manifest.assignments().iter();
    let managed: BTreeSet<EntryKey> = assignments.map(|entry| entry.key.clone()).collect();
    let found: BTreeSet<&JobId> = inventory.jobs.iter().map(|job| &job.id).collect();
    let absent = managed.iter().filter(|key| !found.contains(&key.job));
    let mut notes = Vec::new();
    if inventory.unusable > 0 {
        let number = inventory.unusable;
        notes.push(format!("skipped rows without a usable job id: {number}"));
    }
    if let Some(error) = &inventory.details_failed {
        notes.push(format!("cannot read the databases of the jobs: {error}"));
    }
    notes.extend(inventory.notes);
    Ok(JobsReport {
        project_id: opened.sealed.scope.project_id.clone(),
        absent: absent.cloned().collect(),
        jobs: inventory.jobs,
        managed,
        notes,
    })
}

pub fn inventory(client: Client, hang_up: HangUp) -> Result<Inventory, OpError> {
    let mut online = Online::new(client, hang_up)?;
    online.log_in()?;
    Ok(online.ask(|client| async move { client.inventory().await })??)
}

/// Returns the endpoint that the identity service's catalogue has for a region.
pub fn catalogued(online: &mut Online, region: Option<&str>) -> Result<String, OpError> {
    let found = online.ask(|client| async move { client.catalogued(region).await })??;
    let Some((first, others)) = found.split_first() else {
        return Err(OpError::unfit(
            "the identity service's catalogue has no DRS endpoint for this region",
            "Nothing was written. Give the address of the service with --endpoint.",
        ));
    };
    if others.iter().all(|other| other.url == first.url) {
        return Ok(first.url.clone());
    }
    let shown =
        |text: &str| ForeignText::clean(text).map_or_else(String::new, |text| text.to_string());
    let listed: Vec<String> = found
        .iter()
        .map(|found| {
            let region = found
                .region
                .as_deref()
                .map_or_else(|| "any".to_owned(), shown);
            format!("region {region} at {}", shown(&found.url))
        })
        .collect();
    Err(OpError::unfit(
        format!(
            "the identity service's catalogue has several DRS endpoints: {}",
            listed.join(", ")
        ),
        "Nothing was written. Give the region with --region or OS_REGION_NAME, or the address with --endpoint.",
    ))
}
