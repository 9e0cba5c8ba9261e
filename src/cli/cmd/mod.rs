//! The command line: names, help texts, which words go together, and one function for
//! each command. No option takes a secret.

pub mod apply;
#[cfg(feature = "sim")]
pub mod demo;
pub mod edit;
pub mod init;
pub mod manifest;
pub mod plan;
pub mod recipients;
pub mod service;
pub mod shipped;
#[cfg(feature = "sim")]
pub mod sim;
pub mod state;
pub mod values;

use std::fmt::Write as _;

use clap::{CommandFactory as _, Parser, Subcommand};

use self::apply::ApplyArgs;
use self::init::InitArgs;
use self::manifest::{DecryptArgs, EncryptArgs, ShowArgs, ValidateArgs};
use self::plan::PlanArgs;
use self::recipients::{RecipientsArgs, RekeyArgs};
use self::service::ServiceArgs;
use self::shipped::{CompletionsArgs, HelpArgs, ManArgs, SchemaArgs};
#[cfg(feature = "sim")]
use self::sim::SimArgs;
use self::state::{LockCommand, StateCommand};
use self::values::{ImportArgs, SetArgs, UnsetArgs};
use super::args::GlobalOptions;
use super::context::Context;
use super::exit;
use crate::ops::OpError;

/// Tell DRS jobs the rotated passwords of their databases, as a reviewed change.
#[derive(Debug, Parser)]
#[command(
    name = "drspass",
    version,
    propagate_version = false,
    max_term_width = 80,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalOptions,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole loop against a simulated service, in a temporary directory
    #[cfg(feature = "sim")]
    Demo,
    /// Make a root folder: drspass.yaml and an encrypted manifest to fill in
    Init(InitArgs),
    /// Seal a plaintext manifest
    Encrypt(EncryptArgs),
    /// Change the manifest with your editor ($VISUAL, $EDITOR, vi or nano)
    Edit,
    /// Write the plain text of the manifest to standard output, or to a new file
    Decrypt(DecryptArgs),
    /// Set one value of the manifest, and leave everything else in it as it is
    Set(SetArgs),
    /// Remove an endpoint, a kerberos field or a credential from the manifest
    Unset(UnsetArgs),
    /// Set the values that a CSV or JSON file lists; shows what would change first
    Import(ImportArgs),
    /// Check drspass.yaml and the manifest
    Validate(ValidateArgs),
    /// List what the manifest sets, without any value; or show a saved plan
    Show(ShowArgs),
    /// Show who can read the manifest, as far as it can be known
    Recipients(RecipientsArgs),
    /// Encrypt the manifest to the recipients of drspass.yaml, sealed for its target
    Rekey(RekeyArgs),
    /// Show what an apply would send
    Plan(PlanArgs),
    /// Send what differs, and record what became of it
    Apply(ApplyArgs),
    /// Show which login is used, and what it is for
    Whoami(ServiceArgs),
    /// List the jobs of the project, and whether the manifest sets their passwords
    Jobs(ServiceArgs),
    /// Look into the state
    #[command(subcommand)]
    State(StateCommand),
    /// Look at the lock
    #[command(subcommand)]
    Lock(LockCommand),
    /// Write the completions of a shell to standard output
    Completions(CompletionsArgs),
    /// Write the man page to standard output, or a page of each command to a folder
    Man(ManArgs),
    /// Write the JSON Schema of a format to standard output, or list their names
    Schema(SchemaArgs),
    /// Show the help of a command, or the options of every command: help global
    Help(HelpArgs),
    /// Show the version
    Version,
    /// Run a DRS service to rehearse against, on this machine only
    #[cfg(feature = "sim")]
    Sim(SimArgs),
}

pub fn run(command: Command, context: &Context<'_>) -> Result<u8, OpError> {
    match command {
        #[cfg(feature = "sim")]
        Command::Demo => demo::run(context),
        Command::Init(args) => init::run(context, &args),
        Command::Encrypt(args) => manifest::encrypt(context, args),
        Command::Edit => edit::run(context),
        Command::Decrypt(args) => manifest::decrypt(context, &args),
        Command::Set(args) => values::set(context, &args),
        Command::Unset(args) => values::unset(context, &args),
        Command::Import(args) => values::import(context, &args),
        Command::Validate(args) => manifest::validate(context, &args),
        Command::Show(args) => manifest::show(context, &args),
        Command::Recipients(args) => recipients::recipients(context, &args),
        Command::Rekey(args) => recipients::rekey(context, &args),
        Command::Plan(args) => plan::run(context, args),
        Command::Apply(args) => apply::run(context, args),
        Command::Whoami(args) => service::whoami(context, args),
        Command::Jobs(args) => service::jobs(context, args),
        Command::State(command) => state::run(context, command),
        Command::Lock(LockCommand::Show(args)) => state::lock(context, &args),
        Command::Completions(args) => shipped::completions(context, &args),
        Command::Man(args) => shipped::man(context, &args),
        Command::Schema(args) => shipped::schema(context, &args),
        Command::Help(args) => shipped::help(context, &args),
        Command::Version => shipped::version(context),
        #[cfg(feature = "sim")]
        Command::Sim(args) => sim::run(context, &args),
    }
}

pub const GLOBAL: &str = "global";

const POINTER: &str = "Options of every command: drspass help global";

/// Examples, each behind its command.
const EXAMPLES: &str = "\
demo: drspass demo
init: drspass init -i key.txt --region eu-de --project-id 054ba152d480d55b2f5dc0069e7ddef0
init: drspass init -i key.txt --from-jobs --region eu-de --project-id ID
encrypt: drspass encrypt passwords.yaml
edit: drspass edit
edit: EDITOR=nano drspass edit
decrypt: drspass decrypt
decrypt: drspass decrypt -o passwords.yaml
set: drspass set orders-cdc/source
set: drspass set @orders-db --generate
unset: drspass unset billing/source
import: drspass import rotated.csv
import: drspass import rotated.csv --write
validate: drspass validate
validate: drspass validate --require-encrypted
show: drspass show
show: drspass show plan.json
recipients: drspass recipients
rekey: drspass rekey
rekey: drspass rekey --new-key
plan: drspass plan
plan: drspass plan --only orders-cdc '@orders-db'
plan: drspass -C envs/production plan --out plan.json
apply: drspass apply
apply: drspass apply plan.json
apply: drspass apply --only billing/source --auto-approve
whoami: drspass whoami
whoami: drspass whoami --cloud rotation
jobs: drspass jobs
jobs: drspass jobs --json
state list: drspass state list
state show: drspass state show 'orders-*'
state rm: drspass state rm --unlisted
state adopt: drspass state adopt billing/source
state distrust: drspass state distrust
state recover: drspass state recover drspass.state.json.recovery-20261129
lock show: drspass lock show
completions: drspass completions bash > ~/.local/share/bash-completion/completions/drspass
man: drspass man | man -l -
man: drspass man --dir ~/.local/share/man/man1
schema: drspass schema
schema: drspass schema plan-output
help: drspass help plan
help: drspass help global
sim: drspass sim --port 18080 --scenario examples/scenarios/one-refused.yaml
";

/// The examples of the program.
pub const OVERVIEW: &[&str] = &[
    "drspass init -i key.txt --region eu-de --project-id 054ba152d480d55b2f5dc0069e7ddef0",
    "drspass edit",
    "drspass plan",
    "drspass apply",
];

pub fn examples(name: &str) -> Vec<&'static str> {
    let all = EXAMPLES.lines().filter_map(|line| line.split_once(": "));
    all.filter_map(|(command, example)| (command == name).then_some(example))
        .collect()
}

pub fn command() -> clap::Command {
    let program = Cli::command().mut_args(|arg| {
        let is_global = arg.is_global_set();
        arg.hide_short_help(is_global).hide_long_help(is_global)
    });
    let program = program.after_help(format!("{POINTER}\n\n{}", exit::help()));
    let names = names(&program);
    names.iter().fold(program, |program, name| {
        program.mut_subcommand(name, |below| with_help(below, name))
    })
}

fn names(command: &clap::Command) -> Vec<String> {
    let below = command.get_subcommands();
    below.map(|below| below.get_name().to_owned()).collect()
}

/// Adds examples to the help of a command and of those below it.
fn with_help(command: clap::Command, name: &str) -> clap::Command {
    let mut help = command
        .get_after_help()
        .map_or_else(String::new, |text| format!("{text}\n\n"));
    let examples = examples(name);
    if !examples.is_empty() {
        let _ = writeln!(help, "Examples:\n  {}\n", examples.join("\n  "));
    }
    help.push_str(POINTER);
    let below = names(&command);
    below
        .iter()
        .fold(command.after_help(help), |command, word| {
            let name = format!("{name} {word}");
            command.mut_subcommand(word, |below| with_help(below, &name))
        })
}
