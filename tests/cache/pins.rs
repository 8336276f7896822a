//! What is listed, pinned and collected.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use tempfile::tempdir;

use crate::{
    common::Ran,
    world::{Machine, files, json, list, origin, public},
};

/// Makes files look as if they had been sent so many days ago.
fn age(dir: &Path, days: u64) {
    let time = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
    for file in list(dir) {
        fs::File::options().append(true).open(file).unwrap().set_modified(time).unwrap();
    }
}

fn collect(cache: &Path, more: &[&str]) -> serde_json::Value {
    let args = ["cache", "gc", cache.to_str().unwrap(), "--json"];
    json(&origin().lab.run(&[&args[..], more].concat()).good())
}

#[test]
fn what_is_there_is_listed_for_people_and_programs() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    let origin = &machine.origin;
    origin.copy_of_cache(&cache);
    let address = cache.to_str().unwrap();
    origin.lab.run(&["cache", "pin", address, "tiny", "--reason", "paper X"]).good();
    let key = public("a");
    let listed =
        json(&machine.run(&["cache", "ls", address, "--trusted-key", &key, "--json"]).good());
    for room in ["packs", "indexes", "ways", "trees", "inputs", "statements", "pins", "images"] {
        let bytes: u64 =
            list(&cache.join(room)).iter().map(|f| fs::metadata(f).unwrap().len()).sum();
        let found = (&listed["rooms"][room]["count"], &listed["rooms"][room]["bytes"]);
        assert_eq!(found, (&files(&cache.join(room)).into(), &bytes.into()), "{room}");
    }
    let id = crate::common::sharing::key("a").public().id().to_string();
    assert_eq!(listed["statements"][0]["key"], id);
    assert_eq!(listed["statements"][0]["name"], "a");
    assert_eq!(listed["statements"][0]["count"], files(&cache.join("statements")));
    assert_eq!(listed["pins"][0]["reason"], "paper X");
    let text = machine.run(&["cache", "ls", address, "--trusted-key", &key]).good();
    assert!(text.contains(&format!("signed by a ({id})")), "{text}");
    assert!(text.contains("pinned: tiny  (paper X)") && text.contains("MiB"), "{text}");
    let all = text.lines().find(|line| line.starts_with("in all")).unwrap();
    assert!(all.contains(&(files(&cache) - 1).to_string()), "all but the format: {text}");
}

#[test]
fn a_collection_takes_what_is_old_and_leaves_what_is_pinned() {
    let (origin, dir) = (origin(), tempdir().unwrap());
    let (cache, address) = (dir.path().join("cache"), dir.path().join("cache"));
    let address = address.to_str().unwrap();
    origin.push("tiny", &cache, &["--with-inputs", "--with-images"]);
    let all = files(&cache);
    // Nothing is old, and statements stay without a limit.
    assert_eq!(collect(&cache, &["--older-than", "1d"])["objects"], 0);
    age(&cache, 40);
    assert_eq!(collect(&cache, &[])["objects"], 0);
    let pin = |name: &str| {
        origin.lab.run(&["cache", "pin", address, name, "--reason", "paper X"]).good();
    };
    pin("tiny");
    let planned = collect(&cache, &["--older-than", "30d", "--dry-run"]);
    assert_eq!((&planned["objects"], &planned["removed"]), (&0.into(), &false.into()));
    assert_eq!(collect(&cache, &["--max-size", "1M"])["objects"], 0);
    assert_eq!(files(&cache), all + 1);
    let machine = Machine::new();
    machine.pulls(address);
    machine.has_the_image();
    // Another pin keeps less: the disk and the kernel may go.
    origin.lab.run(&["cache", "unpin", address, "tiny"]).good();
    pin("root");
    let removed = collect(&cache, &["--older-than", "30d"]);
    assert!(removed["objects"].as_u64().unwrap() > 0, "{removed}");
    assert_eq!(files(&cache.join("images")), 0);
    let other = Machine::new();
    let key = public("a");
    let root = ["cache", "pull", "root", "--from", address, "--trusted-key", &key];
    other.run(&root).good();
    other.run(&["cache", "pull", "tiny", "--from", address, "--trusted-key", &key]).bad(5);
    // Without any, all goes, and the next push brings it back.
    origin.lab.run(&["cache", "unpin", address, "root"]).good();
    collect(&cache, &["--older-than", "30d"]);
    assert_eq!(list(&cache), [cache.join("format")]);
    other.run(&root).good();
    origin.push("tiny", &cache, &["--with-inputs", "--with-images"]);
    assert_eq!(files(&cache), all);
}

#[test]
fn what_is_pinned_must_be_there() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    let origin = &machine.origin;
    let address = cache.to_str().unwrap();
    origin.copy_of_cache(&cache);
    fs::remove_dir_all(cache.join("statements")).unwrap();
    let pin = ["cache", "pin", address, "tiny", "--reason", "x"];
    let said = origin.lab.run(&pin).bad(2);
    assert!(said.contains("lacks what somebody says of 2 steps of tiny"), "{said}");
    let pack = list(&cache.join("packs")).swap_remove(0);
    fs::remove_file(pack).unwrap();
    let said = origin.lab.run(&pin).bad(2);
    assert!(said.contains(" tree") && said.contains("cache push tiny"), "{said}");
    fs::remove_dir_all(cache.join("ways")).unwrap();
    let said = origin.lab.run(&pin).bad(2);
    assert!(said.contains("lacks 2 trees of tiny"), "{said}");
    let said = machine.run(&pin).bad(2);
    assert!(said.contains("is not made yet"), "{said}");
    let said = machine.run(&["cache", "unpin", address, "tiny"]).bad(2);
    assert!(said.contains("is not pinned"), "{said}");
    for wrong in [&["--older-than", "30"][..], &["--max-size", "1x"], &["--older-than", "d"]] {
        let said = machine.run(&[&["cache", "gc", address][..], wrong].concat()).bad(2);
        assert!(said.contains("such as"), "{said}");
    }
}

#[test]
fn nothing_is_collected_under_the_hands_of_a_push() {
    let (origin, dir) = (origin(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    origin.copy_of_cache(&cache);
    age(&cache, 40);
    fs::create_dir_all(cache.join("pushing")).unwrap();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let mark = |time: u64| {
        let text = format!("{{\"act\":\"push\",\"time\":{time}}}");
        fs::write(cache.join("pushing/0123"), text).unwrap();
    };
    mark(now - 10);
    let all = files(&cache);
    let args = ["cache", "gc", cache.to_str().unwrap(), "--older-than", "30d"];
    let said = origin.lab.run(&args).bad(1);
    assert!(said.contains("is in use: a push") && said.contains("half an hour"), "{said}");
    assert_eq!(files(&cache), all);
    // A program that was killed long ago is not waited for.
    mark(now - 3600);
    age(&cache.join("pushing"), 1);
    let ran = Ran::of(origin.lab.command(&args).output().unwrap());
    assert!(ran.good().starts_with("removed "));
}

#[test]
fn what_came_in_the_last_day_stays_whatever_the_terms() {
    let (origin, dir) = (origin(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    origin.copy_of_cache(&cache);
    // Cache and lab were made just now; a copy may have kept older times.
    age(&cache, 0);
    for terms in [["--max-size", "1K"], ["--older-than", "0d"]] {
        assert_eq!(collect(&cache, &terms)["objects"], 0, "{terms:?}");
    }
    // With something older there, only that goes.
    let statements = list(&cache.join("statements"));
    age(&cache.join("inputs"), 40);
    let removed = collect(&cache, &["--max-size", "1K"]);
    assert!(removed["objects"].as_u64().unwrap() > 0, "{removed}");
    assert_eq!((files(&cache.join("inputs")), list(&cache.join("statements"))), (0, statements));
    let machine = Machine::new();
    machine.pulls(cache.to_str().unwrap());
    machine.has_the_image();
}

#[test]
fn a_later_pin_says_whose_place_it_takes() {
    let (origin, dir) = (origin(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    origin.copy_of_cache(&cache);
    let pin = |reason: &str| {
        let args = ["cache", "pin", cache.to_str().unwrap(), "tiny", "--reason", reason];
        let ran = origin.lab.run(&args);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stderr
    };
    assert_eq!(pin("paper X"), "");
    let said = pin("paper Y");
    assert!(said.contains("in place of what was pinned for \"paper X\""), "{said}");
}

#[test]
fn a_collection_that_cannot_see_the_pins_takes_nothing() {
    let (origin, dir) = (origin(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    origin.copy_of_cache(&cache);
    age(&cache, 40);
    fs::create_dir_all(cache.join("pushing")).unwrap();
    fs::create_dir(cache.join("pins")).unwrap();
    let ours = fs::Permissions::from_mode(0o000);
    fs::set_permissions(cache.join("pins"), ours).unwrap();
    let all = files(&cache);
    let args = ["cache", "gc", cache.to_str().unwrap(), "--older-than", "30d"];
    let mut command = origin.lab.command(&args);
    if rustix::process::geteuid().is_root() {
        // Who may do anything sees everything: somebody else must look.
        let program = dir.path().join("vsbuild");
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_vsbuild")).arg(&program).status();
        assert!(copied.unwrap().success());
        let given = Command::new("chown").arg("-R").arg("65534:65534").arg(dir.path()).status();
        assert!(given.unwrap().success());
        command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).args(args);
        command.env("HOME", dir.path()).current_dir(dir.path());
    }
    let ran = Ran::of(command.output().unwrap());
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.stderr.contains("denies access to pins"), "{ran:?}");
    fs::set_permissions(cache.join("pins"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(files(&cache), all);
}
