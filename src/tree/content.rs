use std::io;

use crate::digest::{Digest, Hasher};

/// The grain of holes, in bytes: the block of every file system we write.
pub const HOLE_UNIT: u64 = 4096;
/// The shortest run of zeros that counts as a hole, in bytes.
///
/// Shorter runs are data: a hole in a small file costs an extent and saves little. Changing this or [`HOLE_UNIT`]
/// changes the manifests of all trees with sparse files, and so their digests.
pub const HOLE_MIN: u64 = 16 * HOLE_UNIT;

/// The content of a regular file, by name: what it is called, how long it is, and where it is only zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The digest of all bytes, holes included.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// All holes in ascending order, as [`ContentHasher`] finds them: a function of the bytes alone, never of how
    /// a host stored them.
    pub holes: Box<[Hole]>,
}

impl Content {
    /// The content of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = ContentHasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The content of all that a reader gives.
    pub fn read(from: &mut impl io::Read) -> io::Result<Self> {
        let mut hasher = ContentHasher::default();
        io::copy(from, &mut hasher)?;
        Ok(hasher.finish())
    }

    /// The stretches between the holes, as (offset, length), in ascending order.
    pub fn data(&self) -> impl Iterator<Item = (u64, u64)> {
        let starts =
            std::iter::once(0).chain(self.holes.iter().map(|hole| hole.start + hole.length));
        let ends = self.holes.iter().map(|hole| hole.start).chain(std::iter::once(self.size));
        starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| (start, end - start))
    }
}

/// A maximal run of zero bytes of at least [`HOLE_MIN`] in whole units of [`HOLE_UNIT`]; the last unit of a file may be short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// Offset in bytes, a multiple of [`HOLE_UNIT`].
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
}

/// Computes a [`Content`] from bytes that come in pieces of any size.
#[derive(Default)]
pub struct ContentHasher {
    hasher: Hasher,
    size: u64,
    /// Where the run of zero units that reaches up to the current unit began; `None` right after data.
    zeros_from: Option<u64>,
    unit_has_data: bool,
    holes: Vec<Hole>,
}

impl ContentHasher {
    /// Takes in more bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.hasher.update(bytes);
        while !bytes.is_empty() {
            let within = self.size % HOLE_UNIT;
            if within == 0 {
                self.begin_unit();
            }
            let room = usize::try_from(HOLE_UNIT - within).unwrap_or(usize::MAX);
            let (piece, rest) = bytes.split_at(room.min(bytes.len()));
            self.unit_has_data |= !is_zero(piece);
            self.size += piece.len() as u64;
            bytes = rest;
            if self.size.is_multiple_of(HOLE_UNIT) {
                self.end_unit(self.size - HOLE_UNIT);
            }
        }
    }

    /// The content of all that was taken in.
    pub fn finish(mut self) -> Content {
        let tail = self.size % HOLE_UNIT;
        if tail != 0 {
            self.end_unit(self.size - tail);
        }
        self.end_zeros(self.size);
        Content { digest: self.hasher.finish(), size: self.size, holes: self.holes.into() }
    }

    fn begin_unit(&mut self) {
        self.unit_has_data = false;
        self.zeros_from.get_or_insert(self.size);
    }

    fn end_unit(&mut self, start: u64) {
        if self.unit_has_data {
            self.end_zeros(start);
        }
    }

    fn end_zeros(&mut self, end: u64) {
        if let Some(start) = self.zeros_from.take()
            && end - start >= HOLE_MIN
        {
            self.holes.push(Hole { start, length: end - start });
        }
    }
}

impl io::Write for ContentHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    // By words without a branch inside, so that the compiler makes wide loads of it.
    bytes.chunks(256).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holes(bytes: &[u8]) -> Vec<(u64, u64)> {
        Content::of(bytes).holes.iter().map(|hole| (hole.start, hole.length)).collect()
    }

    #[test]
    fn only_long_aligned_runs_of_zeros_are_holes() {
        let unit = HOLE_UNIT as usize;
        let min = HOLE_MIN as usize;
        assert_eq!(holes(&vec![0; min - 1]), []);
        assert_eq!(holes(&vec![0; min]), [(0, HOLE_MIN)]);
        assert_eq!(
            holes(&vec![0; min + 5]),
            [(0, HOLE_MIN + 5)],
            "a short last unit belongs to its hole"
        );
        let mut bytes = vec![0; 3 * min];
        bytes[0] = 1;
        bytes[2 * min] = 1;
        let expected = [(HOLE_UNIT, 2 * HOLE_MIN - HOLE_UNIT)];
        assert_eq!(holes(&bytes), expected, "the last run is one unit too short");
        bytes.extend(vec![0; unit]);
        assert_eq!(holes(&bytes)[1], (2 * HOLE_MIN + HOLE_UNIT, HOLE_MIN));
    }

    proptest! {
        #[test]
        fn content_depends_on_the_bytes_alone(runs in prop::collection::vec((any::<bool>(), 0..200_000usize), 0..6), cut in 1..9000usize) {
            let bytes: Vec<u8> = runs.iter().flat_map(|&(data, length)| vec![u8::from(data); length]).collect();
            let mut hasher = ContentHasher::default();
            bytes.chunks(cut).for_each(|piece| hasher.update(piece));
            let content = hasher.finish();
            prop_assert_eq!(&content, &Content::of(&bytes));
            let mut rebuilt = vec![0; bytes.len()];
            for (start, length) in content.data() {
                let range = start as usize..(start + length) as usize;
                rebuilt[range.clone()].copy_from_slice(&bytes[range]);
            }
            prop_assert_eq!(rebuilt, bytes);
        }
    }
}
