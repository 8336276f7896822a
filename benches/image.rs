//! All of a root file system and a disk, beside mmdebstrap and mke2fs, in one run.
//!
//! Both begin with all packages at hand and end with an ext4 image of the same packages: vsbuild with a store that has
//! only the packages, mmdebstrap with a warm package cache. mmdebstrap reads the archive's indexes too, which vsbuild
//! never does in a build; that is part of what is compared. The program must be run where apt's mirrors work.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench is a program for a person")]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The packages of both.
const PACKAGES: [&str; 6] =
    ["busybox-static", "containerd", "iproute2", "python3", "python3-grpcio", "runc"];
const ROUNDS: usize = 3;

/// A project whose kernel is two empty files, so that all there is to do is the root file system and its disk.
const FILES: [(&str, &str); 6] = [
    ("vsbuild.toml", "shipped = false\n"),
    (
        "recipes/tools.toml",
        "kind = \"packages\"\ninclude = [\"busybox-static\"]\n\
         [links]\n\"/usr/bin/sh\" = \"busybox\"\n\"/usr/bin/touch\" = \"busybox\"\n",
    ),
    ("kernels/build.sh", "touch $out/vmlinux $out/bzImage\n"),
    (
        "kernels/none.toml",
        "kind = \"kernel\"\nsource = { source = \"build.sh\" }\ntools = \"tools\"\nscript = \"build.sh\"\n",
    ),
    ("recipes/note.txt", "one\n"),
    (
        "recipes/bench.toml",
        "kind = \"image\"\nkernel = \"none\"\ncmdline = \"quiet\"\ndisk.free = \"32M\"\n[rootfs]\n\
         packages = [\"busybox-static\", \"containerd\", \"iproute2\", \"python3\", \"python3-grpcio\", \"runc\"]\n\
         [rootfs.files]\n\"/etc/note\" = { source = \"note.txt\" }\n",
    ),
];

fn main() {
    let dir =
        tempfile::Builder::new().prefix("vsbuild-bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let dir = dir.unwrap();
    let (project, store) = (dir.path().join("project"), dir.path().join("store"));
    for (path, text) in FILES {
        let path = project.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let in_store = |store: &Path, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vsbuild"));
        command.arg("--quiet").args(args).current_dir(&project).env("VSBUILD_STORE", store);
        command
    };
    let vsbuild = |args: &[&str]| in_store(&store, args);
    timed(&mut vsbuild(&["lock"]));
    timed(&mut vsbuild(&["image", "bench"]));
    let mut own = Vec::new();
    for round in 0..ROUNDS {
        let fresh = dir.path().join(format!("store-{round}"));
        only_packages(&project, &store, &fresh);
        timed(&mut in_store(&fresh, &["build", "none"]));
        let out = dir.path().join(format!("out-{round}"));
        own.push(timed(in_store(&fresh, &["image", "bench", "--out"]).arg(out)));
    }
    let unchanged = (0..5).map(|_| timed(&mut vsbuild(&["image", "bench"]))).min().unwrap();
    let changed = (0..5).map(|round| {
        fs::write(project.join("recipes/note.txt"), format!("changed {round}\n")).unwrap();
        timed(&mut vsbuild(&["image", "bench"]))
    });
    let changed = changed.min().unwrap();
    let own = own.into_iter().min().unwrap();
    let (mmdebstrap, mke2fs) = peer(dir.path());
    let both = mmdebstrap + mke2fs;
    let row = |what: &str, time: Duration| println!("{what:58} {:>8.3} s", time.as_secs_f64());
    row("vsbuild: packages to disk, best of three", own);
    row("mmdebstrap --variant=extract, warm cache", mmdebstrap);
    row("mke2fs -d", mke2fs);
    println!("{:58} {:>8.1}", "times as fast", both.as_secs_f64() / own.as_secs_f64());
    row("vsbuild: nothing changed, best of five", unchanged);
    row("vsbuild: one file of the recipe changed, best of five", changed);
}

fn timed(command: &mut Command) -> Duration {
    let begin = Instant::now();
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
    begin.elapsed()
}

/// A new store with nothing in it but the packages of the lockfile. Nothing is deleted for it: ext4 passes over inodes that
/// were freed just now, which would slow down the one that is measured next.
fn only_packages(project: &Path, store: &Path, fresh: &Path) {
    let lockfile = fs::read_to_string(project.join("lockfile.toml")).unwrap();
    let is_digest =
        |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    for package in lockfile.split('"').filter(is_digest) {
        let place = Path::new("blobs").join(&package[..2]).join(package);
        // Indexes and suites are named by digest as well, and are in no store.
        if store.join(&place).exists() {
            fs::create_dir_all(fresh.join(&place).parent().unwrap()).unwrap();
            fs::hard_link(store.join(&place), fresh.join(&place)).unwrap();
        }
    }
    fs::copy(store.join("format"), fresh.join("format")).unwrap();
}

/// mmdebstrap and mke2fs, the second round of each, when all packages are in the cache.
fn peer(dir: &Path) -> (Duration, Duration) {
    let (cache, root, image) = (dir.join("cache"), dir.join("root"), dir.join("peer.img"));
    fs::create_dir_all(&cache).unwrap();
    let include = format!("--include={}", PACKAGES.join(","));
    let archives = "\"$1\"/var/cache/apt/archives";
    let warm =
        format!("--setup-hook=mkdir -p {archives} && cp -a {}/. {archives}/", cache.display());
    let keep = format!("--customize-hook=cp -a {archives}/*.deb {}/", cache.display());
    let mut times = Vec::new();
    for hook in [&keep, &warm] {
        // A directory that is there already may only be empty.
        let _ = fs::remove_dir_all(&root);
        let mut command = Command::new("mmdebstrap");
        command.args([
            "--quiet",
            "--variant=extract",
            "--skip=cleanup/apt,download/empty",
            &include,
        ]);
        times.push(timed(command.arg(hook).arg("bookworm").arg(&root)));
    }
    let mut command = Command::new("mke2fs");
    command.args(["-q", "-F", "-t", "ext4", "-b", "4096", "-d"]).arg(&root).arg(&image).arg("600M");
    (times[1], timed(&mut command))
}
