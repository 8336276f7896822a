//! The store under what happens to stores: kills, two programs at once, flipped bits, full disks, collections.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, Read},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use vsbuild::{
    digest::Digest,
    path::GuestPath,
    store::{Realisation, Root, Spare, Store},
    tree::{BlobSink, Blobs, Content, Draft, Inode, Kind, Meta, Node, Time, Tree},
};

/// Set for a copy of this program that is to be killed: the store that it hammers.
const VICTIM: &str = "VSBUILD_TEST_VICTIM";

fn path(text: &str) -> GuestPath {
    GuestPath::new(text).unwrap()
}

fn meta(mode: u16) -> Meta {
    Meta::root_owned(mode, Time::from_seconds(5))
}

/// A small tree with one file of each mode, its bytes in `store`.
fn tree(store: &Store, text: &str) -> Tree {
    let mut draft = Draft::with_root(meta(0o755));
    let content = store.put(&mut text.as_bytes()).unwrap();
    for (name, mode) in [("plain", 0o644), ("program", 0o755)] {
        let kind = Kind::File(content.clone());
        draft.insert(path(name), Node::Inode(Inode { meta: meta(mode), kind }));
    }
    draft.insert(path("again"), Node::HardLink(path("plain")));
    let link = Kind::Symlink(b"plain"[..].into());
    draft.insert(path("link"), Node::Inode(Inode { meta: meta(0o777), kind: link }));
    draft.finish().unwrap()
}

fn realisation(output: Digest) -> Realisation {
    Realisation { name: "test".into(), output, inputs: vec![], vouched: vec![] }
}

fn root(trees: &[Digest], keys: &[Digest]) -> Root {
    let (trees, keys) = (trees.iter().copied().collect(), keys.iter().copied().collect());
    Root { keys, trees, place: None, reason: "a test".into() }
}

/// What a victim does until it is killed: everything that a build does with a store.
#[test]
fn hammer_until_killed() {
    let Some(dir) = env::var_os(VICTIM) else { return };
    for round in 0_u64.. {
        let store = Store::open(Path::new(&dir)).unwrap();
        let text = format!("{round}").repeat(50_000);
        let tree = tree(&store, &text);
        let key = Digest::of(round.to_le_bytes());
        let _lease = store.lease(&key, &mut |_| ()).unwrap();
        let scratch = store.scratch().unwrap();
        store.materialise(&tree, &scratch.path().join("root")).unwrap();
        let output = store.put_tree(&tree).unwrap();
        store.record(&key, &realisation(output)).unwrap();
        store.set_root("victim", &root(&[output], &[key])).unwrap();
    }
}

#[test]
fn a_store_survives_being_killed_at_any_moment() {
    let dir = TempDir::new().unwrap();
    for round in 0_u64..60 {
        let mut victim = Command::new(env::current_exe().unwrap())
            .args(["--exact", "hammer_until_killed", "--nocapture"])
            .env(VICTIM, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // From before the store is open to well into the work.
        thread::sleep(Duration::from_millis(3 + round * 7 % 90));
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.verify(&|_| ()).unwrap().damaged, []);
    for object in store.objects().unwrap() {
        if let Some(made) = store.realisation(&object.digest).unwrap() {
            assert!(store.has_tree(&made.output), "recorded, but not there");
        }
    }
    let left = fs::read_dir(dir.path().join("scratch")).unwrap().count();
    assert_eq!(left, 0, "what the killed left is swept by the next");
}

#[test]
fn blobs_are_read_only_and_stored_once() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for bytes in [vec![], b"small".to_vec(), vec![7; 300_000]] {
        let content = store.put(&mut &*bytes).unwrap();
        assert_eq!(content, Content::of(&bytes));
        let before = fs::metadata(store.blob_path(&content.digest)).unwrap();
        assert_eq!(before.permissions().mode() & 0o7777, 0o444);
        assert_eq!((before.mtime(), before.mtime_nsec()), (1, 0), "no clock gets in");
        store.put(&mut &*bytes).unwrap();
        let after = fs::metadata(store.blob_path(&content.digest)).unwrap();
        assert_eq!(before.ino(), after.ino());
        assert_eq!(Blobs::read(&store, &content.digest).unwrap(), bytes);
    }
}

#[test]
fn long_zeros_take_no_room() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let size = 64 << 20;
    let mut bytes = b"head".chain(io::repeat(0).take(size)).chain(&b"tail"[..]);
    let content = store.put(&mut bytes).unwrap();
    let file = fs::metadata(store.blob_path(&content.digest)).unwrap();
    assert_eq!(file.len(), size + 8);
    assert!(file.blocks() * 512 < 1 << 20, "{} blocks", file.blocks());
    assert_eq!(store.verify(&|_| ()).unwrap().damaged, []);
}

#[test]
fn a_reader_that_fails_leaves_no_blob() {
    struct Broken(u32);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0 > 40 { Err(io::Error::other("cut")) } else { Ok(buffer.len().min(4096)) }
        }
    }
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.put(&mut Broken(0)).unwrap_err();
    assert_eq!(store.objects().unwrap(), []);
    assert_eq!(fs::read_dir(dir.path().join("scratch")).unwrap().count(), 0);
}

#[test]
fn a_download_is_taken_only_with_the_right_digest() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let expected = Digest::of("right");
    let partial = store.partial(&expected).unwrap();
    fs::write(&partial, "wrong").unwrap();
    let error = store.adopt(&partial, &expected).unwrap_err().to_string();
    assert!(error.contains(&expected.hex()), "{error}");
    assert!(!store.has_blob(&expected));
    fs::write(&partial, "right").unwrap();
    store.adopt(&partial, &expected).unwrap();
    assert!(store.has_blob(&expected) && !partial.exists());
}

#[test]
fn a_tree_without_its_blobs_is_refused() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let tree = tree(&Store::open(one.path()).unwrap(), "somewhere else");
    let store = Store::open(other.path()).unwrap();
    assert!(store.put_tree(&tree).unwrap_err().to_string().contains("is not in the store"));
    assert!(!store.has_tree(&tree.digest()));
}

#[test]
fn a_flipped_bit_is_found_put_aside_and_healed() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let tree = tree(&store, "precious");
    let digest = store.put_tree(&tree).unwrap();
    let blob = Digest::of("precious");
    let (made_of_it, above) = (Digest::of("made of it"), Digest::of("made of that"));
    let record = |output, input| Realisation { inputs: vec![input], ..realisation(output) };
    store.record(&made_of_it, &record(above, blob)).unwrap();
    store.record(&above, &record(digest, above)).unwrap();
    let file = store.blob_path(&blob);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "preciOus").unwrap();
    let found = store.verify(&|_| ()).unwrap();
    let quarantined = found.damaged.iter().find(|damage| damage.object.digest == blob).unwrap();
    assert_eq!(fs::read(quarantined.quarantine.as_ref().unwrap()).unwrap(), b"preciOus");
    assert!(!store.has_blob(&blob));
    assert!(!store.has_tree(&digest), "a tree that lacks a blob is to be made again");
    for key in [made_of_it, above] {
        assert_eq!(store.realisation(&key).unwrap(), None, "what it became may be wrong too");
    }
    store.put(&mut &b"precious"[..]).unwrap();
    store.put_tree(&tree).unwrap();
    assert_eq!(store.verify(&|_| ()).unwrap().damaged, []);
}

#[test]
fn a_collection_keeps_what_roots_need_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (kept, lost) = (tree(&store, "kept"), tree(&store, "lost"));
    let (kept, lost) = (store.put_tree(&kept).unwrap(), store.put_tree(&lost).unwrap());
    let (kept_key, lost_key) = (Digest::of("key of kept"), Digest::of("key of lost"));
    store.record(&kept_key, &realisation(kept)).unwrap();
    store.record(&lost_key, &realisation(lost)).unwrap();
    store.set_root("paper", &root(&[kept], &[kept_key])).unwrap();
    fs::write(store.partial(&lost).unwrap(), "half").unwrap();
    let all = Spare::default();
    let planned = store.plan_sweep(&all).unwrap();
    assert!(store.has_tree(&lost), "a plan removes nothing");
    assert_eq!(store.sweep(&all).unwrap(), planned);
    let left: BTreeSet<Digest> =
        store.objects().unwrap().iter().map(|object| object.digest).collect();
    assert_eq!(left, BTreeSet::from([kept, kept_key, Digest::of("kept")]));
    assert_eq!(fs::read_dir(dir.path().join("partial")).unwrap().count(), 0);
    let ways = store.why(&Digest::of("kept")).unwrap();
    assert_eq!(ways, [("paper".to_owned(), kept, Some(path("again")))]);
    assert!(store.remove_root("paper").unwrap() && !store.remove_root("paper").unwrap());
    store.sweep(&all).unwrap();
    assert_eq!(store.objects().unwrap(), []);
}

#[test]
fn a_tree_that_cannot_be_read_just_now_does_not_lose_its_blobs() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let kept = store.put_tree(&tree(&store, "kept")).unwrap();
    let blob = Digest::of("kept");
    let place = store.tree_path(&kept);
    let whole = fs::read(&place).unwrap();
    fs::remove_file(&place).unwrap();
    // An error of the host's that is not an absence.
    fs::create_dir(&place).unwrap();
    let spare = Spare { since: None, size: Some(0) };
    store.sweep(&spare).unwrap_err();
    store.set_root("paper", &root(&[kept], &[])).unwrap();
    store.sweep(&Spare::default()).unwrap_err();
    store.why(&blob).unwrap_err();
    assert!(store.has_blob(&blob));
    fs::remove_dir(&place).unwrap();
    fs::write(&place, whole).unwrap();
    store.sweep(&Spare::default()).unwrap();
    assert!(store.has_blob(&blob));
}

#[test]
fn a_root_whose_tree_is_gone_hides_no_other_one() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (gone, kept) = (tree(&store, "gone"), tree(&store, "kept"));
    let (gone, kept) = (store.put_tree(&gone).unwrap(), store.put_tree(&kept).unwrap());
    store.set_root("first", &root(&[gone], &[])).unwrap();
    store.set_root("second", &root(&[kept], &[])).unwrap();
    for damaged in [false, true] {
        fs::remove_file(store.tree_path(&gone)).unwrap();
        if damaged {
            fs::write(store.tree_path(&gone), "no manifest").unwrap();
        }
        let ways = store.why(&Digest::of("kept")).unwrap();
        assert_eq!(ways, [("second".to_owned(), kept, Some(path("again")))]);
        assert_eq!(store.why(&gone).unwrap().len(), 1);
        if !damaged {
            fs::write(store.tree_path(&gone), "").unwrap();
        }
    }
}

#[test]
fn one_works_while_the_other_waits() {
    let dir = TempDir::new().unwrap();
    let key = Digest::of("key");
    let (made, waited) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // Each opens the store for itself, as programs do.
                let store = Store::open(dir.path()).unwrap();
                let told = &mut |pid: Option<u32>| {
                    assert!(pid.is_none_or(|pid| pid == std::process::id()));
                    waited.fetch_add(1, Ordering::SeqCst);
                };
                let _lease = store.lease(&key, told).unwrap();
                if store.realisation(&key).unwrap().is_none() {
                    made.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(100));
                    store.record(&key, &realisation(key)).unwrap();
                }
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
    assert_eq!(waited.into_inner(), 3);
}

#[test]
fn a_store_of_another_format_is_refused() {
    let dir = TempDir::new().unwrap();
    drop(Store::open(dir.path()).unwrap());
    fs::write(dir.path().join("format"), "vsbuild-store 99\n").unwrap();
    let error = Store::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("vsbuild-store 99"), "{error}");
}

#[test]
fn a_tree_goes_out_and_comes_back() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let tree = tree(&store, "round trip");
    let (links, copies) = (dir.path().join("links"), dir.path().join("copies"));
    store.materialise(&tree, &links).unwrap();
    store.export(&tree, &copies).unwrap();
    let program = fs::metadata(links.join("program")).unwrap();
    assert_eq!(program.permissions().mode() & 0o777, 0o555);
    assert_eq!(program.mtime(), 1);
    let inode = |name: &str| fs::metadata(links.join(name)).unwrap().ino();
    assert_eq!(inode("plain"), inode("again"), "a hard link of the tree is one");
    assert_ne!(inode("plain"), inode("program"), "the same bytes are not one file");
    let copy = fs::metadata(copies.join("plain")).unwrap();
    assert_eq!(
        (copy.nlink(), copy.permissions().mode() & 0o777),
        (2, 0o644),
        "two names, as in the tree"
    );
    let imported = store.import(&copies, Time::from_seconds(5)).unwrap();
    let mut expected = tree.to_draft();
    expected.insert(path("again"), tree.get(&path("again")).unwrap().clone());
    assert_eq!(imported.content(&path("plain")), tree.content(&path("plain")));
    assert_eq!(imported.len(), tree.len());
}

#[test]
fn special_files_are_no_output() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(out.join("socket")).unwrap();
    let error = store.import(&out, Time::default()).unwrap_err().to_string();
    assert!(error.contains("out/socket") && error.contains("socket is no output"), "{error}");
}

#[test]
fn a_full_disk_is_a_clear_error_and_harms_nothing() {
    let dir = TempDir::new().unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "vsbuild-test"])
        .arg(dir.path())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED a_full_disk_is_a_clear_error_and_harms_nothing: mounting takes root");
        return;
    }
    let store = Store::open(dir.path()).unwrap();
    let good = store.put(&mut &b"fits"[..]).unwrap();
    let error = store.put(&mut io::repeat(7).take(16 << 20)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    assert_eq!(store.verify(&|_| ()).unwrap().damaged, []);
    assert_eq!(Blobs::read(&store, &good.digest).unwrap(), b"fits");
    // A test that forks just now holds the file that did not fit for a moment longer.
    let patience = Instant::now() + Duration::from_secs(10);
    while let Err(error) = store.put(&mut &vec![3; 1 << 20][..]) {
        assert!(Instant::now() < patience, "{error}");
        thread::sleep(Duration::from_millis(20));
    }
    drop(store);
    assert!(Command::new("umount").arg(dir.path()).status().unwrap().success());
}
