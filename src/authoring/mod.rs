//! Changing the text of a manifest without losing anything else of it: comments,
//! order, quotes and line ends of whatever is not changed stay byte for byte.
//!
//! It owns how a place is named ([`Document::find`]), how a value gets to its place
//! ([`Document::rewrite`]), how a file of many values is read ([`table`]), and how a
//! value is generated or read from a file ([`value`]). It knows neither state nor service, opens no
//! file, and no error of it holds text of the document or of a value. Every change is
//! read back and compared with what was there before; what is not exactly the
//! change that was asked for is refused.

mod find;
mod merge;
mod outline;
pub mod table;
#[cfg(test)]
mod tests;
pub mod value;
mod write;

use std::collections::HashMap;
use std::fmt;

use zeroize::Zeroizing;

pub use find::{NoPlace, Taken};

use crate::core::fingerprint::Field;
use crate::core::job::{Endpoint, JobId};
use crate::core::report::Effect;
use crate::core::secret::Secret;
use crate::core::yaml::split_mark;
use outline::Map;

/// What a part of the document shall be.
enum Wanted<'v> {
    /// A text. It may be a secret.
    Text(&'v str),
    /// A map in which these keys are as wanted, and all others as they were.
    Map(Vec<(&'v str, Self)>),
    /// Nothing.
    Gone,
}

/// The place of one value in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The password of a credential.
    Credential(Box<str>),
    /// A field of an endpoint.
    Endpoint {
        /// The job.
        job: JobId,
        /// Which of its databases.
        endpoint: Endpoint,
        /// The field.
        field: Field,
    },
}

/// A value for a place.
#[derive(Debug)]
pub struct Change {
    /// Where.
    pub place: Place,
    /// What shall stand there.
    pub value: Secret,
}

/// A layout that the change cannot be written into, or a change that did more than
/// was asked. Nothing came of it.
#[derive(Debug, PartialEq, Eq)]
pub struct NotRewritten;

/// The text of a manifest and where everything stands in it.
pub struct Document<'t> {
    mark: &'t str,
    text: &'t str,
    root: Map<'t>,
    /// Where each job stands, by its id.
    ids: HashMap<Box<str>, usize>,
    /// Where each job stands that has a name, by that.
    names: HashMap<Box<str>, usize>,
    /// Where each credential stands, by its name.
    credentials: HashMap<Box<str>, usize>,
    /// How many endpoints use each credential that is used.
    users: HashMap<Box<str>, usize>,
}

impl<'t> Document<'t> {
    /// Takes the text of a valid manifest, with its byte order mark if it has one.
    /// Fails if it is none.
    pub fn new(text: &'t str) -> Result<Self, NotRewritten> {
        let (mark, text) = split_mark(text);
        let root = outline::outline(text).ok_or(NotRewritten)?;
        let mut ids = HashMap::new();
        let mut names = HashMap::new();
        let mut users = HashMap::new();
        let jobs = root.map("jobs").map_or(&[][..], |jobs| &jobs.entries);
        for (number, job) in jobs.iter().enumerate() {
            ids.insert(job.key.as_str().into(), number);
            let outline::Spot::Map(fields) = &job.value else {
                continue;
            };
            if let Some(name) = fields.text("name") {
                names.insert(name.into(), number);
            }
            for endpoint in Endpoint::ALL {
                let endpoint = fields.map(endpoint.as_str());
                if let Some(name) = endpoint.and_then(|fields| fields.text("credential")) {
                    *users.entry(Box::from(name)).or_default() += 1;
                }
            }
        }
        let credentials = root.map("credentials").map_or(&[][..], |map| &map.entries);
        let credentials = credentials.iter().zip(0..);
        let credentials = credentials.map(|(entry, number)| (entry.key.as_str().into(), number));
        Ok(Self {
            mark,
            text,
            ids,
            names,
            credentials: credentials.collect(),
            users,
            root,
        })
    }

    /// What a change would do.
    pub fn effect(&self, change: &Change) -> Effect {
        match self.value(&change.place) {
            None => Effect::Added,
            Some(value) if is_equal(value, &change.value) => Effect::Same,
            Some(_) => Effect::Changed,
        }
    }

    /// How a place is shown: `orders-cdc/source` or `@orders-db`. It holds only ids
    /// and names.
    pub fn label(&self, place: &Place) -> String {
        match place {
            Place::Credential(name) => format!("@{name}"),
            Place::Endpoint { job, endpoint, .. } => {
                let fields = self.job(job.as_str());
                let name = fields.and_then(|fields| fields.text("name"));
                format!("{}/{endpoint}", name.unwrap_or(job.as_str()))
            }
        }
    }

    /// How many endpoints use a credential; nothing for another place.
    pub fn users(&self, place: &Place) -> Option<usize> {
        match place {
            Place::Credential(name) => Some(self.users.get(name).copied().unwrap_or_default()),
            Place::Endpoint { .. } => None,
        }
    }

    /// The text with these changes, each place at most once.
    /// Fails if any of them does not come out exactly as asked.
    pub fn rewrite(&self, changes: &[Change]) -> Result<Zeroizing<String>, NotRewritten> {
        let mut credentials = Vec::new();
        let mut jobs: Vec<(&str, Endpoints<'_>)> = Vec::new();
        let mut job_numbers: HashMap<&str, usize> = HashMap::new();
        for change in changes {
            let value = change.value.expose();
            match &change.place {
                Place::Credential(name) => {
                    let fields = Wanted::Map(vec![("password", Wanted::Text(value))]);
                    credentials.push((&**name, fields));
                }
                Place::Endpoint {
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
            (job, Wanted::Map(endpoints.collect()))
        });
        // A part of which nothing is wanted stays as it is, whatever it is.
        let parts = [("credentials", credentials), ("jobs", jobs.collect())];
        let parts = parts.into_iter().filter(|(_, part)| !part.is_empty());
        let wanted: Vec<_> = parts.map(|(key, part)| (key, Wanted::Map(part))).collect();
        self.made_so(&wanted)
    }

    /// The text without what stands at this place: a credential, a kerberos field, or
    /// for a password the endpoint that cannot be without one.
    /// Fails if it does not come out exactly as asked.
    pub fn without(&self, place: &Place) -> Result<Zeroizing<String>, NotRewritten> {
        let nest = |key, inner| Wanted::Map(vec![(key, inner)]);
        let wanted = match place {
            Place::Credential(name) => ("credentials", nest(&**name, Wanted::Gone)),
            Place::Endpoint {
                job,
                endpoint,
                field,
            } => {
                let fields = self.job(job.as_str());
                let fields = fields.and_then(|job| job.map(endpoint.as_str()));
                let kerberos = fields.and_then(|fields| fields.map("kerberos"));
                let is_last = kerberos.is_none_or(|kerberos| kerberos.entries.len() == 1);
                let wanted = match kerberos_name(*field) {
                    None => Wanted::Gone,
                    Some(_) if is_last => nest("kerberos", Wanted::Gone),
                    Some(name) => nest("kerberos", nest(name, Wanted::Gone)),
                };
                ("jobs", nest(job.as_str(), nest(endpoint.as_str(), wanted)))
            }
        };
        self.made_so(&[wanted])
    }

    fn made_so(&self, wanted: &[(&str, Wanted<'_>)]) -> Result<Zeroizing<String>, NotRewritten> {
        let mut merge = merge::Merge::new(self.text, &self.root);
        merge.map(None, &self.root, wanted).ok_or(NotRewritten)?;
        let text = merge.splices.apply().ok_or(NotRewritten)?;
        let new = outline::outline(&text).ok_or(NotRewritten)?;
        if !merge::is_made_so((self.text, &self.root), (&text, &new), wanted) {
            return Err(NotRewritten);
        }
        if self.mark.is_empty() {
            drop(new);
            return Ok(text);
        }
        let room = self.mark.len() + text.len();
        let mut marked = Zeroizing::new(String::with_capacity(room));
        marked.push_str(self.mark);
        marked.push_str(&text);
        Ok(marked)
    }

    fn job(&self, id: &str) -> Option<&Map<'t>> {
        let jobs = self.root.map("jobs")?;
        match &jobs.entries.get(*self.ids.get(id)?)?.value {
            outline::Spot::Map(fields) => Some(fields),
            _ => None,
        }
    }

    fn endpoint(&self, job: &JobId, endpoint: Endpoint) -> Option<&Map<'t>> {
        self.job(job.as_str())?.map(endpoint.as_str())
    }

    fn value(&self, place: &Place) -> Option<&str> {
        match place {
            Place::Credential(name) => {
                let number = *self.credentials.get(name)?;
                match &self.root.map("credentials")?.entries.get(number)?.value {
                    outline::Spot::Map(fields) => fields.text("password"),
                    _ => None,
                }
            }
            Place::Endpoint {
                job,
                endpoint,
                field,
            } => {
                let fields = self.endpoint(job, *endpoint)?;
                match kerberos_name(*field) {
                    None => fields.text("password"),
                    Some(name) => fields.map("kerberos")?.text(name),
                }
            }
        }
    }
}

impl fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Document(..)")
    }
}

/// The endpoints of a job with the values of their fields.
type Endpoints<'v> = Vec<(&'static str, Vec<(Field, &'v str)>)>;

/// The fields of an endpoint, its password first.
fn endpoint_of<'v>(fields: Vec<(Field, &'v str)>) -> Wanted<'v> {
    let mut map = Vec::new();
    let mut kerberos = Vec::new();
    for (field, value) in fields {
        match kerberos_name(field) {
            None => map.push(("password", Wanted::Text(value))),
            Some(name) => kerberos.push((name, Wanted::Text(value))),
        }
    }
    if !kerberos.is_empty() {
        map.push(("kerberos", Wanted::Map(kerberos)));
    }
    Wanted::Map(map)
}

/// The name of a field below `kerberos`, if it stands there.
fn kerberos_name(field: Field) -> Option<&'static str> {
    field.as_str().strip_prefix("kerberos.")
}

/// Whether a value is the one that stands in the document already. Both belong to
/// whoever asks, so the time that it takes tells nobody anything.
fn is_equal(there: &str, value: &Secret) -> bool {
    there == value.expose()
}
