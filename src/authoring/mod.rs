//! Changing the text of a manifest without losing anything else of it: comments,
//! order, quotes and line ends of whatever is not changed stay byte for byte.

mod find;
mod layout;
mod merge;
pub mod table;
#[cfg(test)]
mod tests;
pub mod value;

use std::collections::HashMap;
use std::fmt;

use zeroize::Zeroizing;

pub use find::{Taken, no_password};

use crate::core::fingerprint::Field;
use crate::core::job::{Endpoint, JobId};
use crate::core::manifest::kerberos_name;
use crate::core::secret::Secret;
use crate::core::yaml::{Node, Pair, Tree, split_mark};

/// What a part of the document shall be.
enum NewContent<'v> {
    Text(&'v str),
    Map(Vec<(&'v str, Self)>),
    Gone,
}

/// The place of one value in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValuePlace {
    Credential(Box<str>),
    Endpoint {
        job: JobId,
        endpoint: Endpoint,
        field: Field,
    },
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

/// A layout that the change cannot be written into, or a change that did more than
/// was asked. Nothing came of it.
#[derive(Debug, PartialEq, Eq)]
pub struct NotRewritten;

/// The text of a manifest and where everything stands in it. Jobs and credentials are
/// numbers of the tree.
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
    /// Takes the text of a valid manifest, with its byte order mark if it has one.
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
            Some(value) if is_equal(value, &change.value) => Effect::Same,
            Some(_) => Effect::Changed,
        }
    }

    /// How a place is shown: `orders-cdc/source` or `@orders-db`. It holds only ids
    /// and names.
    pub fn label(&self, place: &ValuePlace) -> String {
        match place {
            ValuePlace::Credential(name) => format!("@{name}"),
            ValuePlace::Endpoint { job, endpoint, .. } => {
                let fields = self.job(job.as_str());
                let name = fields.and_then(|fields| text_of(fields.value, "name"));
                format!("{}/{endpoint}", name.unwrap_or(job.as_str()))
            }
        }
    }

    /// How many endpoints use a credential; nothing for another place.
    pub fn users(&self, place: &ValuePlace) -> Option<usize> {
        match place {
            ValuePlace::Credential(name) => Some(self.users.get(name).copied().unwrap_or_default()),
            ValuePlace::Endpoint { .. } => None,
        }
    }

    /// The text with these changes, each place at most once.
    pub fn rewrite(&self, changes: &[Change]) -> Result<Zeroizing<String>, NotRewritten> {
        let mut credentials = Vec::new();
        let mut jobs: Vec<(&str, Endpoints<'_>)> = Vec::new();
        let mut job_numbers: HashMap<&str, usize> = HashMap::new();
        for change in changes {
            let value = change.value.expose();
            match &change.place {
                ValuePlace::Credential(name) => {
                    let fields = NewContent::Map(vec![("password", NewContent::Text(value))]);
                    credentials.push((&**name, fields));
                }
                ValuePlace::Endpoint {
                    job,
                    endpoint,
                    field,
                } => {
                    let job = job.as_str();
                    let number = *job_numbers.entry(job).or_insert(jobs.len());
                    if number == jobs.len() {
                        jobs.push((job, Vec::new()));
                    }
                    let Some((_, endpoints)) = jobs.get_mut(number) else {
                        return Err(NotRewritten);
                    };
                    let endpoint = endpoint.as_str();
                    match endpoints.iter_mut().find(|(name, _)| *name == endpoint) {
                        Some((_, fields)) => fields.push((*field, value)),
                        None => endpoints.push((endpoint, vec![(*field, value)])),
                    }
                }
            }
        }
        let jobs = jobs.into_iter().map(|(job, endpoints)| {
            let endpoints = endpoints
                .into_iter()
                .map(|(endpoint, fields)| (endpoint, endpoint_of(fields)));
            (job, NewContent::Map(endpoints.collect()))
        });
        // A part of which nothing is wanted stays as it is, whatever it is.
        let parts = [("credentials", credentials), ("jobs", jobs.collect())];
        let parts = parts.into_iter().filter(|(_, part)| !part.is_empty());
        let wanted: Vec<_> = parts
            .map(|(key, part)| (key, NewContent::Map(part)))
            .collect();
        self.made_so(&wanted)
    }

    /// The text without what stands at this place: a credential, a kerberos field, or
    /// for a password the endpoint that cannot be without one.
    pub fn without(&self, place: &ValuePlace) -> Result<Zeroizing<String>, NotRewritten> {
        let nest = |key, inner| NewContent::Map(vec![(key, inner)]);
        let wanted = match place {
            ValuePlace::Credential(name) => ("credentials", nest(&**name, NewContent::Gone)),
            ValuePlace::Endpoint {
                job,
                endpoint,
                field,
            } => {
                let fields = self.endpoint(job, *endpoint);
                let kerberos = fields.and_then(|fields| fields.get("kerberos"));
                let is_last = kerberos.is_none_or(|part| part.value.pairs().count() == 1);
                let wanted = match kerberos_name(*field) {
                    None => NewContent::Gone,
                    Some(_) if is_last => nest("kerberos", NewContent::Gone),
                    Some(name) => nest("kerberos", nest(name, NewContent::Gone)),
                };
                ("jobs", nest(job.as_str(), nest(endpoint.as_str(), wanted)))
            }
        };
        self.made_so(&[wanted])
    }

    fn made_so(
        &self,
        wanted: &[(&str, NewContent<'_>)],
    ) -> Result<Zeroizing<String>, NotRewritten> {
        let root = clean_root(&self.tree)?;
        let mut merge = merge::Merge::new(self.tree.text(), root);
        merge.map(None, root, wanted).ok_or(NotRewritten)?;
        let text = merge.splices.apply(self.mark).ok_or(NotRewritten)?;
        let new = Tree::new(&text[self.mark.len()..]);
        if !merge::is_made_so(Some(root), clean_root(&new)?, wanted) {
            return Err(NotRewritten);
        }
        drop(new);
        Ok(text)
    }

    fn job(&self, id: &str) -> Option<Pair<'_>> {
        Some(self.tree.pair(*self.ids.get(id)?))
    }

    fn endpoint(&self, job: &JobId, endpoint: Endpoint) -> Option<Node<'_>> {
        let endpoint = self.job(job.as_str())?.value.get(endpoint.as_str())?.value;
        endpoint.is_map().then_some(endpoint)
    }

    fn value(&self, place: &ValuePlace) -> Option<&str> {
        match place {
            ValuePlace::Credential(name) => {
                let credential = self.tree.pair(*self.credentials.get(name)?);
                text_of(credential.value, "password")
            }
            ValuePlace::Endpoint {
                job,
                endpoint,
                field,
            } => {
                let fields = self.endpoint(job, *endpoint)?;
                match kerberos_name(*field) {
                    None => text_of(fields, "password"),
                    Some(name) => text_of(fields.get("kerberos")?.value, name),
                }
            }
        }
    }
}

/// The outermost map of a document in which nothing is that a manifest cannot have.
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

type Endpoints<'v> = Vec<(&'static str, Vec<(Field, &'v str)>)>;

fn endpoint_of<'v>(fields: Vec<(Field, &'v str)>) -> NewContent<'v> {
    let mut map = Vec::new();
    let mut kerberos = Vec::new();
    for (field, value) in fields {
        match kerberos_name(field) {
            None => map.push(("password", NewContent::Text(value))),
            Some(name) => kerberos.push((name, NewContent::Text(value))),
        }
    }
    if !kerberos.is_empty() {
        map.push(("kerberos", NewContent::Map(kerberos)));
    }
    NewContent::Map(map)
}

/// Whether a value is the one that stands in the document already. Both belong to
/// whoever asks, so the time that it takes tells nobody anything.
fn is_equal(there: &str, value: &Secret) -> bool {
    there == value.expose()
}
