//! git's calls: each with the same settings, none of them in its arguments, since those of a clone
//! may be logins.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::core::failure::Failure;
use crate::core::redact::{ForeignText, Needles};
use crate::sys::children::ChildEnv;
use crate::sys::git::{self, ChildEnd, ChildGroup, ChildOutput};

/// A state is not longer; lists of files and branches are far below.
pub const MAX_OUTPUT: u64 = 256 << 20;

/// How long a command without a connection may take: the disk may be slow.
const LOCAL: Duration = Duration::from_secs(60);

/// Lines of git that are shown at most.
const MAX_LINES: usize = 3;

/// Settings of a user or a machine that would start a program, refuse a push or add to it.
const SETTINGS: [(&str, &str); 17] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.logAllRefUpdates", "false"),
    // A commit may bring a repository along.
    ("safe.bareRepository", "explicit"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("fetch.bundleURI", ""),
    ("submodule.recurse", "false"),
    ("push.recurseSubmodules", "no"),
    ("push.gpgSign", "false"),
    ("push.followTags", "false"),
    ("push.negotiate", "false"),
    // An empty one clears the list.
    ("push.pushOption", ""),
    ("i18n.commitEncoding", "UTF-8"),
    ("color.ui", "false"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitUse {
    /// Without a connection.
    Local,
    /// It can ask for a login, and Ctrl-C ends it.
    Read,
    /// It asks for nothing, and goes on whatever happens on the terminal.
    Write,
}

pub struct GitRunner {
    program: PathBuf,
    env: ChildEnv,
    folder: PathBuf,
    /// The repository, instead of the one around `folder`, in a directory of its own.
    pub git_dir: Option<PathBuf>,
    /// In git's order: a later one wins.
    settings: Vec<(String, String)>,
    /// The logins that git is given.
    pub logins: Needles,
    pub is_terminal: bool,
    /// What starts an ssh that asks for nothing, if that can be said.
    pub quiet_ssh: Option<String>,
    has_connected: AtomicBool,
    /// Whether no setting of the user or the machine counts.
    is_alone: bool,
}

impl GitRunner {
    pub fn new(program: PathBuf, env: &ChildEnv, folder: PathBuf) -> Self {
        let mut runner = Self {
            program,
            settings: Vec::new(),
            env: env.clone(),
            folder,
            git_dir: None,
            logins: Needles::new([]),
            is_terminal: false,
            quiet_ssh: None,
            has_connected: AtomicBool::new(false),
            is_alone: false,
        };
        runner.settings = runner.given();
        runner.add(SETTINGS);
        runner
    }

    /// Returns the settings that git was to get from the environment.
    fn given(&self) -> Vec<(String, String)> {
        let text = |name: String| Some(self.env.get(&name)?.to_str()?.to_owned());
        let count = text("GIT_CONFIG_COUNT".to_owned()).and_then(|count| count.parse().ok());
        (0..count.unwrap_or(0_usize).min(1000))
            .filter_map(|number| {
                let name = text(format!("GIT_CONFIG_KEY_{number}"))?;
                Some((name, text(format!("GIT_CONFIG_VALUE_{number}"))?))
            })
            .collect()
    }

    /// Returns the same with another working directory.
    pub fn at(&self, folder: PathBuf) -> Self {
        Self::new(self.program.clone(), &self.env, folder)
    }

    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.get(name)?.to_str()
    }

    pub fn add<K: Into<String>, V: Into<String>>(
        &mut self,
        settings: impl IntoIterator<Item = (K, V)>,
    ) {
        let settings = settings.into_iter();
        self.settings
            .extend(settings.map(|(name, value)| (name.into(), value.into())));
    }

    /// Adds settings that all others win over.
    pub fn add_first(&mut self, settings: Vec<(String, String)>) {
        self.settings.splice(..0, settings);
    }

    /// Keeps only these settings, and none of the user or the machine.
    pub fn with_only(&self, settings: &[(String, String)]) -> Self {
        let mut only = self.at(self.folder.clone());
        only.git_dir.clone_from(&self.git_dir);
        only.settings = settings.to_vec();
        only.is_alone = true;
        only
    }

    fn command(&self, how: GitUse, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        self.env.give(&mut command);
        // A setting of a clone may name a file or a program from its top. Nothing else of git needs
        // the work tree, which may be gone by now.
        let own = self.git_dir.as_deref().and_then(Path::parent);
        let own = own.filter(|_| how == GitUse::Local || !self.folder.is_dir());
        command.current_dir(own.unwrap_or(&self.folder));
        command.env("GIT_CONFIG_COUNT", self.settings.len().to_string());
        for (number, (name, value)) in self.settings.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{number}"), name);
            command.env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        if self.is_alone {
            command.env("GIT_CONFIG_NOSYSTEM", "1");
            command.env("GIT_CONFIG_GLOBAL", "/dev/null");
        }
        // Settings may have traces written, of settings too.
        for name in ["GIT_TRACE2", "GIT_TRACE2_PERF", "GIT_TRACE2_EVENT"] {
            command.env(name, "0");
        }
        command.env("GIT_OPTIONAL_LOCKS", "0");
        let may_ask = self.is_terminal && how == GitUse::Read;
        if !may_ask {
            command.env("GIT_TERMINAL_PROMPT", "0");
        }
        if let Some(ssh) = &self.quiet_ssh
            && (!may_ask || self.has_connected.load(Ordering::Relaxed))
        {
            command.env("GIT_SSH_COMMAND", ssh);
        }
        if let Some(git_dir) = &self.git_dir {
            let mut option = OsString::from("--git-dir=");
            option.push(git_dir);
            command.arg(option);
        }
        command.args(args);
        command
    }

    pub fn run(&self, how: GitUse, args: &[&str], limit: Duration) -> Result<ChildOutput, Failure> {
        self.started(&mut self.command(how, args), how, args, Vec::new(), limit)
    }

    fn started(
        &self,
        command: &mut Command,
        how: GitUse,
        args: &[&str],
        input: Vec<u8>,
        limit: Duration,
    ) -> Result<ChildOutput, Failure> {
        let group = match how {
            GitUse::Read => ChildGroup::Shared,
            GitUse::Local | GitUse::Write => ChildGroup::Own,
        };
        let output = git::run(command, group, input, MAX_OUTPUT, limit);
        let output = output.map_err(|why| failed(args, None).because(why))?;
        if how != GitUse::Local && output.end == ChildEnd::Success {
            self.has_connected.store(true, Ordering::Relaxed);
        }
        Ok(output)
    }

    /// Runs a command that must succeed and needs no connection.
    pub fn asked(&self, args: &[&str]) -> Result<Vec<u8>, Failure> {
        self.fed(args, Vec::new(), &[])
    }

    /// As [`GitRunner::asked`], with input and variables.
    pub fn fed(
        &self,
        args: &[&str],
        input: Vec<u8>,
        vars: &[(&str, &str)],
    ) -> Result<Vec<u8>, Failure> {
        let mut command = self.command(GitUse::Local, args);
        command.envs(vars.iter().copied());
        let output = self.started(&mut command, GitUse::Local, args, input, LOCAL)?;
        match output.end {
            ChildEnd::Success => Ok(output.stdout),
            ChildEnd::Failed | ChildEnd::Cut => Err(failed(args, self.words(&output).as_ref())),
        }
    }

    /// Returns what git and the server said, in one line without logins.
    pub fn words(&self, output: &ChildOutput) -> Option<ForeignText> {
        let said: Vec<&str> = output.stderr.lines().map(str::trim).collect();
        let starts = ["remote: ", "fatal: ", "error: ", "ERROR: "];
        let is_said = |line: &&&str| starts.iter().any(|start| line.starts_with(start));
        let mut chosen: Vec<&str> = said.iter().filter(is_said).copied().collect();
        if chosen.is_empty() {
            chosen = said;
        }
        let lines = chosen.iter().map(|line| {
            let start = starts.iter().find_map(|start| line.strip_prefix(start));
            start.unwrap_or(line).trim()
        });
        let lines: Vec<&str> = lines
            .filter(|line| !line.is_empty())
            .take(MAX_LINES)
            .collect();
        self.logins.text(&lines.join("; "))
    }
}

fn failed(args: &[&str], words: Option<&ForeignText>) -> Failure {
    let words = words.map_or_else(String::new, |words| format!(": {words}"));
    Failure::new(
        "drspass::git::run",
        format!("'git {}' failed{words}", args.first().unwrap_or(&"")),
        "Nothing was sent. Run 'git status' in this directory, which shows the problem.",
    )
}
