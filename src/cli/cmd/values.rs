//! `set`, `unset` and `import`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use crate::age_file::NoPassphrase;
use crate::authoring::Taken;
use crate::authoring::table::Format;
use crate::authoring::value::{self, Alphabet, NoValue};
use crate::cli::args::length;
use crate::cli::context::{Context, is_stream, read_named};
use crate::cli::env;
use crate::cli::exit;
use crate::cli::prompt;
use crate::core::fingerprint::Field;
use crate::core::manifest::MAX_VALUE_BYTES;
use crate::core::problem::Problem;
use crate::core::report::Effect;
use crate::core::secret::Secret;
use crate::core::yaml;
use crate::ops::OpError;
use crate::ops::error::{ErrorClass, Failure};
use crate::ops::rewrite::{self, ImportTerms};
use crate::ops::root::Root;
use crate::view::listing;

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("source").args(["from_file", "generate"]))]
#[command(after_help = "\
Without --from-file and --generate the value is typed twice on the terminal.
It is read from the terminal itself, never from standard input.")]
pub struct SetArgs {
    /// A job's id or name with /source or /destination, or @CREDENTIAL
    #[arg(value_name = "ADDR")]
    pub address: String,
    /// Also add a job, named by its id, an endpoint or a credential that is not listed yet
    #[arg(long)]
    pub add: bool,
    /// What to set
    #[arg(long, value_name = "FIELD", default_value = "password")]
    pub field: Field,
    /// Take the value from this file, or from standard input for -. All of it counts
    /// but one line end at its end (a krb5_conf_file keeps that); a keytab is encoded
    /// as base64
    #[arg(long, value_name = "FILE")]
    pub from_file: Option<PathBuf>,
    /// Make up a password and show it nowhere
    #[arg(long)]
    pub generate: bool,
    /// How many characters it has, 8 to 128; Oracle takes no more than 30
    #[arg(
        long,
        value_name = "N",
        default_value_t = value::USUAL_LENGTH,
        value_parser = length,
        requires = "generate"
    )]
    pub length: usize,
    /// Which characters it has
    #[arg(
        long,
        value_name = "NAME",
        default_value = "alnum",
        requires = "generate"
    )]
    pub alphabet: Alphabet,
}

#[derive(Debug, Args)]
pub struct UnsetArgs {
    /// A job's id or name with /source or /destination, or a @CREDENTIAL that no
    /// endpoint uses
    #[arg(value_name = "ADDR")]
    pub address: String,
    /// What to remove; for password the whole endpoint
    #[arg(long, value_name = "FIELD", default_value = "password")]
    pub field: Field,
}

#[derive(Debug, Args)]
#[command(after_help = "\
CSV begins with the line `address,password`; a third column `field` may name
kerberos fields, whose values stand in the column password. JSON is an object
of addresses, each with a password or with an object of fields:
  {\"orders/source\": \"…\", \"@orders-db\": {\"password\": \"…\"}}
Values are taken exactly as they stand there.")]
pub struct ImportArgs {
    /// The file, in plain text; - reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write the manifest; without it only shows what would change
    #[arg(long)]
    pub write: bool,
    /// Also add jobs (by their id), endpoints and credentials that the manifest does not list
    #[arg(long)]
    pub add: bool,
    /// How the file is written, where neither its name nor its beginning tells
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
}

impl ValueEnum for Field {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Password,
            Self::Krb5ConfFile,
            Self::KeyTabFile,
            Self::DomainName,
            Self::UserPrincipal,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Password => "The database password",
            Self::Krb5ConfFile => "The kerberos configuration file",
            Self::KeyTabFile => "The keytab",
            Self::DomainName => "The kerberos domain",
            Self::UserPrincipal => "The kerberos user",
        };
        Some(PossibleValue::new(self.as_str()).help(help))
    }
}

const UNTOUCHED: &str = "Nothing was written.";

pub fn set(context: &Context<'_>, args: &SetArgs) -> Result<u8, OpError> {
    let field = args.field;
    if args.generate && field != Field::Password {
        return Ok(context.conflict("--generate makes up passwords only"));
    }
    let is_typed = !args.generate && args.from_file.is_none();
    if is_typed && field.is_file() {
        let what = "this field is a file, which --from-file names";
        return Ok(context.conflict(what));
    }
    if is_typed && !prompt::has_terminal() {
        return Err(Failure::new(
            "drspass::value::no_terminal",
            "there is no terminal to type the value on",
            "Nothing was written. Give the value with --from-file FILE (- reads standard input), or make one up with --generate.",
        )
        .class(ErrorClass::NotApproved)
        .into());
    }
    let root = context.root_with_warnings()?;
    let value = |label: &str| match &args.from_file {
        Some(path) => from_file(&root, field, path),
        None if args.generate => Ok(value::generate(
            args.length,
            args.alphabet,
            &mut env::random::<64>,
        )),
        None => typed(label, field),
    };
    let confirm = |remarks: &[Problem]| {
        context.warn(root.manifest_name(), remarks);
        if !is_typed || remarks.is_empty() {
            return Ok(());
        }
        prompt::confirm("Set it as it was typed?", UNTOUCHED)
    };
    let done = rewrite::set(
        &root,
        &context.unlock(),
        &context.guards(),
        (&args.address, field, taken(args.add)),
        value,
        confirm,
    )?;
    context.warn(root.manifest_name(), &done.warnings);
    let place = format!("{} {field}", done.label);
    let users = done.users.map(listing::used_by).unwrap_or_default();
    let text = match (done.effect, done.revision) {
        (Effect::Added, Some(revision)) => format!("added {place}{users}; revision {revision}\n"),
        (_, Some(revision)) => format!("set {place}{users}; revision {revision}\n"),
        (_, None) => format!("unchanged: {place}{users}\n"),
    };
    let arrived = context.shell.result(&text);
    if args.generate {
        let told = "The password was made up and is shown nowhere; 'drspass decrypt' shows it.\n";
        context.shell.message(told);
    }
    if done.revision.is_none() {
        return Ok(exit::written(arrived, exit::DONE));
    }
    context.next_step();
    Ok(context.stands(arrived, exit::DONE))
}

pub fn unset(context: &Context<'_>, args: &UnsetArgs) -> Result<u8, OpError> {
    let field = args.field;
    let root = context.root_with_warnings()?;
    let done = rewrite::unset(
        &root,
        &context.unlock(),
        &context.guards(),
        (&args.address, field),
    )?;
    context.warn(root.manifest_name(), &done.warnings);
    let mut text = format!("removed {}", done.label);
    if field != Field::Password {
        let _ = write!(text, " {field}");
    }
    let _ = writeln!(text, "; revision {}", done.revision);
    let arrived = context.shell.result(&text);
    if done.is_known_to_drs {
        let told = "DRS is not told: it keeps what it has, and drspass manages that no more.\n";
        context.shell.message(told);
    }
    Ok(context.stands(arrived, exit::DONE))
}

pub fn import(context: &Context<'_>, args: &ImportArgs) -> Result<u8, OpError> {
    let root = context.root_with_warnings()?;
    let (name, bytes) = read_named(&root, &args.file, yaml::MAX_BYTES)?;
    let terms = ImportTerms {
        format: args.format,
        taken: taken(args.add),
        writes: args.write,
    };
    let done = rewrite::import(
        &root,
        &context.unlock(),
        &context.guards(),
        (&name, &bytes),
        terms,
    )?;
    context.warn(&name, &done.file_warnings);
    context.warn(root.manifest_name(), &done.warnings);
    let mut text = listing::import(&done.report);
    let manifest = root.manifest_name().display();
    match done.report.revision {
        Some(revision) => {
            let _ = writeln!(text, "wrote {manifest}, revision {revision}");
        }
        None if done.report.changes() == 0 => text.push_str("nothing to write\n"),
        None => {}
    }
    let arrived = context.shell.result(&text);
    if !args.write && done.report.changes() > 0 {
        let told = "Nothing was written: run it again with --write.\n";
        context.shell.message(told);
    }
    if args.write && !is_stream(&args.file) {
        let name = name.display();
        let told = format!("Remove {name} now: it holds the values in plain text.\n");
        context.shell.message(&told);
    }
    if done.report.revision.is_none() {
        return Ok(exit::written(arrived, exit::DONE));
    }
    context.next_step();
    Ok(context.stands(arrived, exit::DONE))
}

const fn taken(add: bool) -> Taken {
    if add { Taken::New } else { Taken::Listed }
}

fn from_file(root: &Root, field: Field, path: &Path) -> Result<Secret, OpError> {
    // One more for a line end, which is no part of the value; base64 may stand on
    // lines of any length.
    let (path, bytes) = read_named(root, path, 2 * MAX_VALUE_BYTES)?;
    let value = value::from_file(field, &bytes);
    value.map_err(|NoValue { what, help }| {
        Failure::new(
            "drspass::value::file",
            format!("{} {what}", path.display()),
            format!("Nothing was written. {help}"),
        )
        .into()
    })
}

fn not_typed() -> OpError {
    Failure::new(
        "drspass::value::not_typed",
        "no value was typed",
        "Nothing was written. Type the value, or name a file with --from-file.",
    )
    .into()
}

fn typed(label: &str, field: Field) -> Result<Secret, OpError> {
    let ask = |question: &str| {
        prompt::type_hidden(question).map_err(|error| match error {
            NoPassphrase::Interrupted => OpError::Cancelled(UNTOUCHED),
            NoPassphrase::Unclear => Failure::new(
                "drspass::value::unclear",
                "what was typed holds a key that is no character, or no UTF-8 text",
                "Nothing was written. Type it again, or name a file that holds it with --from-file.",
            )
            .into(),
            NoPassphrase::Declined | NoPassphrase::Nobody => not_typed(),
        })
    };
    let mut first = ask(&format!("New {field} of {label}: "))?;
    if first.is_empty() {
        return Err(not_typed());
    }
    let second = ask("The same again: ")?;
    if *first != *second {
        return Err(Failure::new(
            "drspass::value::mismatch",
            "the two values differ",
            "Nothing was written. Type the same value twice.",
        )
        .into());
    }
    Ok(Secret::new(std::mem::take(&mut *first)))
}
