//! Tar archives: read into a tree with nothing taken on trust, and the headers of those we write.
//!
//! Nothing is unpacked on a disk: members become nodes, their bytes go to a sink. An archive that two programs could
//! read differently, or that only works by the order in which it is unpacked, is refused: names that leave the tree or
//! have two spellings, one path twice, paths through links, links to what is not there, content where none belongs,
//! sparse files, unknown types and unknown extended headers.

mod member;
mod pax;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeSet;
use std::io::{self, Read};

pub use member::{Body, Dialect, Member, Members, Place};
pub use write::{END, headers, padding};

use crate::{
    path::GuestPath,
    tree::{Content, Draft, Inode, Kind, Node},
};

/// What an archive may hold.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether devices and named pipes are allowed.
    pub special_files: bool,
    /// The most bytes that all files together may have.
    pub max_bytes: u64,
    /// The most members.
    pub max_members: u64,
    /// The most bytes that all paths, targets of links and extended attributes together may have: these stay in memory,
    /// and directories that no member describes count too.
    pub max_text: u64,
    /// The most components of a path.
    pub max_depth: usize,
}

impl Default for Options {
    /// No special files; 16 GiB, a million members, 128 MiB of text, 128 levels: far above every Debian package.
    fn default() -> Self {
        Self {
            special_files: false,
            max_bytes: 16 << 30,
            max_members: 1_000_000,
            max_text: 128 << 20,
            max_depth: 128,
        }
    }
}

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive ends where there must be more: inside a member or before the end marker.
    #[error("the tar archive ends early, at byte {offset}")]
    Truncated {
        /// How long it is.
        offset: u64,
    },
    /// The bytes could not be had.
    #[error("the tar archive cannot be read at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// A header is wrong before the name of its member is known.
    #[error("tar header at byte {offset}: {what}")]
    Header {
        /// Where the header begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A member is refused.
    #[error("tar member `{}`: {what}", name.escape_ascii())]
    Member {
        /// Its name as it stands in the archive.
        name: Vec<u8>,
        /// What is wrong.
        what: &'static str,
    },
    /// A member is refused for an extended header that is not known; what it would mean cannot be left out.
    #[error("tar member `{}`: unknown extended header `{}`", name.escape_ascii(), key.escape_ascii())]
    UnknownHeader {
        /// Its name as it stands in the plain header.
        name: Vec<u8>,
        /// The key of the record.
        key: Vec<u8>,
    },
    /// The content of a member could not be read or stored.
    #[error("tar member `{path}`: its content cannot be taken in")]
    Content {
        /// Which member.
        path: GuestPath,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    fn member(path: &GuestPath, what: &'static str) -> Self {
        Self::Member { name: path.as_bytes().to_vec(), what }
    }
}

/// Reads a whole archive, up to the end of `archive`. `take` gets the bytes of each regular file.
///
/// Directories that no member describes are missing in the draft, the root too; see [`Draft::ensure_parents`].
/// A directory may come again if nothing about it changes, as dpkg allows; dpkg would allow other repetitions too.
pub fn read(
    archive: impl Read,
    options: &Options,
    take: &mut dyn FnMut(&GuestPath, &mut dyn Read) -> io::Result<Content>,
) -> Result<Draft, Error> {
    let mut members = Members::new(archive, Dialect::Strict);
    let mut draft = Draft::default();
    let mut implied = BTreeSet::new();
    let (mut count, mut bytes, mut text) = (0, 0u64, 0u64);
    while let Some(member) = members.next_member()? {
        text += member.text();
        let Member { path, meta, body } = member;
        let refuse = |what| Err(Error::member(&path, what));
        count += 1;
        if count > options.max_members {
            return refuse("there are more members than allowed");
        }
        if path.components().count() > options.max_depth {
            return refuse("it lies deeper than allowed");
        }
        text += check_parents(&draft, &path, &mut implied)?;
        if text > options.max_text {
            return refuse("there are more and longer paths and attributes than allowed");
        }
        if body != Body::Directory && implied.contains(&path) {
            return refuse("it is no directory, but other members lie below it");
        }
        let kind = match body {
            Body::Directory => Kind::Directory,
            Body::Symlink(target) => Kind::Symlink(target),
            Body::File { size } => {
                bytes = bytes.saturating_add(size);
                if bytes > options.max_bytes {
                    return refuse("the files of the archive are larger than allowed");
                }
                if draft.get(&path).is_some() {
                    return refuse("it is there twice");
                }
                Kind::File(members.take_content(&path, take)?)
            }
            Body::CharDevice(_) | Body::BlockDevice(_) | Body::Fifo if !options.special_files => {
                return refuse("devices and pipes are not allowed");
            }
            Body::CharDevice(device) => Kind::CharDevice(device),
            Body::BlockDevice(device) => Kind::BlockDevice(device),
            Body::Fifo => Kind::Fifo,
            Body::HardLink(target) => {
                if draft.get(&path).is_some() {
                    return refuse("it is there twice");
                }
                if !draft.get(&target).is_some_and(is_no_directory) {
                    return refuse("it is a hard link to what is no file before it in the archive");
                }
                draft.insert(path, Node::HardLink(target));
                continue;
            }
        };
        let node = Node::Inode(Inode { meta, kind });
        match draft.get(&path) {
            None => draft.insert(path, node),
            Some(old) if *old == node && !is_no_directory(old) => (),
            Some(_) => return refuse("it is there twice"),
        }
    }
    Ok(draft)
}

/// Every parent of `path` must be a directory or not have come yet; those are noted in `implied`. Says how many bytes
/// were noted.
fn check_parents(
    draft: &Draft,
    path: &GuestPath,
    implied: &mut BTreeSet<GuestPath>,
) -> Result<u64, Error> {
    let mut noted = 0;
    for parent in path.ancestors() {
        match draft.get(&parent) {
            Some(node) if is_no_directory(node) => {
                return Err(Error::member(path, "it lies below a link or file of the archive"));
            }
            // What is above it was checked when it came.
            Some(_) => break,
            None if implied.contains(&parent) => break,
            None => {
                noted += parent.as_bytes().len() as u64;
                implied.insert(parent);
            }
        }
    }
    Ok(noted)
}

fn is_no_directory(node: &Node) -> bool {
    !matches!(node, Node::Inode(Inode { kind: Kind::Directory, .. }))
}
