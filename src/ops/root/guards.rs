//! What the user accepts, whatever the files say.

use crate::core::fingerprint::KeyId;
use crate::ops::OpError;
use crate::ops::error::UnexpectedKey;

/// What the user, not a file, says about what is acceptable.
#[derive(Clone)]
pub struct Guards {
    /// Hosts that may be talked to beside those of the known clouds.
    pub trusted_hosts: Vec<String>,
    /// The only key that is taken, if one is named.
    pub expect_key_id: Option<KeyId>,
    /// Whether a manifest may be taken whose revision is not above all that were applied.
    pub allow_rollback: bool,
    /// The key of a state that may be replaced, if the manifest carries another one.
    pub accept_new_key: Option<KeyId>,
    /// The most changes that the environment allows, whatever drspass.yaml says.
    pub max_changes: Option<u64>,
    /// The exact number of changes that is accepted beyond the limits.
    pub override_limits: Option<u64>,
}

impl Guards {
    /// Whether this key is the expected one, if one is expected.
    /// Fails if it is another.
    pub fn check_key(&self, found: &KeyId) -> Result<(), OpError> {
        match &self.expect_key_id {
            Some(expected) if expected != found => Err(OpError::from(UnexpectedKey {
                found: found.clone(),
                expected: expected.clone(),
            })),
            _ => Ok(()),
        }
    }
}
