//! `recipients` and `rekey`.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::env;
use crate::cli::exit;
use crate::cli::prompt;
use crate::core::problem::Problem;
use crate::core::report::RekeyPlan;
use crate::ops::OpError;
use crate::ops::inspect;
use crate::ops::rekey::{self, RekeyOptions};
use crate::view::json_v1;
use crate::view::recipients as view;

#[derive(Debug, Args)]
pub struct RecipientsArgs {
    /// Show only what is known without a key, and use no identity
    #[arg(long, conflicts_with = "identity")]
    pub no_identity: bool,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RekeyArgs {
    /// Do not ask for approval
    #[arg(long)]
    pub yes: bool,
    /// Create a new fingerprint key even if no recipient is removed
    #[arg(long)]
    pub new_key: bool,
    /// Continue even if none of your identities can read the new file
    #[arg(long)]
    pub allow_lockout: bool,
}

pub fn recipients(context: &Context<'_>, args: &RecipientsArgs) -> Result<u8, OpError> {
    let root = context.root_with_warnings()?;
    let unlock = context.unlock();
    let unlock = Some(&unlock).filter(|_| !args.no_identity);
    let report = inspect::recipients(&root, unlock, &context.rules())?;
    Ok(context.show(
        args.json,
        || json_v1::recipients(&report),
        || view::recipients(&report),
    ))
}

pub fn rekey(context: &Context<'_>, args: &RekeyArgs) -> Result<u8, OpError> {
    let root = context.root_with_warnings()?;
    let unlock = context.unlock();
    let options = RekeyOptions {
        new_key: args.new_key,
        allow_lockout: args.allow_lockout,
    };
    let mut approve = |plan: &RekeyPlan, warnings: &[Problem]| {
        context.warn(root.manifest_name(), warnings);
        context.shell.message(&view::rekey_plan(plan));
        if args.yes {
            return Ok(());
        }
        prompt::ask("Change the manifest like this?", "Nothing was changed.")
    };
    let done = rekey::rekey(
        &root,
        &unlock,
        &context.rules(),
        &env::runtime(),
        options,
        &mut approve,
    )?;
    let arrived = match done {
        None => context
            .shell
            .result("finished the interrupted rekey; nothing else to do\n"),
        Some(done) => {
            let arrived = context.shell.result(&view::rekeyed(&done));
            context.shell.message(&view::after_rekey(&done));
            arrived
        }
    };
    Ok(context.changed(arrived, exit::DONE))
}
