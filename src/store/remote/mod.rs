//! A state on a branch of a remote: read through a repository that exists only for that, replaced
//! by a push of one commit on top of the one that was read.
//!
//! A push may take effect long after git gave up on it, so one without an answer is neither done nor
//! refused: the branch is asked, and the same commit is pushed again.

mod clone;
mod own;
mod push;
mod runner;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::core::failure::Failure;
use crate::core::place::GitPlace;
use crate::core::redact::{ForeignText, Needles};
use crate::core::secret::Secret;
use crate::sys::children::ChildEnv;
use crate::sys::git::{ChildEnd, ChildOutput};
use crate::sys::testpoint;
use clone::{GitClone, PushAddress};
use own::OwnFolder;
use runner::{GitRunner, GitUse, MAX_OUTPUT};

/// The one file of a state branch.
const STATE: &str = "drspass.state.json";

const TIP: &str = "refs/tip";

/// What git gets for a place.
#[derive(Debug)]
pub struct GitAccess {
    pub env: ChildEnv,
    /// Used where the clone has none.
    pub login: Option<GitLogin>,
    pub temporary: PathBuf,
    /// Whether git may ask for a login.
    pub is_terminal: bool,
    pub limits: GitLimits,
}

impl GitAccess {
    /// Returns the access that the variables of a run give, without a login.
    pub fn of(
        vars: impl IntoIterator<Item = (OsString, OsString)>,
        temporary: PathBuf,
        is_terminal: bool,
    ) -> Self {
        Self {
            env: ChildEnv::of_git(vars),
            login: None,
            temporary,
            is_terminal,
            limits: GitLimits::default(),
        }
    }

    /// Returns the same access with nothing to log in with but what the clone has.
    #[must_use]
    pub fn without_login(&self) -> Self {
        Self {
            env: self.env.clone(),
            login: None,
            temporary: self.temporary.clone(),
            ..*self
        }
    }
}

#[derive(Debug)]
pub struct GitLogin {
    pub username: String,
    pub password: Secret,
}

#[derive(Clone, Copy, Debug)]
pub struct GitLimits {
    /// For one command of git.
    pub command: Duration,
    /// For finding out whether a push took effect.
    pub settle: Duration,
    /// Between two questions of that kind.
    pub pause: Duration,
}

impl Default for GitLimits {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        let settle = testpoint::settle().unwrap_or(minute);
        Self {
            command: minute,
            settle,
            pause: settle / 12,
        }
    }
}

/// A commit of the branch, and the state in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    pub commit: String,
    pub state: Vec<u8>,
}

#[derive(Debug)]
pub enum Pushed {
    Done(Tip),
    /// Someone else changed the state, or the branch is gone or appeared.
    Changed,
    /// The branch is as it was: the server said no, or git had nothing to send.
    Refused(Failure),
    /// It may still take effect; the next push looks first.
    Unknown(Failure),
}

pub struct Remote {
    place: GitPlace,
    clone: GitClone,
    address: PushAddress,
    reference: String,
    git: GitRunner,
    limits: GitLimits,
    /// States that were pushed and may still arrive.
    doubted: Mutex<Vec<Vec<u8>>>,
    is_checked: AtomicBool,
    /// The repository that git works in.
    _own: OwnFolder,
}

/// An entry of a tree as `ls-tree -z -l` lists it.
struct TreeEntry {
    mode: String,
    kind: String,
    id: String,
    size: Option<u64>,
    name: Vec<u8>,
}

/// Returns the names of the remotes of the clone around a directory.
pub fn remotes(folder: &Path, access: &GitAccess) -> Result<Vec<String>, Failure> {
    let clone = GitClone::around(folder, &access.env)?;
    let names = clone.git.asked(&["remote"])?;
    let names = String::from_utf8_lossy(&names);
    Ok(names.lines().map(str::to_owned).collect())
}

impl Remote {
    /// Finds the clone around a directory and the repository that the remote means. Connects to
    /// nothing.
    pub fn find(folder: &Path, place: &GitPlace, access: &GitAccess) -> Result<Self, Failure> {
        let clone = GitClone::around(folder, &access.env)?;
        let address = clone.push_address(&place.remote)?;
        let own = OwnFolder::make(&access.temporary)?;
        let git = repository(&clone, &own, access)?;
        let mut remote = Self {
            place: place.clone(),
            reference: format!("refs/heads/{}", place.branch),
            clone,
            address,
            git,
            limits: access.limits,
            doubted: Mutex::default(),
            is_checked: AtomicBool::new(false),
            _own: own,
        };
        remote.pin()?;
        remote.log_in(access.login.as_ref())?;
        Ok(remote)
    }

    pub fn repository(&self) -> &str {
        &self.address.repository
    }

    /// Returns the directory for what lasts, below git's own one; it may not exist.
    pub fn local(&self) -> &Path {
        &self.clone.local
    }

    /// Returns whether this is the repository that the upstream of the checked-out branch, else
    /// `origin`, is pushed to.
    pub fn is_upstream(&self) -> bool {
        let upstream = self.clone.upstream().unwrap_or_else(|| "origin".to_owned());
        let address = self.clone.push_address(&upstream);
        address.is_ok_and(|address| address.repository == self.address.repository)
    }

    /// Refuses settings that lead git to another address than the one that was compared.
    fn pin(&mut self) -> Result<(), Failure> {
        let url = &self.address.url;
        let pins = ["insteadOf", "pushInsteadOf"];
        let pins = pins.map(|name| (format!("url.{url}.{name}"), url.clone()));
        self.git.add(pins);
        // Only a configured remote shows where a push goes.
        self.git.asked(&["config", "remote.state.url", url])?;
        for args in [
            &["ls-remote", "--get-url", url][..],
            &["remote", "get-url", "--all", "state"],
            &["remote", "get-url", "--all", "--push", "state"],
        ] {
            let found = self.git.asked(args)?;
            if found.trim_ascii() != url.as_bytes() {
                return Err(Failure::new(
                    "drspass::place::address",
                    format!(
                        "git rewrites the push address of remote {}",
                        self.place.remote
                    ),
                    "Nothing was sent or changed. A setting url.*.insteadOf or url.*.pushInsteadOf applies to what it leads to, so that git would use another repository: change that setting.",
                ));
            }
        }
        Ok(())
    }

    /// Gives git the settings of the clone, and a login if these have none.
    fn log_in(&mut self, login: Option<&GitLogin>) -> Result<(), Failure> {
        let settings = self.clone.settings_beyond(&self.git)?;
        let url = &self.address.url;
        let settings = clone::of_connections(settings, &self.place.remote, url);
        self.git.add_first(settings.clone());
        let all = clone::settings_of(&self.git)?;
        let mut secrets = clone::secrets_of(&all);
        self.git.quiet_ssh = clone::quiet_ssh(&self.git, &all);
        if self.address.is_web() {
            let alone = self.git.with_only(&settings);
            let has_header = clone::value_at(&alone, "http.extraheader", url)?
                .is_some_and(|header| header.to_ascii_lowercase().starts_with("authorization:"));
            let has_helper = clone::value_at(&alone, "credential.helper", url)?.is_some();
            let setting = match (&self.address.login, login) {
                _ if has_header => None,
                (Some((username, Some(password))), _) => {
                    Some(clone::login_of(url, username, password))
                }
                (_, Some(login)) if !has_helper => {
                    Some(clone::login_of(url, &login.username, &login.password))
                }
                (Some((username, None)), _) => {
                    // Some hosts take a token for it.
                    secrets.push(Secret::new(username.clone()));
                    Some((format!("credential.{url}.username"), username.clone()))
                }
                (None, _) => None,
            };
            secrets.extend(clone::secrets_of(setting.as_slice()));
            self.git.add(setting);
        }
        self.git.logins = Needles::new(&secrets);
        Ok(())
    }

    /// Fetches the newest state; `None` if the repository has no such branch.
    pub fn fetch(&self, limit: Duration) -> Result<Option<Tip>, Failure> {
        self.fetch_as(GitUse::Read, limit)
    }

    /// Like [`Remote::fetch`], but never asks for a login, for which the time would be too short.
    pub fn fetch_unasked(&self, limit: Duration) -> Result<Option<Tip>, Failure> {
        self.fetch_as(GitUse::Write, limit)
    }

    fn fetch_as(&self, how: GitUse, limit: Duration) -> Result<Option<Tip>, Failure> {
        let until = Instant::now() + limit;
        if !self.check_default(how, limit)? {
            return Ok(None);
        }
        let Some(commit) = self.fetched(how, left(until))? else {
            return Ok(None);
        };
        let tree = self.tree(&commit)?;
        if let Some(other) = tree.iter().find(|entry| entry.name != STATE.as_bytes()) {
            let name = ForeignText::clean(&String::from_utf8_lossy(&other.name));
            let name = name.map_or_else(String::new, |name| format!(": it contains {name}"));
            return Err(self.not_state(
                &name,
                "Name a branch of its own for the state; if someone put this file there, remove it from the branch, or delete the branch and run 'drspass state distrust --create'.",
            ));
        }
        match self.state_of(&tree)? {
            Some(state) => Ok(Some(Tip { commit, state })),
            None => Err(self.not_state(
                &format!(": it has no regular file {STATE} of at most 256 MiB"),
                "Name a branch of its own for the state; if this is the one, delete it and run 'drspass state distrust --create'.",
            )),
        }
    }

    fn not_state(&self, why: &str, help: &str) -> Failure {
        Failure::new(
            "drspass::place::not_state",
            format!("{} is not a state branch{why}", self.place),
            format!("Nothing was sent or changed. {help}"),
        )
    }

    /// Refuses the repository's default branch, which people clone and push to. Returns whether
    /// the branch is there.
    fn check_default(&self, how: GitUse, limit: Duration) -> Result<bool, Failure> {
        if self.is_checked.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let args = ["--symref", "--", &self.address.url, "HEAD", &self.reference];
        let refs = self.listed(how, &args, limit)?;
        let default = format!("ref: {}", self.reference);
        if refs
            .iter()
            .any(|(target, name)| name == "HEAD" && *target == default)
        {
            return Err(self.not_state(
                ": it is the default branch of the repository",
                "Name a branch of its own for the state, or make another branch the default one.",
            ));
        }
        self.is_checked.store(true, Ordering::Relaxed);
        Ok(refs.iter().any(|(_, name)| *name == self.reference))
    }

    /// Asks which commit the branch is at.
    pub fn tip(&self, limit: Duration) -> Result<Option<String>, Failure> {
        self.tip_as(GitUse::Read, limit)
    }

    fn tip_as(&self, how: GitUse, limit: Duration) -> Result<Option<String>, Failure> {
        let args = ["--heads", "--", &self.address.url, &self.reference];
        let refs = self.listed(how, &args, limit)?;
        // git matches the ends of names.
        let found = refs.into_iter().find(|(_, name)| *name == self.reference);
        Ok(found.map(|(commit, _)| commit))
    }

    /// Lists references of the repository: what each one leads to, and its name.
    fn listed(
        &self,
        how: GitUse,
        args: &[&str],
        limit: Duration,
    ) -> Result<Vec<(String, String)>, Failure> {
        let args = [&["ls-remote", "--quiet"], args].concat();
        let output = self.git.run(how, &args, limit)?;
        if output.end != ChildEnd::Success {
            return Err(self.unread(&output));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        Ok(lines
            .map(|(id, name)| (id.to_owned(), name.to_owned()))
            .collect())
    }

    /// Fetches the branch; returns its commit.
    fn fetched(&self, how: GitUse, limit: Duration) -> Result<Option<String>, Failure> {
        let until = Instant::now() + limit;
        let refs = format!("+{}:{TIP}", self.reference);
        let args = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--depth=1",
            "--",
            &self.address.url,
            &refs,
        ];
        let output = self.git.run(how, &args, limit)?;
        if output.end != ChildEnd::Success {
            // What git says of a missing branch depends on the language.
            return match self.tip_as(how, left(until)) {
                Ok(None) => Ok(None),
                Ok(Some(_)) | Err(_) => Err(self.unread(&output)),
            };
        }
        let commit = self
            .git
            .asked(&["rev-parse", "--verify", &format!("{TIP}^{{commit}}")])?;
        Ok(Some(line(&commit)))
    }

    /// Returns whether a commit that was fetched has none before it.
    pub fn is_first(&self, commit: &str) -> bool {
        let found = self.git.asked(&["cat-file", "commit", commit]);
        found.is_ok_and(|found| {
            let lines = found.split(|byte| *byte == b'\n');
            let mut head = lines.take_while(|line| !line.is_empty());
            !head.any(|line| line.starts_with(b"parent "))
        })
    }

    fn unread(&self, output: &ChildOutput) -> Failure {
        Failure::new(
            "drspass::place::fetch",
            format!("cannot read {}{}", self.place, self.why(output)),
            "Nothing was sent or changed. Check the network and git's login for this repository: 'git ls-remote' must work without a question.",
        )
    }

    fn why(&self, output: &ChildOutput) -> String {
        let words = self.git.words(output).map(|words| format!(": {words}"));
        match (output.end, words) {
            (ChildEnd::Cut, words) => {
                let words = words.unwrap_or_default();
                format!(": git took too long or was ended{words}")
            }
            (_, Some(words)) => words,
            (_, None) => ": git failed and did not say why".to_owned(),
        }
    }

    fn tree(&self, commit: &str) -> Result<Vec<TreeEntry>, Failure> {
        let listed = self.git.asked(&["ls-tree", "-z", "-l", commit])?;
        let lines = listed
            .split(|byte| *byte == 0)
            .filter(|line| !line.is_empty());
        Ok(lines.filter_map(TreeEntry::parse).collect())
    }

    /// Returns the state in a tree, `None` if it is not a regular file of a possible size.
    fn state_of(&self, tree: &[TreeEntry]) -> Result<Option<Vec<u8>>, Failure> {
        let entry = tree.iter().find(|entry| entry.name == STATE.as_bytes());
        let is_fit = |entry: &&TreeEntry| {
            entry.mode == "100644" && entry.size.is_some_and(|size| size <= MAX_OUTPUT)
        };
        let blob = entry.filter(is_fit);
        blob.map(|entry| self.git.asked(&["cat-file", "blob", &entry.id]))
            .transpose()
    }
}

impl TreeEntry {
    /// Parses mode, kind, id, size, a tab, the name.
    fn parse(line: &[u8]) -> Option<Self> {
        let tab = line.iter().position(|byte| *byte == b'\t')?;
        let words = String::from_utf8_lossy(&line[..tab]).into_owned();
        let mut words = words.split_whitespace().map(str::to_owned);
        Some(Self {
            mode: words.next()?,
            kind: words.next()?,
            id: words.next()?,
            size: words.next()?.parse().ok(),
            name: line[tab + 1..].to_vec(),
        })
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

fn line(output: &[u8]) -> String {
    String::from_utf8_lossy(output.trim_ascii()).into_owned()
}

/// Makes an empty repository, without anything of a template.
fn repository(clone: &GitClone, own: &OwnFolder, access: &GitAccess) -> Result<GitRunner, Failure> {
    let folder = own.path.path().join(own::REPOSITORY);
    let mut git = clone.git.at(clone.top.clone());
    git.is_terminal = access.is_terminal;
    git.git_dir = Some(folder);
    let format = format!("--object-format={}", clone.object_format);
    git.asked(&["init", "--quiet", "--bare", "--template=", &format])?;
    Ok(git)
}
