//! `completions`, `man` and `schema`: what is shipped inside the program.

use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_mangen::Man as Page;
use clap_mangen::roff::{Roff, roman};

use super::written;
use crate::cli::args::{Cli, Completions, Man, Schema};
use crate::cli::exit;
use crate::cli::run::Context;
use crate::files;
use crate::ops::OpError;

/// A schema with its name.
macro_rules! shipped {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../../schemas/", $name, ".schema.json")),
        )
    };
}

/// Every schema of `schemas/` by the name of its format.
const SCHEMAS: &[(&str, &str)] = &[
    shipped!("apply-output"),
    shipped!("config"),
    shipped!("gitlab-report"),
    shipped!("jobs-output"),
    shipped!("journal"),
    shipped!("manifest"),
    shipped!("plan"),
    shipped!("plan-output"),
    shipped!("recipients-output"),
    shipped!("state"),
    shipped!("state-output"),
    shipped!("validate-output"),
];

pub(in crate::cli) fn completions(
    context: &Context<'_>,
    args: &Completions,
) -> Result<u8, OpError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "drspass", &mut script);
    Ok(written(context.shell.result_bytes(&script), exit::DONE))
}

pub(in crate::cli) fn schema(context: &Context<'_>, args: &Schema) -> Result<u8, OpError> {
    let Some(name) = &args.name else {
        let names: String = SCHEMAS
            .iter()
            .map(|(name, _)| format!("{name}\n"))
            .collect();
        return Ok(written(context.shell.result(&names), exit::DONE));
    };
    match SCHEMAS.iter().find(|(known, _)| known == name) {
        Some((_, schema)) => Ok(written(context.shell.result(schema), exit::DONE)),
        None => {
            context.shell.message(
                "error: there is no such format\n  'drspass schema' lists what there is\n",
            );
            Ok(exit::USAGE)
        }
    }
}

pub(in crate::cli) fn man(context: &Context<'_>, args: &Man) -> Result<u8, OpError> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let Some(folder) = &args.dir else {
        let page = page(&program).map_err(|source| not_written(Path::new("drspass.1"), source))?;
        return Ok(written(context.shell.result_bytes(&page), exit::DONE));
    };
    let count = write_pages(&program, &context.folder.join(folder))?;
    let folder = folder.display();
    let shell = context.shell;
    shell.message(&format!("wrote {count} pages to {folder}\n"));
    Ok(exit::DONE)
}

/// Writes the page of a command and of each one below it, and counts them.
fn write_pages(command: &clap::Command, folder: &Path) -> Result<usize, OpError> {
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    let path = folder.join(format!("{name}.1"));
    let write = || files::write_unlinked(&path, &page(command)?);
    write().map_err(|source| not_written(&path, source))?;
    let mut count = 1;
    for command in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        count += write_pages(command, folder)?;
    }
    Ok(count)
}

fn not_written(path: &Path, source: io::Error) -> OpError {
    OpError::Write {
        path: path.to_owned(),
        source,
    }
}

/// The page of one command, with the exit codes that all share.
fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    let name = name.to_owned();
    // The exit codes have a section of their own.
    let page = Page::new(command.clone().display_name(&name).after_help(""))
        .title(name.to_uppercase())
        .manual("drspass");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    let mut codes = Roff::new();
    codes.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in exit::TABLE {
        codes.control("TP", []);
        codes.text([roman(code.to_string())]);
        codes.text([roman(meaning.replace('`', ""))]);
    }
    codes.control("PP", []);
    codes.text([roman(exit::ORDER)]);
    codes.to_writer(&mut text)?;
    Ok(text)
}
