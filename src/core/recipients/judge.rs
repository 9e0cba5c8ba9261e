//! Whether a recipient can be encrypted to, judged from its text before the library sees it: it
//! panics on some keys, and accepts others with which anyone could decrypt.

use age::{plugin, tag, tagpq};
use age_core::primitives::bech32_decode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use curve25519_dalek::constants::X25519_BASEPOINT;
use curve25519_dalek::{edwards::CompressedEdwardsY, montgomery::MontgomeryPoint};

use super::recipient_key;
use crate::core::redact::is_key_like;

type RecipientFault = (&'static str, &'static str);

const KINDS: &str = "Use age1…, ssh-ed25519 or ssh-rsa.";
const COPY: &str = "Copy the whole key again; a character is missing or wrong.";
const REPLACE: &str = "Create a new key pair and list its public key.";

const PRIVATE: RecipientFault = (
    "is a private key, which must not be listed here",
    "Replace the key pair, since this file is not encrypted, and list the public key, age1….",
);
const POST_QUANTUM: RecipientFault = ("post-quantum age keys are not supported", KINDS);
const NOT_AGE: RecipientFault = ("is not a valid age public key", COPY);
const AGE_LOW_ORDER: RecipientFault = (
    "is an age key of low order, with which anyone could decrypt",
    REPLACE,
);
const PUBLIC: RecipientFault = ("is a key whose private half is publicly known", REPLACE);
const NOT_SSH: RecipientFault = ("is a damaged ssh key", COPY);
const ED25519_LOW_ORDER: RecipientFault = (
    "is an ed25519 key of low order, with which anyone could decrypt",
    REPLACE,
);
const NOT_A_POINT: RecipientFault = ("is an ed25519 key that is not a valid point", COPY);
const RSA_SMALL: RecipientFault = ("is an rsa key of fewer than 2048 bits", REPLACE);
const RSA_LARGE: RecipientFault = ("is an rsa key of more than 4096 bits", REPLACE);
const RSA_NUMBERS: RecipientFault = ("is an rsa key with invalid numbers", REPLACE);

/// Returns the fault of a recipient and its remedy.
pub fn refuse_recipient(text: &str) -> Option<RecipientFault> {
    // A private key has line breaks of its own.
    if is_key_like(text) {
        return Some(PRIVATE);
    }
    if text.chars().any(char::is_control) {
        return Some(("contains a line break or another control character", KINDS));
    }
    if text.trim() != text {
        return Some(("starts or ends with whitespace", "Remove it."));
    }
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    let is_ssh = |word: &str| matches!(word, "ssh-ed25519" | "ssh-rsa");
    match kind {
        _ if kind.starts_with("age1") && rest.is_empty() => refuse_age(kind),
        _ if kind.starts_with("age1") => Some((
            "has text after the age key",
            "Remove everything after the key.",
        )),
        _ if is_ssh(kind) && rest.trim().is_empty() => {
            Some(("is an ssh key type without a key", "Copy the whole line."))
        }
        _ if is_ssh(kind) => refuse_ssh(text),
        _ if kind.starts_with("ecdsa-") => {
            Some(("is an ecdsa key, which age cannot encrypt to", KINDS))
        }
        _ if kind.starts_with("sk-") => {
            Some(("is a security key, which age cannot encrypt to", KINDS))
        }
        "ssh-dss" => Some(("is a DSA key, which age cannot encrypt to", KINDS)),
        _ if rest.split(' ').any(is_ssh) => Some((
            "has options before the key",
            "Remove them: begin with ssh-ed25519 or ssh-rsa.",
        )),
        _ => Some(("is of an unsupported type", KINDS)),
    }
}

fn refuse_age(text: &str) -> Option<RecipientFault> {
    let parses = match text.rsplit_once('1')?.0 {
        "age" => return refuse_x25519(text),
        "age1pq" => return Some(POST_QUANTUM),
        "age1tag" => text.parse::<tag::Recipient>().is_ok(),
        "age1tagpq" => text.parse::<tagpq::Recipient>().is_ok(),
        _ => text.parse::<plugin::Recipient>().is_ok(),
    };
    (!parses).then_some(NOT_AGE)
}

fn refuse_x25519(text: &str) -> Option<RecipientFault> {
    let decoded = bech32_decode(
        text,
        |_| (),
        |_| Ok(()),
        |_, bytes| bytes.collect::<Vec<u8>>().try_into().map_err(|_| ()),
    );
    let Ok(key): Result<[u8; 32], ()> = decoded else {
        return Some(NOT_AGE);
    };
    // Every private key is a multiple of 8, by which points of low order become zero.
    if MontgomeryPoint(key).mul_clamped([0; 32]) == MontgomeryPoint([0; 32]) {
        return Some(AGE_LOW_ORDER);
    }
    if is_public(MontgomeryPoint(key)) {
        return Some(PUBLIC);
    }
    // A second encoding of another key: 2^255 - 19 and above.
    let [first, middle @ .., last] = key;
    let is_spelled_otherwise =
        last > 0x7f || (last == 0x7f && middle == [0xff; 30] && first >= 0xed);
    is_spelled_otherwise.then_some(NOT_AGE)
}

/// Returns whether a key is the base point itself, whose shared secret is in the file's header, or
/// has a private key whose bits are all alike.
fn is_public(key: MontgomeryPoint) -> bool {
    let trivial = [[0; 32], [0xff; 32]].map(MontgomeryPoint::mul_base_clamped);
    key == X25519_BASEPOINT || trivial.contains(&key)
}

fn refuse_ssh(text: &str) -> Option<RecipientFault> {
    let key = recipient_key(text);
    let (kind, encoded) = key.split_once(' ')?;
    let Ok(blob) = STANDARD.decode(encoded) else {
        return Some(NOT_SSH);
    };
    match SshWire(&blob).string() {
        Some(said) if said == kind.as_bytes() => refuse_ssh_key(&blob),
        _ => Some(NOT_SSH),
    }
}

/// Returns the fault of an ssh public key in binary form (RFC 4253, section 6.6; RFC 8709, section
/// 4). Only ed25519 and rsa keys are checked.
pub fn refuse_ssh_key(blob: &[u8]) -> Option<RecipientFault> {
    let mut wire = SshWire(blob);
    let refusal = match wire.string() {
        Some(b"ssh-ed25519") => refuse_ed25519(wire.string()),
        Some(b"ssh-rsa") => match (wire.positive(), wire.positive()) {
            (Some(exponent), Some(modulus)) => refuse_rsa(exponent, modulus),
            _ => Some(RSA_NUMBERS),
        },
        Some(_) => return None,
        None => Some(NOT_SSH),
    };
    refusal.or_else(|| (!wire.0.is_empty()).then_some(NOT_SSH))
}

fn refuse_ed25519(key: Option<&[u8]>) -> Option<RecipientFault> {
    let Some(Ok(key)) = key.map(CompressedEdwardsY::from_slice) else {
        return Some(NOT_SSH);
    };
    match key.decompress() {
        None => Some(NOT_A_POINT),
        Some(point) if point.is_small_order() => Some(ED25519_LOW_ORDER),
        Some(point) if is_public(point.to_montgomery()) => Some(PUBLIC),
        // A second encoding of another key.
        Some(point) => (point.compress() != key).then_some(NOT_A_POINT),
    }
}

/// The library decrypts with keys of at most 4096 bits, and takes exponents of at most 33.
fn refuse_rsa(exponent: &[u8], modulus: &[u8]) -> Option<RecipientFault> {
    let value = exponent.iter().try_fold(0_u64, |sum, byte| {
        sum.checked_mul(256)?.checked_add((*byte).into())
    });
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    match bits(modulus) {
        ..2048 => Some(RSA_SMALL),
        4097.. => Some(RSA_LARGE),
        _ if !is_odd(exponent) || !is_odd(modulus) => Some(RSA_NUMBERS),
        _ if !value.is_some_and(|value| (3..1 << 33).contains(&value)) => Some(RSA_NUMBERS),
        _ if (3..1000).any(|divisor| remainder(modulus, divisor) == 0) => Some(RSA_NUMBERS),
        _ => None,
    }
}

fn remainder(number: &[u8], divisor: u32) -> u32 {
    let next = |rest, byte: &u8| (rest * 256 + u32::from(*byte)) % divisor;
    number.iter().fold(0, next)
}

fn bits(number: &[u8]) -> usize {
    let unused = number.first().map_or(0, |byte| byte.leading_zeros());
    number.len() * 8 - unused as usize
}

/// The unread rest of an ssh key in binary form (RFC 4251, section 5).
pub struct SshWire<'a>(pub &'a [u8]);

impl<'a> SshWire<'a> {
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn number(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    }

    pub fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }

    /// Reads a positive number without its sign, in its only valid encoding.
    pub fn positive(&mut self) -> Option<&'a [u8]> {
        match self.string()? {
            [0, magnitude @ ..] if magnitude.first() >= Some(&128) => Some(magnitude),
            magnitude @ [1..128, ..] => Some(magnitude),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_whose_private_half_is_known_are_refused() {
        use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
        for point in [ED25519_BASEPOINT_POINT, -ED25519_BASEPOINT_POINT] {
            let key = point.compress();
            assert_eq!(refuse_ed25519(Some(key.as_bytes())), Some(PUBLIC));
        }
        // u = 9, in the spelling of age.
        let base = "age1pyqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq8r66x";
        assert_eq!(refuse_age(base), Some(PUBLIC));
        let exponent = [1, 0, 1];
        let mut modulus = [0xff; 256];
        assert_eq!(refuse_rsa(&exponent, &modulus), Some(RSA_NUMBERS));
        // 2^2048 - 23 has no small factor.
        modulus[255] = 0xe9;
        assert_eq!(refuse_rsa(&exponent, &modulus), None);
    }
}
