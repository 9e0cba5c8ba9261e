//! The only reader of environment variables, clock, randomness and host name.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{Timestamp, TimestampRound, Unit};
use nix::sys::signal::Signal as Interrupt;
use zeroize::Zeroizing;

use super::progress;
use crate::core::fingerprint::Salt;
use crate::core::secret::Secret;
use crate::editor::private::Places;
use crate::ops::Runtime;
use crate::ops::online::HangUp;
use crate::ops::root::IdentitySource;
use crate::store::LockInfo;
use crate::store::branch::PlaceAccess;
use crate::store::remote::{GitAccess, GitLogin};
use crate::sys::children::ChildEnv;
use crate::sys::testpoint;

#[derive(Default)]
pub struct Env {
    vars: BTreeMap<OsString, OsString>,
}

impl Env {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    pub fn from_process() -> Self {
        Self {
            vars: std::env::vars_os().collect(),
        }
    }

    #[must_use]
    pub fn with_var(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.vars.insert(name.into(), value.into());
        self
    }

    /// Returns a variable unless it is empty. Invalid UTF-8 is replaced, not dropped, so that
    /// its reader refuses it.
    pub fn var(&self, name: &str) -> Option<String> {
        let value = self.set(name)?;
        Some(value.to_string_lossy().into_owned())
    }

    /// Returns a variable as it was set; an error if it is not UTF-8.
    pub fn exact(&self, name: &str) -> Option<Result<&str, NotText>> {
        let value = self.vars.get(OsStr::new(name))?;
        Some(value.to_str().ok_or(NotText))
    }

    pub fn is_empty(&self, name: &str) -> bool {
        self.exact(name) == Some(Ok(""))
    }

    pub fn path_var(&self, name: &str) -> Option<PathBuf> {
        self.set(name).map(PathBuf::from)
    }

    fn set(&self, name: &str) -> Option<&OsString> {
        let value = self.vars.get(OsStr::new(name))?;
        (!value.is_empty()).then_some(value)
    }

    /// Returns the first of: files named on the command line, `DRSPASS_IDENTITY`,
    /// `DRSPASS_IDENTITY_KEY`, the default file.
    pub fn identities(&self, named: &[PathBuf]) -> IdentitySource {
        let files = self.identity_files(named);
        if !files.is_empty() {
            return IdentitySource::Files(files);
        }
        if let Some(text) = self.var("DRSPASS_IDENTITY_KEY") {
            return IdentitySource::Text(Zeroizing::new(text));
        }
        let mut names = ["DRSPASS_IDENTITY", "DRSPASS_IDENTITY_KEY"].into_iter();
        match names.find(|name| self.is_empty(name)) {
            Some(name) => IdentitySource::Empty(name),
            None => IdentitySource::Default(self.default_identity()),
        }
    }

    pub fn default_identity(&self) -> Option<PathBuf> {
        let folder = self.config_folders().into_iter().next();
        folder.map(|folder| folder.join("drspass").join("identity.txt"))
    }

    pub fn identity_files(&self, named: &[PathBuf]) -> Vec<PathBuf> {
        if named.is_empty() {
            self.path_var("DRSPASS_IDENTITY").into_iter().collect()
        } else {
            named.to_vec()
        }
    }

    pub fn home(&self) -> Option<PathBuf> {
        self.path_var("HOME").filter(|path| path.is_absolute())
    }

    /// Returns the directories of settings, first choice first (XDG Base Directory
    /// Specification, which ignores relative paths).
    pub fn config_folders(&self) -> Vec<PathBuf> {
        let named = self
            .path_var("XDG_CONFIG_HOME")
            .filter(|path| path.is_absolute());
        let usual = self.home().map(|home| home.join(".config"));
        named.into_iter().chain(usual).collect()
    }

    pub fn for_children(&self) -> ChildEnv {
        ChildEnv::of(self.vars.clone())
    }

    pub fn place_access(&self, is_terminal: bool) -> PlaceAccess {
        let login = self.var("DRSPASS_STATE_PASSWORD").map(|password| {
            let username = self.var("DRSPASS_STATE_USERNAME").unwrap_or_default();
            let password = Secret::new(password);
            GitLogin { username, password }
        });
        let github = ["GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"];
        let github = github.map(|name| self.var(name));
        let run_url = match github {
            [Some(server), Some(repository), Some(run)] => {
                Some(format!("{server}/{repository}/actions/runs/{run}"))
            }
            _ => self.var("CI_JOB_URL"),
        };
        PlaceAccess {
            git: Arc::new(GitAccess {
                login,
                ..GitAccess::of(
                    self.vars.clone(),
                    self.private_places().temporary,
                    is_terminal,
                )
            }),
            host: host(),
            who: self.var("DRSPASS_WHO").or_else(|| self.var("USER")),
            run_url,
            now,
            progress: progress::note,
        }
    }

    /// Returns where plain text may be put for an editor; relative paths are ignored.
    pub fn private_places(&self) -> Places {
        let full = |name| self.path_var(name).filter(|path| path.is_absolute());
        Places {
            runtime: full("XDG_RUNTIME_DIR"),
            temporary: full("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp")),
        }
    }

    pub fn is_dumb(&self) -> bool {
        matches!(self.exact("TERM"), Some(Ok("" | "dumb")))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotText;

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the clock"
)]
pub fn now() -> Timestamp {
    let now = testpoint::clock().unwrap_or_else(Timestamp::now);
    now.round(
        TimestampRound::new()
            .smallest(Unit::Millisecond)
            .mode(jiff::RoundMode::Trunc),
    )
    .unwrap_or(now)
}

/// # Panics
/// If the operating system has none: without randomness no secret can be kept.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

pub fn salt() -> Salt {
    random()
}

pub fn unique() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn host() -> String {
    let machine = rustix::system::uname();
    machine.nodename().to_string_lossy().into_owned()
}

pub fn lock_info(command: &str) -> LockInfo {
    LockInfo {
        pid: std::process::id(),
        host: host(),
        command: command.to_owned(),
        since: now(),
    }
}

pub fn runtime() -> Runtime {
    Runtime {
        now,
        salt,
        unique,
        random,
        lock_info,
        hang_up: hang_up(),
    }
}

/// Returns whether the parent process had a signal ignored. Bit n-1 of the mask is signal n.
pub fn is_ignored(signal: Interrupt) -> bool {
    let bit = 1_u64 << (signal as i32 - 1);
    std::fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & bit != 0)
}

/// Returns whether a closed terminal ends the run (not under `nohup`).
pub fn hang_up() -> HangUp {
    if is_ignored(Interrupt::SIGHUP) {
        HangUp::Ignored
    } else {
        HangUp::Ends
    }
}

/// Keeps decrypted text out of core dumps, including those piped to a handler.
pub fn forbid_core_dumps() {
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
}
