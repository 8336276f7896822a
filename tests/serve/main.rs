//! `vsbuild cache serve` as a process: who may do what, what is kept, and how it bears many clients and bad ones.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod access;
mod client;
mod crowd;
#[path = "../common/noise.rs"]
mod noise;
mod operation;
mod reads;
mod server;
mod uploads;

use std::{fs, path::Path};

use noise::noise;
use vsbuild::{
    cache::{Cache, Item, Parcel},
    digest::Digest,
    remote::Directory,
    store::Store,
    tree::Time,
    trust::{self, Act, Claim, SecretKey, Statement},
};

/// Says on the test's output that it checked nothing.
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// The path of something of a cache in an URL.
fn path(item: &Item) -> String {
    format!("/{}", item.name())
}

fn input(bytes: &[u8]) -> String {
    path(&Item::Input(Digest::of(bytes)))
}

/// A key, the same every time.
fn key(name: &str) -> SecretKey {
    SecretKey::from_seed(name, Digest::of(name).as_bytes()).unwrap()
}

/// What a key says of a step: that `output` is what it came to. With the path that it belongs to.
fn statement(key: &SecretKey, step: &str, output: &str) -> (String, Vec<u8>) {
    let plan_key = Digest::of(format!("plan {step}"));
    let claim = Claim { key: Digest::of(step), output: Digest::of(output), name: step.to_owned() };
    let statement = Statement { plan_key, act: Act::Built, claims: vec![claim] };
    let item = Item::Statement { plan_key, by: key.public().id() };
    (path(&item), trust::sign(&statement, key))
}

/// A tree of the store with `count` files of `length` bytes, some of them the same for every seed.
fn tree(store: &Store, seed: u64, count: u64, length: usize) -> Digest {
    let dir = tempfile::tempdir().unwrap();
    for at in 0..count {
        let seed = if at % 2 == 0 { at } else { seed << 32 | at };
        fs::write(dir.path().join(at.to_string()), noise(seed, length)).unwrap();
    }
    let tree = store.import(dir.path(), Time::from_seconds(1)).unwrap();
    store.put_tree(&tree).unwrap()
}

/// A cache in a directory with these trees of a store.
fn fill(dir: &Path, store: &Store, trees: &[Digest]) {
    let parcel = Parcel { trees: trees.iter().copied().collect(), ..Parcel::default() };
    let cache = Cache::new(Box::new(Directory::new(dir)));
    cache.push(&parcel, store, &|_, _| ()).unwrap();
}
