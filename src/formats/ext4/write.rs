//! Tells what is where, from the first byte to the last.

use std::iter;

use super::{
    alloc::Geometry,
    directory::Directory,
    disk::{
        BLOCK, BLOCK_SIZE, BLOCKS_PER_GROUP, DESCRIPTOR, Fields, INODE, INODES_PER_BLOCK,
        LOST_AND_FOUND_INODE, SUPERBLOCK, checksum, high16, high32, low16, low32,
    },
    extent::{self, Extent},
    layout::{Layout, Space, is_short, number, plan_directory},
    superblock::Totals,
};
use crate::{
    formats::image::{Piece, Placed},
    tree::{Content, Kind},
};

/// Blocks of an inode table that are made at once.
const TABLE_BLOCKS_AT_ONCE: u64 = 64;
/// Inodes are initialised, so that the kernel has nothing to do in the background (EXT4_BG_INODE_ZEROED).
const INODE_ZEROED: u16 = 4;

impl<'t> Layout<'t> {
    /// What is where, in ascending order and without overlap; what is not named is zero.
    pub fn pieces(&self) -> impl Iterator<Item = Placed> + '_ {
        let (descriptors, totals) = self.descriptors();
        let copies =
            self.geometry.backups().map(move |group| self.copy(group, &descriptors, totals));
        let rest = self.bitmaps().chain(self.inode_tables()).chain(self.files());
        ascending(copies, rest)
    }

    /// A group's copy of superblock and descriptors. In the first group room is left for a boot sector.
    fn copy(&self, group: u64, descriptors: &[u8], totals: Totals) -> Placed {
        let lead = if group == 0 { SUPERBLOCK } else { 0 };
        let mut bytes = self.superblock(group, totals);
        bytes.resize(BLOCK - lead, 0);
        bytes.extend_from_slice(descriptors);
        Placed::bytes(group * BLOCKS_PER_GROUP * BLOCK_SIZE + lead as u64, bytes)
    }

    /// All group descriptors, filled up to whole blocks, and what they add up to.
    fn descriptors(&self) -> (Vec<u8>, Totals) {
        let mut totals = Totals::default();
        let mut bytes = Vec::new();
        for group in 0..self.geometry.groups {
            bytes.extend(self.descriptor(group, &mut totals));
        }
        bytes.resize(self.geometry.descriptor_blocks() as usize * BLOCK, 0);
        (bytes, totals)
    }

    fn descriptor(&self, group: u64, totals: &mut Totals) -> [u8; DESCRIPTOR] {
        let geometry = &self.geometry;
        let (block_bitmap, inode_bitmap) = (self.block_bitmap(group), self.inode_bitmap(group));
        let free_blocks: u64 = block_bitmap.iter().map(|byte| u64::from(byte.count_zeros())).sum();
        let used_inodes = self.used_inodes(group);
        let free_inodes = geometry.inodes_per_group - used_inodes;
        totals.free_blocks += free_blocks;
        totals.free_inodes += free_inodes;
        let places = [
            (0x00, 0x20, self.tables.block_bitmaps[group as usize]),
            (0x04, 0x24, self.tables.inode_bitmaps[group as usize]),
            (0x08, 0x28, self.tables.inode_tables[group as usize]),
        ];
        let mut bytes = [0; DESCRIPTOR];
        for (low, high, block) in places {
            bytes.put32(low, low32(block));
            bytes.put32(high, high32(block));
        }
        let bitmap_bytes = geometry.inodes_per_group as usize / 8;
        let seed = self.checksum_seed();
        let block_sum = checksum(seed, &block_bitmap);
        let inode_sum = checksum(seed, &inode_bitmap[..bitmap_bytes]);
        let counts = [
            (0x0c, 0x2c, low32(free_blocks)),
            (0x0e, 0x2e, low32(free_inodes)),
            (0x10, 0x30, self.directories(group)),
            (0x18, 0x38, block_sum),
            (0x1a, 0x3a, inode_sum),
            // Inodes at the end of the table that were never used.
            (0x1c, 0x32, low32(free_inodes)),
        ];
        for (low, high, value) in counts {
            bytes.put16(low, low16(value));
            bytes.put16(high, high16(value));
        }
        bytes.put16(0x12, INODE_ZEROED);
        let sum = checksum(checksum(seed, &low32(group).to_le_bytes()), &bytes);
        bytes.put16(0x1e, low16(sum));
        bytes
    }

    /// The number of the last inode in use.
    fn last_inode(&self) -> u64 {
        u64::from(LOST_AND_FOUND_INODE) + self.inodes.len() as u64 - 1
    }

    fn used_inodes(&self, group: u64) -> u64 {
        let per_group = self.geometry.inodes_per_group;
        self.last_inode().saturating_sub(group * per_group).min(per_group)
    }

    fn directories(&self, group: u64) -> u32 {
        let per_group = self.geometry.inodes_per_group;
        let here = |inode: u32| (u64::from(inode) - 1) / per_group == group;
        let is_directory = |place: &usize| self.inodes[*place].inode.kind == Kind::Directory;
        let first = (group * per_group).saturating_sub(u64::from(LOST_AND_FOUND_INODE)) as usize;
        let last = (first + per_group as usize + 1).min(self.inodes.len());
        let listed = (first.min(last)..last).filter(is_directory).filter(|place| *place > 0);
        let of_its_own = [number(0), LOST_AND_FOUND_INODE].into_iter().filter(|inode| here(*inode));
        (listed.filter(|place| here(number(*place))).count() + of_its_own.count()) as u32
    }

    /// One bit a block of the group; bits beyond the end are set.
    fn block_bitmap(&self, group: u64) -> Vec<u8> {
        let blocks = self.geometry.group(group);
        let mut bits = Bits::new();
        bits.set(0..self.used.saturating_sub(blocks.start).min(BLOCKS_PER_GROUP));
        for gap in &self.gaps {
            let start = gap.start.max(blocks.start);
            let end = gap.end.min(blocks.end);
            if start < end {
                bits.clear(start - blocks.start..end - blocks.start);
            }
        }
        if Geometry::has_backup(group) {
            bits.set(0..1 + self.geometry.descriptor_blocks());
        }
        bits.set(blocks.end - blocks.start..BLOCKS_PER_GROUP);
        bits.0
    }

    /// One bit an inode of the group; bits beyond the end are set.
    fn inode_bitmap(&self, group: u64) -> Vec<u8> {
        let mut bits = Bits::new();
        bits.set(0..self.used_inodes(group));
        bits.set(self.geometry.inodes_per_group..BLOCKS_PER_GROUP);
        bits.0
    }

    fn bitmaps(&self) -> impl Iterator<Item = Placed> + '_ {
        let groups = 0..self.geometry.groups;
        let blocks = groups.clone().map(|group| {
            self.at(self.tables.block_bitmaps[group as usize], self.block_bitmap(group))
        });
        let inodes = groups.map(|group| {
            self.at(self.tables.inode_bitmaps[group as usize], self.inode_bitmap(group))
        });
        blocks.chain(inodes)
    }

    /// The used part of every inode table, a stretch at a time.
    fn inode_tables(&self) -> impl Iterator<Item = Placed> + '_ {
        (0..self.geometry.groups).flat_map(move |group| {
            let used_blocks = self.used_inodes(group).div_ceil(INODES_PER_BLOCK);
            (0..used_blocks).step_by(TABLE_BLOCKS_AT_ONCE as usize).map(move |block| {
                let count = TABLE_BLOCKS_AT_ONCE.min(used_blocks - block) * INODES_PER_BLOCK;
                let first = group * self.geometry.inodes_per_group + block * INODES_PER_BLOCK + 1;
                let mut bytes = vec![0; count as usize * INODE];
                for (slot, inode) in bytes.chunks_exact_mut(INODE).zip(first..) {
                    if let Some(encoded) = self.inode(low32(inode)) {
                        slot.copy_from_slice(&encoded);
                    }
                }
                self.at(self.tables.inode_tables[group as usize] + block, bytes)
            })
        })
    }

    /// Content, extent trees and attributes of all inodes, in the order in which they got their blocks.
    fn files(&self) -> impl Iterator<Item = Placed> + '_ {
        let lost_and_found = Directory::Single(Vec::new()).encode(
            LOST_AND_FOUND_INODE,
            number(0),
            self.inode_seed(LOST_AND_FOUND_INODE),
        );
        let lost_and_found = iter::once(self.at(self.extents[0].physical, lost_and_found));
        let journal = self.journal.iter().flat_map(|journal| {
            let first = self.extents[journal.extents.start].physical;
            let number = super::disk::JOURNAL_INODE;
            iter::once(self.at(first, self.journal_superblock(journal)))
                .chain(self.extent_tree(number, journal))
        });
        let mut last_xattr_block = 0;
        let inodes = (0..self.inodes.len()).flat_map(move |place| {
            let planned = &self.inodes[place];
            // Of those that share a block of attributes, the first one's turn is where the block lies.
            let is_first = planned.xattr_block > last_xattr_block;
            last_xattr_block = last_xattr_block.max(planned.xattr_block);
            let xattrs = is_first.then(|| self.xattrs(planned.xattr_block)).flatten();
            self.content(place).chain(self.extent_tree(number(place), &planned.space)).chain(xattrs)
        });
        lost_and_found.chain(journal).chain(inodes)
    }

    fn content(&self, place: usize) -> Box<dyn Iterator<Item = Placed> + Send + '_> {
        let planned = &self.inodes[place];
        let extents = &self.extents[planned.space.extents.clone()];
        match &planned.inode.kind {
            Kind::Directory => {
                let parent = number(planned.parent);
                let seed = self.inode_seed(number(place));
                let directory = plan_directory(&self.inodes, &self.names, place, self.hash_seed);
                let bytes = directory.map(|it| it.encode(number(place), parent, seed));
                self.spread(extents, bytes.unwrap_or_default())
            }
            Kind::File(content) => Box::new(extents.iter().map(|extent| blob(extent, content))),
            Kind::Symlink(target) if !is_short(target) => self.spread(extents, target.to_vec()),
            Kind::Symlink(_)
            | Kind::CharDevice(_)
            | Kind::BlockDevice(_)
            | Kind::Fifo
            | Kind::Socket => Box::new(iter::empty()),
        }
    }

    /// Bytes over the extents of a file.
    fn spread<'s>(
        &'s self,
        extents: &'s [Extent],
        bytes: Vec<u8>,
    ) -> Box<dyn Iterator<Item = Placed> + Send + 's> {
        Box::new(extents.iter().map(move |extent| {
            let start = extent.logical as usize * BLOCK;
            let end = (start + extent.length as usize * BLOCK).min(bytes.len());
            self.at(extent.physical, bytes.get(start..end).unwrap_or_default().to_vec())
        }))
    }

    fn extent_tree(&self, inode: u32, space: &Space) -> impl Iterator<Item = Placed> + use<> {
        let blocks = &self.index_blocks[space.index_blocks.clone()];
        let mut placed = Vec::new();
        if !blocks.is_empty() {
            let extents = &self.extents[space.extents.clone()];
            let (_, nodes) = extent::tree(extents, blocks, self.inode_seed(inode));
            placed.extend(nodes.into_iter().map(|(block, bytes)| self.at(block, bytes)));
        }
        placed.into_iter()
    }

    fn xattrs(&self, block: u64) -> Option<Placed> {
        let shared = self.xattr_blocks.get(&block)?;
        let mut bytes = shared.bytes.clone();
        bytes.put32(4, shared.references);
        let seed = checksum(self.checksum_seed(), &block.to_le_bytes());
        let sum = checksum(seed, &bytes);
        bytes.put32(16, sum);
        Some(self.at(block, bytes))
    }

    fn at(&self, block: u64, bytes: Vec<u8>) -> Placed {
        Placed::bytes(block * BLOCK_SIZE, bytes)
    }
}

fn blob(extent: &Extent, content: &Content) -> Placed {
    let offset = u64::from(extent.logical) * BLOCK_SIZE;
    let length = (u64::from(extent.length) * BLOCK_SIZE).min(content.size - offset);
    let piece = Piece::Blob { digest: content.digest, offset, length };
    Placed { at: extent.physical * BLOCK_SIZE, piece }
}

/// Two lists of pieces as one, by place.
fn ascending<'s>(
    one: impl Iterator<Item = Placed> + 's,
    other: impl Iterator<Item = Placed> + 's,
) -> impl Iterator<Item = Placed> + 's {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(first), Some(second)) if first.at < second.at => one.next(),
        (Some(_), None) => one.next(),
        _ => other.next(),
    })
}

/// A block of bits, the lowest of a byte first.
struct Bits(Vec<u8>);

impl Bits {
    fn new() -> Self {
        Self(vec![0; BLOCK])
    }

    fn set(&mut self, range: std::ops::Range<u64>) {
        self.each(range, |byte, mask| *byte |= mask);
    }

    fn clear(&mut self, range: std::ops::Range<u64>) {
        self.each(range, |byte, mask| *byte &= !mask);
    }

    /// Goes over the range byte by byte, with the bits of each that are in it.
    fn each(&mut self, range: std::ops::Range<u64>, change: impl Fn(&mut u8, u8)) {
        let (mut bit, end) = (range.start, range.end);
        while bit < end {
            let until = ((bit / 8 + 1) * 8).min(end);
            let mask = (bit % 8..bit % 8 + (until - bit)).fold(0, |mask, bit| mask | 1 << bit);
            change(&mut self.0[bit as usize / 8], mask);
            bit = until;
        }
    }
}
