use std::{collections::BTreeMap, io::Read};

use proptest::prelude::*;

use super::*;
use crate::{
    formats::{
        ext4::{FORMAT, Shape, Size, layout},
        image::Piece,
    },
    path::GuestPath,
    tree::{BlobSink, Blobs, Device, Draft, Inode, Kind, MemoryBlobs, Meta, Node, Time, Tree},
};

fn path(text: &str) -> GuestPath {
    GuestPath::new(text).expect("a path")
}

fn sample(blobs: &MemoryBlobs) -> Tree {
    let time = Time { seconds: (1 << 32) + 5, nanos: 7 };
    let meta = |mode| Meta { uid: 70_000, gid: 5, ..Meta::root_owned(mode, time) };
    let mut draft = Draft::with_root(meta(0o755));
    let mut add = |name: &str, meta: Meta, kind| {
        draft.insert(path(name), Node::Inode(Inode { meta, kind }));
    };
    let file = |bytes: &[u8]| Kind::File(blobs.put(&mut &*bytes).expect("memory does not fail"));
    let mut with_xattrs = meta(0o4755);
    with_xattrs.xattrs = BTreeMap::from([
        (b"user.small"[..].into(), b"value"[..].into()),
        (b"user.large"[..].into(), vec![7; 3000].into()),
        (
            b"system.posix_acl_access"[..].into(),
            [&[2, 0, 0, 0][..], &[1, 0, 6, 0, 255, 255, 255, 255], &[2, 0, 6, 0, 9, 0, 0, 0]]
                .concat()
                .into(),
        ),
    ]);
    let mut sparse = vec![0; 300_000];
    sparse[299_000] = 1;
    add("dir", meta(0o700), Kind::Directory);
    add("dir/file", with_xattrs, file(b"some text"));
    add("dir/sparse", meta(0o600), file(&sparse));
    add("dir/null", meta(0o666), Kind::CharDevice(Device { major: 259, minor: 0x1_2345 }));
    add("dir/old", meta(0o666), Kind::BlockDevice(Device { major: 8, minor: 3 }));
    add("short", meta(0o777), Kind::Symlink(b"dir/file"[..].into()));
    add("long", meta(0o777), Kind::Symlink(vec![b'x'; 200].into()));
    for index in 0..400 {
        add(&format!("dir/a rather long name for a file {index}"), meta(0o644), Kind::Fifo);
    }
    draft.insert(path("other"), Node::HardLink(path("dir/file")));
    draft.finish().expect("a tree")
}

fn image(tree: &Tree, blobs: &MemoryBlobs, journal: Option<u64>) -> Vec<u8> {
    let epoch = Time::from_seconds(1);
    let size = Size::Free(0);
    let label = "test".to_owned();
    let shape = Shape { version: FORMAT, size, spare_inodes: 0, label, journal, epoch };
    let layout = layout(tree, &shape).expect("it can be laid out");
    let mut image = vec![0; layout.size() as usize];
    for placed in layout.pieces() {
        let bytes = match placed.piece {
            Piece::Bytes(bytes) => bytes,
            Piece::Blob { digest, offset, length } => {
                let all = blobs.read(&digest).expect("the blob is there");
                all[offset as usize..(offset + length) as usize].to_vec()
            }
        };
        image[placed.at as usize..][..bytes.len()].copy_from_slice(&bytes);
    }
    image
}

#[test]
fn what_we_write_is_read_back() {
    let blobs = MemoryBlobs::default();
    let tree = sample(&blobs);
    for journal in [None, Some(4 << 20)] {
        let image = image(&tree, &blobs, journal);
        let source = image.as_slice();
        let system = FileSystem::open(&source).expect("a file system");
        let found = system.tree(&MemoryBlobs::default()).expect("a tree");
        assert_eq!(crate::tree::diff(&tree, &found.tree), []);
        assert_eq!(found.tree.digest(), tree.digest());
        assert_eq!(found.inodes[&path("other")], found.inodes[&path("dir/file")]);
        let mut text = String::new();
        let mut reader = system.open_file(found.inodes[&path("other")]).expect("a file");
        reader.read_to_string(&mut text).expect("it can be read");
        assert_eq!(text, "some text");
    }
}

#[test]
fn every_byte_that_is_not_zero_belongs_to_something() {
    let blobs = MemoryBlobs::default();
    let tree = sample(&blobs);
    let image = image(&tree, &blobs, Some(4 << 20));
    let source = image.as_slice();
    let system = FileSystem::open(&source).expect("a file system");
    let map = system.map();
    assert_eq!(map.gaps, Vec::<String>::new());
    let mut at = 0;
    while at < image.len() as u64 {
        let place = map.at(at);
        assert!(place.end > at, "{place:?}");
        if place.owner == Owner::Unused {
            let bytes = &image[at as usize..place.end.min(image.len() as u64) as usize];
            assert!(bytes.iter().all(|byte| *byte == 0), "{place:?}");
        }
        at = place.end;
    }
    assert_eq!(map.at(1024 + 0x78).field.map(|field| field.name), Some("volume label"));
    assert_eq!(system.counted(Owner::BlockBitmap(0), 1, 2), Some(10));
    assert_eq!(system.counted(Owner::InodeBitmap(0), 1, 2), Some(11));
    assert_eq!(system.counted(Owner::Journal, 1, 2), None);
}

/// Writes numbers of 32 bits into an image, each at its place.
fn with(image: &[u8], words: &[(usize, u32)]) -> Vec<u8> {
    let mut image = image.to_vec();
    words.iter().for_each(|(at, word)| image[*at..at + 4].copy_from_slice(&word.to_le_bytes()));
    image
}

#[test]
fn groups_that_are_smaller_than_their_own_descriptors_are_refused() {
    const SUPERBLOCK: usize = 1024;
    let blobs = MemoryBlobs::default();
    let image = image(&sample(&blobs), &blobs, None);
    // One block and one inode in each group.
    let bad = with(&image, &[(SUPERBLOCK, 2), (SUPERBLOCK + 0x20, 1), (SUPERBLOCK + 0x28, 1)]);
    let refused = FileSystem::open(&bad.as_slice()).err().map(|error| error.to_string());
    let told = "the superblock is damaged: group descriptors are larger than a group";
    assert_eq!(refused.as_deref(), Some(told));
}

#[test]
fn bitmaps_that_are_as_far_away_as_can_be_are_outside_of_the_disk() {
    let blobs = MemoryBlobs::default();
    let image = image(&sample(&blobs), &blobs, None);
    let source = image.as_slice();
    let system = FileSystem::open(&source).expect("a file system");
    let (superblock, first) = (&system.superblock, system.descriptor_block(0));
    assert_eq!(
        (superblock.incompat & superblock::BITS_64 != 0, superblock.descriptor_size),
        (true, 64)
    );
    let at = (first * superblock.block_size) as usize;
    for low in [0, 4] {
        let bad = with(&image, &[(at + low, u32::MAX), (at + 0x20 + low, u32::MAX)]);
        let source = bad.as_slice();
        let system = FileSystem::open(&source).expect("a file system");
        let refused = system.group(0).expect_err("there is nothing").to_string();
        assert!(refused.contains("leads out of the disk"), "{refused}");
    }
}

#[test]
fn files_that_all_claim_the_same_blocks_are_mapped_only_so_often() {
    let blobs = MemoryBlobs::default();
    let image = image(&sample(&blobs), &blobs, None);
    let source = image.as_slice();
    let system = FileSystem::open(&source).expect("a file system");
    let (blocks, table) = (system.superblock.blocks, system.group(0).expect("a group").inode_table);
    assert!(blocks < 32768, "one extent is enough");
    let inode = |number: u64| {
        let at = table * system.superblock.block_size + (number - 1) * system.superblock.inode_size;
        let at = at as usize;
        let extent = [(at + 0x28, 0x1_f30a), (at + 0x2c, 4), (at + 0x30, 0)];
        let place = [(at + 0x34, 0), (at + 0x38, blocks as u32 - 1), (at + 0x3c, 1)];
        [&[(at, 0x81a4), (at + 0x18, 1 << 16), (at + 0x20, 0x8_0000)][..], &extent, &place].concat()
    };
    let gaps = |count: u64| {
        let bad = with(&image, &(20..20 + count).flat_map(inode).collect::<Vec<_>>());
        FileSystem::open(&bad.as_slice()).expect("a file system").map().gaps
    };
    assert_eq!(gaps(10), Vec::<String>::new());
    let found = gaps(40);
    assert!(
        found.iter().all(|gap| gap.contains("its blocks are those of many others, too")),
        "{found:?}"
    );
    assert!((20..30).contains(&found.len()), "{found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_damage_makes_it_panic(spots in prop::collection::vec((any::<prop::sample::Index>(), any::<[u8; 4]>()), 1..8)) {
        let blobs = MemoryBlobs::default();
        let mut draft = Draft::with_root(Meta::root_owned(0o755, Time::default()));
        let content = blobs.put(&mut &b"text"[..]).expect("memory does not fail");
        for name in ["a", "b"] {
            let meta = Meta::root_owned(0o644, Time::default());
            draft.insert(path(name), Node::Inode(Inode { meta, kind: Kind::File(content.clone()) }));
        }
        let mut image = image(&draft.finish().expect("a tree"), &blobs, None);
        // Where metadata is: at the front.
        let front = image.len().min(64 << 10) - 4;
        for (spot, with) in spots {
            let at = spot.index(front);
            image[at..at + 4].copy_from_slice(&with);
        }
        let source = image.as_slice();
        if let Ok(system) = FileSystem::open(&source) {
            let _ = system.tree(&MemoryBlobs::default());
            let map = system.map();
            let place = map.at(5000);
            prop_assert!(place.end > 5000);
        }
    }
}
