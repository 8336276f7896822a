//! Trees that nobody would think of.

use proptest::prelude::*;
use vsbuild::{
    formats::ext4::{Shape, Size},
    tree::{Device, Kind, Tree},
};

use crate::{
    MIB,
    grow::{Grower, meta},
    workbench::{Workbench, shape},
};

#[derive(Debug, Clone)]
struct Thing {
    /// In which of the directories that there are.
    place: prop::sample::Index,
    name: Vec<u8>,
    what: What,
    mode: u16,
    owner: u32,
    seconds: i64,
    xattrs: Vec<(u8, Vec<u8>)>,
}

#[derive(Debug, Clone)]
enum What {
    Directory,
    File(Vec<(bool, usize)>),
    Link(prop::sample::Index),
    Symlink(usize),
    Device(u32, u32),
    Fifo,
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        3 => Just(What::Directory),
        4 => prop::collection::vec((any::<bool>(), 0..200_000_usize), 0..5).prop_map(What::File),
        2 => any::<prop::sample::Index>().prop_map(What::Link),
        1 => (1..4096_usize).prop_map(What::Symlink),
        1 => (0..4096_u32, 0..1_u32 << 20).prop_map(|(major, minor)| What::Device(major, minor)),
        1 => Just(What::Fifo),
    ]
}

fn thing() -> impl Strategy<Value = Thing> {
    let name = prop::collection::vec(
        any::<u8>().prop_filter("a name", |byte| ![0, b'/'].contains(byte)),
        1..256,
    )
    .prop_filter("a name", |name| ![&b"."[..], b".."].contains(&&**name));
    let xattrs = prop::collection::vec((0..3_u8, prop::collection::vec(any::<u8>(), 0..900)), 0..3);
    let seconds = -(1_i64 << 31)..(3 << 32) - (1 << 31);
    (any::<prop::sample::Index>(), name, what(), 0..0o10000_u16, any::<u32>(), seconds, xattrs)
        .prop_map(|(place, name, what, mode, owner, seconds, xattrs)| Thing {
            place,
            name,
            what,
            mode,
            owner,
            seconds,
            xattrs,
        })
}

fn grow(bench: &Workbench, things: &[Thing]) -> Tree {
    let mut grower = Grower::new(&bench.store);
    let (mut directories, mut files) = (vec![Vec::new()], Vec::new());
    for thing in things {
        let above = thing.place.get(&directories);
        let at = if above.is_empty() {
            thing.name.clone()
        } else {
            [above, &thing.name[..]].join(&b'/')
        };
        if at.len() > 2000 || grower.draft.get(&crate::grow::path(&at)).is_some() {
            continue;
        }
        let kind = match &thing.what {
            What::Link(owner) if !files.is_empty() => {
                let owner: &Vec<u8> = owner.get(&files);
                grower.link(&at, owner);
                continue;
            }
            What::Directory => Kind::Directory,
            What::File(runs) => {
                let bytes: Vec<u8> =
                    runs.iter().flat_map(|(data, length)| vec![u8::from(*data); *length]).collect();
                Kind::File(grower.content(&bytes))
            }
            What::Symlink(length) => Kind::Symlink(vec![b's'; *length].into()),
            What::Device(major, minor) => Kind::CharDevice(Device { major: *major, minor: *minor }),
            What::Fifo | What::Link(_) => Kind::Fifo,
        };
        match kind {
            Kind::Directory => directories.push(at.clone()),
            _ => files.push(at.clone()),
        }
        grower.add(&at, meta(thing.mode), kind);
        grower.change(&at, |meta| {
            (meta.uid, meta.gid) = (thing.owner.min(u32::MAX - 1), !thing.owner.max(1))
        });
        grower.time(&at, thing.seconds, 5);
        for (name, value) in &thing.xattrs {
            grower.xattr(&at, &format!("trusted.{name}"), value);
        }
    }
    grower.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_arrives(things in prop::collection::vec(thing(), 0..120), free in 0..3 * MIB, spare_inodes in 0..5000_u64) {
        let bench = Workbench::new();
        let tree = grow(&bench, &things);
        bench.judge(&tree, &Shape { spare_inodes, ..shape(Size::Free(free)) });
    }
}
