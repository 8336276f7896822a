//! Blobs and trees: content, by its digest.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use fs_err as fs;

use super::{Error, Store, make_room};
use crate::{
    digest::Digest,
    tree::{BlobSink, Blobs, Content, ContentHasher, HOLE_MIN, Tree},
};

/// Files up to this size are read whole before anything is written: most are there already.
const SMALL: usize = 64 << 10;
/// Bytes read and written at once; a multiple of the shortest hole.
const CHUNK: usize = 1 << 20;

impl Blobs for Store {
    fn open(&self, digest: &Digest) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(fs::File::open(self.blob_path(digest))?))
    }
}

impl BlobSink for Store {
    fn put(&self, bytes: &mut dyn Read) -> io::Result<Content> {
        let mut first = Vec::with_capacity(SMALL);
        bytes.take(SMALL as u64).read_to_end(&mut first)?;
        let content = if first.len() < SMALL {
            let content = Content::of(&first);
            if self.has_blob(&content.digest) {
                return Ok(content);
            }
            let mut file = self.staging()?;
            file.write_all(&first)?;
            self.keep_blob(file, &content.digest)?;
            content
        } else {
            let mut file = self.staging()?;
            let content = copy_sparse(&mut first.chain(bytes), file.as_file_mut())?;
            if !self.has_blob(&content.digest) {
                self.keep_blob(file, &content.digest)?;
            }
            content
        };
        Ok(content)
    }
}

impl Store {
    /// Whether there is a blob with this digest.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_path(digest).exists()
    }

    /// Where the blob with this digest is, if it is there.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.place("blobs", digest)
    }

    /// Opens the blob with this digest.
    pub fn blob_file(&self, digest: &Digest) -> io::Result<fs::File> {
        fs::File::open(self.blob_path(digest))
    }

    /// Where a download goes until it is whole. It may be there in part, from before.
    pub fn partial(&self, digest: &Digest) -> Result<PathBuf, Error> {
        Ok(self.dir.join("partial").join(digest.hex()))
    }

    /// Takes in a file of the store's own file system, which must have this digest, without copying it.
    pub fn adopt(&self, file: &Path, expected: &Digest) -> Result<(), Error> {
        let found = Digest::read(&mut fs::File::open(file)?)?;
        if found != *expected {
            return Err(Error::WrongDigest { path: file.to_owned(), expected: *expected, found });
        }
        let place = self.blob_path(expected);
        make_room(&place)?;
        make_object(&fs::File::open(file)?, 0o444)?;
        fs::rename(file, place)?;
        Ok(())
    }

    /// Takes in bytes that must have this digest.
    pub fn put_blob(&self, bytes: &[u8], expected: &Digest) -> Result<(), Error> {
        let found = Digest::of(bytes);
        if found != *expected {
            let path = self.blob_path(expected);
            return Err(Error::WrongDigest { path, expected: *expected, found });
        }
        if self.has_blob(expected) {
            return Ok(());
        }
        let mut file = self.staging()?;
        write_sparse(bytes, file.as_file_mut())?;
        file.as_file().set_len(bytes.len() as u64)?;
        Ok(self.keep_blob(file, expected)?)
    }

    /// Takes in a tree, whose blobs must be there.
    pub fn put_tree(&self, tree: &Tree) -> Result<Digest, Error> {
        let manifest = tree.encode();
        let digest = Digest::of(&manifest);
        let place = self.tree_path(&digest);
        if place.exists() {
            return Ok(digest);
        }
        if let Some(missing) = tree.contents().find(|content| !self.has_blob(&content.digest)) {
            return Err(Error::Absent(missing.digest));
        }
        let mut file = self.staging()?;
        file.write_all(&manifest)?;
        make_object(file.as_file(), 0o444)?;
        self.settle_object(file, &place)?;
        Ok(digest)
    }

    /// Whether there is a tree with this digest.
    pub fn has_tree(&self, digest: &Digest) -> bool {
        self.tree_path(digest).exists()
    }

    /// Where the manifest of this tree is, if it is there.
    pub fn tree_path(&self, digest: &Digest) -> PathBuf {
        self.place("trees", digest)
    }

    /// The tree with this digest.
    pub fn tree(&self, digest: &Digest) -> Result<Tree, Error> {
        let manifest = match fs::read(self.tree_path(digest)) {
            Ok(manifest) => manifest,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Absent(*digest));
            }
            Err(error) => return Err(error.into()),
        };
        Tree::decode(&manifest).map_err(|source| Error::BadTree { tree: *digest, source })
    }

    /// A tree, if it is there and whole. One that cannot be read just now must not look like one that is gone.
    pub(super) fn whole_tree(&self, digest: &Digest) -> Result<Option<Tree>, Error> {
        match self.tree(digest) {
            Ok(tree) => Ok(Some(tree)),
            Err(Error::Absent(_) | Error::BadTree { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn keep_blob(&self, file: tempfile::NamedTempFile, digest: &Digest) -> io::Result<()> {
        make_object(file.as_file(), 0o444)?;
        self.settle_object(file, &self.blob_path(digest)).map_err(io::Error::other)
    }
}

/// The time of every object: builds see it through their inputs, so it must not be the host's.
pub(super) fn object_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1)
}

/// Gives a file the mode and time of an object.
pub(super) fn make_object(file: &impl AsFile, mode: u32) -> io::Result<()> {
    file.file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.file().set_modified(object_time())
}

/// Files of the standard library and of those that name their path.
pub(super) trait AsFile {
    fn file(&self) -> &std::fs::File;
}

impl AsFile for std::fs::File {
    fn file(&self) -> &std::fs::File {
        self
    }
}

impl AsFile for fs::File {
    fn file(&self) -> &std::fs::File {
        self.file()
    }
}

/// Copies everything, leaving out long runs of zeros, and says what it was.
fn copy_sparse(from: &mut dyn Read, to: &mut std::fs::File) -> io::Result<Content> {
    let mut hasher = ContentHasher::default();
    let mut buffer = vec![0; CHUNK];
    loop {
        let mut filled = 0;
        while filled < CHUNK {
            match from.read(&mut buffer[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        let bytes = &buffer[..filled];
        hasher.update(bytes);
        write_sparse(bytes, to)?;
        if filled < CHUNK {
            break;
        }
    }
    let content = hasher.finish();
    to.set_len(content.size)?;
    Ok(content)
}

/// Writes bytes, leaving out long runs of zeros.
fn write_sparse(bytes: &[u8], to: &mut std::fs::File) -> io::Result<()> {
    for piece in bytes.chunks(HOLE_MIN as usize) {
        if piece.iter().all(|byte| *byte == 0) {
            to.seek(SeekFrom::Current(piece.len() as i64))?;
        } else {
            to.write_all(piece)?;
        }
    }
    Ok(())
}
