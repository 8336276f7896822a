//! A file tree as a value: the manifest that becomes a digest, a layer or an image.
//!
//! A [`Tree`] is the only source of ownership, modes and times in vsbuild: nothing of the host gets in. It is made
//! by finishing a [`Draft`], which checks it whole; so who holds a `Tree` may rely on this: the root is a directory,
//! every parent is present and a directory, and a hard link names the file that owns the inode, which is the first
//! of its paths in order. File content is not held here but named by digest; [`Blobs`] brings it.

mod blobs;
mod content;
mod diff;
mod draft;
mod encode;
mod merge;
mod part;

use std::collections::BTreeMap;

pub use blobs::{BlobSink, Blobs, MemoryBlobs};
pub use content::{Content, ContentHasher, HOLE_MIN, HOLE_UNIT, Hole};
pub use diff::{Change, Difference, diff};
pub use draft::{Draft, Fault};
pub use encode::{BadManifest, FORMAT};
pub use merge::{Conflict, Layer, merge};

use crate::path::GuestPath;

/// A whole, checked file tree. Cheap to read, never changed; see [`Tree::to_draft`] for a changed copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<GuestPath, Node>,
}

impl Tree {
    /// Every path with its node in the order of paths: a directory before what it holds, the root first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&GuestPath, &Node)> {
        self.nodes.iter()
    }

    /// The node at `path`.
    pub fn get(&self, path: &GuestPath) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The inode at `path`, through a hard link if there is one.
    pub fn inode(&self, path: &GuestPath) -> Option<&Inode> {
        match self.nodes.get(path)? {
            Node::Inode(inode) => Some(inode),
            Node::HardLink(owner) => self.inode(owner),
        }
    }

    /// The content of the regular file at `path`, through a hard link if there is one.
    pub fn content(&self, path: &GuestPath) -> Option<&Content> {
        match self.inode(path)? {
            Inode { kind: Kind::File(content), .. } => Some(content),
            Inode { .. } => None,
        }
    }

    /// How many paths there are, the root included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// The contents of all regular files, hard links counted once; a content that several files share comes as often.
    pub fn contents(&self) -> impl Iterator<Item = &Content> {
        self.nodes.values().filter_map(|node| match node {
            Node::Inode(Inode { kind: Kind::File(content), .. }) => Some(content),
            Node::Inode(_) | Node::HardLink(_) => None,
        })
    }

    /// A copy to change.
    pub fn to_draft(&self) -> Draft {
        Draft::from_nodes(self.nodes.clone())
    }
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A file of any kind of its own.
    Inode(Inode),
    /// One more name of the non-directory at this path.
    HardLink(GuestPath),
}

/// A file of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// Owner, mode, time, extended attributes.
    pub meta: Meta,
    /// What it is, and its content.
    pub kind: Kind,
}

/// What every inode has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with set-uid, set-gid and sticky: `0o0000` to `0o7777`.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of the last change of content.
    pub mtime: Time,
    /// Extended attributes by full name (`user.x`, `security.capability`, `system.posix_acl_access`), values raw
    /// as the kernel's `getxattr` gives them.
    pub xattrs: BTreeMap<Box<[u8]>, Box<[u8]>>,
}

impl Meta {
    /// Root's, with no extended attributes.
    pub fn root_owned(mode: u16, mtime: Time) -> Self {
        Self { mode, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new() }
    }
}

/// A point in time: seconds since 1970-01-01 UTC and nanoseconds after them (always forward, 0 to 999,999,999).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds after them.
    pub nanos: u32,
}

impl Time {
    /// A whole second.
    pub fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }
}

/// The kinds of file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory; what it holds are the nodes below it.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link with its target: 1 to 4095 bytes, no NUL.
    Symlink(Box<[u8]>),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// The number of a device: major below 2^12, minor below 2^20, as Linux has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}
