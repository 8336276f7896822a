//! Go's bbolt as a program, see bolt.go. It is built once in a run, with what Debian packages and without the network.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use vsbuild::formats::bolt::{Bucket, Database, Item};

/// The program; none where Go or bbolt's source is missing.
pub fn oracle() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    if !Path::new("/usr/share/gocode/src/go.etcd.io/bbolt").exists() {
        return None;
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bbolt");
    fs::create_dir_all(&dir).unwrap();
    let program = dir.join("bolt");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/containerd/oracle/bolt.go"))
        .env("GOPATH", "/usr/share/gocode")
        .env("GO111MODULE", "off")
        .env("GOCACHE", dir.join("cache"))
        .output()
        .ok()?;
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(program)
}

/// Runs it.
pub fn run(program: &Path, command: &str, file: &Path, count: Option<u32>) -> Output {
    let mut call = Command::new(program);
    call.arg(command).arg(file).args(count.map(|count| count.to_string()));
    call.output().unwrap()
}

/// All pairs as the program prints them.
pub fn pairs(database: &Database) -> String {
    let mut lines = String::new();
    for (key, bucket) in &database.buckets {
        walk(&format!("{}/", hex(key)), bucket, &mut lines);
    }
    lines
}

fn walk(path: &str, bucket: &Bucket, lines: &mut String) {
    lines.push_str(&format!("{path} {}\n", bucket.sequence));
    for (key, item) in &bucket.items {
        let inner = format!("{path}{}", hex(key));
        match item {
            Item::Bucket(child) => walk(&format!("{inner}/"), child, lines),
            Item::Value(value) => lines.push_str(&format!("{inner} {}\n", hex(value))),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
