//! What a key came to, and what was printed on the way.

use std::{io::Write, path::PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{Error, Store};
use crate::digest::Digest;

/// What a derivation came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Realisation {
    /// What a person calls it; of no other meaning.
    pub name: String,
    /// The digest of its output: a tree, or a disk that is not in the store.
    pub output: Digest,
    /// The digests of what it was made from: trees and blobs.
    pub inputs: Vec<Digest>,
    /// The digests of the statements by which it was taken from others (see [`Store::statement`]); none if it was made
    /// here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vouched: Vec<Digest>,
}

impl Store {
    /// What `key` came to, if that is known. A record that cannot be read counts as none: it is made again.
    pub fn realisation(&self, key: &Digest) -> Result<Option<Realisation>, Error> {
        match fs::read(self.place("realisations", key)) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Records what `key` came to.
    pub fn record(&self, key: &Digest, realisation: &Realisation) -> Result<(), Error> {
        let place = self.place("realisations", key);
        let text = serde_json::to_vec(realisation)
            .map_err(|source| Error::BadRecord { path: place.clone(), source })?;
        let mut file = self.staging()?;
        file.write_all(&text)?;
        self.settle(file, &place)
    }

    /// Forgets what `key` came to; says whether anything was recorded. The output itself stays until a collection.
    pub fn forget(&self, key: &Digest) -> Result<bool, Error> {
        match fs::remove_file(self.place("realisations", key)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Where the log of `key` is, or goes.
    pub fn log_path(&self, key: &Digest) -> Result<PathBuf, Error> {
        let place = self.place("logs", key);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(place)
    }
}
