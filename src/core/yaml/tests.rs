use super::*;
use crate::core::problem::{MAX_PROBLEMS, Severity};

/// Reads a map of lists and maps of texts, as deep as it goes, like a format
/// that knows every key.
fn read(text: &str) -> Vec<String> {
    let checked = super::read(text, |root| {
        for (_, entry) in root.entries(|path, key, _, _| path.key(key)) {
            if entry.node.is_map() {
                entry
                    .entries(|path, _, number, _| path.number(number))
                    .for_each(drop);
            }
        }
        Some(())
    });
    checked
        .problems
        .into_iter()
        .map(|p| match p.at {
            Some(at) => format!("{}:{} {}", at.line, at.column, p.what),
            None => p.what.into_owned(),
        })
        .collect()
}

#[test]
fn one_document_with_any_markers_is_read() {
    for text in [
        "a: b\n",
        "a: b",
        "%YAML 1.2\n---\na: b\n...\n# the end\n",
        "---\na: b\n",
        "# first\n---\na: b\n",
        "a: b\r\nc: \"d\"\r\n",
        "{a: b, \"c\": [d, e]}\n",
        "a:\tb\n",
        "? a\n: b\n",
    ] {
        assert_eq!(read(text), [""; 0], "{text:?}");
    }
}

#[test]
fn what_is_not_one_plain_document_is_refused_with_its_place() {
    for (text, expected) in [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("---\n", "the file is empty"),
        ("~\n", "the file is empty"),
        ("a: b\n---\nc: d\n", "2:1 line 2 starts a second document"),
        (
            "a: b\n...\n---\nc: d\n",
            "3:1 line 3 starts a second document",
        ),
        ("word\n", "1:1 the document is not a mapping"),
        ("- a\n- b\n", "1:1 the document is not a mapping"),
        ("a: &name b\n", "1:10 has an anchor, which is not supported"),
        ("a: *name\n", "1:4 is an alias, which is not supported"),
        ("a: !!str b\n", "1:10 has a tag, which is not supported"),
        ("a: !name b\n", "1:10 has a tag, which is not supported"),
        ("<<: {a: b}\n", "1:1 merge keys are not supported"),
        ("a:\n  <<: {a: b}\n", "2:3 merge keys are not supported"),
        ("a: b\nc: d\na: e\n", "3:1 is repeated: line 1 and line 3"),
        ("{a: b, a: c}\n", "1:8 is repeated: line 1 and line 1"),
        (
            "a:\n  b: c\n  \"b\": d\n",
            "3:3 is repeated: line 2 and line 3",
        ),
        ("? [a, b]\n: c\n", "1:3 a key is not a string"),
        (
            "a: \u{feff}b\n",
            "1:4 the document contains a byte order mark",
        ),
        ("a: b\0c\n", "1:5 the file contains a NUL character"),
        ("a:\n\tb: c\n", "2:1 is indented with a tab"),
        ("a:\n  \tb: c\n", "2:3 is indented with a tab"),
        ("a:\n  b: c\n\td: e\n", "3:1 is indented with a tab"),
        (
            "a: \"b\nc: d\n",
            "2:1 a quoted string is not closed, or continues without indentation",
        ),
        ("a: 'b", "1:4 a quoted string is not closed"),
        ("a: \"b\" c\n", "1:8 text follows the closing quote"),
        ("a: \"\\q\"\n", "1:4 an escape in double quotes is invalid"),
        (
            "a: [b\n",
            "1:4 brackets or braces do not match, or a comma is missing",
        ),
        ("a: b: c\n", "1:5 unexpected colon"),
        ("a: b\n  c: d\n", "2:4 unexpected colon"),
        (
            "a: @b\n",
            "1:4 a value starts with or contains an invalid character",
        ),
        ("a: *\n", "1:4 anchors and aliases are not supported"),
        (
            "1e400: a\n",
            "1:1 the key can be read as a number, a date or a boolean",
        ),
        (
            ": a\n",
            "1:1 the key can be read as a number, a date or a boolean",
        ),
    ] {
        assert_eq!(read(text), [expected], "{text:?}");
    }
}

#[test]
fn an_empty_first_document_is_not_an_empty_map() {
    let problems = read("---\n---\na: b\n");
    assert!(problems.contains(&"2:1 line 2 starts a second document".to_owned()));
}

#[test]
fn deep_nesting_is_refused_at_any_depth() {
    for text in [
        "[".repeat(20_000),
        "{a: ".repeat(5_000),
        format!("a: {}", "[".repeat(20_000)),
        (0..5_000)
            .map(|depth| format!("{}a:\n", " ".repeat(depth)))
            .collect(),
        "- ".repeat(20_000),
        "? ".repeat(20_000),
    ] {
        let problems = read(&text);
        assert!(
            problems.iter().any(|p| p.ends_with("nested too deeply")),
            "{problems:?}"
        );
    }
}

#[test]
fn an_alias_bomb_ends_as_a_list_of_problems() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, last) in "bcdefghi".chars().zip("abcdefgh".chars()) {
        let list = vec![format!("*{last}"); 9].join(", ");
        text.push_str(&format!("{name}: &{name} [{list}]\n"));
    }
    let problems = read(&text);
    assert_eq!(problems.len(), 9, "one for each anchor, none inside");
}

#[test]
fn the_list_of_problems_has_an_end() {
    let problems = read(&"a: *b\n".repeat(5_000));
    assert_eq!(problems.len(), MAX_PROBLEMS + 1);
    let last = problems.last().map(String::as_str);
    assert_eq!(last, Some("too many problems; reading stopped here"));
}

#[test]
fn a_large_document_of_comments_is_read() {
    let line = format!("# {}\n", "comment ".repeat(10));
    let mut text = line.repeat(60_000_000 / line.len());
    text.push_str("a: b\n");
    assert_eq!(read(&text), [""; 0]);
    text.push_str(&line.repeat(8_000_000 / line.len()));
    assert_eq!(read(&text), ["the file is larger than 64 MiB"]);
}

#[test]
fn bytes_become_text_or_a_named_problem() {
    let utf16: Vec<u8> = "version: 1\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let utf16_be: Vec<u8> = "version: 1\n"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let marked: Vec<u8> = [&[0xff, 0xfe], utf16.as_slice()].concat();
    let marked_be: Vec<u8> = [&[0xfe, 0xff], utf16_be.as_slice()].concat();
    let utf32: Vec<u8> = "\u{feff}v: 1"
        .chars()
        .flat_map(|c| u32::from(c).to_le_bytes())
        .collect();
    let utf32_be: Vec<u8> = "v: 1"
        .chars()
        .flat_map(|c| u32::from(c).to_be_bytes())
        .collect();
    let is_16 = "the file is UTF-16 LE, not UTF-8";
    let is_16_be = "the file is UTF-16 BE, not UTF-8";
    let is_32 = "the file is UTF-32, not UTF-8";
    for (bytes, expected) in [
        (utf16.as_slice(), is_16),
        (&utf16_be, is_16_be),
        (&marked, is_16),
        (&marked_be, is_16_be),
        (&utf32, is_32),
        (&utf32_be, is_32),
        (
            "\u{feff}\u{feff}a: b".as_bytes(),
            "the file starts with more than one byte order mark",
        ),
        (b"a: b\r\nc: \xc3\xa9\xff", "the file is not UTF-8 text"),
        (&vec![b' '; MAX_BYTES + 1], "the file is larger than 64 MiB"),
    ] {
        let problem = decode(bytes).expect_err(expected);
        assert_eq!(problem.what, expected);
    }
    let problem = decode(b"a: b\r\nc: \xc3\xa9\xff").expect_err("not UTF-8");
    assert_eq!(problem.at, Some(Position { line: 2, column: 5 }));
    assert_eq!(decode("\u{feff}a: b".as_bytes()), Ok("a: b"));
    assert_eq!(decode(b""), Ok(""));
}

#[test]
fn words_of_other_types_are_told_from_texts() {
    for text in [
        "",
        "~",
        "null",
        "NULL",
        "no",
        "On",
        "y",
        "True",
        "0",
        "0417523",
        "72904e81",
        "1e400",
        "1_000",
        "+1",
        "-1.5",
        ".5",
        "5.",
        "1:30",
        "190:20:30",
        "0x1F",
        "0o17",
        "0b1",
        ".inf",
        "-.INF",
        ".NaN",
        "2024-01-01",
        "2024-1-1 12:00:00",
        "2024-01-01T00:00:00Z",
        "=",
        "12345678",
        "6.02E+23",
        "1e5",
    ] {
        assert!(reads_as_other_type(text), "{text:?}");
    }
    for text in [
        "25df459d-a37c-41b9-bc2b-8c00ba32jb52",
        "12345678-1234-1234-1234-123456789012",
        "054ba152d480d55b2f5dc0069e7ddef0",
        "orders-db",
        "eu-de",
        "nope",
        "-",
        ".",
        "e5",
        "1.2.3",
        "127.0.0.1",
        "0x",
        "0xg",
        "1e",
        "10.a",
        "2024-01",
        "20240-01-01",
        "https://iam.eu-de.otc.t-systems.com/v3",
        "tilde~",
        "1-2",
    ] {
        assert!(!reads_as_other_type(text), "{text:?}");
    }
}

#[test]
fn quoted_texts_read_back_exactly() {
    for text in [
        "",
        "a",
        "\"",
        "\\",
        "it's",
        "a: b # c",
        " blank ",
        "tab\t",
        "line\nbreak\r",
        "\u{7}\u{85}\u{200b}",
        "\u{feff}",
        "é e\u{301} 漢 🦀",
        "\u{2028}",
        "{{ a }} ${X} %41 </script>",
        "*a &b !c",
    ] {
        let mut out = "a: ".to_owned();
        quote(text, &mut out);
        let checked = super::read(&out, |root| {
            let [value] = root.fields(["a"]);
            value.map(|value| value.owned())
        });
        assert_eq!(checked.value.as_deref(), Some(text), "{out:?}");
    }
}

#[test]
fn an_unknown_key_is_not_repeated_but_a_near_known_one_is_named() {
    for (key, help) in [
        ("sorce", "Did you mean `source`?"),
        ("Source", "Did you mean `source`?"),
        ("destnation", "Did you mean `destination`?"),
        (
            "nmae",
            "Known keys are: name, source, destination. Check the indentation.",
        ),
        (
            "Zq7XkW9v",
            "Known keys are: name, source, destination. Check the indentation.",
        ),
    ] {
        let text = format!("{key}: b\n");
        let checked = super::read(&text, |root| {
            root.fields(["name", "source", "destination"]);
            Some(())
        });
        let problem = checked.problems.first().expect("a problem");
        assert_eq!(problem.severity, Severity::Error);
        assert_eq!(problem.what, "unknown key");
        assert_eq!(problem.help, help);
    }
}
