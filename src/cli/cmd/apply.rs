//! `apply`.

use std::path::Path;

use super::{service, unlock, warn, written};
use crate::cli::args::Apply;
use crate::cli::env;
use crate::cli::exit;
use crate::cli::login;
use crate::cli::render;
use crate::cli::run::Context;
use crate::core::problem::Problem;
use crate::core::report::{Event, PlanReport};
use crate::ops::OpError;
use crate::ops::apply::{self as ops_apply, AfterCare, Done, Surroundings, Wishes};
use crate::ops::plan::Addresses;
use crate::ops::root::{CONFIG_FILE, Guards, Opened};
use crate::view::json::v1;
use crate::view::terminal;

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
    login::check_project(context.env, &root.config.target.project_id)?;
    let wishes = Wishes {
        addresses: Addresses {
            only: args.scope.only,
            resend: args.scope.resend,
        },
        preflight: (!args.no_preflight).then(|| args.states.unknown()),
        stop_if_blocked: args.stop_if_blocked,
        aftercare: args.retry_jobs.then_some(AfterCare {
            resume_paused: args.resume_paused,
            at_most: root.config.apply.retry_max_elapsed,
        }),
    };
    let shell = context.shell;
    let connect = |opened: &Opened| {
        let connected = service::connect(context, &root, opened, &args.login)?;
        tracing::info!(source = connected.source, "login");
        Ok(connected.client)
    };
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
        let question = match (report.requests, args.retry_jobs) {
            (0, false) => return Ok(()),
            (0, true) => "Retry the failed jobs among those in sync?",
            (_, false) => "Send this?",
            (_, true) => "Send this, and retry the failed jobs among those in sync?",
        };
        if args.auto_approve {
            return Ok(());
        }
        super::ask(context, question)
    };
    let done = ops_apply::apply(
        &root,
        &unlock(context),
        &guards,
        &wishes,
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
