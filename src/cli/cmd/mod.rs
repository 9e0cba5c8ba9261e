//! The commands: their arguments, help and execution. No option takes a secret.

pub mod apply;
pub mod edit;
pub mod init;
pub mod manifest;
pub mod merge;
pub mod plan;
pub mod rotation;
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
use self::manifest::{
    DecryptArgs, EncryptArgs, GetArgs, IndexArgs, RecipientsArgs, RekeyArgs, ShowArgs, ValidateArgs,
};
use self::merge::MergeArgs;
use self::plan::PlanArgs;
use self::rotation::RotationArgs;
use self::service::{JobsArgs, ServiceArgs};
use self::shipped::{CompletionsArgs, HelpArgs, ManArgs, SchemaArgs};
#[cfg(feature = "sim")]
use self::sim::SimArgs;
use self::state::{LockCommand, StateCommand};
use self::values::{ImportArgs, SetArgs, UnsetArgs};
use super::args::GlobalOptions;
use super::context::Context;
use super::exit;
use crate::ops::OpError;

/// Update database passwords in DRS jobs from an encrypted manifest, as a reviewed change
#[derive(Debug, Parser)]
#[command(
    name = "drspass",
    version,
    propagate_version = false,
    max_term_width = 80,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true,
    override_usage = "drspass [OPTIONS] <COMMAND>",
    disable_help_flag = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalOptions,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole loop against a simulated service
    #[cfg(feature = "sim")]
    Demo,
    /// Create a root directory: drspass.yaml and an encrypted manifest
    Init(InitArgs),
    /// Encrypt a plaintext manifest
    Encrypt(EncryptArgs),
    /// Edit the manifest in $VISUAL, $EDITOR, vi or nano
    Edit,
    /// Print the manifest in plain text, or write it to a new file
    Decrypt(DecryptArgs),
    /// Write one password to a pipe or a file
    Get(GetArgs),
    /// Set one password or Kerberos field in the manifest
    Set(SetArgs),
    /// Remove an endpoint, a Kerberos field or an unused credential
    Unset(UnsetArgs),
    /// Set passwords from a CSV or JSON file; without --write, a dry run
    Import(ImportArgs),
    /// Print the index of the manifest, or write it
    Index(IndexArgs),
    /// Merge the manifest where git stopped with a conflict in it
    Merge(MergeArgs),
    /// Check drspass.yaml, the manifest and its index
    Validate(ValidateArgs),
    /// List the entries of the manifest, or show a saved plan
    Show(ShowArgs),
    /// Show who can read the manifest
    Recipients(RecipientsArgs),
    /// Encrypt the manifest to the recipients and seal the target
    Rekey(RekeyArgs),
    /// Show what apply would send
    Plan(PlanArgs),
    /// Send the passwords that differ and record each outcome
    Apply(ApplyArgs),
    /// Show which login is used, for which user and project
    Whoami(ServiceArgs),
    /// List the jobs of the project and the endpoints in the manifest
    Jobs(JobsArgs),
    /// Inspect and change the state
    #[command(subcommand)]
    State(StateCommand),
    /// Show since when each password is set
    Rotation(RotationArgs),
    /// Inspect the lock, or end that of a lost run
    #[command(subcommand)]
    Lock(LockCommand),
    /// Print shell completions
    Completions(CompletionsArgs),
    /// Print the man page, or write a page for each command
    Man(ManArgs),
    /// Print the JSON Schema of a format, or list the formats
    Schema(SchemaArgs),
    /// Show help for a command, or the global options (help global)
    Help(HelpArgs),
    /// Print the version
    Version,
    /// Run a simulated DRS service on this machine, for rehearsals
    #[cfg(feature = "sim")]
    Sim(SimArgs),
}

pub fn run(command: Command, context: &Context<'_>) -> Result<u8, OpError> {
    match command {
        #[cfg(feature = "sim")]
        Command::Demo => sim::demo(context),
        Command::Init(args) => init::run(context, &args),
        Command::Encrypt(args) => manifest::encrypt(context, args),
        Command::Edit => edit::run(context),
        Command::Decrypt(args) => manifest::decrypt(context, &args),
        Command::Get(args) => manifest::get(context, &args),
        Command::Set(args) => values::set(context, &args),
        Command::Unset(args) => values::unset(context, &args),
        Command::Import(args) => values::import(context, &args),
        Command::Index(args) => manifest::index(context, &args),
        Command::Merge(args) => merge::run(context, &args),
        Command::Validate(args) => manifest::validate(context, &args),
        Command::Show(args) => manifest::show(context, &args),
        Command::Recipients(args) => manifest::recipients(context, &args),
        Command::Rekey(args) => manifest::rekey(context, &args),
        Command::Plan(args) => plan::run(context, args),
        Command::Apply(args) => apply::run(context, args),
        Command::Whoami(args) => service::whoami(context, args),
        Command::Jobs(args) => service::jobs(context, args),
        Command::State(command) => state::run(context, command),
        Command::Rotation(args) => rotation::run(context, &args),
        Command::Lock(LockCommand::Show(args)) => state::lock(context, &args),
        Command::Lock(LockCommand::Release(args)) => state::release(context, &args),
        Command::Completions(args) => shipped::completions(context, &args),
        Command::Man(args) => shipped::man(context, &args),
        Command::Schema(args) => shipped::schema(context, &args),
        Command::Help(args) => shipped::help(context, &args),
        Command::Version => shipped::version(context),
        #[cfg(feature = "sim")]
        Command::Sim(args) => sim::sim(context, &args),
    }
}

pub const GLOBAL: &str = "global";

const POINTER: &str = "Options of every command: drspass help global";

/// The headings in the help of the program, each before its commands.
const GROUPS: &str = "\
Set up: demo init recipients rekey
Passwords: edit get set unset import show validate index merge encrypt decrypt
Plan and apply: plan apply
State: state rotation lock
Service: whoami jobs sim
Shell: completions man schema help version
";

/// Returns the other commands under the heading of a command.
pub fn related(name: &str) -> impl Iterator<Item = &'static str> {
    let groups = GROUPS.lines().filter_map(|line| line.split_once(": "));
    let groups = groups.map(|(_, names)| names.split(' '));
    let groups = groups.filter(move |names| names.clone().any(|other| other == name));
    groups.flatten().filter(move |other| *other != name)
}

/// Examples, each after its command.
const EXAMPLES: &str = include_str!("examples.txt");

pub fn examples(name: &str) -> Vec<&'static str> {
    let all = EXAMPLES.lines().filter_map(|line| line.split_once(": "));
    all.filter_map(|(command, example)| (command == name).then_some(example))
        .collect()
}

/// The command line as it is parsed: the help of commands does not repeat global options.
pub fn command() -> clap::Command {
    program().mut_args(|arg| {
        let is_global = arg.is_global_set();
        arg.hide(is_global)
    })
}

/// The command line with all options visible, for completions and man pages.
pub fn program() -> clap::Command {
    let program = with_layout(Cli::command())
        .after_help(POINTER)
        .after_long_help(format!("{POINTER}\n\n{}", exit::help()));
    let program = with_list(program, GROUPS);
    let names = names(&program);
    names.iter().fold(program, |program, name| {
        program.mut_subcommand(name, |below| with_help(below, name))
    })
}

/// Puts help on its own line; the help of an option describes its values.
fn with_layout(command: clap::Command) -> clap::Command {
    let command = command.next_line_help(true);
    command.mut_args(|arg| {
        let takes_values = arg.get_action().takes_values();
        arg.hide_possible_values(takes_values)
    })
}

/// Lists the commands under headings, one line each.
fn with_list(command: clap::Command, groups: &str) -> clap::Command {
    let mut page = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (heading, names) in groups.lines().filter_map(|line| line.split_once(": ")) {
        let _ = write!(page, "\n{heading}:\n");
        let names = names.split(' ');
        for below in names.filter_map(|name| command.find_subcommand(name)) {
            let about = below.get_about().cloned().unwrap_or_default();
            let _ = writeln!(page, "  {:12} {about}", below.get_name());
        }
    }
    command.help_template(page.trim_end().to_owned() + "{after-help}")
}

fn names(command: &clap::Command) -> Vec<String> {
    let below = command.get_subcommands();
    below.map(|below| below.get_name().to_owned()).collect()
}

/// Adds examples to the help of a command and of its subcommands.
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
    let mut command = with_layout(command).after_help(help);
    if !below.is_empty() {
        command = with_list(command, &format!("Commands: {}", below.join(" ")));
    }
    below.iter().fold(command, |command, word| {
        let name = format!("{name} {word}");
        command.mut_subcommand(word, |below| with_help(below, &name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_lists_every_command_once() {
        let groups = GROUPS.lines().filter_map(|line| line.split_once(": "));
        let mut listed: Vec<&str> = groups.flat_map(|it| it.1.split(' ')).collect();
        let mut names = names(&Cli::command());
        listed.sort_unstable();
        names.sort_unstable();
        if cfg!(feature = "sim") {
            assert_eq!(listed, names);
        }
    }

    #[test]
    fn every_example_is_a_command_of_its_heading() {
        for (name, example) in EXAMPLES.lines().filter_map(|line| line.split_once(": ")) {
            let inside = example.split(')').next().unwrap_or_default();
            let words = inside
                .split([' ', '\'', '('])
                .filter(|word| !word.is_empty());
            let words = words.take_while(|word| !["|", "<", ">"].contains(word));
            let words = words.skip_while(|word| word.contains('='));
            let words: Vec<&str> = words.collect();
            assert!(
                words[1..].starts_with(&name.split_whitespace().collect::<Vec<_>>()),
                "{example}"
            );
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{example}: {error}");
            }
        }
    }
}
