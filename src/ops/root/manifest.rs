//! The manifest of a root directory: decrypted with the identities of a run, parsed, and checked
//! as far as possible without state and network.

use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Root, UserRules};
use crate::age_file::{self, AgeError, AskPassphrase, Identities, Means, Plugins, header};
use crate::core::manifest::{self, Former, Manifest, Sealed, Sealing};
use crate::core::place::{Floor, Place, SealedPlace};
use crate::core::problem::Problem;
use crate::core::recipients::Difference;
use crate::core::report::TargetChange;
use crate::core::state::{ManifestDigest, State};
use crate::core::target::{EndpointFrom, Target};
use crate::core::yaml;
use crate::ops::OpError;
use crate::ops::error::{ErrorClass, Failure, other_key, take_newest, with_causes};
use crate::store::branch::Branch;
use crate::store::{LockGuard, LockInfo, StoreKeys, StoredState};
use crate::sys::files;

pub const MAX_IDENTITY_BYTES: u64 = 1 << 20;

/// The sources of identities. Only the first one given is opened.
pub enum IdentitySource {
    Files(Vec<PathBuf>),
    Text(Zeroizing<String>),
    /// A variable that is set and empty.
    Empty(&'static str),
    /// The default file, if it exists.
    Default(Option<PathBuf>),
}

impl IdentitySource {
    /// Returns the files, or the variable, for a message.
    fn name(&self) -> String {
        let files = match self {
            Self::Files(files) => files.as_slice(),
            Self::Default(file) => file.as_slice(),
            Self::Text(_) | Self::Empty(_) => return "DRSPASS_IDENTITY_KEY".to_owned(),
        };
        let names: Vec<String> = files.iter().map(|it| it.display().to_string()).collect();
        names.join(", ")
    }
}

pub struct Unlock<'a> {
    pub source: &'a IdentitySource,
    pub ask: AskPassphrase<'a>,
    pub plugins: Plugins<'a>,
}

pub struct Opened {
    pub manifest: Arc<Manifest>,
    pub sealed: Sealed,
    pub digest: ManifestDigest,
    pub target: Target,
    /// Whether only the identity service's catalogue can confirm the endpoint.
    pub endpoint_from: EndpointFrom,
    pub warnings: Vec<Problem>,
}

/// What the state adds to the next version of the manifest.
pub struct StateFacts {
    /// The highest revision that was ever applied.
    pub highest: u64,
    /// The sealed place, with the newest state as its floor.
    pub state: SealedPlace,
    pub warning: Option<Problem>,
}

impl Root {
    pub fn store_keys(&self, opened: &Opened, rules: &UserRules) -> Result<StoreKeys, OpError> {
        let keys = StoreKeys::of(&opened.manifest, &opened.sealed, &rules.expect_key_ids);
        Ok(match self.elsewhere(&opened.sealed)? {
            Some(_) => keys.above(None),
            None => keys,
        })
    }

    /// Returns the place that the user named, if it is another one than the sealed branch, whose
    /// floor says nothing of it. A file may be replaced by any other.
    pub fn elsewhere(&self, sealed: &Sealed) -> Result<Option<&Path>, OpError> {
        if self.configured.is_none() {
            return Ok(None);
        }
        let is_other = match (&sealed.state, self.store.branch()) {
            (SealedPlace::File(_), None) => false,
            (SealedPlace::Branch { .. }, Some(branch)) => branch.name()? != sealed.state.name(),
            (SealedPlace::Branch { .. }, None) => true,
            (SealedPlace::File(_), Some(_)) => {
                return Err(Failure::new(
                    "drspass::place::not_sealed",
                    format!("the manifest is sealed for a state in a file, not at {}", self.store.path().display()),
                    "Nothing was sent or changed. To keep the state on a branch, run 'drspass state move'.",
                )
                .class(ErrorClass::Sealed)
                .into());
            }
        };
        Ok(is_other.then(|| self.store.path()))
    }

    /// Refuses to write, or to save a plan, where the user named another place than the sealed branch.
    pub fn check_place(&self, sealed: &Sealed) -> Result<(), OpError> {
        match self.elsewhere(sealed)? {
            None => Ok(()),
            Some(path) => Err(Failure::new(
                "drspass::place::not_sealed",
                format!("the manifest is sealed for the state at {}, not at {}", sealed.state.name(), path.display()),
                "Nothing was sent or changed. Leave out --state and DRSPASS_STATE; 'drspass plan' and 'drspass state list' read another place.",
            )
            .class(ErrorClass::Sealed)
            .into()),
        }
    }

    /// Lets a new state on a branch admit the manifests of the former one, proved or not: a name in
    /// that list only admits.
    pub fn follow(&self, state: &mut State, sealed: &Sealed, former: Option<&State>) {
        let Some(branch) = self.store.branch() else {
            return;
        };
        state.follow(sealed.state.floor().map(|floor| &floor.lineage));
        state.follow(&branch.seen_lineages());
        if let Some(former) = former {
            state.follow([&former.lineage].into_iter().chain(&former.follows));
        }
    }

    /// Returns the name by which the place of drspass.yaml is sealed.
    pub fn configured_place(&self) -> Result<String, OpError> {
        let store = self.configured.as_ref().unwrap_or(&self.store);
        Ok(match (&self.config.state, store.branch()) {
            (Place::Git(_), Some(branch)) => branch.name()?,
            (place, _) => place.to_string(),
        })
    }

    pub fn decrypt(&self, unlock: &Unlock<'_>) -> Result<Zeroizing<Vec<u8>>, OpError> {
        self.decrypt_file(&self.manifest_bytes()?, unlock)
    }

    pub fn decrypt_file(
        &self,
        file: &[u8],
        unlock: &Unlock<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, OpError> {
        self.decrypt_named(self.manifest_name(), file, unlock)
    }

    /// Decrypts a file that is encrypted like a manifest; messages call it `name`.
    pub fn decrypt_named(
        &self,
        name: &Path,
        file: &[u8],
        unlock: &Unlock<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, OpError> {
        let age = |source: AgeError| match source.is_about_one_identity() {
            true => OpError::Identity(source),
            false => OpError::age(name)(source),
        };
        let means = Means {
            ask: unlock.ask,
            plugins: unlock.plugins,
        };
        // Check that it is encrypted at all before looking for a key.
        if !age_file::is_age_file(file) {
            return age_file::decrypt(file, &Identities::default(), &means).map_err(age);
        }
        let identities = identities_of(&self.folder, unlock.source)?;
        age_file::decrypt(file, &identities, &means).map_err(|error| {
            match (&error, header::recipients(file)) {
                (AgeError::NoMatch, Ok(stanzas)) => OpError::NoMatch {
                    path: name.to_owned(),
                    recipients: stanzas.len(),
                    tried: unlock.source.name(),
                },
                _ => age(error),
            }
        })
    }

    /// Takes the lock for a run that opened the manifest `digest`. Fails if the file has changed:
    /// a manifest that `rekey` replaced while this run waited for a passphrase must not be used.
    pub fn lock(
        &self,
        sealed: &Sealed,
        digest: &ManifestDigest,
        info: &LockInfo,
    ) -> Result<LockGuard, OpError> {
        self.check_place(sealed)?;
        let mut guard = self.store.lock(info)?;
        // A run of the former manifest may be at work. Where its place is not found, reading it fails.
        if let Some(from) = &sealed.moved_from
            && let Ok(Some(former)) = self.former_store(&from.place)
        {
            former.lock_former(&mut guard, info)?;
        }
        self.check_unchanged(digest)?;
        Ok(guard)
    }

    pub fn check_unchanged(&self, digest: &ManifestDigest) -> Result<(), OpError> {
        if digest_of(&self.manifest_bytes()?) == *digest {
            Ok(())
        } else {
            let path = self.manifest_name().display();
            Err(Failure::new(
                "drspass::manifest::changed",
                format!("{path} was changed by another process while this command was running"),
                "Nothing was sent or changed. Run the same command again.",
            )
            .class(ErrorClass::Locked)
            .into())
        }
    }

    pub fn read(
        &self,
        unlock: &Unlock<'_>,
        sealing: Sealing,
    ) -> Result<(Manifest, Vec<Problem>), OpError> {
        let plain = self.decrypt(unlock)?;
        parse_manifest(&plain, sealing, self.manifest_name())
    }

    /// Opens the manifest, with every check that needs neither state nor network.
    pub fn open(&self, unlock: &Unlock<'_>, rules: &UserRules) -> Result<Opened, OpError> {
        let (mut opened, _) = self.open_at(None, self.manifest_bytes()?, unlock, rules)?;
        let index = self.warn_of_index(&opened.sealed, &opened.digest);
        opened.warnings.extend(index);
        Ok(opened)
    }

    /// Like [`Root::open`], for a file that was read already, and as if it were sealed for `place`
    /// if one is given; returns its plain text as well.
    pub fn open_at(
        &self,
        place: Option<SealedPlace>,
        file: impl AsRef<[u8]>,
        unlock: &Unlock<'_>,
        rules: &UserRules,
    ) -> Result<(Opened, Zeroizing<Vec<u8>>), OpError> {
        // Refuse before opening whatever can be refused without the manifest.
        let target = self.named_target(rules)?;
        let plain = self.decrypt_file(file.as_ref(), unlock)?;
        let digest = digest_of(file.as_ref());
        // A large one would stay in memory next to all that is parsed.
        drop(file);
        let (manifest, mut sealed, warnings) = parse_sealed(&plain, self.manifest_name())?;
        sealed.state = place.unwrap_or(sealed.state);
        let endpoint_from = match target {
            Some(_) => EndpointFrom::Settings,
            None => EndpointFrom::Catalogue {
                region: self.config.target.region.clone(),
            },
        };
        let target = self.target_beside(target, &sealed, rules)?;
        self.check_target(&target, &sealed)?;
        rules.check_key(&sealed.fingerprint_key.id())?;
        let opened = Opened {
            manifest: Arc::new(manifest),
            sealed,
            digest,
            target,
            endpoint_from,
            warnings,
        };
        Ok((opened, plain))
    }
}

pub fn digest_of(file: &[u8]) -> ManifestDigest {
    ManifestDigest::new(&age_file::digest(file))
}

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

pub fn parse_sealed(
    plain: &[u8],
    name: &Path,
) -> Result<(Manifest, Sealed, Vec<Problem>), OpError> {
    let (mut manifest, warnings) = parse_manifest(plain, Sealing::Required, name)?;
    match manifest.sealed.take() {
        Some(sealed) => Ok((manifest, sealed, warnings)),
        None => Err(OpError::unfit(
            "the manifest is not sealed",
            "Nothing was sent. Decrypt it and seal it with 'drspass encrypt FILE'.",
        )),
    }
}

impl Root {
    /// Checks that a state that exists was made with the manifest's key, and returns what it says.
    /// Anyone can make a manifest and name the next recipients in it, but not
    /// one with the key of an earlier state. An unauthenticated state counts for nothing, or its
    /// forger could use up all revisions.
    pub fn state_facts(&self, sealed: &Sealed, rules: &UserRules) -> Result<StateFacts, OpError> {
        let manifest = sealed.fingerprint_key.id();
        let is_elsewhere = self.elsewhere(sealed)?.is_some();
        let floor = sealed.state.floor().filter(|_| !is_elsewhere);
        let keys = StoreKeys::from(&sealed.fingerprint_key).above(floor.cloned());
        let place = |known: Option<Floor>| match known.filter(|_| !is_elsewhere) {
            Some(known) => sealed.state.with_floor(known),
            None => sealed.state.clone(),
        };
        let unknown = StateFacts {
            highest: 0,
            state: place(None),
            warning: None,
        };
        self.store.ask_briefly(true);
        let mut known = match self.store.read_alone(&keys) {
            Ok(snapshot) => snapshot.known,
            Err(error) => {
                let branch = self.store.branch();
                let seen = branch.and_then(Branch::last_seen);
                let seen = seen.map(|seen| sealed.state.raised(&place(Some(seen))));
                return Ok(StateFacts {
                    state: seen.unwrap_or_else(|| place(None)),
                    warning: branch.map(|_| {
                        let what = format!("the state was not read: {}", with_causes(&error));
                        Problem::warning(
                            "",
                            None,
                            what,
                            "Until it is read, the manifest also accepts states that are older than that one. The next command that writes the manifest reads it again.",
                        )
                    }),
                    ..unknown
                });
            }
        };
        let is_expected = rules.expect_key_ids.contains(&manifest);
        if let (StoredState::OtherKey { claimed }, Some(former)) = (&known, &sealed.former)
            && claimed.key_id == former.fingerprint_key.id()
        {
            // Only the very state that the rekey found: a removed reader can make another one.
            let keys = StoreKeys::from(&former.fingerprint_key);
            match (self.store.digest(), self.store.read_alone(&keys)) {
                (Ok(Some(digest)), Ok(snapshot)) if digest == former.state_sha256 => {
                    known = snapshot.known;
                }
                _ => return Ok(unknown),
            }
        }
        match known {
            StoredState::Ours(state) => Ok(StateFacts {
                highest: state.highest,
                // Only what was written under the manifest's own key.
                state: place((state.key_id == manifest).then(|| Floor::of(&state))),
                warning: state.moved_to.map(|place| {
                    let what = format!("the state was moved to {place}");
                    let help = "This manifest is older than the move: change the newest one.";
                    Problem::warning("", None, what, help)
                }),
            }),
            StoredState::OtherKey { claimed } if !is_expected => {
                let behind = claimed.ahead_of(sealed.revision);
                let first = behind.map_or_else(String::new, |it| take_newest(it) + ". ");
                Err(Failure::new(
                    "drspass::sealed::other_key_beside",
                    other_key(&claimed.key_id, &manifest),
                    format!(
                        "Nothing was written. {first}The author of this manifest may have chosen who can read the next one. Check who changed it; if its key was replaced on purpose, run the same command again with --expect-key-id {manifest}."
                    ),
                )
                .into())
            }
            StoredState::Absent | StoredState::OtherKey { .. } => Ok(unknown),
        }
    }

    /// Returns what the last rekey replaced, unless the state is written with the manifest's key.
    pub fn former_left(&self, sealed: &Sealed) -> Option<Former> {
        let former = sealed.former.as_ref()?;
        let keys = StoreKeys::from(&sealed.fingerprint_key);
        let known = self.store.read_alone(&keys).map(|snapshot| snapshot.known);
        let has_gone_over = matches!(known, Ok(StoredState::Ours(_)));
        (!has_gone_over).then(|| former.clone())
    }

    pub fn check_recipients(&self, sealed: &Sealed) -> Result<(), OpError> {
        let difference = Difference::between(&sealed.recipients, &self.config.recipients);
        if difference.is_none() {
            Ok(())
        } else {
            let difference = difference.in_line();
            Err(Failure::new(
                "drspass::sealed::recipients",
                format!("recipients changed: {difference}; run drspass rekey"),
                "Nothing was written. Undo the change of drspass.yaml, or run 'drspass rekey', which lists who is added and removed, asks, and encrypts to them.",
            )
            .class(ErrorClass::NotApproved)
            .into())
        }
    }

    pub fn check_target(&self, target: &Target, sealed: &Sealed) -> Result<(), OpError> {
        match self.moved_parts(target, sealed)?.into_iter().next() {
            None => Ok(()),
            Some(TargetChange { field, from, to }) => Err(Failure::new(
                "drspass::sealed::target",
                format!("{field} of drspass.yaml is {to}, but the manifest is sealed for {from}"),
                match field == "state" {
                    true if !from.starts_with("git:") && !to.starts_with("git:") => "Nothing was sent or changed. Undo the change of drspass.yaml, then run 'drspass state move PLACE', which changes it and takes the state along.",
                    true => "Nothing was sent or changed. Undo the change of drspass.yaml, then run 'drspass state move PLACE', which changes it and takes the state along. In a fork, or behind an ssh alias, name a remote that leads to the sealed repository. If that repository has a new address, remove a remote with the old one; then 'drspass state move' with the place of drspass.yaml asks and seals it.",
                    false => "Nothing was sent or changed. Undo the change of drspass.yaml, or run 'drspass rekey', which shows the change, asks, and seals the manifest for the new target.",
                },
            )
            .class(ErrorClass::Sealed)
            .into()),
        }
    }

    /// Returns what of drspass.yaml differs from the sealed part.
    pub fn moved_parts(
        &self,
        target: &Target,
        sealed: &Sealed,
    ) -> Result<Vec<TargetChange>, OpError> {
        let (new, old) = (&target.scope, &sealed.scope);
        let (here, there) = (self.configured_place()?, sealed.state.name());
        let parts = [
            ("target.endpoint", &old.endpoint, &new.endpoint),
            ("target.project_id", &old.project_id, &new.project_id),
            ("target.auth_url", &sealed.auth_url, &target.auth_url),
            ("state", &there, &here),
        ];
        let moved = parts.into_iter().filter(|(_, from, to)| from != to);
        let moved = moved.map(|(field, from, to)| TargetChange {
            field,
            from: from.clone(),
            to: to.clone(),
        });
        Ok(moved.collect())
    }
}

/// Opens the source of identities; paths are relative to `folder`.
fn identities_of(folder: &Path, source: &IdentitySource) -> Result<Identities, OpError> {
    let mut identities = Identities::default();
    for path in files_given(source, &mut identities)? {
        let full = folder.join(path);
        let text = files::read_limited(&full, MAX_IDENTITY_BYTES);
        let text = Zeroizing::new(text.map_err(OpError::read(full))?);
        let added = identities.add(&text, &path.display().to_string());
        added.map_err(OpError::Identity)?;
    }
    Ok(identities)
}

/// Returns the files of a source, or why there are none; adds a key given directly.
fn files_given<'a>(
    source: &'a IdentitySource,
    identities: &mut Identities,
) -> Result<&'a [PathBuf], OpError> {
    match source {
        IdentitySource::Files(paths) => Ok(paths),
        IdentitySource::Text(text) => {
            let added = identities.add(text.as_bytes(), "DRSPASS_IDENTITY_KEY");
            added.map(|()| &[][..]).map_err(OpError::Identity)
        }
        IdentitySource::Empty(name) => Err(OpError::empty(name)),
        IdentitySource::Default(Some(path)) if path.exists() => Ok(slice::from_ref(path)),
        IdentitySource::Default(path) => Err(OpError::NoIdentity {
            default: path.as_ref().map_or_else(
                || "the default place, which needs HOME".to_owned(),
                |path| path.display().to_string(),
            ),
        }),
    }
}
