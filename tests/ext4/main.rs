//! File systems as e2fsck and the kernel see them. Where images cannot be mounted, that part says so and is left out.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![allow(clippy::print_stderr, reason = "a test that leaves something out says so")]
#![allow(unreachable_pub, reason = "the modules are of this test alone")]

mod errors;
mod grow;
mod partitions;
mod random;
mod workbench;

use std::{fs, io::Write};

use grow::{Grower, meta};
use vsbuild::{
    digest::Digest,
    formats::{
        disk::{Table, place},
        ext4::{Shape, Size, layout},
    },
    tree::{Kind, MemoryBlobs, Tree},
};
use workbench::{Mounted, Workbench, is_clean, shape};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn journalled(size: Size) -> Shape {
    Shape { journal: Some(64 * MIB), ..shape(size) }
}

/// Small, but with something of everything.
fn small(bench: &Workbench) -> Tree {
    let mut grower = Grower::new(&bench.store);
    grower.odd_things();
    grower.attributes();
    grower.many("many", 300);
    grower.sparse("sparse", 4 * MIB, [0, MIB].into_iter());
    grower.finish()
}

#[test]
fn an_empty_tree_is_a_clean_file_system() {
    let bench = Workbench::new();
    let tree = Grower::new(&bench.store).finish();
    for size in [Size::Free(0), Size::Free(MIB), Size::Exact(20 * MIB)] {
        bench.judge(&tree, &shape(size));
    }
    bench.judge(&tree, &Shape { spare_inodes: 0, ..shape(Size::Free(0)) });
}

#[test]
fn everything_arrives_in_every_size() {
    let bench = Workbench::new();
    let tree = small(&bench);
    let sizes = [20 * MIB, 128 * MIB + 4096, 129 * MIB, GIB + 777, 8 * GIB];
    for size in sizes.map(Size::Exact) {
        bench.judge(&tree, &shape(size));
    }
    for size in [100 * MIB, 8 * GIB].map(Size::Exact) {
        bench.judge(&tree, &journalled(size));
    }
}

#[test]
fn the_tree_of_the_measurements_arrives() {
    let bench = Workbench::new();
    let mut grower = Grower::new(&bench.store);
    grower.everything();
    bench.judge(&grower.finish(), &journalled(Size::Free(0)));
}

#[test]
fn at_least_what_was_asked_for_is_free() {
    let bench = Workbench::new();
    let tree = small(&bench);
    for free in [0, 64 * MIB, 300 * MIB] {
        for shape in [shape(Size::Free(free)), journalled(Size::Free(free))] {
            let image = bench.image("image", &tree, &shape);
            is_clean(&image);
            if let Some(mounted) = Mounted::at(&image, &bench.path("mount"), "ro") {
                let system = rustix::fs::statvfs(&mounted.dir).unwrap();
                let found = system.f_bavail * system.f_frsize;
                assert!((free..free + MIB).contains(&found), "{found} bytes free of {free}");
                assert!(system.f_ffree >= 1000, "{} inodes free", system.f_ffree);
            }
            fs::remove_file(image).unwrap();
        }
    }
}

#[test]
fn inode_tables_that_cross_copies_of_the_superblock_leave_enough_free() {
    let bench = Workbench::new();
    let tree = small(&bench);
    for spare_inodes in [500_000, 1_999_999] {
        let shape = Shape { spare_inodes, ..shape(Size::Free(10 * MIB)) };
        let image = bench.image("image", &tree, &shape);
        is_clean(&image);
        if let Some(mounted) = Mounted::at(&image, &bench.path("mount"), "ro") {
            let system = rustix::fs::statvfs(&mounted.dir).unwrap();
            assert!(system.f_bavail * system.f_frsize >= 10 * MIB);
            assert!(system.f_ffree >= spare_inodes);
        }
        fs::remove_file(image).unwrap();
    }
}

#[test]
fn a_file_of_many_holes_has_a_tree_of_two_levels() {
    let bench = Workbench::new();
    let mut grower = Grower::new(&bench.store);
    let step = 17 * 4096;
    for pieces in [4, 5, 340, 341, 1500] {
        let data = (0..pieces).map(|index| index * step);
        grower.sparse(&format!("holes-{pieces}"), pieces * step, data);
    }
    bench.judge(&grower.finish(), &shape(Size::Free(0)));
}

#[test]
fn a_large_file_goes_around_the_copies_of_the_superblock() {
    let bench = Workbench::new();
    let mut grower = Grower::new(&bench.store);
    let bytes: Vec<u8> =
        (0..300 * MIB as usize / 4).flat_map(|word| (word as u32).to_le_bytes()).collect();
    grower.file("large", &bytes);
    grower.file("small", b"behind it");
    let tree = grower.finish();
    bench.judge(&tree, &shape(Size::Free(0)));
    bench.judge(&tree, &journalled(Size::Exact(GIB)));
}

#[test]
fn inodes_with_the_same_attributes_share_a_block() {
    let bench = Workbench::new();
    for count in [2, 1024, 1025] {
        let mut grower = Grower::new(&bench.store);
        for index in 0..count {
            let name = format!("file-{index:04}");
            grower.file(&name, b"");
            grower.xattr(&name, "user.shared", &[3; 500]);
        }
        let tree = grower.finish();
        bench.judge(&tree, &shape(Size::Free(0)));
    }
}

#[test]
fn directories_have_as_many_names_as_they_like() {
    let bench = Workbench::new();
    // 507 leaves fit into one level of the hash tree; names of 255 bytes fill a leaf by 15.
    for count in [14, 15, 16, 507 * 15, 508 * 15] {
        let mut grower = Grower::new(&bench.store);
        for index in 0..count {
            grower.file(format!("d/{index:0255}"), b"");
        }
        bench.judge(&grower.finish(), &shape(Size::Free(0)));
    }
}

#[test]
fn a_directory_can_hold_more_directories_than_it_can_count() {
    let bench = Workbench::new();
    for count in [64_998, 64_999, 70_000] {
        let mut grower = Grower::new(&bench.store);
        for index in 0..count {
            grower.directory(format!("all/{index}"));
        }
        bench.judge(&grower.finish(), &shape(Size::Free(0)));
    }
}

#[test]
fn a_file_system_that_is_filled_stays_clean() {
    let bench = Workbench::new();
    let tree = small(&bench);
    for shape in [shape(Size::Free(20 * MIB)), journalled(Size::Exact(200 * MIB))] {
        let image = bench.image("image", &tree, &shape);
        if let Some(mounted) = Mounted::at(&image, &bench.path("mount"), "rw") {
            fs::write(mounted.dir.join("many/one-more"), "a name in a hash tree").unwrap();
            let mut full = fs::File::create(mounted.dir.join("full")).unwrap();
            let stretch = vec![1; MIB as usize];
            let error = loop {
                if let Err(error) = full.write_all(&stretch).and_then(|()| full.sync_data()) {
                    break error;
                }
            };
            assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
            fs::remove_file(mounted.dir.join("odd/owner")).unwrap();
            fs::remove_file(mounted.dir.join("attributes/six")).unwrap();
            fs::remove_file(mounted.dir.join("sparse")).unwrap();
        }
        is_clean(&image);
        fs::remove_file(image).unwrap();
    }
}

#[test]
fn two_layouts_are_the_same_bytes() {
    let bench = Workbench::new();
    let tree = small(&bench);
    let [one, other] =
        ["one", "other"].map(|name| bench.image(name, &tree, &journalled(Size::Free(MIB))));
    assert!(fs::read(one).unwrap() == fs::read(other).unwrap());
}

#[test]
fn the_name_of_a_file_system_follows_from_what_it_is() {
    let blobs = MemoryBlobs::default();
    let uuid = |mode, shape: &Shape| {
        let mut grower = Grower::new(&blobs);
        grower.add("file", meta(mode), Kind::Fifo);
        layout(&grower.finish(), shape).unwrap().uuid()
    };
    let plain = shape(Size::Free(0));
    let first = uuid(0o644, &plain);
    assert_eq!((first[6] >> 4, first[8] >> 6), (8, 2), "RFC 9562, version 8");
    assert_eq!(first, uuid(0o644, &plain));
    assert_ne!(first, uuid(0o600, &plain));
    assert_ne!(first, uuid(0o644, &Shape { label: "other".into(), ..plain.clone() }));
    assert_ne!(first, uuid(0o644, &journalled(Size::Free(0))));
}

/// Whoever changes these must raise the version of the writer and keep what is here for the old one.
#[test]
fn the_bytes_of_version_1_stay_as_they_are() {
    let bench = Workbench::new();
    let tree = small(&bench);
    let golden = [
        (
            shape(Size::Free(0)),
            Table::None,
            "0a0e563172bfaf03bf5a3a963a9b2ce0732f2356e98e0efe46aa10a80a26f009",
        ),
        (
            journalled(Size::Exact(200 * MIB)),
            Table::Mbr { partition: 1 },
            "c57f7226aca9688e4859a0d4142e1d20bb7c361888181be1372d49050b5b2480",
        ),
        (
            shape(Size::Free(0)),
            Table::Gpt { partition: 1 },
            "0b10936f348665f2816dd88f64e726ff7fe04f69df181707965b37a8c34ea793",
        ),
    ];
    let found = golden.each_ref().map(|(shape, table, _)| {
        let layout = layout(&tree, shape).unwrap();
        let (image, digest) = bench.write("image", &place(&layout, *table).unwrap());
        assert_eq!(workbench::sha256(&image), digest, "the digest is that of the file");
        fs::remove_file(image).unwrap();
        digest
    });
    assert_eq!(found.map(|digest: Digest| digest.hex()), golden.map(|(_, _, hex)| hex.to_owned()));
}
