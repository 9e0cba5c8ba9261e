//! How much one apply may change.

use super::Plan;
use crate::core::config::Limits;

/// A plan that changes more than the limits allow (design section 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// How many entries would be sent, or all where no state is known.
    pub changes: u64,
    /// The limits that it breaks, in words.
    pub limits: String,
}

/// Whether a plan stays within `limits`. Where no state is known, everything
/// counts as changed: a state that got lost must not open the gate.
/// Fails with what is exceeded.
pub fn check_limits(
    plan: &Plan,
    limits: &Limits,
    entries: usize,
    knows_state: bool,
) -> Result<(), Exceeded> {
    let changes = if knows_state {
        plan.sent().count()
    } else {
        entries
    };
    let (changes, entries) = (changes as u64, entries as u64);
    let mut broken = Vec::new();
    if let Some(most) = limits.max_changes.filter(|most| changes > *most) {
        broken.push(format!("max_changes is {most}"));
    }
    if let Some(most) = limits
        .max_changed_share
        .filter(|most| !most.covers(changes, entries))
    {
        broken.push(format!(
            "max_changed_share is {}% of {entries} entries",
            most.get()
        ));
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(Exceeded {
            changes,
            limits: broken.join(", "),
        })
    }
}
