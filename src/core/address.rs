//! Addresses: how a user names entries on the command line (design section 3).
//! `<job id or name>/source`, `/destination`, the job alone for both, and
//! `@CREDENTIAL` for every endpoint that uses it; `*` and `?` are wildcards.

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

    fn matches(&self, assignment: &Assignment) -> bool {
        let is_job = |pattern: &str| {
            glob(pattern, assignment.key.job.as_str())
                || assignment
                    .label
                    .rsplit_once('/')
                    .is_some_and(|(name, _)| glob(pattern, name))
        };
        match self {
            Self::Credential(pattern) => assignment
                .credential
                .as_deref()
                .is_some_and(|name| glob(pattern, name)),
            Self::Job(job) => is_job(job),
            Self::Endpoint { job, endpoint } => {
                glob(endpoint, assignment.key.endpoint.as_str()) && is_job(job)
            }
        }
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
    /// The option it was given to.
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
        let mut unmatched = Vec::new();
        let mut mark = |option, texts: &[String]| {
            (!texts.is_empty()).then(|| named(manifest, option, texts, &mut unmatched))
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

fn named(
    manifest: &Manifest,
    option: &'static str,
    texts: &[String],
    unmatched: &mut Vec<Unmatched>,
) -> Vec<bool> {
    let assignments = manifest.assignments();
    let mut marks = vec![false; assignments.len()];
    for (text, number) in texts.iter().zip(1..) {
        let address = Address::parse(text);
        let mut any = false;
        for (mark, assignment) in marks.iter_mut().zip(assignments) {
            if address.matches(assignment) {
                *mark = true;
                any = true;
            }
        }
        if !any {
            unmatched.push(Unmatched { option, number });
        }
    }
    marks
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
