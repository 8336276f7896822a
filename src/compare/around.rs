//! The bytes of a file system that are in no file, on both sides.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    ops::Range,
};

use super::{
    Error, Watch,
    disk::{self, Contents, DiskFile, Planned},
    report::{Change, PartDiff, Report},
    side::{Body, Bytes, Side},
    structures,
    table::{self, Apart},
    volume::{Home, Volume},
};
use crate::{
    formats::{
        ext4::read::{FileSystem, ReadError},
        source::{Part, Source},
    },
    store::Store,
    tree::{BlobSink, Content},
};

/// Of many things that could not be looked at, so many are told.
pub(super) const NOTES_MAX: usize = 5;

/// A disk of a side: a file, or one that is laid out only in thought.
pub(super) struct Laid<'s> {
    name: &'s str,
    source: Box<dyn Source + 's>,
    contents: Contents,
}

impl<'s> Laid<'s> {
    /// The disk of a side, if it has one. What is only planned is laid out only against a disk that is a file.
    pub(super) fn of(
        side: &'s Side,
        other: &Side,
        store: &'s Store,
    ) -> Result<Option<Self>, Error> {
        let is_file = |side: &Side| {
            let file = matches!(side.body, Body::Trees { disk: Some(Bytes::File(_)), .. });
            file || matches!(side.body, Body::Disk { .. })
        };
        let source: Box<dyn Source + 's> = match &side.body {
            Body::Disk { path, .. } | Body::Trees { disk: Some(Bytes::File(path)), .. } => {
                Box::new(DiskFile::open(path)?)
            }
            Body::Trees { disk: Some(Bytes::Planned(disk)), .. } if is_file(other) => {
                Box::new(Planned::new(&side.name, disk, store)?)
            }
            _ => return Ok(None),
        };
        let mut contents = disk::contents(&*source)?;
        if let Body::Disk { partition: Some(partition), .. } = side.body {
            contents.systems.retain(|(number, _)| *number == partition);
        }
        Ok(Some(Self { name: &side.name, source, contents }))
    }

    pub(super) fn known(&self) -> table::Known<'_> {
        table::Known { source: &*self.source, contents: &self.contents }
    }

    pub(super) fn source(&self) -> &dyn Source {
        &*self.source
    }

    pub(super) fn wrong(&self, source: io::Error) -> Error {
        Error::System { name: self.name.to_owned(), source: source.into() }
    }

    fn part(&self, range: &Range<u64>) -> Below<'_> {
        let length = range.end - range.start;
        Below { name: self.name, part: Part { source: &*self.source, start: range.start, length } }
    }

    /// The first file system; all of the disk if there is none.
    fn first(&self) -> Below<'_> {
        let whole = 0..self.source.size();
        self.part(self.contents.systems.first().map_or(&whole, |(_, range)| range))
    }

    /// The file system that a volume is on. The root file system of an image is the only one of its disk.
    pub(super) fn under(&self, volume: &Volume) -> Option<Below<'_>> {
        match &volume.home {
            Home::System(system) => Some(self.part(&system.range)),
            Home::Store if ["", "rootfs"].contains(&volume.label.as_str()) => Some(self.first()),
            Home::Store | Home::Directory(_) => None,
        }
    }
}

/// The bytes of one file system.
#[derive(Clone, Copy)]
pub(super) struct Below<'b> {
    name: &'b str,
    part: Part<'b>,
}

/// Compares the bytes of two file systems by what they are for.
pub(super) fn compare(
    a: Below<'_>,
    b: Below<'_>,
    watch: Watch<'_>,
    part: &mut PartDiff,
    report: &mut Report,
) -> Result<(), Error> {
    let (one, other) = (open(&a)?, open(&b)?);
    if one.size() != other.size() {
        let bytes = |system: &FileSystem<'_>| format!("{} bytes", system.size());
        report.around.push(Change::new("size of the file system", bytes(&one), bytes(&other)));
    }
    let before = known(one, &a, &mut report.notes);
    let after = known(other, &b, &mut report.notes);
    let found = structures::compare(&before, &after, watch);
    part.structures = found.map_err(|source| failed(&a, source.into()))?;
    Ok(())
}

/// Compares the bytes of all file systems of two disks: an only one with an only one, else those with the same numbers. Those
/// of which one cannot even be opened are compared without knowing what a byte is for.
pub(super) fn compare_all(
    one: &Laid<'_>,
    other: &Laid<'_>,
    watch: Watch<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    let [mine, theirs] = [one, other].map(|disk| disk.contents.systems.as_slice());
    let mut pairs: Vec<(u32, Option<Below<'_>>, Option<Below<'_>>)> = Vec::new();
    if let ([(number, a)], [(_, b)]) = (mine, theirs) {
        pairs.push((*number, Some(one.part(a)), Some(other.part(b))));
    } else {
        let numbers: BTreeSet<u32> = mine.iter().chain(theirs).map(|(number, _)| *number).collect();
        let of = |disk: &'_ Laid<'_>, number| {
            let found = disk.contents.systems.iter().find(|(it, _)| *it == number);
            found.map(|(_, range)| range.clone())
        };
        pairs.extend(numbers.into_iter().map(|number| {
            let (a, b) = (of(one, number), of(other, number));
            (number, a.map(|range| one.part(&range)), b.map(|range| other.part(&range)))
        }));
    }
    for (number, a, b) in pairs {
        let mut part = PartDiff { name: disk::label(number), ..PartDiff::default() };
        match (a, b) {
            (Some(a), Some(b)) if open(&a).is_ok() && open(&b).is_ok() => {
                compare(a, b, watch, &mut part, report)?;
                report.parts.push(part);
            }
            (Some(a), Some(b)) => bytes(&part.name, a, b, report)?,
            (a, b) => {
                let there = |below: Option<Below<'_>>| below.map(|_| "there".to_owned());
                let (before, after) = (there(a), there(b));
                report.around.push(Change { what: part.name, before, after });
            }
        }
    }
    Ok(())
}

/// Compares bytes that nobody knows the use of.
fn bytes(name: &str, a: Below<'_>, b: Below<'_>, report: &mut Report) -> Result<(), Error> {
    let of = if name.is_empty() { "the disk" } else { name };
    let sizes = [a, b].map(|below| below.part.size());
    if sizes[0] != sizes[1] && !name.is_empty() {
        let [before, after] = sizes.map(|size| format!("{size} bytes"));
        report.around.push(Change::new(format!("size of {of}"), before, after));
    }
    let mut apart = Apart::default();
    let looked = apart.look(&a.part, &b.part, 0..sizes[0].min(sizes[1]));
    looked.map_err(|source| failed(&a, source.into()))?;
    report.around.extend(apart.told(&format!("of {of}")));
    Ok(())
}

/// Looks at all metadata of a file system.
fn known<'b>(
    system: FileSystem<'b>,
    below: &'b Below<'_>,
    notes: &mut Vec<String>,
) -> structures::Known<'b> {
    let (map, paths) = (system.map(), paths(&system));
    let gaps = map.gaps.iter().take(NOTES_MAX);
    notes.extend(gaps.map(|gap| format!("{}: {gap}", below.name)));
    structures::Known { system, source: &below.part, map, paths }
}

fn open<'b>(below: &'b Below<'_>) -> Result<FileSystem<'b>, Error> {
    FileSystem::open(&below.part).map_err(|source| failed(below, source))
}

fn failed(below: &Below<'_>, source: ReadError) -> Error {
    Error::System { name: below.name.to_owned(), source }
}

/// The first path of every inode; none of a file system whose names cannot be read.
fn paths(system: &FileSystem<'_>) -> BTreeMap<u64, String> {
    let mut paths = BTreeMap::new();
    if let Ok(found) = system.tree(&Unread) {
        for (path, inode) in found.inodes {
            paths.entry(u64::from(inode)).or_insert_with(|| path.to_string());
        }
    }
    paths
}

/// Takes files without reading them, where only their names are of interest.
struct Unread;

impl BlobSink for Unread {
    fn put(&self, _: &mut dyn Read) -> io::Result<Content> {
        Ok(Content::of(b""))
    }
}
