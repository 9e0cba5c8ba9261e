//! `set`, `unset` and `import`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use crate::age_file::NoPassphrase;
use crate::authoring::table::{self, Format, Placed};
use crate::authoring::value::{self, Alphabet};
use crate::authoring::{Change, Effect, ManifestText, Taken, ValuePlace, no_password};
use crate::cli::args::length;
use crate::cli::context::{Context, is_stream, read_named};
use crate::cli::env;
use crate::cli::exit;
use crate::cli::prompt;
use crate::core::fingerprint::Field;
use crate::core::manifest::{MAX_VALUE_BYTES, check_value};
use crate::core::problem::Problem;
use crate::core::secret::Secret;
use crate::core::yaml;
use crate::ops::OpError;
use crate::ops::error::{ErrorClass, Failure};
use crate::ops::rewrite::Rewrite;
use crate::ops::root::Root;
use crate::view::text;

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
    let rewrite = Rewrite::open(&root, &context.unlock(), &context.guards())?;
    let document = ManifestText::new(rewrite.text())?;
    let place = document
        .find(&args.address, field, taken(args.add))
        .map_err(no_place)?;
    let label = document.label(&place);
    if let ValuePlace::Endpoint { job, endpoint, .. } = &place
        && field != Field::Password
        && !document.has_endpoint(job, *endpoint)
    {
        return Err(no_place(no_password(&label)));
    }
    let users = document.users(&place);
    // Only when nothing else can stop the command is the value asked for.
    rewrite.try_change(&root)?;
    let value = match &args.from_file {
        Some(path) => from_file(&root, field, path)?,
        None if args.generate => {
            value::generate(args.length, args.alphabet, &mut env::random::<64>)
        }
        None => typed(&label, field)?,
    };
    let remarks = check_value(field, &value).map_err(|Problem { what, help, .. }| {
        let what = format!("the new value {what}");
        refused("drspass::value::refused", what, &help)
    })?;
    let place_name = format!("{label} {field}");
    let remarks = remarks.into_iter().map(|remark| remark.of(&place_name));
    let remarks: Vec<Problem> = remarks.collect();
    context.warn(root.manifest_name(), &remarks);
    if is_typed && !remarks.is_empty() {
        prompt::confirm("Set it as it was typed?", UNTOUCHED)?;
    }
    let changes = [Change { place, value }];
    let effect = document.effect(&changes[0]);
    let used_by = users.map(used_by).unwrap_or_default();
    let text = if effect == Effect::Same {
        format!("unchanged: {place_name}{used_by}\n")
    } else {
        let text = document.rewrite(&changes)?;
        let revision = save(context, &rewrite, &root, &text, &remarks)?;
        let done = if effect == Effect::Added {
            "added"
        } else {
            "set"
        };
        format!("{done} {place_name}{used_by}; revision {revision}\n")
    };
    // Nobody may read the output, and passwords are kept no longer than they are needed.
    drop((changes, document));
    drop(rewrite);
    let arrived = context.shell.result(&text);
    if args.generate {
        let told = "The password was made up and is shown nowhere; 'drspass decrypt' shows it.\n";
        context.shell.message(told);
    }
    if effect == Effect::Same {
        return Ok(exit::written(arrived, exit::DONE));
    }
    context.next_step();
    Ok(context.stands(arrived, exit::DONE))
}

/// Puts the new text in the place of the manifest, and shows the warnings that are new.
fn save(
    context: &Context<'_>,
    rewrite: &Rewrite<'_>,
    root: &Root,
    text: &str,
    said: &[Problem],
) -> Result<u64, OpError> {
    let (revision, warnings) = rewrite.save(root, text, said)?;
    context.warn(root.manifest_name(), &warnings);
    Ok(revision)
}

pub fn unset(context: &Context<'_>, args: &UnsetArgs) -> Result<u8, OpError> {
    let field = args.field;
    let root = context.root_with_warnings()?;
    let rewrite = Rewrite::open(&root, &context.unlock(), &context.guards())?;
    let document = ManifestText::new(rewrite.text())?;
    let place = document
        .find_removable(&args.address, field)
        .map_err(no_place)?;
    let changed = document.without(&place)?;
    let revision = save(context, &rewrite, &root, &changed, &[])?;
    let field = match field {
        Field::Password => String::new(),
        field => format!(" {field}"),
    };
    let label = document.label(&place);
    let text = format!("removed {label}{field}; revision {revision}\n");
    drop((changed, document));
    drop(rewrite);
    let arrived = context.shell.result(&text);
    // No endpoint uses a credential that was removed.
    if matches!(place, ValuePlace::Endpoint { .. }) {
        let told = "DRS is not told: it keeps what it has, and drspass manages that no more.\n";
        context.shell.message(told);
    }
    Ok(context.stands(arrived, exit::DONE))
}

pub fn import(context: &Context<'_>, args: &ImportArgs) -> Result<u8, OpError> {
    let root = context.root_with_warnings()?;
    let (name, bytes) = read_named(&root, &args.file, yaml::MAX_BYTES)?;
    let refused = |problems| OpError::document(&name, problems);
    let text = yaml::decode(&bytes).map_err(|problem| refused(vec![problem]))?;
    let format = args.format.unwrap_or_else(|| Format::of(&name, text));
    let rows = table::rows(text, format).map_err(refused)?;
    let rewrite = Rewrite::open(&root, &context.unlock(), &context.guards())?;
    let document = ManifestText::new(rewrite.text())?;
    let resolved = table::resolve(&document, rows, taken(args.add)).map_err(refused)?;
    let mut text = import_list(&document, &resolved.placed);
    let mut changes = resolved.placed.iter();
    let has_changes = changes.any(|placed| placed.effect != Effect::Same);
    let is_written = args.write && has_changes;
    if is_written {
        let changes = resolved.placed.into_iter().map(|placed| placed.change);
        let changed = document.rewrite(&changes.collect::<Vec<_>>())?;
        let (revision, warnings) = rewrite.save(&root, &changed, &resolved.warnings)?;
        context.warn(&name, &resolved.warnings);
        context.warn(root.manifest_name(), &warnings);
        let manifest = root.manifest_name().display();
        let _ = writeln!(text, "wrote {manifest}, revision {revision}");
    } else {
        context.warn(&name, &resolved.warnings);
        if !has_changes {
            text.push_str("nothing to write\n");
        }
    }
    drop(document);
    drop((rewrite, bytes));
    let arrived = context.shell.result(&text);
    if !args.write && has_changes {
        let told = "Nothing was written: run it again with --write.\n";
        context.shell.message(told);
    }
    if args.write && !is_stream(&args.file) {
        let name = name.display();
        let told = format!("Remove {name} now: it holds the values in plain text.\n");
        context.shell.message(&told);
    }
    if !is_written {
        return Ok(exit::written(arrived, exit::DONE));
    }
    context.next_step();
    Ok(context.stands(arrived, exit::DONE))
}

fn import_list(document: &ManifestText<'_>, placed: &[Placed]) -> String {
    let count = |effect| placed.iter().filter(|row| row.effect == effect).count();
    let mut text = format!(
        "Import: {} to add, {} to change, {} the same.\n",
        count(Effect::Added),
        count(Effect::Changed),
        count(Effect::Same)
    );
    let labels = placed.iter().map(|row| document.label(&row.change.place));
    let labels: Vec<String> = labels.collect();
    let width = text::width(labels.iter());
    for (Placed { change, effect }, label) in placed.iter().zip(&labels) {
        let sign = match effect {
            Effect::Added => '+',
            Effect::Changed => '~',
            Effect::Same => '=',
        };
        let field = change.place.field();
        let users = document.users(&change.place);
        let users = users.map(used_by).unwrap_or_default();
        let _ = writeln!(text, "  {sign} {label:width$}   {field}{users}");
    }
    text
}

/// Who uses a credential, as the end of a line.
fn used_by(endpoints: usize) -> String {
    match endpoints {
        0 => ", used by no endpoint".to_owned(),
        1 => ", used by 1 endpoint".to_owned(),
        many => format!(", used by {many} endpoints"),
    }
}

const fn taken(add: bool) -> Taken {
    if add { Taken::New } else { Taken::Listed }
}

fn no_place(Problem { what, help, .. }: Problem) -> OpError {
    refused("drspass::value::address", what, &help)
}

fn refused(code: &'static str, what: impl Into<String>, help: &str) -> OpError {
    Failure::new(code, what, format!("Nothing was written. {help}")).into()
}

fn from_file(root: &Root, field: Field, path: &Path) -> Result<Secret, OpError> {
    // One more for a line end, which is no part of the value; base64 may stand on
    // lines of any length.
    let (path, bytes) = read_named(root, path, 2 * MAX_VALUE_BYTES)?;
    value::from_file(field, &bytes).map_err(|Problem { what, help, .. }| {
        let what = format!("{} {what}", path.display());
        refused("drspass::value::file", what, &help)
    })
}

fn not_typed() -> OpError {
    let help = "Type the value, or name a file with --from-file.";
    refused("drspass::value::not_typed", "no value was typed", help)
}

fn typed(label: &str, field: Field) -> Result<Secret, OpError> {
    let ask = |question: &str| {
        prompt::type_hidden(question).map_err(|error| match error {
            NoPassphrase::Interrupted => OpError::Cancelled(UNTOUCHED),
            NoPassphrase::Unclear => refused(
                "drspass::value::unclear",
                "what was typed holds a key that is no character, or no UTF-8 text",
                "Type it again, or name a file that holds it with --from-file.",
            ),
            NoPassphrase::Declined | NoPassphrase::Nobody => not_typed(),
        })
    };
    let mut first = ask(&format!("New {field} of {label}: "))?;
    if first.is_empty() {
        return Err(not_typed());
    }
    let second = ask("The same again: ")?;
    if *first != *second {
        return Err(refused(
            "drspass::value::mismatch",
            "the two values differ",
            "Type the same value twice.",
        ));
    }
    Ok(Secret::new(std::mem::take(&mut *first)))
}
