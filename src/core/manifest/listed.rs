//! The part of a new manifest that lists the jobs of a project, to be filled in.
//!
//! Endpoints stand in comments, since no password is known yet: an endpoint that
//! is not listed is left alone.

use std::fmt::Write as _;

use super::read::is_name;
use crate::core::inventory::{Database, ListedJob, Names, name_stem, propose_credentials};
use crate::core::job::{Endpoint, JobId};
use crate::core::yaml::quote;

/// So much of a job's id stands in the name of one that has no name: its first group.
const ID_CHARS: usize = 8;

/// The keys `credentials` and `jobs` for these jobs. Jobs that take no password are
/// left out and named in a comment.
pub(super) fn listed(jobs: &[ListedJob]) -> String {
    let (parents, jobs): (Vec<&ListedJob>, Vec<&ListedJob>) =
        jobs.iter().partition(|job| job.is_dual_active_parent);
    let proposals = propose_credentials(jobs.iter().copied());
    let mut out = String::new();
    if !proposals.credentials.is_empty() {
        out.push_str(
            "\n# One name for each database account that the jobs use. Take the comment signs\n\
             # away where a password is filled in, here and at the endpoints that use it.\n#\n\
             # credentials:\n",
        );
    }
    for (name, database) in &proposals.credentials {
        let _ = writeln!(
            out,
            "#   {}: {{ password: \"...\" }}{}",
            quoted(name),
            comment(database)
        );
    }
    out.push_str("\n# Every job of the project. An endpoint that is not listed is left alone.\n");
    for parent in parents {
        let _ = writeln!(
            out,
            "# {} is the parent of a dual-active pair: its subtasks hold the passwords.",
            parent.id
        );
    }
    if jobs.is_empty() {
        out.push_str("jobs: {}\n");
        return out;
    }
    out.push_str("jobs:\n");
    // A name may not be the id of a job, nor stand twice.
    let mut names = Names::default();
    for job in &jobs {
        names.take(job.id.as_str());
    }
    for job in jobs {
        let called = job.name.as_ref().map_or("", |name| name.as_str());
        let name = names.fresh(&job_stem(called, &job.id));
        let _ = write!(
            out,
            "  {}:\n    name: {}",
            quoted(job.id.as_str()),
            quoted(&name)
        );
        if name != called && !called.is_empty() {
            let _ = write!(out, " # called {called}");
        }
        out.push('\n');
        let status = job.status.as_ref();
        let status = status.map_or_else(|| "state not told".to_owned(), ToString::to_string);
        let _ = writeln!(out, "    # {}, {status}", job.use_type.as_str());
        for endpoint in Endpoint::ALL {
            let database = job.database(endpoint);
            let secret = match proposals.name_of(&job.id, endpoint) {
                Some(name) => format!("credential: {}", quoted(name)),
                None => "password: \"...\"".to_owned(),
            };
            let _ = writeln!(
                out,
                "    # {}: {{ {secret} }}{}",
                endpoint.as_str(),
                comment(database)
            );
        }
    }
    out
}

/// The name of a job in the spelling of names.
fn job_stem(called: &str, id: &JobId) -> String {
    let stem = name_stem(called);
    if is_name(&stem) && !JobId::is_usual_shape(&stem) {
        return stem;
    }
    let start: String = id.as_str().chars().take(ID_CHARS).collect();
    format!("job-{start}")
}

/// What is known of a database, as the end of a line that is a comment.
fn comment(database: &Database) -> String {
    if database.is_unknown() {
        return String::new();
    }
    let parts = [
        &database.db_type,
        &database.address,
        &database.port,
        &database.user,
    ];
    let told: Vec<&str> = parts
        .into_iter()
        .flatten()
        .map(|part| part.as_str())
        .collect();
    format!(" # {}", told.join(", "))
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
    use crate::core::status::{JobStatus, ToldStatus};

    fn job(id: &str, name: &str, user: &str) -> ListedJob {
        let database = Database {
            db_type: ForeignText::clean("mysql"),
            address: ForeignText::clean("10.0.0.1\n# jobs"),
            port: ForeignText::clean("3306"),
            user: ForeignText::clean(user),
        };
        ListedJob {
            id: JobId::parse(id).unwrap(),
            name: ForeignText::clean(name),
            status: Some(ToldStatus::Known(JobStatus::IncreTransferStarted)),
            use_type: UseType::Sync,
            engine: None,
            parent: None,
            is_dual_active_parent: false,
            source: database,
            destination: Database::default(),
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
