//! The file system that a command sees.
//!
//! All is mounted by paths relative to the scratch directory, which is the working directory at that time, and onto
//! directories that were opened inside the new root. So neither the mount table tells where things are on the host,
//! nor can a symbolic link in the root lead a mount out of it.

use std::{
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::{chdir, pivot_root},
};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatVfsMountFlags};

use super::{
    LOWER, ROOT, UPPER, WORK,
    fault::{At, Fault, Stage},
    spec::{Access, Bind, Spec},
};
use crate::path::GuestPath;

const DIRECTORY: Mode = Mode::from_raw_mode(0o755);
const FILE: Mode = Mode::from_raw_mode(0o644);

/// Mounts the new root below the working directory and makes it the only thing that can be reached.
pub(super) fn enter_root(spec: &Spec) -> Result<(), Fault> {
    let nothing: Option<&str> = None;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .at(Stage::Namespaces, "part from the host's mounts")?;
    mount_overlay().at(Stage::Overlay, "mount the root")?;
    let root = Root(
        rustix::fs::open(ROOT, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .at(Stage::Other, "open the root")?,
    );
    super::etc::furnish(&root, &spec.cwd).at(Stage::Other, "furnish /etc")?;
    root.directory(&spec.cwd).at(Stage::Other, format_args!("make {}", spec.cwd))?;
    make_tmp(&root).at(Stage::Other, "make /tmp")?;
    mount_devices(&root)?;
    mount_proc(&root).at(Stage::Proc, "mount /proc")?;
    let mut binds: Vec<&Bind> = spec.binds.iter().collect();
    binds.sort_by(|a, b| a.guest.cmp(&b.guest));
    for bind in binds {
        let (host, guest) = (bind.host.display(), &bind.guest);
        mount_bind(&root, bind).at(Stage::Other, format_args!("show `{host}` as {guest}"))?;
    }
    turn(&root).at(Stage::Other, "turn to the new root")
}

/// The root of the sandbox before it is entered: names are looked up as if it were `/` already.
pub(super) struct Root(OwnedFd);

impl Root {
    fn open(&self, path: &GuestPath, flags: OFlags) -> io::Result<OwnedFd> {
        let name: &[u8] = if path.is_root() { b"." } else { path.as_bytes() };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(rustix::fs::openat2(&self.0, name, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?)
    }

    /// The directory at `path`, made with its parents where it is missing.
    ///
    /// Only the overlay is ever added to: below a bind, the place must be there.
    pub(super) fn directory(&self, path: &GuestPath) -> io::Result<OwnedFd> {
        let open = || self.open(path, OFlags::PATH | OFlags::DIRECTORY);
        let Some((parent, name)) = self.missing(path, &open)? else { return open() };
        rustix::fs::mkdirat(&parent, name, DIRECTORY)?;
        open()
    }

    /// The file at `path`, made empty where it is missing.
    fn file(&self, path: &GuestPath) -> io::Result<OwnedFd> {
        let open = || self.open(path, OFlags::PATH);
        let Some((parent, name)) = self.missing(path, &open)? else { return open() };
        create(&parent, name)?;
        open()
    }

    /// What the file at `path` holds; nothing if there is none.
    pub(super) fn read(&self, path: &GuestPath) -> io::Result<Option<String>> {
        let file = match self.open(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut text = Vec::new();
        std::fs::File::from(file).take(1 << 20).read_to_end(&mut text)?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Puts a new file in the place of whatever is at `path`. The old one is unlinked, never written to.
    pub(super) fn replace(&self, path: &GuestPath, text: &str) -> io::Result<()> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let parent = self.directory(&parent)?;
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => (),
            Err(errno) => return Err(errno.into()),
        }
        std::fs::File::from(create(&parent, name)?).write_all(text.as_bytes())
    }

    /// None if `open` works; else the directory, in the overlay, where the missing name can be made.
    fn missing<'p>(
        &self,
        path: &'p GuestPath,
        open: &dyn Fn() -> io::Result<OwnedFd>,
    ) -> io::Result<Option<(OwnedFd, &'p [u8])>> {
        let (parent, name) = match (open(), path.parent(), path.file_name()) {
            (Ok(_), ..) => return Ok(None),
            (Err(error), Some(parent), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
                (parent, name)
            }
            (Err(error), ..) => return Err(error),
        };
        let parent = self.directory(&parent)?;
        if rustix::fs::fstat(&parent)?.st_dev != rustix::fs::fstat(&self.0)?.st_dev {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Some((parent, name)))
    }
}

fn create(parent: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, FILE)?)
}

/// How mount(2) names an open file or directory.
fn name_of(fd: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn mount_overlay() -> nix::Result<()> {
    // Options whose default is a matter of the host's configuration are spelled out.
    let options =
        format!("lowerdir={LOWER},upperdir={UPPER},workdir={WORK},userxattr,index=off,xino=off");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("overlay"), ROOT, Some("overlay"), flags, Some(options.as_str()))
}

fn make_tmp(root: &Root) -> io::Result<()> {
    let sticky = Mode::from_raw_mode(0o1777);
    for path in ["tmp", "var/tmp"] {
        let path = GuestPath::new(path).map_err(io::Error::other)?;
        root.directory(&path)?;
        let directory = root.open(&path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        rustix::fs::fchmod(directory, sticky)?;
    }
    Ok(())
}

/// A fresh `/proc` with nothing in it but the sandbox's own processes: no knobs in `/proc/sys`, which root could
/// turn on the host without any capability, and nothing about the machine.
fn mount_proc(root: &Root) -> io::Result<()> {
    let place = root.directory(&GuestPath::new("proc").map_err(io::Error::other)?)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let options = Some("subset=pid,hidepid=ptraceable");
    Ok(mount(Some("proc"), name_of(&place).as_str(), Some("proc"), flags, options)?)
}

fn mount_devices(root: &Root) -> Result<(), Fault> {
    let dev = GuestPath::new("dev").map_err(io::Error::other).at(Stage::Other, "name /dev")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount_fresh(root, &dev, "tmpfs", flags, "mode=755,size=64k")?;
    let directory = root.directory(&dev).at(Stage::Other, "open /dev")?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let host = Path::new("/dev").join(name);
        let place = dev.join(name).map_err(io::Error::other);
        place
            .and_then(|place| {
                create(&directory, name.as_bytes())?;
                // Read-only means that its mode and owner stay; the device itself can be written to.
                bind(root, &place, &host, flags | MsFlags::MS_RDONLY)
            })
            .at(Stage::Other, format_args!("show {}", host.display()))?;
    }
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ];
    for (name, target) in links {
        rustix::fs::symlinkat(target, &directory, name)
            .at(Stage::Other, format_args!("make /dev/{name}"))?;
    }
    for (name, kind, options) in [
        ("pts", "devpts", "newinstance,ptmxmode=0666,mode=0620"),
        ("shm", "tmpfs", "mode=1777,size=1g"),
    ] {
        rustix::fs::mkdirat(&directory, name, DIRECTORY)
            .at(Stage::Other, format_args!("make /dev/{name}"))?;
        let place = dev.join(name).map_err(io::Error::other).at(Stage::Other, name)?;
        mount_fresh(root, &place, kind, flags, options)?;
    }
    remount(&directory, flags | MsFlags::MS_RDONLY).at(Stage::Other, "seal /dev")
}

fn mount_fresh(
    root: &Root,
    place: &GuestPath,
    kind: &str,
    flags: MsFlags,
    options: &str,
) -> Result<(), Fault> {
    root.directory(place)
        .and_then(|directory| {
            let name = name_of(&directory);
            Ok(mount(Some(kind), name.as_str(), Some(kind), flags, Some(options))?)
        })
        .at(Stage::Other, format_args!("mount {place}"))
}

fn mount_bind(root: &Root, wanted: &Bind) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let flags = match wanted.access {
        Access::ReadOnly => flags | MsFlags::MS_RDONLY,
        Access::ReadWrite => flags,
    };
    bind(root, &wanted.guest, &wanted.host, flags)
}

fn bind(root: &Root, guest: &GuestPath, host: &Path, flags: MsFlags) -> io::Result<()> {
    if guest.is_root() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the root cannot be replaced"));
    }
    let place =
        if std::fs::metadata(host)?.is_dir() { root.directory(guest)? } else { root.file(guest)? };
    let nothing: Option<&str> = None;
    mount(
        Some(host.as_os_str().as_bytes()),
        name_of(&place).as_str(),
        nothing,
        MsFlags::MS_BIND,
        nothing,
    )?;
    // Opened again, since the first look-up found what the mount now covers.
    remount(&root.open(guest, OFlags::PATH)?, flags)
}

/// Changes the flags of one mount, and keeps what the host has already forbidden, which may not be lifted.
fn remount(mounted: &impl AsFd, wanted: MsFlags) -> io::Result<()> {
    let held = rustix::fs::fstatvfs(mounted)?.f_flag;
    let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | wanted;
    for (held_flag, flag) in [
        (StatVfsMountFlags::RDONLY, MsFlags::MS_RDONLY),
        (StatVfsMountFlags::NOSUID, MsFlags::MS_NOSUID),
        (StatVfsMountFlags::NODEV, MsFlags::MS_NODEV),
        (StatVfsMountFlags::NOEXEC, MsFlags::MS_NOEXEC),
    ] {
        flags.set(flag, wanted.contains(flag) || held.contains(held_flag));
    }
    let nothing: Option<&str> = None;
    let name = name_of(&mounted.as_fd());
    Ok(mount(nothing, name.as_str(), nothing, flags, nothing)?)
}

/// Changes to the new root and lets go of the old one, which pivot_root(2) has put over it.
fn turn(root: &Root) -> io::Result<()> {
    rustix::process::fchdir(&root.0)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(chdir("/")?)
}
