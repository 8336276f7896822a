//! What cannot be a file system, and how that is said.

use vsbuild::{
    formats::ext4::{BadXattr, Error, Shape, Size, layout},
    tree::{Content, Hole, Kind, MemoryBlobs, Time, Tree},
};

use crate::{
    MIB,
    grow::{Grower, meta, path},
    workbench::shape,
};

fn tree(grow: impl FnOnce(&mut Grower<'_>)) -> Tree {
    let blobs = MemoryBlobs::default();
    let mut grower = Grower::new(&blobs);
    grow(&mut grower);
    grower.finish()
}

fn refused(tree: &Tree, shape: &Shape) -> Error {
    layout(tree, shape).map(|layout| layout.size()).unwrap_err()
}

#[test]
fn a_shape_that_cannot_be_is_refused() {
    let empty = tree(|_| ());
    let free = shape(Size::Free(0));
    for asked in [0, 2] {
        let error = refused(&empty, &Shape { version: asked, ..free.clone() });
        assert_eq!(error, Error::Version { asked, newest: 1 });
    }
    let label = "seventeen letters";
    let error = refused(&empty, &Shape { label: label.into(), ..free.clone() });
    assert_eq!(error, Error::Label { label: label.into() });
    let error = refused(&empty, &Shape { journal: Some(MIB), ..free.clone() });
    assert_eq!(error, Error::JournalTooSmall { bytes: MIB });
    let error = refused(&empty, &Shape { epoch: Time::from_seconds(1 << 40), ..free.clone() });
    assert!(matches!(error, Error::Epoch), "{error}");
    for size in [Size::Free(u64::MAX), Size::Exact(u64::MAX)] {
        assert_eq!(refused(&empty, &shape(size)), Error::TooLarge);
    }
    for spare_inodes in [1 << 32, u64::MAX] {
        assert_eq!(refused(&empty, &Shape { spare_inodes, ..free.clone() }), Error::TooLarge);
    }
    let error = refused(&empty, &Shape { spare_inodes: 40_000, ..shape(Size::Exact(20 * MIB)) });
    assert!(matches!(error, Error::Full { needed, .. } if needed > 128 * MIB), "{error}");
}

#[test]
fn a_disk_that_is_too_small_says_what_it_lacks() {
    let large = tree(|grower| {
        let content = Content { size: 100 * MIB, ..Content::of(b"") };
        grower.add("file", meta(0o644), Kind::File(content));
    });
    for size in [0, 4096, 20 * MIB, 100 * MIB] {
        let error = refused(&large, &shape(Size::Exact(size)));
        let Error::Full { needed, have } = error else { panic!("{error}") };
        assert_eq!(have, size);
        assert!((100 * MIB..102 * MIB).contains(&needed), "{needed}");
        assert!(layout(&large, &shape(Size::Exact(needed))).is_ok(), "what is needed is enough");
    }
    let message = refused(&large, &shape(Size::Exact(20 * MIB))).to_string();
    assert!(
        message.starts_with("the content needs a file system of 101 MiB, and this one has 20 MiB"),
        "{message}"
    );
}

#[test]
fn a_file_that_ext4_cannot_hold_is_named() {
    let free = shape(Size::Free(0));
    for seconds in [-(1 << 31) - 1, (3 << 32) - (1 << 31)] {
        let error = refused(
            &tree(|grower| {
                grower.file("a/file", b"");
                grower.time("a/file", seconds, 0);
            }),
            &free,
        );
        assert_eq!(error, Error::Time { path: path("a/file") });
    }
    let error = refused(
        &tree(|grower| {
            let size = 1 << 44;
            let content = Content {
                size,
                holes: [Hole { start: 0, length: size }].into(),
                ..Content::of(b"")
            };
            grower.add("a/file", meta(0o644), Kind::File(content));
        }),
        &free,
    );
    assert_eq!(error, Error::FileTooLarge { path: path("a/file") });
    let error = refused(
        &tree(|grower| {
            grower.file("a/file", b"");
            grower.xattr("a/file", "user.large", &[0; 5000]);
        }),
        &free,
    );
    let source = BadXattr::TooLarge { size: 5024 };
    assert_eq!(error, Error::Xattr { path: path("a/file"), source });
    let error = refused(
        &tree(|grower| {
            grower.file("a/file", b"");
            grower.xattr("a/file", "strange.name", b"");
        }),
        &free,
    );
    let source = BadXattr::Name { name: b"strange.name".into() };
    assert_eq!(error, Error::Xattr { path: path("a/file"), source });
    let error = refused(&tree(|grower| grower.directory("lost+found")), &free);
    assert_eq!(error, Error::LostAndFound);
}

#[test]
fn a_file_with_65000_names_is_the_most() {
    let links = |count: usize| {
        tree(|grower| {
            grower.file("0", b"");
            for index in 1..count {
                grower.link(index.to_string(), "0");
            }
        })
    };
    let free = shape(Size::Free(0));
    assert!(layout(&links(65_000), &free).is_ok());
    assert!(matches!(refused(&links(65_001), &free), Error::TooManyLinks { .. }));
}
