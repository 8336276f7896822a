use super::{Inode, Kind, Meta, Node, Tree};
use crate::path::GuestPath;

/// One path at which two trees are not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub path: GuestPath,
    /// How.
    pub change: Change,
}

/// How two trees differ at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// Both have it, but these of its fields are not the same, each as `name: before -> after`.
    Changed(Vec<String>),
}

/// All differences between two trees, in the order of paths.
pub fn diff(before: &Tree, after: &Tree) -> Vec<Difference> {
    let removed = before.iter().filter_map(|(path, old)| match after.get(path) {
        None => Some(Difference { path: path.clone(), change: Change::Removed }),
        Some(new) if new == old => None,
        Some(new) => {
            Some(Difference { path: path.clone(), change: Change::Changed(fields(old, new)) })
        }
    });
    let added = after
        .iter()
        .filter(|(path, _)| before.get(path).is_none())
        .map(|(path, _)| Difference { path: path.clone(), change: Change::Added });
    let mut all: Vec<Difference> = removed.chain(added).collect();
    all.sort_by(|one, other| one.path.cmp(&other.path));
    all
}

fn fields(old: &Node, new: &Node) -> Vec<String> {
    let (old, new) = match (old, new) {
        (Node::Inode(old), Node::Inode(new)) => (old, new),
        (Node::HardLink(old), Node::HardLink(new)) => {
            return vec![format!("hard link to: {old} -> {new}")];
        }
        (Node::HardLink(_), Node::Inode(_)) => {
            return vec!["hard link -> file of its own".to_owned()];
        }
        (Node::Inode(_), Node::HardLink(_)) => {
            return vec!["file of its own -> hard link".to_owned()];
        }
    };
    let Meta { mode, uid, gid, mtime, xattrs } = &old.meta;
    let mut fields = Vec::new();
    let mut note = |name: &str, old: String, new: String| {
        if old != new {
            fields.push(format!("{name}: {old} -> {new}"));
        }
    };
    note("kind", name(&old.kind).to_owned(), name(&new.kind).to_owned());
    note("mode", format!("{mode:04o}"), format!("{:04o}", new.meta.mode));
    note("owner", format!("{uid}:{gid}"), format!("{}:{}", new.meta.uid, new.meta.gid));
    note("mtime", format!("{mtime:?}"), format!("{:?}", new.meta.mtime));
    note("xattrs", format!("{xattrs:?}"), format!("{:?}", new.meta.xattrs));
    note("content", content(old), content(new));
    fields
}

fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory => "directory",
        Kind::File(_) => "file",
        Kind::Symlink(_) => "symbolic link",
        Kind::CharDevice(_) => "character device",
        Kind::BlockDevice(_) => "block device",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
    }
}

fn content(inode: &Inode) -> String {
    match &inode.kind {
        Kind::File(content) => format!("{} ({} bytes)", content.digest.short(), content.size),
        Kind::Symlink(target) => target.escape_ascii().to_string(),
        Kind::CharDevice(device) | Kind::BlockDevice(device) => {
            format!("{}:{}", device.major, device.minor)
        }
        Kind::Directory | Kind::Fifo | Kind::Socket => String::new(),
    }
}
