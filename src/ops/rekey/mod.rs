//! `rekey`: seals the recipients and the target of drspass.yaml, and replaces the
//! fingerprint key where somebody who has it is to be kept out.
//!
//! Everything that can be refused is refused before the first byte is written, the
//! new file is proved to be readable, and manifest and state go over to a new key as
//! one step (see [`crate::store::recovery`]).

mod state;

use zeroize::Zeroizing;

use self::state::{Former, clear_up, open_ledger, put_with_state, refuse_outdated, state_fate};
use super::OpError;
use super::error::RekeyError;
use super::rewrite;
use super::root::{Guards, Root, Unlock, moved_parts, parse_sealed};
use crate::age_file::{AgeError, Passphrases};
use crate::core::fingerprint::{FingerprintKey, Salt};
use crate::core::manifest::{self, Sealed};
use crate::core::problem::Problem;
use crate::core::recipients::Difference;
use crate::core::report::{NewKeyReason, RekeyPlan, Rekeyed, StateFate};
use crate::core::yaml;
use crate::store::LockInfo;

/// Who rekeys, and with what.
pub struct RekeyContext<'a> {
    /// The root folder.
    pub root: &'a Root,
    /// How to open its manifest.
    pub unlock: &'a Unlock<'a>,
    /// What the user accepts; the expected key is the one that the manifest has now.
    pub guards: &'a Guards,
    /// Who takes the lock.
    pub lock: LockInfo,
    /// A fresh random salt.
    pub salt: fn() -> Salt,
    /// A fresh unique text.
    pub unique: fn() -> String,
    /// Fresh random bytes for a key.
    pub new_key: fn() -> [u8; 32],
}

/// What the user wants.
#[derive(Clone, Copy)]
pub struct Wishes {
    /// A new fingerprint key, whoever reads.
    pub new_key: bool,
    /// To go on although no identity at hand opens the new file.
    pub allow_lockout: bool,
}

/// Is shown what will be done and the warnings of the manifest, and decides.
/// Fails if nobody approved.
pub type Approve<'a> = &'a mut dyn FnMut(&RekeyPlan, &[Problem]) -> Result<(), OpError>;

/// What became of it.
pub enum Done {
    /// A rekey that was cut off is finished, and nothing else was to be done.
    Finished,
    /// The manifest was encrypted anew.
    Rekeyed(Box<Rekeyed>),
}

/// The manifest file, and the one whose place it takes.
struct NewFile {
    before: Vec<u8>,
    file: Vec<u8>,
}

impl NewFile {
    fn put(&self, root: &Root) -> Result<(), OpError> {
        rewrite::replace(root, Some(&self.before), &self.file)
    }

    /// Whether it is surely not in its place.
    fn is_elsewhere(&self, root: &Root) -> bool {
        root.manifest_bytes().is_ok_and(|there| there != self.file)
    }
}

/// Encrypts the manifest to the recipients of drspass.yaml, sealed for its target.
/// Fails, with all files as they were, if the manifest or the state cannot be used,
/// a recipient cannot be encrypted to, nobody at hand could read the new file, or
/// nobody approved.
pub fn rekey(
    context: &RekeyContext<'_>,
    wishes: Wishes,
    approve: Approve<'_>,
) -> Result<Done, OpError> {
    let root = context.root;
    let name = root.manifest_name();
    // The old file and the new one are both opened.
    let known = Passphrases::default();
    let ask = |origin: &str| known.ask_once(origin, context.unlock.ask);
    let unlock = Unlock {
        source: context.unlock.source,
        ask: &ask,
        plugins: context.unlock.plugins,
    };
    rewrite::check_replaceable(root)?;
    let named = root.named_target(context.guards)?;
    let before = root.manifest_bytes()?;
    let plain = root.decrypt_file(&before, &unlock)?;
    let (manifest, sealed, mut warnings) = parse_sealed(&plain, name)?;
    warnings.extend(rewrite::second_name(root));
    context.guards.check_key(&sealed.fingerprint_key.id())?;
    let target = root.target_beside(named, &sealed, context.guards)?;
    let change = Difference::between(&sealed.recipients, &root.config.recipients);
    let moved = moved_parts(&target, &sealed);
    let reason = reason(&change, sealed.scope != target.scope, wishes);

    let mut ledger = None;
    let mut finished = false;
    if reason.is_some() || root.store.has_rekey() {
        let opened;
        (opened, finished) = open_ledger(context, &sealed, &before)?;
        if finished && reason.is_none() && change.is_none() && moved.is_empty() {
            return Ok(Done::Finished);
        }
        ledger = Some(opened);
    }
    let (fate, highest) = match &ledger {
        Some(ledger) if reason.is_some() => state_fate(root, ledger, &sealed, &target.scope)?,
        _ => {
            let highest = root.check_key_beside(&sealed, context.guards)?;
            refuse_outdated(root, &sealed)?;
            (StateFate::Untouched, highest)
        }
    };

    let revision = rewrite::next_revision(sealed.revision.max(highest))?;
    let (fingerprint_key, former) = match reason {
        Some(_) => {
            let former = Former {
                key: sealed.fingerprint_key,
                scope: sealed.scope,
            };
            (FingerprintKey::new((context.new_key)()), Some(former))
        }
        None => (sealed.fingerprint_key, None),
    };
    let new = Sealed {
        fingerprint_key,
        scope: target.scope,
        auth_url: target.auth_url,
        recipients: root.config.recipients.clone(),
        revision,
    };
    let text = yaml::decode(&plain).map_err(|problem| OpError::document(name, vec![problem]))?;
    let text = manifest::seal(text, &new).map_err(|problems| OpError::document(name, problems))?;
    let file = rewrite::encrypted(text.as_bytes(), &new, name, unlock.plugins)?;
    let is_lockout = !can_open(root, &unlock, &file, &text, wishes)?;
    if is_lockout && !wishes.allow_lockout {
        return Err(RekeyError::LockedOut.into());
    }

    let plan = RekeyPlan {
        manifest: name.display().to_string(),
        recipients: new.recipients.len(),
        change,
        moved,
        new_key: reason,
        state: fate,
        is_lockout,
        finished,
    };
    approve(&plan, &warnings)?;
    let file = NewFile { before, file };
    let key_id = former.is_some().then(|| new.fingerprint_key.id());
    if let Some(ledger) = &ledger {
        clear_up(root, &ledger.guard)?;
    }
    let former_state = match (ledger, former) {
        (Some(ledger), Some(former)) => {
            put_with_state(context, ledger, &manifest, &former, &new, &file)?
        }
        _ => {
            file.put(root)?;
            None
        }
    };
    Ok(Done::Rekeyed(Box::new(Rekeyed {
        plan,
        revision,
        key_id,
        former_state,
    })))
}

/// Whether there must be a new fingerprint key, and why.
fn reason(change: &Difference, is_other_scope: bool, wishes: Wishes) -> Option<NewKeyReason> {
    if !change.removed.is_empty() {
        Some(NewKeyReason::Removed)
    } else if is_other_scope {
        Some(NewKeyReason::OtherScope)
    } else {
        wishes.new_key.then_some(NewKeyReason::Asked)
    }
}

/// Whether the identities at hand open the new file.
/// Fails if it holds anything but `text`, or whoever is asked stops it; and, unless the
/// user does not mind, if an identity cannot be used, for instance since nobody is there
/// to type its passphrase.
fn can_open(
    root: &Root,
    unlock: &Unlock<'_>,
    file: &[u8],
    text: &Zeroizing<String>,
    wishes: Wishes,
) -> Result<bool, OpError> {
    match root.decrypt_file(file, unlock) {
        Ok(plain) if plain.as_slice() == text.as_bytes() => Ok(true),
        Ok(_) => Err(RekeyError::Unlike.into()),
        Err(OpError::NoMatch { .. }) => Ok(false),
        // What is wrong is one identity, or its passphrase, and not the file.
        Err(
            OpError::Identity(_)
            | OpError::Age {
                source: AgeError::WrongPassphrase { .. },
                ..
            },
        ) if wishes.allow_lockout => Ok(false),
        Err(error) => Err(error),
    }
}
