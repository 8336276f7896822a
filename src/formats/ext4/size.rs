//! How large a file system is, by what was asked for.

use super::{
    Error, Shape, Size,
    alloc::{Allocator, Geometry, Tables},
    disk::{BLOCK_SIZE, BLOCKS_PER_GROUP},
};

/// A short last group is left out if less than this is left beside its copy of the superblock, as mke2fs does.
const LAST_GROUP_MIN: u64 = 50;
/// The most blocks of a file system: 16 TiB, as much as one file of ext4 on the host can hold.
const BLOCKS_MAX: u64 = 1 << 32;

/// The kernel keeps back one block in so many for its own needs, and at most so many blocks (ext4_calculate_resv_clusters).
const KEPT_BACK: (u64, u64) = (50, 4096);

/// What has to find room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    /// Blocks of files, directories and the journal.
    pub(super) blocks: u64,
    /// Inodes, with those to spare.
    pub(super) inodes: u64,
}

/// The groups of a file system, and its size in bytes.
pub(super) fn geometry(shape: &Shape, demand: Demand) -> Result<(Geometry, u64), Error> {
    match shape.size {
        Size::Free(bytes) => {
            let geometry = smallest(demand, bytes.div_ceil(BLOCK_SIZE))?;
            Ok((geometry, geometry.blocks * BLOCK_SIZE))
        }
        Size::Exact(bytes) => {
            let blocks = bytes / BLOCK_SIZE;
            if blocks > BLOCKS_MAX {
                return Err(Error::TooLarge);
            }
            match whole_groups(blocks, demand.inodes) {
                Some(geometry) => Ok((geometry, bytes)),
                None => Err(full(demand, bytes)),
            }
        }
    }
}

/// Says how large the file system would have to be.
pub(super) fn full(demand: Demand, have: u64) -> Error {
    match smallest(demand, 0) {
        Ok(geometry) => Error::Full { needed: geometry.blocks * BLOCK_SIZE, have },
        Err(error) => error,
    }
}

/// The smallest with this room and so many blocks free for programs that run on it, or nearly so.
fn smallest(demand: Demand, free: u64) -> Result<Geometry, Error> {
    let wanted = demand.blocks.saturating_add(cuts(demand.blocks)).saturating_add(free);
    // A group cannot have more inodes than blocks.
    let groups = demand.inodes.div_ceil(BLOCKS_PER_GROUP);
    let mut blocks = wanted.max(groups.saturating_sub(1) * BLOCKS_PER_GROUP + 1);
    // The overhead grows with the size, which grows with the overhead; both settle soon.
    while blocks <= BLOCKS_MAX {
        let geometry = whole_groups(blocks, demand.inodes);
        let kept_back = if free > 0 { (blocks / KEPT_BACK.0).min(KEPT_BACK.1) } else { 0 };
        let room = geometry.and_then(room).unwrap_or(0).saturating_sub(kept_back);
        match geometry {
            Some(geometry) if room >= wanted => return Ok(geometry),
            _ => blocks += wanted.saturating_sub(room).max(1),
        }
    }
    Err(Error::TooLarge)
}

/// Blocks that are left for files when bitmaps and inode tables have theirs; none if even these have no room.
fn room(geometry: Geometry) -> Option<u64> {
    let mut blocks = Allocator::new(geometry);
    Tables::place(geometry, &mut blocks)?;
    Some(blocks.left())
}

/// Extents are counted as if nothing lay between the blocks of a file. Each copy of the superblock may cut one, and add
/// at most a block to every level of the tree of that file.
fn cuts(blocks: u64) -> u64 {
    const LEVELS: u64 = 3;
    // Powers of 3, 5 and 7 are fewer than twice those of 2.
    let groups = blocks / BLOCKS_PER_GROUP + 2;
    2 * u64::from(groups.ilog2() + 1) * LEVELS
}

/// So many blocks, or fewer if the last group would be too short to be of use; none if that cannot have so many inodes.
fn whole_groups(blocks: u64, inodes: u64) -> Option<Geometry> {
    let geometry = Geometry::new(blocks, inodes)?;
    let rest = blocks % BLOCKS_PER_GROUP;
    let last = geometry.groups - 1;
    let copy = if Geometry::has_backup(last) { 1 + geometry.descriptor_blocks() } else { 0 };
    if last > 0 && rest > 0 && rest < copy + LAST_GROUP_MIN {
        Geometry::new(blocks - rest, inodes)
    } else {
        Some(geometry)
    }
}
