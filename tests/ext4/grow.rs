//! Trees for tests and measurements of ext4, with all that is awkward about it. Golden tests depend on them: what is new
//! goes into functions of its own.

#![allow(dead_code, reason = "tests and measurements each use their part")]

use vsbuild::{
    path::GuestPath,
    tree::{BlobSink, Content, Device, Draft, Inode, Kind, Meta, Node, Time, Tree},
};

/// A tree in the making, and where its content goes.
pub struct Grower<'s> {
    pub draft: Draft,
    pub blobs: &'s dyn BlobSink,
}

pub fn path(text: impl AsRef<[u8]>) -> GuestPath {
    GuestPath::new(text).unwrap()
}

/// Root's, of a time with nanoseconds.
pub fn meta(mode: u16) -> Meta {
    Meta::root_owned(mode, Time { seconds: 1_700_000_000, nanos: 123_456_789 })
}

impl<'s> Grower<'s> {
    pub fn new(blobs: &'s dyn BlobSink) -> Self {
        Self { draft: Draft::with_root(meta(0o755)), blobs }
    }

    pub fn add(&mut self, at: impl AsRef<[u8]>, meta: Meta, kind: Kind) {
        self.draft.ensure_parents(&path(&at), &self::meta(0o755));
        self.draft.insert(path(at), Node::Inode(Inode { meta, kind }));
    }

    pub fn content(&self, bytes: &[u8]) -> Content {
        self.blobs.put(&mut &*bytes).unwrap()
    }

    pub fn file(&mut self, at: impl AsRef<[u8]>, bytes: &[u8]) {
        let content = self.content(bytes);
        self.add(at, meta(0o644), Kind::File(content));
    }

    pub fn directory(&mut self, at: impl AsRef<[u8]>) {
        self.add(at, meta(0o755), Kind::Directory);
    }

    pub fn symlink(&mut self, at: impl AsRef<[u8]>, target: &[u8]) {
        self.add(at, meta(0o777), Kind::Symlink(target.into()));
    }

    pub fn link(&mut self, at: impl AsRef<[u8]>, owner: impl AsRef<[u8]>) {
        self.draft.insert(path(at), Node::HardLink(path(owner)));
    }

    /// Changes what an inode says of itself.
    pub fn change(&mut self, at: impl AsRef<[u8]>, change: impl FnOnce(&mut Meta)) {
        match self.draft.get_mut(&path(at)) {
            Some(Node::Inode(inode)) => change(&mut inode.meta),
            other => panic!("{other:?} is no inode"),
        }
    }

    pub fn xattr(&mut self, at: impl AsRef<[u8]>, name: &str, value: &[u8]) {
        self.change(at, |meta| {
            meta.xattrs.insert(name.as_bytes().into(), value.into());
        });
    }

    pub fn time(&mut self, at: impl AsRef<[u8]>, seconds: i64, nanos: u32) {
        self.change(at, |meta| meta.mtime = Time { seconds, nanos });
    }

    pub fn finish(self) -> Tree {
        self.draft.finish().unwrap()
    }

    /// A directory of so many small files, each with its own content.
    pub fn many(&mut self, at: &str, count: usize) {
        for index in 0..count {
            self.file(format!("{at}/file-{index:06}"), format!("content {index}\n").as_bytes());
        }
    }

    /// A file of `size` bytes that are zero but for a few at each of these places.
    pub fn sparse(&mut self, at: &str, size: u64, data: impl Iterator<Item = u64>) {
        let mut bytes = vec![0; size as usize];
        for start in data {
            bytes[start as usize..start as usize + 5].copy_from_slice(b"data\n");
        }
        self.file(at, &bytes);
    }

    /// One of everything: kinds, links, names, times, owners, modes.
    pub fn odd_things(&mut self) {
        self.file("odd/owner", b"one inode, six names");
        for name in ["b", "c", "d", "e", "f"] {
            self.link(format!("odd/owner-{name}"), "odd/owner");
        }
        for length in [1, 59, 60, 1000, 4095] {
            self.symlink(format!("odd/link-{length}"), &vec![b'x'; length]);
        }
        for (name, major, minor) in [("null", 1, 3), ("zero", 0, 0), ("large", 259, 70_000)] {
            let device = Device { major, minor };
            self.add(format!("odd/char-{name}"), meta(0o666), Kind::CharDevice(device));
            self.add(format!("odd/block-{name}"), meta(0o660), Kind::BlockDevice(device));
        }
        self.add("odd/fifo", meta(0o600), Kind::Fifo);
        self.add("odd/socket", meta(0o755), Kind::Socket);
        self.add("odd/set-user", meta(0o4755), Kind::File(self.content(b"#!/bin/true\n")));
        self.add("odd/sticky", meta(0o1777), Kind::Directory);
        self.file("odd/empty", b"");
        self.file(b"odd/not-utf-8-\xff\xfe\x80", b"bytes");
        self.file(format!("odd/{}", "n".repeat(255)), b"a long name");
        self.file("odd/somebody's", b"");
        self.change("odd/somebody's", |meta| (meta.uid, meta.gid) = (100_000, 4_000_000_000));
        for (name, seconds) in [
            ("before", -86_400),
            ("oldest", -(1 << 31)),
            ("after", 4_300_000_000),
            ("last", 10_737_418_239),
        ] {
            self.file(format!("odd/time-{name}"), b"");
            self.time(format!("odd/time-{name}"), seconds, 999_999_999);
        }
    }

    /// Extended attributes in the inode, in a block, in both.
    pub fn attributes(&mut self) {
        for name in ["capable", "six", "large", "both", "empty-value"] {
            self.file(format!("attributes/{name}"), name.as_bytes());
        }
        self.directory("attributes/opaque");
        self.directory("attributes/acl");
        self.symlink("attributes/link", b"six");
        let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        self.xattr("attributes/capable", "security.capability", &capability);
        for index in 0..6 {
            self.xattr("attributes/six", &format!("user.attribute-{index}"), &[index; 30]);
        }
        self.xattr("attributes/large", "user.large", &[7; 3000]);
        self.xattr("attributes/both", "user.small", &[1; 40]);
        self.xattr("attributes/both", "user.large", &[2; 4000]);
        self.xattr("attributes/empty-value", "user.nothing", b"");
        self.xattr("attributes/empty-value", "user.\u{e4}\u{f6}\u{fc}", &[b'v'; 100]);
        self.xattr("attributes/opaque", "trusted.overlay.opaque", b"y");
        self.xattr("attributes/link", "trusted.of-a-link", b"value");
        let list = access_control_list();
        self.xattr("attributes/acl", "system.posix_acl_access", &list);
        self.xattr("attributes/acl", "system.posix_acl_default", &list);
        self.change("attributes/acl", |meta| meta.mode = 0o770);
    }

    /// The tree of the measurements: 20,000 files in one directory, a sparse file of 500 MB, and all the odd things.
    pub fn everything(&mut self) {
        self.many("many", 20_000);
        self.odd_things();
        self.attributes();
        let half = 250 << 20;
        self.sparse(
            "sparse",
            500 << 20,
            [0, 1 << 20, half, half + 123_456, (500 << 20) - 5].into_iter(),
        );
    }
}

/// Owner rwx, user 1000 rw, group r-x, group 2000 r, mask rwx, others none; as the kernel gives it.
pub fn access_control_list() -> Vec<u8> {
    const NOBODY: u32 = u32::MAX;
    let entries: [(u16, u16, u32); 6] = [
        (1, 7, NOBODY),
        (2, 6, 1000),
        (4, 5, NOBODY),
        (8, 4, 2000),
        (16, 7, NOBODY),
        (32, 0, NOBODY),
    ];
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}
