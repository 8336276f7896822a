use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    formats::tar::{Body, Member, headers, padding},
    tree::{Draft, MemoryBlobs, Meta, Node, Time},
};

fn path(text: &str) -> GuestPath {
    GuestPath::new(text).unwrap()
}

fn meta(mode: u16) -> Meta {
    Meta::root_owned(mode, Time::from_seconds(1000))
}

fn member(name: &str, mode: u16, body: Body) -> Vec<u8> {
    headers(&Member { path: path(name), meta: meta(mode), body })
}

fn directory(name: &str) -> Vec<u8> {
    member(name, 0o755, Body::Directory)
}

fn file(name: &str, content: &str) -> Vec<u8> {
    let size = content.len() as u64;
    let header = member(name, 0o644, Body::File { size });
    [header, content.into(), vec![0; padding(size)]].concat()
}

fn symlink(name: &str, target: &str) -> Vec<u8> {
    member(name, 0o777, Body::Symlink(target.as_bytes().into()))
}

fn hard_link(name: &str, target: &str) -> Vec<u8> {
    member(name, 0o644, Body::HardLink(path(target)))
}

/// The layer that these members make over `below`, or why it is refused.
fn layer(below: &[&Tree], members: &[Vec<u8>]) -> Result<Tree, String> {
    let bytes = [&members.concat(), &tar::END[..]].concat();
    let mut copy = Vec::new();
    let read = read(&*bytes, below, &Limits::default(), &MemoryBlobs::default(), &mut copy);
    let layer = read.map_err(|error| error.to_string())?;
    assert_eq!(copy, bytes);
    assert_eq!(layer.tar, Content::of(&bytes));
    Ok(layer.tree)
}

fn kind<'a>(tree: &'a Tree, name: &str) -> Option<&'a Kind> {
    tree.inode(&path(name)).map(|inode| &inode.kind)
}

fn content(text: &str) -> Kind {
    Kind::File(Content::of(text.as_bytes()))
}

const GONE: Kind = Kind::CharDevice(NO_DEVICE);

#[test]
fn whiteouts_become_devices_and_opaque_marks_attributes() {
    let tree = layer(
        &[],
        &[
            directory("etc"),
            file("etc/.wh.passwd", ""),
            file("opt/.wh..wh..opq", ""),
            file("opt/new", "x"),
            file(".wh.var", ""),
        ],
    )
    .unwrap();
    let gone = tree.inode(&path("etc/passwd")).unwrap();
    assert_eq!((&gone.kind, &gone.meta), (&GONE, &meta(0)));
    assert_eq!(kind(&tree, "var"), Some(&GONE));
    assert!(is_opaque(tree.inode(&path("opt")).unwrap()));
    assert!(!is_opaque(tree.inode(&path("etc")).unwrap()));
    assert_eq!(tree.len(), 6);
}

#[test]
fn later_members_win() {
    let tree = layer(
        &[],
        &[
            file("a", "1"),
            file("a", "2"),
            directory("d"),
            file("d/x", "x"),
            member("d", 0o700, Body::Directory),
            file("f", "f"),
            directory("f"),
            file("f/y", "y"),
            directory("g"),
            file("g/z", "z"),
            file("g", "g"),
            file(".wh.h", ""),
            file("h", "h"),
        ],
    )
    .unwrap();
    assert_eq!(kind(&tree, "a"), Some(&content("2")));
    assert_eq!(tree.inode(&path("d")).unwrap().meta.mode, 0o700, "directories are merged");
    assert_eq!(kind(&tree, "d/x"), Some(&content("x")));
    assert_eq!(kind(&tree, "f/y"), Some(&content("y")));
    assert_eq!(kind(&tree, "g"), Some(&content("g")));
    assert_eq!(kind(&tree, "g/z"), None);
    assert_eq!(kind(&tree, "h"), Some(&content("h")));
}

#[test]
fn hard_links_share_their_file_whatever_comes_later() {
    let tree = layer(
        &[],
        &[
            file("a", "1"),
            member("b", 0o4755, Body::HardLink(path("a"))),
            file("a", "2"),
            symlink("s", "nowhere"),
            hard_link("t", "s"),
            hard_link("c", "b"),
        ],
    )
    .unwrap();
    assert_eq!(kind(&tree, "a"), Some(&content("2")));
    assert_eq!(kind(&tree, "b"), Some(&content("1")));
    assert_eq!(tree.get(&path("c")), Some(&Node::HardLink(path("b"))));
    assert_eq!(tree.inode(&path("b")).unwrap().meta.mode, 0o644, "the last link says the mode");
    assert_eq!(tree.get(&path("t")), Some(&Node::HardLink(path("s"))));
    assert_eq!(tree.inode(&path("t")).unwrap().meta.mode, 0o777);
}

#[test]
fn what_is_implied_looks_as_it_does_below() {
    let lowest = layer(&[], &[member("var", 0o700, Body::Directory), file("var/data", "old")]);
    let lowest = lowest.unwrap();
    let middle = layer(&[&lowest], &[file("var/lib/.wh.x", ""), file("opt", "a file")]).unwrap();
    let below = [&lowest, &middle];
    let tree = layer(
        &below,
        &[
            file("var/lib/x", "x"),
            file("opt/x", "x"),
            file("new/x", "x"),
            hard_link("linked", "var/data"),
        ],
    )
    .unwrap();
    let mode = |name| tree.inode(&path(name)).unwrap().meta.mode;
    assert_eq!(
        (mode("var"), mode("var/lib"), mode("opt"), mode("new")),
        (0o700, 0o755, 0o755, 0o755)
    );
    assert_eq!(kind(&tree, "linked"), Some(&content("old")));
    assert_eq!(kind(&tree, "var/data"), None);

    for hides in [".wh.var", "var/.wh.data", "var/.wh..wh..opq", "var"] {
        let middle = layer(&[&lowest], &[file(hides, "")]).unwrap();
        let told = layer(&[&lowest, &middle], &[hard_link("linked", "var/data")]).unwrap_err();
        assert!(told.contains("neither in this layer nor below"), "{hides}: {told}");
        assert!(layer(&[&lowest], &[file(hides, ""), hard_link("linked", "var/data")]).is_err());
    }
}

#[test]
fn the_top_is_always_roots() {
    let top = |mode| {
        headers(&Member { path: GuestPath::root(), meta: meta(mode), body: Body::Directory })
    };
    let tree = layer(&[], &[top(0o700), file(".wh..wh..opq", "")]).unwrap();
    let top = tree.inode(&GuestPath::root()).unwrap();
    assert_eq!((top.meta.mode, top.meta.mtime), (0o755, Time::from_seconds(1000)));
    assert!(is_opaque(top));
    let empty = layer(&[], &[]).unwrap();
    assert_eq!(empty.inode(&GuestPath::root()).unwrap().meta.mtime, Time::default());
}

#[test]
fn attributes_that_containerd_does_not_set_are_left_out() {
    let names = ["user.x", "trusted.overlay.opaque", "security.capability", "strange.y", "user."];
    let xattrs: BTreeMap<Box<[u8]>, Box<[u8]>> =
        names.iter().map(|name| (name.as_bytes().into(), b"y"[..].into())).collect();
    let with = |name, body| {
        headers(&Member {
            path: path(name),
            meta: Meta { xattrs: xattrs.clone(), ..meta(0o755) },
            body,
        })
    };
    let tree = layer(&[], &[with("d", Body::Directory), with("s", Body::Symlink(b"d"[..].into()))]);
    let tree = tree.unwrap();
    let kept = |name| -> Vec<String> {
        let xattrs = &tree.inode(&path(name)).unwrap().meta.xattrs;
        xattrs.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    };
    assert_eq!(kept("d"), ["security.capability", "user.x"]);
    assert_eq!(kept("s"), ["security.capability"]);
}

#[test]
fn times_are_kept_to_the_nanosecond_within_bounds() {
    let at = |seconds, nanos| {
        let meta = Meta::root_owned(0o644, Time { seconds, nanos });
        let file = headers(&Member { path: path("f"), meta, body: Body::File { size: 0 } });
        layer(&[], &[file]).unwrap().inode(&path("f")).unwrap().meta.mtime
    };
    assert_eq!(at(5, 123_456_789), Time { seconds: 5, nanos: 123_456_789 });
    assert_eq!(at(-5, 1), Time::default());
    assert_eq!(at(10_000_000_000, 0), Time::default());
}

#[test]
fn hostile_layers_are_refused() {
    for (members, told) in [
        (vec![symlink("s", "/etc"), file("s/x", "")], "/s/x: it lies below a symbolic link"),
        (vec![file("s", ""), file("s/x", "")], "/s/x: it lies below a file"),
        (vec![file(".wh.s", ""), file("s/x", "")], "/s/x: it lies below a file"),
        (vec![symlink("s", "/etc"), file("s/.wh.x", "")], "it lies below a symbolic link"),
        (vec![file("a", ""), file(".wh.a", "")], "/.wh.a: it is a whiteout of what came before"),
        (vec![file(".wh.", "")], "/.wh.: it is a whiteout of nothing"),
        (vec![file(".wh...", "")], "it is a whiteout of nothing"),
        (vec![file(".wh.a/b", "")], "/.wh.a/b: it lies below a whiteout"),
        (vec![hard_link("a", "b")], "/a: it is a hard link to what is neither"),
        (vec![file("a", ""), hard_link("a", "a")], "/a: it is a hard link to itself"),
        (vec![directory("a"), hard_link("b", "a")], "/b: it is a hard link to itself or to what"),
        (
            vec![file(".wh.a", ""), hard_link("b", "a")],
            "/b: it is a hard link to itself or to what",
        ),
    ] {
        let error = layer(&[], &members).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn limits_hold() {
    let bytes = [file("a", "x"), file("b/c", "x"), tar::END.to_vec()].concat();
    let with = |limits: Limits| {
        let sink = MemoryBlobs::default();
        let read = read(&*bytes, &[], &limits, &sink, &mut std::io::sink());
        read.map(|_| ()).map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })
    };
    let exact = Limits { bytes: bytes.len() as u64, members: 2, text: 5 };
    assert_eq!(with(exact.clone()), Ok(()));
    assert!(
        with(Limits { bytes: exact.bytes - 1, ..exact }).unwrap_err().contains("cannot be read")
    );
    assert!(with(Limits { members: 1, ..exact }).unwrap_err().contains("more members"));
    assert!(with(Limits { text: 4, ..exact }).unwrap_err().contains("longer paths"));
}

#[test]
fn what_no_layer_can_say_is_not_written() {
    let write = |name: &str, inode: Inode| {
        let mut draft = Draft::with_root(meta(0o755));
        draft.insert(path(name), Node::Inode(inode));
        let blobs = MemoryBlobs::default();
        let told = write(&draft.finish().unwrap(), &blobs, &mut Vec::new());
        told.map(|_| ()).unwrap_err().to_string()
    };
    let trusted = BTreeMap::from([(b"trusted.x"[..].into(), b"y"[..].into())]);
    let opaque = BTreeMap::from([(OPAQUE_XATTR.into(), b"y"[..].into())]);
    let inode = |xattrs, kind| Inode { meta: Meta { xattrs, ..meta(0o755) }, kind };
    let none = BTreeMap::new();
    assert!(
        write("s", inode(none.clone(), Kind::Socket)).contains("/s: no layer can hold a socket")
    );
    assert!(write(".wh.a", inode(none.clone(), Kind::Directory)).contains("for a whiteout"));
    assert!(write(".wh..opq", inode(none.clone(), GONE)).contains("for something else"));
    assert!(write(&"x".repeat(252), inode(none, GONE)).contains("too long for a whiteout"));
    assert!(write("d", inode(trusted, Kind::Directory)).contains("that no layer can set"));
    assert!(write("f", inode(opaque, Kind::Fifo)).contains("that no layer can set"));
}

#[test]
fn the_archive_of_a_tree_is_fixed() {
    let bytes = [
        directory("d"),
        file("d/.wh.gone", ""),
        file("d/.wh..wh..opq", ""),
        member("f", 0o4755, Body::HardLink(path("g"))),
        symlink("s", "d"),
    ];
    let blobs = MemoryBlobs::default();
    let below = layer(&[], &[file("g", "")]).unwrap();
    let tree = layer(&[&below], &bytes).unwrap();
    let mut draft = tree.to_draft();
    let Some(Node::Inode(inode)) = draft.get_mut(&path("f")) else { panic!("a file") };
    inode.meta.xattrs.insert(b"user.x"[..].into(), b"y"[..].into());
    inode.meta.mtime.nanos = 5;
    let mut archive = Vec::new();
    write(&draft.finish().unwrap(), &blobs, &mut archive).unwrap();
    assert_eq!(archive.len(), 8 * 512 + 2 * 512);
    let pinned = "d3d56bf30dc2c7f7c040f09caa2e35a3756099f8a73cf715b7bda48a30857786";
    assert_eq!(Digest::of(&archive).hex(), pinned);
}

fn any_inode() -> impl Strategy<Value = Inode> {
    let seconds = prop_oneof![Just(0), 0..2_000_000_000i64, Just(LATER)];
    let nanos = prop_oneof![Just(0), 0..1_000_000_000u32];
    let xattrs = prop::collection::btree_map(
        prop_oneof!["user\\.[a-z]{1,9}", Just("security.capability".to_owned())],
        prop::collection::vec(any::<u8>(), 0..40),
        0..3,
    );
    let kinds = prop_oneof![
        3 => Just(Kind::Directory),
        3 => prop::collection::vec(any::<u8>(), 0..1500).prop_map(|bytes| Kind::File(Content::of(&bytes))),
        1 => "[a-z./]{1,120}".prop_map(|target| Kind::Symlink(target.into_bytes().into())),
        1 => Just(Kind::CharDevice(Device { major: 1, minor: 3 })),
        1 => Just(Kind::BlockDevice(Device { major: 4095, minor: 0xf_ffff })),
        1 => Just(Kind::Fifo),
        2 => Just(GONE),
    ];
    let owner = prop_oneof![Just(0), any::<u32>().prop_map(|id| id & !1)];
    ((0..0o10000u16, owner.clone(), owner), seconds, nanos, xattrs, any::<bool>(), kinds).prop_map(
        |((mode, uid, gid), seconds, nanos, xattrs, opaque, kind)| {
            let mtime = Time { seconds, nanos };
            let boxed = |text: String| text.into_bytes().into_boxed_slice();
            let mut xattrs: BTreeMap<Box<[u8]>, Box<[u8]>> =
                xattrs.into_iter().map(|(name, value)| (boxed(name), value.into())).collect();
            xattrs.retain(|name, _| is_kept(name, &kind) && kind != GONE);
            if opaque && kind == Kind::Directory {
                xattrs.insert(OPAQUE_XATTR.into(), b"y"[..].into());
            }
            let mode = match kind {
                GONE => 0,
                Kind::Symlink(_) => 0o777,
                _ => mode,
            };
            Inode { meta: Meta { mode, uid, gid, mtime, xattrs }, kind }
        },
    )
}

/// After this year the field of a plain header is too small.
const LATER: i64 = 1 << 33;

prop_compose! {
    /// A tree as a layer can make it; some of its files have a second name.
    fn any_tree()(
        nodes in prop::collection::btree_map("(a|b|long-{90}|c/[a-c]|c/d/[a-c]){1,2}", any_inode(), 0..12),
        links in prop::collection::vec(("[x-z]", any::<prop::sample::Index>()), 0..4),
        time in 0..5i64,
    ) -> Tree {
        let mut draft = Draft::with_root(Meta::root_owned(0o755, Time::from_seconds(time)));
        for (name, inode) in &nodes {
            let parents: Vec<_> = path(name).ancestors().collect();
            let free = parents.iter().all(|parent| match draft.get(parent) {
                Some(node) => matches!(node, Node::Inode(Inode { kind: Kind::Directory, .. })),
                None => true,
            });
            if free {
                draft.ensure_parents(&path(name), &meta(0o711));
                draft.insert(path(name), Node::Inode(inode.clone()));
            }
        }
        let files: Vec<GuestPath> = draft.iter().filter(|(_, node)| match node {
            Node::Inode(inode) => inode.kind != Kind::Directory && !is_whiteout(inode),
            Node::HardLink(_) => false,
        }).map(|(path, _)| path.clone()).collect();
        for (name, file) in links.iter().filter(|_| !files.is_empty()) {
            draft.insert(path(name), Node::HardLink(file.get(&files).clone()));
        }
        draft.finish().unwrap()
    }
}

/// The contents of [`any_tree`] are not kept; these bytes have the right length but not the right digest.
struct AnyBytes<'a>(&'a Tree);

impl crate::tree::Blobs for AnyBytes<'_> {
    fn open(&self, digest: &Digest) -> std::io::Result<Box<dyn std::io::Read + '_>> {
        let content = self.0.contents().find(|content| content.digest == *digest).unwrap();
        Ok(Box::new(std::io::Cursor::new(vec![7; content.size as usize])))
    }
}

/// All contents replaced by those of [`AnyBytes`].
fn as_written(tree: &Tree) -> Tree {
    let mut draft = tree.to_draft();
    for (path, node) in tree.iter() {
        if let Node::Inode(Inode { meta, kind: Kind::File(content) }) = node {
            let kind = Kind::File(Content::of(&vec![7; content.size as usize]));
            if let Some(Node::Inode(inode)) = draft.get_mut(path) {
                *inode = Inode { meta: meta.clone(), kind };
            }
        }
    }
    draft.finish().unwrap()
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(tree in any_tree(), piece in 1..700usize) {
        let mut bytes = Vec::new();
        let written = write(&tree, &AnyBytes(&tree), &mut bytes).unwrap();
        prop_assert_eq!(&written, &Content::of(&bytes));
        let sink = MemoryBlobs::default();
        let layer = read(&*bytes, &[], &Limits::default(), &sink, &mut std::io::sink()).unwrap();
        prop_assert_eq!(&layer.tree, &as_written(&tree));
        prop_assert_eq!(layer.tar, written);

        let blobs = AnyBytes(&tree);
        let mut archive = Archive::new(&tree, &blobs).unwrap();
        let (mut pieces, mut buffer) = (Vec::new(), vec![0; piece]);
        loop {
            match std::io::Read::read(&mut archive, &mut buffer).unwrap() {
                0 => break,
                count => pieces.extend_from_slice(&buffer[..count]),
            }
        }
        prop_assert_eq!(pieces, bytes, "the archive does not depend on how it is read");
    }

    #[test]
    fn reading_never_panics(
        tree in any_tree(),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = Vec::new();
        write(&tree, &AnyBytes(&tree), &mut bytes).unwrap();
        for (at, with) in places {
            *at.get_mut(&mut bytes) = with;
        }
        let sink = MemoryBlobs::default();
        let _ = read(&*bytes, &[&tree], &Limits::default(), &sink, &mut std::io::sink());
    }

    #[test]
    fn members_in_any_order_make_a_layer_or_an_error(
        members in prop::collection::vec(("(.wh.)?[ab](/(.wh.|.wh..wh..opq)?[ab]?[ab]?)?", 0..4u8, "[ab]"), 0..12),
    ) {
        let members: Vec<_> = members.iter().filter(|(name, _, _)| GuestPath::new(name).is_ok()).map(|(name, kind, other)| match kind {
            0 => directory(name),
            1 => file(name, "x"),
            2 => symlink(name, other),
            _ => hard_link(name, other),
        }).collect();
        let Ok(tree) = layer(&[], &members) else { return Ok(()) };
        let over = layer(&[&tree], &members).unwrap();
        prop_assert_eq!(over.len(), tree.len(), "what a layer holds does not depend on what is below");
    }
}
