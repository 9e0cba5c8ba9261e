//! Addresses: how a user names entries on the command line (design section 3).
//! `<job id or name>/source`, `/destination`, the job alone for both, and
//! `@CREDENTIAL` for every endpoint that uses it; `*` and `?` are wildcards.

use super::job::EntryKey;
use super::manifest::{Assignment, Manifest};

/// One address pattern.
#[derive(Clone, Debug)]
enum Address {
    Credential(String),
    Job(String),
    Endpoint { job: String, endpoint: String },
}

impl Address {
    fn parse(text: &str) -> Self {
        if let Some(name) = text.strip_prefix('@') {
            return Self::Credential(name.to_owned());
        }
        match text.rsplit_once('/') {
            Some((job, endpoint)) => Self::Endpoint {
                job: job.to_owned(),
                endpoint: endpoint.to_owned(),
            },
            None => Self::Job(text.to_owned()),
        }
    }

    fn matches(&self, subject: &Subject<'_>) -> bool {
        let is_job = |pattern: &str| {
            glob(pattern, subject.key.job.as_str())
                || subject.name.is_some_and(|name| glob(pattern, name))
        };
        match self {
            Self::Credential(pattern) => subject.credential.is_some_and(|name| glob(pattern, name)),
            Self::Job(job) => is_job(job),
            Self::Endpoint { job, endpoint } => {
                glob(endpoint, subject.key.endpoint.as_str()) && is_job(job)
            }
        }
    }
}

/// Something that an address can name.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The entry.
    pub key: &'a EntryKey,
    /// The name of its job in the manifest, if it has one.
    pub name: Option<&'a str>,
    /// The credential that it uses, if any.
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

/// Marks the subjects that any of the addresses names.
/// Fails with every address that names none of them.
pub fn find(
    option: &'static str,
    texts: &[String],
    subjects: &[Subject<'_>],
) -> Result<Vec<bool>, Vec<Unmatched>> {
    let mut marks = vec![false; subjects.len()];
    let mut unmatched = Vec::new();
    for (text, number) in texts.iter().zip(1..) {
        let address = Address::parse(text);
        let mut any = false;
        for (mark, subject) in marks.iter_mut().zip(subjects) {
            if address.matches(subject) {
                *mark = true;
                any = true;
            }
        }
        if !any {
            unmatched.push(Unmatched { option, number });
        }
    }
    if unmatched.is_empty() {
        Ok(marks)
    } else {
        Err(unmatched)
    }
}

/// Which entries of a manifest a run is about, by their place in it.
#[derive(Debug, Default)]
pub struct Selection {
    only: Option<Vec<bool>>,
    resend: Option<Vec<bool>>,
}

/// An address that names no entry of the manifest. It is told by its place on
/// the command line, since what was typed may be a misplaced secret.
#[derive(Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// The option or command it was given to.
    pub option: &'static str,
    /// Its number among the addresses of that option, from 1.
    pub number: usize,
}

impl Selection {
    /// Finds the entries that `only` and `resend` name.
    /// An empty `only` selects every entry; an empty `resend` none.
    /// Fails with every address that names nothing.
    pub fn resolve(
        manifest: &Manifest,
        only: &[String],
        resend: &[String],
    ) -> Result<Self, Vec<Unmatched>> {
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

    /// Whether the entry at this place of the manifest counts.
    pub fn is_selected(&self, index: usize) -> bool {
        self.only.as_ref().is_none_or(|marks| marks[index])
    }

    /// Whether it is to be sent whatever is known about it.
    pub fn is_resent(&self, index: usize) -> bool {
        self.resend.as_ref().is_some_and(|marks| marks[index])
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any characters and
/// `?` for exactly one. Both are ASCII, as names and ids are.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star does not fit.
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
    use super::glob;

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
