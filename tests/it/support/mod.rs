//! A root folder, a simulator and the built binary, for one test.
//!
//! The binary runs with an empty environment but for what a test names, and
//! every run is searched for the planted passwords, so no test can leak one
//! unnoticed.

pub(crate) mod leaks;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use drspass::sim::{Config, JobSpec, Simulator};
use tempfile::TempDir;

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

/// Text without the line breaks and frames that the error display adds.
fn unwrapped(text: &str) -> String {
    text.replace(['│', '╰', '─', '▶', '×', '⚠', '├'], " ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// A root folder with its simulator.
pub(crate) struct Lab {
    pub(crate) dir: TempDir,
    pub(crate) sim: Simulator,
    planted: Vec<String>,
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
        let lab = Self {
            dir: TempDir::new().expect("a folder"),
            sim,
            planted: Vec::new(),
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

    /// Every canary in `text` is searched for after each run from now on.
    pub(crate) fn plant(&mut self, secrets: &[&str]) {
        self.planted.extend(secrets.iter().map(|s| (*s).to_owned()));
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
        let output = self.command(args).output().expect("the binary runs");
        self.finished(output, !args.iter().any(|arg| arg.as_ref() == "decrypt"))
    }

    /// Runs a command made by [`Lab::command`] and checks that it leaked nothing.
    pub(crate) fn run_command(&self, mut command: Command) -> Run {
        let output = command.output().expect("the binary runs");
        self.finished(output, true)
    }

    /// Waits for a child made by [`Lab::command`].
    pub(crate) fn wait(&self, child: Child) -> Run {
        let output = child.wait_with_output().expect("the binary ends");
        self.finished(output, true)
    }

    #[track_caller]
    fn finished(&self, output: Output, is_searched: bool) -> Run {
        let run = Run {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        if is_searched {
            for secret in self.planted.iter().map(String::as_str).chain([TOKEN]) {
                leaks::assert_absent(secret, "stdout", &output.stdout);
                leaks::assert_absent(secret, "stderr", &output.stderr);
            }
            self.assert_files_clean();
        }
        run
    }

    /// Searches every file of the root folder but the identity.
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
            let content = fs::read(&path).expect("a file");
            for secret in &self.planted {
                leaks::assert_absent(secret, &name, &content);
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
