//! Messages about an invalid command line. They never repeat an argument or a variable,
//! since it may be a secret that was put there by mistake.

use std::ffi::OsString;
use std::num::ParseIntError;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::args::REASONS;
use super::cmd;
use super::env::Env;
use crate::core::redact::{is_key_like, is_too_long_for_a_path};
use crate::core::yaml::nearest;
use crate::ops::OpError;
use crate::sys::files;

/// Names of options in other programs, and the options of drspass that mean the same.
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

/// Commands of other programs, and what does the same.
const SAME_COMMANDS: &[(&str, &str)] = &[
    ("retry resume", "apply --retry-jobs"),
    ("rotate change update", "set, then apply"),
    ("list ls status", "show, or state list"),
    ("diff preview", "plan"),
    ("push deploy sync send", "apply"),
    ("add", "set --add"),
    ("remove delete rm", "unset, or state rm"),
    ("destroy forget", "state rm"),
    ("output print read", "get, or show"),
    ("unlock force-unlock", "lock release"),
    ("updatekeys", "rekey"),
];

const MAX_OPTION: usize = 32;

/// Returns the message for an error of the parser; `args` begin with the program's name.
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
        let same = match kind {
            ContextKind::SuggestedSubcommand => same_command(error),
            _ => None,
        };
        if let Some(names) = same.or_else(|| known_words(error, kind)) {
            text.push_str(&format!("  {label}: {names}\n"));
        }
    }
    let is_missing = error.kind() == ErrorKind::MissingRequiredArgument;
    if is_missing {
        text.extend(missing(error, args));
    }
    if let Some(why) = reason(error) {
        text.push_str(&format!("  expected: {why}\n"));
    }
    let usage = error.get(ContextKind::Usage).filter(|_| is_missing);
    text.push_str(&match usage.map(ToString::to_string) {
        Some(usage) => {
            let words = usage.split_whitespace();
            let words = words.skip_while(|word| *word != "drspass");
            let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            let command: Vec<&str> = words.take_while(is_name).collect();
            format!("  help: run '{} --help'\n", command.join(" "))
        }
        None => "  help: run 'drspass --help' or 'drspass COMMAND --help'\n".to_owned(),
    });
    text
}

fn what(error: &Error) -> String {
    // Only names of options that exist may be repeated.
    let option = known_words(error, ContextKind::InvalidArg)
        .filter(|_| error.kind() != ErrorKind::UnknownArgument);
    let named = |text: &str| match &option {
        Some(option) => format!("{text} {option}"),
        None => format!("{text} an option"),
    };
    match error.kind() {
        ErrorKind::UnknownArgument => {
            "unexpected argument (not repeated, as it may be a secret)".to_owned()
        }
        ErrorKind::InvalidSubcommand => "unknown command".to_owned(),
        ErrorKind::InvalidValue if known_words(error, ContextKind::InvalidValue).is_none() => {
            named("missing value for")
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => named("invalid value for"),
        ErrorKind::MissingRequiredArgument => named("missing"),
        ErrorKind::ArgumentConflict => conflict(error),
        ErrorKind::NoEquals | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            named("missing value for")
        }
        ErrorKind::TooManyValues => named("too many values for"),
        ErrorKind::InvalidUtf8 => "an argument is not valid UTF-8".to_owned(),
        _ => "incomplete command line".to_owned(),
    }
}

fn conflict(error: &Error) -> String {
    let [one, other] = [ContextKind::InvalidArg, ContextKind::PriorArg].map(|kind| {
        let names = known_words(error, kind).unwrap_or_default();
        names
            .split([' ', ','])
            .next()
            .unwrap_or_default()
            .to_owned()
    });
    match [one.as_str(), other.as_str()] {
        [one, other] if one == other => format!("{one} is given more than once"),
        ["[PLAN]", option] | [option, "[PLAN]"] => {
            format!("{option} cannot be used with a saved plan, which is applied as a whole")
        }
        [one, other] => format!("{one} cannot be used with {other}"),
    }
}

/// Names an unknown option by its position, without what follows `=`, and suggests one.
fn unknown(error: &Error, args: &[OsString]) -> Option<String> {
    let named = known_words(error, ContextKind::InvalidArg)?;
    let short = named
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
        None => *name == named && name.starts_with('-'),
    })?;
    let bare = name.trim_start_matches('-');
    let same = SAME
        .iter()
        .find(|(others, _)| others.split(' ').any(|other| other == bare));
    let shown = match short {
        // Letters may be a value that was written without a space.
        Some(_) if same.is_none() => named.as_str(),
        _ if is_option(name) => name,
        _ => return Some(format!("unknown option (argument {position})")),
    };
    let known: Vec<String> = (arguments(args).iter())
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .collect();
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

/// Returns what does the same as a command of another program.
fn same_command(error: &Error) -> Option<String> {
    let word = known_words(error, ContextKind::InvalidSubcommand)?;
    let mut same = SAME_COMMANDS.iter();
    let (_, ours) = same.find(|(others, _)| others.split(' ').any(|other| other == word))?;
    Some((*ours).to_owned())
}

/// Returns the arguments of the command that `args` name.
fn arguments(args: &[OsString]) -> Vec<Arg> {
    let mut command = cmd::program();
    command.build();
    let mut command = &command;
    for arg in args.iter().skip(1) {
        command = arg
            .to_str()
            .and_then(|name| command.find_subcommand(name))
            .unwrap_or(command);
    }
    let known = command.get_arguments().filter(|arg| !arg.is_hide_set());
    known.cloned().collect()
}

/// Says what the missing arguments are.
fn missing(error: &Error, args: &[OsString]) -> Option<String> {
    let names = known_words(error, ContextKind::InvalidArg)?;
    let known = arguments(args).into_iter();
    let missing = known.filter(|arg| names.split(", ").any(|name| name == arg.to_string()));
    let lines = missing.filter_map(|arg| Some(format!("  {arg}: {}\n", arg.get_help()?)));
    Some(lines.collect())
}

/// Returns why a value is invalid, if drspass itself says it.
fn reason(error: &Error) -> Option<&'static str> {
    let source = std::error::Error::source(error)?;
    if source.is::<ParseIntError>() {
        return Some("a whole number");
    }
    let said = source.to_string();
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

const KEY: &str = "seems to contain a private key, which is not repeated";

/// Refuses arguments and variables that may contain a secret by mistake.
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
            // The secret itself may have been typed in place of the file that contains it.
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

/// Returns the message for an invalid command line that contains a private key.
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
    // A new file in an existing directory is meant as a path.
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    if !is_odd && files::folder_of(&full).is_dir() && !is_too_long_for_a_path(&last) {
        return Ok(());
    }
    Err(refused(
        name,
        "names a file that does not exist; the name is not repeated, as it may be a secret",
    ))
}

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
        "Nothing was sent or written. Pass the path of an identity file to -i or DRSPASS_IDENTITY; put the key itself into DRSPASS_IDENTITY_KEY."
    } else {
        "Nothing was sent or written. Pass the path of an existing file; a secret on the command line may stay in the shell's history."
    }
}
