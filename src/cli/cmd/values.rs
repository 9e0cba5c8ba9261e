//! `set`, `unset` and `import`.

use std::fmt::Write as _;
use std::path::Path;

use super::{conflict, is_standard_input, next_step, read_named, stands, unlock, warn, written};
use crate::authoring::file::{self, NoValue};
use crate::authoring::{Taken, generate};
use crate::cli::args::{Import, Set, Unset};
use crate::cli::context::Context;
use crate::cli::env::{self, Typed};
use crate::cli::exit;
use crate::core::fingerprint::Field;
use crate::core::manifest::MAX_VALUE_BYTES;
use crate::core::problem::Problem;
use crate::core::report::Effect;
use crate::core::secret::Secret;
use crate::core::yaml;
use crate::ops::OpError;
use crate::ops::error::ValueError;
use crate::ops::import::{self, Terms};
use crate::ops::root::{CONFIG_FILE, Root};
use crate::ops::set;
use crate::view::listing;

/// What Ctrl-C at a question is answered with.
const UNTOUCHED: &str = "Nothing was written.";

/// `set`: one value of the manifest.
pub(in crate::cli) fn set(context: &Context<'_>, args: &Set) -> Result<u8, OpError> {
    let field = Field::from(args.field);
    if args.generate && field != Field::Password {
        return Ok(conflict(context, "--generate makes up passwords only"));
    }
    let is_typed = !args.generate && args.from_file.is_none();
    if is_typed && field.is_file() {
        let what = "this field is a file, which --from-file names";
        return Ok(conflict(context, what));
    }
    if is_typed && !env::has_terminal() {
        return Err(ValueError::NoTerminal.into());
    }
    let root = opened_root(context)?;
    let value = |label: &str| match &args.from_file {
        Some(path) => from_file(&root, field, path),
        None if args.generate => Ok(generate::password(
            args.length,
            args.alphabet.into(),
            &mut env::random::<64>,
        )),
        None => typed(label, field),
    };
    let confirm = |remarks: &[Problem]| {
        warn(context, root.manifest_name(), remarks);
        if !is_typed || remarks.is_empty() {
            return Ok(());
        }
        super::confirm("Set it as it was typed?", UNTOUCHED)
    };
    let done = set::set(
        &root,
        &unlock(context),
        &context.guards(),
        (&args.address, field, taken(args.add)),
        value,
        confirm,
    )?;
    warn(context, root.manifest_name(), &done.warnings);
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
        return Ok(written(arrived, exit::DONE));
    }
    next_step(context);
    Ok(stands(context, arrived, exit::DONE))
}

/// `unset`: removes what stands at an address.
pub(in crate::cli) fn unset(context: &Context<'_>, args: &Unset) -> Result<u8, OpError> {
    let field = Field::from(args.field);
    let root = opened_root(context)?;
    let done = set::unset(
        &root,
        &unlock(context),
        &context.guards(),
        (&args.address, field),
    )?;
    warn(context, root.manifest_name(), &done.warnings);
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
    Ok(stands(context, arrived, exit::DONE))
}

/// `import`: many values of a file, shown, or written with `--write`.
pub(in crate::cli) fn import(context: &Context<'_>, args: &Import) -> Result<u8, OpError> {
    let root = opened_root(context)?;
    let (name, bytes) = read_named(&root, &args.file, yaml::MAX_BYTES)?;
    let terms = Terms {
        format: args.format.map(Into::into),
        taken: taken(args.add),
        writes: args.write,
    };
    let done = import::import(
        &root,
        &unlock(context),
        &context.guards(),
        (&name, &bytes),
        terms,
    )?;
    warn(context, &name, &done.file_warnings);
    warn(context, root.manifest_name(), &done.warnings);
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
    if args.write && !is_standard_input(&args.file) {
        let name = name.display();
        let told = format!("Remove {name} now: it holds the values in plain text.\n");
        context.shell.message(&told);
    }
    if done.report.revision.is_none() {
        return Ok(written(arrived, exit::DONE));
    }
    next_step(context);
    Ok(stands(context, arrived, exit::DONE))
}

/// What a run may add beside what is listed: a typing error must not become an entry.
const fn taken(add: bool) -> Taken {
    if add { Taken::New } else { Taken::Listed }
}

fn opened_root(context: &Context<'_>) -> Result<Root, OpError> {
    let root = context.root()?;
    warn(context, Path::new(CONFIG_FILE), &root.warnings);
    Ok(root)
}

fn from_file(root: &Root, field: Field, path: &Path) -> Result<Secret, OpError> {
    // One more for a line end, which is no part of the value; base64 may stand on
    // lines of any length.
    let (path, bytes) = read_named(root, path, 2 * MAX_VALUE_BYTES)?;
    let value = file::value(field, &bytes);
    value.map_err(|NoValue { what, help }| ValueError::File { path, what, help }.into())
}

/// Asks for a value twice.
fn typed(label: &str, field: Field) -> Result<Secret, OpError> {
    let ask = |question: String| match env::type_hidden(&question) {
        Typed::Text(text) => Ok(text),
        Typed::Interrupted => Err(OpError::Cancelled(UNTOUCHED)),
        Typed::Unclear => Err(ValueError::Unclear.into()),
        Typed::Declined | Typed::Nothing => Err(ValueError::NotTyped.into()),
    };
    let mut first = ask(format!("New {field} of {label}: "))?;
    if first.is_empty() {
        return Err(ValueError::NotTyped.into());
    }
    let second = ask("The same again: ".to_owned())?;
    if *first != *second {
        return Err(ValueError::Mismatch.into());
    }
    Ok(Secret::new(std::mem::take(&mut *first)))
}
