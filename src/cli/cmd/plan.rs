//! `plan`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::service;
use crate::cli::args::{APPROVAL, ENTRIES, JOBS, OUTPUT, life};
use crate::cli::context::{Context, is_stream};
use crate::cli::env;
use crate::cli::exit;
use crate::cli::login::{self, LoginFlags};
use crate::cli::outputs::{OutputOptions, Outputs, random_word};
use crate::cli::proposed::quoted;
use crate::core::report::PlanReport;
use crate::core::status::UnknownStates;
use crate::ops::OpError;
use crate::ops::compare::Addresses;
use crate::ops::plan::{self, AskStates, SaveAs};
use crate::ops::root::{CONFIG_FILE, Opened, Root, UserRules};
use crate::view::json_v1;
use crate::view::{ci, markdown, text};

#[derive(Debug, Args)]
pub struct JobStateOptions {
    /// Also send to jobs in a state that drspass does not know
    #[arg(long, help_heading = JOBS)]
    pub try_unknown_state: bool,
}

impl JobStateOptions {
    pub const fn unknown(&self) -> UnknownStates {
        if self.try_unknown_state {
            UnknownStates::Try
        } else {
            UnknownStates::Block
        }
    }
}

#[derive(Debug, Args)]
pub struct EntryOptions {
    /// Only these entries: JOB, JOB/source, JOB/destination or @CREDENTIAL, where JOB
    /// is an id or a name; * and ? are wildcards
    #[arg(long, value_name = "ADDR", num_args = 1.., help_heading = ENTRIES)]
    pub only: Vec<String>,
    /// Send these entries even if in sync or skipped for a wrong password; JOB/source
    /// limits it to one endpoint. With --retry-jobs, their jobs are retried even if the
    /// last retry failed
    #[arg(long, value_name = "ADDR", num_args = 1.., help_heading = ENTRIES)]
    pub resend: Vec<String>,
    /// Accept a manifest that is older than the one applied last
    #[arg(long, help_heading = APPROVAL)]
    pub allow_rollback: bool,
}

impl EntryOptions {
    pub fn addresses(&self) -> Addresses {
        Addresses {
            only: self.only.clone(),
            resend: self.resend.clone(),
        }
    }
}

/// Options that only `--preflight` uses require it, so that an offline plan is not mistaken
/// for the service's answer.
#[derive(Debug, Args)]
#[command(mut_arg("cloud", |arg| arg.requires("preflight")))]
#[command(mut_arg("token_file", |arg| arg.requires("preflight")))]
#[command(mut_arg("try_unknown_state", |arg| arg.requires("preflight")))]
pub struct PlanArgs {
    #[command(flatten)]
    pub scope: EntryOptions,
    /// Save the plan to this file, for 'drspass apply FILE'
    #[arg(long, value_name = "FILE", help_heading = "Saved plan")]
    pub out: Option<PathBuf>,
    /// How long the saved plan can be applied, such as 90m or 7d; at most 30d
    #[arg(
        long,
        value_name = "TIME",
        default_value = "24h",
        value_parser = life,
        requires = "out",
        help_heading = "Saved plan"
    )]
    pub expires_in: Duration,
    /// Log in and read the states of the jobs, to see which entries apply would skip
    /// and which jobs have failed
    #[arg(long, help_heading = JOBS)]
    pub preflight: bool,
    #[command(flatten)]
    pub states: JobStateOptions,
    /// Exit with code 2 if there are changes
    #[arg(long, help_heading = OUTPUT)]
    pub detailed_exitcode: bool,
    /// Also show each change of a field, with masked values
    #[arg(long, help_heading = OUTPUT)]
    pub diff: bool,
    /// Print one JSON document instead of text
    #[arg(long, conflicts_with = "diff", help_heading = OUTPUT)]
    pub json: bool,
    /// Write a Markdown summary to this file, replacing an earlier one; with -, to
    /// standard output instead of text
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub markdown: Option<PathBuf>,
    /// Write a step summary, outputs (has_changes, plan_id, change_id) and
    /// annotations for GitHub Actions
    #[arg(long, conflicts_with = "json", help_heading = OUTPUT)]
    pub github: bool,
    /// Write the GitLab report artifacts:reports:terraform to this file
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub gitlab_report: Option<PathBuf>,
    /// End the text with a summary line in the format of Terraform
    #[arg(long, conflicts_with = "json", help_heading = OUTPUT)]
    pub terraform_summary: bool,
    #[command(flatten)]
    pub login: LoginFlags,
}

pub fn run(context: &Context<'_>, args: PlanArgs) -> Result<u8, OpError> {
    let prints_markdown = args.markdown.as_deref().is_some_and(is_stream);
    if prints_markdown && (args.json || args.github || args.diff || args.terraform_summary) {
        return Ok(context.conflict(
            "--markdown - cannot be used with --json, --github, --diff or --terraform-summary",
        ));
    }
    let root = context.root();
    let outputs = Outputs::open(
        context,
        root.as_ref().ok(),
        OutputOptions {
            command: "plan",
            json: args.json,
            markdown: args.markdown.as_deref(),
            github: args.github,
            gitlab: args.gitlab_report.as_deref(),
            out: args.out.as_deref(),
        },
    )?;
    let report = root
        .and_then(|root| make(context, &args, &root))
        .and_then(|report| outputs.planned(&report).map(|()| report))
        .inspect_err(|error| outputs.failed(error, exit::for_error(error)))?;
    if args.preflight {
        exit::end_on_signal(exit::DONE);
    }
    let arrived = show(&args, &outputs, &report);
    if let Some(path) = &args.out {
        context.shell.message(&saved(path));
    }
    let code = if args.detailed_exitcode && report.has_changes() {
        exit::CHANGES
    } else {
        exit::DONE
    };
    Ok(exit::written(arrived, code))
}

fn show(args: &PlanArgs, outputs: &Outputs, report: &PlanReport) -> bool {
    let shell = &outputs.shell;
    if outputs.json {
        return shell.document(json_v1::plan(report));
    }
    if outputs.prints_markdown {
        return shell.document(markdown::plan(&outputs.place, report));
    }
    let mut text = text::plan(report, shell.result, shell.rows);
    if args.diff {
        text.push_str(&text::diff(report));
    }
    let last = match args.terraform_summary {
        true => ci::terraform_line(report),
        false => String::new(),
    };
    if outputs.has_github() {
        return shell.document(ci::github_plan(report, &text, &random_word()) + &last);
    }
    shell.result(&(text + &last))
}

/// Returns the message about a saved plan: how to apply it.
fn saved(path: &Path) -> String {
    let path = quoted(path);
    format!("Saved the plan to {path}. To apply exactly this plan:\n  drspass apply {path}\n")
}

fn make(context: &Context<'_>, args: &PlanArgs, root: &Root) -> Result<PlanReport, OpError> {
    context.warn(Path::new(CONFIG_FILE), &root.warnings);
    let rules = UserRules {
        allow_rollback: args.scope.allow_rollback,
        ..context.rules()
    };
    login::check_project(context.env, &root.config.target.project_id)?;
    let connect = |opened: &Opened| {
        let connected = service::connect(context, root, opened, &args.login)?;
        context
            .shell
            .message(&format!("login: {}\n", connected.source));
        Ok(connected.client)
    };
    let ask = args.preflight.then_some(AskStates {
        connect: &connect,
        unknown: args.states.unknown(),
    });
    let save = args.out.as_deref().map(|path| SaveAs {
        path,
        expires_in: args.expires_in,
    });
    let (report, warnings) = plan::plan(
        root,
        &context.unlock(),
        &rules,
        &env::runtime(),
        &args.scope.addresses(),
        ask,
        save.as_ref(),
    )?;
    context.warn(root.manifest_name(), &warnings);
    Ok(report)
}
