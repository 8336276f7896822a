//! What others said of outputs, byte for byte as they signed it.

use std::io::Write;

use fs_err as fs;

use super::{Error, Store, objects::make_object};
use crate::digest::Digest;

impl Store {
    /// Keeps a statement, whatever it says; gives the sha256 that a [`Realisation`](super::Realisation) names it by.
    pub fn put_statement(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let digest = Digest::of(bytes);
        let place = self.place("statements", &digest);
        if !place.exists() {
            let mut file = self.staging()?;
            file.write_all(bytes)?;
            make_object(file.as_file(), 0o444)?;
            self.settle_object(file, &place)?;
        }
        Ok(digest)
    }

    /// The statement with this digest. One that is damaged counts as absent: without its bytes it says nothing.
    pub fn statement(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        match fs::read(self.place("statements", digest)) {
            Ok(bytes) => Ok(Some(bytes).filter(|bytes| Digest::of(bytes) == *digest)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
