//! A root folder, a simulator and the built binary, for one test.
//!
//! The binary runs with an empty environment but for what a test names, and
//! every run is searched for the planted passwords, so no test can leak one
//! unnoticed.

pub(crate) mod leaks;
pub(crate) mod schema;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use drspass::sim::{Config, JobSpec, Simulator};
use tempfile::TempDir;

use leaks::Planted;

/// Ids of the shape of the service, in the order in which tests use them.
pub(crate) const J1: &str = "11df459d-a37c-41b9-bc2b-8c00ba32jb51";
pub(crate) const J2: &str = "22df459d-a37c-41b9-bc2b-8c00ba32jb52";
pub(crate) const J3: &str = "33df459d-a37c-41b9-bc2b-8c00ba32jb53";
pub(crate) const J9: &str = "99df459d-a37c-41b9-bc2b-8c00ba32jb59";

/// The token that the simulators of tests take. It is made up.
pub(crate) const TOKEN: &str = "canary-token-0123456789abcdef";

/// One finished run.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Everything that a person saw.
    pub(crate) fn all(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    /// Asserts the exit code, showing what was printed if it differs.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n{}", self.all());
        self
    }

    /// Asserts that a text was printed on either stream, line breaks aside.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        let all = unwrapped(&self.all());
        assert!(all.contains(text), "{text:?} is not in\n{}", self.all());
        self
    }
}

/// Text with every run of blanks and line breaks as one blank, since columns of
/// a table are as wide as their content.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A root folder with its simulator.
pub(crate) struct Lab {
    pub(crate) dir: TempDir,
    pub(crate) sim: Simulator,
    planted: Vec<Planted>,
    /// The lines of the identity, which `key.txt` alone may hold.
    identity: Vec<Planted>,
    token: Planted,
}

impl Lab {
    /// A root folder initialised against a simulator that runs J1, J2 and J3.
    pub(crate) fn new() -> Self {
        Self::with_config(Config {
            jobs: [J1, J2, J3].map(JobSpec::new).to_vec(),
            ..Config::default()
        })
    }

    /// As [`Lab::new`], with a simulator of the test's choice.
    pub(crate) fn with_config(config: Config) -> Self {
        let sim = Simulator::start(Config {
            token: Some(TOKEN.to_owned()),
            record_bodies: true,
            ..config
        })
        .expect("the simulator starts");
        let mut lab = Self {
            dir: TempDir::new().expect("a folder"),
            sim,
            planted: Vec::new(),
            identity: Vec::new(),
            token: Planted::text(TOKEN),
        };
        let (endpoint, auth_url) = lab.addresses();
        lab.run(&[
            "init",
            "-i",
            "key.txt",
            "--project-id",
            lab.sim.project_id(),
            "--endpoint",
            &endpoint,
            "--auth-url",
            &auth_url,
        ])
        .exits(0);
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

    #[track_caller]
    fn finished(&self, output: &Output, is_plain: bool) -> Run {
        for secret in self.identity.iter().chain([&self.token]) {
            secret.assert_absent("stdout", &output.stdout);
            secret.assert_absent("stderr", &output.stderr);
        }
        for secret in &self.planted {
            if !is_plain {
                secret.assert_absent("stdout", &output.stdout);
            }
            secret.assert_absent("stderr", &output.stderr);
        }
        self.assert_files_clean();
        Run {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
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
    pub(crate) fn killed_at(&self, place: &str, pass: usize, args: &[&str]) {
        let reached = self.path("reached");
        let mut command = self.command(args);
        command.env(
            "DRSPASS_TEST_STOP_AT",
            format!("{place}:{pass}:{}", reached.display()),
        );
        let mut child = command.spawn().expect("the binary starts");
        wait_until(place, || reached.exists());
        child.kill().expect("it is there to be killed");
        child.wait().expect("it ends");
        fs::remove_file(reached).expect("the mark goes");
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
        serde_json::from_str(&self.read("drspass.state.json")).expect("the state is JSON")
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

/// Waits until `done` says so; fails loudly after a long time.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "waited too long for {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}
