//! Layers, then removals, then what the recipe declares: the root file system of a guest.

use super::{BuildError, errata};
use crate::{
    digest::Digest,
    formats::deb,
    path::GuestPath,
    plan::{Attributes, Entry, FileContent, Layer, Rootfs},
    store::Store,
    tree::{self, BlobSink, Device, Draft, Inode, Kind, Meta, Node, Time, Tree},
};

/// Puts a root file system together.
pub(in crate::realise) fn build(
    rootfs: &Rootfs<Digest>,
    store: &Store,
) -> Result<Tree, BuildError> {
    let epoch = Time::from_seconds(rootfs.epoch);
    let layers = rootfs
        .layers
        .iter()
        .map(|layer| placed(layer, store, epoch))
        .collect::<Result<Vec<Tree>, _>>()?;
    let named: Vec<tree::Layer<'_>> = rootfs
        .layers
        .iter()
        .zip(&layers)
        .map(|(layer, tree)| tree::Layer { name: &layer.name, tree })
        .collect();
    let mut draft = tree::merge(&named, &rootfs.replace).map_err(BuildError::Conflicts)?;
    let directory = Meta::root_owned(0o755, epoch);
    draft.ensure_parents(&GuestPath::root().join("x")?, &directory);
    let mut draft = deb::database(&draft.finish()?, store, store)?;
    for path in &rootfs.remove {
        if draft.remove(path) == 0 {
            return Err(BuildError::NothingThere { path: path.clone(), to: "remove" });
        }
    }
    for (path, entry) in &rootfs.add {
        not_through_link(&draft, path)?;
        draft.ensure_parents(path, &directory);
        let inode = added(entry, epoch, store)?;
        let both_directories = inode.kind == Kind::Directory && is_directory(draft.get(path));
        if !both_directories {
            if draft.get(path).is_some() && !rootfs.replace.contains(path) {
                return Err(BuildError::InTheWay { path: path.clone() });
            }
            draft.remove(path);
        }
        draft.insert(path.clone(), Node::Inode(inode));
    }
    for (path, attributes) in &rootfs.attributes {
        change(&mut draft, path, attributes)?;
    }
    errata::apply(draft.finish()?, &rootfs.errata, store)
}

/// Refuses a path below a link, such as `/sbin/init` where /sbin is `usr/sbin`.
fn not_through_link(draft: &Draft, path: &GuestPath) -> Result<(), BuildError> {
    for link in path.ancestors() {
        if let Some(Node::Inode(Inode { kind: Kind::Symlink(target), .. })) = draft.get(&link) {
            let target = String::from_utf8_lossy(target).into_owned();
            return Err(BuildError::ThroughLink { path: path.clone(), link, target });
        }
    }
    Ok(())
}

fn is_directory(node: Option<&Node>) -> bool {
    matches!(node, Some(Node::Inode(Inode { kind: Kind::Directory, .. })))
}

/// The part of a layer's tree that is wanted, at the place where it is wanted.
pub(super) fn placed(
    layer: &Layer<Digest>,
    store: &Store,
    epoch: Time,
) -> Result<Tree, BuildError> {
    let tree = store.tree(&layer.tree)?;
    if layer.from.is_root() && layer.at.is_root() {
        return Ok(tree);
    }
    if tree.get(&layer.from).is_none() {
        let (layer, path) = (layer.name.clone(), layer.from.clone());
        return Err(BuildError::NotInLayer { layer, path });
    }
    let mut draft = Draft::default();
    draft.ensure_parents(&layer.at, &Meta::root_owned(0o755, epoch));
    draft.graft(&layer.at, tree.part(&layer.from).iter())?;
    Ok(draft.finish()?)
}

fn added(entry: &Entry<Digest>, epoch: Time, store: &Store) -> Result<Inode, BuildError> {
    let owned = |mode: u16, uid: u32, gid: u32| Meta { uid, gid, ..Meta::root_owned(mode, epoch) };
    Ok(match entry {
        Entry::File { content, mode, uid, gid } => {
            let content = match content {
                FileContent::Text(text) => store.put(&mut text.as_bytes())?,
                FileContent::Copy { tree, path } => match store.tree(tree)?.inode(path) {
                    Some(Inode { kind: Kind::File(content), .. }) => content.clone(),
                    _ => return Err(BuildError::NotAFile { path: path.clone() }),
                },
            };
            Inode { meta: owned(*mode, *uid, *gid), kind: Kind::File(content) }
        }
        Entry::Directory { mode, uid, gid } => {
            Inode { meta: owned(*mode, *uid, *gid), kind: Kind::Directory }
        }
        Entry::Symlink(target) => {
            Inode { meta: owned(0o777, 0, 0), kind: Kind::Symlink(target.as_bytes().into()) }
        }
        Entry::Device { block, major, minor, mode, uid, gid } => {
            let device = Device { major: *major, minor: *minor };
            let kind = if *block { Kind::BlockDevice(device) } else { Kind::CharDevice(device) };
            Inode { meta: owned(*mode, *uid, *gid), kind }
        }
    })
}

fn change(draft: &mut Draft, path: &GuestPath, attributes: &Attributes) -> Result<(), BuildError> {
    let owner = match draft.get(path) {
        Some(Node::HardLink(owner)) => owner.clone(),
        _ => path.clone(),
    };
    let Some(Node::Inode(inode)) = draft.get_mut(&owner) else {
        return Err(BuildError::NothingThere {
            path: path.clone(),
            to: "change the attributes of",
        });
    };
    let Attributes { mode, owner, capability } = attributes;
    if let Some(mode) = mode {
        inode.meta.mode = *mode;
    }
    if let Some((uid, gid)) = owner {
        (inode.meta.uid, inode.meta.gid) = (*uid, *gid);
    }
    if let Some(value) = capability {
        inode.meta.xattrs.insert(b"security.capability"[..].into(), value.as_slice().into());
    }
    Ok(())
}
