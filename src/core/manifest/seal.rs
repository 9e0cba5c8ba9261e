//! The `sealed` part as text: how it is put into a document whose other bytes
//! stay as they are, and the document that a new root folder starts with.

use std::ops::Range;

use zeroize::Zeroizing;

use super::listed::listed;
use super::{Manifest, Sealed, Sealing, parse};
use crate::core::inventory::ListedJob;
use crate::core::problem::{Checked, Problem, Severity};
use crate::core::yaml::{Fields, Path, Read, Reader, Root, quote, split_mark};

/// The text with its `sealed` part replaced, or put in after `version`; every
/// other byte stays as it is, line ends included.
///
/// Fails with all problems if the outcome is not a manifest: because `text` is
/// none, or because it is written in braces instead of on lines.
pub fn seal(text: &str, sealed: &Sealed) -> Result<Zeroizing<String>, Vec<Problem>> {
    let (mark, document) = split_mark(text);
    let mut yaml = Reader::new(document);
    let place = place(&mut yaml);
    let Checked { value, problems } = yaml.finish(place);
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

/// The manifest of a new root folder: sealed, and with an example in comments; or
/// with the jobs of a project, to be filled in.
pub fn skeleton(sealed: &Sealed, jobs: Option<&[ListedJob]>) -> Zeroizing<String> {
    const HEAD: &str = "\
# Passwords that DRS jobs shall have. To change them: `drspass edit`, or one by
# one with `drspass set`. Every password stands in quotes, or in a `|-` block.
version: 1

# Written by the tool: do not change.
";
    const TAIL: &str = r#"
# One database account that many endpoints use:
#
# credentials:
#   orders-db: { password: "..." }

# Every job by its id. An endpoint that is not listed is left alone.
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

/// Where the `sealed` part stands or shall stand.
struct Place {
    /// Whole lines; empty if there is none yet.
    bytes: Range<usize>,
    /// How far the outermost keys are indented.
    indent: usize,
}

fn place(yaml: &mut Reader<'_>) -> Read<Option<Place>> {
    let Root::Map { is_flow } = yaml.open()? else {
        return Ok(None);
    };
    let root = Path::ROOT;
    if is_flow {
        let help = "Write `version: 1` on the first line, and each other key on its own.";
        yaml.error(&root, None, "the document is written in braces", help)?;
        return Ok(None);
    }
    let mut version = None;
    let mut sealed = None;
    let mut fields = Fields::new(&["version", "sealed", "credentials", "jobs"]);
    while let Some(field) = fields.next(yaml, &root)? {
        let indent = field.at.column - 1;
        yaml.skip(field.value)?;
        let lines = lines(yaml.document(), field.start, yaml.end());
        match field.name {
            "version" => version = Some((lines.end..lines.end, indent)),
            "sealed" => sealed = Some((lines, indent)),
            _ => {}
        }
    }
    yaml.close()?;
    let Some((bytes, indent)) = sealed.or(version) else {
        yaml.error(
            &root.field("version"),
            None,
            "is missing",
            "Begin with `version: 1`.",
        )?;
        return Ok(None);
    };
    Ok(Some(Place { bytes, indent }))
}

/// The whole lines from the one that holds `start` to the one that holds the
/// last character before `end` that is not blank.
fn lines(document: &str, start: usize, end: usize) -> Range<usize> {
    let first = document[..start].rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let last = start + document[start..end.max(start)].trim_end().len();
    let rest = &document[last..];
    let after = match rest.find(['\n', '\r']) {
        None => document.len(),
        Some(at) if rest[at..].starts_with("\r\n") => last + at + 2,
        Some(at) => last + at + 1,
    };
    first..after
}

/// The line end that the document uses where the part stands.
fn line_end_of(document: &str, place: &Place) -> &'static str {
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

/// The part as lines, all values quoted.
fn block(sealed: &Sealed, indent: usize, line_end: &str) -> Zeroizing<String> {
    let key = sealed.fingerprint_key.to_base64();
    let names = [
        ("fingerprint_key", key.expose()),
        ("endpoint", &sealed.scope.endpoint),
        ("project_id", &sealed.scope.project_id),
        ("auth_url", &sealed.auth_url),
    ];
    let recipients: usize = sealed.recipients.iter().map(String::len).sum();
    let longest_escape = 10;
    let lines = names.len() + sealed.recipients.len() + 3;
    let texts: usize = names.iter().map(|(_, text)| text.len()).sum();
    // The room is enough for any text, so that no copy of the key is left where
    // a growing buffer was.
    let room = (texts + recipients) * longest_escape + lines * (indent + 40);
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
    line(2, &format!("revision: {}", sealed.revision), None);
    out
}
