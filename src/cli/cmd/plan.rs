//! `plan`.

use std::path::Path;

use super::{service, unlock, warn, written};
use crate::cli::args::Plan;
use crate::cli::context::Context;
use crate::cli::env;
use crate::cli::exit;
use crate::cli::login;
use crate::cli::outputs::{Outputs, Wanted, random_word};
use crate::cli::shell::Shell;
use crate::core::report::PlanReport;
use crate::ops::OpError;
use crate::ops::plan::{self, Addresses, AskStates};
use crate::ops::root::{CONFIG_FILE, Guards, Opened, Root};
use crate::ops::saved::SaveAs;
use crate::view::json::v1;
use crate::view::{ci, diff, markdown, terminal};

pub(in crate::cli) fn run(context: &Context<'_>, args: Plan) -> Result<u8, OpError> {
    let printed = args.markdown.as_deref() == Some(Path::new("-"));
    if printed && (args.json || args.github || args.diff || args.terraform_summary) {
        return Ok(super::conflict(
            context,
            "--markdown - with --json, --github, --diff or --terraform-summary",
        ));
    }
    let root = context.root();
    let outputs = Outputs::open(
        context,
        root.as_ref().ok(),
        Wanted {
            command: "plan",
            markdown: args.markdown.as_deref(),
            github: args.github,
            gitlab: args.gitlab_report.as_deref(),
            out: args.out.as_deref(),
        },
    )?;
    let shown = Shown {
        json: args.json,
        diff: args.diff,
        terraform_summary: args.terraform_summary,
    };
    let detailed = args.detailed_exitcode;
    let out = args.out.clone();
    let has_asked = args.preflight;
    let report = root
        .and_then(|root| make(context, args, &root))
        .and_then(|report| outputs.planned(&report).map(|()| report))
        .inspect_err(|error| outputs.failed(error, exit::for_error(error)))?;
    if has_asked {
        super::end_on_signal(exit::DONE);
    }
    let arrived = shown.write(context.shell, &outputs, &report);
    if let Some(path) = &out {
        let saved = saved(context, path);
        context.shell.message(&saved);
    }
    let code = if detailed && report.has_changes() {
        exit::CHANGES
    } else {
        exit::DONE
    };
    Ok(written(arrived, code))
}

/// How the plan is shown on standard output.
struct Shown {
    json: bool,
    diff: bool,
    terraform_summary: bool,
}

impl Shown {
    fn write(&self, shell: Shell, outputs: &Outputs, report: &PlanReport) -> bool {
        if self.json {
            return shell.document(v1::plan(report));
        }
        if outputs.prints_markdown {
            return shell.document(markdown::plan(&outputs.place, report));
        }
        let mut text = terminal::plan(report, shell.result, shell.rows);
        if self.diff {
            text.push_str(&diff::plan(report));
        }
        let mut last = String::new();
        if self.terraform_summary {
            last = ci::terraform_line(report);
        }
        if outputs.has_github() {
            let text = ci::github_plan(report, &text, &random_word());
            return shell.document(text + &last);
        }
        shell.result(&(text + &last))
    }
}

/// How a plan that was saved is applied.
fn saved(context: &Context<'_>, path: &Path) -> String {
    let quoted = |path: &Path| {
        let name = path.display().to_string();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
        if name.chars().all(is_plain) {
            name
        } else {
            format!("'{}'", name.replace('\'', r"'\''"))
        }
    };
    let folder = match context.folder.as_os_str().is_empty() {
        true => String::new(),
        false => format!("-C {} ", quoted(&context.folder)),
    };
    let path = quoted(path);
    format!("Saved the plan in {path}. To send exactly this: drspass {folder}apply {path}\n")
}

fn make(context: &Context<'_>, args: Plan, root: &Root) -> Result<PlanReport, OpError> {
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
        let connected = service::connect(context, root, opened, &args.login)?;
        let source = connected.source;
        context.shell.message(&format!("login: {source}\n"));
        Ok(connected.client)
    };
    let ask = args.preflight.then_some(AskStates {
        connect: &connect,
        hang_up: env::hang_up(),
        unknown: args.states.unknown(),
    });
    let save = args.out.as_deref().map(|path| SaveAs {
        path,
        expires_in: args.expires_in,
        now: env::now,
        salt: env::salt,
        unique: env::unique,
    });
    let (report, warnings) = plan::plan(
        root,
        &unlock(context),
        &guards,
        &addresses,
        ask,
        save.as_ref(),
    )?;
    warn(context, root.manifest_name(), &warnings);
    Ok(report)
}
