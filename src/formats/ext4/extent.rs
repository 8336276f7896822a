//! Extent trees (Documentation/filesystems/ext4, "Extent Tree").

use super::disk::{BLOCK, Fields, checksum, high32, low16, low32};

/// The most blocks of one extent; longer ones would count as not written.
pub(super) const LENGTH_MAX: u64 = 32_768;
/// Entries in the inode itself.
const IN_INODE: usize = 4;
/// Entries in a block: what is left beside header and checksum.
const IN_BLOCK: usize = (BLOCK - 12 - 4) / 12;
const MAGIC: u16 = 0xf30a;

/// A run of a file's blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// The first block in the file.
    pub(super) logical: u32,
    /// The first block on the disk.
    pub(super) physical: u64,
    /// How many blocks.
    pub(super) length: u32,
}

/// How many blocks the tree over so many extents takes besides the inode.
pub(super) fn tree_blocks(extents: usize) -> usize {
    let (mut level, mut total) = (extents, 0);
    while level > IN_INODE {
        level = level.div_ceil(IN_BLOCK);
        total += level;
    }
    total
}

/// The root of a tree as it lies in `i_block`, and the blocks below it with their numbers.
///
/// `blocks` are the numbers, as many as [`tree_blocks`] says; leaves come first. `seed` is the inode's checksum seed.
pub(super) fn tree(
    extents: &[Extent],
    blocks: &[u64],
    seed: u32,
) -> ([u8; 60], Vec<(u64, Vec<u8>)>) {
    let mut entries: Vec<[u8; 12]> = extents.iter().map(leaf_entry).collect();
    let mut firsts: Vec<u32> = extents.iter().map(|extent| extent.logical).collect();
    let (mut numbers, mut depth, mut written) = (blocks.iter().copied(), 0, Vec::new());
    while entries.len() > IN_INODE {
        let (mut above, mut above_firsts) = (Vec::new(), Vec::new());
        for (chunk, first) in entries.chunks(IN_BLOCK).zip(firsts.chunks(IN_BLOCK)) {
            let Some(number) = numbers.next() else { break };
            let mut bytes = vec![0; BLOCK];
            node(&mut bytes, chunk, IN_BLOCK, depth);
            let tail = 12 + 12 * IN_BLOCK;
            let sum = checksum(seed, &bytes[..tail]);
            bytes.put32(tail, sum);
            written.push((number, bytes));
            above.push(index_entry(first[0], number));
            above_firsts.push(first[0]);
        }
        (entries, firsts, depth) = (above, above_firsts, depth + 1);
    }
    let mut root = [0; 60];
    node(&mut root, &entries, IN_INODE, depth);
    (root, written)
}

fn node(bytes: &mut [u8], entries: &[[u8; 12]], capacity: usize, depth: u16) {
    bytes.put16(0, MAGIC);
    bytes.put16(2, entries.len() as u16);
    bytes.put16(4, capacity as u16);
    bytes.put16(6, depth);
    for (index, entry) in entries.iter().enumerate() {
        bytes.put(12 + 12 * index, entry);
    }
}

fn leaf_entry(extent: &Extent) -> [u8; 12] {
    let mut entry = [0; 12];
    entry.put32(0, extent.logical);
    // 32768 itself is written as it is: only larger values mean "not written".
    entry.put16(4, low16(extent.length));
    entry.put16(6, low16(high32(extent.physical)));
    entry.put32(8, low32(extent.physical));
    entry
}

fn index_entry(first: u32, block: u64) -> [u8; 12] {
    let mut entry = [0; 12];
    entry.put32(0, first);
    entry.put32(4, low32(block));
    entry.put16(8, low16(high32(block)));
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_grow_a_level_when_they_must() {
        assert_eq!([0, 4, 5, 340 * 4, 340 * 4 + 1].map(tree_blocks), [0, 0, 1, 4, 6]);
        for count in [0_u32, 4, 5, 341, 1361] {
            let extent =
                |index| Extent { logical: index * 2, physical: u64::from(index) + 100, length: 1 };
            let extents: Vec<Extent> = (0..count).map(extent).collect();
            let blocks: Vec<u64> = (0..tree_blocks(extents.len()) as u64).collect();
            let (root, written) = tree(&extents, &blocks, 7);
            assert_eq!(written.len(), blocks.len());
            let leaves: u32 = written
                .iter()
                .map(|(_, bytes)| bytes)
                .chain([&root.to_vec()])
                .filter(|bytes| bytes[6] == 0)
                .map(|bytes| u32::from(u16::from_le_bytes([bytes[2], bytes[3]])))
                .sum();
            assert_eq!(leaves, count);
        }
    }
}
