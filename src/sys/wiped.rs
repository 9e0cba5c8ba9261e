//! Reading what may be secret: no copy of it is left in memory that was given back.

use std::io::{self, Read};

use zeroize::Zeroizing;

const FIRST_BYTES: usize = 16 << 10;

/// Reads to the end, or fails with [`io::ErrorKind::FileTooLarge`] beyond `limit` bytes.
pub fn read(reader: impl Read, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    read_about(reader, FIRST_BYTES, limit)
}

/// As [`read`], of a reader that has about `expected` bytes.
pub fn read_about(
    mut reader: impl Read,
    expected: usize,
    limit: u64,
) -> io::Result<Zeroizing<Vec<u8>>> {
    // One more than there is, so that its end is seen without growing.
    let mut content = Zeroizing::new(vec![0; expected + 1]);
    let mut filled = 0;
    loop {
        if filled == content.len() {
            // A vector that grows by itself leaves the old bytes where they were.
            let mut larger = Zeroizing::new(vec![0; 2 * content.len()]);
            larger[..filled].copy_from_slice(&content);
            content = larger;
        }
        match reader.read(&mut content[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if filled as u64 > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
    content.truncate(filled);
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(1);
            self.0.read(&mut buffer[..count])
        }
    }

    #[test]
    fn everything_up_to_the_limit_is_read_however_it_comes() {
        let text: Vec<u8> = (0..=255).cycle().take(40_000).collect();
        for expected in [0, 1, 39_999, 40_000, 40_001] {
            let read = read_about(Slow(&text), expected, 40_000).expect("it fits");
            assert_eq!(*read, text, "{expected}");
        }
        assert_eq!(*read(&text[..], 40_000).expect("it fits"), text);
        assert!(read(&b""[..], 0).expect("it fits").is_empty());
        let error = read(&text[..], 39_999).expect_err("it does not fit");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
