//! The list of promises names the tests that hold them.

use std::collections::BTreeSet;
use std::fs;

use super::{root, sources};

/// The paths of all tests, as `cargo test` shows them.
fn names_of_tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (file, text) in sources("src").into_iter().chain(sources("tests/it")) {
        let path = file.strip_suffix(".rs").unwrap();
        let path = path.strip_suffix("/mod").unwrap_or(path).replace('/', "::");
        let path = path
            .trim_start_matches("src::")
            .trim_start_matches("tests::it::");
        let (mut inner, mut is_test) = (String::new(), false);
        for line in text.lines() {
            if let Some(module) = line.strip_prefix("mod ").and_then(|m| m.strip_suffix(" {")) {
                inner = format!("{module}::");
            } else if line == "}" {
                inner.clear();
            }
            is_test |= line.trim_start().starts_with("#[test]") || line.contains("#[tokio::test");
            if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
                let name = rest.split('(').next().unwrap();
                names.insert(format!("{path}::{inner}{name}"));
                is_test = false;
            }
        }
    }
    names
}

#[test]
fn every_promise_names_a_test_that_is_there() {
    let tests = names_of_tests();
    let promises = fs::read_to_string(root().join("tests/promises.md")).unwrap();
    let rows = promises.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<&str> = rows.filter(|row| *row != "| promise | tests |").collect();
    assert!(rows.len() > 250, "{} promises", rows.len());
    for row in rows {
        let (promise, named) = row
            .trim_matches(['|', ' '])
            .rsplit_once(" | ")
            .unwrap_or((row, ""));
        for name in named.split(", ").map(|name| name.trim_matches('`')) {
            assert!(tests.contains(name), "{promise}: there is no test {name:?}");
        }
    }
}
