//! Secrets that no output may repeat: those of the login, and every one that a run may send, since
//! an answer to one request may repeat another one's.

use std::sync::{Arc, Mutex, PoisonError};

use crate::core::manifest::{Assignment, Manifest};
use crate::core::redact::Needles;
use crate::core::secret::Secret;

#[derive(Clone, Default)]
pub struct LoginSecrets {
    pub generation: u64,
    /// All login secrets of this run, including replaced tokens, which are valid until they expire.
    pub secrets: Vec<Arc<Secret>>,
}

/// The secrets of one run. The search is prepared for the first foreign text, which a good run
/// never has.
pub struct RunSecrets {
    manifest: Arc<Manifest>,
    prepared: Mutex<Option<(u64, Arc<Needles>)>>,
}

impl RunSecrets {
    pub const fn new(manifest: Arc<Manifest>) -> Self {
        Self {
            manifest,
            prepared: Mutex::new(None),
        }
    }
}

/// Returns the search for the secrets of the login and of the run, or else of `entries`.
pub fn needles(
    login: &LoginSecrets,
    run: Option<&RunSecrets>,
    entries: &[&Assignment],
) -> Arc<Needles> {
    let of_login = login.secrets.iter().map(|secret| &**secret);
    let Some(run) = run else {
        let sent = entries.iter().flat_map(|entry| entry.values());
        return Arc::new(Needles::new(sent.map(|(_, value)| value).chain(of_login)));
    };
    let mut prepared = run.prepared.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((generation, needles)) = &*prepared
        && *generation == login.generation
    {
        return Arc::clone(needles);
    }
    let sent = run
        .manifest
        .assignments()
        .iter()
        .flat_map(Assignment::values);
    let needles = Arc::new(Needles::new(sent.map(|(_, value)| value).chain(of_login)));
    *prepared = Some((login.generation, Arc::clone(&needles)));
    needles
}
