//! The bytes of a file.

use std::io::{self, Read};

use super::{FileSystem, ReadError, blocks::Run, damaged, inode::Inode, xattr::INLINE};

/// Reads one file from its first byte to its last.
pub struct FileReader<'f> {
    system: &'f FileSystem<'f>,
    size: u64,
    at: u64,
    bytes: Bytes,
}

enum Bytes {
    /// In the inode.
    Inline(Vec<u8>),
    /// In blocks; with them the place of the next one to read.
    Blocks(Vec<Run>, usize),
}

impl FileSystem<'_> {
    /// The content of the file with this inode, as [`Found::inodes`](super::Found::inodes) names it.
    pub fn open_file(&self, inode: u32) -> Result<FileReader<'_>, ReadError> {
        self.reader(&self.inode(inode)?)
    }

    pub(super) fn reader(&self, inode: &Inode) -> Result<FileReader<'_>, ReadError> {
        inode.readable()?;
        let bytes = if inode.is_inline() {
            Bytes::Inline(self.inline(inode)?)
        } else {
            Bytes::Blocks(self.blocks_of(inode)?.runs, 0)
        };
        Ok(FileReader { system: self, size: inode.size, at: 0, bytes })
    }

    /// Data that is in the inode: in the place of its block map, and the rest in an attribute.
    pub(super) fn inline(&self, inode: &Inode) -> Result<Vec<u8>, ReadError> {
        let mut bytes = inode.block.to_vec();
        if let Some(rest) = self.xattrs(inode)?.remove(INLINE) {
            bytes.extend(rest);
        }
        if inode.size > bytes.len() as u64 {
            return Err(damaged(inode.number, "the data in it is too short"));
        }
        bytes.truncate(inode.size as usize);
        Ok(bytes)
    }
}

impl FileReader<'_> {
    /// Goes on at this byte of the file, or at its end.
    pub fn skip_to(&mut self, at: u64) {
        self.at = at.min(self.size);
        if let Bytes::Blocks(_, next) = &mut self.bytes {
            *next = 0;
        }
    }

    /// Where the stretch from here on ends, and where its data is on the disk; none for a hole.
    fn stretch(&mut self) -> (u64, Option<u64>) {
        let size = self.system.superblock.block_size;
        let Bytes::Blocks(runs, next) = &mut self.bytes else { return (self.size, None) };
        while let Some(run) = runs.get(*next) {
            let (start, end) = (run.logical * size, (run.logical + run.length) * size);
            if end <= self.at {
                *next += 1;
            } else if start > self.at {
                return (start.min(self.size), None);
            } else {
                let place = run.physical * size + (self.at - start);
                return (end.min(self.size), run.written.then_some(place));
            }
        }
        (self.size, None)
    }
}

impl Read for FileReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size - self.at;
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        if let Bytes::Inline(bytes) = &self.bytes {
            let rest = bytes.get(self.at as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            self.at += count as u64;
            return Ok(count);
        }
        let (end, place) = self.stretch();
        let count = (end - self.at).min(buffer.len() as u64) as usize;
        match place {
            Some(place) => self.system.source.read_at(place, &mut buffer[..count])?,
            None => buffer[..count].fill(0),
        }
        self.at += count as u64;
        Ok(count)
    }
}
