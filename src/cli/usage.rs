//! What is wrong with a command line, without repeating what was typed: a word, a path
//! or a variable may be a secret that was put there by mistake.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use super::args::REASONS;
use super::cmd;
use super::env::Env;
use crate::core::redact::{is_key_like, is_too_long_for_a_path};
use crate::core::yaml::nearest;
use crate::ops::OpError;
use crate::sys::files;

/// What others call an option, and what may be meant here.
const SAME: &[(&str, &str)] = &[
    ("target targets filter include", "only"),
    ("replace taint force-resend", "resend"),
    (
        "y yes auto-approve approve assume-yes auto no-confirm",
        "auto-approve yes",
    ),
    ("o out output output-file save", "out output"),
    ("j format output-format", "json"),
    ("chdir cwd dir cd", "directory"),
    (
        "key key-file identity-file age-key age-key-file",
        "identity",
    ),
    ("state-file statefile", "state"),
    ("cacert ca-cert cafile ca-bundle os-cacert", "ca-file"),
    ("os-cloud", "cloud"),
    ("token os-token", "token-file"),
    ("os-region-name", "region"),
    ("os-project-id project", "project-id"),
    ("os-auth-url", "auth-url"),
    ("exit-code detailed-exit-code", "detailed-exitcode"),
    ("no-color no-colour colour", "color"),
    ("debug trace", "verbose"),
    ("r recipients", "recipient"),
    ("random gen", "generate"),
    ("f file stdin", "from-file"),
];

const MAX_OPTION: usize = 32;

/// The message for an error of the parser; `args` begin with the name of the program.
pub fn explain(error: &Error, args: &[OsString]) -> String {
    let unknown = match error.kind() {
        ErrorKind::UnknownArgument => unknown(error, args),
        _ => None,
    };
    let mut text = format!("error: {}\n", unknown.unwrap_or_else(|| what(error)));
    for (kind, label) in [
        (ContextKind::SuggestedSubcommand, "did you mean"),
        (ContextKind::ValidValue, "possible values"),
        (ContextKind::ValidSubcommand, "commands"),
    ] {
        if let Some(names) = known_words(error, kind) {
            text.push_str(&format!("  {label}: {names}\n"));
        }
    }
    if let Some(why) = reason(error) {
        text.push_str(&format!("  expected: {why}\n"));
    }
    text.push_str("  'drspass --help' or 'drspass COMMAND --help' shows what there is\n");
    text
}

fn what(error: &Error) -> String {
    // Only the names of options that exist are ours to repeat.
    let option = known_words(error, ContextKind::InvalidArg)
        .filter(|_| error.kind() != ErrorKind::UnknownArgument);
    let named = |text: &str| match &option {
        Some(option) => format!("{text}: {option}"),
        None => text.to_owned(),
    };
    match error.kind() {
        ErrorKind::UnknownArgument => {
            "an argument is not expected here (it is not repeated: it may be a secret)".to_owned()
        }
        ErrorKind::InvalidSubcommand => "there is no such command".to_owned(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            named("the value of an option is not usable")
        }
        ErrorKind::MissingRequiredArgument => named("something is missing"),
        ErrorKind::ArgumentConflict => named("options do not go together"),
        ErrorKind::NoEquals | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            named("an option lacks its value")
        }
        ErrorKind::TooManyValues => named("an option has too many values"),
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8 text".to_owned(),
        _ => "the command line is not complete".to_owned(),
    }
}

/// Names an unknown option by its place, without what follows `=`, and suggests one.
fn unknown(error: &Error, args: &[OsString]) -> Option<String> {
    let told = known_words(error, ContextKind::InvalidArg)?;
    let short = told
        .strip_prefix('-')
        .filter(|rest| rest.chars().count() == 1);
    let mut names = args.iter().skip(1).enumerate().map_while(|(index, arg)| {
        let name = arg.to_str().unwrap_or_default().split('=').next()?;
        (name != "--").then_some((index + 1, name))
    });
    let (position, name) = names.find(|(_, name)| match short {
        Some(short) => {
            let letters = name.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
            letters.is_some_and(|letters| letters.contains(short))
        }
        None => *name == told && name.starts_with('-'),
    })?;
    let bare = name.trim_start_matches('-');
    let same = SAME
        .iter()
        .find(|(others, _)| others.split(' ').any(|other| other == bare));
    let shown = match short {
        // Letters may be a value that was written without a blank.
        Some(_) if same.is_none() => told.as_str(),
        _ if is_option(name) => name,
        _ => return Some(format!("unknown option (argument {position})")),
    };
    let known = options(args);
    let meant = match same {
        Some((_, ours)) => ours.split(' ').find(|our| known.iter().any(|k| k == our)),
        None if short.is_none() => nearest(known.iter().map(String::as_str), bare),
        None => None,
    };
    let meant = meant.map_or_else(String::new, |name| format!("; did you mean --{name}?"));
    Some(format!(
        "unknown option {shown} (argument {position}){meant}"
    ))
}

fn is_option(text: &str) -> bool {
    let bare = text.trim_start_matches('-');
    let dashes = text.len() - bare.len();
    let is_name = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    (1..=2).contains(&dashes) && bare.len() <= MAX_OPTION && bare.split('-').all(is_name)
}

/// The long options of the command that `args` name.
fn options(args: &[OsString]) -> Vec<String> {
    let mut command = cmd::command();
    command.build();
    let mut command = &command;
    for arg in args.iter().skip(1) {
        command = arg
            .to_str()
            .and_then(|name| command.find_subcommand(name))
            .unwrap_or(command);
    }
    let known = command.get_arguments().filter(|arg| !arg.is_hide_set());
    known
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .collect()
}

/// Why a value was refused, if the words are ours.
fn reason(error: &Error) -> Option<&'static str> {
    let said = std::error::Error::source(error)?.to_string();
    REASONS.into_iter().find(|reason| *reason == said)
}

fn known_words(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(word) if !word.is_empty() => Some(word.clone()),
        ContextValue::Strings(words) if !words.is_empty() => Some(words.join(", ")),
        _ => None,
    }
}

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

/// Refuses arguments and variables that may hold a secret instead of what they are for.
pub fn refuse_secrets(command: &Command, matches: &ArgMatches, env: &Env) -> Result<(), OpError> {
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

/// The message for a command line that is wrong and contains a private key.
pub fn key_among(args: &[OsString]) -> Option<String> {
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

/// Whether a text looks like the name of a file, or a mere word.
fn is_plain_name(text: &str) -> bool {
    let is_usual = |c: char| c.is_alphanumeric() || matches!(c, '.' | '/' | '-' | '_' | '~' | ' ');
    let is_word = |c: char| c.is_lowercase() || matches!(c, '-' | '_');
    text.chars().all(is_usual) && (text.contains(['/', '.']) || text.chars().all(is_word))
}

fn refused(name: &str, what: &str) -> OpError {
    OpError::unfit(format!("{name} {what}"), help(name))
}

fn help(name: &str) -> &'static str {
    if [IDENTITY_VARIABLE, IDENTITY_OPTION].contains(&name) {
        "Nothing was sent or written. DRSPASS_IDENTITY and -i take the path of an identity file; the key itself belongs in DRSPASS_IDENTITY_KEY."
    } else {
        "Nothing was sent or written. Give the path of an existing file; a secret on the command line may stay in the shell's history."
    }
}
