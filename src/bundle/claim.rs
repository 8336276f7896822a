//! Places in which one program at a time makes something, under a name that another one clears away if it was killed.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use fs_err::{self as fs, File, OpenOptions, os::unix::fs::OpenOptionsExt};
use rustix::fs::{FlockOperation, OFlags, flock};

use super::Error;

/// A file or directory that is being made, `.NAME.partial` beside what it is to become. It is removed unless it is settled.
#[derive(Debug)]
pub(super) struct Claim {
    partial: PathBuf,
    /// Locked as long as it is open. For a directory it is the directory.
    file: File,
    settled: bool,
}

impl Claim {
    /// An empty file to become `target`.
    pub(super) fn file(target: &Path) -> Result<Self, Error> {
        Self::take(target, |partial| {
            open(
                File::options().read(true).write(true).create(true).truncate(false),
                partial,
                OFlags::empty(),
            )
        })
        .and_then(|claim| {
            claim.file.set_len(0)?;
            Ok(claim)
        })
    }

    /// An empty directory to become `target`.
    pub(super) fn directory(target: &Path) -> Result<Self, Error> {
        let claim = Self::take(target, |partial| match fs::create_dir(partial) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => open(File::options().read(true), partial, OFlags::DIRECTORY),
        })?;
        for entry in fs::read_dir(&claim.partial)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(claim)
    }

    fn take(target: &Path, open: impl Fn(&Path) -> io::Result<File>) -> Result<Self, Error> {
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(".partial");
        let partial = target.with_file_name(name);
        loop {
            let file = open(&partial)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::Busy(target.to_owned())),
                other => other.map_err(io::Error::from)?,
            }
            // Whoever had it may have settled it before the lock was ours.
            let here = file.metadata()?;
            let there = fs::symlink_metadata(&partial);
            if there.is_ok_and(|there| (there.dev(), there.ino()) == (here.dev(), here.ino())) {
                return Ok(Self { partial, file, settled: false });
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.partial
    }

    pub(super) fn open(&self) -> &File {
        &self.file
    }

    /// Gives it its name, in place of a file or an empty directory that has it. What is in it was flushed before; so after
    /// a power cut, too, what has the name is whole.
    pub(super) fn settle(mut self, target: &Path) -> Result<(), Error> {
        fs::rename(&self.partial, target).map_err(|error| match error.kind() {
            // It was another's while this one waited or worked.
            io::ErrorKind::DirectoryNotEmpty => Error::Exists(target.to_owned()),
            _ => Error::Io(error),
        })?;
        self.settled = true;
        let above = target.parent().filter(|above| !above.as_os_str().is_empty());
        File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(())
    }
}

/// Opens what is called so, and nothing that a link of that name leads to.
fn open(options: &mut OpenOptions, partial: &Path, more: OFlags) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | more;
    options.custom_flags(flags.bits().cast_signed()).open(partial)
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        // What stays takes room, and is cleared away by the next who tries.
        let _ = match self.file.metadata().is_ok_and(|meta| meta.is_dir()) {
            true => fs::remove_dir_all(&self.partial),
            false => fs::remove_file(&self.partial),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_another_has_made_meanwhile_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("made");
        let claim = Claim::directory(&target).unwrap();
        fs::create_dir(&target).unwrap();
        fs::write(target.join("file"), "theirs").unwrap();
        assert!(matches!(claim.settle(&target), Err(Error::Exists(path)) if path == target));
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "theirs");
        assert!(!dir.path().join(".made.partial").exists());
    }
}
