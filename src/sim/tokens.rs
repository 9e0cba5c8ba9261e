//! Randomness, and comparing secrets.
//!
//! Owns one random seed per simulator, from which every token, salt and request
//! id is derived, so only the start can fail for want of randomness. Refuses to
//! keep or show a secret that a caller sent: it is compared and forgotten.

use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

/// Derives values nobody outside can guess and that never repeat.
pub(super) struct Nonces {
    seed: [u8; 32],
    next: AtomicU64,
}

impl Nonces {
    /// Fails if the operating system has no randomness to give.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self {
            seed,
            next: AtomicU64::new(0),
        })
    }

    /// The salt of one endpoint's password digests.
    pub(super) fn salt(&self) -> [u8; 32] {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Sha256::new()
            .chain_update(self.seed)
            .chain_update(number.to_le_bytes())
            .finalize()
            .into()
    }

    /// A token of 64 hexadecimal digits.
    pub(super) fn token(&self) -> String {
        hex(&self.salt())
    }

    /// A request id of 32 hexadecimal digits, the form the service uses.
    pub(super) fn request_id(&self) -> String {
        hex(&self.salt()[..16])
    }
}

/// Lower-case hexadecimal text of the bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|half| char::from(DIGITS[usize::from(half)]))
        .collect()
}

/// Whether two secrets are equal, without the time taken telling how far they agree.
pub(super) fn same(left: &[u8], right: &[u8]) -> bool {
    Sha256::digest(left) == Sha256::digest(right)
}
