//! Changes the text of a manifest and nothing else of it: comments, order, quotes and line ends of
//! everything unchanged stay byte for byte.

mod blocks;
mod find;
mod layout;
mod merge;
pub mod table;
#[cfg(test)]
mod tests;
pub mod value;

use std::collections::HashMap;
use std::fmt;
use std::vec::IntoIter;

use zeroize::Zeroizing;

pub use blocks::merged;
pub use find::{Taken, no_password};

use crate::core::fingerprint::Field;
use crate::core::job::{Endpoint, JobId};
use crate::core::secret::Secret;
use crate::core::yaml::{Node, Pair, Tree, split_mark};

/// The wanted content of a part of the document.
#[derive(Clone)]
enum NewContent<'v> {
    Text(&'v str),
    Map(Vec<(&'v str, Self)>),
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValuePlace {
    Credential(Box<str>),
    Endpoint {
        job: JobId,
        endpoint: Endpoint,
        field: Field,
    },
}

impl ValuePlace {
    pub const fn field(&self) -> Field {
        match self {
            Self::Credential(_) => Field::Password,
            Self::Endpoint { field, .. } => *field,
        }
    }

    /// Returns the keys that lead to it.
    fn keys(&self) -> Vec<&str> {
        match self {
            Self::Credential(name) => vec!["credentials", name, "password"],
            Self::Endpoint {
                job,
                endpoint,
                field,
            } => {
                let mut keys = vec!["jobs", job.as_str(), endpoint.as_str()];
                keys.extend(field.as_str().split('.'));
                keys
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Added,
    Changed,
    Same,
}

#[derive(Debug)]
pub struct Change {
    pub place: ValuePlace,
    pub value: Secret,
}

/// The layout cannot take the change, or the change did more than asked. The text is unchanged.
#[derive(Debug, PartialEq, Eq)]
pub struct NotRewritten;

/// The text of a manifest and the place of everything in it. Jobs and credentials are numbers of
/// the tree.
pub struct ManifestText<'t> {
    mark: &'t str,
    tree: Tree<'t>,
    ids: HashMap<Box<str>, usize>,
    names: HashMap<Box<str>, usize>,
    credentials: HashMap<Box<str>, usize>,
    /// How many endpoints use each credential that is used.
    users: HashMap<Box<str>, usize>,
}

impl<'t> ManifestText<'t> {
    /// Parses the text of a valid manifest, with its byte order mark if it has one.
    pub fn new(text: &'t str) -> Result<Self, NotRewritten> {
        let (mark, text) = split_mark(text);
        let tree = Tree::new(text);
        let root = clean_root(&tree)?;
        let mut ids = HashMap::new();
        let mut names = HashMap::new();
        let mut users = HashMap::new();
        for job in entries(root, "jobs") {
            ids.insert(key_of(job), job.number());
            if let Some(name) = text_of(job.value, "name") {
                names.insert(name.into(), job.number());
            }
            for endpoint in Endpoint::ALL {
                let endpoint = job.value.get(endpoint.as_str());
                if let Some(name) = endpoint.and_then(|part| text_of(part.value, "credential")) {
                    *users.entry(Box::from(name)).or_default() += 1;
                }
            }
        }
        let credentials = entries(root, "credentials").map(|entry| (key_of(entry), entry.number()));
        let credentials = credentials.collect();
        Ok(Self {
            mark,
            ids,
            names,
            credentials,
            users,
            tree,
        })
    }

    pub fn effect(&self, change: &Change) -> Effect {
        match self.value(&change.place) {
            None => Effect::Added,
            // Both belong to the caller, so the time it takes reveals nothing.
            Some(value) if value == change.value.expose() => Effect::Same,
            Some(_) => Effect::Changed,
        }
    }

    /// Returns how a place is shown: `orders-cdc/source` or `@orders-db`. It contains only ids and
    /// names.
    pub fn label(&self, place: &ValuePlace) -> String {
        match place {
            ValuePlace::Credential(name) => format!("@{name}"),
            ValuePlace::Endpoint { job, endpoint, .. } => {
                let fields = self.node(&["jobs", job.as_str()]);
                let name = fields.and_then(|fields| text_of(fields, "name"));
                format!("{}/{endpoint}", name.unwrap_or(job.as_str()))
            }
        }
    }

    /// Returns how many endpoints use a credential; `None` for another place.
    pub fn users(&self, place: &ValuePlace) -> Option<usize> {
        match place {
            ValuePlace::Credential(name) => Some(self.users.get(name).copied().unwrap_or_default()),
            ValuePlace::Endpoint { .. } => None,
        }
    }

    /// Returns the text with these changes, each place at most once.
    pub fn rewrite(&self, changes: &[Change]) -> Result<Zeroizing<String>, NotRewritten> {
        let changes = changes.iter().map(|change| {
            let keys = change.place.keys().into_iter();
            (keys, NewContent::Text(change.value.expose()))
        });
        self.made_so(&tree(changes.collect()))
    }

    /// Returns the text without a credential, a kerberos field, or for a password the endpoint,
    /// which cannot be without one.
    pub fn without(&self, place: &ValuePlace) -> Result<Zeroizing<String>, NotRewritten> {
        let mut keys = place.keys();
        let last = keys.pop();
        // A part with nothing else in it goes as a whole.
        let part = self
            .node(&keys)
            .filter(|_| place.field() != Field::Password);
        if part.is_some_and(|part| part.pairs().count() > 1) {
            keys.extend(last);
        }
        let (first, below) = keys.split_first().ok_or(NotRewritten)?;
        let below = below.iter().rev();
        let wanted = below.fold(NewContent::Gone, |inner, &key| {
            NewContent::Map(vec![(key, inner)])
        });
        self.made_so(&[(*first, wanted)])
    }

    fn made_so(
        &self,
        wanted: &[(&str, NewContent<'_>)],
    ) -> Result<Zeroizing<String>, NotRewritten> {
        let root = clean_root(&self.tree)?;
        let mut merge = merge::Merge::new(self.tree.text(), root);
        merge.map(None, root, wanted).ok_or(NotRewritten)?;
        let text = merge.apply(self.mark).ok_or(NotRewritten)?;
        let new = Tree::new(&text[self.mark.len()..]);
        if !merge::is_made_so(Some(root), clean_root(&new)?, wanted) {
            return Err(NotRewritten);
        }
        drop(new);
        Ok(text)
    }

    fn node(&self, keys: &[&str]) -> Option<Node<'_>> {
        let [part, name, below @ ..] = keys else {
            return None;
        };
        let entries = match *part {
            "jobs" => &self.ids,
            _ => &self.credentials,
        };
        let entry = self.tree.pair(*entries.get(*name)?).value;
        let mut below = below.iter();
        below.try_fold(entry, |node, key| Some(node.get(key)?.value))
    }

    fn endpoint(&self, job: &JobId, endpoint: Endpoint) -> Option<Node<'_>> {
        let endpoint = self.node(&["jobs", job.as_str(), endpoint.as_str()]);
        endpoint.filter(|endpoint| endpoint.is_map())
    }

    fn value(&self, place: &ValuePlace) -> Option<&str> {
        self.node(&place.keys())?.scalar()
    }
}

/// Returns the changes by the keys that lead to each, as a tree: keys in the order of first use,
/// but a text before a map.
fn tree<'v>(changes: Vec<(IntoIter<&'v str>, NewContent<'v>)>) -> Vec<(&'v str, NewContent<'v>)> {
    let mut numbers = HashMap::new();
    let mut groups: Vec<(&str, Vec<_>)> = Vec::new();
    for (mut keys, text) in changes {
        let Some(key) = keys.next() else { continue };
        let number = *numbers.entry(key).or_insert(groups.len());
        if number == groups.len() {
            groups.push((key, Vec::new()));
        }
        groups[number].1.push((keys, text));
    }
    let content = |group: Vec<(IntoIter<&'v str>, NewContent<'v>)>| match group.as_slice() {
        [(keys, content)] if keys.len() == 0 => content.clone(),
        _ => NewContent::Map(tree(group)),
    };
    let tree = groups.into_iter().map(|(key, group)| (key, content(group)));
    let mut tree: Vec<_> = tree.collect();
    tree.sort_by_key(|(_, content)| matches!(content, NewContent::Map(_)));
    tree
}

/// Returns the outermost map of a document, if everything in it may be in a manifest.
fn clean_root<'a>(tree: &'a Tree<'a>) -> Result<Node<'a>, NotRewritten> {
    let root = tree.root().filter(|root| root.is_map() && tree.is_clean());
    root.ok_or(NotRewritten)
}

fn entries<'a>(root: Node<'a>, part: &str) -> impl Iterator<Item = Pair<'a>> {
    let part = root.get(part).filter(|part| part.value.is_map());
    part.into_iter().flat_map(|part| part.value.pairs())
}

fn key_of(entry: Pair<'_>) -> Box<str> {
    entry.key.scalar().unwrap_or_default().into()
}

fn text_of<'a>(map: Node<'a>, key: &str) -> Option<&'a str> {
    map.get(key)?.value.scalar()
}

impl fmt::Debug for ManifestText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ManifestText(..)")
    }
}
