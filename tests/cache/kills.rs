//! Programs that are killed in the middle.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tempfile::tempdir;

use crate::{
    common::Ran,
    line::{Fault, Line},
    nginx::Nginx,
    world::{Machine, files, json, list, origin},
};

/// Starts a program and kills it when `now` says so. Says whether it came to that.
fn killed(command: &mut Command, now: impl Fn() -> bool) -> bool {
    let mut child: Child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !now() && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does nothing");
        thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    child.wait().unwrap().signal() == Some(9)
}

#[test]
fn a_push_that_is_killed_goes_on_where_it_was() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let all = origin().push("tiny", &dir.path().join("whole"), &[]);
    let (cache, mut tries) = (dir.path().join("cache"), 0);
    let to = cache.to_str().unwrap();
    // One pack after another, so that there is a middle.
    let mut push = machine.origin.command("tiny", to, &["--jobs", "1"]);
    while !killed(&mut push, || files(&cache.join("indexes")) > 0) || cache.join("trees").exists() {
        // It was done before we looked.
        fs::remove_dir_all(&cache).unwrap();
        tries += 1;
        assert!(tries < 20, "it is always done");
    }
    assert_eq!(files(&cache.join("pushing")), 1, "it could not take its mark away");
    let ran = Ran::of(machine.pull(to, &[]).output().unwrap());
    assert_eq!(ran.code, Some(5), "{ran:?}");
    let rest = machine.origin.push("tiny", &cache, &[]);
    assert!(rest["there"].as_u64().unwrap() > 0, "{rest}");
    assert!(rest["packs"].as_u64().unwrap() < all["packs"].as_u64().unwrap(), "{rest} {all}");
    machine.pulls(to);
    machine.has_the_image();
}

#[test]
fn a_pull_that_is_killed_goes_on_where_it_was() {
    let Some(nginx) = Nginx::start("") else { return };
    let cache = nginx.root().join("lab");
    origin().copy_of_cache(&cache);
    let (first, hurry) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, free) = (first.clone(), hurry.clone());
    // One pack comes, and the others let us wait.
    let line = Line::new(&nginx.host, move |path| {
        let is_late = path.contains("/packs/")
            && !free.load(Ordering::Relaxed)
            && count.fetch_add(1, Ordering::Relaxed) > 0;
        if is_late { Fault::Late(8000) } else { Fault::None }
    });
    let address = format!("http://{}/lab", line.host);
    let machine = Machine::new();
    let store = machine.store_dir();
    let packs: Vec<(String, u64)> = list(&cache.join("packs"))
        .iter()
        .map(|pack| {
            let name = pack.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::metadata(pack).unwrap().len())
        })
        .collect();
    let whole = |(name, size): &(String, u64)| {
        fs::metadata(store.join("partial").join(name)).is_ok_and(|partial| partial.len() == *size)
    };
    let came = || {
        let all_are_asked_for = line.asked_for("packs") == packs.len();
        all_are_asked_for && (files(&store.join("blobs")) > 300 || packs.iter().any(whole))
    };
    assert!(killed(&mut machine.pull(&address, &[]), came));
    machine.is_sound();
    hurry.store(true, Ordering::Relaxed);
    machine.pulls(&address);
    let asked = line.asked_for("packs") - packs.len();
    assert_eq!(asked, packs.len() - 1, "what came does not come again");
    machine.has_the_image();
}

#[test]
fn many_pull_the_same_into_one_store_at_once() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    machine.origin.copy_of_cache(&cache);
    let mut commands: Vec<Command> =
        (0..4).map(|_| machine.pull(cache.to_str().unwrap(), &[])).collect();
    let children: Vec<Child> = commands
        .iter_mut()
        .map(|command| command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    for child in children {
        json(&Ran::of(child.wait_with_output().unwrap()).good());
    }
    machine.has_the_image();
}
