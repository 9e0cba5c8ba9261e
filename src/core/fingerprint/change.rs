//! What names a change and those who may read it, by values that only holders of
//! the key can compute (design section 5), and short tags that stand in a diff in
//! place of values (design section 6, git).
//!
//! A tag shows that a value at one place changed, and nothing else: equal values at
//! two places have different tags, so that reuse does not show, and whoever lacks
//! the key of the manifest cannot try passwords against it. With 32 bits it proves
//! nothing and serves no comparison but that of two versions of a line.

use std::fmt;

use hmac::Mac as _;
use serde::{Deserialize, Serialize};

use super::{Field, FingerprintKey, Scope};
use crate::core::job::EntryKey;
use crate::core::mac::{DIGEST_BYTES, HmacSha256, hex, is_hex, update_lp};
use crate::core::secret::Secret;

/// The name of a change: 64 lower-case hexadecimal digits, equal for equal changes, whoever
/// planned them and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChangeId(String);

impl ChangeId {
    pub fn parse(text: &str) -> Option<Self> {
        is_digest(text).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ChangeId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        Self::parse(&text).ok_or("not the name of a change")
    }
}

impl From<ChangeId> for String {
    fn from(id: ChangeId) -> Self {
        id.0
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

pub fn digest<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if is_digest(&text) {
        Ok(text)
    } else {
        Err(serde::de::Error::custom("not a digest"))
    }
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

const TAG_BYTES: usize = 4;

/// 8 lower-case hexadecimal digits.
#[derive(Clone, Debug)]
pub struct Tag(String);

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone)]
pub struct Tagger(HmacSha256);

impl FingerprintKey {
    pub fn tagger(&self) -> Tagger {
        let mut mac = self.subkey("tag");
        update_lp(&mut mac, b"drspass.tag/1");
        Tagger(mac)
    }
}

impl Tagger {
    /// `place` is an entry (`<job id>/source`) or a credential (`@name`). The target is no part
    /// of it, so a new one does not look like a change of every value.
    pub fn of(&self, place: &str, field: Field, value: &Secret) -> Tag {
        let mut mac = self.0.clone();
        update_lp(&mut mac, place.as_bytes());
        update_lp(&mut mac, field.as_str().as_bytes());
        update_lp(&mut mac, value.expose().as_bytes());
        Tag(hex(&mac.finalize().into_bytes()[..TAG_BYTES]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> FingerprintKey {
        FingerprintKey::new(std::array::from_fn(|i| u8::try_from(i).unwrap()))
    }

    fn scope(project_id: &str) -> Scope {
        Scope {
            endpoint: "https://drs.example".to_owned(),
            project_id: project_id.to_owned(),
        }
    }

    #[test]
    fn equal_changes_have_equal_names_in_any_order_and_others_differ() {
        let entry = |text: &str| text.parse::<EntryKey>().unwrap();
        let (a, b) = (entry("j1/source"), entry("j2/source"));
        let (one, two) = (
            Secret::new("canary-1".to_owned()),
            Secret::new("canary-2".to_owned()),
        );
        let id = |project, entries: &[(&EntryKey, &'static str, &Secret)]| {
            let entries = entries.iter().map(|(key, action, value)| ChangedEntry {
                key,
                action,
                values: vec![(Field::Password, value)],
            });
            key().change_id(&scope(project), entries)
        };
        let name = id("p", &[(&a, "create", &one), (&b, "update", &two)]);
        assert_eq!(name, id("p", &[(&b, "update", &two), (&a, "create", &one)]));
        for other in [
            id("q", &[(&a, "create", &one), (&b, "update", &two)]),
            id("p", &[(&a, "update", &one), (&b, "update", &two)]),
            id("p", &[(&a, "create", &two), (&b, "update", &one)]),
            id("p", &[(&a, "create", &one)]),
            id("p", &[]),
        ] {
            assert_ne!(name, other);
        }
        assert_eq!(ChangeId::parse(name.as_str()), Some(name));
        assert_eq!(ChangeId::parse("x"), None);
    }

    #[test]
    fn the_order_of_recipients_does_not_matter() {
        let digest = |list: &[&str]| key().recipients_digest(list.iter().copied());
        assert_eq!(digest(&["a", "b"]), digest(&["b", "a", "a"]));
        assert_ne!(digest(&["a", "b"]), digest(&["ab"]));
        assert!(is_digest(&digest(&[])));
    }

    fn tag(key: &FingerprintKey, place: &str, field: Field, value: &str) -> String {
        let value = Secret::new(value.to_owned());
        key.tagger().of(place, field, &value).to_string()
    }

    #[test]
    fn tags_match_the_fixed_vectors() {
        // Computed with the hmac module of Python from the formula above.
        let entry = "25df459d-a37c-41b9-bc2b-8c00ba32jb52/source";
        assert_eq!(
            tag(&key(), entry, Field::Password, "canary-one"),
            "3d458541"
        );
        let other = FingerprintKey::new([0xff; 32]);
        assert_eq!(
            tag(&other, "@orders-db", Field::Password, "canary-\u{e9}"),
            "dccc9103"
        );
        assert_eq!(
            tag(&other, entry, Field::KeyTabFile, "BQIAAAA="),
            "252df8da"
        );
    }

    #[test]
    fn a_tag_belongs_to_one_value_of_one_field_at_one_place_under_one_key() {
        let one = tag(&key(), "j/source", Field::Password, "canary");
        assert_eq!(one, tag(&key(), "j/source", Field::Password, "canary"));
        let other = FingerprintKey::new([7; 32]);
        for another in [
            tag(&key(), "j/source", Field::Password, "canary2"),
            tag(&key(), "j/source", Field::DomainName, "canary"),
            tag(&key(), "j/destination", Field::Password, "canary"),
            tag(&key(), "@j", Field::Password, "canary"),
            tag(&other, "j/source", Field::Password, "canary"),
        ] {
            assert_ne!(one, another);
        }
    }
}
