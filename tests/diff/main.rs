//! `vsbuild diff`: two images, disks, directories, lockfiles and files, with e2fsprogs, diff and binutils as judges.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "../common/mod.rs"]
mod common;
mod damaged;
mod foreign;
mod ours;
mod partitions;

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use common::{Ran, TestEnv};
use serde_json::Value;

/// A directory to make disks and trees in.
struct Bench {
    env: TestEnv,
}

impl Bench {
    fn new() -> Self {
        Self { env: TestEnv::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.env.path().join(name)
    }

    /// A directory with text files.
    fn tree(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let dir = self.path(name);
        for (path, text) in files {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        }
        // As mke2fs makes the root, whatever the umask of this test is.
        fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).unwrap();
        dir
    }

    /// A file system with what is in a directory, as e2fsprogs make it; the same directory gives the same one.
    fn disk(&self, name: &str, dir: &Path, more: &[&str]) -> PathBuf {
        let image = self.path(name);
        let mut args = vec!["-q", "-d", dir.to_str().unwrap(), "-U", UUID, "-E", SEED];
        if !more.contains(&"-t") {
            args.extend(["-t", "ext4"]);
        }
        args.extend(more);
        args.extend([image.to_str().unwrap(), "8M"]);
        run("mke2fs", &args);
        image
    }

    fn diff(&self, a: impl AsRef<OsStr>, b: impl AsRef<OsStr>, more: &[&str]) -> Ran {
        let mut command = self.env.command(&["diff"]);
        Ran::of(command.args([a.as_ref(), b.as_ref()]).args(more).output().unwrap())
    }

    /// What differs, for a program.
    #[track_caller]
    fn report(&self, a: impl AsRef<OsStr>, b: impl AsRef<OsStr>, more: &[&str]) -> Value {
        let ran = self.diff(a, b, &[&["--json"], more].concat());
        let report = json(&ran.stdout);
        let expected = if report["same"] == true { 0 } else { 4 };
        assert_eq!(ran.code, Some(expected), "{}", ran.stderr);
        report
    }
}

const UUID: &str = "6b1c0e8e-7f0e-4d2c-9b5e-0123456789ab";
/// The root belongs to whoever runs the test, as all else does.
const SEED: &str = "hash_seed=6b1c0e8e-7f0e-4d2c-9b5e-0123456789ab,root_owner";

#[track_caller]
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Runs a program, which must end well, and gives what it printed.
#[track_caller]
fn run(program: &str, args: &[&str]) -> String {
    let path = "/usr/bin:/bin:/usr/sbin:/sbin";
    let output = Command::new(program).args(args).env("LC_ALL", "C").env("PATH", path).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {text}{:?}", output.stderr);
    text
}

/// Writes bytes into a file.
fn poke(file: &Path, at: u64, bytes: &[u8]) {
    fs::OpenOptions::new().write(true).open(file).unwrap().write_all_at(bytes, at).unwrap();
}

/// The entries of a list in which a key has this value.
fn with<'v>(list: &'v Value, key: &str, value: &str) -> Vec<&'v Value> {
    list.as_array().unwrap().iter().filter(|it| it[key] == value).collect()
}

/// The values of a key in a list.
fn all<'v>(list: &'v Value, key: &str) -> Vec<&'v str> {
    list.as_array().unwrap().iter().filter_map(|it| it[key].as_str()).collect()
}
