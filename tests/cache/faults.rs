//! Caches that are down, slow, cut off, that lost something or have something wrong.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    net::TcpListener,
    path::Path,
    process::Command,
};

use tempfile::tempdir;
use vsbuild::{cache::Way, digest::Digest};

use crate::{
    common::Ran,
    line::{Fault, Line},
    nginx::Nginx,
    world::{Machine, json, list, origin},
};

#[test]
fn one_that_is_down_or_something_else_is_said_to_be() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let down = format!("http://{nobody}/lab");
    fs::write(dir.path().join("format"), "vsbuild-cache 99\n").unwrap();
    let other = dir.path().to_str().unwrap();
    for (address, why) in [(down.as_str(), "does not answer"), (other, "vsbuild-cache 99")] {
        for mut command in [machine.pull(address, &[]), origin().command("tiny", address, &[])] {
            let ran = Ran::of(command.output().unwrap());
            assert_eq!(ran.code, Some(5), "{ran:?}");
            let error = json(&ran.stdout);
            assert!(error["error"].as_str().unwrap().contains(why), "{error}");
            assert!(!error["help"].as_array().unwrap().is_empty(), "{error}");
        }
    }
    assert_eq!(list(dir.path()).len(), 1);
}

/// The lab's cache on a web server behind a line.
fn behind(choose: impl FnMut(&str) -> Fault + Send + 'static) -> Option<(Nginx, Line, String)> {
    let nginx = Nginx::start("")?;
    origin().copy_of_cache(&nginx.root().join("lab"));
    let line = Line::new(&nginx.host, choose);
    let address = format!("http://{}/lab", line.host);
    Some((nginx, line, address))
}

#[test]
fn one_that_is_slow_or_cut_off_now_and_then_is_good_enough() {
    let mut seen = BTreeMap::<String, u32>::new();
    // Everything is late, and the first answer for each pack ends in the middle.
    let choose = move |path: &str| {
        let count = seen.entry(path.to_owned()).or_default();
        *count += 1;
        if path.contains("/packs/") && *count == 1 { Fault::Cut(600) } else { Fault::Late(30) }
    };
    let Some((_nginx, line, address)) = behind(choose) else { return };
    let machine = Machine::new();
    machine.pulls(&address);
    machine.has_the_image();
    assert!(line.asked_for("packs") >= 6);
}

/// A pull through a line with this fault on all packs fails and says why; nothing is wrong in the store, and without the fault the
/// pull goes on.
#[track_caller]
fn fails_and_goes_on(fault: Fault, why: &str) {
    let machine = Machine::new();
    let faulty = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let now = faulty.clone();
    let choose = move |path: &str| {
        let now = now.load(std::sync::atomic::Ordering::Relaxed);
        if now && path.contains("/packs/") { fault } else { Fault::None }
    };
    let Some((_nginx, _line, address)) = behind(choose) else { return };
    let ran = Ran::of(machine.pull(&address, &[]).output().unwrap());
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.stderr.contains(&address) && ran.stderr.contains(why), "{fault:?}: {ran:?}");
    machine.is_sound();
    faulty.store(false, std::sync::atomic::Ordering::Relaxed);
    machine.pulls(&address);
    machine.has_the_image();
}

#[test]
fn wrong_bytes_are_found_out() {
    fails_and_goes_on(Fault::Flip(123_456), "something wrong under packs/");
}

#[test]
fn wrong_lengths_are_found_out() {
    fails_and_goes_on(Fault::Longer(100), "");
    fails_and_goes_on(Fault::Shorter(100), "something wrong under packs/");
}

#[test]
fn a_server_that_fails_is_given_up() {
    fails_and_goes_on(Fault::Status(503), "does not answer: 503");
    fails_and_goes_on(Fault::HangUp, "does not answer");
}

/// A cache with something wrong in it: a pull from it says what, a push of the same puts it right.
#[track_caller]
fn a_push_repairs(what: &str, damage: impl Fn(&Path)) {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    machine.origin.copy_of_cache(&cache);
    damage(&cache);
    let address = cache.to_str().unwrap();
    let ran = Ran::of(machine.pull(address, &[]).output().unwrap());
    assert_eq!(ran.code, Some(5), "{what}: {ran:?}");
    assert!(
        ran.stderr.contains(address) && ran.stderr.contains("something wrong"),
        "{what}: {ran:?}"
    );
    machine.is_sound();
    machine.origin.push("tiny", &cache, &[]);
    machine.pulls(address);
    machine.has_the_image();
}

#[test]
fn what_a_cache_lost_is_sent_again() {
    a_push_repairs("a pack", |cache| fs::remove_file(&list(&cache.join("packs"))[0]).unwrap());
    a_push_repairs("indexes", |cache| {
        for index in list(&cache.join("indexes")) {
            fs::remove_file(index).unwrap();
        }
    });
}

#[test]
fn hints_that_mislead_are_replaced() {
    let rewrite = |file: &Path, text: &str| {
        fs::write(file, zstd::encode_all(text.as_bytes(), 3).unwrap()).unwrap();
    };
    let read = |file: &Path| zstd::decode_all(&fs::read(file).unwrap()[..]).unwrap();
    a_push_repairs("sizes in ways", |cache| {
        for file in list(&cache.join("ways")) {
            let mut way = Way::decode(&read(&file)).unwrap();
            way.packs.values_mut().for_each(|size| *size -= 1);
            rewrite(&file, &way.encode());
        }
    });
    a_push_repairs("ways to nowhere", |cache| {
        for file in list(&cache.join("ways")) {
            rewrite(&file, &Way::default().encode());
        }
    });
    a_push_repairs("no ways", |cache| {
        for file in list(&cache.join("ways")) {
            fs::write(file, "what is this").unwrap();
        }
    });
}

#[test]
fn a_way_to_more_packs_than_its_tree_can_need_is_refused() {
    a_push_repairs("ways to everywhere", |cache| {
        for file in list(&cache.join("ways")) {
            let text = zstd::decode_all(&fs::read(&file).unwrap()[..]).unwrap();
            let mut way = Way::decode(&text).unwrap();
            way.packs.extend((0..5000_u32).map(|number| (Digest::of(number.to_le_bytes()), 1)));
            fs::write(&file, zstd::encode_all(way.encode().as_bytes(), 3).unwrap()).unwrap();
        }
    });
}

#[test]
fn a_manifest_that_unpacks_to_very_much_never_comes_into_memory() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    machine.origin.copy_of_cache(&cache);
    let bomb = zstd::encode_all(io::repeat(0).take(500 << 20), 1).unwrap();
    assert!(bomb.len() < 100_000);
    for tree in list(&cache.join("trees")) {
        fs::write(tree, &bomb).unwrap();
    }
    // As much memory as what is not damaged needs, in KiB.
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -d 300000 && exec \"$0\" \"$@\""]);
    let address = cache.to_str().unwrap();
    let ran = Ran::of(wrapped(limited, &machine.pull(address, &[])).output().unwrap());
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.stderr.contains("it is the tree"), "{ran:?}");
    machine.is_sound();
}

/// A command as the last argument of another one.
fn wrapped(mut outer: Command, inner: &Command) -> Command {
    outer.arg(inner.get_program()).args(inner.get_args());
    if let Some(dir) = inner.get_current_dir() {
        outer.current_dir(dir);
    }
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

#[test]
fn an_index_that_lies_leads_to_an_error_and_never_to_wrong_bytes() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    machine.origin.copy_of_cache(&cache);
    // Each pack is said to have what is in another one.
    let indexes = list(&cache.join("indexes"));
    let texts: Vec<Vec<u8>> = indexes.iter().map(|file| fs::read(file).unwrap()).collect();
    for (file, text) in indexes.iter().zip(texts.iter().cycle().skip(1)) {
        fs::write(file, text).unwrap();
    }
    let address = cache.to_str().unwrap();
    let ran = Ran::of(machine.pull(address, &[]).output().unwrap());
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.stderr.contains("indexes"), "{ran:?}");
    machine.is_sound();
    // Whoever has what was meant can make the rest all the same.
    for (file, text) in indexes.iter().zip(&texts) {
        fs::write(file, text).unwrap();
    }
    machine.pulls(address);
    machine.has_the_image();
}
