//! `init`: makes a root folder. What exists already is kept as it is; a manifest
//! that exists already means that there is nothing to make.

use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::OpError;
use super::encrypt::create;
use super::git::git_files;
use super::rewrite;
use super::root::{CONFIG_FILE, Guards, MAX_IDENTITY_BYTES, Root};
use crate::age_file::{self, Identities, Plugins};
use crate::core::config::{self, Config, TargetConfig};
use crate::core::fingerprint::{FingerprintKey, KeyId};
use crate::core::inventory::ListedJob;
use crate::core::manifest::{self, Sealed};
use crate::core::recipients::{recipient_key, refuse_recipient};
use crate::core::target::{Target, TargetError};
use crate::sys::files;

pub struct InitRequest<'a> {
    /// The target; absent where a drspass.yaml is there already.
    pub target: Option<TargetConfig>,
    /// Public recipients beside those of the identities.
    pub recipients: Vec<String>,
    /// Identity files: made where they do not exist.
    pub identities: Vec<PathBuf>,
    /// The identity file whose folder is made, too.
    pub default_identity: Option<PathBuf>,
    /// The time, for the comment in an identity file.
    pub now: String,
    pub plugins: Plugins<'a>,
}

/// Lists the jobs of a project, by what drspass.yaml says where it is there already;
/// called when nothing else can stop the command.
pub type ListJobs<'a> = &'a dyn Fn(&Target, Option<&Config>) -> Result<Vec<ListedJob>, OpError>;

pub struct InitResult {
    /// What the manifest is sealed for.
    pub target: Target,
    /// Every file that was written, in order.
    pub files: Vec<PathBuf>,
    pub key_id: KeyId,
}

struct InitStart {
    has_config: bool,
    recipients: Vec<String>,
    /// The identities to be made, with their text.
    identities: Vec<(PathBuf, Zeroizing<String>)>,
}

pub fn init(
    folder: &Path,
    wanted: InitRequest<'_>,
    guards: &Guards,
    new_key: impl FnOnce() -> [u8; 32],
    list: Option<ListJobs<'_>>,
) -> Result<InitResult, OpError> {
    // Everything that can be refused is refused before the first file.
    let start = begin(folder, &wanted, guards)?;
    let list = |target: &Target, config: Option<&Config>| {
        list.map(|list| list(target, config)).transpose()
    };
    let mut jobs = None;
    let mut made = Vec::new();
    if !start.has_config {
        let mut target = wanted.target.ok_or_else(no_target)?;
        let resolved = Target::resolve(&target)?;
        resolved.check_hosts(&guards.trusted_hosts)?;
        // What is written is what is sealed.
        target.endpoint = target.endpoint.map(|_| resolved.scope.endpoint.clone());
        target.auth_url = target.auth_url.map(|_| resolved.auth_url.clone());
        let text = config::template(&target, &start.recipients);
        let checked = config::parse(&text);
        let Some(config) = checked.value else {
            return Err(OpError::document(CONFIG_FILE, checked.problems));
        };
        age_file::encrypt(b"", &start.recipients, wanted.plugins).map_err(|source| {
            OpError::Age {
                path: config::DEFAULT_MANIFEST.into(),
                source,
            }
        })?;
        jobs = list(&resolved, None)?;
        // What keeps a key out of git comes before the key.
        made.extend(git_files(folder, &config, &wanted.identities)?);
        for (path, text) in start.identities {
            let full = folder.join(&path);
            if wanted.default_identity.as_deref() == Some(&path) {
                files::make_private_folder(files::folder_of(&full))
                    .map_err(OpError::write(&path))?;
            }
            create(&full, &path, text.as_bytes())?;
            made.push(path);
        }
        create(
            &folder.join(CONFIG_FILE),
            Path::new(CONFIG_FILE),
            text.as_bytes(),
        )?;
        made.push(CONFIG_FILE.into());
    }
    let root = Root::locate(folder, None)?;
    let target = root.target(guards)?;
    if start.has_config {
        jobs = list(&target, Some(&root.config))?;
    }
    let sealed = Sealed {
        fingerprint_key: FingerprintKey::new(new_key()),
        scope: target.scope.clone(),
        auth_url: target.auth_url.clone(),
        recipients: root.config.recipients.clone(),
        revision: 1,
    };
    made.extend(git_files(folder, &root.config, &wanted.identities)?);
    let skeleton = manifest::skeleton(&sealed, jobs.as_deref());
    let name = root.manifest_name();
    let file = rewrite::encrypted(skeleton.as_bytes(), &sealed, name, wanted.plugins)?;
    create(&root.manifest_path(), name, &file)?;
    made.push(root.manifest_name().to_owned());
    Ok(InitResult {
        target,
        files: made,
        key_id: sealed.fingerprint_key.id(),
    })
}

fn no_target() -> OpError {
    OpError::unfit(
        "the target is not named",
        "Give --project-id with --region, or with --endpoint and --auth-url.",
    )
}

/// Looks for everything that would stop [`init`].
pub fn check(folder: &Path, wanted: &InitRequest<'_>, guards: &Guards) -> Result<(), OpError> {
    begin(folder, wanted, guards).map(|_| ())
}

/// A new key makes a new manifest. Where a state or an expected key says that
/// there was one, somebody may have removed it to be encrypted to instead.
fn refuse_new_key(state: &Path, guards: &Guards) -> Result<(), OpError> {
    let has_state = state.symlink_metadata().is_ok();
    if guards.expect_key_id.is_none() && !has_state {
        return Ok(());
    }
    Err(OpError::unfit(
        "the manifest is gone, and a new one would carry a new key",
        "Nothing was written. Bring the manifest back from git; a new key is only made where there is neither a state nor an expected key id.",
    ))
}

fn begin(folder: &Path, wanted: &InitRequest<'_>, guards: &Guards) -> Result<InitStart, OpError> {
    let has_config = folder.join(CONFIG_FILE).symlink_metadata().is_ok();
    let names_any = wanted.target.is_some() || !wanted.recipients.is_empty();
    let mut refused = already_there(folder, has_config, names_any, guards)?;
    let mut start = InitStart {
        has_config,
        recipients: Vec::new(),
        identities: Vec::new(),
    };
    if !has_config || names_any {
        refused.extend(match &wanted.target {
            Some(target) => refuse_target(target, guards),
            None if has_config => None,
            None => Some(no_target()),
        });
        refused.extend(start.add_recipients(folder, wanted));
    }
    match refused.len() {
        0 => Ok(start),
        1 => Err(refused.remove(0)),
        _ => Err(OpError::several(&refused)),
    }
}

/// What of a root folder is there and stops an init.
fn already_there(
    folder: &Path,
    has_config: bool,
    names_any: bool,
    guards: &Guards,
) -> Result<Vec<OpError>, OpError> {
    let mut manifest = PathBuf::from(config::DEFAULT_MANIFEST);
    let mut state = folder.join(config::DEFAULT_STATE);
    if has_config {
        let root = Root::locate(folder, None)?;
        manifest = root.manifest_name().to_owned();
        state = root.store.path().to_owned();
    }
    let name = state.strip_prefix(folder).unwrap_or(&state).to_owned();
    let exists = |path: &Path| path.symlink_metadata().is_ok();
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
    refused.extend(refuse_new_key(&state, guards).err());
    Ok(refused)
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

impl InitStart {
    /// Adds those that the user named and those of the identities, each once.
    /// Returns why some cannot be.
    fn add_recipients(&mut self, folder: &Path, wanted: &InitRequest<'_>) -> Vec<OpError> {
        let mut refused = Vec::new();
        for (text, number) in wanted.recipients.iter().zip(1..) {
            refused.extend(refuse_recipient(text).map(|(what, help)| {
                OpError::unfit(format!("--recipient number {number}: {what}"), help)
            }));
            self.add(text.clone());
        }
        for path in &wanted.identities {
            match identity(folder, path, wanted) {
                Ok((recipients, text)) => {
                    recipients
                        .into_iter()
                        .for_each(|recipient| self.add(recipient));
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
        if self
            .recipients
            .iter()
            .all(|there| recipient_key(there) != key)
        {
            self.recipients.push(recipient);
        }
    }
}

/// The recipients of an identity file; with the text of a new one, where there is
/// none yet.
fn identity(
    folder: &Path,
    path: &Path,
    wanted: &InitRequest<'_>,
) -> Result<(Vec<String>, Option<Zeroizing<String>>), OpError> {
    match files::read_limited(&folder.join(path), MAX_IDENTITY_BYTES) {
        Ok(text) => {
            let origin = path.display().to_string();
            let text = Zeroizing::new(text);
            match age_file::recipients_of(&text, &origin) {
                Ok(recipients) => Ok((recipients, None)),
                // A usable key that cannot tell its recipient: it was named beside.
                Err(_) if !wanted.recipients.is_empty() => {
                    let read = Identities::default().add(&text, &origin);
                    read.map_err(OpError::Identity)?;
                    Ok((Vec::new(), None))
                }
                Err(error) => Err(OpError::Identity(error)),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if wanted.default_identity.as_deref() != Some(path) {
                refuse_missing_folder(folder, path)?;
            }
            let (text, recipient) = age_file::generate_identity(&wanted.now);
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
