//! A root of containerd as it is on disk, with all that differs from one run to the next taken out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use vsbuild::formats::bolt::{Bucket, Database, Item, read};
use walkdir::WalkDir;

use crate::workbench::{sha256, xattrs};

/// What 1.7 makes whenever it starts: a number of its own, and room for a snapshotter that guests don't have.
const STARTED: [&str; 2] =
    ["io.containerd.grpc.v1.introspection", "io.containerd.snapshotter.v1.blockfile"];

/// Every path below `dir`, with what it is: kind and mode, owner, device, content or target, attributes,
/// and for files the time.
pub fn listing(dir: &Path) -> BTreeSet<String> {
    let left_out = STARTED.into_iter().chain(["lost+found"]).map(|name| dir.join(name));
    let left_out: Vec<PathBuf> = left_out.collect();
    let all = WalkDir::new(dir).sort_by_file_name().into_iter().map(Result::unwrap);
    let own = all.filter(|entry| !left_out.iter().any(|name| entry.path().starts_with(name)));
    let described = own.map(|entry| {
        let path = entry.path();
        let meta = fs::symlink_metadata(path).unwrap();
        let mut text = format!("{:o} {}:{} {}", meta.mode(), meta.uid(), meta.gid(), meta.rdev());
        if meta.is_symlink() {
            text += &format!(" -> {}", fs::read_link(path).unwrap().display());
        } else if meta.is_file() {
            text += &format!(" {} {} links, {}", sha256(path), meta.nlink(), meta.mtime());
        }
        for (name, value) in xattrs(path) {
            text += &format!(" {}={}", name.escape_ascii(), value.escape_ascii());
        }
        let below = path.strip_prefix(dir).unwrap().as_os_str().as_bytes();
        format!("{}: {text}", below.escape_ascii())
    });
    described.collect()
}

/// The lines that only one side has: `-` for the first, `+` for the second.
pub fn differences(first: &BTreeSet<String>, second: &BTreeSet<String>) -> Vec<String> {
    let gone = first.difference(second).map(|line| format!("- {line}"));
    gone.chain(second.difference(first).map(|line| format!("+ {line}"))).collect()
}

/// What a root holds, by names that do not depend on the order in which things came: paths, snapshots by chain id, and what
/// its databases say.
pub fn seen(root: &Path) -> BTreeSet<String> {
    let open = |at: &str| read(&fs::read(root.join(at)).unwrap()).unwrap();
    let metadata = open("io.containerd.metadata.v1.bolt/meta.db");
    let snapshotter = open("io.containerd.snapshotter.v1.overlayfs/metadata.db");
    let numbers = numbers(&snapshotter);
    let mut lines = BTreeSet::new();
    for line in listing(root) {
        let (path, text) = line.split_once(": ").unwrap();
        let in_snapshot = path
            .strip_prefix("io.containerd.snapshotter.v1.overlayfs/snapshots/")
            .map(|rest| rest.split_once('/').unwrap_or((rest, "")));
        if let Some((number, below)) = in_snapshot {
            lines.insert(format!("{}: {below}: {text}", numbers[number]));
        } else if path.starts_with("io.containerd.content") && text.starts_with("100") {
            // The time of a blob is when it came.
            lines.insert(format!("{path}: {}", text.rsplit_once(',').unwrap().0));
        } else if !path.ends_with(".db") {
            lines.insert(line);
        }
    }
    lines.extend(pairs(&metadata).into_iter().map(|line| format!("meta.db: {line}")));
    let inner = parents(&snapshotter, &numbers).into_iter();
    lines.extend(inner.map(|line| format!("metadata.db: {line}")));
    // These an image takes over from the index of the archive that it comes in, and ours come in none.
    lines.retain(|line| !line.contains("/annotations/"));
    lines
}

fn inner<'a>(database: &'a Database, name: &str) -> &'a Bucket {
    match &database.buckets[&b"v1"[..]].items[name.as_bytes()] {
        Item::Bucket(bucket) => bucket,
        Item::Value(_) => panic!("{name} is a value"),
    }
}

/// Chain id by the number of a snapshot.
fn numbers(snapshotter: &Database) -> BTreeMap<String, String> {
    let all = inner(snapshotter, "snapshots").items.iter();
    let numbers = all.map(|(name, item)| {
        let Item::Bucket(bucket) = item else { panic!("a snapshot is a bucket") };
        let [number @ 0..128] = bucket.value("id").unwrap() else { panic!("the number is small") };
        (number.to_string(), without_number(std::str::from_utf8(name).unwrap()))
    });
    numbers.collect()
}

/// The snapshotter's lines, its links from parents to children with chain ids for numbers.
fn parents(snapshotter: &Database, numbers: &BTreeMap<String, String>) -> Vec<String> {
    let mut rest = snapshotter.clone();
    let links = inner(snapshotter, "parents").items.keys().map(|key| {
        let [parent, 0, child] = **key else { panic!("{key:?} is no link") };
        format!("{} has {}", numbers[&parent.to_string()], numbers[&child.to_string()])
    });
    let mut all: Vec<String> = links.collect();
    rest.bucket("v1").items.remove(&b"parents"[..]);
    for item in rest.bucket("v1").bucket("snapshots").items.values_mut() {
        let Item::Bucket(bucket) = item else { panic!("a snapshot is a bucket") };
        bucket.put("id", "");
    }
    all.extend(pairs(&rest));
    all
}

/// Every key with its value, without times and numbers of snapshots.
fn pairs(database: &Database) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, bucket) in &database.buckets {
        walk(&name.escape_ascii().to_string(), bucket, &mut lines);
    }
    lines
}

fn walk(path: &str, bucket: &Bucket, lines: &mut Vec<String>) {
    lines.push(format!("{path}/"));
    for (key, item) in &bucket.items {
        let key = without_number(&key.escape_ascii().to_string());
        match item {
            Item::Bucket(child) => walk(&format!("{path}/{key}"), child, lines),
            Item::Value(_) if key.ends_with("edat") => lines.push(format!("{path}/{key}")),
            Item::Value(value) => {
                let value = without_number(&value.escape_ascii().to_string());
                lines.push(format!("{path}/{key} = {value}"));
            }
        }
    }
}

/// `default/sha256:…` for `default/7/sha256:…`.
fn without_number(name: &str) -> String {
    let parts: Vec<&str> = name.splitn(3, '/').collect();
    match parts[..] {
        [namespace, _, chain] if chain.starts_with("sha256:") => format!("{namespace}/{chain}"),
        _ => name.to_owned(),
    }
}
