//! Who calls: which login is used, and what the identity service says about it.

use std::sync::Arc;

use super::OpError;
use super::online::Online;
use super::root::Opened;
use crate::core::redact::ForeignText;
use crate::core::report::LoginReport;

/// What is to be told about a login. No secret is in it.
/// Fails if the login is refused, or is for another project than the sealed one.
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
/// Fails if the login is refused, or if it names none, or several.
pub fn catalogued(online: &mut Online, region: Option<&str>) -> Result<String, OpError> {
    let client = Arc::clone(&online.client);
    let found = online.ask(client.catalogued(region))??;
    let Some((first, others)) = found.split_first() else {
        return Err(OpError::Unfit {
            what: "the catalogue of the identity service names no endpoint of DRS for this region"
                .to_owned(),
            help: "Nothing was written. Give the address of the service with --endpoint.",
        });
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
    Err(OpError::Unfit {
        what: format!(
            "the catalogue of the identity service names several endpoints of DRS: {}",
            listed.join(", ")
        ),
        help: "Nothing was written. Name the region with --region or OS_REGION_NAME, or the address with --endpoint.",
    })
}
