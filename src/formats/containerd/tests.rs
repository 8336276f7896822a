use super::*;
use crate::path::GuestPath;
use crate::{
    formats::bolt::{Bucket, Item, read},
    tree::{Blobs, Content, Device, Draft, Inode, Kind, MemoryBlobs, Meta, Node},
};

const EPOCH: Time = Time { seconds: 1_735_689_600, nanos: 0 };

fn path(text: &str) -> GuestPath {
    GuestPath::new(text).unwrap()
}

/// A layer with one file of this content, a hard link to it, and a whiteout.
fn layer(text: &str) -> Layer {
    let meta = Meta::root_owned(0o755, EPOCH);
    let mut draft = Draft::with_root(meta.clone());
    let mut add = |at: &str, kind| {
        draft.insert(path(at), Node::Inode(Inode { meta: meta.clone(), kind }));
    };
    add("file", Kind::File(Content::of(text.as_bytes())));
    add("gone", Kind::CharDevice(Device { major: 0, minor: 0 }));
    draft.insert(path("link"), Node::HardLink(path("file")));
    Layer { tar: Content::of(format!("tar of {text}").as_bytes()), tree: draft.finish().unwrap() }
}

fn image(name: &str, layers: &[&str]) -> Image {
    let layers: Vec<Layer> = layers.iter().map(|text| layer(text)).collect();
    let ids: Vec<String> = layers.iter().map(|layer| named(&layer.tar.digest)).collect();
    let config = serde_json::json!({ "rootfs": { "type": "layers", "diff_ids": ids } });
    Image { name: name.into(), config: config.to_string().into_bytes(), layers }
}

fn options() -> Options {
    Options { namespace: "default".into(), layers: LayerBlobs::Kept, epoch: EPOCH }
}

/// Three images: two share their lowest layer, and the third has the same layers as the second, the other way round.
fn three() -> Vec<Image> {
    vec![image("one", &["a", "b"]), image("two", &["a", "c"]), image("three", &["c", "a"])]
}

fn made(images: &[Image], options: &Options) -> (Tree, MemoryBlobs) {
    let blobs = MemoryBlobs::default();
    (state(images, options, &blobs).unwrap(), blobs)
}

fn bucket<'a>(bucket: &'a Bucket, key: &str) -> &'a Bucket {
    match bucket.items.get(key.as_bytes()) {
        Some(Item::Bucket(bucket)) => bucket,
        other => panic!("{key} is {other:?}"),
    }
}

/// The namespace's bucket in meta.db, and the schema's bucket in metadata.db.
fn databases(tree: &Tree, blobs: &MemoryBlobs) -> (Bucket, Bucket) {
    let open = |at: &str| {
        let digest = tree.content(&path(at)).unwrap().digest;
        read(&blobs.read(&digest).unwrap()).unwrap().bucket("v1").clone()
    };
    let metadata = open("io.containerd.metadata.v1.bolt/meta.db");
    let snapshotter = open("io.containerd.snapshotter.v1.overlayfs/metadata.db");
    (bucket(&metadata, "default").clone(), snapshotter)
}

#[test]
fn neither_order_nor_repetition_shows() {
    let (mut images, options) = (three(), options());
    let (tree, _) = made(&images, &options);
    images.reverse();
    images.push(images[1].clone());
    assert_eq!(made(&images, &options).0, tree);
}

#[test]
fn the_bytes_are_fixed() {
    let (tree, _) = made(&three(), &options());
    let expected = "512dc3c1a5055646734407deb9e981f6f5d785569c7f8d54cf022595402667cf";
    assert_eq!(tree.digest().hex(), expected, "format {FORMAT}");
}

#[test]
fn a_chain_that_images_share_is_there_once() {
    let (tree, blobs) = made(&three(), &options());
    let (namespace, snapshotter) = databases(&tree, &blobs);
    let known = bucket(bucket(&namespace, "snapshots"), "overlayfs");
    let inner = bucket(&snapshotter, "snapshots");
    // a, ab, ac, c, ca.
    assert_eq!((known.items.len(), known.sequence), (5, 5));
    assert_eq!((inner.items.len(), inner.sequence), (5, 5));
    let [a, b] = ["tar of a", "tar of b"].map(Digest::of);
    let chain = chain_ids([a, b]);
    assert_eq!(chain, [a, Digest::of(format!("sha256:{a} sha256:{b}"))]);
    let lowest = bucket(known, &named(&a));
    assert_eq!(bucket(lowest, "children").items.len(), 2);
    let top = bucket(known, &named(&chain[1]));
    assert_eq!(top.value("parent"), Some(named(&a).as_bytes()));
    let name = std::str::from_utf8(top.value("name").unwrap()).unwrap();
    let [id] = bucket(inner, name).value("id").unwrap() else { panic!("the number is small") };
    let content = tree
        .content(&path(&format!("io.containerd.snapshotter.v1.overlayfs/snapshots/{id}/fs/link")));
    assert_eq!(content, Some(&Content::of(b"b")));
    // The root and the file take a block each, the whiteout and the second name none.
    assert_eq!(bucket(inner, name).value("inodes"), Some(&[2 * 3][..]));
    assert_eq!(bucket(inner, name).value("size"), Some(&[0x80, 0x80, 1][..]));
}

#[test]
fn every_blob_that_is_noted_is_there_and_no_other() {
    for layers in [LayerBlobs::Kept, LayerBlobs::LeftOut] {
        let (tree, blobs) = made(&three(), &Options { layers, ..options() });
        let (namespace, _) = databases(&tree, &blobs);
        let noted = bucket(bucket(&namespace, "content"), "blob").items.keys();
        let noted: Vec<String> =
            noted.map(|key| String::from_utf8(key[7..].into()).unwrap()).collect();
        let dir = path("io.containerd.content.v1.content/blobs/sha256");
        let there = tree.iter().filter_map(|(at, _)| at.below(&dir)).skip(1);
        let there: Vec<String> = there.map(|at| at.to_string()[1..].to_owned()).collect();
        assert_eq!(noted, there);
        assert_eq!(there.len(), if layers == LayerBlobs::Kept { 9 } else { 6 });
    }
}

#[test]
fn what_containerd_could_not_use_is_refused() {
    let refuse = |images: &[Image], options: &Options| {
        state(images, options, &MemoryBlobs::default()).unwrap_err()
    };
    for namespace in ["", "a..b", "-a", "a/b", "version", &"a".repeat(77)] {
        let options = Options { namespace: namespace.into(), ..options() };
        assert!(matches!(refuse(&[], &options), Error::Namespace { .. }), "{namespace}");
    }
    let other = [image("one", &["a"]), image("one", &["b"])];
    assert!(matches!(refuse(&other, &options()), Error::TwoImages { .. }));
    assert!(matches!(refuse(&[image("", &["a"])], &options()), Error::Bolt(_)));
    let none = refuse(&[image("none", &[])], &options());
    assert!(matches!(none, Error::Layers { named: 0, given: 0, .. }));
    let mut swapped = image("swapped", &["a", "b"]);
    swapped.layers.reverse();
    assert!(matches!(refuse(&[swapped], &options()), Error::Layers { .. }));
    let mut broken = image("broken", &["a"]);
    broken.config.truncate(9);
    assert!(matches!(refuse(&[broken], &options()), Error::Config { .. }));
    let mut images = three();
    images[1].layers[0].tree = layer("else").tree;
    assert!(matches!(refuse(&images, &options()), Error::TwoTrees { .. }));
}
