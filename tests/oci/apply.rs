//! Layers beside GNU tar and containerd.

use std::{
    io::Cursor,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fs_err as fs;
use vsbuild::{
    formats::{
        oci::{
            Config,
            layer::{self, Layer, Limits},
            layout::{Packed, layout},
        },
        tar::{self, Body, Member},
    },
    path::GuestPath,
    tree::{Content, Kind, MemoryBlobs, Meta, Node, Time, Tree},
};

use crate::bench::{Bench, With, meta, path, run};

fn read(bench: &Bench, bytes: &[u8], below: &[&Tree]) -> Layer {
    layer::read(bytes, below, &Limits::default(), &bench.blobs, &mut std::io::sink()).unwrap()
}

#[test]
fn gnu_tar_unpacks_what_we_write() {
    let bench = Bench::new();
    let tree = bench.base();
    let mut file = fs::File::create(bench.path("layer.tar")).unwrap();
    let written = layer::write(&tree, &bench.blobs, &mut file).unwrap();
    assert_eq!(written, Content::of(&fs::read(bench.path("layer.tar")).unwrap()));
    let out = bench.path("out");
    fs::create_dir(&out).unwrap();
    run(
        "tar",
        &[
            &"--xattrs",
            &"--xattrs-include=*",
            &"--numeric-owner",
            &"-xpf",
            &bench.path("layer.tar"),
            &"-C",
            &out,
        ],
    );
    assert_eq!(bench.tree_of(&out), tree);
}

#[test]
fn what_gnu_tar_packs_is_read() {
    let bench = Bench::new();
    let tree = bench.base();
    let (out, packed) = (bench.path("out"), bench.path("packed.tar"));
    fs::create_dir(&out).unwrap();
    let mut archive = Vec::new();
    layer::write(&tree, &bench.blobs, &mut archive).unwrap();
    fs::write(&packed, &archive).unwrap();
    let xattrs = ["--xattrs", "--xattrs-include=*"];
    run("tar", &[&xattrs[0], &xattrs[1], &"-xpf", &packed, &"-C", &out]);
    // A stock of formats and of ways to spell the names of members.
    for (format, names) in [("pax", "."), ("posix", "etc usr bin srv dev run tmp link")] {
        let mut command = Command::new("tar");
        command.args(xattrs).arg(format!("--format={format}")).arg("--numeric-owner");
        command.arg("-cf").arg(&packed).arg("-C").arg(&out).args(names.split(' '));
        assert!(command.status().unwrap().success());
        let layer = read(&bench, &fs::read(&packed).unwrap(), &[]);
        let expected = match names {
            "." => tree.clone(),
            _ => tree.with("", top(&tree, Time::default())),
        };
        assert_eq!(layer.tree, expected, "{format}");
    }
    fs::remove_file(out.join("usr/bin/tool")).unwrap();
    fs::remove_file(out.join("usr/bin/hard")).unwrap();
    let gnu = Command::new("tar")
        .args(["--format=gnu", "-cf"])
        .arg(&packed)
        .args(["-P", "-C"])
        .arg(&out)
        .args(["--transform=s,^,/,", "usr", "srv"])
        .status();
    assert!(gnu.unwrap().success());
    let layer = read(&bench, &fs::read(&packed).unwrap(), &[]);
    let meta = &layer.tree.inode(&path("srv/big")).unwrap().meta;
    assert_eq!((meta.uid, meta.mtime), (3_000_000_000, Time::from_seconds(1_700_000_000)));
    assert!(layer.tree.len() > 8, "absolute names are below the top");
}

/// The top with another time.
fn top(tree: &Tree, mtime: Time) -> Node {
    let mut inode = tree.inode(&GuestPath::root()).unwrap().clone();
    inode.meta.mtime = mtime;
    Node::Inode(inode)
}

/// containerd on a root of its own, until the test ends.
struct Containerd {
    child: Child,
    socket: PathBuf,
    snapshots: PathBuf,
}

impl Containerd {
    fn start(bench: &Bench) -> Self {
        let [root, state, socket] = ["root", "state", "socket"].map(|name| bench.path(name));
        let config = format!(
            "version = 2\nroot = {root:?}\nstate = {state:?}\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {socket:?}\n"
        );
        fs::write(bench.path("config.toml"), config).unwrap();
        let log = fs::File::create(bench.path("log")).unwrap();
        let child = Command::new("containerd")
            .arg("--config")
            .arg(bench.path("config.toml"))
            .stderr(Stdio::from(log.into_parts().0))
            .spawn();
        let child = child.expect("containerd is not installed; see ci/install");
        let snapshots = root.join("io.containerd.snapshotter.v1.overlayfs/snapshots");
        let containerd = Self { child, socket, snapshots };
        let start = Instant::now();
        while !Command::new("ctr")
            .arg("-a")
            .arg(&containerd.socket)
            .arg("version")
            .output()
            .unwrap()
            .status
            .success()
        {
            let log = || fs::read_to_string(bench.path("log")).unwrap();
            assert!(start.elapsed() < Duration::from_secs(60), "{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        containerd
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn member(name: &str, meta: Meta, body: Body) -> Vec<u8> {
    tar::headers(&Member { path: GuestPath::lenient(name).unwrap(), meta, body })
}

fn file(name: &str, text: &str) -> Vec<u8> {
    let size = text.len() as u64;
    let header = member(name, meta(0o644), Body::File { size });
    [header, text.into(), vec![0; tar::padding(size)]].concat()
}

/// Layers whose order of members matters, or that leave something out.
fn odd_layers() -> Vec<Vec<u8>> {
    let directory = |name, mode| member(name, meta(mode), Body::Directory);
    let hard = |name, mode, target| member(name, meta(mode), Body::HardLink(path(target)));
    let owned = |mode| Meta { uid: 1000, gid: 1001, ..meta(mode) };
    let xattrs = |names: &[&str]| {
        let mut meta = meta(0o755);
        for name in names {
            meta.xattrs.insert(name.as_bytes().into(), b"v"[..].into());
        }
        meta
    };
    vec![
        [
            directory("", 0o700),
            member("var", Meta { mode: 0o750, ..owned(0) }, Body::Directory),
            directory("var/lib", 0o711),
            file("var/lib/data", "data"),
            file("var/replaced", "file"),
            member("home", xattrs(&["user.one", "trusted.two"]), Body::Directory),
            file("home/a", "a"),
            member("home/s", xattrs(&["user.one"]), Body::Symlink(b"a"[..].into())),
            file("twice", "1"),
            hard("also", 0o4711, "twice"),
            file("twice", "2"),
            directory("becomes", 0o755),
            file("becomes/gone", "x"),
            file("becomes", "a file"),
            file("grows", "x"),
            directory("grows", 0o755),
            file("grows/in", "y"),
            member("home", Meta { mode: 0o711, ..xattrs(&["user.three"]) }, Body::Directory),
            member("old", Meta::root_owned(0o644, Time::from_seconds(-9)), Body::File { size: 0 }),
            member("sock", meta(0o600), Body::Fifo),
        ]
        .concat(),
        [
            // All of `var` is implied here, and looks as below.
            file("var/lib/more", "more"),
            member("var/.wh.replaced", owned(0o600), Body::File { size: 0 }),
            file("home/.wh..wh..opq", ""),
            file("home/b", "b"),
            file("new/deep/x", "x"),
            file(".wh.twice", ""),
            file(".wh.grows", ""),
            directory("grows", 0o700),
        ]
        .concat(),
        [file("var/replaced/again", "x"), file("home/a", "a again"), file(".wh.new", "")].concat(),
    ]
}

/// What containerd takes from the clock, put aside: the times of the top, of whiteouts, and of directories that no
/// member describes.
fn without_clock(tree: &Tree, implied: &[&str]) -> Tree {
    let mut draft = tree.to_draft();
    for (place, node) in tree.iter() {
        let Node::Inode(inode) = node else { continue };
        let whiteout = matches!(inode.kind, Kind::CharDevice(device) if device.major == 0);
        let implied = implied.iter().any(|name| path(name) == *place);
        if whiteout || implied || place.is_root() {
            let mut inode = inode.clone();
            inode.meta.mtime = Time::default();
            draft.insert(place.clone(), Node::Inode(inode));
        }
    }
    draft.finish().unwrap()
}

#[test]
fn layers_are_applied_as_containerd_applies_them() {
    let bench = Bench::new();
    let mut layers: Vec<Vec<u8>> =
        odd_layers().into_iter().map(|layer| [layer, tar::END.to_vec()].concat()).collect();
    for tree in [bench.base(), bench.top()] {
        let mut bytes = Vec::new();
        layer::write(&tree, &bench.blobs, &mut bytes).unwrap();
        layers.push(bytes);
    }
    let contents: Vec<Content> = layers
        .iter()
        .map(|layer| vsbuild::tree::BlobSink::put(&bench.blobs, &mut Cursor::new(layer)).unwrap())
        .collect();
    let config = Config {
        architecture: "amd64".to_owned(),
        diff_ids: contents.iter().map(|content| content.digest).collect(),
        ..Config::default()
    };
    let config = config.to_bytes(&[]);
    let packed = Packed { name: "latest", config: &config, layers: &contents };
    let tree = layout(&[packed], &bench.blobs).unwrap();
    let mut archive = fs::File::create(bench.path("image.tar")).unwrap();
    layer::write(&tree, &bench.blobs, &mut archive).unwrap();

    let containerd = Containerd::start(&bench);
    let base = "docker.io/vsbuild/odd";
    run(
        "ctr",
        &[
            &"-a",
            &containerd.socket,
            &"images",
            &"import",
            &"--platform",
            &"linux/amd64",
            &"--base-name",
            &base,
            &bench.path("image.tar"),
        ],
    );
    let mut below: Vec<Tree> = Vec::new();
    for (at, bytes) in layers.iter().enumerate() {
        let lower: Vec<&Tree> = below.iter().collect();
        let ours = read(&bench, bytes, &lower).tree;
        let theirs = bench.tree_of(&containerd.snapshots.join((at + 1).to_string()).join("fs"));
        let implied = ["var", "var/lib", "home", "new", "new/deep", "var/replaced"];
        let implied = if at < 3 && at > 0 { &implied[..] } else { &[] };
        assert_eq!(
            without_clock(&ours, implied),
            without_clock(&theirs, implied),
            "layer {at}, ours and theirs"
        );
        below.push(ours);
    }
}

#[test]
fn what_containerd_refuses_is_refused() {
    let sink = MemoryBlobs::default();
    let limits = Limits::default();
    for layer in [
        [file("a", ""), file(".wh.a", "")].concat(),
        [file("a", ""), file("a/b", "")].concat(),
        [file(".wh.a", ""), file("a/b", "")].concat(),
        file("a/.wh.", ""),
    ] {
        let bytes = [layer, tar::END.to_vec()].concat();
        assert!(layer::read(&*bytes, &[], &limits, &sink, &mut std::io::sink()).is_err());
    }
}
