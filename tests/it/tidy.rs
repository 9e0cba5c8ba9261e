//! Rules of the source tree, and files that must agree with the program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::schema::{assert_fits, schema};
use crate::support::{J1, Lab};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file below `folder` with its path from the root.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

/// The text of a file without its test module.
fn code(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {")
        .map_or(text, |at| &text[..at])
}

fn is_test_file(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.contains("/tests/")
}

#[test]
fn the_view_knows_only_the_core_and_itself() {
    for (name, text) in sources("src/view") {
        for (at, _) in text.match_indices("crate::") {
            let path = &text[at..];
            assert!(
                path.starts_with("crate::core") || path.starts_with("crate::view"),
                "{name}: {}",
                path.lines().next().unwrap()
            );
        }
    }
}

#[test]
fn the_core_imports_nothing_but_the_core_and_does_no_io() {
    for (name, text) in sources("src/core") {
        if is_test_file(&name) {
            continue;
        }
        for line in code(&text)
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            if let Some(at) = line.find("crate::") {
                assert!(line[at..].starts_with("crate::core"), "{name}: {line}");
            }
            for word in [
                "std::fs",
                "std::net",
                "std::io",
                "std::env",
                "std::process",
                "std::thread",
                "SystemTime",
                "getrandom",
                "reqwest",
                "tokio",
                "println",
                "Instant",
            ] {
                assert!(!line.contains(word), "{name}: {line}");
            }
        }
    }
}

#[test]
fn what_changes_the_text_of_a_manifest_knows_only_the_core() {
    for (name, text) in sources("src/authoring") {
        for (at, _) in text.match_indices("crate::") {
            let path = &text[at..];
            assert!(
                path.starts_with("crate::core"),
                "{name}: {}",
                path.lines().next().unwrap()
            );
        }
    }
}

#[test]
fn the_simulator_uses_nothing_of_the_crate() {
    for (name, text) in sources("src/sim") {
        assert!(!text.contains("crate::"), "{name}");
    }
}

#[test]
fn secrets_are_exposed_only_in_the_listed_places() {
    let expected = BTreeMap::from([
        ("src/api/auth/mod.rs", 1),
        ("src/api/auth/signature.rs", 3),
        ("src/api/wire.rs", 1),
        ("src/authoring/mod.rs", 2),
        ("src/core/fingerprint.rs", 4),
        ("src/core/manifest/seal.rs", 1),
        ("src/core/manifest/value.rs", 1),
        ("src/core/redact/needles.rs", 1),
    ]);
    let mut found = BTreeMap::new();
    for (name, text) in sources("src") {
        let calls = code(&text).matches(".expose()").count();
        if calls > 0 && !is_test_file(&name) {
            found.insert(name, calls);
        }
    }
    let found: BTreeMap<&str, usize> = found
        .iter()
        .map(|(name, calls)| (name.as_str(), *calls))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn no_file_is_too_long_to_read_in_one_sitting() {
    for folder in ["src", "tests", "examples", "benches"] {
        for (name, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= 600, "{name} has {lines} lines");
        }
    }
}

#[test]
fn every_module_says_what_it_owns_and_nothing_is_left_open() {
    for (name, text) in sources("src") {
        if is_test_file(&name) {
            continue;
        }
        assert!(
            text.starts_with("//!"),
            "{name} opens without a doc comment"
        );
        for word in ["TODO", "FIXME", "XXX", "unimplemented!", "todo!", "#[allow"] {
            assert!(!text.contains(word), "{name} holds {word}");
        }
    }
    for (name, text) in sources("tests") {
        assert!(
            !text.contains(concat!("#[", "ignore")),
            "{name} ignores a test"
        );
    }
}

#[test]
fn real_files_fit_their_schemas() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J1, "destination", "canary-2")]);
    lab.sim.inject(crate::looped::refuse(
        J1,
        drspass::sim::EndPointType::Source,
        "DRS.M00304",
    ));
    lab.apply(&[]).exits(3);
    let state = schema("state");
    assert_fits(&state, &lab.state());
    lab.sim
        .inject(drspass::sim::Fault::next(drspass::sim::FaultKind::NotJson));
    lab.apply(&[]).exits(4);
    assert_fits(&state, &lab.state());
    let mut changed = lab.state();
    changed["body"]["more"] = 1.into();
    assert!(!state.is_valid(&changed), "unknown fields do not fit");
}

#[test]
fn the_exit_codes_of_readme_help_and_man_page_are_those_of_the_program() {
    use drspass::cli::exit;
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let section = readme.split("## Exit codes").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<(u8, &str)> = section
        .lines()
        .filter_map(|line| {
            let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
            let (code, meaning) = row.split_once(" | ")?;
            Some((code.parse().ok()?, meaning))
        })
        .collect();
    assert_eq!(rows, exit::TABLE);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(section).contains(exit::ORDER));

    let lab = Lab::new();
    let help = lab.run(&["--help"]).exits(0).stdout;
    let help = words(help.split("Exit codes:").nth(1).unwrap());
    // A man page hides dashes from hyphenation.
    let man = lab.run(&["man"]).exits(0).stdout;
    let man = man
        .replace("\\fB", "")
        .replace("\\fR", "")
        .replace('\\', "");
    let man = words(man.split(".SH \"EXIT STATUS\"").nth(1).unwrap());
    let mut last = None;
    for (code, meaning) in exit::TABLE {
        assert!(last < Some(*code), "each code once, in order");
        last = Some(*code);
        let meaning = meaning.replace('`', "");
        assert!(
            help.contains(&format!("{code} {meaning}")),
            "{code}: {help}"
        );
        assert!(man.contains(&format!("{code} {meaning}")), "{code}: {man}");
    }
}

#[test]
fn the_samples_of_the_repository_are_valid() {
    for entry in fs::read_dir(root().join("examples/scenarios")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        drspass::sim::scenario::parse(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let manifest = fs::read_to_string(root().join("examples/manifest.yaml")).unwrap();
    let checked =
        drspass::core::manifest::parse(&manifest, drspass::core::manifest::Sealing::Optional);
    assert!(
        checked.value.is_some() && checked.problems.is_empty(),
        "{:?}",
        checked.problems
    );
    let config = fs::read_to_string(root().join("examples/drspass.yaml")).unwrap();
    // Also with the settings that stand in comments.
    let mut whole = config.clone();
    for name in ["endpoint", "auth_url", "credentials_from"] {
        let commented = format!("# {name}: ");
        assert!(config.contains(&commented), "{name}");
        whole = whole.replace(&commented, &commented[2..]);
    }
    for config in [config, whole] {
        let checked = drspass::core::config::parse(&config);
        assert!(
            checked.value.is_some() && checked.problems.is_empty(),
            "{:?}",
            checked.problems
        );
    }
}
