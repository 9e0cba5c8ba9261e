//! Every secret that a run may send, for the search in whatever comes back: an
//! answer to one request may repeat what another one carried.

use std::sync::{Arc, OnceLock};

use crate::core::manifest::Manifest;
use crate::core::redact::Needles;
use crate::core::secret::Secret;

/// The secrets of one run. The search is prepared when the first foreign text
/// turns up, which in a good run is never.
pub struct RunSecrets {
    manifest: Arc<Manifest>,
    /// Places in the manifest of everything that the run may send.
    places: Vec<usize>,
    needles: OnceLock<Needles>,
}

impl RunSecrets {
    /// The secrets of these places of the manifest.
    pub fn new(manifest: Arc<Manifest>, places: Vec<usize>) -> Self {
        Self {
            manifest,
            places,
            needles: OnceLock::new(),
        }
    }

    /// The search for them and for the secrets of the login.
    pub(super) fn needles(&self, login: &[&Secret]) -> &Needles {
        self.needles.get_or_init(|| {
            let assignments = self.manifest.assignments();
            let sent = self.places.iter().flat_map(|&at| assignments[at].values());
            Needles::new(sent.map(|(_, value)| value).chain(login.iter().copied()))
        })
    }
}

impl std::fmt::Debug for RunSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RunSecrets(..)")
    }
}
