//! What the user gave as an argument or in a variable, looked at before anything repeats
//! it: where a path was to be, a secret may have been put by mistake. Messages, JSON, the
//! log of a pipeline and .gitignore get only what passed here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use super::env::Env;
use crate::core::redact::{is_key_like, is_too_long_for_a_path};
use crate::ops::OpError;
use crate::sys::files;

/// Variables that name a file or a directory.
const VARIABLES: [&str; 6] = [
    IDENTITY_VARIABLE,
    "DRSPASS_STATE",
    "GITHUB_OUTPUT",
    "GITHUB_STEP_SUMMARY",
    "OS_CLIENT_CONFIG_FILE",
    "OS_CLIENT_SECURE_FILE",
];
const IDENTITY_VARIABLE: &str = "DRSPASS_IDENTITY";
const IDENTITY_OPTION: &str = "--identity";

const KEY: &str = "contains what looks like a private key, which is not repeated";

/// Refuses arguments and variables that may hold a secret in place of what they are for.
/// Fails without repeating them.
pub(super) fn refuse_secrets(
    command: &Command,
    matches: &ArgMatches,
    env: &Env,
) -> Result<(), OpError> {
    let folder = matches.get_one::<PathBuf>("directory");
    let folder = folder.map_or(Path::new(""), PathBuf::as_path);
    for name in VARIABLES {
        if let Some(path) = env.path_var(name) {
            refuse_path(name, folder, &path, false)?;
        }
    }
    let (mut command, mut matches) = (command, matches);
    loop {
        for arg in command.get_arguments() {
            let id = arg.get_id().as_str();
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            // Where the file holds a secret, the secret itself may have been typed.
            let is_secret = matches!(
                (command.get_name(), arg.get_long()),
                ("import", None) | (_, Some("from-file" | "token-file"))
            );
            let name = arg.get_long().map_or_else(
                || arg.get_value_names().unwrap_or_default().join(" "),
                |long| format!("--{long}"),
            );
            let is_path = matches.try_get_many::<PathBuf>(id).is_ok();
            for value in matches.get_raw(id).into_iter().flatten() {
                if is_path {
                    refuse_path(&name, folder, Path::new(value), is_secret)?;
                } else {
                    refuse_key(&name, &value.to_string_lossy())?;
                }
            }
        }
        let Some((name, below)) = matches.subcommand() else {
            return Ok(());
        };
        let Some(found) = command.find_subcommand(name) else {
            return Ok(());
        };
        (command, matches) = (found, below);
    }
}

/// What is said of a wrong command line that holds a private key, so that nothing says
/// more about it.
pub(super) fn key_among(args: &[OsString]) -> Option<String> {
    let mut args = args.iter().map(|arg| arg.to_string_lossy());
    let number = args.position(|arg| is_key_like(&arg))?;
    Some(format!(
        "error: argument {number} {KEY}\n  help: {}\n",
        help(IDENTITY_OPTION)
    ))
}

fn refuse_key(name: &str, text: &str) -> Result<(), OpError> {
    if is_key_like(text) {
        return Err(refused(name, KEY));
    }
    Ok(())
}

fn refuse_path(name: &str, folder: &Path, path: &Path, is_secret: bool) -> Result<(), OpError> {
    let text = path.to_string_lossy();
    refuse_key(name, &text)?;
    if text.chars().any(char::is_control) {
        return Err(refused(
            name,
            "contains a line break or a control character; it is not repeated",
        ));
    }
    let full = folder.join(path);
    let is_odd = is_secret && !is_plain_name(&text);
    if full.exists() || !(is_odd || is_too_long_for_a_path(&text)) {
        return Ok(());
    }
    // A new file in a directory that exists was meant as a path.
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    if !is_odd && files::folder_of(&full).is_dir() && !is_too_long_for_a_path(&last) {
        return Ok(());
    }
    Err(refused(
        name,
        "names a file that does not exist; the name is not repeated, as it may be a secret",
    ))
}

/// Whether a text is a path of letters that most names of files have, or a mere word.
fn is_plain_name(text: &str) -> bool {
    let is_usual = |c: char| c.is_alphanumeric() || matches!(c, '.' | '/' | '-' | '_' | '~' | ' ');
    let is_word = |c: char| c.is_lowercase() || matches!(c, '-' | '_');
    text.chars().all(is_usual) && (text.contains(['/', '.']) || text.chars().all(is_word))
}

fn refused(name: &str, what: &str) -> OpError {
    OpError::Unfit {
        what: format!("{name} {what}"),
        help: help(name),
    }
}

fn help(name: &str) -> &'static str {
    if [IDENTITY_VARIABLE, IDENTITY_OPTION].contains(&name) {
        "Nothing was sent or written. DRSPASS_IDENTITY and -i take the path of an identity file; the key itself belongs in DRSPASS_IDENTITY_KEY."
    } else {
        "Nothing was sent or written. Give the path of an existing file; a secret on the command line may stay in the shell's history."
    }
}
