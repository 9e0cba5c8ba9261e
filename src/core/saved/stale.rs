//! Why a saved plan is not applied, in words.

use std::fmt;

use jiff::Timestamp;

use crate::core::fingerprint::change::ChangeId;

/// Why a saved plan is not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Its time is over.
    Expired {
        /// When it ended.
        at: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// It was made later than now, so one of two clocks is wrong, and whether it has
    /// expired cannot be known.
    FromTheFuture(Timestamp),
    /// It is for another service or project.
    OtherScope,
    /// It was made with another key.
    OtherKey,
    /// It was made of a newer manifest than the present one.
    OlderManifest {
        /// The plan's revision.
        plan: u64,
        /// The present one.
        manifest: u64,
    },
    /// Others can read the manifest now.
    OtherRecipients,
    /// There was no state, and now there is one that it did not begin.
    StateAppeared {
        /// The serial of the state.
        serial: u64,
    },
    /// The state that it was compared with is gone.
    StateGone,
    /// The state is another one.
    OtherLineage,
    /// An older copy of the state was put back.
    OlderState {
        /// The serial of the state that it was compared with.
        then: u64,
        /// The serial of the state now.
        now: u64,
    },
    /// All of it was applied already.
    Finished {
        /// The serial of the state that it was compared with.
        then: u64,
        /// The serial of the state now.
        now: u64,
    },
    /// The state of these entries moved.
    EntriesMoved {
        /// What to call them.
        addresses: Vec<String>,
        /// The serial of the state that it was compared with.
        then: u64,
        /// The serial of the state now.
        now: u64,
    },
    /// The manifest wants something else of these entries.
    WantedMoved(Vec<String>),
    /// It is another plan than the one that was named.
    OtherPlan,
    /// It is another change than the one that was named.
    OtherChange(ChangeId),
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { at, now } => write!(
                f,
                "it expired at {at:.0}, and the clock of this machine says {now:.0}"
            ),
            Self::FromTheFuture(at) => write!(
                f,
                "it was made at {at:.0}, which is still to come: look at the clocks of \
                 both machines"
            ),
            Self::OtherScope => f.write_str("it is for another service or project"),
            Self::OtherKey => f.write_str("it was made with another key than the manifest's"),
            Self::OlderManifest { plan, manifest } => write!(
                f,
                "it was made of revision {plan} of the manifest, and this is revision {manifest}"
            ),
            Self::OtherRecipients => {
                f.write_str("the recipients of the manifest changed since it was made")
            }
            Self::StateAppeared { serial } => write!(
                f,
                "it was made without a state, and now there is one, of serial {serial}"
            ),
            Self::StateGone => f.write_str("the state that it was compared with is gone"),
            Self::OtherLineage => f.write_str("the state is another one than it was compared with"),
            Self::OlderState { then, now } => write!(
                f,
                "an older state was put back (serial {then} then, {now} now)"
            ),
            Self::Finished { then, now } => write!(
                f,
                "all of it was applied already (state serial {then} then, {now} now)"
            ),
            Self::EntriesMoved {
                addresses,
                then,
                now,
            } => write!(
                f,
                "the state of {} moved since (serial {then} then, {now} now)",
                named(addresses)
            ),
            Self::WantedMoved(addresses) => write!(
                f,
                "the manifest changed since: it wants something else for {}",
                named(addresses)
            ),
            Self::OtherPlan => f.write_str("it is not the plan that was expected"),
            Self::OtherChange(found) => {
                write!(f, "it is the change {found}, not the one that was expected")
            }
        }
    }
}

/// Up to ten names, and the number of the others.
fn named(addresses: &[String]) -> String {
    const MOST: usize = 10;
    let first = addresses[..addresses.len().min(MOST)].join(", ");
    match addresses.len().saturating_sub(MOST) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
