//! The way out of a plan that is stale.

use crate::core::saved::Stale;

/// What to do about a plan that is stale.
pub(super) const fn way_out(why: &Stale) -> &'static str {
    match why {
        Stale::Finished { .. } => {
            "Nothing of this plan is left to do; if in doubt, make a new one and see what differs."
        }
        Stale::StateGone => {
            "Find the state first: fetch it, or restore it; a plan made without it would send every entry again."
        }
        Stale::OlderState { .. } => {
            "Bring the newest state back, and apply the plan again; an older one knows less than what was sent."
        }
        Stale::OtherLineage => {
            "See which state is the right one; if it is this, make a new plan, and have it approved."
        }
        Stale::OlderManifest { .. } => {
            "Check out the newest manifest; if this is it, make a new plan, and have it approved."
        }
        Stale::OtherScope => "Name the plan of this root folder.",
        Stale::OtherPlan | Stale::OtherChange(_) => {
            "Fetch the plan file that was reviewed, and see where this one came from."
        }
        Stale::Expired { .. } => {
            "If that is the time, make a new plan, and have it approved; if not, correct the clock of this machine, or of the one that made the plan."
        }
        Stale::OtherKey
        | Stale::OtherRecipients
        | Stale::StateAppeared { .. }
        | Stale::EntriesMoved { .. }
        | Stale::WantedMoved(_) => "Make a new plan, and have it approved.",
        Stale::FromTheFuture(_) => "Look at the clocks of both machines, then make a new plan.",
    }
}
