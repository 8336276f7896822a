use std::fmt;

use crate::{
    path::GuestPath,
    tree::{Conflict, Fault, Tree},
};

/// Why a tree cannot have a merged /usr.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotMergeable {
    /// The two sides of a merge want different things at these paths.
    #[error("with /usr merged there are two different files at {}", Places(.0))]
    Conflicts(Vec<Conflict>),
    /// What comes out is no tree: `/usr` itself is no directory.
    #[error("with /usr merged it is no tree")]
    Fault(#[from] Fault),
}

impl From<Vec<Conflict>> for NotMergeable {
    fn from(conflicts: Vec<Conflict>) -> Self {
        Self::Conflicts(conflicts)
    }
}

struct Places<'a>(&'a [Conflict]);

impl fmt::Display for Places<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<String> = self.0.iter().map(|conflict| conflict.path.to_string()).collect();
        f.write_str(&places.join(", "))
    }
}

/// The directories that are links into `/usr` on a system with merged /usr (usrmerge, UsrMerge in Debian's wiki).
const FOLDED: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// The tree with `/bin`, `/lib`, `/sbin` and their like moved below `/usr` and replaced by links.
///
/// Links among the files stay as they are: Debian's packages link across the top-level directories by absolute
/// targets, which work through the new links. `name` is what the tree is called in conflicts. A directory that the
/// tree lacks gets no link: base-files is the package that owns them all.
pub fn merged_usr(tree: Tree, name: &str) -> Result<Tree, NotMergeable> {
    let mut tree = tree;
    for directory in FOLDED {
        let (Ok(from), Ok(to)) =
            (GuestPath::new(directory), GuestPath::new(format!("usr/{directory}")))
        else {
            continue;
        };
        if tree.get(&from).is_some() {
            tree = tree.fold(&from, &to, to.as_bytes(), name)?.finish()?;
        }
    }
    Ok(tree)
}
