//! For which service and project something was made.

use serde::{Deserialize, Serialize};

/// The service and project that a manifest and a state belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Address of the DRS service, without a trailing slash.
    #[serde(deserialize_with = "printable")]
    pub endpoint: String,
    /// The project's id.
    #[serde(deserialize_with = "printable")]
    pub project_id: String,
}

impl Scope {
    /// The host of the service, with its port where that is not the usual one.
    pub fn host(&self) -> &str {
        let endpoint = self.endpoint.as_str();
        endpoint
            .split_once("://")
            .map_or(endpoint, |(_, host)| host)
    }
}

/// Reads a text that may be shown before anybody proved who wrote it: visible
/// ASCII, of a length that fits a line or two.
pub(in crate::core) fn printable<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(serde::de::Error::custom("not a printable name"))
    }
}
