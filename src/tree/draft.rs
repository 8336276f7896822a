use std::collections::{BTreeMap, BTreeSet};

use super::{Inode, Kind, Meta, Node, Tree};
use crate::path::GuestPath;

/// A tree in the making: any set of paths, checked only when it is finished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    nodes: BTreeMap<GuestPath, Node>,
}

/// Why a draft is no tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A path lies below something that is not there or is not a directory.
    #[error("{path}: {parent} is not a directory")]
    NoParent {
        /// The path.
        path: GuestPath,
        /// Its parent.
        parent: GuestPath,
    },
    /// The root is missing or is not a directory.
    #[error("the root is not a directory")]
    NoRoot,
    /// A hard link leads nowhere, in a circle, or to a directory.
    #[error("{path}: hard link to {target}, which is no file of this tree")]
    BadHardLink {
        /// The link.
        path: GuestPath,
        /// What it names.
        target: GuestPath,
    },
    /// A field has a value that no Linux file system can hold.
    #[error("{path}: {what}")]
    BadField {
        /// The path.
        path: GuestPath,
        /// What is wrong.
        what: &'static str,
    },
}

impl Draft {
    /// A draft with only a root directory.
    pub fn with_root(meta: Meta) -> Self {
        let mut draft = Self::default();
        draft.insert(GuestPath::root(), Node::Inode(Inode { meta, kind: Kind::Directory }));
        draft
    }

    pub(super) fn from_nodes(nodes: BTreeMap<GuestPath, Node>) -> Self {
        Self { nodes }
    }

    /// The node at `path`.
    pub fn get(&self, path: &GuestPath) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The node at `path`, to change in place.
    pub fn get_mut(&mut self, path: &GuestPath) -> Option<&mut Node> {
        self.nodes.get_mut(path)
    }

    /// Every path with its node, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&GuestPath, &Node)> {
        self.nodes.iter()
    }

    /// Puts `node` at `path`, in place of what stood there. Other names of a replaced file keep the old file.
    pub fn insert(&mut self, path: GuestPath, node: Node) {
        if self.nodes.get(&path).is_some_and(|old| *old != node && !is_directory(old)) {
            self.hand_over(|owner| *owner == path);
        }
        self.nodes.insert(path, node);
    }

    /// Removes `path` and all below it; says how many paths that were. Other names of a removed file keep the file.
    pub fn remove(&mut self, path: &GuestPath) -> usize {
        self.hand_over(|owner| owner.is_within(path));
        let gone: Vec<GuestPath> = self
            .nodes
            .range(path.clone()..)
            .map(|(found, _)| found)
            .take_while(|found| found.is_within(path))
            .cloned()
            .collect();
        gone.iter().for_each(|found| {
            self.nodes.remove(found);
        });
        gone.len()
    }

    /// Adds the directories above `path` that are missing, each with a copy of `meta`.
    pub fn ensure_parents(&mut self, path: &GuestPath, meta: &Meta) {
        for parent in path.ancestors() {
            if self.nodes.contains_key(&parent) {
                break;
            }
            let node = Node::Inode(Inode { meta: meta.clone(), kind: Kind::Directory });
            self.nodes.insert(parent, node);
        }
    }

    /// Gives the inode of every file whose owner is about to go to the first of its names that stays.
    fn hand_over(&mut self, goes: impl Fn(&GuestPath) -> bool) {
        let mut heirs: BTreeMap<GuestPath, GuestPath> = BTreeMap::new();
        for (path, node) in &mut self.nodes {
            if let Node::HardLink(owner) = node
                && goes(owner)
                && !goes(path)
            {
                *owner = heirs.entry(owner.clone()).or_insert_with(|| path.clone()).clone();
            }
        }
        for (owner, heir) in heirs {
            if let Some(node) = self.nodes.get(&owner).cloned() {
                self.nodes.insert(heir, node);
            }
        }
    }

    /// Checks everything and settles which of its names owns each inode.
    pub fn finish(mut self) -> Result<Tree, Fault> {
        if !self.nodes.get(&GuestPath::root()).is_some_and(is_directory) {
            return Err(Fault::NoRoot);
        }
        for (path, node) in &self.nodes {
            if let Some(parent) = path.parent()
                && !self.nodes.get(&parent).is_some_and(is_directory)
            {
                return Err(Fault::NoParent { path: path.clone(), parent });
            }
            if let Node::Inode(inode) = node {
                check(inode).map_err(|what| Fault::BadField { path: path.clone(), what })?;
            }
        }
        self.settle_hard_links()?;
        Ok(Tree { nodes: self.nodes })
    }

    fn settle_hard_links(&mut self) -> Result<(), Fault> {
        let mut names: BTreeMap<GuestPath, BTreeSet<GuestPath>> = BTreeMap::new();
        for (path, node) in &self.nodes {
            if let Node::HardLink(target) = node {
                let owner = self.owner(target).ok_or_else(|| Fault::BadHardLink {
                    path: path.clone(),
                    target: target.clone(),
                })?;
                names.entry(owner).or_default().insert(path.clone());
            }
        }
        for (owner, mut paths) in names {
            paths.insert(owner.clone());
            let first = paths.pop_first().unwrap_or_else(|| owner.clone());
            if let Some(inode) = self.nodes.remove(&owner) {
                self.nodes.insert(first.clone(), inode);
            }
            for path in paths {
                self.nodes.insert(path, Node::HardLink(first.clone()));
            }
        }
        Ok(())
    }

    /// Where the chain of hard links from `target` ends; none if it ends nowhere, in a directory or in a circle.
    fn owner(&self, target: &GuestPath) -> Option<GuestPath> {
        let mut target = target;
        let mut seen = BTreeSet::new();
        loop {
            match self.nodes.get(target)? {
                Node::HardLink(next) if seen.insert(target) => target = next,
                Node::HardLink(_) => return None,
                Node::Inode(Inode { kind: Kind::Directory, .. }) => return None,
                Node::Inode(_) => return Some(target.clone()),
            }
        }
    }
}

fn is_directory(node: &Node) -> bool {
    matches!(node, Node::Inode(Inode { kind: Kind::Directory, .. }))
}

fn check(inode: &Inode) -> Result<(), &'static str> {
    let Meta { mode, mtime, xattrs, .. } = &inode.meta;
    if *mode > 0o7777 {
        return Err("the mode has more than permission bits");
    }
    if mtime.nanos > 999_999_999 {
        return Err("a second has a thousand million nanoseconds");
    }
    for (name, value) in xattrs {
        if name.is_empty() || name.len() > 255 || name.contains(&0) {
            return Err("the name of an extended attribute is empty, too long or contains NUL");
        }
        if value.len() > 65536 {
            return Err("an extended attribute is longer than 64 KiB");
        }
    }
    match &inode.kind {
        Kind::Symlink(target) if target.is_empty() => Err("a symbolic link has no target"),
        Kind::Symlink(target) if target.len() > 4095 => {
            Err("the target of a symbolic link is longer than 4095 bytes")
        }
        Kind::Symlink(target) if target.contains(&0) => {
            Err("the target of a symbolic link contains NUL")
        }
        Kind::CharDevice(device) | Kind::BlockDevice(device)
            if device.major >= 1 << 12 || device.minor >= 1 << 20 =>
        {
            Err("Linux has no such device number")
        }
        Kind::Directory
        | Kind::File(_)
        | Kind::Symlink(_)
        | Kind::CharDevice(_)
        | Kind::BlockDevice(_)
        | Kind::Fifo
        | Kind::Socket => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Time};

    fn path(text: &str) -> GuestPath {
        GuestPath::new(text).expect("a path")
    }

    fn meta() -> Meta {
        Meta::root_owned(0o755, Time::default())
    }

    fn file(text: &str) -> Node {
        Node::Inode(Inode { meta: meta(), kind: Kind::File(Content::of(text.as_bytes())) })
    }

    #[test]
    fn a_file_without_a_directory_is_a_fault() {
        let mut draft = Draft::with_root(meta());
        draft.insert(path("a/b"), file("x"));
        let parent = path("a");
        assert_eq!(draft.clone().finish(), Err(Fault::NoParent { path: path("a/b"), parent }));
        draft.ensure_parents(&path("a/b"), &meta());
        assert!(draft.finish().is_ok());
        assert_eq!(Draft::default().finish(), Err(Fault::NoRoot));
    }

    #[test]
    fn the_first_name_in_order_owns_the_inode() {
        let mut draft = Draft::with_root(meta());
        draft.insert(path("z"), file("x"));
        draft.insert(path("m"), Node::HardLink(path("z")));
        draft.insert(path("a"), Node::HardLink(path("m")));
        let tree = draft.finish().expect("a tree");
        assert_eq!(tree.get(&path("a")), Some(&file("x")));
        assert_eq!(tree.get(&path("z")), Some(&Node::HardLink(path("a"))));
        assert_eq!(tree.inode(&path("m")), tree.inode(&path("a")));
    }

    #[test]
    fn a_hard_link_must_lead_to_a_file() {
        for target in ["nowhere", "b", ""] {
            let mut draft = Draft::with_root(meta());
            draft.insert(path("a"), Node::HardLink(path(target)));
            draft.insert(path("b"), Node::HardLink(path("a")));
            assert!(matches!(draft.finish(), Err(Fault::BadHardLink { .. })), "{target}");
        }
    }

    #[test]
    fn other_names_of_a_removed_or_replaced_file_keep_it() {
        let mut draft = Draft::with_root(meta());
        draft.insert(path("a"), file("old"));
        draft.insert(path("b"), Node::HardLink(path("a")));
        draft.insert(path("c"), Node::HardLink(path("a")));
        draft.insert(path("a"), file("new"));
        assert_eq!(draft.remove(&path("b")), 1);
        let tree = draft.finish().expect("a tree");
        assert_eq!(tree.get(&path("a")), Some(&file("new")));
        assert_eq!(tree.get(&path("c")), Some(&file("old")));
    }
}
