//! What git does with the files of a root directory: which `init` makes it ignore or leave as
//! they are, what it was told about one, and what a commit has.

use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::OpError;
use super::error::Failure;
use super::root::CONFIG_FILE;
use crate::core::config::{Config, index_path};
use crate::sys::children::ChildEnv;
use crate::sys::files;

const MAX_GIT_FILE_BYTES: u64 = 1 << 20;

/// Variables that would lead git to another repository, or to attributes or settings of another
/// place.
const MISLEADING: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_ATTR_SOURCE",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
];

/// git in a directory of a work tree. It is found and gets its environment like every other child
/// process, so that no file of a work tree runs in its place.
pub struct Git {
    program: PathBuf,
    folder: PathBuf,
    env: ChildEnv,
}

impl Git {
    /// Returns `None` outside of a work tree.
    pub fn at(folder: PathBuf, env: &ChildEnv) -> Result<Option<Self>, OpError> {
        // The directory of the process has no name.
        let full = folder.join(".").canonicalize().unwrap_or_default();
        if !full.ancestors().any(|above| above.join(".git").exists()) {
            return Ok(None);
        }
        let missing = || {
            Failure::new(
                "drspass::git::missing",
                "cannot find git in PATH",
                "Install git: it shows whether reviewers see the index as it is.",
            )
        };
        let git = Self {
            program: env.program("git".as_ref()).ok_or_else(missing)?,
            folder,
            env: env.clone(),
        };
        let inside = git.asked(&["rev-parse", "--is-inside-work-tree"])?;
        // In the repository's own directory it prints "false".
        Ok((inside.trim_ascii() == b"true").then_some(git))
    }

    /// Returns the names and values of a file's attributes.
    pub fn attributes(&self, file: &Path) -> Result<Vec<(String, String)>, OpError> {
        let file = file.to_string_lossy();
        let listed = self.asked(&["check-attr", "-z", "--all", "--", &file])?;
        let mut parts = listed.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let mut found = Vec::new();
        while let (Some(_), Some(name), Some(value)) = (parts.next(), parts.next(), parts.next()) {
            found.push((name.into_owned(), value.into_owned()));
        }
        Ok(found)
    }

    /// Returns a file as a commit has it, `None` if it has none.
    pub fn file_of(&self, commit: &str, file: &Path) -> Result<Option<Vec<u8>>, OpError> {
        let wanted = format!("{commit}^{{commit}}");
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
        let Ok(id) = self.asked(&[&args[..], &[&wanted]].concat()) else {
            return Err(unknown_commit(commit));
        };
        let id = String::from_utf8_lossy(id.trim_ascii()).into_owned();
        let file = format!("./{}", file.display());
        let listed = self.asked(&["ls-tree", "-z", &id, "--", &file])?;
        // Mode, type, id, a tab, the name.
        let listed = String::from_utf8_lossy(&listed);
        match listed.split(['\t', ' ']).nth(2) {
            Some(blob) => self.asked(&["cat-file", "blob", blob]).map(Some),
            None => Ok(None),
        }
    }

    fn asked(&self, args: &[&str]) -> Result<Vec<u8>, OpError> {
        let failed = || {
            Failure::new(
                "drspass::git::run",
                format!("'git {}' failed", args[0]),
                "Run 'git status' in this directory, which shows the problem. In a container, git may need 'git config --global --add safe.directory DIR'.",
            )
        };
        match self.run(args) {
            Ok(output) if output.status.success() => Ok(output.stdout),
            Ok(_) => Err(failed().into()),
            Err(source) => Err(failed().because(source).into()),
        }
    }

    fn run(&self, args: &[&str]) -> io::Result<Output> {
        let mut command = Command::new(&self.program);
        self.env.give(&mut command);
        for name in MISLEADING {
            command.env_remove(name);
        }
        command
            .args(args)
            // Names are names, and a part of a clone that is not there is not fetched.
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .current_dir(Path::new(".").join(&self.folder))
            .stdin(Stdio::null())
            .output()
    }
}

fn unknown_commit(commit: &str) -> OpError {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
    let name = commit.strip_prefix("origin/").unwrap_or(commit);
    let (what, help) = if !name.bytes().all(is_plain) || name.starts_with('-') {
        let help = "Name a branch as origin/NAME, or a commit by its id.";
        ("the commit of --base".to_owned(), help.to_owned())
    } else if name.len() >= 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let help = format!("Fetch it first: git fetch origin {name}");
        (name.to_owned(), help)
    } else {
        let refs = format!("+refs/heads/{name}:refs/remotes/origin/{name}");
        let help =
            format!("Fetch it first: git fetch origin {refs}; its name is then origin/{name}.");
        (commit.to_owned(), help)
    };
    Failure::new(
        "drspass::git::unknown_commit",
        format!("{what} is not in this clone"),
        help,
    )
    .into()
}

/// Ignores files that must not be committed, and keeps git from rewriting line ends of the
/// others, since codes and digests cover their bytes. Returns the files it wrote.
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
        // Encrypted text has no readable changes.
        format!("{} -text -filter -diff", of(config.manifest.as_path(), "")),
        // Nothing but text can be reviewed.
        format!(
            "{} text eol=lf -filter",
            of(&index_path(&config.manifest), "")
        ),
        // The state's siblings begin with its name.
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

/// Returns the .gitignore lines for the siblings of state and manifest.
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

/// Returns the .gitignore line of an identity file below the directory, `None` elsewhere.
fn ignored_as(folder: &Path, identity: &Path) -> Option<String> {
    // The file itself may be missing, but its directory exists.
    let real = |path: &Path| files::folder_of(path).canonicalize().ok();
    let here = real(&folder.join(CONFIG_FILE))?;
    let full = real(&folder.join(identity))?.join(identity.file_name()?);
    let below = full.strip_prefix(here).ok()?;
    below.to_str()?;
    Some(pattern(below))
}

/// Returns the git pattern of a path below the directory, anchored and escaped.
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

/// Quotes a pattern for .gitattributes if it contains a blank.
fn quoted(pattern: String) -> String {
    if pattern.contains([' ', '"']) {
        let escaped = pattern.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    } else {
        pattern
    }
}

/// Appends the missing lines to a file; returns whether there were any.
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
