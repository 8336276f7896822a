//! Extended attributes, in the inode and in a block (Documentation/filesystems/ext4, "Extended Attributes").

use super::disk::{BLOCK, Fields};

/// Bytes for attributes in an inode of 256 bytes with 32 bytes of extra fields, magic number included.
pub(super) const IN_INODE: usize = 96;
/// Magic number of both places.
const MAGIC: u32 = 0xEA02_0000;
/// Bytes of a block's header, and of the zeros that end a list of entries.
const HEADER: usize = 32;
const END: usize = 4;
/// The most inodes that share one block.
pub(super) const SHARED_MAX: u32 = 1024;

/// Names whose beginning is a number on the disk. The longest match counts, so whole names stand first.
const PREFIXES: [(&[u8], u8); 6] = [
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"user.", 1),
    (b"trusted.", 4),
    (b"security.", 6),
    (b"system.", 7),
];

/// An attribute as it lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    prefix: u8,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// The attributes of one inode, each in its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// What follows the extra fields of the inode: nothing or [`IN_INODE`] bytes.
    pub(super) inline: Vec<u8>,
    /// The block, if one is needed; its reference count and checksum are not filled in.
    pub(super) block: Option<Vec<u8>>,
}

/// Why attributes cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadXattr {
    /// ext4 has no number for the beginning of the name.
    #[error("ext4 has no attribute `{}`", name.escape_ascii())]
    Name {
        /// The full name.
        name: Vec<u8>,
    },
    /// An access control list has another form than the kernel's.
    #[error("`{}` is no POSIX access control list", name.escape_ascii())]
    Acl {
        /// The full name.
        name: Vec<u8>,
    },
    /// All together need more than an inode and a block.
    #[error(
        "its extended attributes take {size} bytes; an inode has room for 88, and a block of their own for 4060"
    )]
    TooLarge {
        /// What they take, in bytes.
        size: usize,
    },
}

/// Decides where attributes go: into the inode if all fit, else into a block, else as many as fit into the inode and the
/// rest into a block.
pub(super) fn store<'a>(
    xattrs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Stored, BadXattr> {
    let mut entries =
        xattrs.map(|(name, value)| entry(name, value)).collect::<Result<Vec<_>, _>>()?;
    if entries.is_empty() {
        return Ok(Stored::default());
    }
    // The order of the kernel: number, length of name, name.
    entries.sort_by(|one, other| {
        (one.prefix, one.name.len(), &one.name).cmp(&(other.prefix, other.name.len(), &other.name))
    });
    if fits_inode(&entries) {
        return Ok(Stored { inline: inline(&entries), block: None });
    }
    if fits_block(&entries) {
        return Ok(Stored { inline: Vec::new(), block: Some(block(&entries)) });
    }
    let size = size(&entries);
    let mut inside: Vec<Entry> = Vec::new();
    let mut outside: Vec<Entry> = Vec::new();
    for entry in entries {
        inside.push(entry);
        if !fits_inode(&inside) {
            outside.extend(inside.pop());
        }
    }
    if !fits_block(&outside) {
        return Err(BadXattr::TooLarge { size });
    }
    Ok(Stored { inline: inline(&inside), block: Some(block(&outside)) })
}

fn entry(name: &[u8], value: &[u8]) -> Result<Entry, BadXattr> {
    let found =
        PREFIXES.iter().find_map(|(text, number)| Some((*number, name.strip_prefix(*text)?)));
    let (prefix, rest) = found.ok_or_else(|| BadXattr::Name { name: name.to_owned() })?;
    let value = match prefix {
        2 | 3 => acl(value).ok_or_else(|| BadXattr::Acl { name: name.to_owned() })?,
        _ => value.to_owned(),
    };
    Ok(Entry { prefix, name: rest.to_owned(), value })
}

/// A POSIX access control list as ext4 writes it: version 1, and entries without an id where the tag says whom it is about.
/// As the kernel takes and gives it (linux/posix_acl_xattr.h), it is version 2 and every entry has an id.
fn acl(value: &[u8]) -> Option<Vec<u8>> {
    const USER: u16 = 0x02;
    const GROUP: u16 = 0x08;
    const OTHERS: [u16; 4] = [0x01, 0x04, 0x10, 0x20];
    let entries = value.strip_prefix(&2_u32.to_le_bytes())?;
    let mut stored = 1_u32.to_le_bytes().to_vec();
    if entries.len() % 8 != 0 {
        return None;
    }
    for entry in entries.chunks_exact(8) {
        match u16::from_le_bytes([entry[0], entry[1]]) {
            USER | GROUP => stored.extend_from_slice(entry),
            tag if OTHERS.contains(&tag) => stored.extend_from_slice(&entry[..4]),
            _ => return None,
        }
    }
    Some(stored)
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn size(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| 16 + padded(entry.name.len()) + padded(entry.value.len())).sum()
}

fn fits_inode(entries: &[Entry]) -> bool {
    size(entries) + END + 4 <= IN_INODE
}

fn fits_block(entries: &[Entry]) -> bool {
    size(entries) + END + HEADER <= BLOCK
}

fn inline(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = vec![0; IN_INODE];
    bytes.put32(0, MAGIC);
    // Offsets count from the first entry here, and hashes are not kept.
    write(&mut bytes[4..], 0, entries, |_| 0);
    bytes
}

fn block(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK];
    bytes.put32(0, MAGIC);
    bytes.put32(8, 1);
    let all = entries.iter().fold(0_u32, |all, entry| all.rotate_left(16) ^ hash(entry));
    bytes.put32(12, all);
    write(&mut bytes, HEADER, entries, hash);
    bytes
}

/// Entries from `start` up, values from the end down.
fn write(bytes: &mut [u8], start: usize, entries: &[Entry], hash: impl Fn(&Entry) -> u32) {
    let (mut at, mut end) = (start, bytes.len());
    for entry in entries {
        end -= padded(entry.value.len());
        bytes.put(end, &entry.value);
        bytes[at] = entry.name.len() as u8;
        bytes[at + 1] = entry.prefix;
        // An empty value has no place.
        bytes.put16(at + 2, if entry.value.is_empty() { 0 } else { end as u16 });
        bytes.put32(at + 8, entry.value.len() as u32);
        bytes.put32(at + 12, hash(entry));
        bytes.put(at + 16, &entry.name);
        at += 16 + padded(entry.name.len());
    }
}

/// The hash of an entry: name bytes, then value words.
fn hash(entry: &Entry) -> u32 {
    let name = entry.name.iter().fold(0_u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
    entry.value.chunks(4).fold(name, |hash, word| {
        let mut bytes = [0; 4];
        bytes[..word.len()].copy_from_slice(word);
        hash.rotate_left(16) ^ u32::from_le_bytes(bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one<'a>(name: &'a str, value: &'a [u8]) -> Result<Stored, BadXattr> {
        store([(name.as_bytes(), value)].into_iter())
    }

    #[test]
    fn small_sets_are_in_the_inode_and_large_ones_in_a_block() {
        assert_eq!(store(std::iter::empty()), Ok(Stored::default()));
        let small = one("security.capability", &[1; 20]).unwrap();
        assert!(small.block.is_none() && small.inline.len() == IN_INODE);
        let large = one("user.large", &[1; 3000]).unwrap();
        assert!(large.block.is_some() && large.inline.is_empty());
        let small_and_full = [(&b"user.a"[..], &[1_u8; 40][..]), (b"user.b", &[2; 4000])];
        let both = store(small_and_full.into_iter()).unwrap();
        assert!(both.block.is_some() && both.inline.len() == IN_INODE);
    }

    #[test]
    fn what_ext4_cannot_hold_is_refused() {
        assert!(matches!(one("user.a", &[0; 4096]), Err(BadXattr::TooLarge { size: 4116 })));
        assert!(matches!(one("nonsense.a", b""), Err(BadXattr::Name { .. })));
        for bad in
            [&b""[..], &[2, 0, 0, 0, 1], &[1, 0, 0, 0], &[2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]]
        {
            assert!(
                matches!(one("system.posix_acl_access", bad), Err(BadXattr::Acl { .. })),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn access_control_lists_lose_the_ids_that_say_nothing() {
        let user = [2, 0, 6, 0, 0xe8, 3, 0, 0];
        let owner = [1, 0, 6, 0, 255, 255, 255, 255];
        let value = [&[2, 0, 0, 0][..], &owner, &user].concat();
        assert_eq!(acl(&value), Some([&[1, 0, 0, 0][..], &owner[..4], &user].concat()));
    }
}
