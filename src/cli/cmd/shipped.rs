//! `completions`, `man`, `schema`, `help` and `version`.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use clap_mangen::Man as Page;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::context::Context;
use crate::cli::exit;
use crate::ops::OpError;
use crate::sys::files;

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// bash, elvish, fish, powershell or zsh
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write drspass.1 and a page for each command to this existing directory
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Name of the format, such as plan-output; without it, list all names
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(SCHEMAS.map(|(name, _)| name)))]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub struct HelpArgs {
    /// Command, such as apply or state rm; or global, for the options of every command
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
}

macro_rules! shipped {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../../schemas/", $name, ".schema.json")),
        )
    };
}

pub const SCHEMAS: [(&str, &str); 18] = [
    shipped!("apply-output"),
    shipped!("config"),
    shipped!("gitlab-report"),
    shipped!("index"),
    shipped!("jobs-output"),
    shipped!("journal"),
    shipped!("lock-output"),
    shipped!("manifest"),
    shipped!("plan"),
    shipped!("plan-output"),
    shipped!("recipients-output"),
    shipped!("rotation-output"),
    shipped!("scenario"),
    shipped!("show-output"),
    shipped!("state"),
    shipped!("state-output"),
    shipped!("validate-output"),
    shipped!("whoami-output"),
];

const VARIABLES: &str = include_str!("environment.txt");

const FILES: &str = include_str!("files.txt");

fn shown(context: &Context<'_>, document: impl AsRef<[u8]>) -> Result<u8, OpError> {
    Ok(exit::written(context.shell.document(document), exit::DONE))
}

pub fn completions(context: &Context<'_>, args: &CompletionsArgs) -> Result<u8, OpError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::program(), "drspass", &mut script);
    shown(context, script)
}

pub fn schema(context: &Context<'_>, args: &SchemaArgs) -> Result<u8, OpError> {
    let Some(name) = &args.name else {
        let names: String = SCHEMAS
            .iter()
            .map(|(name, _)| format!("{name}\n"))
            .collect();
        return Ok(exit::written(context.shell.result(&names), exit::DONE));
    };
    let (_, schema) = SCHEMAS
        .iter()
        .find(|(known, _)| known == name)
        .unwrap_or(&SCHEMAS[0]);
    shown(context, schema)
}

pub fn version(context: &Context<'_>) -> Result<u8, OpError> {
    shown(context, super::command().render_version())
}

pub fn help(context: &Context<'_>, args: &HelpArgs) -> Result<u8, OpError> {
    let mut program = super::command();
    program.build();
    if args.command.len() == 1 && args.command[0] == super::GLOBAL {
        let mut page = program
            .mut_args(|arg| {
                let is_global = arg.is_global_set();
                arg.hide(!is_global)
            })
            .about("Options of every command, before or after its name")
            .help_template("{about}\n\n{options}");
        return shown(context, page.render_help().to_string());
    }
    let mut found = &mut program;
    for word in &args.command {
        match found.find_subcommand_mut(word) {
            Some(below) => found = below,
            None => {
                let error =
                    "error: unknown command\n  help: run 'drspass help' to list all commands\n";
                context.shell.message(error);
                return Ok(exit::USAGE);
            }
        }
    }
    let page = match args.command.as_slice() {
        [] => found.render_long_help(),
        _ => found.render_help(),
    };
    shown(context, page.to_string())
}

pub fn man(context: &Context<'_>, args: &ManArgs) -> Result<u8, OpError> {
    let mut program = super::program();
    program.build();
    let Some(folder) = &args.dir else {
        let page = page(&program).map_err(OpError::write("drspass.1"))?;
        return shown(context, page);
    };
    let count = write_pages(&program, &context.folder.join(folder))?;
    let folder = folder.display();
    context
        .shell
        .message(&format!("wrote {count} pages to {folder}\n"));
    Ok(exit::DONE)
}

fn write_pages(command: &clap::Command, folder: &Path) -> Result<usize, OpError> {
    let path = folder.join(format!("{}.1", full_name(command)));
    let write = || files::write_unlinked(&path, &page(command)?);
    write().map_err(OpError::write(&path))?;
    let mut count = 1;
    for command in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        count += write_pages(command, folder)?;
    }
    Ok(count)
}

fn full_name(command: &clap::Command) -> &str {
    let name = command.get_display_name();
    name.unwrap_or_else(|| command.get_name())
}

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let name = full_name(command).to_owned();
    let page = Page::new(command.clone().display_name(&name).after_help(""))
        .title(name.to_uppercase())
        .source(concat!("drspass ", env!("CARGO_PKG_VERSION")))
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
    let mut more = Roff::new();
    let words = name.split('-').skip(1).collect::<Vec<_>>().join(" ");
    let examples = super::examples(&words);
    if !examples.is_empty() {
        more.control("SH", ["EXAMPLES"]);
        more.control("nf", []);
        for example in examples {
            more.text([roman(example)]);
        }
        more.control("fi", []);
    }
    let terms = |text: &'static str| text.lines().filter_map(|line| line.split_once(": "));
    section(&mut more, "ENVIRONMENT", terms(VARIABLES));
    section(&mut more, "FILES", terms(FILES));
    let codes = exit::TABLE.iter();
    let codes = codes.map(|(code, meaning)| (code.to_string(), meaning.replace('`', "")));
    section(&mut more, "EXIT STATUS", codes);
    more.control("PP", []);
    more.text([roman(exit::ORDER)]);
    more.control("SH", ["SEE ALSO"]);
    let above = name.rsplit_once('-').map(|(above, _)| above.to_owned());
    let below = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set());
    let below = below.map(|below| format!("{name}-{}", below.get_name()));
    let related = super::related(&words).map(|other| format!("drspass-{other}"));
    let others = ["age".to_owned(), "git".to_owned()];
    let pages = above.into_iter().chain(below).chain(related).chain(others);
    let pages: Vec<String> = pages.map(|page| format!("{page}(1)")).collect();
    more.text([roman(pages.join(", "))]);
    more.to_writer(&mut text)?;
    Ok(text)
}

fn section<T: Into<String>>(page: &mut Roff, title: &str, terms: impl Iterator<Item = (T, T)>) {
    page.control("SH", [title]);
    for (term, meaning) in terms {
        page.control("TP", []);
        page.text([bold(term)]);
        page.text([roman(meaning)]);
    }
}
