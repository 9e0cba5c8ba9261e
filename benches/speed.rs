//! Speed and memory, as ratios to a floor measured in the same run:
//! `cargo bench`. Every step runs in a process of its own, so that its peak
//! memory is its own. `DRSPASS_BENCH_ENTRIES` sets the size (100,000 unless set).
#![expect(
    clippy::print_stdout,
    reason = "a benchmark shows its figures on standard output"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark chooses its size and step by environment variables"
)]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use drspass::age_file::{self, Identities};
use drspass::cli::{self, Env};
use drspass::core::manifest::{self, Manifest, Sealing};
use drspass::core::plan::prints_of;
use drspass::core::state::{Lineage, PlanId, Settlement, State};
use drspass::store::{Keys, LockInfo, StateStore};
use jiff::Timestamp;

type Outcome<T> = Result<T, Box<dyn Error>>;

const STEP: &str = "DRSPASS_BENCH_STEP";
const FOLDER: &str = "DRSPASS_BENCH_FOLDER";
const ENTRIES: &str = "DRSPASS_BENCH_ENTRIES";
const ROUNDS: usize = 5;

fn main() -> Outcome<()> {
    match (std::env::var(STEP), std::env::var(FOLDER)) {
        (Ok(step), Ok(folder)) => child(&step, Path::new(&folder)),
        _ => parent(),
    }
}

/// Makes a root folder, runs every step in a child, and prints the figures.
fn parent() -> Outcome<()> {
    let entries: usize = std::env::var(ENTRIES)
        .ok()
        .map_or(Ok(100_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    make_root(folder.path(), entries)?;
    let manifest_bytes = fs::metadata(folder.path().join("plain.yaml"))?.len();
    println!(
        "manifest of {entries} entries: {:.1} MB plain text, {} cores",
        megabytes(manifest_bytes),
        std::thread::available_parallelism()?
    );
    let floor = measure("decrypt+parse", folder.path())?;
    println!(
        "{:<34} {:>7.0} ms {:>7.1} MB",
        "decrypt + parse alone", floor.ms, floor.peak_mb
    );
    for (step, name) in [
        ("plan-nothing-known", "plan, nothing known yet"),
        ("plan-in-sync", "plan, all in sync"),
    ] {
        let figure = measure(step, folder.path())?;
        println!(
            "{name:<34} {:>7.0} ms {:>7.1} MB   {:.2} x the time, {:.1} x the manifest",
            figure.ms,
            figure.peak_mb,
            figure.ms / floor.ms,
            figure.peak_mb / megabytes(manifest_bytes),
        );
    }
    Ok(())
}

struct Figure {
    ms: f64,
    peak_mb: f64,
}

/// The best time of several children, and the largest peak memory.
fn measure(step: &str, folder: &Path) -> Outcome<Figure> {
    let mut best = Figure {
        ms: f64::INFINITY,
        peak_mb: 0.0,
    };
    for _ in 0..ROUNDS {
        let output = Command::new(std::env::current_exe()?)
            .env(STEP, step)
            .env(FOLDER, folder)
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let line = text.lines().last().unwrap_or_default();
        let mut numbers = line.split(' ').map(str::parse::<f64>);
        let (Some(Ok(ms)), Some(Ok(peak_mb))) = (numbers.next(), numbers.next()) else {
            return Err(format!(
                "step {step} failed: {}",
                String::from_utf8_lossy(&output.stderr)
            )
            .into());
        };
        best.ms = best.ms.min(ms);
        best.peak_mb = best.peak_mb.max(peak_mb);
    }
    Ok(best)
}

/// Runs one step and prints its milliseconds and its peak megabytes.
fn child(step: &str, folder: &Path) -> Outcome<()> {
    let start = Instant::now();
    match step {
        "decrypt+parse" => {
            black_box(open(folder)?);
        }
        "plan-nothing-known" => plan(folder, "none.json")?,
        "plan-in-sync" => plan(folder, "full.json")?,
        other => return Err(format!("no step {other}").into()),
    }
    let ms = start.elapsed().as_secs_f64() * 1000.0;
    println!("\n{ms} {}", megabytes(peak_bytes()?));
    Ok(())
}

fn plan(folder: &Path, state: &str) -> Outcome<()> {
    let env = Env::empty().with_var("DRSPASS_IDENTITY", "key.txt");
    let folder = folder.to_string_lossy();
    let args = ["drspass", "-C", &folder, "--state", state, "plan"];
    match cli::run(args, &env) {
        0 => Ok(()),
        code => Err(format!("plan ended with {code}").into()),
    }
}

/// What any program must do before it can plan.
fn open(folder: &Path) -> Outcome<Manifest> {
    let mut identities = Identities::default();
    identities.add(&fs::read(folder.join("key.txt"))?, "key.txt")?;
    let file = fs::read(folder.join("passwords.yaml.age"))?;
    let plain = age_file::decrypt(&file, &identities, &|_| None)?;
    manifest::parse(std::str::from_utf8(&plain)?, Sealing::Required)
        .value
        .ok_or_else(|| "the manifest has errors".into())
}

fn make_root(folder: &Path, entries: usize) -> Outcome<()> {
    let env = Env::empty().with_var("DRSPASS_IDENTITY", "key.txt");
    let here = folder.to_string_lossy().into_owned();
    let run = |args: &[&str]| -> Outcome<()> {
        match cli::run([&["drspass", "-C", &here], args].concat(), &env) {
            0 => Ok(()),
            code => Err(format!("{args:?} ended with {code}").into()),
        }
    };
    let address = "http://127.0.0.1:9";
    run(&[
        "init",
        "-i",
        "key.txt",
        "--project-id",
        "054ba152d480d55b2f5dc0069e7ddef0",
        "--endpoint",
        address,
        "--auth-url",
        "http://127.0.0.1:9/v3",
    ])?;
    fs::write(folder.join("plain.yaml"), plain_text(entries))?;
    run(&["encrypt", "plain.yaml"])?;
    save_full_state(folder)
}

/// Two endpoints for each job, with made-up passwords.
fn plain_text(entries: usize) -> String {
    let mut text = String::from("version: 1\njobs:\n");
    for job in 0..entries.div_ceil(2) {
        let _ = writeln!(text, "  {job:08x}-a37c-41b9-bc2b-8c00ba32jb52:");
        let _ = writeln!(text, "    name: orders-replication-{job}");
        for (endpoint, at) in [("source", 2 * job), ("destination", 2 * job + 1)] {
            if at < entries {
                let _ = writeln!(text, "    {endpoint}:");
                let _ = writeln!(
                    text,
                    "      # rotated with the database account of shard {job}, see the runbook"
                );
                let _ = writeln!(text, "      password: \"made-up/{at:016x}/{at:016x}\"");
            }
        }
    }
    text
}

/// A state in which every entry is in sync.
fn save_full_state(folder: &Path) -> Outcome<()> {
    let manifest = open(folder)?;
    let sealed = manifest
        .sealed
        .as_ref()
        .ok_or("the manifest is not sealed")?;
    let keys = Keys::from(&sealed.fingerprint_key);
    let store = StateStore::local(folder.join("full.json"));
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
    let wanted = manifest.assignments().iter().map(|assignment| {
        (
            assignment.key.clone(),
            prints_of(&prints, assignment, || [7; 16]),
        )
    });
    state.begin(wanted, at, &PlanId::new("bench".to_owned()));
    for assignment in manifest.assignments() {
        state.settle(&assignment.key, &Settlement::Applied, at);
    }
    store.commit(&guard, &keys, &mut state, &version)?;
    Ok(())
}

/// The peak resident memory of this process, in bytes (Linux).
fn peak_bytes() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kilobytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM in /proc/self/status")?
        .trim()
        .trim_end_matches(" kB")
        .parse()?;
    Ok(kilobytes * 1024)
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}
