//! The words of `sim`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `sim`.
#[derive(Debug, Args)]
pub struct Sim {
    /// Listen on this port of the loopback address; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// Jobs, passwords and faults to play
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
}
