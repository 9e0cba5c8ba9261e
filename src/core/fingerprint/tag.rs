//! Short tags that stand in a diff in place of values (design section 6, git).
//!
//! A tag shows that a value at one place changed, and nothing else: equal values at
//! two places have different tags, so that reuse does not show, and whoever lacks
//! the key of the manifest cannot try passwords against it. With 32 bits it proves
//! nothing and serves no comparison but that of two versions of a line.

use std::fmt;

use hmac::Mac as _;

use super::mac::{HmacSha256, update_lp};
use super::{Field, FingerprintKey};
use crate::core::hex;
use crate::core::secret::Secret;

/// So many bytes of the code are shown.
const TAG_BYTES: usize = 4;

/// A tag: 8 lower-case hexadecimal digits.
#[derive(Clone, Debug)]
pub struct Tag(String);

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes the tags of one key.
#[derive(Clone)]
pub struct Tagger(HmacSha256);

impl FingerprintKey {
    /// Makes the tags of the values of a manifest.
    pub fn tagger(&self) -> Tagger {
        let mut mac = self.subkey("tag");
        update_lp(&mut mac, b"drspass.tag/1");
        Tagger(mac)
    }
}

impl Tagger {
    /// The tag of `value` as field `field` at `place`: an entry by the id of its job
    /// (`<job id>/source`), or a credential (`@name`). Where the manifest goes to is
    /// no part of it, so a new target does not look like a change of every value.
    pub fn of(&self, place: &str, field: Field, value: &Secret) -> Tag {
        let mut mac = self.0.clone();
        update_lp(&mut mac, place.as_bytes());
        update_lp(&mut mac, field.as_str().as_bytes());
        update_lp(&mut mac, value.expose().as_bytes());
        Tag(hex::encode(&mac.finalize().into_bytes()[..TAG_BYTES]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting() -> FingerprintKey {
        FingerprintKey::new(std::array::from_fn(|i| u8::try_from(i).unwrap()))
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
            tag(&counting(), entry, Field::Password, "canary-one"),
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
        let one = tag(&counting(), "j/source", Field::Password, "canary");
        assert_eq!(one, tag(&counting(), "j/source", Field::Password, "canary"));
        let other = FingerprintKey::new([7; 32]);
        for another in [
            tag(&counting(), "j/source", Field::Password, "canary2"),
            tag(&counting(), "j/source", Field::DomainName, "canary"),
            tag(&counting(), "j/destination", Field::Password, "canary"),
            tag(&counting(), "@j", Field::Password, "canary"),
            tag(&other, "j/source", Field::Password, "canary"),
        ] {
            assert_ne!(one, another);
        }
    }
}
