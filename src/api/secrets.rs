//! Everything that must not come back out: the secrets of the login, and every
//! secret that a run may send, since an answer to one request may repeat what
//! another one carried.

use std::sync::{Arc, Mutex, PoisonError};

use crate::core::manifest::{Assignment, Manifest};
use crate::core::redact::Needles;
use crate::core::secret::Secret;

#[derive(Clone, Debug, Default)]
pub struct LoginSecrets {
    pub generation: u64,
    /// All that this run logged in with, tokens that were replaced included: they
    /// are valid until their end.
    pub secrets: Vec<Arc<Secret>>,
}

/// The secrets of one run. The search is prepared when the first foreign text
/// turns up, which in a good run is never.
pub struct RunSecrets {
    manifest: Arc<Manifest>,
    places: Vec<usize>,
    prepared: Mutex<Option<(u64, Arc<Needles>)>>,
}

impl RunSecrets {
    pub fn new(manifest: Arc<Manifest>, places: Vec<usize>) -> Self {
        Self {
            manifest,
            places,
            prepared: Mutex::new(None),
        }
    }

    pub fn all(manifest: Arc<Manifest>) -> Self {
        let places = (0..manifest.assignments().len()).collect();
        Self::new(manifest, places)
    }

    fn needles(&self, login: &LoginSecrets) -> Arc<Needles> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((generation, needles)) = &*prepared
            && *generation == login.generation
        {
            return Arc::clone(needles);
        }
        let assignments = self.manifest.assignments();
        let sent = self.places.iter().flat_map(|&at| assignments[at].values());
        let needles = Arc::new(Needles::new(
            sent.map(|(_, value)| value)
                .chain(login.secrets.iter().map(|secret| &**secret)),
        ));
        *prepared = Some((login.generation, Arc::clone(&needles)));
        needles
    }
}

impl std::fmt::Debug for RunSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RunSecrets(..)")
    }
}

/// The search for the secrets of the login and of the run, or of `entries` where
/// nothing more is known of the run.
pub fn needles(
    login: &LoginSecrets,
    run: Option<&RunSecrets>,
    entries: &[&Assignment],
) -> Arc<Needles> {
    if let Some(run) = run {
        return run.needles(login);
    }
    let sent = entries.iter().flat_map(|entry| entry.values());
    Arc::new(Needles::new(
        sent.map(|(_, value)| value)
            .chain(login.secrets.iter().map(|secret| &**secret)),
    ))
}
