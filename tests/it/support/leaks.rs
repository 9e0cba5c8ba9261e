//! Finding a secret in bytes, in every form in which it could have got there.
//! This search is written apart from the one of the program, so that a fault of
//! that one shows.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Something that was planted, in every form in which it may not be found.
pub(crate) struct Planted {
    forms: Vec<String>,
}

impl Planted {
    /// A secret text.
    pub(crate) fn text(secret: &str) -> Self {
        Self {
            forms: forms(secret),
        }
    }

    /// A secret of bytes that are no text, such as a key.
    pub(crate) fn bytes(secret: &[u8]) -> Self {
        Self {
            forms: tidied(byte_forms(secret)),
        }
    }

    /// Fails the test if any form occurs in `content`.
    #[track_caller]
    pub(crate) fn assert_absent(&self, place: &str, content: &[u8]) {
        if let Some(form) = self.forms.iter().find(|form| holds(content, form)) {
            panic!("{place} holds a planted secret in the form {form:?}");
        }
    }
}

fn holds(content: &[u8], form: &str) -> bool {
    memchr::memmem::find(content, form.as_bytes()).is_some()
}

/// Every form of a secret text: plain, JSON-escaped, percent-encoded, and the
/// forms of its bytes.
pub(crate) fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let mut forms = byte_forms(bytes);
    forms.push(secret.to_owned());
    let json = serde_json::to_string(secret).expect("text is JSON");
    forms.push(json[1..json.len() - 1].to_owned());
    let ascii: String = secret
        .encode_utf16()
        .map(|unit| match u8::try_from(unit) {
            Ok(byte @ 0x20..0x7f) => char::from(byte).to_string(),
            _ => format!("\\u{unit:04x}"),
        })
        .collect();
    forms.push(ascii);
    let percent: String = bytes
        .iter()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) => {
                char::from(*byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect();
    forms.push(percent.to_lowercase());
    forms.push(percent);
    tidied(forms)
}

/// Hexadecimal, lists of numbers, and base64 at each of the three places that
/// bytes can have in a longer text.
fn byte_forms(bytes: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    forms.push(hex.to_uppercase());
    forms.push(hex);
    let list: Vec<String> = bytes.iter().map(u8::to_string).collect();
    forms.push(list.join(", "));
    forms.push(list.join(","));
    for lead in 0..3_usize {
        let shifted = [&vec![0; lead][..], bytes].concat();
        // Characters that also depend on the neighbours are cut off.
        let whole = shifted.len() / 3 * 4;
        let start = [0, 2, 3][lead];
        for engine in [&STANDARD, &URL_SAFE] {
            let text = engine.encode(&shifted);
            if whole > start + 6 {
                forms.push(text[start..whole].to_owned());
            }
        }
    }
    forms
}

fn tidied(mut forms: Vec<String>) -> Vec<String> {
    forms.retain(|form| form.len() >= 4);
    forms.sort();
    forms.dedup();
    forms
}

/// The form in which `secret` occurs in `content`, if any.
pub(crate) fn found(secret: &str, content: &[u8]) -> Option<String> {
    forms(secret).into_iter().find(|form| holds(content, form))
}
