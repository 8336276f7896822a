//! A directory of the host as it is: with owners, modes, times and attributes, unlike what the store takes in.

use std::{
    collections::BTreeMap,
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use fs_err as fs;
use rayon::prelude::*;
use rustix::{
    fs::{lgetxattr, llistxattr, major, minor},
    io::Errno,
};
use walkdir::WalkDir;

use super::{Error, volume::Naming};
use crate::{
    path::GuestPath,
    tree::{BlobSink, Device, Draft, Inode, Kind, Meta, Node, Time, Tree},
};

/// The most bytes of an attribute's value, and of the names of all of a file's attributes (XATTR_SIZE_MAX, XATTR_LIST_MAX).
const XATTR_MAX: usize = 64 << 10;

/// Reads all of `dir`; its files are named by `naming` and stay where they are.
pub(super) fn tree(dir: &Path, naming: &Naming<'_>) -> Result<Tree, Error> {
    let wrong = |path: &Path, source| Error::Io { path: path.to_owned(), source };
    // It may be named by a link; what is below stays a link.
    let dir = &fs::canonicalize(dir)?;
    let mut draft = Draft::default();
    let mut owners: BTreeMap<(u64, u64), GuestPath> = BTreeMap::new();
    let mut own: Vec<(GuestPath, PathBuf, std::fs::Metadata)> = Vec::new();
    for entry in WalkDir::new(dir).sort_by_file_name() {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(dir).to_owned();
            let source =
                error.into_io_error().unwrap_or_else(|| io::Error::other("it is a circle"));
            Error::Io { path, source }
        })?;
        let path = entry.into_path();
        let below = path.strip_prefix(dir).unwrap_or(&path).as_os_str().as_bytes();
        let guest = GuestPath::new(below).map_err(|bad| wrong(&path, io::Error::other(bad)))?;
        let meta = fs::symlink_metadata(&path)?;
        match owners.get(&(meta.dev(), meta.ino())) {
            Some(owner) if !meta.is_dir() => draft.insert(guest, Node::HardLink(owner.clone())),
            _ => {
                owners.insert((meta.dev(), meta.ino()), guest.clone());
                own.push((guest, path, meta));
            }
        }
    }
    let inodes: Vec<(GuestPath, Inode)> = own
        .into_par_iter()
        .map(|(guest, path, meta)| {
            let inode = inode(&path, &meta, naming).map_err(|source| wrong(&path, source))?;
            Ok((guest, inode))
        })
        .collect::<Result<_, Error>>()?;
    for (guest, inode) in inodes {
        draft.insert(guest, Node::Inode(inode));
    }
    draft.finish().map_err(|fault| wrong(dir, io::Error::other(fault)))
}

fn inode(path: &Path, meta: &std::fs::Metadata, naming: &Naming<'_>) -> io::Result<Inode> {
    let kind = meta.file_type();
    let device = Device { major: major(meta.rdev()), minor: minor(meta.rdev()) };
    let kind = if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Symlink(fs::read_link(path)?.as_os_str().as_bytes().into())
    } else if kind.is_file() {
        Kind::File(naming.put(&mut fs::File::open(path)?)?)
    } else if kind.is_char_device() {
        Kind::CharDevice(device)
    } else if kind.is_block_device() {
        Kind::BlockDevice(device)
    } else if kind.is_fifo() {
        Kind::Fifo
    } else {
        Kind::Socket
    };
    let mtime =
        Time { seconds: meta.mtime(), nanos: u32::try_from(meta.mtime_nsec()).unwrap_or_default() };
    let mode = (meta.mode() & 0o7777) as u16;
    let meta = Meta { mode, uid: meta.uid(), gid: meta.gid(), mtime, xattrs: xattrs(path)? };
    Ok(Inode { meta, kind })
}

/// Attributes by full name.
type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

fn xattrs(path: &Path) -> io::Result<Xattrs> {
    let mut buffer = vec![0_u8; XATTR_MAX];
    let length = match llistxattr(path, &mut buffer[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => return Ok(Xattrs::new()),
        Err(error) => return Err(error.into()),
    };
    let names = buffer[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let names: Vec<Vec<u8>> = names.map(<[u8]>::to_vec).collect();
    let read = |name: Vec<u8>| {
        let mut value = vec![0_u8; XATTR_MAX];
        let length = lgetxattr(path, name.as_slice(), &mut value[..])?;
        Ok((name.into(), value[..length].into()))
    };
    names.into_iter().map(read).collect()
}
