//! `apply`.

use std::path::Path;

use super::{unlock, warn, written};
use crate::api::auth::{Credentials, Session};
use crate::api::client::{Ambient, Client, Options};
use crate::cli::args::Apply;
use crate::cli::env;
use crate::cli::exit;
use crate::cli::render;
use crate::cli::run::Context;
use crate::core::problem::Problem;
use crate::core::report::{Event, PlanReport};
use crate::core::secret::Secret;
use crate::core::target::Target;
use crate::files;
use crate::ops::OpError;
use crate::ops::apply::{self as ops_apply, Done, Surroundings};
use crate::ops::plan::Addresses;
use crate::ops::root::{CONFIG_FILE, Guards, Root};
use crate::view::json::v1;
use crate::view::terminal;

/// A bundle of certificate authorities is a few hundred kilobytes.
const MAX_CA_BYTES: u64 = 8 << 20;

pub(in crate::cli) fn run(context: &Context<'_>, args: Apply) -> Result<u8, OpError> {
    let json = args.json;
    let ended = apply(context, args);
    if let Err(error) = &ended
        && json
    {
        let line = v1::apply_error(&render::error_out(error), exit::for_error(error));
        context.shell.result(&line);
    }
    ended
}

fn apply(context: &Context<'_>, args: Apply) -> Result<u8, OpError> {
    let root = context.root()?;
    warn(context, Path::new(CONFIG_FILE), &root.warnings);
    if !args.auto_approve && !env::can_ask() {
        return Err(OpError::NotApproved {
            why: "there is no terminal to ask on",
            help: "Nothing was sent. Give --auto-approve where approval was given elsewhere.",
        });
    }
    let guards = Guards {
        allow_rollback: args.scope.allow_rollback,
        accept_new_key: args.accept_new_key,
        override_limits: args.override_limits,
        ..context.guards()
    };
    let addresses = Addresses {
        only: args.scope.only,
        resend: args.scope.resend,
    };
    let shell = context.shell;
    let connect = |target: &Target| connect(context, &root, target);
    let mut progress = |event: Event| shell.progress(&event);
    let show = |report: &PlanReport| {
        shell.result(&if args.json {
            v1::apply_head(report)
        } else {
            terminal::plan(report, shell.result)
        });
    };
    let mut surroundings = Surroundings {
        show: &show,
        now: env::now,
        salt: env::salt,
        unique: env::unique,
        elsewhere: std::env::temp_dir(),
        hang_up: env::hang_up(),
        lock: env::lock_info("apply"),
        connect: &connect,
        progress: &mut progress,
    };
    let mut approve = |report: &PlanReport, warnings: &[Problem]| {
        warn(context, root.manifest_name(), warnings);
        show(report);
        if args.auto_approve || report.requests == 0 {
            return Ok(());
        }
        super::ask(context, "Send this?")
    };
    let done = ops_apply::apply(
        &root,
        &unlock(context),
        &guards,
        &addresses,
        &mut surroundings,
        &mut approve,
    )?;
    Ok(match done {
        Done::NothingToDo => {
            let arrived = !args.json || shell.result(&v1::nothing_to_do());
            written(arrived, exit::DONE)
        }
        Done::Ran(report) => {
            let code = exit::for_apply(&report);
            let text = if args.json {
                v1::apply(&report, code)
            } else {
                terminal::apply(&report, shell.result)
            };
            // What happened at the service outranks what became of this text.
            if !shell.result(&text) {
                // The last line is the truth, so it is told somewhere.
                shell.message(&text);
            }
            code
        }
    })
}

/// Prepares the client; nothing is sent. The token is the only login so far.
fn connect(context: &Context<'_>, root: &Root, target: &Target) -> Result<Client, OpError> {
    let token = ["OS_TOKEN", "OS_AUTH_TOKEN"]
        .into_iter()
        .find_map(|name| context.env.var(name))
        .ok_or_else(|| OpError::Unfit {
            what: "there is no login: neither OS_TOKEN nor OS_AUTH_TOKEN is set".to_owned(),
            help: "Nothing was sent. Set one of them to a token of the sealed project.",
        })?;
    let session = Session::open(Credentials::Token(Secret::new(token)))?;
    let ca_file = match &context.ca_file {
        Some(path) => Some(
            files::read_limited(&root.resolve(path), MAX_CA_BYTES).map_err(|source| {
                OpError::Read {
                    path: path.clone(),
                    source,
                }
            })?,
        ),
        None => None,
    };
    let apply = &root.config.apply;
    let options = Options {
        request_timeout: apply.request_timeout,
        retry_max_elapsed: apply.retry_max_elapsed,
        ca_file,
        ..Options::new(
            target.scope.endpoint.clone(),
            target.scope.project_id.clone(),
        )
    };
    let ambient = Ambient {
        now: env::now,
        random: || u64::from_ne_bytes(env::random()),
    };
    Ok(Client::new(options, session, ambient)?)
}
