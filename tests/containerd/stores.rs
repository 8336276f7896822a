//! States that vsbuild wrote, as containerd takes them up.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
};

use vsbuild::{
    formats::{
        containerd::{Image, LayerBlobs, Options, chain_ids, state},
        ext4::Size,
    },
    tree::{Blobs, Draft, Meta, Time, Tree},
};
use walkdir::WalkDir;

use crate::{
    daemon::Daemon,
    images,
    workbench::{Mounted, Workbench, shape},
};

const MIB: u64 = 1 << 20;

fn options(layers: LayerBlobs) -> Options {
    let epoch = Time::from_seconds(1_735_689_600);
    Options { namespace: "default".into(), layers, epoch }
}

/// Puts a tree on a file system as guests have it, and gives it to `work` with a place for sockets.
fn on_disk(bench: &Workbench, tree: &Tree, work: impl FnOnce(&Path, &Path)) {
    let image = bench.image("image", tree, &shape(Size::Free(128 * MIB)));
    if let Some(mounted) = Mounted::at(&image, &bench.path("mount"), "rw") {
        work(&mounted.dir, &bench.path("run"));
    }
    fs::remove_file(image).unwrap();
}

/// The state with these images on a disk, with containerd running on it.
fn with_containerd(layers: LayerBlobs, work: impl FnOnce(&Workbench, &[Image], &Path, &Daemon)) {
    let bench = Workbench::new();
    let images = images::three(&bench.store);
    let tree = state(&images, &options(layers), &bench.store).unwrap();
    on_disk(&bench, &tree, |root, dir| {
        let daemon = Daemon::start(root, dir);
        work(&bench, &images, root, &daemon);
    });
}

#[test]
fn images_are_complete_and_unpacked() {
    with_containerd(LayerBlobs::Kept, |_, images, _, daemon| {
        let said = daemon.ctr(&["images", "check"]);
        for image in images {
            let line = said.lines().find(|line| line.starts_with(&image.name)).unwrap();
            let count = image.layers.len() + 1;
            assert!(line.contains(&format!("complete ({count}/{count})")), "{said}");
            assert!(line.trim_end().ends_with("true"), "{said}");
        }
        let said = daemon.ctr(&["snapshots", "ls"]);
        assert_eq!(said.lines().count(), 1 + 3, "{said}");
        assert_eq!(said.matches("Committed").count(), 3, "{said}");
    });
}

#[test]
fn containers_run() {
    for layers in [LayerBlobs::Kept, LayerBlobs::LeftOut] {
        with_containerd(layers, |_, images, _, daemon| {
            assert_eq!(daemon.runs(&images[0].name, &[]), "one\n");
            assert_eq!(daemon.runs(&images[1].name, &[]), "two\n");
            let script = "cd /etc; ls; ls /opt; cat text-again kept; echo new > kept; cat kept";
            let said = daemon.runs(&images[0].name, &["/bin/sh", "-c", script]);
            let etc = "hosts\nkept\nodd\nresolv.conf\ntext\ntext-again\n";
            let etc = etc.replace("hosts\n", "").replace("resolv.conf\n", "");
            assert_eq!(said, format!("{etc}new\none\nfrom below\nnew\n"));
        });
    }
}
