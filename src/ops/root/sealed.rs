//! What was sealed with a manifest, compared with drspass.yaml and with the state.

use super::{Guards, Root};
use crate::core::manifest::Sealed;
use crate::core::recipients::Difference;
use crate::core::report::TargetChange;
use crate::core::target::Target;
use crate::ops::OpError;
use crate::ops::error::OtherKey;
use crate::store::{StoreKeys, StoredState};

impl Root {
    /// Whether a state that is here was made with the manifest's key. Anybody can make a
    /// manifest, and name in it to whom the next one is encrypted; but not one that
    /// carries the key of a state that was there before.
    /// Returns the highest revision that the state knows to have been applied: a number
    /// that was used must not be used again. A state that is not proved counts for nothing,
    /// or whoever forges one could use up all numbers.
    /// Fails if the state was made with another key, unless this one is expected.
    pub(in crate::ops) fn check_key_beside(
        &self,
        sealed: &Sealed,
        guards: &Guards,
    ) -> Result<u64, OpError> {
        let manifest = sealed.fingerprint_key.id();
        let keys = StoreKeys::from(&sealed.fingerprint_key);
        let mut known = match self.store.read_alone(&keys) {
            Ok(snapshot) => snapshot.known,
            Err(_) => return Ok(0),
        };
        let is_expected = guards.expect_key_id.as_ref() == Some(&manifest);
        if !is_expected && matches!(known, StoredState::OtherKey { .. }) {
            // Where a rekey was cut off, the state of this key is in the file beside.
            known = self.store.read(&keys)?.known;
        }
        match known {
            StoredState::Ours(state) => Ok(state.highest),
            StoredState::OtherKey { claimed } if !is_expected => {
                Err(OpError::OtherKeyBeside(OtherKey {
                    state: claimed.key_id,
                    manifest,
                }))
            }
            StoredState::Absent | StoredState::OtherKey { .. } => Ok(0),
        }
    }

    /// Whether drspass.yaml lists exactly the recipients that were sealed.
    /// Fails with the difference, keys shortened.
    pub fn check_recipients(&self, sealed: &Sealed) -> Result<(), OpError> {
        let difference = Difference::between(&sealed.recipients, &self.config.recipients);
        if difference.is_none() {
            Ok(())
        } else {
            Err(OpError::RecipientsChanged {
                difference: difference.in_line(),
            })
        }
    }
}

/// Whether the target that was resolved is the one that was sealed.
/// Fails with the first part that differs.
pub fn check_target(target: &Target, sealed: &Sealed) -> Result<(), OpError> {
    match moved_parts(target, sealed).into_iter().next() {
        None => Ok(()),
        Some(moved) => Err(OpError::TargetMoved(moved)),
    }
}

/// The parts of the target that are not as they were sealed.
pub(in crate::ops) fn moved_parts(target: &Target, sealed: &Sealed) -> Vec<TargetChange> {
    let parts = [
        (
            "target.endpoint",
            &target.scope.endpoint,
            &sealed.scope.endpoint,
        ),
        (
            "target.project_id",
            &target.scope.project_id,
            &sealed.scope.project_id,
        ),
        ("target.auth_url", &target.auth_url, &sealed.auth_url),
    ];
    parts
        .into_iter()
        .filter(|(_, configured, sealed)| configured != sealed)
        .map(|(field, configured, sealed)| TargetChange {
            field,
            from: sealed.clone(),
            to: configured.clone(),
        })
        .collect()
}
