//! Keyed fingerprints and message authentication codes: what stands in the
//! state instead of a password, and what proves that the state, the journal
//! and a plan were written by somebody who can read the manifest.
//!
//! All rules are those of design section 2.3. Nothing here may be used for
//! anything but equality: a fingerprint has no order and no distance.

pub mod change;
pub mod tag;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::job::EntryKey;
use super::secret::Secret;

type HmacSha256 = Hmac<Sha256>;

/// Version prefix of a stored fingerprint.
const FINGERPRINT_PREFIX: &str = "v1:";
const SALT_BYTES: usize = 16;
const DIGEST_BYTES: usize = 32;

/// A fresh random salt, one per record.
pub type Salt = [u8; SALT_BYTES];

/// The key that only readers of the manifest have. It never leaves the manifest:
/// everything else is computed with keys derived from it. Each copy wipes itself.
#[derive(Clone)]
pub struct FingerprintKey(Zeroizing<[u8; 32]>);

impl FingerprintKey {
    /// Takes 32 bytes from a secure random source.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads the base64 text of the manifest.
    /// Fails (with `None`) if it is not the base64 form of exactly 32 bytes.
    pub fn from_base64(text: &Secret) -> Option<Self> {
        let mut bytes = Zeroizing::new([0_u8; 33]);
        let written = STANDARD
            .decode_slice(text.expose(), bytes.as_mut_slice())
            .ok()?;
        let exact: [u8; 32] = bytes.get(..written)?.try_into().ok()?;
        Some(Self::new(exact))
    }

    /// The base64 text for the manifest.
    pub fn to_base64(&self) -> Secret {
        Secret::new(STANDARD.encode(self.0.as_slice()))
    }

    /// The public name of this key: it tells two keys apart and reveals neither.
    pub fn id(&self) -> KeyId {
        let mac = keyed(self.0.as_slice(), b"drspass/v1/key-id");
        KeyId(hex(&mac[..16]))
    }

    /// The key for one purpose, so that a code made for one thing never fits another.
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

    /// The code that authenticates the raw body bytes of a state file.
    pub fn state_mac(&self) -> MacKey {
        MacKey(self.subkey("state"))
    }

    /// The code that authenticates the raw body bytes of a saved plan.
    pub fn plan_mac(&self) -> MacKey {
        MacKey(self.subkey("plan"))
    }

    /// The code that chains the lines of a journal.
    pub fn journal_mac(&self) -> MacKey {
        MacKey(self.subkey("journal"))
    }

    /// Makes and checks fingerprints of one scope.
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

/// The public name of a fingerprint key: 32 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl TryFrom<String> for KeyId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        Self::parse(&text).ok_or("not the name of a key")
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl KeyId {
    /// Takes an id that a user named or a file holds.
    /// Fails (with `None`) if it is not 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 32 && text.bytes().all(digit)).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The service and project that a manifest and a state belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Address of the DRS service, without a trailing slash.
    #[serde(deserialize_with = "printable")]
    pub endpoint: String,
    /// The project's id.
    #[serde(deserialize_with = "printable")]
    pub project_id: String,
}

/// Reads a text that may be shown before anybody proved who wrote it: visible
/// ASCII, of a length that fits a line or two.
pub(super) fn printable<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(serde::de::Error::custom("not a printable name"))
    }
}

/// A field of an entry that has a fingerprint of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Field {
    /// The database password.
    #[serde(rename = "password")]
    Password,
    /// The kerberos configuration file.
    #[serde(rename = "kerberos.krb5_conf_file")]
    Krb5ConfFile,
    /// The keytab.
    #[serde(rename = "kerberos.key_tab_file")]
    KeyTabFile,
    /// The kerberos domain.
    #[serde(rename = "kerberos.domain_name")]
    DomainName,
    /// The kerberos user.
    #[serde(rename = "kerberos.user_principal")]
    UserPrincipal,
}

impl Field {
    /// The kerberos fields, in the order in which they are sent.
    pub const KERBEROS: [Self; 4] = [
        Self::Krb5ConfFile,
        Self::KeyTabFile,
        Self::DomainName,
        Self::UserPrincipal,
    ];

    /// The name in fingerprints, state and plans.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Krb5ConfFile => "kerberos.krb5_conf_file",
            Self::KeyTabFile => "kerberos.key_tab_file",
            Self::DomainName => "kerberos.domain_name",
            Self::UserPrincipal => "kerberos.user_principal",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The salted, keyed digest of one value: salt, then HMAC-SHA-256.
/// Written as `v1:` and the base64url form of both.
///
/// There is no `PartialEq`: two fingerprints of one value differ in their salt,
/// so only [`Fingerprinter::matches`] can tell whether a value is the same.
#[derive(Clone)]
pub struct Fingerprint([u8; SALT_BYTES + DIGEST_BYTES]);

impl Fingerprint {
    /// Whether this is the same record, salt included: made once and copied. It
    /// tells nothing about values.
    pub(super) fn is_same_record(&self, other: &Self) -> bool {
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
        match URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes) {
            Ok(n) if n == SALT_BYTES + DIGEST_BYTES => {
                let mut exact = [0_u8; SALT_BYTES + DIGEST_BYTES];
                exact.copy_from_slice(&bytes[..n]);
                Ok(Self(exact))
            }
            _ => Err(malformed()),
        }
    }
}

/// Makes and compares fingerprints under one key and one scope. The part of the
/// message that all entries share is hashed once.
#[derive(Clone)]
pub struct Fingerprinter(HmacSha256);

impl Fingerprinter {
    /// The fingerprint of `value` as field `field` of entry `key`.
    pub fn of(&self, key: &EntryKey, field: Field, salt: Salt, value: &Secret) -> Fingerprint {
        let digest = self.mac(key, field, &salt, value).finalize().into_bytes();
        let mut bytes = [0_u8; SALT_BYTES + DIGEST_BYTES];
        bytes[..SALT_BYTES].copy_from_slice(&salt);
        bytes[SALT_BYTES..].copy_from_slice(&digest);
        Fingerprint(bytes)
    }

    /// Whether `print` was made of exactly this value, compared in constant time.
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

/// A key that authenticates bytes for one purpose.
#[derive(Clone)]
pub struct MacKey(HmacSha256);

/// A message authentication code, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacText(String);

impl MacText {
    /// The hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl MacKey {
    /// The code of `body`.
    pub fn of(&self, body: &[u8]) -> MacText {
        let mut mac = self.0.clone();
        mac.update(body);
        MacText(hex(&mac.finalize().into_bytes()))
    }

    /// Whether `claimed` is the code of `body`, compared in constant time.
    pub fn verifies(&self, body: &[u8], claimed: &str) -> bool {
        let mut mac = self.0.clone();
        mac.update(body);
        unhex(claimed).is_some_and(|claimed| mac.verify_slice(&claimed).is_ok())
    }
}

/// Appends `LP(part)` to `message`: the length as four big-endian bytes, then
/// the bytes, so that no two lists of parts give the same message.
pub(crate) fn push_lp(message: &mut Vec<u8>, part: &[u8]) {
    message.extend_from_slice(&length_prefix(part));
    message.extend_from_slice(part);
}

fn update_lp(mac: &mut HmacSha256, part: &[u8]) {
    mac.update(&length_prefix(part));
    mac.update(part);
}

fn length_prefix(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len())
        .expect("values are limited far below four gigabytes")
        .to_be_bytes()
}

fn hmac(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn keyed(key: &[u8], message: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut mac = hmac(key);
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; DIGEST_BYTES]> {
    let lower_hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
    if text.len() != 2 * DIGEST_BYTES || !text.as_bytes().iter().all(lower_hex) {
        return None;
    }
    let mut bytes = [0_u8; DIGEST_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    //! The vectors were computed with the hmac and hashlib modules of Python from
    //! the formulas of design section 2.3, independently of this code.

    use super::*;

    struct Vector {
        key: [u8; 32],
        key_base64: &'static str,
        key_id: &'static str,
        subkeys: [(&'static str, &'static str); 6],
        scope: (&'static str, &'static str),
        entry: &'static str,
        field: Field,
        salt: Salt,
        value: &'static str,
        fingerprint: &'static str,
        body: &'static str,
        state_mac: &'static str,
    }

    fn vectors() -> [Vector; 2] {
        let counting: [u8; 32] = std::array::from_fn(|i| i as u8);
        let mut counting_salt = [0; SALT_BYTES];
        counting_salt.copy_from_slice(&counting[..SALT_BYTES]);
        [
            Vector {
                key: counting,
                key_base64: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                key_id: "4f5a5547aff9b38dd3c3f86ddc121656",
                subkeys: [
                    (
                        "fingerprint",
                        "8aec93266b4ee73fa42fb040f66fb2c2b6a3f91e873d380e59a5894f7d701eec",
                    ),
                    (
                        "plan",
                        "42f48d16d6eca5fb05c7927bfd723a235a14c82cd299db0cca5188c6408d2930",
                    ),
                    (
                        "state",
                        "80131701fd3765f48d0b7f0eb5cfafab70f607b91ddd390168ecb2a9f9f503c3",
                    ),
                    (
                        "journal",
                        "81b1a9112cfd893a50ca61b6a1c64372696a89d606363a3e2be0535501bcb019",
                    ),
                    (
                        "change",
                        "9504516a0c401d075e2d318be11fd05c9f273ff31ef54178eaf852b5722d5b23",
                    ),
                    (
                        "tag",
                        "2f2f367226a72d86a89afff28e2e3df60703adf65ce4a29e9003e984269d2116",
                    ),
                ],
                scope: (
                    "https://drs.eu-de.otc.t-systems.com",
                    "054ba152d480d55b2f5dc0069e7ddef0",
                ),
                entry: "25df459d-a37c-41b9-bc2b-8c00ba32jb52/source",
                field: Field::Password,
                salt: counting_salt,
                value: "canary-one",
                fingerprint: "v1:AAECAwQFBgcICQoLDA0OD4c5HDpWp7sW8X7iV7ChhdaRzf0jsWN-Q57CTrsgEDsp",
                body: r#"{"serial":1}"#,
                state_mac: "0b4da7c28ec90818f03ae1cd421417895d352844719f1416e4ad9de18b69a5bc",
            },
            Vector {
                key: [0xff; 32],
                key_base64: "//////////////////////////////////////////8=",
                key_id: "c57942c0aab77b82436906022062da9e",
                subkeys: [
                    (
                        "fingerprint",
                        "42c0ab2a958fed8d9c27134622d54680e8884f57f2ceb304ef32fdb59ab607c8",
                    ),
                    (
                        "plan",
                        "03d4e1a86c50adb9e85599ccf401cf7e75e438274be19e2e15392b89bfc6c2fa",
                    ),
                    (
                        "state",
                        "e0a1052df5c1ca147948c04e152f5e3db0915bf8388d31bde5a79c6f0eb0be71",
                    ),
                    (
                        "journal",
                        "cd3b3b130ea799d465e85799b556fabd334a21eebc1126aa19e1c61d2a844da6",
                    ),
                    (
                        "change",
                        "c208e2afe039f780a1cb91caa9eac3e228169e85a921a6873b96670a6894b80d",
                    ),
                    (
                        "tag",
                        "f3c0d739f12b67f9ca023f92cc219695569b88ed035d0c497a53f6ac0f0733cb",
                    ),
                ],
                scope: ("http://127.0.0.1:8080", "p"),
                entry: "6513270e-269e-0d37-f2a7-4de452e6jbb4/destination",
                field: Field::KeyTabFile,
                salt: [0xa5; SALT_BYTES],
                value: "BQIAAAA=",
                fingerprint: "v1:paWlpaWlpaWlpaWlpaWlpYr95KtVPJTccsuJI7Mgq-uPheUiFAppV967R-I9xeiR",
                body: "{}",
                state_mac: "cdd33038969b73e4921b691c4c547bcb4095fd82bedc04d6cff9051750ff72a1",
            },
        ]
    }

    #[test]
    fn keys_fingerprints_and_codes_match_the_fixed_vectors() {
        for vector in vectors() {
            let key = FingerprintKey::new(vector.key);
            assert_eq!(key.id().to_string(), vector.key_id);
            assert_eq!(key.to_base64().expose(), vector.key_base64);
            for (purpose, bytes) in vector.subkeys {
                assert_eq!(hex(&key.subkey_bytes(purpose)), bytes, "{purpose}");
            }
            let scope = Scope {
                endpoint: vector.scope.0.to_owned(),
                project_id: vector.scope.1.to_owned(),
            };
            let entry: EntryKey = vector.entry.parse().expect("an entry");
            let value = Secret::new(vector.value.to_owned());
            let prints = key.fingerprinter(&scope);
            let print = prints.of(&entry, vector.field, vector.salt, &value);
            let text = serde_json::to_string(&print).expect("text");
            assert_eq!(text, format!("\"{}\"", vector.fingerprint));
            let read: Fingerprint = serde_json::from_str(&text).expect("a fingerprint");
            assert!(prints.matches(&read, &entry, vector.field, &value));
            let mac = key.state_mac();
            assert_eq!(mac.of(vector.body.as_bytes()).as_str(), vector.state_mac);
            assert!(mac.verifies(vector.body.as_bytes(), vector.state_mac));
        }
    }

    #[test]
    fn a_fingerprint_fits_one_value_of_one_field_of_one_entry_of_one_scope() {
        let key = FingerprintKey::new([7; 32]);
        let scope = |project: &str| Scope {
            endpoint: "https://drs.example.com".to_owned(),
            project_id: project.to_owned(),
        };
        let entry = |text: &str| text.parse::<EntryKey>().expect("an entry");
        let secret = |text: &str| Secret::new(text.to_owned());
        let prints = key.fingerprinter(&scope("a"));
        let print = prints.of(&entry("j/source"), Field::Password, [1; 16], &secret("x"));
        assert!(prints.matches(&print, &entry("j/source"), Field::Password, &secret("x")));
        for (entry_text, field, value) in [
            ("j/source", Field::Password, "y"),
            ("j/source", Field::Password, ""),
            ("j/source", Field::DomainName, "x"),
            ("j/destination", Field::Password, "x"),
            ("k/source", Field::Password, "x"),
        ] {
            let other = secret(value);
            assert!(!prints.matches(&print, &entry(entry_text), field, &other));
        }
        let elsewhere = key.fingerprinter(&scope("b"));
        assert!(!elsewhere.matches(&print, &entry("j/source"), Field::Password, &secret("x")));
        let other_key = FingerprintKey::new([8; 32]).fingerprinter(&scope("a"));
        assert!(!other_key.matches(&print, &entry("j/source"), Field::Password, &secret("x")));
    }

    #[test]
    fn only_the_base64_of_32_bytes_is_a_key() {
        for bad in [
            "",
            "AAAA",
            "not base64!",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gIQ==",
        ] {
            assert!(
                FingerprintKey::from_base64(&Secret::new(bad.to_owned())).is_none(),
                "{bad}"
            );
        }
    }

    #[test]
    fn malformed_fingerprints_and_codes_are_refused() {
        for bad in ["\"\"", "\"v1:\"", "\"v2:AAAA\"", "\"v1:AAAA\"", "7"] {
            assert!(serde_json::from_str::<Fingerprint>(bad).is_err(), "{bad}");
        }
        let mac = FingerprintKey::new([7; 32]).state_mac();
        let right = mac.of(b"x");
        assert!(mac.verifies(b"x", right.as_str()));
        assert!(!mac.verifies(b"x", &right.as_str().to_uppercase()));
        assert!(!mac.verifies(b"x", &right.as_str()[1..]));
        assert!(!mac.verifies(b"y", right.as_str()));
        assert!(!mac.verifies(b"x", ""));
    }
}
