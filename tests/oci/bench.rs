//! Trees of all sorts, and folders of the host as trees with all that they really have.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
    process::Command,
};

use fs_err as fs;
use rustix::fs::{lgetxattr, llistxattr, major, minor};
use tempfile::TempDir;
use vsbuild::{
    path::GuestPath,
    tree::{BlobSink, Blobs, Device, Draft, Inode, Kind, MemoryBlobs, Meta, Node, Time, Tree},
};

/// A capability as `setcap cap_net_raw+ep` writes it: version 2, effective.
const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A place to work in, gone with the test, and the contents of all files.
pub struct Bench {
    dir: TempDir,
    pub blobs: MemoryBlobs,
}

impl Bench {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), blobs: MemoryBlobs::default() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What a folder of the host really holds.
    pub fn tree_of(&self, dir: &Path) -> Tree {
        let mut draft = Draft::default();
        let mut owners = BTreeMap::new();
        self.collect(dir, &GuestPath::root(), &mut draft, &mut owners);
        draft.finish().unwrap()
    }

    fn collect(
        &self,
        dir: &Path,
        at: &GuestPath,
        draft: &mut Draft,
        owners: &mut BTreeMap<u64, GuestPath>,
    ) {
        let place = dir.join(OsStr::from_bytes(at.as_bytes()));
        let meta = fs::symlink_metadata(&place).unwrap();
        if let Some(owner) = owners.get(&meta.ino()) {
            draft.insert(at.clone(), Node::HardLink(owner.clone()));
            return;
        }
        owners.insert(meta.ino(), at.clone());
        let (kind, number) = (meta.file_type(), meta.rdev());
        let device = Device { major: major(number), minor: minor(number) };
        let kind = match kind {
            _ if kind.is_dir() => Kind::Directory,
            _ if kind.is_symlink() => {
                Kind::Symlink(fs::read_link(&place).unwrap().as_os_str().as_bytes().into())
            }
            _ if kind.is_char_device() => Kind::CharDevice(device),
            _ if kind.is_block_device() => Kind::BlockDevice(device),
            _ if kind.is_fifo() => Kind::Fifo,
            _ => Kind::File(self.blobs.put(&mut fs::File::open(&place).unwrap()).unwrap()),
        };
        let is_directory = kind == Kind::Directory;
        let meta = Meta {
            mode: (meta.mode() & 0o7777) as u16,
            uid: meta.uid(),
            gid: meta.gid(),
            mtime: Time { seconds: meta.mtime(), nanos: meta.mtime_nsec() as u32 },
            xattrs: xattrs(&place),
        };
        draft.insert(at.clone(), Node::Inode(Inode { meta, kind }));
        if is_directory {
            for entry in fs::read_dir(&place).unwrap() {
                let path = at.join(entry.unwrap().file_name().as_bytes()).unwrap();
                self.collect(dir, &path, draft, owners);
            }
        }
    }

    /// Puts the files and folders of a layout on the host.
    pub fn lay(&self, tree: &Tree, dir: &Path) {
        for (path, _) in tree.iter() {
            let place = dir.join(OsStr::from_bytes(path.as_bytes()));
            match tree.content(path) {
                Some(content) => {
                    fs::write(place, self.blobs.read(&content.digest).unwrap()).unwrap()
                }
                None => fs::create_dir_all(place).unwrap(),
            }
        }
    }

    pub fn file(&self, mode: u16, text: &str) -> Inode {
        let content = self.blobs.put(&mut text.as_bytes()).unwrap();
        Inode { meta: meta(mode), kind: Kind::File(content) }
    }

    /// A layer with a bit of everything.
    pub fn base(&self) -> Tree {
        let long = format!("usr/{}/file", ["long-".repeat(40), "ünïcode".into()].join("/"));
        let mut tool = self.file(0o4755, &"program ".repeat(9000));
        tool.meta.xattrs.insert(b"security.capability"[..].into(), CAPABILITY.into());
        tool.meta.xattrs.insert(b"user.note"[..].into(), b"one\ntwo\0"[..].into());
        let mut big = self.file(0o600, "owned by many");
        (big.meta.uid, big.meta.gid) = (3_000_000_000, 70_000);
        big.meta.mtime = Time { seconds: 1_700_000_000, nanos: 123_456_789 };
        let device = Device { major: 1, minor: 3 };
        tree(&[
            ("etc/passwd", self.file(0o644, "root:x:0:0:root:/root:/bin/sh\n")),
            ("etc/old.conf", self.file(0o640, "old")),
            ("bin", link("usr/bin")),
            ("usr/bin/tool", tool),
            ("usr/share/doc/readme", self.file(0o444, "read me")),
            (&long, self.file(0o644, "deep")),
            ("srv/big", big),
            ("srv/empty", self.file(0o644, "")),
            ("dev/null", Inode { meta: meta(0o666), kind: Kind::CharDevice(device) }),
            ("run/pipe", Inode { meta: meta(0o620), kind: Kind::Fifo }),
            ("tmp", Inode { meta: meta(0o1777), kind: Kind::Directory }),
            ("link", link(&"far/".repeat(50))),
        ])
        .with("usr/bin/hard", Node::HardLink(path("usr/bin/tool")))
    }

    /// A layer over [`Bench::base`] that changes, removes and hides.
    pub fn top(&self) -> Tree {
        let gone =
            || Inode { meta: meta(0), kind: Kind::CharDevice(Device { major: 0, minor: 0 }) };
        let mut opaque = Inode { meta: meta(0o700), kind: Kind::Directory };
        opaque.meta.xattrs.insert(b"trusted.overlay.opaque"[..].into(), b"y"[..].into());
        tree(&[
            ("etc/passwd", self.file(0o600, "root:*:0:0:root:/root:/bin/false\n")),
            ("etc/old.conf", gone()),
            ("srv", gone()),
            ("usr/share", opaque),
            ("usr/share/new", self.file(0o644, "new")),
            ("link/now-a-directory", self.file(0o644, "x")),
        ])
    }
}

/// A change of a tree in a line.
pub trait With {
    fn with(&self, at: &str, node: Node) -> Tree;
}

impl With for Tree {
    fn with(&self, at: &str, node: Node) -> Tree {
        let mut draft = self.to_draft();
        draft.ensure_parents(&path(at), &meta(0o755));
        draft.insert(path(at), node);
        draft.finish().unwrap()
    }
}

pub fn tree(nodes: &[(&str, Inode)]) -> Tree {
    let mut draft = Draft::with_root(meta(0o755));
    for (at, inode) in nodes {
        draft.ensure_parents(&path(at), &meta(0o755));
        draft.insert(path(at), Node::Inode(inode.clone()));
    }
    draft.finish().unwrap()
}

pub fn path(text: &str) -> GuestPath {
    GuestPath::new(text).unwrap()
}

pub fn meta(mode: u16) -> Meta {
    Meta::root_owned(mode, Time::from_seconds(1_600_000_000))
}

pub fn link(target: &str) -> Inode {
    Inode { meta: meta(0o777), kind: Kind::Symlink(target.as_bytes().into()) }
}

/// Runs a program and gives its output; it must end well.
#[track_caller]
pub fn run(program: &str, arguments: &[&dyn AsRef<OsStr>]) -> String {
    let mut command = Command::new(program);
    let output = command.args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {}\n{told}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn xattrs(place: &Path) -> BTreeMap<Box<[u8]>, Box<[u8]>> {
    let mut buffer = vec![0_u8; 64 << 10];
    let length = llistxattr(place, &mut buffer[..]).unwrap();
    let names = buffer[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut buffer = vec![0_u8; 64 << 10];
        let length = lgetxattr(place, name, &mut buffer[..]).unwrap();
        (name.into(), buffer[..length].into())
    };
    names.map(value).collect()
}
