//! Global options, headings of options, and parsers of option values.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::authoring::value::{MAX_LENGTH, MIN_LENGTH};
use crate::core::fingerprint::KeyId;
use crate::core::fingerprint::{ChangeId, is_digest};

pub const ENTRIES: &str = "What to send";
pub const APPROVAL: &str = "Approval and limits";
pub const JOBS: &str = "Jobs";
pub const OUTPUT: &str = "Output";

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalOptions {
    /// Work in this root directory instead of the current directory
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,
    /// Use this state, a file or git:REMOTE/BRANCH, instead of the one in drspass.yaml
    /// [env: DRSPASS_STATE]
    #[arg(long, value_name = "PLACE", global = true)]
    pub state: Option<PathBuf>,
    /// Decrypt with this age or ssh identity file (repeatable)
    /// [env: DRSPASS_IDENTITY, DRSPASS_IDENTITY_KEY]
    #[arg(short, long = "identity", value_name = "FILE", global = true)]
    pub identity: Vec<PathBuf>,
    /// Also trust the certificate authorities in this PEM file
    #[arg(long, value_name = "FILE", global = true)]
    pub ca_file: Option<PathBuf>,
    /// Trust this host although it belongs to no known cloud (repeatable)
    /// [env: DRSPASS_TRUSTED_HOSTS]
    #[arg(long, value_name = "HOST", global = true)]
    pub trust_host: Vec<String>,
    /// Accept only a manifest with this key id [env: DRSPASS_EXPECT_KEY_ID]
    #[arg(long, value_name = "ID", global = true)]
    pub expect_key_id: Option<String>,
    /// Log more; -vv and -vvv log even more
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// When to use colour: auto (on a terminal, unless NO_COLOR is set), always, never
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: ColorWhen,
    /// Print help
    #[arg(short, long, action = clap::ArgAction::Help, global = true)]
    pub help: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    #[default]
    Auto,
    Always,
    Never,
}

const ID: &str = "64 lower-case hexadecimal digits";
const KEY_ID: &str = "32 lower-case hexadecimal digits";
const LIFE: &str = "a whole number with s, m, h or d, at most 30d";
const AGE: &str = "a whole number of days, such as 90d";
const LENGTH: &str = "a whole number from 8 to 128";

/// Expected forms of values. They contain nothing of a refused value, so they may be shown.
pub const REASONS: [&str; 5] = [ID, KEY_ID, LIFE, AGE, LENGTH];

pub fn plan_id(text: &str) -> Result<String, &'static str> {
    is_digest(text).then(|| text.to_owned()).ok_or(ID)
}

pub fn change_id(text: &str) -> Result<ChangeId, &'static str> {
    ChangeId::parse(text).ok_or(ID)
}

pub fn key_id(text: &str) -> Result<KeyId, &'static str> {
    KeyId::parse(text).ok_or(KEY_ID)
}

const DAY: u64 = 24 * 60 * 60;

fn seconds(text: &str) -> Option<u64> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => DAY,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

pub fn life(text: &str) -> Result<Duration, &'static str> {
    match seconds(text) {
        Some(seconds) if (1..=30 * DAY).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(LIFE),
    }
}

/// Returns a number of days.
pub fn age(text: &str) -> Result<u32, &'static str> {
    let whole = seconds(text).filter(|seconds| seconds % DAY == 0);
    let days = whole.and_then(|seconds| u32::try_from(seconds / DAY).ok());
    days.filter(|days| *days > 0).ok_or(AGE)
}

pub fn length(text: &str) -> Result<usize, &'static str> {
    text.parse()
        .ok()
        .filter(|length| (MIN_LENGTH..=MAX_LENGTH).contains(length))
        .ok_or(LENGTH)
}
