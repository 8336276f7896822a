//! Locks between processes. The kernel lets go of them when their owner dies, however it dies.

use std::{
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use fs_err::{self as fs, File};
use rustix::fs::{FlockOperation, flock};

use super::{Error, Store};
use crate::digest::Digest;

/// How often a lease that somebody else has is asked for again.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// What marks a directory in `scratch` that is to stay.
const KEPT: &str = ".kept";

/// The right to make one thing, until it is dropped.
#[derive(Debug)]
pub struct Lease(#[expect(dead_code, reason = "open as long as the lease is held")] File);

/// A directory of the running program's own, removed when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    keep: bool,
}

pub(super) fn file(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

pub(super) fn shared(file: &File) -> io::Result<()> {
    Ok(flock(file, FlockOperation::LockShared)?)
}

/// Waits until nobody else has the file locked.
pub(super) fn exclusive(file: &File) -> io::Result<()> {
    Ok(flock(file, FlockOperation::LockExclusive)?)
}

pub(super) fn try_exclusive(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Store {
    /// Waits for the right to make the thing with this digest or key. `waiting` is told once if somebody else has it,
    /// with the process id if that is known.
    pub fn lease(&self, of: &Digest, waiting: &mut dyn FnMut(Option<u32>)) -> Result<Lease, Error> {
        let path = self.dir.join("leases").join(of.hex());
        let mut told = false;
        loop {
            let mut file = file(&path)?;
            if try_exclusive(&file)? {
                file.set_len(0)?;
                file.rewind()?;
                write!(file, "{}", std::process::id())?;
                return Ok(Lease(file));
            }
            if !told {
                let mut text = String::new();
                // The owner may be about to write it.
                let _ = file.read_to_string(&mut text);
                waiting(text.trim().parse().ok());
                told = true;
            }
            thread::sleep(ASK_EVERY);
        }
    }

    /// A directory of the running program's own.
    pub fn scratch(&self) -> Result<Scratch, Error> {
        let made = tempfile::Builder::new().prefix("run-").tempdir_in(self.dir.join("scratch"))?;
        Ok(Scratch { dir: made.keep(), keep: false })
    }

    /// The scratch directories that were kept.
    pub fn kept(&self) -> Result<Vec<PathBuf>, Error> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(self.dir.join("scratch"))? {
            let dir = entry?.path();
            if dir.join(KEPT).exists() {
                kept.push(dir);
            }
        }
        kept.sort();
        Ok(kept)
    }

    /// Removes what killed programs left behind. Only for who has the store alone.
    pub(super) fn tidy(&self) -> Result<(), Error> {
        for room in ["scratch", "leases"] {
            for entry in fs::read_dir(self.dir.join(room))? {
                let path = entry?.path();
                if path.is_dir() && !path.join(KEPT).exists() {
                    remove(&path);
                } else if path.is_file() {
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(())
    }
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Lets it stay, until the user removes it.
    pub fn keep(mut self) -> Result<PathBuf, Error> {
        fs::write(self.dir.join(KEPT), "")?;
        self.keep = true;
        Ok(self.dir.clone())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep {
            remove(&self.dir);
        }
    }
}

/// Removes a directory in which a script may have taken away its own right to write.
pub(super) fn remove(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if fs::remove_dir_all(dir).is_ok() {
        return;
    }
    let directories = walkdir::WalkDir::new(dir).into_iter().filter_entry(|entry| {
        // Opened before they are entered, or there is no way in.
        if entry.file_type().is_dir() {
            let _ = fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o700));
        }
        true
    });
    directories.for_each(drop);
    // What cannot be removed now is swept by a later program, or found by the user.
    let _ = fs::remove_dir_all(dir);
}
