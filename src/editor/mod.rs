//! Which editor is used, and its settings, so that it leaves no copy of the text outside the
//! private directory.
//!
//! No shell is run: the user's command is split into words as a shell would, or is the path of a
//! program as it is.
//!
//! The user's settings count until they would keep a copy: those of drspass come after them, and
//! for editors that run later settings (autocommands, hooks) once more at that time. A setting that
//! writes by a command of its own (`:wundo`, `:mksession`) is not undone.

mod foreground;
pub mod private;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::Mode;

use crate::core::failure::Failure;
use crate::core::report::Signal;
use crate::sys::children::{ChildEnv, is_program};
use crate::sys::signals::Signals;

use foreground::Ended;

const USUAL: [&str; 2] = ["vi", "nano"];

const VARIABLES: [&str; 2] = ["VISUAL", "EDITOR"];

/// Variables by which programs find the directory for their temporary files.
const TEMPORARY: [&str; 3] = ["TMPDIR", "TEMP", "TMP"];

/// Options of vim before the user's settings are read: no swap file, and neither
/// reading nor writing a viminfo (or shada) file.
const VIM_FIRST: [&str; 5] = [
    "-n",
    "-i",
    "NONE",
    "--cmd",
    "set nobackup nowritebackup noswapfile",
];

/// Settings of vim after the user's. Each is separate, since some builds lack some of them; files
/// written in spite of all go next to the text.
const VIM_LAST: &str = "silent! set eventignore= | \
    silent! set updatecount=0 | silent! set noswapfile | \
    silent! set nobackup | silent! set nowritebackup | silent! set patchmode= | \
    silent! set noundofile | silent! set viminfo= | silent! set viminfofile=NONE | \
    silent! set directory=. | silent! set backupdir=. | silent! set undodir=.";

const VIM_WRITES: &str = "BufWritePre,FileWritePre,FileAppendPre,VimLeavePre";

const VIM_EDITS: &str = "CmdlineEnter,InsertEnter,TextChanged,CursorMoved";

/// Functions of emacs and of packages that keep a copy of a text: each is made to do nothing,
/// whatever switches it on.
const EMACS: &str = "(progn (setq make-backup-files nil backup-directory-alist nil \
    auto-save-default nil auto-save-file-name-transforms nil create-lockfiles nil \
    undo-tree-auto-save-history nil) \
    (when (fboundp 'savehist-mode) (savehist-mode -1)) \
    (when (fboundp 'advice-add) \
    (dolist (keeps '(backup-buffer auto-save-mode desktop-save savehist-save \
    undo-tree-save-history undo-fu-session-save undohist-save-1)) \
    (advice-add keeps :override #'ignore))))";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EditorKind {
    Vim,
    /// A vim with windows, which would return at once.
    Gvim,
    Nano,
    Emacs,
    /// Its backups and histories are unknown.
    Other,
}

#[derive(Debug)]
pub struct Editor {
    program: PathBuf,
    words: Vec<OsString>,
    kind: EditorKind,
    env: ChildEnv,
}

impl Editor {
    pub fn find(env: &ChildEnv) -> Result<Self, Failure> {
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
                let missing = || {
                    let message = "cannot find an editor: VISUAL and EDITOR are not set, and vi and nano are not on PATH";
                    let help = "Nothing was written. Set EDITOR to the command of an editor.";
                    Failure::new("drspass::edit::no_editor", message, help)
                };
                (found.ok_or_else(missing)?, Vec::new())
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

    pub fn name(&self) -> String {
        file_name(&self.program).escape_debug().to_string()
    }

    pub fn is_known(&self) -> bool {
        self.kind != EditorKind::Other
    }

    /// Lets the user edit `text`, from `line` on if the editor can do that, with its temporary
    /// files in `folder`. If drspass is signalled while it runs, ends the editor and returns the
    /// signal.
    pub(crate) async fn run(
        &self,
        text: &Path,
        line: Option<usize>,
        folder: &Path,
        signals: &mut Signals,
    ) -> Result<Option<Signal>, Failure> {
        let failed = |source: io::Error| {
            let message = format!("cannot run the editor {}", self.name());
            Failure::new("drspass::edit::editor", message, "Nothing was saved.").because(source)
        };
        let mut command = self.command(text, line, folder);
        if !io::stdout().is_terminal() {
            // Standard output is for the result of drspass.
            let messages = io::stderr().as_fd().try_clone_to_owned().map_err(failed)?;
            command.stdout(Stdio::from(messages));
        }
        // The editor's files are for this user alone, whatever the umask.
        let mask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
        let ended = foreground::run(command, signals).await;
        rustix::process::umask(mask);
        let why = match ended.map_err(failed)? {
            Ended::Code(0) => return Ok(None),
            Ended::Terminated(signal) => return Ok(Some(signal)),
            Ended::Code(code) => format!("exited with code {code}"),
            Ended::Signal(signal) => format!("was terminated by signal {signal}"),
        };
        Err(Failure::new(
            "drspass::edit::editor_failed",
            format!("the editor {why}; nothing was saved"),
            "The manifest is unchanged. Run 'drspass edit' again.",
        ))
    }

    fn command(&self, text: &Path, line: Option<usize>, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        self.env.give(&mut command);
        for name in TEMPORARY {
            command.env(name, folder);
        }
        command.args(self.arguments(line)).arg(text);
        command
    }

    fn arguments(&self, line: Option<usize>) -> Vec<OsString> {
        let end = self.words.iter().position(|word| word == "--");
        let (options, rest) = self.words.split_at(end.unwrap_or(self.words.len()));
        let line = line.filter(|_| self.is_known());
        options
            .iter()
            .cloned()
            .chain(words_for(self.kind).into_iter().map(OsString::from))
            .chain(line.map(|line| format!("+{line}").into()))
            .chain(rest.iter().cloned())
            .collect()
    }
}

fn of_setting(
    variable: &'static str,
    value: &OsStr,
    env: &ChildEnv,
) -> Result<(PathBuf, Vec<OsString>), Failure> {
    let missing = |name: &OsStr| {
        let name = name.to_string_lossy();
        let message = format!(
            "cannot find the editor '{}' from {variable}",
            name.escape_debug()
        );
        let help = format!(
            "Nothing was written. Install it in an absolute directory of PATH, or set {variable} to another command; quote a path with spaces."
        );
        Failure::new("drspass::edit::no_editor", message, help)
    };
    if is_path(value) && is_program(Path::new(value)) {
        return Ok((value.into(), Vec::new()));
    }
    let text = value.to_str().ok_or_else(|| missing(value))?;
    let words = shell_words::split(text).map_err(|_| {
        let message = format!("{variable} has a quote that is not closed");
        let help = "Nothing was written. Quote it as on a command line.";
        Failure::new("drspass::edit::editor_words", message, help)
    })?;
    let mut words = words.into_iter().map(OsString::from);
    let name = words.next().unwrap_or_default();
    let program = find_program(&name, env).ok_or_else(|| missing(&name))?;
    Ok((program, words.collect()))
}

fn is_path(name: &OsStr) -> bool {
    name.as_encoded_bytes().contains(&b'/')
}

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

/// Returns the kind of an editor, by its name or that of the file its name leads to. Many editors
/// are called vi, so one that only has that name is asked.
fn kind(program: &Path, env: &ChildEnv) -> EditorKind {
    let given = file_name(program);
    let real = fs::canonicalize(program).map(|path| file_name(&path));
    let names = [Ok(given.clone()), real];
    let known = names.iter().flatten().find_map(|name| kind_of_name(name));
    match known {
        Some(EditorKind::Vim | EditorKind::Gvim)
            if given.starts_with('g') && is_vim(program, env) =>
        {
            EditorKind::Gvim
        }
        Some(kind) => kind,
        None if ["vi", "view", "ex"].contains(&given.as_str()) && is_vim(program, env) => {
            EditorKind::Vim
        }
        None => EditorKind::Other,
    }
}

fn kind_of_name(name: &str) -> Option<EditorKind> {
    let is = |stem: &str| {
        let rest = name.strip_prefix(stem);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
    };
    if ["gvim", "gview"].into_iter().any(is) {
        return Some(EditorKind::Gvim);
    }
    if ["vim", "nvim", "rvim", "vimx"].into_iter().any(is) {
        return Some(EditorKind::Vim);
    }
    if ["nano", "rnano"].into_iter().any(is) {
        return Some(EditorKind::Nano);
    }
    is("emacs").then_some(EditorKind::Emacs)
}

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

fn words_for(kind: EditorKind) -> Vec<String> {
    let mut words = Vec::new();
    match kind {
        EditorKind::Vim | EditorKind::Gvim => {
            if kind == EditorKind::Gvim {
                words.push("-f".to_owned());
            }
            words.extend(VIM_FIRST.map(str::to_owned));
            for command in vim_commands() {
                words.extend(["-c".to_owned(), command]);
            }
        }
        // It neither reads nor writes any file but the one it is given: no backup,
        // no history of what was searched and replaced. Settings still count.
        EditorKind::Nano => words.push("--restricted".to_owned()),
        EditorKind::Emacs => words.extend(["--eval".to_owned(), EMACS.to_owned()]),
        EditorKind::Other => {}
    }
    words
}

/// Commands of vim after the user's settings. Autocommands run in the order in which
/// they were defined, so ours at a write are defined again whenever the user's may
/// have defined others since: they come last at every write. A write without
/// autocommands finds what was set before it.
fn vim_commands() -> [String; 4] {
    let at_writes = format!("silent! autocmd! drspass {VIM_WRITES} * {VIM_LAST}");
    [
        format!("{VIM_LAST} | augroup drspass | augroup END"),
        at_writes.clone(),
        format!("silent! autocmd drspass VimEnter * {VIM_LAST} | {at_writes}"),
        format!("silent! autocmd drspass {VIM_EDITS} * {VIM_LAST} | {at_writes}"),
    ]
}
