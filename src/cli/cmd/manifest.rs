//! `encrypt`, `decrypt`, `get`, `index`, `validate`, `show`, `recipients` and `rekey`.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::state::changed_text;
use crate::cli::context::{Context, is_stream, read_named};
use crate::cli::env;
use crate::cli::exit;
use crate::cli::login;
use crate::cli::prompt;
use crate::cli::shell;
use crate::core::address::{self, Subject};
use crate::core::index;
use crate::core::problem::Problem;
use crate::core::report::RekeyPlan;
use crate::core::yaml;
use crate::ops::OpError;
use crate::ops::error::{ErrorClass, Failure};
use crate::ops::inspect::{self, IndexCheck};
use crate::ops::ledger::LockedLedger;
use crate::ops::plan;
use crate::ops::rekey::{self, RekeyOptions};
use crate::ops::rewrite;
use crate::ops::root::{CONFIG_FILE, MAX_ENCRYPTED_BYTES, Opened, Root, Unlock};
use crate::view::json_v1;
use crate::view::{listing, recipients, text};

#[derive(Debug, Args)]
pub struct EncryptArgs {
    /// Plaintext manifest; - reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write to this file instead of the manifest in drspass.yaml
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct DecryptArgs {
    /// Encrypted file to decrypt instead of the manifest, such as a kept edit; - reads
    /// standard input
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Write to this new file, readable only by you; - is standard output
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Writes exactly the password, without a line break. Pass it on by a variable or a
file: a program that reads commands from standard input may print or log it.")]
pub struct GetArgs {
    /// JOB/source, JOB/destination or @CREDENTIAL, where JOB is an id or a name
    #[arg(value_name = "ADDR")]
    pub address: String,
    /// Write it to a terminal too, and where CI is set (the log of a job keeps it)
    #[arg(long)]
    pub show: bool,
}

#[derive(Debug, Args)]
pub struct IndexArgs {
    /// Write it next to the manifest, as every command that writes the manifest does
    #[arg(long)]
    pub write: bool,
}

#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Only check drspass.yaml, that the manifest is encrypted, and an index that exists;
    /// needs no key
    #[arg(long)]
    pub require_encrypted: bool,
    /// Refuse a missing index; with --require-encrypted without a key
    #[arg(long)]
    pub require_index: bool,
    /// Compare the index with that of a commit, such as origin/main: its revision must
    /// be higher if the manifest differs; with --require-encrypted without a key
    #[arg(long, value_name = "REF", value_parser = NonEmptyStringValueParser::new())]
    pub base: Option<String>,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Saved plan to show instead; needs no key, so it is not authenticated
    #[arg(value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RecipientsArgs {
    /// Show only what is known without a key, and use no identity
    #[arg(long, conflicts_with = "identity")]
    pub no_identity: bool,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RekeyArgs {
    /// Do not ask for approval
    #[arg(long)]
    pub yes: bool,
    /// Create a new fingerprint key even if no recipient is removed
    #[arg(long)]
    pub new_key: bool,
    /// Continue even if none of your identities can read the new file
    #[arg(long)]
    pub allow_lockout: bool,
    /// Carry over a state that someone else wrote with the former key after the rekey;
    /// the manifest stays as it is
    #[arg(long, conflicts_with_all = ["new_key", "allow_lockout"])]
    pub again: bool,
}

pub fn encrypt(context: &Context<'_>, args: EncryptArgs) -> Result<u8, OpError> {
    let root = context.root_with_warnings()?;
    let (name, plain) = read_named(&root, &args.file, yaml::MAX_BYTES)?;
    let (path, written, warnings) = rewrite::encrypt(
        &root,
        &context.unlock(),
        &context.rules(),
        (&name, &plain),
        args.output,
        env::now(),
    )?;
    drop(plain);
    context.warn(&name, &warnings);
    let text = format!(
        "wrote {written}\n{}",
        recipients::encrypted_to(root.config.recipients.len())
    );
    let arrived = context.shell.result(&text);
    // A plaintext manifest that was encrypted in place is gone.
    if name != path {
        context.remind_to_remove(&args.file);
    }
    Ok(context.changed(arrived, exit::DONE))
}

pub fn decrypt(context: &Context<'_>, args: &DecryptArgs) -> Result<u8, OpError> {
    let root = context.root()?;
    let unlock = context.unlock();
    let decrypt = || match &args.file {
        None => root.decrypt(&unlock),
        Some(file) => {
            let (name, bytes) = read_named(&root, file, MAX_ENCRYPTED_BYTES)?;
            root.decrypt_named(&name, &bytes, &unlock)
        }
    };
    let out = args.output.as_deref().filter(|out| !is_stream(out));
    let arrived = match out {
        Some(out) => {
            let path = root.resolve(out);
            // Checked before the work, and again by the creation itself.
            if path.symlink_metadata().is_ok() {
                return Err(OpError::exists(out));
            }
            rewrite::create(&path, out, &decrypt()?)?;
            let out = out.display();
            context.shell.message(&format!(
                "wrote {out}\nRemove it when you are done: it contains the passwords in plain text.\n"
            ));
            true
        }
        None => context.shell.document(&*decrypt()?),
    };
    Ok(exit::written(arrived, exit::DONE))
}

pub fn get(context: &Context<'_>, args: &GetArgs) -> Result<u8, OpError> {
    if !args.show && (io::stdout().is_terminal() || context.env.var("CI").is_some()) {
        let what = "cannot write a password to a terminal, or where CI is set, without --show";
        return Ok(context.conflict(what));
    }
    let root = context.root()?;
    let opened = root.open(&context.unlock(), &context.rules())?;
    let mut passwords = address::passwords(&opened.manifest, &args.address);
    let Some(password) = passwords.next() else {
        let known = opened.manifest.assignments().iter().map(Subject::from);
        let known: Vec<Subject<'_>> = known.collect();
        let unmatched = address::unmatched("get", 1, &args.address, known.iter());
        return Err(OpError::unmatched(vec![unmatched]));
    };
    if !passwords.all(|other| Arc::ptr_eq(other, password)) {
        return Ok(context.conflict("the address matches more than one password; add /source or /destination, or name one credential"));
    }
    let arrived = context.shell.document(password.expose());
    Ok(exit::written(arrived, exit::DONE))
}

pub fn index(context: &Context<'_>, args: &IndexArgs) -> Result<u8, OpError> {
    let root = context.root_with_warnings()?;
    let opened = root.open(&context.unlock(), &context.rules())?;
    if !args.write {
        let text = index::render(&opened.manifest, &opened.sealed, &opened.digest);
        drop(opened);
        return Ok(exit::written(context.shell.document(text), exit::DONE));
    }
    root.write_index(&opened)?;
    let text = format!("wrote {}\n", root.index_name().display());
    Ok(context.changed(context.shell.result(&text), exit::DONE))
}

pub fn validate(context: &Context<'_>, args: &ValidateArgs) -> Result<u8, OpError> {
    let checked = check(context, args);
    if args.json {
        return validate_json(context, checked);
    }
    let Validated {
        root,
        opened,
        index,
    } = checked?;
    context.warn(Path::new(CONFIG_FILE), &root.warnings);
    let name = root.manifest_name();
    let mut text = match &opened {
        None => format!("{}: encrypted; content not checked\n", name.display()),
        Some(opened) => {
            context.warn(name, &opened.warnings);
            format!(
                "{}: valid, {} of {}, revision {}\nkey id: {}\n",
                name.display(),
                text::counted(opened.manifest.assignments().len(), "entry", "entries"),
                text::counted(opened.manifest.jobs().len(), "job", "jobs"),
                opened.sealed.revision,
                opened.sealed.fingerprint_key.id()
            )
        }
    };
    let has_index = opened.is_some_and(|opened| opened.sealed.index);
    if has_index || index.is_some() {
        let name = root.index_name();
        context.warn(&name, &index.unwrap_or_default());
        let what = match has_index {
            true => "belongs to the manifest",
            false => "fits the manifest; its tags need the key to be checked",
        };
        let _ = writeln!(text, "{}: {what}", name.display());
    }
    let arrived = context
        .shell
        .result(&format!("drspass.yaml: valid\n{text}"));
    Ok(exit::written(arrived, exit::DONE))
}

struct Validated {
    root: Root,
    /// `None` without a key.
    opened: Option<Opened>,
    /// The notes on the index, if it was checked without the key.
    index: Option<Vec<Problem>>,
}

fn check(context: &Context<'_>, args: &ValidateArgs) -> Result<Validated, OpError> {
    let root = if args.require_encrypted {
        context.root_for_hooks()?
    } else {
        context.root()?
    };
    login::check_project_form(context.env)?;
    let index = if args.require_encrypted || args.require_index || args.base.is_some() {
        let options = IndexCheck {
            is_required: args.require_index,
            base: args.base.as_deref(),
            children: &context.children,
        };
        inspect::validate_encrypted(&root, &context.rules(), &options)?
    } else {
        None
    };
    if args.require_encrypted {
        let opened = None;
        return Ok(Validated {
            root,
            opened,
            index,
        });
    }
    let opened = root
        .open(&context.unlock(), &context.rules())
        .map_err(keyless)?;
    root.check_recipients(&opened.sealed)?;
    root.check_index(&opened, ErrorClass::Failed)?;
    Ok(Validated {
        root,
        opened: Some(opened),
        index,
    })
}

/// Names the check that needs no identity, if none was given.
fn keyless(error: OpError) -> OpError {
    if !matches!(error, OpError::NoIdentity { .. }) {
        return error;
    }
    let help = "Nothing was sent. Give one with -i FILE, or check what needs none: 'drspass validate --require-encrypted'.";
    Failure::new("drspass::age::no_identity", error.to_string(), help).into()
}

/// In JSON, an invalid document is a result, with the exit code of its error.
fn validate_json(
    context: &Context<'_>,
    checked: Result<Validated, OpError>,
) -> Result<u8, OpError> {
    let (problems, error, code) = match checked {
        Ok(Validated {
            root,
            opened,
            index,
        }) => {
            let name = root.manifest_name().display().to_string();
            let index_name = root.index_name().display().to_string();
            let mut problems = vec![(CONFIG_FILE.to_owned(), root.warnings)];
            problems.extend(opened.map(|opened| (name, opened.warnings)));
            problems.extend(index.map(|notes| (index_name, notes)));
            (problems, None, exit::DONE)
        }
        Err(OpError::Document { path, problems }) => {
            let name = path.display().to_string();
            (vec![(name, problems)], None, exit::FAILED)
        }
        Err(error) => {
            let code = exit::for_error(&error);
            (Vec::new(), Some(shell::error_out(&error)), code)
        }
    };
    let arrived = context.shell.document(json_v1::validate(&problems, error));
    Ok(exit::written(arrived, code))
}

pub fn show(context: &Context<'_>, args: &ShowArgs) -> Result<u8, OpError> {
    let shell = &context.shell;
    if let Some(path) = &args.plan {
        let report = plan::show_saved(&context.folder.join(path), path)?;
        let text = || text::plan(&report, shell.result, shell.rows);
        return Ok(context.show(args.json, || json_v1::plan(&report), text));
    }
    let root = context.root()?;
    let shown = inspect::show(&root, &context.unlock())?;
    Ok(context.show(
        args.json,
        || json_v1::manifest(&shown),
        || listing::manifest(&shown),
    ))
}

pub fn recipients(context: &Context<'_>, args: &RecipientsArgs) -> Result<u8, OpError> {
    let root = context.root_with_warnings()?;
    let unlock = (!args.no_identity).then(|| context.unlock());
    let report = inspect::recipients(&root, unlock.as_ref(), &context.rules())?;
    Ok(context.show(
        args.json,
        || json_v1::recipients(&report),
        || recipients::recipients(&report),
    ))
}

pub fn rekey(context: &Context<'_>, args: &RekeyArgs) -> Result<u8, OpError> {
    let root = context.root_with_warnings()?;
    let unlock = context.unlock();
    if args.again {
        return rekey_again(context, &root, &unlock, args.yes);
    }
    let options = RekeyOptions {
        new_key: args.new_key,
        allow_lockout: args.allow_lockout,
    };
    let mut approve = |plan: &RekeyPlan, warnings: &[Problem]| {
        context.warn(root.manifest_name(), warnings);
        context.shell.message(&recipients::rekey_plan(plan));
        if args.yes {
            return Ok(());
        }
        prompt::ask("Change the manifest like this?", "Nothing was changed.")
    };
    let done = rekey::rekey(
        &root,
        &unlock,
        &context.rules(),
        &env::runtime(),
        options,
        &mut approve,
    )?;
    let arrived = context.shell.result(&recipients::rekeyed(&done));
    context.shell.message(&recipients::after_rekey(&done));
    let apply = match done.key_id {
        Some(_) => ", then run 'drspass apply'",
        None => "",
    };
    let next = format!("Next: commit drspass.yaml and what was written{apply}.\n");
    context.shell.message(&next);
    Ok(context.changed(arrived, exit::DONE))
}

fn rekey_again(
    context: &Context<'_>,
    root: &Root,
    unlock: &Unlock<'_>,
    is_approved: bool,
) -> Result<u8, OpError> {
    let runtime = env::runtime();
    let rules = context.rules();
    let ledger = LockedLedger::open(root, unlock, &rules, &runtime, "rekey --again")?;
    let change = ledger.carry_over(|moved| {
        context.shell.message(&recipients::moved_state(moved));
        if is_approved {
            return Ok(());
        }
        prompt::ask("Carry this state over?", "Nothing was changed.")
    })?;
    let arrived = context.shell.result(&changed_text(&change));
    Ok(context.changed(arrived, exit::DONE))
}
