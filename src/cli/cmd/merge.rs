//! `merge`.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::env;
use crate::cli::exit;
use crate::cli::prompt;
use crate::cli::proposed::quoted;
use crate::core::merge::{FLAGS, MergeLine, Verdict};
use crate::core::problem::Problem;
use crate::ops::OpError;
use crate::ops::merge::{self, MergeEnd, MergeOptions, MergeReport};
use crate::view::text;

#[derive(Debug, Args)]
#[command(after_help = "\
ADDR is JOB, JOB/source, JOB/destination or @CREDENTIAL, where JOB is an id or a
name; or a setting as it is listed, such as recipients. With a wildcard, * or ?,
it settles conflicts alone: '*' those of jobs, '@*' those of credentials. In a
rebase, HEAD is the branch you rebase onto.")]
pub struct MergeArgs {
    /// Take these from HEAD, whichever side changed them
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub ours: Vec<String>,
    /// Take these from the other side, whichever side changed them
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub theirs: Vec<String>,
    /// Do not ask for approval
    #[arg(long)]
    pub yes: bool,
}

pub fn run(context: &Context<'_>, args: &MergeArgs) -> Result<u8, OpError> {
    context.sweep();
    let (root, git) = merge::locate(
        &context.folder,
        context.state.as_ref(),
        &context.access,
        &context.children,
    )?;
    let name = root.manifest_name();
    let mut approve = |report: &MergeReport, warnings: &[Problem]| {
        context.warn(name, warnings);
        context.shell.message(&list(name, report));
        if args.yes {
            return Ok(());
        }
        prompt::ask("Write the merged manifest?", "Nothing was written.")
    };
    let options = MergeOptions {
        named: [&args.ours, &args.theirs],
        now: env::now,
    };
    let (unlock, rules) = (context.unlock(), context.rules());
    match merge::merge((&root, &git), &unlock, &rules, &options, &mut approve)? {
        MergeEnd::Contradiction => Ok(context.conflict("--ours and --theirs name the same entry")),
        MergeEnd::Conflicts(report) => {
            let count = text::counted(report.conflicts(), "conflict", "conflicts");
            let [ours, theirs] = &report.names;
            let list = list(name, &report);
            context.shell.message(&format!(
                "{list}{count}; nothing was written. Choose with --ours ADDR ({ours}) or --theirs ADDR ({theirs}).\n"
            ));
            Ok(exit::FAILED)
        }
        MergeEnd::Written { written, has_index } => {
            let index = has_index.then(|| root.index_name());
            let files = [Some(name), index.as_deref()];
            let files: Vec<String> = files.into_iter().flatten().map(quoted).collect();
            let add = context
                .shell
                .proposed
                .git_command(&format!("add {}", files.join(" ")));
            let next = format!(
                "Next: {add}\nIf drspass.yaml has a conflict too, resolve it by hand. Then continue with git.\n"
            );
            Ok(context.done(&format!("merged {written}\n"), &next))
        }
    }
}

fn list(name: &Path, report: &MergeReport) -> String {
    let [ours, theirs] = [0, 1].map(|side: usize| {
        let (revision, written) = report.revisions[side];
        let (name, date) = (&report.names[side], written.strftime("%Y-%m-%d"));
        format!("{name} (revision {revision}, {date})")
    });
    let mut out = format!("Merge of {}: {ours} and {theirs}", name.display());
    match report.base {
        Some(revision) => {
            let _ = writeln!(out, ", from revision {revision}");
        }
        None => {
            out.push_str("\nnote: no usable common version, so every difference is a conflict\n")
        }
    }
    for ((name, doubt), flag) in report.names.iter().zip(report.doubts).zip(FLAGS) {
        if let Some(doubt) = doubt {
            let _ = writeln!(
                out,
                "note: {name} {doubt}: nothing of it is taken unless {flag} names it"
            );
        }
    }
    if !report.has_history {
        out.push_str(
            "note: this clone lacks history, so a password may go back to a former one without a word here\n",
        );
    }
    let lines = &report.lines;
    let labels = text::width(lines.iter().map(|line| &line.label));
    let parts = text::width(lines.iter().map(|line| &line.what));
    for line in lines {
        let MergeLine { label, what, .. } = line;
        let (sign, verdict) = verdict(&line.verdict, &report.names);
        let _ = write!(out, "  {sign} {label:labels$}   {what:parts$}   {verdict}");
        if let Some(revision) = line.back {
            let _ = write!(out, ", goes back to revision {revision}");
        }
        out.push('\n');
    }
    if lines.is_empty() {
        out.push_str("  no value differs\n");
    }
    out
}

/// Returns the sign of a line, and what becomes of it.
fn verdict(verdict: &Verdict, names: &[String; 2]) -> (char, String) {
    match verdict {
        Verdict::Both => ('=', "the same on both sides".to_owned()),
        Verdict::Taken {
            from,
            is_named,
            value,
        } => {
            let chosen = if *is_named { "chosen, " } else { "" };
            let value = value
                .as_ref()
                .map_or_else(String::new, |value| format!(": {value}"));
            (
                ['<', '>'][*from],
                format!("{chosen}from {}{value}", names[*from]),
            )
        }
        Verdict::Conflict { sides, doubted } => {
            let [ours, theirs] = names;
            let only = doubted.map(|side| format!("; only {} changed it", names[side]));
            let only = only.unwrap_or_default();
            (
                '!',
                format!("{ours} {}, {theirs} {}{only}", sides[0], sides[1]),
            )
        }
    }
}
