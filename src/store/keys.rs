//! The keys of a state: those of its manifest, and those that a rekey replaced.

use std::sync::Arc;

use super::StoreError;
use crate::core::failure::{ErrorClass, Failure};
use crate::core::fingerprint::{FingerprintKey, KeyId};
use crate::core::mac::{MacKey, sha256};
use crate::core::manifest::{Former, Manifest, Sealed};
use crate::core::place::Floor;
use crate::core::rekey::carried_over;
use crate::core::state::State;

#[derive(Clone)]
pub struct StoreKeys {
    /// No older state on a branch counts.
    pub(super) floor: Option<Floor>,
    pub id: KeyId,
    pub state: MacKey,
    pub journal: MacKey,
    pub(super) former: Option<Box<FormerKeys>>,
}

/// The keys that a rekey replaced, and the state that it found.
#[derive(Clone)]
pub struct FormerKeys {
    pub keys: StoreKeys,
    former: Former,
    /// For whom a state of that key is carried over.
    manifest: Arc<Manifest>,
    sealed: Sealed,
    is_expected: bool,
}

impl From<&FingerprintKey> for StoreKeys {
    fn from(key: &FingerprintKey) -> Self {
        Self {
            floor: None,
            id: key.id(),
            state: key.state_mac(),
            journal: key.journal_mac(),
            former: None,
        }
    }
}

impl StoreKeys {
    /// Returns the keys of a manifest, which also take the state of the key that the last rekey
    /// replaced, as long as that state is the one that the rekey found.
    pub fn of(manifest: &Arc<Manifest>, sealed: &Sealed, expected: &[KeyId]) -> Self {
        let former = sealed.former.as_ref().map(|former| {
            let keys = Self::from(&former.fingerprint_key);
            Box::new(FormerKeys {
                is_expected: expected.is_empty() || expected.contains(&keys.id),
                keys,
                former: former.clone(),
                manifest: Arc::clone(manifest),
                sealed: sealed.clone(),
            })
        });
        Self {
            former,
            floor: sealed.state.floor().cloned(),
            ..Self::from(&sealed.fingerprint_key)
        }
    }

    /// Returns the same keys with another floor, or none.
    #[must_use]
    pub fn above(self, floor: Option<Floor>) -> Self {
        Self { floor, ..self }
    }
}

impl FormerKeys {
    /// Refuses a state that is not the one that the rekey found.
    pub fn check(&self, bytes: &[u8], state: &State) -> Result<(), StoreError> {
        if !self.is_expected {
            return Err(Failure::new(
                "drspass::sealed::key_id",
                format!("the state still has the former key {}, which is not expected", state.key_id),
                "Nothing was sent or changed. Until an apply has written the state with the new key, expect both: '--expect-key-id NEW,FORMER'.",
            )
            .class(ErrorClass::Sealed)
            .into());
        }
        if sha256(bytes) == self.former.state_sha256 {
            return Ok(());
        }
        Err(StoreError::Moved {
            then: self.former.serial,
            now: state.serial,
        })
    }

    pub fn carry_over(&self, state: State) -> State {
        let key = &self.former.fingerprint_key;
        carried_over(state, key, &self.manifest, &self.sealed)
    }
}
