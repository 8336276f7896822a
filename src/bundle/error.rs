use std::{io, path::PathBuf};

use super::BadManifest;
use crate::{cache, digest::Digest, formats::tar, path::GuestPath};

/// Why a bundle could not be written or read, or a directory of inputs not be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed; the message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A cache could not be read or written.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// Another program writes the same bundle, or unpacks one to the same place.
    #[error("another program is writing {}", .0.display())]
    Busy(PathBuf),
    /// The directory has something in it.
    #[error("{} is there already, and is not empty", .0.display())]
    Exists(PathBuf),
    /// The directory is a cache that others need, of which nothing can be removed for one lockfile.
    #[error("{} is the cache of others, too: it has {what}", dir.display())]
    Shared {
        /// The directory.
        dir: PathBuf,
        /// What is in it that no directory of inputs has.
        what: &'static str,
    },
    /// Two things would be at one path of a bundle.
    #[error("a bundle has a place of its own for {0}, so that no project can have anything there")]
    Taken(GuestPath),
    /// A link that would lead out of a bundle, or might.
    #[error("the symbolic link {path} leads out of the project, or may: to `{}`", target.escape_ascii())]
    LeadsOut {
        /// The link.
        path: GuestPath,
        /// Where it leads.
        target: Vec<u8>,
    },
    /// A bundle cannot hold such a thing.
    #[error("{0} is neither a file nor a directory nor a symbolic link")]
    Odd(GuestPath),
    /// The paths are no tree.
    #[error(transparent)]
    NoTree(#[from] crate::tree::Fault),
    /// A path is too long, or no path at all.
    #[error(transparent)]
    BadPath(#[from] crate::path::BadPath),
    /// A file is not what it is called, or changed while it was read.
    #[error("{} is damaged: its bytes are {found}, not {expected}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// Somebody compressed the archive, as they may.
    #[error("{} is compressed with {with}", archive.display())]
    Compressed {
        /// The archive.
        archive: PathBuf,
        /// By which program.
        with: &'static str,
    },
    /// The archive is no tar archive that is believed.
    #[error("{} is damaged, or no bundle", archive.display())]
    BadArchive {
        /// The archive.
        archive: PathBuf,
        /// What is wrong.
        source: tar::Error,
    },
    /// The archive does not begin as a bundle does.
    #[error("{} is no bundle: it does not begin with artifact/MANIFEST", .0.display())]
    NoBundle(PathBuf),
    /// The manifest does not make sense.
    #[error("{} has a damaged manifest", archive.display())]
    BadManifest {
        /// The archive.
        archive: PathBuf,
        /// What is wrong.
        source: BadManifest,
    },
    /// The archive is not what its manifest says.
    #[error("{}: {member}: {what}", archive.display())]
    Wrong {
        /// The archive.
        archive: PathBuf,
        /// The member.
        member: String,
        /// What is wrong with it.
        what: String,
    },
}
