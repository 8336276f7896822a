//! Layers: changes to a file tree, as tar archives and as the upper directories of overlayfs.
//!
//! In an archive a removed file is a member `.wh.NAME`, and `.wh..wh..opq` in a directory hides all that lower layers
//! have there (image specification, layer.md, "Whiteouts"). In a tree the same are a character device 0:0 and the
//! attribute `trusted.overlay.opaque` of the directory (Documentation/filesystems/overlayfs.rst).

mod read;
#[cfg(test)]
mod tests;
mod upper;
mod write;

pub use read::{Limits, read};
pub use write::{Archive, write};

use crate::{
    digest::Digest,
    formats::tar,
    path::GuestPath,
    tree::{Content, Device, Fault, Inode, Kind, Tree},
};

/// Before the name of what a layer removes.
const WHITEOUT: &[u8] = b".wh.";
/// The member that makes its directory opaque.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// The attribute of an opaque directory; its value is `y`.
const OPAQUE_XATTR: &[u8] = b"trusted.overlay.opaque";
const NO_DEVICE: Device = Device { major: 0, minor: 0 };

/// A layer that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The uncompressed archive; its digest is the diff id.
    pub tar: Content,
    /// What it holds, as overlayfs' upper directory.
    pub tree: Tree,
}

impl Layer {
    /// The digest of the uncompressed archive: the name of the layer in its image's config.
    pub fn diff_id(&self) -> Digest {
        self.tar.digest
    }
}

/// Why a layer is refused or cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive cannot be read.
    #[error("the layer is no sound archive")]
    Tar(#[from] tar::Error),
    /// A member is refused for what is already there, or because there is too much.
    #[error("layer member {path}: {what}")]
    Member {
        /// Which.
        path: GuestPath,
        /// What is wrong.
        what: &'static str,
    },
    /// The members together are no tree.
    #[error("the members of the layer are no tree")]
    Tree(#[from] Fault),
    /// A tree has what no layer can hold.
    #[error("{path}: {what}")]
    Unwritable {
        /// Where.
        path: GuestPath,
        /// What is wrong.
        what: &'static str,
    },
    /// The content of a file could not be had, or the archive could not be written.
    #[error("the layer cannot be written")]
    Write(#[source] std::io::Error),
}

fn is_whiteout(inode: &Inode) -> bool {
    inode.kind == Kind::CharDevice(NO_DEVICE)
}

fn is_opaque(inode: &Inode) -> bool {
    inode.meta.xattrs.get(OPAQUE_XATTR).is_some_and(|value| **value == *b"y")
}

/// Whether containerd keeps this attribute on a file of this kind: the kernel knows no other classes, and those of
/// `trusted.` are overlayfs' own and not for a layer to set.
fn is_kept(name: &[u8], kind: &Kind) -> bool {
    match kind {
        Kind::File(_) | Kind::Directory if name.starts_with(b"user.") => name.len() > 5,
        Kind::Symlink(_) => is_security(name),
        Kind::File(_)
        | Kind::Directory
        | Kind::CharDevice(_)
        | Kind::BlockDevice(_)
        | Kind::Fifo
        | Kind::Socket => {
            is_security(name)
                || matches!(name, b"system.posix_acl_access" | b"system.posix_acl_default")
        }
    }
}

fn is_security(name: &[u8]) -> bool {
    name.starts_with(b"security.") && name.len() > 9
}
