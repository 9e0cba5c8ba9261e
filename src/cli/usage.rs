//! A wrong command line, told without repeating what was typed: a surplus word
//! may be a password that somebody tried to pass.

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::args::REASONS;

/// The text about a wrong command line.
pub(super) fn explain(error: &Error) -> String {
    let mut text = format!("error: {}\n", what(error));
    for (kind, label) in [
        (ContextKind::SuggestedArg, "did you mean"),
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
            "an argument is not known here (it is not repeated, as it may be a secret)".to_owned()
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
