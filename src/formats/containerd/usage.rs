use crate::tree::{Inode, Kind, Node, Tree};

const BLOCK: u64 = 4096;
/// ext4 keeps a target that is shorter than this in the inode.
const SHORT_LINK: usize = 60;

/// What containerd remembers of a snapshot's size: it walks the directory and adds up the blocks of every inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    pub inodes: u64,
    /// In bytes.
    pub size: u64,
}

/// What a tree takes on ext4 with blocks of 4 KiB.
///
/// Left out is what ext4 adds to few inodes: a directory's further blocks, blocks of extents, and of attributes that do not
/// fit into the inode. containerd only shows the sum.
pub(super) fn usage(tree: &Tree) -> Usage {
    let own = tree.iter().filter_map(|(_, node)| match node {
        Node::Inode(inode) => Some(blocks(inode)),
        Node::HardLink(_) => None,
    });
    own.fold(Usage { inodes: 0, size: 0 }, |sum, blocks| Usage {
        inodes: sum.inodes + 1,
        size: sum.size.saturating_add(blocks.saturating_mul(BLOCK)),
    })
}

fn blocks(inode: &Inode) -> u64 {
    match &inode.kind {
        Kind::Directory => 1,
        Kind::File(content) => content.data().map(|(_, length)| length.div_ceil(BLOCK)).sum(),
        Kind::Symlink(target) => u64::from(target.len() >= SHORT_LINK),
        Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo | Kind::Socket => 0,
    }
}
