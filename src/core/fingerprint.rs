//! Keyed fingerprints, which the state contains in place of passwords (design section 2.3). They
//! can only be compared for equality: a fingerprint has no order and no distance.
//!
//! The tag of a [`Tagger`] shows in the index that the value at one place changed or came back, and
//! nothing else: equal values at two places have different tags, and without the manifest's key no
//! password can be tried against it. Its 64 bits suit no other comparison.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::Mac as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::job::EntryKey;
use super::mac::{DIGEST_BYTES, HmacSha256, MacKey, hex, hmac, is_hex, keyed, update_lp};
use super::secret::Secret;

/// The service and project that a manifest and a state belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Without a trailing slash.
    #[serde(deserialize_with = "printable")]
    pub endpoint: String,
    #[serde(deserialize_with = "printable")]
    pub project_id: String,
}

impl Scope {
    /// Returns the host, with its port unless that is the default one.
    pub fn host(&self) -> &str {
        let endpoint = self.endpoint.as_str();
        endpoint
            .split_once("://")
            .map_or(endpoint, |(_, host)| host)
    }
}

/// Deserializes a text that may be shown before its writer is authenticated.
pub fn printable<'de, D: serde::Deserializer<'de>, T: From<String>>(
    deserializer: D,
) -> Result<T, D::Error> {
    checked(deserializer, is_printable).map(T::from)
}

pub fn is_printable(text: &str) -> bool {
    text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

pub fn digest<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked(deserializer, is_digest)
}

pub fn checked<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
    is_fit: fn(&str) -> bool,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if is_fit(&text) {
        Ok(text)
    } else {
        Err(serde::de::Error::custom("malformed text"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Field {
    #[serde(rename = "password")]
    Password,
    #[serde(rename = "kerberos.krb5_conf_file")]
    Krb5ConfFile,
    #[serde(rename = "kerberos.key_tab_file")]
    KeyTabFile,
    #[serde(rename = "kerberos.domain_name")]
    DomainName,
    #[serde(rename = "kerberos.user_principal")]
    UserPrincipal,
}

impl Field {
    pub const KERBEROS: [Self; 4] = [
        Self::Krb5ConfFile,
        Self::KeyTabFile,
        Self::DomainName,
        Self::UserPrincipal,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Krb5ConfFile => "kerberos.krb5_conf_file",
            Self::KeyTabFile => "kerberos.key_tab_file",
            Self::DomainName => "kerberos.domain_name",
            Self::UserPrincipal => "kerberos.user_principal",
        }
    }

    pub const fn is_file(self) -> bool {
        matches!(self, Self::Krb5ConfFile | Self::KeyTabFile)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const FINGERPRINT_PREFIX: &str = "v1:";
const SALT_BYTES: usize = 16;
const KEY_ID_BYTES: usize = 16;

/// Fresh and random for each record.
pub type Salt = [u8; SALT_BYTES];

/// The key that only readers of the manifest have. All codes use keys derived from it. Each copy
/// wipes itself.
#[derive(Clone)]
pub struct FingerprintKey(Zeroizing<[u8; 32]>);

impl FingerprintKey {
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns `None` unless `text` is the base64 form of exactly 32 bytes.
    pub fn from_base64(text: &Secret) -> Option<Self> {
        let mut bytes = Zeroizing::new([0_u8; 33]);
        let written = STANDARD
            .decode_slice(text.expose(), bytes.as_mut_slice())
            .ok()?;
        let exact: [u8; 32] = bytes.get(..written)?.try_into().ok()?;
        Some(Self::new(exact))
    }

    pub fn to_base64(&self) -> Secret {
        Secret::new(STANDARD.encode(self.0.as_slice()))
    }

    pub fn id(&self) -> KeyId {
        let mac = keyed(self.0.as_slice(), b"drspass/v1/key-id");
        KeyId(hex(&mac[..KEY_ID_BYTES]))
    }

    /// Returns the key for one purpose, so that a code made for one thing never fits another.
    fn subkey(&self, purpose: &str) -> HmacSha256 {
        let derived = Zeroizing::new(self.subkey_bytes(purpose));
        hmac(derived.as_slice())
    }

    fn subkey_bytes(&self, purpose: &str) -> [u8; DIGEST_BYTES] {
        keyed(
            self.0.as_slice(),
            format!("drspass/v1/{purpose}").as_bytes(),
        )
    }

    pub fn state_mac(&self) -> MacKey {
        MacKey(self.subkey("state"))
    }

    pub fn plan_mac(&self) -> MacKey {
        MacKey(self.subkey("plan"))
    }

    pub fn journal_mac(&self) -> MacKey {
        MacKey(self.subkey("journal"))
    }

    pub fn fingerprinter(&self, scope: &Scope) -> Fingerprinter {
        let mut mac = self.subkey("fingerprint");
        update_lp(&mut mac, b"drspass.fingerprint/1");
        update_lp(&mut mac, scope.endpoint.as_bytes());
        update_lp(&mut mac, scope.project_id.as_bytes());
        Fingerprinter(mac)
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FingerprintKey({})", self.id())
    }
}

/// The public name of a key: 32 lower-case hexadecimal digits that reveal nothing about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(#[serde(deserialize_with = "key_id")] String);

fn key_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked(deserializer, |text| is_hex(text, KEY_ID_BYTES))
}

impl KeyId {
    pub fn parse(text: &str) -> Option<Self> {
        is_hex(text, KEY_ID_BYTES).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The salted, keyed digest of one value, written as `v1:` and the base64url form of salt and
/// HMAC-SHA-256.
///
/// It has no `PartialEq`: fingerprints of one value differ in their salt, so only
/// [`Fingerprinter::matches`] can compare them.
#[derive(Clone)]
pub struct Fingerprint([u8; SALT_BYTES + DIGEST_BYTES]);

impl Fingerprint {
    /// Returns whether both are copies of one record, salt included.
    pub fn is_same_record(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // 48 bytes are exactly 64 characters of base64.
        let mut text = [0_u8; 3 + 64];
        text[..3].copy_from_slice(FINGERPRINT_PREFIX.as_bytes());
        let written = URL_SAFE_NO_PAD
            .encode_slice(self.0, &mut text[3..])
            .map_err(serde::ser::Error::custom)?;
        let text = std::str::from_utf8(&text[..3 + written]).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(text)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let malformed = || serde::de::Error::custom("not a fingerprint of version 1");
        let encoded = text
            .strip_prefix(FINGERPRINT_PREFIX)
            .ok_or_else(malformed)?;
        let mut bytes = [0_u8; SALT_BYTES + DIGEST_BYTES + 2];
        let written = URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes);
        let written = written.map_err(|_| malformed())?;
        let exact = bytes[..written].try_into();
        exact.map(Self).map_err(|_| malformed())
    }
}

/// Makes and compares fingerprints; hashes the part that all entries share once.
#[derive(Clone)]
pub struct Fingerprinter(HmacSha256);

impl Fingerprinter {
    pub fn of(&self, key: &EntryKey, field: Field, salt: Salt, value: &Secret) -> Fingerprint {
        let digest = self.mac(key, field, &salt, value).finalize().into_bytes();
        let mut bytes = [0_u8; SALT_BYTES + DIGEST_BYTES];
        bytes[..SALT_BYTES].copy_from_slice(&salt);
        bytes[SALT_BYTES..].copy_from_slice(&digest);
        Fingerprint(bytes)
    }

    /// Compares in constant time.
    pub fn matches(
        &self,
        print: &Fingerprint,
        key: &EntryKey,
        field: Field,
        value: &Secret,
    ) -> bool {
        let (salt, digest) = print.0.split_at(SALT_BYTES);
        self.mac(key, field, salt, value)
            .verify_slice(digest)
            .is_ok()
    }

    /// Returns the record of `value` with the salt of `print`, made with another key.
    pub fn again(
        &self,
        print: &Fingerprint,
        key: &EntryKey,
        field: Field,
        value: &Secret,
    ) -> Fingerprint {
        let mut salt = [0_u8; SALT_BYTES];
        salt.copy_from_slice(&print.0[..SALT_BYTES]);
        self.of(key, field, salt, value)
    }

    fn mac(&self, key: &EntryKey, field: Field, salt: &[u8], value: &Secret) -> HmacSha256 {
        let mut mac = self.0.clone();
        update_lp(&mut mac, key.job.as_str().as_bytes());
        update_lp(&mut mac, key.endpoint.as_str().as_bytes());
        update_lp(&mut mac, field.as_str().as_bytes());
        update_lp(&mut mac, salt);
        update_lp(&mut mac, value.expose().as_bytes());
        mac
    }
}

/// The name of a change: 64 lower-case hexadecimal digits, equal for equal changes, no matter who
/// planned them and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChangeId(#[serde(deserialize_with = "digest")] String);

impl ChangeId {
    pub fn parse(text: &str) -> Option<Self> {
        is_digest(text).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub fn is_digest(text: &str) -> bool {
    is_hex(text, DIGEST_BYTES)
}

pub struct ChangedEntry<'a> {
    pub key: &'a EntryKey,
    pub action: &'static str,
    pub values: Vec<(Field, &'a Secret)>,
}

impl FingerprintKey {
    pub fn change_id<'a>(
        &self,
        scope: &Scope,
        entries: impl Iterator<Item = ChangedEntry<'a>>,
    ) -> ChangeId {
        let mut entries: Vec<ChangedEntry<'a>> = entries.collect();
        entries.sort_by(|a, b| a.key.cmp(b.key));
        let mut mac = self.subkey("change");
        update_lp(&mut mac, b"drspass.change/1");
        update_lp(&mut mac, scope.endpoint.as_bytes());
        update_lp(&mut mac, scope.project_id.as_bytes());
        for entry in &entries {
            update_lp(&mut mac, entry.key.to_string().as_bytes());
            update_lp(&mut mac, entry.action.as_bytes());
            // The number of values keeps two entries from being read as one.
            let values = u32::try_from(entry.values.len()).unwrap_or(u32::MAX);
            update_lp(&mut mac, &values.to_be_bytes());
            for (field, value) in &entry.values {
                update_lp(&mut mac, field.as_str().as_bytes());
                update_lp(&mut mac, value.expose().as_bytes());
            }
        }
        ChangeId(hex(&mac.finalize().into_bytes()))
    }

    pub fn recipients_digest<'a>(&self, recipients: impl Iterator<Item = &'a str>) -> String {
        let mut recipients: Vec<&str> = recipients.collect();
        recipients.sort_unstable();
        recipients.dedup();
        let mut mac = self.subkey("plan");
        update_lp(&mut mac, b"drspass.recipients/1");
        for recipient in recipients {
            update_lp(&mut mac, recipient.as_bytes());
        }
        hex(&mac.finalize().into_bytes())
    }
}

const TAG_BYTES: usize = 8;

/// Returns whether a text has the shape of a tag: 16 lower-case hexadecimal digits.
pub fn is_tag(text: &str) -> bool {
    is_hex(text, TAG_BYTES)
}

#[derive(Clone)]
pub struct Tagger(HmacSha256);

impl FingerprintKey {
    pub fn tagger(&self, scope: &Scope) -> Tagger {
        let mut mac = self.subkey("tag");
        update_lp(&mut mac, b"drspass.tag/1");
        update_lp(&mut mac, scope.endpoint.as_bytes());
        update_lp(&mut mac, scope.project_id.as_bytes());
        Tagger(mac)
    }
}

impl Tagger {
    /// Returns the tag of a value. `place` is an entry (`<job id>/source`) or a credential
    /// (`@name`).
    pub fn of(&self, place: &str, field: Field, value: &Secret) -> String {
        let mut mac = self.0.clone();
        update_lp(&mut mac, place.as_bytes());
        update_lp(&mut mac, field.as_str().as_bytes());
        update_lp(&mut mac, value.expose().as_bytes());
        hex(&mac.finalize().into_bytes()[..TAG_BYTES])
    }
}

#[cfg(test)]
mod tests;
