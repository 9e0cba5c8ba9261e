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
use crate::cli::context::{Context, read_named};
use crate::cli::env;
use crate::cli::exit;
use crate::cli::prompt;
use crate::core::address::misspelt;
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

const FIELD: &str = "What to set";
const VALUE: &str = "Value";

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("source").args(["from_file", "generate"]))]
#[command(after_help = "\
Without --from-file and --generate, drspass asks for the value twice, on the
terminal itself, never on standard input.")]
pub struct SetArgs {
    /// JOB/source, JOB/destination or @CREDENTIAL, where JOB is an id or a name
    #[arg(value_name = "ADDR")]
    pub address: String,
    /// Add the job (by its id), endpoint or credential if the manifest does not list it
    #[arg(long, help_heading = FIELD)]
    pub add: bool,
    /// Field to set: password, kerberos.krb5_conf_file, kerberos.key_tab_file,
    /// kerberos.domain_name or kerberos.user_principal
    #[arg(long, value_name = "FIELD", default_value = "password", help_heading = FIELD)]
    pub field: Field,
    /// Read the value from this file, or with - from standard input. One line break at
    /// the end is dropped, except for krb5_conf_file; a keytab is encoded as base64
    #[arg(long, value_name = "FILE", help_heading = VALUE)]
    pub from_file: Option<PathBuf>,
    /// Generate a random password, which is not printed
    #[arg(long, help_heading = VALUE)]
    pub generate: bool,
    /// Length of the generated password, 8 to 128; Oracle allows at most 30
    #[arg(
        long,
        value_name = "N",
        default_value_t = value::USUAL_LENGTH,
        value_parser = length,
        requires = "generate",
        help_heading = VALUE
    )]
    pub length: usize,
    /// Characters of the generated password: alnum (letters and digits, with at least
    /// one upper-case letter, one lower-case letter and one digit) or symbols (also at
    /// least one of _-+=)
    #[arg(
        long,
        value_name = "NAME",
        default_value = "alnum",
        requires = "generate",
        help_heading = VALUE
    )]
    pub alphabet: Alphabet,
}

#[derive(Debug, Args)]
pub struct UnsetArgs {
    /// JOB/source, JOB/destination or an unused @CREDENTIAL, where JOB is an id or a
    /// name
    #[arg(value_name = "ADDR")]
    pub address: String,
    /// Field to remove: kerberos.krb5_conf_file, kerberos.key_tab_file,
    /// kerberos.domain_name, kerberos.user_principal or password, which removes the
    /// whole endpoint
    #[arg(long, value_name = "FIELD", default_value = "password")]
    pub field: Field,
}

#[derive(Debug, Args)]
#[command(after_help = "\
CSV starts with the line address,password. A third column, field, can name a
Kerberos field, whose value is then in the column password. JSON maps addresses
to passwords or to objects of fields:
  {\"orders/source\": \"…\", \"@orders-db\": {\"password\": \"…\"}}
Values are used exactly as they are in the file.")]
pub struct ImportArgs {
    /// CSV or JSON file; - reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write the manifest; without it, only show what would change
    #[arg(long)]
    pub write: bool,
    /// Add jobs (by id), endpoints and credentials that the manifest does not list
    #[arg(long)]
    pub add: bool,
    /// Format of the file, csv or json, if its name and content do not show it
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
        Some(PossibleValue::new(self.as_str()))
    }
}

const UNTOUCHED: &str = "Nothing was written.";

pub fn set(context: &Context<'_>, args: &SetArgs) -> Result<u8, OpError> {
    let field = args.field;
    if args.generate && field != Field::Password {
        return Ok(context.conflict("--generate cannot be used with --field, except for password"));
    }
    let is_typed = !args.generate && args.from_file.is_none();
    if is_typed && field.is_file() {
        return Ok(context.conflict("this field is a file: pass it with --from-file"));
    }
    if is_typed && !prompt::has_terminal() {
        return Err(Failure::new(
            "drspass::value::no_terminal",
            "cannot ask for the value without a terminal",
            "Nothing was written. Pass the value with --from-file FILE (- reads standard input), or generate one with --generate.",
        )
        .class(ErrorClass::NotApproved)
        .into());
    }
    let root = context.root_with_warnings()?;
    let rewrite = Rewrite::open(&root, &context.unlock(), &context.rules(), env::now)?;
    let document = ManifestText::new(rewrite.text())?;
    let place = document
        .find(&args.address, field, taken(args.add))
        .map_err(|problem| no_place(&args.address, problem))?;
    let label = document.label(&place);
    if let ValuePlace::Endpoint { job, endpoint, .. } = &place
        && field != Field::Password
        && !document.has_endpoint(job, *endpoint)
    {
        return Err(no_place(&args.address, no_password(&label)));
    }
    let users = document.users(&place);
    // The value is asked for only if nothing else can stop the command.
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
        prompt::confirm("Set the value as you typed it?", UNTOUCHED)?;
    }
    let changes = [Change { place, value }];
    let effect = document.effect(&changes[0]);
    let used_by = users.map(used_by).unwrap_or_default();
    let text = if effect == Effect::Same {
        format!("unchanged: {place_name}{used_by}\n")
    } else {
        let text = document.rewrite(&changes)?;
        let written = save(context, &rewrite, &root, &text, &remarks)?;
        let done = if effect == Effect::Added {
            "added"
        } else {
            "set"
        };
        format!("{done} {place_name}{used_by}\nwrote {written}\n")
    };
    // The output may block, and passwords are kept no longer than needed.
    drop((changes, document));
    drop(rewrite);
    let arrived = context.shell.result(&text);
    if args.generate {
        context.shell.message(&format!(
            "Generated a random password; it was not printed. To read it:\n  drspass get --show {label}\n"
        ));
    }
    if let (Some(file), Field::Password) = (&args.from_file, field) {
        context.remind_to_remove(file);
    }
    if effect == Effect::Same {
        return Ok(exit::written(arrived, exit::DONE));
    }
    context.next_step(users == Some(0));
    Ok(context.changed(arrived, exit::DONE))
}

fn save(
    context: &Context<'_>,
    rewrite: &Rewrite<'_>,
    root: &Root,
    text: &str,
    said: &[Problem],
) -> Result<String, OpError> {
    let (written, warnings) = rewrite.save(root, text, said)?;
    context.warn(root.manifest_name(), &warnings);
    Ok(written)
}

pub fn unset(context: &Context<'_>, args: &UnsetArgs) -> Result<u8, OpError> {
    let field = args.field;
    let root = context.root_with_warnings()?;
    let rewrite = Rewrite::open(&root, &context.unlock(), &context.rules(), env::now)?;
    let document = ManifestText::new(rewrite.text())?;
    let place = document
        .find_removable(&args.address, field)
        .map_err(|problem| no_place(&args.address, problem))?;
    let changed = document.without(&place)?;
    let written = save(context, &rewrite, &root, &changed, &[])?;
    let field = match field {
        Field::Password => String::new(),
        field => format!(" {field}"),
    };
    let label = document.label(&place);
    let text = format!("removed {label}{field}\nwrote {written}\n");
    drop((changed, document));
    drop(rewrite);
    let arrived = context.shell.result(&text);
    // No endpoint uses a credential that was removed.
    if matches!(place, ValuePlace::Endpoint { .. }) {
        let note = "drspass no longer manages this endpoint. DRS keeps its current password.\n";
        context.shell.message(note);
    }
    Ok(context.changed(arrived, exit::DONE))
}

pub fn import(context: &Context<'_>, args: &ImportArgs) -> Result<u8, OpError> {
    let root = context.root_with_warnings()?;
    let (name, bytes) = read_named(&root, &args.file, yaml::MAX_BYTES)?;
    let refused = |problems| OpError::document(&name, problems);
    let text = yaml::decode(&bytes).map_err(|problem| refused(vec![problem]))?;
    let format = args.format.unwrap_or_else(|| Format::of(&name, text));
    let rows = table::rows(text, format).map_err(refused)?;
    let rewrite = Rewrite::open(&root, &context.unlock(), &context.rules(), env::now)?;
    let document = ManifestText::new(rewrite.text())?;
    let resolved = table::resolve(&document, rows, taken(args.add)).map_err(refused)?;
    let mut text = import_list(&document, &resolved.placed);
    let mut changes = resolved.placed.iter();
    let has_changes = changes.any(|placed| placed.effect != Effect::Same);
    let is_written = args.write && has_changes;
    let mut users = resolved.placed.iter();
    let is_unused = users.any(|row| document.users(&row.change.place) == Some(0));
    if is_written {
        let changes = resolved.placed.into_iter().map(|placed| placed.change);
        let changed = document.rewrite(&changes.collect::<Vec<_>>())?;
        let (written, warnings) = rewrite.save(&root, &changed, &resolved.warnings)?;
        context.warn(&name, &resolved.warnings);
        context.warn(root.manifest_name(), &warnings);
        let _ = writeln!(text, "wrote {written}");
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
        let note = "Nothing was written. To write the manifest, add --write.\n";
        context.shell.message(note);
    }
    if args.write {
        context.remind_to_remove(&args.file);
    }
    if !is_written {
        return Ok(exit::written(arrived, exit::DONE));
    }
    context.next_step(is_unused);
    Ok(context.changed(arrived, exit::DONE))
}

fn import_list(document: &ManifestText<'_>, placed: &[Placed]) -> String {
    let count = |effect| placed.iter().filter(|row| row.effect == effect).count();
    let mut text = format!(
        "Import: {} to add, {} to change, {} unchanged.\n",
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

fn no_place(address: &str, Problem { what, help, .. }: Problem) -> OpError {
    // Such an address has no other problem.
    let named = misspelt(address).map_or_else(String::new, |address| format!("{address}: "));
    refused("drspass::value::address", format!("{named}{what}"), &help)
}

fn refused(code: &'static str, what: impl Into<String>, help: &str) -> OpError {
    Failure::new(code, what, format!("Nothing was written. {help}")).into()
}

fn from_file(root: &Root, field: Field, path: &Path) -> Result<Secret, OpError> {
    // More than a value, for a line break at the end and for base64 in lines of any length.
    let (path, bytes) = read_named(root, path, 2 * MAX_VALUE_BYTES)?;
    value::from_file(field, &bytes).map_err(|Problem { what, help, .. }| {
        let what = format!("{} {what}", path.display());
        refused("drspass::value::file", what, &help)
    })
}

fn not_typed() -> OpError {
    let help = "Type the value, or pass a file with --from-file.";
    refused("drspass::value::not_typed", "no value given", help)
}

fn typed(label: &str, field: Field) -> Result<Secret, OpError> {
    let ask = |question: &str| {
        prompt::type_hidden(question).map_err(|error| match error {
            NoPassphrase::Interrupted => OpError::Cancelled(UNTOUCHED),
            NoPassphrase::Unclear => refused(
                "drspass::value::unclear",
                "the input contains a control key or invalid UTF-8",
                "Type the value again, or pass a file with --from-file.",
            ),
            NoPassphrase::Declined | NoPassphrase::Nobody => not_typed(),
        })
    };
    let mut first = ask(&format!("New {field} of {label}: "))?;
    if first.is_empty() {
        return Err(not_typed());
    }
    let second = ask("Repeat it: ")?;
    if *first != *second {
        return Err(refused(
            "drspass::value::mismatch",
            "the two values differ",
            "Run the command again, and type the same value twice.",
        ));
    }
    Ok(Secret::new(std::mem::take(&mut *first)))
}
