//! The directory on the host that a sandbox writes to.

use std::{io, os::unix::fs::PermissionsExt, path::Path};

use super::{Error, LOWER, ROOT, Spec, UPPER, WORK};

/// Furnishes an empty scratch directory.
pub(super) fn prepare_new(spec: &Spec) -> Result<(), Error> {
    let path = &spec.scratch;
    let empty = fs_err::read_dir(path).and_then(|mut entries| match entries.next() {
        None => Ok(()),
        Some(_) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
    });
    empty.map_err(|source| Error::Scratch { path: path.clone(), source })?;
    prepare(spec)
}

/// Furnishes a scratch directory, empty or used before.
pub(super) fn prepare(spec: &Spec) -> Result<(), Error> {
    let path = &spec.scratch;
    let furnish = || -> io::Result<()> {
        // Nobody else on the host shall look into, or run, what a build leaves here.
        fs_err::set_permissions(path, PermissionsExt::from_mode(0o700))?;
        for name in [UPPER, WORK, ROOT] {
            match fs_err::create_dir(path.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
                other => other?,
            }
        }
        // Whatever the user's umask is: this is the mode of `/` inside.
        fs_err::set_permissions(path.join(UPPER), PermissionsExt::from_mode(0o755))?;
        let lower = path.join(LOWER);
        match fs_err::remove_file(&lower) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs_err::os::unix::fs::symlink(std::path::absolute(&spec.lower)?, lower),
        }
    };
    furnish().map_err(|source| Error::Scratch { path: path.clone(), source })
}

/// Removes a scratch directory with all that a build left in it.
///
/// Directories that forbid their owner to read or change them are opened first, as the overlay's own work directory
/// does and as builds do. Nothing may run in the sandbox any more.
pub fn clean(scratch: &Path) -> io::Result<()> {
    match fs_err::remove_dir_all(scratch) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            unlock(scratch)?;
            fs_err::remove_dir_all(scratch)
        }
        other => other,
    }
}

fn unlock(directory: &Path) -> io::Result<()> {
    fs_err::set_permissions(directory, PermissionsExt::from_mode(0o700))?;
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            unlock(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locked_directories_are_removed_too() {
        let home = tempfile::tempdir().unwrap();
        let scratch = home.path().join("scratch");
        let locked = scratch.join("work/work");
        fs_err::create_dir_all(locked.join("below")).unwrap();
        fs_err::write(locked.join("below/file"), "text").unwrap();
        fs_err::os::unix::fs::symlink("/", scratch.join("link")).unwrap();
        fs_err::set_permissions(&locked, PermissionsExt::from_mode(0o000)).unwrap();
        clean(&scratch).unwrap();
        assert!(!scratch.exists());
    }
}
