//! Directories: one block of entries, or a hash tree over many (Documentation/filesystems/ext4, "Directory Entries").

use super::{
    disk::{BLOCK, Fields, checksum},
    hash::{Seed, half_md4},
};

/// The checksum at the end of a block of entries, in the shape of an entry of its own.
const TAIL: usize = 12;
/// Entries of the hash tree in its root and in the nodes below it.
const IN_ROOT: usize = (BLOCK - 0x20 - 8) / 8;
const IN_NODE: usize = (BLOCK - 8 - 8) / 8;

/// A name in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: u32,
    /// The kind of file as directories know it.
    pub(super) kind: u8,
}

/// The kinds of file as directories know them.
pub(super) mod kind {
    pub(in super::super) const REGULAR: u8 = 1;
    pub(in super::super) const DIRECTORY: u8 = 2;
    pub(in super::super) const CHAR_DEVICE: u8 = 3;
    pub(in super::super) const BLOCK_DEVICE: u8 = 4;
    pub(in super::super) const FIFO: u8 = 5;
    pub(in super::super) const SOCKET: u8 = 6;
    pub(in super::super) const SYMLINK: u8 = 7;
}

/// A directory whose entries have their blocks.
#[derive(Debug)]
pub(super) enum Directory<'a> {
    /// All in one block.
    Single(Vec<Entry<'a>>),
    /// In leaves by the hash of the name; with each the lowest hash in it.
    Hashed(Vec<(u32, Vec<Entry<'a>>)>),
}

impl<'a> Directory<'a> {
    /// Decides what goes into which block; none if there are more entries than a tree of two levels can hold.
    pub(super) fn plan(entries: Vec<Entry<'a>>, seed: Seed) -> Option<Self> {
        let dots = length(b".") + length(b"..");
        let total = dots + entries.iter().map(|entry| length(entry.name)).sum::<usize>();
        if total <= BLOCK - TAIL {
            return Some(Self::Single(entries));
        }
        let mut hashed: Vec<((u32, u32), Entry<'a>)> =
            entries.into_iter().map(|entry| (half_md4(entry.name, seed), entry)).collect();
        hashed.sort_by(|(one, a), (other, b)| (one, a.name).cmp(&(other, b.name)));
        let mut leaves: Vec<(u32, Vec<Entry<'a>>)> = Vec::new();
        let (mut used, mut last) = (BLOCK, None);
        for ((hash, _), entry) in hashed {
            let size = length(entry.name);
            if used + size > BLOCK - TAIL {
                // The lowest bit says that names of this hash begin in the leaf before.
                let continued = u32::from(last == Some(hash));
                leaves.push((hash | continued, Vec::new()));
                used = 0;
            }
            used += size;
            last = Some(hash);
            if let Some((_, leaf)) = leaves.last_mut() {
                leaf.push(entry);
            }
        }
        (leaves.len() <= IN_ROOT * IN_NODE).then_some(Self::Hashed(leaves))
    }

    /// How many blocks it takes.
    pub(super) fn blocks(&self) -> usize {
        match self {
            Self::Single(_) => 1,
            Self::Hashed(leaves) => 1 + nodes(leaves.len()) + leaves.len(),
        }
    }

    /// All blocks, one after the other. `seed` is the checksum seed of the directory's inode.
    pub(super) fn encode(&self, inode: u32, parent: u32, seed: u32) -> Vec<u8> {
        let dots = [
            Entry { name: b".", inode, kind: kind::DIRECTORY },
            Entry { name: b"..", inode: parent, kind: kind::DIRECTORY },
        ];
        match self {
            Self::Single(entries) => leaf(dots.iter().chain(entries), seed),
            Self::Hashed(leaves) => {
                let mut bytes = index(leaves, &dots, seed);
                for (_, entries) in leaves {
                    bytes.extend(leaf(entries.iter(), seed));
                }
                bytes
            }
        }
    }
}

/// Nodes between the root and so many leaves.
fn nodes(leaves: usize) -> usize {
    if leaves > IN_ROOT { leaves.div_ceil(IN_NODE) } else { 0 }
}

/// Bytes that an entry takes: header, name, and padding to four.
fn length(name: &[u8]) -> usize {
    (8 + name.len()).next_multiple_of(4)
}

fn write_entry(bytes: &mut [u8], at: usize, entry: &Entry<'_>, length: usize) {
    bytes.put32(at, entry.inode);
    bytes.put16(at + 4, length as u16);
    bytes[at + 6] = entry.name.len() as u8;
    bytes[at + 7] = entry.kind;
    bytes.put(at + 8, entry.name);
}

/// A block of entries; the last one takes what is left.
fn leaf<'e, 'a: 'e>(entries: impl Iterator<Item = &'e Entry<'a>>, seed: u32) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK];
    let (mut at, mut last) = (0, 0);
    for entry in entries {
        last = at;
        write_entry(&mut bytes, at, entry, length(entry.name));
        at += length(entry.name);
    }
    let tail = BLOCK - TAIL;
    bytes.put16(last + 4, (tail - last) as u16);
    bytes.put16(tail + 4, TAIL as u16);
    bytes[tail + 7] = 0xde;
    let sum = checksum(seed, &bytes[..tail]);
    bytes.put32(tail + 8, sum);
    bytes
}

/// The root of the hash tree, and the nodes if it has two levels. Leaves follow right after them.
fn index(leaves: &[(u32, Vec<Entry<'_>>)], dots: &[Entry<'_>; 2], seed: u32) -> Vec<u8> {
    const ROOT_INFO: usize = 0x18;
    const HALF_MD4: u8 = 1;
    let nodes = nodes(leaves.len());
    let children: Vec<(u32, u32)> = leaves
        .iter()
        .enumerate()
        .map(|(index, (hash, _))| (*hash, (1 + nodes + index) as u32))
        .collect();
    let mut bytes = vec![0; BLOCK];
    write_entry(&mut bytes, 0, &dots[0], 12);
    write_entry(&mut bytes, 12, &dots[1], BLOCK - 12);
    bytes[ROOT_INFO + 4] = HALF_MD4;
    bytes[ROOT_INFO + 5] = 8;
    bytes[ROOT_INFO + 6] = u8::from(nodes > 0);
    if nodes == 0 {
        write_index(&mut bytes, 0x20, IN_ROOT, &children, seed);
        return bytes;
    }
    let chunks: Vec<&[(u32, u32)]> = children.chunks(IN_NODE).collect();
    let above: Vec<(u32, u32)> =
        chunks.iter().enumerate().map(|(index, chunk)| (chunk[0].0, index as u32 + 1)).collect();
    write_index(&mut bytes, 0x20, IN_ROOT, &above, seed);
    for chunk in chunks {
        let mut node = vec![0; BLOCK];
        // An empty entry over the whole block hides the node from whoever reads the directory one by one.
        node.put16(4, BLOCK as u16);
        write_index(&mut node, 8, IN_NODE, chunk, seed);
        bytes.extend(node);
    }
    bytes
}

/// Hash and block pairs from `at` on. The first has no hash: there, count and limit stand.
fn write_index(bytes: &mut [u8], at: usize, limit: usize, children: &[(u32, u32)], seed: u32) {
    bytes.put16(at, limit as u16);
    bytes.put16(at + 2, children.len() as u16);
    for (index, (hash, block)) in children.iter().enumerate() {
        if index > 0 {
            bytes.put32(at + 8 * index, *hash);
        }
        bytes.put32(at + 8 * index + 4, *block);
    }
    let sum = checksum(seed, &bytes[..at + 8 * children.len()]);
    // The checksum's own eight bytes count as zeros.
    let sum = checksum(sum, &[0; 8]);
    bytes.put32(at + 8 * limit + 4, sum);
}
