//! Whose a file is: the image's own, or a container's, whose files lie in containerd's snapshots under numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::lint::{Error, Subject, read};
use crate::{
    formats::bolt::{self, Bucket, Item},
    path::GuestPath,
};

/// Where containerd has the files of images, a directory for each layer.
const SNAPSHOTS: &str = "var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots";
/// What the snapshotter knows of them (containerd's snapshots/storage/bolt.go).
const DATABASE: &str = "var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/metadata.db";
/// Where the guest has which container begins with which snapshot.
const FUNCTIONS: &str = "etc/vsbuild/functions";

/// Which containers have which layers.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// Containers by a layer's number.
    layers: BTreeMap<u64, BTreeSet<String>>,
    /// Containers that each needs.
    needs: BTreeMap<String, Vec<String>>,
}

/// A file as those call it who have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Containers that have it; none if it is the image's own.
    pub(super) containers: Vec<String>,
    /// Its path in them, or in the image.
    pub(super) path: String,
}

impl Owners {
    /// Reads what the guest and containerd know. An image without containers has no owners, and where containerd's state
    /// cannot be read, files go by their paths.
    pub(super) fn read(subject: &Subject<'_>) -> Result<Self, Error> {
        let file = |path: &str| -> Result<Option<Vec<u8>>, Error> {
            let path = GuestPath::lenient(path).unwrap_or_default();
            subject.rootfs.content(&path).map(|it| read(subject, &it.digest)).transpose()
        };
        let Some(parents) = file(DATABASE)?.and_then(|bytes| parents(&bytes)) else {
            return Ok(Self::default());
        };
        let dir = GuestPath::lenient(FUNCTIONS).unwrap_or_default();
        let mut owners = Self::default();
        for (path, _) in subject.rootfs.iter().filter(|(path, _)| path.is_within(&dir)) {
            let name = path.file_name().and_then(|name| name.strip_suffix(b".conf"));
            let (Some(name), Some(content)) = (name, subject.rootfs.content(path)) else {
                continue;
            };
            let name = String::from_utf8_lossy(name).into_owned();
            let text = read(subject, &content.digest)?;
            let text = String::from_utf8_lossy(&text);
            let needs = text.lines().filter_map(|line| line.strip_prefix("needs "));
            owners.needs.insert(name.clone(), needs.map(str::to_owned).collect());
            let mut next = text.lines().find_map(|line| line.strip_prefix("snapshot "));
            while let Some((number, parent)) = next.and_then(|chain| parents.get(chain)) {
                // A damaged database may turn in a circle.
                if !owners.layers.entry(*number).or_default().insert(name.clone()) {
                    break;
                }
                next = parent.as_deref();
            }
        }
        Ok(owners)
    }

    /// A container, and all that are started before it.
    pub(super) fn with_needs<'o>(&'o self, name: &'o str) -> BTreeSet<&'o str> {
        let mut all = BTreeSet::new();
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            if all.insert(name) {
                open.extend(self.needs.get(name).into_iter().flatten().map(String::as_str));
            }
        }
        all
    }

    /// A file by the containers that have it.
    pub(super) fn place(&self, path: &GuestPath) -> Place {
        let whole = || Place { containers: Vec::new(), path: path.to_string() };
        let snapshots = GuestPath::lenient(SNAPSHOTS).unwrap_or_default();
        let Some(below) = path.below(&snapshots) else { return whole() };
        let text = below.to_string();
        let mut parts = text.trim_start_matches('/').splitn(3, '/');
        let (Some(number), Some("fs"), Some(inside)) = (parts.next(), parts.next(), parts.next())
        else {
            return whole();
        };
        let owners = number.parse().ok().and_then(|number| self.layers.get(&number));
        owners.map_or_else(whole, |owners| Place {
            containers: owners.iter().cloned().collect(),
            path: format!("/{inside}"),
        })
    }
}

impl Place {
    /// For a person: `fibonacci-go: /app/server`; a path of the image itself as it is.
    pub(super) fn text(&self) -> String {
        match self.containers.as_slice() {
            [] => self.path.clone(),
            containers => format!("{}: {}", containers.join(", "), self.path),
        }
    }
}

/// Each snapshot's number and the one that it stands on, by chain id.
fn parents(bytes: &[u8]) -> Option<BTreeMap<String, (u64, Option<String>)>> {
    let mut database = bolt::read(bytes).ok()?;
    let mut schema = database.buckets.remove(&b"v1"[..])?;
    let Some(Item::Bucket(all)) = schema.items.remove(&b"snapshots"[..]) else { return None };
    let chain = |name: &[u8]| {
        // NAMESPACE/NUMBER/CHAIN
        let text = String::from_utf8_lossy(name);
        text.splitn(3, '/').nth(2).map(str::to_owned)
    };
    let snapshots = all.items.iter().filter_map(|(name, item)| {
        let Item::Bucket(snapshot) = item else { return None };
        let parent = snapshot.value("parent").and_then(chain);
        Some((chain(name)?, (number(snapshot)?, parent)))
    });
    Some(snapshots.collect())
}

/// Go's `binary.PutUvarint`.
fn number(snapshot: &Bucket) -> Option<u64> {
    let bytes = snapshot.value("id")?;
    (bytes.len() < 9)
        .then(|| bytes.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f)))
}
