//! A wrong command line, told without repeating what was typed but for names of
//! options: a surplus word may be a password that somebody tried to pass.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::args::{self, REASONS};
use crate::core::yaml::nearest;

/// What others call an option, and what it is called here: the first one that the
/// command has.
const SAME: &[(&[&str], &[&str])] = &[
    (&["target", "targets", "filter", "include"], &["only"]),
    (&["replace", "taint", "force-resend"], &["resend"]),
    (
        &[
            "y",
            "yes",
            "auto-approve",
            "approve",
            "assume-yes",
            "auto",
            "no-confirm",
        ],
        &["auto-approve", "yes"],
    ),
    (
        &["o", "out", "output", "output-file", "save"],
        &["out", "output"],
    ),
    (&["j", "format", "output-format"], &["json"]),
    (&["chdir", "cwd", "dir", "cd"], &["directory"]),
    (
        &[
            "key",
            "key-file",
            "identity-file",
            "age-key",
            "age-key-file",
        ],
        &["identity"],
    ),
    (&["state-file", "statefile"], &["state"]),
    (
        &["cacert", "ca-cert", "cafile", "ca-bundle", "os-cacert"],
        &["ca-file"],
    ),
    (&["os-cloud"], &["cloud"]),
    (&["token", "os-token"], &["token-file"]),
    (&["os-region-name"], &["region"]),
    (&["os-project-id", "project"], &["project-id"]),
    (&["os-auth-url"], &["auth-url"]),
    (&["exit-code", "detailed-exit-code"], &["detailed-exitcode"]),
    (&["no-color", "no-colour", "colour"], &["color"]),
    (&["debug", "trace"], &["verbose"]),
    (&["r", "recipients"], &["recipient"]),
    (&["random", "gen"], &["generate"]),
    (&["f", "file", "stdin"], &["from-file"]),
];

/// The most letters of an option that is repeated.
const MAX_OPTION: usize = 32;

/// The text about a wrong command line; `args` begin with the program's name.
pub(super) fn explain(error: &Error, args: &[OsString]) -> String {
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
        // Options are suggested by what they mean.
        let is_told =
            kind == ContextKind::SuggestedArg && error.kind() == ErrorKind::UnknownArgument;
        if let Some(names) = known_words(error, kind).filter(|_| !is_told) {
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

/// Names an unknown option by its place, with the one that was probably meant. Only
/// what is shaped like an option is repeated, and never what follows `=`.
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
    let same = SAME.iter().find(|(others, _)| others.contains(&bare));
    let shown = match short {
        // Letters may be a value that was written without a blank.
        Some(_) if same.is_none() => told.as_str(),
        _ if is_option(name) => name,
        _ => return Some(format!("unknown option (argument {position})")),
    };
    let known = options(args);
    let meant = match same {
        Some((_, ours)) => ours
            .iter()
            .copied()
            .find(|our| known.iter().any(|k| k == our)),
        None if short.is_none() => nearest(known.iter().map(String::as_str), bare),
        None => None,
    };
    let meant = meant.map_or_else(String::new, |name| format!("; did you mean --{name}?"));
    Some(format!(
        "unknown option {shown} (argument {position}){meant}"
    ))
}

/// Whether a text is shaped like an option, and short.
fn is_option(text: &str) -> bool {
    let bare = text.trim_start_matches('-');
    let dashes = text.len() - bare.len();
    let is_name = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    (1..=2).contains(&dashes) && bare.len() <= MAX_OPTION && bare.split('-').all(is_name)
}

/// The long options of the command that `args` name.
fn options(args: &[OsString]) -> Vec<String> {
    let mut command = args::command();
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

/// Why a value is not usable, in words of ours alone.
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
