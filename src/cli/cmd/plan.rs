//! `plan`.

use std::path::Path;

use super::{service, unlock, warn, written};
use crate::cli::args::Plan;
use crate::cli::env;
use crate::cli::exit;
use crate::cli::login;
use crate::cli::run::Context;
use crate::ops::OpError;
use crate::ops::plan::{self, Addresses, AskStates};
use crate::ops::root::{CONFIG_FILE, Guards, Opened};
use crate::view::json::v1;
use crate::view::{diff, terminal};

pub(in crate::cli) fn run(context: &Context<'_>, args: Plan) -> Result<u8, OpError> {
    let root = context.root()?;
    warn(context, Path::new(CONFIG_FILE), &root.warnings);
    let guards = Guards {
        allow_rollback: args.scope.allow_rollback,
        ..context.guards()
    };
    login::check_project(context.env, &root.config.target.project_id)?;
    let addresses = Addresses {
        only: args.scope.only,
        resend: args.scope.resend,
    };
    let connect = |opened: &Opened| {
        let connected = service::connect(context, &root, opened, &args.login)?;
        let source = connected.source;
        context.shell.message(&format!("login: {source}\n"));
        Ok(connected.client)
    };
    let ask = args.preflight.then_some(AskStates {
        connect: &connect,
        hang_up: env::hang_up(),
        unknown: args.states.unknown(),
    });
    let (report, warnings) = plan::plan(&root, &unlock(context), &guards, &addresses, ask)?;
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
