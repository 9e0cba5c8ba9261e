//! A manifest as a diff of git shows it: one line for each value, a tag in its place.
//!
//! Lines of jobs and credentials begin at the margin and those of their values do not,
//! so that git names the job above each change.

use std::fmt::Write as _;

use crate::core::report::{Outline, Outlined, Veiled};

/// The manifest, without its values.
pub fn outline(outline: &Outline) -> String {
    let mut text =
        "drspass manifest; a tag of 8 digits shows only that a value changed\n".to_owned();
    let [endpoint, project, auth_url] = &outline.target;
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "revision: {}\nkey id: {}\nendpoint: {}\nproject: {}\nidentity service: {}\n",
        outline.revision,
        outline.key_id,
        endpoint.as_str(),
        project.as_str(),
        auth_url.as_str(),
    );
    for recipient in &outline.recipients {
        let _ = writeln!(text, "recipient: {}", recipient.as_str());
    }
    for (name, tag) in &outline.credentials {
        let _ = write!(text, "credential @{name}\n  @{name} password: {tag}\n");
    }
    for job in &outline.jobs {
        let _ = match &job.name {
            Some(name) => writeln!(text, "job {name} ({})", job.id),
            None => writeln!(text, "job {}", job.id),
        };
        for value in &job.values {
            let label = &value.label;
            let _ = match &value.value {
                Outlined::Own(field, tag) => writeln!(text, "  {label} {field}: {tag}"),
                Outlined::Shared(name) => writeln!(text, "  {label} credential: {name}"),
            };
        }
    }
    text
}

/// The line that stands for a file of which nothing is shown.
pub const fn veiled(why: Veiled) -> &'static str {
    match why {
        Veiled::Unreadable => "drspass: nothing is shown: no file that can be read\n",
        Veiled::Plain => "drspass: nothing is shown: not encrypted\n",
        Veiled::Conflict => "drspass: nothing is shown: conflict marks of an unresolved merge\n",
        Veiled::Damaged => "drspass: nothing is shown: no whole age file for recipients\n",
        Veiled::NoIdentity => "drspass: nothing is shown: no identity at hand opens it\n",
        Veiled::Locked => {
            "drspass: nothing is shown: the identity needs a passphrase or a plugin\n"
        }
        Veiled::Invalid => "drspass: nothing is shown: not a valid sealed manifest\n",
    }
}
