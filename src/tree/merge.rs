use std::collections::{BTreeMap, BTreeSet};

use super::{Draft, Inode, Kind, Meta, Node, Tree};
use crate::path::GuestPath;

/// One tree of several that are laid over each other, with a name for messages.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// What a person calls it: a package, a recipe.
    pub name: &'a str,
    /// What it holds.
    pub tree: &'a Tree,
}

/// Two layers want different things at one path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: `{first}` and `{second}` differ in {what}")]
pub struct Conflict {
    /// Where.
    pub path: GuestPath,
    /// The layer that came first.
    pub first: String,
    /// The layer that came later.
    pub second: String,
    /// In what they differ.
    pub what: &'static str,
}

/// Lays `layers` over each other in their order and reports every conflict, not only the first.
///
/// Two layers agree on a path if mode, owner, attributes and content are the same; the time of the first one stays.
/// At the paths in `replaced` the last layer wins; this is how a recipe declares a conflict.
pub fn merge(layers: &[Layer<'_>], replaced: &BTreeSet<GuestPath>) -> Result<Draft, Vec<Conflict>> {
    let mut draft = Draft::default();
    let mut origin: BTreeMap<&GuestPath, &str> = BTreeMap::new();
    let mut conflicts = Vec::new();
    for layer in layers {
        for (path, node) in layer.tree.iter() {
            let Some(old) = draft.get(path) else {
                draft.insert(path.clone(), node.clone());
                origin.insert(path, layer.name);
                continue;
            };
            match disagreement(old, node) {
                None => (),
                Some(_) if replaced.contains(path) => {
                    draft.insert(path.clone(), node.clone());
                    origin.insert(path, layer.name);
                }
                Some(what) => conflicts.push(Conflict {
                    path: path.clone(),
                    first: origin.get(path).copied().unwrap_or_default().to_owned(),
                    second: layer.name.to_owned(),
                    what,
                }),
            }
        }
    }
    if conflicts.is_empty() { Ok(draft) } else { Err(conflicts) }
}

fn disagreement(old: &Node, new: &Node) -> Option<&'static str> {
    let (old, new) = match (old, new) {
        (Node::Inode(old), Node::Inode(new)) => (old, new),
        (Node::HardLink(old), Node::HardLink(new)) if old == new => return None,
        _ => return Some("hard links"),
    };
    let Inode { meta: Meta { mode, uid, gid, mtime: _, xattrs }, kind } = old;
    match (kind, &new.kind) {
        (Kind::Symlink(old), Kind::Symlink(new)) if old != new => Some("link target"),
        (Kind::File(old), Kind::File(new)) if old != new => Some("content"),
        (old, new) if old != new => Some("kind of file"),
        _ if *mode != new.meta.mode => Some("mode"),
        _ if (*uid, *gid) != (new.meta.uid, new.meta.gid) => Some("owner"),
        _ if *xattrs != new.meta.xattrs => Some("extended attributes"),
        _ => None,
    }
}

impl Tree {
    /// The same tree with everything below `from` moved below `to`, and a link to `to` left at `from`.
    ///
    /// This is Debian's merged /usr: packages still ship `/bin/x`, systems have `/bin -> usr/bin`. What was moved may
    /// meet what is already there; then both must agree as in [`merge`]. `target` is the text of the link.
    pub fn fold(
        &self,
        from: &GuestPath,
        to: &GuestPath,
        target: &[u8],
        name: &str,
    ) -> Result<Draft, Vec<Conflict>> {
        let mut draft = self.to_draft();
        let moves: Vec<(&GuestPath, &Node)> = self
            .iter()
            .filter(|(path, node)| path.is_within(from) && !is_link(node, target))
            .collect();
        let Some(directory) = self.get(from).filter(|node| !is_link(node, target)) else {
            return Ok(draft);
        };
        let moved = |path: &GuestPath| match path.below(from) {
            Some(rest) => to.concat(&rest).unwrap_or_else(|_| path.clone()),
            None => path.clone(),
        };
        let mut conflicts = Vec::new();
        let meta = match directory {
            Node::Inode(inode) => Meta { xattrs: BTreeMap::new(), ..inode.meta.clone() },
            Node::HardLink(_) => return Ok(draft),
        };
        draft.remove(from);
        draft.ensure_parents(to, &meta);
        for (path, node) in moves {
            let node = match node {
                Node::HardLink(owner) => Node::HardLink(moved(owner)),
                Node::Inode(inode) => Node::Inode(inode.clone()),
            };
            let place = moved(path);
            match draft.get(&place).and_then(|old| disagreement(old, &node)) {
                None if draft.get(&place).is_some() => (),
                None => draft.insert(place, node),
                Some(what) => conflicts.push(Conflict {
                    path: place,
                    first: name.to_owned(),
                    second: name.to_owned(),
                    what,
                }),
            }
        }
        let link = Inode { meta: Meta { mode: 0o777, ..meta }, kind: Kind::Symlink(target.into()) };
        draft.insert(from.clone(), Node::Inode(link));
        if conflicts.is_empty() { Ok(draft) } else { Err(conflicts) }
    }
}

fn is_link(node: &Node, to: &[u8]) -> bool {
    matches!(node, Node::Inode(Inode { kind: Kind::Symlink(target), .. }) if **target == *to)
}
