//! The command line: turns arguments and environment into one use case, and its report
//! into output and an exit code.

pub mod args;
pub mod cmd;
mod context;
pub mod env;
pub mod exit;
pub mod login;
mod outputs;
mod progress;
mod prompt;
mod proposed;
mod shell;
mod usage;

use std::ffi::OsString;
use std::sync::atomic::Ordering;

use clap::FromArgMatches as _;
use clap::error::ErrorKind;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::args::GlobalOptions;
use self::cmd::Cli;
use self::context::Context;
pub use self::env::Env;
pub use self::shell::hide_panic_messages;
use self::shell::{Log, Shell};
use crate::ops::OpError;

/// Runs drspass with `args` (the program's name first) and returns its exit code.
///
/// Results go to standard output, messages to standard error. Environment
/// variables are those of `env`, so a test can choose them.
pub fn run<I, T>(args: I, env: &Env) -> u8
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let mut command = cmd::command();
    let parsed = command
        .try_get_matches_from_mut(&args)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let shell = Shell::new(&GlobalOptions::default(), env, &command);
            return not_parsed(&error, &args, &shell);
        }
    };
    let mut shell = Shell::new(&cli.global, env, &command);
    if matches!(cli.command, cmd::Command::Init(_)) {
        shell.proposed.forget_state();
    }
    start_log(cli.global.verbose);
    progress::IS_DUMB.store(env.is_dumb(), Ordering::Relaxed);
    env::forbid_core_dumps();
    #[cfg(debug_assertions)]
    {
        if let Some(place) = env.var("DRSPASS_TEST_STOP_AT") {
            crate::sys::testpoint::arm(&place);
        }
        if let Some(places) = env.var("DRSPASS_TEST_FAIL_AT") {
            crate::sys::testpoint::arm_failures(&places);
        }
        if let Some(time) = env.var("DRSPASS_TEST_NOW") {
            crate::sys::testpoint::stop_clock(&time);
        }
        if let Some(Ok(seconds)) = env.var("DRSPASS_TEST_LEASE").map(|text| text.parse()) {
            crate::sys::testpoint::shorten_lease(seconds);
        }
        if let Some(Ok(seconds)) = env.var("DRSPASS_TEST_SETTLE").map(|text| text.parse()) {
            crate::sys::testpoint::shorten_settle(seconds);
        }
        if let Some(file) = env.path_var("DRSPASS_TEST_SLEPT") {
            crate::sys::testpoint::sleep_as_in(&file);
        }
        if let Some(Ok(second)) = env.var("DRSPASS_TEST_SECOND").map(|text| text.parse()) {
            progress::SECOND.store(second, Ordering::Relaxed);
        }
    }
    let given = usage::refuse_secrets(&command, &matches, env);
    let context = match given.and_then(|()| Context::new(&cli.global, env, shell.clone())) {
        Ok(context) => context,
        Err(error) => return failed(&error, &shell),
    };
    let ended = cmd::run(cli.command, &context);
    progress::end();
    ended.unwrap_or_else(|error| failed(&error, &shell))
}

fn failed(error: &OpError, shell: &Shell) -> u8 {
    shell.error(error);
    exit::for_error(error)
}

fn not_parsed(error: &clap::Error, args: &[OsString], shell: &Shell) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            exit::written(shell.document(error.to_string()), exit::DONE)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            shell.message(&error.to_string());
            exit::USAGE
        }
        _ => {
            let text = usage::key_among(args).unwrap_or_else(|| usage::explain(error, args));
            shell.message(&text);
            exit::USAGE
        }
    }
}

/// Starts the log, without libraries: their traces may contain bytes of a request.
fn start_log(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| Log)
        .with_ansi(false);
    // A second run in one process keeps the log of the first.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(Targets::new().with_target("drspass", level))
        .try_init();
}
