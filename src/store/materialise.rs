//! Trees as directories of the host: for the sandbox, as links; for a user, as copies.

use std::{collections::BTreeSet, io, os::unix::fs::PermissionsExt, path::Path};

use fs_err as fs;
use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::{Error, Store, objects};
use crate::{
    digest::Digest,
    path::GuestPath,
    tree::{Inode, Kind, Meta, Node, Tree},
};

/// How the files of a directory are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Files {
    /// As hard links to objects: quick, and not to be written.
    Links,
    /// As copies of objects, for a content that is linked in the same tree already.
    ReadOnlyCopies,
    /// As copies with the mode of the tree, for a user to do with as they like.
    Copies,
}

/// A tree by what is done with its parts.
struct Parts<'t> {
    directories: Vec<(&'t GuestPath, &'t Meta)>,
    others: Vec<(&'t GuestPath, &'t Inode, Files)>,
    hard_links: Vec<(&'t GuestPath, &'t GuestPath)>,
}

impl<'t> Parts<'t> {
    /// Two paths must not be one inode unless the tree says so: a script that copies files with their links, or writes
    /// to one of them, would see the difference. So only the first file of each content is a link to the object.
    fn of(tree: &'t Tree, files: Files) -> Self {
        let mut parts = Self { directories: vec![], others: vec![], hard_links: vec![] };
        let mut linked = BTreeSet::new();
        for (path, node) in tree.iter() {
            match node {
                Node::HardLink(owner) => parts.hard_links.push((path, owner)),
                Node::Inode(Inode { kind: Kind::Directory, meta }) => {
                    parts.directories.push((path, meta));
                }
                Node::Inode(inode) => {
                    let first = match &inode.kind {
                        Kind::File(content) => linked.insert(content.digest),
                        _ => true,
                    };
                    let again = files == Files::Links && !first;
                    let files = if again { Files::ReadOnlyCopies } else { files };
                    parts.others.push((path, inode, files));
                }
            }
        }
        parts
    }
}

impl Store {
    /// Makes the empty or missing directory `dir` look like `tree`, for programs in a sandbox.
    ///
    /// Files are hard links to objects, so nothing may write to them. What matters to a program is kept: names, content,
    /// links, the execute bit. What takes root to make, or would be the host's, is not: owners, set-uid bits, extended
    /// attributes, devices, sockets and times; every time is one second past 1970.
    pub fn materialise(&self, tree: &Tree, dir: &Path) -> Result<(), Error> {
        self.spread(tree, dir, Files::Links)
    }

    /// Makes the missing directory `dir` a copy of `tree` that belongs to the user. Owners and devices are left out.
    pub fn export(&self, tree: &Tree, dir: &Path) -> Result<(), Error> {
        self.spread(tree, dir, Files::Copies)
    }

    fn spread(&self, tree: &Tree, dir: &Path, files: Files) -> Result<(), Error> {
        let failed = |path: &GuestPath, source| Error::CannotMake {
            path: path.clone(),
            dir: dir.to_owned(),
            source,
        };
        let parts = Parts::of(tree, files);
        for (path, _) in &parts.directories {
            fs::create_dir_all(host(dir, path)).map_err(|error| failed(path, error))?;
        }
        parts.others.par_iter().try_for_each(|(path, inode, files)| {
            let made = match &inode.kind {
                Kind::File(content) => {
                    self.file(&content.digest, &inode.meta, &host(dir, path), *files)
                }
                Kind::Symlink(target) => symlink(target, &host(dir, path)),
                Kind::Directory
                | Kind::CharDevice(_)
                | Kind::BlockDevice(_)
                | Kind::Fifo
                | Kind::Socket => Ok(()),
            };
            made.map_err(|error| failed(path, error))
        })?;
        for (path, owner) in &parts.hard_links {
            fs::hard_link(host(dir, owner), host(dir, path))
                .map_err(|error| failed(path, error))?;
        }
        // Last, and from below, since every file that is made moves the time of its directory.
        for (path, meta) in parts.directories.iter().rev() {
            let mode = match files {
                Files::Links | Files::ReadOnlyCopies => 0o755,
                Files::Copies => u32::from(meta.mode) & 0o777 | 0o700,
            };
            let place = host(dir, path);
            fs::set_permissions(&place, std::fs::Permissions::from_mode(mode))
                .and_then(|()| set_time(&place))
                .map_err(|error| failed(path, error))?;
        }
        Ok(())
    }

    fn file(&self, digest: &Digest, meta: &Meta, place: &Path, files: Files) -> io::Result<()> {
        if files == Files::Copies {
            fs::copy(self.blob_path(digest), place)?;
            let mode = u32::from(meta.mode) & 0o777 | 0o600;
            return fs::set_permissions(place, std::fs::Permissions::from_mode(mode));
        }
        let object =
            if meta.mode & 0o111 == 0 { self.blob_path(digest) } else { self.program(digest)? };
        let copy = || {
            fs::copy(&object, place)?;
            let mode = fs::metadata(&object)?.permissions().mode();
            objects::make_object(&fs::File::open(place)?, mode)
        };
        if files == Files::ReadOnlyCopies {
            return copy();
        }
        match fs::hard_link(&object, place) {
            // A file system has a limit of links to one file; the empty file of many trees meets it.
            Err(error) if error.kind() == io::ErrorKind::TooManyLinks => copy(),
            result => result,
        }
    }

    /// The same bytes as a blob, but executable. Modes belong to inodes, so it takes a second one.
    fn program(&self, digest: &Digest) -> io::Result<std::path::PathBuf> {
        let place = self.place("programs", digest);
        if !place.exists() {
            let file = self.staging()?;
            fs::copy(self.blob_path(digest), file.path())?;
            objects::make_object(file.as_file(), 0o555)?;
            self.settle_object(file, &place).map_err(io::Error::other)?;
        }
        Ok(place)
    }
}

fn host(dir: &Path, path: &GuestPath) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt;
    dir.join(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

fn symlink(target: &[u8], place: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    fs_err::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), place)?;
    set_time(place)
}

fn set_time(place: &Path) -> io::Result<()> {
    let time = Timespec { tv_sec: 1, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, place, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
