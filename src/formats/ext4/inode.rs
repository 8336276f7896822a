//! Inodes (Documentation/filesystems/ext4, "Inode Table").

use super::{
    disk::{
        BLOCK_SIZE, Fields, INODE, JOURNAL_INODE, LINK_MAX, LOST_AND_FOUND_INODE, checksum, high16,
        high32, inode_flag, low16, low32, mode,
    },
    extent,
    layout::{Layout, Planned, Space, is_short, number, stored_xattrs},
};
use crate::tree::{Device, Kind, Meta, Time};

/// Where the blocks, or what stands in their place, begin in an inode.
pub(super) const BLOCK_FIELD: usize = 0x28;
/// Bytes of the fields beyond the first 128.
const EXTRA: u16 = 32;

/// What an inode says, but for its blocks.
struct Facts {
    mode: u16,
    uid: u32,
    gid: u32,
    links: u16,
    size: u64,
    flags: u32,
    time: Time,
}

impl Layout<'_> {
    /// The inode with this number; none if it is not in use.
    pub(super) fn inode(&self, inode: u32) -> Option<[u8; INODE]> {
        let root_number = number(0);
        if inode == root_number {
            return self.inodes.first().map(|planned| self.planned_inode(inode, planned));
        }
        match inode {
            JOURNAL_INODE => self.journal.as_ref().map(|journal| self.journal_inode(journal)),
            LOST_AND_FOUND_INODE => Some(self.lost_and_found_inode()),
            _ => {
                let place = inode.checked_sub(LOST_AND_FOUND_INODE)? as usize;
                self.inodes.get(place).map(|planned| self.planned_inode(inode, planned))
            }
        }
    }

    fn lost_and_found_inode(&self) -> [u8; INODE] {
        let space = Space { extents: 0..1, index_blocks: 0..0, blocks: 1 };
        let facts = Facts {
            mode: mode::DIRECTORY | 0o700,
            uid: 0,
            gid: 0,
            links: 2,
            size: BLOCK_SIZE,
            flags: inode_flag::EXTENTS,
            time: self.shape.epoch,
        };
        self.finish(LOST_AND_FOUND_INODE, &facts, Some(&space), &[], &[], 0)
    }

    fn journal_inode(&self, space: &Space) -> [u8; INODE] {
        let facts = Facts {
            mode: mode::REGULAR | 0o600,
            uid: 0,
            gid: 0,
            links: 1,
            size: space.blocks * BLOCK_SIZE,
            flags: inode_flag::EXTENTS,
            time: self.shape.epoch,
        };
        self.finish(JOURNAL_INODE, &facts, Some(space), &[], &[], 0)
    }

    fn planned_inode(&self, inode: u32, planned: &Planned<'_>) -> [u8; INODE] {
        let Meta { mode: bits, uid, gid, mtime, .. } = planned.inode.meta;
        let (kind, size, instead): (u16, u64, Vec<u8>) = match &planned.inode.kind {
            Kind::Directory => {
                (mode::DIRECTORY, u64::from(planned.directory_blocks) * BLOCK_SIZE, Vec::new())
            }
            Kind::File(content) => (mode::REGULAR, content.size, Vec::new()),
            Kind::Symlink(target) if is_short(target) => {
                (mode::SYMLINK, target.len() as u64, target.to_vec())
            }
            Kind::Symlink(target) => (mode::SYMLINK, target.len() as u64, Vec::new()),
            Kind::CharDevice(device) => (mode::CHAR_DEVICE, 0, device_number(*device)),
            Kind::BlockDevice(device) => (mode::BLOCK_DEVICE, 0, device_number(*device)),
            Kind::Fifo => (mode::FIFO, 0, vec![0]),
            Kind::Socket => (mode::SOCKET, 0, vec![0]),
        };
        let has_extents = instead.is_empty();
        let hashed = planned.directory_blocks > 1;
        let facts = Facts {
            mode: kind | bits,
            uid,
            gid,
            // A directory with too many directories in it says 1 (dir_nlink).
            links: if planned.links > LINK_MAX { 1 } else { low16(planned.links) },
            size,
            flags: if has_extents { inode_flag::EXTENTS } else { 0 }
                | if hashed { inode_flag::INDEX } else { 0 },
            time: mtime,
        };
        // Attributes were checked when the layout was made.
        let inline = stored_xattrs(planned.inode).map(|stored| stored.inline).unwrap_or_default();
        let space = has_extents.then_some(&planned.space);
        self.finish(inode, &facts, space, &instead, &inline, planned.xattr_block)
    }

    fn finish(
        &self,
        inode: u32,
        facts: &Facts,
        space: Option<&Space>,
        instead: &[u8],
        inline: &[u8],
        xattr_block: u64,
    ) -> [u8; INODE] {
        let Facts { mode, uid, gid, links, size, flags, time } = *facts;
        let seed = self.inode_seed(inode);
        let mut bytes = [0; INODE];
        let mut blocks = u64::from(xattr_block != 0);
        bytes.put(BLOCK_FIELD, instead);
        if let Some(space) = space {
            let index_blocks = &self.index_blocks[space.index_blocks.clone()];
            let (root, _) = extent::tree(&self.extents[space.extents.clone()], index_blocks, seed);
            bytes.put(BLOCK_FIELD, &root);
            blocks += space.blocks + index_blocks.len() as u64;
        }
        // In units of 512 bytes, whatever the size of a block.
        let sectors = blocks * (BLOCK_SIZE / 512);
        bytes.put16(0x00, mode);
        bytes.put16(0x02, low16(uid));
        bytes.put32(0x04, low32(size));
        bytes.put16(0x18, low16(gid));
        bytes.put16(0x1a, links);
        bytes.put32(0x1c, low32(sectors));
        bytes.put32(0x20, flags);
        bytes.put32(0x68, low32(xattr_block));
        bytes.put32(0x6c, high32(size));
        bytes.put16(0x74, low16(high32(sectors)));
        bytes.put16(0x76, low16(high32(xattr_block)));
        bytes.put16(0x78, high16(uid));
        bytes.put16(0x7a, high16(gid));
        bytes.put16(0x80, EXTRA);
        // Access, change of the inode, modification, creation; the second place has nanoseconds and two more bits of seconds.
        for (seconds, more) in [(0x08, 0x8c), (0x0c, 0x84), (0x10, 0x88), (0x90, 0x94)] {
            let (low, high) = encode_time(time);
            bytes.put32(seconds, low);
            bytes.put32(more, high);
        }
        bytes.put(128 + usize::from(EXTRA), inline);
        let sum = checksum(seed, &bytes);
        bytes.put16(0x7c, low16(sum));
        bytes.put16(0x82, high16(sum));
        bytes
    }
}

/// Seconds as 32 bits with a sign, then two bits above them below 30 bits of nanoseconds.
fn encode_time(time: Time) -> (u32, u32) {
    let low = low32(time.seconds as u64);
    let above = (time.seconds - i64::from(low as i32)) >> 32;
    (low, (above as u32 & 3) | time.nanos << 2)
}

/// A device number: the old form of 16 bits where it fits, else the new one of 32 in the second word.
fn device_number(device: Device) -> Vec<u8> {
    let Device { major, minor } = device;
    if major < 256 && minor < 256 {
        (major << 8 | minor).to_le_bytes().to_vec()
    } else {
        let new = (minor & 0xff) | major << 8 | (minor & !0xff) << 12;
        [[0; 4], new.to_le_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_34_bits_of_seconds() {
        let encode = |seconds, nanos| encode_time(Time { seconds, nanos });
        assert_eq!(encode(0, 0), (0, 0));
        assert_eq!(encode(-1, 5), (u32::MAX, 5 << 2));
        assert_eq!(encode(-(1 << 31), 0), (1 << 31, 0));
        assert_eq!(encode(1 << 31, 0), (1 << 31, 1));
        assert_eq!(encode(1 << 32, 0), (0, 1));
        assert_eq!(encode((1 << 34) - (1 << 31) - 1, 0), ((1 << 31) - 1, 3));
    }
}
