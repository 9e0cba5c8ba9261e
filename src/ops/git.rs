//! What `init` tells git: which files stay out, which bytes it may not rewrite, and
//! how it compares manifests.

use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

use super::OpError;
use super::root::{CONFIG_FILE, Root};
use crate::core::config::Config;
use crate::sys::children::ChildEnv;
use crate::sys::files;
use crate::sys::git::{GitError, Repository};

const MAX_GIT_FILE_BYTES: u64 = 1 << 20;

const TEXTCONV: &str = "diff.drspass.textconv";
/// What shows it: drspass as found on the path of whoever runs git.
const SHOW: &str = "drspass show --textconv";
/// The setting by which git would keep what was shown, as notes in the repository.
const CACHE: &str = "diff.drspass.cachetextconv";

pub struct DiffDriver {
    repository: Repository,
    wanted: Vec<(&'static str, &'static str)>,
}

impl DiffDriver {
    /// Looks at the repository of a folder; nothing is written.
    pub fn look(folder: &Path, env: ChildEnv) -> Result<Self, OpError> {
        let repository = Repository::of(folder, env)?;
        let mut wanted = Vec::new();
        let present = repository.setting(TEXTCONV)?;
        if present.iter().any(|value| value != SHOW) {
            return Err(GitError::OtherSetting { name: TEXTCONV }.into());
        }
        if present.len() != 1 {
            wanted.push((TEXTCONV, SHOW));
        }
        // Nobody needs a cache of what takes milliseconds, so another value goes.
        if repository.setting(CACHE)? != ["false"] {
            wanted.push((CACHE, "false"));
        }
        Ok(Self { repository, wanted })
    }

    pub fn set(self) -> Result<Vec<&'static str>, OpError> {
        let mut names = Vec::with_capacity(self.wanted.len());
        for (name, value) in self.wanted {
            self.repository.set(name, value)?;
            names.push(name);
        }
        Ok(names)
    }
}

/// Completes .gitignore and .gitattributes of a folder that has a manifest already.
/// Nothing comes of a folder without one.
pub fn complete(folder: &Path, identities: &[PathBuf]) -> Result<Option<Vec<PathBuf>>, OpError> {
    if folder.join(CONFIG_FILE).symlink_metadata().is_err() {
        return Ok(None);
    }
    let root = Root::locate(folder, None)?;
    if root.manifest_path().symlink_metadata().is_err() {
        return Ok(None);
    }
    git_files(folder, &root.config, identities).map(Some)
}

/// Keeps what must not be committed out of git, keeps git from rewriting the line
/// ends of all other files of drspass, since codes and digests cover their bytes, and
/// names the driver that compares manifests: a clone that does not know that driver
/// compares the encrypted text. Tells which files it wrote.
pub fn git_files(
    folder: &Path,
    config: &Config,
    identities: &[PathBuf],
) -> Result<Vec<PathBuf>, OpError> {
    let mut ignored = ignored_siblings(config);
    ignored.extend(
        identities
            .iter()
            .filter_map(|path| ignored_as(folder, path)),
    );
    let of = |path: &Path, more: &str| quoted(pattern(path) + more);
    let attributes = [
        format!("{} -text -filter", of(Path::new(CONFIG_FILE), "")),
        format!(
            "{} -text -filter diff=drspass",
            of(config.manifest.as_path(), "")
        ),
        // What stands beside the state begins with its name.
        format!("{} -text -filter", of(config.state.as_path(), "*")),
    ];
    let mut written = Vec::new();
    for (name, lines) in [
        (".gitignore", &ignored[..]),
        (".gitattributes", &attributes[..]),
    ] {
        let appended = append_missing(&folder.join(name), lines).map_err(OpError::write(name))?;
        if appended {
            written.push(name.into());
        }
    }
    Ok(written)
}

/// The lines of .gitignore for what drspass keeps beside the state and the manifest.
fn ignored_siblings(config: &Config) -> Vec<String> {
    let state = pattern(config.state.as_path());
    let mut lines: Vec<String> = [
        ".journal",
        ".lock",
        ".backup",
        ".tmp",
        ".backup.tmp",
        ".journal.backup",
        ".recovery-*",
        ".rekey",
        ".rekey.tmp",
        ".before-rekey",
        ".before-rekey.tmp",
    ]
    .iter()
    .map(|suffix| format!("{state}{suffix}"))
    .collect();
    // What an overtaken edit keeps.
    lines.push(format!("{}.edited-*", pattern(config.manifest.as_path())));
    lines.push(format!("{}*", files::PASSING));
    // The names that the documents suggest for decrypted copies.
    lines.extend(["plain", "ours", "theirs"].map(|name| format!("/{name}.yaml")));
    lines
}

/// Adds to .gitignore what an earlier version did not know of.
pub fn ignore_siblings(root: &Root) -> Result<(), OpError> {
    let name = Path::new(".gitignore");
    append_missing(&root.resolve(name), &ignored_siblings(&root.config))
        .map(|_| ())
        .map_err(OpError::write(name))
}

/// How .gitignore names an identity file below the folder; nothing for one that
/// is elsewhere.
fn ignored_as(folder: &Path, identity: &Path) -> Option<String> {
    // The file itself may not be there yet, but its folder is.
    let real = |path: &Path| files::folder_of(path).canonicalize().ok();
    let here = real(&folder.join(CONFIG_FILE))?;
    let full = real(&folder.join(identity))?.join(identity.file_name()?);
    let below = full.strip_prefix(here).ok()?;
    below.to_str()?;
    Some(pattern(below))
}

/// A path below the folder as git matches it: from the folder on, letter by letter.
fn pattern(path: &Path) -> String {
    let mut line = String::new();
    for part in path.components() {
        let Component::Normal(part) = part else {
            continue;
        };
        line.push('/');
        for c in part.to_string_lossy().chars() {
            if matches!(c, '\\' | '*' | '?' | '[' | ' ' | '!' | '#') {
                line.push('\\');
            }
            line.push(c);
        }
    }
    line
}

/// A pattern for .gitattributes, where a blank ends one that is not in quotation marks.
fn quoted(pattern: String) -> String {
    if pattern.contains([' ', '"']) {
        let escaped = pattern.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    } else {
        pattern
    }
}

/// Appends the lines that a file lacks. Returns whether there were any.
fn append_missing(path: &Path, lines: &[String]) -> io::Result<bool> {
    let present = match files::read_unlinked_limited(path, MAX_GIT_FILE_BYTES) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let missing: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .filter(|line| present.lines().all(|there| there.trim() != *line))
        .collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let gap = if present.is_empty() || present.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let mut file = files::append_unlinked(path)?;
    file.write_all(format!("{gap}{}\n", missing.join("\n")).as_bytes())?;
    file.sync_all()?;
    Ok(true)
}
