//! The words of the commands that only ask the service, and those of the login.

use std::path::PathBuf;

use clap::Args;

/// Where the login comes from, before variables and clouds.yaml.
#[derive(Debug, Default, Args)]
pub struct Login {
    /// Log in with this entry of clouds.yaml, whatever variables say
    #[arg(long, value_name = "NAME")]
    pub cloud: Option<String>,
    /// Log in with the token in this file; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "cloud")]
    pub token_file: Option<PathBuf>,
}

/// Arguments of `whoami`.
#[derive(Debug, Args)]
pub struct Whoami {
    /// Write one JSON document instead of text
    #[arg(long)]
    pub json: bool,
    /// The login.
    #[command(flatten)]
    pub login: Login,
}

/// Arguments of `jobs`.
#[derive(Debug, Args)]
pub struct Jobs {
    /// Write one JSON document instead of text
    #[arg(long)]
    pub json: bool,
    /// The login.
    #[command(flatten)]
    pub login: Login,
}
