//! The steps that run in a process of their own.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use drspass::cli::{self, Env};

use crate::fixture::{decrypt, open};
use crate::{Outcome, megabytes};

const STEP: &str = "DRSPASS_BENCH_STEP";
const FOLDER: &str = "DRSPASS_BENCH_FOLDER";

/// This program again, for one step in one folder.
pub(crate) fn command(step: &str, folder: &Path) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(STEP, step).env(FOLDER, folder);
    Ok(command)
}

/// The step and folder that this process was started for.
pub(crate) fn asked_for() -> Option<(String, PathBuf)> {
    let step = std::env::var(STEP).ok()?;
    let folder = std::env::var_os(FOLDER)?;
    Some((step, folder.into()))
}

/// Runs one step; its last line tells milliseconds and peak megabytes.
pub(crate) fn run(step: &str, folder: &Path) -> Outcome<()> {
    let start = Instant::now();
    match step {
        "decrypt+events" => events(folder)?,
        "decrypt+parse" => {
            black_box(open(folder)?);
        }
        words => command_line(words, folder)?,
    }
    let ms = start.elapsed().as_secs_f64() * 1000.0;
    println!("\n{ms} {}", megabytes(peak_bytes()?));
    Ok(())
}

/// Decrypts, and lets the YAML parser run over the text without keeping anything.
fn events(folder: &Path) -> Outcome<()> {
    let plain = decrypt(folder)?;
    let parser = granit_parser::Parser::new_from_str(std::str::from_utf8(&plain)?);
    for event in parser {
        black_box(event?);
    }
    Ok(())
}

/// Runs a command of the program; `MANY` stands for the addresses of two thousand entries,
/// or of all there are in the smallest fixtures.
fn command_line(words: &str, folder: &Path) -> Outcome<()> {
    let env = Env::default().with_var("DRSPASS_IDENTITY", "key.txt");
    let mut args = vec!["drspass".to_owned(), "-C".to_owned()];
    args.push(folder.to_string_lossy().into_owned());
    for word in words.split(' ') {
        match word {
            "MANY" => args.extend(
                open(folder)?
                    .jobs()
                    .iter()
                    .take(1_000)
                    .map(|job| job.id.to_string()),
            ),
            word => args.push(word.to_owned()),
        }
    }
    match cli::run(args, &env) {
        0 => Ok(()),
        code => Err(format!("{words} ended with {code}").into()),
    }
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
