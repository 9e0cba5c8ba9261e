//! Files that a writer of the repository can change, and what pipelines print of them:
//! drspass.yaml, the header of the manifest, the state, a plan. No line is one that a CI
//! system obeys, and every run ends with a code of the table.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use drspass::cli::{Env, exit};
use drspass_fuzz::{assert_harmless, part, parts, said, show_panics};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const KEY: &str = include_str!("../../examples/infra-repo/keys/THROW-AWAY-KEY.txt");
const FILES: [&str; 4] = [
    "drspass.yaml",
    "passwords.yaml.age",
    "drspass.state.json",
    "plan.json",
];

struct Root {
    folder: TempDir,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

static ROOT: LazyLock<Root> = LazyLock::new(|| {
    let folder = TempDir::new().expect("a folder");
    let from = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/infra-repo/envs/staging/"
    );
    let read = |name: &str| fs::read(format!("{from}{name}")).expect(name);
    Root {
        folder,
        config: read(FILES[0]),
        manifest: read(FILES[1]),
    }
});

fuzz_target!(init: show_panics(), |data: &[u8]| {
    let Some(parts) = parts(data) else { return };
    let root = &*ROOT;
    let folder = root.folder.path();
    for (number, name) in FILES.iter().enumerate() {
        let given = part(&parts, number);
        let bytes = match (number, given) {
            // Lines that follow the usual ones, or all of the file.
            (0, [b'+', more @ ..]) => [&root.config, more].concat(),
            (0, []) => root.config.clone(),
            (1, []) => root.manifest.clone(),
            _ => given.to_vec(),
        };
        if bytes.is_empty() {
            let _ = fs::remove_file(folder.join(name));
        } else {
            fs::write(folder.join(name), bytes).expect("written");
        }
    }
    let at = folder.to_str().expect("text");
    let env = Env::default().with_var("HOME", at).with_var("DRSPASS_IDENTITY_KEY", KEY);
    for words in [
        &["validate", "--require-encrypted"][..],
        &["recipients"],
        &["plan", "--github"],
        &["plan", "--markdown", "-"],
        &["show", "plan.json"],
        &["state", "list"],
    ] {
        let (code, out, err) = said(&[&["-C", at], words].concat(), &env);
        assert!(exit::TABLE.iter().any(|(known, _)| *known == code), "{code}");
        assert_harmless(&err);
        if words != ["plan", "--github"] {
            assert_harmless(&out);
            continue;
        }
        let mut group = None;
        for line in out.lines() {
            if let Some(token) = line.strip_prefix("::stop-commands::") {
                group = Some(format!("::{token}::"));
            } else if group.as_deref() == Some(line) {
                group = None;
            } else if group.is_none() {
                let is_ours = ["::group::", "::endgroup::", "::error title=drspass ", "::warning title="]
                    .iter()
                    .any(|start| line.starts_with(start));
                assert_harmless(if is_ours { line.trim_start_matches(':') } else { line });
            } else {
                assert_harmless(line.trim_start_matches([' ', ':']));
            }
        }
    }
});
