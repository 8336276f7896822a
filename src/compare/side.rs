//! What can be compared, and what a path turns out to be.

use std::{
    io::Read,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use fs_err as fs;

use super::{
    Error,
    disk::{self, DiskFile},
    made::{Made, Manifest},
};
use crate::{digest::Digest, lock::Lock, plan::Disk, store::Store};

/// One of two things that are compared.
#[derive(Debug)]
pub struct Side {
    /// As the user called it.
    pub name: String,
    /// The word for what it is, for messages.
    pub kind: &'static str,
    /// The kernel's command line, of an image of ours.
    pub cmdline: Option<String>,
    /// How it was made, if that is known.
    pub made: Option<Made>,
    /// What it is.
    pub body: Body,
}

/// What is compared of a side.
#[derive(Debug)]
pub enum Body {
    /// What a lockfile says.
    Lock(Box<Lock>),
    /// Trees of the store.
    Trees {
        /// Each with what it is; the root file system of an image comes first.
        parts: Vec<(String, Digest)>,
        /// The disk that the first one is on.
        disk: Option<Bytes>,
    },
    /// A directory of the host.
    Directory(PathBuf),
    /// A raw disk.
    Disk {
        /// Where it is.
        path: PathBuf,
        /// The only partition that is of interest.
        partition: Option<u32>,
    },
    /// A file of any other kind.
    File(PathBuf),
    /// It is not made yet, so that only what goes into it is known.
    Unmade,
}

/// A disk of ours.
#[derive(Debug)]
pub enum Bytes {
    /// It can be laid out.
    Planned(Box<Disk<Digest>>),
    /// It is in a file.
    File(PathBuf),
}

/// The name of an image's manifest, and of its disk beside it.
const MANIFEST: &str = "manifest.json";
const DISK: &str = "disk.img";
/// The most bytes of a lockfile or a manifest.
const TEXT_MAX: u64 = 64 << 20;

impl Side {
    /// What is at a path of the host: a raw disk, of which one partition may be chosen, a directory, a lockfile, an image's
    /// manifest or directory, or any other file.
    pub fn at(
        name: &str,
        path: &Path,
        partition: Option<u32>,
        store: &Store,
    ) -> Result<Self, Error> {
        let kind = fs::metadata(path)?.file_type();
        let plain =
            |kind, body| Ok(Self { name: name.to_owned(), kind, cmdline: None, made: None, body });
        if kind.is_dir() {
            let manifest = path.join(MANIFEST);
            if partition.is_none()
                && let Some(found) = manifest_in(&manifest)?
            {
                return by_manifest(name, &found, path, store);
            }
            return plain("directory", Body::Directory(path.to_owned()));
        }
        if !kind.is_file() && !kind.is_block_device() {
            let why = "it is no file, no directory and no block device";
            return Err(Error::Odd { path: path.to_owned(), why: why.to_owned() });
        }
        if partition.is_some() || is_disk(path)? {
            return plain("disk", Body::Disk { path: path.to_owned(), partition });
        }
        if path.extension().is_some_and(|it| it == "toml")
            && let Some(text) = text(path)?
        {
            match Lock::parse(&text) {
                Ok(lock) => return plain("lockfile", Body::Lock(Box::new(lock))),
                // Any other file of TOML is compared as text, but not a lockfile with a mistake.
                Err(bad) if path.file_name().is_some_and(|it| it == "lockfile.toml") => {
                    return Err(Error::Odd { path: path.to_owned(), why: bad.to_string() });
                }
                Err(_) => (),
            }
        }
        if path.extension().is_some_and(|it| it == "json")
            && let Some(manifest) = manifest_in(path)?
        {
            return by_manifest(name, &manifest, path.parent().unwrap_or(path), store);
        }
        plain("file", Body::File(path.to_owned()))
    }
}

/// Whether there is a file system of ours to read on it, right there or in a partition.
fn is_disk(path: &Path) -> Result<bool, Error> {
    let disk = DiskFile::open(path)?;
    let found =
        disk::contents(&disk).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    Ok(!found.systems.is_empty())
}

fn text(path: &Path) -> Result<Option<String>, Error> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(TEXT_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).ok())
}

/// The manifest of an image, if the file is one.
fn manifest_in(path: &Path) -> Result<Option<Manifest>, Error> {
    if !path.is_file() {
        return Ok(None);
    }
    let manifest = text(path)?.and_then(|text| serde_json::from_str::<Manifest>(&text).ok());
    Ok(manifest.filter(|manifest| manifest.format == 1))
}

/// The image that a manifest is about: its trees in the store, or else its disk in the same directory.
fn by_manifest(name: &str, manifest: &Manifest, dir: &Path, store: &Store) -> Result<Side, Error> {
    let last = |kind: &str| manifest.steps.iter().rev().find(|step| step.kind == kind);
    let disk = dir.join(DISK);
    let disk = disk.is_file().then_some(disk);
    let rootfs = match last("disk") {
        Some(disk) => store.realisation(&disk.key)?.and_then(|made| made.inputs.first().copied()),
        None => None,
    };
    let rootfs = rootfs.or_else(|| last("rootfs")?.output).filter(|tree| store.has_tree(tree));
    // The kernel is the only script whose tree has the image's kernel in it.
    let kernel = manifest.steps.iter().filter(|step| step.kind == "run").find_map(|step| {
        let output = step.output.filter(|tree| store.has_tree(tree))?;
        let tree = store.tree(&output).ok()?;
        let wanted = manifest.files.get("vmlinux")?.sha256;
        tree.contents().any(|content| content.digest == wanted).then_some(output)
    });
    let body = match (rootfs, disk) {
        (Some(rootfs), disk) => {
            let kernel = kernel.map(|kernel| ("kernel".to_owned(), kernel));
            let parts = [("rootfs".to_owned(), rootfs)].into_iter().chain(kernel).collect();
            Body::Trees { parts, disk: disk.map(Bytes::File) }
        }
        (None, Some(path)) => Body::Disk { path, partition: None },
        (None, None) => Body::Unmade,
    };
    Ok(Side {
        name: name.to_owned(),
        kind: "image",
        cmdline: Some(manifest.cmdline.clone()),
        made: Some(Made::by_manifest(manifest)),
        body,
    })
}
