//! Images for tests: each layer as a tar file and as the tree that it must become.

use std::{fs, io::Cursor};

use tar::{Builder, EntryType, Header};
use vsbuild::{
    digest::Digest,
    formats::{
        containerd::Image,
        oci::{canonical_manifest, layer::Layer},
    },
    path::GuestPath,
    tree::{BlobSink, Device, Draft, Inode, Kind, Meta, Node, Time},
};

const TIME: i64 = 1_700_000_000;

/// A layer in the making.
pub struct Maker<'s> {
    sink: &'s dyn BlobSink,
    tar: Builder<Vec<u8>>,
    draft: Draft,
}

pub fn path(text: &str) -> GuestPath {
    GuestPath::new(text).unwrap()
}

fn meta(mode: u16) -> Meta {
    Meta::root_owned(mode, Time::from_seconds(TIME))
}

impl<'s> Maker<'s> {
    /// A layer with its root directory.
    pub fn new(sink: &'s dyn BlobSink) -> Self {
        let mut maker = Self { sink, tar: Builder::new(Vec::new()), draft: Draft::default() };
        maker.directory("", 0o755);
        maker
    }

    pub fn directory(&mut self, at: &str, mode: u16) {
        self.member(&format!("{at}/"), EntryType::Directory, &meta(mode), b"");
        self.node(at, meta(mode), Kind::Directory);
    }

    /// A directory that hides what is in it in the layers below.
    pub fn opaque(&mut self, at: &str) {
        self.member(&format!("{at}/"), EntryType::Directory, &meta(0o755), b"");
        self.member(&format!("{at}/.wh..wh..opq"), EntryType::Regular, &meta(0o644), b"");
        let mut meta = meta(0o755);
        meta.xattrs.insert(b"trusted.overlay.opaque"[..].into(), b"y"[..].into());
        self.node(at, meta, Kind::Directory);
    }

    pub fn file(&mut self, at: &str, meta: Meta, bytes: &[u8]) {
        self.member(at, EntryType::Regular, &meta, bytes);
        let content = self.sink.put(&mut &*bytes).unwrap();
        self.node(at, meta, Kind::File(content));
    }

    pub fn text(&mut self, at: &str, text: &str) {
        self.file(at, meta(0o644), text.as_bytes());
    }

    /// A file of somebody else's, with more than the usual bits.
    pub fn odd(&mut self, at: &str) {
        self.file(at, Meta { uid: 1000, gid: 100, ..meta(0o6755) }, b"odd\n");
    }

    /// Hides what is at this path in the layers below.
    pub fn whiteout(&mut self, at: &str) {
        let (dir, name) = at.rsplit_once('/').unwrap();
        self.member(&format!("{dir}/.wh.{name}"), EntryType::Regular, &meta(0o644), b"");
        self.node(at, meta(0), Kind::CharDevice(Device { major: 0, minor: 0 }));
    }

    pub fn symlink(&mut self, at: &str, target: &str) {
        self.link(at, EntryType::Symlink, target, 0o777);
        self.node(at, meta(0o777), Kind::Symlink(target.as_bytes().into()));
    }

    pub fn hard_link(&mut self, at: &str, owner: &str) {
        // containerd gives the file what its last name says of it.
        self.link(at, EntryType::Link, owner, 0o644);
        self.draft.insert(path(at), Node::HardLink(path(owner)));
    }

    pub fn finish(self) -> Layer {
        let bytes = self.tar.into_inner().unwrap();
        let tar = self.sink.put(&mut &*bytes).unwrap();
        Layer { tar, tree: self.draft.finish().unwrap() }
    }

    fn node(&mut self, at: &str, meta: Meta, kind: Kind) {
        self.draft.insert(path(at), Node::Inode(Inode { meta, kind }));
    }

    fn member(&mut self, at: &str, kind: EntryType, meta: &Meta, bytes: &[u8]) {
        let mut header = header(kind, meta);
        header.set_size(bytes.len() as u64);
        self.tar.append_data(&mut header, format!("./{at}"), bytes).unwrap();
    }

    fn link(&mut self, at: &str, kind: EntryType, target: &str, mode: u16) {
        self.tar.append_link(&mut header(kind, &meta(mode)), at, target).unwrap();
    }
}

fn header(kind: EntryType, meta: &Meta) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(meta.mode.into());
    header.set_uid(meta.uid.into());
    header.set_gid(meta.gid.into());
    header.set_mtime(TIME as u64);
    header.set_size(0);
    header
}

/// The layer that all images of the tests stand on: busybox, and something to hide.
pub fn base(sink: &dyn BlobSink) -> Layer {
    let mut maker = Maker::new(sink);
    maker.directory("bin", 0o755);
    let busybox = fs::read("/usr/bin/busybox").expect("busybox-static is installed");
    maker.file("bin/busybox", meta(0o755), &busybox);
    for applet in ["sh", "cat", "ls", "echo"] {
        maker.symlink(&format!("bin/{applet}"), "busybox");
    }
    maker.directory("etc", 0o755);
    maker.text("etc/kept", "from below\n");
    maker.text("etc/hidden", "from below\n");
    maker.directory("opt", 0o755);
    maker.text("opt/hidden", "from below\n");
    maker.directory("tmp", 0o1777);
    maker.finish()
}

/// A layer with everything that a layer on others can have.
pub fn upper(sink: &dyn BlobSink, text: &str) -> Layer {
    let mut maker = Maker::new(sink);
    maker.directory("etc", 0o755);
    maker.whiteout("etc/hidden");
    maker.text("etc/text", text);
    maker.hard_link("etc/text-again", "etc/text");
    maker.odd("etc/odd");
    maker.opaque("opt");
    maker.text("opt/new", text);
    maker.symlink("long", &"a/".repeat(100));
    maker.text("large", &text.repeat(100_000));
    maker.finish()
}

pub fn image(name: &str, layers: &[&Layer]) -> Image {
    let ids: Vec<String> =
        layers.iter().map(|layer| format!("sha256:{}", layer.tar.digest)).collect();
    let config = serde_json::json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Cmd": ["/bin/cat", "/etc/text"], "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": ids },
    });
    let layers = layers.iter().map(|layer| (*layer).clone()).collect();
    Image { name: name.to_owned(), config: config.to_string().into_bytes(), layers }
}

/// Three images: two that share a layer, and one that is the lowest of the layers alone.
pub fn three(sink: &dyn BlobSink) -> Vec<Image> {
    let base = base(sink);
    let (one, two) = (upper(sink, "one\n"), upper(sink, "two\n"));
    vec![
        image("registry.test/one:latest", &[&base, &one]),
        image("registry.test/two:latest", &[&base, &two]),
        image("registry.test/base:latest", &[&base]),
    ]
}

/// The images as an archive that `ctr images import` takes: an OCI image layout, with our manifests.
pub fn archive(images: &[Image], read: &dyn Fn(&Digest) -> Vec<u8>) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let mut add = |at: &str, bytes: &[u8]| {
        let mut header = header(EntryType::Regular, &meta(0o644));
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, at, Cursor::new(bytes)).unwrap();
    };
    let mut manifests = Vec::new();
    for image in images {
        let layers: Vec<(Digest, u64)> =
            image.layers.iter().map(|layer| (layer.tar.digest, layer.tar.size)).collect();
        let manifest = canonical_manifest(&image.config, &layers);
        let digest = Digest::of(&manifest);
        manifests.push(serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": format!("sha256:{digest}"),
            "size": manifest.len(),
            "annotations": { "io.containerd.image.name": image.name },
        }));
        add(&format!("blobs/sha256/{digest}"), &manifest);
        add(&format!("blobs/sha256/{}", Digest::of(&image.config)), &image.config);
        for layer in &image.layers {
            add(&format!("blobs/sha256/{}", layer.tar.digest), &read(&layer.tar.digest));
        }
    }
    add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": manifests });
    add("index.json", index.to_string().as_bytes());
    tar.into_inner().unwrap()
}
