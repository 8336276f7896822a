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
    /// meet what is already there; then both must agree as in [`merge`], and the time of what was there stays.
    /// `target` is the text of the link; a tree that has this link already, or nothing at `from`, stays as it is.
    /// The targets of symbolic links are not changed: absolute ones work through the new link.
    pub fn fold(
        &self,
        from: &GuestPath,
        to: &GuestPath,
        target: &[u8],
        name: &str,
    ) -> Result<Draft, Vec<Conflict>> {
        let conflict = |path: &GuestPath, what| Conflict {
            path: path.clone(),
            first: name.to_owned(),
            second: name.to_owned(),
            what,
        };
        let meta = match self.get(from) {
            None => return Ok(self.to_draft()),
            Some(Node::Inode(Inode { kind: Kind::Symlink(old), .. })) if **old == *target => {
                return Ok(self.to_draft());
            }
            Some(Node::Inode(Inode { kind: Kind::Directory, meta })) => meta,
            Some(_) => return Err(vec![conflict(from, "kind of file")]),
        };
        let moved = |path: &GuestPath| match path.below(from) {
            Some(rest) => to.concat(&rest),
            None => Ok(path.clone()),
        };
        let (moving, staying): (Vec<_>, Vec<_>) =
            self.iter().partition(|(path, _)| path.is_within(from));
        let mut draft = Draft::default();
        let mut conflicts = Vec::new();
        for (path, node) in staying.into_iter().chain(moving) {
            let place = moved(path);
            let node = match node {
                Node::HardLink(owner) => moved(owner).map(Node::HardLink),
                Node::Inode(inode) => Ok(Node::Inode(inode.clone())),
            };
            let (Ok(place), Ok(node)) = (place, node) else {
                conflicts.push(conflict(path, "the length of the path that Linux allows"));
                continue;
            };
            match draft.get(&place).map(|old| disagreement(old, &node)) {
                None => draft.insert(place, node),
                Some(None) => (),
                Some(Some(what)) => conflicts.push(conflict(&place, what)),
            }
        }
        let directory = Meta { xattrs: BTreeMap::new(), ..meta.clone() };
        draft.ensure_parents(to, &directory);
        let link =
            Inode { meta: Meta { mode: 0o777, ..directory }, kind: Kind::Symlink(target.into()) };
        draft.insert(from.clone(), Node::Inode(link));
        if conflicts.is_empty() { Ok(draft) } else { Err(conflicts) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Time};

    fn path(text: &str) -> GuestPath {
        GuestPath::new(text).expect("a path")
    }

    fn meta(mode: u16) -> Meta {
        Meta::root_owned(mode, Time::default())
    }

    fn directory(mode: u16) -> Node {
        Node::Inode(Inode { meta: meta(mode), kind: Kind::Directory })
    }

    fn file(text: &str) -> Node {
        Node::Inode(Inode { meta: meta(0o755), kind: Kind::File(Content::of(text.as_bytes())) })
    }

    fn link(target: &str) -> Node {
        Node::Inode(Inode { meta: meta(0o777), kind: Kind::Symlink(target.as_bytes().into()) })
    }

    fn tree(nodes: &[(&str, Node)]) -> Tree {
        let mut draft = Draft::with_root(meta(0o755));
        for (text, node) in nodes {
            draft.ensure_parents(&path(text), &meta(0o755));
            draft.insert(path(text), node.clone());
        }
        draft.finish().expect("a tree")
    }

    fn fold(tree: &Tree) -> Result<Tree, Vec<String>> {
        let folded = tree.fold(&path("lib"), &path("usr/lib"), b"usr/lib", "it");
        let told = |conflicts: Vec<Conflict>| conflicts.iter().map(ToString::to_string).collect();
        folded.map_err(told).map(|draft| draft.finish().expect("a tree"))
    }

    #[test]
    fn a_folded_directory_joins_the_other_and_leaves_a_link() {
        let split = tree(&[
            ("etc", directory(0o755)),
            ("lib/a/libx.so", link("libx.so.1")),
            ("lib/a/libx.so.1", file("x")),
            ("lib/same", file("same")),
            ("usr/lib/a/liby.so.1", file("y")),
            ("usr/lib/same", file("same")),
        ]);
        let merged = tree(&[
            ("etc", directory(0o755)),
            ("lib", link("usr/lib")),
            ("usr/lib/a/libx.so", link("libx.so.1")),
            ("usr/lib/a/libx.so.1", file("x")),
            ("usr/lib/a/liby.so.1", file("y")),
            ("usr/lib/same", file("same")),
        ]);
        assert_eq!(fold(&split), Ok(merged.clone()));
        assert_eq!(fold(&merged), Ok(merged), "what is folded stays");
        let without = tree(&[("bin/x", file("x"))]);
        assert_eq!(fold(&without), Ok(without));
    }

    #[test]
    fn a_folded_directory_needs_no_other() {
        let split = tree(&[("lib/x", file("x"))]);
        let merged = tree(&[("lib", link("usr/lib")), ("usr/lib/x", file("x"))]);
        assert_eq!(fold(&split), Ok(merged));
    }

    #[test]
    fn hard_links_hold_across_the_fold() {
        let hard = |target| Node::HardLink(path(target));
        let split = tree(&[
            ("bin/a", file("a")),
            ("bin/b", hard("lib/b")),
            ("lib/a", hard("bin/a")),
            ("lib/b", file("b")),
            ("lib/c", hard("lib/b")),
            ("usr/z", hard("lib/b")),
        ]);
        let merged = tree(&[
            ("bin/a", file("a")),
            ("bin/b", file("b")),
            ("lib", link("usr/lib")),
            ("usr/lib/a", hard("bin/a")),
            ("usr/lib/b", hard("bin/b")),
            ("usr/lib/c", hard("bin/b")),
            ("usr/z", hard("bin/b")),
        ]);
        assert_eq!(fold(&split), Ok(merged));
    }

    #[test]
    fn a_link_inside_that_only_looks_like_the_fold_is_moved() {
        let split = tree(&[("lib/x", link("usr/lib"))]);
        let merged = tree(&[("lib", link("usr/lib")), ("usr/lib/x", link("usr/lib"))]);
        assert_eq!(fold(&split), Ok(merged));
    }

    #[test]
    fn what_cannot_be_folded_is_told() {
        for (nodes, told) in [
            (
                vec![("lib/x", file("1")), ("usr/lib/x", file("2"))],
                "/usr/lib/x: `it` and `it` differ in content",
            ),
            (
                vec![("lib/x/y", file("1")), ("usr/lib/x", file("2"))],
                "/usr/lib/x: `it` and `it` differ in kind of file",
            ),
            (
                vec![("lib/x", directory(0o700)), ("usr/lib/x", directory(0o755))],
                "/usr/lib/x: `it` and `it` differ in mode",
            ),
            (
                vec![("lib/x", file("1")), ("usr/lib", link("lib64"))],
                "/usr/lib: `it` and `it` differ in kind of file",
            ),
            (vec![("lib", link("/usr/lib"))], "/lib: `it` and `it` differ in kind of file"),
            (vec![("lib", file("x"))], "/lib: `it` and `it` differ in kind of file"),
        ] {
            assert_eq!(fold(&tree(&nodes)), Err(vec![told.to_owned()]));
        }
    }

    #[test]
    fn layers_agree_or_are_told_apart() {
        let one = tree(&[("a", file("1")), ("b", file("1")), ("d", directory(0o755))]);
        let other = tree(&[("a", file("1")), ("b", file("2")), ("d", directory(0o700))]);
        let layers = [Layer { name: "one", tree: &one }, Layer { name: "other", tree: &other }];
        let conflicts = merge(&layers, &BTreeSet::new()).expect_err("conflicts");
        let places: Vec<_> = conflicts.iter().map(|conflict| conflict.path.to_string()).collect();
        assert_eq!(places, ["/b", "/d"]);
        let merged = merge(&layers, &[path("b"), path("d")].into()).expect("declared");
        assert_eq!(merged.finish(), Ok(other));
    }
}
