//! A tree with the place that its files' bytes are read from.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use fs_err as fs;

use super::{Watch, disk::DiskFile};
use crate::{
    formats::{ext4::read::FileSystem, source::Part},
    path::GuestPath,
    store::Store,
    tree::{BlobSink, Content, ContentHasher, Tree},
};

/// A tree and where its bytes are.
pub(super) struct Volume {
    /// `rootfs`, `kernel`, `partition 2`; empty if it is the only one.
    pub(super) label: String,
    pub(super) tree: Tree,
    pub(super) home: Home,
}

/// Where the bytes of files are.
pub(super) enum Home {
    /// In the store, by digest.
    Store,
    /// In a directory of the host.
    Directory(PathBuf),
    /// In a file system on a disk.
    System(System),
}

/// A file system on a disk.
pub(super) struct System {
    pub(super) disk: DiskFile,
    /// Which bytes of the disk it has.
    pub(super) range: Range<u64>,
    pub(super) inodes: BTreeMap<GuestPath, u32>,
    /// Whether its journal holds changes that are not in their places.
    pub(super) recovery: bool,
}

impl System {
    pub(super) fn part(&self) -> Part<'_> {
        let Range { start, end } = self.range;
        Part { source: &self.disk, start, length: end - start }
    }
}

impl Volume {
    /// Opens a regular file at byte `from` and hands it to `then`.
    pub(super) fn read(
        &self,
        store: &Store,
        path: &GuestPath,
        content: &Content,
        from: u64,
        then: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
    ) -> io::Result<()> {
        let seek = |mut file: fs::File| file.seek(SeekFrom::Start(from)).map(|_| file);
        match &self.home {
            Home::Store => then(&mut seek(store.blob_file(&content.digest)?)?),
            Home::Directory(dir) => {
                let place = dir.join(OsStr::from_bytes(path.as_bytes()));
                then(&mut seek(fs::File::open(place)?)?)
            }
            Home::System(system) => {
                let number = system.inodes.get(path).copied().unwrap_or_default();
                let part = system.part();
                let open = FileSystem::open(&part).map_err(io::Error::other)?;
                let mut reader = open.open_file(number).map_err(io::Error::other)?;
                reader.skip_to(from);
                then(&mut reader)
            }
        }
    }

    /// All of a file whose size is known to be small, or its first bytes.
    pub(super) fn bytes(
        &self,
        store: &Store,
        path: &GuestPath,
        content: &Content,
        range: Range<u64>,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let length = range.end.min(content.size).saturating_sub(range.start);
        if length == 0 {
            return Ok(bytes);
        }
        self.read(store, path, content, range.start, &mut |from| {
            from.take(length).read_to_end(&mut bytes).map(|_| ())
        })?;
        Ok(bytes)
    }
}

/// Takes files only to say what they are called, and tells how far it is.
pub(super) struct Naming<'n> {
    watch: Watch<'n>,
    what: &'n str,
    done: AtomicU64,
    total: u64,
}

impl<'n> Naming<'n> {
    /// For the files of `what`, of which there are about `total` bytes.
    pub(super) fn new(what: &'n str, total: u64, watch: Watch<'n>) -> Self {
        Self { watch, what, done: AtomicU64::new(0), total }
    }
}

impl BlobSink for Naming<'_> {
    fn put(&self, bytes: &mut dyn Read) -> io::Result<Content> {
        let mut hasher = ContentHasher::default();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match bytes.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(read) => {
                    hasher.update(&buffer[..read]);
                    let done = self.done.fetch_add(read as u64, Ordering::Relaxed) + read as u64;
                    (self.watch)(self.what, done, self.total.max(done));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
    }
}
