//! The ledger commands: what the state says, and who works on it.

use super::OpError;
use super::root::Root;
use crate::core::state::State;
use crate::store::LockStatus;

/// What the state file claims. It was read without a key, so nothing is proved.
pub struct Claimed {
    /// The state; nothing before the first apply.
    pub state: Option<State>,
    /// Whether a cut-off apply left answers that are not counted in.
    pub has_journal: bool,
}

/// Reads the state without a key.
/// Fails if it is unreadable or damaged.
pub fn list(root: &Root) -> Result<Claimed, OpError> {
    Ok(Claimed {
        state: root.store.read_unverified()?,
        has_journal: root.store.has_journal(),
    })
}

/// Who holds the lock.
/// Fails if the lock file cannot be opened or asked.
pub fn lock(root: &Root) -> Result<LockStatus, OpError> {
    Ok(root.store.lock_status()?)
}
