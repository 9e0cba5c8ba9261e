//! `init`: makes a root folder. What exists already is kept as it is; a manifest
//! that exists already means that there is nothing to make.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use miette::Diagnostic as _;
use zeroize::Zeroizing;

use super::service;
use crate::age_file::{self, Identities};
use crate::cli::context::Context;
use crate::cli::env;
use crate::cli::exit;
use crate::cli::login::{self, LoginFlags};
use crate::core::config::{self, TargetConfig, bare_endpoint};
use crate::core::failure::{Failure, with_causes};
use crate::core::fingerprint::FingerprintKey;
use crate::core::inventory::ListedJob;
use crate::core::manifest::{self, Sealed};
use crate::core::problem::Problem;
use crate::core::recipients::{recipient_key, refuse_recipient};
use crate::core::target::{self, Target, TargetError};
use crate::ops::OpError;
use crate::ops::encrypt::create;
use crate::ops::git::{self, DiffDriver, git_files};
use crate::ops::root::{CONFIG_FILE, Guards, MAX_IDENTITY_BYTES, Root};
use crate::sys::files;

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The region, from which the addresses follow (such as eu-de)
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// The project's id
    #[arg(long, value_name = "ID")]
    pub project_id: Option<String>,
    /// The address of the DRS service, where no region gives it; else the catalogue
    /// is asked
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The address of the identity service, ending in /v3
    #[arg(long, value_name = "URL")]
    pub auth_url: Option<String>,
    /// Encrypt to this public key (repeatable); a file named with -i is made if
    /// it does not exist, and its key is a recipient too
    #[arg(long, value_name = "KEY")]
    pub recipient: Vec<String>,
    /// List every job of the project in the manifest, to be filled in; logs in and
    /// asks the service
    #[arg(long)]
    pub from_jobs: bool,
    /// Have git show changes of the manifest value by value, in this clone; also
    /// where there is a manifest already, and then nothing else is done
    #[arg(long)]
    pub git: bool,
    #[command(flatten)]
    pub login: LoginFlags,
}

pub fn run(context: &Context<'_>, args: &InitArgs) -> Result<u8, OpError> {
    context.sweep();
    // What git refuses, it refuses before anything is written.
    let driver = if args.git {
        let env = context.env.for_children();
        Some(DiffDriver::look(&context.folder, env)?)
    } else {
        None
    };
    let config = target(context, args)?;
    let is_told = config.is_some() || !args.recipient.is_empty() || args.from_jobs;
    let driver = match driver {
        Some(driver) if !is_told => {
            match git::complete(&context.folder, &context.identity_files)? {
                Some(files) => return git_only(context, driver, &files),
                None => Some(driver),
            }
        }
        driver => driver,
    };
    let readers = begin(context, config.as_ref(), &args.recipient)?;
    let mut made = Vec::new();
    let mut jobs = None;
    if let Some(config) = config {
        jobs = set_up(context, args, config, readers, &mut made)?;
    }
    let root = Root::locate(&context.folder, None)?;
    let target = root.target(&context.guards())?;
    if args.from_jobs && jobs.is_none() {
        let config = Some(&root.config);
        jobs = Some(service::listed(context, &target, config, &args.login)?);
    }
    let sealed = Sealed {
        fingerprint_key: FingerprintKey::new(env::random::<32>()),
        scope: target.scope,
        auth_url: target.auth_url,
        recipients: root.config.recipients.clone(),
        revision: 1,
    };
    made.extend(git_files(
        &context.folder,
        &root.config,
        &context.identity_files,
    )?);
    let skeleton = manifest::skeleton(&sealed, jobs.as_deref());
    let name = root.manifest_name();
    let plugins = context.plugins();
    let file = age_file::encrypt(skeleton.as_bytes(), &sealed.recipients, plugins);
    let file = file.map_err(OpError::age(name))?;
    create(&root.manifest_path(), name, &file)?;
    made.push(name.to_owned());
    let mut text = wrote(&made);
    let _ = writeln!(text, "project: {}", sealed.scope.project_id);
    let _ = writeln!(text, "endpoint: {}", sealed.scope.endpoint);
    let _ = writeln!(text, "identity: {}", sealed.auth_url);
    let _ = writeln!(text, "key id: {}", sealed.fingerprint_key.id());
    let mut arrived = context.shell.result(&text);
    // After the key id was told: git may still be unable to write its settings.
    if let Some(driver) = driver {
        arrived &= context.shell.result(&set(driver)?);
    }
    context.shell.message(
        "Next: 'drspass edit' opens the manifest in your editor, to be filled in.\n\
         In CI, keep the key id in a protected variable DRSPASS_EXPECT_KEY_ID.\n",
    );
    Ok(context.stands(arrived, exit::DONE))
}

/// Writes a new drspass.yaml, and before it the identities that are missing. Returns the
/// jobs of the project if they are to be listed.
fn set_up(
    context: &Context<'_>,
    args: &InitArgs,
    mut target: TargetConfig,
    readers: Readers,
    made: &mut Vec<PathBuf>,
) -> Result<Option<Vec<ListedJob>>, OpError> {
    let folder = &context.folder;
    // Where neither an address nor the region of a known cloud gives the endpoint, the
    // catalogue does, and what it says is written down.
    if is_only_catalogued(&target) {
        target.endpoint = Some(service::catalogued(context, &target, &args.login)?);
    }
    let resolved = Target::resolve(&target)?;
    resolved.check_hosts(&context.guards().trusted_hosts)?;
    // What is written is what is sealed.
    target.endpoint = target.endpoint.map(|_| resolved.scope.endpoint.clone());
    target.auth_url = target.auth_url.map(|_| resolved.auth_url.clone());
    let text = config::template(&target, &readers.recipients);
    let checked = config::parse(&text);
    let Some(config) = checked.value else {
        return Err(OpError::document(CONFIG_FILE, checked.problems));
    };
    let name = Path::new(config::DEFAULT_MANIFEST);
    age_file::encrypt(b"", &readers.recipients, context.plugins()).map_err(OpError::age(name))?;
    let jobs = if args.from_jobs {
        Some(service::listed(context, &resolved, None, &args.login)?)
    } else {
        None
    };
    // What keeps a key out of git comes before the key.
    made.extend(git_files(folder, &config, &context.identity_files)?);
    for (path, text) in readers.identities {
        let full = folder.join(&path);
        if context.env.default_identity().as_ref() == Some(&path) {
            files::make_private_folder(files::folder_of(&full)).map_err(OpError::write(&path))?;
        }
        create(&full, &path, text.as_bytes())?;
        made.push(path);
    }
    let name = Path::new(CONFIG_FILE);
    create(&folder.join(name), name, text.as_bytes())?;
    made.push(name.to_owned());
    Ok(jobs)
}

#[derive(Default)]
struct Readers {
    recipients: Vec<String>,
    /// The identities to be made, with their text.
    identities: Vec<(PathBuf, Zeroizing<String>)>,
}

fn begin(
    context: &Context<'_>,
    target: Option<&TargetConfig>,
    named: &[String],
) -> Result<Readers, OpError> {
    let has_config = exists(&context.folder.join(CONFIG_FILE));
    let names_any = target.is_some() || !named.is_empty();
    let mut refused = already_there(context, has_config, names_any)?;
    let mut readers = Readers::default();
    if !has_config || names_any {
        refused.extend(match target {
            Some(target) => refuse_target(target, &context.guards()),
            None if has_config => None,
            None => Some(OpError::unfit(
                "the target is not named",
                "Give --project-id with --region, or with --endpoint and --auth-url.",
            )),
        });
        refused.extend(readers.add_all(context, named));
    }
    if refused.len() < 2 {
        return refused.pop().map_or(Ok(readers), Err);
    }
    // One error for several, so that none hides the next.
    let problem = |error: &OpError| {
        let help = error.help().map(|help| help.to_string());
        Problem::error("", None, with_causes(error), help.unwrap_or_default())
    };
    let message = format!("cannot set up this directory: {} problems", refused.len());
    let failure = Failure::new("drspass::init", message, "Nothing was written.");
    Err(failure
        .listing(refused.iter().map(problem).collect())
        .into())
}

impl Readers {
    /// Adds those that the user named and those of the identities, each once.
    /// Returns why some cannot be.
    fn add_all(&mut self, context: &Context<'_>, named: &[String]) -> Vec<OpError> {
        let mut refused = Vec::new();
        for (text, number) in named.iter().zip(1..) {
            refused.extend(refuse_recipient(text).map(|(what, help)| {
                OpError::unfit(format!("--recipient number {number}: {what}"), help)
            }));
            self.add(text.clone());
        }
        for path in &context.identity_files {
            match identity(context, path, named) {
                Ok((recipients, text)) => {
                    for recipient in recipients {
                        self.add(recipient);
                    }
                    self.identities
                        .extend(text.map(|text| (path.clone(), text)));
                }
                Err(error) => refused.push(error),
            }
        }
        if self.recipients.is_empty() && refused.is_empty() {
            refused.push(OpError::unfit(
                "no recipients given",
                "Name a public key with --recipient, or an identity file with -i FILE, which is made if it does not exist.",
            ));
        }
        refused
    }

    fn add(&mut self, recipient: String) {
        let key = recipient_key(&recipient);
        let is_new = |there: &String| recipient_key(there) != key;
        if self.recipients.iter().all(is_new) {
            self.recipients.push(recipient);
        }
    }
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// What of a root folder is there and stops an init.
fn already_there(
    context: &Context<'_>,
    has_config: bool,
    names_any: bool,
) -> Result<Vec<OpError>, OpError> {
    let folder = context.folder.as_path();
    let mut manifest = PathBuf::from(config::DEFAULT_MANIFEST);
    let mut state = folder.join(config::DEFAULT_STATE);
    if has_config {
        let root = Root::locate(folder, None)?;
        manifest = root.manifest_name().to_owned();
        state = root.store.path().to_owned();
    }
    let name = state.strip_prefix(folder).unwrap_or(&state).to_owned();
    let has_manifest = exists(&folder.join(&manifest));
    let there = [
        (has_config, Path::new(CONFIG_FILE)),
        (has_manifest, &manifest),
        (exists(&state), &name),
    ];
    let there = there
        .into_iter()
        .filter(|(is_there, _)| *is_there)
        .map(|(_, path)| path);
    if has_manifest && has_config {
        let there: Vec<String> = there
            .map(|path| format!("{} exists already", path.display()))
            .collect();
        return Ok(vec![OpError::unfit(
            format!("this directory is already set up: {}", there.join(", ")),
            "Nothing was written. 'drspass edit' opens its manifest. To set up a copy for another environment, remove these files from it first.",
        )]);
    }
    if has_manifest {
        return Ok(there.map(OpError::exists).collect());
    }
    let mut refused = Vec::new();
    if has_config && names_any {
        refused.push(OpError::unfit(
            format!("{CONFIG_FILE} exists already and says where and to whom"),
            "Nothing was written. Run 'drspass init' without naming a target or recipients.",
        ));
    }
    refused.extend(refuse_new_key(&state, &context.guards()).err());
    Ok(refused)
}

/// A new key makes a new manifest. Where a state or an expected key says that
/// there was one, somebody may have removed it to be encrypted to instead.
fn refuse_new_key(state: &Path, guards: &Guards) -> Result<(), OpError> {
    if guards.expect_key_id.is_none() && !exists(state) {
        return Ok(());
    }
    Err(OpError::unfit(
        "the manifest is gone, and a new one would carry a new key",
        "Nothing was written. Bring the manifest back from git; a new key is only made where there is neither a state nor an expected key id.",
    ))
}

fn refuse_target(target: &TargetConfig, guards: &Guards) -> Option<OpError> {
    match Target::resolve(target) {
        // The catalogue of the identity service may tell it.
        Err(TargetError::NoEndpoint) => None,
        Err(error) => Some(error.into()),
        Ok(target) => target
            .check_hosts(&guards.trusted_hosts)
            .err()
            .map(Into::into),
    }
}

fn identity(
    context: &Context<'_>,
    path: &Path,
    named: &[String],
) -> Result<(Vec<String>, Option<Zeroizing<String>>), OpError> {
    match files::read_limited(&context.folder.join(path), MAX_IDENTITY_BYTES) {
        Ok(text) => {
            let origin = path.display().to_string();
            let text = Zeroizing::new(text);
            match age_file::recipients_of(&text, &origin) {
                Ok(recipients) => Ok((recipients, None)),
                // A usable key that cannot tell its recipient: it was named beside.
                Err(_) if !named.is_empty() => {
                    let read = Identities::default().add(&text, &origin);
                    read.map_err(OpError::Identity)?;
                    Ok((Vec::new(), None))
                }
                Err(error) => Err(OpError::Identity(error)),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if context.env.default_identity().as_deref() != Some(path) {
                refuse_missing_folder(&context.folder, path)?;
            }
            let (text, recipient) = age_file::generate_identity(&env::now().to_string());
            Ok((vec![recipient], Some(text)))
        }
        Err(source) => Err(OpError::read(path)(source)),
    }
}

fn refuse_missing_folder(folder: &Path, path: &Path) -> Result<(), OpError> {
    let full = folder.join(path);
    match full.parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !parent.is_dir() => Err(OpError::unfit(
            format!("there is no folder for the new identity {}", path.display()),
            "Nothing was written. Make its folder first, or name another file.",
        )),
        _ => Ok(()),
    }
}

fn target(context: &Context<'_>, args: &InitArgs) -> Result<Option<TargetConfig>, OpError> {
    let Some(project_id) = &args.project_id else {
        if args.region.is_some() || args.endpoint.is_some() || args.auth_url.is_some() {
            return Err(OpError::unfit(
                "the project is not named",
                "Give --project-id.",
            ));
        }
        return Ok(None);
    };
    let has_addresses = args.endpoint.is_some() && args.auth_url.is_some();
    let region = match &args.region {
        None if !has_addresses => login::region(context.env)?,
        region => region.clone(),
    };
    let endpoint = args.endpoint.as_ref();
    Ok(Some(TargetConfig {
        region,
        endpoint: endpoint.map(|url| bare(context, url, project_id)),
        auth_url: args.auth_url.clone(),
        project_id: project_id.clone(),
    }))
}

/// The address without version and project, which `openstack catalog list` shows.
fn bare(context: &Context<'_>, url: &str, project_id: &str) -> String {
    match bare_endpoint(url, project_id) {
        Some(bare) if bare != url.trim_end_matches('/') => {
            context.shell.message(
                "note: --endpoint ends in the version or the project, which is not used\n",
            );
            bare.to_owned()
        }
        _ => url.to_owned(),
    }
}

/// Whether neither the region nor a known cloud gives the endpoint.
fn is_only_catalogued(config: &TargetConfig) -> bool {
    let is_elsewhere = |url: &str| target::check_host(url, &[]).is_err() || target::is_here(url);
    match Target::resolve(config) {
        Err(error) => error == TargetError::NoEndpoint,
        Ok(_) => config.endpoint.is_none() && config.auth_url.as_deref().is_some_and(is_elsewhere),
    }
}

fn git_only(context: &Context<'_>, driver: DiffDriver, files: &[PathBuf]) -> Result<u8, OpError> {
    let mut text = wrote(files);
    text.push_str(&set(driver)?);
    if text.is_empty() {
        text.push_str("nothing to do: git knows the manifest already\n");
    }
    let arrived = context.shell.result(&text);
    context.shell.message(
        "Only git was told; the manifest is as it was.\n\
         Each clone needs 'drspass init --git' once, since settings of git are not cloned.\n",
    );
    Ok(context.stands(arrived, exit::DONE))
}

fn wrote(files: &[PathBuf]) -> String {
    let mut text = String::new();
    for file in files {
        let _ = writeln!(text, "wrote {}", file.display());
    }
    text
}

fn set(driver: DiffDriver) -> Result<String, OpError> {
    let mut text = String::new();
    for name in driver.set()? {
        let _ = writeln!(text, "set {name} in the configuration of git");
    }
    Ok(text)
}
