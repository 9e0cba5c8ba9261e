//! Addresses of entries on the command line: `<job id or name>/source`, a job alone for both
//! endpoints, or `@CREDENTIAL`. `*` and `?` are wildcards (design section 3).

use std::collections::HashMap;
use std::sync::Arc;

use super::job::{Endpoint, EntryKey, JobId};
use super::manifest::{Assignment, Manifest, is_name};
use super::secret::Secret;
use super::yaml::nearest;

/// A parsed address; without an endpoint it means both.
pub struct Address<'t> {
    kind: AddressKind,
    name: &'t str,
    endpoint: Option<&'t str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum AddressKind {
    Credential,
    Job,
}

impl<'t> Address<'t> {
    pub fn parse(text: &'t str) -> Self {
        let (kind, name, endpoint) = match (text.strip_prefix('@'), text.rsplit_once('/')) {
            (Some(name), _) => (AddressKind::Credential, name, None),
            (None, Some((job, endpoint))) => (AddressKind::Job, job, Some(endpoint)),
            (None, None) => (AddressKind::Job, text, None),
        };
        Self {
            kind,
            name,
            endpoint,
        }
    }

    fn is_literal(&self) -> bool {
        !self.name.contains(['*', '?'])
    }

    fn matches(&self, subject: &Subject<'_>) -> bool {
        let Subject { key, .. } = subject;
        match self.kind {
            AddressKind::Credential => subject.credential.is_some_and(|it| glob(self.name, it)),
            AddressKind::Job => {
                let id = key.job.as_str();
                let names = [id, subject.name.unwrap_or(id)];
                self.is_of_job(&names, Some(key.endpoint))
            }
        }
    }

    /// Returns the name of a subject that an address that matches nothing may mean.
    fn suggested<'a>(&self, subject: &Subject<'a>) -> Option<&'a str> {
        match (self.kind, self.endpoint) {
            (AddressKind::Credential, _) => subject.credential,
            (_, Some(endpoint)) if endpoint != subject.key.endpoint.as_str() => None,
            (AddressKind::Job, _) => subject.name,
        }
    }

    /// Returns whether it names the credential itself.
    pub fn is_of_credential(&self, name: &str) -> bool {
        self.kind == AddressKind::Credential && glob(self.name, name)
    }

    /// Returns whether it names one of the endpoints, or without one the job as a whole.
    pub fn is_of_job(&self, names: &[&str], endpoint: Option<Endpoint>) -> bool {
        let is_right = |pattern| endpoint.is_some_and(|it| glob(pattern, it.as_str()));
        self.kind == AddressKind::Job
            && self.endpoint.is_none_or(is_right)
            && names.iter().any(|name| glob(self.name, name))
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub key: &'a EntryKey,
    pub name: Option<&'a str>,
    pub credential: Option<&'a str>,
}

impl<'a> From<&'a Assignment> for Subject<'a> {
    fn from(assignment: &'a Assignment) -> Self {
        Self {
            key: &assignment.key,
            name: assignment.label.rsplit_once('/').map(|(name, _)| name),
            credential: assignment.credential.as_deref(),
        }
    }
}

/// The most unmatched addresses of an option that get a suggestion.
const MOST_SUGGESTED: usize = 3;

/// Marks the subjects that match any of the addresses. Fails with the addresses that match none.
pub fn find(
    option: &'static str,
    texts: &[String],
    subjects: &[Subject<'_>],
) -> Result<Vec<bool>, Vec<String>> {
    let mut marks = vec![false; subjects.len()];
    let mut missed = Vec::new();
    // Thousands of names must not each be compared with every subject.
    let by_name = index(subjects);
    let all: Vec<usize> = (0..subjects.len()).collect();
    for (text, number) in texts.iter().zip(1..) {
        let address = Address::parse(text);
        let candidates = match by_name.get(&(address.kind, address.name)) {
            _ if !address.is_literal() => &all[..],
            Some(named) => named,
            None => &[],
        };
        let candidates = candidates.iter();
        let mut found = candidates
            .filter(|at| address.matches(&subjects[**at]))
            .peekable();
        if found.peek().is_none() {
            // It is compared with all names, which takes too long for thousands of addresses.
            let known = subjects.iter().filter(|_| missed.len() < MOST_SUGGESTED);
            missed.push(unmatched(option, number, text, known));
        }
        found.for_each(|at| marks[*at] = true);
    }
    if missed.is_empty() {
        Ok(marks)
    } else {
        Err(missed)
    }
}

fn index<'a>(subjects: &[Subject<'a>]) -> HashMap<(AddressKind, &'a str), Vec<usize>> {
    let mut places: HashMap<_, Vec<usize>> = HashMap::new();
    for (at, subject) in subjects.iter().enumerate() {
        let id = subject.key.job.as_str();
        let name = subject.name.filter(|name| *name != id);
        for (kind, name) in [
            (AddressKind::Job, Some(id)),
            (AddressKind::Job, name),
            (AddressKind::Credential, subject.credential),
        ] {
            if let Some(name) = name {
                places.entry((kind, name)).or_default().push(at);
            }
        }
    }
    places
}

/// Returns the passwords that an address names, once for each place that uses one.
pub fn passwords<'m>(
    manifest: &'m Manifest,
    text: &'m str,
) -> impl Iterator<Item = &'m Arc<Secret>> {
    let address = Address::parse(text);
    let is_credential = address.kind == AddressKind::Credential;
    let name = address.name;
    let credentials = manifest.credentials().iter();
    let credentials = credentials.filter(move |it| is_credential && glob(name, &it.name));
    let jobs = manifest.assignments().iter();
    let jobs = jobs.filter(move |it| !is_credential && address.matches(&Subject::from(*it)));
    credentials
        .map(|it| &it.password)
        .chain(jobs.map(|it| &it.password))
}

/// Which entries of a manifest a run includes and which it sends again, by index.
#[derive(Debug, Default)]
pub struct Selection {
    only: Option<Vec<bool>>,
    resend: Option<Vec<bool>>,
}

/// Says that the address with this number (from 1) of an option matches no entry, and suggests one
/// of the `known` subjects. It repeats only an id or a misspelt endpoint: any other text may be a
/// secret.
pub fn unmatched<'s, 'a: 's>(
    option: &str,
    number: usize,
    text: &str,
    known: impl Iterator<Item = &'s Subject<'a>> + Clone,
) -> String {
    if misspelt(text).is_some() {
        return format!("{text}: {WRONG_ENDPOINT}");
    }
    let address = Address::parse(text);
    let endpoint = address.endpoint.map(Endpoint::parse);
    let is_id = JobId::is_usual_shape(address.name) && endpoint != Some(None);
    let named = match is_id {
        true => text.to_owned(),
        false => number.to_string(),
    };
    let mark = match address.kind {
        AddressKind::Credential => "@",
        AddressKind::Job => "",
    };
    let end = endpoint
        .flatten()
        .map_or_else(String::new, |it| format!("/{it}"));
    let names = known
        .clone()
        .filter_map(|subject| address.suggested(subject));
    let meant = nearest(names, address.name).map(|name| format!("{mark}{name}{end}"));
    // The mark of a credential is easily forgotten.
    let credentials = known.filter_map(|subject| subject.credential);
    let meant = meant.or_else(|| Some(format!("@{}", nearest(credentials, text)?)));
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
    format!("address {named} of {option} matches no entry{meant}")
}

pub const WRONG_ENDPOINT: &str = "an endpoint is 'source' or 'destination'";

/// Returns an address with a wrong endpoint if it may be repeated: the endpoint is a word that
/// people use for one or nearly so, which is no part of a key.
pub fn misspelt(address: &str) -> Option<&str> {
    let (name, endpoint) = address.split_once('/')?;
    let right = Endpoint::ALL.map(Endpoint::as_str);
    let is_meant = nearest(right.into_iter(), endpoint).is_some()
        || ["src", "dst", "dest", "target"].contains(&endpoint);
    let is_word = endpoint.bytes().all(|b| b.is_ascii_lowercase());
    (is_name(name) && is_word && is_meant && !right.contains(&endpoint)).then_some(address)
}

impl Selection {
    /// An empty `only` selects every entry; an empty `resend` none.
    pub fn resolve(
        manifest: &Manifest,
        only: &[String],
        resend: &[String],
    ) -> Result<Self, Vec<String>> {
        if only.is_empty() && resend.is_empty() {
            return Ok(Self::default());
        }
        let subjects: Vec<Subject<'_>> = manifest.assignments().iter().map(Subject::from).collect();
        let mut unmatched = Vec::new();
        let mut mark = |option, texts: &[String]| {
            if texts.is_empty() {
                return None;
            }
            find(option, texts, &subjects)
                .map_err(|more| unmatched.extend(more))
                .ok()
        };
        let selection = Self {
            only: mark("--only", only),
            resend: mark("--resend", resend),
        };
        if unmatched.is_empty() {
            Ok(selection)
        } else {
            Err(unmatched)
        }
    }

    pub fn is_selected(&self, index: usize) -> bool {
        self.only.as_ref().is_none_or(|marks| marks[index])
    }

    pub fn is_resent(&self, index: usize) -> bool {
        self.resend.as_ref().is_some_and(|marks| marks[index])
    }
}

/// Matches ASCII text against a pattern: `*` is any run of characters, `?` exactly one.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to continue if the text after the last star does not match.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, from)) => {
                    retry = Some((after_star, from + 1));
                    p = after_star;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::{Subject, find, glob};
    use crate::core::job::EntryKey;

    #[test]
    fn an_address_finds_the_same_with_and_without_wildcards() {
        let keys: Vec<EntryKey> = ["a/source", "a/destination", "b/source", "orders/source"]
            .map(|key| key.parse().expect("a key"))
            .into();
        let facts = [
            (Some("orders"), None),
            (Some("orders"), Some("db")),
            (None, Some("db")),
        ];
        let facts = facts.into_iter().chain([(None, None)]);
        let subjects: Vec<Subject<'_>> = keys
            .iter()
            .zip(facts)
            .map(|(key, (name, credential))| Subject {
                key,
                name,
                credential,
            })
            .collect();
        let found = |text: &str| find("", &[text.to_owned()], &subjects).ok();
        for (literal, pattern, places) in [
            ("orders", "order*", &[0, 1, 3][..]),
            ("orders/source", "o*/s*", &[0, 3]),
            ("orders/*", "o*/*", &[0, 1, 3]),
            ("@db", "@d?", &[1, 2]),
            ("b", "b*", &[2]),
        ] {
            let marks: Vec<bool> = (0..4).map(|at| places.contains(&at)).collect();
            assert_eq!(found(pattern), Some(marks.clone()), "{pattern}");
            assert_eq!(found(literal), Some(marks), "{literal}");
        }
        for nothing in ["x", "a/x", "@orders", "db", "@", ""] {
            assert_eq!(found(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn wildcards_fit_what_they_should() {
        for (pattern, text, fits) in [
            ("orders", "orders", true),
            ("orders", "orders-2", false),
            ("orders*", "orders-2", true),
            ("*-2", "orders-2", true),
            ("o*r*2", "orders-2", true),
            ("o?ders", "orders", true),
            ("?", "", false),
            ("*", "", true),
            ("**", "x", true),
            ("", "x", false),
            ("*ab", "aab", true),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }
}
