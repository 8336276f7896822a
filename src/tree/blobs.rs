use std::{
    collections::BTreeMap,
    io::{self, Read},
    sync::{Mutex, PoisonError},
};

use super::{Content, ContentHasher};
use crate::digest::Digest;

/// Where the bytes of files come from.
pub trait Blobs: Sync {
    /// The bytes with this digest; `NotFound` if there are none.
    fn open(&self, digest: &Digest) -> io::Result<Box<dyn Read + '_>>;

    /// All bytes with this digest, for blobs that are known to be small.
    fn read(&self, digest: &Digest) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(digest)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Where the bytes of files go.
pub trait BlobSink: Sync {
    /// Takes all of `bytes` and says what they are called.
    ///
    /// Nothing is visible before the last byte: if reading fails, there is no blob.
    fn put(&self, bytes: &mut dyn Read) -> io::Result<Content>;
}

/// Blobs in memory, for small trees.
#[derive(Debug, Default)]
pub struct MemoryBlobs(Mutex<BTreeMap<Digest, Box<[u8]>>>);

impl Blobs for MemoryBlobs {
    fn open(&self, digest: &Digest) -> io::Result<Box<dyn Read + '_>> {
        let blobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = blobs.get(digest).ok_or(io::ErrorKind::NotFound)?.clone();
        Ok(Box::new(io::Cursor::new(bytes)))
    }
}

impl BlobSink for MemoryBlobs {
    fn put(&self, bytes: &mut dyn Read) -> io::Result<Content> {
        let mut all = Vec::new();
        bytes.read_to_end(&mut all)?;
        let mut hasher = ContentHasher::default();
        hasher.update(&all);
        let content = hasher.finish();
        let mut blobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.insert(content.digest, all.into());
        Ok(content)
    }
}
