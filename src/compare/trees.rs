//! Sides that have files: which tree meets which, and then all of both.

use std::{io, path::Path};

use super::{
    Error, Options, Watch,
    around::{self, Laid},
    content::{Comparer, File},
    disk::{self, DiskFile},
    files, host, made, packages,
    report::{Change, FileDiff, PartDiff, Report},
    side::{Body, Bytes, Side},
    table,
    volume::{Home, Naming, System, Volume},
};
use crate::{
    formats::{ext4::read::FileSystem, source::Source},
    path::GuestPath,
    store::Store,
    tree::{Draft, Inode, Kind, Meta, Node, Time},
};

/// Compares two sides with trees, and puts what it finds into the report.
pub(super) fn compare(
    a: &Side,
    b: &Side,
    options: &Options,
    store: &Store,
    watch: Watch<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    if are_equal(a, b, watch)? {
        return Ok(());
    }
    let disks = [Laid::of(a, b, store)?, Laid::of(b, a, store)?];
    look([a, b], &disks, options, store, watch, report)?;
    // Whatever was looked into, disks with other bytes are not the same.
    if let [Some(one), Some(other)] = &disks
        && [a, b].iter().all(|side| is_whole(side))
        && report.is_same()
        && !disk::same(one.source(), other.source(), watch).map_err(|source| one.wrong(source))?
    {
        let what = "bytes that are in nothing that was looked into".to_owned();
        report.around.push(Change { what, before: None, after: None });
    }
    Ok(())
}

/// Looks for differences, from the outside in.
fn look(
    [a, b]: [&Side; 2],
    disks: &[Option<Laid<'_>>; 2],
    options: &Options,
    store: &Store,
    watch: Watch<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    if let [Some(one), Some(other)] = disks
        && [a, b].iter().all(|side| is_whole(side))
    {
        let found = table::compare(one.known(), other.known());
        report.around.extend(found.map_err(|source| one.wrong(source))?);
    }
    let found = rayon::join(|| volumes(a, store, watch), || volumes(b, store, watch));
    let (before, after) = match (found, disks) {
        ((Ok(before), Ok(after)), _) => (before, after),
        // Files that cannot be read can still be compared byte by byte.
        ((before, after), [Some(one), Some(other)]) => {
            for error in [before.err(), after.err()].into_iter().flatten() {
                let Error::System { source, .. } = &error else { return Err(error) };
                report.notes.push(format!("{error}: {source}"));
            }
            return around::compare_all(one, other, watch, report);
        }
        ((Err(error), _) | (_, Err(error)), _) => return Err(error),
    };
    for volume in before.iter().chain(&after) {
        if let Home::System(System { recovery: true, disk, .. }) = &volume.home {
            let path = disk.path.display();
            report
                .notes
                .push(format!("{path} was not unmounted cleanly: its journal was not read"));
        }
    }
    for (old, new) in pairs([a, b], before, after, report)? {
        let mut part = part(&old, &new, options, store, watch, report);
        if part.files.is_empty() || options.structures {
            let one = disks[0].as_ref().and_then(|disk| disk.under(&old));
            let other = disks[1].as_ref().and_then(|disk| disk.under(&new));
            match (one, other) {
                (Some(one), Some(other)) => around::compare(one, other, watch, &mut part, report)?,
                (None, None) => (),
                (Some(_), None) | (None, Some(_)) => report.notes.push(
                    "only one side is a disk: what is around its files was not compared".to_owned(),
                ),
            }
        }
        report.parts.push(part);
    }
    if let (Some(one), Some(other)) = (planned(a), planned(b)) {
        report.around.extend(made::disks(one, other));
    }
    Ok(())
}

fn is_whole(side: &Side) -> bool {
    !matches!(side.body, Body::Disk { partition: Some(_), .. })
}

fn planned(side: &Side) -> Option<&crate::plan::Disk<crate::digest::Digest>> {
    match &side.body {
        Body::Trees { disk: Some(Bytes::Planned(disk)), .. } => Some(disk),
        _ => None,
    }
}

/// Whether both are the same at first sight: the same trees of the store, or byte for byte the same disk.
fn are_equal(a: &Side, b: &Side, watch: Watch<'_>) -> Result<bool, Error> {
    match (&a.body, &b.body) {
        (Body::Trees { parts: old, disk: None }, Body::Trees { parts: new, disk: None }) => {
            Ok(old == new)
        }
        (Body::Trees { parts: old, .. }, Body::Trees { parts: new, .. }) => {
            Ok(old == new && planned(a).is_some() && planned(a) == planned(b))
        }
        (Body::Disk { path: old, partition: None }, Body::Disk { path: new, partition: None }) => {
            let (one, other) = (DiskFile::open(old)?, DiskFile::open(new)?);
            // What cannot be read is told where it is looked for.
            Ok(one.is(&other) || disk::same(&one, &other, watch).unwrap_or(false))
        }
        _ => Ok(false),
    }
}

/// Every tree of a side.
fn volumes(side: &Side, store: &Store, watch: Watch<'_>) -> Result<Vec<Volume>, Error> {
    let name = format!("read {}", side.name);
    match &side.body {
        Body::Trees { parts, .. } => parts
            .iter()
            .map(|(label, digest)| {
                let tree = store.tree(digest)?;
                Ok(Volume { label: label.clone(), tree, home: Home::Store })
            })
            .collect(),
        Body::Directory(dir) => {
            let tree = host::tree(dir, &Naming::new(&name, 0, watch))?;
            Ok(vec![Volume { label: String::new(), tree, home: Home::Directory(dir.clone()) }])
        }
        Body::Disk { path, partition } => systems(side, path, *partition, &name, watch),
        Body::Lock(_) | Body::File(_) | Body::Unmade => Ok(Vec::new()),
    }
}

fn systems(
    side: &Side,
    path: &Path,
    partition: Option<u32>,
    what: &str,
    watch: Watch<'_>,
) -> Result<Vec<Volume>, Error> {
    let wrong = |source| Error::Io { path: path.to_owned(), source };
    let contents = disk::contents(&DiskFile::open(path)?).map_err(wrong)?;
    let have: Vec<u32> = contents.systems.iter().map(|(number, _)| *number).collect();
    if let Some(number) = partition
        && !have.contains(&number)
    {
        let name = side.name.clone();
        return Err(Error::NoPartition { name, number, have });
    }
    let chosen = |number: &u32| partition.is_none_or(|partition| partition == *number);
    let chosen = contents.systems.into_iter().filter(|(number, _)| chosen(number));
    let mut volumes = Vec::new();
    for (number, range) in chosen {
        let label = disk::label(number);
        let name = match number {
            0 => side.name.clone(),
            _ => format!("{} in {label}", side.name),
        };
        let failed = |source| Error::System { name: name.clone(), source };
        let mut system = System {
            disk: DiskFile::open(path)?,
            range,
            inodes: Default::default(),
            recovery: false,
        };
        let part = system.part();
        let open = FileSystem::open(&part).map_err(failed)?;
        let recovery = open.needs_recovery();
        let found = open.tree(&Naming::new(what, part.size(), watch)).map_err(failed)?;
        (system.inodes, system.recovery) = (found.inodes, recovery);
        volumes.push(Volume { label, tree: found.tree, home: Home::System(system) });
    }
    Ok(volumes)
}

/// Which tree is compared with which: an only one with an only one, else by their labels.
fn pairs(
    [a, b]: [&Side; 2],
    mut before: Vec<Volume>,
    mut after: Vec<Volume>,
    report: &mut Report,
) -> Result<Vec<(Volume, Volume)>, Error> {
    narrow((&mut before, a), (&after, b), &mut report.notes)?;
    narrow((&mut after, b), (&before, a), &mut report.notes)?;
    if let ([_], [_]) = (before.as_slice(), after.as_slice()) {
        return Ok(before.into_iter().zip(after).collect());
    }
    let alone = |volume: &Volume| match volume.label.as_str() {
        "" => "file system".to_owned(),
        label => label.to_owned(),
    };
    let there = || Some("there".to_owned());
    let mut pairs = Vec::new();
    for old in before {
        match after.iter().position(|new| new.label == old.label) {
            Some(place) => pairs.push((old, after.remove(place))),
            None => {
                report.around.push(Change { what: alone(&old), before: there(), after: None });
            }
        }
    }
    let added = after.iter().map(|new| Change { what: alone(new), before: None, after: there() });
    report.around.extend(added);
    Ok(pairs)
}

/// Of a side that meets another kind of side, leaves the only tree that can be meant.
fn narrow(
    (volumes, side): (&mut Vec<Volume>, &Side),
    (others, other): (&[Volume], &Side),
    notes: &mut Vec<String>,
) -> Result<(), Error> {
    let is_image = |side: &Side| matches!(side.body, Body::Trees { .. });
    // A tree, a directory, a bare disk or a chosen partition is compared with one thing.
    let alone = matches!(others, [only] if only.label.is_empty() || !is_whole(other));
    if is_image(side) && (alone || !is_image(other)) {
        // That is the root file system; the kernel of an image is nothing of a disk.
        for left in volumes.drain(volumes.len().min(1)..) {
            let (label, name) = (left.label, &side.name);
            notes.push(format!("the {label} of {name} was not compared: {} has none", other.name));
        }
    } else if !is_image(side) && volumes.len() > 1 && (alone || is_image(other)) {
        let number = |volume: &Volume| volume.label.rsplit(' ').next()?.parse().ok();
        let have = volumes.iter().filter_map(number).collect();
        let (name, other) = (side.name.clone(), other.name.clone());
        return Err(Error::Several { name, have, other });
    }
    Ok(())
}

/// Packages and files of two trees.
fn part(
    old: &Volume,
    new: &Volume,
    options: &Options,
    store: &Store,
    watch: Watch<'_>,
    report: &mut Report,
) -> PartDiff {
    let name = if old.label.is_empty() { new.label.clone() } else { old.label.clone() };
    let mut part =
        PartDiff { name, paths: old.tree.len().max(new.tree.len()), ..PartDiff::default() };
    match (packages::read(old, store), packages::read(new, store)) {
        (Ok(before), Ok(after)) => part.packages = packages::compare(&before, &after),
        (Err(error), _) | (_, Err(error)) => {
            report.notes.push(format!("packages were not compared: {error}"));
        }
    }
    let mut comparer = Comparer::new(store);
    let (files, unread) = files::compare(old, new, &options.ignore, &mut comparer, watch);
    part.files = files;
    let told = unread.iter().take(around::NOTES_MAX);
    report.notes.extend(told.map(|(path, error)| format!("{path} cannot be read: {error}")));
    part
}

/// Two files that are neither disks nor lockfiles.
pub(super) fn plain_files(before: &Path, after: &Path, store: &Store) -> Result<PartDiff, Error> {
    let naming = Naming::new("read", 0, &|_, _, _| ());
    let volume = |path: &Path| {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let (dir, name) = (dir.unwrap_or(Path::new(".")), path.file_name().unwrap_or_default());
        let wrong = |source| Error::Io { path: path.to_owned(), source };
        let guest =
            GuestPath::new(name.as_encoded_bytes()).map_err(|bad| wrong(io::Error::other(bad)))?;
        let content = crate::tree::BlobSink::put(&naming, &mut fs_err::File::open(path)?)?;
        let meta = || Meta::root_owned(0o755, Time::default());
        let mut draft = Draft::with_root(meta());
        let inode = Inode { meta: meta(), kind: Kind::File(content.clone()) };
        draft.insert(guest.clone(), Node::Inode(inode));
        let tree = draft.finish().map_err(|fault| wrong(io::Error::other(fault)))?;
        let home = Home::Directory(dir.to_owned());
        Ok::<_, Error>((Volume { label: String::new(), tree, home }, guest, content))
    };
    let (old, new) = (volume(before)?, volume(after)?);
    let mut part = PartDiff { paths: 1, ..PartDiff::default() };
    if old.2.digest == new.2.digest {
        return Ok(part);
    }
    let one = File { volume: &old.0, path: &old.1, content: &old.2 };
    let other = File { volume: &new.0, path: &new.1, content: &new.2 };
    let content = Comparer::new(store).compare(one, other)?;
    let mut fields = Vec::new();
    if old.2.size != new.2.size {
        fields.push(Change::new("size", old.2.size, new.2.size));
    }
    let (path, content) = (new.1.to_string(), Some(content));
    part.files.push(FileDiff { path, change: "changed", kind: "file", fields, content });
    Ok(part)
}
