//! A state on a branch, with git itself: in a repository on disk and behind http, with the
//! settings of a clean machine and of a hostile one.

mod address;
mod login;
mod push;
mod trouble;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use drspass::core::failure::Failure;
use drspass::core::place::{GitPlace, Place};
use drspass::store::remote::{GitAccess, GitLimits, Pushed, Remote, Tip};
use jiff::Timestamp;
use miette::Diagnostic as _;
use tempfile::TempDir;

use crate::support::PATIENCE;
use crate::support::backend::{Backend, PROGRAMS, put_program};

const STATE: &str = "drspass.state.json";
const PASSWORD: &str = "canary-git-password";

/// `somebody:canary-git-password`.
const AUTHORIZATION: &str = "Basic c29tZWJvZHk6Y2FuYXJ5LWdpdC1wYXNzd29yZA==";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Disk,
    Http,
}

/// A repository with a branch `main`, and a clone of it.
pub(crate) struct Yard {
    dir: TempDir,
    pub(crate) server: Backend,
    /// What the adapter gets from the environment beside a home and programs.
    vars: Vec<(String, String)>,
    origin: String,
}

impl Yard {
    pub(crate) fn new(transport: Transport) -> Self {
        let dir = TempDir::new().unwrap();
        for name in ["home", "temporary", "srv", "clone"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let server = Backend::start(&dir.path().join("srv"), AUTHORIZATION);
        let origin = match transport {
            Transport::Http => server.url("infra.git"),
            Transport::Disk => dir.path().join("srv/infra.git").display().to_string(),
        };
        let yard = Self {
            dir,
            server,
            vars: Vec::new(),
            origin,
        };
        yard.git(
            "srv",
            &[
                "init",
                "--quiet",
                "--bare",
                "--initial-branch=main",
                "infra.git",
            ],
        );
        yard.git("srv/infra.git", &["config", "gc.auto", "0"]);
        yard.git("srv/infra.git", &["config", "receive.autogc", "false"]);
        yard.git("clone", &["init", "--quiet", "--initial-branch=main"]);
        fs::write(yard.path("clone/README"), "infrastructure\n").unwrap();
        yard.git("clone", &["add", "README"]);
        yard.git("clone", &["commit", "--quiet", "--message=first"]);
        yard.git("clone", &["push", "--quiet", "../srv/infra.git", "main"]);
        yard.git("clone", &["remote", "add", "origin", &yard.origin]);
        // As pipelines check out.
        let config = fs::read_to_string(yard.path("clone/.git/config")).unwrap();
        fs::write(yard.path("clone/.git/config"), config + &yard.header()).unwrap();
        yard
    }

    /// One with the settings of a hostile machine. Returns too where a program of theirs would
    /// leave a trace.
    pub(crate) fn hostile(transport: Transport) -> (Self, PathBuf) {
        let mut yard = Self::new(transport);
        let trace = yard.path("trace");
        let failing = |path: PathBuf, name: &str| {
            let script = format!("echo {name} >>'{}'; exit 1", trace.display());
            put_program(&path.join(name), &script);
        };
        for name in ["pre-push", "reference-transaction", "post-index-change"] {
            // A repository on disk is another's server, whose hooks are not ours to forbid.
            if transport == Transport::Http || name == "pre-push" {
                failing(yard.path("hooks"), name);
            }
            failing(yard.path("template/hooks"), name);
            failing(yard.path("clone/.git/hooks"), name);
        }
        put_program(
            &yard.path("monitor"),
            &format!("echo monitor >>'{}'", trace.display()),
        );
        let root = yard.dir.path().to_owned();
        let at = |name: &str| root.join(name).display().to_string();
        // Git is to go elsewhere, from the address that an alias leads to.
        let start = yard.origin.trim_end_matches("infra.git").to_owned();
        yard.git("clone", &["remote", "set-url", "origin", "alias:infra.git"]);
        let settings = format!(
            "[core]\n\thooksPath = {}\n\tfsmonitor = {}\n\tlogAllRefUpdates = always\n\
             [init]\n\ttemplateDir = {}\n\tdefaultObjectFormat = sha256\n\
             [push]\n\tgpgSign = true\n\tpushOption = canary\n\tfollowTags = true\n\tnegotiate = true\n\trecurseSubmodules = only\n\
             [commit]\n\tgpgSign = true\n[user]\n\tuseConfigOnly = true\n[safe]\n\tbareRepository = explicit\n\
             [gc]\n\tauto = 1\n[maintenance]\n\tauto = true\n[fetch]\n\tprune = true\n\tpruneTags = true\n\tfsckObjects = true\n\trecurseSubmodules = yes\n\twriteCommitGraph = true\n\
             [color]\n\tui = always\n[core]\n\tquotePath = true\n[i18n]\n\tcommitEncoding = ISO-8859-1\n\
             [trace2]\n\teventTarget = {}\n\tconfigParams = http.*\n\
             [url \"{start}\"]\n\tinsteadOf = alias:\n[url \"/nowhere/\"]\n\tinsteadOf = \"{start}\"\n\tpushInsteadOf = \"{start}\"\n",
            at("hooks"),
            at("monitor"),
            at("template"),
            at("trace"),
        );
        fs::write(yard.path("hostile"), settings).unwrap();
        yard.vars.push(("GIT_CONFIG_GLOBAL".into(), at("hostile")));
        for name in ["GIT_TRACE", "GIT_TRACE_CURL", "GIT_TRACE2_EVENT"] {
            yard.vars.push((name.into(), at("trace")));
        }
        for name in [
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_OBJECT_DIRECTORY",
            "GIT_INDEX_FILE",
        ] {
            yard.vars.push((name.into(), "/nowhere".into()));
        }
        (yard, trace)
    }

    /// The setting that logs in, which must not be an argument of any process.
    fn header(&self) -> String {
        let url = self.server.url("");
        format!("[http \"{url}\"]\n\textraheader = AUTHORIZATION: {AUTHORIZATION}\n")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs git as somebody on a clean machine does.
    #[track_caller]
    pub(crate) fn git(&self, folder: &str, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(args)
            .current_dir(self.path(folder))
            .env_clear()
            .env("PATH", PROGRAMS)
            .env("HOME", self.path("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([
                ("GIT_AUTHOR_NAME", "somebody"),
                ("GIT_COMMITTER_NAME", "somebody"),
            ])
            .envs([
                ("GIT_AUTHOR_EMAIL", "s@localhost"),
                ("GIT_COMMITTER_EMAIL", "s@localhost"),
            ])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    /// What the repository says of its state branch.
    #[track_caller]
    pub(crate) fn server(&self, args: &[&str]) -> String {
        self.git("srv/infra.git", args)
    }

    pub(crate) fn access(&self) -> GitAccess {
        let text = |path: PathBuf| path.display().to_string();
        let mut vars = vec![
            ("PATH".to_owned(), PROGRAMS.to_owned()),
            ("HOME".to_owned(), text(self.path("home"))),
            ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
            (
                "DRSPASS_IDENTITY_KEY".to_owned(),
                "canary-identity".to_owned(),
            ),
        ];
        vars.extend(self.vars.clone());
        let vars = vars
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let mut access = GitAccess::of(vars, self.path("temporary"), false);
        access.limits = GitLimits {
            command: PATIENCE,
            settle: PATIENCE,
            pause: Duration::from_millis(50),
        };
        access
    }

    #[track_caller]
    fn remote(&self) -> Remote {
        self.find(&place("origin", "drspass-state/x")).unwrap()
    }

    fn find(&self, place: &GitPlace) -> Result<Remote, Failure> {
        Remote::find(&self.path("clone"), place, &self.access())
    }

    /// Puts a file on the state branch, as somebody does who has nothing to do with drspass.
    pub(crate) fn put(&self, name: &str, content: &str) {
        let branch = self.server(&["rev-parse", "refs/heads/drspass-state/x"]);
        fs::write(self.path("content"), content).unwrap();
        let file = self.path("content").display().to_string();
        let blob = self.server(&["hash-object", "-w", &file]);
        let index = self.path("index").display().to_string();
        let _ = fs::remove_file(&index);
        let in_index = |args: &[&str]| {
            let setting = format!("GIT_INDEX_FILE={index} git \"$@\"");
            let output = Command::new("/bin/sh")
                .args(["-c", &setting, "sh"])
                .args(args)
                .current_dir(self.path("srv/infra.git"))
                .output()
                .unwrap();
            assert!(output.status.success());
            String::from_utf8_lossy(&output.stdout)
                .trim_end()
                .to_owned()
        };
        in_index(&["read-tree", &branch]);
        in_index(&[
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("100644,{blob},{name}"),
        ]);
        let tree = in_index(&["write-tree"]);
        let commit = self.server(&["commit-tree", &tree, "-p", &branch, "-m", "by hand"]);
        self.server(&["update-ref", "refs/heads/drspass-state/x", &commit]);
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let left = fs::read_dir(self.path("temporary")).unwrap().count();
        assert_eq!(left, 0, "git's own repositories are gone");
    }
}

fn place(remote: &str, branch: &str) -> GitPlace {
    match Place::parse(&format!("git:{remote}/{branch}")).unwrap() {
        Place::Git(place) => place,
        Place::File(_) => panic!(),
    }
}

fn at() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

#[track_caller]
fn done(pushed: Pushed) -> Tip {
    match pushed {
        Pushed::Done(tip) => tip,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn not_done(pushed: Pushed) -> Failure {
    match pushed {
        Pushed::Refused(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn created(remote: &Remote, state: &str) -> Tip {
    done(remote.push(state.as_bytes(), None, "first state", at()))
}

#[track_caller]
fn fetched(remote: &Remote) -> Tip {
    remote.fetch(PATIENCE).unwrap().expect("a branch")
}

/// Code, message, causes and help, which contain no login.
#[track_caller]
fn told(failure: &Failure) -> String {
    let mut text = format!("{}: {failure}", failure.code().unwrap());
    let mut source = std::error::Error::source(failure);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text += &format!("\n{}", failure.help().unwrap());
    for secret in [PASSWORD, AUTHORIZATION.trim_start_matches("Basic ")] {
        assert!(!text.contains(secret), "{text}");
    }
    text
}

#[track_caller]
fn assert_told(failure: &Failure, words: &[&str]) {
    let text = told(failure);
    for word in words {
        assert!(text.contains(word), "{word:?} in {text}");
    }
}

/// All files below a directory, links too, with their content.
fn content_of(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap();
            if kind.is_dir() {
                found.insert(path.clone(), b"directory".to_vec());
                folders.push(path);
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                found.insert(path, target.as_os_str().as_bytes().to_vec());
            } else {
                found.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Runs a promise everywhere: on disk and behind http, on a clean and on a hostile machine.
fn everywhere(promise: impl Fn(&Yard)) {
    for transport in [Transport::Disk, Transport::Http] {
        let yard = Yard::new(transport);
        let before = content_of(&yard.path("clone"));
        promise(&yard);
        assert!(
            content_of(&yard.path("clone")) == before,
            "the clone is unchanged"
        );
        let (yard, trace) = Yard::hostile(transport);
        let before = content_of(&yard.path("clone"));
        promise(&yard);
        assert!(
            content_of(&yard.path("clone")) == before,
            "the clone is unchanged"
        );
        assert!(!trace.exists(), "{}", fs::read_to_string(trace).unwrap());
    }
}
