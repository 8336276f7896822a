//! Which segments make up a blob.

use std::{cmp::Reverse, collections::BTreeMap};

use super::index::Index;
use crate::{digest::Digest, tree::Content};

/// Where a part of a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Where in the blob it begins.
    pub(super) start: u64,
    /// Its length.
    pub(super) length: u64,
    /// The pack that has it.
    pub(super) pack: Digest,
    /// Where in the pack it begins, unpacked.
    pub(super) offset: u64,
}

impl Place {
    fn end(&self) -> u64 {
        self.start + self.length
    }

    /// The greater, the better it goes on: the further it reaches, and of those that reach as far, one and the same.
    fn reach(&self) -> (u64, Reverse<(Digest, u64, u64)>) {
        (self.end(), Reverse((self.pack, self.start, self.offset)))
    }

    /// Whether it is all of a blob.
    pub(super) fn is_whole(&self, content: &Content) -> bool {
        self.start == 0 && self.length == content.size
    }
}

/// Where the parts of blobs are.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<Digest, Vec<Place>>);

impl Places {
    /// Adds what a pack has.
    pub(super) fn add(&mut self, pack: &Digest, index: &Index) {
        for (offset, segment) in index.segments() {
            let place = Place { start: segment.start, length: segment.length, pack: *pack, offset };
            self.0.entry(segment.blob).or_default().push(place);
        }
    }

    /// Places that together have all of a blob but its zeros; none if something is lacking. The same for the same packs,
    /// in whichever order they were added.
    pub(super) fn cover(&self, content: &Content) -> Option<Vec<Place>> {
        self.cover_with(content, |_| true)
    }

    /// The same with these packs alone.
    pub(super) fn cover_within(
        &self,
        content: &Content,
        packs: &BTreeMap<Digest, u64>,
    ) -> Option<Vec<Place>> {
        self.cover_with(content, |pack| packs.contains_key(pack))
    }

    fn cover_with(&self, content: &Content, may: impl Fn(&Digest) -> bool) -> Option<Vec<Place>> {
        let places = self.0.get(&content.digest).map_or(&[][..], Vec::as_slice);
        let usable = places.iter().filter(|place| place.end() <= content.size && may(&place.pack));
        let mut usable: Vec<&Place> = usable.collect();
        if let Some(whole) = usable.iter().filter(|place| place.is_whole(content)).min() {
            return Some(vec![**whole]);
        }
        usable.sort_unstable();
        let mut usable = usable.into_iter().peekable();
        let mut furthest: Option<&Place> = None;
        let mut cover: Vec<Place> = Vec::new();
        for (start, length) in content.data() {
            // What was taken last may reach into this stretch already.
            let mut at = cover.last().map_or(0, Place::end).max(start);
            while at < start + length {
                // A blob may have very many places: each is looked at once.
                while let Some(begun) = usable.next_if(|place| place.start <= at) {
                    furthest =
                        furthest.into_iter().chain([begun]).max_by_key(|place| place.reach());
                }
                let next = furthest.filter(|place| place.end() > at)?;
                cover.push(*next);
                at = next.end();
            }
        }
        Some(cover)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{
        cache::Segment,
        tree::{HOLE_MIN, Hole},
    };

    fn content(size: u64, holes: &[(u64, u64)]) -> Content {
        let holes = holes.iter().map(|&(start, length)| Hole { start, length }).collect();
        Content { digest: Digest::of("blob"), size, holes }
    }

    fn places(packs: &[&[(u64, u64)]]) -> Places {
        let mut places = Places::default();
        for (number, segments) in packs.iter().enumerate() {
            let segment =
                |&(start, length): &(u64, u64)| Segment { blob: Digest::of("blob"), start, length };
            let index = Index::new(segments.iter().map(segment).collect()).unwrap();
            places.add(&Digest::of([number as u8]), &index);
        }
        places
    }

    fn covered(places: &Places, content: &Content) -> Option<Vec<(u64, u64)>> {
        let cover = places.cover(content)?;
        Some(cover.iter().map(|place| (place.start, place.length)).collect())
    }

    #[test]
    fn a_blob_is_covered_by_one_place_or_by_several() {
        let whole = content(10, &[]);
        assert_eq!(covered(&places(&[&[(0, 4), (4, 6)]]), &whole), Some(vec![(0, 4), (4, 6)]));
        assert_eq!(
            covered(&places(&[&[(0, 4)], &[(4, 6)], &[(0, 10)]]), &whole),
            Some(vec![(0, 10)])
        );
        assert_eq!(covered(&places(&[&[(0, 6)], &[(3, 7)]]), &whole), Some(vec![(0, 6), (3, 7)]));
    }

    #[test]
    fn a_gap_and_what_is_longer_than_the_blob_do_not_count() {
        let whole = content(10, &[]);
        assert_eq!(covered(&places(&[&[(0, 4), (5, 5)]]), &whole), None);
        assert_eq!(covered(&places(&[&[(0, 4), (4, 7)]]), &whole), None);
        assert_eq!(covered(&places(&[]), &whole), None);
    }

    #[test]
    fn each_place_of_a_blob_is_looked_at_once_however_many_there_are() {
        let stretch = 2 * HOLE_MIN;
        let count = 400;
        let holes: Vec<_> = (0..count).map(|at| (at * stretch + HOLE_MIN, HOLE_MIN)).collect();
        let stretches: Vec<_> = (0..count).map(|at| (at * stretch, HOLE_MIN)).collect();
        let (here, there) = stretches.split_at(200);
        let (places, content) = (places(&[there, here]), content(count * stretch, &holes));
        let looked = Cell::new(0);
        let cover = places.cover_with(&content, |_| {
            looked.set(looked.get() + 1);
            true
        });
        let cover = cover.unwrap().into_iter().map(|place| (place.start, place.length));
        assert_eq!(cover.collect::<Vec<_>>(), stretches);
        assert_eq!(looked.get(), count);
    }

    #[test]
    fn zeros_need_no_place() {
        let holes = content(100, &[(10, 50)]);
        assert_eq!(
            covered(&places(&[&[(0, 10), (60, 40)]]), &holes),
            Some(vec![(0, 10), (60, 40)])
        );
        assert_eq!(covered(&places(&[]), &content(100, &[(0, 100)])), Some(vec![]));
        assert_eq!(covered(&places(&[]), &content(0, &[])), Some(vec![]));
    }
}
