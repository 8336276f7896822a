//! What ships, on real input: real packages, a kernel built from source, disks that boot, the same bytes twice.
//!
//! The first test that runs builds the kernel, which takes some minutes; the store is in Cargo's target directory, so a
//! fresh clone begins with an empty one.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "../common/mod.rs"]
mod common;
mod conformance;
mod functions;
mod hello;
#[path = "../common/nginx.rs"]
mod server_of_files;
mod sharing;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::Instant,
};

use common::Ran;

/// Says on the test's output that it checked nothing.
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// Where the store, the images and the records of runs are.
fn dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("shipped")
}

/// vsbuild in this repository, with the mirrors of the host.
fn vsbuild() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vsbuild"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("VSBUILD_STORE", dir().join("store"));
    command
}

fn run(args: &[&str]) -> Ran {
    Ran::of(vsbuild().args(args).output().unwrap())
}

/// More steps than this are made only where nothing was there before.
const FROM_SOURCE: u64 = 100;

/// The file that says how long it took to make an image where nothing was there before.
fn source_seconds(name: &str) -> PathBuf {
    dir().join(format!("{name}.seconds"))
}

/// The directory of an image, built once.
fn image(name: &'static str) -> &'static Path {
    static MADE: Mutex<Vec<(&str, &Path)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap();
    if let Some((_, path)) = made.iter().find(|(known, _)| *known == name) {
        return path;
    }
    let out = dir().join("out");
    let begun = Instant::now();
    let text = run(&["image", name, "--json", "--out", out.to_str().unwrap()]).good();
    let result: serde_json::Value = serde_json::from_str(&text).unwrap();
    if result["made"].as_u64().unwrap() > FROM_SOURCE {
        fs::write(source_seconds(name), begun.elapsed().as_secs().to_string()).unwrap();
    }
    let path: &Path = Box::leak(out.join(name).into_boxed_path());
    made.push((name, path));
    path
}

fn sha256(path: &Path) -> String {
    let ran = Ran::of(Command::new("sha256sum").arg(path).output().unwrap()).good();
    ran.split(' ').next().unwrap().to_owned()
}

fn the_lockfile_has_the_hashes_of(name: &'static str) {
    let lockfile: toml::Table =
        toml::from_str(&fs::read_to_string("lockfile.toml").unwrap()).unwrap();
    for file in ["disk.img", "vmlinux", "bzImage", "manifest.json"] {
        let expected = lockfile["outputs"][name][file].as_str().unwrap();
        assert_eq!(sha256(&image(name).join(file)), expected, "{file}");
    }
}
