//! One builder for each kind of derivation: its inputs, by digest, in; a tree out.

mod container;
mod errata;
mod packages;
mod rootfs;
mod run;
mod unpack;

use std::{io, path::PathBuf};

pub(super) use container::{function, oci_image, preload};
pub(super) use packages::build as packages;
pub(super) use rootfs::build as rootfs;
pub use run::Host;
pub(super) use run::build as run;
pub(super) use unpack::build as unpack;

use crate::{
    digest::Digest,
    formats::{containerd, deb, elf, oci},
    path::{BadPath, GuestPath},
    sandbox, store,
    tree::{Conflict, Fault},
};

/// The file in a kept sandbox that says how to enter it.
pub const SPEC: &str = "sandbox.json";

/// Why a step could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A package is not what it should be.
    #[error("not a sound package")]
    Package(#[from] deb::Error),
    /// A package cannot have a merged /usr.
    #[error(transparent)]
    NotMergeable(#[from] deb::NotMergeable),
    /// The records of the packages do not make a database.
    #[error(transparent)]
    Status(#[from] deb::StatusError),
    /// Two layers want different things.
    #[error("layers have the same paths, and differ there:{}", list(.0))]
    Conflicts(Vec<Conflict>),
    /// A declared file meets one that a layer brought.
    #[error(
        "{path}: a layer has something there already; name it under `replace` if the recipe's is to win"
    )]
    InTheWay {
        /// Where.
        path: GuestPath,
    },
    /// A program that a change cannot be made to.
    #[error("the erratum {erratum} cannot be applied to {path}")]
    Erratum {
        /// Its name.
        erratum: &'static str,
        /// The program.
        path: GuestPath,
        /// Why not.
        source: elf::barrier::Refused,
    },
    /// A declared path that goes through a link.
    #[error("{path}: {link} is a link to {target}; name the place where that leads to")]
    ThroughLink {
        /// What was declared.
        path: GuestPath,
        /// The link on the way.
        link: GuestPath,
        /// Where it points.
        target: String,
    },
    /// An edit of what is not there.
    #[error("{path}: nothing there to {to}")]
    NothingThere {
        /// Where.
        path: GuestPath,
        /// The edit.
        to: &'static str,
    },
    /// A part of a layer that the layer does not have.
    #[error("`{layer}` has no {path}")]
    NotInLayer {
        /// The layer or input.
        layer: String,
        /// What was wanted.
        path: GuestPath,
    },
    /// A declared file whose source is none.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// Where in the source.
        path: GuestPath,
    },
    /// The parts do not make a tree.
    #[error(transparent)]
    Tree(#[from] Fault),
    /// A path is too long.
    #[error(transparent)]
    Path(#[from] BadPath),
    /// The script ended well but made nothing.
    #[error("the script left nothing in $out")]
    NoOutput,
    /// An image of a container is not what it should be.
    #[error("not a sound image")]
    Image(#[from] oci::Error),
    /// A tree of the store is no unpacked image.
    #[error("not a sound image in the store")]
    Unpacked(#[from] oci::UnpackedError),
    /// A layer of an image is refused, or cannot be written.
    #[error("not a sound layer")]
    Layer(#[from] oci::layer::Error),
    /// A layer has other bytes than the image says.
    #[error("the uncompressed layer {wanted} has other bytes: their sha256 is {found}")]
    OtherLayer {
        /// What the image's configuration says.
        wanted: Digest,
        /// What it is.
        found: Digest,
    },
    /// The lockfile names other blobs than the image's manifest.
    #[error("the manifest {manifest} names other blobs than lockfile.toml does")]
    NotTheManifest {
        /// The manifest.
        manifest: Digest,
    },
    /// An image does not say how its container is run.
    #[error("its container cannot be run")]
    Runtime(#[from] oci::runtime::Error),
    /// The images make no state of containerd.
    #[error("these images cannot be containerd's")]
    Containerd(#[from] containerd::Error),
    /// The script left something that no tree can hold.
    #[error("{}: {what}", path.display())]
    OddOutput {
        /// Where, below `$out`.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The script failed.
    #[error("the script failed: {}", .0.status)]
    Failed(Box<Failed>),
    /// There was no sandbox to run it in.
    #[error("the sandbox could not be set up")]
    Sandbox(#[from] sandbox::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A script that failed, with what helps to find out why.
#[derive(Debug)]
pub struct Failed {
    /// How it ended.
    pub status: sandbox::Status,
    /// How often it tried to reach a network.
    pub network_attempts: u64,
    /// The last lines of its log.
    pub tail: Vec<String>,
    /// The whole log.
    pub log: PathBuf,
    /// The sandbox, if it was kept.
    pub sandbox: Option<PathBuf>,
}

/// Conflicts as lines, as many as one can read.
fn list(conflicts: &[Conflict]) -> String {
    const READABLE: usize = 12;
    let mut lines: Vec<String> =
        conflicts.iter().take(READABLE).map(|conflict| format!("\n  {conflict}")).collect();
    if conflicts.len() > READABLE {
        lines.push(format!("\n  and {} more", conflicts.len() - READABLE));
    }
    lines.concat()
}
