use std::collections::{BTreeMap, BTreeSet};

use super::{Capabilities, Erratum, Name, Packages, Source};
use crate::path::GuestPath;

/// A root file system: layers laid over each other, then changed as declared.
///
/// The steps in order: the packages, the layers, removals, then directories, files, links and devices, then
/// attributes. Two layers that differ at a path are an error unless the path is in `replace`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rootfs {
    /// Packages asked for right here; the lowest layer.
    pub packages: Option<Packages>,
    /// Other trees, from the lowest up.
    pub layers: Vec<RootfsLayer>,
    /// Paths that are taken out with all below them.
    pub remove: BTreeSet<GuestPath>,
    /// Paths at which a later layer, or a declaration here, may differ from what is there: the later one wins.
    pub replace: BTreeSet<GuestPath>,
    /// All users but root by name, those of the root file systems among the layers included.
    pub users: BTreeMap<String, User>,
    /// All groups but root by name, those of the root file systems among the layers included.
    pub groups: BTreeMap<String, Group>,
    /// Regular files.
    pub files: BTreeMap<GuestPath, File>,
    /// Directories.
    pub directories: BTreeMap<GuestPath, Directory>,
    /// Symbolic links with their targets.
    pub links: BTreeMap<GuestPath, String>,
    /// Changes to what layers brought.
    pub attributes: BTreeMap<GuestPath, Attributes>,
    /// Device nodes.
    pub devices: BTreeMap<GuestPath, DeviceNode>,
    /// Changes to the programs in it, but for those in images of containers.
    pub errata: BTreeSet<Erratum>,
}

impl Rootfs {
    /// The files beside the recipe that this root file system takes in.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.files.values().filter_map(|file| match &file.content {
            FileContent::Text(_) => None,
            FileContent::Source(source) => Some(source),
        })
    }
}

/// The output of another recipe as part of a root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootfsLayer {
    /// Which recipe: packages, build or rootfs.
    pub recipe: Name,
    /// The file or directory of its tree that is taken; the root takes all.
    pub from: GuestPath,
    /// Where it is put.
    pub at: GuestPath,
}

/// A user, one line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Number.
    pub uid: u32,
    /// Number of the primary group.
    pub gid: u32,
    /// The comment field.
    pub comment: String,
    /// Home directory, as text.
    pub home: String,
    /// Shell, as text.
    pub shell: String,
}

/// A group, one line of `/etc/group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Number.
    pub gid: u32,
    /// Users that are in it besides those whose primary group it is.
    pub members: BTreeSet<String>,
}

/// Owner and group, names already looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What is in it.
    pub content: FileContent,
    /// Permission bits; `None` is 0644, or 0755 for a source that is executable.
    pub mode: Option<u16>,
    /// Whose it is.
    pub owner: Owner,
}

/// Where the content of a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// Written in the recipe.
    Text(String),
    /// A single file beside the recipe.
    Source(Source),
}

/// A directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Permission bits.
    pub mode: u16,
    /// Whose it is.
    pub owner: Owner,
}

/// What is changed on a file or directory that a layer brought; `None` leaves it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Permission bits.
    pub mode: Option<u16>,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// File capabilities.
    pub capabilities: Option<Capabilities>,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceNode {
    /// Which of the two kinds.
    pub kind: DeviceKind,
    /// Which driver; below 2^12.
    pub major: u32,
    /// Which of its devices; below 2^20.
    pub minor: u32,
    /// Permission bits.
    pub mode: u16,
    /// Whose it is.
    pub owner: Owner,
}

/// The two kinds of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// A character device.
    Char,
    /// A block device.
    Block,
}
