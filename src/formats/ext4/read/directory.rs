//! The names in a directory (Documentation/filesystems/ext4, "Directory Entries").
//!
//! Hash trees need no care: their nodes look like blocks with one unused entry.

use super::{
    super::super::source::{le16, le32},
    FileSystem, ReadError, damaged,
    inode::Inode,
};

/// A name and the inode that it leads to.
pub(super) type Name = (Vec<u8>, u32);

impl FileSystem<'_> {
    /// All names but `.` and `..`, and how many bytes were read for them.
    pub(super) fn names(&self, inode: &Inode) -> Result<(Vec<Name>, u64), ReadError> {
        inode.readable()?;
        let mut names = Vec::new();
        if inode.is_inline() {
            // First the inode above, instead of entries for it; the entries in the attribute begin anew.
            let bytes = self.inline(inode)?;
            let (first, rest) = bytes.split_at(bytes.len().min(inode.block.len()));
            read_entries(inode.number, first.get(4..).unwrap_or_default(), &mut names)?;
            read_entries(inode.number, rest, &mut names)?;
            return Ok((names, bytes.len() as u64));
        }
        let mut read = 0;
        let end = inode.size.div_ceil(self.superblock.block_size);
        for run in self.blocks_of(inode)?.runs {
            for index in 0..run.length {
                if run.written && run.logical + index < end {
                    read += self.superblock.block_size;
                    read_entries(inode.number, &self.block(run.physical + index)?, &mut names)?;
                }
            }
        }
        Ok((names, read))
    }
}

fn read_entries(inode: u32, block: &[u8], names: &mut Vec<Name>) -> Result<(), ReadError> {
    let bad = || damaged(inode, "it is a directory with an entry that is none");
    let mut rest = block;
    while rest.len() >= 8 {
        // In blocks of 64 KiB an entry over all of one has no length that fits.
        let length = match le16(rest, 4) {
            0 | 0xffff if block.len() == 1 << 16 => rest.len(),
            length => usize::from(length),
        };
        let name = usize::from(rest[6]);
        if length < 8 || length % 4 != 0 || length > rest.len() || 8 + name > length {
            return Err(bad());
        }
        let (entry, after) = rest.split_at(length);
        let (target, name) = (le32(entry, 0), &entry[8..8 + name]);
        if target != 0 && name != b"." && name != b".." {
            names.push((name.to_vec(), target));
        }
        rest = after;
    }
    Ok(())
}
