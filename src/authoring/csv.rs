//! CSV as RFC 4180 has it, and nothing looser: a reader that guesses what a stray
//! quote means changes a password, or swallows the lines after it.

use zeroize::Zeroizing;

/// One record: where it starts, and its fields.
pub(super) struct Record {
    /// The line of its first character, from 1.
    pub(super) line: usize,
    pub(super) fields: Vec<Zeroizing<String>>,
}

/// What is wrong with a file, by the line where it shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoCsv {
    pub(super) line: usize,
    pub(super) what: &'static str,
    pub(super) help: &'static str,
}

const QUOTE_HELP: &str = "Put the whole field in quotes, and write every quote inside it twice.";

/// The records of a text, empty lines left out.
/// Fails where quotes do not fit together.
pub(super) fn records(text: &str) -> Result<Vec<Record>, NoCsv> {
    let mut records = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let mut record = Record {
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

fn plain_field(rest: &str, line: usize) -> Result<(Zeroizing<String>, &str), NoCsv> {
    let end = rest.find([',', '\n']).unwrap_or(rest.len());
    let end = if rest[end..].starts_with('\n') && rest[..end].ends_with('\r') {
        end - 1
    } else {
        end
    };
    let (field, after) = rest.split_at(end);
    if field.contains('"') {
        return Err(NoCsv {
            line,
            what: "a quote stands in a field that is not in quotes",
            help: QUOTE_HELP,
        });
    }
    Ok((Zeroizing::new(field.to_owned()), after))
}

/// `rest` follows the opening quote.
fn quoted_field(rest: &str, line: usize) -> Result<(Zeroizing<String>, &str), NoCsv> {
    let mut from = 0;
    let end = loop {
        let Some(at) = rest[from..].find('"') else {
            return Err(NoCsv {
                line,
                what: "a field in quotes is not closed",
                help: QUOTE_HELP,
            });
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
        return Err(NoCsv {
            line,
            what: "something follows the closing quote of a field",
            help: QUOTE_HELP,
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<Vec<String>> {
        let records = records(text).unwrap();
        let of = |record: Record| {
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
        let found = records("a\n\"b\n\nb\"\nc\n").unwrap();
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
            assert_eq!(records(text).map(|_| ()).unwrap_err().line, line, "{text}");
        }
    }
}
