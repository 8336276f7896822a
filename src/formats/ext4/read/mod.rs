//! Reads ext2, ext3 and ext4 as anybody may have made them, and says what every byte of them is for.
//!
//! Blocks of 1 to 64 KiB, with extents or block maps, 32 or 64 bits, flexible or meta block groups, hash trees, data and
//! attributes in inodes, blocks or inodes of their own. Nothing of an image is believed: every number is checked before it
//! is used, every block of metadata is read once, and what is read of all files together is bounded. Checksums are not
//! checked, since a difference is to be told of damaged images too, and a journal is not replayed: see
//! [`FileSystem::needs_recovery`]. Compressed and encrypted files are refused.

mod blocks;
mod content;
mod directory;
mod fields;
mod group;
mod inode;
mod map;
mod superblock;
mod tree;
mod xattr;

use std::{cell::Cell, io, ops::Range};

pub use content::FileReader;
pub use fields::Field;
pub use map::{Map, Owner, Place};
pub use tree::Found;

use super::super::source::Source;
use crate::{path::BadPath, tree::Fault};
use superblock::Superblock;

/// A file system that is open for reading.
pub struct FileSystem<'s> {
    source: &'s dyn Source,
    superblock: Superblock,
    /// How many blocks of block maps were read so far. Files of a damaged image may share them, so that each looks small.
    nodes: Cell<u64>,
}

/// Why a file system cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk failed, or ends too early.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There is no superblock.
    #[error("there is no ext2, ext3 or ext4 file system")]
    NoSuperblock,
    /// The superblock says what cannot be.
    #[error("the superblock is damaged: {0}")]
    Superblock(&'static str),
    /// It has features that are not read here.
    #[error("the file system has features that are not read here: {0}")]
    Features(String),
    /// An inode, or what it leads to, is damaged.
    #[error("inode {inode} is damaged: {what}")]
    Inode {
        /// Which.
        inode: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A name that cannot be.
    #[error("directory inode {inode} has a name that cannot be")]
    Name {
        /// Which directory.
        inode: u32,
        /// What is wrong with the name.
        source: BadPath,
    },
    /// More content than such a disk can be meant to have.
    #[error(
        "the files are said to be longer than {limit} bytes together, which is too much for this disk"
    )]
    TooMuch {
        /// How much is read at most, in bytes.
        limit: u64,
    },
    /// The names make no tree.
    #[error("the names make no tree")]
    NoTree(#[from] Fault),
}

impl<'s> FileSystem<'s> {
    /// Reads the superblock.
    pub fn open(source: &'s dyn Source) -> Result<Self, ReadError> {
        Ok(Self { source, superblock: Superblock::read(source)?, nodes: Cell::new(0) })
    }

    /// Whether a source begins like a file system that [`FileSystem::open`] might take.
    pub fn is_there(source: &dyn Source) -> bool {
        let mut magic = [0; 2];
        source.read_at(1024 + 0x38, &mut magic).is_ok() && magic == [0x53, 0xef]
    }

    /// Whether the journal holds changes that are not in their places yet. They are not seen here.
    pub fn needs_recovery(&self) -> bool {
        self.superblock.incompat & superblock::RECOVER != 0
    }

    /// Bytes of a block.
    pub fn block_size(&self) -> u64 {
        self.superblock.block_size
    }

    /// Bytes of the file system; the source may be longer.
    pub fn size(&self) -> u64 {
        self.superblock.blocks * self.superblock.block_size
    }

    fn read(&self, bytes: Range<u64>) -> Result<Vec<u8>, ReadError> {
        let length = bytes.end.saturating_sub(bytes.start);
        if bytes.end > self.size() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let mut read = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.source.read_at(bytes.start, &mut read)?;
        Ok(read)
    }

    fn block(&self, block: u64) -> Result<Vec<u8>, ReadError> {
        let size = self.superblock.block_size;
        let start = block.saturating_mul(size);
        self.read(start..start.saturating_add(size))
    }
}

fn damaged(inode: u32, what: &'static str) -> ReadError {
    ReadError::Inode { inode, what }
}

#[cfg(test)]
mod tests;
