use std::io;

use crate::{digest::Digest, remote, store};

/// Why something could not be sent to or taken from a cache.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cache did not do as it was asked, or has something wrong.
    #[error(transparent)]
    Remote(#[from] remote::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// This machine's disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There is nothing.
    #[error("there is no cache at {address}")]
    Absent {
        /// Where it should be.
        address: String,
    },
    /// What is there is no cache, or one of another vsbuild.
    #[error("{address} is no cache of this version of vsbuild (its format is {found:?})")]
    OtherFormat {
        /// Which cache.
        address: String,
        /// What its format file says.
        found: String,
    },
    /// A blob of the store is not what it is called, so it is not sent.
    #[error("the blob {0} is damaged")]
    Damaged(Digest),
    /// Somebody else does something with the cache that does not go together with what is asked.
    #[error("{address} is in use: {act} began or was last heard of {seconds} s ago")]
    Busy {
        /// Which cache.
        address: String,
        /// What is done with it.
        act: &'static str,
        /// How long ago it was heard of.
        seconds: u64,
    },
    /// A name that is no name of a pin.
    #[error(transparent)]
    BadName(#[from] remote::BadName),
}

impl Error {
    /// Whether it is the cache's fault and not this machine's: then another cache, or a build, may help.
    pub fn is_remote(&self) -> bool {
        match self {
            Self::Remote(remote::Error::Io(_)) => false,
            Self::Remote(_) | Self::Absent { .. } | Self::OtherFormat { .. } => true,
            Self::Store(_)
            | Self::Io(_)
            | Self::Damaged(_)
            | Self::Busy { .. }
            | Self::BadName(_) => false,
        }
    }

    /// Whether the cache had better not be asked again.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Remote(remote::Error::Unreachable { .. } | remote::Error::Denied { .. })
            | Self::Absent { .. }
            | Self::OtherFormat { .. } => true,
            Self::Remote(_)
            | Self::Store(_)
            | Self::Io(_)
            | Self::Damaged(_)
            | Self::Busy { .. }
            | Self::BadName(_) => false,
        }
    }
}
