//! What is sent and what is not.

use std::{collections::BTreeSet, fs};

use tempfile::tempdir;
use vsbuild::{
    cache::{Cache, Index, Parcel, Way},
    remote::Directory,
    store::Store,
    tree::Time,
};

use crate::{
    common::Ran,
    world::{LARGE, Machine, files, json, list, noise, origin},
};

#[test]
fn a_second_image_sends_only_what_the_first_has_not() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    let origin = &machine.origin;
    let first = origin.push("tiny", &cache, &[]);
    origin.lab.run(&["image", "second"]).good();
    let second = origin.push("second", &cache, &[]);
    let bytes = |sent: &serde_json::Value| sent["packed-bytes"].as_u64().unwrap();
    assert!(bytes(&second) > 0 && bytes(&second) * 20 < bytes(&first), "{first} {second}");
    assert!(second["there"].as_u64().unwrap() > LARGE as u64, "{second}");
}

#[test]
fn many_small_files_travel_together_and_a_large_one_in_parts() {
    let (origin, dir) = (origin(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    let sent = origin.push("tiny", &cache, &[]);
    let packs = list(&cache.join("packs"));
    assert_eq!(sent["packs"], packs.len());
    // Some hundred files, one of which is three times as long as a pack.
    assert!((3..6).contains(&packs.len()), "{packs:?}");
    let mut parts = 0;
    let mut blobs = BTreeSet::new();
    for file in list(&cache.join("indexes")) {
        let text = zstd::decode_all(&fs::read(file).unwrap()[..]).unwrap();
        for (_, segment) in Index::decode(&text).unwrap().segments() {
            parts += usize::from(segment.length > 8 << 20);
            blobs.insert(segment.blob);
        }
    }
    assert!(blobs.len() > 300, "{}", blobs.len());
    assert_eq!(parts, 2, "of the large file, whose zeros are left out");
    let total: u64 = packs.iter().map(|pack| fs::metadata(pack).unwrap().len()).sum();
    assert!(total < (LARGE as u64) + (1 << 20), "{total}");
    // All ways lead to packs that are there, with their sizes.
    for file in list(&cache.join("ways")) {
        let way = Way::decode(&zstd::decode_all(&fs::read(file).unwrap()[..]).unwrap()).unwrap();
        for (pack, size) in way.packs {
            let hex = pack.hex();
            let pack = cache.join("packs").join(&hex[..2]).join(&hex);
            assert_eq!(fs::metadata(pack).unwrap().len(), size);
        }
    }
}

#[test]
fn inputs_are_sent_when_asked_and_outlive_their_mirror() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    machine.origin.copy_of_cache(&cache);
    let address = cache.to_str().unwrap();
    assert_eq!(files(&cache.join("inputs")), 2);
    let brought = Ran::of(machine.pull(address, &["--with-inputs"]).output().unwrap());
    assert_eq!(json(&brought.good())["inputs"], 2);
    // Nothing but the cache has the packages, and from these all is built anew.
    let built = machine.run(&["build", "root", "--no-substitute", "--json"]);
    assert_eq!(json(&built.good())["made"], 0);
    let store = machine.store_dir();
    fs::remove_dir_all(store.join("realisations")).unwrap();
    let built = json(&machine.run(&["build", "root", "--no-substitute", "--json"]).good());
    assert!(built["made"].as_u64().unwrap() > 0, "{built}");
    // One that the cache lost is named.
    for file in list(&cache.join("inputs")) {
        fs::remove_file(file).unwrap();
    }
    let poor = Machine::new();
    let ran = Ran::of(poor.pull(address, &["--with-inputs"]).output().unwrap());
    let error = json(&ran.stdout);
    assert_eq!(ran.code, Some(5));
    assert!(error["error"].as_str().unwrap().contains("lacks 2 inputs: "), "{error}");
    poor.has_the_image();
}

#[test]
fn what_was_taken_from_others_is_passed_on_with_their_word() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    machine.origin.copy_of_cache(&first);
    machine.pulls(first.to_str().unwrap());
    // It made nothing, so it needs no key.
    let key = crate::world::public("a");
    let to = second.to_str().unwrap();
    machine.run(&["cache", "push", "root", "linux", "--to", to, "--trusted-key", &key]).good();
    let names = |cache: &std::path::Path| -> BTreeSet<_> {
        let names = list(&cache.join("statements"));
        names.iter().map(|name| name.strip_prefix(cache).unwrap().to_owned()).collect()
    };
    assert!(names(&second).len() >= 2 && names(&second).is_subset(&names(&first)));
    let other = Machine::new();
    other.pulls(to);
    other.has_the_image();
}

#[test]
fn what_is_not_made_is_not_sent_and_what_to_do_is_said() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    let to = cache.to_str().unwrap();
    let said = machine.run(&["cache", "push", "tiny", "--to", to]).bad(2);
    assert!(said.contains("is not made yet") && said.contains("vsbuild image"), "{said}");
    let said = machine.origin.lab.run(&["cache", "push", "tiny", "--to", to]).bad(2);
    assert!(
        said.contains("no key to sign with") && said.contains("vsbuild key generate"),
        "{said}"
    );
    let said = machine.run(&["cache", "push", "nobody", "--to", to]).bad(2);
    assert!(said.contains("there is no recipe `nobody`"), "{said}");
    assert!(!cache.exists());
    let said = machine.run(&["cache", "ls", to]).bad(5);
    assert!(said.contains("there is no cache at"), "{said}");
}

#[test]
fn what_it_says_to_a_person_is_plain_lines() {
    let (origin, dir) = (origin(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    let (to, key) = (cache.to_str().unwrap(), origin.key_file());
    let key = key.to_str().unwrap();
    let ran = origin.lab.run(&["cache", "push", "tiny", "--to", to, "--key", key]);
    assert!(ran.stderr.contains("looking at what file://"), "{ran:?}");
    assert!(!ran.stderr.contains('\u{1b}') && !ran.stderr.contains('\r'), "{ran:?}");
    let said = ran.good();
    assert!(said.starts_with("sent 4") && said.contains("packs") && said.contains(to), "{said}");
    let quiet = origin.lab.run(&["cache", "push", "tiny", "--to", to, "--key", key, "--quiet"]);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn files_that_share_a_piece_do_not_take_each_other_s_place() {
    let dir = tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let cache = Cache::new(Box::new(Directory::new(&dir.path().join("cache"))));
    let piece = |seed| noise(seed, 16 << 20);
    let trees = [1, 2].map(|seed| {
        let from = dir.path().join(format!("files-{seed}"));
        fs::create_dir(&from).unwrap();
        // Three packs each, and the one in the middle has the same bytes.
        fs::write(from.join("long"), [piece(seed), piece(9), piece(seed + 10)].concat()).unwrap();
        let tree = store.put_tree(&store.import(&from, Time::from_seconds(1)).unwrap()).unwrap();
        let parcel = Parcel { trees: [tree].into(), ..Parcel::default() };
        cache.push(&parcel, &store, &|_, _| ()).unwrap();
        tree
    });
    let back = Store::open(&dir.path().join("back")).unwrap();
    assert_eq!(cache.pull_all(&trees, &back, &|_, _| ()).unwrap(), trees.into());
}
