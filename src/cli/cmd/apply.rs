//! `apply`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::plan::{EntryOptions, JobStateOptions};
use super::service;
use crate::cli::args::{APPROVAL, JOBS, OUTPUT, change_id, key_id, life, plan_id};
use crate::cli::context::{Context, is_stream};
use crate::cli::env;
use crate::cli::exit;
use crate::cli::login::{self, LoginFlags};
use crate::cli::outputs::{OutputOptions, Outputs, random_word};
use crate::cli::prompt;
use crate::cli::shell;
use crate::core::fingerprint::ChangeId;
use crate::core::fingerprint::KeyId;
use crate::core::problem::Problem;
use crate::core::report::{ApplyReport, PlanReport};
use crate::ops::OpError;
use crate::ops::apply::{self as ops_apply, ApplyContext, ApplyOptions, RetryJobsOptions};
use crate::ops::error::older_words;
use crate::ops::plan::ToApply;
use crate::ops::root::{CONFIG_FILE, Opened, Root, UserRules};
use crate::view::json_v1;
use crate::view::{ci, markdown, text};

#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A saved plan, which is applied as it is, without asking
    #[arg(
        value_name = "PLAN",
        conflicts_with_all = ["only", "resend", "allow_rollback", "accept_new_key"]
    )]
    pub plan: Option<PathBuf>,
    #[command(flatten)]
    pub scope: EntryOptions,
    /// Do not ask for approval
    #[arg(long, alias = "yes", help_heading = APPROVAL)]
    pub auto_approve: bool,
    /// Apply only the change with this id, shown by 'drspass plan' with --out,
    /// --json or --markdown
    #[arg(long, value_name = "ID", value_parser = change_id, help_heading = APPROVAL)]
    pub expect_change: Option<ChangeId>,
    /// Apply only the saved plan with this id
    #[arg(long, value_name = "ID", value_parser = plan_id, requires = "plan", help_heading = APPROVAL)]
    pub expect_plan_id: Option<String>,
    /// Accept exactly this number of changes although a limit is lower
    #[arg(long, value_name = "N", help_heading = APPROVAL)]
    pub override_limits: Option<u64>,
    /// Accept a manifest with a new key; OLDKEYID is the key id in the state. Every
    /// entry is sent
    #[arg(long, value_name = "OLDKEYID", value_parser = key_id, help_heading = APPROVAL)]
    pub accept_new_key: Option<KeyId>,
    /// Send without reading the states of the jobs first
    #[arg(long, conflicts_with_all = ["stop_if_blocked", "try_unknown_state"], help_heading = JOBS)]
    pub no_preflight: bool,
    /// Send nothing if the state of any job does not allow an update
    #[arg(long, help_heading = JOBS)]
    pub stop_if_blocked: bool,
    #[command(flatten)]
    pub states: JobStateOptions,
    /// Afterwards, retry failed jobs whose listed entries are all in sync and of which
    /// drspass sent at least one, now or earlier. Of jobs that share a credential, one
    /// is retried first. All are watched for at most apply.retry.max_elapsed
    #[arg(long, help_heading = JOBS)]
    pub retry_jobs: bool,
    /// Also resume jobs that were paused by hand
    #[arg(long, requires = "retry_jobs", help_heading = JOBS)]
    pub resume_paused: bool,
    /// How long to wait for another run that has the lock; by default not at all, unless a
    /// run that holds a state on a branch seems to be lost
    #[arg(long, value_name = "TIME", value_parser = life, help_heading = APPROVAL)]
    pub lock_timeout: Option<Duration>,
    /// Print JSON, one message per line, instead of text
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,
    /// Write a Markdown summary to this file, replacing an earlier one; with -, to
    /// standard output, and the text to standard error
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub markdown: Option<PathBuf>,
    /// Write a step summary, outputs (those of plan; applied, refused, exit_code) and
    /// annotations for GitHub Actions
    #[arg(long, conflicts_with = "json", help_heading = OUTPUT)]
    pub github: bool,
    #[command(flatten)]
    pub login: LoginFlags,
}

pub fn run(context: &Context<'_>, args: ApplyArgs) -> Result<u8, OpError> {
    if args.markdown.as_deref().is_some_and(is_stream) && (args.json || args.github) {
        return Ok(context.conflict("--markdown - cannot be used with --json or --github"));
    }
    let code = if args.plan.is_some() {
        exit::for_saved_plan
    } else {
        exit::for_error
    };
    let wanted = OutputOptions {
        command: "apply",
        json: args.json,
        markdown: args.markdown.as_deref(),
        github: args.github,
        gitlab: None,
        out: None,
    };
    let root = context.root();
    let opened = Outputs::open(context, root.as_ref().ok(), wanted);
    let (ended, outputs) = match opened {
        Ok(outputs) => {
            let ended = root.and_then(|root| apply(context, &args, &root, &outputs));
            (ended, Some(outputs))
        }
        Err(error) => (Err(error), None),
    };
    ended.or_else(|error| {
        if let Some(outputs) = outputs {
            outputs.failed(&error, code(&error));
        }
        if args.json {
            let line = json_v1::apply_error(&shell::error_out(&error), code(&error));
            context.shell.document(line);
        }
        context.shell.error(&error);
        Ok(code(&error))
    })
}

fn apply(
    context: &Context<'_>,
    args: &ApplyArgs,
    root: &Root,
    outputs: &Outputs,
) -> Result<u8, OpError> {
    context.warn(Path::new(CONFIG_FILE), &root.warnings);
    let rules = UserRules {
        allow_rollback: args.scope.allow_rollback,
        accept_new_key: args.accept_new_key.clone(),
        override_limits: args.override_limits,
        ..context.rules()
    };
    login::check_project(context.env, &root.config.target.project_id)?;
    let saved = args.plan.as_deref();
    let asks = !args.auto_approve && saved.is_none();
    let expected = args.expect_plan_id.as_deref();
    let options = ApplyOptions {
        saved: saved
            .map(|path| ToApply::read(root, path, expected))
            .transpose()?,
        expect_change: args.expect_change.clone(),
        addresses: args.scope.addresses(),
        preflight: (!args.no_preflight).then(|| args.states.unknown()),
        stop_if_blocked: args.stop_if_blocked,
        retry_jobs: args.retry_jobs.then_some(RetryJobsOptions {
            resume_paused: args.resume_paused,
            at_most: root.config.apply.retry_max_elapsed,
            are_named: asks,
        }),
        lock_timeout: args.lock_timeout,
    };
    let connect = |opened: &Opened| {
        let connected = service::connect(context, root, opened, &args.login)?;
        tracing::info!(source = connected.source, "login");
        Ok(connected.client)
    };
    let show = |report: &PlanReport| show_plan(outputs, report);
    let mut surroundings = ApplyContext {
        show: &show,
        show_outcomes: &|report| show_outcomes(outputs, report),
        runtime: env::runtime(),
        elsewhere: std::env::temp_dir(),
        lock: env::lock_info("apply"),
        connect: &connect,
        progress: &mut |event| context.shell.progress(&event),
        end_on_signal: &|| exit::end_on_signal(exit::DONE),
    };
    let mut approve = |report: &PlanReport, warnings: &[Problem], due: Option<&[String]>| {
        context.warn(root.manifest_name(), warnings);
        show(report);
        // A saved plan was approved when it was made.
        let has_due = due.is_none_or(|due| !due.is_empty());
        let has_work = report.plan.requests > 0 || args.retry_jobs && has_due;
        if !has_work || !asks {
            return Ok(());
        }
        prompt::ask(&question(report, args.retry_jobs, due), "Nothing was sent.")
    };
    let (plan, report) = ops_apply::apply(
        root,
        &context.unlock(),
        &rules,
        &options,
        &mut surroundings,
        &mut approve,
    )?;
    Ok(show_report(outputs, &plan, report))
}

fn question(report: &PlanReport, retry_jobs: bool, due: Option<&[String]>) -> String {
    let passwords = text::counted(report.counts.sent(), "password", "passwords");
    let place = text::place(&report.scope);
    let jobs = match due {
        None => "failed jobs".to_owned(),
        Some([]) => "failed jobs (none now)".to_owned(),
        Some(jobs) => text::jobs_named(jobs),
    };
    let question = match (report.plan.requests, retry_jobs) {
        (_, false) => format!("Send {passwords} to {place}?"),
        (0, true) => format!("Retry {jobs} of {place}?"),
        (_, true) => format!("Send {passwords} to {place}, then retry {jobs}?"),
    };
    match report.behind {
        None => question,
        Some(behind) => {
            let older = older_words(behind);
            format!("{older}, so every password in it counts as never set. {question}")
        }
    }
}

/// Shows the outcomes before a longer wait; returns whether they need not be shown again.
fn show_outcomes(outputs: &Outputs, report: &ApplyReport) -> bool {
    let shell = &outputs.shell;
    if outputs.json {
        return shell.document(json_v1::apply_entries(report));
    }
    if outputs.prints_markdown {
        shell.message(&text::outcomes(report, shell.messages));
        return false;
    }
    shell.result(&text::outcomes(report, shell.result)) && !outputs.has_github()
}

/// Shows the report, if there was anything to do.
fn show_report(outputs: &Outputs, plan: &PlanReport, report: Option<ApplyReport>) -> u8 {
    let shell = &outputs.shell;
    let has_run = report.is_some();
    let code = report.as_ref().map_or(exit::DONE, exit::for_apply);
    let report = report.unwrap_or_default();
    let written = outputs.applied(plan, &report, code);
    exit::end_on_signal(code);
    if let Err(error) = &written {
        shell.error(error);
    }
    let text = text::apply(&report, shell.result);
    let arrived = if outputs.json {
        shell.document(json_v1::apply(&report, code))
    } else if outputs.prints_markdown {
        shell.document(markdown::apply(&outputs.place, plan, &report))
    } else if !has_run {
        true
    } else if outputs.has_github() {
        shell.document(ci::github_apply(&report, &text, &random_word()))
    } else {
        shell.result(&text)
    };
    if !has_run {
        return exit::written(arrived && written.is_ok(), code);
    }
    // The outcome at the service decides the code, and its last line must be shown
    // somewhere.
    if !arrived {
        shell.message(&text);
    }
    code
}

/// Shows the plan; on standard error if the result is Markdown.
fn show_plan(outputs: &Outputs, report: &PlanReport) {
    let shell = &outputs.shell;
    if outputs.json {
        shell.document(json_v1::apply_head(report));
    } else if outputs.prints_markdown {
        shell.message(&text::plan(report, shell.messages, shell.rows));
    } else if outputs.has_github() {
        let text = text::plan(report, shell.result, shell.rows);
        shell.document(ci::github_group("drspass plan", &text, &random_word()));
    } else {
        shell.result(&text::plan(report, shell.result, shell.rows));
    }
}
