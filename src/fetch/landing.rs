use std::{
    io::{self, Read, Seek, Write},
    path::Path,
};

use crate::digest::{Digest, Hasher};

/// Where bytes land, with the digest of those that are there.
pub(super) struct Landing {
    place: Place,
    length: u64,
    hasher: Hasher,
}

enum Place {
    File(fs_err::File),
    Memory(Vec<u8>),
}

impl Landing {
    /// An empty place in memory.
    pub(super) fn memory() -> Self {
        Self { place: Place::Memory(Vec::new()), length: 0, hasher: Hasher::default() }
    }

    /// The file at `path`, made if it is not there. What it holds already counts as the beginning, unless that is
    /// more than `most` bytes.
    pub(super) fn file(path: &Path, most: u64) -> io::Result<Self> {
        let mut options = fs_err::OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        let mut hasher = Hasher::default();
        let mut length = file.metadata()?.len();
        if length <= most {
            length = io::copy(&mut (&mut file).take(length), &mut hasher)?;
        } else {
            file.set_len(0)?;
            length = 0;
        }
        Ok(Self { place: Place::File(file), length, hasher })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.place {
            Place::File(file) => file.write_all(bytes)?,
            Place::Memory(all) => all.extend_from_slice(bytes),
        }
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Forgets all bytes.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::File(file) => {
                file.set_len(0)?;
                file.rewind()?;
            }
            Place::Memory(all) => all.clear(),
        }
        self.length = 0;
        self.hasher = Hasher::default();
        Ok(())
    }

    /// The bytes, if they landed in memory.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self.place {
            Place::File(_) => Vec::new(),
            Place::Memory(all) => all,
        }
    }
}
