//! A root folder: its configuration, its manifest, its state, and the checks
//! that stand between a manifest and its use (design section 2.2).

mod identities;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::OpError;
use crate::age_file::{self, AgeError, Identities, Means, stanzas};
use crate::core::config::{self, Config, Limits};
use crate::core::fingerprint::KeyId;
use crate::core::manifest::{self, Manifest, Sealed, Sealing};
use crate::core::problem::Problem;
use crate::core::recipients::Difference;
use crate::core::report::Moved;
use crate::core::target::{EndpointFrom, Target, TargetError};
use crate::core::yaml;
use crate::files;
use crate::store::{Keys, Known, StateStore};

pub(super) use identities::MAX_IDENTITY_BYTES;
pub use identities::{IdentitySource, Unlock};

/// The name of the configuration file of a root folder.
pub const CONFIG_FILE: &str = "drspass.yaml";

/// The longest plain text of a manifest is 64 MiB (design section 2.2); armor
/// adds a third and a line end for every 64 characters.
pub(super) const MAX_ENCRYPTED_BYTES: u64 = 96 << 20;
/// A configuration is a page of text.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// What the user, not a file, says about what is acceptable.
#[derive(Clone)]
pub struct Guards {
    /// Hosts that may be talked to beside those of the known clouds.
    pub trusted_hosts: Vec<String>,
    /// The only key that is taken, if one is named.
    pub expect_key_id: Option<KeyId>,
    /// Whether a manifest may be older than what was applied.
    pub allow_rollback: bool,
    /// Whether a manifest may carry another key than the state.
    pub accept_new_key: bool,
    /// The most changes that the environment allows, whatever drspass.yaml says.
    pub max_changes: Option<u64>,
    /// The exact number of changes that is accepted beyond the limits.
    pub override_limits: Option<u64>,
}

impl Guards {
    /// Whether this key is the expected one, if one is expected.
    /// Fails if it is another.
    pub fn check_key(&self, found: &KeyId) -> Result<(), OpError> {
        match &self.expect_key_id {
            Some(expected) if expected != found => Err(OpError::UnexpectedKey {
                found: found.clone(),
                expected: expected.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// A root folder with a valid configuration.
pub struct Root {
    folder: PathBuf,
    /// The configuration.
    pub config: Config,
    /// What somebody should look at in it.
    pub warnings: Vec<Problem>,
    /// Where the state is kept.
    pub store: StateStore,
}

/// An opened manifest that passed every check.
pub struct Opened {
    /// What is wanted.
    pub manifest: Arc<Manifest>,
    /// What was sealed with it.
    pub sealed: Sealed,
    /// Where it goes.
    pub target: Target,
    /// Whether only the catalogue of the identity service can confirm the endpoint.
    pub endpoint_from: EndpointFrom,
    /// What somebody should look at in it.
    pub warnings: Vec<Problem>,
}

impl Root {
    /// Reads the configuration in `folder`. `state` overrides where the state is kept.
    /// Fails if there is none, it has an error, or its paths lead out of the folder.
    pub fn locate(folder: &Path, state: Option<&Path>) -> Result<Self, OpError> {
        let path = folder.join(CONFIG_FILE);
        let bytes = match files::read_unlinked_limited(&path, MAX_CONFIG_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(OpError::NoRoot { path });
            }
            Err(source) => {
                return Err(OpError::Read {
                    path: CONFIG_FILE.into(),
                    source,
                });
            }
        };
        let text = yaml::decode(&bytes)
            .map_err(|problem| OpError::document(CONFIG_FILE, vec![problem]))?;
        let checked = config::parse(text);
        let Some(config) = checked.value else {
            return Err(OpError::document(CONFIG_FILE, checked.problems));
        };
        let state = match state {
            Some(named) => folder.join(named),
            None => inside(folder, config.state.as_path())?,
        };
        inside(folder, config.manifest.as_path())?;
        Ok(Self {
            folder: folder.to_owned(),
            warnings: checked.problems,
            store: StateStore::local(state),
            config,
        })
    }

    /// The limits in force: the stricter of what drspass.yaml and the environment say.
    pub fn limits(&self, guards: &Guards) -> Limits {
        let configured = self.config.limits.max_changes;
        Limits {
            max_changes: configured.into_iter().chain(guards.max_changes).min(),
            ..self.config.limits.clone()
        }
    }

    /// The manifest's path, as configured: the one to show.
    pub fn manifest_name(&self) -> &Path {
        self.config.manifest.as_path()
    }

    /// The manifest's path, as it is opened.
    pub fn manifest_path(&self) -> PathBuf {
        self.folder.join(self.manifest_name())
    }

    /// A path as it is named from the root folder, where it is below that.
    pub fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.folder).unwrap_or(path)
    }

    /// A path that the user named, as seen from the root folder.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// The content of a file that the user named, which may be a pipe.
    /// Fails if it is longer than `limit`, or cannot be read.
    pub fn read_named(&self, path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, OpError> {
        files::read_limited(&self.resolve(path), limit as u64)
            .map(Zeroizing::new)
            .map_err(|source| OpError::Read {
                path: path.to_owned(),
                source,
            })
    }

    /// The manifest file as it is, encrypted.
    /// Fails if it cannot be read, is too long, or a link leads it elsewhere.
    pub fn manifest_bytes(&self) -> Result<Vec<u8>, OpError> {
        self.check_manifest_link()?;
        files::read_limited(&self.manifest_path(), MAX_ENCRYPTED_BYTES).map_err(|source| {
            OpError::Read {
                path: self.manifest_name().to_owned(),
                source,
            }
        })
    }

    /// The manifest may be a link, but only to a file below the folder: somebody
    /// who can only commit a link must not choose which file is written.
    /// Fails if it leads elsewhere.
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
            Ok(found) if !found.is_file() => Err(OpError::Read {
                path: self.manifest_name().to_owned(),
                source: std::io::Error::other("it is no regular file"),
            }),
            _ => Ok(()),
        }
    }

    /// The manifest's plain text.
    /// Fails if it cannot be read or opened.
    pub fn decrypt(&self, unlock: &Unlock<'_>) -> Result<Zeroizing<Vec<u8>>, OpError> {
        self.decrypt_file(&self.manifest_bytes()?, unlock)
    }

    /// The plain text of the manifest file that was read as `file`.
    /// Fails if it cannot be opened.
    pub(super) fn decrypt_file(
        &self,
        file: &[u8],
        unlock: &Unlock<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, OpError> {
        let age = |source: AgeError| {
            if source.is_about_one_identity() {
                return OpError::Identity(source);
            }
            OpError::Age {
                path: self.manifest_name().to_owned(),
                source,
            }
        };
        let means = Means {
            ask: unlock.ask,
            plugins: unlock.plugins,
        };
        // Whether it is encrypted at all is known before any key is looked for.
        if age_file::envelope_of(file) == age_file::Envelope::Plain {
            return age_file::decrypt(file, &Identities::default(), &means).map_err(age);
        }
        let identities = identities::opened(&self.folder, unlock.source)?;
        age_file::decrypt(file, &identities, &means).map_err(|error| {
            match (&error, stanzas::of(file)) {
                (AgeError::NoMatch, Ok(stanzas)) => OpError::NoMatch {
                    path: self.manifest_name().to_owned(),
                    recipients: stanzas.len(),
                },
                _ => age(error),
            }
        })
    }

    /// The manifest, parsed.
    /// Fails if it cannot be opened or has an error.
    pub fn read(
        &self,
        unlock: &Unlock<'_>,
        sealing: Sealing,
    ) -> Result<(Manifest, Vec<Problem>), OpError> {
        let plain = self.decrypt(unlock)?;
        parse_manifest(&plain, sealing, self.manifest_name())
    }

    /// The target of the configuration, on hosts that may be talked to.
    /// Fails if it cannot be resolved or a host is not trusted.
    pub fn target(&self, guards: &Guards) -> Result<Target, OpError> {
        let target = Target::resolve(&self.config.target)?;
        target.check_hosts(&guards.trusted_hosts)?;
        Ok(target)
    }

    /// As [`Root::target`]; nothing where only the catalogue of the identity service
    /// tells the endpoint.
    /// Fails as [`Root::target`].
    pub(super) fn named_target(&self, guards: &Guards) -> Result<Option<Target>, OpError> {
        match self.target(guards) {
            Err(OpError::Target(TargetError::NoEndpoint)) => Ok(None),
            named => named.map(Some),
        }
    }

    /// The target that was named, or else the one with the endpoint that was sealed.
    /// Fails as [`Root::target`].
    pub(super) fn target_beside(
        &self,
        named: Option<Target>,
        sealed: &Sealed,
        guards: &Guards,
    ) -> Result<Target, OpError> {
        if let Some(target) = named {
            return Ok(target);
        }
        let endpoint = Some(sealed.scope.endpoint.as_str());
        let target = Target::resolve_or(&self.config.target, endpoint)?;
        target.check_hosts(&guards.trusted_hosts)?;
        Ok(target)
    }

    /// Opens the manifest for use: everything that can be checked without the
    /// state and without the network.
    /// Fails if the target is not the sealed one, or the key is not the named one.
    pub fn open(&self, unlock: &Unlock<'_>, guards: &Guards) -> Result<Opened, OpError> {
        self.open_text(guards, || self.decrypt(unlock))
            .map(|(opened, _)| opened)
    }

    /// As [`Root::open`], for a plain text that `decrypt` fetches and that is handed
    /// back beside what it says.
    /// Fails as [`Root::open`].
    pub(super) fn open_text(
        &self,
        guards: &Guards,
        decrypt: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, OpError>,
    ) -> Result<(Opened, Zeroizing<Vec<u8>>), OpError> {
        // Whatever can be refused without the manifest is refused before it is opened.
        let target = self.named_target(guards)?;
        let plain = decrypt()?;
        let (manifest, sealed, warnings) = parse_sealed(&plain, self.manifest_name())?;
        let endpoint_from = match target {
            Some(_) => EndpointFrom::Settings,
            None => EndpointFrom::Catalogue {
                region: self.config.target.region.clone(),
            },
        };
        let target = self.target_beside(target, &sealed, guards)?;
        check_target(&target, &sealed)?;
        guards.check_key(&sealed.fingerprint_key.id())?;
        let opened = Opened {
            manifest: Arc::new(manifest),
            sealed,
            target,
            endpoint_from,
            warnings,
        };
        Ok((opened, plain))
    }

    /// Whether a state that is here was made with the manifest's key. Anybody can make a
    /// manifest, and name in it to whom the next one is encrypted; but not one that
    /// carries the key of a state that was there before.
    /// Fails if the state was made with another key, unless this one is expected.
    pub(super) fn check_key_beside(&self, sealed: &Sealed, guards: &Guards) -> Result<(), OpError> {
        let manifest = sealed.fingerprint_key.id();
        if guards.expect_key_id.as_ref() == Some(&manifest) {
            return Ok(());
        }
        let claimed = self.store.read_unverified().ok().flatten();
        if claimed.is_none_or(|state| state.key_id == manifest) {
            return Ok(());
        }
        // Where a rekey was cut off, the state of this key is in the file beside.
        match self.store.read(&Keys::from(&sealed.fingerprint_key))?.known {
            Known::OtherKey { claimed } => Err(OpError::OtherKeyBeside {
                state: claimed.key_id,
                manifest,
            }),
            Known::Absent | Known::Ours(_) => Ok(()),
        }
    }

    /// Whether drspass.yaml lists exactly the recipients that were sealed.
    /// Fails with the difference, keys shortened.
    pub fn check_recipients(&self, sealed: &Sealed) -> Result<(), OpError> {
        let difference = Difference::between(&sealed.recipients, &self.config.recipients);
        if difference.is_none() {
            Ok(())
        } else {
            Err(OpError::RecipientsChanged {
                difference: difference.in_line(),
            })
        }
    }
}

/// Whether the target that was resolved is the one that was sealed.
/// Fails with the first part that differs.
pub fn check_target(target: &Target, sealed: &Sealed) -> Result<(), OpError> {
    match moved_parts(target, sealed).into_iter().next() {
        None => Ok(()),
        Some(moved) => Err(OpError::TargetMoved {
            field: moved.field,
            configured: moved.to,
            sealed: moved.from,
        }),
    }
}

/// The parts of the target that are not as they were sealed.
pub(super) fn moved_parts(target: &Target, sealed: &Sealed) -> Vec<Moved> {
    let parts = [
        (
            "target.endpoint",
            &target.scope.endpoint,
            &sealed.scope.endpoint,
        ),
        (
            "target.project_id",
            &target.scope.project_id,
            &sealed.scope.project_id,
        ),
        ("target.auth_url", &target.auth_url, &sealed.auth_url),
    ];
    parts
        .into_iter()
        .filter(|(_, configured, sealed)| configured != sealed)
        .map(|(field, configured, sealed)| Moved {
            field,
            from: sealed.clone(),
            to: configured.clone(),
        })
        .collect()
}

/// Parses the plain text of a manifest.
/// Fails with every problem if one of them is an error.
pub fn parse_manifest(
    plain: &[u8],
    sealing: Sealing,
    name: &Path,
) -> Result<(Manifest, Vec<Problem>), OpError> {
    let text = yaml::decode(plain).map_err(|problem| OpError::document(name, vec![problem]))?;
    let checked = manifest::parse(text, sealing);
    match checked.value {
        Some(manifest) => Ok((manifest, checked.problems)),
        None => Err(OpError::document(name, checked.problems)),
    }
}

/// Parses the plain text of a manifest, and takes out what is sealed with it.
/// Fails as [`parse_manifest`], or if nothing is sealed with it.
pub(super) fn parse_sealed(
    plain: &[u8],
    name: &Path,
) -> Result<(Manifest, Sealed, Vec<Problem>), OpError> {
    let (mut manifest, warnings) = parse_manifest(plain, Sealing::Required, name)?;
    match manifest.sealed.take() {
        Some(sealed) => Ok((manifest, sealed, warnings)),
        None => Err(OpError::Unfit {
            what: "the manifest is not sealed".to_owned(),
            help: "Decrypt it and seal it with 'drspass encrypt'.",
        }),
    }
}

/// `path` below `folder`, unless links lead it out of there.
fn inside(folder: &Path, path: &Path) -> Result<PathBuf, OpError> {
    let full = folder.join(path);
    let outside = || OpError::Outside {
        path: path.to_owned(),
    };
    let root = std::fs::canonicalize(files::folder_of(&folder.join(CONFIG_FILE)))
        .map_err(|_| outside())?;
    match std::fs::canonicalize(files::folder_of(&full)) {
        Ok(parent) if !parent.starts_with(&root) => Err(outside()),
        // A folder that does not exist yet is found out when it is used.
        _ => Ok(full),
    }
}
