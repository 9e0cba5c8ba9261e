//! A root folder, a simulator and the built binary, for one test.
//!
//! The binary runs with an empty environment but for what a test names, and
//! every run is searched for the planted passwords, so no test can leak one
//! unnoticed.

pub(crate) mod around;
pub(crate) mod backend;
pub(crate) mod branch;
mod folder;
pub(crate) mod leaks;
pub(crate) mod picture;
mod run;
pub(crate) mod schema;
pub(crate) mod served;
mod system;
pub(crate) mod terminal;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use drspass::sim::{JobSpec, SimConfig, Simulator};
use tempfile::TempDir;

use around::{Stands, started_up_to};
use leaks::Planted;
pub(crate) use run::Run;
pub(crate) use system::{
    heed_signals, ignored_and_caught, make_pipe, mode, process_is_there, send_signal, unanswered,
    wait_until,
};
use terminal::Terminal;

/// How long something that must come is waited for. Only a test that fails waits so
/// long, however slow the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Ids of the shape of the service, in the order in which tests use them.
pub(crate) const J1: &str = "11df459d-a37c-41b9-bc2b-8c00ba32jb51";
pub(crate) const J2: &str = "22df459d-a37c-41b9-bc2b-8c00ba32jb52";
pub(crate) const J3: &str = "33df459d-a37c-41b9-bc2b-8c00ba32jb53";
pub(crate) const J9: &str = "99df459d-a37c-41b9-bc2b-8c00ba32jb59";

/// An identity behind a passphrase, both made up for these tests.
pub(crate) const LOCKED: &str = include_str!("../../data/locked_ed25519");
pub(crate) const LOCKED_PUBLIC: &str = include_str!("../../data/locked_ed25519.pub");
pub(crate) const PASSPHRASE: &str = "canary-passphrase";

/// The token that the simulators of tests take. It is made up.
pub(crate) const TOKEN: &str = "canary-token-0123456789abcdef";

/// A root folder with its simulator.
pub(crate) struct Lab {
    pub(crate) dir: TempDir,
    pub(crate) sim: Simulator,
    /// The repository with the state, where it is on a branch.
    pub(crate) origin: Option<TempDir>,
    planted: Vec<Planted>,
    /// The lines of the identity, which `key.txt` alone may hold.
    identity: Vec<Planted>,
    token: Planted,
}

impl Lab {
    /// A root folder initialised against a simulator that runs J1, J2 and J3.
    pub(crate) fn new() -> Self {
        Self::with_config(SimConfig {
            jobs: [J1, J2, J3].map(JobSpec::new).to_vec(),
            ..SimConfig::default()
        })
    }

    /// As [`Lab::new`], with a simulator of the test's choice.
    pub(crate) fn with_config(config: SimConfig) -> Self {
        Self::made(config, None)
    }

    /// As [`Lab::new`], in a clone whose state is on a branch.
    pub(crate) fn on_branch() -> Self {
        let jobs = [J1, J2, J3].map(JobSpec::new).to_vec();
        Self::on_branch_with(SimConfig {
            jobs,
            ..SimConfig::default()
        })
    }

    pub(crate) fn on_branch_with(config: SimConfig) -> Self {
        Self::made(config, Some(branch::origin()))
    }

    fn made(config: SimConfig, origin: Option<TempDir>) -> Self {
        heed_signals();
        let sim = Simulator::start(SimConfig {
            token: Some(TOKEN.to_owned()),
            record_bodies: true,
            ..config
        })
        .expect("the simulator starts");
        let mut lab = Self {
            dir: TempDir::new().expect("a folder"),
            sim,
            origin,
            planted: Vec::new(),
            identity: Vec::new(),
            token: Planted::text(TOKEN),
        };
        let (endpoint, auth_url) = lab.addresses();
        let project = lab.sim.project_id();
        let mut init = vec!["init", "-i", "key.txt", "--project-id", project];
        init.extend(["--endpoint", &endpoint, "--auth-url", &auth_url]);
        if lab.origin.is_some() {
            lab.make_clone();
            init.extend(["--state", branch::PLACE]);
        }
        lab.run(&init).exits(0);
        let identity = lab.read("key.txt");
        lab.identity = identity
            .lines()
            .filter(|line| line.starts_with("AGE-SECRET-KEY-"))
            .map(Planted::text)
            .collect();
        assert_eq!(lab.identity.len(), 1);
        lab
    }

    /// The addresses of the simulator.
    pub(crate) fn addresses(&self) -> (String, String) {
        (self.sim.url(), format!("{}/v3", self.sim.url()))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect(name);
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// Appends settings to drspass.yaml.
    pub(crate) fn configure(&self, yaml: &str) {
        let config = self.read("drspass.yaml");
        self.write("drspass.yaml", format!("{config}\n{yaml}\n"));
    }

    /// Each of `secrets` is searched for after each run from now on.
    pub(crate) fn plant(&mut self, secrets: &[&str]) {
        self.planted
            .extend(secrets.iter().map(|secret| Planted::text(secret)));
    }

    /// These bytes are searched for after each run from now on.
    pub(crate) fn plant_bytes(&mut self, secret: &[u8]) {
        self.planted.push(Planted::bytes(secret));
    }

    /// Makes `jobs` (the content of the key `jobs`, indented by two) the
    /// manifest, through `drspass encrypt`.
    pub(crate) fn manifest(&self, jobs: &str) -> Run {
        self.document(format!("version: 1\njobs:\n{jobs}"))
    }

    /// Makes a whole plaintext document the manifest.
    pub(crate) fn document(&self, document: impl AsRef<[u8]>) -> Run {
        self.write("plain.yaml", document);
        let run = self.run(&["encrypt", "plain.yaml"]);
        fs::remove_file(self.path("plain.yaml")).expect("the plain text goes");
        run
    }

    /// Puts a manifest with a key of its own in place, as anybody can make one who knows
    /// drspass.yaml.
    pub(crate) fn forge(&self, password: &str) {
        let folder = self.path("forge");
        fs::create_dir(&folder).expect("a folder");
        fs::copy(self.path("drspass.yaml"), folder.join("drspass.yaml")).expect("a copy");
        self.run(&["-C", "forge", "init"]).exits(0);
        self.write(
            "forge/plain.yaml",
            format!("version: 1\njobs:\n  {J1}:\n    source: {{ password: '{password}' }}\n"),
        );
        self.run(&["-C", "forge", "-i", "../key.txt", "encrypt", "plain.yaml"])
            .exits(0);
        for name in ["passwords.yaml.age", "passwords.index.yaml"] {
            fs::copy(folder.join(name), self.path(name)).expect("a copy");
        }
        fs::remove_dir_all(folder).expect("the folder goes");
    }

    /// A password for each endpoint: the usual manifest.
    pub(crate) fn passwords(&mut self, entries: &[(&str, &str, &str)]) {
        let mut jobs = String::new();
        let mut last = "";
        for (job, endpoint, password) in entries {
            if *job != last {
                jobs.push_str(&format!("  {job}:\n"));
                last = job;
            }
            jobs.push_str(&format!("    {endpoint}: {{ password: '{password}' }}\n"));
            self.plant(&[password]);
        }
        self.manifest(&jobs).exits(0);
    }

    /// Applies the entries with `old` in place of `new` in their passwords.
    pub(crate) fn apply_former(&mut self, entries: &[(&str, &str, &str)]) {
        let old = |(_, _, new): &(&str, &str, &str)| new.replace("new", "old");
        let old: Vec<String> = entries.iter().map(old).collect();
        let former = entries.iter().zip(&old);
        let former = former.map(|((job, endpoint, _), old)| (*job, *endpoint, old.as_str()));
        self.passwords(&former.collect::<Vec<_>>());
        self.apply(&[]).exits(0);
    }

    /// The binary in this root folder with the usual environment.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drspass"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", "/usr/bin:/bin")
            .env("DRSPASS_IDENTITY", "key.txt")
            .env("OS_TOKEN", TOKEN)
            // No progress, however slow the machine is.
            .env("DRSPASS_TEST_SECOND", "3600000")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it and checks that it leaked nothing.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        self.run_command(self.command(args))
    }

    /// Runs a command made by [`Lab::command`] and checks that it leaked nothing.
    /// Only what `decrypt` writes to standard output may hold what was planted.
    #[track_caller]
    pub(crate) fn run_command(&self, mut command: Command) -> Run {
        let has = |word: &str| command.get_args().any(|arg| arg == word);
        let is_plain = has("decrypt") && !has("-o");
        let output = command.output().expect("the binary runs");
        self.finished(&output, is_plain)
    }

    /// Waits for a child made by [`Lab::command`].
    #[track_caller]
    pub(crate) fn wait(&self, child: Child) -> Run {
        let output = child.wait_with_output().expect("the binary ends");
        self.finished(&output, false)
    }

    /// Waits for the end of a command on a terminal, and checks that it leaked nothing.
    /// All that was shown counts as standard output.
    #[track_caller]
    pub(crate) fn ended(&self, terminal: Terminal) -> Run {
        let run = terminal.ended();
        self.checked(run.code, run.stdout.as_bytes(), b"")
    }

    #[track_caller]
    fn finished(&self, output: &Output, is_plain: bool) -> Run {
        let (code, stdout, stderr) = (output.status.code(), &output.stdout, &output.stderr);
        if is_plain {
            self.searched(code, stdout, stderr)
        } else {
            self.checked(code, stdout, stderr)
        }
    }

    /// What a command came to, after it and all files were searched for what was
    /// planted.
    #[track_caller]
    pub(crate) fn checked(&self, code: Option<i32>, stdout: &[u8], stderr: &[u8]) -> Run {
        for secret in &self.planted {
            secret.assert_absent("stdout", stdout);
        }
        self.searched(code, stdout, stderr)
    }

    #[track_caller]
    fn searched(&self, code: Option<i32>, stdout: &[u8], stderr: &[u8]) -> Run {
        for secret in self.identity.iter().chain([&self.token]) {
            secret.assert_absent("stdout", stdout);
            secret.assert_absent("stderr", stderr);
        }
        for secret in &self.planted {
            secret.assert_absent("stderr", stderr);
        }
        self.assert_files_clean();
        Run {
            code,
            stdout: String::from_utf8_lossy(stdout).into_owned(),
            stderr: String::from_utf8_lossy(stderr).into_owned(),
        }
    }

    /// Searches every file of the root folder, but the plain text that a test
    /// put there itself; the identity may stand in `key.txt` alone.
    #[track_caller]
    pub(crate) fn assert_files_clean(&self) {
        for entry in fs::read_dir(self.dir.path()).expect("the folder") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name == "plain.yaml" || !path.is_file() {
                continue;
            }
            let content = match fs::read(&path) {
                Ok(content) => content,
                // A running apply may replace or remove a file at any moment.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => panic!("{name}: {error}"),
            };
            for secret in self.planted.iter().chain([&self.token]) {
                secret.assert_absent(&name, &content);
            }
            if name != "key.txt" {
                for secret in &self.identity {
                    secret.assert_absent(&name, &content);
                }
            }
        }
    }

    /// `apply --auto-approve` with more arguments.
    pub(crate) fn apply(&self, more: &[&str]) -> Run {
        self.run(&[&["apply", "--auto-approve"], more].concat())
    }

    /// The plan, without notes.
    pub(crate) fn plan(&self) -> String {
        self.run(&["plan"]).exits(0).stdout
    }

    /// Starts a command, waits until it reaches a place for the pass-th time, and
    /// kills it there.
    #[track_caller]
    pub(crate) fn killed_at(&self, place: &str, pass: usize, args: &[&str]) {
        self.killed(self.command(args), place, pass);
    }

    /// As [`Lab::killed_at`], for a command that is made already.
    #[track_caller]
    pub(crate) fn killed(&self, command: Command, place: &str, pass: usize) {
        let (mut child, stands) = started_up_to(command, place, pass, &self.path("reached"));
        assert_eq!(stands, Stands::There, "it ended before {place} {pass}");
        child.kill().expect("it is there to be killed");
        child.wait().expect("it ends");
        self.await_what_was_sent();
    }

    /// Waits until the simulator has read all that ended commands sent. It accepts in
    /// order, so that an answer to the last caller means that no other waits.
    #[track_caller]
    fn await_what_was_sent(&self) {
        let address = self.sim.url();
        let address = address.strip_prefix("http://").expect("an address");
        let mut last = TcpStream::connect(address).expect("it listens");
        last.write_all(b"GET /sim/ HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\r\n")
            .expect("it reads");
        last.read_to_end(&mut Vec::new()).expect("it answers");
        wait_until("no open connections", || self.sim.open_connections() == 0);
    }

    /// Waits until so many password requests have come in since the start.
    #[track_caller]
    pub(crate) fn await_puts(&self, count: usize) {
        let came = self.sim.wait_for_put(count, PATIENCE);
        assert!(came, "there are not {count} password requests");
    }

    /// The body of the last request.
    pub(crate) fn last_body(&self) -> serde_json::Value {
        let requests = self.sim.requests();
        let body = requests.last().and_then(|request| request.body());
        serde_json::from_slice(body.expect("a body")).expect("JSON")
    }

    /// An applied root folder, with a change of its one password still to be applied.
    pub(crate) fn with_a_change() -> Self {
        let mut lab = Self::new();
        lab.passwords(&[(J1, "source", "canary-1")]);
        lab.apply(&[]).exits(0);
        lab.passwords(&[(J1, "source", "canary-2")]);
        lab
    }

    /// The state file as JSON.
    pub(crate) fn state(&self) -> serde_json::Value {
        let text = match &self.origin {
            Some(_) => self.in_origin(&["show", &format!("{}:drspass.state.json", branch::NAME)]),
            None => self.read("drspass.state.json"),
        };
        serde_json::from_str(&text).expect("the state is JSON")
    }

    /// What the state says of one entry.
    pub(crate) fn entry(&self, job: &str, endpoint: &str) -> serde_json::Value {
        self.state()["body"]["entries"][format!("{job}/{endpoint}")].clone()
    }

    /// The entries of each password request so far, in order.
    pub(crate) fn sent(&self) -> Vec<Vec<(String, String)>> {
        self.sim
            .requests()
            .into_iter()
            .filter(|request| request.method() == "PUT")
            .map(|request| request.entries().to_vec())
            .collect()
    }
}
