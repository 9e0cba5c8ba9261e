//! Reads the manifest from its document.

use std::collections::{HashMap, hash_map};
use std::sync::Arc;

use super::value::{SecretKind, secret};
use super::{Assignment, Credential, Former, Job, Manifest, Sealed, Sealing, is_written};
use crate::core::config::{is_address, is_project_id};
use crate::core::fingerprint::{Field, FingerprintKey, Scope, is_digest, is_printable};
use crate::core::job::{Endpoint, EntryKey, JobId, some_of};
use crate::core::place::{Floor, MovedFrom, SealedPlace, is_branch, is_repository, state_path};
use crate::core::problem::FieldPath;
use crate::core::secret::Secret;
use crate::core::state::Lineage;
use crate::core::yaml::{Cursor, Node};

const NAME_HELP: &str = "Use 1 to 64 letters, digits, dots, dashes and underscores, \
    beginning with a letter or digit.";

pub fn manifest(root: &Cursor<'_, '_>, sealing: Sealing) -> Option<Manifest> {
    let fields = root.fields(["version", "sealed", "credentials", "jobs"]);
    let [version, sealed, credentials, jobs] = fields;
    let has_all_parts = root.has_only(&fields);
    root.version(version);
    if sealed.is_none() && sealing == Sealing::Required {
        let help = "The manifest is not sealed; run 'drspass encrypt FILE' on its text.";
        root.missing("sealed", None, help);
    }
    let mut reading = Reading::default();
    if let Some(credentials) = &credentials {
        reading.credentials(credentials);
    }
    let defined = reading.accounts.len();
    reading.has_all_credentials = has_all_parts
        && credentials.is_none_or(|list| {
            list.is_whole() && list.node.is_map() && list.node.pairs().count() == defined
        });
    match &jobs {
        Some(jobs) => reading.jobs(jobs),
        None => root.missing("jobs", None, "List the jobs, or write `jobs: {}`."),
    }
    if has_all_parts {
        let unused = reading.accounts.iter().filter(|account| !account.is_used);
        let unused = unused.map(|account| (&account.entry, account.entry.path.to_string()));
        let help = "Use every credential at an endpoint with `credential`, or remove it.";
        let one = "no endpoint uses this credential";
        if let Some(list) = &credentials {
            warn_together(
                list,
                unused.collect(),
                [one, "are used by no endpoint"],
                help,
            );
        }
    }
    let credentials = reading.accounts.into_iter().filter_map(|account| {
        Some(Credential {
            name: account.name,
            password: account.password?,
        })
    });
    Some(Manifest {
        sealed: sealed.and_then(|sealed| read_sealed(&sealed)),
        credentials: credentials.collect(),
        jobs: reading.jobs,
        assignments: reading.assignments,
    })
}

/// Warns of one item at its own place, or of several with their number and names.
fn warn_together(
    list: &Cursor<'_, '_>,
    items: Vec<(&Cursor<'_, '_>, String)>,
    [one, many]: [&'static str; 2],
    help: &'static str,
) {
    match &items[..] {
        [] => {}
        [(item, _)] => item.warning(item.key, one, help),
        [(first, _), ..] => {
            let names: Vec<&String> = items.iter().map(|(_, name)| name).collect();
            let what = format!("{} {many}: {}", names.len(), some_of(&names, 5));
            list.warning(first.key, what, help);
        }
    }
}

/// Returns whether it is a mapping; reports anything else.
fn is_map(value: &Cursor<'_, '_>, if_null: &'static str) -> bool {
    if value.node.is_null() {
        value.error("has no value", if_null);
    } else if !value.node.is_map() {
        let help = "Write `key: value` pairs on lines of their own, indented.";
        value.wrong_kind("is not a mapping", help);
    }
    value.node.is_map()
}

#[derive(Default)]
struct Reading<'t, 'p> {
    accounts: Vec<Account<'t, 'p>>,
    /// Whether no other one can be defined in a part that was not read.
    has_all_credentials: bool,
    /// The number of each credential's account.
    account_numbers: HashMap<&'t str, usize>,
    jobs: Vec<Job>,
    assignments: Vec<Assignment>,
}

struct Account<'t, 'p> {
    entry: Cursor<'t, 'p>,
    name: Arc<str>,
    /// Absent if it was refused.
    password: Option<Arc<Secret>>,
    is_used: bool,
}

/// Each job name with its place and the number of its job.
type JobNames<'t> = HashMap<&'t str, (Node<'t>, usize)>;

impl<'t, 'p> Reading<'t, 'p> {
    fn credentials(&mut self, list: &'p Cursor<'t, '_>) {
        if !is_map(list, "Remove the key, or list credentials below it.") {
            return;
        }
        // Without fields, it may be a password in the wrong place.
        let entries = list.entries(|path, name, number, value| match value.is_map() {
            true if is_name(name) => FieldPath::credential(name),
            _ => path.number(number),
        });
        for (_, entry) in entries {
            const HELP: &str = "Give it a `password`, or remove it.";
            let at = Some(entry.key);
            if !is_name(entry.name()) {
                entry.error_at(at, "invalid credential name", NAME_HELP);
            }
            let mut password = None;
            if is_map(&entry, HELP) {
                match entry.fields(["password"]) {
                    [Some(value)] => password = secret(&value, SecretKind::Line),
                    [None] => entry.missing("password", at, HELP),
                }
            }
            self.account_numbers
                .insert(entry.name(), self.accounts.len());
            self.accounts.push(Account {
                entry,
                name: entry.name().into(),
                password: password.map(Arc::new),
                is_used: false,
            });
        }
    }

    fn jobs(&mut self, list: &Cursor<'t, '_>) {
        if list.node.is_list() {
            if list.node.children().next().is_some() {
                let help = "Write each job's id as a key, with its fields indented below.";
                list.wrong_kind("is a list", help);
            } else if list.is_whole() {
                let help = "It is read as an empty mapping; write `jobs: {}`.";
                list.warning(list.node, "is an empty list", help);
            }
            return;
        }
        if !is_map(list, "List the jobs, or write `jobs: {}`.") {
            return;
        }
        let mut names = JobNames::new();
        let entries = list.entries(|path, id, number, _| match may_show_id(id) {
            true => path.key(id),
            false => path.number(number),
        });
        let mut idle = Vec::new();
        for (number, entry) in entries {
            let name = self.job(&entry, number, &mut names);
            idle.extend(name.map(|name| (entry, name)));
        }
        let help = match self.assignments.is_empty() {
            true => {
                "Run 'drspass edit' and add or uncomment the endpoints that drspass should manage."
            }
            false => "Give every job a source or a destination, or remove it.",
        };
        let words = ["the job has no endpoint", "have no endpoint"];
        let idle = idle.iter().map(|(job, name)| (job, String::clone(name)));
        warn_together(list, idle.collect(), words, help);
        if list.is_in_whole_document() {
            compare_ids_and_names(list, names);
        }
    }

    /// Returns the name, or else the path, of a job without endpoints.
    fn job(
        &mut self,
        job: &Cursor<'t, '_>,
        number: usize,
        names: &mut JobNames<'t>,
    ) -> Option<String> {
        let at = Some(job.key);
        let id = JobId::parse(job.name()).ok();
        match &id {
            None if JobId::parse(job.name().trim()).is_ok() => {
                let what = "a job id starts or ends with whitespace";
                job.error_at(at, what, "Remove it.");
            }
            None => {
                let help = "Use at most 64 letters, digits and dashes.";
                job.error_at(at, "invalid job id", help);
            }
            Some(id) if !id.has_usual_shape() => {
                let what = "the job id has an unusual format";
                job.warning(job.key, what, "Compare it with the id in the console.");
            }
            Some(_) => {}
        }
        if !is_map(job, "Give the job an endpoint, or remove it.") {
            return None;
        }
        let fields = job.fields(["name", "source", "destination"]);
        let [name, source, destination] = fields;
        let name = name.and_then(|name| job_name(&name, number, names));
        let endpoints = [source, destination].map(|endpoint| endpoint.map(|e| self.endpoint(&e)));
        let id = id?;
        let is_idle = endpoints.iter().all(Option::is_none) && job.has_only(&fields);
        let idle = is_idle.then(|| match &name {
            Some(name) => name.to_string(),
            None => job.path.to_string(),
        });
        let shown = name.as_deref().unwrap_or(id.as_str());
        for (endpoint, wanted) in Endpoint::ALL.into_iter().zip(endpoints) {
            let Some((Some(password), credential, kerberos)) = wanted.flatten() else {
                continue;
            };
            let mut label = String::with_capacity(shown.len() + 1 + endpoint.as_str().len());
            label.push_str(shown);
            label.push('/');
            label.push_str(endpoint.as_str());
            let job = id.clone();
            self.assignments.push(Assignment {
                key: EntryKey { job, endpoint },
                label,
                password,
                credential,
                kerberos,
            });
        }
        self.jobs.push(Job { id, name });
        idle
    }

    fn endpoint(&mut self, endpoint: &Cursor<'t, '_>) -> Option<Wanted> {
        let help = "Remove the key: an absent endpoint is unmanaged.";
        if !is_map(endpoint, help) {
            return None;
        }
        let fields = endpoint.fields(["password", "credential", "kerberos"]);
        let [password, credential, kerberos] = fields;
        let at = Some(endpoint.key);
        match (&password, &credential) {
            (Some(_), Some(_)) if endpoint.is_whole() => {
                let what = "has both a password and a credential";
                endpoint.error_at(at, what, "Keep one of the two.");
            }
            (None, None) if endpoint.has_only(&fields) => {
                let help =
                    "Add a `password`, or a `credential` that is defined below `credentials`.";
                endpoint.error_at(at, "has neither a password nor a credential", help);
            }
            _ => {}
        }
        let mut own = password.and_then(|value| secret(&value, SecretKind::Line).map(Arc::new));
        let account = credential.and_then(|name| self.account(&name));
        if own.is_none() {
            own = account.and_then(|account| account.password.clone());
        }
        let credential = account.map(|account| Arc::clone(&account.name));
        Some((
            own,
            credential,
            kerberos.map_or_else(Vec::new, |part| read_kerberos(&part)),
        ))
    }

    fn account(&mut self, credential: &Cursor<'t, '_>) -> Option<&Account<'t, 'p>> {
        let name = credential.text()?;
        if !is_name(name) {
            credential.error("invalid credential name", NAME_HELP);
            return None;
        }
        let number = self.account_numbers.get(name);
        let account = number.and_then(|number| self.accounts.get_mut(*number));
        match account {
            Some(account) => {
                account.is_used = true;
                return Some(account);
            }
            None if self.has_all_credentials => {
                let help = "Define it below `credentials`, or use the name of one that is.";
                credential.error("the credential is not defined", help);
            }
            None => {}
        }
        None
    }
}

/// The values of an endpoint: its password, the credential it comes from, and kerberos fields.
type Wanted = (Option<Arc<Secret>>, Option<Arc<str>>, Vec<(Field, Secret)>);

fn job_name<'t>(
    value: &Cursor<'t, '_>,
    number: usize,
    names: &mut JobNames<'t>,
) -> Option<Box<str>> {
    let name = value.text()?;
    if !is_name(name) {
        value.error("invalid job name", NAME_HELP);
        return None;
    }
    if may_show_id(name) {
        let help = "Choose a name that cannot be mistaken for an id.";
        value.error("the name looks like a job id", help);
        return None;
    }
    match names.entry(name) {
        hash_map::Entry::Occupied(first) => {
            let (first, second) = (first.get().0.at().line, value.node.at().line);
            let what = format!("two jobs have this name: line {first} and line {second}");
            value.error(what, "Rename one of them.");
        }
        hash_map::Entry::Vacant(free) => {
            free.insert((value.node, number));
        }
    }
    Some(name.into())
}

/// Compares the ids and names of all jobs.
fn compare_ids_and_names(list: &Cursor<'_, '_>, mut names: JobNames<'_>) {
    let ids = || list.node.pairs().map(|pair| pair.key);
    for (at, number) in ids().filter_map(|id| names.remove(id.scalar()?)) {
        let job = list.path.number(number);
        let what = "the name is also a job id";
        let help = "Choose a name that is not an id.";
        list.with_path(job.field("name"))
            .error_at(Some(at), what, help);
    }
    // Ids are lower case as a rule, so only the others are compared.
    let has_upper = |text: &str| text.bytes().any(|b| b.is_ascii_uppercase());
    if !ids().any(|id| id.scalar().is_some_and(has_upper)) {
        return;
    }
    let mut all = HashMap::new();
    for id in ids() {
        all.entry(id.scalar().unwrap_or_default()).or_insert(id);
    }
    let upper = all.iter().filter(|(text, _)| has_upper(text));
    let mut upper: Vec<_> = upper.map(|(text, id)| (id.start(), text, *id)).collect();
    upper.sort_unstable_by_key(|(start, ..)| *start);
    let mut seen: HashMap<String, Node<'_>> = HashMap::new();
    for (_, text, id) in upper {
        let lower = text.to_ascii_lowercase();
        let other = all.get(lower.as_str()).or_else(|| seen.get(&lower));
        if let Some(other) = other {
            let (first, second) = match id.start() < other.start() {
                true => (id, *other),
                false => (*other, id),
            };
            let what = format!(
                "two job ids differ only in letter case: line {} and line {}",
                first.at().line,
                second.at().line
            );
            let help = "If both mean the same job, keep the id that the console shows.";
            list.warning(second, what, help);
        }
        seen.entry(lower).or_insert(id);
    }
}

/// Returns the fields that are set, in the order of [`Field::KERBEROS`].
fn read_kerberos(part: &Cursor<'_, '_>) -> Vec<(Field, Secret)> {
    const HELP: &str = "Remove it, or give it at least one field.";
    if !is_map(part, HELP) {
        return Vec::new();
    }
    let names = Field::KERBEROS.map(|field| field.as_str().trim_start_matches("kerberos."));
    let fields = part.fields(names);
    if part.has_only(&fields) && fields.iter().all(Option::is_none) {
        part.error("has no fields", HELP);
    }
    let given = fields.iter().flatten().count();
    let mut list = Vec::with_capacity(given);
    for (field, value) in Field::KERBEROS.into_iter().zip(fields) {
        let value = value.and_then(|value| secret(&value, SecretKind::of(field)));
        list.extend(value.map(|value| (field, value)));
    }
    list
}

const SEALED_HELP: &str = "Only drspass writes this part; restore it from the encrypted manifest.";

fn read_sealed(part: &Cursor<'_, '_>) -> Option<Sealed> {
    const NAMES: [&str; 11] = [
        "fingerprint_key",
        "endpoint",
        "project_id",
        "auth_url",
        "recipients",
        "state",
        "index",
        "revision",
        "written",
        FORMER,
        MOVED_FROM,
    ];
    let [
        key,
        endpoint,
        project_id,
        auth_url,
        recipients,
        state,
        index,
        revision,
        written,
        former,
        moved_from,
    ] = sealed_fields(part, NAMES)?;
    let key = sealed_key(key);
    let endpoint = sealed_text(endpoint, |text| is_address(text) && !text.ends_with('/'));
    let project_id = sealed_text(project_id, is_project_id);
    let auth_url = sealed_text(auth_url, is_address);
    let written = sealed_text(written, is_written);
    let recipients = recipients.as_ref().and_then(Cursor::texts);
    let state = state.and_then(|value| read_place(&value, false));
    let moved_from = match moved_from {
        Some(place) => {
            let (place, floor) = read_place(&place, true)?;
            let floor = floor?;
            Some(MovedFrom { place, floor })
        }
        None => None,
    };
    let index = index.and_then(|value| value.flag());
    let revision = revision.and_then(|value| {
        let revision = value.number()?;
        if revision == 0 {
            value.error("must be 1 or more", SEALED_HELP);
        }
        Some(revision)
    });
    let former = match former {
        Some(former) => Some(read_former(&former)?),
        None => None,
    };
    Some(Sealed {
        fingerprint_key: key?,
        scope: Scope {
            endpoint: endpoint?,
            project_id: project_id?,
        },
        auth_url: auth_url?,
        recipients: recipients?.iter().map(Cursor::owned).collect(),
        state: state?.0,
        moved_from,
        index: index?,
        revision: revision?,
        written: written?.parse().ok()?,
        former,
    })
}

/// Reads a place, with its floor if it has one: a branch does, and so does a file from which the
/// state was moved.
fn read_place(part: &Cursor<'_, '_>, is_former: bool) -> Option<(SealedPlace, Option<Floor>)> {
    if !is_map(part, SEALED_HELP) {
        return None;
    }
    const NAMES: [&str; 5] = ["file", "repository", "branch", "lineage", "serial"];
    let fields = part.fields(NAMES);
    let is_file = fields[0].is_some();
    let has_floor = !is_file || is_former;
    let belongs = [is_file, !is_file, !is_file, has_floor, has_floor];
    for ((name, field), belongs) in NAMES.into_iter().zip(&fields).zip(belongs) {
        match field {
            None if belongs => part.missing(name, Some(part.key), SEALED_HELP),
            Some(field) if !belongs => field.error("does not belong to such a place", SEALED_HELP),
            _ => {}
        }
    }
    let [file, repository, branch, lineage, serial] = fields;
    let floor = match has_floor {
        true => Some(Floor {
            lineage: Lineage::new(sealed_text(lineage, is_printable)?),
            serial: serial?.number()?,
        }),
        false => None,
    };
    let place = match (file, &floor) {
        (None, Some(floor)) => SealedPlace::Branch {
            repository: sealed_text(repository, is_repository)?,
            branch: sealed_text(branch, is_branch)?,
            floor: floor.clone(),
        },
        (file, _) => SealedPlace::File(sealed_text(file, |text| state_path(text).is_ok())?),
    };
    Some((place, floor))
}

fn read_former(part: &Cursor<'_, '_>) -> Option<Former> {
    let names = ["fingerprint_key", "lineage", "serial", "state_sha256"];
    let [key, lineage, serial, state_sha256] = sealed_fields(part, names)?;
    Some(Former {
        fingerprint_key: sealed_key(key)?,
        lineage: Lineage::new(sealed_text(lineage, is_printable)?),
        serial: serial?.number()?,
        state_sha256: sealed_text(state_sha256, is_digest)?,
    })
}

/// The fields that only a rekey and a move add.
const FORMER: &str = "former";
const MOVED_FROM: &str = "moved_from";

fn sealed_fields<'t, 'p, const N: usize>(
    part: &'p Cursor<'t, '_>,
    names: [&'static str; N],
) -> Option<[Option<Cursor<'t, 'p>>; N]> {
    if !is_map(part, SEALED_HELP) {
        return None;
    }
    let fields = part.fields(names);
    for (name, field) in names.into_iter().zip(&fields) {
        if field.is_none() && ![FORMER, MOVED_FROM].contains(&name) {
            part.missing(name, Some(part.key), SEALED_HELP);
        }
    }
    Some(fields)
}

fn sealed_key(value: Option<Cursor<'_, '_>>) -> Option<FingerprintKey> {
    let value = value?;
    let text = secret(&value, SecretKind::Line)?;
    let key = FingerprintKey::from_base64(&text);
    if key.is_none() {
        value.error("is not 32 bytes in base64", SEALED_HELP);
    }
    key
}

fn sealed_text(value: Option<Cursor<'_, '_>>, is_good: fn(&str) -> bool) -> Option<String> {
    let value = value?;
    let text = value.text()?;
    if !is_good(text) {
        value.error("was not written by drspass", SEALED_HELP);
    }
    Some(text.to_owned())
}

/// Returns whether a text is a valid name of a job or a credential (design section 2.2).
pub fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(inner)
}

/// Returns whether a key is surely an id and not a misplaced password.
fn may_show_id(text: &str) -> bool {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        JobId::is_usual_shape(&text.to_ascii_lowercase())
    } else {
        JobId::is_usual_shape(text)
    }
}
