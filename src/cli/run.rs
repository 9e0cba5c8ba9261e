//! One run: arguments in, exit code out.

use std::ffi::OsString;

use clap::FromArgMatches as _;
use clap::error::ErrorKind;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::args::{self, Cli, Command, LockCommand, Show};
use super::cmd;
use super::context::Context;
use super::env::{self, Env};
use super::exit;
use super::given;
use super::render;
use super::shell::{Log, Shell};
use super::usage;
use crate::ops::OpError;

/// Runs drspass with `args` (the program's name first) and returns its exit code.
///
/// Results go to standard output, messages to standard error. Environment
/// variables are those of `env`, so a test or an example can choose them.
pub fn run<I, T>(args: I, env: &Env) -> u8
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let mut command = args::command();
    let parsed = command
        .try_get_matches_from_mut(&args)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return not_parsed(&error, &args, env),
    };
    let shell = Shell::new(cli.global.color, env);
    start_log(cli.global.verbose);
    env::forbid_core_dumps();
    #[cfg(debug_assertions)]
    {
        if let Some(place) = env.var("DRSPASS_TEST_STOP_AT") {
            crate::sys::testpoint::arm(&place);
        }
        if let Some(places) = env.var("DRSPASS_TEST_FAIL_AT") {
            crate::sys::testpoint::arm_failures(&places);
        }
    }
    if let Command::Show(Show {
        textconv: Some(file),
        ..
    }) = &cli.command
    {
        return cmd::textconv::run(&cli.global, env, shell, file);
    }
    let given = given::refuse_secrets(&command, &matches, env);
    let context = match given.and_then(|()| Context::new(&cli.global, env, shell)) {
        Ok(context) => context,
        Err(error) => return failed(&error, shell),
    };
    let ended = match cli.command {
        Command::Init(args) => cmd::init::run(&context, args),
        Command::Encrypt(args) => cmd::manifest::encrypt(&context, args),
        Command::Edit => cmd::edit::run(&context),
        Command::Decrypt(args) => cmd::manifest::decrypt(&context, &args),
        Command::Set(args) => cmd::values::set(&context, &args),
        Command::Unset(args) => cmd::values::unset(&context, &args),
        Command::Import(args) => cmd::values::import(&context, &args),
        Command::Validate(args) => cmd::manifest::validate(&context, &args),
        Command::Show(args) => cmd::manifest::show(&context, &args),
        Command::Recipients(args) => cmd::recipients::recipients(&context, &args),
        Command::Rekey(args) => cmd::recipients::rekey(&context, &args),
        Command::Plan(args) => cmd::plan::run(&context, args),
        Command::Apply(args) => cmd::apply::run(&context, args),
        Command::Whoami(args) => cmd::service::whoami(&context, args),
        Command::Jobs(args) => cmd::service::jobs(&context, args),
        Command::State(command) => cmd::ledger::run(&context, command),
        Command::Lock(LockCommand::Show(args)) => cmd::ledger::lock(&context, &args),
        Command::Completions(args) => cmd::shipped::completions(&context, &args),
        Command::Man(args) => cmd::shipped::man(&context, &args),
        Command::Schema(args) => cmd::shipped::schema(&context, &args),
        Command::Help(args) => cmd::shipped::help(&context, &args),
        Command::Version => cmd::shipped::version(&context),
        #[cfg(feature = "sim")]
        Command::Sim(args) => cmd::sim::run(&context, &args),
    };
    ended.unwrap_or_else(|error| failed(&error, shell))
}

fn failed(error: &OpError, shell: Shell) -> u8 {
    shell.message(&render::error(error, shell.messages));
    exit::for_error(error)
}

/// Help and version are results; everything else is a wrong command line, which
/// must not share a code with pending changes.
fn not_parsed(error: &clap::Error, args: &[OsString], env: &Env) -> u8 {
    let shell = Shell::new(super::args::When::Auto, env);
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            if shell.document(error.to_string()) {
                exit::DONE
            } else {
                exit::FAILED
            }
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            shell.message(&error.to_string());
            exit::USAGE
        }
        _ => {
            let text = given::key_among(args).unwrap_or_else(|| usage::explain(error, args));
            shell.message(&text);
            exit::USAGE
        }
    }
}

/// Starts the log on standard error. Only drspass speaks: what libraries log at
/// their finest may hold bytes of a request.
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
