//! The words of the commands that make, check and show manifests.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `encrypt`.
#[derive(Debug, Args)]
pub struct Encrypt {
    /// The plaintext manifest; - reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write here instead of to the configured manifest
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,
}

/// Arguments of `decrypt`.
#[derive(Debug, Args)]
pub struct Decrypt {
    /// An encrypted file in place of the manifest, such as an edit that was kept; -
    /// reads standard input
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Write to this new file, readable by you alone; - is standard output
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,
}

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// Only check that the manifest is encrypted; needs no key
    #[arg(long)]
    pub require_encrypted: bool,
    /// Write one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct Show {
    /// A saved plan; needs no key, so nothing is proved
    #[arg(value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// Write one JSON document instead of text
    #[arg(long)]
    pub json: bool,
    /// For git, which runs it to compare manifests ('drspass init --git' sets that
    /// up): this file, encrypted, without any value. A tag for each value shows only
    /// that it changed. It asks nothing, and what cannot be shown is one line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["plan", "json"], allow_hyphen_values = true)]
    pub textconv: Option<PathBuf>,
}
