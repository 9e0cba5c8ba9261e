//! What a rekey is about to do, and what it did.

use crate::core::fingerprint::KeyId;
use crate::core::recipients::Difference;

/// A part of the target that is sealed anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Which part, as drspass.yaml names it.
    pub field: &'static str,
    /// What was sealed.
    pub from: String,
    /// What drspass.yaml says.
    pub to: String,
}

/// Why the fingerprint key is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKeyReason {
    /// Somebody who has it is removed.
    Removed,
    /// The manifest goes over to another service or project, where nothing that was
    /// made for the former one shall fit.
    OtherScope,
    /// The user asked for it.
    Asked,
}

/// What a new key means for the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateFate {
    /// The key stays, and so does the state.
    Untouched,
    /// There is none at this place.
    Absent {
        /// The place.
        path: String,
    },
    /// It is rewritten with the new key.
    CarriedOver {
        /// How many entries it has.
        entries: usize,
    },
    /// It is of the former service or project, so a new one begins.
    LeftBehind {
        /// How many entries it has.
        entries: usize,
    },
}

/// What a rekey is about to do.
#[derive(Debug)]
pub struct RekeyPlan {
    /// The manifest, as configured.
    pub manifest: String,
    /// How many recipients it will have.
    pub recipients: usize,
    /// Who is added and removed.
    pub change: Difference,
    /// What is sealed anew of the target.
    pub moved: Vec<Moved>,
    /// Why there is a new fingerprint key, if there is one.
    pub new_key: Option<NewKeyReason>,
    /// What that means for the state.
    pub state: StateFate,
    /// Whether none of the identities at hand will open the manifest.
    pub is_lockout: bool,
    /// Whether an earlier one that was cut off has just been finished.
    pub finished: bool,
}

/// What a rekey did.
#[derive(Debug)]
pub struct Rekeyed {
    /// What was to be done.
    pub plan: RekeyPlan,
    /// The revision that the manifest has now.
    pub revision: u64,
    /// The new key, if there is one.
    pub key_id: Option<KeyId>,
    /// Where the former state is kept, if there was one and the key is new.
    pub former_state: Option<String>,
}
