//! Whole images beside skopeo and umoci.

use std::{collections::BTreeMap, io::Read, path::Path};

use fs_err as fs;
use vsbuild::{
    digest::Digest,
    formats::{
        compress::{Compression, decoder},
        oci::{
            Config, Image, Wanted,
            archive::Archive,
            canonical_manifest,
            config::timestamp,
            image::{Files, Folder},
            layer::{self, Limits},
            layout::{self, Packed},
        },
    },
    tree::{BlobSink, Inode, Kind, Node, Tree},
};

use crate::bench::{Bench, path, run};

const WANTED: Wanted<'_> = Wanted { name: Some("vsbuild/test:v1"), architecture: "amd64" };

/// An image of two layers, as a layout on the host.
struct Made {
    config: Vec<u8>,
    manifest: Vec<u8>,
    diff_ids: Vec<Digest>,
    layers: [Tree; 2],
}

fn make(bench: &Bench, dir: &Path) -> Made {
    let layers = [bench.base(), bench.top()];
    let contents = layers.each_ref().map(|tree| {
        let mut archive = layer::Archive::new(tree, &bench.blobs).unwrap();
        bench.blobs.put(&mut archive).unwrap()
    });
    let diff_ids: Vec<Digest> = contents.iter().map(|content| content.digest).collect();
    let text = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    let config = Config {
        created: Some(timestamp(1_700_000_000)),
        architecture: "amd64".to_owned(),
        diff_ids: diff_ids.clone(),
        user: "65534:65534".to_owned(),
        ports: ["50000/tcp".to_owned()].into(),
        env: text(&["PATH=/usr/bin", "A=b"]),
        entrypoint: text(&["/usr/bin/tool"]),
        cmd: text(&["--flag"]),
        workdir: "/srv".to_owned(),
        labels: BTreeMap::from([("team".to_owned(), "x".to_owned())]),
        stop_signal: None,
    };
    let config = config.to_bytes(&["base", "top"]);
    let packed = Packed { name: "vsbuild/test:v1", config: &config, layers: &contents };
    let tree = layout::layout(&[packed], &bench.blobs).unwrap();
    bench.lay(&tree, dir);
    let sizes: Vec<_> = contents.iter().map(|content| (content.digest, content.size)).collect();
    Made { manifest: canonical_manifest(&config, &sizes), config, diff_ids, layers }
}

/// The layers of an image that was found are those that were made.
fn same_layers(files: &mut dyn Files, image: &Image, made: &Made, packed: Compression) {
    assert_eq!(image.config.diff_ids, made.diff_ids);
    assert_eq!(image.layers.len(), made.layers.len());
    let sink = vsbuild::tree::MemoryBlobs::default();
    let mut below: Vec<Tree> = Vec::new();
    for (at, file) in image.layers.iter().enumerate() {
        assert_eq!(file.compression, packed);
        let (_, reader) = files.open(&file.path).unwrap();
        let reader = decoder(file.compression, reader).unwrap();
        let lower: Vec<&Tree> = below.iter().collect();
        let mut copy = Vec::new();
        let layer = layer::read(reader, &lower, &Limits::default(), &sink, &mut copy).unwrap();
        assert_eq!(layer.diff_id(), made.diff_ids[at]);
        assert_eq!(layer.diff_id(), Digest::of(&copy));
        assert_eq!(layer.tree, made.layers[at]);
        below.push(layer.tree);
    }
}

fn named(transport: &str, place: &Path) -> String {
    format!("{transport}:{}:vsbuild/test:v1", place.display())
}

#[test]
fn skopeo_inspects_our_layout() {
    let bench = Bench::new();
    let made = make(&bench, &bench.path("layout"));
    let image = named("oci", &bench.path("layout"));
    let raw = run("skopeo", &[&"--insecure-policy", &"inspect", &"--raw", &image]);
    assert_eq!(raw.as_bytes(), made.manifest);
    let raw = run("skopeo", &[&"--insecure-policy", &"inspect", &"--config", &"--raw", &image]);
    assert_eq!(raw.as_bytes(), made.config);
    let told = run("skopeo", &[&"--insecure-policy", &"inspect", &image]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["Digest"], format!("sha256:{}", Digest::of(&made.manifest)));
    assert_eq!(told["Created"], "2023-11-14T22:13:20Z");
    assert_eq!(told["Labels"]["team"], "x");
    assert_eq!(told["Layers"].as_array().unwrap().len(), 2);
}

/// What is seen where `upper` lies over `lower`.
fn overlaid(lower: &Tree, upper: &Tree) -> Tree {
    let mut draft = lower.to_draft();
    for (place, node) in upper.iter() {
        let Node::Inode(inode) = node else {
            draft.insert(place.clone(), node.clone());
            continue;
        };
        let Inode { mut meta, kind } = inode.clone();
        let opaque = meta.xattrs.remove(&b"trusted.overlay.opaque"[..]).is_some();
        let old = lower.inode(place).map(|old| &old.kind);
        if kind != Kind::Directory || old != Some(&Kind::Directory) || opaque {
            draft.remove(place);
        }
        if !matches!(kind, Kind::CharDevice(device) if device.major == 0) {
            draft.insert(place.clone(), Node::Inode(Inode { meta, kind }));
        }
    }
    draft.finish().unwrap()
}

#[test]
fn umoci_unpacks_our_layout() {
    let bench = Bench::new();
    let made = make(&bench, &bench.path("layout"));
    let bundle = bench.path("bundle");
    let image = format!("{}:vsbuild/test:v1", bench.path("layout").display());
    run("umoci", &[&"unpack", &"--image", &image, &bundle]);
    let [base, top] = &made.layers;
    assert_eq!(bench.tree_of(&bundle.join("rootfs")), overlaid(base, top));
}

#[test]
fn what_skopeo_saves_for_docker_is_read() {
    let bench = Bench::new();
    let made = make(&bench, &bench.path("layout"));
    let saved = bench.path("saved.tar");
    let (from, to) = (named("oci", &bench.path("layout")), named("docker-archive", &saved));
    run("skopeo", &[&"--insecure-policy", &"copy", &from, &to]);
    let mut archive = Archive::open(fs::File::open(&saved).unwrap()).unwrap();
    let image = archive.find(&WANTED).unwrap();
    same_layers(&mut archive, &image, &made, Compression::Plain);
    let config = Config::parse(&made.config).unwrap();
    assert_eq!((image.config.env, image.config.labels), (config.env, config.labels));
}

#[test]
fn layouts_of_skopeo_are_read_however_they_are_packed() {
    let bench = Bench::new();
    let made = make(&bench, &bench.path("layout"));
    let from = named("oci", &bench.path("layout"));
    for (format, packed) in [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        let dir = bench.path(format);
        let to = named("oci", &dir);
        let compress = ["--dest-compress", "--dest-compress-format", format];
        let [a, b, c] = compress;
        run("skopeo", &[&"--insecure-policy", &"copy", &a, &b, &c, &from, &to]);
        let tree = bench.tree_of(&dir);
        let mut files = Folder { tree: &tree, blobs: &bench.blobs };
        let image = layout::find(&mut files, &WANTED).unwrap();
        assert_eq!(image.config_bytes, made.config, "{format}");
        same_layers(&mut files, &image, &made, packed);
    }
    let file = bench.path("layout.tar");
    let to = named("oci-archive", &file);
    run("skopeo", &[&"--insecure-policy", &"copy", &from, &to]);
    let mut archive = Archive::open(fs::File::open(&file).unwrap()).unwrap();
    let image = archive.find(&WANTED).unwrap();
    same_layers(&mut archive, &image, &made, Compression::Gzip);
}

#[test]
fn a_layer_that_umoci_makes_is_read() {
    let bench = Bench::new();
    let made = make(&bench, &bench.path("layout"));
    let bundle = bench.path("bundle");
    let image = format!("{}:vsbuild/test:v1", bench.path("layout").display());
    run("umoci", &[&"unpack", &"--image", &image, &bundle]);
    let rootfs = bundle.join("rootfs");
    fs::remove_dir_all(rootfs.join("usr/share")).unwrap();
    fs::write(rootfs.join("etc/new"), "new").unwrap();
    run("umoci", &[&"repack", &"--image", &image, &bundle]);
    let tree = bench.tree_of(&bench.path("layout"));
    let mut files = Folder { tree: &tree, blobs: &bench.blobs };
    let image = layout::find(&mut files, &WANTED).unwrap();
    assert_eq!(image.layers.len(), 3);
    assert_eq!(image.config.diff_ids[..2], made.diff_ids);
    let (_, reader) = files.open(&image.layers[2].path).unwrap();
    let reader = decoder(image.layers[2].compression, reader).unwrap();
    let mut tar = Vec::new();
    let below: Vec<&Tree> = made.layers.iter().collect();
    let limits = Limits::default();
    let layer = layer::read(reader, &below, &limits, &bench.blobs, &mut tar).unwrap();
    assert_eq!(layer.diff_id(), image.config.diff_ids[2]);
    assert!(layer.tree.content(&path("etc/new")).is_some());
    let gone = layer.tree.inode(&path("usr/share")).unwrap();
    assert!(matches!(gone.kind, Kind::CharDevice(device) if device.major == 0));
    let mut again = Vec::new();
    layer::Archive::new(&layer.tree, &bench.blobs).unwrap().read_to_end(&mut again).unwrap();
    let twice = layer::read(&*again, &below, &limits, &bench.blobs, &mut std::io::sink()).unwrap();
    assert_eq!(twice.tree, layer.tree);
}
