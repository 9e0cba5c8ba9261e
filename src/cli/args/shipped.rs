//! The words of the commands that write what comes with the program.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Write drspass.1 and a page of each command to this folder, which must exist
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// The format, such as plan-output; without it, all names are listed
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(SCHEMAS.map(|(name, _)| name)), hide_possible_values = true)]
    pub name: Option<String>,
}

/// Arguments of `help`.
#[derive(Debug, Args)]
pub struct Help {
    /// The command, with the one below it; or global, for the options of every command
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// A schema with its name.
macro_rules! shipped {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../../schemas/", $name, ".schema.json")),
        )
    };
}

/// Every schema of `schemas/` by the name of its format.
pub const SCHEMAS: [(&str, &str); 15] = [
    shipped!("apply-output"),
    shipped!("config"),
    shipped!("gitlab-report"),
    shipped!("jobs-output"),
    shipped!("journal"),
    shipped!("lock-output"),
    shipped!("manifest"),
    shipped!("plan"),
    shipped!("plan-output"),
    shipped!("recipients-output"),
    shipped!("show-output"),
    shipped!("state"),
    shipped!("state-output"),
    shipped!("validate-output"),
    shipped!("whoami-output"),
];
