//! Made-up passwords: every password of the wanted length and letters that has each
//! kind of letter is equally likely.

use zeroize::Zeroize as _;

use crate::core::secret::Secret;

/// The length that fits where databases are strictest and is far beyond guessing:
/// MySQL takes no more than 32 characters for the account of a replica.
pub const USUAL_LENGTH: usize = 32;

/// Shorter ones can be guessed, and databases refuse them.
pub const MIN_LENGTH: usize = 8;

/// The longest that any of the databases takes.
pub const MAX_LENGTH: usize = 128;

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const DIGITS: &[u8] = b"0123456789";

/// Signs that no shell, template, URL, configuration file or printf expands, and that
/// the rules of RDS know as special characters.
const SIGNS: &[u8] = b"_-+=";

/// Which characters a made-up password has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// Letters and digits.
    Alnum,
    /// Letters, digits and `_-+=`.
    Symbols,
}

impl Alphabet {
    /// The kinds of which a password has at least one each.
    const fn kinds(self) -> &'static [&'static [u8]] {
        match self {
            Self::Alnum => &[UPPER, LOWER, DIGITS],
            Self::Symbols => &[UPPER, LOWER, DIGITS, SIGNS],
        }
    }
}

/// Makes a password of `length` characters that begins with a letter, as Oracle wants
/// it, and has one of each kind. `random` gives fresh random bytes.
pub fn password(length: usize, alphabet: Alphabet, random: &mut dyn FnMut() -> [u8; 64]) -> Secret {
    let letters: Vec<u8> = alphabet.kinds().concat();
    let count = u8::try_from(letters.len()).unwrap_or(u8::MAX);
    // Bytes from the last whole multiple on would favour the first letters.
    let fair = u8::MAX - u8::MAX % count;
    let mut text = String::with_capacity(length);
    loop {
        let mut bytes = random();
        let chosen = bytes.iter().filter(|byte| **byte < fair);
        for byte in chosen {
            if text.len() < length
                && let Some(letter) = letters.get(usize::from(byte % count))
            {
                text.push(char::from(*letter));
            }
        }
        bytes.zeroize();
        if text.len() < length {
            continue;
        }
        if is_good(&text, alphabet) {
            return Secret::new(text);
        }
        // Drawing all of it again keeps every good password equally likely.
        text.zeroize();
        text.reserve_exact(length);
    }
}

fn is_good(text: &str, alphabet: Alphabet) -> bool {
    let has = |kind: &&[u8]| text.bytes().any(|byte| kind.contains(&byte));
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && alphabet.kinds().iter().all(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that look random and are the same in every run.
    fn stream(seed: u64) -> impl FnMut() -> [u8; 64] {
        let mut state = seed;
        move || {
            [0; 64].map(|_: u8| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                state.to_be_bytes()[0]
            })
        }
    }

    #[test]
    fn made_up_passwords_have_the_length_and_every_kind_of_character() {
        for alphabet in [Alphabet::Alnum, Alphabet::Symbols] {
            for length in [MIN_LENGTH, USUAL_LENGTH, MAX_LENGTH] {
                let mut random = stream(length as u64);
                for _ in 0..50 {
                    let made = password(length, alphabet, &mut random);
                    let text = made.expose();
                    assert_eq!(text.len(), length);
                    assert!(is_good(text, alphabet));
                    let kinds = alphabet.kinds().concat();
                    assert!(text.bytes().all(|byte| kinds.contains(&byte)));
                }
            }
        }
    }

    #[test]
    fn no_character_is_favoured() {
        let mut random = stream(7);
        let mut counts = [0_u32; 256];
        for _ in 0..2_000 {
            let made = password(MAX_LENGTH, Alphabet::Alnum, &mut random);
            for byte in made.expose().bytes() {
                counts[usize::from(byte)] += 1;
            }
        }
        // 256,000 characters of 62: 4,129 of each, with a deviation of 64.
        for byte in Alphabet::Alnum.kinds().concat() {
            let count = counts[usize::from(byte)];
            assert!((3_800..4_460).contains(&count), "{byte}: {count}");
        }
    }
}
