//! The signature `SDK-HMAC-SHA256` of a request as it came in (Huawei Cloud API Request
//! Signing Guide, "Calculating a Signature"; what it leaves open is settled by the signer
//! of the vendor's SDK).

use hmac::{Hmac, Mac};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use super::ambient::{hex, percent_encoded, same};
use super::http::ServiceRequest;

pub const ALGORITHM: &str = "SDK-HMAC-SHA256";

pub const DATE: &str = "x-sdk-date";

#[derive(Debug, PartialEq, Eq)]
pub struct Authorization<'a> {
    pub access: &'a str,
    pub signed: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Returns `None` if it is not written as the guide says.
    pub fn parse(value: &'a str) -> Option<Self> {
        let fields = value.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let mut fields = fields.split(',').map(str::trim);
        let mut field = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
        let access = field("Access")?;
        let signed = field("SignedHeaders")?;
        let signature = field("Signature")?;
        let parsed = Self {
            access,
            signed: signed.split(';').collect(),
            signature,
        };
        let ordered = parsed.signed.windows(2).all(|pair| pair[0] < pair[1]);
        let lower = !signed.bytes().any(|byte| byte.is_ascii_uppercase());
        let whole = fields.next().is_none() && !access.is_empty() && ordered && lower;
        whole.then_some(parsed)
    }

    pub fn signs(&self, header: &str) -> bool {
        self.signed.contains(&header)
    }

    pub fn is_by(&self, secret: &str, date: &str, canonical: &str) -> bool {
        let wanted = sign(secret, &to_sign(date, canonical));
        same(wanted.as_bytes(), self.signature.as_bytes())
    }
}

pub fn to_sign(date: &str, canonical: &str) -> String {
    let digest = hex(&Sha256::digest(canonical));
    format!("{ALGORITHM}\n{date}\n{digest}")
}

/// The secret is the key as it is, without any derivation.
pub fn sign(secret: &str, text: &str) -> String {
    // A key of any length is taken, so the other case never comes up.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

impl ServiceRequest {
    /// Returns `None` if a signed header is missing, repeated or not text.
    pub fn canonical(&self, signed: &[&str]) -> Option<String> {
        let mut headers = String::new();
        for name in signed {
            headers.push_str(&format!("{name}:{}\n", self.only(name)?.trim()));
        }
        Some(format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            self.head.method,
            canonical_path(self.head.uri.path()),
            canonical_query(self.query()),
            signed.join(";"),
            hex(&Sha256::digest(self.body.as_deref().unwrap_or_default())),
        ))
    }

    /// Returns the value of a header that must occur once.
    pub fn only(&self, name: &str) -> Option<&str> {
        let mut values = self.head.headers.get_all(name).iter();
        let value = std::str::from_utf8(values.next()?.as_bytes()).ok()?;
        values.next().is_none().then_some(value)
    }
}

/// Returns the decoded path cut into segments, each encoded again, with a final slash that the
/// request itself does not have. An escaped slash becomes one of the others, as in the vendor's
/// signer.
fn canonical_path(path: &str) -> String {
    let plain = decode(path);
    let segments = plain.split(|byte| *byte == b'/').map(percent_encoded);
    let mut path = segments.collect::<Vec<_>>().join("/");
    if !path.ends_with('/') {
        path.push('/');
    }
    path
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect();
    pairs.sort();
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", percent_encoded(name), percent_encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

pub fn decode(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}
