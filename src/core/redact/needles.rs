//! The search for secrets in text of the service.

use percent_encoding::percent_decode;
use zeroize::Zeroizing;

use super::{ForeignText, ReportedName, Token};
use crate::core::secret::Secret;

/// Longest text that is searched for secrets; anything longer is withheld
/// unread, so that a hostile answer cannot keep the search busy.
pub const MAX_SEARCHED_BYTES: usize = 64 * 1024;

/// An error text of the service is a sentence. Anything longer than this is
/// withheld unread, so that many long ones cannot keep the search busy.
const MAX_TEXT_BYTES: usize = 4 * 1024;

/// The shortest secret that is searched for, in characters: a shorter one is found in every other
/// sentence, and withholding those would reveal it.
const MIN_CHARS: usize = 4;

/// From this length on, lines of a multi-line secret are searched for one by one: parsers like to
/// quote the line they failed on.
const MIN_LINE_BYTES: usize = 8;

/// The secrets that were just sent. They are found in five forms: plain, JSON-escaped,
/// percent-encoded, hexadecimal, and base64 in both alphabets and at every offset.
/// The letter case of ASCII does not matter.
///
/// The foreign text is decoded and each reading of it searched, since encoders differ
/// in what they encode.
pub struct Needles {
    /// Sorted, and none the beginning of another, so that only the last one up to a piece of text
    /// can be its beginning.
    secrets: Vec<Zeroizing<Vec<u8>>>,
}

impl Needles {
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut needles = Vec::new();
        for secret in secrets {
            let text = secret.expose();
            let lines = text.lines().map(str::trim);
            let lines = lines.filter(|line| line.len() >= MIN_LINE_BYTES && *line != text);
            for part in lines.chain([text]) {
                if part.chars().nth(MIN_CHARS - 1).is_some() {
                    needles.push(lower(part.as_bytes()));
                }
            }
        }
        needles.sort_unstable_by(|a, b| a.as_slice().cmp(b));
        needles.dedup_by(|longer, shorter| longer.starts_with(shorter));
        Self { secrets: needles }
    }

    /// Returns whether `text` contains any of the secrets in any form, or is too long to search.
    pub fn occur_in(&self, text: &str) -> bool {
        if text.len() > MAX_SEARCHED_BYTES {
            return true;
        }
        !self.secrets.is_empty()
            && readings(text.as_bytes())
                .iter()
                .any(|reading| self.hit(&lower(reading)))
    }

    fn hit(&self, reading: &[u8]) -> bool {
        (0..reading.len()).any(|at| {
            let rest = &reading[at..];
            let up_to = self.secrets.partition_point(|secret| secret[..] <= *rest);
            self.secrets[..up_to]
                .last()
                .is_some_and(|secret| rest.starts_with(secret))
        })
    }

    /// Returns the text cleaned, or withheld whole; `None` for whitespace.
    pub fn text(&self, raw: &str) -> Option<ForeignText> {
        if raw.len() > MAX_TEXT_BYTES || self.occur_in(raw) {
            return Some(ForeignText::withheld());
        }
        // Cleaning changes characters, which could put a secret together.
        let cleaned = ForeignText::clean(raw)?;
        if self.occur_in(cleaned.as_str()) {
            return Some(ForeignText::withheld());
        }
        Some(cleaned)
    }

    pub fn name(&self, raw: &str) -> Option<ReportedName> {
        self.name_like(raw, |_| true)
    }

    /// Keeps only what has the shape of a code: anything else could be a piece of a secret that no
    /// search finds.
    pub fn code(&self, raw: &str) -> Option<ReportedName> {
        self.name_like(raw, has_code_shape)
    }

    /// Keeps a UUID, or as many hexadecimal digits.
    pub fn request_id(&self, raw: &str) -> Option<ReportedName> {
        self.name_like(raw, |raw| {
            let digits = raw.bytes().filter(u8::is_ascii_hexdigit).count();
            digits == 32 && raw.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
        })
    }

    fn name_like(&self, raw: &str, fits: impl Fn(&str) -> bool) -> Option<ReportedName> {
        match Token::parse(raw).filter(|_| fits(raw) && !self.occur_in(raw)) {
            Some(token) => Some(ReportedName::Kept(token)),
            None => self.text(raw).map(ReportedName::Shown),
        }
    }
}

/// Matches capitals, a point or dash, at most two letters and a few digits: `DRS.M00304`,
/// `DRS.KE0002`, `APIGW.0301` or `DRS.10000001`.
fn has_code_shape(text: &str) -> bool {
    let Some((prefix, number)) = text.split_once(['.', '-']) else {
        return false;
    };
    let digits = number.trim_start_matches(|c: char| c.is_ascii_uppercase());
    (2..=8).contains(&prefix.len())
        && prefix.bytes().all(|b| b.is_ascii_uppercase())
        && number.len() - digits.len() <= 2
        && (3..=8).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
}

fn lower(text: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.to_ascii_lowercase())
}

/// Returns the text as it is and as each decoder reads it. The encoded text may have been JSON,
/// such as a body.
fn readings(text: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut spaced = Zeroizing::new(text.to_vec());
    for byte in spaced.iter_mut().filter(|byte| **byte == b'+') {
        *byte = b' ';
    }
    let mut all = vec![Zeroizing::new(text.to_vec())];
    let mut add = |reading| {
        if !all.contains(&reading) {
            all.push(reading);
        }
    };
    for text in [text, &spaced] {
        add(Zeroizing::new(percent_decode(text).collect()));
    }
    (0..2).for_each(|from| add(unpacked(text, 4, hex_digit, from)));
    (0..4).for_each(|from| add(unpacked(text, 6, base64_digit, from)));
    for at in 0..all.len() {
        let unescaped = json_unescaped(&all[at]);
        if unescaped != all[at] {
            all.push(unescaped);
        }
    }
    all
}

/// Returns the bytes that the digits in a text make, from one of the first on; skips other
/// characters.
fn unpacked(
    text: &[u8],
    bits: u32,
    digit: impl Fn(u8) -> Option<u32>,
    from: usize,
) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let (mut held, mut count) = (0_u32, 0);
    for value in text.iter().filter_map(|&byte| digit(byte)).skip(from) {
        held = held << bits | value;
        count += bits;
        if count >= 8 {
            count -= 8;
            bytes.push((held >> count).to_le_bytes()[0]);
        }
    }
    bytes
}

fn hex_digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

fn base64_digit(byte: u8) -> Option<u32> {
    Some(match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

fn json_unescaped(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        let mut units = Vec::new();
        while let Some(unit) = utf16_unit(rest) {
            units.push(unit);
            rest = &rest[6..];
        }
        if !units.is_empty() {
            out.extend_from_slice(String::from_utf16_lossy(&units).as_bytes());
            continue;
        }
        let simple = after.first().filter(|_| *byte == b'\\');
        let simple = simple.and_then(|kind| match kind {
            b'"' | b'\\' | b'/' => Some(*kind),
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b't' => Some(b'\t'),
            b'b' => Some(8),
            b'f' => Some(12),
            _ => None,
        });
        out.push(simple.unwrap_or(*byte));
        rest = if simple.is_some() { &after[1..] } else { after };
    }
    out
}

fn utf16_unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |number, &digit| {
        Some(number << 4 | u16::try_from(hex_digit(digit)?).ok()?)
    })
}
