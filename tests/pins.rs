//! What a collection spares: pins, what is young, and what there is room for.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod common;

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, SystemTime},
};

use common::lab::Lab;
use tempfile::TempDir;
use vsbuild::{
    digest::Digest,
    path::GuestPath,
    store::{Kind, Realisation, Root, Spare, Store},
    tree::{BlobSink, Draft, Inode, Kind as NodeKind, Meta, Node, Time},
};

/// A tree with files of these texts, and the record that `key` came to it.
fn made(store: &Store, key: &str, texts: &[&str], inputs: &[Digest]) -> Digest {
    let meta = Meta::root_owned(0o644, Time::from_seconds(5));
    let mut draft = Draft::with_root(Meta::root_owned(0o755, Time::from_seconds(5)));
    for text in texts {
        let kind = NodeKind::File(store.put(&mut text.as_bytes()).unwrap());
        draft.insert(
            GuestPath::new(*text).unwrap(),
            Node::Inode(Inode { meta: meta.clone(), kind }),
        );
    }
    let output = store.put_tree(&draft.finish().unwrap()).unwrap();
    let vouched = vec![store.put_statement(format!("somebody says {key}").as_bytes()).unwrap()];
    let made = Realisation { name: key.into(), output, inputs: inputs.into(), vouched };
    store.record(&Digest::of(key), &made).unwrap();
    output
}

/// A moment between what was and what will be, for a file system whose clock ticks slowly.
fn moment() -> SystemTime {
    thread::sleep(Duration::from_millis(60));
    let now = SystemTime::now();
    thread::sleep(Duration::from_millis(60));
    now
}

fn left(store: &Store) -> BTreeSet<Digest> {
    store.objects().unwrap().iter().map(|object| object.digest).collect()
}

#[test]
fn a_statement_stays_as_long_as_what_was_taken_by_it() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let output = made(&store, "key", &["a"], &[]);
    let statement = Digest::of("somebody says key");
    let root = Root {
        keys: [Digest::of("key")].into(),
        trees: [output].into(),
        place: None,
        reason: "a test".into(),
    };
    store.set_root("it", &root).unwrap();
    store.put_statement(b"nobody was believed").unwrap();
    store.sweep(&Spare::default()).unwrap();
    assert_eq!(store.statement(&statement).unwrap().unwrap(), b"somebody says key");
    assert_eq!(store.statement(&Digest::of("nobody was believed")).unwrap(), None);
    store.remove_root("it").unwrap();
    store.sweep(&Spare::default()).unwrap();
    assert_eq!(store.objects().unwrap(), []);
}

#[test]
fn a_damaged_statement_says_nothing() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let digest = store.put_statement(b"true").unwrap();
    let hex = digest.hex();
    let place = dir.path().join("statements").join(&hex[..2]).join(&hex);
    fs::remove_file(&place).unwrap();
    fs::write(&place, "false").unwrap();
    assert_eq!(store.statement(&digest).unwrap(), None);
    let damaged = store.verify(&|_| ()).unwrap().damaged;
    assert_eq!(damaged.iter().map(|it| it.object.kind).collect::<Vec<_>>(), [Kind::Statement]);
}

#[test]
fn a_record_of_before_there_were_statements_can_be_read() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (key, output) = (Digest::of("key"), Digest::of("output"));
    let hex = key.hex();
    let place = dir.path().join("realisations").join(&hex[..2]).join(&hex);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, format!("{{\"name\":\"old\",\"output\":\"{output}\",\"inputs\":[]}}"))
        .unwrap();
    let old = store.realisation(&key).unwrap().unwrap();
    assert_eq!((old.output, old.vouched), (output, vec![]));
}

#[test]
fn what_is_young_is_spared_with_all_that_it_needs() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let lost = made(&store, "old", &["only old", "shared"], &[]);
    let below = made(&store, "below", &["below"], &[]);
    let since = moment();
    let young = made(&store, "young", &["only young", "shared"], &[below]);
    let spare = Spare { since: Some(since), size: None };
    let planned = store.plan_sweep(&spare).unwrap();
    assert_eq!(store.sweep(&spare).unwrap(), planned);
    let digests = |texts: &[&str]| texts.iter().map(Digest::of).collect::<BTreeSet<_>>();
    let mut expected = digests(&["only young", "shared", "young", "somebody says young"]);
    // How the young came about stays known: without it its key would not be.
    expected.extend(digests(&["below", "somebody says below"]));
    let mut found = left(&store);
    assert!(found.remove(&young) && !found.contains(&lost) && !found.contains(&below));
    // The blob and the key of the old one have the same name here.
    assert!(!store.has_blob(&Digest::of("below")));
    assert_eq!(found, expected);
    assert_eq!(store.verify(&|_| ()).unwrap().damaged, []);
}

#[test]
fn what_is_used_becomes_young() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let used = made(&store, "used", &["a"], &[]);
    let since = moment();
    let spare = Spare { since: Some(since), size: None };
    assert_eq!(store.plan_sweep(&spare).unwrap().kept, 0);
    // The use of what was used a moment ago is not worth a write.
    store.note_use(&Digest::of("used")).unwrap();
    assert_eq!(store.plan_sweep(&spare).unwrap().kept, 0);
    store.note_use(&Digest::of("never made")).unwrap();
    let record = store.realisation(&Digest::of("used")).unwrap().unwrap();
    store.record(&Digest::of("used"), &record).unwrap();
    store.sweep(&spare).unwrap();
    assert!(store.has_tree(&used) && store.has_blob(&Digest::of("a")));
}

#[test]
fn the_oldest_goes_first_until_the_rest_fits() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let big = "x".repeat(1 << 20);
    let mut trees = Vec::new();
    for name in ["first", "second", "third", "fourth"] {
        let blob = store.put(&mut format!("{name}{big}").as_bytes()).unwrap();
        let kind = NodeKind::File(blob);
        let meta = Meta::root_owned(0o644, Time::from_seconds(5));
        let mut draft = Draft::with_root(Meta::root_owned(0o755, Time::from_seconds(5)));
        draft
            .insert(GuestPath::new(name).unwrap(), Node::Inode(Inode { meta: meta.clone(), kind }));
        trees.push(store.put_tree(&draft.finish().unwrap()).unwrap());
        moment();
    }
    let root = Root { keys: [].into(), trees: [trees[0]].into(), place: None, reason: "it".into() };
    store.set_root("pin_it", &root).unwrap();
    let all: u64 = store.objects().unwrap().iter().map(|object| object.size).sum();
    let spare = |size| Spare { since: None, size: Some(size) };
    assert_eq!(store.sweep(&spare(all)).unwrap().objects, []);
    store.sweep(&spare(all - 1)).unwrap();
    let here = || trees.iter().map(|tree| store.has_tree(tree)).collect::<Vec<_>>();
    assert_eq!(here(), [true, false, true, true], "the first is kept by a root");
    store.sweep(&spare(5 << 19)).unwrap();
    assert_eq!(here(), [true, false, false, true]);
    let tight = store.sweep(&spare(0)).unwrap();
    assert_eq!(here(), [true, false, false, false]);
    assert!(tight.kept_size > 1 << 20, "what a root keeps stays, too large as it is");
    assert_eq!(store.verify(&|_| ()).unwrap().damaged, []);
}

#[test]
fn a_pin_keeps_what_a_recipe_came_to_wherever_its_project_is() {
    let lab = Lab::new();
    lab.script("greet", "echo hello >$out/greeting", "");
    let missing = lab.run(&["store", "pin", "greet", "--reason", "paper X"]).bad(2);
    assert!(
        missing.contains("not made yet") && missing.contains("vsbuild build greet"),
        "{missing}"
    );
    let (output, _) = lab.build("greet");
    lab.run(&["store", "pin", "greet", "--reason", "paper X"]).good();
    assert_eq!(lab.run(&["store", "pin"]).good(), "greet  (paper X)\n");
    let list: serde_json::Value =
        serde_json::from_str(&lab.run(&["store", "pin", "--json"]).good()).unwrap();
    assert_eq!(list["greet"]["reason"], "paper X");
    for gc in [&["store", "gc"][..], &["store", "gc", "--max-size", "0"]] {
        lab.run(gc).good();
        assert_eq!(lab.build("greet"), (output.clone(), 0), "{gc:?} took what is pinned");
    }
    lab.run(&["store", "unpin", "greet"]).good();
    let again = lab.run(&["store", "unpin", "greet"]).bad(2);
    assert!(again.contains("not pinned"), "{again}");
    lab.run(&["store", "gc", "--older-than", "1"]).good();
    assert_eq!(lab.build("greet").1, 0, "it was made a moment ago");
    lab.run(&["store", "gc"]).good();
    assert!(lab.build("greet").1 > 0);
    lab.run(&["store", "pin", "greet"]).bad(2);
    lab.run(&["store", "gc", "--max-size", "much"]).bad(2);
}
