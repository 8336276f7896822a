//! The structures of ext4 as they lie on a disk, and nothing of what is done with them.
//!
//! Names and offsets are those of the kernel's Documentation/filesystems/ext4 (Linux 6.1). All numbers are little-endian.

/// Bytes in a block.
pub(super) const BLOCK: usize = 4096;
/// The same, for arithmetic with offsets.
pub(super) const BLOCK_SIZE: u64 = BLOCK as u64;
/// Blocks in a group: as many as one block of bitmap has bits.
pub(super) const BLOCKS_PER_GROUP: u64 = 8 * BLOCK_SIZE;
/// Bytes of an inode.
pub(super) const INODE: usize = 256;
/// Inodes in a block.
pub(super) const INODES_PER_BLOCK: u64 = (BLOCK / INODE) as u64;
/// Bytes of a group descriptor with the feature 64bit.
pub(super) const DESCRIPTOR: usize = 64;
/// Bytes of the superblock, and its offset in the first block.
pub(super) const SUPERBLOCK: usize = 1024;

/// Inode of the root directory.
pub(super) const ROOT_INODE: u32 = 2;
/// Inode of the journal.
pub(super) const JOURNAL_INODE: u32 = 8;
/// Inode of lost+found, the first that is not reserved.
pub(super) const LOST_AND_FOUND_INODE: u32 = 11;

/// Most links to an inode that is no directory (EXT4_LINK_MAX).
pub(super) const LINK_MAX: u32 = 65_000;

/// Feature flags of the superblock.
pub(super) mod feature {
    pub(in super::super) const COMPAT_HAS_JOURNAL: u32 = 0x4;
    pub(in super::super) const COMPAT_EXT_ATTR: u32 = 0x8;
    pub(in super::super) const COMPAT_DIR_INDEX: u32 = 0x20;
    pub(in super::super) const INCOMPAT_FILETYPE: u32 = 0x2;
    pub(in super::super) const INCOMPAT_EXTENTS: u32 = 0x40;
    pub(in super::super) const INCOMPAT_64BIT: u32 = 0x80;
    pub(in super::super) const INCOMPAT_FLEX_BG: u32 = 0x200;
    pub(in super::super) const INCOMPAT_CSUM_SEED: u32 = 0x2000;
    pub(in super::super) const RO_COMPAT_SPARSE_SUPER: u32 = 0x1;
    pub(in super::super) const RO_COMPAT_LARGE_FILE: u32 = 0x2;
    pub(in super::super) const RO_COMPAT_HUGE_FILE: u32 = 0x8;
    pub(in super::super) const RO_COMPAT_DIR_NLINK: u32 = 0x20;
    pub(in super::super) const RO_COMPAT_EXTRA_ISIZE: u32 = 0x40;
    pub(in super::super) const RO_COMPAT_METADATA_CSUM: u32 = 0x400;
}

/// The file type in `i_mode`.
pub(super) mod mode {
    pub(in super::super) const FIFO: u16 = 0o010_000;
    pub(in super::super) const CHAR_DEVICE: u16 = 0o020_000;
    pub(in super::super) const DIRECTORY: u16 = 0o040_000;
    pub(in super::super) const BLOCK_DEVICE: u16 = 0o060_000;
    pub(in super::super) const REGULAR: u16 = 0o100_000;
    pub(in super::super) const SYMLINK: u16 = 0o120_000;
    pub(in super::super) const SOCKET: u16 = 0o140_000;
}

/// Flags in `i_flags`.
pub(super) mod inode_flag {
    /// The directory has a hash tree.
    pub(in super::super) const INDEX: u32 = 0x1000;
    /// The blocks are named by extents.
    pub(in super::super) const EXTENTS: u32 = 0x8_0000;
}

/// Bytes to be filled by offset.
pub(super) trait Fields {
    /// Writes a number of 16 bits.
    fn put16(&mut self, at: usize, value: u16);
    /// Writes a number of 32 bits.
    fn put32(&mut self, at: usize, value: u32);
    /// Writes bytes as they are.
    fn put(&mut self, at: usize, bytes: &[u8]);
}

impl Fields for [u8] {
    fn put16(&mut self, at: usize, value: u16) {
        self.put(at, &value.to_le_bytes());
    }

    fn put32(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// The lower 32 bits.
pub(super) fn low32(value: u64) -> u32 {
    (value & u64::from(u32::MAX)) as u32
}

/// The upper 32 bits.
pub(super) fn high32(value: u64) -> u32 {
    (value >> 32) as u32
}

/// The lower 16 bits.
pub(super) fn low16(value: u32) -> u16 {
    (value & 0xffff) as u16
}

/// The upper 16 bits.
pub(super) fn high16(value: u32) -> u16 {
    (value >> 16) as u16
}

/// A checksum of metadata: crc32c going on from `seed`, without the inversion at both ends that is usual elsewhere.
pub(super) fn checksum(seed: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, bytes)
}
