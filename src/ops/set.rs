//! `set` and `unset`: one value of the manifest, and nothing else of it.

use super::OpError;
use super::error::ValueError;
use super::rewrite::Rewrite;
use super::root::{Guards, Root, Unlock};
use crate::authoring::{Change, ManifestText, NoPlace, Taken, ValuePlace};
use crate::core::fingerprint::Field;
use crate::core::manifest::check_value;
use crate::core::problem::Problem;
use crate::core::report::Effect;
use crate::core::secret::Secret;

/// A value that was set, or stood there already.
pub struct Set {
    /// How the place is shown.
    pub label: String,
    /// What became of it.
    pub effect: Effect,
    /// How many endpoints use it, if it is a credential.
    pub users: Option<usize>,
    /// The revision of the manifest; absent when nothing was written.
    pub revision: Option<u64>,
    /// What somebody should look at in the manifest.
    pub warnings: Vec<Problem>,
}

/// Something that was removed.
pub struct Removed {
    /// How its place is shown.
    pub label: String,
    /// Whether DRS keeps a copy of it: not of a credential, which no endpoint uses.
    pub is_known_to_drs: bool,
    /// The revision of the manifest.
    pub revision: u64,
    /// What somebody should look at.
    pub warnings: Vec<Problem>,
}

/// Sets one value. `value` is asked for it, with the label of its place, when nothing
/// else can stop the command; `confirm` is shown what somebody should look at in it before
/// anything is written.
/// Fails if the address names not exactly one place, the value is refused or not confirmed,
/// or as [`Rewrite::open`] and [`Rewrite::save`].
pub fn set(
    root: &Root,
    unlock: &Unlock<'_>,
    guards: &Guards,
    (address, field, taken): (&str, Field, Taken),
    value: impl FnOnce(&str) -> Result<Secret, OpError>,
    confirm: impl FnOnce(&[Problem]) -> Result<(), OpError>,
) -> Result<Set, OpError> {
    let rewrite = Rewrite::open(root, unlock, guards)?;
    let document = ManifestText::new(rewrite.text(root)?).map_err(ValueError::from)?;
    let place = document
        .find(address, field, taken)
        .map_err(ValueError::from)?;
    if let ValuePlace::Endpoint { job, endpoint, .. } = &place
        && field != Field::Password
        && !document.has_endpoint(job, *endpoint)
    {
        let label = document.label(&place);
        return Err(ValueError::from(NoPlace::NoPassword { label }).into());
    }
    let label = document.label(&place);
    let users = document.users(&place);
    rewrite.try_change(root)?;
    let value = value(&label)?;
    let remarks = check_value(field, &value).map_err(ValueError::Refused)?;
    let mut warnings: Vec<Problem> = remarks
        .into_iter()
        .map(|remark| Problem::warning(format!("{label} {field}"), None, remark.what, remark.help))
        .collect();
    confirm(&warnings)?;
    let said = warnings.len();
    let change = Change { place, value };
    let effect = document.effect(&change);
    let mut revision = None;
    if effect != Effect::Same {
        let text = document.rewrite(&[change]).map_err(ValueError::from)?;
        revision = Some(rewrite.save(root, &text, &mut warnings)?);
    }
    Ok(Set {
        label,
        effect,
        users,
        revision,
        warnings: warnings.split_off(said),
    })
}

/// Removes what stands at an address: an endpoint, one of its kerberos fields, or a
/// credential that no endpoint uses.
/// Fails if there is no such thing, or as [`Rewrite::open`] and [`Rewrite::save`].
pub fn unset(
    root: &Root,
    unlock: &Unlock<'_>,
    guards: &Guards,
    (address, field): (&str, Field),
) -> Result<Removed, OpError> {
    let rewrite = Rewrite::open(root, unlock, guards)?;
    let document = ManifestText::new(rewrite.text(root)?).map_err(ValueError::from)?;
    let place = document
        .find_removable(address, field)
        .map_err(ValueError::from)?;
    let label = document.label(&place);
    let text = document.without(&place).map_err(ValueError::from)?;
    let mut warnings = Vec::new();
    let revision = rewrite.save(root, &text, &mut warnings)?;
    Ok(Removed {
        label,
        is_known_to_drs: matches!(place, ValuePlace::Endpoint { .. }),
        revision,
        warnings,
    })
}
