//! Files of many values: CSV or JSON of addresses and their values. All problems of a file are
//! reported at once, by line or entry, never by text.

use std::collections::HashMap;
use std::collections::hash_map;
use std::fmt;
use std::path::Path;

use clap::ValueEnum;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use zeroize::Zeroizing;

use super::{Change, Effect, ManifestText, Taken, ValuePlace, no_password};
use crate::core::fingerprint::Field;
use crate::core::manifest::check_value;
use crate::core::problem::{MAX_PROBLEMS, Position, Problem};
use crate::core::secret::Secret;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated lines with a header
    Csv,
    /// An object of addresses
    Json,
}

impl Format {
    /// Returns the format by the name's extension, or else by how the text begins.
    pub fn of(path: &Path, text: &str) -> Self {
        let extension = path.extension().unwrap_or_default();
        match extension.to_ascii_lowercase().as_encoded_bytes() {
            b"json" => Self::Json,
            b"csv" => Self::Csv,
            _ if text.trim_start().starts_with(['{', '[']) => Self::Json,
            _ => Self::Csv,
        }
    }
}

#[derive(Debug)]
pub struct TableRow {
    /// Where it is: `line 5` or `entry 3`.
    at: String,
    /// As written; in a wrong column it may be a secret.
    address: Zeroizing<String>,
    field: Field,
    value: Secret,
}

#[derive(Debug)]
pub struct Placed {
    pub change: Change,
    pub effect: Effect,
}

#[derive(Debug)]
pub struct Resolved {
    pub placed: Vec<Placed>,
    pub warnings: Vec<Problem>,
}

pub fn rows(text: &str, format: Format) -> Result<Vec<TableRow>, Vec<Problem>> {
    let rows = match format {
        Format::Csv => csv_rows(text)?,
        Format::Json => json_rows(text)?,
    };
    if rows.is_empty() {
        let help = "Nothing was written. Add at least one address with a value.";
        return Err(vec![Problem::error("", None, "lists no values", help)]);
    }
    Ok(rows)
}

const ADDRESS: &str = "address";
const PASSWORD: &str = "password";
const FIELD: &str = "field";

fn csv_rows(text: &str) -> Result<Vec<TableRow>, Vec<Problem>> {
    let records = csv_records(text).map_err(|problem| vec![problem])?;
    let mut records = records.into_iter();
    const HEAD: &str =
        "Begin with the line `address,password`; a third column `field` may name kerberos fields.";
    let Some(head) = records.next() else {
        return Err(vec![Problem::error("", None, "the file is empty", HEAD)]);
    };
    let column = |name: &str| head.fields.iter().position(|field| ***field == *name);
    let (Some(address), Some(password)) = (column(ADDRESS), column(PASSWORD)) else {
        let what = "the first line does not name the columns address and password";
        return Err(vec![csv_problem(head.line, what, HEAD)]);
    };
    let field = column(FIELD);
    if head.fields.len() != 2 + usize::from(field.is_some()) {
        let what = "the first line has an unknown or a repeated column";
        return Err(vec![csv_problem(head.line, what, HEAD)]);
    }
    let mut problems = Vec::new();
    let mut rows = Vec::new();
    for mut record in records {
        let at = format!("line {}", record.line);
        if record.fields.len() != head.fields.len() {
            let what = "does not have as many fields as the first line";
            let help = "Put a field that contains a comma in quotes.";
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
        rows.push(TableRow {
            at,
            address: take(address),
            field,
            value: Secret::new(std::mem::take(&mut *take(password))),
        });
    }
    unless_any(problems, rows)
}

/// Returns the field of this name; without a name the password.
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
    let help = "Use password, kerberos.krb5_conf_file, kerberos.key_tab_file, kerberos.domain_name or kerberos.user_principal.";
    Problem::error(at, None, "has an unknown field", help)
}

pub fn resolve(
    document: &ManifestText<'_>,
    rows: Vec<TableRow>,
    taken: Taken,
) -> Result<Resolved, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let mut placed: Vec<Placed> = Vec::with_capacity(rows.len());
    let mut places: HashMap<ValuePlace, String> = HashMap::with_capacity(rows.len());
    for row in rows {
        let (at, field, value) = (row.at, row.field, row.value);
        match check_value(field, &value) {
            Ok(remarks) => warnings.extend(remarks.into_iter().map(|remark| remark.of(&at))),
            Err(problem) => problems.push(problem.of(&at)),
        }
        let place = match document.find(&row.address, field, taken) {
            Ok(place) => place,
            Err(problem) => {
                problems.push(problem.of(at));
                continue;
            }
        };
        match places.entry(place.clone()) {
            hash_map::Entry::Occupied(first) => {
                let what = format!("is for the same place as {}", first.get());
                let help = "Keep one of them; neither is used.";
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
        let ValuePlace::Endpoint { job, endpoint, .. } = &change.place else {
            continue;
        };
        let password = ValuePlace::Endpoint {
            job: job.clone(),
            endpoint: *endpoint,
            field: Field::Password,
        };
        if !places.contains_key(&password) && !document.has_endpoint(job, *endpoint) {
            let at = places.get(&change.place).cloned().unwrap_or_default();
            let what = no_password(&document.label(&password)).what;
            let help = "Add a password for the endpoint to the same file.";
            problems.push(Problem::error(at, None, what, help));
        }
    }
    unless_any(problems, Resolved { placed, warnings })
}

fn unless_any<T>(mut problems: Vec<Problem>, value: T) -> Result<T, Vec<Problem>> {
    if problems.is_empty() {
        return Ok(value);
    }
    if problems.len() > MAX_PROBLEMS {
        let what = format!("{} more problems", problems.len() - MAX_PROBLEMS);
        problems.truncate(MAX_PROBLEMS);
        let help = "Fix those above first.";
        problems.push(Problem::error("", None, what, help));
    }
    Err(problems)
}

pub struct CsvRecord {
    /// The line of its first character, from 1.
    pub line: usize,
    pub fields: Vec<Zeroizing<String>>,
}

/// The fault of a file, by the line where it shows.
fn csv_problem(line: usize, what: &'static str, help: &'static str) -> Problem {
    Problem::error("", Some(Position { line, column: 1 }), what, help)
}

const QUOTE_HELP: &str = "Put the whole field in quotes, and write every quote inside it twice.";

/// Returns the records of a text without empty lines.
pub fn csv_records(text: &str) -> Result<Vec<CsvRecord>, Problem> {
    let mut records = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let mut record = CsvRecord {
            line,
            fields: Vec::new(),
        };
        loop {
            let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
                quoted_field(quoted, line)?
            } else {
                plain_field(rest, line)?
            };
            line += rest[..rest.len() - after.len()].matches('\n').count();
            record.fields.push(field);
            rest = after;
            match rest.strip_prefix(',') {
                Some(after) => rest = after,
                None => break,
            }
        }
        if let Some(after) = rest.strip_prefix("\r\n").or(rest.strip_prefix('\n')) {
            rest = after;
            line += 1;
        }
        let is_empty = match record.fields.as_slice() {
            [only] => only.is_empty(),
            _ => false,
        };
        if !is_empty {
            records.push(record);
        }
    }
    Ok(records)
}

fn plain_field(rest: &str, line: usize) -> Result<(Zeroizing<String>, &str), Problem> {
    let end = rest.find([',', '\n']).unwrap_or(rest.len());
    let end = if rest[end..].starts_with('\n') && rest[..end].ends_with('\r') {
        end - 1
    } else {
        end
    };
    let (field, after) = rest.split_at(end);
    if field.contains('"') {
        let what = "a field without quotes contains a quote";
        return Err(csv_problem(line, what, QUOTE_HELP));
    }
    Ok((Zeroizing::new(field.to_owned()), after))
}

/// `rest` follows the opening quote.
fn quoted_field(rest: &str, line: usize) -> Result<(Zeroizing<String>, &str), Problem> {
    let mut from = 0;
    let end = loop {
        let Some(at) = rest[from..].find('"') else {
            let what = "a field in quotes is not closed";
            return Err(csv_problem(line, what, QUOTE_HELP));
        };
        let at = from + at;
        if rest[at + 1..].starts_with('"') {
            from = at + 2;
        } else {
            break at;
        }
    };
    let after = &rest[end + 1..];
    let is_end = after.is_empty() || after.starts_with([',', '\n']) || after.starts_with("\r\n");
    if !is_end {
        let what = "text follows the closing quote of a field";
        return Err(csv_problem(line, what, QUOTE_HELP));
    }
    let mut field = Zeroizing::new(String::with_capacity(end));
    let mut parts = rest[..end].split("\"\"");
    field.push_str(parts.next().unwrap_or_default());
    for part in parts {
        field.push('"');
        field.push_str(part);
    }
    Ok((field, after))
}

/// A text, or the pairs of an object in their order. Repeated keys are kept, so that they can be
/// refused.
enum Cell {
    Text(Secret),
    Object(Vec<(Zeroizing<String>, Self)>),
}

/// How deep a cell is: outermost an object of texts or of objects of texts.
#[derive(Clone, Copy)]
struct CellDepth(u8);

impl<'de> DeserializeSeed<'de> for CellDepth {
    type Value = Cell;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cell, D::Error> {
        match self.0 {
            0 => deserializer.deserialize_map(self),
            1 => deserializer.deserialize_any(self),
            _ => deserializer.deserialize_string(self),
        }
    }
}

impl<'de> Visitor<'de> for CellDepth {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an object")
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::Text(Secret::new(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Cell, E> {
        Ok(Cell::Text(Secret::new(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        let mut pairs = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(Self(self.0 + 1))?;
            pairs.push((Zeroizing::new(key), value));
        }
        Ok(Cell::Object(pairs))
    }
}

fn json_rows(text: &str) -> Result<Vec<TableRow>, Vec<Problem>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let cell = CellDepth(0).deserialize(&mut deserializer);
    let cell = cell.and_then(|cell| deserializer.end().map(|()| cell));
    let mut problems = Vec::new();
    let mut rows = Vec::new();
    for (pair, number) in pairs_of(cell.map_err(|error| vec![refused(&error)])?).zip(1..) {
        let (address, cell) = pair;
        let at = format!("entry {number}");
        for (name, cell) in pairs_of(cell) {
            match (field_of(&name), cell) {
                (Some(field), Cell::Text(value)) => rows.push(TableRow {
                    at: at.clone(),
                    address: address.clone(),
                    field,
                    value,
                }),
                _ => problems.push(unknown_field(at.clone())),
            }
        }
    }
    unless_any(problems, rows)
}

/// The pairs of an object; a text alone is a password, whose field needs no name.
fn pairs_of(cell: Cell) -> impl Iterator<Item = (Zeroizing<String>, Cell)> {
    let pairs = match cell {
        Cell::Object(pairs) => pairs,
        text => vec![(Zeroizing::default(), text)],
    };
    pairs.into_iter()
}

/// The parser's own words may contain a value.
fn refused(error: &serde_json::Error) -> Problem {
    let what = match error.classify() {
        Category::Data => "is not an object of addresses with strings",
        Category::Syntax | Category::Eof | Category::Io => "is not valid JSON",
    };
    // Its column is the end of a value, which would reveal its length.
    let at = format!("line {}", error.line());
    let help = "Write {\"ADDRESS\": \"password\"}, or {\"ADDRESS\": {\"password\": \"…\", \"kerberos.domain_name\": \"…\"}}.";
    Problem::error(at, None, what, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<Vec<String>> {
        let records = csv_records(text).unwrap();
        let of = |record: CsvRecord| {
            record
                .fields
                .iter()
                .map(|field| field.to_string())
                .collect()
        };
        records.into_iter().map(of).collect()
    }

    #[test]
    fn fields_are_taken_exactly() {
        assert_eq!(
            fields("a,b\r\n\"x \"\"y\"\", z\", p'w \r\n\r\n\"two\nlines\",\n"),
            [
                vec!["a", "b"],
                vec!["x \"y\", z", " p'w "],
                vec!["two\nlines", ""]
            ]
        );
        assert_eq!(fields("a,b"), [["a", "b"]]);
        assert!(fields("").is_empty());
        assert_eq!(fields("a,\"\""), [["a", ""]]);
    }

    #[test]
    fn lines_are_counted_through_quoted_line_breaks() {
        let found = csv_records("a\n\"b\n\nb\"\nc\n").unwrap();
        let lines: Vec<usize> = found.iter().map(|record| record.line).collect();
        assert_eq!(lines, [1, 2, 5]);
    }

    #[test]
    fn a_stray_quote_is_refused_and_never_guessed_at() {
        for (text, line) in [
            ("a,b\nx,p\"w\n", 2),
            ("a,b\nx,\"pw\ny,z\n", 2),
            ("a,b\n\nx,\"p\"w\n", 3),
            ("a,\"b\" \n", 1),
        ] {
            assert_eq!(
                csv_records(text).map(|_| ()).unwrap_err().at.unwrap().line,
                line,
                "{text}"
            );
        }
    }
}
