//! Public keys that everybody could open a file of, told without the crate that
//! encrypts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::montgomery::MontgomeryPoint;

/// A recipient that was accepted, which must not be one that everybody can open.
#[track_caller]
pub fn assert_private(recipient: &str) {
    let mut words = recipient.split_ascii_whitespace();
    match (words.next(), words.next()) {
        (Some("ssh-ed25519"), Some(blob)) => {
            let fields = fields(blob);
            let key: [u8; 32] = fields[1].as_slice().try_into().expect("32 bytes");
            let point = CompressedEdwardsY(key).decompress().expect("a point");
            assert!(!point.is_small_order(), "of low order: {recipient}");
        }
        (Some("ssh-rsa"), Some(blob)) => {
            let fields = fields(blob);
            let trimmed = |field: &[u8]| {
                let start = field.iter().position(|byte| *byte != 0);
                start.map_or(Vec::new(), |start| field[start..].to_vec())
            };
            let (exponent, modulus) = (trimmed(&fields[1]), trimmed(&fields[2]));
            let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
            assert!(
                is_odd(&exponent) && exponent != [1],
                "exponent: {recipient}"
            );
            assert!(is_odd(&modulus), "modulus: {recipient}");
            let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
            assert!(bits >= 2048, "{bits} bits: {recipient}");
        }
        (Some(native), _) => {
            let (kind, data) = bech32::decode(native).expect("bech32");
            if kind.as_str() == "age" {
                let key: [u8; 32] = data.try_into().expect("32 bytes");
                let shared = MontgomeryPoint(key).mul_clamped([1; 32]);
                assert_ne!(shared.0, [0; 32], "of low order: {recipient}");
            }
        }
        (None, _) => panic!("nothing"),
    }
}

/// The fields of a key in the form of OpenSSH, its kind first.
fn fields(blob: &str) -> Vec<Vec<u8>> {
    let blob = STANDARD.decode(blob).expect("base64");
    let mut rest = blob.as_slice();
    let mut fields = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (field, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        fields.push(field.to_vec());
        rest = after;
    }
    fields
}
