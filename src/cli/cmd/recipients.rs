//! `recipients` and `rekey`.

use std::path::Path;

use super::{ask, stands, unlock, warn, written};
use crate::cli::args::{Recipients, Rekey};
use crate::cli::context::Context;
use crate::cli::env;
use crate::cli::exit;
use crate::ops::OpError;
use crate::ops::recipients;
use crate::ops::rekey::{self, Done, RekeyContext, Wishes};
use crate::ops::root::CONFIG_FILE;
use crate::view::json::v1;
use crate::view::recipients as view;

pub(in crate::cli) fn recipients(context: &Context<'_>, args: &Recipients) -> Result<u8, OpError> {
    let root = context.root()?;
    warn(context, Path::new(CONFIG_FILE), &root.warnings);
    let unlock = unlock(context);
    let unlock = Some(&unlock).filter(|_| !args.no_identity);
    let report = recipients::recipients(&root, unlock, &context.guards())?;
    let arrived = if args.json {
        context.shell.document(v1::recipients(&report))
    } else {
        context.shell.result(&view::recipients(&report))
    };
    Ok(written(arrived, exit::DONE))
}

pub(in crate::cli) fn rekey(context: &Context<'_>, args: &Rekey) -> Result<u8, OpError> {
    let root = context.root()?;
    warn(context, Path::new(CONFIG_FILE), &root.warnings);
    let unlock = unlock(context);
    let rekey_context = RekeyContext {
        root: &root,
        unlock: &unlock,
        guards: &context.guards(),
        lock: env::lock_info("rekey"),
        salt: env::salt,
        unique: env::unique,
        new_key: env::random::<32>,
    };
    let wishes = Wishes {
        new_key: args.new_key,
        allow_lockout: args.allow_lockout,
    };
    let done = rekey::rekey(&rekey_context, wishes, &mut |plan, warnings| {
        warn(context, root.manifest_name(), warnings);
        context.shell.message(&view::rekey_plan(plan));
        if args.yes {
            return Ok(());
        }
        ask("Do this?", "Nothing was changed.")
    })?;
    let arrived = match done {
        Done::Finished => context
            .shell
            .result("finished the rekey that was cut off; nothing else is to be done\n"),
        Done::Rekeyed(done) => {
            let arrived = context.shell.result(&view::rekeyed(&done));
            context.shell.message(&view::after_rekey(&done));
            arrived
        }
    };
    Ok(stands(context, arrived, exit::DONE))
}
