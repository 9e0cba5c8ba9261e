//! Where a state lives: as drspass.yaml names it, and as it is sealed.

use std::fmt;
use std::path::PathBuf;

use super::redact::is_unfit;
use super::state::{Lineage, State};

/// Longest name of a branch (design section 2.1).
const MAX_BRANCH: usize = 200;

/// A place as drspass.yaml or the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    File(PathBuf),
    Git(GitPlace),
}

/// A branch of a remote of the clone, written `git:REMOTE/BRANCH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitPlace {
    pub remote: String,
    pub branch: String,
}

impl Place {
    /// Parses what drspass.yaml says.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text.strip_prefix("git:") {
            Some(rest) => GitPlace::parse(rest).map(Self::Git),
            None => state_path(text).map(Self::File),
        }
    }

    /// Parses what the command line or the environment says; a file may be any.
    pub fn named(path: PathBuf) -> Result<Self, &'static str> {
        match path.to_str().and_then(|text| text.strip_prefix("git:")) {
            Some(rest) => GitPlace::parse(rest).map(Self::Git),
            None => Ok(Self::File(path)),
        }
    }

    /// Returns whether a sealed place with this name can be the one meant. Only the clone knows the
    /// repository of a remote.
    pub fn may_be(&self, name: &str) -> bool {
        match self {
            Self::File(path) => path.to_string_lossy() == name,
            Self::Git(place) => name
                .strip_prefix("git:")
                .and_then(|name| name.strip_suffix(&place.branch))
                .is_some_and(|repository| repository.ends_with('/')),
        }
    }
}

impl GitPlace {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let form = "is not of the form git:REMOTE/BRANCH";
        let (remote, branch) = text.split_once('/').ok_or(form)?;
        let is_remote = remote.starts_with(|c: char| c.is_ascii_alphanumeric() || "._".contains(c))
            && remote
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !is_remote {
            return Err("does not name a remote of the clone, such as origin");
        }
        if !is_branch(branch) {
            return Err(
                "does not name a branch in plain letters, digits, dots, dashes and slashes",
            );
        }
        Ok(Self {
            remote: remote.to_owned(),
            branch: branch.to_owned(),
        })
    }
}

/// Returns whether a text is a branch name of plain characters that git accepts
/// (git-check-ref-format).
pub fn is_branch(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._/-".contains(&b);
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.ends_with('.')
            && !part.ends_with(".lock")
            && !part.contains("..")
    };
    text.len() <= MAX_BRANCH
        && text != "HEAD"
        && !text.starts_with('-')
        && text.bytes().all(plain)
        && text.split('/').all(is_part)
}

pub fn relative_path(text: &str) -> Result<PathBuf, &'static str> {
    if text.chars().any(is_unfit) {
        return Err("contains a control character or an invisible one");
    }
    if text.trim() != text {
        return Err("starts or ends with whitespace");
    }
    let is_drive = text.as_bytes().get(1) == Some(&b':');
    if text.starts_with(['/', '\\', '~']) || is_drive {
        return Err("is not relative to the directory of drspass.yaml");
    }
    let parts = || text.split(['/', '\\']);
    if parts().any(|part| part == "..") {
        return Err("is outside the directory of drspass.yaml");
    }
    if parts().any(|part| part.eq_ignore_ascii_case(".git")) {
        return Err("is inside the .git directory");
    }
    match parts().next_back() {
        None | Some("" | ".") => Err("does not name a file"),
        Some(_) => Ok(text.into()),
    }
}

/// Like [`relative_path`], for the state. Files next to it (`.lock`, `.backup` and others) are
/// overwritten without asking, so the name must not make one of them another program's: a state
/// named `poetry` would overwrite `poetry.lock`.
pub fn state_path(text: &str) -> Result<PathBuf, &'static str> {
    let path = relative_path(text)?;
    let name = text.rsplit(['/', '\\']).next().unwrap_or_default();
    if name.ends_with(".json") && !["package.json", "composer.json"].contains(&name) {
        Ok(path)
    } else {
        Err("is not a valid name for the state file")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Git(place) => place.fmt(f),
        }
    }
}

impl fmt::Display for GitPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "git:{}/{}", self.remote, self.branch)
    }
}

/// The place that a manifest is sealed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealedPlace {
    /// As drspass.yaml names it.
    File(String),
    Branch {
        /// As [`repository_of`] returns it: a remote's name means another repository in a fork.
        repository: String,
        branch: String,
        floor: Floor,
    },
}

/// The newest state that the writer of a manifest had seen: an older one was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Floor {
    pub lineage: Lineage,
    pub serial: u64,
}

/// The former place of a state that was moved, and the state that was taken along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedFrom {
    pub place: SealedPlace,
    pub floor: Floor,
}

impl SealedPlace {
    /// Returns its name, without what moves with the state.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.clone(),
            Self::Branch {
                repository, branch, ..
            } => branch_name(repository, branch),
        }
    }

    pub fn floor(&self) -> Option<&Floor> {
        match self {
            Self::File(_) => None,
            Self::Branch { floor, .. } => Some(floor),
        }
    }

    #[must_use]
    pub fn with_floor(&self, newest: Floor) -> Self {
        let mut place = self.clone();
        if let Self::Branch { floor, .. } = &mut place {
            *floor = newest;
        }
        place
    }

    /// Returns the same place with the floor of `other`, if that is a later one of this place.
    #[must_use]
    pub fn raised(&self, other: &Self) -> Self {
        let later = other.floor().filter(|later| {
            let known = self.floor().filter(|known| known.lineage == later.lineage);
            self.name() == other.name() && known.is_some_and(|known| known.serial < later.serial)
        });
        match later {
            Some(_) => other.clone(),
            None => self.clone(),
        }
    }
}

/// Returns whether a text can be what [`SealedPlace::name`] returns.
pub fn is_place_name(text: &str) -> bool {
    match text.strip_prefix("git:") {
        Some(rest) => rest.contains('/') && !rest.chars().any(is_unfit),
        None => state_path(text).is_ok(),
    }
}

pub fn branch_name(repository: &str, branch: &str) -> String {
    format!("git:{repository}/{branch}")
}

impl Floor {
    pub fn of(state: &State) -> Self {
        Self {
            lineage: state.lineage.clone(),
            serial: state.serial,
        }
    }

    /// Returns whether a state is not older than this one. Of a lineage that it follows, no serial
    /// is compared.
    pub fn admits(&self, state: &State) -> bool {
        match state.lineage == self.lineage {
            true => state.serial >= self.serial,
            false => state.follows.contains(&self.lineage),
        }
    }
}

/// Returns host and path of a repository's address, the same for every way to reach it; `None` if
/// it is an address of another kind, such as one that starts a program.
pub fn repository_of(address: &str) -> Option<String> {
    if address.contains("::") || address.chars().any(char::is_control) {
        return None;
    }
    if let Some((scheme, rest)) = address.split_once("://") {
        let port = match scheme {
            "file" => return path_of(rest.strip_prefix("localhost").unwrap_or(rest)),
            "https" => ":443",
            "http" => ":80",
            "ssh" => ":22",
            "git" => ":9418",
            _ => return None,
        };
        let (host, path) = rest.split_once('/')?;
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        return hosted(host.strip_suffix(port).unwrap_or(host), path);
    }
    match address.split_once(':') {
        // As ssh(1) takes it, unless a slash comes first.
        Some((host, path)) if !host.contains('/') => {
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            hosted(host, path)
        }
        _ => path_of(address),
    }
}

/// Returns whether a text is what [`repository_of`] returns of an address.
pub fn is_repository(text: &str) -> bool {
    let address = match text.starts_with('/') {
        true => text.to_owned(),
        false => format!("ssh://{text}"),
    };
    repository_of(&address).as_deref() == Some(text)
}

fn hosted(host: &str, path: &str) -> Option<String> {
    let path = bare(path.trim_start_matches('/'));
    let is_named = !host.is_empty() && !host.starts_with('-') && !path.is_empty();
    is_named.then(|| format!("{}/{path}", host.to_ascii_lowercase()))
}

fn path_of(path: &str) -> Option<String> {
    let is_absolute = path.starts_with('/');
    let path = bare(path);
    (is_absolute && !path.is_empty()).then(|| path.to_owned())
}

fn bare(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.strip_suffix(".git")
        .unwrap_or(path)
        .trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_reach_a_repository_gives_one_name() {
        for address in [
            "https://github.com/acme/infra.git",
            "https://canary-user:canary-token@GitHub.com/acme/infra",
            "https://github.com:443/acme/infra/",
            "ssh://git@github.com/acme/infra.git",
            "ssh://git@github.com:22/acme/infra.git/",
            "git@github.com:acme/infra.git",
            "git@github.com:/acme/infra",
        ] {
            let repository = repository_of(address);
            assert_eq!(
                repository.as_deref(),
                Some("github.com/acme/infra"),
                "{address}"
            );
        }
        for (address, repository) in [
            ("/srv/git/infra.git", "/srv/git/infra"),
            ("file:///srv/git/infra.git/", "/srv/git/infra"),
            ("ssh://h:2222/x", "h:2222/x"),
            ("http://127.0.0.1:8080/x.git", "127.0.0.1:8080/x"),
        ] {
            assert_eq!(
                repository_of(address).as_deref(),
                Some(repository),
                "{address}"
            );
        }
        for address in [
            "ext::sh -c x",
            "https://github.com",
            "ftp://h/x",
            "../infra",
            "",
            "/",
            "-oProxyCommand=x:y",
            "https:///x",
            "git@h:",
            "/a\nb",
        ] {
            assert_eq!(repository_of(address), None, "{address}");
        }
    }

    #[test]
    fn a_place_is_a_file_or_a_branch_of_a_remote() {
        let place = Place::parse("git:origin/drspass-state/production").unwrap();
        let Place::Git(git) = &place else { panic!() };
        assert_eq!(
            (&*git.remote, &*git.branch),
            ("origin", "drspass-state/production")
        );
        assert_eq!(place.to_string(), "git:origin/drspass-state/production");
        assert!(place.may_be("git:github.com/acme/infra/drspass-state/production"));
        assert!(!place.may_be("git:github.com/acme/infra/xdrspass-state/production"));
        assert!(!place.may_be("drspass.state.json"));
        for text in [
            "git:",
            "git:origin",
            "git:origin/",
            "git:/x",
            "git:-x/y",
            "git:o/HEAD",
            "git:o/-x",
            "git:o/x.lock",
            "git:o/a:b",
            "git:o/a..b",
            "git:o/.x",
            "git:o/x/",
            "git:o//x",
            "git:o/x y",
            "git:o/x~1",
            "git:o/x@{1}",
            "git:a b/x",
        ] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
        assert!(Place::parse(&format!("git:o/{}", "x".repeat(MAX_BRANCH + 1))).is_err());
    }
}
