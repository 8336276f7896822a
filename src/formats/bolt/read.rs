use std::collections::BTreeSet;

use super::{
    DEPTH_MAX,
    bucket::{Bucket, Database, Item},
    page::{
        BRANCH, BUCKET_HEADER, ELEMENT, HEADER, IS_BUCKET, LEAF, MAGIC, META_SUMMED, PAGE, VERSION,
        checksum,
    },
};

/// Why bytes are no bolt database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDatabase {
    /// Neither meta page is sound.
    #[error("no sound meta page with pages of {PAGE} bytes")]
    Meta,
    /// A page is not what it must be.
    #[error("page {page}: {what}")]
    Page {
        /// Its number.
        page: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// Reads a whole database that this module or bolt wrote, with pages of 4096 bytes.
///
/// This is for inspection and for tests: it looks neither at the list of free pages nor for pages that nothing leads to.
pub fn read(file: &[u8]) -> Result<Database, BadDatabase> {
    let newest = [0, 1].into_iter().filter_map(|number| meta(file, number)).max();
    let (_, root) = newest.ok_or(BadDatabase::Meta)?;
    let mut top = Bucket::default();
    Reader { file, seen: BTreeSet::new() }.tree(root, 0, &mut top)?;
    let buckets = top.items.into_iter().map(|(key, item)| match item {
        Item::Bucket(bucket) => Ok((key, bucket)),
        Item::Value(_) => Err(BadDatabase::Page { page: root, what: "a value outside of buckets" }),
    });
    Ok(Database { buckets: buckets.collect::<Result<_, _>>()? })
}

/// Transaction and root page of a meta page, if it is sound.
fn meta(file: &[u8], number: usize) -> Option<(u64, u64)> {
    let body = file.get(number * PAGE + HEADER..(number + 1) * PAGE)?;
    let fixed = u32_at(body, 0)? == MAGIC
        && u32_at(body, 4)? == VERSION
        && u32_at(body, 8)? as usize == PAGE;
    let sound = fixed && checksum(&body[..META_SUMMED]) == u64_at(body, META_SUMMED)?;
    sound.then_some((u64_at(body, 48)?, u64_at(body, 16)?))
}

struct Reader<'a> {
    file: &'a [u8],
    /// In a sound database each page is reached once; so a forged one can neither turn in circles nor grow.
    seen: BTreeSet<u64>,
}

impl<'a> Reader<'a> {
    /// Reads page `root` and all below it into `bucket`.
    fn tree(&mut self, root: u64, depth: usize, bucket: &mut Bucket) -> Result<(), BadDatabase> {
        let mut open = vec![root];
        while let Some(number) = open.pop() {
            let page = self.page(number)?;
            match u16_at(page, 8) {
                Some(LEAF) => self.leaf(number, page, depth, bucket)?,
                Some(BRANCH) => {
                    for index in 0..count(page) {
                        let child = u64_at(page, HEADER + index * ELEMENT + 8);
                        open.push(child.ok_or(BadDatabase::Page { page: number, what: CUT })?);
                    }
                }
                _ => {
                    let what = "neither leaf nor branch";
                    return Err(BadDatabase::Page { page: number, what });
                }
            }
        }
        Ok(())
    }

    /// The bytes of a page with its overflow.
    fn page(&mut self, number: u64) -> Result<&'a [u8], BadDatabase> {
        let bad = |what| BadDatabase::Page { page: number, what };
        if !self.seen.insert(number) {
            return Err(bad("reached twice"));
        }
        let start = usize::try_from(number).ok().and_then(|number| number.checked_mul(PAGE));
        let rest = start.and_then(|start| self.file.get(start..)).ok_or(bad("beyond the end"))?;
        let overflow = u32_at(rest, 12).ok_or(bad(CUT))? as usize;
        let length = overflow.checked_add(1).and_then(|pages| pages.checked_mul(PAGE));
        length.and_then(|length| rest.get(..length)).ok_or(bad(CUT))
    }

    /// Reads the entries of a leaf, which is page `number` or lies within it, into `bucket`.
    fn leaf(
        &mut self,
        number: u64,
        page: &'a [u8],
        depth: usize,
        bucket: &mut Bucket,
    ) -> Result<(), BadDatabase> {
        for index in 0..count(page) {
            let bad = |what| BadDatabase::Page { page: number, what };
            let (flags, key, value) = entry(page, index).ok_or(bad(CUT))?;
            let item = if flags & IS_BUCKET == 0 {
                Item::Value(value.into())
            } else if depth == DEPTH_MAX {
                return Err(bad("buckets lie in each other too often"));
            } else {
                Item::Bucket(self.bucket(number, value, depth + 1)?)
            };
            bucket.items.insert(key.into(), item);
        }
        Ok(())
    }

    fn bucket(
        &mut self,
        number: u64,
        value: &'a [u8],
        depth: usize,
    ) -> Result<Bucket, BadDatabase> {
        let bad = BadDatabase::Page { page: number, what: CUT };
        let (Some(root), Some(sequence)) = (u64_at(value, 0), u64_at(value, 8)) else {
            return Err(bad);
        };
        let mut bucket = Bucket { sequence, ..Bucket::default() };
        match root {
            0 => self.leaf(number, &value[BUCKET_HEADER..], depth, &mut bucket)?,
            root => self.tree(root, depth, &mut bucket)?,
        }
        Ok(bucket)
    }
}

const CUT: &str = "cut short";

/// Flags, key and value of an entry in a leaf.
fn entry(page: &[u8], index: usize) -> Option<(u32, &[u8], &[u8])> {
    let element = page.get(HEADER + index * ELEMENT..)?;
    let [flags, distance, key, value] = [0, 4, 8, 12].map(|at| u32_at(element, at));
    let body = element.get(distance? as usize..)?;
    let (key, rest) = body.split_at_checked(key? as usize)?;
    Some((flags?, key, rest.get(..value? as usize)?))
}

fn count(page: &[u8]) -> usize {
    u16_at(page, 10).unwrap_or(0).into()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}
