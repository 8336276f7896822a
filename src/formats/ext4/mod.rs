//! An ext4 file system from a tree: the same tree and the same shape are the same bytes.
//!
//! First [`layout`] decides every block from the manifest, without reading any content. Then [`Layout::pieces`] tells
//! what is where, from the first byte to the last, holding no more than a few blocks at a time. What the file system
//! is called by (UUID, hash seed) follows from its content.
//!
//! Used are blocks of 4 KiB, extents, hash trees, checksums of all metadata, 64-bit numbers, inodes of 256 bytes, and one
//! flexible group with all bitmaps and inode tables at the front. Block groups are initialised, nothing is left for the
//! kernel to do in the background. The format is that of the kernel's Documentation/filesystems/ext4 (Linux 6.1).

mod alloc;
mod directory;
mod disk;
mod extent;
mod hash;
mod inode;
mod layout;
pub mod read;
mod size;
mod superblock;
mod write;
mod xattr;

pub use layout::{Layout, layout};
pub use xattr::BadXattr;

use std::fmt;

use crate::{path::GuestPath, tree::Time};

/// Version of the writer: the same version writes the same bytes, whatever else changes in vsbuild. Whoever changes the
/// bytes raises this, keeps the old ones for the old number, and adds a golden test.
pub const FORMAT: u32 = 1;

/// All that is not the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Version of the writer, [`FORMAT`] for the newest.
    pub version: u32,
    /// How large it is.
    pub size: Size,
    /// Inodes beyond those in use; rounded up to whole blocks of inodes in each group.
    pub spare_inodes: u64,
    /// Volume label, at most 16 bytes.
    pub label: String,
    /// Size of the journal in bytes, at least 4 MiB; none without.
    pub journal: Option<u64>,
    /// The time of the file system itself, and of lost+found.
    pub epoch: Time,
}

/// How large a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// So many bytes in all. The last few may be left over, as less than a block or than a useful group.
    Exact(u64),
    /// As large as its content needs, and at least so many bytes free.
    Free(u64),
}

/// Why a tree cannot be laid out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A version of the writer that this vsbuild does not have.
    #[error("there is no version {asked} of the ext4 writer; the newest here is {newest}")]
    Version {
        /// What was asked for.
        asked: u32,
        /// What there is.
        newest: u32,
    },
    /// The label is too long.
    #[error("the label `{label}` is longer than 16 bytes")]
    Label {
        /// The label.
        label: String,
    },
    /// The tree does not fit.
    #[error(
        "the content needs a file system of {}, and this one has {}; give the disk a larger `size`, or `free`",
        Mebibytes(*needed),
        Mebibytes(*have)
    )]
    Full {
        /// How large the file system must be, in bytes.
        needed: u64,
        /// How large it is, in bytes.
        have: u64,
    },
    /// There would be too many blocks, or too many inodes.
    #[error("the file system is too large: ext4 has at most 16 TiB here, and 4294967295 inodes")]
    TooLarge,
    /// A file has too many names.
    #[error("{path}: a file can have 65000 hard links")]
    TooManyLinks {
        /// The name that is too much.
        path: GuestPath,
    },
    /// A directory has too many names.
    #[error("{path}: too many names for a directory of ext4")]
    TooManyNames {
        /// The directory.
        path: GuestPath,
    },
    /// A file is too large.
    #[error("{path}: a file of ext4 has at most 16 TiB")]
    FileTooLarge {
        /// The file.
        path: GuestPath,
    },
    /// The time of the file system is out of range.
    #[error("the epoch is out of range: ext4 has times from 1901-12-13 to 2310-04-04 only")]
    Epoch,
    /// A time is out of range.
    #[error("{path}: ext4 has times from 1901-12-13 to 2310-04-04 only")]
    Time {
        /// The file.
        path: GuestPath,
    },
    /// Extended attributes do not fit.
    #[error("{path}: {source}")]
    Xattr {
        /// The file.
        path: GuestPath,
        /// Why not.
        source: BadXattr,
    },
    /// A journal that the kernel would refuse.
    #[error("a journal of {bytes} bytes is too small; the least is 4 MiB")]
    JournalTooSmall {
        /// What was asked for.
        bytes: u64,
    },
    /// The tree has what the file system makes itself.
    #[error("/lost+found is made with the file system; the tree must not have it")]
    LostAndFound,
}

/// Bytes as people read them, rounded up.
struct Mebibytes(u64);

impl fmt::Display for Mebibytes {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} MiB", self.0.div_ceil(1 << 20))
    }
}
