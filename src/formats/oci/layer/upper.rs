use std::collections::BTreeMap;

use super::{Error, NO_DEVICE, OPAQUE, OPAQUE_XATTR, WHITEOUT, is_kept, is_opaque, is_whiteout};
use crate::{
    formats::tar::Member,
    path::GuestPath,
    tree::{Draft, Fault, Inode, Kind, Meta, Node, Time, Tree},
};

/// The last second that containerd takes from an archive: what nanoseconds since 1970 in 64 bits can say.
const LATEST: i64 = i64::MAX / 1_000_000_000;

/// Overlayfs' upper directory while a layer is applied to it: names and inodes apart, as in a file system, because a
/// later member may replace a name or change an inode that has several.
pub(super) struct Upper<'a> {
    below: &'a [&'a Tree],
    names: BTreeMap<GuestPath, usize>,
    inodes: Vec<Inode>,
}

impl<'a> Upper<'a> {
    pub(super) fn new(below: &'a [&'a Tree]) -> Self {
        let meta = Meta::root_owned(0o755, Time::default());
        let top = Inode { meta, kind: Kind::Directory };
        Self { below, names: BTreeMap::from([(GuestPath::root(), 0)]), inodes: vec![top] }
    }

    /// Makes the directories above `path` that are not there yet; says how many bytes their names have.
    pub(super) fn make_parents(&mut self, path: &GuestPath) -> Result<u64, Error> {
        let refuse = |what| Error::Member { path: path.clone(), what };
        let mut missing = Vec::new();
        for parent in path.ancestors() {
            match self.get(&parent).map(|inode| &inode.kind) {
                Some(Kind::Directory) => break,
                Some(Kind::Symlink(_)) => {
                    return Err(refuse("it lies below a symbolic link of the same layer"));
                }
                Some(_) => return Err(refuse("it lies below a file of the same layer")),
                None if parent.file_name().is_some_and(|name| name.starts_with(WHITEOUT)) => {
                    return Err(refuse("it lies below a whiteout"));
                }
                None => missing.push(parent),
            }
        }
        let mut noted = 0;
        for parent in missing {
            noted += parent.as_bytes().len() as u64;
            let meta = self.meta_below(&parent);
            self.insert(parent, Inode { meta, kind: Kind::Directory });
        }
        Ok(noted)
    }

    /// Takes a member that only says that something is removed or hidden; false if it is none.
    pub(super) fn take_marker(&mut self, member: &Member) -> Result<bool, Error> {
        let refuse = |what| Error::Member { path: member.path.clone(), what };
        let (Some(parent), Some(name)) = (member.path.parent(), member.path.file_name()) else {
            return Ok(false);
        };
        if name == OPAQUE {
            if let Some(directory) = self.get_mut(&parent) {
                directory.meta.xattrs.insert(OPAQUE_XATTR.into(), b"y"[..].into());
            }
            return Ok(true);
        }
        let Some(removed) = name.strip_prefix(WHITEOUT) else {
            return Ok(false);
        };
        let place = parent.join(removed).map_err(|_| refuse("it is a whiteout of nothing"))?;
        if self.get(&place).is_some_and(|inode| !is_whiteout(inode)) {
            return Err(refuse("it is a whiteout of what came before it in the same layer"));
        }
        let Meta { uid, gid, mtime, .. } = member.meta;
        let meta = Meta { mode: 0, uid, gid, mtime: bound(mtime), xattrs: BTreeMap::new() };
        self.insert(place, Inode { meta, kind: Kind::CharDevice(NO_DEVICE) });
        Ok(true)
    }

    /// One more name of a file; as with containerd, the file then looks as this member says.
    pub(super) fn link(
        &mut self,
        path: GuestPath,
        meta: Meta,
        target: &GuestPath,
    ) -> Result<(), Error> {
        let is_file = |inode: &Inode| inode.kind != Kind::Directory && !is_whiteout(inode);
        let inode = match self.names.get(target) {
            Some(&inode) if *target != path && is_file(&self.inodes[inode]) => inode,
            Some(_) => {
                let what = "it is a hard link to itself or to what is no file";
                return Err(Error::Member { path, what });
            }
            None => {
                let Some(found) = self.file_below(target) else {
                    let what = "it is a hard link to what is neither in this layer nor below it";
                    return Err(Error::Member { path, what });
                };
                self.inodes.push(found);
                self.inodes.len() - 1
            }
        };
        change(&mut self.inodes[inode], meta);
        self.remove(&path);
        self.names.insert(path, inode);
        Ok(())
    }

    /// A file of its own, in place of what was there; but a directory joins the one before it.
    pub(super) fn place(&mut self, path: GuestPath, meta: Meta, kind: Kind) {
        if path.is_root() {
            // containerd makes the top itself and does not hear of it.
            self.inodes[0].meta.mtime = bound(meta.mtime);
            return;
        }
        if kind == Kind::Directory
            && let Some(old) = self.get_mut(&path).filter(|old| old.kind == Kind::Directory)
        {
            change(old, meta);
            return;
        }
        self.remove(&path);
        let bare = Meta::root_owned(0o777, Time::default());
        let mut inode = Inode { meta: bare, kind };
        change(&mut inode, meta);
        self.insert(path, inode);
    }

    pub(super) fn finish(self) -> Result<Tree, Fault> {
        let mut draft = Draft::default();
        let mut owners: BTreeMap<usize, GuestPath> = BTreeMap::new();
        for (path, inode) in self.names {
            let node = match owners.get(&inode) {
                Some(owner) => Node::HardLink(owner.clone()),
                None => {
                    owners.insert(inode, path.clone());
                    Node::Inode(self.inodes[inode].clone())
                }
            };
            draft.insert(path, node);
        }
        draft.finish()
    }

    fn get(&self, path: &GuestPath) -> Option<&Inode> {
        self.names.get(path).map(|&inode| &self.inodes[inode])
    }

    fn get_mut(&mut self, path: &GuestPath) -> Option<&mut Inode> {
        self.names.get(path).map(|&inode| &mut self.inodes[inode])
    }

    fn insert(&mut self, path: GuestPath, inode: Inode) {
        self.names.insert(path, self.inodes.len());
        self.inodes.push(inode);
    }

    fn remove(&mut self, path: &GuestPath) {
        let within = |(found, _): &(&GuestPath, &usize)| found.is_within(path);
        let found = self.names.range(path.clone()..).take_while(within);
        let gone: Vec<GuestPath> = found.map(|(found, _)| found.clone()).collect();
        gone.iter().for_each(|found| {
            self.names.remove(found);
        });
    }

    /// How a directory looks in the highest layer below that has it; mode 0755, root's, if it is no directory there.
    fn meta_below(&self, path: &GuestPath) -> Meta {
        match self.below.iter().rev().find_map(|layer| layer.inode(path)) {
            Some(Inode { meta, kind: Kind::Directory }) => {
                let mut meta = meta.clone();
                meta.xattrs.retain(|name, _| !name.starts_with(b"trusted."));
                meta
            }
            Some(_) | None => Meta::root_owned(0o755, Time::default()),
        }
    }

    /// The file at `path` in the layers below, if they do not hide it from each other.
    fn file_below(&self, path: &GuestPath) -> Option<Inode> {
        let hides = |inode: Option<&Inode>| {
            inode.is_some_and(|i| i.kind != Kind::Directory || is_opaque(i))
        };
        if path.ancestors().any(|parent| hides(self.get(&parent))) {
            return None;
        }
        for layer in self.below.iter().rev() {
            if let Some(inode) = layer.inode(path) {
                let is_file = inode.kind != Kind::Directory && !is_whiteout(inode);
                return is_file.then(|| inode.clone());
            }
            if path.ancestors().any(|parent| hides(layer.inode(&parent))) {
                return None;
            }
        }
        None
    }
}

/// Gives an inode the owner, mode and time that a member states, and adds its attributes.
fn change(inode: &mut Inode, meta: Meta) {
    let Inode { meta: old, kind } = inode;
    // The kernel keeps no mode for them.
    let mode = if matches!(kind, Kind::Symlink(_)) { 0o777 } else { meta.mode };
    (old.mode, old.uid, old.gid) = (mode, meta.uid, meta.gid);
    old.mtime = bound(meta.mtime);
    old.xattrs.extend(meta.xattrs.into_iter().filter(|(name, _)| is_kept(name, kind)));
}

/// Times that containerd does not take become 1970.
fn bound(time: Time) -> Time {
    if (0..LATEST).contains(&time.seconds) { time } else { Time::default() }
}
