//! `init`: creates the files of a root directory. Existing files are kept; an existing
//! manifest is an error.

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
use crate::cli::login::{self, LoginFlags};
use crate::cli::proposed::quoted;
use crate::core::config::{self, TargetConfig, bare_endpoint};
use crate::core::failure::{Failure, with_causes};
use crate::core::fingerprint::{FingerprintKey, Scope};
use crate::core::inventory::ListedJob;
use crate::core::manifest::{self, Sealed, Sealing};
use crate::core::place::{Floor, Place, SealedPlace, state_path};
use crate::core::problem::Problem;
use crate::core::recipients::{recipient_key, refuse_recipient};
use crate::core::state::{Lineage, State};
use crate::core::target::{self, Target, TargetError};
use crate::ops::OpError;
use crate::ops::git::git_files;
use crate::ops::rewrite::create;
use crate::ops::root::{CONFIG_FILE, MAX_IDENTITY_BYTES, Root, UserRules, parse_manifest};
use crate::store::StoreKeys;
use crate::sys::files;
use crate::view::text;

const TARGET: &str = "Target";
const MANIFEST: &str = "Manifest";

#[derive(Debug, Args)]
pub struct InitArgs {
    /// Project id
    #[arg(long, value_name = "ID", help_heading = TARGET)]
    pub project_id: Option<String>,
    /// Region, such as eu-de, which gives the addresses of both services
    #[arg(long, value_name = "REGION", help_heading = TARGET)]
    pub region: Option<String>,
    /// Address of the DRS service, if the region does not give it; by default, the
    /// service catalogue is asked
    #[arg(long, value_name = "URL", help_heading = TARGET)]
    pub endpoint: Option<String>,
    /// Address of the identity service, ending in /v3
    #[arg(long, value_name = "URL", help_heading = TARGET)]
    pub auth_url: Option<String>,
    /// Encrypt to this public key (repeatable). The key of an identity file given
    /// with -i is a recipient too; the file is created if it does not exist
    #[arg(long, value_name = "KEY", help_heading = MANIFEST)]
    pub recipient: Vec<String>,
    /// Log in and list all jobs of the project in the manifest, without passwords
    #[arg(long, help_heading = MANIFEST)]
    pub from_jobs: bool,
    /// Write no index, now or later: names of jobs and credentials are then in no plain
    /// file, and reviewers without a key cannot see which password changed
    #[arg(long, help_heading = MANIFEST)]
    pub no_index: bool,
    #[command(flatten)]
    pub login: LoginFlags,
}

pub fn run(context: &Context<'_>, args: &InitArgs) -> Result<u8, OpError> {
    context.sweep();
    let config = target(context, args)?;
    let readers = begin(context, config.as_ref(), &args.recipient)?;
    let mut made = Vec::new();
    let mut jobs = None;
    if let Some(config) = config {
        jobs = set_up(context, args, config, readers, &mut made)?;
    }
    let root = Root::locate(&context.folder, None, &context.access)?;
    let target = root.target(&context.rules())?;
    if args.from_jobs && jobs.is_none() {
        let config = Some(&root.config);
        jobs = Some(service::listed(context, &target, config, &args.login)?);
    }
    let key = FingerprintKey::new(env::random::<32>());
    let state = first_state(&root, &key, &target.scope)?;
    let sealed = Sealed {
        fingerprint_key: key,
        scope: target.scope,
        auth_url: target.auth_url,
        recipients: root.config.recipients.clone(),
        state,
        moved_from: None,
        index: !args.no_index,
        revision: 1,
        written: env::now(),
        former: None,
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
    let (manifest, _) = parse_manifest(skeleton.as_bytes(), Sealing::Required, name)?;
    root.renew_index(&manifest, &sealed, &file)?;
    made.extend(sealed.index.then(|| root.index_name()));
    let mut text = wrote(&made);
    if let Some(jobs) = &jobs {
        let listed = text::counted(jobs.len(), "job", "jobs");
        let _ = writeln!(text, "listed {listed} of the project in the manifest");
    }
    let _ = writeln!(text, "project: {}", sealed.scope.project_id);
    let _ = writeln!(text, "endpoint: {}", sealed.scope.endpoint);
    let _ = writeln!(text, "identity service: {}", sealed.auth_url);
    let _ = writeln!(text, "key id: {}", sealed.fingerprint_key.id());
    let export = identity_to_export(context).unwrap_or_default();
    let next = format!(
        "{export}Next: run 'drspass edit' to fill in the manifest.\n\
         In CI, set the protected variable DRSPASS_EXPECT_KEY_ID to the key id.\n"
    );
    Ok(context.done(&text, &next))
}

/// Returns how to name an identity that no later command finds by itself.
fn identity_to_export(context: &Context<'_>) -> Option<String> {
    let path = context.identity_files.first()?;
    let env = context.env;
    let mut found = [env.default_identity(), env.path_var("DRSPASS_IDENTITY")].into_iter();
    if found.any(|found| found.as_ref() == Some(path)) {
        return None;
    }
    let path = context.folder.join(path);
    let below = match path.is_absolute() {
        true => "",
        false => "\"$PWD\"/",
    };
    let path = quoted(&path);
    Some(format!("Next: export DRSPASS_IDENTITY={below}{path}\n"))
}

/// Writes missing identities, then a new drspass.yaml. Returns the jobs of the project with
/// `--from-jobs`.
fn set_up(
    context: &Context<'_>,
    args: &InitArgs,
    mut target: TargetConfig,
    readers: Readers,
    made: &mut Vec<PathBuf>,
) -> Result<Option<Vec<ListedJob>>, OpError> {
    let folder = &context.folder;
    // If neither an address nor the region of a known cloud gives the endpoint, the one of
    // the catalogue is written.
    if is_only_catalogued(&target) {
        target.endpoint = Some(service::catalogued(context, &target, &args.login)?);
    }
    let resolved = Target::resolve(&target)?;
    resolved.check_hosts(&context.rules().trusted_hosts)?;
    // The written addresses are the sealed ones.
    target.endpoint = target.endpoint.map(|_| resolved.scope.endpoint.clone());
    target.auth_url = target.auth_url.map(|_| resolved.auth_url.clone());
    let state = match &context.state {
        Some(Place::File(path)) if path.to_str().is_none_or(|it| state_path(it).is_err()) => None,
        state => state.clone(),
    };
    let state = state.unwrap_or_else(|| Place::File(config::DEFAULT_STATE.into()));
    let text = config::template(&target, &readers.recipients, &state);
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
    // The file that keeps a key out of git comes before the key.
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

/// Returns the place to seal. A branch gets a first state, as it is never absent.
fn first_state(root: &Root, key: &FingerprintKey, scope: &Scope) -> Result<SealedPlace, OpError> {
    let Some(branch) = root.store.branch() else {
        return Ok(SealedPlace::File(root.config.state.to_string()));
    };
    let lineage = Lineage::new(env::unique());
    let mut state = State::new(scope.clone(), lineage, key.id());
    root.store.create(&StoreKeys::from(key), &mut state)?;
    Ok(branch.sealed(Floor::of(&state))?)
}

#[derive(Default)]
struct Readers {
    recipients: Vec<String>,
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
            Some(target) => refuse_target(target, &context.rules()),
            None if has_config => None,
            None => Some(OpError::unfit(
                "no target given",
                "Pass --project-id with --region, or with --endpoint and --auth-url.",
            )),
        });
        refused.extend(readers.add_all(context, named));
    }
    if refused.len() < 2 {
        return refused.pop().map_or(Ok(readers), Err);
    }
    // Several problems are one error, so that all are shown.
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
    /// Adds the recipients that the user named and those of the identities, each once.
    /// Returns the errors.
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
                "Pass a public key with --recipient, or an identity file with -i FILE, which is created if it does not exist.",
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

/// Returns errors about existing files that stop an init.
fn already_there(
    context: &Context<'_>,
    has_config: bool,
    names_any: bool,
) -> Result<Vec<OpError>, OpError> {
    let folder = context.folder.as_path();
    let mut manifest = PathBuf::from(config::DEFAULT_MANIFEST);
    let mut state = folder.join(config::DEFAULT_STATE);
    if has_config {
        let root = Root::locate(folder, None, &context.access)?;
        manifest = root.manifest_name().to_owned();
        state = root.store.path().to_owned();
    }
    let name = state.strip_prefix(folder).unwrap_or(&state).to_owned();
    let index = config::index_path(&manifest);
    let has_manifest = exists(&folder.join(&manifest));
    let has_index = exists(&folder.join(&index));
    let there = [
        (has_config, Path::new(CONFIG_FILE)),
        (has_manifest, &manifest),
        (has_index, &index),
        (exists(&state), &name),
    ];
    let there = there
        .into_iter()
        .filter(|(is_there, _)| *is_there)
        .map(|(_, path)| path);
    if has_manifest && has_config {
        let there: Vec<String> = there.map(|path| path.display().to_string()).collect();
        return Ok(vec![OpError::unfit(
            format!(
                "this directory is already set up; it has {}",
                there.join(", ")
            ),
            "Nothing was written. Run 'drspass edit' to change its manifest. To set up a copy for another environment, remove these files from the copy first.",
        )]);
    }
    if has_manifest {
        return Ok(there.map(OpError::exists).collect());
    }
    let mut refused = Vec::new();
    if has_index {
        refused.push(OpError::exists(&index));
    }
    if has_config && names_any {
        refused.push(OpError::unfit(
            format!("{CONFIG_FILE} exists already and names the target and the recipients"),
            "Nothing was written. Run 'drspass init' without a target and without --recipient.",
        ));
    }
    refused.extend(refuse_new_key(&state, &context.rules()).err());
    Ok(refused)
}

/// Refuses a new key if a state or an expected key id shows that there was a manifest: an
/// attacker may have removed it.
fn refuse_new_key(state: &Path, rules: &UserRules) -> Result<(), OpError> {
    if rules.expect_key_ids.is_empty() && !exists(state) {
        return Ok(());
    }
    Err(OpError::unfit(
        "the manifest is missing, and a new one would have a new key",
        "Nothing was written. Restore the manifest from git. A new key is created only if there is neither a state nor an expected key id.",
    ))
}

fn refuse_target(target: &TargetConfig, rules: &UserRules) -> Option<OpError> {
    match Target::resolve(target) {
        // The catalogue of the identity service may give it.
        Err(TargetError::NoEndpoint) => None,
        Err(error) => Some(error.into()),
        Ok(target) => target
            .check_hosts(&rules.trusted_hosts)
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
                // A valid key without a known recipient, which --recipient names.
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
            format!(
                "cannot create the identity {}: its directory does not exist",
                path.display()
            ),
            "Nothing was written. Create the directory first, or pass another file.",
        )),
        _ => Ok(()),
    }
}

fn target(context: &Context<'_>, args: &InitArgs) -> Result<Option<TargetConfig>, OpError> {
    let Some(project_id) = &args.project_id else {
        if args.region.is_some() || args.endpoint.is_some() || args.auth_url.is_some() {
            return Err(OpError::unfit("no project id given", "Pass --project-id."));
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

/// Returns an address of `openstack catalog list` without version and project.
fn bare(context: &Context<'_>, url: &str, project_id: &str) -> String {
    match bare_endpoint(url, project_id) {
        Some(bare) if bare != url.trim_end_matches('/') => {
            context
                .shell
                .message("note: the version or project at the end of --endpoint is not used\n");
            bare.to_owned()
        }
        _ => url.to_owned(),
    }
}

/// Returns whether neither the region nor a known cloud gives the endpoint.
fn is_only_catalogued(config: &TargetConfig) -> bool {
    let is_elsewhere = |url: &str| target::check_host(url, &[]).is_err() || target::is_here(url);
    match Target::resolve(config) {
        Err(error) => error == TargetError::NoEndpoint,
        Ok(_) => config.endpoint.is_none() && config.auth_url.as_deref().is_some_and(is_elsewhere),
    }
}

fn wrote(files: &[PathBuf]) -> String {
    let mut text = String::new();
    for file in files {
        let _ = writeln!(text, "wrote {}", file.display());
    }
    text
}
