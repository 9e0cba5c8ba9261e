//! `plan`.

use std::path::Path;

use super::{unlock, warn, written};
use crate::cli::args::Plan;
use crate::cli::exit;
use crate::cli::run::Context;
use crate::ops::OpError;
use crate::ops::plan::{self, Addresses};
use crate::ops::root::{CONFIG_FILE, Guards};
use crate::view::json::v1;
use crate::view::{diff, terminal};

pub(in crate::cli) fn run(context: &Context<'_>, args: Plan) -> Result<u8, OpError> {
    let root = context.root()?;
    warn(context, Path::new(CONFIG_FILE), &root.warnings);
    let guards = Guards {
        allow_rollback: args.scope.allow_rollback,
        ..context.guards()
    };
    let addresses = Addresses {
        only: args.scope.only,
        resend: args.scope.resend,
    };
    let (report, warnings) = plan::plan(&root, &unlock(context), &guards, &addresses)?;
    warn(context, root.manifest_name(), &warnings);
    let has_changes = report.has_changes();
    let text = if args.json {
        v1::plan(&report)
    } else if args.diff {
        let counts = terminal::plan(&report, context.shell.result);
        format!("{counts}{}", diff::plan(&report))
    } else {
        terminal::plan(&report, context.shell.result)
    };
    let arrived = context.shell.result(&text);
    let code = if args.detailed_exitcode && has_changes {
        exit::CHANGES
    } else {
        exit::DONE
    };
    Ok(written(arrived, code))
}
