//! How long a database of containerd's takes, beside bbolt with the same pairs.
//!
//! `cargo bench --bench bolt`; the comparison takes golang-go and golang-github-coreos-bbolt-dev.

#![allow(clippy::unwrap_used, reason = "a measurement that fails says why")]
#![allow(clippy::print_stdout, reason = "it prints what it measured")]
#![allow(unreachable_pub, dead_code, reason = "the module is another program's too")]

#[path = "../tests/containerd/oracle.rs"]
mod oracle;

use std::{
    fs,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use vsbuild::formats::bolt::{Database, write};

fn main() {
    println!(
        "{:<16} {:>9} {:>10} {:>9} {:>10} {:>7}  target",
        "blobs", "vsbuild", "file", "bbolt", "file", "ratio"
    );
    for count in [1_000, 20_000, 200_000] {
        compare(count);
    }
}

fn compare(count: u32) {
    let dir = TempDir::with_prefix("vsbuild-bench-").unwrap();
    let file = dir.path().join("own");
    // The pairs are made within the time, as they are for bbolt.
    let own =
        (0..5).map(|_| timed(|| fs::write(&file, write(&blobs(count)).unwrap()).unwrap())).min();
    let own = own.unwrap();
    let size = fs::metadata(&file).unwrap().len();
    let peer = oracle::oracle().map(|program| {
        let file = dir.path().join("peer");
        let insert = || {
            let _ = fs::remove_file(&file);
            let output = oracle::run(program, "insert", &file, Some(count));
            let text = String::from_utf8(output.stdout).unwrap();
            Duration::from_nanos(text.trim().parse().unwrap())
        };
        let time = (0..3).map(|_| insert()).min().unwrap();
        let found = oracle::run(program, "check", &file, None).stdout;
        assert!(String::from_utf8(found).unwrap() == oracle::pairs(&blobs(count)), "other pairs");
        (time, fs::metadata(&file).unwrap().len())
    });
    if peer.is_none() {
        println!(
            "SKIPPED: comparing with bbolt takes golang-go and golang-github-coreos-bbolt-dev"
        );
    }
    let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
    let kib = |bytes: u64| format!("{} KiB", bytes / 1024);
    let ratio = peer
        .map_or("-".into(), |(time, _)| format!("1/{:.1}", time.as_secs_f64() / own.as_secs_f64()));
    println!(
        "{count:<16} {:>9} {:>10} {:>9} {:>10} {ratio:>7}  {}",
        seconds(own),
        kib(size),
        peer.map_or("-".into(), |(time, _)| seconds(time)),
        peer.map_or("-".into(), |(_, size)| kib(size)),
        if count == 20_000 { "1.000 s" } else { "" }
    );
}

/// What bolt.go inserts.
fn blobs(count: u32) -> Database {
    let mut database = Database::default();
    let all = database.bucket("v1").bucket("default").bucket("content").bucket("blob");
    let stamp = [1, 0, 0, 0, 14, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255];
    for index in 0..count {
        let number = u64::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let digest = format!("sha256:{number:064x}");
        let blob = all.bucket(&digest);
        blob.put("createdat", stamp);
        blob.put("updatedat", stamp);
        blob.put("size", [128, 8]);
        blob.bucket("labels").put("containerd.io/uncompressed", &digest);
    }
    database
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
