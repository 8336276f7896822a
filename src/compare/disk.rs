//! Disks that are files, and disks that are only a plan: both can be read at any place.

use std::{
    io,
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use fs_err as fs;
use rustix::{
    fs::{SeekFrom, seek},
    io::Errno,
};

use super::{Error, Watch};
use crate::{
    digest::Digest,
    formats::{
        disk::place,
        ext4::{layout, read::FileSystem},
        image::{Piece, Placed},
        partitions::{self, Partitions},
        source::{Part, Source},
    },
    plan::Disk,
    store::Store,
};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// A raw disk in a file, or a block device.
pub(super) struct DiskFile {
    pub(super) path: PathBuf,
    file: fs::File,
    size: u64,
}

impl DiskFile {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = fs::File::open(path)?;
        // A block device says its length only so.
        let size = seek(&file, SeekFrom::End(0))
            .map_err(|error| Error::Io { path: path.to_owned(), source: error.into() })?;
        Ok(Self { path: path.to_owned(), file, size })
    }

    /// Whether both are one file.
    pub(super) fn is(&self, other: &Self) -> bool {
        let id = |disk: &Self| disk.file.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
        id(self).is_some_and(|mine| Some(mine) == id(other))
    }
}

impl Source for DiskFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.file().read_exact_at(into, at)
    }

    fn data_from(&self, at: u64) -> io::Result<u64> {
        match seek(&self.file, SeekFrom::Data(at)) {
            Ok(found) => Ok(found.min(self.size)),
            Err(Errno::NXIO) => Ok(self.size),
            // Not every file system knows of holes.
            Err(_) => Ok(at.min(self.size)),
        }
    }
}

/// A disk as it will be laid out, without being written.
pub(super) struct Planned<'s> {
    store: &'s Store,
    size: u64,
    pieces: Vec<Placed>,
}

impl<'s> Planned<'s> {
    /// Lays out a disk of ours. Metadata is held in memory, contents are read from the store.
    pub(super) fn new(name: &str, disk: &Disk<Digest>, store: &'s Store) -> Result<Self, Error> {
        let wrong = |why: String| Error::Layout { name: name.to_owned(), why };
        let tree = store.tree(&disk.rootfs)?;
        let layout = layout(&tree, &disk.shape()).map_err(|error| wrong(error.to_string()))?;
        let placed = place(&layout, disk.around()).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { store, size: placed.size(), pieces: placed.pieces().collect() })
    }

    fn read_piece(&self, piece: &Piece, from: u64, into: &mut [u8]) -> io::Result<()> {
        match piece {
            Piece::Bytes(bytes) => {
                into.copy_from_slice(&bytes[from as usize..from as usize + into.len()]);
                Ok(())
            }
            Piece::Blob { digest, offset, .. } => {
                self.store.blob_file(digest)?.file().read_exact_at(into, offset + from)
            }
        }
    }
}

impl Source for Planned<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(into.len() as u64).filter(|end| *end <= self.size);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        into.fill(0);
        let first = self.pieces.partition_point(|it| it.at + it.piece.length() <= at);
        for Placed { at: start, piece } in self.pieces[first..].iter().take_while(|it| it.at < end)
        {
            let (from, to) = (at.max(*start), end.min(start + piece.length()));
            let target = &mut into[(from - at) as usize..(to - at) as usize];
            self.read_piece(piece, from - start, target)?;
        }
        Ok(())
    }

    fn data_from(&self, at: u64) -> io::Result<u64> {
        let next = self.pieces.partition_point(|it| it.at + it.piece.length() <= at);
        Ok(self.pieces.get(next).map_or(self.size, |piece| piece.at.max(at)))
    }
}

/// What is on a disk: its tables, and which bytes each file system has, by the number of its partition. A disk without partitions
/// that is a file system has number 0.
pub(super) struct Contents {
    pub(super) tables: Partitions,
    pub(super) systems: Vec<(u32, Range<u64>)>,
}

/// What the file system with this number is called: nothing, if it has all of the disk.
pub(super) fn label(number: u32) -> String {
    if number == 0 { String::new() } else { format!("partition {number}") }
}

/// Whether two disks are the same byte for byte.
pub(super) fn same(a: &dyn Source, b: &dyn Source, watch: Watch<'_>) -> io::Result<bool> {
    let size = a.size();
    if size != b.size() {
        return Ok(false);
    }
    let (mut one, mut other) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut at = 0;
    while at < size {
        at = a.data_from(at)?.min(b.data_from(at)?);
        watch("compare bytes", at, size);
        let length = (size - at).min(CHUNK as u64) as usize;
        a.read_at(at, &mut one[..length])?;
        b.read_at(at, &mut other[..length])?;
        if one[..length] != other[..length] {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}

/// Looks for file systems.
pub(super) fn contents(disk: &dyn Source) -> io::Result<Contents> {
    // A file system may begin with a boot loader, whose sector looks like a table.
    if FileSystem::is_there(disk) {
        let systems = vec![(0, 0..disk.size())];
        return Ok(Contents { tables: Partitions::default(), systems });
    }
    let tables = partitions::read(disk)?;
    let there = |range: &Range<u64>| {
        FileSystem::is_there(&Part {
            source: disk,
            start: range.start,
            length: range.end - range.start,
        })
    };
    let systems = tables.partitions.iter().filter(|(_, range)| there(range)).cloned().collect();
    Ok(Contents { tables, systems })
}
