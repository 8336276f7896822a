//! What is around the file systems of two disks: sizes, partitions, and the bytes of partition tables.

use std::{collections::BTreeSet, io, ops::Range};

use super::{bytes::hex, disk::Contents, report::Change};
use crate::formats::{mbr::SECTOR, source::Source};

/// The most bytes of a table that are looked at: all entries that are read, and the header of a copy.
const TABLE_MAX: u64 = (4 << 20) + SECTOR;
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
const HEADER: [Field; 15] = [
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
    (92, 420, "reserved bytes at its end"),
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
        // A table may be said to go on behind the end of the disk.
        let there = range.end.min(source.size()).saturating_sub(range.start);
        let mut bytes = vec![0; there.min(TABLE_MAX) as usize];
        if !bytes.is_empty() {
            source.read_at(range.start, &mut bytes)?;
        }
        Ok::<_, io::Error>(bytes)
    };
    let (before, after) = (read(a)?, read(b)?);
    if before == after {
        return Ok(());
    }
    let told = found.len();
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
        _ => (),
    }
    if found.len() == told {
        // In no field that is known here.
        let shorter = before.len().min(after.len());
        let first = before.iter().zip(&after).position(|(one, other)| one != other);
        let first = first.unwrap_or(shorter);
        let [old, new] = [&before, &after].map(|bytes| short(&bytes[first..]));
        found.push(Change::new(format!("{name}: bytes from {first} on"), old, new));
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

/// Bytes that are in no table and no file system that is looked into, of two disks with the same places.
fn outside(a: Known<'_>, b: Known<'_>, found: &mut Vec<Change>) -> io::Result<()> {
    let size = a.source.size();
    let looked_into = |number: u32| {
        let there = |known: Known<'_>| known.contents.systems.iter().any(|(it, _)| *it == number);
        there(a) && there(b)
    };
    let tables = &a.contents.tables;
    let mut taken: Vec<Range<u64>> = tables.tables.iter().map(|(_, it)| it.clone()).collect();
    let partitions = tables.partitions.iter().filter(|(number, _)| looked_into(*number));
    taken.extend(partitions.map(|(_, range)| range.clone()));
    taken.push(size..size);
    taken.sort_by_key(|range| range.start);
    let (mut at, mut apart) = (0, Apart::default());
    for range in taken {
        apart.look(a.source, b.source, at..range.start.min(size))?;
        at = at.max(range.end);
    }
    found.extend(apart.told("outside of file systems"));
    Ok(())
}

/// Bytes that differ and that nobody knows the use of: how many, and the first with its place and what it is on both sides.
#[derive(Default)]
pub(super) struct Apart {
    count: u64,
    first: Option<(u64, u8, u8)>,
}

impl Apart {
    /// Looks at a stretch that both have.
    pub(super) fn look(
        &mut self,
        a: &dyn Source,
        b: &dyn Source,
        range: Range<u64>,
    ) -> io::Result<()> {
        let Range { start: mut at, end } = range;
        let most = CHUNK.min(end.saturating_sub(at)) as usize;
        let (mut one, mut other) = (vec![0; most], vec![0; most]);
        while at < end {
            at = a.data_from(at)?.min(b.data_from(at)?).min(end);
            let length = CHUNK.min(end - at) as usize;
            a.read_at(at, &mut one[..length])?;
            b.read_at(at, &mut other[..length])?;
            let pairs = || one[..length].iter().zip(&other[..length]);
            self.count += pairs().filter(|(one, other)| one != other).count() as u64;
            let here = pairs().position(|(one, other)| one != other);
            let here = here.map(|here| (at + here as u64, one[here], other[here]));
            self.first = self.first.or(here);
            at += length as u64;
        }
        Ok(())
    }

    /// What was found, in words; `place` says of what.
    pub(super) fn told(self, place: &str) -> Option<Change> {
        let (at, before, after) = self.first?;
        let bytes = if self.count == 1 { "byte" } else { "bytes" };
        let what = format!("{} {bytes} {place}, the first at {at}", self.count);
        Some(Change::new(what, hex(&[before]), hex(&[after])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::partitions::Partitions;

    #[test]
    fn of_a_table_that_goes_on_behind_the_disk_what_is_there_is_compared() {
        const SIZE: u64 = 8192;
        let table = |name, range| (name, range);
        let tables = Partitions {
            partitions: Vec::new(),
            tables: vec![
                table("master boot record", 0..512),
                table("entries of the GUID partition table", SIZE - 256..SIZE + 256),
            ],
        };
        let contents = Contents { tables, systems: Vec::new() };
        let one = vec![0; SIZE as usize];
        let mut other = one.clone();
        other[SIZE as usize - 256] = 1;
        let known = |source| Known { source, contents: &contents };
        let [before, after] = [&one, &other].map(Vec::as_slice);
        let found = compare(known(&before), known(&after)).expect("memory does not fail");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].what, "partition 1: type");
        assert_eq!(compare(known(&before), known(&before)).expect("likewise"), []);
    }
}
