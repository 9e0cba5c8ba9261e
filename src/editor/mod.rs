//! Which editor is used, and what it is told so that it leaves no copy of the text
//! outside the private folder.
//!
//! No shell is run: what the user set is split into words as a shell would, or is
//! the path of a program as it stands. It refuses to guess where a setting names
//! nothing.

mod foreground;
pub mod private;
mod settings;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use miette::Diagnostic;
use rustix::fs::Mode;
use thiserror::Error;

use crate::sys::children::{ChildEnv, is_program};
use crate::sys::signals::Signals;

use foreground::Ended;

/// Editors that are looked for where nothing is set.
const USUAL: [&str; 2] = ["vi", "nano"];

/// The variables that name an editor, the first choice first.
const VARIABLES: [&str; 2] = ["VISUAL", "EDITOR"];

/// Variables by which programs find the place for their temporary files.
const TEMPORARY: [&str; 3] = ["TMPDIR", "TEMP", "TMP"];

/// An editor that cannot be found, started, or did not end well.
#[derive(Debug, Error, Diagnostic)]
pub enum EditorError {
    /// A setting names no program.
    #[error("there is no editor '{name}', which {variable} names")]
    #[diagnostic(
        code(drspass::edit::no_editor),
        help(
            "Nothing was written. Install it in a folder of PATH that is absolute, or set {variable} to another command; a path with blanks stands in quotes."
        )
    )]
    Missing {
        /// The program.
        name: String,
        /// The variable that names it.
        variable: &'static str,
    },
    /// A setting cannot be split into words.
    #[error("{variable} holds a quote that is not closed")]
    #[diagnostic(
        code(drspass::edit::editor_words),
        help("Nothing was written. Write it as on a command line.")
    )]
    Words {
        /// The variable.
        variable: &'static str,
    },
    /// Nothing is set, and none of the usual ones is there.
    #[error(
        "there is no editor: neither VISUAL nor EDITOR is set, and neither vi nor nano is there"
    )]
    #[diagnostic(
        code(drspass::edit::no_editor),
        help("Nothing was written. Set EDITOR to the command of one.")
    )]
    None,
    /// It could not be started or waited for.
    #[error("cannot run the editor {name}")]
    #[diagnostic(code(drspass::edit::editor), help("Nothing was saved."))]
    Run {
        /// Its program.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It ended with a failure.
    #[error("the editor ended with {code}; nothing was saved")]
    #[diagnostic(
        code(drspass::edit::editor_failed),
        help("The manifest is as it was. Run 'drspass edit' again.")
    )]
    Failed {
        /// Its exit status.
        code: i32,
    },
    /// A signal ended it.
    #[error("the editor was ended by signal {signal}; nothing was saved")]
    #[diagnostic(
        code(drspass::edit::editor_failed),
        help("The manifest is as it was. Run 'drspass edit' again.")
    )]
    Killed {
        /// The number of the signal.
        signal: i32,
    },
}

/// What is known about an editor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Vim,
    /// A vim with windows, which would return at once.
    Gvim,
    Nano,
    Emacs,
    /// Its backups and histories are not known here.
    Other,
}

/// An editor as it will be run.
#[derive(Debug)]
pub(crate) struct Editor {
    program: PathBuf,
    words: Vec<OsString>,
    kind: Kind,
    env: ChildEnv,
}

impl Editor {
    /// The editor that the user set, or else one of the usual ones.
    /// Fails if what is set names no program, or none of the usual ones is there.
    pub(crate) fn find(env: &ChildEnv) -> Result<Self, EditorError> {
        let set = VARIABLES.into_iter().find_map(|variable| {
            let value = env.get(variable)?;
            let is_blank = value.as_encoded_bytes().iter().all(u8::is_ascii_whitespace);
            (!is_blank).then_some((variable, value))
        });
        let (program, words) = match set {
            Some((variable, value)) => of_setting(variable, value, env)?,
            None => {
                let found = USUAL
                    .into_iter()
                    .find_map(|name| find_program(name.as_ref(), env));
                (found.ok_or(EditorError::None)?, Vec::new())
            }
        };
        let kind = kind(&program, env);
        Ok(Self {
            program,
            words,
            kind,
            env: env.clone(),
        })
    }

    /// The name of its program.
    pub(crate) fn name(&self) -> String {
        file_name(&self.program).escape_debug().to_string()
    }

    /// Whether it is known how to keep it from leaving copies elsewhere.
    pub(crate) fn is_known(&self) -> bool {
        self.kind != Kind::Other
    }

    /// Lets the user edit `text`, and waits for the end. Temporary files of the
    /// editor go to `folder`.
    /// Fails if it cannot be run or does not end well. Where drspass is told to end
    /// meanwhile, the editor is ended, and the signal is returned.
    pub(crate) async fn run(
        &self,
        text: &Path,
        folder: &Path,
        signals: &mut Signals,
    ) -> Result<Option<crate::core::report::Signal>, EditorError> {
        let failed = |source| EditorError::Run {
            name: self.name(),
            source,
        };
        let mut command = self.command(text, folder);
        if !io::stdout().is_terminal() {
            // Standard output carries the result of drspass alone.
            let messages = io::stderr().as_fd().try_clone_to_owned().map_err(failed)?;
            command.stdout(Stdio::from(messages));
        }
        // What an editor makes is for this user alone, whatever the user's mask.
        let mask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
        let ended = foreground::run(command, signals).await;
        rustix::process::umask(mask);
        match ended.map_err(failed)? {
            Ended::Code(0) => Ok(None),
            Ended::Code(code) => Err(EditorError::Failed { code }),
            Ended::Signal(signal) => Err(EditorError::Killed { signal }),
            Ended::Told(signal) => Ok(Some(signal)),
        }
    }

    fn command(&self, text: &Path, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        self.env.give(&mut command);
        for name in TEMPORARY {
            command.env(name, folder);
        }
        command.args(self.arguments()).arg(text);
        command
    }

    /// The words of the user, and ours before the one that ends options.
    fn arguments(&self) -> Vec<OsString> {
        let end = self.words.iter().position(|word| word == "--");
        let (options, rest) = self.words.split_at(end.unwrap_or(self.words.len()));
        options
            .iter()
            .cloned()
            .chain(settings::words(self.kind).into_iter().map(OsString::from))
            .chain(rest.iter().cloned())
            .collect()
    }
}

/// The program and the words that a variable sets.
fn of_setting(
    variable: &'static str,
    value: &OsStr,
    env: &ChildEnv,
) -> Result<(PathBuf, Vec<OsString>), EditorError> {
    let missing = |name: &OsStr| EditorError::Missing {
        name: name.to_string_lossy().escape_debug().to_string(),
        variable,
    };
    if is_path(value) && is_program(Path::new(value)) {
        return Ok((value.into(), Vec::new()));
    }
    let text = value.to_str().ok_or_else(|| missing(value))?;
    let words = shell_words::split(text).map_err(|_| EditorError::Words { variable })?;
    let mut words = words.into_iter().map(OsString::from);
    let name = words.next().unwrap_or_default();
    let program = find_program(&name, env).ok_or_else(|| missing(&name))?;
    Ok((program, words.collect()))
}

fn is_path(name: &OsStr) -> bool {
    name.as_encoded_bytes().contains(&b'/')
}

/// A program by its path, or by its name in the folders of PATH.
fn find_program(name: &OsStr, env: &ChildEnv) -> Option<PathBuf> {
    if is_path(name) {
        return Some(PathBuf::from(name)).filter(|path| is_program(path));
    }
    env.program(name)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// What an editor is, by its name or that of the file its name leads to. Many
/// editors are called vi, so one that only has that name is asked.
fn kind(program: &Path, env: &ChildEnv) -> Kind {
    let given = file_name(program);
    let real = fs::canonicalize(program).map(|path| file_name(&path));
    let names = [Ok(given.clone()), real];
    let known = names.iter().flatten().find_map(|name| kind_of_name(name));
    match known {
        Some(Kind::Vim | Kind::Gvim) if given.starts_with('g') && is_vim(program, env) => {
            Kind::Gvim
        }
        Some(kind) => kind,
        None if ["vi", "view", "ex"].contains(&given.as_str()) && is_vim(program, env) => Kind::Vim,
        None => Kind::Other,
    }
}

fn kind_of_name(name: &str) -> Option<Kind> {
    let is = |stem: &str| {
        let rest = name.strip_prefix(stem);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
    };
    if ["gvim", "gview"].into_iter().any(is) {
        return Some(Kind::Gvim);
    }
    if ["vim", "nvim", "rvim", "vimx"].into_iter().any(is) {
        return Some(Kind::Vim);
    }
    if ["nano", "rnano"].into_iter().any(is) {
        return Some(Kind::Nano);
    }
    is("emacs").then_some(Kind::Emacs)
}

/// Whether a program says that it is vim.
fn is_vim(program: &Path, env: &ChildEnv) -> bool {
    let mut command = Command::new(program);
    env.give(&mut command);
    let asked = command
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    asked.is_ok_and(|said| {
        said.stdout.starts_with(b"VIM - Vi IMproved") || said.stdout.starts_with(b"NVIM ")
    })
}

#[cfg(test)]
mod tests;
