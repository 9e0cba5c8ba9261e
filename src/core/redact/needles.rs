//! The search for secrets in what the service says.

use std::collections::{HashMap, HashSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::{ForeignText, Token, readings};
use crate::core::secret::Secret;

/// Longest text that is searched for secrets; anything longer is withheld
/// unread, so that a hostile answer cannot keep the search busy.
pub(super) const MAX_SEARCHED_BYTES: usize = 64 * 1024;

/// An error text of the service is a sentence. Anything longer than this is
/// withheld unread, so that many long ones cannot keep the search busy.
const MAX_TEXT_BYTES: usize = 4 * 1024;

/// Lines of a secret of several lines are looked for one by one from this
/// length on: a parser likes to quote the line it stumbled over.
const MIN_LINE_BYTES: usize = 8;

/// The secrets that were just sent, in every form in which they could come back:
/// plain, JSON-escaped, percent-encoded, as character references, hexadecimal
/// and base64 in both alphabets and at every offset.
///
/// The foreign text is decoded step by step and searched after each step, since
/// encoders differ in what they encode; only hexadecimal and base64 are searched
/// for in encoded form. Letter case never matters. A very short secret is found
/// nearly everywhere, which withholds more than needed and never less.
pub struct Needles {
    /// Looked for in each reading of the text.
    plain: NeedleSet,
    /// Looked for in each reading without blanks.
    encoded: NeedleSet,
    /// Looked for in the letters and digits of each reading: whatever was put
    /// between the characters of a secret, or happened to those that are neither,
    /// does not hide it.
    bare: NeedleSet,
}

/// Texts that are looked for together. A run may send many thousands, so they are
/// found by how they begin, and a search costs no more for many than for few.
#[derive(Default)]
struct NeedleSet {
    needles: Vec<Zeroizing<String>>,
    by_start: HashMap<[u8; START_BYTES], Vec<u32>>,
    /// Those that are too short to be found by their start.
    short: Vec<u32>,
}

/// So many bytes of a text decide whether the rest is compared.
const START_BYTES: usize = 4;

impl NeedleSet {
    fn push(&mut self, needle: Zeroizing<String>) {
        let place = u32::try_from(self.needles.len()).unwrap_or(u32::MAX);
        match needle.as_bytes().first_chunk::<START_BYTES>() {
            Some(start) => self.by_start.entry(*start).or_default().push(place),
            None => self.short.push(place),
        }
        self.needles.push(needle);
    }

    fn occurs_in(&self, text: &str) -> bool {
        let get = |place: &u32| self.needles[*place as usize].as_bytes();
        let bytes = text.as_bytes();
        let starts = bytes.windows(START_BYTES).enumerate();
        self.short
            .iter()
            .any(|place| text.contains(self.needles[*place as usize].as_str()))
            || starts.into_iter().any(|(at, window)| {
                window
                    .first_chunk::<START_BYTES>()
                    .and_then(|start| self.by_start.get(start))
                    .is_some_and(|places| places.iter().any(|p| bytes[at..].starts_with(get(p))))
            })
    }
}

/// Files such as keytabs are not looked for in the odder encodings: ten thousand of
/// them would take more memory than the search is worth.
const MAX_ODD_BYTES: usize = 512;

/// The shortest run of letters and digits that is looked for on its own. Less
/// than this is found in every other sentence.
const MIN_BARE_BYTES: usize = 5;
/// A text that was cut to a size lacks the end, or the start, of a secret.
const MAX_CUT_BYTES: usize = 4;
/// What is left of a secret after such a cut counts from this length on.
const MIN_CUT_BYTES: usize = 8;

impl Needles {
    /// Prepares the search for all of `secrets`. An empty one is left out: it
    /// occurs everywhere and tells nothing.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut needles = Self {
            plain: NeedleSet::default(),
            encoded: NeedleSet::default(),
            bare: NeedleSet::default(),
        };
        // A credential that many endpoints share is one secret.
        let mut seen = HashSet::new();
        for secret in secrets {
            let text = secret.expose();
            if seen.insert(text) {
                needles.add(text);
            }
        }
        needles
    }

    fn add(&mut self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        self.plain.push(lower(secret));
        let lines = secret.lines().map(str::trim);
        for line in lines.filter(|line| line.len() >= MIN_LINE_BYTES && *line != secret) {
            self.plain.push(lower(line));
        }
        let mut forms = vec![Zeroizing::new(secret.to_owned())];
        for style in [
            JsonStyle::Minimal,
            JsonStyle::AsciiLower,
            JsonStyle::AsciiUpper,
        ] {
            let form = json_escaped(secret, style);
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        if secret.len() <= MAX_ODD_BYTES {
            let wide: Zeroizing<Vec<u8>> =
                Zeroizing::new(secret.encode_utf16().flat_map(u16::to_le_bytes).collect());
            self.add_encoded(&wide);
            let twice = Zeroizing::new(STANDARD_NO_PAD.encode(secret));
            self.add_encoded(twice.as_bytes());
        }
        for form in &forms {
            self.add_encoded(form.as_bytes());
        }
        self.add_bare(secret);
    }

    fn add_bare(&mut self, secret: &str) {
        let bare = letters_and_digits(secret);
        let numbers: Zeroizing<String> =
            Zeroizing::new(secret.bytes().map(|byte| byte.to_string()).collect());
        let reversed = Zeroizing::new(bare.chars().rev().collect::<String>());
        if let Some(left) = bare.len().checked_sub(MAX_CUT_BYTES)
            && left >= MIN_CUT_BYTES
        {
            self.bare.push(Zeroizing::new(bare[..left].to_owned()));
            self.bare
                .push(Zeroizing::new(bare[MAX_CUT_BYTES..].to_owned()));
        }
        let whole = [bare, numbers, reversed];
        for needle in whole.into_iter().filter(|n| n.len() >= MIN_BARE_BYTES) {
            self.bare.push(needle);
        }
    }

    fn add_encoded(&mut self, bytes: &[u8]) {
        let mut hex = Zeroizing::new(String::with_capacity(bytes.len() * 2));
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                hex.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        if hex.len() >= MIN_BARE_BYTES {
            self.bare.push(hex.clone());
        }
        self.encoded.push(hex);
        for offset in 0..3 {
            let core = base64_core(bytes, offset);
            if !core.is_empty() {
                self.encoded.push(core);
            }
        }
    }

    /// Whether `text` repeats any of the secrets in any form, or is too long to tell.
    pub fn occur_in(&self, text: &str) -> bool {
        text.len() > MAX_SEARCHED_BYTES
            || readings::of(text).iter().any(|reading| self.hit(reading))
    }

    fn hit(&self, reading: &str) -> bool {
        let lowered = lower(reading);
        if self.plain.occurs_in(&lowered) {
            return true;
        }
        let squeezed: Zeroizing<String> = Zeroizing::new(
            lowered
                .chars()
                .filter(|c| !c.is_ascii_whitespace())
                .map(|c| match c {
                    '-' => '+',
                    '_' => '/',
                    c => c,
                })
                .collect(),
        );
        if self.encoded.occurs_in(&squeezed) {
            return true;
        }
        let bare = letters_and_digits(&lowered.replace("0x", "").replace("\\x", ""));
        self.bare.occurs_in(&bare)
    }

    /// The text as it may be shown: cleaned, or withheld whole.
    /// Nothing comes of a text of blanks.
    pub fn text(&self, raw: &str) -> Option<ForeignText> {
        if raw.len() > MAX_TEXT_BYTES || self.occur_in(raw) {
            return Some(ForeignText::withheld());
        }
        // Cleaning takes characters out, which could put a secret together.
        let cleaned = ForeignText::clean(raw)?;
        if self.occur_in(cleaned.as_str()) {
            return Some(ForeignText::withheld());
        }
        Some(cleaned)
    }

    /// The machine name as it may be kept; [`Token::WITHHELD`] if it repeats a
    /// secret, nothing if it is none.
    pub fn token(&self, raw: &str) -> Option<Token> {
        let token = Token::parse(raw)?;
        Some(if self.occur_in(raw) {
            Token::WITHHELD
        } else {
            token
        })
    }

    /// An error code as it may be kept. Only what has the shape of a code is one:
    /// anything else could be a piece of a secret that no search finds.
    pub fn code(&self, raw: &str) -> Option<Token> {
        let token = self.token(raw)?;
        Some(if has_code_shape(token.as_str()) {
            token
        } else {
            Token::WITHHELD
        })
    }

    /// The id of a request as it may be kept: a UUID, or hexadecimal digits of the
    /// usual number.
    pub fn request_id(&self, raw: &str) -> Option<Token> {
        let token = self.token(raw)?;
        let digits = raw.bytes().filter(u8::is_ascii_hexdigit).count();
        let is_id = digits == 32 && raw.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        Some(if is_id { token } else { Token::WITHHELD })
    }
}

impl fmt::Debug for Needles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Needles(..)")
    }
}

/// Whether a text is a few capitals, a point or dash, at most two letters and a few
/// digits, like `DRS.M00304`, `DRS.KE0002`, `APIGW.0301` or `DRS.10000001`.
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

/// The ASCII letters, in lower case, and digits of a text.
fn letters_and_digits(text: &str) -> Zeroizing<String> {
    let bare = text.chars().filter(char::is_ascii_alphanumeric);
    Zeroizing::new(bare.map(|c| c.to_ascii_lowercase()).collect())
}

fn lower(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_lowercase())
}

/// The characters of a base64 text that depend on `bytes` alone when `offset`
/// bytes (0 to 2) of something else stand before them in their group of three.
fn base64_core(bytes: &[u8], offset: usize) -> Zeroizing<String> {
    let mut padded = Zeroizing::new(vec![0_u8; offset + bytes.len()]);
    padded[offset..].copy_from_slice(bytes);
    let encoded = Zeroizing::new(STANDARD_NO_PAD.encode(padded.as_slice()));
    let first = (offset * 8).div_ceil(6);
    let end = padded.len() * 8 / 6;
    lower(encoded.get(first..end).unwrap_or(""))
}

/// How a JSON writer treats characters that it may escape or not. Once they are
/// inside hexadecimal or base64, their case matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum JsonStyle {
    Minimal,
    AsciiLower,
    AsciiUpper,
}

/// `text` as it stands between the quotation marks of a JSON string.
fn json_escaped(text: &str, style: JsonStyle) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 6));
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || (style != JsonStyle::Minimal && !c.is_ascii()) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str("\\u");
                    for shift in [12, 8, 4, 0] {
                        let digit = char::from_digit(u32::from(*unit >> shift & 15), 16);
                        out.extend(digit.map(|digit| match style {
                            JsonStyle::AsciiUpper => digit.to_ascii_uppercase(),
                            _ => digit,
                        }));
                    }
                }
            }
            c => out.push(c),
        }
    }
    out
}
