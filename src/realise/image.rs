//! Lays an image out where the user wants it, and proves that it is what it was before.

use std::{
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

use fs_err::{self as fs, File};
use serde::{Deserialize, Serialize};

use super::{Error, Realised, World, lay, substitute};
use crate::{
    digest::Digest,
    formats::{disk, ext4},
    path::GuestPath,
    plan::{Derivation, Disk, ImagePlan, Plan},
    store::Realisation,
    tree::{Inode, Kind},
};

/// One file of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFile {
    /// Its name in the image's directory.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// Digest of all bytes.
    pub sha256: Digest,
}

/// An image that is where it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The files, `disk.img` first.
    pub files: Vec<ImageFile>,
    /// The key of the disk.
    pub key: Digest,
}

/// The raw disk in an image's directory.
pub const DISK: &str = "disk.img";
/// The kernel for gem5 and for QEMU, by their names in the kernel's output and in an image's directory.
pub const KERNELS: [&str; 2] = ["vmlinux", "bzImage"];

/// Beside an image's files: what they are and how they looked to the host when they were written, so that they need not
/// be read to know that nobody changed them.
const STAMP: &str = ".placed";

#[derive(Debug, Serialize, Deserialize)]
struct Stamp {
    key: Digest,
    files: Vec<(ImageFile, Look)>,
}

/// What changes on the host when a file is written: size, inode, and the time in nanoseconds when anything about it last
/// changed, which nobody can set as one can the time of its last modification.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Look(u64, u64, i128);

fn look(path: &Path) -> io::Result<Look> {
    let meta = fs::metadata(path)?;
    let changed = i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec());
    Ok(Look(meta.len(), meta.ino(), changed))
}

/// The files of an image, if they are in `dir` already and nobody has touched them since.
pub fn placed(
    plan: &Plan,
    image: &ImagePlan,
    realised: &Realised,
    world: &World<'_>,
    dir: &Path,
) -> Result<Option<Placed>, Error> {
    let stamp = fs::read(dir.join(STAMP)).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let Some(Stamp { key, files }) = stamp else { return Ok(None) };
    let disk = realised.derivation(plan, image.disk);
    if disk.is_none_or(|disk| *disk.key().digest() != key) {
        return Ok(None);
    }
    let untouched = |(file, seen): &(ImageFile, Look)| {
        look(&dir.join(&file.name)).is_ok_and(|now| now == *seen)
    };
    let kernel = kernel_files(plan, image, realised, world)?;
    let same = |wanted: &ImageFile| files.iter().any(|(file, _)| file == wanted);
    if files.len() != 1 + kernel.len() || !files.iter().all(untouched) || !kernel.iter().all(same) {
        return Ok(None);
    }
    Ok(Some(Placed { files: files.into_iter().map(|(file, _)| file).collect(), key }))
}

/// Writes the files of an image, whose kernel and root file system are realised, into `dir`.
///
/// A file that was there is replaced only when the new one is whole. The disk's digest is recorded under its key; if
/// one is recorded already and it is another, that is an error, and the old file stays.
pub fn place(
    plan: &Plan,
    name: &str,
    image: &ImagePlan,
    realised: &Realised,
    world: &World<'_>,
    dir: &Path,
) -> Result<Placed, Error> {
    fs::create_dir_all(dir)?;
    let derivation = realised.derivation(plan, image.disk);
    let derivation = derivation.expect("an image is placed after its root file system is made");
    let Derivation::Disk(disk) = &derivation else { unreachable!("an image's disk is a disk") };
    let key = *derivation.key().digest();
    let kernel = kernel_files(plan, image, realised, world)?;
    let mut files = vec![write_disk(name, disk, &key, realised, world, dir)?];
    for file in kernel {
        copy(&file, world, dir)?;
        files.push(file);
    }
    let seen = |file: &ImageFile| Ok((file.clone(), look(&dir.join(&file.name))?));
    let stamp = Stamp { key, files: files.iter().map(seen).collect::<io::Result<_>>()? };
    let partial = dir.join(format!("{STAMP}.partial"));
    fresh(&partial)?.write_all(&serde_json::to_vec(&stamp).map_err(io::Error::from)?)?;
    fs::rename(partial, dir.join(STAMP))?;
    Ok(Placed { files, key })
}

/// A new file that is to be renamed. What was left under its name goes, and what that leads to, if it is a link, stays.
fn fresh(partial: &Path) -> io::Result<File> {
    match fs::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    File::options().read(true).write(true).create_new(true).open(partial)
}

/// The kernel's files as they must be.
fn kernel_files(
    plan: &Plan,
    image: &ImagePlan,
    realised: &Realised,
    world: &World<'_>,
) -> Result<Vec<ImageFile>, Error> {
    let kernel =
        realised.output(image.kernel).expect("an image is placed after its kernel is made");
    let tree = world.store.tree(&kernel)?;
    let file = |name: &str| match tree.inode(&GuestPath::new(name).unwrap_or_default()) {
        Some(Inode { kind: Kind::File(content), .. }) => {
            Ok(ImageFile { name: name.to_owned(), size: content.size, sha256: content.digest })
        }
        _ => {
            let kernel = plan.step(image.kernel).name.clone();
            Err(Error::NoKernel { kernel, file: name.to_owned() })
        }
    };
    KERNELS.into_iter().map(file).collect()
}

fn write_disk(
    name: &str,
    disk: &Disk<Digest>,
    key: &Digest,
    realised: &Realised,
    world: &World<'_>,
    dir: &Path,
) -> Result<ImageFile, Error> {
    let rootfs = world.store.tree(&disk.rootfs)?;
    let layout = ext4::layout(&rootfs, &disk.shape())
        .map_err(|source| Error::Layout { name: name.to_owned(), source })?;
    let raw = disk::place(&layout, disk.around())
        .map_err(|source| Error::Partition { name: name.to_owned(), source })?;
    let (size, target) = (raw.size(), dir.join(DISK));
    let partial = dir.join(format!(".{DISK}.partial"));
    let file = fresh(&partial)?;
    let sha256 = lay::lay(size, raw.pieces(), world.store, &file, world.host.jobs)?;
    // What is recorded may be what others say, and then it is told who they are.
    if let Some(from) = world.substituters {
        substitute::object(from.policy(), &realised.answers, name, key, &sha256)?;
    }
    if let Some(before) = world.store.realisation(key)?
        && before.output != sha256
    {
        let (name, before) = (format!("the disk of {name}"), before.output);
        return Err(Error::Differs { name, key: *key, before, now: sha256 });
    }
    fs::rename(&partial, &target)?;
    let (name, inputs) = (name.to_owned(), vec![disk.rootfs]);
    world.store.record(key, &Realisation { name, output: sha256, inputs, vouched: Vec::new() })?;
    Ok(ImageFile { name: DISK.to_owned(), size, sha256 })
}

fn copy(file: &ImageFile, world: &World<'_>, dir: &Path) -> Result<(), Error> {
    let partial = dir.join(format!(".{}.partial", file.name));
    // The copy is a reflink where the file systems can do that.
    let (mut from, mut to) = (world.store.blob_file(&file.sha256)?, fresh(&partial)?);
    io::copy(&mut from, &mut to)?;
    fs::rename(&partial, dir.join(&file.name))?;
    Ok(())
}
