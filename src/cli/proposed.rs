//! The commands that a text proposes: each works where it is pasted, with the directory, the files
//! and the state of the command that printed it.

use std::borrow::Cow;
use std::path::Path;

use clap::Command;

use super::args::GlobalOptions;
use super::env::Env;
use crate::core::redact::option;

const NAME: &str = "drspass ";
/// Stands for a blank where no line is broken: a shell would run the half of a command.
const BLANK: &str = "\u{a0}";
/// Commands that work on no directory.
const WITHOUT_DIRECTORY: [&str; 6] = ["completions", "demo", "help", "man", "schema", "sim"];

/// The options that a proposed command repeats, with a space after each.
#[derive(Clone, Debug)]
pub struct Proposed {
    directory: String,
    files: String,
    state: String,
    /// The commands that take these options.
    commands: Vec<String>,
}

impl Proposed {
    /// `command` is the program, whose commands texts may propose.
    pub fn new(options: &GlobalOptions, env: &Env, command: &Command) -> Self {
        let folder = options.directory.as_deref();
        // Any other may be a secret in the wrong place, or a stream that was read to its end.
        let is_file = |path: &&Path| folder.unwrap_or(Path::new("")).join(path).is_file();
        let by_default = match env.path_var("DRSPASS_IDENTITY") {
            Some(_) => None,
            None => env.default_identity(),
        };
        let identities = options.identity.iter();
        let identities = identities.filter(|path| by_default.as_ref() != Some(*path));
        let identities = identities.map(|path| ("-i", &**path));
        let authorities = options.ca_file.iter().map(|path| ("--ca-file", &**path));
        let files = identities.chain(authorities);
        let files = files.filter(|(_, path)| is_file(path));
        let given = |name, path: Option<&Path>| option(name, path?);
        let commands = command.get_subcommands().map(Command::get_name);
        let commands = commands.filter(|name| !WITHOUT_DIRECTORY.contains(name));
        Self {
            directory: given("-C", folder).unwrap_or_default(),
            files: files.filter_map(|(name, it)| option(name, it)).collect(),
            state: given("--state", options.state.as_deref()).unwrap_or_default(),
            commands: commands.map(str::to_owned).collect(),
        }
    }

    /// Proposes commands without the state that this one was given.
    pub fn forget_state(&mut self) {
        self.state.clear();
    }

    /// Returns a git command to propose, for the directory of this run.
    pub fn git_command(&self, words: &str) -> String {
        format!("git {}{words}", self.directory)
    }

    /// Completes each command of a text, whose lines `wrap` may break elsewhere.
    pub fn complete<'t>(
        &self,
        text: Cow<'t, str>,
        wrap: impl FnOnce(Cow<'t, str>) -> Cow<'t, str>,
    ) -> Cow<'t, str> {
        if !text.contains(NAME) {
            return wrap(text);
        }
        let mut parts = text.split(NAME);
        let mut out = parts.next().unwrap_or_default().to_owned();
        for words in parts {
            let name = words.split(|c: char| !c.is_ascii_lowercase()).next();
            if !name.is_some_and(|name| self.commands.iter().any(|it| it == name)) {
                out.extend([NAME, words]);
                continue;
            }
            let state = match words.starts_with("state move") {
                true => "",
                false => &self.state,
            };
            let options = [&self.directory, &self.files, state].concat();
            let (command, rest) = match words.split_once('\'') {
                // A command that contains quotes gets none around it.
                Some((command, rest)) if out.ends_with('\'') && options.contains('\'') => {
                    out.pop();
                    (command, rest)
                }
                Some((command, _)) if out.ends_with('\'') => words.split_at(command.len()),
                _ => words.split_at(words.find('\n').unwrap_or(words.len())),
            };
            out += &[NAME, &options, command].concat().replace(' ', BLANK);
            out += rest;
        }
        Cow::Owned(wrap(Cow::Owned(out)).replace(BLANK, " "))
    }
}

/// Returns a path as a shell reads it.
pub fn quoted(path: &Path) -> String {
    shell_words::quote(&path.display().to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::text::wrapped;

    fn shown(directory: &str, text: &str) -> String {
        let options = GlobalOptions {
            directory: Some(directory.into()),
            state: Some("s.json".into()),
            identity: vec!["canary-no-file".into()],
            ..GlobalOptions::default()
        };
        let command = crate::cli::cmd::command();
        let wrap = |text: Cow<'_, str>| Cow::Owned(wrapped(&text, 40));
        Proposed::new(&options, &Env::default(), &command)
            .complete(Cow::Borrowed(text), wrap)
            .into_owned()
    }

    #[test]
    fn a_command_is_completed_and_no_line_breaks_within_it() {
        let text = "Nothing was sent. Run 'drspass apply --retry-jobs' or 'drspass state move', then wait.\n";
        assert_eq!(
            shown("a  b", text),
            "Nothing was sent. Run\n  drspass -C 'a  b' --state s.json apply --retry-jobs\n  or drspass -C 'a  b' state move, then\n  wait.\n"
        );
        let line = "To read it:\n  drspass get --show orders-cdc/source\n";
        assert_eq!(
            shown("ab", line),
            "To read it:\n  drspass -C ab --state s.json get --show orders-cdc/source\n"
        );
    }

    #[test]
    fn other_words_stay_and_so_does_a_command_whose_directory_cannot_be_shown() {
        for text in ["drspass reads both\n", "'drspass help init'\n"] {
            assert_eq!(shown("ab", text), text);
        }
        let shown = shown("a\u{202e}b", "Run 'drspass show'.\n");
        assert_eq!(shown, "Run 'drspass --state s.json show'.\n");
    }
}
