//! The command line as it is parsed and shown: what derives from the types, with
//! examples, and the options of every command on a page of their own.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use super::Cli;
use crate::cli::exit;

/// The name of the page with the options of every command.
pub(in crate::cli) const GLOBAL: &str = "global";

/// Where these options are shown.
const POINTER: &str = "Options of every command: drspass help global";

/// Commands to copy, by the command that they are examples of.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "init",
        &[
            "drspass init -i key.txt --region eu-de --project-id 054ba152d480d55b2f5dc0069e7ddef0",
            "drspass init -i key.txt --from-jobs --region eu-de --project-id ID",
        ],
    ),
    ("encrypt", &["drspass encrypt passwords.yaml"]),
    ("edit", &["drspass edit", "EDITOR=nano drspass edit"]),
    (
        "decrypt",
        &["drspass decrypt", "drspass decrypt -o passwords.yaml"],
    ),
    (
        "set",
        &[
            "drspass set orders-cdc/source",
            "drspass set @orders-db --generate",
        ],
    ),
    ("unset", &["drspass unset billing/source"]),
    (
        "import",
        &[
            "drspass import rotated.csv",
            "drspass import rotated.csv --write",
        ],
    ),
    (
        "validate",
        &["drspass validate", "drspass validate --require-encrypted"],
    ),
    ("show", &["drspass show", "drspass show plan.json"]),
    ("recipients", &["drspass recipients"]),
    ("rekey", &["drspass rekey", "drspass rekey --new-key"]),
    (
        "plan",
        &[
            "drspass plan",
            "drspass plan --only orders-cdc '@orders-db'",
            "drspass -C envs/production plan --out plan.json",
        ],
    ),
    (
        "apply",
        &[
            "drspass apply",
            "drspass apply plan.json",
            "drspass apply --only billing/source --auto-approve",
        ],
    ),
    (
        "whoami",
        &["drspass whoami", "drspass whoami --cloud rotation"],
    ),
    ("jobs", &["drspass jobs", "drspass jobs --json"]),
    ("state list", &["drspass state list"]),
    ("state show", &["drspass state show 'orders-*'"]),
    ("state rm", &["drspass state rm --unlisted"]),
    ("state adopt", &["drspass state adopt billing/source"]),
    ("state distrust", &["drspass state distrust"]),
    (
        "state recover",
        &["drspass state recover drspass.state.json.recovery-20261129"],
    ),
    ("lock show", &["drspass lock show"]),
    (
        "completions",
        &["drspass completions bash > ~/.local/share/bash-completion/completions/drspass"],
    ),
    (
        "man",
        &[
            "drspass man | man -l -",
            "drspass man --dir ~/.local/share/man/man1",
        ],
    ),
    ("schema", &["drspass schema", "drspass schema plan-output"]),
    ("help", &["drspass help plan", "drspass help global"]),
    (
        "sim",
        &["drspass sim --port 18080 --scenario examples/scenarios/one-refused.yaml"],
    ),
];

/// What somebody does first, and then every day.
pub(in crate::cli) const OVERVIEW: &[&str] = &[
    "drspass init -i key.txt --region eu-de --project-id 054ba152d480d55b2f5dc0069e7ddef0",
    "drspass edit",
    "drspass plan",
    "drspass apply",
];

/// The examples of a command, named without the program.
pub(in crate::cli) fn examples(name: &str) -> &'static [&'static str] {
    let found = EXAMPLES.iter().find(|(known, _)| *known == name);
    found.map_or(&[], |(_, examples)| examples)
}

/// The whole command line.
pub(in crate::cli) fn command() -> clap::Command {
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

/// A command with what is below its options: examples, or the same for the commands
/// below it.
fn with_help(command: clap::Command, name: &str) -> clap::Command {
    let mut help = command
        .get_after_help()
        .map_or_else(String::new, |text| format!("{text}\n\n"));
    let examples = examples(name);
    if !examples.is_empty() {
        help.push_str("Examples:\n");
    }
    for example in examples {
        let _ = writeln!(help, "  {example}");
    }
    if !examples.is_empty() {
        help.push('\n');
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
