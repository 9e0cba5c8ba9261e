//! A bare repository made of the example, its simulators, and runners that clone it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use drspass::sim::{JobSpec, SimConfig, Simulator};
use tempfile::TempDir;

use crate::support::{Run, TOKEN, wait_until};

const ENVIRONMENTS: [&str; 2] = ["staging", "production"];

/// A repository to clone from, and a checkout of somebody who works on it.
pub(super) struct Repository {
    dir: TempDir,
    sims: BTreeMap<&'static str, Simulator>,
}

/// Runs something to its end.
fn finished(mut command: Command) -> Run {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A command with the environment of a clean machine, and drspass on the path.
fn scrubbed(program: &str, folder: &Path, home: &Path) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_drspass"));
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .env_clear()
        .env("HOME", home)
        .env("PATH", path)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0");
    command
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

impl Repository {
    /// The example as it is, on the branch main.
    pub(super) fn new(example: &Path) -> Self {
        let dir = TempDir::new().unwrap();
        let repository = Self {
            sims: BTreeMap::new(),
            dir,
        };
        copy(example, &repository.work());
        let pin = concat!(
            "DRSPASS_VERSION=",
            env!("CARGO_PKG_VERSION"),
            "\nDRSPASS_ARCHIVE=https://downloads.invalid/\nDRSPASS_SHA256=0\n"
        );
        fs::write(repository.work().join("ci/drspass.pin"), pin).unwrap();
        fs::create_dir(repository.home()).unwrap();
        repository.git(&["init", "--quiet", "--initial-branch=main", "."]);
        repository.commit("The example");
        let origin = repository.origin();
        let origin = origin.to_str().unwrap();
        repository.git(&["clone", "--quiet", "--bare", ".", origin]);
        repository.git(&["remote", "add", "origin", origin]);
        repository
    }

    /// The same, each environment sealed for a simulator of its own and for a state on a branch
    /// of the same repository.
    pub(super) fn resealed(example: &Path) -> Self {
        Self::sealed_for(example, "origin")
    }

    /// The same, with the states in a repository of their own.
    pub(super) fn with_state_project(example: &Path) -> Self {
        Self::sealed_for(example, "state")
    }

    fn sealed_for(example: &Path, remote: &str) -> Self {
        let mut repository = Self::new(example);
        let project = repository.state_project();
        let project = project.to_str().unwrap();
        repository.git(&["init", "--quiet", "--bare", project]);
        repository.git(&["config", "remote.state.url", project]);
        // The first branch of a repository becomes its default one, which no state may be on.
        repository.git(&["push", "--quiet", "state", "main"]);
        for environment in ENVIRONMENTS {
            let jobs = repository.jobs(environment);
            let sim = Simulator::start(SimConfig {
                token: Some(TOKEN.to_owned()),
                jobs: jobs.iter().map(JobSpec::new).collect(),
                ..SimConfig::default()
            })
            .unwrap();
            repository.reseal(environment, &sim, remote);
            repository.sims.insert(environment, sim);
        }
        repository.commit("Sealed for simulators");
        repository.git(&["push", "--quiet", "origin", "main"]);
        repository
    }

    fn reseal(&self, environment: &str, sim: &Simulator, remote: &str) {
        let folder = self.work().join("envs").join(environment);
        let plain = self.drspass(environment, &["decrypt"]).stdout;
        let (head, rest) = plain.split_once("sealed:\n").unwrap();
        let body: Vec<&str> = rest
            .lines()
            .skip_while(|line| line.starts_with(' '))
            .collect();
        let plain = format!("{head}{}\n", body.join("\n"));
        for name in ["passwords.yaml.age", "passwords.index.yaml"] {
            fs::remove_file(folder.join(name)).unwrap();
        }
        let config = fs::read_to_string(folder.join("drspass.yaml")).unwrap();
        assert!(config.contains("state: \"git:origin/drspass-state/"));
        let config = config.replace("git:origin/", &format!("git:{remote}/"));
        let target = format!(
            "  project_id: \"{}\"\n  endpoint: \"{url}\"\n  auth_url: \"{url}/v3\"",
            sim.project_id(),
            url = sim.url()
        );
        let config: Vec<&str> = config
            .lines()
            .filter(|line| !line.starts_with("  region:"))
            .map(|line| {
                if line.starts_with("  project_id:") {
                    target.as_str()
                } else {
                    line
                }
            })
            .collect();
        fs::write(folder.join("drspass.yaml"), config.join("\n") + "\n").unwrap();
        let run = self.drspass(environment, &["init"]);
        assert_eq!(run.code, Some(0), "{}", run.all());
        self.encrypt(environment, &plain);
    }

    fn encrypt(&self, environment: &str, plain: &str) {
        let folder = self.work().join("envs").join(environment);
        fs::write(folder.join("plain.yaml"), plain).unwrap();
        let run = self.drspass(environment, &["encrypt", "plain.yaml"]);
        fs::remove_file(folder.join("plain.yaml")).unwrap();
        assert_eq!(run.code, Some(0), "{}", run.all());
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn origin(&self) -> PathBuf {
        self.dir.path().join("origin.git")
    }

    /// The repository that has nothing but states.
    pub(super) fn state_project(&self) -> PathBuf {
        self.dir.path().join("state.git")
    }

    #[track_caller]
    fn git(&self, args: &[&str]) -> String {
        let mut command = scrubbed("git", &self.work(), &self.home());
        command.args([
            "-c",
            "user.name=somebody",
            "-c",
            "user.email=somebody@localhost",
        ]);
        command.args(args);
        let run = finished(command);
        assert_eq!(run.code, Some(0), "git {args:?}\n{}", run.all());
        run.stdout.trim().to_owned()
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// drspass in the root folder of an environment, with the throw-away key.
    pub(super) fn drspass(&self, environment: &str, args: &[&str]) -> Run {
        let folder = self.work().join("envs").join(environment);
        let mut command = scrubbed(env!("CARGO_BIN_EXE_drspass"), &folder, &self.home());
        command
            .args(["-i", "../../keys/THROW-AWAY-KEY.txt"])
            .args(args);
        finished(command)
    }

    /// The ids of the jobs of an environment, in the order of its manifest.
    pub(super) fn jobs(&self, environment: &str) -> Vec<String> {
        let plain = self.drspass(environment, &["decrypt"]).stdout;
        let lines = plain.lines().skip_while(|line| *line != "jobs:").skip(1);
        lines
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .map(|line| line.trim().trim_end_matches(':').to_owned())
            .collect()
    }

    pub(super) fn sim(&self, environment: &str) -> &Simulator {
        &self.sims[environment]
    }

    /// The entries of each password request that an environment's service got.
    pub(super) fn requests(&self, environment: &str) -> Vec<Vec<(String, String)>> {
        let requests = self.sim(environment).requests().into_iter();
        requests
            .filter(|request| request.method() == "PUT")
            .map(|request| request.entries().to_vec())
            .collect()
    }

    /// The protected secrets and variables of an environment.
    pub(super) fn secrets(&self, environment: &str) -> Vec<(String, String)> {
        let key = fs::read_to_string(self.work().join("keys/THROW-AWAY-KEY.txt")).unwrap();
        let valid = self.drspass(environment, &["validate"]).stdout;
        let key_id = valid.lines().find_map(|line| line.strip_prefix("key id: "));
        vec![
            ("DRSPASS_IDENTITY_KEY".to_owned(), key),
            (
                "DRSPASS_EXPECT_KEY_ID".to_owned(),
                key_id.unwrap().to_owned(),
            ),
            // The simulator of this walk takes its token alone.
            ("OS_TOKEN".to_owned(), TOKEN.to_owned()),
        ]
    }

    /// Changes a password of an environment on a branch of its own.
    pub(super) fn change(&self, environment: &str, branch: &str, from: &str, to: &str) {
        self.git(&["switch", "--quiet", "--create", branch]);
        let plain = self.drspass(environment, &["decrypt"]).stdout;
        assert!(plain.contains(from));
        self.encrypt(environment, &plain.replace(from, to));
        self.commit("A password was rotated");
        self.git(&["push", "--quiet", "origin", branch]);
        self.git(&["switch", "--quiet", "main"]);
    }

    pub(super) fn merge(&self, branch: &str) {
        self.git(&["merge", "--quiet", "--ff-only", branch]);
        self.git(&["push", "--quiet", "origin", "main"]);
    }

    /// Takes back the last commit of main, as git does it.
    pub(super) fn revert(&self) {
        self.git(&["revert", "--no-edit", "HEAD"]);
        self.git(&["push", "--quiet", "origin", "main"]);
    }

    /// Sets a limit of changes for an environment.
    pub(super) fn limit(&self, environment: &str, max_changes: u64) {
        let file = self
            .work()
            .join("envs")
            .join(environment)
            .join("drspass.yaml");
        let mut config = fs::read_to_string(&file).unwrap();
        config.push_str(&format!("limits:\n  max_changes: {max_changes}\n"));
        fs::write(file, config).unwrap();
        self.commit("A limit");
        self.git(&["push", "--quiet", "origin", "main"]);
    }

    /// From now on, only so many pushes to the origin are taken.
    pub(super) fn take_pushes(&self, count: usize) {
        let hook = self.origin().join("hooks/pre-receive");
        let script = format!("#!/bin/sh\necho >>pushes; test \"$(wc -l <pushes)\" -le {count}\n");
        fs::write(&hook, script).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        let _ = fs::remove_file(self.origin().join("pushes"));
    }

    pub(super) fn head(&self, branch: &str) -> String {
        self.git(&["rev-parse", branch])
    }

    /// The state of an environment, as its branch of the origin has it.
    pub(super) fn state(&self, environment: &str) -> serde_json::Value {
        let origin = self.origin();
        let file = format!("drspass-state/{environment}:drspass.state.json");
        let state = self.git(&["--git-dir", origin.to_str().unwrap(), "show", &file]);
        serde_json::from_str(&state).unwrap()
    }
}

/// A machine that has a clone for one job.
pub(super) struct Runner {
    dir: TempDir,
}

impl Runner {
    /// A fresh clone at a branch or commit.
    pub(super) fn clone_of(repository: &Repository, at: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let runner = Self { dir };
        fs::create_dir(runner.dir.path().join("home")).unwrap();
        let origin = repository.origin();
        let clone = format!("git clone --quiet '{}' checkout", origin.display());
        let run = runner.in_folder(runner.dir.path(), &clone, &[]);
        assert_eq!(run.code, Some(0), "{}", run.all());
        let run = runner.sh(&format!("git checkout --quiet --detach 'origin/{at}' 2>/dev/null || git checkout --quiet --detach '{at}'"), &[]);
        assert_eq!(run.code, Some(0), "{}", run.all());
        runner
    }

    pub(super) fn checkout(&self) -> PathBuf {
        self.dir.path().join("checkout")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.checkout().join(name)
    }

    /// A file of the runner beside the checkout.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command of a step, as a runner would start it.
    pub(super) fn command(&self, script: &str, env: &[(String, String)]) -> Command {
        let mut command = scrubbed("bash", &self.checkout(), &self.dir.path().join("home"));
        command
            .args(["-e", "-o", "pipefail", "-c", script])
            .envs(env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(super) fn sh(&self, script: &str, env: &[(String, String)]) -> Run {
        finished(self.command(script, env))
    }

    /// Stops the command of a step at a place, and ends it and all that belongs to it there.
    pub(super) fn lose(&self, script: &str, env: &[(String, String)], place: &str) {
        let reached = self.beside("reached");
        let stop = format!("{place}:{}", reached.display());
        let mut command = self.command(script, env);
        command
            .env("DRSPASS_TEST_STOP_AT", stop)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        wait_until(place, || reached.exists());
        let group = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        child.wait().unwrap();
    }

    fn in_folder(&self, folder: &Path, script: &str, env: &[(String, String)]) -> Run {
        let mut command = self.command(script, env);
        command.current_dir(folder);
        finished(command)
    }

    /// Copies a file, or all of a folder, out of the checkout or into it.
    pub(super) fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if from.is_dir() {
            copy(from, to);
        } else {
            fs::copy(from, to).unwrap();
            // An artefact store does not keep modes.
            fs::set_permissions(to, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
}
