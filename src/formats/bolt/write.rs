use std::borrow::Cow;

use super::{
    DEPTH_MAX, ENTRY_MAX, KEY_MAX,
    bucket::{Bucket, Database, Item},
    page::{self, Child, Entry, HEADER, INLINE_MAX, IS_BUCKET, Meta, PAGE},
};

/// Why bolt cannot hold something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A key is empty or too long.
    #[error("a key in bolt has 1 to {KEY_MAX} bytes; `{key}` has {length}")]
    Key {
        /// How it begins, with anything unprintable escaped.
        key: String,
        /// Its length in bytes.
        length: usize,
    },
    /// A value is too long.
    #[error(
        "`{key}`: a value in bolt has, with its key, at most {ENTRY_MAX} bytes; this one has {length}"
    )]
    Value {
        /// How its key begins, with anything unprintable escaped.
        key: String,
        /// Length of key and value in bytes.
        length: usize,
    },
    /// Buckets lie in each other too often.
    #[error("`{key}`: buckets in bolt lie in each other at most {DEPTH_MAX} times here")]
    Depth {
        /// How the key of the bucket that is too deep begins.
        key: String,
    },
}

/// The bytes of the file that holds `database`.
pub fn write(database: &Database) -> Result<Vec<u8>, Error> {
    let mut pages = Pages::default();
    let mut entries = Vec::with_capacity(database.buckets.len());
    for (key, bucket) in &database.buckets {
        entries.push(pages.bucket(key, bucket, 1)?);
    }
    let root = pages.root(&entries);
    let freelist = pages.push(page::freelist());
    Ok(pages.finish(root, freelist))
}

/// The file as far as it is written; the meta pages come last, into the room left for them.
struct Pages(Vec<u8>);

impl Default for Pages {
    fn default() -> Self {
        Self(vec![0; 2 * PAGE])
    }
}

impl Pages {
    fn next(&self) -> u64 {
        (self.0.len() / PAGE) as u64
    }

    /// Gives `page` its number and its count of overflow pages, and pads it.
    fn push(&mut self, mut page: Vec<u8>) -> u64 {
        let number = self.next();
        let overflow = page.len().div_ceil(PAGE) - 1;
        page[..8].copy_from_slice(&number.to_le_bytes());
        page[12..16].copy_from_slice(&(overflow as u32).to_le_bytes());
        self.0.append(&mut page);
        self.0.resize(self.0.len().next_multiple_of(PAGE), 0);
        number
    }

    /// The entry of `bucket` in its parent, after writing what does not fit into it.
    fn bucket<'a>(
        &mut self,
        key: &'a [u8],
        bucket: &Bucket,
        depth: usize,
    ) -> Result<Entry<'a>, Error> {
        check(key, 0)?;
        if depth > DEPTH_MAX {
            return Err(Error::Depth { key: start(key) });
        }
        let mut entries = Vec::with_capacity(bucket.items.len());
        for (key, item) in &bucket.items {
            entries.push(match item {
                Item::Bucket(child) => self.bucket(key, child, depth + 1)?,
                Item::Value(value) => {
                    check(key, value.len())?;
                    Entry { key, flags: 0, value: Cow::Borrowed(value) }
                }
            });
        }
        let inline = is_inline(&entries);
        let root = if inline { 0 } else { self.root(&entries) };
        let mut value = Vec::new();
        value.extend(root.to_le_bytes());
        value.extend(bucket.sequence.to_le_bytes());
        if inline {
            value.append(&mut page::leaf(&entries));
        }
        Ok(Entry { key, flags: IS_BUCKET, value: Cow::Owned(value) })
    }

    /// Writes leaves and as many levels of branches above them as it takes to have one page on top; says which.
    fn root(&mut self, entries: &[Entry<'_>]) -> u64 {
        let mut level: Vec<Child<'_>> = split(entries, Entry::size, 1)
            .into_iter()
            .map(|part| {
                let page = self.push(page::leaf(part));
                Child { key: part.first().map_or(&[][..], |entry| entry.key), page }
            })
            .collect();
        while level.len() > 1 {
            level = split(&level, Child::size, 2)
                .into_iter()
                .map(|part| Child { key: part[0].key, page: self.push(page::branch(part)) })
                .collect();
        }
        level[0].page
    }

    fn finish(mut self, root: u64, freelist: u64) -> Vec<u8> {
        let end = self.next();
        for number in 0..2 {
            let meta = Meta { root, freelist, end, transaction: number };
            let at = number as usize * PAGE;
            self.0[at..at + PAGE].copy_from_slice(&meta.page(number));
        }
        self.0
    }
}

/// Whether bolt keeps a bucket in its parent's page: it is small, and no bucket is in it.
fn is_inline(entries: &[Entry<'_>]) -> bool {
    entries.iter().all(|entry| entry.flags & IS_BUCKET == 0)
        && HEADER + entries.iter().map(Entry::size).sum::<usize>() <= INLINE_MAX
}

/// Cuts `items` into pages as full as they can be, none with fewer than `least` items unless there are no more. An item
/// larger than a page makes the page as large as it takes. No items are one empty page.
fn split<T>(items: &[T], size: impl Fn(&T) -> usize, least: usize) -> Vec<&[T]> {
    let mut parts = Vec::new();
    let (mut start, mut used) = (0, HEADER);
    for (index, item) in items.iter().enumerate() {
        // The last page must have its share too: a branch with a single child is none.
        let may_cut = index - start >= least && items.len() - index >= least;
        if may_cut && used + size(item) > PAGE {
            parts.push(&items[start..index]);
            (start, used) = (index, HEADER);
        }
        used += size(item);
    }
    parts.push(&items[start..]);
    parts
}

fn check(key: &[u8], value: usize) -> Result<(), Error> {
    if key.is_empty() || key.len() > KEY_MAX {
        return Err(Error::Key { key: start(key), length: key.len() });
    }
    let length = key.len() + value;
    if length > ENTRY_MAX {
        return Err(Error::Value { key: start(key), length });
    }
    Ok(())
}

/// Enough of a key to know it by.
fn start(key: &[u8]) -> String {
    let shown = &key[..key.len().min(80)];
    format!("{}{}", shown.escape_ascii(), if shown.len() < key.len() { "…" } else { "" })
}
