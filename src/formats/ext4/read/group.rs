//! Group descriptors (Documentation/filesystems/ext4, "Block Group Descriptors").

use super::{
    super::super::source::{le16, le32},
    FileSystem, ReadError,
    superblock::{BITS_64, META_BG},
};

/// Where a group keeps its things: blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) inode_table: u64,
    pub(super) flags: u16,
}

/// The group's inodes were never used, and their table may hold anything.
pub(super) const INODES_UNINITIALISED: u16 = 1;

impl FileSystem<'_> {
    /// The block with the descriptors from that of group `index * descriptors per block` on.
    pub(super) fn descriptor_block(&self, index: u64) -> u64 {
        let superblock = &self.superblock;
        if superblock.incompat & META_BG == 0 || index < superblock.first_meta_group {
            return superblock.first_block + 1 + index;
        }
        let group = index * superblock.descriptors_per_block();
        superblock.group_start(group) + u64::from(superblock.has_superblock(group))
    }

    pub(super) fn group(&self, group: u64) -> Result<Group, ReadError> {
        let superblock = &self.superblock;
        let per_block = superblock.descriptors_per_block();
        let size = superblock.descriptor_size;
        let start = self.descriptor_block(group / per_block) * superblock.block_size
            + group % per_block * size;
        let bytes = self.read(start..start + size)?;
        let wide = superblock.incompat & BITS_64 != 0 && size >= 64;
        let number = |low, high| {
            let high = if wide { u64::from(le32(&bytes, high)) << 32 } else { 0 };
            u64::from(le32(&bytes, low)) | high
        };
        let found = Group {
            block_bitmap: number(0x00, 0x20),
            inode_bitmap: number(0x04, 0x24),
            inode_table: number(0x08, 0x28),
            flags: le16(&bytes, 0x12),
        };
        let end = found.inode_table.saturating_add(superblock.inode_table_blocks());
        let bitmaps = [found.block_bitmap, found.inode_bitmap].map(|it| it.saturating_add(1));
        if bitmaps.into_iter().chain([end]).any(|end| end > superblock.blocks) {
            return Err(ReadError::Superblock("a group descriptor leads out of the disk"));
        }
        Ok(found)
    }
}
