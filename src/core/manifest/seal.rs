//! The `sealed` part as text: replacing it in a document, and the manifest of a new environment.

use std::fmt::Write as _;
use std::ops::Range;

use zeroize::Zeroizing;

use super::read::is_name;
use super::{Manifest, Sealed, Sealing, parse};
use crate::core::inventory::{JobDatabase, ListedJob, TakenNames, name_stem, propose_credentials};
use crate::core::job::{Endpoint, JobId};
use crate::core::place::{Floor, SealedPlace};
use crate::core::problem::{Checked, Problem, Severity};
use crate::core::yaml::{self, Cursor, quote, split_mark};

/// Returns the text with its `sealed` part replaced, or inserted after `version`. All other bytes
/// are unchanged, line ends included.
pub fn seal(text: &str, sealed: &Sealed) -> Result<Zeroizing<String>, Vec<Problem>> {
    let (mark, document) = split_mark(text);
    let Checked { value, problems } = yaml::read(document, place);
    let Some(place) = value else {
        return Err(problems);
    };
    let line_end = line_end_of(document, &place);
    let (before, after) = (&document[..place.bytes.start], &document[place.bytes.end..]);
    let needs_break = !before.is_empty() && !before.ends_with(['\n', '\r']);
    let block = block(sealed, place.indent, line_end);
    let room = text.len() + block.len() + line_end.len();
    let mut out = Zeroizing::new(String::with_capacity(room));
    for part in [
        mark,
        before,
        if needs_break { line_end } else { "" },
        &block,
        after,
    ] {
        out.push_str(part);
    }
    let Checked { value, problems } =
        parse(out.strip_prefix(mark).unwrap_or(&out), Sealing::Required);
    match value {
        Some(Manifest {
            sealed: Some(read), ..
        }) if read.revision == sealed.revision => Ok(out),
        _ => Err(problems
            .into_iter()
            .filter(|problem| problem.severity == Severity::Error)
            .collect()),
    }
}

/// Returns the sealed manifest of a new root directory, with an example in comments or with the
/// jobs of a project, ready to be filled in.
pub fn skeleton(sealed: &Sealed, jobs: Option<&[ListedJob]>) -> Zeroizing<String> {
    const HEAD: &str = "\
# Passwords of DRS jobs. To change them, run `drspass edit` or `drspass set`.
# Write every password in quotes or as a `|-` block.
version: 1

# Written by drspass: do not change.
";
    const TAIL: &str = r#"
# A database account that several endpoints share:
#
# credentials:
#   orders-db: { password: "..." }

# Jobs by id. drspass does not touch endpoints that are not listed.
#
# jobs:
#   25df459d-a37c-41b9-bc2b-8c00ba32jb52:
#     name: orders-cdc
#     source: { credential: orders-db }
#     destination:
#       password: "..."
jobs: {}
"#;
    let block = block(sealed, 0, "\n");
    let tail = jobs.map_or_else(|| TAIL.to_owned(), listed);
    let mut out = Zeroizing::new(String::with_capacity(HEAD.len() + block.len() + tail.len()));
    for part in [HEAD, &block, &tail] {
        out.push_str(part);
    }
    out
}

struct SealedLines {
    /// Whole lines; empty if the part is missing.
    bytes: Range<usize>,
    /// The indentation of the outermost keys.
    indent: usize,
}

fn place(root: &Cursor<'_, '_>) -> Option<SealedLines> {
    if root.node.is_flow() {
        let help = "Write `version: 1` on the first line, and each other key on its own.";
        root.error_at(None, "the document is a mapping in braces", help);
        return None;
    }
    let [version, sealed, _, _] = root.fields(["version", "sealed", "credentials", "jobs"]);
    if version.is_none() && sealed.is_none() {
        root.missing("version", None, "Begin with `version: 1`.");
    }
    let field = sealed.or(version)?;
    let lines = lines(root.document(), field.key.start(), field.node.end());
    Some(SealedLines {
        bytes: match sealed {
            Some(_) => lines,
            None => lines.end..lines.end,
        },
        indent: field.key.at().column - 1,
    })
}

/// Returns whole lines, from the one that contains `start` to the one with the last visible
/// character before `end`.
fn lines(document: &str, start: usize, end: usize) -> Range<usize> {
    let last = start + document[start..end.max(start)].trim_end().len();
    yaml::line_start(document, start)..yaml::next_line(document, last)
}

/// Returns the line end that the document uses there.
fn line_end_of(document: &str, place: &SealedLines) -> &'static str {
    let before = &document[..place.bytes.end];
    let document = if before.contains(['\n', '\r']) {
        before
    } else {
        document
    };
    match document.rfind(['\n', '\r']) {
        Some(at) if document[..=at].ends_with("\r\n") => "\r\n",
        Some(at) if document[at..].starts_with('\r') => "\r",
        _ => "\n",
    }
}

fn block(sealed: &Sealed, indent: usize, line_end: &str) -> Zeroizing<String> {
    let key = sealed.fingerprint_key.to_base64();
    let written = sealed.written();
    let former = sealed.former.as_ref();
    let former_key = former.map(|former| former.fingerprint_key.to_base64());
    let names = [
        ("fingerprint_key", key.expose()),
        ("endpoint", &sealed.scope.endpoint),
        ("project_id", &sealed.scope.project_id),
        ("auth_url", &sealed.auth_url),
    ];
    let recipients: usize = sealed.recipients.iter().map(String::len).sum();
    let longest_escape = 10;
    let lines = names.len() + sealed.recipients.len() + 20;
    let texts: usize = names.iter().map(|(_, text)| text.len()).sum();
    // Enough room for any text: a growing buffer would leave copies of the key behind.
    let floor = |place: &SealedPlace| place.floor().cloned();
    let mut places = vec![("state:", &sealed.state, floor(&sealed.state))];
    if let Some(from) = &sealed.moved_from {
        places.push(("moved_from:", &from.place, Some(from.floor.clone())));
    }
    let place_bytes = places.iter().map(|(_, place, floor)| {
        let lineage = floor
            .as_ref()
            .map_or(0, |floor| floor.lineage.as_str().len());
        place.name().len() + lineage
    });
    let texts = texts + recipients + written.len() + place_bytes.sum::<usize>();
    let texts = texts + former.map_or(0, |former| former.lineage.as_str().len() + 128);
    let room = texts * longest_escape + lines * (indent + 40);
    let mut out = Zeroizing::new(String::with_capacity(room));
    let mut line = |depth: usize, name: &str, text: Option<&str>| {
        for _ in 0..indent + depth {
            out.push(' ');
        }
        out.push_str(name);
        if let Some(text) = text {
            quote(text, &mut out);
        }
        out.push_str(line_end);
    };
    line(0, "sealed:", None);
    for (name, text) in names {
        line(2, &format!("{name}: "), Some(text));
    }
    line(2, "recipients:", None);
    for recipient in &sealed.recipients {
        line(4, "- ", Some(recipient));
    }
    for (name, place, floor) in places {
        line(2, name, None);
        match place {
            SealedPlace::File(path) => line(4, "file: ", Some(path)),
            SealedPlace::Branch {
                repository, branch, ..
            } => {
                line(4, "repository: ", Some(repository));
                line(4, "branch: ", Some(branch));
            }
        }
        if let Some(Floor { lineage, serial }) = floor {
            line(4, "lineage: ", Some(lineage.as_str()));
            line(4, &format!("serial: {serial}"), None);
        }
    }
    line(2, &format!("index: {}", sealed.index), None);
    line(2, &format!("revision: {}", sealed.revision), None);
    line(2, "written: ", Some(&written));
    if let (Some(former), Some(key)) = (former, &former_key) {
        line(2, "former:", None);
        line(4, "fingerprint_key: ", Some(key.expose()));
        line(4, "lineage: ", Some(former.lineage.as_str()));
        line(4, &format!("serial: {}", former.serial), None);
        line(4, "state_sha256: ", Some(&former.state_sha256));
    }
    out
}

/// The length of an id's first group, which names a job that has no name.
const ID_CHARS: usize = 8;

/// Returns the keys `credentials` and `jobs` for these jobs. Jobs that accept no password are only
/// named in a comment.
pub fn listed(jobs: &[ListedJob]) -> String {
    let (parents, jobs): (Vec<&ListedJob>, Vec<&ListedJob>) =
        jobs.iter().partition(|job| job.is_dual_active_parent);
    let proposals = propose_credentials(jobs.iter().copied());
    let mut out = String::new();
    if !proposals.credentials.is_empty() {
        out.push_str(
            "\n# The database accounts of the jobs, one credential each. To set a password, uncomment\n\
             # its credential here or import it, and uncomment the endpoints that use it.\n#\n\
             # credentials:\n",
        );
    }
    for (name, database) in &proposals.credentials {
        let (name, database) = (quoted(name), comment(database));
        let _ = writeln!(out, "#   {name}: {{ password: \"...\" }}{database}");
    }
    out.push_str(
        "\n# Every job of the project. drspass does not touch endpoints that are not listed.\n",
    );
    for parent in parents {
        let _ = writeln!(
            out,
            "# {} is the parent of a dual-active pair: its subtasks have the passwords.",
            parent.id
        );
    }
    if jobs.is_empty() {
        out.push_str("jobs: {}\n");
        return out;
    }
    out.push_str("jobs:\n");
    // A name must be unique, and not the id of a job.
    let mut names = TakenNames::default();
    for job in &jobs {
        names.take(job.id.as_str());
    }
    for job in jobs {
        let called = job.name.as_ref().map_or("", |name| name.as_str());
        let name = names.fresh(&job_stem(called, &job.id));
        let (id, quoted_name) = (quoted(job.id.as_str()), quoted(&name));
        let _ = write!(out, "  {id}:\n    name: {quoted_name}");
        if name != called && !called.is_empty() {
            let _ = write!(out, " # called {called}");
        }
        out.push('\n');
        let status = job.status.as_ref();
        let status = status.map_or_else(|| "state unknown".to_owned(), ToString::to_string);
        let _ = writeln!(out, "    # {}, {status}", job.use_type.as_str());
        for endpoint in Endpoint::ALL {
            let database = job.database(endpoint);
            let secret = match proposals.name_of(database) {
                Some(name) => format!("credential: {}", quoted(name)),
                None => "password: \"...\"".to_owned(),
            };
            let (endpoint, comment) = (endpoint.as_str(), comment(database));
            let _ = writeln!(out, "    # {endpoint}: {{ {secret} }}{comment}");
        }
    }
    out
}

/// Returns a job's name in the characters of names, or one made from its id.
fn job_stem(called: &str, id: &JobId) -> String {
    let stem = name_stem(called);
    if is_name(&stem) && !JobId::is_usual_shape(&stem) {
        return stem;
    }
    let start: String = id.as_str().chars().take(ID_CHARS).collect();
    format!("job-{start}")
}

/// Describes a database in a comment at the end of a line.
fn comment(database: &JobDatabase) -> String {
    if database.is_unknown() {
        return String::new();
    }
    let JobDatabase {
        db_type,
        address,
        port,
        user,
    } = database;
    let parts = [db_type, address, port, user].into_iter().flatten();
    let known: Vec<&str> = parts.map(|part| part.as_str()).collect();
    format!(" # {}", known.join(", "))
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    quote(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::inventory::UseType;
    use crate::core::redact::ForeignText;
    use crate::core::status::{JobStatus, ReportedStatus};

    fn job(id: &str, name: &str, user: &str) -> ListedJob {
        let database = JobDatabase {
            db_type: ForeignText::clean("mysql"),
            address: ForeignText::clean("10.0.0.1\n# jobs"),
            port: ForeignText::clean("3306"),
            user: ForeignText::clean(user),
        };
        ListedJob {
            id: JobId::parse(id).unwrap(),
            name: ForeignText::clean(name),
            status: Some(ReportedStatus::Known(JobStatus::IncreTransferStarted)),
            use_type: UseType::Sync,
            engine: None,
            parent: None,
            is_dual_active_parent: false,
            source: database,
            destination: JobDatabase::default(),
        }
    }

    #[test]
    fn the_list_is_a_manifest_that_sets_nothing_until_it_is_filled_in() {
        let jobs = [
            job("25df459d-a37c-41b9-bc2b-8c00ba32jb52", "orders-cdc", "repl"),
            job("1e400", "orders-cdc", "repl"),
            job("7", "a job: \"x\" #", "other"),
        ];
        let text = listed(&jobs);
        let manifest = crate::core::manifest::parse(
            &format!("version: 1\n{text}"),
            crate::core::manifest::Sealing::Optional,
        );
        let manifest = manifest.value.unwrap_or_else(|| panic!("{text}"));
        assert!(manifest.assignments().is_empty());
        // Filled in, it sets what it names.
        let filled = text
            .replace("# credentials:", "credentials:")
            .replace("#   \"", "  \"")
            .replace("    # source", "    source")
            .replace("\"...\"", "\"canary-1\"");
        let manifest = crate::core::manifest::parse(
            &format!("version: 1\n{filled}"),
            crate::core::manifest::Sealing::Optional,
        );
        let manifest = manifest.value.unwrap_or_else(|| panic!("{filled}"));
        let credentials: Vec<_> = manifest
            .assignments()
            .iter()
            .map(|assignment| assignment.credential.as_deref().unwrap_or_default())
            .collect();
        assert_eq!(
            credentials,
            [
                "repl-10.0.0.1-n--jobs",
                "repl-10.0.0.1-n--jobs",
                "other-10.0.0.1-n--jobs"
            ]
        );
        let labels: Vec<_> = manifest
            .assignments()
            .iter()
            .map(|a| a.label.as_str())
            .collect();
        assert_eq!(
            labels,
            [
                "orders-cdc/source",
                "orders-cdc-2/source",
                "a-job---x---/source"
            ]
        );
    }
}
