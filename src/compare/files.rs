//! Two trees path by path.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use super::{
    Watch,
    bytes::hex,
    content::{Comparer, File},
    report::{Change, FileDiff},
    volume::Volume,
};
use crate::{
    path::GuestPath,
    tree::{Content, Inode, Kind, Meta, Node, Time, Tree},
};

/// What of files may be left out of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Permission bits.
    Mode,
    /// Owner and group.
    Owner,
    /// Times of the last change.
    Time,
    /// Extended attributes.
    Xattrs,
    /// Which names are one file.
    Links,
}

/// A path whose bytes differ, and why nothing more can be said of it.
pub(super) type Unread = (String, io::Error);

/// All paths that differ; those whose bytes could not be read for a closer look come besides.
pub(super) fn compare(
    a: &Volume,
    b: &Volume,
    ignore: &BTreeSet<Field>,
    comparer: &mut Comparer<'_>,
    watch: Watch<'_>,
) -> (Vec<FileDiff>, Vec<Unread>) {
    let mut paths: BTreeSet<&GuestPath> = a.tree.iter().map(|(path, _)| path).collect();
    paths.extend(b.tree.iter().map(|(path, _)| path));
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    let total = paths.len() as u64;
    for (index, path) in paths.into_iter().enumerate() {
        let (old, new) = (a.tree.get(path), b.tree.get(path));
        if old == new && !matches!(old, Some(Node::HardLink(_))) {
            continue;
        }
        watch("compare files", index as u64, total);
        let mut diff = match (old, new) {
            (Some(old), Some(new)) => changed(path, [old, new], [&a.tree, &b.tree], ignore),
            (Some(old), None) => alone(path, "removed", old),
            (None, Some(new)) => alone(path, "added", new),
            (None, None) => continue,
        };
        if let Some([before, after]) = contents(&a.tree, &b.tree, path)
            && before.digest != after.digest
        {
            let one = File { volume: a, path, content: before };
            let other = File { volume: b, path, content: after };
            match comparer.compare(one, other) {
                Ok(content) => diff.content = Some(content),
                Err(error) => {
                    diff.fields.push(Change::new("digest", before.digest, after.digest));
                    unread.push((path.to_string(), error));
                }
            }
        }
        let told = diff.change != "changed" || !diff.fields.is_empty() || diff.content.is_some();
        debug_assert!(told || old == new || !ignore.is_empty(), "{path} differs in nothing");
        if told {
            found.push(diff);
        }
    }
    (found, unread)
}

/// Both contents at a path; what two names of one file have in common is told at the first of them.
fn contents<'t>(a: &'t Tree, b: &'t Tree, path: &GuestPath) -> Option<[&'t Content; 2]> {
    if let (Some(Node::HardLink(old)), Some(Node::HardLink(new))) = (a.get(path), b.get(path))
        && old == new
    {
        return None;
    }
    Some([a.content(path)?, b.content(path)?])
}

/// A path that only one side has.
fn alone(path: &GuestPath, change: &'static str, node: &Node) -> FileDiff {
    let value = |text: String| match change {
        "added" => (None, Some(text)),
        _ => (Some(text), None),
    };
    let mut fields = Vec::new();
    let mut note = |what: &str, text: String| {
        let (before, after) = value(text);
        fields.push(Change { what: what.to_owned(), before, after });
    };
    match node {
        Node::HardLink(owner) => note("hard link to", owner.to_string()),
        Node::Inode(inode) => {
            note("mode", format!("{:04o}", inode.meta.mode));
            note("owner", owner(&inode.meta));
            facts(&inode.kind).into_iter().for_each(|(what, text)| note(what, text));
        }
    }
    let (path, kind) = (path.to_string(), kind(node));
    FileDiff { path, change, kind, fields, content: None }
}

fn changed(
    path: &GuestPath,
    [old, new]: [&Node; 2],
    [before, after]: [&Tree; 2],
    ignore: &BTreeSet<Field>,
) -> FileDiff {
    let mut fields = Vec::new();
    let owners = [old, new].map(|node| match node {
        Node::HardLink(owner) => Some(owner),
        Node::Inode(_) => None,
    });
    if owners[0] != owners[1] && !ignore.contains(&Field::Links) {
        let text = |owner: &GuestPath| owner.to_string();
        let none = || "none".to_owned();
        let [mut before, mut after] = owners.map(|owner| owner.map_or_else(none, text));
        if before == after {
            // Two paths may look alike where they are no UTF-8.
            let text = |owner: &GuestPath| format!("/{}", owner.as_bytes().escape_ascii());
            [before, after] = owners.map(|owner| owner.map_or_else(none, text));
        }
        fields.push(Change::new("hard link to", before, after));
    }
    // What two names of one file have in common is told at the first of them.
    let both = matches!((old, new), (Node::HardLink(old), Node::HardLink(new)) if old == new);
    if let (false, Some(old), Some(new)) = (both, before.inode(path), after.inode(path)) {
        inode(old, new, ignore, &mut fields);
    }
    FileDiff { path: path.to_string(), change: "changed", kind: kind(new), fields, content: None }
}

fn inode(old: &Inode, new: &Inode, ignore: &BTreeSet<Field>, fields: &mut Vec<Change>) {
    let mut note = |field: Option<Field>, what: &str, before: String, after: String| {
        if before != after && field.is_none_or(|field| !ignore.contains(&field)) {
            fields.push(Change::new(what, before, after));
        }
    };
    let kinds = [&old.kind, &new.kind].map(|it| kind_of(it).to_owned());
    let [before, after] = kinds;
    let same_kind = before == after;
    note(None, "kind", before, after);
    let mode = |inode: &Inode| format!("{:04o}", inode.meta.mode);
    note(Some(Field::Mode), "mode", mode(old), mode(new));
    note(Some(Field::Owner), "owner", owner(&old.meta), owner(&new.meta));
    note(Some(Field::Time), "time", time(old.meta.mtime), time(new.meta.mtime));
    if same_kind {
        let pairs = facts(&old.kind).into_iter().zip(facts(&new.kind));
        pairs.for_each(|((what, before), (_, after))| note(None, what, before, after));
    }
    if !ignore.contains(&Field::Xattrs) {
        xattrs(&old.meta.xattrs, &new.meta.xattrs, fields);
    }
}

type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

fn xattrs(old: &Xattrs, new: &Xattrs, fields: &mut Vec<Change>) {
    let names: BTreeSet<&[u8]> = old.keys().chain(new.keys()).map(|name| &**name).collect();
    for name in names {
        let values = [old, new].map(|all| all.get(name));
        if values[0] == values[1] {
            continue;
        }
        let [mut before, mut after] = values.map(|value| value.map(|value| shown(value)));
        if before == after {
            [before, after] = values.map(|value| value.map(|value| format!("0x{}", hex(value))));
        }
        fields.push(Change { what: format!("xattr {}", name.escape_ascii()), before, after });
    }
}

/// The value of an attribute: as text in quotes if it is that, else in hexadecimal.
fn shown(value: &[u8]) -> String {
    let text = value.strip_suffix(b"\0").unwrap_or(value);
    let plain = text.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    if plain { format!("\"{}\"", text.escape_ascii()) } else { format!("0x{}", hex(value)) }
}

/// What a kind of file has besides its metadata.
fn facts(kind: &Kind) -> Vec<(&'static str, String)> {
    match kind {
        Kind::File(content) => vec![("size", content.size.to_string())],
        Kind::Symlink(target) => vec![("target", target.escape_ascii().to_string())],
        Kind::CharDevice(device) | Kind::BlockDevice(device) => {
            vec![("device", format!("{}:{}", device.major, device.minor))]
        }
        Kind::Directory | Kind::Fifo | Kind::Socket => Vec::new(),
    }
}

fn owner(meta: &Meta) -> String {
    format!("{}:{}", meta.uid, meta.gid)
}

/// A time as GNU date takes it: `@1686355200`, `@0.5`.
fn time(Time { seconds, nanos }: Time) -> String {
    match nanos {
        0 => format!("@{seconds}"),
        _ => format!("@{seconds}.{nanos:09}"),
    }
}

fn kind(node: &Node) -> &'static str {
    match node {
        Node::HardLink(_) => "hard link",
        Node::Inode(inode) => kind_of(&inode.kind),
    }
}

fn kind_of(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory => "directory",
        Kind::File(_) => "file",
        Kind::Symlink(_) => "link",
        Kind::CharDevice(_) => "character device",
        Kind::BlockDevice(_) => "block device",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Draft;

    #[test]
    fn attributes_that_look_alike_are_told_by_their_bytes() {
        let with = |value: &[u8]| Xattrs::from([(b"user.note"[..].into(), value.into())]);
        let told = |old: &[u8], new: &[u8]| {
            let mut fields = Vec::new();
            xattrs(&with(old), &with(new), &mut fields);
            fields
        };
        assert_eq!(told(b"x", b"x\0"), [Change::new("xattr user.note", "0x78", "0x7800")]);
        assert_eq!(told(b"", b"\0"), [Change::new("xattr user.note", "0x", "0x00")]);
        assert_eq!(told(b"x", b"y\0"), [Change::new("xattr user.note", "\"x\"", "\"y\"")]);
        assert_eq!(told(b"x\0", b"x\0"), []);
    }

    #[test]
    fn links_to_paths_that_look_alike_are_not_the_same() {
        let path = |bytes: &[u8]| GuestPath::new(bytes).expect("a path");
        let paths = [path(b"a\xff"), path(b"a\\xff")];
        assert_eq!(paths[0].to_string(), paths[1].to_string());
        let nodes = paths.map(Node::HardLink);
        let draft = Draft::with_root(Meta::root_owned(0o755, Time::default()));
        let tree = draft.finish().expect("a root is a tree");
        let found = changed(&path(b"b"), [&nodes[0], &nodes[1]], [&tree, &tree], &BTreeSet::new());
        let link = Change::new("hard link to", "/a\\xff", "/a\\\\xff");
        assert_eq!(found.fields, [link]);
    }
}
