//! What `init` sets up in git: ignored files, files whose bytes git may not rewrite, and how
//! it compares manifests.

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
/// The command that shows a manifest: drspass as found on git's path.
const SHOW: &str = "drspass show --textconv";
/// The setting that would keep decrypted outlines as notes in the repository.
const CACHE: &str = "diff.drspass.cachetextconv";

/// Variables that would lead git to another repository, or add settings of one command to
/// those of the repository. Some of the latter are not passed on for their names, and git
/// refuses the rest alone.
const MISLEADING: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
];

/// The git diff driver for manifests in a repository.
///
/// git is found and gets its environment like every other child process, so that no file of a
/// work tree runs in its place.
pub struct DiffDriver {
    program: PathBuf,
    folder: PathBuf,
    env: ChildEnv,
    wanted: Vec<(&'static str, &'static str)>,
}

impl DiffDriver {
    /// Reads the settings of a directory's repository without writing any.
    pub fn look(folder: &Path, env: ChildEnv) -> Result<Self, OpError> {
        let missing = || {
            Failure::new(
                "drspass::git::missing",
                "cannot find git in PATH",
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
        // Inside the repository's own directory it succeeds, and prints "false".
        if !output.status.success() || output.stdout.trim_ascii() != b"true" {
            return Err(Failure::new(
                "drspass::git::no_work_tree",
                "the directory is not in a usable git work tree",
                "Nothing was written. Run 'git init' first, or name a directory of a clone with -C DIR; 'git status' there shows the problem.",
            )
            .into());
        }
        let present = driver.setting(TEXTCONV)?;
        if present.iter().any(|value| value != SHOW) {
            return Err(Failure::new(
                "drspass::git::other_setting",
                format!("{TEXTCONV} has another value in this repository"),
                format!(
                    "Nothing was written. 'git config --local --get-all {TEXTCONV}' shows it; if it is not needed, remove it with '--unset-all' and run the command again."
                ),
            )
            .into());
        }
        if present.len() != 1 {
            driver.wanted.push((TEXTCONV, SHOW));
        }
        // A cache of what takes milliseconds is useless, so another value goes.
        if driver.setting(CACHE)? != ["false"] {
            driver.wanted.push((CACHE, "false"));
        }
        Ok(driver)
    }

    /// Returns every value of a setting in this repository alone.
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
                "Nothing was written. Check that the repository's configuration is valid and readable.",
            )
            .into()),
        }
    }

    /// Writes the settings, and returns their names.
    pub fn set(self) -> Result<Vec<&'static str>, OpError> {
        for (name, value) in &self.wanted {
            let failed = || {
                Failure::new(
                    "drspass::git::setting",
                    format!("git cannot set {name}"),
                    "drspass.yaml, the manifest, .gitignore and .gitattributes are written; only git's configuration is incomplete. Check that it is writable and not locked, then run 'drspass init --git' without other options.",
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
                "Nothing was written. Check that the directory exists.",
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

/// Completes .gitignore and .gitattributes of a directory that has a manifest.
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

/// Ignores files that must not be committed, keeps git from rewriting line ends of the
/// others (codes and digests cover their bytes), and names the diff driver for manifests: a
/// clone without that driver compares the encrypted text. Returns the files it wrote.
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

/// Adds lines to .gitignore that an earlier version did not write.
pub fn ignore_siblings(root: &Root) -> Result<(), OpError> {
    let name = Path::new(".gitignore");
    append_missing(&root.resolve(name), &ignored_siblings(&root.config))
        .map(|_| ())
        .map_err(OpError::write(name))
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
