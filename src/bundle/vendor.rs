use std::{
    collections::BTreeSet,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use fs_err::{self as fs, File};

use rustix::fs::{FlockOperation, flock};

use super::Error;
use crate::{
    cache::{FORMAT, Item},
    digest::Digest,
    remote::{Body, Directory, Name, Remote},
};

/// Files on their way, by digest. The name is that of a cache in a directory.
const STAGING: &str = ".staging";

/// What a cache has that is more than one project's directory of inputs: pins first.
const FOREIGN: [&str; 4] = ["pins", "packs", "trees", "statements"];

/// A directory that keeps inputs by digest: a cache in a directory, `vsbuild-cache 1`, of which only `inputs` is used here.
#[derive(Debug, Clone)]
pub struct Vendor {
    dir: PathBuf,
    remote: Directory,
}

/// How it is with an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is there, and is what it is called.
    Whole,
    /// It is not there.
    Lacking,
    /// It is there, and is something else: its digest.
    Damaged(Digest),
}

impl Vendor {
    /// The directory need not be there yet.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), remote: Directory::new(dir) }
    }

    /// Where the inputs are: `ab/HEX` below this.
    pub fn shelf(dir: &Path) -> PathBuf {
        dir.join("inputs")
    }

    /// The right to write to it, as long as the file is open; others may read.
    pub fn claim(&self) -> Result<File, Error> {
        let staging = self.dir.join(STAGING);
        fs::create_dir_all(&staging)?;
        let dir = File::open(&self.dir)?;
        match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Busy(self.dir.clone())),
            other => Ok(other.map(|()| dir).map_err(io::Error::from)?),
        }
    }

    /// Where an input is, or would be.
    pub fn place(&self, sha256: &Digest) -> PathBuf {
        self.remote.place(&Item::Input(*sha256).name())
    }

    /// Reads an input and says how it is with it.
    pub fn state(&self, sha256: &Digest) -> Result<State, Error> {
        let mut file = match File::open(self.place(sha256)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Lacking),
            Err(error) => return Err(error.into()),
        };
        let found = Digest::read(&mut file)?;
        Ok(if found == *sha256 { State::Whole } else { State::Damaged(found) })
    }

    /// Where an input is until it is whole. It may be there in part, from before.
    pub fn partial(&self, sha256: &Digest) -> Result<PathBuf, Error> {
        if !self.remote.has(&Item::Format.name()).map_err(crate::cache::Error::from)? {
            let put = self.remote.put(&Item::Format.name(), Body::Bytes(FORMAT.as_bytes()));
            put.map_err(crate::cache::Error::from)?;
        }
        let staging = self.dir.join(STAGING);
        fs::create_dir_all(&staging)?;
        let partial = staging.join(sha256.hex());
        // An older vsbuild left what it copied as its store had it, which nobody can go on with.
        if fs::metadata(&partial).is_ok_and(|meta| meta.permissions().readonly()) {
            fs::remove_file(&partial)?;
        }
        Ok(partial)
    }

    /// Takes in what is whole in [`Vendor::partial`], in place of what is there.
    pub fn keep(&self, sha256: &Digest) -> Result<(), Error> {
        let partial = self.partial(sha256)?;
        let found = Digest::read(&mut File::open(&partial)?)?;
        if found != *sha256 {
            fs::remove_file(&partial)?;
            return Err(Error::Damaged { path: partial, expected: *sha256, found });
        }
        fs::set_permissions(&partial, std::fs::Permissions::from_mode(0o644))?;
        let place = self.place(sha256);
        place.parent().map_or(Ok(()), fs::create_dir_all)?;
        Ok(fs::rename(partial, place)?)
    }

    /// Keeps an input whose bytes are in a file elsewhere. What there was of it in part is thrown away.
    pub fn copy(&self, sha256: &Digest, from: &Path) -> Result<(), Error> {
        let partial = self.partial(sha256)?;
        // Not with the mode of the original, which nobody may write to: a run that goes on must be able to.
        let copied =
            File::create(&partial).and_then(|mut to| io::copy(&mut File::open(from)?, &mut to));
        if let Err(error) = copied {
            // The disk may be full.
            let _ = fs::remove_file(&partial);
            return Err(error.into());
        }
        self.keep(sha256)
    }

    /// Makes sure that nobody else needs what is pruned: a directory with pins is somebody's, and so is one with outputs,
    /// unless it is the project's `own`, perhaps of an artifact.
    pub fn check_alone(&self, own: bool) -> Result<(), Error> {
        let foreign = if own { &FOREIGN[..1] } else { &FOREIGN };
        for what in foreign {
            let room: Name = what.parse().map_err(crate::cache::Error::from)?;
            if !self.remote.list(&room).map_err(crate::cache::Error::from)?.is_empty() {
                return Err(Error::Shared { dir: self.dir.clone(), what });
            }
        }
        Ok(())
    }

    /// Removes inputs that are not among `wanted`, and what killed programs left; gives how many bytes each had.
    pub fn prune(&self, wanted: &BTreeSet<Digest>) -> Result<Vec<(Digest, u64)>, Error> {
        let mut gone = Vec::new();
        let inputs: Name = "inputs".parse().map_err(crate::cache::Error::from)?;
        for entry in self.remote.list(&inputs).map_err(crate::cache::Error::from)? {
            let Some(Item::Input(sha256)) = Item::of(&entry.name) else { continue };
            if !wanted.contains(&sha256) {
                self.remote.remove(&entry.name).map_err(crate::cache::Error::from)?;
                gone.push((sha256, entry.size));
            }
        }
        match fs::remove_dir_all(self.dir.join(STAGING)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(gone),
        }
    }
}
