//! The jobs of a project as the service lists them, and credentials proposed for their databases.

use std::collections::{HashMap, HashSet};

use super::job::{Endpoint, JobId};
use super::redact::ForeignText;
use super::status::ReportedStatus;

/// The purpose of a job; the service lists each kind apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseType {
    Migration,
    Sync,
    DisasterRecovery,
}

impl UseType {
    pub const ALL: [Self; 3] = [Self::Migration, Self::Sync, Self::DisasterRecovery];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Migration => "migration",
            Self::Sync => "sync",
            Self::DisasterRecovery => "disaster-recovery",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobFilter {
    All,
    Failed,
}

impl JobFilter {
    pub fn passes(self, job: &ListedJob) -> bool {
        self == Self::All || job.has_failed()
    }
}

#[derive(Clone, Debug)]
pub struct ListedJob {
    pub id: JobId,
    pub name: Option<ForeignText>,
    pub status: Option<ReportedStatus>,
    pub use_type: UseType,
    pub engine: Option<ForeignText>,
    pub parent: Option<JobId>,
    /// Such a job accepts no password.
    pub is_dual_active_parent: bool,
    pub source: JobDatabase,
    pub destination: JobDatabase,
}

impl ListedJob {
    pub fn has_failed(&self) -> bool {
        self.status
            .as_ref()
            .is_some_and(ReportedStatus::says_failed)
    }

    /// Returns whether it is unknown if the job has failed.
    pub fn may_have_failed(&self) -> bool {
        let known = self.status.as_ref().and_then(ReportedStatus::known);
        known.is_none() && !self.has_failed()
    }

    pub const fn database(&self, endpoint: Endpoint) -> &JobDatabase {
        match endpoint {
            Endpoint::Source => &self.source,
            Endpoint::Destination => &self.destination,
        }
    }
}

/// A job's database, as far as the service describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct JobDatabase {
    pub db_type: Option<ForeignText>,
    /// Its address or addresses, or the id of a cloud instance.
    pub address: Option<ForeignText>,
    pub port: Option<ForeignText>,
    pub user: Option<ForeignText>,
}

impl JobDatabase {
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// Proposes a name for each distinct database account, in the order of first use; skips databases
/// without a known account.
pub fn propose_credentials<'a>(jobs: impl Iterator<Item = &'a ListedJob>) -> Proposals {
    let mut proposals = Proposals::default();
    let mut names = TakenNames::default();
    for database in jobs.flat_map(|job| Endpoint::ALL.map(|endpoint| job.database(endpoint))) {
        // Without its address, an account could be mistaken for another one.
        let (Some(user), Some(address)) = (&database.user, &database.address) else {
            continue;
        };
        if proposals.name_of(database).is_none() {
            let name = names.fresh(&credential_stem(user.as_str(), address.as_str()));
            let next = proposals.credentials.len();
            proposals.places.insert(database.clone(), next);
            proposals.credentials.push((name, database.clone()));
        }
    }
    proposals
}

#[derive(Debug, Default)]
pub struct Proposals {
    pub credentials: Vec<(String, JobDatabase)>,
    places: HashMap<JobDatabase, usize>,
}

impl Proposals {
    pub fn name_of(&self, database: &JobDatabase) -> Option<&str> {
        let at = *self.places.get(database)?;
        self.credentials.get(at).map(|(name, _)| name.as_str())
    }
}

fn credential_stem(user: &str, address: &str) -> String {
    let host = address.split([',', ':']).next().unwrap_or_default();
    let stem = name_stem(&format!("{user}-{host}"));
    match stem.trim_end_matches(SEPARATORS) {
        "" => "account".to_owned(),
        stem => stem.to_owned(),
    }
}

/// A name has at most 64 characters, and a number may be appended.
const MAX_STEM: usize = 56;

/// Allowed inside a name, but not at its beginning.
const SEPARATORS: [char; 3] = ['.', '_', '-'];

/// Converts a text of the service to the characters of names; empty if none fit.
pub fn name_stem(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || SEPARATORS.contains(&c);
    let spelt = text.chars().map(|c| if fits(c) { c } else { '-' });
    let spelt: String = spelt.take(MAX_STEM).collect();
    spelt.trim_start_matches(SEPARATORS).to_owned()
}

/// Names that are taken, with the next number to try for each stem, so that ten thousand names of
/// one stem cost no more than others.
#[derive(Default)]
pub struct TakenNames {
    taken: HashSet<String>,
    next: HashMap<String, usize>,
}

impl TakenNames {
    pub fn take(&mut self, name: &str) {
        self.taken.insert(name.to_owned());
    }

    /// Takes the stem, or the stem with the first number that makes it unique.
    pub fn fresh(&mut self, stem: &str) -> String {
        let mut name = stem.to_owned();
        if self.taken.contains(stem) {
            let next = self.next.entry(name.clone()).or_insert(2);
            while self.taken.contains(&name) {
                name = format!("{stem}-{next}");
                *next += 1;
            }
        }
        self.take(&name);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(user: &str, host: &str) -> JobDatabase {
        JobDatabase {
            db_type: ForeignText::clean("mysql"),
            address: ForeignText::clean(host),
            port: ForeignText::clean("3306"),
            user: ForeignText::clean(user),
        }
    }

    fn job(id: &str, source: JobDatabase, destination: JobDatabase) -> ListedJob {
        ListedJob {
            id: JobId::parse(id).unwrap(),
            name: None,
            status: None,
            use_type: UseType::Sync,
            engine: None,
            parent: None,
            is_dual_active_parent: false,
            source,
            destination,
        }
    }

    #[test]
    fn equal_accounts_share_a_name_and_different_ones_never_do() {
        let jobs = [
            job(
                "j1",
                database("repl", "10.0.0.1"),
                database("repl", "10.0.0.2"),
            ),
            job("j2", database("repl", "10.0.0.1"), JobDatabase::default()),
            job(
                "j3",
                database("ré pl", "10.0.0.1"),
                database("r  pl", "10.0.0.1"),
            ),
        ];
        let proposals = propose_credentials(jobs.iter());
        let name = |at: usize, endpoint| proposals.name_of(jobs[at].database(endpoint));
        assert_eq!(name(0, Endpoint::Source), Some("repl-10.0.0.1"));
        assert_eq!(name(0, Endpoint::Destination), Some("repl-10.0.0.2"));
        assert_eq!(name(1, Endpoint::Source), Some("repl-10.0.0.1"));
        assert_eq!(name(1, Endpoint::Destination), None);
        assert_eq!(name(2, Endpoint::Source), Some("r--pl-10.0.0.1"));
        assert_eq!(name(2, Endpoint::Destination), Some("r--pl-10.0.0.1-2"));
    }

    #[test]
    fn many_names_of_one_stem_are_given_out_at_once() {
        let mut names = TakenNames::default();
        names.take("a-3");
        let first: Vec<_> = (0..4).map(|_| names.fresh("a")).collect();
        assert_eq!(first, ["a", "a-2", "a-4", "a-5"]);
        // So many that asking for each number anew would not end.
        let last = (0..500_000).map(|_| names.fresh("b")).last();
        assert_eq!(last.as_deref(), Some("b-500000"));
    }
}
