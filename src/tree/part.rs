use super::{Draft, Node, Tree};
use crate::path::{BadPath, GuestPath};

impl Tree {
    /// What is at `from` and below it, as if `from` were the root; nothing if it is not there.
    ///
    /// A hard link to a file outside becomes a file of its own.
    pub fn part(&self, from: &GuestPath) -> Draft {
        let mut part = Draft::default();
        let nodes = self.nodes.range(from.clone()..);
        for (path, node) in nodes.map_while(|(path, node)| Some((path.below(from)?, node))) {
            let node = match node {
                Node::Inode(inode) => Node::Inode(inode.clone()),
                Node::HardLink(owner) => match owner.below(from) {
                    Some(owner) => Node::HardLink(owner),
                    None => self.inode(owner).cloned().map_or_else(|| node.clone(), Node::Inode),
                },
            };
            part.insert(path, node);
        }
        part
    }
}

impl Draft {
    /// Puts a whole tree, or a part of one, at `at`. The directories above `at` are the caller's.
    pub fn graft<'n>(
        &mut self,
        at: &GuestPath,
        nodes: impl IntoIterator<Item = (&'n GuestPath, &'n Node)>,
    ) -> Result<(), BadPath> {
        for (path, node) in nodes {
            let node = match node {
                Node::Inode(inode) => Node::Inode(inode.clone()),
                Node::HardLink(owner) => Node::HardLink(at.concat(owner)?),
            };
            self.insert(at.concat(path)?, node);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Inode, Kind, Meta, Time};

    fn path(text: &str) -> GuestPath {
        GuestPath::lenient(text).expect(text)
    }

    fn node(kind: Kind) -> Node {
        Node::Inode(Inode { meta: Meta::root_owned(0o755, Time::default()), kind })
    }

    fn tree(nodes: &[(&str, Node)]) -> Tree {
        let mut draft = Draft::with_root(Meta::root_owned(0o755, Time::default()));
        nodes.iter().for_each(|(at, node)| draft.insert(path(at), node.clone()));
        draft.finish().expect("a tree")
    }

    #[test]
    fn a_part_that_is_grafted_where_it_was_is_the_same() {
        let file = node(Kind::File(Content::of(b"x")));
        let whole = tree(&[
            ("d", node(Kind::Directory)),
            ("d/a", file.clone()),
            ("d/b", Node::HardLink(path("d/a"))),
            ("d-not", file.clone()),
        ]);
        let part = whole.part(&path("d"));
        assert_eq!(part.get(&path("b")), Some(&Node::HardLink(path("a"))));
        assert_eq!(part.iter().count(), 3);
        let mut again = whole.to_draft();
        again.remove(&path("d"));
        again.graft(&path("d"), part.iter()).expect("short paths");
        assert_eq!(again.finish().as_ref(), Ok(&whole));
    }

    #[test]
    fn a_link_to_what_is_outside_becomes_a_file() {
        let file = node(Kind::File(Content::of(b"x")));
        let whole = tree(&[
            ("a", file.clone()),
            ("d", node(Kind::Directory)),
            ("d/b", Node::HardLink(path("a"))),
        ]);
        assert_eq!(whole.part(&path("d")).get(&path("b")), Some(&file));
        assert_eq!(whole.part(&path("none")), Draft::default());
    }
}
