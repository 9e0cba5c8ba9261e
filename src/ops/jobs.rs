//! What only asks the service: the jobs of the project, compared with the manifest, and who
//! calls.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::OpError;
use super::online::{HangUp, Online};
use super::root::Opened;
use crate::api::client::Client;
use crate::api::jobs::Inventory;
use crate::core::job::{Endpoint, EntryKey};
use crate::core::redact::ForeignText;
use crate::core::report::{JobsReport, LoginReport, ManagedJob};

/// All jobs of the project, each with which of its endpoints the manifest sets.
pub fn jobs(client: Client, hang_up: HangUp, opened: &Opened) -> Result<JobsReport, OpError> {
    let client = client.guarding(&opened.manifest);
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
            source: is_listed(Endpoint::Source),
            destination: is_listed(Endpoint::Destination),
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

pub fn inventory(client: Client, hang_up: HangUp) -> Result<Inventory, OpError> {
    let mut online = Online::new(client, hang_up)?;
    online.log_in()?;
    let client = Arc::clone(&online.client);
    let inventory = online.ask(async move { client.inventory().await })??;
    Ok(inventory)
}

/// What is to be told about a login. No secret is in it.
pub fn whoami(
    online: &mut Online,
    opened: &Opened,
    source: String,
    region: Option<String>,
) -> Result<LoginReport, OpError> {
    online.log_in()?;
    let client = Arc::clone(&online.client);
    let caller = online.ask(client.caller())??;
    Ok(LoginReport {
        source,
        caller,
        scope: opened.sealed.scope.clone(),
        auth_url: opened.sealed.auth_url.clone(),
        region,
    })
}

/// The endpoint that the catalogue of the identity service names for a region.
pub fn catalogued(online: &mut Online, region: Option<&str>) -> Result<String, OpError> {
    let client = Arc::clone(&online.client);
    let found = online.ask(client.catalogued(region))??;
    let Some((first, others)) = found.split_first() else {
        return Err(OpError::unfit(
            "the catalogue of the identity service names no endpoint of DRS for this region",
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
            "the catalogue of the identity service names several endpoints of DRS: {}",
            listed.join(", ")
        ),
        "Nothing was written. Name the region with --region or OS_REGION_NAME, or the address with --endpoint.",
    ))
}
