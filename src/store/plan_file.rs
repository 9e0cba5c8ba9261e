//! The file of a saved plan, format `drspass.plan/1` (design section 5): its id is the SHA-256
//! of the raw body bytes, and the code is over the same bytes.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::format::{AnyFormat, FormatError, PLAN_FORMAT, opened};
use super::to_json;
use crate::core::mac::{MacKey, sha256};
use crate::core::saved::SavedPlan;
use crate::sys::files;

/// A plan of 100,000 entries takes some 80 MB.
const MAX_PLAN_BYTES: u64 = 512 << 20;

/// A parsed plan file that is not authenticated yet.
#[derive(Debug)]
pub struct PlanFile {
    /// 64 lower-case hexadecimal digits.
    pub id: String,
    pub plan: SavedPlan,
    body: String,
    hmac: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanEnvelope<'a> {
    #[serde(borrow)]
    format: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    body: &'a RawValue,
    #[serde(borrow)]
    hmac: Cow<'a, str>,
}

impl PlanFile {
    pub fn read(path: &Path) -> Result<Self, FormatError> {
        let bytes =
            files::read_unlinked_limited(path, MAX_PLAN_BYTES).map_err(FormatError::Read)?;
        Self::parse(&bytes)
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        if crate::age_file::is_age_file(bytes) {
            return Err(FormatError::Encrypted);
        }
        let named = |envelope: &PlanEnvelope<'_>| envelope.format == PLAN_FORMAT;
        let envelope = opened(PLAN_FORMAT, bytes, named)?;
        // Serde would read a list into the struct as well, by position; and a file with the same
        // content in other bytes is another file.
        let body = envelope.body.get();
        let is_written_so = written(body, &envelope.id, &envelope.hmac).as_bytes() == bytes;
        if !is_written_so || sha256(body.as_bytes()) != envelope.id {
            return Err(FormatError::OtherId);
        }
        let plan = serde_json::from_str(body).map_err(FormatError::damaged)?;
        Ok(Self {
            id: envelope.id.into_owned(),
            plan,
            body: body.to_owned(),
            hmac: envelope.hmac.into_owned(),
        })
    }

    pub fn new(plan: SavedPlan, key: &MacKey) -> Self {
        let body = to_json(&plan);
        Self {
            id: sha256(body.as_bytes()),
            plan,
            hmac: key.of(body.as_bytes()),
            body,
        }
    }

    pub fn is_authentic(&self, key: &MacKey) -> bool {
        key.verifies(self.body.as_bytes(), &self.hmac)
    }

    /// Writes the file, readable by its owner alone. Replaces an older plan.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let is_there = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
            Ok(_) => {
                let bytes = files::read_unlinked_limited(path, MAX_PLAN_BYTES)?;
                let is_plan = serde_json::from_slice::<AnyFormat<'_>>(&bytes)
                    .is_ok_and(|any| any.format == PLAN_FORMAT);
                if !is_plan {
                    return Err(io::Error::other("it exists and is not a plan file"));
                }
                true
            }
        };
        let text = written(&self.body, &self.id, &self.hmac);
        files::put_private(path, text.as_bytes(), is_there)
    }
}

/// The only bytes accepted for these fields.
fn written(body: &str, id: &str, hmac: &str) -> String {
    format!(
        "{{\"format\":\"{PLAN_FORMAT}\",\"id\":\"{id}\",\"body\":{body},\"hmac\":\"{hmac}\"}}\n"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::fingerprint::FingerprintKey;

    /// A plan of format 1 as it was written once; see tests/data.
    const SAMPLE: &[u8] = include_bytes!("../../tests/data/plan-v1.json");

    fn key() -> FingerprintKey {
        FingerprintKey::new(std::array::from_fn(|i| u8::try_from(i).unwrap_or_default()))
    }

    fn sample() -> PlanFile {
        PlanFile::parse(SAMPLE).unwrap()
    }

    #[test]
    fn the_sample_of_format_1_is_read_proved_and_written_as_it_is() {
        let file = sample();
        assert!(file.is_authentic(&key().plan_mac()));
        assert!(!file.is_authentic(&key().state_mac()));
        assert_eq!(file.plan.entries.len(), 3);
        let again = PlanFile::new(file.plan.clone(), &key().plan_mac());
        assert_eq!(
            written(&again.body, &again.id, &again.hmac).as_bytes(),
            SAMPLE
        );
    }

    #[test]
    fn what_is_no_plan_is_told_by_kind() {
        let said = |bytes: &[u8]| PlanFile::parse(bytes).unwrap_err().to_string();
        assert_eq!(said(b" \n"), "it is empty");
        assert!(said(b"age-encryption.org/v1\n").contains("encrypted"));
        assert!(said(b"-----BEGIN AGE ENCRYPTED FILE-----\n").contains("encrypted"));
        assert!(said(b"canary: text").contains("line 1, column 1"));
        assert!(said(br#"{"format":"drspass.plan/2","new":1}"#).contains("format"));
        assert!(said(br#"{"format":"drspass.state/1","body":{},"mac":""}"#).contains("format"));
        assert!(said(&SAMPLE[..SAMPLE.len() / 2]).contains("incomplete or damaged"));
        // The same content in other bytes is another file.
        let spaced = [b" ", SAMPLE].concat();
        assert!(said(&spaced).contains("altered"));
    }

    #[test]
    fn a_plan_with_any_bit_changed_is_refused() {
        for at in 0..SAMPLE.len() {
            for bit in 0..8 {
                let mut bytes = SAMPLE.to_vec();
                bytes[at] ^= 1 << bit;
                if let Ok(file) = PlanFile::parse(&bytes) {
                    assert!(
                        !file.is_authentic(&key().plan_mac()),
                        "byte {at}, bit {bit}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_plan_with_any_byte_changed_is_refused(at in 0..SAMPLE.len(), other in any::<u8>()) {
            let mut bytes = SAMPLE.to_vec();
            prop_assume!(bytes[at] != other);
            bytes[at] = other;
            if let Ok(file) = PlanFile::parse(&bytes) {
                prop_assert!(!file.is_authentic(&key().plan_mac()), "byte {at}");
            }
        }
    }
}
