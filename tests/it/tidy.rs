//! Rules of the source tree, and files that must agree with the program.

mod promises;

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

fn is_test_file(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.contains("/tests/")
}

/// A file of `src` without its tests, and the module that it is.
struct Module {
    file: String,
    path: Vec<String>,
    code: String,
}

/// Every module of the program; the crate itself has an empty path.
fn modules() -> Vec<Module> {
    let module = |(file, text): (String, String)| {
        let name = file.strip_prefix("src/").unwrap();
        let name = name.strip_suffix(".rs").unwrap();
        let name = name.strip_suffix("/mod").unwrap_or(name);
        let parts = name
            .split('/')
            .filter(|part| !["lib", "main"].contains(part));
        Module {
            path: parts.map(str::to_owned).collect(),
            code: without_tests(&text),
            file,
        }
    };
    let sources = sources("src").into_iter();
    let found = sources.filter(|(file, _)| !is_test_file(file) && file != "src/main.rs");
    found.map(module).collect()
}

/// A text without its test modules and what is only built for them.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept += line;
            kept.push('\n');
            continue;
        }
        let attribute = |line: &&str| line.trim().starts_with("#[");
        let Some(item) = lines.by_ref().find(|line| !attribute(line)) else {
            break;
        };
        if item.ends_with('{') {
            let indent = item.len() - item.trim_start().len();
            let end = format!("{}}}", " ".repeat(indent));
            lines.by_ref().find(|line| *line == end);
        }
    }
    kept
}

impl Module {
    fn lines(&self) -> impl Iterator<Item = &str> {
        let is_comment = |line: &&str| line.trim_start().starts_with("//");
        self.code.lines().filter(move |line| !is_comment(line))
    }

    /// The paths into the crate that its code names, groups of `use` written out.
    fn paths(&self) -> Vec<Vec<String>> {
        let mut code = self.lines().collect::<Vec<_>>().join(" ");
        let mut found = Vec::new();
        for start in ["crate::", "super::", "self::"] {
            let at: Vec<usize> = code.match_indices(start).map(|(at, _)| at).collect();
            for at in at {
                let before = code[..at].chars().next_back();
                if before.is_none_or(|c| !c.is_alphanumeric() && !"_:\"".contains(c)) {
                    path_at(&code[at..], &self.path, &mut found);
                }
            }
            code = code.replace(start, &"-".repeat(start.len()));
        }
        found
    }
}

/// Adds the paths that `text` begins with, below `base`; hands back what follows.
fn path_at<'a>(text: &'a str, base: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = path_at(rest, base, found).trim_start();
            match rest.strip_prefix(',') {
                Some(next) if !next.trim_start().starts_with('}') => rest = next,
                next => {
                    return next
                        .unwrap_or(rest)
                        .trim_start()
                        .strip_prefix('}')
                        .unwrap_or(rest);
                }
            }
        }
    }
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let mut path = base.to_vec();
    match word {
        "crate" => path.clear(),
        "super" => drop(path.pop()),
        "self" | "" => {}
        word => path.push(word.to_owned()),
    }
    match rest.strip_prefix("::") {
        Some(rest) if !rest.starts_with('<') => path_at(rest, &path, found),
        _ => {
            found.push(path);
            let rest = rest.trim_start();
            rest.strip_prefix("as ").map_or(rest, |rest| {
                rest.trim_start_matches(|c: char| c.is_alphanumeric() || "_ ".contains(c))
            })
        }
    }
}

/// Which rooms the code of a room may name, beside itself.
const ROOMS: &[(&str, &[&str])] = &[
    ("core", &[]),
    // Which signal ended a run is in its report.
    ("sys", &["core"]),
    ("sim", &[]),
    ("view", &["core"]),
    ("authoring", &["core"]),
    ("age_file", &["core", "sys"]),
    ("api", &["core", "sys"]),
    ("editor", &["core", "sys"]),
    // A plan is told from the manifest, which is put in its place by mistake.
    ("store", &["core", "sys", "age_file"]),
    (
        "ops",
        &[
            "core",
            "sys",
            "authoring",
            "age_file",
            "api",
            "editor",
            "store",
        ],
    ),
    (
        "cli",
        &[
            "core",
            "sys",
            "authoring",
            "age_file",
            "api",
            "editor",
            "store",
            "ops",
            "view",
            "sim",
        ],
    ),
];

#[test]
fn a_room_names_only_the_rooms_below_it() {
    for module in modules().iter().filter(|module| !module.path.is_empty()) {
        let (_, below) = ROOMS
            .iter()
            .find(|(room, _)| *room == module.path[0])
            .unwrap();
        for path in module.paths() {
            let Some(room) = path.first() else { continue };
            let is_room = ROOMS.iter().any(|(name, _)| name == room);
            let may = *room == module.path[0] || below.contains(&room.as_str()) || !is_room;
            assert!(may, "{} names {}", module.file, path.join("::"));
        }
    }
}

#[test]
fn no_two_files_import_each_other_but_parent_and_child() {
    let modules = modules();
    let by_path: BTreeMap<&[String], usize> = modules
        .iter()
        .enumerate()
        .map(|(at, module)| (module.path.as_slice(), at))
        .collect();
    let is_parent = |one: usize, other: usize| {
        modules[other]
            .path
            .split_last()
            .is_some_and(|(_, parent)| parent == modules[one].path)
    };
    let mut imports: Vec<Vec<usize>> = Vec::new();
    for (at, module) in modules.iter().enumerate() {
        let mut named: Vec<usize> = module
            .paths()
            .iter()
            .filter_map(|path| {
                (0..=path.len())
                    .rev()
                    .find_map(|end| by_path.get(&path[..end]))
            })
            .copied()
            .filter(|named| *named != at && !is_parent(at, *named) && !is_parent(*named, at))
            .collect();
        named.sort_unstable();
        named.dedup();
        imports.push(named);
    }
    // What nobody imports, or imports nobody, is in no circle; what is left is.
    let mut left: Vec<usize> = (0..modules.len()).collect();
    loop {
        let stays = |at: &usize| {
            let imports_left = imports[*at].iter().any(|named| left.contains(named));
            let is_imported = left.iter().any(|other| imports[*other].contains(at));
            imports_left && is_imported
        };
        let next: Vec<usize> = left.iter().copied().filter(stays).collect();
        if next.len() == left.len() {
            break;
        }
        left = next;
    }
    let names: Vec<String> = left
        .iter()
        .map(|at| {
            let named = imports[*at].iter().filter(|named| left.contains(named));
            let named: Vec<&str> = named.map(|at| modules[*at].file.as_str()).collect();
            format!("{} -> {}", modules[*at].file, named.join(", "))
        })
        .collect();
    assert!(
        names.is_empty(),
        "in or between circles:\n{}",
        names.join("\n")
    );
}

#[test]
fn the_name_of_a_type_is_used_once() {
    let mut defined: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for module in modules() {
        for line in module.lines() {
            let line = line.trim_start();
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let kinds = ["struct ", "enum ", "union ", "trait ", "type "];
            if let Some(rest) = kinds.iter().find_map(|kind| line.strip_prefix(kind)) {
                let end = rest
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                // What traits of std and serde call their types is not ours to name.
                if !["Error", "Err", "Item", "Output", "Value"].contains(&&rest[..end]) {
                    defined
                        .entry(rest[..end].to_owned())
                        .or_default()
                        .push(module.file.clone());
                }
            }
        }
    }
    defined.retain(|_, files| files.len() > 1);
    assert!(defined.is_empty(), "{defined:#?}");
}

/// The longest function, the most lines and files, and the share of doc comments that
/// the tree may have, tests not counted. What becomes smaller lowers them; nothing raises
/// them without a reason.
const MAX_FUNCTION: usize = 100;
const MAX_LINES: usize = 47_696;
const MAX_FILES: usize = 178;
const MAX_DOC_PERCENT: usize = 8;

#[test]
fn the_tree_stays_small() {
    let (mut lines, mut docs) = (0, 0);
    let modules = modules();
    for module in &modules {
        lines += module.code.lines().count();
        let is_doc = |line: &&str| line.trim_start().starts_with("///") || line.starts_with("//!");
        docs += module.code.lines().filter(is_doc).count();
        let mut start = None;
        for (number, line) in module.code.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start().split(['(', '<', '"']).next().unwrap();
            let is_start = head.split(' ').rev().nth(1) == Some("fn") && !head.starts_with("//");
            if is_start && !line.ends_with([';', '}']) {
                start = Some((number, indent, head.trim().to_owned()));
            } else if let Some((from, outer, name)) = &start
                && indent == *outer
                && line.trim() == "}"
            {
                let length = number - from + 1;
                assert!(
                    length <= MAX_FUNCTION,
                    "{}: {name} has {length} lines",
                    module.file
                );
                start = None;
            }
        }
    }
    assert!(lines <= MAX_LINES, "{lines} lines");
    assert!(modules.len() <= MAX_FILES, "{} files", modules.len());
    assert!(
        docs * 100 <= lines * MAX_DOC_PERCENT,
        "{docs} of {lines} lines are doc comments"
    );
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
fn the_core_does_no_io() {
    const WORDS: &[&str] = &[
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
    ];
    for module in modules()
        .iter()
        .filter(|module| module.file.starts_with("src/core/"))
    {
        for line in module.lines() {
            for word in WORDS {
                assert!(!line.contains(word), "{}: {line}", module.file);
            }
        }
    }
}

#[test]
fn secrets_are_exposed_only_in_the_listed_places() {
    let expected = BTreeMap::from([
        ("src/api/auth/mod.rs", 1),
        ("src/api/auth/signature.rs", 3),
        ("src/api/wire.rs", 1),
        ("src/authoring/mod.rs", 2),
        ("src/cli/cmd/manifest.rs", 1),
        ("src/core/fingerprint.rs", 4),
        ("src/core/manifest/seal.rs", 2),
        ("src/core/merge/content.rs", 1),
        ("src/core/manifest/value.rs", 1),
        ("src/core/redact/needles.rs", 1),
        ("src/store/remote/clone.rs", 1),
    ]);
    let mut found = BTreeMap::new();
    for module in modules() {
        let calls = module.code.matches(".expose()").count();
        if calls > 0 {
            found.insert(module.file, calls);
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
    for folder in ["src", "tests", "benches"] {
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
fn the_exit_codes_of_reference_help_and_man_page_are_those_of_the_program() {
    use drspass::cli::exit;
    let reference = fs::read_to_string(root().join("docs/reference.md")).unwrap();
    let section = reference.split("## Exit codes").nth(1).unwrap();
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
