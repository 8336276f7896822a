use super::{Error, chain::Snapshot, database::named};
use crate::{
    digest::Digest,
    path::{BadPath, GuestPath},
    tree::{BlobSink, Content, Draft, Fault, Inode, Kind, Meta, Node, Time, Tree},
};

const BLOBS: &str = "io.containerd.content.v1.content/blobs/sha256";
const METADATA: &str = "io.containerd.metadata.v1.bolt/meta.db";
const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1.overlayfs/metadata.db";
const SNAPSHOTS: &str = "io.containerd.snapshotter.v1.overlayfs/snapshots";

/// What containerd 1.6 makes when it starts, with the modes that it gives with umask 022, but for the directories of other
/// snapshotters and of services that the guest has no use for.
const DIRECTORIES: [(&str, u16); 11] = [
    ("", 0o700),
    ("io.containerd.content.v1.content", 0o755),
    ("io.containerd.content.v1.content/blobs", 0o755),
    (BLOBS, 0o755),
    ("io.containerd.content.v1.content/ingest", 0o755),
    ("io.containerd.metadata.v1.bolt", 0o711),
    ("io.containerd.runtime.v1.linux", 0o711),
    ("io.containerd.runtime.v2.task", 0o711),
    ("io.containerd.snapshotter.v1.overlayfs", 0o700),
    (SNAPSHOTS, 0o700),
    ("tmpmounts", 0o700),
];

/// The state's tree in the making: what lies where, with which mode.
pub(super) struct Place<'a> {
    draft: Draft,
    epoch: Time,
    sink: &'a dyn BlobSink,
}

impl<'a> Place<'a> {
    pub(super) fn new(epoch: Time, sink: &'a dyn BlobSink) -> Result<Self, BadPath> {
        let mut place = Self { draft: Draft::default(), epoch, sink };
        for (path, mode) in DIRECTORIES {
            place.directory(GuestPath::lenient(path)?, mode);
        }
        Ok(place)
    }

    /// A blob of the content store that is made here; says what it is called and how long it is.
    pub(super) fn blob(&mut self, bytes: &[u8]) -> Result<(Digest, u64), Error> {
        let content = self.put(bytes, || named(&Digest::of(bytes)))?;
        let found = (content.digest, content.size);
        self.layer(&content)?;
        Ok(found)
    }

    /// A blob of the content store that is there already.
    pub(super) fn layer(&mut self, tar: &Content) -> Result<(), BadPath> {
        let path = GuestPath::new(BLOBS)?.join(tar.digest.hex())?;
        self.file(path, 0o444, tar.clone());
        Ok(())
    }

    pub(super) fn metadata(&mut self, database: &[u8]) -> Result<(), Error> {
        let content = self.put(database, || METADATA.to_owned())?;
        self.file(GuestPath::new(METADATA)?, 0o644, content);
        Ok(())
    }

    pub(super) fn snapshotter(&mut self, database: &[u8]) -> Result<(), Error> {
        let content = self.put(database, || SNAPSHOTTER.to_owned())?;
        self.file(GuestPath::new(SNAPSHOTTER)?, 0o600, content);
        Ok(())
    }

    pub(super) fn snapshot(&mut self, snapshot: &Snapshot<'_>) -> Result<(), BadPath> {
        let dir = GuestPath::new(SNAPSHOTS)?.join(snapshot.id.to_string())?;
        let (fs, work) = (dir.join("fs")?, dir.join("work")?);
        self.directory(dir, 0o700);
        self.directory(work, 0o711);
        self.draft.graft(&fs, snapshot.tree.iter())
    }

    pub(super) fn finish(self) -> Result<Tree, Fault> {
        self.draft.finish()
    }

    fn put(&self, mut bytes: &[u8], what: impl FnOnce() -> String) -> Result<Content, Error> {
        self.sink.put(&mut bytes).map_err(|source| Error::Blob { what: what(), source })
    }

    fn directory(&mut self, path: GuestPath, mode: u16) {
        self.insert(path, mode, Kind::Directory);
    }

    fn file(&mut self, path: GuestPath, mode: u16, content: Content) {
        self.insert(path, mode, Kind::File(content));
    }

    fn insert(&mut self, path: GuestPath, mode: u16, kind: Kind) {
        let meta = Meta::root_owned(mode, self.epoch);
        self.draft.insert(path, Node::Inode(Inode { meta, kind }));
    }
}
