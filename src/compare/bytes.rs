//! Two streams of bytes side by side.

use std::io::{self, Read};

use super::report::BytesDiff;

/// Bytes that are read at once; a multiple of [`LINE`].
const CHUNK: usize = 128 << 10;
/// Bytes that are shown around a difference.
const LINE: u64 = 16;

/// Reads both to their ends.
pub(super) fn compare(a: &mut dyn Read, b: &mut dyn Read) -> io::Result<BytesDiff> {
    let mut found = BytesDiff::default();
    let (mut one, mut other) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut at = 0;
    loop {
        let lengths = [fill(a, &mut one)?, fill(b, &mut other)?];
        let (before, after) = (&one[..lengths[0]], &other[..lengths[1]]);
        found.take(at, before, after);
        found.size[0] += before.len() as u64;
        found.size[1] += after.len() as u64;
        at += CHUNK as u64;
        if lengths.iter().all(|length| *length < CHUNK) {
            return Ok(found);
        }
    }
}

impl BytesDiff {
    /// Takes in what is at `at` on both sides.
    fn take(&mut self, at: u64, before: &[u8], after: &[u8]) {
        let pairs = before.iter().zip(after);
        if before.len().min(after.len()) == 0 || before == after {
            return;
        }
        self.count += pairs.clone().filter(|(one, other)| one != other).count() as u64;
        if self.first.is_some() {
            return;
        }
        let Some(place) = pairs.clone().position(|(one, other)| one != other) else { return };
        let line = place - place % LINE as usize;
        let shown = |bytes: &[u8]| hex(&bytes[line..bytes.len().min(line + LINE as usize)]);
        self.first = Some(at + place as u64);
        (self.around, self.before, self.after) = (at + line as u64, shown(before), shown(after));
    }

    /// Whether nothing differs.
    pub(super) fn is_same(&self) -> bool {
        self.first.is_none() && self.size[0] == self.size[1]
    }
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads until the buffer is full or the end is there.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What bytes look like that a person cannot read.
pub(super) fn format(first: &[u8]) -> Option<&'static str> {
    const FORMATS: [(&[u8], &str); 9] = [
        (b"\x1f\x8b", "gzip"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"BZh", "bzip2"),
        (b"PK\x03\x04", "zip"),
        (b"!<arch>\n", "ar"),
        (b"070701", "cpio"),
        (b"SQLite format 3\0", "SQLite"),
        (b"\x7fELF", "ELF"),
    ];
    let named = FORMATS.iter().find(|(magic, _)| first.starts_with(magic));
    let tar = || (first.get(257..262) == Some(b"ustar")).then_some("tar");
    named.map(|(_, name)| *name).or_else(tar)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_difference_is_told_with_what_is_around_it() {
        let before = vec![b'a'; 300_000];
        let mut after = before.clone();
        after[200_005] = b'b';
        after[200_007] = b'b';
        after.push(b'c');
        let found = compare(&mut &*before, &mut &*after).expect("memory does not fail");
        assert_eq!((found.first, found.count, found.around), (Some(200_005), 2, 200_000));
        assert_eq!(found.after, "61616161616261626161616161616161");
        assert_eq!(found.size, [300_000, 300_001]);
    }

    proptest! {
        #[test]
        fn as_a_comparison_byte_by_byte_says(a in prop::collection::vec(0..3u8, 0..40), b in prop::collection::vec(0..3u8, 0..40)) {
            let found = compare(&mut &*a, &mut &*b).expect("memory does not fail");
            let count = a.iter().zip(&b).filter(|(one, other)| one != other).count() as u64;
            prop_assert_eq!(found.count, count);
            prop_assert_eq!(found.first, a.iter().zip(&b).position(|(one, other)| one != other).map(|at| at as u64));
            prop_assert_eq!(found.is_same(), a == b);
        }
    }
}
