//! Which blocks are whose: groups, their backups, and a pointer that only moves forward.

use std::ops::Range;

use super::disk::{BLOCK_SIZE, BLOCKS_PER_GROUP, DESCRIPTOR, INODES_PER_BLOCK};

/// The size of a file system and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    /// All blocks.
    pub(super) blocks: u64,
    /// All groups; the last may be short.
    pub(super) groups: u64,
    /// Inodes in a group.
    pub(super) inodes_per_group: u64,
}

impl Geometry {
    /// So many blocks with at least so many inodes; none if there are no blocks, or too few for so many inodes.
    pub(super) fn new(blocks: u64, inodes: u64) -> Option<Self> {
        let groups = blocks.div_ceil(BLOCKS_PER_GROUP);
        if groups == 0 || inodes > groups * BLOCKS_PER_GROUP {
            return None;
        }
        let inodes_per_group = inodes.div_ceil(groups).next_multiple_of(INODES_PER_BLOCK);
        // All inodes together are counted with 32 bits.
        let counted = inodes_per_group * groups <= u64::from(u32::MAX);
        counted.then_some(Self { blocks, groups, inodes_per_group })
    }

    /// Blocks of the group descriptors.
    pub(super) fn descriptor_blocks(&self) -> u64 {
        (self.groups * DESCRIPTOR as u64).div_ceil(BLOCK_SIZE)
    }

    /// Blocks of a group's inode table.
    pub(super) fn table_blocks(&self) -> u64 {
        self.inodes_per_group / INODES_PER_BLOCK
    }

    /// Whether a group begins with a copy of superblock and descriptors: 0, 1 and powers of 3, 5 and 7 (sparse_super).
    pub(super) fn has_backup(group: u64) -> bool {
        let is_power_of = |base: u64| {
            let mut power = base;
            while power < group {
                power *= base;
            }
            power == group
        };
        group <= 1 || [3, 5, 7].into_iter().any(is_power_of)
    }

    /// The groups that begin with a copy, in order.
    pub(super) fn backups(&self) -> impl Iterator<Item = u64> + use<> {
        (0..self.groups).filter(|group| Self::has_backup(*group))
    }

    /// The blocks of a group.
    pub(super) fn group(&self, group: u64) -> Range<u64> {
        group * BLOCKS_PER_GROUP..((group + 1) * BLOCKS_PER_GROUP).min(self.blocks)
    }
}

/// Where each group's bitmaps and inode table begin.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) block_bitmaps: Vec<u64>,
    pub(super) inode_bitmaps: Vec<u64>,
    pub(super) inode_tables: Vec<u64>,
}

impl Tables {
    /// Gives them their blocks, all those of a kind in a row; none if the disk is full.
    pub(super) fn place(geometry: Geometry, blocks: &mut Allocator) -> Option<Self> {
        let mut each =
            |length| (0..geometry.groups).map(|_| blocks.run(length)).collect::<Option<Vec<u64>>>();
        Some(Self {
            block_bitmaps: each(1)?,
            inode_bitmaps: each(1)?,
            inode_tables: each(geometry.table_blocks())?,
        })
    }
}

/// Gives out blocks from the first to the last, passing over the copies of superblock and descriptors.
#[derive(Debug, Clone)]
pub(super) struct Allocator {
    geometry: Geometry,
    next: u64,
    /// Blocks that were passed over because a longer run was wanted.
    pub(super) gaps: Vec<Range<u64>>,
}

impl Allocator {
    pub(super) fn new(geometry: Geometry) -> Self {
        Self { geometry, next: 0, gaps: Vec::new() }
    }

    /// All blocks from here on are free.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// How many blocks are left, whatever lies between them.
    pub(super) fn left(mut self) -> u64 {
        let mut left = 0;
        while self.next < self.geometry.blocks {
            let room = self.room();
            left += room;
            self.next += room;
        }
        left
    }

    /// Blocks up to the next copy or the end, from where the pointer is after passing over a copy.
    fn room(&mut self) -> u64 {
        let group = self.next / BLOCKS_PER_GROUP;
        let after = group * BLOCKS_PER_GROUP + 1 + self.geometry.descriptor_blocks();
        if Geometry::has_backup(group) && self.next < after {
            self.next = after;
        }
        let mut end = group + 1;
        while !Geometry::has_backup(end) && end < self.geometry.groups {
            end += 1;
        }
        (end * BLOCKS_PER_GROUP).min(self.geometry.blocks).saturating_sub(self.next)
    }

    /// A run of `length` blocks; none if the disk is full.
    pub(super) fn run(&mut self, length: u64) -> Option<u64> {
        loop {
            let room = self.room();
            if room >= length {
                break;
            }
            let (start, end) = (self.next, self.next + room);
            if end >= self.geometry.blocks {
                return None;
            }
            if room > 0 {
                self.gaps.push(start..end);
            }
            self.next = end;
        }
        let start = self.next;
        self.next += length;
        Some(start)
    }

    /// `length` blocks in as few runs as there can be, each of at most `longest`; none if the disk is full.
    pub(super) fn runs(&mut self, length: u64, longest: u64) -> Option<Vec<(u64, u64)>> {
        let mut runs = Vec::new();
        let mut left = length;
        while left > 0 {
            let room = self.room();
            if room == 0 {
                if self.next >= self.geometry.blocks {
                    return None;
                }
                continue;
            }
            let run = room.min(left).min(longest);
            runs.push((self.next, run));
            self.next += run;
            left -= run;
        }
        Some(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_where_sparse_super_has_them() {
        let backups: Vec<u64> = (0..130).filter(|group| Geometry::has_backup(*group)).collect();
        assert_eq!(backups, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }

    #[test]
    fn no_block_is_given_out_twice_or_inside_a_copy() {
        let geometry = Geometry::new(5 * BLOCKS_PER_GROUP + 100, 1000).unwrap();
        let mut allocator = Allocator::new(geometry);
        let mut used = vec![false; geometry.blocks as usize];
        for group in geometry.backups() {
            let start = group * BLOCKS_PER_GROUP;
            used[start as usize..=(start + geometry.descriptor_blocks()) as usize].fill(true);
        }
        while let Some(runs) = allocator.runs(777, 300) {
            for (start, length) in runs {
                for block in start..start + length {
                    assert!(!std::mem::replace(&mut used[block as usize], true));
                }
            }
        }
        assert!(allocator.runs(777, 300).is_none());
    }
}
