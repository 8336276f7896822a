//! What every byte of a file system is for.

use std::{collections::BTreeMap, ops::Range};

use super::{
    FileSystem, ReadError,
    blocks::READS_PER_BLOCK,
    damaged,
    fields::{self, Field},
    group::INODES_UNINITIALISED,
    inode::RESIZE,
    superblock::META_BG,
};

/// What some bytes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The first 1024 bytes, which are left to boot loaders.
    Boot,
    /// The superblock, or its copy in this group.
    Superblock(u64),
    /// The group descriptors, or their copy in this group.
    Descriptors(u64),
    /// Blocks into which the group descriptors may grow.
    ReservedDescriptors,
    /// A group's bitmap of blocks.
    BlockBitmap(u64),
    /// A group's bitmap of inodes.
    InodeBitmap(u64),
    /// A group's table of inodes.
    InodeTable(u64),
    /// The block that guards against mounts on two machines.
    Mmp,
    /// A block that says where an inode's other blocks are.
    BlockMap(u32),
    /// A block of extended attributes; of several inodes the first is named.
    Xattrs(u32),
    /// A block of a directory.
    Directory(u32),
    /// A block of a file's content, of a long link's target, or of an attribute's value.
    Content(u32),
    /// A block of the journal.
    Journal,
    /// Nothing, as far as anything says.
    Unused,
}

/// A place in a file system, as precisely as can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// What the byte belongs to.
    pub owner: Owner,
    /// The inode that it is in, where the owner is a table of inodes.
    pub inode: Option<u32>,
    /// The group that it is about, where the owner are group descriptors.
    pub group: Option<u64>,
    /// The field that it is in.
    pub field: Option<&'static Field>,
    /// Where the structure begins that has the field.
    pub structure: u64,
    /// How long that structure is.
    pub length: u64,
    /// Where the next place begins.
    pub end: u64,
}

/// The whole of a file system by what it is for.
#[derive(Debug, Clone)]
pub struct Map {
    /// By start: end and owner.
    spans: BTreeMap<u64, (u64, Owner)>,
    size: u64,
    inode_size: u64,
    inodes_per_group: u64,
    descriptor_size: u64,
    descriptors_per_block: u64,
    block_size: u64,
    /// For blocks of descriptors: which group the first one is about.
    descriptors: BTreeMap<u64, u64>,
    /// Blocks that files have said to have so far. On a damaged disk many may have the same.
    claimed: u64,
    /// What could not be read, and is not in the map; of a badly damaged file system not all is told.
    pub gaps: Vec<String>,
}

/// The most gaps that are told.
const GAPS_MAX: usize = 1000;

impl FileSystem<'_> {
    /// Looks at all metadata. What is damaged is left out and told in [`Map::gaps`].
    pub fn map(&self) -> Map {
        let superblock = &self.superblock;
        let mut map = Map {
            spans: BTreeMap::new(),
            size: self.size(),
            inode_size: superblock.inode_size,
            inodes_per_group: superblock.inodes_per_group,
            descriptor_size: superblock.descriptor_size,
            descriptors_per_block: superblock.descriptors_per_block(),
            block_size: superblock.block_size,
            descriptors: BTreeMap::new(),
            claimed: 0,
            gaps: Vec::new(),
        };
        map.claim(0..1024, Owner::Boot);
        map.claim(1024..2048, Owner::Superblock(0));
        for group in 0..superblock.groups {
            self.map_group(&mut map, group);
        }
        if superblock.mmp_block != 0 && superblock.incompat & 0x100 != 0 {
            map.claim_blocks(superblock.mmp_block, 1, Owner::Mmp);
        }
        for number in 1..=superblock.inodes as u32 {
            if let Err(error) = self.map_inode(&mut map, number) {
                map.miss(&error.to_string());
            }
        }
        map
    }

    fn map_group(&self, map: &mut Map, group: u64) {
        let superblock = &self.superblock;
        let start = superblock.group_start(group);
        let copy = superblock.has_superblock(group);
        let meta = superblock.incompat & META_BG != 0;
        if copy && group > 0 {
            let at = start * superblock.block_size;
            map.claim(at..at + 1024, Owner::Superblock(group));
        }
        if copy {
            let classic = superblock.classic_descriptor_blocks();
            for index in 0..classic {
                map.claim_descriptors(start + 1 + index, index, group);
            }
            let reserved = superblock.reserved_descriptors.min(superblock.blocks_per_group);
            map.claim_blocks(start + 1 + classic, reserved, Owner::ReservedDescriptors);
        }
        let per_block = superblock.descriptors_per_block();
        let index = group / per_block;
        if meta && index >= superblock.first_meta_group {
            // The first, second and last group of those that one block is about have it.
            if [0, 1, per_block - 1].contains(&(group % per_block)) {
                map.claim_descriptors(start + u64::from(copy), index, group);
            }
        }
        match self.group(group) {
            Ok(found) => {
                map.claim_blocks(found.block_bitmap, 1, Owner::BlockBitmap(group));
                map.claim_blocks(found.inode_bitmap, 1, Owner::InodeBitmap(group));
                let blocks = superblock.inode_table_blocks();
                map.claim_blocks(found.inode_table, blocks, Owner::InodeTable(group));
            }
            Err(error) => map.miss(&format!("group {group}: {error}")),
        }
    }

    fn map_inode(&self, map: &mut Map, number: u32) -> Result<(), ReadError> {
        let group = u64::from(number - 1) / self.superblock.inodes_per_group;
        if self.group(group)?.flags & INODES_UNINITIALISED != 0 {
            return Ok(());
        }
        let inode = self.inode(number)?;
        // A removed inode keeps what it had; its blocks belong to it no longer.
        if inode.links == 0 && !self.is_system(number)
            || inode.block == [0; 60] && inode.xattr_block == 0
        {
            return Ok(());
        }
        if inode.xattr_block != 0 {
            map.claim_blocks(inode.xattr_block, 1, Owner::Xattrs(number));
        }
        let blocks = self.blocks_of(&inode)?;
        for node in &blocks.nodes {
            map.claim_blocks(*node, 1, Owner::BlockMap(number));
        }
        let length: u64 = blocks.runs.iter().map(|run| run.length).sum();
        if map.claimed.saturating_add(length) > READS_PER_BLOCK * self.superblock.blocks {
            return Err(damaged(number, "its blocks are those of many others, too"));
        }
        map.claimed += length;
        let owner = if number == self.superblock.journal_inode {
            Owner::Journal
        } else if inode.is_directory() {
            Owner::Directory(number)
        } else if number == RESIZE {
            Owner::ReservedDescriptors
        } else {
            Owner::Content(number)
        };
        for run in blocks.runs {
            map.claim_blocks(run.physical, run.length, owner);
        }
        Ok(())
    }

    fn is_system(&self, number: u32) -> bool {
        number == RESIZE || number == self.superblock.journal_inode
    }
}

impl Map {
    fn miss(&mut self, gap: &str) {
        if self.gaps.len() < GAPS_MAX {
            self.gaps.push(gap.to_owned());
        }
    }

    /// Gives bytes to an owner, as far as nobody has them.
    fn claim(&mut self, bytes: Range<u64>, owner: Owner) {
        let mut at = bytes.start;
        let end = bytes.end.min(self.size);
        while at < end {
            let before = self.spans.range(..=at).next_back();
            if let Some((_, (taken, _))) = before
                && *taken > at
            {
                at = *taken;
                continue;
            }
            let next = self.spans.range(at..end).next().map_or(end, |(start, _)| *start);
            self.spans.insert(at, (next, owner));
            at = next;
        }
    }

    fn claim_blocks(&mut self, block: u64, count: u64, owner: Owner) {
        let start = block.saturating_mul(self.block_size);
        let end = block.saturating_add(count).saturating_mul(self.block_size);
        self.claim(start..end, owner);
    }

    fn claim_descriptors(&mut self, block: u64, index: u64, group: u64) {
        self.descriptors
            .insert(block.saturating_mul(self.block_size), index * self.descriptors_per_block);
        self.claim_blocks(block, 1, Owner::Descriptors(group));
    }

    /// What is at this offset.
    pub fn at(&self, offset: u64) -> Place {
        let plain = |owner, structure, end: u64| Place {
            owner,
            inode: None,
            group: None,
            field: None,
            structure,
            length: end.saturating_sub(structure),
            end,
        };
        let found = self.spans.range(..=offset).next_back().filter(|(_, (end, _))| *end > offset);
        let Some((&start, &(end, owner))) = found else {
            let next = self.spans.range(offset..).next().map(|(start, _)| *start);
            let end = next.unwrap_or(self.size.max(offset.saturating_add(1)));
            return plain(Owner::Unused, offset, end);
        };
        match owner {
            Owner::Superblock(_) => {
                fielded(plain(owner, start, start + 1024), fields::SUPERBLOCK, offset)
            }
            Owner::InodeTable(group) => {
                let index = (offset - start) / self.inode_size;
                let inode = group * self.inodes_per_group + index + 1;
                let at = start + index * self.inode_size;
                let place = plain(owner, at, at + self.inode_size);
                let inode = u32::try_from(inode).ok();
                fielded(Place { inode, ..place }, fields::INODE, offset)
            }
            Owner::Descriptors(_) => {
                let block = offset / self.block_size * self.block_size;
                let index = (offset - block) / self.descriptor_size;
                let first = self.descriptors.get(&block).copied().unwrap_or_default();
                let at = block + index * self.descriptor_size;
                let place = plain(owner, at, at + self.descriptor_size);
                fielded(Place { group: Some(first + index), ..place }, fields::DESCRIPTOR, offset)
            }
            Owner::Boot
            | Owner::ReservedDescriptors
            | Owner::BlockBitmap(_)
            | Owner::InodeBitmap(_)
            | Owner::Mmp
            | Owner::BlockMap(_)
            | Owner::Xattrs(_)
            | Owner::Directory(_)
            | Owner::Content(_)
            | Owner::Journal
            | Owner::Unused => plain(owner, start, end),
        }
    }
}

/// A place in a structure, narrowed down to a field.
fn fielded(place: Place, fields: &'static [Field], offset: u64) -> Place {
    let size = place.length as usize;
    match fields::at(fields, (offset - place.structure) as usize, size) {
        Ok(field) => {
            let end = place.structure + (field.at + field.length) as u64;
            Place { field: Some(field), end: end.min(place.end), ..place }
        }
        Err(next) => Place { end: (place.structure + next as u64).min(place.end), ..place },
    }
}

impl FileSystem<'_> {
    /// The block or the inode that a bit of a bitmap stands for, of byte `byte` from the beginning of the bitmap. None where
    /// bits stand for clusters of blocks, and for what has no such bits.
    pub fn counted(&self, bitmap: Owner, byte: u64, bit: u32) -> Option<u64> {
        let index = byte * 8 + u64::from(bit);
        match bitmap {
            Owner::BlockBitmap(group) if self.superblock.has_bit_per_block() => {
                let inside = index < self.superblock.blocks_per_group;
                inside.then(|| self.superblock.group_start(group) + index)
            }
            Owner::InodeBitmap(group) => {
                let inside = index < self.superblock.inodes_per_group;
                inside.then(|| group * self.superblock.inodes_per_group + index + 1)
            }
            _ => None,
        }
    }
}
