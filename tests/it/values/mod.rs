//! Single values of the manifest: `set`, `unset` and `import`.

mod get;
mod import;
mod long;
mod placeholders;
mod random;
mod set;
mod typed;
mod unset;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

use crate::support::leaks::Planted;
use crate::support::{Lab, Run};

/// A root folder, and a folder outside of it for plain text that a user has.
struct Desk {
    lab: Lab,
    outside: TempDir,
    planted: Vec<Planted>,
}

impl Desk {
    /// A root folder whose manifest is this document, of which `secrets` may be
    /// nowhere to be found.
    fn new(document: &str, secrets: &[&str]) -> Self {
        let mut lab = Lab::new();
        fs::create_dir(lab.path("tmp")).unwrap();
        lab.plant(secrets);
        lab.document(document).exits(0);
        Self {
            lab,
            outside: TempDir::new().unwrap(),
            planted: secrets.iter().map(|secret| Planted::text(secret)).collect(),
        }
    }

    /// A file that a user has elsewhere.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.outside.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs a command with this standard input, and looks for what was planted.
    #[track_caller]
    fn fed(&self, args: &[&str], input: &[u8]) -> Run {
        let mut command = self.lab.command(args);
        command.env("TMPDIR", self.lab.path("tmp"));
        command.stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have ended already without reading.
        let _ = child.stdin.take().unwrap().write_all(input);
        let run = self.lab.wait(child);
        self.assert_clean();
        run
    }

    /// `set` with a value from standard input.
    #[track_caller]
    fn set(&self, args: &[&str], value: &[u8]) -> Run {
        self.fed(&[&["set"], args, &["--from-file", "-"]].concat(), value)
    }

    /// The same, where it must be refused with these words.
    #[track_caller]
    fn refuses(&self, args: &[&str], value: &[u8], why: &str) -> Run {
        self.set(args, value)
            .exits(1)
            .says(why)
            .says("Nothing was written.")
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Run {
        self.fed(args, b"")
    }

    /// Searches every file below the root folder, which is the home and holds the
    /// temporary folder too.
    #[track_caller]
    fn assert_clean(&self) {
        for path in files(self.lab.dir.path()) {
            // A link may lead nowhere.
            let content = fs::read(&path).unwrap_or_default();
            for secret in &self.planted {
                secret.assert_absent(&path.display().to_string(), &content);
            }
        }
        let temp = files(&self.lab.path("tmp"));
        assert!(temp.is_empty(), "{temp:?}");
    }

    /// The decrypted manifest without its sealed part.
    fn text(&self) -> String {
        let text = self.lab.run(&["decrypt"]).exits(0).stdout;
        let start = text.find("sealed:").unwrap();
        let length = text[start..].find("written: ").unwrap();
        let end = text[start + length..].find('\n').unwrap();
        format!("{}{}", &text[..start], &text[start + length + end + 1..])
    }

    /// The encrypted manifest.
    fn sealed(&self) -> Vec<u8> {
        fs::read(self.lab.path("passwords.yaml.age")).unwrap()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}
