//! One run: arguments in, exit code out.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::FromArgMatches as _;
use clap::error::ErrorKind;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::args::{self, Cli, Command, Global, LockCommand, Show};
use super::cmd;
use super::env::{self, Env};
use super::exit;
use super::given;
use super::render;
use super::shell::{Log, Shell};
use super::usage;
use crate::children::ChildEnv;
use crate::core::fingerprint::KeyId;
use crate::ops::OpError;
use crate::ops::root::{Guards, IdentitySource, Root};

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
            crate::testpoint::arm(&place);
        }
        if let Some(places) = env.var("DRSPASS_TEST_FAIL_AT") {
            crate::testpoint::arm_failures(&places);
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

/// What every command has at hand.
pub(super) struct Context<'a> {
    pub(super) env: &'a Env,
    pub(super) shell: Shell,
    pub(super) folder: PathBuf,
    pub(super) state: Option<PathBuf>,
    pub(super) identity_files: Vec<PathBuf>,
    pub(super) identities: IdentitySource,
    pub(super) ca_file: Option<PathBuf>,
    /// What programs that are started see of the environment.
    pub(super) children: ChildEnv,
    trusted_hosts: Vec<String>,
    expect_key_id: Option<KeyId>,
    max_changes: Option<u64>,
}

/// Variables of drspass that mean something else when they are empty than when they are
/// not set.
const SETTINGS: [&str; 4] = [
    "DRSPASS_EXPECT_KEY_ID",
    "DRSPASS_MAX_CHANGES",
    "DRSPASS_STATE",
    "DRSPASS_TRUSTED_HOSTS",
];

impl<'a> Context<'a> {
    fn new(global: &Global, env: &'a Env, shell: Shell) -> Result<Self, OpError> {
        // A pipeline whose setting was lost would run without a guard, or with another
        // state or key, and nobody would see it.
        if let Some(name) = SETTINGS.iter().find(|name| env.exact(name) == Some(Ok(""))) {
            return Err(OpError::Unfit {
                what: format!("{name} is empty"),
                help: "Nothing was sent. Give it a value, or unset it.",
            });
        }
        let set = env.exact("DRSPASS_EXPECT_KEY_ID");
        let expected = match &global.expect_key_id {
            Some(text) => Some(("--expect-key-id", text.as_str())),
            None => set.map(|text| ("DRSPASS_EXPECT_KEY_ID", text.unwrap_or_default())),
        };
        let expect_key_id = match expected {
            Some((name, text)) => Some(KeyId::parse(text).ok_or_else(|| OpError::Unfit {
                what: match text {
                    "" => format!("{name} is empty"),
                    _ => format!("{name} is not 32 lower-case hexadecimal digits"),
                },
                help: "Give it as 'drspass init' printed it; 'drspass validate' shows it again.",
            })?),
            None => None,
        };
        let max_changes = match env.var("DRSPASS_MAX_CHANGES") {
            Some(text) => Some(text.parse().map_err(|_| OpError::Unfit {
                what: "DRSPASS_MAX_CHANGES is not a whole number".to_owned(),
                help: "Give the most entries that one apply may change.",
            })?),
            None => None,
        };
        let mut trusted_hosts = global.trust_host.clone();
        if let Some(list) = env.var("DRSPASS_TRUSTED_HOSTS") {
            trusted_hosts.extend(list.split(',').map(|host| host.trim().to_owned()));
        }
        Ok(Self {
            env,
            shell,
            folder: global.directory.clone().unwrap_or_default(),
            state: global.state.clone().or_else(|| env.state()),
            identity_files: env.identity_files(&global.identity),
            identities: env.identities(&global.identity),
            ca_file: global.ca_file.clone(),
            children: env.for_children(),
            trusted_hosts,
            expect_key_id,
            max_changes,
        })
    }

    /// The root folder of this run. What a killed edit left is removed on the way, which
    /// is said.
    pub(super) fn root(&self) -> Result<Root, OpError> {
        let root = self.root_for_hooks()?;
        cmd::edit::sweep(self);
        Ok(root)
    }

    /// The root folder of a run that a hook started, which says nothing else.
    pub(super) fn root_for_hooks(&self) -> Result<Root, OpError> {
        Root::locate(&self.folder, self.state.as_deref())
    }

    /// What the user accepts.
    pub(super) fn guards(&self) -> Guards {
        Guards {
            trusted_hosts: self.trusted_hosts.clone(),
            expect_key_id: self.expect_key_id.clone(),
            allow_rollback: false,
            accept_new_key: None,
            max_changes: self.max_changes,
            override_limits: None,
        }
    }
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
