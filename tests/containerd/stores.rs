//! States that vsbuild wrote, as containerd takes them up.

use std::{collections::BTreeSet, fs, path::Path};

use vsbuild::{
    formats::{
        containerd::{Image, LayerBlobs, Options, state},
        ext4::Size,
    },
    tree::{Blobs, Draft, Meta, Time, Tree},
};

use crate::{
    daemon::Daemon,
    images, seen,
    versions::each,
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
fn with_containerd(layers: LayerBlobs, work: impl Fn(&[Image], &Daemon)) {
    each(|version| {
        let bench = Workbench::new();
        let images = images::three(&bench.store);
        let tree = state(&images, &options(layers), &bench.store).unwrap();
        on_disk(&bench, &tree, |root, dir| {
            work(&images, &Daemon::start(version, root, dir));
        });
    });
}

#[test]
fn images_are_complete_and_unpacked() {
    with_containerd(LayerBlobs::Kept, |images, daemon| {
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
        with_containerd(layers, |images, daemon| {
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

#[test]
fn starting_containerd_changes_nothing() {
    each(|version| {
        let bench = Workbench::new();
        let images = images::three(&bench.store);
        let tree = state(&images, &options(LayerBlobs::Kept), &bench.store).unwrap();
        on_disk(&bench, &tree, |root, dir| {
            let before = seen::listing(root);
            drop(Daemon::start(version, root, dir));
            let after = seen::listing(root);
            assert_eq!(seen::differences(&before, &after), [""; 0]);
        });
    });
}

#[test]
fn it_is_what_an_import_leaves() {
    each(|version| {
        let bench = Workbench::new();
        let images = images::three(&bench.store);
        let own = expected(&bench, &images, LayerBlobs::Kept);
        let pruned = expected(&bench, &images, LayerBlobs::LeftOut);
        let empty = Draft::with_root(Meta::root_owned(0o700, Time::default())).finish().unwrap();
        on_disk(&bench, &empty, |root, dir| {
            let daemon = Daemon::start(version, root, dir);
            import(&bench, &daemon, &images);
            drop(daemon);
            assert_eq!(seen::differences(&own, &seen::seen(root)), [""; 0]);
            let daemon = Daemon::start(version, root, dir);
            daemon.ctr(&["content", "prune", "references"]);
            drop(daemon);
            assert_eq!(seen::differences(&pruned, &seen::seen(root)), [""; 0]);
        });
    });
}

#[test]
fn removing_an_image_frees_what_only_it_had() {
    each(|version| {
        let bench = Workbench::new();
        let images = images::three(&bench.store);
        // The collector forgets to tell a snapshot that what stood on it is gone.
        let others = |seen: BTreeSet<String>| -> BTreeSet<String> {
            seen.into_iter().filter(|line| !line.contains("/children/")).collect()
        };
        for layers in [LayerBlobs::Kept, LayerBlobs::LeftOut] {
            let rest = others(expected(&bench, &images[1..], layers));
            let tree = state(&images, &options(layers), &bench.store).unwrap();
            on_disk(&bench, &tree, |root, dir| {
                let daemon = Daemon::start(version, root, dir);
                daemon.ctr(&["images", "rm", "--sync", &images[0].name]);
                drop(daemon);
                assert_eq!(seen::differences(&rest, &others(seen::seen(root))), [""; 0]);
                let daemon = Daemon::start(version, root, dir);
                assert_eq!(daemon.runs(&images[1].name, &[]), "two\n");
                daemon.ctr(&["images", "rm", "--sync", &images[1].name, &images[2].name]);
                assert_eq!(daemon.ctr(&["content", "ls", "--quiet"]), "");
                assert_eq!(daemon.ctr(&["snapshots", "ls"]).lines().count(), 1);
                let snapshots = root.join("io.containerd.snapshotter.v1.overlayfs/snapshots");
                assert_eq!(fs::read_dir(snapshots).unwrap().count(), 0);
            });
        }
    });
}

#[test]
fn one_more_image_can_be_imported() {
    each(|version| {
        let bench = Workbench::new();
        let images = images::three(&bench.store);
        let all = expected(&bench, &images, LayerBlobs::Kept);
        let tree = state(&images[..1], &options(LayerBlobs::Kept), &bench.store).unwrap();
        on_disk(&bench, &tree, |root, dir| {
            let daemon = Daemon::start(version, root, dir);
            import(&bench, &daemon, &images[1..]);
            drop(daemon);
            assert_eq!(seen::differences(&all, &seen::seen(root)), [""; 0]);
            let daemon = Daemon::start(version, root, dir);
            assert_eq!(daemon.runs(&images[0].name, &[]), "one\n");
            assert_eq!(daemon.runs(&images[1].name, &[]), "two\n");
        });
    });
}

#[test]
fn without_layer_blobs_nothing_that_is_needed_is_collected() {
    each(|version| {
        let bench = Workbench::new();
        let images = images::three(&bench.store);
        let tree = state(&images[..2], &options(LayerBlobs::LeftOut), &bench.store).unwrap();
        on_disk(&bench, &tree, |root, dir| {
            let before = seen::seen(root);
            let daemon = Daemon::start(version, root, dir);
            collect(&daemon);
            assert!(daemon.ctr(&["images", "check"]).contains("incomplete (1/3)"));
            drop(daemon);
            assert_eq!(seen::differences(&before, &seen::seen(root)), [""; 0]);
            let daemon = Daemon::start(version, root, dir);
            assert_eq!(daemon.runs(&images[0].name, &[]), "one\n");
            // What was left out may come later, and stays then.
            import(&bench, &daemon, &images[..2]);
            let said = daemon.ctr(&["images", "check"]);
            assert_eq!(said.matches("complete (3/3)").count(), 2, "{said}");
            assert_eq!(daemon.runs(&images[1].name, &[]), "two\n");
        });
    });
}

#[test]
fn hundreds_of_images_are_usable() {
    each(|version| {
        let bench = Workbench::new();
        let base = images::base(&bench.store);
        let name = |number| format!("registry.test/many:{number}");
        let with = |number: usize| {
            let upper = images::upper(&bench.store, &format!("{number}\n"));
            images::image(&name(number), &[&base, &upper])
        };
        let images: Vec<Image> = (0..300).map(with).collect();
        let tree = state(&images, &options(LayerBlobs::LeftOut), &bench.store).unwrap();
        on_disk(&bench, &tree, |root, dir| {
            let daemon = Daemon::start(version, root, dir);
            assert_eq!(daemon.ctr(&["images", "ls", "--quiet"]).lines().count(), 300);
            assert_eq!(daemon.ctr(&["snapshots", "ls"]).lines().count(), 1 + 301);
            for number in [0, 7, 299] {
                assert_eq!(daemon.runs(&name(number), &[]), format!("{number}\n"));
            }
            let gone: Vec<String> = (1..300).map(name).collect();
            let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
            daemon.ctr(&[&["images", "rm", "--sync"], &gone[..]].concat());
            assert_eq!(daemon.ctr(&["snapshots", "ls"]).lines().count(), 1 + 2);
            assert_eq!(daemon.runs(&name(0), &[]), "0\n");
        });
    });
}

/// What is on a disk with the state of these images.
fn expected(bench: &Workbench, images: &[Image], layers: LayerBlobs) -> BTreeSet<String> {
    let tree = state(images, &options(layers), &bench.store).unwrap();
    let mut found = BTreeSet::new();
    on_disk(bench, &tree, |root, _| found = seen::seen(root));
    found
}

fn import(bench: &Workbench, daemon: &Daemon, images: &[Image]) {
    let archive = bench.path("archive.tar");
    let read = |digest: &_| bench.store.read(digest).unwrap();
    fs::write(&archive, images::archive(images, &read)).unwrap();
    daemon.ctr(&["images", "import", archive.to_str().unwrap()]);
    collect(daemon);
}

/// Has containerd collect its garbage, and waits for it.
fn collect(daemon: &Daemon) {
    daemon.ctr(&["leases", "create", "--id", "done"]);
    daemon.ctr(&["leases", "rm", "--sync", "done"]);
}
