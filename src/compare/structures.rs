//! Bytes of two file systems that differ, by what they are for.

use std::{collections::BTreeMap, io};

use super::{Watch, report::StructureDiff};
use crate::formats::{
    ext4::read::{Field, FileSystem, Map, Owner, Place},
    source::Source,
};

/// Bytes that are read at once.
const CHUNK: u64 = 1 << 20;
/// The most places that are told one by one; the bytes of all others are counted together.
const PLACES_MAX: usize = 10_000;

/// A file system with what is known of it.
pub(super) struct Known<'k> {
    pub(super) system: FileSystem<'k>,
    pub(super) source: &'k dyn Source,
    pub(super) map: Map,
    /// The first path of every inode.
    pub(super) paths: BTreeMap<u64, String>,
}

/// What differing bytes belong to, in an order that keeps together what belongs together.
type Key = (Owner, Option<u64>, Option<usize>);

/// The key of all that is told together since there is too much of it.
const REST: Key = (Owner::Unused, Some(0), None);

/// All bytes that differ, by structure, in the order of the disk. What lies behind the shorter one is left out.
pub(super) fn compare(
    a: &Known<'_>,
    b: &Known<'_>,
    watch: Watch<'_>,
) -> io::Result<Vec<StructureDiff>> {
    let end = a.source.size().min(b.source.size());
    let mut found: BTreeMap<Key, StructureDiff> = BTreeMap::new();
    let (mut one, mut other) = (vec![0; CHUNK as usize], vec![0; CHUNK as usize]);
    let mut at = 0;
    while at < end {
        at = a.source.data_from(at)?.min(b.source.data_from(at)?).min(end);
        watch("compare structures", at, end);
        let length = CHUNK.min(end - at) as usize;
        a.source.read_at(at, &mut one[..length])?;
        b.source.read_at(at, &mut other[..length])?;
        if one[..length] != other[..length] {
            chunk(a, b, at, &one[..length], &other[..length], &mut found)?;
        }
        at += length as u64;
    }
    let mut found: Vec<StructureDiff> = found.into_values().collect();
    found.sort_by_key(|diff| diff.first);
    Ok(found)
}

fn chunk(
    a: &Known<'_>,
    b: &Known<'_>,
    start: u64,
    before: &[u8],
    after: &[u8],
    found: &mut BTreeMap<Key, StructureDiff>,
) -> io::Result<()> {
    let differs = |from: usize| (from..before.len()).find(|index| before[*index] != after[*index]);
    let mut index = 0;
    while let Some(first) = differs(index) {
        let at = start + first as u64;
        let place = a.map.at(at);
        // What is of no use on one side may be of use on the other.
        let (known, place) = match place.owner {
            Owner::Unused => (b, b.map.at(at)),
            _ => (a, place),
        };
        let end = (place.end.saturating_sub(start)).clamp(first as u64 + 1, before.len() as u64);
        let end = end as usize;
        let count = (first..end).filter(|index| before[*index] != after[*index]).count() as u64;
        let mut key = key(&place);
        if found.len() >= PLACES_MAX && !found.contains_key(&key) {
            key = REST;
        }
        match found.get_mut(&key) {
            Some(diff) => diff.count += count,
            None => {
                let diff = describe(a, b, known, &place, key, at, count)?;
                found.insert(key, diff);
            }
        }
        index = end;
    }
    Ok(())
}

fn key(place: &Place) -> Key {
    let number = place.inode.map(u64::from).or(place.group);
    (place.owner, number, place.field.map(|field: &Field| field.at))
}

fn describe(
    a: &Known<'_>,
    b: &Known<'_>,
    known: &Known<'_>,
    place: &Place,
    key: Key,
    first: u64,
    count: u64,
) -> io::Result<StructureDiff> {
    let (structure, number) = if key == REST { ("other", None) } else { name(place) };
    let inode = match place.owner {
        Owner::BlockMap(inode)
        | Owner::Xattrs(inode)
        | Owner::Directory(inode)
        | Owner::Content(inode) => Some(u64::from(inode)),
        _ => place.inode.map(u64::from),
    };
    let path = inode.and_then(|inode| known.paths.get(&inode).cloned());
    let (field, before, after) = match place.field {
        Some(field) => {
            let show = |source: &dyn Source| -> io::Result<_> {
                let mut bytes = vec![0; place.length as usize];
                source.read_at(place.structure, &mut bytes)?;
                Ok(Some(field.show(&bytes)))
            };
            (Some(field.name.to_owned()), show(a.source)?, show(b.source)?)
        }
        None => bit(a, b, known, place, first)?,
    };
    Ok(StructureDiff { structure, number, path, field, before, after, first, count })
}

/// A value with what it is on both sides.
type Told = (Option<String>, Option<String>, Option<String>);

/// The first bit of a bitmap that differs, as the block or inode that it stands for.
fn bit(
    a: &Known<'_>,
    b: &Known<'_>,
    known: &Known<'_>,
    place: &Place,
    first: u64,
) -> io::Result<Told> {
    let what = match place.owner {
        Owner::BlockBitmap(_) => "block",
        Owner::InodeBitmap(_) => "inode",
        _ => return Ok((None, None, None)),
    };
    let byte = |source: &dyn Source| {
        let mut byte = [0];
        source.read_at(first, &mut byte).map(|()| byte[0])
    };
    let (before, after) = (byte(a.source)?, byte(b.source)?);
    let bit = (before ^ after).trailing_zeros();
    let counted = known.system.counted(place.owner, first - place.structure, bit);
    let Some(number) = counted else { return Ok((None, None, None)) };
    let word = |byte: u8| Some(if byte >> bit & 1 == 1 { "used" } else { "free" }.to_owned());
    Ok((Some(format!("{what} {number}")), word(before), word(after)))
}

/// What a structure is called, and which one it is.
fn name(place: &Place) -> (&'static str, Option<u64>) {
    let inode = |name, inode: u32| (name, Some(u64::from(inode)));
    match place.owner {
        Owner::Boot => ("boot sector", None),
        Owner::Superblock(0) => ("superblock", None),
        Owner::Superblock(group) => ("copy of the superblock", Some(group)),
        Owner::Descriptors(0) => ("group descriptor", place.group),
        Owner::Descriptors(_) => ("copy of the group descriptor", place.group),
        Owner::ReservedDescriptors => ("blocks kept for group descriptors", None),
        Owner::BlockBitmap(group) => ("block bitmap", Some(group)),
        Owner::InodeBitmap(group) => ("inode bitmap", Some(group)),
        Owner::InodeTable(_) => ("inode", place.inode.map(u64::from)),
        Owner::Mmp => ("block against mounts elsewhere", None),
        Owner::BlockMap(number) => inode("extent block", number),
        Owner::Xattrs(number) => inode("attribute block", number),
        Owner::Directory(number) => inode("directory block", number),
        Owner::Content(number) => inode("content block", number),
        Owner::Journal => ("journal", None),
        Owner::Unused => ("unused space", None),
    }
}
