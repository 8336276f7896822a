//! Which Debian packages a tree has, by dpkg's own record of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use super::{report::Change, volume::Volume};
use crate::{formats::deb::control::Paragraphs, path::GuestPath, store::Store, tree::Content};

/// The record of a whole system, and the directory with one for each package, where images have no dpkg.
const STATUS: &str = "var/lib/dpkg/status";
const STATUS_DIRECTORY: &str = "var/lib/dpkg/status.d";
/// The most bytes that a record may have.
const RECORD_MAX: u64 = 64 << 20;

/// Versions by `name:architecture`.
pub(super) type Packages = BTreeMap<String, String>;

/// Reads dpkg's records; a tree without them has no packages.
pub(super) fn read(volume: &Volume, store: &Store) -> io::Result<Packages> {
    let directory = GuestPath::new(STATUS_DIRECTORY).unwrap_or_default();
    let status = GuestPath::new(STATUS).unwrap_or_default();
    let within = |path: &GuestPath| {
        *path == status || path.is_within(&directory) && !path.as_bytes().ends_with(b".md5sums")
    };
    let records = volume.tree.iter().map(|(path, _)| path).filter(|path| within(path));
    let mut packages = Packages::new();
    for path in records {
        // Bytes of a hard link are read where the file has its first name.
        let Some((owner, content)) = file(volume, path) else { continue };
        if content.size > RECORD_MAX {
            return Err(io::Error::other(format!("{path} has more than {RECORD_MAX} bytes")));
        }
        let bytes = volume.bytes(store, owner, content, 0..RECORD_MAX)?;
        let text = String::from_utf8_lossy(&bytes);
        for paragraph in Paragraphs::new(&text) {
            let paragraph = paragraph.map_err(|bad| io::Error::other(format!("{path}: {bad}")))?;
            let field = |name| paragraph.get(name).unwrap_or_default();
            let there = paragraph.get("Status").is_none_or(|it| it.ends_with(" installed"));
            if there && !field("Package").is_empty() {
                let name = format!("{}:{}", field("Package"), field("Architecture"));
                packages.insert(name, field("Version").to_owned());
            }
        }
    }
    Ok(packages)
}

fn file<'v>(volume: &'v Volume, path: &'v GuestPath) -> Option<(&'v GuestPath, &'v Content)> {
    let owner = match volume.tree.get(path)? {
        crate::tree::Node::HardLink(owner) => owner,
        crate::tree::Node::Inode(_) => path,
    };
    Some((owner, volume.tree.content(owner)?))
}

/// Packages that one side does not have, or has in another version.
pub(super) fn compare(before: &Packages, after: &Packages) -> Vec<Change> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changes = names.into_iter().map(|name| Change {
        what: name.clone(),
        before: before.get(name).cloned(),
        after: after.get(name).cloned(),
    });
    changes.filter(|change| change.before != change.after).collect()
}
