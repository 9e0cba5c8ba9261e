//! The values of a manifest as a list, in which every entry and every part of one is a range.

use std::collections::HashMap;

use crate::core::fingerprint::{Field, Tagger};
use crate::core::manifest::Manifest;
use crate::core::secret::Secret;

/// The sections of a manifest that are merged by entry.
pub const SECTIONS: [&str; 2] = ["credentials", "jobs"];

/// A value and the keys that lead to it. A job that has nothing has an empty one.
#[derive(Clone)]
pub struct Leaf<'m> {
    pub keys: Vec<&'m str>,
    pub value: &'m str,
    secret: Option<(Field, &'m Secret)>,
}

/// All values belong to the caller, so the time that a comparison takes reveals nothing.
impl PartialEq for Leaf<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys && self.value == other.value
    }
}

impl<'m> Leaf<'m> {
    pub fn plain(keys: &[&'m str], value: &'m str) -> Self {
        Self {
            keys: keys.to_vec(),
            value,
            secret: None,
        }
    }

    fn secret(keys: &[&'m str], field: Field, secret: &'m Secret) -> Self {
        Self {
            secret: Some((field, secret)),
            ..Self::plain(keys, secret.expose())
        }
    }

    /// Returns the number of the section that it is in.
    pub fn section(&self) -> usize {
        usize::from(self.keys[0] == SECTIONS[1])
    }

    pub fn tag(&self, tagger: &Tagger) -> Option<String> {
        let (field, secret) = self.secret?;
        let place = match self.keys[..] {
            [_, id, endpoint, _, ..] => format!("{id}/{endpoint}"),
            _ => format!("@{}", self.keys[1]),
        };
        Some(tagger.of(&place, field, secret))
    }
}

/// The values of each entry.
#[derive(Default)]
pub struct Content<'m> {
    /// Each with the number of its section, in the order of the document.
    pub names: Vec<(usize, &'m str)>,
    entries: [HashMap<&'m str, Vec<Leaf<'m>>>; 2],
}

impl<'m> Content<'m> {
    pub fn of(manifest: &'m Manifest) -> Self {
        let mut content = Self::default();
        for credential in manifest.credentials() {
            let keys = [SECTIONS[0], &*credential.name, "password"];
            let leaf = Leaf::secret(&keys, Field::Password, &credential.password);
            content.extend((0, keys[1]), vec![leaf]);
        }
        // Entries come in the order of the jobs, so one pass goes through both.
        let mut entries = manifest.assignments().iter().peekable();
        for job in manifest.jobs() {
            let id = [SECTIONS[1], job.id.as_str()];
            let mut leaves = Vec::new();
            if let Some(name) = &job.name {
                leaves.push(Leaf::plain(&[id[0], id[1], "name"], name));
            }
            while let Some(entry) = entries.next_if(|entry| entry.key.job == job.id) {
                for (field, value) in entry.values() {
                    let mut keys = vec![id[0], id[1], entry.key.endpoint.as_str()];
                    leaves.push(match &entry.credential {
                        Some(name) if field == Field::Password => {
                            keys.push("credential");
                            Leaf::plain(&keys, name)
                        }
                        _ => {
                            keys.extend(field.as_str().split('.'));
                            Leaf::secret(&keys, field, value)
                        }
                    });
                }
            }
            if leaves.is_empty() {
                leaves.push(Leaf::plain(&id, ""));
            }
            content.extend((1, id[1]), leaves);
        }
        content
    }

    pub fn extend(&mut self, entry: (usize, &'m str), leaves: Vec<Leaf<'m>>) {
        if !leaves.is_empty() {
            self.names.push(entry);
            self.entries[entry.0].insert(entry.1, leaves);
        }
    }

    /// Returns nothing of an entry that is not there.
    pub fn get(&self, (section, name): (usize, &str)) -> &[Leaf<'m>] {
        self.entries[section].get(name).map_or(&[], Vec::as_slice)
    }

    pub fn leaves(&self) -> impl Iterator<Item = &Leaf<'m>> {
        self.names.iter().flat_map(|entry| self.get(*entry))
    }
}
