//! The clone around a root directory: its remotes, its settings for connections, and the address
//! of a repository without its login.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use super::runner::{GitRunner, GitUse};
use crate::core::failure::Failure;
use crate::core::mac::sha256;
use crate::core::place::repository_of;
use crate::core::redact::Token;
use crate::core::secret::Secret;
use crate::sys::children::ChildEnv;
use crate::sys::git::{self, ChildEnd};

/// The oldest git with all that is asked here (`rev-parse --path-format`).
const OLDEST: (u32, u32) = (2, 31);

const LIMIT: Duration = Duration::from_secs(60);

/// Digits of the digest that names a root directory.
const NAME_DIGITS: usize = 16;

/// A setting, its name as git lists it.
pub type Setting = (String, String);

pub struct GitClone {
    pub git: GitRunner,
    pub top: PathBuf,
    /// Where drspass keeps what lasts for this root directory.
    pub local: PathBuf,
    pub object_format: String,
}

impl GitClone {
    pub fn around(folder: &Path, env: &ChildEnv) -> Result<Self, Failure> {
        let program = git::program(env)?;
        let folder = folder.join(".").canonicalize().map_err(|why| {
            let message = format!("cannot find the clone around {}", folder.display());
            Failure::new(CLONE, message, NO_CLONE).because(why)
        })?;
        let git = GitRunner::new(program, env, folder.clone());
        check_version(&git)?;
        // The first question: of a clone of someone else, git lists no settings and says nothing.
        let args = [
            "rev-parse",
            "--path-format=absolute",
            "--show-toplevel",
            "--absolute-git-dir",
            "--git-common-dir",
            "--show-object-format",
            "--show-prefix",
        ];
        let output = git.run(GitUse::Local, &args, LIMIT)?;
        let words = git.words(&output);
        let lines: Vec<&[u8]> = output.stdout.split(|byte| *byte == b'\n').collect();
        let answer = match lines[..] {
            [top, git_dir, common, format, prefix, b""] if output.end == ChildEnd::Success => {
                Some((path(top), path(git_dir), path(common), format, prefix))
            }
            _ => None,
        };
        // A repository that a commit brought along is not the clone.
        let answer = answer.filter(|(_, git_dir, ..)| !folder.starts_with(git_dir));
        let Some((top, _, common, format, prefix)) = answer else {
            let words = words.map_or_else(String::new, |words| format!(": {words}"));
            let message = format!("cannot use the clone around {}{words}", folder.display());
            return Err(Failure::new(CLONE, message, NO_CLONE));
        };
        let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
        let object_format = String::from_utf8_lossy(format).into_owned();
        let local = folder_below(&common, &sha256(prefix)[..NAME_DIGITS])?;
        Ok(Self {
            git: git.at(top.clone()),
            top,
            local,
            object_format,
        })
    }

    /// Returns where a remote is pushed to, as git has it after all settings that rewrite it.
    pub fn push_address(&self, remote: &str) -> Result<PushAddress, Failure> {
        let args = ["remote", "get-url", "--push", "--all", remote];
        let output = self.git.run(GitUse::Local, &args, LIMIT)?;
        if output.end != ChildEnd::Success {
            return Err(Failure::new(
                REMOTE,
                format!("the clone in {} has no remote {remote}", self.top.display()),
                format!(
                    "Nothing was sent or changed. Add it with 'git remote add {remote} URL', or name another remote."
                ),
            ));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let addresses: Vec<&str> = text.lines().collect();
        let [address] = addresses[..] else {
            return Err(Failure::new(
                REMOTE,
                format!("remote {remote} has {} push addresses", addresses.len()),
                "Nothing was sent or changed. A state is in one repository: name a remote with one push address.",
            ));
        };
        PushAddress::parse(address, &self.top).ok_or_else(|| {
            Failure::new(
                ADDRESS,
                format!("the push address of remote {remote} is not one of a repository"),
                "Nothing was sent or changed. Use an https or ssh address, or a path; 'git remote get-url --push' shows the present one.",
            )
        })
    }

    /// Returns the remote of the branch that is checked out, `None` if it has none.
    pub fn upstream(&self) -> Option<String> {
        let line = |args: &[&str]| {
            let line = self.git.asked(args).ok()?;
            Some(String::from_utf8_lossy(line.trim_ascii()).into_owned())
        };
        let branch = line(&["symbolic-ref", "--short", "--quiet", "HEAD"])?;
        line(&["config", "--get", &format!("branch.{branch}.remote")])
    }

    /// Returns the settings that git has here and not in `other`, which may be those of a file that
    /// only counts in this clone.
    pub fn settings_beyond(&self, other: &GitRunner) -> Result<Vec<Setting>, Failure> {
        let there = settings_of(other)?;
        let mut here = settings_of(&self.git)?;
        here.retain(|setting| !there.contains(setting));
        Ok(here)
    }
}

const CLONE: &str = "drspass::place::clone";
const REMOTE: &str = "drspass::place::remote";
const ADDRESS: &str = "drspass::place::address";
const NO_CLONE: &str = "Nothing was sent or changed. A state in git needs a clone around drspass.yaml that git accepts; 'git status' in this directory shows the problem.";

fn path(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}

fn check_version(git: &GitRunner) -> Result<(), Failure> {
    let said = git.asked(&["version"])?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let version = said.split_whitespace().nth(2).unwrap_or_default();
    let mut parts = version.split('.').map_while(|part| part.parse().ok());
    if (parts.next(), parts.next()) >= (Some(OLDEST.0), Some(OLDEST.1)) {
        return Ok(());
    }
    let version = Token::parse(version).map_or_else(String::new, |it| format!(" {it}"));
    Err(Failure::new(
        "drspass::place::git",
        format!("git{version} is too old for a state in git"),
        format!(
            "Nothing was sent or changed. Install git {}.{} or newer.",
            OLDEST.0, OLDEST.1
        ),
    ))
}

/// Returns `drspass/NAME` below git's own directory, unless a link or a file is in the way.
fn folder_below(common: &Path, name: &str) -> Result<PathBuf, Failure> {
    let mut path = common.to_owned();
    for part in ["drspass", name] {
        path.push(part);
        let why = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => continue,
            Ok(_) => io::Error::other("it is not a directory"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => error,
        };
        return Err(Failure::new(
            "drspass::place::folder",
            format!("cannot use {}", path.display()),
            "Nothing was sent or changed. drspass keeps its journals there and follows no link: find out who made it, and remove it.",
        )
        .because(why));
    }
    Ok(path)
}

/// Returns all settings that git has.
pub fn settings_of(git: &GitRunner) -> Result<Vec<Setting>, Failure> {
    let list = git.asked(&["config", "--list", "-z", "--includes"])?;
    let list = String::from_utf8_lossy(&list);
    let settings = list.split('\0').filter(|line| !line.is_empty());
    let settings = settings.map(|line| match line.split_once('\n') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        // A name without a value means "true".
        None => (line.to_owned(), "true".to_owned()),
    });
    Ok(settings.collect())
}

/// Returns those of a clone's settings that lead to a repository and log in there.
pub fn of_connections(settings: Vec<Setting>, remote: &str, url: &str) -> Vec<Setting> {
    let proxy = format!("remote.{remote}.proxy");
    let method = format!("remote.{remote}.proxyauthmethod");
    let renamed = |(name, value): Setting| match &name {
        name if *name == proxy => Some((format!("http.{url}.proxy"), value)),
        name if *name == method => Some((format!("http.{url}.proxyAuthMethod"), value)),
        _ => {
            let of_ssh = ["core.sshcommand", "ssh.variant"].contains(&&*name);
            let of_web = name.starts_with("http.") || name.starts_with("credential.");
            (of_ssh || of_web).then_some((name, value))
        }
    };
    settings.into_iter().filter_map(renamed).collect()
}

/// Returns the secrets of headers that a setting has git send.
pub fn secrets_of(settings: &[Setting]) -> Vec<Secret> {
    let headers = settings
        .iter()
        .filter(|(name, _)| name.to_ascii_lowercase().ends_with(".extraheader"));
    let mut secrets = Vec::new();
    for word in headers.filter_map(|(_, value)| value.split_whitespace().last()) {
        let decoded = STANDARD.decode(word).unwrap_or_default();
        if let Ok(login) = String::from_utf8(decoded)
            && let Some((_, password)) = login.split_once(':')
        {
            secrets.push(Secret::new(password.to_owned()));
        }
        secrets.push(Secret::new(word.to_owned()));
    }
    secrets
}

/// The address of a repository as git gets it: without a login, which would be seen in the list
/// of processes.
pub struct PushAddress {
    pub url: String,
    /// As [`repository_of`] returns it.
    pub repository: String,
    /// Name and password.
    pub login: Option<(String, Option<Secret>)>,
}

impl PushAddress {
    fn parse(address: &str, top: &Path) -> Option<Self> {
        let before_slash = address.split('/').next().unwrap_or_default();
        let is_relative = !address.starts_with('/') && !before_slash.contains(':');
        if is_relative {
            let path = top.join(address);
            let found = path.canonicalize().or_else(|_| {
                let named = format!("{}.git", path.display());
                fs::canonicalize(named)
            });
            let url = found.ok()?.into_os_string().into_string().ok()?;
            return Self::parse(&url, top);
        }
        let repository = repository_of(address).filter(|_| !address.starts_with('-'))?;
        let plain = Self {
            url: address.to_owned(),
            repository,
            login: None,
        };
        let Some((scheme, rest)) = address.split_once("://") else {
            return Some(plain);
        };
        let (host, path) = rest.split_once('/')?;
        let Some((login, host)) = host.rsplit_once('@') else {
            return Some(plain);
        };
        if !scheme.starts_with("http") {
            // ssh takes no password, and would show it.
            return (!login.contains(':')).then_some(plain);
        }
        let decoded = |text| percent_decode_str(text).decode_utf8().map(String::from);
        let (username, password) = match login.split_once(':') {
            Some((username, password)) if !password.is_empty() => {
                (username, Some(decoded(password).ok()?))
            }
            Some((username, _)) => (username, None),
            None => (login, None),
        };
        Some(Self {
            url: format!("{scheme}://{host}/{path}"),
            login: Some((decoded(username).ok()?, password.map(Secret::new))),
            ..plain
        })
    }

    pub fn is_web(&self) -> bool {
        self.url.starts_with("http://") || self.url.starts_with("https://")
    }
}

/// Returns the setting that has git log in with every request to this address.
pub fn login_of(url: &str, username: &str, password: &Secret) -> Setting {
    let login = STANDARD.encode(format!("{username}:{}", password.expose()));
    let name = format!("http.{url}.extraHeader");
    (name, format!("Authorization: Basic {login}"))
}

/// Returns the value that a setting has for an address.
pub fn value_at(git: &GitRunner, name: &str, url: &str) -> Result<Option<String>, Failure> {
    let args = ["config", "--get-urlmatch", name, url];
    let output = git.run(GitUse::Local, &args, LIMIT)?;
    let value = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok((!value.is_empty()).then_some(value))
}

/// Returns an ssh command that asks for nothing, `None` if the present one is not a plain ssh.
pub fn quiet_ssh(env: &GitRunner, settings: &[Setting]) -> Option<String> {
    let variant = settings
        .iter()
        .rev()
        .find(|(name, _)| name == "ssh.variant");
    let variant = env
        .env("GIT_SSH_VARIANT")
        .or(variant.map(|(_, value)| &**value));
    if variant.is_some_and(|variant| !["ssh", "auto"].contains(&variant)) {
        return None;
    }
    let set = settings
        .iter()
        .rev()
        .find(|(name, _)| name == "core.sshcommand");
    let given = env
        .env("GIT_SSH_COMMAND")
        .or(set.map(|(_, value)| &**value));
    let command = match given {
        Some(command) => command,
        // A program's path, which takes no option.
        None if env.env("GIT_SSH").is_some() => return None,
        None => "ssh",
    };
    let program = command.split_whitespace().next().unwrap_or_default();
    let is_plain = Path::new(program).file_name() == Some("ssh".as_ref())
        && !command.contains(['|', '&', ';', '`', '$', '(', '<', '>', '\n', '#'])
        && !command.to_ascii_lowercase().contains("batchmode");
    is_plain.then(|| format!("{command} -oBatchMode=yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(vars: &[(&str, &str)], settings: &[(&str, &str)]) -> Option<String> {
        let vars = vars.iter().map(|(name, value)| (name.into(), value.into()));
        let env = ChildEnv::of_git(vars);
        let git = GitRunner::new("/usr/bin/git".into(), &env, "/".into());
        let settings = settings.iter();
        let settings: Vec<Setting> = settings
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        quiet_ssh(&git, &settings)
    }

    #[test]
    fn only_a_plain_ssh_is_told_to_ask_nothing() {
        let quieted = |text: &str| Some(format!("{text} -oBatchMode=yes"));
        assert_eq!(quiet(&[], &[]), quieted("ssh"));
        let set = [
            ("core.sshcommand", "ssh -v"),
            ("core.sshcommand", "/bin/ssh -i 'my key'"),
        ];
        assert_eq!(quiet(&[], &set), quieted("/bin/ssh -i 'my key'"));
        let given = [("GIT_SSH_COMMAND", "ssh -F file")];
        assert_eq!(quiet(&given, &set), quieted("ssh -F file"));
        assert_eq!(quiet(&[("GIT_SSH", "/opt/wrapper")], &[]), None);
        assert_eq!(quiet(&[("GIT_SSH_VARIANT", "plink")], &[]), None);
        assert_eq!(quiet(&[], &[("ssh.variant", "simple")]), None);
        for command in [
            "wrapper ssh",
            "ssh -oBatchMode=no",
            "ssh; true",
            "ssh \"$KEY\"",
            "",
        ] {
            assert_eq!(
                quiet(&[("GIT_SSH_COMMAND", command)], &[]),
                None,
                "{command}"
            );
        }
    }

    #[test]
    fn settings_of_connections_are_handed_on_and_those_of_a_remote_renamed() {
        let own = |name: &str| (name.to_owned(), "value".to_owned());
        let names = [
            "core.hookspath",
            "core.sshcommand",
            "credential.https://h.helper",
            "http.sslcainfo",
            "remote.origin.proxy",
            "remote.other.proxy",
            "url.x.insteadof",
            "alias.push",
        ];
        let kept = of_connections(names.map(own).to_vec(), "origin", "https://h/x");
        let names: Vec<&str> = kept.iter().map(|(name, _)| &**name).collect();
        let expected = [
            "core.sshcommand",
            "credential.https://h.helper",
            "http.sslcainfo",
            "http.https://h/x.proxy",
        ];
        assert_eq!(names, expected);
    }
}
