use std::{collections::BTreeMap, fmt::Write, io};

use super::pack::{self, PACKED_MOST};
use crate::digest::Digest;

/// The first line.
const HEAD: &str = "vsbuild-way 1";
/// The most bytes of a way, unpacked.
const MOST: u64 = 64 << 20;

/// The packs that together have all blobs of a tree.
///
/// ```text
/// vsbuild-way 1
/// PACK SIZE
/// ```
///
/// One line a pack, sorted: its sha256, and its length in bytes as it lies in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Way {
    /// The sizes of the packs.
    pub packs: BTreeMap<Digest, u64>,
}

/// The text is no way.
#[derive(Debug, thiserror::Error)]
pub enum BadWay {
    /// It cannot be unpacked.
    #[error("the way cannot be unpacked: {0}")]
    Packed(#[from] io::Error),
    /// Its form is wrong.
    #[error("the way is wrong in line {0}")]
    Line(usize),
    /// Its lines are not in order.
    #[error("the way is not in its canonical form")]
    NotCanonical,
}

impl Way {
    /// The text.
    pub fn encode(&self) -> String {
        let mut text = format!("{HEAD}\n");
        for (pack, size) in &self.packs {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{pack} {size}");
        }
        text
    }

    /// Reads the text, in the one spelling that it has. No pack is longer than packs can be.
    pub fn decode(text: &[u8]) -> Result<Self, BadWay> {
        let text = std::str::from_utf8(text).map_err(|_| BadWay::Line(1))?;
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err(BadWay::Line(1));
        }
        let read = |line: &str| {
            let (pack, size) = line.split_once(' ')?;
            let size = size.parse().ok().filter(|size| *size <= PACKED_MOST)?;
            Some((pack.parse().ok()?, size))
        };
        let packs = lines
            .enumerate()
            .map(|(at, line)| read(line).ok_or(BadWay::Line(at + 2)))
            .collect::<Result<_, _>>()?;
        let way = Self { packs };
        if way.encode() == text { Ok(way) } else { Err(BadWay::NotCanonical) }
    }

    /// As it lies in a cache.
    pub(super) fn pack(&self) -> io::Result<Vec<u8>> {
        pack::pack(self.encode().as_bytes())
    }

    /// From what lies in a cache.
    pub(super) fn unpack(bytes: &[u8]) -> Result<Self, BadWay> {
        Self::decode(&pack::unpack(bytes, MOST)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn another_spelling_is_refused() {
        let (one, other) = (Digest::of("x"), Digest::of("y"));
        let (first, second) = (one.min(other), one.max(other));
        assert!(Way::decode(format!("{HEAD}\n{first} 1\n{second} 2\n").as_bytes()).is_ok());
        for wrong in [
            String::new(),
            format!("{HEAD}\n{second} 1\n{first} 2\n"),
            format!("{HEAD}\n{first} 1\n{first} 1\n"),
            format!("{HEAD}\n{first} 01\n"),
            format!("{HEAD}\n{first} 1"),
            format!("{HEAD}\n{first}\n"),
            format!("{HEAD}\n{first} {}\n", PACKED_MOST + 1),
        ] {
            assert!(Way::decode(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn a_way_reads_as_it_was_written(packs in prop::collection::btree_map(any::<u8>(), 0..PACKED_MOST, 0..50)) {
            let packs = packs.into_iter().map(|(pack, size)| (Digest::of([pack]), size)).collect();
            let way = Way { packs };
            prop_assert_eq!(&Way::decode(way.encode().as_bytes()).unwrap(), &way);
            prop_assert_eq!(&Way::unpack(&way.pack().unwrap()).unwrap(), &way);
        }

        #[test]
        fn reading_any_bytes_ends_well(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Way::decode(&bytes).is_err());
            prop_assert!(Way::unpack(&bytes).is_err());
        }
    }
}
