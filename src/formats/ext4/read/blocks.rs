//! Which blocks a file has: by extents, or by the block maps of ext2 and ext3
//! (Documentation/filesystems/ext4, "The Contents of inode.i_block").

use std::collections::BTreeSet;

use super::{
    super::super::source::{le16, le32},
    FileSystem, ReadError, damaged,
    inode::{EXTENTS, Inode},
};

/// How many times as many blocks of block maps are read as the disk has blocks, and of content are claimed: each has one file,
/// which may be read a few times.
pub(super) const READS_PER_BLOCK: u64 = 16;

/// Blocks in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The first, as counted in the file.
    pub(super) logical: u64,
    /// The first, as counted on the disk.
    pub(super) physical: u64,
    /// How many.
    pub(super) length: u64,
    /// Whether they hold data; else they are reserved, and read as zeros.
    pub(super) written: bool,
}

/// All blocks of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct BlockMap {
    /// In ascending order of the file, without overlap.
    pub(super) runs: Vec<Run>,
    /// Blocks that say where the others are.
    pub(super) nodes: BTreeSet<u64>,
    /// How many blocks the runs have together.
    total: u64,
}

impl FileSystem<'_> {
    pub(super) fn blocks_of(&self, inode: &Inode) -> Result<BlockMap, ReadError> {
        let mut map = BlockMap::default();
        if !inode.has_blocks() {
            return Ok(map);
        }
        if inode.flags & EXTENTS != 0 {
            self.extents(inode, &mut map)?;
        } else {
            self.block_map(inode, &mut map)?;
        }
        Ok(map)
    }

    fn extents(&self, inode: &Inode, map: &mut BlockMap) -> Result<(), ReadError> {
        let bad = |what| damaged(inode.number, what);
        // Nodes yet to be read, the next one last, each with the depth that it must have.
        let mut waiting: Vec<(u64, u16)> = Vec::new();
        let mut node = inode.block.to_vec();
        let mut depth = le16(&node, 6);
        if depth > 5 {
            return Err(bad("its extent tree is too deep"));
        }
        loop {
            let count = usize::from(le16(&node, 2));
            if le16(&node, 0) != 0xf30a || le16(&node, 6) != depth || 12 + 12 * count > node.len() {
                return Err(bad("its extent tree has a node that is none"));
            }
            let entries = node[12..12 + 12 * count].chunks_exact(12);
            if depth == 0 {
                for entry in entries {
                    self.add(inode, map, extent(entry))?;
                }
            } else {
                for entry in entries.rev() {
                    let child = u64::from(le32(entry, 4)) | u64::from(le16(entry, 8)) << 32;
                    waiting.push((child, depth - 1));
                }
            }
            let Some((child, below)) = waiting.pop() else { return Ok(()) };
            self.enter(inode, map, child)?;
            (node, depth) = (self.block(child)?, below);
        }
    }

    /// Takes note of a node, which may be read once: that bounds what a damaged image can make us do.
    fn enter(&self, inode: &Inode, map: &mut BlockMap, node: u64) -> Result<(), ReadError> {
        if node >= self.superblock.blocks {
            return Err(damaged(inode.number, "its block map leads out of the disk"));
        }
        if !map.nodes.insert(node) {
            return Err(damaged(inode.number, "its block map leads in a circle"));
        }
        self.nodes.set(self.nodes.get() + 1);
        if self.nodes.get() > READS_PER_BLOCK * self.superblock.blocks {
            return Err(damaged(inode.number, "its block map is that of many others, too"));
        }
        Ok(())
    }

    fn add(&self, inode: &Inode, map: &mut BlockMap, run: Run) -> Result<(), ReadError> {
        let end = run.physical.saturating_add(run.length);
        if run.length == 0 || run.physical == 0 || end > self.superblock.blocks {
            return Err(damaged(inode.number, "it has blocks that are not on the disk"));
        }
        map.total += run.length;
        if map.total > self.superblock.blocks {
            return Err(damaged(inode.number, "it has more blocks than the disk"));
        }
        match map.runs.last_mut() {
            Some(last) if last.logical + last.length > run.logical => {
                Err(damaged(inode.number, "its blocks are not in order"))
            }
            Some(last)
                if last.logical + last.length == run.logical
                    && last.physical + last.length == run.physical
                    && last.written == run.written =>
            {
                last.length += run.length;
                Ok(())
            }
            _ => {
                map.runs.push(run);
                Ok(())
            }
        }
    }

    /// Twelve blocks, then one block of blocks, one of blocks of blocks, and one level more.
    fn block_map(&self, inode: &Inode, map: &mut BlockMap) -> Result<(), ReadError> {
        const DIRECT: usize = 12;
        let per_block = self.superblock.block_size / 4;
        let mut logical = 0;
        for index in 0..DIRECT + 3 {
            let level = index.saturating_sub(DIRECT - 1) as u32;
            self.branch(inode, map, le32(&inode.block, 4 * index), level, logical)?;
            logical += per_block.pow(level);
        }
        Ok(())
    }

    fn branch(
        &self,
        inode: &Inode,
        map: &mut BlockMap,
        block: u32,
        level: u32,
        logical: u64,
    ) -> Result<(), ReadError> {
        if block == 0 {
            return Ok(());
        }
        let physical = u64::from(block);
        if level == 0 {
            return self.add(inode, map, Run { logical, physical, length: 1, written: true });
        }
        self.enter(inode, map, physical)?;
        let node = self.block(physical)?;
        let step = (self.superblock.block_size / 4).pow(level - 1);
        for (index, word) in (0..).zip(node.chunks_exact(4)) {
            self.branch(inode, map, le32(word, 0), level - 1, logical + index * step)?;
        }
        Ok(())
    }
}

fn extent(entry: &[u8]) -> Run {
    // Lengths above this are those of reserved blocks that hold no data.
    const WRITTEN_MAX: u16 = 32768;
    let length = le16(entry, 4);
    let written = length <= WRITTEN_MAX;
    Run {
        logical: u64::from(le32(entry, 0)),
        physical: u64::from(le32(entry, 8)) | u64::from(le16(entry, 6)) << 32,
        length: u64::from(if written { length } else { length - WRITTEN_MAX }),
        written,
    }
}
