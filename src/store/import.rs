//! Directories of the host as trees: what scripts leave behind.

use std::{
    collections::BTreeMap,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use fs_err as fs;
use rayon::prelude::*;
use walkdir::WalkDir;

use super::{Error, Store};
use crate::{
    path::GuestPath,
    tree::{BlobSink, Draft, Inode, Kind, Meta, Node, Time, Tree},
};

impl Store {
    /// Takes in all of `dir`.
    ///
    /// Nothing of the host gets in: everything belongs to root and has the time `epoch`; directories have mode 0755,
    /// files 0755 if anybody may execute them and 0644 if not. Hard links stay hard links. Anything but files,
    /// directories and symbolic links is an error.
    pub fn import(&self, dir: &Path, epoch: Time) -> Result<Tree, Error> {
        let mut found: Vec<(GuestPath, PathBuf)> = Vec::new();
        for entry in WalkDir::new(dir).sort_by_file_name() {
            let entry = entry.map_err(|error| {
                let path = error.path().unwrap_or(dir).display().to_string();
                error.into_io_error().unwrap_or_else(|| std::io::Error::other(path))
            })?;
            let path = entry.into_path();
            let below = path.strip_prefix(dir).unwrap_or(&path).as_os_str().as_bytes();
            let guest = GuestPath::new(below);
            let guest =
                guest.map_err(|bad| Error::Foreign { path: path.clone(), what: bad.reason })?;
            found.push((guest, path));
        }
        let mut draft = Draft::default();
        let mut owners: BTreeMap<(u64, u64), GuestPath> = BTreeMap::new();
        let mut own = Vec::new();
        for (guest, path) in found {
            let meta = fs::symlink_metadata(&path)?;
            let inode = (meta.dev(), meta.ino());
            match owners.get(&inode) {
                Some(owner) if !meta.is_dir() => draft.insert(guest, Node::HardLink(owner.clone())),
                _ => {
                    owners.insert(inode, guest.clone());
                    own.push((guest, path, meta));
                }
            }
        }
        let inodes: Vec<(GuestPath, Inode)> = own
            .into_par_iter()
            .map(|(guest, path, meta)| Ok((guest, self.inode(&path, &meta, epoch)?)))
            .collect::<Result<_, Error>>()?;
        for (guest, inode) in inodes {
            draft.insert(guest, Node::Inode(inode));
        }
        draft.finish().map_err(|_| Error::Foreign {
            path: dir.to_owned(),
            what: "it changed while it was read",
        })
    }

    fn inode(&self, path: &Path, meta: &std::fs::Metadata, epoch: Time) -> Result<Inode, Error> {
        let kind = meta.file_type();
        let (mode, kind) = if kind.is_dir() {
            (0o755, Kind::Directory)
        } else if kind.is_symlink() {
            let target = fs::read_link(path)?;
            (0o777, Kind::Symlink(target.as_os_str().as_bytes().into()))
        } else if kind.is_file() {
            let mode = if meta.mode() & 0o111 == 0 { 0o644 } else { 0o755 };
            (mode, Kind::File(self.put(&mut fs::File::open(path)?)?))
        } else {
            let what = match kind {
                kind if kind.is_fifo() => "a named pipe is no output",
                kind if kind.is_socket() => "a socket is no output",
                _ => "a device is no output",
            };
            return Err(Error::Foreign { path: path.to_owned(), what });
        };
        Ok(Inode { meta: Meta::root_owned(mode, epoch), kind })
    }
}
