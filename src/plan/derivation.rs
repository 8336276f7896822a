use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Function, OciImage, Preload};
use crate::{digest::Digest, path::GuestPath};

/// One thing to make, with all that may influence what comes out.
///
/// `I` is how it names its inputs: by [`Input`](super::Input) in a plan, by [`Digest`] of their content once they
/// are there. The serialised form of the latter is the canonical form that a key is made of, so every field here is
/// in the key unless it is marked as left out, and the order of fields is fixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Derivation<I> {
    /// A file from a mirror or a registry.
    Fetch(Fetch),
    /// A Debian package as a tree.
    Unpack(Unpack<I>),
    /// Many packages in one tree.
    Packages(Packages<I>),
    /// The output of a script in the sandbox.
    Run(Run<I>),
    /// Layers and declared files as the root file system of a guest.
    Rootfs(Rootfs<I>),
    /// A root file system as a raw disk image.
    Disk(Disk<I>),
    /// An image of a container that others made, as a tree.
    OciImage(OciImage<I>),
    /// An image of a container, made of trees.
    Function(Function<I>),
    /// Images in containerd's own store.
    Preload(Preload<I>),
}

/// Bytes that are known by digest. Its output is that digest; it has no key and where it comes from is in none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fetch {
    /// Who has it.
    pub from: FetchFrom,
    /// Length in bytes.
    pub size: u64,
    /// What it must be.
    pub sha256: Digest,
}

/// Who has bytes that are known by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FetchFrom {
    /// An archive of packages.
    Archive {
        /// Its name, which mirrors are configured for.
        archive: String,
        /// The path inside it.
        path: String,
    },
    /// A registry of images.
    Registry {
        /// Its name, with its port if it has one.
        registry: String,
        /// The repository in it.
        repository: String,
        /// Whether it is a manifest; else a blob.
        manifest: bool,
    },
}

/// The files of one `.deb`, and dpkg's records of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unpack<I> {
    /// Version of the reader: [`crate::formats::deb::FORMAT`].
    pub reader: u32,
    /// The package, a blob.
    pub package: I,
}

/// Unpacked packages laid together, /usr merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Packages<I> {
    /// Version of the way they are laid together: [`Packages::FORMAT`].
    pub format: u32,
    /// Name, for messages only, and tree of each package, sorted by name.
    pub packages: Vec<Layer<I>>,
    /// Symbolic links that the packages' scripts would have made.
    pub links: BTreeMap<GuestPath, String>,
}

impl<I> Packages<I> {
    /// Changes when the same packages come out as another tree.
    pub const FORMAT: u32 = 1;
}

/// A tree, or a part of one, to be laid into another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layer<I> {
    /// What a person calls it; not in the key.
    #[serde(skip)]
    pub name: String,
    /// The tree.
    pub tree: I,
    /// The directory in it to take.
    pub from: GuestPath,
    /// Where to put that.
    pub at: GuestPath,
}

/// A script in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run<I> {
    /// Version of what a script finds around itself: [`Run::FORMAT`].
    pub format: u32,
    /// The root file system that it runs in: a tree.
    pub root: I,
    /// What it may read, each at `/inputs/NAME`, and told by the environment variable NAME.
    pub inputs: BTreeMap<String, RunInput<I>>,
    /// More environment variables.
    pub env: BTreeMap<String, String>,
    /// `SOURCE_DATE_EPOCH` and the time of every file that comes out, in seconds.
    pub epoch: i64,
}

impl<I> Run<I> {
    /// Changes when the surroundings of a script change: namespaces, paths, users, environment.
    pub const FORMAT: u32 = 1;
    /// The input that is the script itself: a POSIX shell script.
    pub const SCRIPT: &'static str = "SCRIPT";
}

/// One input of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunInput<I> {
    /// A path in a tree; the variable names the file or directory.
    Tree {
        /// The tree, all of which is there.
        tree: I,
        /// What the variable points at.
        path: GuestPath,
    },
    /// A file with this text.
    Text(String),
}

/// Layers with edits on top.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rootfs<I> {
    /// Version of the way it is put together: [`Rootfs::FORMAT`].
    pub format: u32,
    /// Trees, laid over each other in this order.
    pub layers: Vec<Layer<I>>,
    /// Where a later layer wins over an earlier one.
    pub replace: BTreeSet<GuestPath>,
    /// What is taken away after that.
    pub remove: BTreeSet<GuestPath>,
    /// What is put in then, in place of what may be there.
    pub add: BTreeMap<GuestPath, Entry<I>>,
    /// What is changed of what is there, last.
    pub attributes: BTreeMap<GuestPath, Attributes>,
    /// Time of all that is added, in seconds.
    pub epoch: i64,
    /// Changes to programs, each with the version of what it does; not in the key where there are none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub errata: Errata,
}

/// Changes to programs by name ([`Erratum::word`](crate::recipe::Erratum::word)), each with the version of what it does.
pub type Errata = BTreeMap<&'static str, u32>;

impl<I> Rootfs<I> {
    /// Changes when the same layers and edits come out as another tree.
    pub const FORMAT: u32 = 1;
}

/// Something that a recipe puts into a root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry<I> {
    /// A regular file.
    File {
        /// What is in it.
        content: FileContent<I>,
        /// Permission bits.
        mode: u16,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A directory.
    Directory {
        /// Permission bits.
        mode: u16,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A symbolic link to this target.
    Symlink(String),
    /// A device node.
    Device {
        /// A block device; else a character device.
        block: bool,
        /// Which driver.
        major: u32,
        /// Which of its devices.
        minor: u32,
        /// Permission bits.
        mode: u16,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

/// What is in a declared file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileContent<I> {
    /// This text.
    Text(String),
    /// A file of another tree.
    Copy {
        /// The tree.
        tree: I,
        /// The file in it.
        path: GuestPath,
    },
}

/// What a recipe changes of a file that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attributes {
    /// Permission bits, if they change.
    pub mode: Option<u16>,
    /// Owner and group, if they change.
    pub owner: Option<(u32, u32)>,
    /// The value of `security.capability` as the kernel takes it, if it is set.
    pub capability: Option<Vec<u8>>,
}

/// A root file system as ext4 on a raw disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disk<I> {
    /// Version of the ext4 writer, as pinned by the recipe.
    pub writer: u32,
    /// The root file system: a tree.
    pub rootfs: I,
    /// `none`, `mbr` or `gpt`.
    pub table: &'static str,
    /// Which partition holds the root, from 1, where there is a table.
    pub partition: u32,
    /// How large the file system is.
    pub size: Size,
    /// Inodes beyond those in use.
    pub spare_inodes: u64,
    /// Size of the journal in bytes; none if 0.
    pub journal: u64,
    /// Volume label.
    pub label: String,
    /// Time of the file system itself, in seconds.
    pub epoch: i64,
}

/// How large a file system is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Size {
    /// So large, however much is in it.
    Exact(u64),
    /// As large as it must be for its content and so much free space.
    Free(u64),
}

impl<I> Derivation<I> {
    /// The word for its kind, by which it is serialised.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Fetch(_) => "fetch",
            Self::Unpack(_) => "unpack",
            Self::Packages(_) => "packages",
            Self::Run(_) => "run",
            Self::Rootfs(_) => "rootfs",
            Self::Disk(_) => "disk",
            Self::OciImage(_) => "oci-image",
            Self::Function(_) => "function",
            Self::Preload(_) => "preload",
        }
    }

    /// All inputs, in the order in which they stand in the derivation; one that is used twice comes twice.
    pub fn inputs(&self) -> Vec<&I> {
        let mut inputs = Vec::new();
        // The visitor cannot fail; the copy it makes is dropped.
        let _ = self.try_map(|input| {
            inputs.push(input);
            Some(())
        });
        inputs
    }

    /// The same derivation with its inputs named otherwise; none as soon as one has no other name.
    pub fn try_map<'a, J>(
        &'a self,
        mut name: impl FnMut(&'a I) -> Option<J>,
    ) -> Option<Derivation<J>> {
        Some(match self {
            Self::Fetch(fetch) => Derivation::Fetch(fetch.clone()),
            Self::Unpack(Unpack { reader, package }) => {
                Derivation::Unpack(Unpack { reader: *reader, package: name(package)? })
            }
            Self::Packages(Packages { format, packages, links }) => {
                Derivation::Packages(Packages {
                    format: *format,
                    packages: packages
                        .iter()
                        .map(|it| it.try_map(&mut name))
                        .collect::<Option<_>>()?,
                    links: links.clone(),
                })
            }
            Self::Run(run) => Derivation::Run(run.try_map(&mut name)?),
            Self::Rootfs(rootfs) => Derivation::Rootfs(Rootfs {
                format: rootfs.format,
                layers: rootfs
                    .layers
                    .iter()
                    .map(|it| it.try_map(&mut name))
                    .collect::<Option<_>>()?,
                replace: rootfs.replace.clone(),
                remove: rootfs.remove.clone(),
                add: rootfs
                    .add
                    .iter()
                    .map(|(path, entry)| Some((path.clone(), entry.try_map(&mut name)?)))
                    .collect::<Option<_>>()?,
                attributes: rootfs.attributes.clone(),
                epoch: rootfs.epoch,
                errata: rootfs.errata.clone(),
            }),
            Self::Disk(disk) => Derivation::Disk(Disk {
                writer: disk.writer,
                rootfs: name(&disk.rootfs)?,
                table: disk.table,
                partition: disk.partition,
                size: disk.size,
                spare_inodes: disk.spare_inodes,
                journal: disk.journal,
                label: disk.label.clone(),
                epoch: disk.epoch,
            }),
            Self::OciImage(image) => Derivation::OciImage(image.try_map(&mut name)?),
            Self::Function(function) => Derivation::Function(function.try_map(&mut name)?),
            Self::Preload(preload) => Derivation::Preload(preload.try_map(&mut name)?),
        })
    }
}

impl<I> Layer<I> {
    pub(super) fn try_map<'a, J>(
        &'a self,
        name: &mut dyn FnMut(&'a I) -> Option<J>,
    ) -> Option<Layer<J>> {
        let Self { name: label, tree, from, at } = self;
        let (from, at) = (from.clone(), at.clone());
        Some(Layer { name: label.clone(), tree: name(tree)?, from, at })
    }
}

impl<I> Run<I> {
    fn try_map<'a, J>(&'a self, name: &mut dyn FnMut(&'a I) -> Option<J>) -> Option<Run<J>> {
        let root = name(&self.root)?;
        let mut input = |input: &'a RunInput<I>| {
            Some(match input {
                RunInput::Tree { tree, path } => {
                    RunInput::Tree { tree: name(tree)?, path: path.clone() }
                }
                RunInput::Text(text) => RunInput::Text(text.clone()),
            })
        };
        let inputs = self.inputs.iter().map(|(variable, it)| Some((variable.clone(), input(it)?)));
        let inputs = inputs.collect::<Option<_>>()?;
        Some(Run { format: self.format, root, inputs, env: self.env.clone(), epoch: self.epoch })
    }
}

impl<I> Entry<I> {
    fn try_map<'a, J>(&'a self, name: &mut dyn FnMut(&'a I) -> Option<J>) -> Option<Entry<J>> {
        Some(match self {
            Self::File { content, mode, uid, gid } => {
                let content = match content {
                    FileContent::Text(text) => FileContent::Text(text.clone()),
                    FileContent::Copy { tree, path } => {
                        FileContent::Copy { tree: name(tree)?, path: path.clone() }
                    }
                };
                Entry::File { content, mode: *mode, uid: *uid, gid: *gid }
            }
            Self::Directory { mode, uid, gid } => {
                Entry::Directory { mode: *mode, uid: *uid, gid: *gid }
            }
            Self::Symlink(target) => Entry::Symlink(target.clone()),
            Self::Device { block, major, minor, mode, uid, gid } => Entry::Device {
                block: *block,
                major: *major,
                minor: *minor,
                mode: *mode,
                uid: *uid,
                gid: *gid,
            },
        })
    }
}
