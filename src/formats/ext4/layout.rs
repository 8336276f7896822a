//! Decides every block: a function of the manifest and the shape alone. Content is not read.

use std::{collections::BTreeMap, ops::Range};

use super::{
    Error, FORMAT, Shape, Size,
    alloc::{Allocator, Geometry, Tables},
    directory::{Directory, Entry, kind},
    disk::{BLOCK_SIZE, LINK_MAX, LOST_AND_FOUND_INODE, ROOT_INODE, checksum},
    extent::{self, Extent},
    hash::Seed,
    size::{self, Demand},
    xattr,
};
use crate::{
    digest::Digest,
    path::GuestPath,
    tree::{Content, Inode, Kind, Node, Time, Tree},
};

/// The smallest journal that the kernel takes, in blocks.
const JOURNAL_MIN: u64 = 1024;
/// The longest file, in bytes: blocks have numbers of 32 bits, and the last is no block.
const FILE_MAX: u64 = (u32::MAX as u64) * BLOCK_SIZE;

/// A file system of which every block is decided.
#[derive(Debug)]
pub struct Layout<'t> {
    pub(super) shape: Shape,
    /// Bytes of the whole image.
    pub(super) size: u64,
    pub(super) geometry: Geometry,
    pub(super) uuid: [u8; 16],
    pub(super) hash_seed: Seed,
    /// All inodes but reserved ones; their numbers begin with that of lost+found.
    pub(super) inodes: Vec<Planned<'t>>,
    /// The extents of all inodes, one after the other.
    pub(super) extents: Vec<Extent>,
    /// The blocks of all extent trees, one after the other.
    pub(super) index_blocks: Vec<u64>,
    /// Attribute blocks with the number of inodes that share each.
    pub(super) xattr_blocks: BTreeMap<u64, XattrBlock>,
    /// Names in directories, by the place of the directory in `inodes`, then by path.
    pub(super) names: Vec<Name<'t>>,
    pub(super) journal: Option<Space>,
    pub(super) tables: Tables,
    /// Blocks in use from the first on, but for the gaps.
    pub(super) used: u64,
    pub(super) gaps: Vec<Range<u64>>,
}

/// Where an inode's blocks are: parts of the lists of the layout.
#[derive(Debug, Clone, Default)]
pub(super) struct Space {
    pub(super) extents: Range<usize>,
    pub(super) index_blocks: Range<usize>,
    /// Blocks of content, without extent trees and attributes.
    pub(super) blocks: u64,
}

/// An inode and its place.
#[derive(Debug)]
pub(super) struct Planned<'t> {
    pub(super) inode: &'t Inode,
    pub(super) links: u32,
    pub(super) space: Space,
    /// Blocks of the directory, 0 for other files.
    pub(super) directory_blocks: u32,
    /// The part of `names` that is in this directory.
    pub(super) names: Range<usize>,
    /// The place of the directory above, for directories.
    pub(super) parent: usize,
    pub(super) xattr_block: u64,
}

/// An entry of a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'t> {
    directory: usize,
    pub(super) path: &'t GuestPath,
    pub(super) target: usize,
}

/// A block of attributes.
#[derive(Debug)]
pub(super) struct XattrBlock {
    pub(super) bytes: Vec<u8>,
    pub(super) references: u32,
}

/// Lays out `tree` as `shape` says.
pub fn layout<'t>(tree: &'t Tree, shape: &Shape) -> Result<Layout<'t>, Error> {
    if shape.version != FORMAT {
        return Err(Error::Version { asked: shape.version, newest: FORMAT });
    }
    if shape.label.len() > 16 {
        return Err(Error::Label { label: shape.label.clone() });
    }
    if !has_time(shape.epoch) {
        return Err(Error::Epoch);
    }
    let journal = shape.journal.map_or(0, |bytes| bytes.div_ceil(BLOCK_SIZE));
    if let Some(bytes) = shape.journal
        && journal < JOURNAL_MIN
    {
        return Err(Error::JournalTooSmall { bytes });
    }
    let (uuid, hash_seed) = identity(tree, shape);
    let mut plan = Inodes::of(tree)?;
    plan.plan_directories(hash_seed)?;
    let used_inodes = u64::from(LOST_AND_FOUND_INODE) - 1 + plan.inodes.len() as u64;
    let demand = Demand {
        blocks: plan.demand()?.saturating_add(file_blocks(journal)),
        inodes: used_inodes.saturating_add(shape.spare_inodes),
    };
    let (geometry, size) = size::geometry(shape, demand)?;
    let mut layout = Layout {
        shape: shape.clone(),
        size,
        geometry,
        uuid,
        hash_seed,
        inodes: plan.inodes,
        names: plan.names,
        extents: Vec::new(),
        index_blocks: Vec::new(),
        xattr_blocks: BTreeMap::new(),
        journal: None,
        tables: Tables::default(),
        used: 0,
        gaps: Vec::new(),
    };
    layout.allocate().ok_or_else(|| size::full(demand, size))?;
    Ok(layout)
}

/// UUID and hash seed from all that makes the file system what it is.
fn identity(tree: &Tree, shape: &Shape) -> ([u8; 16], Seed) {
    let Shape { version, size, spare_inodes, label, journal, epoch } = shape;
    let size = match size {
        Size::Exact(bytes) => format!("exact {bytes}"),
        Size::Free(bytes) => format!("free {bytes}"),
    };
    let (journal, Time { seconds, nanos }) = (journal.unwrap_or(0), epoch);
    let digest = Digest::of(format!(
        "vsbuild-ext4 {version}\ntree {}\nsize {size}\nspare-inodes {spare_inodes}\njournal {journal}\n\
         epoch {seconds}.{nanos:09}\nlabel {label}",
        tree.digest()
    ));
    let bytes = digest.as_bytes();
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&bytes[..16]);
    // RFC 9562, section 5.8: version 8, made by whoever made it.
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    (uuid, [16, 20, 24, 28].map(word))
}

/// Whether this time is from 1901-12-13 to 2310-04-04. There would be room in an inode up to 2446, but e2fsck takes times
/// after that for damaged ones before 1970.
fn has_time(time: Time) -> bool {
    (-(1 << 31)..(3 << 32) - (1 << 31)).contains(&time.seconds)
}

/// So many blocks of content in one piece, and the tree over their extents.
fn file_blocks(blocks: u64) -> u64 {
    blocks.saturating_add(extent::tree_blocks(blocks.div_ceil(extent::LENGTH_MAX) as usize) as u64)
}

/// All inodes and names, before they have blocks.
struct Inodes<'t> {
    inodes: Vec<Planned<'t>>,
    names: Vec<Name<'t>>,
    paths: Vec<&'t GuestPath>,
}

/// lost+found: there for e2fsck to put things in.
pub(super) const LOST_AND_FOUND: &[u8] = b"lost+found";

impl<'t> Inodes<'t> {
    fn of(tree: &'t Tree) -> Result<Self, Error> {
        let mut places: BTreeMap<&GuestPath, usize> = BTreeMap::new();
        let mut all = Self { inodes: Vec::new(), names: Vec::new(), paths: Vec::new() };
        for (path, node) in tree.iter() {
            let directory = path.parent().and_then(|parent| places.get(&parent).copied());
            let target = match node {
                Node::HardLink(owner) => places.get(owner).copied().unwrap_or_default(),
                Node::Inode(inode) => {
                    check(path, inode)?;
                    places.insert(path, all.inodes.len());
                    all.add(path, inode, directory.unwrap_or_default());
                    all.inodes.len() - 1
                }
            };
            let Some(directory) = directory else { continue };
            if directory == 0 && path.as_bytes() == LOST_AND_FOUND {
                return Err(Error::LostAndFound);
            }
            all.names.push(Name { directory, path, target });
            all.link(directory, target, path)?;
        }
        // lost+found is below the root.
        if let Some(root) = all.inodes.first_mut() {
            root.links += 1;
        }
        all.names.sort_by_key(|name| name.directory);
        let mut start = 0;
        for names in all.names.chunk_by(|one, other| one.directory == other.directory) {
            all.inodes[names[0].directory].names = start..start + names.len();
            start += names.len();
        }
        Ok(all)
    }

    fn add(&mut self, path: &'t GuestPath, inode: &'t Inode, parent: usize) {
        let links = if inode.kind == Kind::Directory { 2 } else { 0 };
        self.paths.push(path);
        self.inodes.push(Planned {
            inode,
            links,
            space: Space::default(),
            directory_blocks: 0,
            names: 0..0,
            parent,
            xattr_block: 0,
        });
    }

    fn link(&mut self, directory: usize, target: usize, path: &GuestPath) -> Result<(), Error> {
        if self.inodes[target].inode.kind == Kind::Directory {
            self.inodes[directory].links += 1;
            return Ok(());
        }
        self.inodes[target].links += 1;
        if self.inodes[target].links > LINK_MAX {
            return Err(Error::TooManyLinks { path: path.clone() });
        }
        Ok(())
    }

    fn plan_directories(&mut self, seed: Seed) -> Result<(), Error> {
        for place in 0..self.inodes.len() {
            if self.inodes[place].inode.kind != Kind::Directory {
                continue;
            }
            let directory = plan_directory(&self.inodes, &self.names, place, seed)
                .ok_or_else(|| Error::TooManyNames { path: self.paths[place].clone() })?;
            self.inodes[place].directory_blocks = directory.blocks() as u32;
        }
        Ok(())
    }

    /// How many blocks files and directories take, lost+found included, with as few extents as possible.
    fn demand(&self) -> Result<u64, Error> {
        let mut demand: u64 = 1;
        for (planned, path) in self.inodes.iter().zip(&self.paths) {
            let runs = content_runs(planned);
            let blocks: u64 = runs.iter().map(|(_, length)| length).sum();
            let extents: u64 =
                runs.iter().map(|(_, length)| length.div_ceil(extent::LENGTH_MAX)).sum();
            let stored = stored_xattrs(planned.inode)
                .map_err(|source| Error::Xattr { path: (*path).clone(), source })?;
            let others =
                extent::tree_blocks(extents as usize) + usize::from(stored.block.is_some());
            demand = demand.saturating_add(blocks + others as u64);
        }
        Ok(demand)
    }
}

/// Refuses what ext4 cannot hold, so that all later arithmetic is sound.
fn check(path: &GuestPath, inode: &Inode) -> Result<(), Error> {
    let path = || path.clone();
    if !has_time(inode.meta.mtime) {
        return Err(Error::Time { path: path() });
    }
    match &inode.kind {
        Kind::File(content) if content.size > FILE_MAX => Err(Error::FileTooLarge { path: path() }),
        _ => Ok(()),
    }
}

/// The entries of a directory in their blocks; none if there are too many.
pub(super) fn plan_directory<'t>(
    inodes: &[Planned<'t>],
    names: &[Name<'t>],
    place: usize,
    seed: Seed,
) -> Option<Directory<'t>> {
    let mut entries: Vec<Entry<'t>> = names[inodes[place].names.clone()]
        .iter()
        .map(|name| Entry {
            name: name.path.file_name().unwrap_or_default(),
            inode: number(name.target),
            kind: kind_of(&inodes[name.target].inode.kind),
        })
        .collect();
    if place == 0 {
        let (name, inode) = (LOST_AND_FOUND, LOST_AND_FOUND_INODE);
        entries.push(Entry { name, inode, kind: kind::DIRECTORY });
    }
    Directory::plan(entries, seed)
}

/// The number of the inode at this place: the root has its own, the others follow lost+found.
pub(super) fn number(place: usize) -> u32 {
    if place == 0 { ROOT_INODE } else { LOST_AND_FOUND_INODE + place as u32 }
}

fn kind_of(kind: &Kind) -> u8 {
    match kind {
        Kind::Directory => kind::DIRECTORY,
        Kind::File(_) => kind::REGULAR,
        Kind::Symlink(_) => kind::SYMLINK,
        Kind::CharDevice(_) => kind::CHAR_DEVICE,
        Kind::BlockDevice(_) => kind::BLOCK_DEVICE,
        Kind::Fifo => kind::FIFO,
        Kind::Socket => kind::SOCKET,
    }
}

pub(super) fn stored_xattrs(inode: &Inode) -> Result<xattr::Stored, xattr::BadXattr> {
    xattr::store(inode.meta.xattrs.iter().map(|(name, value)| (&**name, &**value)))
}

/// Whether the target of a symbolic link is kept in the inode.
pub(super) fn is_short(target: &[u8]) -> bool {
    target.len() < 60
}

/// The blocks of an inode's content, as runs of (first block in the file, how many).
fn content_runs(planned: &Planned<'_>) -> Vec<(u64, u64)> {
    match &planned.inode.kind {
        Kind::Directory => vec![(0, u64::from(planned.directory_blocks))],
        Kind::File(content) => data_runs(content),
        Kind::Symlink(target) if !is_short(target) => vec![(0, 1)],
        Kind::Symlink(_)
        | Kind::CharDevice(_)
        | Kind::BlockDevice(_)
        | Kind::Fifo
        | Kind::Socket => Vec::new(),
    }
}

fn data_runs(content: &Content) -> Vec<(u64, u64)> {
    let run = |(start, length): (u64, u64)| (start / BLOCK_SIZE, length.div_ceil(BLOCK_SIZE));
    content.data().map(run).collect()
}

impl Layout<'_> {
    /// Bytes of the whole image.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The file system's UUID, which follows from its content.
    pub fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// The seed of all checksums.
    pub(super) fn checksum_seed(&self) -> u32 {
        checksum(!0, &self.uuid)
    }

    /// The seed of the checksums of an inode and its blocks.
    pub(super) fn inode_seed(&self, inode: u32) -> u32 {
        let seed = checksum(self.checksum_seed(), &inode.to_le_bytes());
        // The generation of every inode is 0.
        checksum(seed, &[0; 4])
    }

    /// Gives everything its blocks; none if the disk is full.
    fn allocate(&mut self) -> Option<()> {
        let mut blocks = Allocator::new(self.geometry);
        self.tables = Tables::place(self.geometry, &mut blocks)?;
        let lost_and_found = self.place(&[(0, 1)], &mut blocks)?;
        debug_assert_eq!(lost_and_found.extents, 0..1, "lost+found has the first extent");
        if let Some(bytes) = self.shape.journal {
            self.journal = Some(self.place(&[(0, bytes.div_ceil(BLOCK_SIZE))], &mut blocks)?);
        }
        let mut shared: BTreeMap<Digest, u64> = BTreeMap::new();
        for place in 0..self.inodes.len() {
            let runs = content_runs(&self.inodes[place]);
            self.inodes[place].space = self.place(&runs, &mut blocks)?;
            let stored =
                stored_xattrs(self.inodes[place].inode).ok().and_then(|stored| stored.block);
            if let Some(bytes) = stored {
                self.inodes[place].xattr_block = self.share(bytes, &mut shared, &mut blocks)?;
            }
        }
        self.used = blocks.next();
        self.gaps = blocks.gaps;
        Some(())
    }

    /// Gives blocks to runs of a file, and to the tree over their extents; none if the disk is full.
    fn place(&mut self, runs: &[(u64, u64)], blocks: &mut Allocator) -> Option<Space> {
        let (first, first_index) = (self.extents.len(), self.index_blocks.len());
        let mut total = 0;
        for &(start, length) in runs {
            let mut logical = start;
            for (physical, length) in blocks.runs(length, extent::LENGTH_MAX)? {
                let (logical_block, length) = (logical as u32, length as u32);
                self.extents.push(Extent { logical: logical_block, physical, length });
                logical += u64::from(length);
            }
            total += length;
        }
        for _ in 0..extent::tree_blocks(self.extents.len() - first) {
            self.index_blocks.push(blocks.run(1)?);
        }
        let index_blocks = first_index..self.index_blocks.len();
        Some(Space { extents: first..self.extents.len(), index_blocks, blocks: total })
    }

    /// The block for these attributes: one that has them already, as long as not too many inodes share it.
    fn share(
        &mut self,
        bytes: Vec<u8>,
        shared: &mut BTreeMap<Digest, u64>,
        blocks: &mut Allocator,
    ) -> Option<u64> {
        let digest = Digest::of(&bytes);
        if let Some(found) = shared.get(&digest).and_then(|block| self.xattr_blocks.get_mut(block))
            && found.references < xattr::SHARED_MAX
        {
            found.references += 1;
            return shared.get(&digest).copied();
        }
        let block = blocks.run(1)?;
        self.xattr_blocks.insert(block, XattrBlock { bytes, references: 1 });
        shared.insert(digest, block);
        Some(block)
    }
}
