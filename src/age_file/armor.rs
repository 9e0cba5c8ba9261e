//! The lines around the text form of an age file, checked one by one so that damage
//! has a line number. The decoding itself is the library's, which is as strict.

use super::error::AgeError;

/// The first bytes of a binary age file, of any version.
pub(super) const BINARY_START: &[u8] = b"age-encryption.org/";
/// The first line of an armored one.
pub(super) const ARMOR_BEGIN: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const ARMOR_END: &[u8] = b"-----END AGE ENCRYPTED FILE-----";

/// All lines but the last have this many characters (age specification, ASCII armor).
const COLUMNS: usize = 64;

/// Whether a file is one armored block with nothing around it.
/// Fails with the first line that is not as it must be.
pub(super) fn check(file: &[u8]) -> Result<(), AgeError> {
    let mut state = Place::Start;
    let mut number = 0;
    for (line, at) in file.split_inclusive(|byte| *byte == b'\n').zip(1..) {
        number = at;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        state = state.then(line).map_err(|why| armor(number, why))?;
    }
    match state {
        Place::Behind => Ok(()),
        Place::Start => Err(armor(
            number.max(1),
            "the first line of the armor is missing",
        )),
        Place::Inside | Place::Ending => Err(armor(
            number,
            "the file ends here, before the last line of the armor",
        )),
    }
}

const fn armor(line: usize, why: &'static str) -> AgeError {
    AgeError::Armor { line, why }
}

/// Where in the file a line stands.
enum Place {
    Start,
    Inside,
    /// After a short line, which must be the last one of the content.
    Ending,
    Behind,
}

impl Place {
    fn then(self, line: &[u8]) -> Result<Self, &'static str> {
        match self {
            Self::Start if line == ARMOR_BEGIN => Ok(Self::Inside),
            Self::Start if line.trim_ascii() == ARMOR_BEGIN => {
                Err("blanks stand beside the first line of the armor")
            }
            Self::Start if line.trim_ascii().is_empty() => {
                Err("an empty line stands before the armor")
            }
            Self::Start => Err("it is not the first line of an armor"),
            Self::Behind if line.trim_ascii().is_empty() => Ok(Self::Behind),
            Self::Behind => Err("something follows the armor"),
            Self::Inside | Self::Ending if line == ARMOR_END => Ok(Self::Behind),
            Self::Inside | Self::Ending if line.starts_with(b"--") || has(line, b"-----END") => {
                Err("it is not the last line of an armor")
            }
            Self::Inside | Self::Ending if line.trim_ascii().is_empty() => {
                Err("an empty line stands inside the armor")
            }
            Self::Inside | Self::Ending if line.iter().any(u8::is_ascii_whitespace) => {
                Err("it holds a blank")
            }
            Self::Inside | Self::Ending if !line.iter().all(|byte| is_base64(*byte)) => {
                Err("it holds a character that no armor holds")
            }
            Self::Ending => Err("the line before it is too short"),
            Self::Inside if line.len() > COLUMNS => Err("it is longer than 64 characters"),
            Self::Inside if !line.len().is_multiple_of(4) => Err("its end is missing"),
            Self::Inside if line.len() < COLUMNS => Ok(Self::Ending),
            Self::Inside => Ok(Self::Inside),
        }
    }
}

fn has(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}
