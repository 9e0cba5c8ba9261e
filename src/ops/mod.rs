//! One module for each thing that drspass does: adapters in order, the domain
//! in between. Use cases print nothing and parse no arguments; what there is to
//! say comes back as a report or through an event callback.

pub mod apply;
pub mod compare;
pub mod encrypt;
pub mod error;
pub mod git;
pub mod inspect;
pub mod jobs;
pub mod ledger;
pub mod online;
pub mod plan;
pub mod rekey;
pub mod rewrite;
pub mod root;

use jiff::Timestamp;

use crate::core::fingerprint::Salt;
use crate::store::LockInfo;
use crate::sys::signals::HangUp;

pub use error::OpError;

/// What a run takes from outside.
pub struct Runtime {
    /// The time, in UTC.
    pub now: fn() -> Timestamp,
    pub salt: fn() -> Salt,
    /// A text that nothing else has.
    pub unique: fn() -> String,
    /// Random bytes for a key.
    pub random: fn() -> [u8; 32],
    /// Who takes the lock, for a command.
    pub lock_info: fn(&str) -> LockInfo,
    /// What the end of the terminal means.
    pub hang_up: HangUp,
}
