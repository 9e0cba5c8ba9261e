//! What tells one age file from another, whatever its armor looks like.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::armor::BINARY_START;

/// So many characters of armor are decoded at once, in whole groups of four.
const CHUNK: usize = 64 << 10;

/// The SHA-256 of a file in binary form, which armor and line ends do not change.
/// Of a file that does not open, it only tells that it is another one.
pub fn digest(file: &[u8]) -> [u8; 32] {
    if file.starts_with(BINARY_START) {
        return Sha256::digest(file).into();
    }
    let mut sha = Sha256::new();
    let mut chunk = Vec::with_capacity(CHUNK + 64);
    let mut flush = |chunk: &mut Vec<u8>| {
        match STANDARD.decode(&*chunk) {
            Ok(binary) => sha.update(binary),
            Err(_) => sha.update(&*chunk),
        }
        chunk.clear();
    };
    for line in file.split(|byte| *byte == b'\n') {
        if !line.starts_with(b"-----") {
            chunk.extend(line.trim_ascii());
        }
        if chunk.len() >= CHUNK && chunk.len().is_multiple_of(4) {
            flush(&mut chunk);
        }
    }
    flush(&mut chunk);
    sha.finalize().into()
}
