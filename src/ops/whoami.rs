//! Who calls: which login is used, and what the identity service says about it.

use std::sync::Arc;

use super::OpError;
use super::online::Online;
use super::root::Opened;
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
/// Fails if the login is refused, or if it names none.
pub fn catalogued(mut online: Online, region: Option<&str>) -> Result<String, OpError> {
    let client = Arc::clone(&online.client);
    let found = online.ask(client.catalogued(region))??;
    found.ok_or_else(|| OpError::Unfit {
        what: "the catalogue of the identity service names no endpoint of DRS for this region"
            .to_owned(),
        help: "Nothing was written. Give the address of the service with --endpoint.",
    })
}
