//! `init`: makes a root folder. What exists already is kept as it is; a manifest
//! that exists already means that there is nothing to make.

pub mod git;

use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use self::git::git_files;
use super::OpError;
use super::encrypt::create;
use super::rewrite;
use super::root::{CONFIG_FILE, Guards, MAX_IDENTITY_BYTES, Root};
use crate::age_file::{self, Identities, Plugins};
use crate::core::config::{self, Config, TargetConfig};
use crate::core::fingerprint::{FingerprintKey, KeyId};
use crate::core::inventory::ListedJob;
use crate::core::manifest::{self, Sealed};
use crate::core::target::Target;
use crate::files;

/// What a new root folder is about.
pub struct Wanted<'a> {
    /// The target; absent where a drspass.yaml is there already.
    pub target: Option<TargetConfig>,
    /// Public recipients beside those of the identities.
    pub recipients: Vec<String>,
    /// Identity files: made where they do not exist.
    pub identities: Vec<PathBuf>,
    /// The time, for the comment in an identity file.
    pub now: String,
    /// How the plugins of recipients are started.
    pub plugins: Plugins<'a>,
}

/// Lists the jobs of a project, by what drspass.yaml says where it is there already;
/// called when nothing else can stop the command.
pub type ListJobs<'a> = &'a dyn Fn(&Target, Option<&Config>) -> Result<Vec<ListedJob>, OpError>;

/// What was made.
pub struct Made {
    /// What the manifest is sealed for.
    pub target: Target,
    /// Every file that was written, in order.
    pub files: Vec<PathBuf>,
    /// The name of the new key.
    pub key_id: KeyId,
}

/// Makes what is missing of a root folder.
/// Fails if it holds a manifest already, or no recipient or target is known.
pub fn init(
    folder: &Path,
    wanted: Wanted<'_>,
    guards: &Guards,
    new_key: impl FnOnce() -> [u8; 32],
    list: Option<ListJobs<'_>>,
) -> Result<Made, OpError> {
    let config_path = folder.join(CONFIG_FILE);
    let said = match (&wanted.target, wanted.recipients.as_slice()) {
        (None, []) => CommandLine::NamesNothing,
        _ => CommandLine::NamesTargetOrRecipients,
    };
    let has_config = refuse_initialised(folder, said)?;
    refuse_new_key(&state_path(folder, has_config)?, guards)?;
    let list = |target: &Target, config: Option<&Config>| {
        list.map(|list| list(target, config)).transpose()
    };
    let mut jobs = None;
    let mut made = Vec::new();
    let mut recipients = wanted.recipients;
    let mut identities = Vec::new();
    if !has_config {
        // Everything that can be refused is refused before the first file.
        let mut target = wanted.target.ok_or_else(no_target)?;
        let resolved = Target::resolve(&target)?;
        resolved.check_hosts(&guards.trusted_hosts)?;
        // What is written is what is sealed.
        target.endpoint = target.endpoint.map(|_| resolved.scope.endpoint.clone());
        target.auth_url = target.auth_url.map(|_| resolved.auth_url.clone());
        for path in &wanted.identities {
            let (recipient, text) = identity(folder, path, &wanted.now, &recipients)?;
            recipients.extend(recipient);
            identities.extend(text.map(|text| (path, text)));
        }
        if recipients.is_empty() {
            return Err(OpError::Unfit {
                what: "there is nobody to encrypt to".to_owned(),
                help: "Name a public key with --recipient, or an identity file with -i FILE, which is made if it does not exist.",
            });
        }
        let text = config::template(&target, &recipients);
        let checked = config::parse(&text);
        let Some(config) = checked.value else {
            return Err(OpError::document(CONFIG_FILE, checked.problems));
        };
        age_file::encrypt(b"", &recipients, wanted.plugins).map_err(|source| OpError::Age {
            path: config::DEFAULT_MANIFEST.into(),
            source,
        })?;
        jobs = list(&resolved, None)?;
        // What keeps a key out of git comes before the key.
        made.extend(git_files(folder, &config, &wanted.identities)?);
        for (path, text) in identities {
            create(&folder.join(path), path, text.as_bytes())?;
            made.push(path.clone());
        }
        create(&config_path, Path::new(CONFIG_FILE), text.as_bytes())?;
        made.push(CONFIG_FILE.into());
    }
    let root = Root::locate(folder, None)?;
    let target = root.target(guards)?;
    if has_config {
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
    Ok(Made {
        target,
        files: made,
        key_id: sealed.fingerprint_key.id(),
    })
}

/// Where the state is, or will be.
fn state_path(folder: &Path, has_config: bool) -> Result<PathBuf, OpError> {
    if has_config {
        Ok(Root::locate(folder, None)?.store.path().to_owned())
    } else {
        Ok(folder.join(config::DEFAULT_STATE))
    }
}

fn no_target() -> OpError {
    OpError::Unfit {
        what: "the target is not named".to_owned(),
        help: "Give --project-id with --region, or with --endpoint and --auth-url.",
    }
}

/// What the command line says that drspass.yaml says as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// Nothing of it.
    NamesNothing,
    /// A target, recipients, or both.
    NamesTargetOrRecipients,
}

/// A new key makes a new manifest. Where a state or an expected key says that
/// there was one, somebody may have removed it to be encrypted to instead.
fn refuse_new_key(state: &Path, guards: &Guards) -> Result<(), OpError> {
    let has_state = state.symlink_metadata().is_ok();
    if guards.expect_key_id.is_none() && !has_state {
        return Ok(());
    }
    Err(OpError::Unfit {
        what: "the manifest is gone, and a new one would carry a new key".to_owned(),
        help: "Nothing was written. Bring the manifest back from git; a new key is only made where there is neither a state nor an expected key id.",
    })
}

/// Stops where a manifest exists, or where what the command line names beside would be
/// ignored. Tells whether there is a drspass.yaml already.
pub fn refuse_initialised(folder: &Path, said: CommandLine) -> Result<bool, OpError> {
    if folder.join(CONFIG_FILE).symlink_metadata().is_err() {
        let path = PathBuf::from(config::DEFAULT_MANIFEST);
        return match folder.join(&path).symlink_metadata() {
            Ok(_) => Err(OpError::Exists { path }),
            Err(_) => Ok(false),
        };
    }
    let root = Root::locate(folder, None)?;
    if root.manifest_path().symlink_metadata().is_ok() {
        return Err(OpError::Exists {
            path: root.manifest_name().to_owned(),
        });
    }
    if said == CommandLine::NamesTargetOrRecipients {
        return Err(OpError::Unfit {
            what: format!("{CONFIG_FILE} exists already and says where and to whom"),
            help: "Nothing was written. Run 'drspass init' without naming a target or recipients.",
        });
    }
    Ok(true)
}

/// The recipients of an identity file; with the text of a new one, where there is
/// none yet. `named` are those that the user named.
fn identity(
    folder: &Path,
    path: &Path,
    now: &str,
    named: &[String],
) -> Result<(Vec<String>, Option<Zeroizing<String>>), OpError> {
    match files::read_limited(&folder.join(path), MAX_IDENTITY_BYTES) {
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
            refuse_missing_folder(folder, path)?;
            let (text, recipient) = age_file::generate_identity(now);
            Ok((vec![recipient], Some(text)))
        }
        Err(source) => Err(OpError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Stops where a new identity file would have no folder to be in.
fn refuse_missing_folder(folder: &Path, path: &Path) -> Result<(), OpError> {
    let full = folder.join(path);
    match full.parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !parent.is_dir() => Err(OpError::Unfit {
            what: format!("there is no folder for the new identity {}", path.display()),
            help: "Nothing was written. Make its folder first, or name another file.",
        }),
        _ => Ok(()),
    }
}
