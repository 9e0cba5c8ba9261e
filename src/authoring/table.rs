//! Files of many values: CSV or JSON of addresses and what shall stand there. All
//! problems of a file are found at once, told by line or entry, never by text.

mod json;

use std::collections::HashMap;
use std::collections::hash_map;
use std::path::Path;

use zeroize::Zeroizing;

use super::csv;
use super::{Change, Document, Place, Taken};
use crate::core::fingerprint::Field;
use crate::core::manifest::{Remark, check_value};
use crate::core::problem::{Position, Problem};
use crate::core::report::Effect;
use crate::core::secret::Secret;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines of fields with commas between; the first line names them.
    Csv,
    /// An object of addresses.
    Json,
}

impl Format {
    /// The format of a file by what its name ends with, or else by how it begins.
    pub fn of(path: &Path, text: &str) -> Self {
        let ends_with = |wanted: &str| {
            path.extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
        };
        if ends_with("json") {
            Self::Json
        } else if ends_with("csv") {
            Self::Csv
        } else if text.trim_start().starts_with(['{', '[']) {
            Self::Json
        } else {
            Self::Csv
        }
    }
}

/// One value of a file.
#[derive(Debug)]
pub struct Row {
    /// Where it stands: `line 5` or `entry 3`.
    at: String,
    /// As it was written; in a wrong column it may be a secret.
    address: Zeroizing<String>,
    field: Field,
    value: Secret,
}

/// A value that found its place.
#[derive(Debug)]
pub struct Placed {
    /// The value and its place.
    pub change: Change,
    /// What it does there.
    pub effect: Effect,
}

/// Every value of a file at its place.
#[derive(Debug)]
pub struct Resolved {
    /// In the order of the file.
    pub placed: Vec<Placed>,
    /// What somebody should look at in the values.
    pub warnings: Vec<Problem>,
}

/// So many problems are listed; nobody reads more.
const MAX_PROBLEMS: usize = 1000;

/// The rows of a file.
/// Fails with everything that is wrong with its form.
pub fn rows(text: &str, format: Format) -> Result<Vec<Row>, Vec<Problem>> {
    let rows = match format {
        Format::Csv => csv_rows(text)?,
        Format::Json => json::rows(text)?,
    };
    if rows.is_empty() {
        let help = "Nothing was written. Give it at least one address with a value.";
        return Err(vec![Problem::error("", None, "lists nothing", help)]);
    }
    Ok(rows)
}

/// The names of columns that count.
const ADDRESS: &str = "address";
const PASSWORD: &str = "password";
const FIELD: &str = "field";

fn csv_rows(text: &str) -> Result<Vec<Row>, Vec<Problem>> {
    let refuse = |line: usize, what: &'static str, help: &'static str| {
        let at = Some(Position { line, column: 1 });
        Problem::error("", at, what, help)
    };
    let records =
        csv::records(text).map_err(|no_csv| vec![refuse(no_csv.line, no_csv.what, no_csv.help)])?;
    let mut records = records.into_iter();
    const HEAD: &str =
        "Begin with the line `address,password`; a third column `field` may name kerberos fields.";
    let Some(head) = records.next() else {
        return Err(vec![Problem::error("", None, "the file is empty", HEAD)]);
    };
    let column = |name: &str| head.fields.iter().position(|field| ***field == *name);
    let (Some(address), Some(password)) = (column(ADDRESS), column(PASSWORD)) else {
        let what = "the first line does not name the columns address and password";
        return Err(vec![refuse(head.line, what, HEAD)]);
    };
    let field = column(FIELD);
    if head.fields.len() != 2 + usize::from(field.is_some()) {
        let what = "the first line names a column that is not known, or one twice";
        return Err(vec![refuse(head.line, what, HEAD)]);
    }
    let mut problems = Vec::new();
    let mut rows = Vec::new();
    for mut record in records {
        let at = format!("line {}", record.line);
        if record.fields.len() != head.fields.len() {
            let what = "has another number of fields than the first line";
            let help = "Put a field that holds a comma in quotes.";
            problems.push(Problem::error(at, None, what, help));
            continue;
        }
        let mut take = |place: usize| {
            let field = record.fields.get_mut(place);
            field.map(std::mem::take).unwrap_or_default()
        };
        let name = field.map(&mut take).unwrap_or_default();
        let Some(field) = field_of(&name) else {
            problems.push(unknown_field(at));
            continue;
        };
        rows.push(Row {
            at,
            address: take(address),
            field,
            value: Secret::new(std::mem::take(&mut *take(password))),
        });
    }
    if problems.is_empty() {
        Ok(rows)
    } else {
        Err(capped(problems))
    }
}

/// The field of this name; no name means the password.
fn field_of(name: &str) -> Option<Field> {
    if name.is_empty() {
        return Some(Field::Password);
    }
    [Field::Password]
        .into_iter()
        .chain(Field::KERBEROS)
        .find(|field| field.as_str() == name)
}

fn unknown_field(at: String) -> Problem {
    let help = "Known are password, kerberos.krb5_conf_file, kerberos.key_tab_file, kerberos.domain_name, kerberos.user_principal.";
    Problem::error(at, None, "names a field that is not known", help)
}

/// Finds the place of every row, in one go.
/// Fails with every row that has none, that names a place for the second time, or
/// whose value the manifest would refuse.
pub fn resolve(
    document: &Document<'_>,
    rows: Vec<Row>,
    taken: Taken,
) -> Result<Resolved, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let mut placed: Vec<Placed> = Vec::with_capacity(rows.len());
    let mut places: HashMap<Place, String> = HashMap::with_capacity(rows.len());
    for row in rows {
        let Row {
            at,
            address,
            field,
            value,
        } = row;
        match check_value(field, &value) {
            Ok(remarks) => warnings.extend(
                remarks
                    .into_iter()
                    .map(|Remark { what, help }| Problem::warning(at.clone(), None, what, help)),
            ),
            Err(Remark { what, help }) => {
                problems.push(Problem::error(at.clone(), None, what, help));
            }
        }
        let place = match document.find(&address, field, taken) {
            Ok(place) => place,
            Err(no_place) => {
                problems.push(Problem::error(at, None, no_place.what(), no_place.help()));
                continue;
            }
        };
        match places.entry(place.clone()) {
            hash_map::Entry::Occupied(first) => {
                let what = format!("names the same place as {}", first.get());
                let help = "Keep one of the two; neither is taken.";
                problems.push(Problem::error(at, None, what, help));
                continue;
            }
            hash_map::Entry::Vacant(free) => free.insert(at),
        };
        let change = Change { place, value };
        let effect = document.effect(&change);
        placed.push(Placed { change, effect });
    }
    for Placed { change, .. } in &placed {
        if let Some(label) = lacks_password(document, &change.place, &places) {
            let at = places.get(&change.place).cloned().unwrap_or_default();
            let what = format!("{label} has no password yet");
            let help = "Give the endpoint a password in the same file.";
            problems.push(Problem::error(at, None, what, help));
        }
    }
    if problems.is_empty() {
        Ok(Resolved { placed, warnings })
    } else {
        Err(capped(problems))
    }
}

/// The label of an endpoint that would have kerberos fields and no password.
fn lacks_password(
    document: &Document<'_>,
    place: &Place,
    places: &HashMap<Place, String>,
) -> Option<String> {
    let Place::Endpoint {
        job,
        endpoint,
        field,
    } = place
    else {
        return None;
    };
    let password = Place::Endpoint {
        job: job.clone(),
        endpoint: *endpoint,
        field: Field::Password,
    };
    let has_one = *field == Field::Password
        || places.contains_key(&password)
        || document.has_endpoint(job, *endpoint);
    (!has_one).then(|| document.label(place))
}

fn capped(mut problems: Vec<Problem>) -> Vec<Problem> {
    if problems.len() > MAX_PROBLEMS {
        let more = problems.len() - MAX_PROBLEMS;
        problems.truncate(MAX_PROBLEMS);
        let what = format!("{more} more problems");
        problems.push(Problem::error(
            "",
            None,
            what,
            "Solve the ones above first.",
        ));
    }
    problems
}
