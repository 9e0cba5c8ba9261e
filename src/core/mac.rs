//! Message authentication codes, and the hexadecimal form in which they are written.

use std::fmt::Write as _;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

pub type HmacSha256 = Hmac<Sha256>;

pub const DIGEST_BYTES: usize = 32;

#[derive(Clone)]
pub struct MacKey(pub HmacSha256);

impl MacKey {
    /// Returns 64 lower-case hexadecimal digits.
    pub fn of(&self, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(body);
        hex(&mac.finalize().into_bytes())
    }

    /// Compares in constant time.
    pub fn verifies(&self, body: &[u8], claimed: &str) -> bool {
        let mut mac = self.0.clone();
        mac.update(body);
        unhex(claimed).is_some_and(|claimed| mac.verify_slice(&claimed).is_ok())
    }
}

/// Appends `LP(part)`: the length as four big-endian bytes, then the bytes, so that no two
/// lists of parts give the same message.
pub fn push_lp(message: &mut Vec<u8>, part: &[u8]) {
    message.extend_from_slice(&length_prefix(part));
    message.extend_from_slice(part);
}

pub fn update_lp(mac: &mut HmacSha256, part: &[u8]) {
    mac.update(&length_prefix(part));
    mac.update(part);
}

fn length_prefix(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len())
        .expect("values are limited far below four gigabytes")
        .to_be_bytes()
}

pub fn hmac(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// Returns 64 lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub fn keyed(key: &[u8], message: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut mac = hmac(key);
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn unhex(text: &str) -> Option<[u8; DIGEST_BYTES]> {
    if !is_hex(text, DIGEST_BYTES) {
        return None;
    }
    let mut bytes = [0_u8; DIGEST_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Returns a text that never moves while it is made, so that no copy of a secret is left behind.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

pub fn is_hex(text: &str, bytes: usize) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 2 * bytes && text.bytes().all(digit)
}
