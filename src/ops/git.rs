//! git and a root directory: the lines that `init` adds to .gitignore and .gitattributes, a file's
//! attributes, and its versions in a commit or an unfinished merge.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::OpError;
use super::error::Failure;
use super::root::CONFIG_FILE;
use crate::core::config::{Config, index_path};
use crate::core::place::Place;
use crate::core::redact::ForeignText;
use crate::sys::children::ChildEnv;
use crate::sys::{files, git};

const MAX_GIT_FILE_BYTES: u64 = 1 << 20;

/// Variables that would lead git to another repository, or to attributes or settings of another
/// place.
const MISLEADING: [&str; 12] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_ATTR_SOURCE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ICASE_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
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
        let mut above = full.ancestors().map(|above| above.join(".git"));
        // A hook may check a copy within the repository's own directory.
        if above
            .find(|git| git.exists())
            .is_none_or(|git| full.starts_with(git))
        {
            return Ok(None);
        }
        let git = Self {
            program: git::program(env)?,
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

    /// Returns the versions of a file that git could not merge: the common one, HEAD's, the other.
    pub fn unmerged(&self, file: &Path) -> Result<[Option<Vec<u8>>; 3], OpError> {
        let file = file.to_string_lossy();
        let listed = self.asked(&["ls-files", "--unmerged", "-z", "--", &file])?;
        let mut versions = [None, None, None];
        // Each with mode, id, stage, a tab, the name.
        for entry in listed.split(|byte| *byte == 0) {
            let entry = String::from_utf8_lossy(entry);
            let mut words = entry.split([' ', '\t']).skip(1);
            let (id, stage) = (words.next(), words.next().and_then(|it| it.parse().ok()));
            if let (Some(id), Some(stage)) = (id, stage)
                && let Some(version) =
                    usize::checked_sub(stage, 1).and_then(|it| versions.get_mut(it))
            {
                *version = Some(self.asked(&["cat-file", "blob", id])?);
            }
        }
        Ok(versions)
    }

    /// Returns what people call HEAD and the other side of an unfinished merge, rebase,
    /// cherry-pick, revert or stash.
    pub fn sides(&self) -> [String; 2] {
        let line = |args: &[&str]| {
            let line = self.asked(args).ok()?;
            let line = String::from_utf8_lossy(line.trim_ascii()).into_owned();
            (!line.is_empty()).then_some(line)
        };
        // A tag of such a name, which anyone who pushes can make, is none of git's own.
        let is_there = |name| {
            let path = line(&["rev-parse", "--git-path", name]);
            path.is_some_and(|path| self.folder.join(path).exists())
        };
        let commit = |form, name| {
            let args = ["rev-parse", "--verify", "--quiet", form, name];
            line(&args).filter(|_| is_there(name))
        };
        let called = |name| {
            let at = format!("--points-at={}", commit("--end-of-options", name)?);
            // What only points to another branch is no name.
            let format = "--format=%(if)%(symref)%(then)%(else)%(refname:short)%(end)";
            let branches = line(&["for-each-ref", format, &at, "refs/heads", "refs/remotes"]);
            let branch = branches.and_then(|names| names.lines().next().map(str::to_owned));
            let is_plain = |name: &String| !name.contains(char::is_whitespace);
            branch.filter(is_plain).or_else(|| commit("--short", name))
        };
        // In a rebase, HEAD is on no branch, and the commits of the other side are taken singly.
        let rebased = || {
            let path = line(&["rev-parse", "--git-path", "rebase-merge/head-name"])?;
            let name = fs::read_to_string(self.folder.join(path)).ok()?;
            Some(name.trim().strip_prefix("refs/heads/")?.to_owned())
        };
        let ours = called("rebase-merge/onto")
            .or_else(|| line(&["symbolic-ref", "--short", "--quiet", "HEAD"]))
            .or_else(|| called("HEAD"));
        let theirs = rebased()
            .or_else(|| called("MERGE_HEAD"))
            .or_else(|| called("CHERRY_PICK_HEAD"))
            .or_else(|| Some(format!("revert of {}", commit("--short", "REVERT_HEAD")?)))
            .or_else(|| {
                let stash = ["rev-parse", "--verify", "--quiet", "refs/stash"];
                line(&stash).map(|_| "stash".to_owned())
            });
        [(ours, "HEAD"), (theirs, "the other side")].map(|(name, usual)| {
            let name = name.and_then(|name| ForeignText::clean(&name));
            name.map_or_else(|| usual.to_owned(), |name| name.as_str().to_owned())
        })
    }

    /// Returns whether commits of HEAD's history are missing here.
    pub fn is_shallow(&self) -> bool {
        let shallow = self.asked(&["rev-parse", "--is-shallow-repository"]);
        shallow.is_ok_and(|text| text.trim_ascii() == b"true")
    }

    /// Returns for each of these tags that HEAD's history of an index has the last revision that
    /// brought it.
    pub fn brought(
        &self,
        index: &Path,
        tags: &HashSet<&str>,
    ) -> Result<HashMap<String, u64>, OpError> {
        let index = index.to_string_lossy();
        // No setting changes what the lines look like.
        let log = self.asked(&[
            "log",
            "--full-history",
            "--root",
            "--format=",
            "--no-show-signature",
            "--patch",
            "-m",
            "--unified=0",
            "--text",
            "--no-ext-diff",
            "--no-textconv",
            "--no-renames",
            "--no-color",
            "HEAD",
            "--",
            &index,
        ])?;
        let mut found = HashMap::new();
        let mut revision = None;
        // The newest change comes first.
        for line in log.split(|byte| *byte == b'\n') {
            let Some(line) = line.strip_prefix(b"+").map(String::from_utf8_lossy) else {
                continue;
            };
            if let Some((_, rest)) = line
                .strip_prefix("manifest: ")
                .and_then(|it| it.split_once("revision: "))
            {
                revision = rest
                    .split(',')
                    .next()
                    .and_then(|number| number.parse().ok());
            }
            for tag in line.split('"').filter(|word| tags.contains(word)) {
                if let Some(revision) = revision {
                    found.entry(tag.to_owned()).or_insert(revision);
                }
            }
        }
        Ok(found)
    }

    fn asked(&self, args: &[&str]) -> Result<Vec<u8>, OpError> {
        let failed = || {
            Failure::new(
                "drspass::git::run",
                format!("'git {}' failed", args[0]),
                "Run 'git status' in this directory, which shows the problem; in a container, git may need 'git config --global --add safe.directory DIR'. A directory with files named HEAD, objects and refs is refused: a commit may bring such a repository along.",
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
            // A repository that a commit brought along must not count, nor start a program.
            .args([
                "-c",
                "safe.bareRepository=explicit",
                "-c",
                "core.fsmonitor=false",
            ])
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
    } else if commit.len() >= 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let help = "Fetch the branch that has it first: git fetch origin BRANCH; in a shallow clone, git \
                    fetch --unshallow origin.";
        (commit.to_owned(), help.to_owned())
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
            .filter_map(|path| below(folder, path))
            .map(|path| pattern(&path)),
    );
    let of = |path: &Path, more: &str| quoted(pattern(path) + more);
    let mut attributes = vec![
        format!("{} -text -filter", of(Path::new(CONFIG_FILE), "")),
        // Encrypted text has no readable changes.
        format!("{} -text -filter -diff", of(config.manifest.as_path(), "")),
        // Nothing but text can be reviewed.
        format!(
            "{} text eol=lf -filter",
            of(&index_path(&config.manifest), "")
        ),
    ];
    if let Place::File(state) = &config.state {
        // The state's siblings begin with its name.
        attributes.push(format!("{} -text -filter", of(state, "*")));
    }
    let mut files = vec![
        (PathBuf::from(".gitignore"), ignored),
        (".gitattributes".into(), attributes),
    ];
    for identity in identities.iter().filter(|path| is_near(folder, path)) {
        let name = identity.file_name().map(Path::new).map(pattern);
        let file = files::folder_of(identity).join(".gitignore");
        files.push((file, name.into_iter().collect()));
    }
    let mut written = Vec::new();
    for (name, lines) in files {
        let appended = append_missing(&folder.join(&name), &lines);
        if appended.map_err(OpError::write(&name))? {
            written.push(name);
        }
    }
    Ok(written)
}

/// Returns the .gitignore lines for what passes next to state and manifest.
fn ignored_siblings(config: &Config) -> Vec<String> {
    const SUFFIXES: [&str; 7] = [
        ".journal",
        ".lock",
        ".backup",
        ".tmp",
        ".backup.tmp",
        ".journal.backup",
        ".recovery-*",
    ];
    let mut lines = Vec::new();
    if let Place::File(state) = &config.state {
        let state = pattern(state);
        lines.extend(SUFFIXES.map(|suffix| format!("{state}{suffix}")));
    }
    // What an overtaken edit keeps.
    lines.push(format!("{}.edited-*", pattern(config.manifest.as_path())));
    lines.push(format!("{}*", files::PASSING));
    // Usual names of decrypted copies.
    lines.extend(["plain", "ours", "theirs"].map(|name| format!("/{name}.yaml")));
    // The usual name of a saved plan.
    lines.push("/plan.json".to_owned());
    lines
}

/// Returns the full path of the directory of a file that may be missing.
fn real_folder_of(path: &Path) -> Option<PathBuf> {
    files::folder_of(path).canonicalize().ok()
}

/// Returns the path of an identity file below the directory, `None` elsewhere.
fn below(folder: &Path, identity: &Path) -> Option<PathBuf> {
    let here = real_folder_of(&folder.join(CONFIG_FILE))?;
    let full = real_folder_of(&folder.join(identity))?.join(identity.file_name()?);
    let below = full.strip_prefix(here).ok()?;
    below.to_str()?;
    Some(below.to_owned())
}

/// Returns whether an identity file is elsewhere in the work tree of the directory.
fn is_near(folder: &Path, identity: &Path) -> bool {
    let here = real_folder_of(&folder.join(CONFIG_FILE));
    let its = real_folder_of(&folder.join(identity));
    let (Some(here), Some(its)) = (here, its) else {
        return false;
    };
    let top = here.ancestors().find(|above| above.join(".git").exists());
    !its.starts_with(&here) && top.is_some_and(|top| its.starts_with(top))
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
