use std::{fmt::Write, io};

use super::pack::{self, PACK_SIZE};
use crate::digest::Digest;

/// The first line.
const HEAD: &str = "vsbuild-index 1";
/// The most bytes of an index, unpacked: a pack of files of one byte each is not made, but could be.
const MOST: u64 = 256 << 20;

/// What a pack has: segments of blobs in their order, without anything between them.
///
/// ```text
/// vsbuild-index 1
/// BLOB START LENGTH
/// ```
///
/// One line a segment: the blob's sha256, where in the blob it begins, how long it is, in bytes. A blob that fits is one
/// segment; a longer one has several, in several packs, and what is left out of it is zeros.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    segments: Vec<Segment>,
}

/// A part of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// The blob.
    pub blob: Digest,
    /// Where in the blob it begins, in bytes.
    pub start: u64,
    /// Its length in bytes: at least one.
    pub length: u64,
}

/// The text is no index.
#[derive(Debug, thiserror::Error)]
pub enum BadIndex {
    /// It cannot be unpacked.
    #[error("the index cannot be unpacked: {0}")]
    Packed(#[from] io::Error),
    /// Its form is wrong.
    #[error("the index is wrong in line {0}")]
    Line(usize),
    /// A pack cannot be so long.
    #[error("the index tells of more than {PACK_SIZE} bytes")]
    TooLong,
}

impl Index {
    /// The index of a pack with these segments, which are not more than [`PACK_SIZE`] in all.
    pub fn new(segments: Vec<Segment>) -> Result<Self, BadIndex> {
        let mut total: u64 = 0;
        for segment in &segments {
            let end = segment.start.checked_add(segment.length);
            let sum = total.checked_add(segment.length).filter(|sum| *sum <= PACK_SIZE);
            total = sum.filter(|_| end.is_some() && segment.length > 0).ok_or(BadIndex::TooLong)?;
        }
        Ok(Self { segments })
    }

    /// The segments with where in the pack each begins.
    pub fn segments(&self) -> impl Iterator<Item = (u64, &Segment)> {
        self.segments.iter().scan(0, |at, segment| {
            let offset = *at;
            *at += segment.length;
            Some((offset, segment))
        })
    }

    /// How long the pack is, unpacked.
    pub fn length(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    /// The text.
    pub fn encode(&self) -> String {
        let mut text = format!("{HEAD}\n");
        for Segment { blob, start, length } in &self.segments {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{blob} {start} {length}");
        }
        text
    }

    /// Reads the text, in the one spelling that it has.
    pub fn decode(text: &[u8]) -> Result<Self, BadIndex> {
        let text = std::str::from_utf8(text).map_err(|_| BadIndex::Line(1))?;
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err(BadIndex::Line(1));
        }
        let read = |line: &str| {
            let mut words = line.split(' ');
            let blob = words.next()?.parse().ok()?;
            let start = words.next()?.parse().ok()?;
            let length = words.next()?.parse().ok()?;
            words.next().is_none().then_some(Segment { blob, start, length })
        };
        let segments = lines
            .enumerate()
            .map(|(at, line)| read(line).ok_or(BadIndex::Line(at + 2)))
            .collect::<Result<_, _>>()?;
        let index = Self::new(segments)?;
        // A plus sign, a zero before a number or a missing end of line.
        if index.encode() == text { Ok(index) } else { Err(BadIndex::Line(0)) }
    }

    /// As it lies in a cache.
    pub(super) fn pack(&self) -> io::Result<Vec<u8>> {
        pack::pack(self.encode().as_bytes())
    }

    /// From what lies in a cache.
    pub(super) fn unpack(bytes: &[u8]) -> Result<Self, BadIndex> {
        Self::decode(&pack::unpack(bytes, MOST)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_index_of_more_than_a_pack_holds_is_refused() {
        let segment = |length| Segment { blob: Digest::of("x"), start: 0, length };
        assert!(Index::new(vec![segment(PACK_SIZE)]).is_ok());
        assert!(Index::new(vec![segment(PACK_SIZE), segment(1)]).is_err());
        assert!(Index::new(vec![segment(0)]).is_err());
        assert!(Index::new(vec![segment(u64::MAX), segment(u64::MAX)]).is_err());
        let beyond = Segment { start: u64::MAX, ..segment(1) };
        assert!(Index::new(vec![beyond]).is_err());
    }

    #[test]
    fn another_spelling_is_refused() {
        let blob = Digest::of("x");
        let good = format!("{HEAD}\n{blob} 0 5\n");
        assert!(Index::decode(good.as_bytes()).is_ok());
        for wrong in [
            String::new(),
            format!("{HEAD}\n{blob} 0 5"),
            format!("{HEAD}\n{blob} 00 5\n"),
            format!("{HEAD}\n{blob} +0 5\n"),
            format!("{HEAD}\n{blob}  0 5\n"),
            format!("{HEAD}\n{blob} 0 5 6\n"),
            format!("{HEAD}\r\n{blob} 0 5\n"),
            format!("{blob} 0 5\n"),
        ] {
            assert!(Index::decode(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn an_index_reads_as_it_was_written(list in prop::collection::vec((any::<u8>(), 0..1_u64 << 40, 1..100_000_u64), 0..50)) {
            let segments: Vec<Segment> = list
                .into_iter()
                .map(|(blob, start, length)| Segment { blob: Digest::of([blob]), start, length })
                .collect();
            let index = Index::new(segments.clone()).unwrap();
            prop_assert_eq!(&Index::decode(index.encode().as_bytes()).unwrap(), &index);
            prop_assert_eq!(&Index::unpack(&index.pack().unwrap()).unwrap(), &index);
            let mut at = 0;
            for ((offset, found), segment) in index.segments().zip(&segments) {
                prop_assert_eq!((offset, found), (at, segment));
                at += segment.length;
            }
            prop_assert_eq!(at, index.length());
        }

        #[test]
        fn reading_any_bytes_ends_well(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Index::decode(&bytes).is_err());
            prop_assert!(Index::unpack(&bytes).is_err());
        }

        #[test]
        fn a_changed_index_is_refused_or_says_what_it_says(at in any::<prop::sample::Index>(), byte: u8) {
            let segment = Segment { blob: Digest::of("x"), start: 7, length: 9 };
            let mut text = Index::new(vec![segment; 3]).unwrap().encode().into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            if let Ok(index) = Index::decode(&text) {
                prop_assert_eq!(index.encode().into_bytes(), text);
            }
        }
    }
}
