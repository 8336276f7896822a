//! Keeps named bytes elsewhere: in directories, on web servers, in S3 stores and registries.
//!
//! A [`Remote`] knows nothing of what the bytes mean, and nothing that it says is believed: whoever asks checks digests and
//! signatures. The names and their order are the business of `cache`.

mod address;
mod card;
mod directory;
mod http;
mod listing;
mod name;
mod oci;
mod options;
mod parts;
mod s3;
mod time;
mod web;

use std::{fmt, io, path::Path};

pub use address::{Address, BadAddress};
pub use directory::Directory;
pub(crate) use directory::is_absence;
pub use name::{BadName, Name};
pub use options::{Credentials, Options, Secret};

/// Speaks to the remote at an address. Nothing is asked yet.
pub fn open(address: &Address, options: &Options) -> Result<Box<dyn Remote>, Error> {
    Ok(match address {
        Address::Directory(path) => Box::new(Directory::new(&std::path::absolute(path)?)),
        Address::Web(url) => Box::new(http::Http::new(url, options)?),
        Address::Bucket { bucket, prefix } => Box::new(s3::S3::new(bucket, prefix, options)?),
        Address::Repository { registry, repository } => {
            Box::new(oci::Oci::new(registry, repository, options))
        }
    })
}

/// Bytes to be put somewhere.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// These.
    Bytes(&'a [u8]),
    /// All of a file.
    File(&'a Path),
}

/// One thing that is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// Its length in bytes.
    pub size: u64,
    /// When it was put there, in seconds since 1970, if the remote knows.
    pub modified: Option<u64>,
}

/// A place that keeps bytes by name.
pub trait Remote: fmt::Debug + Send + Sync {
    /// Its address, for a person; without secrets.
    fn address(&self) -> &str;

    /// All bytes under a name; nothing if there are none. More than `limit` bytes are an error.
    fn get(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, Error>;

    /// Brings bytes of known length into a file, which may have their beginning already, and says whether there were any.
    /// After an error the file has what arrived. `reached` is told how many bytes are there.
    fn fetch(
        &self,
        name: &Name,
        size: u64,
        partial: &Path,
        reached: &dyn Fn(u64),
    ) -> Result<bool, Error>;

    /// Whether there is something under a name.
    fn has(&self, name: &Name) -> Result<bool, Error>;

    /// Keeps bytes under a name, in place of what is there. Nobody sees a part of them.
    fn put(&self, name: &Name, body: Body<'_>) -> Result<(), Error>;

    /// All that is kept under names that begin with these parts, sorted by name. Not every remote can tell.
    fn list(&self, under: &Name) -> Result<Vec<Entry>, Error>;

    /// Removes what is under a name, if there is something.
    fn remove(&self, name: &Name) -> Result<(), Error>;
}

/// Why a remote did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is said of it cannot be.
    #[error("{address} cannot be used: {why}")]
    Unusable {
        /// Which remote.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// No answer, or a broken one; another try may help.
    #[error("{address} does not answer: {why}")]
    Unreachable {
        /// Which remote.
        address: String,
        /// What happened.
        why: String,
    },
    /// It does not do that, however often it is asked.
    #[error("{address} refuses {name}: {why}")]
    Refused {
        /// Which remote.
        address: String,
        /// What it was asked for, or sent.
        name: String,
        /// What it said.
        why: String,
    },
    /// It wants to know who asks, or does not let them.
    #[error("{address} denies access to {name}: {why}")]
    Denied {
        /// Which remote.
        address: String,
        /// What was asked for.
        name: String,
        /// What it said.
        why: String,
    },
    /// It cannot do such a thing.
    #[error("{address} cannot {what}")]
    Unable {
        /// Which remote.
        address: String,
        /// What it cannot do.
        what: &'static str,
    },
    /// It has no room for more.
    #[error("{address} has no room for {name}: {why}")]
    Full {
        /// Which remote.
        address: String,
        /// What was to be kept.
        name: String,
        /// What it said.
        why: String,
    },
    /// It has something else there than could be.
    #[error("{address} has something wrong under {name}: {why}")]
    Wrong {
        /// Which remote.
        address: String,
        /// What was asked for.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// This machine's disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}
