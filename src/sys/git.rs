//! The git program: which repository a folder is in, and the settings of that repository.
//!
//! git is found, and gets its environment, as all programs that are started
//! ([`crate::sys::children`]), so that no file of a work tree is run in its place.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use miette::Diagnostic;
use thiserror::Error;

use crate::sys::children::ChildEnv;

const NOT_SET: i32 = 1;

/// Variables that would lead git to another repository than that of the folder, or put
/// settings of one command beside those of the repository. Of the latter, some are not
/// passed on for their names, and git refuses the rest alone.
const MISLEADING: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
];

#[derive(Debug, Error, Diagnostic)]
pub enum GitError {
    #[error("there is no program git in the folders of PATH")]
    #[diagnostic(
        code(drspass::git::missing),
        help("Nothing was written. Install git, or run the command without --git.")
    )]
    Missing,
    #[error("the folder is in no work tree of git that can be used")]
    #[diagnostic(
        code(drspass::git::no_work_tree),
        help(
            "Nothing was written. Run 'git init' first, or name a folder of a clone with -C DIR; 'git status' there says what is wrong."
        )
    )]
    NoWorkTree,
    #[error("{name} has another value in this repository")]
    #[diagnostic(
        code(drspass::git::other_setting),
        help(
            "Nothing was written. 'git config --local --get-all {name}' shows it; if nobody needs it, remove it with '--unset-all' and run the command again."
        )
    )]
    OtherSetting { name: &'static str },
    #[error("git cannot read {name}")]
    #[diagnostic(
        code(drspass::git::setting),
        help(
            "Nothing was written. See whether the configuration of the repository is valid and may be read."
        )
    )]
    Setting { name: &'static str },
    #[error("git cannot set {name}")]
    #[diagnostic(
        code(drspass::git::setting),
        help(
            "drspass.yaml, the manifest, .gitignore and .gitattributes are in their places; only the configuration of git is not complete. See whether it may be written and is not locked, then complete it with 'drspass init --git' and nothing else."
        )
    )]
    NotSet {
        name: &'static str,
        /// Why git could not be started, if it was not.
        source: Option<io::Error>,
    },
    #[error("cannot run {program}")]
    #[diagnostic(
        code(drspass::git::run),
        help("Nothing was written. See whether the folder is there.")
    )]
    Run { program: PathBuf, source: io::Error },
}

#[derive(Debug)]
pub struct Repository {
    program: PathBuf,
    folder: PathBuf,
    env: ChildEnv,
}

impl Repository {
    /// The repository whose work tree `folder` is in.
    pub fn of(folder: &Path, env: ChildEnv) -> Result<Self, GitError> {
        let repository = Self {
            program: env.program("git".as_ref()).ok_or(GitError::Missing)?,
            folder: Path::new(".").join(folder),
            env,
        };
        let output = repository
            .run(&["rev-parse", "--is-inside-work-tree"])
            .map_err(|source| repository.not_run(source))?;
        // Inside the repository's own folder it succeeds, and says no.
        if output.status.success() && output.stdout.trim_ascii() == b"true" {
            Ok(repository)
        } else {
            Err(GitError::NoWorkTree)
        }
    }

    /// Every value that a setting has in this repository, whatever the user and the
    /// machine have set.
    pub fn setting(&self, name: &'static str) -> Result<Vec<String>, GitError> {
        let args = ["config", "--local", "--null", "--get-all", name];
        let output = self.run(&args).map_err(|source| self.not_run(source))?;
        match output.status.code() {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout)
                .split_terminator('\0')
                .map(str::to_owned)
                .collect()),
            Some(NOT_SET) => Ok(Vec::new()),
            _ => Err(GitError::Setting { name }),
        }
    }

    pub fn set(&self, name: &'static str, value: &str) -> Result<(), GitError> {
        let source = match self.run(&["config", "--local", "--replace-all", name, value]) {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(_) => None,
            Err(error) => Some(error),
        };
        Err(GitError::NotSet { name, source })
    }

    fn not_run(&self, source: io::Error) -> GitError {
        GitError::Run {
            program: self.program.clone(),
            source,
        }
    }

    fn run(&self, args: &[&str]) -> io::Result<Output> {
        let mut command = Command::new(&self.program);
        self.env.give(&mut command);
        for name in MISLEADING {
            command.env_remove(name);
        }
        command
            .args(args)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .output()
    }
}
