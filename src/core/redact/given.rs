//! Texts that a user typed or set where a secret may have been put by mistake.

/// Whether a text holds a private key, whatever it was given as.
pub fn is_key_like(text: &str) -> bool {
    let identity = b"AGE-SECRET-KEY-";
    let mut parts = text.as_bytes().windows(identity.len());
    parts.any(|part| part.eq_ignore_ascii_case(identity))
        // In small letters it is the name of a program.
        || text.contains("AGE-PLUGIN-")
        || text.contains("-----BEGIN")
}

/// Whether a text is longer than the path of a file that somebody would type.
pub fn is_too_long_for_a_path(text: &str) -> bool {
    match text.chars().count() {
        ..=40 => false,
        41..=100 => !text.contains(['/', '.']),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_long_random_texts_are_told_from_paths() {
        for key in [
            "AGE-SECRET-KEY-1CANARY",
            "  'age-secret-key-1canary'",
            "AGE-PLUGIN-YUBIKEY-1CANARY",
            "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary",
        ] {
            assert!(is_key_like(key), "{key}");
        }
        for path in [
            "keys/id.txt",
            "/home/user/.config/age-plugin-yubikey/identity.txt",
            "",
        ] {
            assert!(
                !is_key_like(path) && !is_too_long_for_a_path(path),
                "{path}"
            );
        }
        assert!(is_too_long_for_a_path(&"x".repeat(41)));
        assert!(!is_too_long_for_a_path(&"x".repeat(40)));
        assert!(!is_too_long_for_a_path(&format!(
            "{}/{}",
            "x".repeat(49),
            "x".repeat(50)
        )));
        assert!(is_too_long_for_a_path(&format!(
            "{}/{}",
            "x".repeat(50),
            "x".repeat(50)
        )));
    }
}
