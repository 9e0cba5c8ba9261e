//! Reads possible secrets without leaving a copy in freed memory.

use std::io::{self, Read};

use zeroize::Zeroizing;

const FIRST_BYTES: usize = 16 << 10;

/// Reads to the end, or fails with [`io::ErrorKind::FileTooLarge`] beyond `limit` bytes.
pub fn read(reader: impl Read, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    read_about(reader, FIRST_BYTES, limit)
}

/// Like [`read`], for a reader that has about `expected` bytes.
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
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;

    use super::*;
    use crate::core::secret::Secret;

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

    /// The letters of a text that is in memory only where something was made of it.
    fn letter(at: usize) -> u8 {
        let scattered = at.wrapping_mul(2_654_435_761) >> 15;
        b"abcdefghijklmnopqrstuvwxyz"[scattered % 26]
    }

    /// Gives that text in short pieces, from a place on.
    struct Spoken(usize);

    impl Read for Spoken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(48).min(40_000 - self.0);
            for slot in &mut buffer[..count] {
                *slot = letter(self.0);
                self.0 += 1;
            }
            Ok(count)
        }
    }

    /// A search of the memory of this process, with room of its own from before: what it
    /// would take while it searches could be where the text was.
    struct Search {
        maps: Vec<u8>,
        chunk: Zeroizing<Vec<u8>>,
    }

    const CHUNK: usize = 1 << 20;

    impl Search {
        fn new() -> Self {
            Self {
                maps: vec![0; CHUNK],
                chunk: Zeroizing::new(vec![0; CHUNK + 64]),
            }
        }

        /// Returns whether 64 letters of the text, from one of the places on, are in memory.
        fn finds(&mut self, places: &[usize]) -> bool {
            let mut listed = File::open("/proc/self/maps").expect("the memory is listed");
            let memory = File::open("/proc/self/mem").expect("the memory can be read");
            // What an earlier search found is here as well.
            self.chunk.fill(0);
            let mut length = 0;
            loop {
                match listed.read(&mut self.maps[length..]).expect("a list") {
                    0 => break,
                    count => length += count,
                }
            }
            let maps = std::str::from_utf8(&self.maps[..length]).expect("text");
            let ranges = maps.lines().filter(|line| line.contains(" rw-p "));
            for range in ranges.filter_map(|line| line.split(' ').next()?.split_once('-')) {
                let address = |text| u64::from_str_radix(text, 16).expect("an address");
                let (mut at, end) = (address(range.0), address(range.1));
                while at < end {
                    // What disappeared in the meantime cannot be read.
                    let count = memory.read_at(&mut self.chunk, at).unwrap_or(0);
                    let bytes = &self.chunk[..count];
                    let is_there = |place: &usize| {
                        let is_it = |found| {
                            (0..64).all(|i| bytes.get(found + i) == Some(&letter(place + i)))
                        };
                        memchr::memchr_iter(letter(*place), bytes).any(is_it)
                    };
                    if places.iter().any(is_there) {
                        return true;
                    }
                    at += CHUNK as u64;
                }
            }
            false
        }
    }

    /// One test, as a search has a copy of what it reads, which another one would find.
    #[test]
    fn what_was_secret_is_nowhere_in_memory_once_it_is_given_back() {
        // In what had to move twice, once, and not at all.
        let places = [1_000, 8_000, 15_000, 20_000, 30_000, 39_000];
        let mut search = Search::new();
        let content = read(Spoken(0), 40_000).expect("it fits");
        assert!(search.finds(&places[5..]), "the search finds it");
        drop(content);
        assert!(!search.finds(&places), "it was read");
        let mut text = String::with_capacity(2_000);
        text.extend((50_000..52_000).map(|at| char::from(letter(at))));
        let secret = Secret::new(text);
        assert!(search.finds(&[51_000]), "the search finds it");
        drop(secret);
        assert!(!search.finds(&[51_000]), "it was a secret");
    }
}
