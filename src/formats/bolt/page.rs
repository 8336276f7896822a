//! The structures on disk, as bbolt's page.go, bucket.go and db.go have them. All numbers are little-endian.

use std::borrow::Cow;

/// Bolt takes the page of the machine that makes a database; on every machine of interest that is this.
pub(super) const PAGE: usize = 4096;
pub(super) const HEADER: usize = 16;
/// Head of an entry in a leaf (flags, distance, key, value) and in a branch (distance, key, page).
pub(super) const ELEMENT: usize = 16;
/// Head of the value that stands for a bucket: page of its root, sequence. An inline page follows where that is 0.
pub(super) const BUCKET_HEADER: usize = 16;
/// A bucket of values only becomes part of its parent's page up to this size.
pub(super) const INLINE_MAX: usize = PAGE / 4;

pub(super) const BRANCH: u16 = 0x01;
pub(super) const LEAF: u16 = 0x02;
const META: u16 = 0x04;
const FREELIST: u16 = 0x10;
/// Flag of an entry whose value is a bucket.
pub(super) const IS_BUCKET: u32 = 1;

pub(super) const MAGIC: u32 = 0xED0C_DAED;
pub(super) const VERSION: u32 = 2;
/// Length of a meta page's body without its checksum.
pub(super) const META_SUMMED: usize = 56;

/// One entry of a leaf.
pub(super) struct Entry<'a> {
    pub key: &'a [u8],
    pub flags: u32,
    pub value: Cow<'a, [u8]>,
}

impl Entry<'_> {
    pub(super) fn size(&self) -> usize {
        ELEMENT + self.key.len() + self.value.len()
    }
}

/// One entry of a branch: a page below and the first key there.
#[derive(Clone, Copy)]
pub(super) struct Child<'a> {
    pub key: &'a [u8],
    pub page: u64,
}

impl Child<'_> {
    pub(super) fn size(&self) -> usize {
        ELEMENT + self.key.len()
    }
}

/// A leaf, without the number of its page, and not yet padded.
pub(super) fn leaf(entries: &[Entry<'_>]) -> Vec<u8> {
    let body = HEADER + entries.iter().map(Entry::size).sum::<usize>();
    let mut page = headed(LEAF, entries.len(), body);
    let mut at = HEADER + entries.len() * ELEMENT;
    for (index, entry) in entries.iter().enumerate() {
        let distance = at - (HEADER + index * ELEMENT);
        page.extend(entry.flags.to_le_bytes());
        page.extend((distance as u32).to_le_bytes());
        page.extend((entry.key.len() as u32).to_le_bytes());
        page.extend((entry.value.len() as u32).to_le_bytes());
        at += entry.key.len() + entry.value.len();
    }
    for entry in entries {
        page.extend_from_slice(entry.key);
        page.extend_from_slice(&entry.value);
    }
    page
}

/// A branch, without the number of its page, and not yet padded.
pub(super) fn branch(children: &[Child<'_>]) -> Vec<u8> {
    let body = HEADER + children.iter().map(Child::size).sum::<usize>();
    let mut page = headed(BRANCH, children.len(), body);
    let mut at = HEADER + children.len() * ELEMENT;
    for (index, child) in children.iter().enumerate() {
        let distance = at - (HEADER + index * ELEMENT);
        page.extend((distance as u32).to_le_bytes());
        page.extend((child.key.len() as u32).to_le_bytes());
        page.extend(child.page.to_le_bytes());
        at += child.key.len();
    }
    children.iter().for_each(|child| page.extend_from_slice(child.key));
    page
}

/// A list of free pages with nothing in it.
pub(super) fn freelist() -> Vec<u8> {
    headed(FREELIST, 0, HEADER)
}

fn headed(kind: u16, count: usize, capacity: usize) -> Vec<u8> {
    let mut page = Vec::with_capacity(capacity.next_multiple_of(PAGE));
    page.extend(0u64.to_le_bytes());
    page.extend(kind.to_le_bytes());
    page.extend((count as u16).to_le_bytes());
    page.extend(0u32.to_le_bytes());
    page
}

/// What a meta page says about a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    /// Page of the root bucket's root.
    pub root: u64,
    /// Page of the list of free pages.
    pub freelist: u64,
    /// The first page that was never used.
    pub end: u64,
    /// Number of the transaction; the higher of two wins.
    pub transaction: u64,
}

impl Meta {
    /// The whole page, number `page`.
    pub(super) fn page(&self, page: u64) -> Vec<u8> {
        let mut bytes = headed(META, 0, PAGE);
        bytes[..8].copy_from_slice(&page.to_le_bytes());
        for number in [MAGIC, VERSION, PAGE as u32, 0] {
            bytes.extend(number.to_le_bytes());
        }
        for number in [self.root, 0, self.freelist, self.end, self.transaction] {
            bytes.extend(number.to_le_bytes());
        }
        let sum = checksum(&bytes[HEADER..]);
        bytes.extend(sum.to_le_bytes());
        bytes.resize(PAGE, 0);
        bytes
    }
}

/// FNV-1a with 64 bits, as Go's hash/fnv has it.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
