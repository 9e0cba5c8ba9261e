//! The one type that carries a secret value. It cannot be printed, compared, cloned or
//! serialized by accident, and its memory is wiped.

use std::fmt;

use zeroize::Zeroizing;

/// A password or a kerberos value as it will be sent: exact UTF-8 text, never trimmed or
/// normalised.
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Every call is a place where a secret can escape, so a test counts them and lists the files
    /// that may call.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns an upper bound of the size as a JSON string (a control character takes six bytes),
    /// for the size of requests. It reveals the length, so it is never shown.
    pub fn max_json_bytes(&self) -> usize {
        self.0.len() * 6 + 2
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fingerprint::{Fingerprint, FingerprintKey};
    use crate::core::mac::MacKey;

    /// Which of the impls is meant is only clear where the second one does not hold.
    macro_rules! assert_lacks {
        ($type:ty: $($banned:path),*) => {$({
            trait Ambiguous<T> {
                fn check() {}
            }
            impl<T> Ambiguous<()> for T {}
            impl<T: $banned> Ambiguous<u8> for T {}
            <$type as Ambiguous<_>>::check();
        })*};
    }

    #[test]
    fn nobody_can_copy_compare_print_or_serialize_one() {
        assert_lacks!(
            Secret: Clone,
            PartialEq,
            std::ops::Deref,
            fmt::Display,
            serde::Serialize
        );
    }

    /// An operator would not compare in constant time.
    #[test]
    fn keys_and_fingerprints_are_not_compared_by_an_operator() {
        assert_lacks!(Fingerprint: PartialEq);
        assert_lacks!(FingerprintKey: PartialEq);
        assert_lacks!(MacKey: PartialEq);
    }

    #[test]
    fn debug_shows_nothing_of_the_value() {
        let secret = Secret::new("canary-debug".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret.expose(), "canary-debug");
    }
}
