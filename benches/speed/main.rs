//! Speed and memory, as ratios to floors measured in the same run: `cargo bench`.
//!
//! Every step runs in a process of its own, so that its time and peak memory are
//! its own; the best of several is taken. `DRSPASS_BENCH_ENTRIES` sets the size of
//! the largest manifest (100,000 unless set), `DRSPASS_BENCH_ROUNDS` how many
//! times each step runs.
#![expect(
    clippy::print_stdout,
    reason = "a benchmark shows its figures on standard output"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark chooses its size and step by environment variables"
)]

mod fixture;
mod steps;

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use drspass::sim::{CannedAnswer, Fault, FaultKind, JobSpec, SimConfig, Simulator};

use fixture::{Changed, Fixture};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long the simulated service takes for a request.
const LATENCY: Duration = Duration::from_millis(50);
const BATCH_SIZE: usize = 10;
const PARALLELISM: usize = 4;

fn main() -> Outcome<()> {
    match steps::asked_for() {
        Some((step, folder)) => steps::run(&step, &folder),
        None => report(),
    }
}

fn setting(name: &str, default: usize) -> Outcome<usize> {
    Ok(std::env::var(name).map_or(Ok(default), |text| text.parse())?)
}

fn report() -> Outcome<()> {
    let largest = setting("DRSPASS_BENCH_ENTRIES", 100_000)?;
    let rounds = setting("DRSPASS_BENCH_ROUNDS", 5)?;
    println!(
        "{} cores; the best of {rounds} runs of each step, every run a process of its own",
        std::thread::available_parallelism()?
    );
    start_up(rounds)?;
    for entries in [20, 1_000, 10_000, 100_000] {
        if entries <= largest {
            plans(entries, rounds)?;
            ledger(entries, rounds)?;
        }
    }
    for entries in [1_000, 10_000] {
        if entries <= largest {
            for asking in [Asking::Nothing, Asking::List, Asking::States] {
                applies(entries, asking)?;
            }
        }
    }
    Ok(())
}

/// The whole program from start to end, against a process that does nothing.
fn start_up(rounds: usize) -> Outcome<()> {
    let floor = fastest(rounds, || Command::new("true"))?;
    let version = fastest(rounds, || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drspass"));
        command.arg("--version");
        command
    })?;
    println!("\nstart-up");
    println!("  a process that does nothing        {:>8.2} ms", ms(floor));
    println!(
        "  drspass --version                  {:>8.2} ms",
        ms(version)
    );
    Ok(())
}

fn fastest(rounds: usize, command: impl Fn() -> Command) -> Outcome<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..rounds.max(3) * 4 {
        let start = Instant::now();
        let status = command().stdout(Stdio::null()).status()?;
        best = best.min(start.elapsed());
        if !status.success() {
            return Err("a program could not be started".into());
        }
    }
    Ok(best)
}

fn plans(entries: usize, rounds: usize) -> Outcome<()> {
    let fixture = Fixture::new(entries, "http://127.0.0.1:9")?;
    println!(
        "\nplan of {entries} entries, manifest {:.2} MB",
        megabytes(fixture.manifest_bytes)
    );
    let bare = measure("decrypt+events", fixture.folder(), rounds)?;
    show("decrypt + YAML events alone", &bare, None, &fixture);
    let floor = measure("decrypt+parse", fixture.folder(), rounds)?;
    show("decrypt + parse of the manifest", &floor, None, &fixture);
    for (changed, name) in [
        (Changed::Nothing, "plan, all in sync"),
        (Changed::Ten, "plan, 10 changed"),
        (Changed::Everything, "plan, all changed"),
    ] {
        fixture.save_state(changed)?;
        let figure = measure("plan", fixture.folder(), rounds)?;
        show(name, &figure, Some(&floor), &fixture);
    }
    Ok(())
}

/// The commands that look into the state or change it, each on the same state.
fn ledger(entries: usize, rounds: usize) -> Outcome<()> {
    let fixture = Fixture::new(entries, "http://127.0.0.1:9")?;
    println!("\nthe state of {entries} entries");
    fixture.save_state(Changed::Nothing)?;
    let floor = measure("plan", fixture.folder(), rounds)?;
    show("plan, all in sync", &floor, None, &fixture);
    for words in [
        "state list",
        "state show *",
        "state rm MANY",
        "state adopt --yes *",
        "state distrust",
    ] {
        let mut best: Option<Figure> = None;
        for _ in 0..rounds {
            fixture.save_state(Changed::Nothing)?;
            let figure = measure(words, fixture.folder(), 1)?;
            if best.as_ref().is_none_or(|best| figure.ms < best.ms) {
                best = Some(figure);
            }
        }
        let best = best.ok_or("no round")?;
        println!(
            "  {words:<34} {:>8.2} ms {:>7.1} MB   {:>5.2} x the plan",
            best.ms,
            best.peak_mb,
            best.ms / floor.ms
        );
    }
    Ok(())
}

struct Figure {
    ms: f64,
    peak_mb: f64,
}

fn show(name: &str, figure: &Figure, floor: Option<&Figure>, fixture: &Fixture) {
    let memory = figure.peak_mb / megabytes(fixture.manifest_bytes);
    print!(
        "  {name:<34} {:>8.2} ms {:>7.1} MB",
        figure.ms, figure.peak_mb
    );
    match floor {
        Some(floor) => println!(
            "   {:>5.2} x decrypt + parse, {memory:.1} x the manifest",
            figure.ms / floor.ms
        ),
        None => println!(),
    }
}

/// The best time of several children, and the largest peak memory.
fn measure(step: &str, folder: &Path, rounds: usize) -> Outcome<Figure> {
    let mut best = Figure {
        ms: f64::INFINITY,
        peak_mb: 0.0,
    };
    for _ in 0..rounds {
        let output = steps::command(step, folder)?.output()?;
        let text = String::from_utf8(output.stdout)?;
        let line = text.lines().last().unwrap_or_default();
        let mut numbers = line.split(' ').map(str::parse::<f64>);
        let (Some(Ok(ms)), Some(Ok(peak_mb))) = (numbers.next(), numbers.next()) else {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("step {step} failed: {said}").into());
        };
        best.ms = best.ms.min(ms);
        best.peak_mb = best.peak_mb.max(peak_mb);
    }
    Ok(best)
}

/// How the states of jobs are asked for before an apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    Nothing,
    /// The list finds the jobs by their ids.
    List,
    /// It does not.
    States,
}

/// An apply of everything by the real program, against the time that its requests
/// need at the least.
fn applies(entries: usize, asking: Asking) -> Outcome<()> {
    let jobs = (0..entries.div_ceil(2)).map(|job| JobSpec::new(fixture::job_id(job)));
    let sim = Simulator::start(SimConfig {
        jobs: jobs.collect(),
        latency: LATENCY,
        ..SimConfig::default()
    })?;
    let millis = LATENCY.as_millis().try_into()?;
    sim.inject_query(None, Fault::always(FaultKind::Slow { millis }));
    if asking == Asking::States {
        let empty = CannedAnswer {
            http: 200,
            body: Some("{\"total_record\":0,\"jobs\":[]}".to_owned()),
            ..CannedAnswer::default()
        };
        sim.inject_query(Some("list"), Fault::always(FaultKind::Status(empty)));
    }
    let fixture = Fixture::new(entries, &sim.url())?;
    let requests = entries.div_ceil(BATCH_SIZE);
    let floor = LATENCY * u32::try_from(requests.div_ceil(PARALLELISM))?;
    let start = Instant::now();
    let more: &[&str] = match asking {
        Asking::Nothing => &["--no-preflight"],
        _ => &[],
    };
    let (status, written) = fixture.apply(sim.token(), more)?;
    let taken = start.elapsed();
    let state_bytes = fixture.state_bytes()?;
    let sent = sim
        .requests()
        .iter()
        .filter(|request| request.method() == "PUT")
        .count();
    if !status.success() || sent != requests {
        return Err(format!("the apply ended with {status} after {sent} requests").into());
    }
    println!(
        "\napply of {entries} entries in {requests} requests of 50 ms, {PARALLELISM} at a time; \
         states: {asking:?}, {} questions",
        sim.requests().len() - sent
    );
    println!(
        "  taken {:.2} s, the requests alone {:.2} s: {:.3} x",
        taken.as_secs_f64(),
        floor.as_secs_f64(),
        taken.as_secs_f64() / floor.as_secs_f64()
    );
    // The requests themselves are written to sockets and counted as well.
    let budget = 3 * state_bytes + 1024 * entries as u64;
    println!(
        "  written {:.2} MB (requests included), the final state {:.2} MB: {:.2} x of \
         three states and 1 KB an entry",
        megabytes(written),
        megabytes(state_bytes),
        written as f64 / budget as f64
    );
    Ok(())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}
