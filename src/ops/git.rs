//! What `init` tells git: which files stay out, which bytes it may not rewrite, and
//! how it compares manifests.

use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::OpError;
use super::error::Failure;
use super::root::{CONFIG_FILE, Root};
use crate::core::config::Config;
use crate::sys::children::ChildEnv;
use crate::sys::files;

const MAX_GIT_FILE_BYTES: u64 = 1 << 20;

const TEXTCONV: &str = "diff.drspass.textconv";
/// What shows it: drspass as found on the path of whoever runs git.
const SHOW: &str = "drspass show --textconv";
/// The setting by which git would keep what was shown, as notes in the repository.
const CACHE: &str = "diff.drspass.cachetextconv";

/// Variables that would lead git to another repository than that of the folder, or put
/// settings of one command beside those of the repository. Of the latter, some are not
/// passed on for their names, and git refuses the rest alone.
const MISLEADING: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
];

/// The driver that compares manifests, in the repository whose work tree a folder is in.
///
/// git is found, and gets its environment, as all programs that are started, so that no
/// file of a work tree is run in its place.
pub struct DiffDriver {
    program: PathBuf,
    folder: PathBuf,
    env: ChildEnv,
    wanted: Vec<(&'static str, &'static str)>,
}

impl DiffDriver {
    /// Looks at the repository of a folder; nothing is written.
    pub fn look(folder: &Path, env: ChildEnv) -> Result<Self, OpError> {
        let missing = || {
            Failure::new(
                "drspass::git::missing",
                "there is no program git in the folders of PATH",
                "Nothing was written. Install git, or run the command without --git.",
            )
        };
        let mut driver = Self {
            program: env.program("git".as_ref()).ok_or_else(missing)?,
            folder: Path::new(".").join(folder),
            env,
            wanted: Vec::new(),
        };
        let output = driver.asked(&["rev-parse", "--is-inside-work-tree"])?;
        // Inside the repository's own folder it succeeds, and says no.
        if !output.status.success() || output.stdout.trim_ascii() != b"true" {
            return Err(Failure::new(
                "drspass::git::no_work_tree",
                "the folder is in no work tree of git that can be used",
                "Nothing was written. Run 'git init' first, or name a folder of a clone with -C DIR; 'git status' there says what is wrong.",
            )
            .into());
        }
        let present = driver.setting(TEXTCONV)?;
        if present.iter().any(|value| value != SHOW) {
            return Err(Failure::new(
                "drspass::git::other_setting",
                format!("{TEXTCONV} has another value in this repository"),
                format!(
                    "Nothing was written. 'git config --local --get-all {TEXTCONV}' shows it; if nobody needs it, remove it with '--unset-all' and run the command again."
                ),
            )
            .into());
        }
        if present.len() != 1 {
            driver.wanted.push((TEXTCONV, SHOW));
        }
        // Nobody needs a cache of what takes milliseconds, so another value goes.
        if driver.setting(CACHE)? != ["false"] {
            driver.wanted.push((CACHE, "false"));
        }
        Ok(driver)
    }

    /// Every value that a setting has in this repository alone.
    fn setting(&self, name: &str) -> Result<Vec<String>, OpError> {
        let output = self.asked(&["config", "--local", "--null", "--get-all", name])?;
        match output.status.code() {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout)
                .split_terminator('\0')
                .map(str::to_owned)
                .collect()),
            // It is not set.
            Some(1) => Ok(Vec::new()),
            _ => Err(Failure::new(
                "drspass::git::setting",
                format!("git cannot read {name}"),
                "Nothing was written. See whether the configuration of the repository is valid and may be read.",
            )
            .into()),
        }
    }

    /// Makes the settings, and tells which.
    pub fn set(self) -> Result<Vec<&'static str>, OpError> {
        for (name, value) in &self.wanted {
            let failed = || {
                Failure::new(
                    "drspass::git::setting",
                    format!("git cannot set {name}"),
                    "drspass.yaml, the manifest, .gitignore and .gitattributes are in their places; only the configuration of git is not complete. See whether it may be written and is not locked, then complete it with 'drspass init --git' and nothing else.",
                )
            };
            match self.run(&["config", "--local", "--replace-all", name, value]) {
                Ok(output) if output.status.success() => {}
                Ok(_) => return Err(failed().into()),
                Err(source) => return Err(failed().because(source).into()),
            }
        }
        Ok(self.wanted.into_iter().map(|(name, _)| name).collect())
    }

    fn asked(&self, args: &[&str]) -> Result<Output, OpError> {
        self.run(args).map_err(|source| {
            Failure::new(
                "drspass::git::run",
                format!("cannot run {}", self.program.display()),
                "Nothing was written. See whether the folder is there.",
            )
            .because(source)
            .into()
        })
    }

    fn run(&self, args: &[&str]) -> io::Result<Output> {
        let mut command = Command::new(&self.program);
        self.env.give(&mut command);
        for name in MISLEADING {
            command.env_remove(name);
        }
        command
            .args(args)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .output()
    }
}

/// Completes .gitignore and .gitattributes of a folder, if it has a manifest.
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
