//! Bytes as lowercase hexadecimal digits.

use std::fmt::Write as _;

/// The digits of `bytes`. The text never moves while it is made, so that no copy of a
/// secret is left behind.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Whether a text is the form of so many bytes, as it is written here.
pub fn is_encoded(text: &str, bytes: usize) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 2 * bytes && text.bytes().all(digit)
}
