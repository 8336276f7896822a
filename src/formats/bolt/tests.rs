use proptest::prelude::*;

use super::*;
use crate::digest::Digest;

fn one(bucket: Bucket) -> Database {
    Database { buckets: [(b"b"[..].into(), bucket)].into() }
}

fn deep(levels: usize) -> Database {
    let mut bucket = Bucket::default();
    for _ in 1..levels {
        bucket = Bucket { sequence: 0, items: [(b"b"[..].into(), Item::Bucket(bucket))].into() };
    }
    one(bucket)
}

/// Something of every kind: values within and beyond a page, buckets inline and not, branches above branches.
fn varied() -> Database {
    let mut database = Database::default();
    let bucket = database.bucket("many");
    bucket.sequence = 7;
    for number in 0..3000u32 {
        let key = format!("{number:0>300}");
        match number % 5 {
            0 => bucket.bucket(&key).put("inline", number.to_le_bytes()),
            1 => bucket.bucket(&key).bucket("b").put("deeper", key.as_bytes()),
            2 if number % 100 == 2 => bucket.put(&key, vec![1; 50_000]),
            _ => bucket.put(&key, number.to_le_bytes()),
        }
    }
    database.bucket("none");
    database
}

#[test]
fn what_was_written_is_read_back() {
    for database in [Database::default(), one(Bucket::default()), deep(DEPTH_MAX), varied()] {
        let bytes = write(&database).unwrap();
        assert_eq!(read(&bytes).unwrap(), database);
        assert_eq!(write(&database).unwrap(), bytes, "the same once more");
    }
}

#[test]
fn the_bytes_are_fixed() {
    let digest = Digest::of(write(&varied()).unwrap()).to_string();
    assert_eq!(
        digest, "1c21bfb6c6fff931e1df38350bf1d9b689880e5f01ce542715cb703c8303eda8",
        "format {FORMAT}"
    );
}

#[test]
fn what_bolt_cannot_hold_is_refused() {
    let with = |key: &[u8]| {
        let mut bucket = Bucket::default();
        bucket.put(key, "");
        write(&one(bucket))
    };
    assert!(matches!(with(b""), Err(Error::Key { length: 0, .. })));
    assert!(with(&[1; KEY_MAX]).is_ok());
    let error = with(&[1; KEY_MAX + 1]).unwrap_err();
    assert!(error.to_string().contains(r"`\x01\x01"), "{error}");
    assert!(matches!(write(&deep(DEPTH_MAX + 1)), Err(Error::Depth { .. })));
}

#[test]
fn a_bucket_is_inline_up_to_a_quarter_of_a_page() {
    let with = |length| {
        let mut bucket = Bucket::default();
        bucket.put("k", vec![0; length]);
        write(&one(bucket)).unwrap().len() / 4096
    };
    let fits = 1024 - 16 - 16 - 1;
    assert_eq!((with(fits), with(fits + 1)), (4, 5));
}

#[test]
fn a_page_that_leads_to_itself_is_refused() {
    let mut bytes =
        write(&one(Bucket { items: varied().buckets[&b"many"[..]].items.clone(), sequence: 0 }))
            .unwrap();
    let root = bytes.len() / 4096 - 2;
    let leaf = root * 4096;
    // The root leaf has a single entry, the bucket, whose value follows its key.
    bytes[leaf + 33..leaf + 41].copy_from_slice(&(root as u64).to_le_bytes());
    let page = root as u64;
    assert_eq!(read(&bytes), Err(BadDatabase::Page { page, what: "reached twice" }));
}

fn bucket() -> impl Strategy<Value = Bucket> {
    let key = || prop::collection::vec(any::<u8>(), 1..40);
    let value = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..200),
        1 => prop::collection::vec(any::<u8>(), 0..9000),
    ];
    let flat = prop::collection::btree_map(
        key(),
        value.prop_map(|value| Item::Value(value.into())),
        0..60,
    );
    let nest = move |inner: BoxedStrategy<Item>| {
        let items = prop::collection::btree_map(key(), inner, 0..20);
        (items, any::<u64>()).prop_map(|(items, sequence)| {
            let items = items.into_iter().map(|(key, item)| (key.into(), item)).collect();
            Item::Bucket(Bucket { sequence, items })
        })
    };
    let leaf = flat.prop_map(|items| {
        let items = items.into_iter().map(|(key, item)| (key.into(), item)).collect();
        Item::Bucket(Bucket { sequence: 0, items })
    });
    leaf.prop_recursive(4, 200, 20, move |inner| nest(inner).boxed()).prop_map(|item| match item {
        Item::Bucket(bucket) => bucket,
        Item::Value(_) => Bucket::default(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_database_is_read_back(bucket in bucket()) {
        let database = one(bucket);
        prop_assert_eq!(read(&write(&database).unwrap()).unwrap(), database);
    }

    #[test]
    fn damage_never_panics(bucket in bucket(), hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = write(&one(bucket)).unwrap();
        // The meta pages are summed; everything after them is not.
        for (at, byte) in hits {
            let at = 8192 + at.index(bytes.len() - 8192);
            bytes[at] = byte;
        }
        let _ = read(&bytes);
    }
}
