//! `rotation`.

use clap::Args;

use crate::cli::args::age;
use crate::cli::context::Context;
use crate::cli::env;
use crate::cli::exit;
use crate::ops::OpError;
use crate::ops::ledger;
use crate::view::{json_v1, listing};

#[derive(Debug, Args)]
#[command(after_help = "\
A date says since when DRS has the password, not when the database changed it.
It is unknown (?) if the password was never set, if it was adopted, or if the
outcome of a change is unknown.")]
pub struct RotationArgs {
    /// List only passwords that are set for longer, such as 90d, or of unknown age;
    /// exit with code 7 if there are any
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub max_age: Option<u32>,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

pub fn run(context: &Context<'_>, args: &RotationArgs) -> Result<u8, OpError> {
    let root = context.root()?;
    let report = ledger::rotation(
        &root,
        &context.unlock(),
        &context.rules(),
        env::now(),
        args.max_age,
    )?;
    let code = context.show(
        args.json,
        || json_v1::rotation(&report),
        || listing::rotation(&report),
    );
    Ok(match code {
        exit::DONE if report.is_due() => exit::NOT_APPROVED,
        code => code,
    })
}
