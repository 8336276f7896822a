//! What is around the file systems of two disks: sizes, partitions, and the bytes of partition tables.

use std::{collections::BTreeSet, io, ops::Range};

use super::{bytes::hex, disk::Contents, report::Change};
use crate::formats::source::Source;

/// The most bytes of a table that are looked at.
const TABLE_MAX: u64 = 4 << 20;
/// Bytes that are read at once outside of tables and partitions.
const CHUNK: u64 = 1 << 20;
/// Bytes of an entry of a GUID partition table.
const ENTRY: u64 = 128;

/// A disk with what is on it.
#[derive(Clone, Copy)]
pub(super) struct Known<'k> {
    pub(super) source: &'k dyn Source,
    pub(super) contents: &'k Contents,
}

/// A field of a table: offset, length, name.
type Field = (u64, u64, &'static str);

/// The master boot record (UEFI 2.10, 5.2.1).
const MBR: [Field; 8] = [
    (0, 440, "boot code"),
    (440, 4, "disk signature"),
    (444, 2, "reserved bytes"),
    (446, 16, "entry 1"),
    (462, 16, "entry 2"),
    (478, 16, "entry 3"),
    (494, 16, "entry 4"),
    (510, 2, "magic number"),
];

/// The header of a GUID partition table (UEFI 2.10, 5.3.2).
const HEADER: [Field; 14] = [
    (0, 8, "signature"),
    (8, 4, "revision"),
    (12, 4, "size of the header"),
    (16, 4, "checksum of the header"),
    (20, 4, "reserved bytes"),
    (24, 8, "its place"),
    (32, 8, "place of the copy"),
    (40, 8, "first usable sector"),
    (48, 8, "last usable sector"),
    (56, 16, "GUID of the disk"),
    (72, 8, "place of the entries"),
    (80, 4, "number of entries"),
    (84, 4, "size of an entry"),
    (88, 4, "checksum of the entries"),
];

/// One entry of it (UEFI 2.10, 5.3.3).
const PARTITION: [Field; 6] = [
    (0, 16, "type"),
    (16, 16, "GUID"),
    (32, 8, "first sector"),
    (40, 8, "last sector"),
    (48, 8, "attributes"),
    (56, 72, "name"),
];

/// All that differs around the file systems.
pub(super) fn compare(a: Known<'_>, b: Known<'_>) -> io::Result<Vec<Change>> {
    let mut found = Vec::new();
    let mut note = |what: &str, before: String, after: String| {
        if before != after {
            found.push(Change::new(what, before, after));
        }
    };
    let size = |known: Known<'_>| format!("{} bytes", known.source.size());
    note("size of the disk", size(a), size(b));
    note("partition table", kind(a.contents).to_owned(), kind(b.contents).to_owned());
    let numbers =
        |known: Known<'_>| known.contents.tables.partitions.iter().map(|(n, _)| *n).collect();
    let (before, after): (BTreeSet<u32>, BTreeSet<u32>) = (numbers(a), numbers(b));
    for number in before.union(&after) {
        note(&format!("partition {number}"), partition(a, *number), partition(b, *number));
    }
    let same_places = a.contents.tables == b.contents.tables && a.source.size() == b.source.size();
    for (name, old) in &a.contents.tables.tables {
        let new = b.contents.tables.tables.iter().find(|(other, _)| other == name);
        if let Some((_, new)) = new
            && old.end - old.start == new.end - new.start
        {
            table(name, (a.source, old), (b.source, new), &mut found)?;
        }
    }
    if same_places && kind(a.contents) != "none" {
        outside(a, b, &mut found)?;
    }
    Ok(found)
}

fn kind(contents: &Contents) -> &'static str {
    match contents.tables.tables.len() {
        0 => "none",
        1 => "master boot record",
        _ => "GUID partition table",
    }
}

fn partition(known: Known<'_>, number: u32) -> String {
    let found = known.contents.tables.partitions.iter().find(|(other, _)| *other == number);
    let Some((_, range)) = found else { return "none".to_owned() };
    let system = known.contents.systems.iter().any(|(other, _)| *other == number);
    let what = if system { "ext2, ext3 or ext4" } else { "something else" };
    format!("{} bytes at {}, {what}", range.end - range.start, range.start)
}

fn table(
    name: &'static str,
    a: (&dyn Source, &Range<u64>),
    b: (&dyn Source, &Range<u64>),
    found: &mut Vec<Change>,
) -> io::Result<()> {
    let read = |(source, range): (&dyn Source, &Range<u64>)| {
        let length = (range.end - range.start).min(TABLE_MAX);
        let mut bytes = vec![0; length as usize];
        let there = range.start.saturating_add(length) <= source.size();
        there.then(|| source.read_at(range.start, &mut bytes)).transpose()?;
        Ok::<_, io::Error>(bytes)
    };
    let (before, after) = (read(a)?, read(b)?);
    if before == after {
        return Ok(());
    }
    let mut field = |place: String, range: Range<usize>| {
        if let (Some(old), Some(new)) = (before.get(range.clone()), after.get(range))
            && old != new
        {
            found.push(Change::new(place, short(old), short(new)));
        }
    };
    let span =
        |base: u64, (at, length, _): &Field| (base + at) as usize..(base + at + length) as usize;
    match name {
        "master boot record" => {
            MBR.iter().for_each(|it| field(format!("{name}: {}", it.2), span(0, it)))
        }
        "header of the GUID partition table" => {
            HEADER.iter().for_each(|it| field(format!("{name}: {}", it.2), span(0, it)));
        }
        "entries of the GUID partition table" => {
            for (index, base) in (0..before.len() as u64).step_by(ENTRY as usize).enumerate() {
                let number = index + 1;
                PARTITION
                    .iter()
                    .for_each(|it| field(format!("partition {number}: {}", it.2), span(base, it)));
            }
        }
        _ => {
            let first = before.iter().zip(&after).position(|(one, other)| one != other);
            let first = first.unwrap_or_default();
            field(format!("{name}: bytes from {first} on"), first..first + 1);
        }
    }
    Ok(())
}

/// The first bytes in hexadecimal.
fn short(bytes: &[u8]) -> String {
    const MOST: usize = 16;
    match bytes.get(..MOST) {
        Some(first) if bytes.len() > MOST => format!("{}...", hex(first)),
        _ => hex(bytes),
    }
}

/// Bytes that are in no table and no partition, of two disks with the same places.
fn outside(a: Known<'_>, b: Known<'_>, found: &mut Vec<Change>) -> io::Result<()> {
    let size = a.source.size();
    let mut taken: Vec<Range<u64>> =
        a.contents.tables.tables.iter().map(|(_, it)| it.clone()).collect();
    taken.extend(a.contents.tables.partitions.iter().map(|(_, range)| range.clone()));
    taken.push(size..size);
    taken.sort_by_key(|range| range.start);
    let (mut one, mut other) = (vec![0; CHUNK as usize], vec![0; CHUNK as usize]);
    let (mut at, mut count, mut first) = (0, 0_u64, None);
    for range in taken {
        let end = range.start.min(size);
        while at < end {
            at = a.source.data_from(at)?.min(b.source.data_from(at)?).min(end);
            let length = CHUNK.min(end - at) as usize;
            a.source.read_at(at, &mut one[..length])?;
            b.source.read_at(at, &mut other[..length])?;
            let pairs = || one[..length].iter().zip(&other[..length]);
            count += pairs().filter(|(one, other)| one != other).count() as u64;
            let here = pairs().position(|(one, other)| one != other);
            first = first.or(here.map(|here| (at + here as u64, one[here], other[here])));
            at += length as u64;
        }
        at = at.max(range.end);
    }
    if let Some((at, before, after)) = first {
        let what = format!("{count} bytes outside of partitions, the first at {at}");
        found.push(Change::new(what, hex(&[before]), hex(&[after])));
    }
    Ok(())
}
