//! Use cases, one module each: adapters in order, the domain in between. They print nothing
//! and parse no arguments; results are reports and events.

pub mod apply;
pub mod compare;
pub mod error;
pub mod former;
pub mod git;
pub mod inspect;
pub mod ledger;
pub mod merge;
pub mod online;
pub mod plan;
pub mod rekey;
pub mod relocate;
pub mod rewrite;
pub mod root;

use jiff::Timestamp;

use crate::core::fingerprint::Salt;
use crate::store::LockInfo;
use crate::sys::signals::HangUp;

pub use error::OpError;

/// What a run takes from outside.
pub struct Runtime {
    /// Returns the time in UTC.
    pub now: fn() -> Timestamp,
    pub salt: fn() -> Salt,
    /// Returns a unique text.
    pub unique: fn() -> String,
    /// Returns random bytes for a key.
    pub random: fn() -> [u8; 32],
    /// Returns who takes the lock, for a command.
    pub lock_info: fn(&str) -> LockInfo,
    /// What the end of the terminal means.
    pub hang_up: HangUp,
}
