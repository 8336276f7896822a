use std::{
    io::{self, Read, Seek, Write},
    path::Path,
};

use crate::digest::{Digest, Hasher};

/// Where bytes land, with the digest of those that are there if somebody will ask for it.
pub(crate) struct Landing {
    place: Place,
    length: u64,
    hasher: Option<Hasher>,
}

enum Place {
    File(fs_err::File),
    Memory(Vec<u8>),
}

impl Landing {
    /// An empty place in memory.
    pub(crate) fn memory() -> Self {
        Self { place: Place::Memory(Vec::new()), length: 0, hasher: Some(Hasher::default()) }
    }

    /// The file at `path`, made if it is not there. What it holds already counts as the beginning, unless that is
    /// more than `most` bytes.
    pub(crate) fn file(path: &Path, most: u64) -> io::Result<Self> {
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
        Ok(Self { place: Place::File(file), length, hasher: Some(hasher) })
    }

    /// The same for one who checks the bytes later: they are not read and have no digest here.
    pub(crate) fn unhashed(path: &Path, most: u64) -> io::Result<Self> {
        let mut options = fs_err::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(false).open(path)?;
        if file.metadata()?.len() > most {
            file.set_len(0)?;
        }
        let length = file.seek(io::SeekFrom::End(0))?;
        Ok(Self { place: Place::File(file), length, hasher: None })
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn digest(&self) -> Option<Digest> {
        Some(self.hasher.clone()?.finish())
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.place {
            Place::File(file) => file.write_all(bytes)?,
            Place::Memory(all) => all.extend_from_slice(bytes),
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Forgets all bytes.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::File(file) => {
                file.set_len(0)?;
                file.rewind()?;
            }
            Place::Memory(all) => all.clear(),
        }
        self.length = 0;
        self.hasher = self.hasher.take().map(|_| Hasher::default());
        Ok(())
    }

    /// The bytes, if they landed in memory.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self.place {
            Place::File(_) => Vec::new(),
            Place::Memory(all) => all,
        }
    }
}
