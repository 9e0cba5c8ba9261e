//! What `init` sets up in git: ignored files, and files whose bytes git may not rewrite.

use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

use super::OpError;
use super::root::{CONFIG_FILE, Root};
use crate::core::config::Config;
use crate::sys::files;

const MAX_GIT_FILE_BYTES: u64 = 1 << 20;

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
