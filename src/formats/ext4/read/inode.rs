//! Inodes as they lie on a disk (Documentation/filesystems/ext4, "Index Nodes").

use super::{
    super::{
        super::source::{le16, le32},
        disk::mode,
    },
    FileSystem, ReadError, damaged,
};
use crate::tree::{Device, Time};

pub(super) const ROOT: u32 = 2;
pub(super) const RESIZE: u32 = 7;
pub(super) const EXTENTS: u32 = 0x8_0000;
pub(super) const INLINE_DATA: u32 = 0x1000_0000;
const ENCRYPTED: u32 = 0x800;
const COMPRESSED: u32 = 0x4;
/// Bytes of every inode; what follows is there if inodes are larger.
const OLD: usize = 128;

/// One inode.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    pub(super) number: u32,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) links: u16,
    pub(super) mtime: Time,
    pub(super) flags: u32,
    /// The first block with attributes; none if 0.
    pub(super) xattr_block: u64,
    /// Where blocks are, a short link's target, a device's number, or the first data of a file.
    pub(super) block: [u8; 60],
    /// What follows the extra fields.
    pub(super) rest: Vec<u8>,
}

impl FileSystem<'_> {
    pub(super) fn inode(&self, number: u32) -> Result<Inode, ReadError> {
        let superblock = &self.superblock;
        if number == 0 || u64::from(number) > superblock.inodes {
            return Err(damaged(number, "there is no such inode"));
        }
        let index = u64::from(number - 1);
        let group = self.group(index / superblock.inodes_per_group)?;
        let start = group.inode_table * superblock.block_size
            + index % superblock.inodes_per_group * superblock.inode_size;
        Ok(Inode::parse(number, &self.read(start..start + superblock.inode_size)?))
    }
}

impl Inode {
    fn parse(number: u32, bytes: &[u8]) -> Self {
        let mode = le16(bytes, 0x00);
        let regular = mode & 0o170_000 == mode::REGULAR;
        let high = if regular { u64::from(le32(bytes, 0x6c)) << 32 } else { 0 };
        let extra = if bytes.len() > OLD { usize::from(le16(bytes, 0x80)) } else { 0 };
        let mut block = [0; 60];
        block.copy_from_slice(&bytes[0x28..0x64]);
        // Two more bits of seconds, then nanoseconds, where there is room for them.
        let more = if extra >= 12 { le32(bytes, 0x88) } else { 0 };
        let seconds = i64::from(le32(bytes, 0x10) as i32) + (i64::from(more & 3) << 32);
        Self {
            number,
            mode,
            uid: u32::from(le16(bytes, 0x02)) | u32::from(le16(bytes, 0x78)) << 16,
            gid: u32::from(le16(bytes, 0x18)) | u32::from(le16(bytes, 0x7a)) << 16,
            size: u64::from(le32(bytes, 0x04)) | high,
            links: le16(bytes, 0x1a),
            mtime: Time { seconds, nanos: more >> 2 },
            flags: le32(bytes, 0x20),
            xattr_block: u64::from(le32(bytes, 0x68)) | u64::from(le16(bytes, 0x76)) << 32,
            block,
            rest: bytes.get(OLD + extra..).unwrap_or_default().to_vec(),
        }
    }

    /// The file type in its mode.
    pub(super) fn kind(&self) -> u16 {
        self.mode & 0o170_000
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind() == mode::DIRECTORY
    }

    pub(super) fn is_inline(&self) -> bool {
        self.flags & INLINE_DATA != 0
    }

    /// Whether its block field holds the target of the link itself.
    pub(super) fn is_short_link(&self) -> bool {
        self.kind() == mode::SYMLINK
            && self.size < self.block.len() as u64
            && self.flags & (EXTENTS | INLINE_DATA) == 0
    }

    /// Whether it has blocks of content.
    pub(super) fn has_blocks(&self) -> bool {
        let kind = [mode::REGULAR, mode::DIRECTORY, mode::SYMLINK].contains(&self.kind());
        // Some reserved inodes have blocks and no type.
        (kind || self.kind() == 0) && !self.is_inline() && !self.is_short_link()
    }

    /// The number of a device: the old form is in the first word, the new one in the second (include/linux/kdev_t.h).
    pub(super) fn device(&self) -> Device {
        let (old, new) = (le32(&self.block, 0), le32(&self.block, 4));
        if old != 0 {
            return Device { major: old >> 8 & 0xff, minor: old & 0xff };
        }
        Device { major: new >> 8 & 0xfff, minor: new & 0xff | new >> 12 & 0xf_ff00 }
    }

    /// Refuses what only a key or an old patch can read.
    pub(super) fn readable(&self) -> Result<(), ReadError> {
        match self.flags & (ENCRYPTED | COMPRESSED) {
            0 => Ok(()),
            _ => Err(damaged(self.number, "it is encrypted or compressed")),
        }
    }
}
