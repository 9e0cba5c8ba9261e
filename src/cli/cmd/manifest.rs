//! `encrypt`, `decrypt`, `validate` and `show`.

use std::path::Path;

use super::{read_named, stands, unlock, warn, written};
use crate::cli::args::{Decrypt, Encrypt, Show, Validate};
use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::login;
use crate::cli::render;
use crate::core::report::Valid;
use crate::core::yaml;
use crate::ops::OpError;
use crate::ops::encrypt;
use crate::ops::root::{CONFIG_FILE, MAX_ENCRYPTED_BYTES, Root};
use crate::ops::saved;
use crate::ops::show;
use crate::ops::validate;
use crate::view::json::v1;
use crate::view::{listing, recipients, terminal};

pub(in crate::cli) fn encrypt(context: &Context<'_>, args: Encrypt) -> Result<u8, OpError> {
    let root = context.root()?;
    warn(context, Path::new(CONFIG_FILE), &root.warnings);
    let is_stream = args.file == Path::new("-");
    let plain = read_named(&root, &args.file, yaml::MAX_BYTES)?;
    let done = encrypt::encrypt(
        &root,
        &unlock(context),
        &context.guards(),
        plain,
        args.output,
    )?;
    warn(context, &done.source, &done.warnings);
    let text = format!(
        "wrote {}, revision {}\n{}",
        done.path.display(),
        done.revision,
        recipients::encrypted_to(done.recipients)
    );
    let arrived = context.shell.result(&text);
    // A plaintext manifest that was sealed in its own place is no more.
    if !is_stream && done.source != done.path {
        let name = done.source.display();
        let told = format!("Remove {name} now: it holds the passwords in plain text.\n");
        context.shell.message(&told);
    }
    Ok(stands(context, arrived, exit::DONE))
}

pub(in crate::cli) fn decrypt(context: &Context<'_>, args: &Decrypt) -> Result<u8, OpError> {
    let root = context.root()?;
    let unlock = unlock(context);
    let decrypt = || match &args.file {
        None => root.decrypt(&unlock),
        Some(file) => {
            let (name, bytes) = read_named(&root, file, MAX_ENCRYPTED_BYTES)?;
            root.decrypt_named(&name, &bytes, &unlock)
        }
    };
    let out = args.output.as_deref().filter(|out| *out != Path::new("-"));
    let arrived = match out {
        Some(out) => {
            encrypt::decrypt_to(&root, out, decrypt)?;
            let out = out.display();
            context.shell.message(&format!(
                "wrote {out}\nRemove it when you are done: it holds the passwords in plain text.\n"
            ));
            true
        }
        None => context.shell.document(&*decrypt()?),
    };
    Ok(written(arrived, exit::DONE))
}

pub(in crate::cli) fn validate(context: &Context<'_>, args: &Validate) -> Result<u8, OpError> {
    let checked = check(context, args);
    if args.json {
        return validate_json(context, checked);
    }
    let (root, valid) = checked?;
    warn(context, Path::new(CONFIG_FILE), &valid.config_warnings);
    if let Some(manifest) = &valid.manifest {
        warn(context, root.manifest_name(), &manifest.warnings);
    }
    let text = listing::valid(&valid, &root.manifest_name().display().to_string());
    Ok(written(context.shell.result(&text), exit::DONE))
}

fn check(context: &Context<'_>, args: &Validate) -> Result<(Root, Valid), OpError> {
    let root = if args.require_encrypted {
        context.root_for_hooks()?
    } else {
        context.root()?
    };
    login::check_project_form(context.env)?;
    let valid = if args.require_encrypted {
        validate::validate_encrypted(&root, &context.guards())?
    } else {
        validate::validate(&root, &unlock(context), &context.guards())?
    };
    Ok((root, valid))
}

/// In JSON an invalid document is a result, with the exit code of its error.
fn validate_json(
    context: &Context<'_>,
    checked: Result<(Root, Valid), OpError>,
) -> Result<u8, OpError> {
    let (problems, error, code) = match checked {
        Ok((root, valid)) => {
            let mut problems = vec![(CONFIG_FILE.to_owned(), valid.config_warnings)];
            if let Some(manifest) = valid.manifest {
                problems.push((
                    root.manifest_name().display().to_string(),
                    manifest.warnings,
                ));
            }
            (problems, None, exit::DONE)
        }
        Err(OpError::Document { path, problems }) => {
            let problems = problems.into_iter().map(|report| report.0).collect();
            (
                vec![(path.display().to_string(), problems)],
                None,
                exit::FAILED,
            )
        }
        Err(error) => {
            let code = exit::for_error(&error);
            (Vec::new(), Some(render::error_out(&error)), code)
        }
    };
    let arrived = context.shell.document(v1::validate(&problems, error));
    Ok(written(arrived, code))
}

pub(in crate::cli) fn show(context: &Context<'_>, args: &Show) -> Result<u8, OpError> {
    let shell = context.shell;
    if let Some(path) = &args.plan {
        let report = saved::show(&context.folder.join(path), path)?;
        let arrived = if args.json {
            shell.document(v1::plan(&report))
        } else {
            shell.result(&terminal::plan(&report, shell.result, shell.rows))
        };
        return Ok(written(arrived, exit::DONE));
    }
    let root = context.root()?;
    let shown = show::show(&root, &unlock(context))?;
    let arrived = if args.json {
        shell.document(v1::manifest(&shown))
    } else {
        shell.result(&listing::manifest(&shown))
    };
    Ok(written(arrived, exit::DONE))
}
