//! What a file of many values does to a manifest.

use crate::core::fingerprint::Field;

/// What a new value does to what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Its place did not exist.
    Added,
    /// Another value stood there.
    Changed,
    /// The same value stands there.
    Same,
}

/// Everything that an import does. It holds no secret.
#[derive(Debug)]
pub struct Import {
    /// In the order of the file.
    pub rows: Vec<ImportRow>,
    /// The revision of the manifest, if it was written.
    pub revision: Option<u64>,
}

/// One value of the file.
#[derive(Debug)]
pub struct ImportRow {
    /// How its place is shown.
    pub label: String,
    /// The field.
    pub field: Field,
    /// What it does there.
    pub effect: Effect,
    /// How many endpoints use it, if it is a credential.
    pub users: Option<usize>,
}

impl Import {
    /// How many values have this effect.
    pub fn count(&self, effect: Effect) -> usize {
        self.rows.iter().filter(|row| row.effect == effect).count()
    }

    /// How many values change the manifest.
    pub fn changes(&self) -> usize {
        self.rows.len() - self.count(Effect::Same)
    }
}
