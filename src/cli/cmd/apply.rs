//! `apply`.

use std::cell::RefCell;
use std::path::Path;

use super::{service, unlock, warn, written};
use crate::cli::args::Apply;
use crate::cli::context::Context;
use crate::cli::env;
use crate::cli::exit;
use crate::cli::login;
use crate::cli::outputs::{Outputs, Wanted, random_word};
use crate::cli::render;
use crate::cli::shell::Shell;
use crate::core::problem::Problem;
use crate::core::report::{ApplyReport, Event, PlanReport};
use crate::ops::OpError;
use crate::ops::apply::{self as ops_apply, ApplyContext, ApplyOptions, RetryJobsOptions};
use crate::ops::plan::Addresses;
use crate::ops::root::{CONFIG_FILE, Guards, Opened, Root};
use crate::ops::saved::ToApply;
use crate::view::json::v1;
use crate::view::{ci, markdown, terminal};

pub(in crate::cli) fn run(context: &Context<'_>, args: Apply) -> Result<u8, OpError> {
    let json = args.json;
    let printed = args.markdown.as_deref() == Some(Path::new("-"));
    if printed && (json || args.github) {
        return Ok(super::conflict(
            context,
            "--markdown - with --json or --github",
        ));
    }
    let code = if args.plan.is_some() {
        exit::for_saved_plan
    } else {
        exit::for_error
    };
    let wanted = Wanted {
        command: "apply",
        markdown: args.markdown.as_deref(),
        github: args.github,
        gitlab: None,
        out: None,
    };
    let root = context.root();
    let opened = Outputs::open(context, root.as_ref().ok(), wanted);
    let (ended, outputs) = match opened {
        Ok(outputs) => {
            let ended = root.and_then(|root| apply(context, args, &root, &outputs));
            (ended, Some(outputs))
        }
        Err(error) => (Err(error), None),
    };
    ended.or_else(|error| {
        if let Some(outputs) = outputs {
            outputs.failed(&error, code(&error));
        }
        if json {
            let line = v1::apply_error(&render::error_out(&error), code(&error));
            context.shell.document(line);
        }
        context
            .shell
            .message(&render::error(&error, context.shell.messages));
        Ok(code(&error))
    })
}

fn apply(
    context: &Context<'_>,
    args: Apply,
    root: &Root,
    outputs: &Outputs,
) -> Result<u8, OpError> {
    warn(context, Path::new(CONFIG_FILE), &root.warnings);
    let has_plan = args.plan.is_some();
    let guards = Guards {
        allow_rollback: args.scope.allow_rollback,
        accept_new_key: args.accept_new_key,
        override_limits: args.override_limits,
        ..context.guards()
    };
    login::check_project(context.env, &root.config.target.project_id)?;
    let saved = args.plan.as_deref();
    let expected = args.expect_plan_id.as_deref();
    let options = ApplyOptions {
        saved: saved
            .map(|path| ToApply::read(root, path, expected))
            .transpose()?,
        expect_change: args.expect_change,
        addresses: Addresses {
            only: args.scope.only,
            resend: args.scope.resend,
        },
        preflight: (!args.no_preflight).then(|| args.states.unknown()),
        stop_if_blocked: args.stop_if_blocked,
        retry_jobs: args.retry_jobs.then_some(RetryJobsOptions {
            resume_paused: args.resume_paused,
            at_most: root.config.apply.retry_max_elapsed,
        }),
    };
    let shell = context.shell;
    let connect = |opened: &Opened| {
        let connected = service::connect(context, root, opened, &args.login)?;
        tracing::info!(source = connected.source, "login");
        Ok(connected.client)
    };
    let mut progress = |event: Event| shell.progress(&event);
    let name = RefCell::new(None);
    let show = |report: &PlanReport| {
        name.replace(Some(report.name()));
        show_plan(shell, args.json, outputs, report);
    };
    let mut surroundings = ApplyContext {
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
        // Whoever made and kept the plan decided; a plan is not asked about twice.
        if (report.requests == 0 && !args.retry_jobs) || args.auto_approve || has_plan {
            return Ok(());
        }
        let passwords = terminal::counted(report.counts.sent(), "password", "passwords");
        let place = terminal::place(&report.scope);
        let question = match (report.requests, args.retry_jobs) {
            (0, _) => format!("Retry the failed jobs of {place} that are in sync?"),
            (_, false) => format!("Send {passwords} to {place}?"),
            (_, true) => format!("Send {passwords} to {place}, and retry its failed jobs?"),
        };
        super::ask(&question, "Nothing was sent.")
    };
    let done = ops_apply::apply(
        root,
        &unlock(context),
        &guards,
        &options,
        &mut surroundings,
        &mut approve,
    );
    let name = name.take();
    let (report, has_run, code) = match done? {
        None => (ApplyReport::nothing(), false, exit::DONE),
        Some(report) => {
            let code = exit::for_apply(&report);
            (report, true, code)
        }
    };
    let told = outputs.applied(name.as_ref(), &report, code);
    super::end_on_signal(code);
    if let Err(error) = &told {
        shell.message(&render::error(error, shell.messages));
    }
    let text = terminal::apply(&report, shell.result);
    let arrived = if args.json {
        shell.document(v1::apply(&report, code))
    } else if outputs.prints_markdown {
        shell.document(markdown::apply(&outputs.place, name.as_ref(), &report))
    } else if !has_run {
        true
    } else if outputs.has_github() {
        shell.document(ci::github_apply(&report, &text, &random_word()))
    } else {
        shell.result(&text)
    };
    if !has_run {
        return Ok(written(arrived && told.is_ok(), code));
    }
    // What happened at the service outranks what became of this text, but the last
    // line is the truth, so it is told somewhere.
    if !arrived {
        shell.message(&text);
    }
    Ok(code)
}

/// Shows what is about to be sent. Where Markdown is the result, a person reads this
/// beside it.
fn show_plan(shell: Shell, json: bool, outputs: &Outputs, report: &PlanReport) {
    if json {
        shell.document(v1::apply_head(report));
    } else if outputs.prints_markdown {
        shell.message(&terminal::plan(report, shell.messages, shell.rows));
    } else if outputs.has_github() {
        let text = terminal::plan(report, shell.result, shell.rows);
        shell.document(ci::github_group("drspass plan", &text, &random_word()));
    } else {
        shell.result(&terminal::plan(report, shell.result, shell.rows));
    }
}
