//! The index of a manifest: everything but its secrets, with a tag in place of each, for people
//! without a key.
//!
//! It has no code of its own: it belongs to a manifest if it is, byte for byte, what [`render`]
//! makes of it. Without the key, [`parse`] accepts nothing but that form, so that no one can add a
//! comment or a name that misleads a reviewer.

use std::fmt::Write as _;

use super::config::{Config, is_address, is_project_id};
use super::fingerprint::{Field, KeyId, Scope, is_digest, is_tag};
use super::job::{Endpoint, JobId};
use super::manifest::{Manifest, Sealed, is_name, is_written};
use super::place::is_place_name;
use super::problem::Problem;
use super::recipients::{Difference, Stanza, misfit};
use super::state::ManifestDigest;
use super::target::Target;
use super::yaml::{self, Cursor, quote, reads_as_other_type};

const COMMENT: &str = "\
# Written by drspass whenever it writes the manifest, whose names it lists without passwords.
# A tag shows only that a password changed, or that a former one came back. Do not edit.
";
const FORMAT: &str = "drspass.index/1";

/// What an index says of its manifest as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexHead {
    pub digest: ManifestDigest,
    pub revision: u64,
    pub written: String,
    pub key_id: KeyId,
    pub scope: Scope,
    pub auth_url: String,
    pub state: String,
    pub recipients: Vec<String>,
}

impl IndexHead {
    pub fn of(sealed: &Sealed, digest: &ManifestDigest) -> Self {
        Self {
            digest: digest.clone(),
            revision: sealed.revision,
            written: sealed.written(),
            key_id: sealed.fingerprint_key.id(),
            scope: sealed.scope.clone(),
            auth_url: sealed.auth_url.clone(),
            state: sealed.state.name(),
            recipients: sealed.recipients.clone(),
        }
    }

    /// Returns the lines that name the manifest, with which an index starts.
    pub fn start(&self) -> String {
        let Self {
            revision, written, ..
        } = self;
        let (digest, key_id) = (self.digest.as_str(), &self.key_id);
        format!(
            "{COMMENT}format: {FORMAT}\nmanifest: {{ sha256: \"{digest}\", revision: {revision}, \
             written: \"{written}\", key_id: \"{key_id}\" }}\n"
        )
    }

    fn render(&self) -> String {
        let mut out = self.start();
        let Scope {
            endpoint,
            project_id,
        } = &self.scope;
        let _ = writeln!(
            out,
            "target:\n  endpoint: {}\n  project_id: {}\n  auth_url: {}\n  state: {}\nrecipients:",
            plain(endpoint),
            quoted(project_id),
            plain(&self.auth_url),
            plain(&self.state)
        );
        for recipient in &self.recipients {
            let _ = writeln!(out, "  - {}", quoted(recipient));
        }
        out
    }

    /// Returns what does not fit the files next to the index.
    pub fn misfits(
        &self,
        manifest: &ManifestDigest,
        stanzas: &[Stanza],
        config: &Config,
        target: &Target,
    ) -> Vec<Problem> {
        const RENEW: &str =
            "Write it again with 'drspass index --write', and commit it with the manifest.";
        const UNDO: &str = "Undo the change of drspass.yaml, or have someone who can read the manifest run 'drspass rekey' ('drspass state move' for another place of the state).";
        let mut problems = Vec::new();
        if self.digest != *manifest {
            let what = "belongs to another manifest";
            problems.push(Problem::error("manifest.sha256", None, what, RENEW));
        }
        let state = match config.state.may_be(&self.state) {
            true => self.state.clone(),
            false => config.state.to_string(),
        };
        for (field, here, there) in [
            ("endpoint", &self.scope.endpoint, &*target.scope.endpoint),
            (
                "project_id",
                &self.scope.project_id,
                &target.scope.project_id,
            ),
            ("auth_url", &self.auth_url, &target.auth_url),
            ("state", &self.state, &state),
        ] {
            if here != there {
                let what = format!("is {here}, but drspass.yaml says {there}");
                let path = format!("target.{field}");
                problems.push(Problem::error(path, None, what, UNDO));
            }
        }
        let change = Difference::between(&self.recipients, &config.recipients);
        if !change.is_none() {
            let what = format!("differ from drspass.yaml: {}", change.in_line());
            problems.push(Problem::error("recipients", None, what, UNDO));
        }
        if let Some(what) = misfit(&self.recipients, stanzas) {
            let help = "The manifest was encrypted without drspass, or is not the one of this index. Find out who changed it.";
            problems.push(Problem::error("recipients", None, what, help));
        }
        problems
    }
}

/// Returns the index of a manifest, whose file has this digest.
pub fn render(manifest: &Manifest, sealed: &Sealed, digest: &ManifestDigest) -> String {
    let tagger = sealed.fingerprint_key.tagger(&sealed.scope);
    let mut out = IndexHead::of(sealed, digest).render();
    let credentials = manifest.credentials().iter().map(|credential| {
        let place = format!("@{}", credential.name);
        let tag = tagger.of(&place, Field::Password, &credential.password);
        (&*credential.name, tag)
    });
    write_credentials(&mut out, credentials);
    // Entries come in the order of the jobs, so one pass goes through both.
    let mut entries = manifest.assignments().iter().peekable();
    let jobs = manifest.jobs().iter().map(|job| {
        let mut endpoints = Vec::with_capacity(2);
        while let Some(entry) = entries.next_if(|entry| entry.key.job == job.id) {
            let place = entry.key.to_string();
            let values = entry
                .values()
                .map(|(field, value)| match &entry.credential {
                    Some(name) if field == Field::Password => credential(name),
                    _ => tagged(field, &tagger.of(&place, field, value)),
                });
            endpoints.push((entry.key.endpoint, values.collect()));
        }
        (job.id.as_str(), job.name.as_deref(), endpoints)
    });
    write_jobs(&mut out, jobs);
    out
}

/// A job's id and name, and the lines of its endpoints.
type IndexedJob<'a> = (&'a str, Option<&'a str>, Vec<(Endpoint, Vec<String>)>);

fn credential(name: &str) -> String {
    format!("credential: {}", plain(name))
}

fn tagged(field: Field, tag: &str) -> String {
    format!("{field}: \"{tag}\"")
}

fn write_credentials<'a>(out: &mut String, list: impl Iterator<Item = (&'a str, String)>) {
    for (number, (name, tag)) in list.enumerate() {
        if number == 0 {
            out.push_str("credentials:\n");
        }
        let value = tagged(Field::Password, &tag);
        let _ = writeln!(out, "  {}: {{ {value} }}", plain(name));
    }
}

fn write_jobs<'a>(out: &mut String, list: impl Iterator<Item = IndexedJob<'a>>) {
    let mut list = list.peekable();
    if list.peek().is_none() {
        out.push_str("jobs: {}\n");
        return;
    }
    out.push_str("jobs:\n");
    for (id, name, endpoints) in list {
        let is_empty = name.is_none() && endpoints.is_empty();
        let _ = writeln!(out, "  {}:{}", plain(id), if is_empty { " {}" } else { "" });
        if let Some(name) = name {
            let _ = writeln!(out, "    name: {}", plain(name));
        }
        for (endpoint, values) in &endpoints {
            let endpoint = endpoint.as_str();
            if let [value] = values.as_slice() {
                let _ = writeln!(out, "    {endpoint}: {{ {value} }}");
                continue;
            }
            let _ = writeln!(out, "    {endpoint}:");
            for value in values {
                let _ = writeln!(out, "      {value}");
            }
        }
    }
}

/// Returns a text without quotes where every reader takes it for this text.
fn plain(text: &str) -> String {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._/:".contains(&b);
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(fits)
        && !text.ends_with(':')
        && !reads_as_other_type(text);
    if is_plain {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// Returns a text in quotes and in ASCII alone, so that no two texts look alike.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote(text, &mut out);
    if out.is_ascii() {
        return out;
    }
    out.chars().fold(String::new(), |mut ascii, c| {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            let _ = write!(ascii, "\\U{:08x}", u32::from(c));
        }
        ascii
    })
}

/// Parses an index, which must be as drspass writes it.
///
/// # Errors
/// The first line that is not.
pub fn parse(bytes: &[u8]) -> Result<IndexHead, usize> {
    let line_of = |at: usize| 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
    let is_odd = |byte: &u8| !matches!(byte, b'\n' | b' '..=b'~');
    if let Some(at) = bytes.iter().position(is_odd) {
        return Err(line_of(at));
    }
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let checked = yaml::read(text, |root| {
        let index = read(root);
        if index.is_none() {
            root.error_at(None, "is not an index", "");
        }
        index
    });
    let Some((head, rendered)) = checked.value else {
        let at = checked.problems.iter().find_map(|problem| problem.at);
        return Err(at.map_or(1, |at| at.line));
    };
    if let Some(line) = first_difference(bytes, rendered.as_bytes()) {
        return Err(line);
    }
    Ok(head)
}

/// Returns the first line in which two texts differ.
pub fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    if one == other {
        return None;
    }
    let is_end = |byte: &u8| *byte == b'\n';
    let lines = one.split(is_end).zip(other.split(is_end));
    Some(1 + lines.take_while(|(one, other)| one == other).count())
}

fn read(root: &Cursor<'_, '_>) -> Option<(IndexHead, String)> {
    let [format, manifest, target, recipients, credentials, jobs] = root.fields([
        "format",
        "manifest",
        "target",
        "recipients",
        "credentials",
        "jobs",
    ]);
    fit(format, |text| text == FORMAT)?;
    let manifest = manifest.filter(is_map)?;
    let [sha256, revision, written, key_id] =
        manifest.fields(["sha256", "revision", "written", "key_id"]);
    let target = target.filter(is_map)?;
    let [endpoint, project_id, auth_url, state] =
        target.fields(["endpoint", "project_id", "auth_url", "state"]);
    let recipients = recipients?;
    let head = IndexHead {
        digest: ManifestDigest::parse(fit(sha256, is_digest)?)?,
        revision: revision?.number()?,
        written: fit(written, is_written)?.to_owned(),
        key_id: KeyId::parse(fit(key_id, |text| KeyId::parse(text).is_some())?)?,
        scope: Scope {
            endpoint: fit(endpoint, is_address)?.to_owned(),
            project_id: fit(project_id, is_project_id)?.to_owned(),
        },
        auth_url: fit(auth_url, is_address)?.to_owned(),
        state: fit(state, is_place_name)?.to_owned(),
        recipients: recipients.texts()?.iter().map(Cursor::owned).collect(),
    };
    let mut out = head.render();
    let mut accounts = Vec::new();
    if let Some(list) = credentials.as_ref().filter(|list| is_map(list)) {
        for (_, entry) in list.entries(|path, _, number, _| path.number(number)) {
            let entry = Some(entry).filter(is_map)?;
            let [password] = entry.fields(["password"]);
            let tag = fit(password, is_tag)?;
            accounts.push((name(&entry, is_name)?, tag.to_owned()));
        }
    }
    write_credentials(&mut out, accounts.into_iter());
    let mut list = Vec::new();
    let jobs = jobs.filter(is_map)?;
    for (_, job) in jobs.entries(|path, _, number, _| path.number(number)) {
        list.push(read_job(&job)?);
    }
    write_jobs(&mut out, list.into_iter());
    Some((head, out))
}

fn read_job<'t>(job: &Cursor<'t, '_>) -> Option<IndexedJob<'t>> {
    let job = Some(*job).filter(is_map)?;
    let [title, source, destination] = job.fields(["name", "source", "destination"]);
    let title = match title {
        Some(title) => Some(fit(Some(title), is_name)?),
        None => None,
    };
    let mut endpoints = Vec::new();
    for (endpoint, part) in Endpoint::ALL.into_iter().zip([source, destination]) {
        if let Some(part) = part {
            endpoints.push((endpoint, read_endpoint(&part)?));
        }
    }
    let id = name(&job, |id| JobId::parse(id).is_ok())?;
    Some((id, title, endpoints))
}

fn read_endpoint(part: &Cursor<'_, '_>) -> Option<Vec<String>> {
    let part = Some(*part).filter(is_map)?;
    let [first, second, third, fourth] = Field::KERBEROS.map(Field::as_str);
    let [account, password, kerberos @ ..] =
        part.fields(["credential", "password", first, second, third, fourth]);
    let mut values = Vec::new();
    match (account, password) {
        (Some(account), None) => values.push(credential(fit(Some(account), is_name)?)),
        (None, password) => values.push(tagged(Field::Password, fit(password, is_tag)?)),
        (Some(account), _) => account.error("is next to a password", ""),
    }
    for (field, value) in Field::KERBEROS.into_iter().zip(kerberos) {
        if value.is_some() {
            values.push(tagged(field, fit(value, is_tag)?));
        }
    }
    Some(values)
}

fn is_map(value: &Cursor<'_, '_>) -> bool {
    if !value.node.is_map() {
        value.error("is not a mapping", "");
    }
    value.node.is_map()
}

fn fit<'t>(value: Option<Cursor<'t, '_>>, is_good: fn(&str) -> bool) -> Option<&'t str> {
    let value = value?;
    let text = value.text()?;
    if !is_good(text) {
        value.error("is malformed", "");
        return None;
    }
    Some(text)
}

fn name<'t>(entry: &Cursor<'t, '_>, is_good: fn(&str) -> bool) -> Option<&'t str> {
    let text = entry.name();
    if !is_good(text) {
        entry.error_at(Some(entry.key), "is malformed", "");
        return None;
    }
    Some(text)
}

#[cfg(test)]
mod tests;
