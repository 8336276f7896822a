//! `hello` for somebody who has a cache and nothing else.

#![allow(clippy::print_stderr, reason = "figures are for who runs it")]

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use vsbuild::store::Store;
use walkdir::WalkDir;

use crate::{
    Ran,
    common::sharing::{key, said, send},
    dir, image,
    server_of_files::Nginx,
    sha256, source_seconds, vsbuild,
};

/// Makes `hello` with an empty store, no mirror and this cache; gives how long it took.
fn take_hello(cache: &str, elsewhere: &Path) -> Duration {
    let key = key("shipped").public().to_string();
    let (store, out) = (elsewhere.join("store"), elsewhere.join("out"));
    let mut command = vsbuild();
    command
        .args(["image", "hello", "--json", "--substituter", cache, "--trusted-key", &key, "--out"])
        .arg(&out)
        .env("VSBUILD_STORE", &store)
        .env("VSBUILD_MIRROR_DEBIAN", "file:///nonexistent");
    let begun = Instant::now();
    let text = Ran::of(command.output().unwrap()).good();
    let took = begun.elapsed();
    let result: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&result["made"], &result["substituted"]), (&0.into(), &2.into()), "{result}");
    let logs = WalkDir::new(store.join("logs")).into_iter();
    assert!(logs.flatten().all(|entry| !entry.file_type().is_file()), "a script was run");
    for file in ["disk.img", "vmlinux", "bzImage", "manifest.json"] {
        assert_eq!(sha256(&out.join("hello").join(file)), sha256(&image("hello").join(file)));
    }
    took
}

#[test]
fn hello_is_made_of_a_cache_without_compiling_anything() {
    image("hello");
    // The store's own file system may be short of room.
    let place = TempDir::with_prefix_in("sharing-", dir()).unwrap();
    let cache = place.path().join("cache");
    let store = Store::open(&dir().join("store")).unwrap();
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let begun = Instant::now();
    send(project, &store, "hello", &cache, |stated| vec![said(stated, &key("shipped"))]);
    let pushed = begun.elapsed();
    let fresh = |name: &str| {
        let dir = place.path().join(name);
        fs::create_dir(&dir).unwrap();
        dir
    };
    let directory = take_hello(cache.to_str().unwrap(), &fresh("directory"));
    // A web server that knows nothing of caches.
    let Some(nginx) = Nginx::start("") else { return };
    let copied = Command::new("cp").arg("-a").arg(&cache).arg(nginx.root()).status().unwrap();
    assert!(copied.success());
    let web = take_hello(&format!("http://{}/cache", nginx.host), &fresh("web"));
    let source = match fs::read_to_string(source_seconds("hello")) {
        Ok(seconds) => format!("{seconds} s"),
        Err(_) => "not measured, since it was there".to_owned(),
    };
    eprintln!(
        "hello: pushed in {:.1} s; made from a directory in {:.1} s, from nginx in {:.1} s, from source in {source}",
        pushed.as_secs_f64(),
        directory.as_secs_f64(),
        web.as_secs_f64(),
    );
}
