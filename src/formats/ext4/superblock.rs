//! The superblock, and the journal's (Documentation/filesystems/ext4, "Super Block", "Journal").

use super::{
    disk::{
        BLOCK, BLOCK_SIZE, BLOCKS_PER_GROUP, DESCRIPTOR, Fields, INODE, JOURNAL_INODE,
        LOST_AND_FOUND_INODE, SUPERBLOCK, checksum, feature, high32, low16, low32,
    },
    inode::BLOCK_FIELD,
    layout::{Layout, Space},
};

/// What is counted over all groups.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) free_blocks: u64,
    pub(super) free_inodes: u64,
}

impl Layout<'_> {
    /// The superblock as the copy in this group has it.
    pub(super) fn superblock(&self, group: u64, totals: Totals) -> Vec<u8> {
        let geometry = &self.geometry;
        let epoch = self.shape.epoch.seconds as u64;
        let mut bytes = vec![0; SUPERBLOCK];
        bytes.put32(0x00, low32(geometry.inodes_per_group * geometry.groups));
        bytes.put32(0x04, low32(geometry.blocks));
        bytes.put32(0x0c, low32(totals.free_blocks));
        bytes.put32(0x10, low32(totals.free_inodes));
        // The size of a block, and of a cluster, as powers of two above 1024.
        bytes.put32(0x18, 2);
        bytes.put32(0x1c, 2);
        bytes.put32(0x20, BLOCKS_PER_GROUP as u32);
        bytes.put32(0x24, BLOCKS_PER_GROUP as u32);
        bytes.put32(0x28, low32(geometry.inodes_per_group));
        bytes.put32(0x30, low32(epoch));
        // Never mounted, and no check due after any number of mounts.
        bytes.put16(0x36, u16::MAX);
        bytes.put16(0x38, 0xef53);
        // Cleanly unmounted; on errors go on.
        bytes.put16(0x3a, 1);
        bytes.put16(0x3c, 1);
        bytes.put32(0x40, low32(epoch));
        bytes.put32(0x4c, 1);
        bytes.put32(0x54, LOST_AND_FOUND_INODE);
        bytes.put16(0x58, INODE as u16);
        bytes.put16(0x5a, low16(low32(group)));
        self.put_features(&mut bytes);
        bytes.put(0x68, &self.uuid);
        bytes.put(0x78, self.shape.label.as_bytes());
        for (index, word) in self.hash_seed.iter().enumerate() {
            bytes.put32(0xec + 4 * index, *word);
        }
        // Half of MD4.
        bytes[0xfc] = 1;
        bytes.put16(0xfe, DESCRIPTOR as u16);
        // User attributes and access control lists without a mount option.
        bytes.put32(0x100, 0xc);
        bytes.put32(0x108, low32(epoch));
        bytes.put32(0x150, high32(geometry.blocks));
        bytes.put32(0x158, high32(totals.free_blocks));
        // Fields beyond the first 128 bytes that every inode has, and should have.
        bytes.put16(0x15c, 32);
        bytes.put16(0x15e, 32);
        // Hashes of names with signed bytes.
        bytes.put32(0x160, 1);
        // One flexible group over all groups, as a power of two.
        bytes[0x174] = geometry.groups.max(2).next_power_of_two().ilog2() as u8;
        // Checksums are crc32c.
        bytes[0x175] = 1;
        // Upper bytes of the times of writing, making and checking.
        for at in [0x274, 0x276, 0x277] {
            bytes[at] = (high32(epoch) & 0xff) as u8;
        }
        bytes.put32(0x270, self.checksum_seed());
        if let Some(journal) = &self.journal {
            self.put_journal(&mut bytes, journal);
        }
        let sum = checksum(!0, &bytes[..0x3fc]);
        bytes.put32(0x3fc, sum);
        bytes
    }

    fn put_features(&self, bytes: &mut [u8]) {
        use feature::*;
        let journal = if self.journal.is_some() { COMPAT_HAS_JOURNAL } else { 0 };
        bytes.put32(0x5c, journal | COMPAT_EXT_ATTR | COMPAT_DIR_INDEX);
        let incompatible = INCOMPAT_FILETYPE
            | INCOMPAT_EXTENTS
            | INCOMPAT_64BIT
            | INCOMPAT_FLEX_BG
            | INCOMPAT_CSUM_SEED;
        bytes.put32(0x60, incompatible);
        let read_only_compatible = RO_COMPAT_SPARSE_SUPER
            | RO_COMPAT_LARGE_FILE
            | RO_COMPAT_HUGE_FILE
            | RO_COMPAT_DIR_NLINK
            | RO_COMPAT_EXTRA_ISIZE
            | RO_COMPAT_METADATA_CSUM;
        bytes.put32(0x64, read_only_compatible);
    }

    /// Which inode has the journal, and a copy of where its blocks are, in case that inode is lost.
    fn put_journal(&self, bytes: &mut [u8], journal: &Space) {
        bytes.put32(0xe0, JOURNAL_INODE);
        bytes[0xfd] = 1;
        if let Some(inode) = self.inode(JOURNAL_INODE) {
            bytes.put(0x10c, &inode[BLOCK_FIELD..BLOCK_FIELD + 60]);
        }
        let size = journal.blocks * BLOCK_SIZE;
        bytes.put32(0x10c + 60, high32(size));
        bytes.put32(0x10c + 64, low32(size));
    }

    /// The first block of an empty journal (jbd2). Its numbers are big-endian.
    pub(super) fn journal_superblock(&self, journal: &Space) -> Vec<u8> {
        let mut bytes = vec![0; BLOCK];
        let mut put = |at: usize, value: u32| bytes.put(at, &value.to_be_bytes());
        put(0x00, 0xc03b_3998);
        // A superblock of version 2.
        put(0x04, 4);
        put(0x0c, BLOCK as u32);
        put(0x10, low32(journal.blocks));
        // Records begin in block 1 with number 1; none is there.
        put(0x14, 1);
        put(0x18, 1);
        // One file system uses it.
        put(0x40, 1);
        bytes.put(0x30, &self.uuid);
        bytes
    }
}
