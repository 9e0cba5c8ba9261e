//! `import`: many values of a file, all or none of them.

use std::path::Path;

use super::OpError;
use super::error::ValueError;
use super::rewrite::Rewrite;
use super::root::{Guards, Root, Unlock};
use crate::authoring::table::{self, Format, Placed};
use crate::authoring::{ManifestText, Taken, ValuePlace};
use crate::core::fingerprint::Field;
use crate::core::problem::Problem;
use crate::core::report::{ImportReport, ImportRow};
use crate::core::yaml;

/// What an import is allowed to do.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How the file is written; by its name or its beginning if it is not said.
    pub format: Option<Format>,
    /// Whether jobs and credentials may be listed that were not.
    pub taken: Taken,
    /// Whether anything is written.
    pub writes: bool,
}

/// A finished import.
pub struct Imported {
    /// What it does, or did.
    pub report: ImportReport,
    /// What somebody should look at in the file.
    pub file_warnings: Vec<Problem>,
    /// What somebody should look at in the manifest.
    pub warnings: Vec<Problem>,
}

/// Compares the values of a file with the manifest, and writes them if it shall.
/// Fails with everything that is wrong with the file, or as [`Rewrite::open`] and
/// [`Rewrite::save`].
pub fn import(
    root: &Root,
    unlock: &Unlock<'_>,
    guards: &Guards,
    (name, bytes): (&Path, &[u8]),
    terms: Terms,
) -> Result<Imported, OpError> {
    let refused = |problems| OpError::document(name, problems);
    let text = yaml::decode(bytes).map_err(|problem| refused(vec![problem]))?;
    let format = terms.format.unwrap_or_else(|| Format::of(name, text));
    let rows = table::rows(text, format).map_err(refused)?;
    let rewrite = Rewrite::open(root, unlock, guards)?;
    let document = ManifestText::new(rewrite.text(root)?).map_err(ValueError::from)?;
    let resolved = table::resolve(&document, rows, terms.taken).map_err(refused)?;
    let mut report = ImportReport {
        rows: resolved
            .placed
            .iter()
            .map(|placed| row(&document, placed))
            .collect(),
        revision: None,
    };
    let file_warnings = resolved.warnings;
    let mut warnings = file_warnings.clone();
    if terms.writes && report.changes() > 0 {
        let changes: Vec<_> = resolved
            .placed
            .into_iter()
            .map(|placed| placed.change)
            .collect();
        let text = document.rewrite(&changes).map_err(ValueError::from)?;
        report.revision = Some(rewrite.save(root, &text, &mut warnings)?);
    }
    Ok(Imported {
        report,
        warnings: warnings.split_off(file_warnings.len()),
        file_warnings,
    })
}

fn row(document: &ManifestText<'_>, placed: &Placed) -> ImportRow {
    let place = &placed.change.place;
    let field = match place {
        ValuePlace::Credential(_) => Field::Password,
        ValuePlace::Endpoint { field, .. } => *field,
    };
    ImportRow {
        label: document.label(place),
        field,
        effect: placed.effect,
        users: document.users(place),
    }
}
