//! containerd's two databases: metadata/buckets.go for what it knows, snapshots/storage/bolt.go for what the snapshotter
//! knows. The schema is version 1.3 (metadata/db.go), the same in containerd 1.2 to 1.7.

use std::collections::BTreeMap;

use super::{chain::Snapshot, usage::usage};
use crate::{
    digest::Digest,
    formats::{
        bolt::{Bucket, Database},
        oci::manifest::MANIFEST,
    },
    tree::Time,
};

const SCHEMA: &str = "v1";
const MINOR_VERSION: i64 = 3;
pub(super) const SNAPSHOTTER: &str = "overlayfs";
const COMMITTED: u8 = 3;
/// Seconds from the beginning of year 1, whence Go counts, to 1970.
const YEAR_1: i64 = 62_135_596_800;

/// A blob of the content store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blob {
    /// In bytes.
    pub size: u64,
    pub labels: BTreeMap<String, String>,
}

/// All that `meta.db` says.
pub(super) struct Metadata<'a> {
    pub namespace: &'a str,
    /// Digest and size of the manifest of each image, by its name.
    pub images: BTreeMap<&'a str, (Digest, u64)>,
    pub blobs: BTreeMap<Digest, Blob>,
    pub snapshots: &'a [Snapshot<'a>],
    pub epoch: Time,
}

impl Metadata<'_> {
    /// `io.containerd.metadata.v1.bolt/meta.db`.
    pub(super) fn database(&self) -> Database {
        let mut database = Database::default();
        let schema = database.bucket(SCHEMA);
        schema.put("version", varint(MINOR_VERSION));
        let namespace = schema.bucket(self.namespace);
        // Both are there, and empty, once anything was imported.
        namespace.bucket("content").bucket("ingests");
        namespace.bucket("leases");
        let blobs = namespace.bucket("content").bucket("blob");
        for (digest, blob) in &self.blobs {
            let bucket = blobs.bucket(named(digest));
            self.stamp(bucket);
            bucket.put("size", size(blob.size));
            for (key, value) in &blob.labels {
                bucket.bucket("labels").put(key, value);
            }
        }
        let images = namespace.bucket("images");
        for (name, (digest, length)) in &self.images {
            let bucket = images.bucket(name);
            self.stamp(bucket);
            let target = bucket.bucket("target");
            target.put("digest", named(digest));
            target.put("mediatype", MANIFEST);
            target.put("size", size(*length));
        }
        self.snapshots(namespace.bucket("snapshots").bucket(SNAPSHOTTER));
        database
    }

    fn snapshots(&self, all: &mut Bucket) {
        all.sequence = self.snapshots.len() as u64;
        for snapshot in self.snapshots {
            let bucket = all.bucket(named(&snapshot.chain));
            self.stamp(bucket);
            bucket.put("name", self.inner_name(snapshot.id, &snapshot.chain));
            if let Some(parent) = &snapshot.parent {
                bucket.put("parent", named(parent));
                all.bucket(named(parent)).bucket("children").put(named(&snapshot.chain), "");
            }
        }
    }

    /// `io.containerd.snapshotter.v1.overlayfs/metadata.db`.
    pub(super) fn snapshotter(&self) -> Database {
        let ids: BTreeMap<Digest, u64> =
            self.snapshots.iter().map(|snapshot| (snapshot.chain, snapshot.id)).collect();
        let mut database = Database::default();
        let schema = database.bucket(SCHEMA);
        schema.bucket("parents");
        let all = schema.bucket("snapshots");
        // The snapshotter numbers the next snapshot after this.
        all.sequence = self.snapshots.len() as u64;
        for snapshot in self.snapshots {
            let name = self.inner_name(snapshot.id, &snapshot.chain);
            let usage = usage(snapshot.tree);
            let bucket = schema.bucket("snapshots").bucket(&name);
            self.stamp(bucket);
            bucket.put("id", unsigned(snapshot.id));
            bucket.put("kind", [COMMITTED]);
            bucket.put("inodes", size(usage.inodes));
            bucket.put("size", size(usage.size));
            if let Some((parent, id)) = snapshot.parent.and_then(|it| Some((it, *ids.get(&it)?))) {
                bucket.put("parent", self.inner_name(id, &parent));
                let link = [unsigned(id), vec![0], unsigned(snapshot.id)].concat();
                schema.bucket("parents").put(link, name);
            }
        }
        database
    }

    /// How the snapshotter, which knows no namespaces, calls a snapshot.
    fn inner_name(&self, id: u64, chain: &Digest) -> String {
        format!("{}/{id}/{}", self.namespace, named(chain))
    }

    fn stamp(&self, bucket: &mut Bucket) {
        bucket.put("createdat", time(self.epoch));
        bucket.put("updatedat", time(self.epoch));
    }
}

pub(super) fn named(digest: &Digest) -> String {
    format!("sha256:{digest}")
}

/// Go's `time.Time.MarshalBinary`, version 1, in UTC.
fn time(time: Time) -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend(time.seconds.saturating_add(YEAR_1).to_be_bytes());
    bytes.extend(time.nanos.to_be_bytes());
    bytes.extend((-1i16).to_be_bytes());
    bytes
}

fn size(number: u64) -> Vec<u8> {
    varint(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Go's `binary.PutVarint`: zig-zag.
fn varint(number: i64) -> Vec<u8> {
    unsigned(((number << 1) ^ (number >> 63)) as u64)
}

/// Go's `binary.PutUvarint`: seven bits a byte, the lowest first.
fn unsigned(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_as_go_writes_them() {
        let numbers = [0, 1, -1, 63, 64, 300, i64::MAX].map(varint);
        let max = [&[0xfe][..], &[0xff; 8], &[1]].concat();
        assert_eq!(numbers[..3], [[0], [2], [1]]);
        assert_eq!(numbers[3..], [vec![126], vec![128, 1], vec![0xd8, 4], max]);
        // time.Date(2025, 1, 1, 0, 0, 0, 5, time.UTC).MarshalBinary()
        let expected = [1, 0, 0, 0, 14, 223, 6, 124, 128, 0, 0, 0, 5, 255, 255];
        assert_eq!(time(Time { seconds: 1_735_689_600, nanos: 5 }), expected);
    }
}
