//! `sim` and `demo`.

use std::fmt::Display;
use std::fs::{Permissions, create_dir};
use std::io::{self, Write as _};
use std::mem::take;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use clap::Args;
use tokio::runtime::Builder;

use crate::cli::context::Context;
use crate::cli::{env, exit};
use crate::core::failure::{ErrorClass, Failure};
use crate::core::report::Signal;
use crate::ops::OpError;
use crate::sim::{SimConfig, Simulator, scenario};
use crate::sys::files;
use crate::sys::signals::Signals;

#[derive(Debug, Args)]
pub struct SimArgs {
    /// Listen on this port of the loopback address; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// Jobs, passwords and faults to simulate: 'drspass schema scenario' lists the
    /// fields, docs/reference.md explains them
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
}

const MAX_SCENARIO_BYTES: u64 = 1 << 20;

pub fn sim(context: &Context<'_>, args: &SimArgs) -> Result<u8, OpError> {
    let unfit = |what: String, help| OpError::unfit(what, help);
    let mut config = match &args.scenario {
        None => SimConfig {
            accept_any_job: true,
            ..SimConfig::default()
        },
        Some(path) => {
            let full = context.folder.join(path);
            let bytes =
                files::read_limited(&full, MAX_SCENARIO_BYTES).map_err(OpError::read(&path))?;
            scenario::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| {
                unfit(
                    format!("{}: {error}", path.display()),
                    "See examples/scenarios for valid files.",
                )
            })?
        }
    };
    config.port = args.port;
    let (log, requests) = mpsc::channel();
    config.request_log = Some(log);
    let job = config.jobs.first().map(|job| job.id.clone());
    let sim = Simulator::start(config).map_err(|error| {
        unfit(
            format!("cannot start the simulator: {error}"),
            "Pass another --port, or 0 for a free one.",
        )
    })?;
    let (url, admin) = (sim.url(), sim.admin_token());
    let change = job.map_or_else(String::new, |job| {
        format!(
            "\n\
             To change the password in the source database of a job:\n\
             ADMIN={admin}\n\
             JOB={url}/sim/jobs/{job}\n\
             curl -sS --fail-with-body -H \"X-Sim-Admin: $ADMIN\" \"$JOB/real-password\" \\\n\
             \x20 -w '\\n' -d '{{\"endpoint\": \"source\", \"password\": \"made-up\"}}'\n"
        )
    });
    let text = format!(
        "A simulated DRS service listens at {url}\n\
         \n\
         export OS_TOKEN={token}\n\
         drspass init -i key.txt --project-id {project} \\\n\
         \x20 --endpoint {url} --auth-url {url}/v3\n\
         export DRSPASS_IDENTITY=\"$PWD/key.txt\"\n\
         {change}\n\
         admin token: {admin}\n\
         Press Ctrl-C to stop it; it forgets everything.\n",
        token = sim.token(),
        project = sim.project_id(),
    );
    context.shell.document(&text);
    // The simulator works on its own thread, and a signal ends the process.
    for line in requests {
        context.shell.message(&line);
    }
    Ok(exit::DONE)
}

const SCENARIO: &str = include_str!("../../../examples/scenarios/one-refused.yaml");

/// Paragraphs that end with a command and, unless it is 0, the exit code that it must have.
/// Lines that are neither comments nor commands are typed in the editor.
const STEPS: &str = include_str!("demo.txt");

/// Stands in for an editor: puts standard input in the place of the last line.
const EDITOR: &str =
    r#"sh -c 'sed "/^jobs: {}$/d" "$1" >"$TMPDIR/new" && cat "$TMPDIR/new" - >"$1"' -"#;

/// Runs the whole loop against the simulator, as a user types it. Each command is this program
/// in a process of its own. It gets a made-up environment, so nothing of the user's is read, and
/// a temporary directory, which goes at the end.
pub fn demo(context: &Context<'_>) -> Result<u8, OpError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(cannot)?.block_on(walk(context))
}

async fn walk(context: &Context<'_>) -> Result<u8, OpError> {
    // From before there is a directory until it is gone, no signal ends this process.
    let mut signals = Signals::listen(env::hang_up())
        .and_then(Signals::with_quit)
        .map_err(cannot)?;
    let mut config = scenario::parse(SCENARIO).map_err(cannot)?;
    let mut faults = take(&mut config.faults);
    let sim = Simulator::start(config).map_err(cannot)?;
    let place = context.env.private_places().temporary;
    let folder = tempfile::Builder::new()
        .prefix("drspass-demo-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(&place)
        .map_err(OpError::write(&place))?;
    let start = format!(
        "# The whole loop of drspass against a simulated service at {}.\n\
         # No other host is contacted, and its temporary directory is removed at the end.\n",
        sim.url()
    );
    context.shell.document(start);
    let mut ended = create_dir(folder.path().join("production")).map_err(cannot);
    for text in STEPS.trim_end().split("\n\n") {
        let (text, code) = text.split_once("\nexits ").unwrap_or((text, "0"));
        if code != "0" {
            take(&mut faults).into_iter().for_each(|it| sim.inject(it));
        }
        if ended.is_ok() {
            ended = step(context, &sim, folder.path(), text, code);
            if let Some(signal) = signals.arrived().await {
                ended = Err(interrupted(signal));
            }
        }
    }
    let removed = folder.close().map_err(cannot);
    ended.and(removed)?;
    let end = "\n\
        # That was the whole loop; its directory is removed.\n\
        # Next, type it yourself, as in docs/tutorial.md of the repository.\n\
        # For a real project: drspass help init\n";
    Ok(exit::written(context.shell.document(end), exit::DONE))
}

/// Shows one command and runs it; all of its output is a part of the result.
fn step(
    context: &Context<'_>,
    sim: &Simulator,
    folder: &Path,
    text: &str,
    expected: &str,
) -> Result<(), OpError> {
    let shown = format!("\n{text}\n")
        .replace("{url}", &sim.url())
        .replace("{project}", sim.project_id())
        .replace("{token}", sim.token());
    context.shell.document(&shown);
    let (before, command_line) = shown.rsplit_once("$ drspass ").unwrap_or_default();
    let edited = before.lines().filter(|line| !line.starts_with(['#', '$']));
    let edited: String = edited.map(|line| format!("{line}\n")).collect();
    let words = command_line.split_whitespace().filter(|word| *word != "\\");
    let output = io::stdout().as_fd().try_clone_to_owned().map_err(cannot)?;
    let mut command = Command::new(std::env::current_exe().map_err(cannot)?);
    let passed_on = ["PATH", "TERM", "NO_COLOR"];
    let passed_on = passed_on.map(|name| context.env.path_var(name).map(|value| (name, value)));
    command
        .args(words)
        .current_dir(folder.join("production"))
        .env_clear()
        .envs(passed_on.into_iter().flatten())
        .envs([("HOME", folder), ("TMPDIR", folder)])
        .envs([("OS_TOKEN", sim.token()), ("DRSPASS_IDENTITY", "key.txt")])
        .env("EDITOR", EDITOR)
        .stdin(Stdio::piped())
        .stderr(output);
    let mut child = command.spawn().map_err(cannot)?;
    if let Some(mut input) = child.stdin.take() {
        // Only the editor reads it, and what becomes of it shows in the exit code.
        let _ = input.write_all(edited.as_bytes());
    }
    let code = child.wait().map_err(cannot)?.code();
    let code = code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
    if code == expected {
        return Ok(());
    }
    // While the editor has the terminal, Ctrl-C reaches the command alone.
    if code == exit::INTERRUPTED.to_string() {
        return Err(interrupted(Signal::Interrupt));
    }
    let command_line = command_line.trim_end();
    Err(cannot(format!(
        "'drspass {command_line}' ended with {code}"
    )))
}

fn interrupted(signal: Signal) -> OpError {
    let help = "Nothing was sent to a real service.";
    Failure::new("drspass::interrupted", "the demo was interrupted", help)
        .class(ErrorClass::Ended(signal))
        .into()
}

fn cannot(why: impl Display) -> OpError {
    OpError::unfit(
        format!("cannot finish the demo: {why}"),
        "Nothing was sent to a real service. Fix the cause, then run 'drspass demo' again.",
    )
}
