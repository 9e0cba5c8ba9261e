//! A root directory: configuration, manifest, state, and the checks before a manifest is used
//! (design section 2.2).

mod index;
mod manifest;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::OpError;
use super::error::{ErrorClass, Failure};
use crate::core::config::{self, Config, DEFAULT_MANIFEST, DEFAULT_STATE, Limits, index_path};
use crate::core::fingerprint::KeyId;
use crate::core::job::some_of;
use crate::core::manifest::Sealed;
use crate::core::place::Place;
use crate::core::problem::Problem;
use crate::core::recipients::{Difference, recipient_key};
use crate::core::redact::ForeignText;
use crate::core::target::{Target, TargetError};
use crate::core::yaml;
use crate::store::Store;
use crate::store::branch::{MAX_REQUEST_TIME, PlaceAccess};
use crate::store::remote::remotes;
use crate::sys::files;

pub use manifest::{
    IdentitySource, MAX_IDENTITY_BYTES, Opened, StateFacts, Unlock, digest_of, parse_manifest,
    parse_sealed,
};

pub const CONFIG_FILE: &str = "drspass.yaml";

/// A manifest has at most 64 MiB of plain text (design section 2.2); armor adds a third and a
/// line end for every 64 characters.
pub const MAX_ENCRYPTED_BYTES: usize = 96 << 20;
/// An index has a tag for each password, which may be shorter.
pub const MAX_INDEX_BYTES: u64 = 128 << 20;
const MAX_CONFIG_BYTES: u64 = 1 << 20;

pub struct Root {
    folder: PathBuf,
    pub config: Config,
    pub warnings: Vec<Problem>,
    pub store: Store,
    /// The store of drspass.yaml's place, where the user named another one.
    configured: Option<Store>,
    access: PlaceAccess,
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    const MOST: usize = 1000;
    let entries = fs::read_dir(folder).into_iter().flatten().take(MOST);
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let folders = paths.filter(|path| path.is_dir() && !path.is_symlink());
    folders.collect()
}

/// Says that a directory is not a root directory, and names those near it.
fn missing(folder: &Path) -> OpError {
    let (path, near) = match folder.join(".").is_dir() {
        true => (folder.join(CONFIG_FILE), folder.join(".")),
        false => (folder.to_owned(), files::folder_of(folder).to_owned()),
    };
    let mut folders = folders_in(&near);
    let below: Vec<PathBuf> = folders
        .iter()
        .take(20)
        .flat_map(|it| folders_in(it))
        .collect();
    folders.extend(below);
    folders.retain(|folder| folder.join(CONFIG_FILE).is_file());
    folders.sort();
    let names = folders
        .iter()
        .map(|it| it.strip_prefix(".").unwrap_or(it).display().to_string());
    let names: Vec<String> = names.collect();
    let help = match names.is_empty() {
        true => {
            "Nothing was sent. Run 'drspass init' to create it, or name another directory with -C DIR.".to_owned()
        }
        false => format!(
            "Nothing was sent. Name an environment's directory with -C DIR: {}.",
            some_of(&names, 5)
        ),
    };
    let what = format!("{} does not exist", path.display());
    Failure::new("drspass::root::missing", what, help).into()
}

impl Root {
    pub fn locate(
        folder: &Path,
        state: Option<&Place>,
        access: &PlaceAccess,
    ) -> Result<Self, OpError> {
        let path = folder.join(CONFIG_FILE);
        let bytes = match files::read_unlinked_limited(&path, MAX_CONFIG_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(missing(folder));
            }
            Err(source) => {
                return Err(OpError::read(CONFIG_FILE)(source));
            }
        };
        Self::configured(folder, &bytes, state, access)
    }

    /// Like [`Root::locate`], with this drspass.yaml.
    pub fn configured(
        folder: &Path,
        bytes: &[u8],
        state: Option<&Place>,
        access: &PlaceAccess,
    ) -> Result<Self, OpError> {
        let text =
            yaml::decode(bytes).map_err(|problem| OpError::document(CONFIG_FILE, vec![problem]))?;
        let checked = config::parse(text);
        let Some(mut config) = checked.value else {
            return Err(OpError::document(CONFIG_FILE, checked.problems));
        };
        if let (None, Place::File(path)) = (state, &config.state) {
            inside(folder, path)?;
        }
        inside(folder, config.manifest.as_path())?;
        let store = |place: &Place| Store::of(place, folder, access);
        let configured = state.map(|_| store(&config.state));
        let store = store(state.unwrap_or(&config.state));
        if store.branch().is_some() {
            // So that no request outlives the lease of its run.
            let timeout = &mut config.apply.request_timeout;
            *timeout = (*timeout).min(MAX_REQUEST_TIME);
        }
        Ok(Self {
            folder: folder.to_owned(),
            warnings: checked.problems,
            store,
            configured,
            access: access.clone(),
            config,
        })
    }

    /// Returns the root of the drspass.yaml that is there now.
    pub fn reread(&self) -> Result<Self, OpError> {
        Self::locate(&self.folder, None, &self.access)
    }

    pub fn store_of(&self, place: &Place) -> Store {
        Store::of(place, &self.folder, &self.access)
    }

    /// Returns the names of the remotes of the clone around this directory.
    pub fn remotes(&self) -> Result<Vec<String>, Failure> {
        remotes(&self.folder, &self.access.git)
    }

    /// Returns those of `recipients` that drspass.yaml still lists. An unusable drspass.yaml, as
    /// in the middle of a merge, is searched as text; a missing one removes no recipient.
    pub fn still_listed(&self, recipients: &[String]) -> Vec<String> {
        let path = self.folder.join(CONFIG_FILE);
        let mut listed = recipients.to_vec();
        if let Ok(bytes) = files::read_unlinked_limited(&path, MAX_CONFIG_BYTES) {
            let text = String::from_utf8_lossy(&bytes);
            match config::parse(&text).value {
                Some(config) => {
                    let removed = Difference::between(recipients, &config.recipients).removed;
                    listed.retain(|recipient| !removed.contains(recipient));
                }
                None => listed.retain(|recipient| text.contains(&recipient_key(recipient))),
            }
        }
        listed
    }

    /// Returns the stricter limits of drspass.yaml and the environment.
    pub fn limits(&self, rules: &UserRules) -> Limits {
        let configured = self.config.limits.max_changes;
        Limits {
            max_changes: configured.into_iter().chain(rules.max_changes).min(),
            ..self.config.limits.clone()
        }
    }

    pub fn environment(&self) -> Option<ForeignText> {
        place(&self.folder)
            .file_name()
            .and_then(|name| ForeignText::clean(&name.to_string_lossy()))
    }

    pub fn manifest_name(&self) -> &Path {
        self.config.manifest.as_path()
    }

    pub fn manifest_path(&self) -> PathBuf {
        self.folder.join(self.manifest_name())
    }

    /// Returns a path relative to the root directory if it is below it.
    pub fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.folder).unwrap_or(path)
    }

    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// Reads a file that the user named, which may be a pipe.
    pub fn read_named(&self, path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, OpError> {
        let path = self.resolve(path);
        let bytes = files::read_limited(&path, limit as u64).map(Zeroizing::new);
        bytes.map_err(OpError::read(path))
    }

    pub fn manifest_bytes(&self) -> Result<Vec<u8>, OpError> {
        self.check_manifest_link()?;
        files::read_limited(&self.manifest_path(), MAX_ENCRYPTED_BYTES as u64)
            .map_err(OpError::read(self.manifest_name()))
    }

    /// Refuses a manifest that links to a file outside the directory: someone who can only
    /// commit a link must not choose which file is written.
    pub fn check_manifest_link(&self) -> Result<(), OpError> {
        let path = self.manifest_path();
        if path
            .symlink_metadata()
            .is_ok_and(|found| found.is_symlink())
            && let Ok(target) = std::fs::canonicalize(&path)
        {
            inside(&self.folder, &target)?;
        }
        // Anything but a file, such as a pipe, could be waited for without end.
        match path.metadata() {
            Ok(found) if !found.is_file() => Err(OpError::read(self.manifest_name())(
                std::io::Error::other("it is not a regular file"),
            )),
            _ => Ok(()),
        }
    }

    pub fn target(&self, rules: &UserRules) -> Result<Target, OpError> {
        let target = Target::resolve(&self.config.target)?;
        target.check_hosts(&rules.trusted_hosts)?;
        Ok(target)
    }

    /// Like [`Root::target`]; `None` if only the identity service's catalogue knows the
    /// endpoint.
    pub fn named_target(&self, rules: &UserRules) -> Result<Option<Target>, OpError> {
        match self.target(rules) {
            Err(OpError::Target(TargetError::NoEndpoint)) => Ok(None),
            named => named.map(Some),
        }
    }

    /// Returns the configured target, with the sealed endpoint if none is configured.
    pub fn target_beside(
        &self,
        named: Option<Target>,
        sealed: &Sealed,
        rules: &UserRules,
    ) -> Result<Target, OpError> {
        if let Some(target) = named {
            return Ok(target);
        }
        let endpoint = Some(sealed.scope.endpoint.as_str());
        let target = Target::resolve_or(&self.config.target, endpoint)?;
        target.check_hosts(&rules.trusted_hosts)?;
        Ok(target)
    }
}

/// Returns the path of a root directory from the top of its work tree, beginning with the
/// tree's own directory if it is the top.
pub fn place(folder: &Path) -> PathBuf {
    let full = std::fs::canonicalize(folder.join(".")).unwrap_or_default();
    let tree = full.ancestors().find(|above| above.join(".git").exists());
    let below = tree.and_then(|tree| full.strip_prefix(tree).ok());
    match below {
        Some(below) if below != Path::new("") => below.to_owned(),
        _ => full.file_name().map(PathBuf::from).unwrap_or_default(),
    }
}

/// Returns `path` below `folder`, unless links lead outside.
fn inside(folder: &Path, path: &Path) -> Result<PathBuf, OpError> {
    let full = folder.join(path);
    let outside = || {
        OpError::from(Failure::new(
            "drspass::root::outside",
            format!(
                "{} is outside the directory of drspass.yaml",
                path.display()
            ),
            "Keep manifest and state below that directory, without links that lead outside; give a state elsewhere with --state or DRSPASS_STATE.",
        ))
    };
    let root = std::fs::canonicalize(files::folder_of(&folder.join(CONFIG_FILE)))
        .map_err(|_| outside())?;
    match std::fs::canonicalize(files::folder_of(&full)) {
        Ok(parent) if !parent.starts_with(&root) => Err(outside()),
        // A missing directory is reported when it is used.
        _ => Ok(full),
    }
}

/// What the user, not a file, allows.
#[derive(Clone)]
pub struct UserRules {
    /// Trusted hosts in addition to those of the known clouds.
    pub trusted_hosts: Vec<String>,
    /// The only accepted keys, if given: that of the manifest, and that of a state of before the last
    /// rekey.
    pub expect_key_ids: Vec<KeyId>,
    /// Whether to accept a manifest older than one that was applied.
    pub allow_rollback: bool,
    /// The key of a state that may be replaced if the manifest has another key.
    pub accept_new_key: Option<KeyId>,
    /// The most changes that the environment allows, whatever drspass.yaml says.
    pub max_changes: Option<u64>,
    /// The exact number of changes accepted beyond the limits.
    pub override_limits: Option<u64>,
}

impl UserRules {
    pub fn check_key(&self, found: &KeyId) -> Result<(), OpError> {
        if self.expect_key_ids.is_empty() || self.expect_key_ids.contains(found) {
            return Ok(());
        }
        let expected: Vec<String> = self.expect_key_ids.iter().map(KeyId::to_string).collect();
        let expected = expected.join(" or ");
        Err(Failure::new(
            "drspass::sealed::key_id",
            format!("the manifest has the key {found}, but {expected} is expected"),
            "Nothing was sent or changed. Someone without the key may have made this manifest; check who changed it, and change the expected id only if the key was replaced on purpose.",
        )
        .class(ErrorClass::Sealed)
        .into())
    }
}

pub struct OwnPaths {
    folder: PathBuf,
    state: PathBuf,
    /// All but the state and its siblings.
    others: Vec<PathBuf>,
}

impl OwnPaths {
    pub fn of(root: &Root) -> Self {
        let folder = root.resolve(Path::new(""));
        Self::new(folder, root.store.path(), &root.manifest_path())
    }

    /// The files of a directory with an unusable drspass.yaml: the state that the user named,
    /// and the usual names.
    pub fn usual(folder: &Path, state: Option<&Place>) -> Self {
        let state = folder.join(match state {
            Some(Place::File(path)) => path,
            _ => Path::new(DEFAULT_STATE),
        });
        Self::new(folder.to_owned(), &state, &folder.join(DEFAULT_MANIFEST))
    }

    fn new(folder: PathBuf, state: &Path, manifest: &Path) -> Self {
        let mut others = vec![
            folder.join(CONFIG_FILE),
            manifest.to_owned(),
            files::with_suffix(manifest, ".tmp"),
            index_path(manifest),
        ];
        // The manifest may be a link, and then what it leads to is the manifest.
        others.extend(std::fs::canonicalize(manifest));
        Self {
            state: comparable_path(state),
            others: others.iter().map(|path| comparable_path(path)).collect(),
            folder,
        }
    }

    /// Refuses an output to a file of drspass; returns the path to compare it by.
    pub fn check(&self, path: &Path) -> Result<PathBuf, OpError> {
        let wanted = comparable_path(&self.folder.join(path));
        if self.others.contains(&wanted) || self.belongs_to_state(&wanted) {
            let source = io::Error::other("drspass uses this name for its own files");
            return Err(OpError::write(path)(source));
        }
        Ok(wanted)
    }

    pub fn check_outputs(&self, paths: &[&Path]) -> Result<(), OpError> {
        let mut taken = Vec::with_capacity(paths.len());
        for path in paths {
            let wanted = self.check(path)?;
            if taken.contains(&wanted) {
                let source = io::Error::other("another output goes to the same file");
                return Err(OpError::write(path)(source));
            }
            taken.push(wanted);
        }
        Ok(())
    }

    /// Returns whether this is the state or a sibling: its name with a suffix after a dot.
    fn belongs_to_state(&self, wanted: &Path) -> bool {
        let start = files::with_suffix(&self.state, ".");
        let names = wanted.file_name().zip(start.file_name());
        let is_longer = names.is_some_and(|(name, start)| {
            let name = name.as_encoded_bytes();
            name.starts_with(start.as_encoded_bytes())
        });
        *wanted == self.state || (is_longer && wanted.parent() == self.state.parent())
    }
}

/// Returns a path to compare files by: its directory without links. Without such a directory
/// nothing can be written.
fn comparable_path(path: &Path) -> PathBuf {
    let folder = std::fs::canonicalize(files::folder_of(path));
    match (folder, path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}
