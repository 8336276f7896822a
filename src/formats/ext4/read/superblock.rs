//! The superblock, as far as reading needs it (Documentation/filesystems/ext4, "Super Block").

use super::{
    super::super::source::{Source, le16, le32},
    ReadError,
};

pub(super) const RECOVER: u32 = 0x4;
pub(super) const META_BG: u32 = 0x10;
pub(super) const BITS_64: u32 = 0x80;
pub(super) const SPARSE_SUPER2: u32 = 0x200;
const SPARSE_SUPER: u32 = 0x1;
const BIGALLOC: u32 = 0x200;
/// Incompatible features that are read, or do not change what is read.
const READ: u32 = 0x2
    | RECOVER
    | META_BG
    | 0x40
    | BITS_64
    | 0x100
    | 0x200
    | 0x400
    | 0x2000
    | 0x4000
    | 0x8000
    | 0x2_0000;

/// What the superblock says, checked.
#[derive(Debug, Clone)]
pub(super) struct Superblock {
    pub(super) block_size: u64,
    pub(super) blocks: u64,
    pub(super) first_block: u64,
    pub(super) blocks_per_group: u64,
    pub(super) inodes_per_group: u64,
    pub(super) inodes: u64,
    pub(super) inode_size: u64,
    pub(super) descriptor_size: u64,
    pub(super) groups: u64,
    pub(super) first_meta_group: u64,
    pub(super) reserved_descriptors: u64,
    pub(super) compat: u32,
    pub(super) incompat: u32,
    pub(super) ro_compat: u32,
    pub(super) journal_inode: u32,
    pub(super) mmp_block: u64,
    pub(super) backups: [u64; 2],
}

impl Superblock {
    pub(super) fn read(source: &dyn Source) -> Result<Self, ReadError> {
        const AT: u64 = 1024;
        let mut bytes = [0; 1024];
        if source.size() < AT + 1024 {
            return Err(ReadError::NoSuperblock);
        }
        source.read_at(AT, &mut bytes)?;
        if le16(&bytes, 0x38) != 0xef53 {
            return Err(ReadError::NoSuperblock);
        }
        let incompat = le32(&bytes, 0x60);
        let revision = le32(&bytes, 0x4c);
        if incompat & !READ != 0 {
            return Err(ReadError::Features(super::fields::incompatible(incompat & !READ)));
        }
        let bad = |what| ReadError::Superblock(what);
        let scale = le32(&bytes, 0x18);
        if scale > 6 {
            return Err(bad("blocks are larger than 64 KiB"));
        }
        let wide = incompat & BITS_64 != 0;
        let high = if wide { u64::from(le32(&bytes, 0x150)) << 32 } else { 0 };
        let descriptor_size = if wide { u64::from(le16(&bytes, 0xfe)) } else { 32 };
        let found = Self {
            block_size: 1024 << scale,
            blocks: u64::from(le32(&bytes, 0x04)) | high,
            first_block: u64::from(le32(&bytes, 0x14)),
            blocks_per_group: u64::from(le32(&bytes, 0x20)),
            inodes_per_group: u64::from(le32(&bytes, 0x28)),
            inodes: u64::from(le32(&bytes, 0x00)),
            inode_size: if revision == 0 { 128 } else { u64::from(le16(&bytes, 0x58)) },
            descriptor_size,
            groups: 0,
            first_meta_group: u64::from(le32(&bytes, 0x104)),
            reserved_descriptors: u64::from(le16(&bytes, 0xce)),
            compat: le32(&bytes, 0x5c),
            incompat,
            ro_compat: le32(&bytes, 0x64),
            journal_inode: le32(&bytes, 0xe0),
            mmp_block: u64::from(le32(&bytes, 0x168)) | u64::from(le32(&bytes, 0x16c)) << 32,
            backups: [u64::from(le32(&bytes, 0x24c)), u64::from(le32(&bytes, 0x250))],
        };
        found.check(source.size())
    }

    /// Refuses what would make later arithmetic, loops or memory go beyond the size of the disk.
    fn check(mut self, size: u64) -> Result<Self, ReadError> {
        let bad = |what| Err(ReadError::Superblock(what));
        if self.blocks == 0 || self.blocks.checked_mul(self.block_size).is_none_or(|end| end > size)
        {
            return bad("the file system is larger than the disk");
        }
        if self.first_block >= self.blocks || self.first_block > 1 {
            return bad("the first block is not one of its blocks");
        }
        if self.blocks_per_group == 0 || self.inodes_per_group == 0 {
            return bad("groups are empty");
        }
        let sizes = 128..=self.block_size;
        if !self.inode_size.is_power_of_two() || !sizes.contains(&self.inode_size) {
            return bad("inodes have no size that can be");
        }
        let sizes = 32..=self.block_size.min(1024);
        if !self.descriptor_size.is_power_of_two() || !sizes.contains(&self.descriptor_size) {
            return bad("group descriptors have no size that can be");
        }
        self.groups = (self.blocks - self.first_block).div_ceil(self.blocks_per_group);
        // Each copy of them is in one group, so that all together are no more than the disk.
        if self.classic_descriptor_blocks() >= self.blocks_per_group {
            return bad("group descriptors are larger than a group");
        }
        let tables = self.groups.checked_mul(self.inode_table_blocks());
        if tables.is_none_or(|blocks| blocks > self.blocks) {
            return bad("inode tables are larger than the disk");
        }
        if self.inodes > self.groups * self.inodes_per_group || self.inodes < 2 {
            return bad("the number of inodes is not that of the groups");
        }
        Ok(self)
    }

    pub(super) fn inode_table_blocks(&self) -> u64 {
        (self.inodes_per_group * self.inode_size).div_ceil(self.block_size)
    }

    pub(super) fn descriptors_per_block(&self) -> u64 {
        self.block_size / self.descriptor_size
    }

    /// Blocks of all group descriptors.
    pub(super) fn descriptor_blocks(&self) -> u64 {
        self.groups.div_ceil(self.descriptors_per_block())
    }

    /// Those that are right behind the superblock, and behind each of its copies; of all others each is in its own groups.
    pub(super) fn classic_descriptor_blocks(&self) -> u64 {
        match self.incompat & META_BG {
            0 => self.descriptor_blocks(),
            _ => self.descriptor_blocks().min(self.first_meta_group),
        }
    }

    /// The first block of a group.
    pub(super) fn group_start(&self, group: u64) -> u64 {
        self.first_block + group * self.blocks_per_group
    }

    /// Whether this group begins with a copy of the superblock.
    pub(super) fn has_superblock(&self, group: u64) -> bool {
        if group == 0 {
            return true;
        }
        if self.compat & SPARSE_SUPER2 != 0 {
            return self.backups.contains(&group);
        }
        let power = |base: u64| std::iter::successors(Some(base), move |it| it.checked_mul(base));
        let is_power = |base| power(base).take_while(|it| *it <= group).any(|it| it == group);
        self.ro_compat & SPARSE_SUPER == 0 || group == 1 || [3, 5, 7].into_iter().any(is_power)
    }

    /// Whether a bit of the block bitmaps is a block, and not a cluster of them.
    pub(super) fn has_bit_per_block(&self) -> bool {
        self.ro_compat & BIGALLOC == 0
    }
}
