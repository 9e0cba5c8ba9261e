//! The whole loop with a repository behind http that asks for a login, which is in the address of
//! the remote, in a setting of the clone, or in the environment.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::backend::{Backend, PROGRAMS, put_program};
use crate::support::branch::{PLACE, git, origin, snapshot};
use crate::support::terminal::Terminal;
use crate::support::{J1, J2, Lab, Run};

const PASSWORD: &str = "canary-served-password";
/// `somebody:canary-served-password`.
const BASIC: &str = "c29tZWJvZHk6Y2FuYXJ5LXNlcnZlZC1wYXNzd29yZA==";

/// Where the login is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginIn {
    Address,
    Header,
    Environment,
}

/// A root folder whose remote is behind http.
pub(crate) struct Served {
    pub(crate) lab: Lab,
    pub(crate) server: Backend,
    login: LoginIn,
    programs: TempDir,
}

impl Served {
    /// A clone without any file of drspass but the identity.
    pub(crate) fn new(login: LoginIn) -> Self {
        let mut lab = Lab::new();
        for name in ["drspass.yaml", "passwords.yaml.age", "passwords.index.yaml"] {
            fs::remove_file(lab.path(name)).unwrap();
        }
        lab.plant(&[PASSWORD, BASIC]);
        lab.origin = Some(origin());
        lab.make_clone();
        let repository = lab.origin.as_ref().unwrap().path();
        let server = Backend::start(repository.parent().unwrap(), &format!("Basic {BASIC}"));
        let served = Self {
            lab,
            server,
            login,
            programs: TempDir::new().unwrap(),
        };
        served.lead_to(&served.url(), login);
        // What git gets is written down, and what it is told by variables by their names alone.
        let script = format!(
            "echo \"$*\" >>'{}'; env | sed 's/=.*//' >>'{}'; PATH={PROGRAMS} exec git \"$@\"",
            served.record("arguments").display(),
            served.record("names").display()
        );
        put_program(&served.programs.path().join("bin/git"), &script);
        served
    }

    pub(crate) fn record(&self, name: &str) -> PathBuf {
        self.programs.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        let repository = self.lab.origin.as_ref().unwrap().path();
        let name = repository.file_name().unwrap().to_str().unwrap();
        self.server.url(name)
    }

    /// Makes origin an address, in git's own file: in arguments of git, others would see the login.
    pub(crate) fn lead_to(&self, url: &str, login: LoginIn) {
        let with_login = url.replace("http://", &format!("http://somebody:{PASSWORD}@"));
        let (address, header) = match login {
            LoginIn::Address => (&*with_login, String::new()),
            LoginIn::Header => (
                url,
                format!("[http]\n\textraheader = AUTHORIZATION: Basic {BASIC}\n"),
            ),
            LoginIn::Environment => (url, String::new()),
        };
        git(
            self.lab.dir.path(),
            &["remote", "set-url", "origin", "http://127.0.0.1/x"],
        );
        let config = self.lab.read(".git/config");
        self.lab.write(
            ".git/config",
            config.replace("http://127.0.0.1/x", address) + &header,
        );
    }

    pub(crate) fn init(&self) -> Run {
        self.lab.run_command(self.init_command())
    }

    pub(crate) fn init_command(&self) -> Command {
        let (endpoint, auth_url) = self.lab.addresses();
        let target = ["--endpoint", &endpoint, "--auth-url", &auth_url];
        let project = ["--project-id", self.lab.sim.project_id(), "--state", PLACE];
        self.command(&[&["init", "-i", "key.txt"][..], &target, &project].concat())
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.lab.command(args);
        let programs = self.programs.path().join("bin");
        command.env("PATH", format!("{}:{PROGRAMS}", programs.display()));
        if self.login == LoginIn::Environment {
            command
                .env("DRSPASS_STATE_USERNAME", "somebody")
                .env("DRSPASS_STATE_PASSWORD", PASSWORD);
        }
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.lab.run_command(self.command(args))
    }

    pub(crate) fn connections(&self) -> usize {
        self.server.requests.lock().unwrap().len()
    }

    /// No file of the clone has the login, unless it was put there.
    fn assert_not_kept(&self) {
        for (path, content) in snapshot(self.lab.dir.path()) {
            let is_own = path.ends_with(".git/config") && self.login != LoginIn::Environment;
            let text = String::from_utf8_lossy(&content);
            let is_kept = text.contains(PASSWORD) || text.contains(BASIC);
            assert!(is_own || !is_kept, "{}", path.display());
        }
    }
}

/// Works while the arguments of all processes are looked at.
fn watched(work: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let seen = scope.spawn(|| {
            while !is_over.load(SeqCst) {
                for entry in fs::read_dir("/proc").unwrap().flatten() {
                    let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    let line = String::from_utf8_lossy(&line).into_owned();
                    if line.contains(PASSWORD) || line.contains(BASIC) {
                        return Some(line);
                    }
                }
                thread::sleep(Duration::from_millis(5));
            }
            None
        });
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        is_over.store(true, SeqCst);
        assert_eq!(seen.join().unwrap(), None);
        if let Err(panic) = worked {
            std::panic::resume_unwind(panic);
        }
    });
}

fn the_whole_loop(login: LoginIn) {
    let mut served = Served::new(login);
    served.init().exits(0);
    assert_eq!(served.lab.state()["body"]["serial"], 1);
    served.lab.plant(&["canary-1", "canary-2"]);
    let jobs = format!(
        "version: 1\njobs:\n  {J1}:\n    source: {{ password: 'canary-1' }}\n  {J2}:\n    source: {{ password: 'canary-2' }}\n"
    );
    served.lab.write("plain.yaml", jobs);
    served
        .run(&["encrypt", "plain.yaml"])
        .exits(0)
        .says_not("was not read");
    fs::remove_file(served.lab.path("plain.yaml")).unwrap();
    served.run(&["plan"]).exits(0).says("2 to set");
    served
        .run(&["apply", "--auto-approve"])
        .exits(0)
        .says("2 applied");
    assert!(served.lab.sim.holds(J1, "source", "canary-1"));
    served
        .run(&["set", &format!("{J1}/source"), "--generate"])
        .exits(0)
        .says_not("was not read");
    served.run(&["plan"]).exits(0).says("1 to change");
    served.run(&["apply", "--auto-approve"]).exits(0);
    assert!(!served.lab.sim.holds(J1, "source", "canary-1"));
    served
        .run(&["plan", "--detailed-exitcode"])
        .exits(0)
        .says("2 in sync");
    let state = served.lab.state();
    assert_eq!(state["body"]["serial"], 5, "twice marks and outcomes");
    assert!(state["body"]["holder"].is_null());
    for command in [
        &["rotation"][..],
        &["state", "list"],
        &["state", "show"],
        &["lock", "show"],
        &["state", "distrust"],
    ] {
        served.run(command).exits(0);
    }
    served
        .run(&["apply", "--auto-approve"])
        .exits(0)
        .says("2 applied");
    served.assert_not_kept();
    let arguments = fs::read_to_string(served.record("arguments")).unwrap();
    assert!(
        arguments.contains("push") && arguments.contains(&served.url()),
        "{arguments}"
    );
    assert!(!arguments.contains(PASSWORD) && !arguments.contains(BASIC));
    let names = fs::read_to_string(served.record("names")).unwrap();
    for name in names.lines() {
        let is_ours = ["DRSPASS_", "OS_", "HW_"]
            .iter()
            .any(|start| name.starts_with(start));
        assert!(!is_ours, "{name}");
    }
    let requests = served.server.requests.lock().unwrap().clone();
    assert!(
        requests
            .iter()
            .any(|line| line.contains("git-receive-pack"))
    );
}

#[test]
fn the_loop_works_with_a_login_in_the_address_of_the_remote() {
    watched(|| the_whole_loop(LoginIn::Address));
}

#[test]
fn the_loop_works_with_a_login_in_a_setting_of_the_clone() {
    watched(|| the_whole_loop(LoginIn::Header));
}

#[test]
fn the_loop_works_with_a_login_of_the_environment() {
    watched(|| the_whole_loop(LoginIn::Environment));
}

#[test]
fn a_login_that_is_refused_is_an_error_and_sends_nothing() {
    watched(|| {
        let mut served = Served::new(LoginIn::Environment);
        served.init().exits(0);
        served
            .run(&["set", "--add", &format!("{J1}/source"), "--generate"])
            .exits(0);
        let tip = served.lab.tip();
        served.server.is_chatty.store(true, SeqCst);
        for command in [&["plan"][..], &["apply", "--auto-approve"]] {
            served.run(command).exits(1).says("Nothing was sent");
        }
        served.server.is_chatty.store(false, SeqCst);
        // The right one is in no other place.
        served.login = LoginIn::Header;
        for password in [None, Some("canary-wrong")] {
            let mut command = served.command(&["apply", "--auto-approve"]);
            if let Some(password) = password {
                command.env("DRSPASS_STATE_USERNAME", "somebody");
                command.env("DRSPASS_STATE_PASSWORD", password);
            }
            let run = served.lab.run_command(command);
            run.exits(1)
                .says("Nothing was sent")
                .says_not("canary-wrong");
        }
        assert_eq!(served.lab.tip(), tip);
        assert!(served.lab.sent().is_empty());
    });
}

#[test]
fn a_brief_question_asks_for_no_login_on_a_terminal() {
    let mut served = Served::new(LoginIn::Environment);
    served.init().exits(0);
    served.login = LoginIn::Header;
    served.lab.plant(&["canary-1", "canary-2", "canary-3"]);
    let address = format!("{J1}/source");
    let jobs = |job: &str, password: &str| {
        format!("version: 1\njobs:\n  {job}:\n    source: {{ password: '{password}' }}\n")
    };
    served.lab.write("plain.yaml", jobs(J1, "canary-1"));
    let json = format!("{{ \"{J1}/source\": \"canary-2\" }}");
    let outside = TempDir::new().unwrap();
    let list = outside.path().join("in.json");
    fs::write(&list, json).unwrap();
    for args in [
        &["encrypt", "plain.yaml"][..],
        &["set", &address, "--generate"],
        &["import", list.to_str().unwrap(), "--write"],
        &["edit"],
        &["rekey", "--yes"],
        &["unset", &address],
    ] {
        let mut command = served.command(args);
        command.env("EDITOR", "sed -i s/canary-2/canary-3/");
        let run = served.lab.ended(Terminal::start(command));
        assert!(!run.stdout.lines().any(|line| line.starts_with("Username")));
        run.exits(0).says("was not read");
    }
    // What needs the state does ask.
    let mut terminal = Terminal::start(served.command(&["plan"]));
    terminal.sees("Username for");
    terminal.control('c');
    terminal.closes();
}
