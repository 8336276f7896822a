//! Unpacked packages, laid together as dpkg would.

use std::collections::BTreeSet;

use super::BuildError;
use crate::{
    digest::Digest,
    path::GuestPath,
    plan::Packages,
    store::Store,
    tree::{self, Inode, Kind, Meta, Node, Time, Tree},
};

/// The links of a merged /usr that every Debian system has, whatever its packages ship.
const MERGED: [&str; 3] = ["bin", "lib", "sbin"];

/// Lays packages together. Their trees have a merged /usr already.
pub(in crate::realise) fn build(
    packages: &Packages<Digest>,
    store: &Store,
) -> Result<Tree, BuildError> {
    let loaded = packages
        .packages
        .iter()
        .map(|layer| store.tree(&layer.tree))
        .collect::<Result<Vec<Tree>, _>>()?;
    let layers: Vec<tree::Layer<'_>> = packages
        .packages
        .iter()
        .zip(&loaded)
        .map(|(layer, tree)| tree::Layer { name: &layer.name, tree })
        .collect();
    let mut draft = tree::merge(&layers, &BTreeSet::new()).map_err(BuildError::Conflicts)?;
    let directory = Meta::root_owned(0o755, Time::default());
    draft.ensure_parents(&GuestPath::root().join("x")?, &directory);
    let link = |target: &[u8]| {
        let meta = Meta::root_owned(0o777, Time::default());
        Node::Inode(Inode { meta, kind: Kind::Symlink(target.into()) })
    };
    for name in MERGED {
        let (path, target) = (GuestPath::new(name)?, GuestPath::new(format!("usr/{name}"))?);
        if draft.get(&path).is_none() {
            draft.ensure_parents(&target.join("x")?, &directory);
            draft.insert(path, link(target.as_bytes()));
        }
    }
    for (path, target) in &packages.links {
        if draft.get(path).is_some() {
            return Err(BuildError::InTheWay { path: path.clone() });
        }
        draft.ensure_parents(path, &directory);
        draft.insert(path.clone(), link(target.as_bytes()));
    }
    Ok(draft.finish()?)
}
