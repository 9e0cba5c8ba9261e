//! Randomness and the check of the caller's token.
//!
//! Owns one random seed per simulator, from which every token, salt and request
//! id is derived, so only the start can fail for want of randomness. Refuses to
//! keep or show a token that a caller sent: it is compared and forgotten.

use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::reply::Reply;

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

/// The answer to a caller without the right token, or nothing if the token is right.
///
/// A missing token is turned away by the gateway (OTC API Gateway manual, Error
/// Codes: 0301 with 401), a wrong one by the service (OTC api-ref, Error Code:
/// DRS.M00100 with 403).
pub(super) fn refusal(given: Option<&[u8]>, wanted: &str) -> Option<Reply> {
    match given {
        None => Some(Reply::error(
            401,
            "APIGW.0301",
            "Incorrect IAM authentication information: x-auth-token not found",
        )),
        Some(given) if same(given, wanted.as_bytes()) => None,
        Some(_) => Some(Reply::error(403, "DRS.M00100", "Invalid token.")),
    }
}
