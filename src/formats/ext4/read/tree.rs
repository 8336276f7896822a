//! A file system as a tree.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{disk::mode, layout::LOST_AND_FOUND},
    FileSystem, ReadError, damaged,
    inode::{Inode as Raw, ROOT},
    xattr::INLINE,
};
use crate::{
    path::GuestPath,
    tree::{BlobSink, Draft, Inode, Kind, Meta, Node, Tree},
};

/// How many times the size of the disk all files together may be long: they may have holes, but a disk that claims more is
/// damaged, and reading it would take for ever.
const CONTENT_PER_SIZE: u64 = 64;

/// What is in a file system.
#[derive(Debug, Clone)]
pub struct Found {
    /// The tree. An empty `/lost+found` is left out: it is made with the file system.
    pub tree: Tree,
    /// The inode of every path, those of hard links included.
    pub inodes: BTreeMap<GuestPath, u32>,
}

impl FileSystem<'_> {
    /// Reads everything; contents go to `sink`.
    pub fn tree(&self, sink: &dyn BlobSink) -> Result<Found, ReadError> {
        let mut walk = Walk {
            system: self,
            sink,
            draft: Draft::default(),
            inodes: BTreeMap::new(),
            owners: BTreeMap::new(),
            directories: BTreeSet::new(),
            content: 0,
            names: 0,
            paths: 0,
        };
        walk.all()?;
        Ok(Found { tree: walk.draft.finish()?, inodes: walk.inodes })
    }
}

struct Walk<'w> {
    system: &'w FileSystem<'w>,
    sink: &'w dyn BlobSink,
    draft: Draft,
    inodes: BTreeMap<GuestPath, u32>,
    /// The first name of every file.
    owners: BTreeMap<u32, GuestPath>,
    directories: BTreeSet<u32>,
    /// Bytes of contents and of attributes.
    content: u64,
    /// Bytes of directories.
    names: u64,
    /// Bytes of all paths.
    paths: u64,
}

impl Walk<'_> {
    fn all(&mut self) -> Result<(), ReadError> {
        let mut waiting = vec![(GuestPath::root(), ROOT)];
        while let Some((path, number)) = waiting.pop() {
            if self.inodes.contains_key(&path) {
                return Err(damaged(number, "two things have its name"));
            }
            if let Some(owner) = self.owners.get(&number) {
                self.draft.insert(path.clone(), Node::HardLink(owner.clone()));
                self.inodes.insert(path, number);
                continue;
            }
            let raw = self.system.inode(number)?;
            if path.is_root() && !raw.is_directory() {
                return Err(damaged(number, "the root is no directory"));
            }
            if raw.is_directory() {
                if !self.directories.insert(number) {
                    return Err(damaged(number, "it is a directory in two places"));
                }
                let names = self.names(&raw)?;
                if names.is_empty() && path.as_bytes() == LOST_AND_FOUND {
                    continue;
                }
                // Short names below a long path: the only thing that could be much more in memory than on the disk.
                if self.paths > self.system.size() {
                    return Err(damaged(number, "the paths below it are too long for this disk"));
                }
                for (name, target) in names {
                    let below = path.join(&name);
                    let below =
                        below.map_err(|source| ReadError::Name { inode: number, source })?;
                    self.paths += below.as_bytes().len() as u64;
                    waiting.push((below, target));
                }
            } else {
                self.owners.insert(number, path.clone());
            }
            let node = Node::Inode(self.inode(&raw)?);
            self.draft.insert(path.clone(), node);
            self.inodes.insert(path, number);
        }
        Ok(())
    }

    fn names(&mut self, raw: &Raw) -> Result<Vec<super::directory::Name>, ReadError> {
        let (names, bytes) = self.system.names(raw)?;
        self.names += bytes;
        if self.names > self.system.size() {
            return Err(damaged(raw.number, "its directory is that of others, too"));
        }
        Ok(names)
    }

    fn charge(&mut self, bytes: u64) -> Result<(), ReadError> {
        let limit = self.system.size().saturating_mul(CONTENT_PER_SIZE);
        self.content = self.content.saturating_add(bytes);
        if self.content > limit { Err(ReadError::TooMuch { limit }) } else { Ok(()) }
    }

    fn inode(&mut self, raw: &Raw) -> Result<Inode, ReadError> {
        let mut xattrs = self.system.xattrs(raw)?;
        xattrs.remove(INLINE);
        self.charge(xattrs.values().map(|value| value.len() as u64).sum())?;
        let meta =
            Meta { mode: raw.mode & 0o7777, uid: raw.uid, gid: raw.gid, mtime: raw.mtime, xattrs };
        let kind = match raw.kind() {
            mode::DIRECTORY => Kind::Directory,
            mode::REGULAR => {
                self.charge(raw.size)?;
                Kind::File(self.sink.put(&mut self.system.reader(raw)?)?)
            }
            mode::SYMLINK => Kind::Symlink(self.target(raw)?.into()),
            mode::CHAR_DEVICE => Kind::CharDevice(raw.device()),
            mode::BLOCK_DEVICE => Kind::BlockDevice(raw.device()),
            mode::FIFO => Kind::Fifo,
            mode::SOCKET => Kind::Socket,
            _ => return Err(damaged(raw.number, "it is of no kind")),
        };
        Ok(Inode { meta, kind })
    }

    fn target(&self, raw: &Raw) -> Result<Vec<u8>, ReadError> {
        if raw.is_short_link() {
            return Ok(raw.block[..raw.size as usize].to_vec());
        }
        if raw.size > 4096 {
            return Err(damaged(raw.number, "the target of the link is too long"));
        }
        let mut target = Vec::new();
        std::io::Read::read_to_end(&mut self.system.reader(raw)?, &mut target)?;
        Ok(target)
    }
}
