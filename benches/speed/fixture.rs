//! A root folder of a given size, with a state in which nothing, a little or
//! everything differs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use drspass::age_file::{self, Identities, Means, Plugins};
use drspass::cli::{self, Env};
use drspass::core::manifest::{self, Assignment, Manifest, Sealing};
use drspass::core::plan::{prints_of, to_record};
use drspass::core::secret::Secret;
use drspass::core::state::{Lineage, RunId, Settlement, State};
use drspass::store::{LockInfo, Store, StoreKeys};
use jiff::Timestamp;
use tempfile::TempDir;

use crate::Outcome;

/// The state file of a fixture.
const STATE: &str = "drspass.state.json";

/// How many entries differ from the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// None.
    Nothing,
    /// Ten, or all of fewer.
    Ten,
    /// All.
    Everything,
}

/// A root folder.
pub(crate) struct Fixture {
    dir: TempDir,
    /// The length of the manifest's plain text.
    pub(crate) manifest_bytes: u64,
}

impl Fixture {
    /// Makes a root folder of `entries` entries for the service at `url`.
    pub(crate) fn new(entries: usize, url: &str) -> Outcome<Self> {
        let dir = tempfile::tempdir()?;
        let folder = dir.path().to_string_lossy().into_owned();
        let env = Env::default().with_var("DRSPASS_IDENTITY", "key.txt");
        let run = |args: &[&str]| -> Outcome<()> {
            match cli::run([&["drspass", "-C", &folder], args].concat(), &env) {
                0 => Ok(()),
                code => Err(format!("{args:?} ended with {code}").into()),
            }
        };
        let auth_url = format!("{url}/v3");
        run(&[
            "init",
            "--project-id",
            "0123456789abcdef0123456789abcdef",
            "--endpoint",
            url,
            "--auth-url",
            &auth_url,
        ])?;
        let text = plain_text(entries);
        fs::write(dir.path().join("plain.yaml"), &text)?;
        run(&["encrypt", "plain.yaml"])?;
        fs::remove_file(dir.path().join("plain.yaml"))?;
        Ok(Self {
            dir,
            manifest_bytes: text.len() as u64,
        })
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Saves a state from which `changed` differs in the manifest.
    pub(crate) fn save_state(&self, changed: Changed) -> Outcome<()> {
        let manifest = open(self.folder())?;
        let sealed = manifest
            .sealed
            .as_ref()
            .ok_or("the manifest is not sealed")?;
        let keys = StoreKeys::from(&sealed.fingerprint_key);
        let path = self.folder().join(STATE);
        if path.exists() {
            fs::remove_file(&path)?;
        }
        let store = Store::at(path);
        let at = Timestamp::UNIX_EPOCH;
        let guard = store.lock(&LockInfo {
            pid: 0,
            host: String::new(),
            command: "bench".to_owned(),
            since: at,
        })?;
        let version = store.read(&keys)?.version;
        let prints = sealed.fingerprint_key.fingerprinter(&sealed.scope);
        let mut state = State::new(
            sealed.scope.clone(),
            Lineage::new("bench".to_owned()),
            keys.id.clone(),
        );
        let assignments = manifest.assignments();
        let differing = match changed {
            Changed::Nothing => 0,
            Changed::Ten => 10,
            Changed::Everything => assignments.len(),
        };
        let other = |assignment: &Assignment| Assignment {
            key: assignment.key.clone(),
            label: assignment.label.clone(),
            password: Secret::new("made-up, another one".to_owned()).into(),
            credential: None,
            kerberos: Vec::new(),
        };
        let wanted = assignments.iter().enumerate().map(|(place, assignment)| {
            let record = if place < differing {
                prints_of(&prints, &other(assignment), || [7; 16])
            } else {
                prints_of(&prints, assignment, || [7; 16])
            };
            to_record(&prints, assignment, record)
        });
        state.begin(wanted, at, &RunId::new("bench".to_owned()));
        for assignment in assignments {
            state.settle(&assignment.key, &Settlement::Applied, at);
        }
        store.commit(&guard, &keys, &mut state, &version)?;
        Ok(())
    }

    /// The length of the state file.
    pub(crate) fn state_bytes(&self) -> Outcome<u64> {
        Ok(fs::metadata(self.folder().join(STATE))?.len())
    }

    /// Runs an apply by the real program, and tells how many bytes it wrote.
    pub(crate) fn apply(&self, token: &str, more: &[&str]) -> Outcome<(ExitStatus, u64)> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_drspass"))
            .args(["apply", "--auto-approve"])
            .args(more)
            .current_dir(self.folder())
            .env_clear()
            .env("DRSPASS_IDENTITY", "key.txt")
            .env("OS_TOKEN", token)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // The kernel's count is gone with the process, so it is read until the end.
        let mut written = 0;
        loop {
            if let Some(bytes) = written_by(child.id()) {
                written = bytes;
            }
            if let Some(status) = child.try_wait()? {
                return Ok((status, written));
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

/// The bytes that a process wrote to files and pipes so far (Linux).
fn written_by(pid: u32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "))?;
    line.trim().parse().ok()
}

/// The ids of the jobs of a fixture.
pub(crate) fn job_id(job: usize) -> String {
    format!("{job:08x}-a37c-41b9-bc2b-8c00ba32jb52")
}

/// Two endpoints for each job, each with a comment and a made-up password.
fn plain_text(entries: usize) -> String {
    let mut text = String::from("version: 1\njobs:\n");
    for job in 0..entries.div_ceil(2) {
        let _ = writeln!(text, "  {}:", job_id(job));
        let _ = writeln!(text, "    name: orders-replication-{job}");
        for (endpoint, at) in [("source", 2 * job), ("destination", 2 * job + 1)] {
            if at < entries {
                let _ = writeln!(text, "    {endpoint}:");
                let _ = writeln!(
                    text,
                    "      # rotated with the database account of shard {job}"
                );
                let _ = writeln!(text, "      password: \"made-up/{at:016x}/{at:016x}\"");
            }
        }
    }
    text
}

/// The decrypted text of the manifest.
pub(crate) fn decrypt(folder: &Path) -> Outcome<impl std::ops::Deref<Target = Vec<u8>>> {
    let mut identities = Identities::default();
    identities.add(&fs::read(folder.join("key.txt"))?, "key.txt")?;
    let file = fs::read(folder.join("passwords.yaml.age"))?;
    let means = Means {
        ask: &|_| Err(drspass::age_file::NoPassphrase::Nobody),
        plugins: Plugins::Never,
    };
    Ok(age_file::decrypt(&file, &identities, &means)?)
}

/// What any program must do before it can plan.
pub(crate) fn open(folder: &Path) -> Outcome<Manifest> {
    let plain = decrypt(folder)?;
    manifest::parse(std::str::from_utf8(&plain)?, Sealing::Required)
        .value
        .ok_or_else(|| "the manifest has errors".into())
}
