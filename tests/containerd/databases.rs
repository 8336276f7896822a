//! Databases as Go's bbolt sees them.

use std::fs;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tempfile::TempDir;
use vsbuild::formats::bolt::{Bucket, Database, Item, KEY_MAX, write};

use crate::oracle;

/// Writes each database, has bbolt check it and read it back, and then use it for twenty transactions.
#[track_caller]
fn judge(name: &str, database: &Database) {
    let Some(program) = oracle::oracle() else {
        return eprintln!(
            "SKIPPED: comparing with bbolt takes golang-go and golang-github-coreos-bbolt-dev"
        );
    };
    let dir = TempDir::with_prefix("vsbuild-bolt-").unwrap();
    let file = dir.path().join("db");
    fs::write(&file, write(database).unwrap()).unwrap();
    let checked = oracle::run(program, "check", &file, None);
    let faults = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{name}: {faults}");
    assert!(
        String::from_utf8(checked.stdout).unwrap() == oracle::pairs(database),
        "{name}: other pairs"
    );
    let used = oracle::run(program, "transact", &file, Some(20));
    assert!(used.status.success(), "{name}: {}", String::from_utf8_lossy(&used.stderr));
}

fn one(bucket: Bucket) -> Database {
    Database { buckets: [(b"bucket"[..].into(), bucket)].into() }
}

/// So many values, with keys and values of these lengths.
fn values(count: u32, key: usize, value: usize) -> Bucket {
    let mut bucket = Bucket::default();
    for number in 0..count {
        let name = format!("{number:0>key$}");
        bucket.put(name, vec![number as u8; value]);
    }
    bucket
}

#[test]
fn small_databases_are_sound() {
    judge("nothing", &Database::default());
    judge("an empty bucket", &one(Bucket::default()));
    judge("an empty value", &one(values(1, 1, 0)));
    judge("one page, not inline", &one(values(20, 10, 100)));
    let mut several = Database::default();
    for name in ["a", "b", "c"] {
        *several.bucket(name) = values(3, 2, 3);
    }
    judge("several buckets", &several);
}

#[test]
fn pages_around_every_limit_are_sound() {
    // One byte to each side of the largest inline bucket, and of a full page.
    for value in 990..=993 {
        judge(&format!("a value of {value} bytes"), &one(values(1, 1, value)));
    }
    for value in 4062..=4066 {
        judge(&format!("a value of {value} bytes"), &one(values(3, 1, value)));
    }
}

#[test]
fn large_databases_are_sound() {
    judge("many small values", &one(values(100_000, 6, 4)));
    judge("values beyond a page", &one(values(300, 4, 10_000)));
    judge("a value of 40 MB", &one(values(1, 1, 40_000_000)));
    // Keys this long leave room for thirteen in a branch, or for none, so that branches stand on branches.
    judge("long keys", &one(values(3000, 300, 8)));
    judge("the longest keys", &one(values(40, KEY_MAX, 8)));
}

#[test]
fn deep_databases_are_sound() {
    let mut bucket = values(3, 2, 2);
    for level in 0..100 {
        let mut outer = values(level % 7, 3, 30);
        outer.sequence = level.into();
        outer.items.insert(b"inner"[..].into(), Item::Bucket(bucket));
        bucket = outer;
    }
    judge("a hundred buckets in each other", &one(bucket));
    let mut wide = Bucket::default();
    for number in 0..2000u32 {
        let inner = wide.bucket(format!("{number:08}"));
        inner.sequence = number.into();
        *inner.bucket("flat") = values(number % 30, 4, 20);
        *inner.bucket("tall") = values(number % 3, 4, 3000);
    }
    judge("thousands of buckets", &one(wide));
}

#[test]
fn random_databases_are_sound() {
    let mut runner = TestRunner::new(Config::with_cases(40));
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    let value = prop_oneof![6 => bytes(100), 2 => bytes(2000), 1 => bytes(12_000)];
    let item = value.prop_map(|value| Item::Value(value.into()));
    let item = item.prop_recursive(4, 300, 60, |inner| {
        let key = prop::collection::vec(any::<u8>(), 1..50).prop_map(Vec::into_boxed_slice);
        (prop::collection::btree_map(key, inner, 0..60), any::<u32>())
            .prop_map(|(items, sequence)| Item::Bucket(Bucket { sequence: sequence.into(), items }))
    });
    let outcome = runner.run(&prop::collection::vec(item, 1..8), |items| {
        let mut bucket = Bucket::default();
        for (number, item) in items.into_iter().enumerate() {
            bucket.items.insert(number.to_string().into_bytes().into(), item);
        }
        judge("at random", &one(bucket));
        Ok(())
    });
    outcome.unwrap();
}
